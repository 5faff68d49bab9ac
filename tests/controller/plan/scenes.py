"""Builders: a cluster in the middle of a release, and what is remembered of it."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from controller.api import names
from controller.api.objects import Object, name_of
from controller.plan.observed import Observed, Parameters
from controller.plan.scene import Change, Memory, Scene, remember
from tests.controller.plan.worlds import (
    NAME,
    NAMESPACE,
    exposed,
    meta,
    running,
    template,
    uid,
)

CANARY = f"{NAME}-canary"
TEN = exposed(10)
HALF = exposed(50)


@dataclass
class Objects:
    """A cluster that is a few lists."""

    by_kind: dict[str, list[Any]] = field(default_factory=dict)

    def list(self, kind: str, namespace: str) -> Sequence[Any]:
        assert namespace == NAMESPACE
        return self.by_kind.get(kind, [])

    def put(self, kind: str, *objects: Any) -> None:
        """Add objects; one of the same name goes."""
        for obj in objects:
            kept = [it for it in self.by_kind.get(kind, []) if name_of(it) != name_of(obj)]
            self.by_kind[kind] = [*kept, obj]

    def drop(self, kind: str, name: str) -> None:
        self.by_kind[kind] = [it for it in self.by_kind[kind] if name_of(it) != name]


def slices(of: str, ready: int) -> dict[str, Any]:
    conditions = [{"ready": True}] * ready + [{"ready": False}, {}]
    made = [{"conditions": one} for one in conditions[: ready + 1]]
    return {
        "metadata": meta("EndpointSlice", of, labels={names.SERVICE_NAME: of}),
        "endpoints": made,
    }


def set_of(owner: str, version: str, pods: int, name: str = "") -> dict[str, Any]:
    owners = [{"uid": uid("Deployment", owner), "name": owner, "controller": True}]
    named = meta("ReplicaSet", name or f"{owner}-{version}", ownerReferences=owners)
    return {
        "metadata": named,
        "spec": {"replicas": pods, "template": template(version)},
        "status": {"replicas": pods, "readyReplicas": pods},
    }


def scene(world: Observed | None = None, *, pods: int = 2, stable: int = 4) -> Scene:
    """Return a release of v2 in `Canary`, with a memory of how it came there."""
    seen = world or running({names.WEIGHT: "50"}, pods=pods, exposure=TEN)
    cluster = Objects()
    cluster.put("services", *seen.services)
    cluster.put("deployments", *seen.deployments)
    cluster.put("ingresses", *seen.ingresses)
    cluster.put("replicasets", set_of(NAME, "v1", stable))
    cluster.put("endpointslices", slices(NAME, stable), slices(CANARY, pods))
    here = Scene(cluster=cluster, parameters=Parameters(), memory=Memory())
    for kind, objects in cluster.by_kind.items():
        for obj in objects:
            remember(here, Change(kind=kind, new=obj, old=None, by_us=False, at=0.0))
    return here


def objects_of(here: Scene) -> Objects:
    assert isinstance(here.cluster, Objects)
    return here.cluster


def edited(obj: Object, change: Callable[[Any], object]) -> Any:
    made = deepcopy(dict(obj))
    change(made)
    return made


def note(here: Scene, kind: str, old: Any, new: Any, *, by_us: bool = False) -> None:
    remember(here, Change(kind=kind, new=new, old=old, by_us=by_us, at=7.0))
