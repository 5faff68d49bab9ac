"""Two instances run and one acts: the Lease may change hands at any moment of a release."""

# ruff: noqa: D103 - a test's name is its docstring

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio

from e2e.bed import container
from e2e.bed.controllerprocess import ControllerProcess
from e2e.bed.polling import wait_until
from e2e.scenarios.application import ACCOUNT, App
from e2e.scenarios.cluster import GROUND, PATIENCE, Cluster, running

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(300)]

HOME = "serinus-system"
ELECTED = ("--leader-elect", f"--lease-namespace={HOME}")
SLOW = {container.START: "1"}
"""So that a promotion has moments in which something else can happen."""


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


async def test_a_lease_that_changes_hands_in_mid_promotion_costs_no_request(
    cluster: Cluster,
) -> None:
    app = App(cluster=cluster, namespace="handed-over")
    await app.deploy(replicas=3, pod_annotations=SLOW)
    await app.canary(header=ACCOUNT, header_values="alice")
    await app.annotate(weight="50")
    await app.weighs(50)
    load = await cluster.load(app.host, rate=20)
    sending = asyncio.create_task(load.run())
    first = cluster.controller
    await leads(first)
    async with cluster.second_controller() as second:
        await asyncio.gather(app.reaches("Promoting"), app.resume())
        assert await first.stop() == 0
        await leads(second)
        await first.start(within=PATIENCE)
        await app.until("everybody on the canary", lambda told: told.written == 100)
        await app.comes_true("the roll", app.is_not_paused)
        await second.kill()
        await leads(first)
        await app.ends("promoted")
    load.stop()
    report = await sending
    assert not report.failures, report.summary()
    assert app.stages == ["Idle", "Starting", "Canary", "Promoting", "Idle"]
    assert await app.runs() == {"v2": 3}


async def test_an_instance_that_was_frozen_in_mid_promotion_writes_nothing_when_it_wakes(
    cluster: Cluster,
) -> None:
    app = App(cluster=cluster, namespace="frozen")
    await app.deploy(replicas=3, pod_annotations=SLOW)
    await app.canary()
    load = await cluster.load(app.host, rate=20)
    sending = asyncio.create_task(load.run())
    first = cluster.controller
    await leads(first)
    async with cluster.second_controller() as second:
        await asyncio.gather(app.reaches("Promoting"), app.resume())
        first.freeze()
        await leads(second)
        await app.until("everybody on the canary", lambda told: told.written == 100)
        first.thaw()
        await app.ends("promoted")
    load.stop()
    report = await sending
    assert not report.failures, report.summary()
    assert await app.runs() == {"v2": 3}
    await leads(first)
