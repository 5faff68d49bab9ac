"""A cluster without sockets or timers, moved on by hand."""

import copy
import random
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from e2e.bed import manifests
from e2e.bed.apiserver.store import Store
from e2e.bed.simulation import suffixes
from e2e.bed.storecluster import StoreCluster
from e2e.bed.workloads.cluster import format_time, is_leaving, is_ready
from e2e.bed.workloads.controllers import Controllers

NAMESPACE = "canary"


class World:
    """A store, the simulated controllers, and pods that become ready when asked to."""

    def __init__(self) -> None:
        self.time = 1_800_000_000.0
        rng = random.Random(7)
        self.store = Store(clock=lambda: self.time, rng=rng, allow_loopback_endpoints=True)
        self.cluster = StoreCluster(store=self.store)
        self.controllers = Controllers(self.cluster, clock=lambda: self.time, suffix=suffixes(rng))
        self.store.subscribe(self.changed)
        self.addresses = 0
        self.create("namespaces", {"metadata": {"name": NAMESPACE}})

    def changed(self, _: str, kind: str, new: Any, old: Any) -> None:
        self.controllers.notice(kind, new or old)

    def create(self, kind: str, obj: dict[str, Any]) -> None:
        self.store.create(kind, obj["metadata"].get("namespace"), obj)

    def deploy(self, replicas: int = 3, **spec: Any) -> None:
        self.create("deployments", manifests.deployment(replicas=replicas, **spec))

    def edit(self, change: Callable[[Any], object], kind: str = "deployments") -> None:
        """Change the spec of the object `myapp`."""
        obj = copy.deepcopy(self.store.get(kind, NAMESPACE, "myapp"))
        change(obj["spec"])
        self.store.update(kind, NAMESPACE, "myapp", obj)

    def set_image(self, tag: str) -> None:
        self.edit(lambda s: s["template"]["spec"]["containers"][0].update(image=f"myapp:{tag}"))

    def set_spec(self, **fields: Any) -> None:
        self.edit(lambda spec: spec.update(fields))

    def run(self) -> None:
        """Let the controllers work until they rest; pods stay as they are."""
        while self.controllers.run_due(1000):
            pass

    def settle(self) -> None:
        """Let controllers and pods work until everything rests."""
        self.run()
        while self.step_pods():
            self.run()

    def step_pods(self) -> int:
        """Make every new pod ready and end every one that is leaving; answers how many."""
        changed = 0
        for pod in list(self.pods()):
            if is_leaving(pod):
                self.cluster.delete("pods", pod, grace_seconds=0)
                changed += 1
            elif not is_ready(pod):
                self.make_ready(pod)
                changed += 1
        return changed

    def make_ready(self, pod: Any, *, ready: bool = True) -> None:
        self.addresses += 1
        stamp = format_time(datetime.fromtimestamp(self.time, UTC))
        status = {
            "phase": "Running",
            "podIP": (pod.get("status") or {}).get("podIP") or f"10.1.0.{self.addresses}",
            "conditions": [
                {
                    "type": "Ready",
                    "status": "True" if ready else "False",
                    "lastTransitionTime": stamp,
                }
            ],
        }
        spec = {**pod["spec"], "nodeName": "node"}
        bound = self.cluster.update("pods", {**pod, "spec": spec})
        self.cluster.update("pods", {**bound, "status": status}, "status")

    def pods(self, tag: str = "") -> list[Any]:
        """Answer the pods, of one image tag or all."""
        found = self.store.list("pods", NAMESPACE)
        return [p for p in found if p["spec"]["containers"][0]["image"].endswith(tag)]

    def sizes(self) -> dict[str, int]:
        """Answer the wanted size of each ReplicaSet by its image tag."""
        found = self.store.list("replicasets", NAMESPACE)
        tag = "{spec[template][spec][containers][0][image]}"
        return {tag.format(**one).rpartition(":")[2]: one["spec"]["replicas"] for one in found}

    def deployment(self) -> Any:
        return self.store.get("deployments", NAMESPACE, "myapp")

    def status(self) -> dict[str, int]:
        """Answer the counters of the Deployment's status."""
        status = self.deployment().get("status") or {}
        return {name: count for name, count in status.items() if name != "conditions"}

    def condition(self, kind: str) -> tuple[str, str] | None:
        conditions = (self.deployment().get("status") or {}).get("conditions") or []
        found = [(c["status"], c["reason"]) for c in conditions if c["type"] == kind]
        return found[0] if found else None
