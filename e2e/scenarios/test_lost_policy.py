"""The policy that holds is taken away and put back: what the controller makes of it."""

# ruff: noqa: D103 - a test's name is its docstring

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio

from e2e.scenarios.application import App
from e2e.scenarios.cluster import GROUND, Cluster, running
from e2e.scenarios.watching import Told

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(300)]

OFTEN = "--hold-check-interval=1s"
"""Ten minutes otherwise."""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def cluster(programs: None) -> AsyncIterator[Cluster]:  # noqa: ARG001 - asked for first
    """Run a cluster that nobody else uses: what happens to it happens to all its Services."""
    async with running("admission", replace(GROUND, flags=(*GROUND.flags, OFTEN))) as cluster:
        yield cluster


def is_held_by(told: Told, how: str) -> bool:
    return told.is_ready and f"is held ({how})" in told.says("Ready")


async def is_held(app: App, how: str) -> None:
    await app.until(f"held, {how}", lambda told: is_held_by(told, how))


BY_POLICY, BY_PAUSE = "by an admission policy", "paused"


async def test_a_lost_binding_is_noticed_though_every_held_template_waits(cluster: Cluster) -> None:
    app = App(cluster=cluster, namespace="waiting")
    await app.canary()
    await is_held(app, BY_POLICY)
    await cluster.take_policy_away("binding")
    await is_held(app, BY_PAUSE)
    assert app.told.stage == "Canary"
    assert await app.is_paused()
    assert await app.runs() == {"v1": 2}
    await cluster.put_policy_back()
    await is_held(app, BY_POLICY)
    await app.resume()
    await app.ends("promoted")
    assert "Promoting" in app.stages
    assert await app.runs() == {"v2": 2}
    assert not await app.is_paused()


async def test_a_lost_policy_is_noticed_and_what_rests_is_paused_until_it_is_back(
    cluster: Cluster,
) -> None:
    app = App(cluster=cluster, namespace="resting")
    await app.enrol()
    assert not await app.is_paused()
    await cluster.take_policy_away("policy")
    await is_held(app, BY_PAUSE)
    await app.comes_true("paused", app.is_paused)
    await app.ship("v2")
    assert await app.runs() == {"v1": 2}
    await cluster.put_policy_back()
    await is_held(app, BY_POLICY)
    await app.resume()
    await app.ends("promoted")
    assert await app.runs() == {"v2": 2}
    assert not await app.is_paused()
