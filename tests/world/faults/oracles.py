"""What every run is held to when it is over (safety.md section 6, "Oracles")."""

import asyncio
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from controller.api import names
from controller.api.objects import annotations_of, is_ours, labels_of, name_of, replicas_of
from controller.api.status import status_in
from controller.plan.invariants import flaw_of_route, flaw_of_rule, flaw_of_weight
from controller.plan.traffic.nginx import is_closing_name
from tests.world.client import Request
from tests.world.faults.director import SILENT_SECONDS
from tests.world.faults.farend import allowed
from tests.world.faults.plan import Fault, Plan
from tests.world.faults.world import FaultyWorld
from tests.world.kubectl import NAME, NAMESPACE

_READ = frozenset({"get", "list", "watch"})
_OURS = _READ | {"create", "patch", "delete"}
RBAC: Mapping[str, frozenset[str]] = {
    "services": _OURS,
    "services/status": frozenset({"patch"}),
    "deployments": _OURS,
    "ingresses": _OURS,
    "poddisruptionbudgets": _OURS,
    "endpointslices": _READ,
    "replicasets": _READ,
    "pods": frozenset({"list"}),
    "horizontalpodautoscalers": _READ,
    "leases": frozenset({"get", "create", "update"}),
    "events": frozenset({"create", "patch"}),
}
"""What the controller may ask for; everything else is beyond its authority (safety.md A5)."""

SLACK_WRITES = 2
"""How often a write to an object may be repeated for each fault."""
SLACK_OF_TRAVEL = 6
"""The same for a journey back in time of all kinds at once, to before the canary's pods and
Ingress. No lowering waits for a read, so the canary counts as fallen. Its record says so, and that
it is back; it says since when its Ingress is missing, and that it is not. A weight of before makes
it grow, and shrink again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """How the story goes when nothing goes wrong.

    Attributes:
        end: the world when it is over.
        writes: how often each object was created, changed and deleted.
        seconds: how long it takes, in the world's time.
    """

    end: Mapping[str, Any]
    writes: Mapping[str, int]
    seconds: float


def reference_of(world: FaultyWorld, began: float) -> Reference:
    """Return what the other runs of a story are compared with."""
    return Reference(end=end_of(world), writes=writes_of(world), seconds=world.now - began)


def end_of(world: FaultyWorld) -> dict[str, Any]:
    """Return the world without versions, uids, times, and what counts or explains."""
    kinds = ("deployments", "services", "ingresses", "poddisruptionbudgets")
    end = {
        f"{kind}/{name_of(obj)}": _shape(obj)
        for kind in kinds
        for obj in world.store.list(kind, NAMESPACE)
    }
    canary = end.get(f"deployments/{NAME}-canary")
    if canary is not None and canary["spec"]["replicas"] == 1:
        # Made for two pods, by whoever saw a higher weight; with one left it allows everything.
        end.pop(f"poddisruptionbudgets/{NAME}-canary", None)
    for track in ("stable", "canary"):
        end[f"pods/{track}"] = world.tags(track)
    return end


def _shape(obj: Any) -> Any:
    notes = {
        key: "closed" if is_closing_name(value) else value
        for key, value in annotations_of(obj).items()
        if key
        not in {names.STATUS, names.CHANGED, names.SHRINK, names.RELEASE, "example.com/touched"}
        and not key.startswith("deployment.kubernetes.io/")
    }
    labels = {key: value for key, value in labels_of(obj).items() if key != "example.com/touched"}
    shape = {"labels": labels, "annotations": notes, "spec": obj.get("spec")}
    if obj["kind"] == "Service":
        shape["spec"] = {k: v for k, v in obj["spec"].items() if not k.startswith("clusterIP")}
        status = status_in(obj)
        outcome, rejected, stable = status.outcome, status.rejected, status.stable
        shape["status"] = [
            status.stage,
            status.reason,
            status.revision,
            status.asked,
            status.written,
            (outcome.revision, outcome.result) if outcome else None,
            rejected.revision if rejected else None,
            stable.revision if stable else None,
        ]
        shape["conditions"] = [
            (entry["type"], entry["status"], entry["reason"])
            for entry in (obj.get("status") or {}).get("conditions") or ()
        ]
    if obj["kind"] == "Deployment":
        record = json.loads(annotations_of(obj).get(names.RELEASE, "{}"))
        kept = ("revision", "stable", "replicas", "step", "approval", "abort", "interrupted")
        shape["record"] = {key: record.get(key) for key in kept}
    return shape


def writes_of(world: FaultyWorld) -> dict[str, int]:
    """Count what was written to each object, the telling left out."""
    return dict(Counter(_what(it) for it in world.requests if _counts(it)))


def _counts(request: Request) -> bool:
    is_told = request.kind == "Service" and request.verb == "json_patch"
    return request.error is None and not is_told and request.kind not in {"Event", "Lease"}


def _what(request: Request) -> str:
    return f"{request.verb} {request.kind} {request.name}"


def judged(world: FaultyWorld, plan: Plan, reference: Reference | None, began: float) -> list[str]:
    """Return what is wrong with a run that is over."""
    wrong: list[str] = []
    if reference is not None and plan.is_harmless:
        wrong += _differences(reference, end_of(world))
        wrong += _too_many(reference, writes_of(world), plan)
        wrong += _too_late(reference, plan, world.now - began)
    if not plan.faults:
        wrong += [f"slow: {line}" for line in world.reactions.slow]
    wrong += _noise(world)
    wrong += _left_broken(world)
    wrong += [f"authority: {one}" for one in allowed(sorted(world.far.asked), RBAC)]
    wrong += _leaked(world)
    return findings(world) + wrong


def findings(world: FaultyWorld) -> list[str]:
    """Return what was wrong while the run lasted."""
    found = [f"invariant: {line}" for line in world.judge.findings]
    found += [f"lost: {line}" for line in world.proxy.lost[:5]]
    return found + [f"bug: {line}" for line in world.bugs]


def _differences(reference: Reference, end: Mapping[str, Any]) -> list[str]:
    wrong = []
    for key in sorted(reference.end.keys() | end.keys()):
        wanted, found = reference.end.get(key), end.get(key)
        if wanted != found:
            wrong.append(f"end: {key} is {_told(found, wanted)}, not {_told(wanted, found)}")
    return wrong


def _told(one: Any, other: Any) -> str:
    """Return only what differs."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        keys = sorted(key for key in one.keys() | other.keys() if one.get(key) != other.get(key))
        return str({key: one.get(key) for key in keys})
    return str(one)


def _slack(fault: Fault) -> int:
    is_all = fault.do == "travel" and fault.value == ""
    return SLACK_OF_TRAVEL if is_all else SLACK_WRITES


def _too_many(reference: Reference, writes: Mapping[str, int], plan: Plan) -> list[str]:
    """Hold it to safety.md L3; a lowering waits for nobody, so two active processes write it twice.

    All else names what it rests on (version, uid, the text before): one of the two gets through.
    """
    slack = sum(map(_slack, plan.faults))
    twice = any(fault.do == "second" for fault in plan.faults)
    return [
        f"writes: {count} times {what}, not {reference.writes.get(what, 0)}"
        for what, count in sorted(writes.items())
        if count > reference.writes.get(what, 0) * (1 + (twice and _lowers(what))) + slack
    ]


def _lowers(what: str) -> bool:
    """Tell whether a write of this kind may be a lowering."""
    return what.startswith("merge Ingress ")


def _too_late(reference: Reference, plan: Plan, seconds: float) -> list[str]:
    """Hold it to safety.md L2: the waits it has to keep may begin anew, and 60 s."""
    timed = [fault for fault in plan.faults if fault.do not in {"clock", "date"}]
    lost = sum(10 + SILENT_SECONDS.get(fault.do, fault.seconds) for fault in timed)
    limit = reference.seconds + lost + 60 * len(plan.faults) + 2 * 41 + 30
    return [f"late: {seconds:.0f} s, without faults {reference.seconds:.0f} s"] * (seconds > limit)


def _noise(world: FaultyWorld) -> list[str]:
    """Look at everything again: nothing may be written for it (safety.md L3)."""
    world.run(12)
    before = len(world.requests)
    for _ in range(2):
        world.resync()
        world.run(1)
    more = [it for it in world.requests[before:] if it.kind != "Lease"]
    return [f"noise: {str(it)[:500]}" for it in more[:3]]


def _left_broken(world: FaultyWorld) -> list[str]:
    """Look for what somebody broke on a route of ours and the controller has left so.

    The judge forgives a write that says nothing of it; at rest all of it has been put right. Where
    a person has to mend stable first, an Ingress stays as it is until then: without a record, for
    of a weight that nobody can read nobody knows who is behind it; and where stable was scaled to
    nothing, for traffic moves only to pods that are ready.
    """
    stable = [it for it in world.store.list("deployments", NAMESPACE) if name_of(it) == NAME]
    if world.record() is None or not any(map(replicas_of, stable)):
        return []
    wrong = []
    for route in world.store.list("ingresses", NAMESPACE):
        if is_ours(route):
            nginx = world.judge.nginx(NAMESPACE, labels_of(route)[names.SERVICE])
            found = [test(nginx, route) for test in (flaw_of_route, flaw_of_weight, flaw_of_rule)]
            wrong += [f"left broken: {flaw}" for flaw in found if flaw]
    return wrong


def _leaked(world: FaultyWorld) -> list[str]:
    """Return the controller's tasks that outlive its processes."""
    world.crash()
    world.run(30)
    tasks = asyncio.all_tasks(world.loop)
    left = [task for task in tasks if "controller/" in str(task.get_coro())]
    return [f"leak: {task}" for task in left[:3]]


def ours(world: FaultyWorld) -> list[Any]:
    """Return every object of ours."""
    kinds = ("deployments", "services", "ingresses", "poddisruptionbudgets")
    return [obj for kind in kinds for obj in world.store.list(kind, NAMESPACE) if is_ours(obj)]
