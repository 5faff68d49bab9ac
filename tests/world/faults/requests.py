"""Judges the controller's requests: what a write says, and what was read before it (T1, T6, T9)."""

from collections.abc import Sequence
from typing import Any

from controller.api import names
from controller.api.objects import (
    annotations_of,
    is_ours,
    is_paused,
    labels_of,
    name_of,
    namespace_of,
)
from controller.api.status import status_in
from controller.plan.scene import Scene
from controller.plan.traffic.nginx import is_closing_name
from tests.world.faults.farend import Asked

FRESH_SECONDS = 7.0
"""What a quorum read has shown is relied on for so long (reconciler.FRESH_SECONDS, and a round)."""


def flaws(
    scene: Scene,
    asked: Asked,
    reads: Sequence[tuple[float, str, str, str]],
    change: tuple[str, Any, Any],
) -> list[str]:
    """Return what is wrong with the request behind a change of the store.

    What it rests on is judged as of its sending: nobody answers for how long it is on its way, and
    against that a raise has its version and a delete its uid.
    """
    kind, new, old = change
    recent = set()
    for at, verb, what, name in reversed(reads):
        if at < asked.at - FRESH_SECONDS:
            break
        recent.add((verb, what, name))
    obj = new if new is not None else old
    if asked.verb == "delete" and is_ours(obj) and name_of(obj) == asked.name:
        return _deletion(asked, recent, is_sticky=kind == "ingresses" and _sticks(scene, obj))
    if kind == "deployments" and new is not None and is_paused(old or {}) > is_paused(new):
        return _letting_go(scene, new)
    if kind == "ingresses" and is_ours(obj) and new is not None and old is not None:
        return _routing(scene, asked, recent, new, old)
    return []


def _deletion(asked: Asked, recent: set[tuple[str, str, str]], *, is_sticky: bool) -> list[str]:
    found = []
    conditions = (asked.body or {}).get("preconditions") or {}
    if not conditions.get("uid"):
        found.append(f"T6 (deletes carry the uid): {asked.kind} {asked.name}")
    if not conditions.get("resourceVersion") and not is_sticky:
        found.append(f"T6 (deletes carry the version): {asked.kind} {asked.name}")
    if ("get", asked.kind, asked.name) not in recent:
        found.append(f"T9 (nothing destructive from a cached read): {asked.kind} {asked.name}")
    return found


def _letting_go(scene: Scene, stable: Any) -> list[str]:
    """Look who would stay on a stable that is about to roll (safety.md section 4, P2)."""
    namespace, service = namespace_of(stable), labels_of(stable).get(names.HELD, "")
    record, intent = scene.record(namespace, service), scene.intent(namespace, service)
    is_empty = not scene.ready(namespace, service)
    if record is None or not record.approval or intent is None or intent.in_place or is_empty:
        return []
    nginx = scene.nginx(namespace, service)
    cookies = [nginx.exposure_of(route).cookie for route in scene.routes(namespace, service)]
    return [f"P2 (nobody is kept on stable by a cookie): {one}" for one in cookies if one]


def _sticks(scene: Scene, route: Any) -> bool:
    """Tell whether sessions stick, or the user has said that they may (S21).

    The second where the main Ingress goes while our request is on its way.
    """
    intent = scene.intent(namespace_of(route), labels_of(route)[names.SERVICE])
    found = scene.all("ingresses", namespace_of(route))
    is_sticky = any(key.endswith("/affinity") for one in found for key in annotations_of(one))
    return is_sticky or intent is None or "affinity" in intent.accept


def _routing(
    scene: Scene, asked: Asked, recent: set[tuple[str, str, str]], new: Any, old: Any
) -> list[str]:
    service = labels_of(new)[names.SERVICE]
    nginx = scene.nginx(namespace_of(new), service)
    before, after = scene.exposure(old), scene.exposure(new)
    meta = (asked.body or {}).get("metadata") or {}
    if not after.is_within(before):
        return _raise(meta, recent, asked.name)
    if before.doors == after.doors:
        return []
    closes = {"uid"} if _only_closes(meta, nginx.prefix) else {"resourceVersion"}
    carried = meta.keys() & {"uid", "resourceVersion"}
    record = scene.record(namespace_of(new), service)
    is_approved = record is not None and bool(record.approval)
    if is_approved and _is_over(scene, namespace_of(new), service):
        return _lowering(asked.name, carried, closes)
    if record is None and carried == {"resourceVersion"}:
        return _raise(meta, recent, asked.name)  # nobody knows whether it is a walk back
    rolls = scene.rolls(namespace_of(new), service)
    if rolls and is_approved:
        return _raise(meta, recent, asked.name)  # from P3 to P6 the lowering is the raise
    return [] if rolls or is_approved else _lowering(asked.name, carried, closes)


def _is_over(scene: Scene, namespace: str, service: str) -> bool:
    """Tell whether the outcome of a release is recorded (P6): what is opened now, others opened.

    From then on a lowering is one again.
    """
    outcome = status_in(scene.get("services", namespace, service)).outcome
    record = scene.record(namespace, service)
    if outcome is None or record is None:
        return False
    return (outcome.revision, outcome.since) == (record.revision, record.since)


def _lowering(name: str, carried: set[str], wanted: set[str]) -> list[str]:
    if carried == wanted:
        return []
    return [f"T6 (this lowering is conditional on {' '.join(wanted)}): {name} {sorted(carried)}"]


def _only_closes(meta: dict[str, Any], prefix: str) -> bool:
    """Tell whether a patch opens nothing, whatever the Ingress says by the time it comes."""
    allowed = {"canary": "true", "canary-weight": "0"}
    written = {
        key.removeprefix(f"{prefix}/"): value
        for key, value in meta["annotations"].items()
        if key.startswith(f"{prefix}/")
    }
    key = "canary-by-cookie"
    is_shut = key not in written or is_closing_name(str(written.pop(key)))
    return is_shut and all(value == allowed.get(key) for key, value in written.items())


def _raise(meta: dict[str, Any], recent: set[tuple[str, str, str]], name: str) -> list[str]:
    found = []
    if "resourceVersion" not in meta:
        found.append(f"T6 (raises carry resourceVersion): {name} {sorted(meta)}")
    if ("list", "endpointslices", "") not in recent:
        found.append(f"T1 (a raise follows a quorum read of the pods): {name}")
    return found
