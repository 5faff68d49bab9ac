"""Manifests from Git are applied again and again, whatever the cluster has made of them."""

# ruff: noqa: D103 - a test's name is its docstring

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from e2e.bed import manifests
from e2e.bed.manifests import Manifest
from e2e.scenarios.application import ACCOUNT, NAME, App
from e2e.scenarios.side_by_side import scenario

EVERY_SECONDS = 1.0
"""Between the end of one apply and the begin of the next."""
APPLY = {"client": "apply -f -", "server": "apply --server-side -f -"}
"""How Git tools apply."""
WAYS = {**APPLY, "server": "apply --server-side --force-conflicts -f -", "replace": "replace -f -"}
"""How they may write a Deployment whose `paused` is somebody else's just now."""


def in_git(app: App, version: str, **annotations: str) -> list[Manifest]:
    """Build the application as Git has it, enrolled, with these annotations of the Service."""
    written = manifests.application(
        namespace=app.namespace, host=app.host, replicas=2, image=f"janakiramm/myapp:{version}"
    )
    metadata = written[2]["metadata"]
    metadata["labels"]["serinus.dev/canary"] = "enabled"
    if annotations:
        metadata["annotations"] = {
            f"serinus.dev/{name.replace('_', '-')}": value for name, value in annotations.items()
        }
    return written


def deployment(app: App, version: str, **spec: Any) -> Manifest:
    """Build the Deployment alone, with further fields of its spec."""
    return manifests.deployment(
        NAME, namespace=app.namespace, replicas=2, image=f"janakiramm/myapp:{version}", **spec
    )


async def begin(app: App, how: str, **annotations: str) -> None:
    """Apply the first version, and wait until a release can start."""
    await app.write(how, *in_git(app, "v1", **annotations))
    await app.answers("v1")
    await app.is_complete()
    await app.is_ready()


@asynccontextmanager
async def applied_every_second(
    app: App, how: str, version: str, **annotations: str
) -> AsyncIterator[list[Mapping[str, Any]]]:
    """Apply the same manifests while the block runs, and once more at its end.

    Yields:
        What the Deployment looked like after each apply.
    """
    written, seen = in_git(app, version, **annotations), list[Mapping[str, Any]]()

    async def again() -> None:
        await app.write(how, *written)
        seen.append(await app.get("deployments"))

    async def for_ever() -> None:
        while True:
            await again()
            await asyncio.sleep(EVERY_SECONDS)

    applying = asyncio.create_task(for_ever())
    try:
        yield seen
    finally:
        applying.cancel()
        await asyncio.wait({applying})
        if not applying.cancelled():
            applying.result()
    await again()


async def are_applied(seen: list[Mapping[str, Any]], count: int) -> bool:
    return len(seen) >= count


@pytest.mark.parametrize("how", APPLY.values(), ids=APPLY)
@scenario
async def test_applied_every_second_it_changes_nothing_in_a_release(app: App, how: str) -> None:
    git = {"header": ACCOUNT, "header_values": "alice"}
    await begin(app, how, **git)
    load = await app.cluster.load(app.host, rate=20)
    sending = asyncio.create_task(load.run())
    await app.write(how, *in_git(app, "v2", **git))
    async with applied_every_second(app, how, "v2", **git):
        await app.reaches("Canary")
        await app.answers("v2", (ACCOUNT, "alice"))
        await app.annotate(weight="50")
        await app.weighs(50)
        assert await app.runs() == {"v1": 2}
        await app.resume()
        await app.ends("promoted")
    load.stop()
    report = await sending
    assert not report.failures, report.summary()
    assert app.stages == ["Idle", "Starting", "Canary", "Promoting", "Idle"]
    assert await app.runs() == {"v2": 2}
    assert not await app.is_paused()


@pytest.mark.parametrize("how", APPLY.values(), ids=APPLY)
@scenario
async def test_an_abort_outlives_the_manifest_that_is_applied_again(app: App, how: str) -> None:
    await begin(app, how)
    await app.write(how, *in_git(app, "v2"))
    await app.reaches("Canary")
    async with applied_every_second(app, how, "v2") as seen:
        await app.act("abort")
        await app.ends("aborted")
        done = len(seen)
        await app.comes_true("applied again", lambda: are_applied(seen, done + 3))
    assert all(found["spec"]["paused"] for found in seen)
    assert app.stages == ["Idle", "Starting", "Canary", "RollingBack", "Aborted"]
    assert await app.ours() == []
    assert await app.runs() == {"v1": 2}
    await app.write(how, *in_git(app, "v3"))
    await app.reaches("Canary")


@pytest.mark.parametrize("how", APPLY.values(), ids=APPLY)
@scenario
async def test_steps_in_git_are_the_plan_of_every_release(app: App, how: str) -> None:
    git = {"steps": "20/2s, 50/2s", "promotion": "auto"}
    await begin(app, how, **git)
    for version in ("v2", "v3"):
        before = app.told.revision
        await app.write(how, *in_git(app, version, **git))
        async with applied_every_second(app, how, version, **git):
            await app.reaches("Promoting", after=before)
            await app.ends("promoted")
        assert await app.runs() == {version: 2}
    assert [weight for weight in app.weights if weight in {20, 50, 100}] == [20, 50, 100] * 2
    annotations = app.told.annotations
    assert {key: annotations[f"serinus.dev/{key}"] for key in git} == git


# A manifest that says `paused: false`; where the controller pauses, see `test_pause_hold`.


@pytest.mark.parametrize("how", WAYS.values(), ids=WAYS)
@scenario
async def test_a_manifest_that_is_not_paused_does_not_let_a_template_roll(
    app: App, how: str
) -> None:
    await app.canary(header=ACCOUNT, header_values="alice")
    await app.annotate(weight="50")
    await app.weighs(50)
    for _ in range(2):
        await app.write(how, deployment(app, "v2", paused=False))
        assert await app.is_paused()
    await app.answers("v2", (ACCOUNT, "alice"))
    assert await app.runs() == {"v1": 2}
    await app.resume()
    await app.ends("promoted")
    assert app.stages == ["Idle", "Starting", "Canary", "Promoting", "Idle"]
    assert await app.runs() == {"v2": 2}


@pytest.mark.parametrize("how", WAYS.values(), ids=WAYS)
@scenario
async def test_a_version_in_a_manifest_that_is_not_paused_is_held(app: App, how: str) -> None:
    await app.enrol()
    await app.write(how, deployment(app, "v2", paused=False))
    await app.reaches("Canary")
    await app.write(how, deployment(app, "v2", paused=False))
    assert await app.is_paused()
    assert await app.runs() == {"v1": 2}
    await app.resume()
    await app.ends("promoted")
    await app.write(how, deployment(app, "v2", paused=False))
    await app.is_ready()
    assert await app.runs() == {"v2": 2}


# Deleted and created again in one command.


@scenario
async def test_a_service_that_is_replaced_by_force_costs_nothing(app: App) -> None:
    git = {"header": ACCOUNT, "header_values": "alice"}
    await begin(app, "apply -f -", **git)
    await app.ship("v2")
    await app.annotate(weight="50")
    await app.weighs(50)
    await app.write("replace --force -f -", in_git(app, "v2", **git)[2])
    await app.reaches("Canary")
    await app.weighs(0)
    await app.answers("v2", (ACCOUNT, "alice"))
    assert await app.who_gets("v2", ["alice", "bob"]) == ["alice"]
    await app.resume()
    await app.ends("promoted")
    assert await app.runs() == {"v2": 2}


@scenario
async def test_an_ingress_that_is_replaced_by_force_gets_its_canary_back(app: App) -> None:
    await app.canary(header=ACCOUNT, header_values="alice")
    await app.annotate(weight="50")
    await app.weighs(50)
    await app.write("replace --force -f -", in_git(app, "v2")[3])
    await app.is_ready()
    await app.weighs(50)
    await app.answers("v2", (ACCOUNT, "alice"))
    await app.resume()
    await app.ends("promoted")
    assert await app.runs() == {"v2": 2}


@scenario
async def test_a_deployment_that_is_replaced_by_force_is_enrolled_again(app: App) -> None:
    await app.canary(header=ACCOUNT, header_values="alice")
    await app.annotate(weight="50")
    await app.weighs(50)
    first = (await app.get("deployments"))["metadata"]["uid"]
    await app.write("replace --force -f -", deployment(app, "v2"))
    assert (await app.get("deployments"))["metadata"]["uid"] != first
    await app.comes_true("only v2 runs", lambda: runs_only(app, "v2"))
    await app.comes_true("nothing of ours", lambda: has_nothing_of_ours(app))
    await app.is_ready()
    assert app.told.stage == "Idle"
    await app.ship("v3")
    assert await app.runs() == {"v2": 2}


async def runs_only(app: App, version: str) -> bool:
    return await app.runs() == {version: 2}


async def has_nothing_of_ours(app: App) -> bool:
    return await app.ours() == []
