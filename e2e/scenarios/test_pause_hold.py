"""Where the server cannot hold, the controller pauses; what differs for a user is told here."""

# ruff: noqa: D103 - a test's name is its docstring

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from e2e.bed import container, manifests
from e2e.bed.manifests import Manifest
from e2e.scenarios.application import ACCOUNT, NAME, App
from e2e.scenarios.cluster import Cluster, running
from e2e.scenarios.side_by_side import scenario


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def cluster(programs: None) -> AsyncIterator[Cluster]:  # noqa: ARG001 - asked for first
    """Run a cluster without the policies, and the controller with `--hold pause`."""
    async with running("pause") as cluster:
        yield cluster


@scenario
async def test_a_release_is_promoted_by_action_without_a_lost_request_and_held_again(
    app: App,
) -> None:
    await app.deploy(replicas=3)
    await app.enrol(header=ACCOUNT, header_values="alice")
    assert await app.is_paused()
    load = await app.cluster.load(app.host, rate=30)
    sending = asyncio.create_task(load.run())
    told = await app.ship("v2")
    await app.answers("v2", (ACCOUNT, "alice"))
    assert await app.who_gets("v2", ["alice", "bob"]) == ["alice"]
    await app.act(f"promote:{told.revision}")
    await app.ends("promoted")
    load.stop()
    report = await sending
    assert not report.failures, report.summary()
    assert await app.runs() == {"v2": 3}
    await app.is_ready()
    assert await app.is_paused()
    await app.ship("v3")
    assert await app.runs() == {"v2": 3}


@scenario
async def test_resume_rolls_at_once_and_loses_nothing_where_pods_stop_gently(app: App) -> None:
    await app.api.apply(gentle(app, "v1"))
    await app.answers("v1")
    await app.is_complete()
    await app.enrol(header=ACCOUNT, header_values="alice")
    load = await app.cluster.load(app.host, rate=30)
    sending = asyncio.create_task(load.run())
    await app.ship("v2")
    await app.resume()
    await app.ends("promoted")
    load.stop()
    report = await sending
    assert not report.failures, report.summary()
    await app.comes_true("held again", app.is_paused)
    await app.comes_true("only v2 is left", lambda: runs_only_v2(app))


async def runs_only_v2(app: App) -> bool:
    return await app.runs() == {"v2": 3}


def gentle(app: App, version: str) -> list[Manifest]:
    """Build an application whose pods finish what they began before they stop."""
    written = manifests.application(
        namespace=app.namespace,
        host=app.host,
        image=f"janakiramm/myapp:{version}",
        pod_annotations={container.STOP: "drain"},
    )
    pods = written[1]["spec"]["template"]["spec"]
    pods["containers"][0]["lifecycle"] = {"preStop": {"sleep": {"seconds": 2}}}
    return written


@pytest.mark.parametrize("verb", ["undo", "restart"])
@scenario
async def test_kubectl_itself_refuses_on_a_paused_deployment(app: App, verb: str) -> None:
    await app.enrol()
    refused = await app.try_kubectl(f"rollout {verb} deployment {NAME}")
    assert refused.code == 1
    assert await app.runs() == {"v1": 2}


@scenario
async def test_an_abort_and_the_old_template_leave_it_held(app: App) -> None:
    await app.canary()
    await app.annotate(weight="50")
    await app.weighs(50)
    await app.act("abort")
    assert (await app.ends("aborted")).stage == "Aborted"
    await app.set_image("v1")
    await app.reaches("Idle")
    await app.is_ready()
    assert await app.is_paused()
    await app.ship("v3")


@scenario
async def test_an_undo_in_the_roll_of_a_promotion_works_at_once(app: App) -> None:
    await app.in_roll()
    await app.kubectl(f"rollout undo deployment {NAME}")
    await app.ends("aborted")
    assert await app.runs() == {"v1": 2}
    await app.comes_true("held again", app.is_paused)


@scenario
async def test_a_newer_template_in_the_roll_is_paused_again(app: App) -> None:
    await app.in_roll()
    await app.set_image("v3")
    newer = await app.reaches("Promoting", "PromotionInterrupted")
    await app.comes_true("paused", app.is_paused)
    await app.act(f"promote:{newer.revision}")
    await app.ends("promoted")
    assert await app.runs() == {"v3": 2}


@scenario
async def test_un_enrolling_takes_our_pause_off(app: App) -> None:
    await app.enrol()
    assert await app.is_paused()
    await app.label(None)
    await app.is_left_alone()
    assert not await app.is_paused()


@scenario
async def test_un_enrolling_with_a_template_pending_leaves_the_pause_and_says_so(app: App) -> None:
    await app.canary()
    await app.label(None)
    await app.is_left_alone()
    assert await app.is_paused()
    await app.tells("LeftPending")
    assert await app.runs() == {"v1": 2}


WAYS = {
    "client": "apply -f -",
    "server": "apply --server-side --force-conflicts -f -",
    "replace": "replace -f -",
}
"""How a tool may write a Deployment."""


def declaring(app: App, version: str) -> Manifest:
    """Build the Deployment as a manifest that owns `spec.paused` has it."""
    image = f"janakiramm/myapp:{version}"
    return manifests.deployment(
        NAME, namespace=app.namespace, replicas=2, image=image, paused=False
    )


@scenario
async def test_a_manifest_that_declares_paused_is_refused_until_it_does_not(app: App) -> None:
    await app.deploy()
    await app.api.apply(declaring(app, "v1"))
    await app.label()
    told = await app.is_refused("PausedDeclared")
    assert "spec.paused" in told.says("Ready")
    assert not await app.is_paused()
    await app.api.apply(manifests.deployment(NAME, namespace=app.namespace, replicas=2))
    await app.is_ready()
    assert await app.is_paused()


@pytest.mark.parametrize("how", WAYS.values(), ids=WAYS)
@scenario
async def test_a_manifest_that_takes_the_pause_off_is_told_of(app: App, how: str) -> None:
    await app.enrol()
    manifest = declaring(app, "v1")
    await asyncio.gather(app.is_refused("HoldContested"), app.write(how, manifest))
    await app.write(how, manifest)
    await app.tells("HoldContested")
    assert await app.runs() == {"v1": 2}


@pytest.mark.parametrize("how", WAYS.values(), ids=WAYS)
@scenario
async def test_a_manifest_that_takes_the_pause_off_a_waiting_template_rolls_it_and_is_told_of(
    app: App, how: str
) -> None:
    await app.canary()
    manifest = declaring(app, "v2")
    await asyncio.gather(app.is_refused("HoldContested"), app.write(how, manifest))
    await app.write(how, manifest)
    await app.tells("HoldContested")
    await app.ends("promoted")
    assert await app.runs() == {"v2": 2}


@scenario
async def test_a_replica_set_that_somebody_deletes_comes_back(app: App) -> None:
    await app.enrol()
    found = (await app.api.list("replicasets"))[0]["metadata"]["name"]
    await app.kubectl(f"delete replicaset {found}")

    async def is_back() -> bool:
        sets = await app.api.list("replicasets")
        ready = [one["status"].get("readyReplicas") for one in sets]
        return ready == [2] and await app.is_paused()

    await app.comes_true("two ready pods, held", is_back)
    await app.is_ready()
    assert await app.runs() == {"v1": 2}
