"""What the API server makes of a write, on an observed world in memory."""

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from copy import deepcopy
from dataclasses import replace
from datetime import datetime
from typing import Any

import jsonpatch

from controller.api import names
from controller.api.objects import (
    DEPLOYMENT,
    DISRUPTION_BUDGET,
    INGRESS,
    SERVICE,
    Kind,
    Object,
    annotations_of,
    is_paused,
    name_of,
    replicas_of,
    revision_of,
    template_of,
    uid_of,
)
from controller.plan.decide import decide
from controller.plan.observed import Observed, Pool, ReplicaSet
from controller.plan.writes import Create, Delete, Merge, Plan, Write
from tests.controller.plan.worlds import LONG, NAME, NOW, meta, pool, uid

CANARY = f"{NAME}-canary"
FIELDS: Mapping[Kind, str] = {
    DEPLOYMENT: "deployments",
    SERVICE: "services",
    INGRESS: "ingresses",
    DISRUPTION_BUDGET: "budgets",
}


def merged(target: object, patch: object) -> Any:
    """Return the target with a merge patch applied, as RFC 7386 section 2 spells it."""
    if not isinstance(patch, Mapping):
        return deepcopy(patch)
    result = dict(target) if isinstance(target, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


def changed(obj: Object, **patch: Any) -> dict[str, Any]:
    """Return the object with top-level fields merged into it: None removes what it stands for."""
    result: dict[str, Any] = merged(obj, patch)
    return result


def annotated(obj: Object, annotations: Mapping[str, str | None]) -> dict[str, Any]:
    """Return the object with other annotations."""
    return changed(obj, metadata={"annotations": dict(annotations)})


def labelled(obj: Object, labels: Mapping[str, str | None]) -> dict[str, Any]:
    """Return the object with other labels."""
    return changed(obj, metadata={"labels": dict(labels)})


def objects_of(world: Observed, kind: Kind) -> tuple[Object, ...]:
    """Return the objects of a kind."""
    found: tuple[Object, ...] = getattr(world, FIELDS[kind])
    return found


def object_in(world: Observed, kind: Kind, name: str) -> Object | None:
    """Return the object with this name."""
    return next((obj for obj in objects_of(world, kind) if name_of(obj) == name), None)


def _with(world: Observed, kind: Kind, objects: tuple[Object, ...]) -> Observed:
    fields: dict[str, Any] = {FIELDS[kind]: objects}
    return replace(world, **fields)


def put(world: Observed, kind: Kind, obj: Object) -> Observed:
    """Return the world with this object in the place of the one with its name."""
    others = tuple(one for one in objects_of(world, kind) if name_of(one) != name_of(obj))
    world = _with(world, kind, (*others, obj))
    is_the_service = kind == SERVICE and name_of(obj) == world.name
    return replace(world, service=obj) if is_the_service else world


def without(world: Observed, kind: Kind, name: str) -> Observed:
    """Return the world without this object."""
    others = tuple(one for one in objects_of(world, kind) if name_of(one) != name)
    world = _with(world, kind, others)
    is_the_service = kind == SERVICE and name == world.name
    return replace(world, service=None) if is_the_service else world


class ConflictError(Exception):
    """Another write came first: 409."""


def apply(world: Observed, write: Write) -> Observed:
    """Return the world after one write."""
    if isinstance(write, Create):
        assert object_in(world, write.kind, name_of(write.obj)) is None, "409"
        return put(world, write.kind, _filled(write.kind, write.obj))
    before = object_in(world, write.kind, write.name)
    assert before is not None, "404"
    if isinstance(write, Delete):
        assert write.uid == uid_of(before), "409"
        if write.version not in {"", before["metadata"]["resourceVersion"]}:
            raise ConflictError(f"{write.kind} {write.name}: resourceVersion")
        return without(world, write.kind, write.name)
    if isinstance(write, Merge):
        return put(world, write.kind, _versioned(before, _patched(before, write)))
    after = jsonpatch.apply_patch(before, [dict(one) for one in write.operations])
    return put(world, write.kind, _versioned(before, after))


def apply_all(world: Observed, plan: Plan) -> Observed:
    """Return the world after every write of a plan; of two on one object the second may fail."""
    for write in plan.writes:
        with suppress(ConflictError):
            world = apply(world, write)
    return world


def _filled(kind: Kind, obj: Object) -> Object:
    more = {"generation": 1} if kind == DEPLOYMENT else {}
    return {**obj, "metadata": {**meta(kind.name, name_of(obj), **more), **obj["metadata"]}}


def _patched(before: Object, write: Merge) -> Object:
    """A condition that does not hold is a conflict, as the API server has it."""
    conditions = write.patch["metadata"]
    for key in ("uid", "resourceVersion"):
        if conditions.get(key, before["metadata"][key]) != before["metadata"][key]:
            raise ConflictError(f"{write.kind} {write.name}: {key}")
    patched: Object = merged(before, write.patch)
    return patched


def _versioned(before: Object, after: Object) -> Object:
    if before == after:
        return after
    version = str(int(before["metadata"]["resourceVersion"]) + 1)
    more: dict[str, Any] = {"resourceVersion": version}
    if "generation" in before["metadata"] and before["spec"] != after["spec"]:
        more["generation"] = before["metadata"]["generation"] + 1
    return {**after, "metadata": {**after["metadata"], **more}}


def settled(world: Observed) -> Observed:
    """Return the world after Kubernetes did its part and everything stood for an hour."""
    sets: list[ReplicaSet] = []
    pools = {NAME: Pool(history=((LONG, 0),)), CANARY: Pool(history=((LONG, 0),))}
    for deployment in world.deployments:
        mine = _rolled(world, deployment)
        sets.append(mine)
        pools[name_of(deployment)] = pool(mine.name, mine.pods)
        world = put(world, DEPLOYMENT, _reported(deployment))
    seen = {
        (uid_of(obj), text): LONG
        for obj in (*world.ingresses, *world.deployments)
        for text in _stamps(obj)
    }
    return replace(
        world,
        replica_sets=tuple(sorted(sets, key=lambda entry: entry.name)),
        stable=pools[NAME],
        canary=pools[CANARY] if object_in(world, SERVICE, CANARY) else Pool(),
        seen=seen,
    )


def _stamps(obj: Object) -> Iterable[str]:
    annotations = annotations_of(obj)
    if names.CHANGED in annotations:
        yield annotations[names.CHANGED]
    if names.RELEASE in annotations:
        yield from record_stamps(annotations[names.RELEASE])


def record_stamps(text: str) -> Iterable[str]:
    """Yield the time of the last routing change that a record keeps."""
    changed_at = json.loads(text).get("changed")
    if changed_at:
        yield changed_at


def _rolled(world: Observed, deployment: Object) -> ReplicaSet:
    """Return the ReplicaSet that has all pods: while paused, the one that had them before."""
    wanted = replicas_of(deployment)
    owned = [entry for entry in world.replica_sets if entry.owner == uid_of(deployment)]
    if is_paused(deployment) and owned:
        return replace(owned[0], wanted=wanted, pods=wanted, ready=wanted)
    revision = revision_of(template_of(deployment))
    return ReplicaSet(
        name=f"{name_of(deployment)}-{revision}",
        owner=uid("Deployment", name_of(deployment)),
        revision=revision,
        number=len(owned) + 1,
        wanted=wanted,
        pods=wanted,
        ready=wanted,
    )


def _reported(deployment: Object) -> Object:
    wanted = replicas_of(deployment)
    updated = 0 if is_paused(deployment) else wanted
    return changed(
        deployment,
        status={
            "observedGeneration": deployment["metadata"]["generation"],
            "replicas": wanted,
            "updatedReplicas": updated,
            "readyReplicas": wanted,
            "availableReplicas": wanted,
        },
    )


def once(world: Observed, now: datetime = NOW) -> Observed:
    """Return the world after one whole pass."""
    return apply_all(world, decide(world, now))
