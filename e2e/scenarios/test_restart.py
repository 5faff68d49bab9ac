"""The controller may end at any moment: nothing changes, nothing is lost, nothing is written."""

# ruff: noqa: D103 - a test's name is its docstring

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass

import pytest
import pytest_asyncio

from e2e.bed import container
from e2e.scenarios.application import ACCOUNT, GATED, NAME, App
from e2e.scenarios.cluster import Cluster, running

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(300)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Restarted:
    """What a restart wrote, and every namespace before and after it."""

    writes: Sequence[str]
    before: Mapping[str, object]
    after: Mapping[str, object]


async def idle(app: App) -> None:
    await app.enrol(header=ACCOUNT, header_values="alice")


async def refused(app: App) -> None:
    await app.deploy()
    await app.kubectl(f"delete ingress {NAME}")
    await app.label()
    await app.is_refused("IngressWithoutService")


async def starting(app: App) -> None:
    await app.enrol()
    await app.set_image("bad")
    await app.reaches("Starting", "WaitingForPods")


async def exposed(app: App) -> None:
    await app.canary(header=ACCOUNT, header_values="alice")
    await app.annotate(weight="50")
    await app.weighs(50)


async def stepping(app: App) -> None:
    await app.canary(steps="10, 20")
    await app.until("a person", lambda told: "waits for a person" in told.message)


async def frozen(app: App) -> None:
    await app.canary(steps="10/1h, 20")
    await app.act("pause")
    await app.until("the pause", lambda told: told.last_action == "paused")


async def misconfigured(app: App) -> None:
    await exposed(app)
    await app.annotate(cookie="Bad")
    await app.is_refused("InvalidConfiguration")


async def short_in_the_promotion(app: App) -> None:
    told = await app.gated_canary()
    await app.act(f"promote:{told.revision}")
    await app.reaches("Promoting")


async def rolling(app: App) -> None:
    await app.in_roll()


async def paused_in_the_roll(app: App) -> None:
    await app.in_roll()
    await app.kubectl(f"rollout pause deployment {NAME}")
    await app.reaches("Promoting", "RollPaused")


async def aborted_in_the_roll(app: App) -> None:
    await app.in_roll()
    await app.act("abort")
    await app.reaches("Promoting", "AbortedInRoll")


async def aborted(app: App) -> None:
    await app.canary()
    await app.act("abort")
    await app.ends("aborted")


async def left_with_a_template_pending(app: App) -> None:
    await app.canary()
    await app.label(None)
    await app.is_left_alone()


STAGES = (
    idle,
    refused,
    starting,
    exposed,
    stepping,
    frozen,
    misconfigured,
    short_in_the_promotion,
    rolling,
    paused_in_the_roll,
    aborted_in_the_roll,
    aborted,
    left_with_a_template_pending,
)


SLOW = {container.START: "1"}
NAMES = [reached.__name__ for reached in STAGES]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def cluster(programs: None) -> AsyncIterator[Cluster]:  # noqa: ARG001 - asked for first
    """Run a cluster that nobody else uses: its controller ends again and again."""
    async with running("admission") as cluster:
        yield cluster


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def restarted(cluster: Cluster) -> Restarted:
    """Bring an application to each stage, end the controller, and start it again."""
    apps = {name: App(cluster=cluster, namespace=name.replace("_", "-")) for name in NAMES}
    await asyncio.gather(*(reached(apps[reached.__name__]) for reached in STAGES))
    await cluster.is_quiet()
    before = {name: await cluster.dump(app.namespace) for name, app in apps.items()}
    await cluster.forget_writes()
    assert await cluster.controller.stop() == 0
    await cluster.start_controller()
    await cluster.is_quiet()
    return Restarted(
        writes=[f"{write.method} {write.path}" for write in await cluster.writes()],
        before=before,
        after={name: await cluster.dump(app.namespace) for name, app in apps.items()},
    )


@pytest.mark.parametrize("stage", NAMES)
async def test_a_restart_writes_nothing(restarted: Restarted, stage: str) -> None:
    namespace = stage.replace("_", "-")
    assert [write for write in restarted.writes if f"/{namespace}/" in write] == []
    assert restarted.after[stage] == restarted.before[stage]


async def test_a_restart_writes_nowhere_else_either(restarted: Restarted) -> None:
    assert restarted.writes == []


async def test_a_controller_that_is_down_changes_nothing_and_catches_up(cluster: Cluster) -> None:
    standing, waiting, ending = (
        App(cluster=cluster, namespace=f"{name}-meanwhile")
        for name in ("standing", "waiting", "ending")
    )
    await asyncio.gather(exposed(standing), idle(waiting), exposed(ending))
    await cluster.controller.kill()
    await waiting.set_image("v2")
    await ending.act("abort")
    await standing.spreads(50, 100)
    await ending.spreads(50, 100)
    assert await waiting.runs() == {"v1": 2}
    assert await waiting.ours() == []
    await cluster.start_controller()
    await asyncio.gather(waiting.reaches("Canary"), ending.ends("aborted"))
    await standing.spreads(50, 100)


async def test_a_template_that_rolled_out_meanwhile_waits_for_its_approval(
    cluster: Cluster,
) -> None:
    app = App(cluster=cluster, namespace="rolled-meanwhile")
    older = await app.in_roll()
    await cluster.controller.kill()
    await app.set_image("v3")
    await app.is_complete()
    await cluster.start_controller()
    newer = await app.reaches("Promoting", "PromotionInterrupted", after=older.revision)
    assert await app.count(20) == {GATED: 20}
    await app.act(f"promote:{newer.revision}")
    await app.ends("promoted")
    assert await app.count(20) == {"v3": 20}


async def test_a_controller_killed_in_mid_promotion_loses_no_request(cluster: Cluster) -> None:
    apps = [App(cluster=cluster, namespace=f"killed-{number}") for number in range(3)]
    first, second, third = apps
    await asyncio.gather(*(app.deploy(replicas=3, pod_annotations=SLOW) for app in apps))
    await asyncio.gather(*(app.canary() for app in apps))
    loads = [await cluster.load(app.host, rate=15) for app in apps]
    sending = [asyncio.create_task(load.run()) for load in loads]
    await asyncio.gather(first.reaches("Promoting"), first.resume(), second.resume())
    await crash(cluster)
    await second.until("everybody on the canary", lambda told: told.written == 100)
    await crash(cluster)
    await second.comes_true("the roll", second.is_not_paused)
    await crash(cluster)
    await third.resume()
    await first.until("the end", lambda t: t.stage == "Idle" or "back on stable" in t.message)
    await crash(cluster)
    await asyncio.gather(*(app.ends("promoted") for app in apps))
    for load in loads:
        load.stop()
    for app, report in zip(apps, await asyncio.gather(*sending), strict=True):
        assert not report.failures, f"{app.namespace}: {report.summary()}"
        assert await app.runs() == {"v2": 3}


async def crash(cluster: Cluster) -> None:
    """Kill the controller and start it again."""
    await cluster.controller.kill()
    await cluster.start_controller()
