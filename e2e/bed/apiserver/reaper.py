"""How objects end: grace, finalizers, the garbage of owners, namespaces."""

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from e2e.bed.apiserver.kinds import Kind, KindTable
from e2e.bed.apiserver.shelves import Shelves
from e2e.bed.apiserver.trees import JsonObject, at, stamp

FOREGROUND = "foregroundDeletion"
ORPHAN = "orphan"


@dataclass(frozen=True, kw_only=True, slots=True)
class Deletion:
    """How an object is to be deleted.

    Attributes:
        policy: `Background`, `Foreground` or `Orphan`; empty: as an earlier delete asked, or else
            in the background.
        grace_seconds: Overrides a Pod's own grace period; None keeps it.
    """

    policy: str = ""
    grace_seconds: int | None = None


class Reaper:
    """Deletes objects, at once or when the last finalizer is gone.

    Args:
        shelves: The stored objects.
        kinds: The kinds whose objects a namespace takes along.
        clock: Seconds since the epoch.
        delay: Seconds until the garbage of an owner is collected; 0 collects in the same call.

    Attributes:
        is_collecting: Garbage is being collected right now, perhaps in the middle of a write.
    """

    def __init__(
        self, shelves: Shelves, kinds: KindTable, clock: Callable[[], float], delay: float
    ) -> None:
        self._shelves = shelves
        self._kinds = kinds
        self._clock = clock
        self._delay = delay
        self.is_collecting = False
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._queued = 0

    def delete(self, kind: Kind, obj: JsonObject, deletion: Deletion) -> tuple[JsonObject, bool]:
        """Delete an object.

        Returns:
            The object as it is left, and whether it is gone.
        """
        marked = self.waiting(kind, obj, deletion)
        if marked is None:
            return self.remove(kind, obj), True
        if marked != obj:
            self._shelves.put(kind, marked, obj)
        if not _grace_of(kind, obj, deletion):
            self._work_on(kind, marked)
        return marked, False

    def waiting(self, kind: Kind, obj: JsonObject, deletion: Deletion) -> JsonObject | None:
        """Return how an object waits for its end, or None when it need not wait."""
        return self._with_grace(kind, obj, deletion) or self._with_finalizers(kind, obj, deletion)

    def remove(self, kind: Kind, obj: JsonObject) -> JsonObject:
        """Take an object away, then look after all that waited for it or leaned on it."""
        owners = self._shelves.owners_of(obj)
        last = self._shelves.remove(kind, obj)
        uid = last["metadata"]["uid"]
        if self._shelves.dependents(uid):
            self._later(lambda: self._collect_dependents(uid))
        for owner_kind, owner in owners:
            if FOREGROUND in (owner["metadata"].get("finalizers") or []):
                self._work_on(owner_kind, owner)
        self._finish_namespace(last["metadata"].get("namespace"))
        return last

    def check_owners(self, obj: JsonObject) -> None:
        """Collect an object later if none of the owners it names exists."""
        references = obj["metadata"].get("ownerReferences")
        if references and not self._shelves.owners_of(obj):
            uid = obj["metadata"]["uid"]
            self._later(lambda: self._collect(uid))

    def next_due(self) -> float | None:
        """Return when there is garbage to collect, in seconds of the clock, or None."""
        return self._due[0][0] if self._due else None

    def run_due(self) -> None:
        """Do what is due by now."""
        while self._due and self._due[0][0] <= self._clock():
            self._collecting(heapq.heappop(self._due)[2])

    def _later(self, action: Callable[[], None]) -> None:
        if self._delay <= 0:
            self._collecting(action)
            return
        self._queued += 1
        heapq.heappush(self._due, (self._clock() + self._delay, self._queued, action))

    def _collecting(self, action: Callable[[], None]) -> None:
        before, self.is_collecting = self.is_collecting, True
        try:
            action()
        finally:
            self.is_collecting = before

    def _with_grace(self, kind: Kind, obj: JsonObject, deletion: Deletion) -> JsonObject | None:
        """Start a Pod's grace period, or return None when the Pod need not be waited for."""
        grace = _grace_of(kind, obj, deletion)
        if grace == 0:
            return None
        meta = obj["metadata"]
        if meta.get("deletionTimestamp") and grace >= meta.get("deletionGracePeriodSeconds", 0):
            return obj
        return self._marked(obj, grace)

    def _marked(self, obj: JsonObject, grace: int = 0) -> JsonObject:
        meta = dict(obj["metadata"])
        if "deletionTimestamp" not in meta and meta.get("generation"):
            meta["generation"] += 1
        meta["deletionTimestamp"] = stamp(self._clock() + grace)
        meta["deletionGracePeriodSeconds"] = grace
        return {**obj, "metadata": meta}

    def _with_finalizers(
        self, kind: Kind, obj: JsonObject, deletion: Deletion
    ) -> JsonObject | None:
        """Return the object that waits for its finalizers, or None when it waits for nothing."""
        meta = obj["metadata"]
        finalizers = list(meta.get("finalizers") or [])
        wanted = {"Foreground": FOREGROUND, "Orphan": ORPHAN}.get(deletion.policy)
        if deletion.policy:
            asked = {FOREGROUND, ORPHAN} - {wanted}
            finalizers = [name for name in finalizers if name not in asked]
        if wanted and wanted not in finalizers:
            finalizers.append(wanted)
        is_namespace = kind.kind == "Namespace"
        if not finalizers and not (is_namespace and at(obj, "spec", "finalizers")):
            return None
        already = meta.get("deletionTimestamp")
        if already and finalizers == (meta.get("finalizers") or []):
            return obj
        marked = (
            obj if already and not meta.get("deletionGracePeriodSeconds") else self._marked(obj)
        )
        if finalizers:
            marked = {**marked, "metadata": {**marked["metadata"], "finalizers": finalizers}}
        return {**marked, "status": {"phase": "Terminating"}} if is_namespace else marked

    def _work_on(self, kind: Kind, obj: JsonObject) -> None:
        uid = obj["metadata"]["uid"]
        finalizers = obj["metadata"].get("finalizers") or []
        if FOREGROUND in finalizers:
            self._later(lambda: self._delete_dependents_first(uid))
        if ORPHAN in finalizers:
            self._later(lambda: self._let_dependents_go(uid))
        if kind.kind == "Namespace":
            self._later(lambda: self._empty_namespace(obj["metadata"]["name"]))

    def _collect_dependents(self, uid: str) -> None:
        for _, dependent in self._shelves.dependents(uid):
            self._collect(dependent["metadata"]["uid"])

    def _collect(self, uid: str) -> None:
        """Delete an object whose owners are all gone."""
        found = self._shelves.by_uid(uid)
        if found is None or not found[1]["metadata"].get("ownerReferences"):
            return
        kind, obj = found
        if not self._shelves.owners_of(obj):
            self.delete(kind, obj, Deletion())

    def _delete_dependents_first(self, uid: str) -> None:
        found = self._shelves.by_uid(uid)
        if found is None:
            return
        for kind, dependent in self._shelves.dependents(uid):
            if not dependent["metadata"].get("deletionTimestamp"):
                self.delete(kind, dependent, Deletion(policy="Foreground"))
        found = self._shelves.by_uid(uid)
        if found is not None and not any(self._blocking(uid)):
            self._drop_finalizer(*found, FOREGROUND)

    def _blocking(self, uid: str) -> Iterator[bool]:
        for _, dependent in self._shelves.dependents(uid):
            for reference in dependent["metadata"]["ownerReferences"]:
                if reference["uid"] == uid:
                    yield bool(reference.get("blockOwnerDeletion"))

    def _let_dependents_go(self, uid: str) -> None:
        for kind, dependent in self._shelves.dependents(uid):
            meta = dict(dependent["metadata"])
            left = [one for one in meta.pop("ownerReferences") if one["uid"] != uid]
            if left:
                meta["ownerReferences"] = left
            self._shelves.put(kind, {**dependent, "metadata": meta}, dependent)
        found = self._shelves.by_uid(uid)
        if found is not None:
            self._drop_finalizer(*found, ORPHAN)

    def _drop_finalizer(self, kind: Kind, obj: JsonObject, finalizer: str) -> None:
        meta = dict(obj["metadata"])
        left = [name for name in meta.pop("finalizers", []) if name != finalizer]
        if left:
            self._shelves.put(kind, {**obj, "metadata": {**meta, "finalizers": left}}, obj)
        elif len(left) < len(obj["metadata"].get("finalizers") or []):
            self.remove(kind, {**obj, "metadata": meta})

    def _empty_namespace(self, name: str) -> None:
        for kind in self._kinds.all():
            if not kind.namespaced:
                continue
            for obj in self._shelves.each(kind, name):
                current = self._shelves.find(kind, name, obj["metadata"]["name"])
                if current is not None and "deletionTimestamp" not in current["metadata"]:
                    self.delete(kind, current, Deletion())
        self._finish_namespace(name)

    def _finish_namespace(self, name: str | None) -> None:
        """Remove a namespace that is being deleted once nothing is left in it."""
        kind = self._kinds.named("namespaces")
        namespace = self._shelves.find(kind, None, name) if name else None
        if namespace is None or "deletionTimestamp" not in namespace["metadata"]:
            return
        left = any(self._shelves.each(one, name) for one in self._kinds.all() if one.namespaced)
        if not left and not namespace["metadata"].get("finalizers"):
            self.remove(kind, namespace)


def _grace_of(kind: Kind, obj: JsonObject, deletion: Deletion) -> int:
    """Return the seconds a Pod is given; 0 when nothing runs on any node."""
    is_running = kind.kind == "Pod" and at(obj, "spec", "nodeName")
    if not is_running or at(obj, "status", "phase") in ("Succeeded", "Failed"):
        return 0
    if deletion.grace_seconds is not None:
        return max(0, deletion.grace_seconds)
    grace = at(obj, "spec", "terminationGracePeriodSeconds")
    return grace if isinstance(grace, int) else 30
