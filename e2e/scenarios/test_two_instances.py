"""Two instances run and one acts: the Lease may change hands at any moment of a release."""

# ruff: noqa: D103 - a test's name is its docstring

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio

from controller.api import names
from e2e.bed.controllerprocess import ControllerProcess
from e2e.bed.load import Report
from e2e.bed.polling import wait_until
from e2e.scenarios.application import GATED, App
from e2e.scenarios.cluster import GROUND, PATIENCE, Cluster, running

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(300)]

HOME = "serinus-system"
ELECTED = ("--leader-elect", f"--lease-namespace={HOME}")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def cluster(programs: None) -> AsyncIterator[Cluster]:  # noqa: ARG001 - asked for first
    """Run a cluster whose controller acts only while it has the Lease."""
    async with running("admission", replace(GROUND, flags=(*GROUND.flags, *ELECTED))) as cluster:
        home = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": HOME}}
        await cluster.api_in(HOME).apply(home)  # where nothing was installed it is not there
        yield cluster


async def leads(controller: ControllerProcess) -> None:
    """Wait until this instance has the Lease."""

    async def has_the_lease() -> bool:
        return "serinus_leader 1.0" in await controller.metrics()

    await wait_until(has_the_lease, within=PATIENCE, every=0.1, what=f"{controller.name} leads")


async def waiting_in_a_promotion(app: App) -> asyncio.Task[Report]:
    """Promote up to where the canary grows, and leave it there; answers the load that goes on."""
    await app.gated_canary()
    load = await app.cluster.load(app.host, rate=20)
    sending = asyncio.create_task(load.run())
    await asyncio.gather(app.reaches("Promoting", "WaitingForPods"), app.resume())
    return sending


async def ends_without_a_lost_request(app: App, sending: asyncio.Task[Report]) -> None:
    """Let all pods in, and look at the load once the release has ended."""
    await app.let_in("", app.ends("promoted"))
    app.cluster.stop_loads()
    report = await sending
    assert not report.failures, report.summary()
    assert app.stages == ["Idle", "Starting", "Canary", "Promoting", "Idle"]
    assert await app.runs() == {GATED: 2}


async def rolls(app: App) -> None:
    """Let the canary's pods in, which takes a promotion to where stable rolls."""
    rolling = app.comes_true("the roll", app.is_rolling)
    await app.let_in(f"{names.TRACK}={names.TRACK_CANARY}", rolling)


async def test_a_lease_that_changes_hands_in_mid_promotion_costs_no_request(
    cluster: Cluster,
) -> None:
    app = App(cluster=cluster, namespace="handed-over")
    sending, first = await waiting_in_a_promotion(app), cluster.controller
    await leads(first)
    async with cluster.second_controller() as second:
        assert await first.stop() == 0
        await leads(second)
        await first.start(within=PATIENCE)
        await rolls(app)
        assert await second.stop() == 0
        await leads(first)
        await ends_without_a_lost_request(app, sending)


async def test_an_instance_that_was_frozen_in_mid_promotion_costs_no_request(
    cluster: Cluster,
) -> None:
    app = App(cluster=cluster, namespace="frozen")
    sending, first = await waiting_in_a_promotion(app), cluster.controller
    await leads(first)
    async with cluster.second_controller() as second:
        first.freeze()
        await leads(second)
        await rolls(app)
        first.thaw()
        await ends_without_a_lost_request(app, sending)
        await leads(second)


async def test_a_lease_that_changes_hands_at_rest_changes_nothing(cluster: Cluster) -> None:
    stages = ("idle", "exposed", "starting")
    idle, exposed, starting = (App(cluster=cluster, namespace=f"{name}-twice") for name in stages)
    await asyncio.gather(
        idle.enrol(header="X-Account", header_values="alice"), exposed.canary(), starting.enrol()
    )
    await exposed.annotate(weight="50")
    await exposed.weighs(50)
    await starting.set_image("bad")
    await starting.reaches("Starting", "WaitingForPods")
    first = cluster.controller
    await leads(first)
    async with cluster.second_controller() as second:
        await cluster.is_quiet()
        before = [await cluster.dump(f"{name}-twice") for name in stages]
        await cluster.forget_writes()
        assert await first.stop() == 0
        await leads(second)
        await cluster.is_quiet()
        assert [f"{write.method} {write.path}" for write in await cluster.writes()] == []
        assert [await cluster.dump(f"{name}-twice") for name in stages] == before
        await first.start(within=PATIENCE)
