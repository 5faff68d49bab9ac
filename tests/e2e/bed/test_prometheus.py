"""What the real Traefik counts, as the real Prometheus sees it, against what the questions expect.

`make prometheus` unpacks Debian's. Without it these tests are skipped.
"""

import math
import sys
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from controller.cluster.prometheus import Prometheus as Door
from controller.plan.counting import Grid, windows_of
from controller.plan.coverage import Kind, kinds_of
from controller.plan.evidence import Count, flaw_of, total
from controller.plan.sources import Traefik, Upstream
from e2e.bed import manifests
from e2e.bed.bed import Bed
from e2e.bed.children import MissingProgramError
from e2e.bed.client import Client, Request, census
from e2e.bed.polling import wait_until
from e2e.bed.prometheus import SCRAPE_SECONDS, Prometheus, missing

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(bool(missing()), reason=missing()),
]
HOST = "myapp.example"
UPSTREAM = Upstream(namespace="canary", ingress="myapp", service="myapp", port="80")
TRAEFIK = Traefik(upstreams=(UPSTREAM,))
STABLE = "canary-myapp-myapp-80@kubernetesingressnginx"
CANARY = "canary-myapp-myapp-80-canary@kubernetesingressnginx"
DOORS = {"header": "X-Account", "header_value": "alice", "cookie": "beta"}
TESTER = (("X-Account", "alice"),)
BY_COOKIE = (("Cookie", "beta=always"),)
OPTED_OUT = (("Cookie", "beta=never"),)
PATIENCE_SECONDS = 60.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Looked:
    """A bed with a canary at weight 30 of which every second answer is an error."""

    bed: Bed
    prometheus: Prometheus
    client: Client

    async def send(
        self, count: int, headers: tuple[tuple[str, str], ...] = (), method: str = "GET"
    ) -> None:
        request = Request(host=HOST, headers=headers, method=method)
        await census(self.client, request, count)

    async def seen(self, name: str, **labels: str) -> Mapping[tuple[str, ...], float]:
        """Answer what a counter says now, by router, service, method and code."""
        written = ",".join(f'{key}="{value}"' for key, value in labels.items())
        found = await self.prometheus.ask(f"{name}{{{written}}}")
        return {
            tuple(
                one["metric"].get(key, "") for key in ("router", "service", "method", "code")
            ): float(one["value"][1])
            for one in found
        }

    async def counted(self) -> tuple[Count, Count]:
        """Answer what canary and stable have had since the bed began, testers taken out."""
        end = math.floor(time.time())
        grid = Grid(start=float(end - 60), step=float(SCRAPE_SECONDS), windows=60)
        query, read = TRAEFIK.errors(SCRAPE_SECONDS)
        async with Door(self.prometheus.url) as door:
            found = await door.samples(query, start=grid.start, end=float(end), step=grid.step)
        windows = [one for one in windows_of(found, read, grid) if not flaw_of(one)]
        return total([one.canary for one in windows]), total([one.stable for one in windows])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def looked() -> AsyncIterator[Looked]:
    async with Bed() as bed:
        await bed.api.apply(manifests.application(host=HOST))
        canary = manifests.deployment(
            "myapp-canary",
            image="janakiramm/myapp:v2",
            replicas=2,
            labels={"app": "myapp-canary"},
            pod_annotations={"bed/errors": "0.5"},
        )
        await bed.api.apply(canary, manifests.service("myapp-canary"))
        await bed.settled("myapp")
        await bed.settled("myapp-canary")
        doors = manifests.canary_annotations(weight=30, **DOORS)
        await bed.api.apply(manifests.ingress("myapp-canary", annotations=doors))
        await wait_until(lambda: bed.proxy.has_canary("myapp"), what="the canary is routed")
        async with bed.prometheus() as prometheus:
            client = Client(bed.target)
            try:
                looked = Looked(bed=bed, prometheus=prometheus, client=client)
                await _begin(looked)
                yield looked
            finally:
                client.close()


async def _begin(looked: Looked) -> None:
    """Let the first look at each side's counters be behind us, as in any application in use."""
    await looked.send(1, TESTER)
    await looked.send(1, OPTED_OUT)

    async def is_seen() -> bool:
        found = await looked.seen("traefik_service_requests_total")
        return {service for _, service, _, _ in found} == {STABLE, CANARY}

    await wait_until(is_seen, within=PATIENCE_SECONDS, every=0.2, what="both sides are seen")


async def test_what_a_weight_sent_is_told_from_what_testers_sent(looked: Looked) -> None:
    """Three tenths of the others reach the canary; whom a header or a cookie led has no vote."""
    await looked.send(200)
    await looked.send(40, TESTER)
    await looked.send(20, BY_COOKIE)
    await looked.send(30, OPTED_OUT)
    await looked.send(100, method="POST")

    async def are_counted() -> bool:
        canary, stable = await looked.counted()
        return (canary.requests, stable.requests) == (90.0, 210.0)

    await wait_until(are_counted, within=PATIENCE_SECONDS, every=0.5, what="all are counted")
    canary, stable = await looked.counted()
    assert stable.events == 0
    assert 0 < canary.events < canary.requests


async def test_kinds_of_requests_are_told_by_method_and_status_and_testers_count(
    looked: Looked,
) -> None:
    """Half of the canary's answers are errors, which are of no kind."""
    await looked.send(6, OPTED_OUT, method="PUT")
    await looked.send(20, TESTER, method="PUT")
    query, tell = TRAEFIK.kinds(SCRAPE_SECONDS)

    async def kinds() -> Mapping[str, Kind]:
        end = math.floor(time.time())
        async with Door(looked.prometheus.url) as door:
            found = await door.samples(query, start=end - 60, end=end, step=3.0)
        return {kind.text: kind for kind in kinds_of(found, tell, since=end - 60)}

    async def are_counted() -> bool:
        found = (await kinds()).get("PUT 2xx")
        return found is not None and found.stable == 6 and found.canary > 0

    await wait_until(are_counted, within=PATIENCE_SECONDS, every=0.5, what="all are counted")
    found = await kinds()
    assert set(found) <= {"GET 2xx", "POST 2xx", "PUT 2xx"}
    assert found["PUT 2xx"].canary < 20


async def test_the_series_of_traefik_are_those_the_questions_were_written_for(
    looked: Looked,
) -> None:
    """Services by Ingress, Service and port; a router for each kind of door; no host, no path."""
    await looked.send(10)
    router = "canary-myapp-rule-0-path-0"

    async def routers() -> Mapping[str, str]:
        found = await looked.seen("traefik_router_requests_total")
        return {name.partition("@")[0]: service for name, service, _, _ in found}

    async def are_all_seen() -> bool:
        return len(await routers()) == 3

    await wait_until(are_all_seen, within=PATIENCE_SECONDS, every=0.2, what="three routers")
    assert await routers() == {
        router: "canary-myapp-myapp-80-wrr@kubernetesingressnginx",
        f"{router}-canary": CANARY,
        f"{router}-non-canary": STABLE,
    }
    (one, *_) = await looked.prometheus.ask("traefik_service_requests_total")
    assert set(one["metric"]) == {
        "__name__",
        "code",
        "instance",
        "job",
        "method",
        "protocol",
        "service",
    }


async def test_without_prometheus_one_line_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(MissingProgramError, match=r"^prometheus is not installed: .*make prom"):
        await Prometheus.run(folder=tmp_path, targets=[])


async def test_a_killed_one_starts_again_over_what_it_knew(looked: Looked) -> None:
    before = sum((await looked.seen("traefik_service_requests_total")).values())
    assert before > 0
    await looked.prometheus.kill()
    await looked.prometheus.start()
    since = await looked.prometheus.ask("count_over_time(up[1h])")
    assert float(since[0]["value"][1]) > 2
