"""Metrics decide: a real Prometheus looks at the real Traefik, and releases go on or end by it."""

# ruff: noqa: D103 - a test's name is its docstring

import asyncio
from collections.abc import AsyncIterator
from itertools import cycle

import pytest
import pytest_asyncio

from e2e.bed.backend import FAIL_HEADER
from e2e.bed.client import Request, census
from e2e.bed.prometheus import missing
from e2e.scenarios.application import ACCOUNT, App
from e2e.scenarios.cluster import METERED, Cluster, running
from e2e.scenarios.metered import (
    LONG,
    canary_errs,
    enrolled,
    outcomes,
    sends,
    traffic,
    was_caught,
    why,
)
from e2e.scenarios.side_by_side import scenario

pytestmark = pytest.mark.slow
FLAP_SECONDS = 2.0
BY_ACCOUNT = {"header": ACCOUNT, "header_values": "alice"}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def cluster(programs: None) -> AsyncIterator[Cluster]:  # noqa: ARG001 - asked for first
    """Run a cluster whose proxy Prometheus looks at, and a controller that asks it."""
    if missing():
        pytest.skip(missing())
    async with running("admission", METERED) as cluster:
        yield cluster


@scenario
async def test_a_good_version_is_promoted_by_itself(app: App) -> None:
    wishes = {"steps": "50/2s", "checks": "success>=80%, coverage>=80%", "promotion": "auto"}
    async with enrolled(app, wishes):
        await app.set_image("v2")
        await app.ends("promoted", LONG)
        assert await app.runs() == {"v2": 2}
        assert app.weights[:1] == [50]


@scenario
async def test_a_bad_version_is_rolled_back_while_its_step_lasts(app: App) -> None:
    async with enrolled(app, {"steps": "20/1h", "checks": "error-rate"}):
        await app.set_image("v2-flaky")
        told = await app.ends("aborted", LONG)
        assert was_caught(told)
        assert outcomes(told) == {"error-rate": "fail"}
        assert "ChecksFailed" in await app.events()
        assert await app.runs() == {"v1": 2}
        await app.answers("v1")


@scenario
async def test_too_little_traffic_holds_and_says_what_is_needed(app: App) -> None:
    wishes = {"steps": "20/2s, 50", "checks": "error-rate", "promotion": "auto"}
    async with enrolled(app, wishes, rate=2.0, seen=4):
        await app.set_image("v2")
        told = await app.until("undecided", lambda told: told.reason == "ChecksUndecided", LONG)
        assert told.written == 20
        assert outcomes(told) == {"error-rate": "not enough data"}
        assert "more requests to the canary" in told.message
        await app.act("continue")
        await app.weighs(50)


@scenario
async def test_a_version_that_is_bad_now_and_then_is_rolled_back(app: App) -> None:
    async with enrolled(app, {"steps": "50/1h", "checks": "error-rate"}):
        await app.ship("v2")
        ending = asyncio.ensure_future(app.ends("aborted", LONG))
        for share in cycle((0.5, 0.0)):
            await canary_errs(app, share)
            if (await asyncio.wait({ending}, timeout=FLAP_SECONDS))[0]:
                break
        assert was_caught(await ending)


@scenario
async def test_a_version_that_is_only_slow_is_found_by_the_check_of_latency(app: App) -> None:
    checks = "error-rate<=3x, latency-300ms<=2x"
    async with enrolled(app, {"steps": "50/1h", "checks": checks}):
        await app.set_image("v2-slow")
        told = await app.ends("aborted", LONG)
        assert was_caught(told)
        assert why(told).startswith("latency-300ms<=2x: fail: canary ")
        assert outcomes(told)["error-rate<=3x"] != "fail"


@scenario
async def test_faults_that_only_testers_meet_do_not_count(app: App) -> None:
    """Traefik tells them apart; everybody else finds the version good."""
    wishes = {**BY_ACCOUNT, "steps": "50/5s", "checks": "success>=80%", "promotion": "auto"}
    async with enrolled(app, wishes):
        async with traffic(app, 20.0, (ACCOUNT, "alice"), (FAIL_HEADER, "yes")):
            await app.set_image("v2")
            told = await app.until("passed", lambda told: told.stage == "Promoting", LONG)
            assert outcomes(told) == {"success>=80%": "pass"}
        await app.ends("promoted", LONG)


@scenario
async def test_what_the_canary_was_never_asked_holds_until_a_tester_has_asked(app: App) -> None:
    put = Request(host=app.host, method="PUT")
    wishes = {**BY_ACCOUNT, "steps": "50/2s", "checks": "coverage>=99.5%", "promotion": "auto"}
    async with enrolled(app, wishes, rate=20.0) as load:
        await census(app.cluster.client, put, 150)
        await sends(load, 60)
        await app.set_image("v2")
        told = await app.until("untried", lambda told: "missing: PUT 2xx" in told.message, LONG)
        assert (told.reason, told.written) == ("ChecksUndecided", 50)
        alice = Request(host=app.host, method="PUT", headers=((ACCOUNT, "alice"),))
        await census(app.cluster.client, alice, 8)
        await app.ends("promoted", LONG)


@scenario
async def test_a_version_whose_container_crashes_is_rolled_back_without_any_traffic(
    app: App,
) -> None:
    await app.enrol(steps="50/1h", checks="restarts")
    await app.ship("v2")
    await app.until("passed", lambda told: outcomes(told) == {"restarts": "pass"})
    await app.cluster.crash_pod(app.namespace, (await app.pods("canary"))[0])
    told = await app.ends("aborted", LONG)
    assert was_caught(told)
    assert why(told).startswith("restarts: fail: 1 of 2 containers of the canary and 0 of 2 ")
