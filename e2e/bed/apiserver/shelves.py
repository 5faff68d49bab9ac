"""The stored objects with their indexes, versions and listeners; no rule of Kubernetes."""

from collections.abc import Callable
from typing import TypeAlias

from e2e.bed.apiserver.history import Change, History, Watch
from e2e.bed.apiserver.kinds import Kind
from e2e.bed.apiserver.trees import JsonObject

Listener: TypeAlias = Callable[[str, str, JsonObject | None, JsonObject | None], None]
"""Called with ADDED, MODIFIED or DELETED, the plural, the new and the old object."""

Place: TypeAlias = tuple[Kind, str, str]
"""Kind, namespace (empty for none) and name of one object."""


class Shelves:
    """Objects by kind, namespace and name.

    Args:
        start: The first version; every write raises it by one.
        history: How many changes of a kind are kept for watches.
    """

    def __init__(self, start: int, history: int) -> None:
        self.version = start
        self._start = start
        self._history_limit = history
        self._objects: dict[str, dict[tuple[str, str], JsonObject]] = {}
        self._listed: dict[str, dict[str, list[JsonObject]]] = {}  # until the kind changes
        self._places: dict[str, Place] = {}
        self._owned: dict[str, set[str]] = {}
        self._histories: dict[str, History] = {}
        self._listeners: list[Listener] = []

    def find(self, kind: Kind, namespace: str | None, name: str) -> JsonObject | None:
        """Return an object or None."""
        return self._objects.get(kind.key, {}).get((namespace or "", name))

    def by_uid(self, uid: str) -> tuple[Kind, JsonObject] | None:
        """Return the kind and the object that has this uid, or None."""
        place = self._places.get(uid)
        if place is None:
            return None
        obj = self.find(*place)
        return None if obj is None else (place[0], obj)

    def each(self, kind: Kind, namespace: str | None) -> list[JsonObject]:
        """Return the objects of a kind, in the order of namespace and name."""
        listed = self._listed.setdefault(kind.key, {})
        found = listed.get(namespace or "")
        if found is None:
            objects = self._objects.get(kind.key, {})
            ordered = (objects[key] for key in sorted(objects) if namespace in (None, "", key[0]))
            found = listed[namespace or ""] = list(ordered)
        return found[:]

    def count(self, kind: Kind) -> int:
        """Return how many objects of a kind there are."""
        return len(self._objects.get(kind.key, {}))

    def dependents(self, uid: str) -> list[tuple[Kind, JsonObject]]:
        """Return the objects that name this uid as an owner, in order of their uids' birth."""
        found = (self.by_uid(dependent) for dependent in sorted(self._owned.get(uid, ())))
        return [pair for pair in found if pair is not None]

    def owners_of(self, obj: JsonObject) -> list[tuple[Kind, JsonObject]]:
        """Return the owners of an object that exist."""
        references = obj["metadata"].get("ownerReferences") or []
        found = (self.by_uid(reference.get("uid", "")) for reference in references)
        return [pair for pair in found if pair is not None]

    def put(self, kind: Kind, new: JsonObject, old: JsonObject | None) -> JsonObject:
        """Store an object at the next version and tell everyone."""
        meta = new["metadata"]
        self.version += 1
        meta["resourceVersion"] = str(self.version)
        namespace, name = meta.get("namespace") or "", meta["name"]
        self._objects.setdefault(kind.key, {})[namespace, name] = new
        self._listed.pop(kind.key, None)
        self._places[meta["uid"]] = (kind, namespace, name)
        self._index(meta["uid"], old, new)
        self._tell(Change(version=self.version, kind=kind, new=new, old=old))
        return new

    def remove(self, kind: Kind, obj: JsonObject) -> JsonObject:
        """Remove an object, tell everyone, and return `obj` as its last state."""
        meta = obj["metadata"]
        self.version += 1
        last = {**obj, "metadata": {**meta, "resourceVersion": str(self.version)}}
        stored = self._objects[kind.key].pop((meta.get("namespace") or "", meta["name"]))
        self._listed.pop(kind.key, None)
        self._places.pop(meta["uid"], None)
        self._index(meta["uid"], stored, None)
        self._tell(Change(version=self.version, kind=kind, new=None, old=last))
        return last

    def history(self, kind: Kind) -> History:
        """Return the history of a kind."""
        known = self._histories.get(kind.key)
        if known is None:
            known = self._histories[kind.key] = History(self._history_limit, self._start)
        return known

    def follow(self, watch: Watch, since: int | None) -> None:
        """Open a watch from a version; see `History.follow`."""
        self.history(watch.kind).follow(watch, since)

    def compact(self) -> None:
        """Forget every history: each watch that comes back gets 410."""
        self._start = self.version
        for history in self._histories.values():
            history.compact(self.version)

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call a listener after every change; returns what ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def _tell(self, change: Change) -> None:
        self.history(change.kind).record(change)
        for listener in tuple(self._listeners):
            listener(change.type, change.kind.plural, change.new, change.old)

    def _index(self, uid: str, old: JsonObject | None, new: JsonObject | None) -> None:
        before, after = _owner_uids(old), _owner_uids(new)
        for owner in before - after:
            self._owned[owner].discard(uid)
            if not self._owned[owner]:
                del self._owned[owner]
        for owner in after - before:
            self._owned.setdefault(owner, set()).add(uid)


def _owner_uids(obj: JsonObject | None) -> set[str]:
    references = obj["metadata"].get("ownerReferences") if obj else None
    return {reference.get("uid", "") for reference in references or []}
