"""Runs the simulated controllers: which keys are due, and when; time is the caller's."""

import heapq
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count

from e2e.bed.workloads import deployment, endpointslice, replicaset
from e2e.bed.workloads.cluster import (
    Cluster,
    Key,
    Later,
    Object,
    StaleError,
    controller_of,
    is_leaving,
    key_of,
    labels_of,
    selects,
)

RETRY_SECONDS = 0.01
"""When a pass that met a newer object is tried again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Delays:
    """How long each controller takes from a change to its pass, in seconds."""

    deployments: float = 0.0
    replicasets: float = 0.0
    endpointslices: float = 0.0


@dataclass(frozen=True, slots=True)
class _Work:
    controller: str
    key: Key


class Controllers:
    """Wakes the simulated controllers for what changed, in the order in which it falls due.

    Tell `notice` of each change, and call `run_due` whenever `next_due` has come.
    """

    def __init__(
        self,
        cluster: Cluster,
        *,
        clock: Callable[[], float],
        suffix: Callable[[], str],
        delays: Delays | None = None,
    ) -> None:
        """Arrange the controllers round a cluster.

        Args:
            cluster: Where they read and write.
            clock: Answers the present as seconds since 1970; virtual or real.
            suffix: Makes the random end of a name; seeded where runs must repeat.
            delays: How sluggish each controller is.
        """
        self._cluster = cluster
        self._clock = clock
        self._suffix = suffix
        self.delays = delays or Delays()
        self._due: dict[_Work, float] = {}
        self._heap: list[tuple[float, int, _Work]] = []
        self._order = count()
        self._passes: Mapping[str, Callable[[Key], Later]] = {
            "deployments": self._pass_deployment,
            "replicasets": self._pass_replica_set,
            "endpointslices": self._pass_service,
        }
        self._concerns: Mapping[str, Callable[[Object], None]] = {
            "deployments": self._deployment_changed,
            "replicasets": self._replica_set_changed,
            "pods": self._pod_changed,
            "services": self._service_changed,
            "endpointslices": self._slice_changed,
        }

    def notice(self, kind: str, obj: Object) -> None:
        """Mark whatever a change of this object may concern."""
        if kind in self._concerns:
            self._concerns[kind](obj)

    def next_due(self) -> float | None:
        """Answer when the next pass falls due, by the clock; `None` when all is at rest."""
        while self._heap and self._due.get(self._heap[0][2]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def run_due(self, limit: int = 1_000) -> int:
        """Carry out passes that are due, at most so many; answers how many there were."""
        done = 0
        while done < limit:
            due = self.next_due()
            if due is None or due > self._clock():
                break
            _, _, work = heapq.heappop(self._heap)
            del self._due[work]
            self._pass(work)
            done += 1
        return done

    def mark(self, controller: str, key: Key, after: float) -> None:
        """Let a controller look at a key after so many seconds, or sooner if already due."""
        work, due = _Work(controller, key), self._clock() + after
        if work not in self._due or due < self._due[work]:
            self._due[work] = due
            heapq.heappush(self._heap, (due, next(self._order), work))

    def _pass(self, work: _Work) -> None:
        try:
            later = self._passes[work.controller](work.key)
        except StaleError:
            later = RETRY_SECONDS
        if later is not None:
            self.mark(work.controller, work.key, later)

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock(), UTC)

    def _pass_deployment(self, key: Key) -> Later:
        return deployment.reconcile(self._cluster, key, self._now())

    def _pass_replica_set(self, key: Key) -> Later:
        return replicaset.reconcile(self._cluster, key, self._now(), self._suffix)

    def _pass_service(self, key: Key) -> Later:
        endpointslice.reconcile(self._cluster, key, self._suffix)
        return None

    def _deployment_changed(self, obj: Object) -> None:
        self.mark("deployments", key_of(obj), self.delays.deployments)

    def _replica_set_changed(self, obj: Object) -> None:
        self.mark("replicasets", key_of(obj), self.delays.replicasets)
        self._owner_changed(obj, "deployments", self.delays.deployments)

    def _pod_changed(self, obj: Object) -> None:
        self._owner_changed(obj, "replicasets", self.delays.replicasets)
        if is_leaving(obj):
            self._recreation_changed(obj)
        for service in self._cluster.list("services", obj["metadata"]["namespace"]):
            selector = service["spec"].get("selector")
            if selector and selects(selector, labels_of(obj)):
                self._service_changed(service)

    def _recreation_changed(self, pod: Object) -> None:
        """Wake a Deployment that waits for the last pod of its old template to go."""
        owner = controller_of(pod)
        namespace = pod["metadata"]["namespace"]
        found = self._cluster.get("replicasets", namespace, owner["name"]) if owner else None
        if found is not None:
            self._owner_changed(found, "deployments", self.delays.deployments)

    def _service_changed(self, obj: Object) -> None:
        self.mark("endpointslices", key_of(obj), self.delays.endpointslices)

    def _slice_changed(self, obj: Object) -> None:
        self._owner_changed(obj, "endpointslices", self.delays.endpointslices)

    def _owner_changed(self, obj: Object, controller: str, after: float) -> None:
        owner = controller_of(obj)
        if owner:
            self.mark(controller, Key(obj["metadata"]["namespace"], owner["name"]), after)
