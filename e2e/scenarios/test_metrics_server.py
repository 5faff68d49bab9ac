"""Prometheus is killed, slow, wrong: a release holds and says so; it neither goes on nor ends."""

# ruff: noqa: D103 - a test's name is its docstring

import json
import math
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio
from aiohttp import web

from e2e.bed.prometheus import LOOPBACK, Prometheus, missing
from e2e.scenarios.application import App
from e2e.scenarios.cluster import METERED, Cluster, running
from e2e.scenarios.metered import LONG, canary_errs, enrolled, outcomes, sends, was_caught

pytestmark = [
    pytest.mark.slow,
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.timeout(3 * LONG),
]
CHECK = "success>=80%"
BLIND_REQUESTS = 200
"""While nobody looks, all of the canary's answers are errors: plenty of evidence, if it were."""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def cluster(programs: None) -> AsyncIterator[Cluster]:  # noqa: ARG001 - asked for first
    """Run a cluster whose proxy Prometheus looks at, and a controller that asks it."""
    if missing():
        pytest.skip(missing())
    async with running("admission", METERED) as cluster:
        yield cluster


@asynccontextmanager
async def killed(prometheus: Prometheus, _: App) -> AsyncIterator[None]:
    await prometheus.kill()
    yield
    await prometheus.start(within=LONG)


@asynccontextmanager
async def frozen(prometheus: Prometheus, _: App) -> AsyncIterator[None]:
    prometheus.freeze()
    try:
        yield
    finally:
        prometheus.thaw()


@asynccontextmanager
async def replaced(
    prometheus: Prometheus, answer: Callable[[Mapping[str, str]], web.Response]
) -> AsyncIterator[None]:
    """Let something else answer where Prometheus was."""

    async def answered(request: web.Request) -> web.Response:
        form = await request.post()
        return answer({key: str(value) for key, value in form.items()})

    await prometheus.kill()
    app = web.Application()
    app.router.add_post("/api/v1/query_range", answered)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, LOOPBACK, prometheus.port).start()
        yield
    finally:
        await runner.cleanup()
    await prometheus.start(within=LONG)


@asynccontextmanager
async def replaced_by_a_page(prometheus: Prometheus, _: App) -> AsyncIterator[None]:
    def page(_: Mapping[str, str]) -> web.Response:
        return web.Response(text="<html>log in</html>", content_type="text/html")

    async with replaced(prometheus, page):
        yield


@asynccontextmanager
async def replaced_by_no_numbers(prometheus: Prometheus, app: App) -> AsyncIterator[None]:
    def numbers(form: Mapping[str, str]) -> web.Response:
        start, end, step = (float(form[key]) for key in ("start", "end", "step"))
        moments = [start + i * step for i in range(math.floor((end - start) / step) + 1)]
        service = f"{app.namespace}-myapp-myapp-80@kubernetesingressnginx"
        series = {
            "metric": {"instance": "a", "service": service, "code": "200"},
            "values": [[moment, "NaN"] for moment in moments],
        }
        data = {"resultType": "matrix", "result": [series]}
        return web.Response(text=json.dumps({"status": "success", "data": data}))

    async with replaced(prometheus, numbers):
        yield


TROUBLES = {
    "killed": (killed, "no answer"),
    "frozen": (frozen, "no answer within 5 s"),
    "a-page": (replaced_by_a_page, "answered 200 with something else than JSON"),
    "no-numbers": (replaced_by_no_numbers, "not a number"),
}


@pytest.mark.parametrize("name", TROUBLES)
async def test_a_release_holds_says_so_and_goes_on_when_it_can_be_seen_again(
    cluster: Cluster, name: str
) -> None:
    trouble, words = TROUBLES[name]
    app = App(cluster=cluster, namespace=f"metrics-{name}")
    async with enrolled(app, {"steps": "50/1s, 60", "checks": CHECK}) as load:
        await app.set_image("v2")
        await app.until("weight 50", lambda told: told.written == 50)
        async with trouble(cluster.prometheus, app):
            blind = await app.until(
                "blind", lambda told: told.reason == "ChecksWithoutData" and words in told.message
            )
            assert outcomes(blind) == {CHECK: "no data"}
            await canary_errs(app, 1.0)
            await sends(load, BLIND_REQUESTS)
            assert (app.told.stage, app.told.written) == ("Canary", 50)
            assert app.told.reason == "ChecksWithoutData"
            await canary_errs(app, 0.0)
        await app.until("weight 60", lambda told: told.written == 60, LONG)
        await canary_errs(app, 1.0)
        assert was_caught(await app.ends("aborted", LONG))
        assert await app.runs() == {"v1": 2}


async def test_a_restart_in_mid_release_changes_nothing(cluster: Cluster) -> None:
    app = App(cluster=cluster, namespace="metrics-restarted")
    wishes = {"steps": "50/5s", "checks": CHECK, "promotion": "auto"}
    async with enrolled(app, wishes) as load:
        await app.set_image("v2")
        await app.until("weight 50", lambda told: told.written == 50)
        await sends(load, 60)
        await cluster.prometheus.stop()
        await cluster.prometheus.start(within=LONG)
        await app.ends("promoted", LONG)
        assert await app.runs() == {"v2": 2}
