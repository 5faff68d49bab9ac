"""What a plan is made of: writes without an order, one per kind of ownership."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from controller.api.objects import (
    Kind,
    Object,
    name_of,
    namespace_of,
    uid_of,
    version_of,
)
from controller.plan.inquiry import Inquiry
from controller.plan.observed import Ref


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A line for `kubectl get events`, told once the write it belongs to was carried out."""

    reason: str
    message: str
    type: Literal["Normal", "Warning"] = "Normal"
    on: Ref | None = None
    """What it is told on, besides the Service."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Create:
    """Create an object of ours."""

    kind: Kind
    obj: Object
    why: str
    confirm: frozenset[Ref] = frozenset()
    events: tuple[Event, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Merge:
    """Change an object of ours by merge patch.

    A raise and a removal of capacity carry `metadata.resourceVersion`, a lowering only
    `metadata.uid` (safety.md section 3, rule 2).
    """

    kind: Kind
    namespace: str
    name: str
    patch: Mapping[str, Any]
    why: str
    confirm: frozenset[Ref] = frozenset()
    events: tuple[Event, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """Change fields of a user's object by a JSON Patch that begins with `test`."""

    kind: Kind
    namespace: str
    name: str
    operations: tuple[Mapping[str, Any], ...]
    why: str
    subresource: str = ""
    confirm: frozenset[Ref] = frozenset()
    events: tuple[Event, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Delete:
    """Delete an object of ours, by uid, and by the version that it was read at.

    Attributes:
        version: the resourceVersion that it still has to have: somebody may have opened a door
            since. "" where it goes whatever became of it (safety.md S21).
    """

    kind: Kind
    namespace: str
    name: str
    uid: str
    version: str
    why: str
    confirm: frozenset[Ref] = frozenset()
    events: tuple[Event, ...] = ()


Write = Create | Merge | Edit | Delete


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One pass: writes that may be carried out in any order, also only some of them.

    Attributes:
        stage: what the pass took the world for; None where there is no stage.
        wake_seconds: when to look again though nothing changes; None: only when something does.
        broken: ids of the invariants that somebody else was found to have broken.
        inquiry: what the metrics server is to be asked outside of passes; None: nothing.
    """

    stage: str | None = None
    writes: tuple[Write, ...] = ()
    wake_seconds: float | None = None
    broken: frozenset[str] = frozenset()
    inquiry: Inquiry | None = None

    @property
    def confirm(self) -> frozenset[Ref]:
        """Everything that has to be read by a quorum read before this plan is carried out."""
        return frozenset().union(*(write.confirm for write in self.writes))


def ref(kind: Kind, obj: Object) -> Ref:
    """Return the reference to an object."""
    return Ref(kind=kind, namespace=namespace_of(obj), name=name_of(obj))


def raised(kind: Kind, obj: Object, patch: Mapping[str, Any], why: str, **more: Any) -> Merge:
    """Return a merge that fails if anyone changed the object since it was observed."""
    return _merge(kind, obj, patch, {"resourceVersion": version_of(obj)}, why, more)


def lowered(kind: Kind, obj: Object, patch: Mapping[str, Any], why: str, **more: Any) -> Merge:
    """Return a merge that fails only if another object has the name now."""
    return _merge(kind, obj, patch, {"uid": uid_of(obj)}, why, more)


def _merge(
    kind: Kind,
    obj: Object,
    patch: Mapping[str, Any],
    condition: Mapping[str, str],
    why: str,
    more: Mapping[str, Any],
) -> Merge:
    meta = {**condition, **patch.get("metadata", {})}
    return Merge(
        kind=kind,
        namespace=namespace_of(obj),
        name=name_of(obj),
        patch={**patch, "metadata": meta},
        why=why,
        **more,
    )


def deleted(
    kind: Kind, obj: Object, why: str, also: frozenset[Ref] = frozenset(), **more: Any
) -> Delete:
    """Return the deletion of an object as it was seen, after reading it once more (T9).

    Args:
        kind: what it is.
        obj: as it was seen.
        why: one clause in the past tense.
        also: what else has to be read afresh before it goes.
        more: further fields of the write.
    """
    return Delete(
        kind=kind,
        namespace=namespace_of(obj),
        name=name_of(obj),
        uid=uid_of(obj),
        version=version_of(obj),
        why=why,
        confirm=frozenset({ref(kind, obj)}) | also,
        **more,
    )


def dropped(kind: Kind, obj: Object, why: str, also: frozenset[Ref] = frozenset()) -> Delete:
    """Return the deletion of an object however it changes meanwhile: an abort waits for nobody."""
    return replace(deleted(kind, obj, why, also), version="")


def edit_map(
    path: str, current: Mapping[str, str] | None, changes: Mapping[str, str | None]
) -> list[dict[str, Any]]:
    """Return the JSON Patch operations that change keys of a map of strings.

    Each key is tested for what was seen before it is replaced or removed. A missing map is created
    whole, which would wipe one that came meanwhile: whoever sends that tests the resourceVersion.

    Args:
        path: where the map is, e.g. `/metadata/labels`.
        current: the map as it was seen, None if there is none. An empty one is there and has keys
            that are not kept here (`cluster/trim.py`).
        changes: the new value of each key, None to remove it.
    """
    operations: list[dict[str, Any]] = []
    if current is None:
        fresh = {key: value for key, value in changes.items() if value is not None}
        return [{"op": "add", "path": path, "value": fresh}] if fresh else []
    for key, value in changes.items():
        where = f"{path}/{key.replace('~', '~0').replace('/', '~1')}"
        if key in current:
            operations.append({"op": "test", "path": where, "value": current[key]})
        if value is not None and current.get(key) != value:
            operations.append({"op": "add", "path": where, "value": value})
        elif value is None and key in current:
            operations.append({"op": "remove", "path": where})
    return operations


def merge_into(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """Return the merge patch that turns one mapping into the other; what is gone becomes null."""
    patch: dict[str, Any] = {key: None for key in before if key not in after}
    for key, value in after.items():
        was = before.get(key)
        if isinstance(value, Mapping) and isinstance(was, Mapping):
            inner = merge_into(was, value)
            if inner:
                patch[key] = inner
        elif key not in before or was != value:
            patch[key] = value
    return patch
