"""What a release costs the API server, and what it leaves behind."""

# ruff: noqa: D103 - a test's name is its docstring

from collections import Counter
from contextlib import suppress
from typing import Any

from e2e.scenarios.application import ACCOUNT, NAME, App
from e2e.scenarios.side_by_side import scenario

MOST_WRITES_OF_A_PROMOTION = 14
MOST_WRITES_OF_AN_ABORT = 8
REVISION = "deployment.kubernetes.io/revision"
"""Counts the templates of a Deployment; written by its own controller."""
TIMES = {
    "observedGeneration",
    "lastUpdateTime",
    "lastTransitionTime",
    "lastProbeTime",
    "endpoints.kubernetes.io/last-change-trigger-time",
}


async def exposed(app: App) -> str:
    """Give accounts and half of the others to a canary; answers its revision."""
    told = await app.canary(header=ACCOUNT, header_values="alice")
    await app.annotate(weight="50")
    await app.weighs(50)
    return told.revision


async def work(app: App) -> Counter[str]:
    """Count what the controller wrote in the namespace, but for status and events."""
    begin = f"/namespaces/{app.namespace}/"
    found = (write for write in await app.cluster.writes() if begin in write.path)
    counted = Counter(f"{write.method} {write.path.partition(begin)[2]}" for write in found)
    told = {f"PATCH services/{NAME}", f"PATCH services/{NAME}/status"}
    return Counter(
        {key: n for key, n in counted.items() if key not in told and " events" not in key}
    )


@scenario
async def test_a_promotion_takes_few_writes(app: App) -> None:
    revision = await exposed(app)
    before = await work(app)
    await app.act(f"promote:{revision}")
    await app.ends("promoted")
    written = await work(app) - before
    app.cluster.measure(
        "writes of a promotion", sorted(written.elements()), limit=MOST_WRITES_OF_A_PROMOTION
    )


@scenario
async def test_an_abort_takes_few_writes(app: App) -> None:
    await exposed(app)
    before = await work(app)
    await app.act("abort")
    await app.ends("aborted")
    written = await work(app) - before
    app.cluster.measure(
        "writes of an abort", sorted(written.elements()), limit=MOST_WRITES_OF_AN_ABORT
    )


@scenario
async def test_a_release_and_leaving_change_nothing_but_the_version(app: App) -> None:
    await app.deploy()
    await app.annotate(header=ACCOUNT, header_values="alice")
    before = await objects(app)
    await app.enrol()
    await app.canary()
    await app.resume()
    await app.ends("promoted")
    await app.label(None)
    await app.is_left_alone()
    after = await objects(app)
    changed = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
    app.cluster.measure("objects a release left changed", sorted(changed), limit=0)


@scenario
async def test_an_aborted_release_and_leaving_leave_every_object_as_it_was(app: App) -> None:
    await app.deploy()
    await app.annotate(header=ACCOUNT, header_values="alice")
    before = await every_object_at_rest(app)
    await app.label()
    await app.is_ready()
    await app.ship("v2")
    await app.annotate(weight="50")
    await app.weighs(50)
    await app.act("abort")
    await app.ends("aborted")
    await app.set_image("v1")
    await app.reaches("Idle")
    await app.comes_true("not paused any more", app.is_not_paused)
    await app.label(None)
    await app.is_left_alone()
    changed: list[str] = []

    async def is_as_before() -> bool:
        nonlocal changed
        after = await every_object(app)
        changed = [
            f"{key}: {before.get(key)} is {after.get(key)} now"
            for key in sorted(before.keys() | after.keys())
            if before.get(key) != after.get(key)
        ]
        return not changed

    with suppress(TimeoutError):  # what is not as it was is counted
        await app.comes_true("all is as it was", is_as_before)
    app.cluster.measure("objects an aborted release left changed, of all", changed, limit=0)


async def every_object_at_rest(app: App) -> dict[str, Any]:
    """Answer every object once both pods are known wherever endpoints are listed."""
    found: dict[str, Any] = {}

    async def is_at_rest() -> bool:
        nonlocal found
        found = await every_object(app)
        return {addresses(obj) for obj in found.values()} == {None, 2}

    await app.comes_true("at rest", is_at_rest)
    return found


def addresses(obj: dict[str, Any]) -> int | None:
    """Count the ready addresses of an EndpointSlice, or of the older Endpoints; else `None`."""
    if "subsets" in obj:
        return sum(len(subset.get("addresses") or ()) for subset in obj["subsets"])
    if "endpoints" in obj:
        return sum(bool(one["conditions"]["ready"]) for one in obj["endpoints"] or ())
    return None


async def every_object(app: App) -> dict[str, Any]:
    """Answer every object of the namespace but events, pods included; no ids, times, versions."""
    found = await app.cluster.dump(app.namespace, without=("events",))
    return {key: without_times(obj) for key, obj in found.items()}


def without_times(value: Any) -> Any:
    """Leave out, at any depth, when something changed and of which generation it speaks.

    Annotations that are nothing else go with it.
    """
    if isinstance(value, dict):
        kept = {key: without_times(inner) for key, inner in value.items() if key not in TIMES}
        return {key: inner for key, inner in kept.items() if key != "annotations" or inner}
    return [without_times(inner) for inner in value] if isinstance(value, list) else value


async def objects(app: App) -> dict[str, Any]:
    """Answer every object, but for the version and what a Deployment's own controller tells."""
    found = await app.cluster.dump(app.namespace)
    own = found[f"deployments/{app.namespace}/{NAME}"]
    notes = own["metadata"].get("annotations", {})
    kept = {key: value for key, value in notes.items() if key != REVISION}
    template = own["spec"]["template"]
    container = {**template["spec"]["containers"][0], "image": ""}
    pods = {**template, "spec": {**template["spec"], "containers": [container]}}
    found[f"deployments/{app.namespace}/{NAME}"] = {
        **own,
        "metadata": {**own["metadata"], "annotations": kept},
        "spec": {**own["spec"], "template": pods},
        "status": {},
    }
    return found
