"""The ReplicaSet controller: as many pods as wanted, and an honest count of them."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from e2e.bed.workloads.cluster import (
    Cluster,
    Key,
    Later,
    Object,
    controlled_by,
    is_active,
    is_finished,
    is_leaving,
    is_ready,
    labels_of,
    merged,
    owner_reference,
    ready_since,
    selects,
    status_of,
)
from e2e.bed.workloads.rollout import wanted

Suffix = Callable[[], str]
"""Makes the last five letters of a name."""

_PHASES = ("Pending", "Unknown", "Running")


def reconcile(cluster: Cluster, key: Key, now: datetime, suffix: Suffix) -> Later:
    """Create or delete the pods that one ReplicaSet lacks or has too many, then count them."""
    replica_set = cluster.get("replicasets", *key)
    if replica_set is None:
        return None
    owned = controlled_by(replica_set, cluster.list("pods", key.namespace))
    pods = [pod for pod in owned if is_active(pod)]
    leaving = sum(is_leaving(pod) and not is_finished(pod) for pod in owned)
    if not is_leaving(replica_set):
        pods = _manage(cluster, replica_set, pods, suffix)
    return _count(cluster, replica_set, pods, leaving, now)


def _manage(
    cluster: Cluster, replica_set: Object, pods: Sequence[Object], suffix: Suffix
) -> list[Object]:
    missing = wanted(replica_set) - len(pods)
    if missing >= 0:
        made = [cluster.create("pods", _pod(replica_set, suffix())) for _ in range(missing)]
        return [*pods, *made]
    doomed = sorted(pods, key=_survival)[:-missing]
    for pod in doomed:
        cluster.delete("pods", pod)
    gone = {pod["metadata"]["uid"] for pod in doomed}
    return [pod for pod in pods if pod["metadata"]["uid"] not in gone]


def _survival(pod: Object) -> tuple[bool, int, bool, float, float]:
    """Sort the pods that go first to the front: unbound, not running, not ready, youngest."""
    phase = status_of(pod).get("phase", "Pending")
    since = ready_since(pod)
    created = datetime.fromisoformat(pod["metadata"]["creationTimestamp"])
    return (
        bool(pod["spec"].get("nodeName")),
        _PHASES.index(phase) if phase in _PHASES else 0,
        is_ready(pod),
        -since.timestamp() if since else 0.0,
        -created.timestamp(),
    )


def _pod(replica_set: Object, suffix: str) -> dict[str, Any]:
    template = replica_set["spec"]["template"]
    metadata = template.get("metadata") or {}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"{replica_set['metadata']['name']}-{suffix}",
            "generateName": f"{replica_set['metadata']['name']}-",
            "namespace": replica_set["metadata"]["namespace"],
            "labels": dict(metadata.get("labels") or {}),
            "annotations": dict(metadata.get("annotations") or {}),
            "ownerReferences": [owner_reference(replica_set, "apps/v1", "ReplicaSet")],
        },
        "spec": template["spec"],
    }


def _count(
    cluster: Cluster, replica_set: Object, pods: Sequence[Object], leaving: int, now: datetime
) -> Later:
    labels = replica_set["spec"]["template"]["metadata"].get("labels") or {}
    seconds = int(replica_set["spec"].get("minReadySeconds") or 0)
    ages = [(now - since).total_seconds() for pod in pods if (since := ready_since(pod))]
    waiting = [seconds - age for age in ages if age < seconds]
    counters = {
        "fullyLabeledReplicas": sum(selects(labels, labels_of(pod)) for pod in pods),
        "readyReplicas": len(ages),
        "availableReplicas": len(ages) - len(waiting),
    }
    status = {
        "replicas": len(pods),
        **{name: count for name, count in counters.items() if count},
        "terminatingReplicas": leaving,
        "observedGeneration": replica_set["metadata"]["generation"],
    }
    if status != status_of(replica_set):
        cluster.update("replicasets", merged(replica_set, status=status), "status")
    return max(0.001, min(waiting)) if waiting else None
