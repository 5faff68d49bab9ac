"""Judges a store by safety.md section 5, in the middle of each change."""

from collections.abc import Callable, Sequence
from typing import Any

from controller.plan.invariants import broken_by
from controller.plan.observed import Parameters
from controller.plan.scene import Change, Memory, Scene, remember
from controller.plan.traffic.nginx import Nginx
from e2e.bed.apiserver.store import Store

UNJUDGED = frozenset({"pods", "events", "namespaces", "leases"})


class _StoredCluster:
    """The objects of a store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def list(self, kind: str, namespace: str) -> Sequence[Any]:
        return self._store.list(kind, namespace)


class Judge:
    """Looks at every change of a store.

    Attributes:
        findings: what was broken, with its time.
        scene: what stands in the store, and what is remembered of it.
    """

    def __init__(self, store: Store, parameters: Parameters, elapsed: Callable[[], float]) -> None:
        self.findings: list[str] = []
        self._elapsed = elapsed
        self._excused: set[str] = set()
        cluster = _StoredCluster(store)
        self.scene = Scene(cluster=cluster, parameters=parameters, memory=Memory())

    def excuse(self, *ids: str) -> None:
        """Do not judge by these from now on: the user has accepted what they forbid."""
        self._excused.update(ids)

    def disturbed(self) -> None:
        """Take note that somebody takes pods away: what follows is not our doing (S2)."""
        self.scene.memory.let_go.clear()

    def nginx(self, namespace: str, service: str) -> Nginx:
        """Return the annotation keys of a release."""
        return self.scene.nginx(namespace, service)

    def changed(self, kind: str, new: Any, old: Any, *, by_us: bool) -> None:
        """Judge one change, to be called while it is made."""
        if kind in UNJUDGED:
            return
        change = Change(kind=kind, new=new, old=old, by_us=by_us, at=self._elapsed())
        self.findings += [
            f"{change.at:.2f} {broken}"
            for broken in broken_by(self.scene, change)
            if broken.id not in self._excused
        ]
        remember(self.scene, change)
