"""The Deployment controller: one pass over one Deployment, as Kubernetes does it.

Source: `pkg/controller/deployment` of Kubernetes. Left out: adoption, counting of hash collisions,
events, pod replacement policies.
"""

from collections.abc import Iterable
from datetime import datetime

from e2e.bed.workloads.cluster import (
    Cluster,
    Key,
    Later,
    Object,
    controlled_by,
    is_finished,
    is_leaving,
    status_of,
)
from e2e.bed.workloads.deploymentstatus import (
    Reading,
    counted_status,
    is_complete,
    pause_condition,
    rollout_status,
    seconds_to_deadline,
    with_condition,
)
from e2e.bed.workloads.family import Family
from e2e.bed.workloads.rollout import (
    age_order,
    bounds_of,
    is_rolling,
    is_scaled,
    newest_size,
    proportional_sizes,
    revision_of,
    total_status,
    total_wanted,
    wanted,
)


def reconcile(cluster: Cluster, key: Key, now: datetime) -> Later:
    """Take one Deployment one step further; each write wakes the next pass."""
    found = cluster.get("deployments", *key)
    if found is None:
        return None
    owned = controlled_by(found, cluster.list("replicasets", key.namespace))
    family = Family(cluster, found, owned, now)
    if is_leaving(found):
        return _report(family, counted_status(_reading(family)))
    _note_pause(family)
    if found["spec"].get("paused"):
        family.sync_newest()
        _scale(family)
        _clean_up(family)
        return _report(family, counted_status(_reading(family)))
    family.sync_newest()
    if is_scaled(found, family.active):
        _scale(family)
        return _report(family, counted_status(_reading(family)))
    if is_rolling(found):
        _roll(family)
    else:
        _recreate(family)
    return _finish(family)


def _reading(family: Family) -> Reading:
    return Reading(
        deployment=family.deployment, newest=family.newest, older=family.older, now=family.now
    )


def _note_pause(family: Family) -> None:
    condition = pause_condition(family.deployment)
    if condition:
        status = with_condition(status_of(family.deployment), condition, family.now)
        family.write_status(status)


def _report(family: Family, status: Object) -> Later:
    family.write_status(status)
    return seconds_to_deadline(family.deployment, family.now)


def _finish(family: Family) -> Later:
    if is_complete(family.deployment, status_of(family.deployment)):
        _clean_up(family)
    return _report(family, rollout_status(_reading(family)))


# Scaling: only sizes change, no ReplicaSet is made.


def _scale(family: Family) -> None:
    deployment = family.deployment
    only = _active_or_latest(family)
    if only is not None:
        family.resize(only, wanted(deployment))
    elif family.newest is not None and _is_saturated(family):
        _resize_all(family, family.older, 0)
    elif is_rolling(deployment):
        sizes = proportional_sizes(deployment, family.active)
        for one in family.active:
            family.mark(one, sizes[one["metadata"]["name"]])


def _active_or_latest(family: Family) -> Object | None:
    active = family.active
    if len(active) == 1:
        return active[0]
    if active:
        return None
    return family.newest or max(family.older, key=age_order, default=None)


def _is_saturated(family: Family) -> bool:
    replicas = wanted(family.deployment)
    newest = family.newest
    return (
        newest is not None
        and not is_scaled(family.deployment, [newest])
        and wanted(newest) == replicas
        and total_status([newest], "availableReplicas") == replicas
    )


def _resize_all(family: Family, replica_sets: Iterable[Object], size: int) -> bool:
    changed = [family.resize(one, size) for one in list(replica_sets) if wanted(one) != size]
    return bool(changed)


# The rolling update: scale up if we can, else scale down if we can.


def _roll(family: Family) -> None:
    newest = family.ensure_newest()
    if wanted(newest) != wanted(family.deployment):
        size = min(
            newest_size(family.deployment, family.all, wanted(newest)), wanted(family.deployment)
        )
        if size != wanted(newest):
            family.resize(newest, size)
            return
    _shrink_older(family, newest)


def _shrink_older(family: Family, newest: Object) -> None:
    least = wanted(family.deployment) - bounds_of(family.deployment).unavailable
    starting = wanted(newest) - total_status([newest], "availableReplicas")
    spare = total_wanted(family.all) - least - starting
    if spare <= 0 or not total_wanted(family.older):
        return
    _drop_unhealthy(family, spare)
    _drop_surplus(family, total_status(family.all, "availableReplicas") - least)


def _drop_unhealthy(family: Family, spare: int) -> None:
    for one in sorted(family.older, key=age_order):
        unhealthy = wanted(one) - total_status([one], "availableReplicas")
        drop = min(spare, max(0, unhealthy))
        if drop:
            family.resize(one, wanted(one) - drop)
            spare -= drop


def _drop_surplus(family: Family, surplus: int) -> None:
    for one in sorted(family.older, key=age_order):
        drop = min(max(0, surplus), wanted(one))
        if drop:
            family.resize(one, wanted(one) - drop)
            surplus -= drop


# Recreate: nothing of the new template starts before everything of the old one is gone.


def _recreate(family: Family) -> None:
    if _resize_all(family, [one for one in family.older if wanted(one)], 0):
        return
    if _older_pods_run(family):
        return
    family.resize(family.ensure_newest(), wanted(family.deployment))


def _older_pods_run(family: Family) -> bool:
    namespace = family.deployment["metadata"]["namespace"]
    pods = family.cluster.list("pods", namespace)
    return any(not is_finished(pod) for one in family.older for pod in controlled_by(one, pods))


def _clean_up(family: Family) -> None:
    limit = family.deployment["spec"].get("revisionHistoryLimit", 10)
    candidates = sorted((o for o in family.older if not is_leaving(o)), key=revision_of)
    for one in candidates[: max(0, len(candidates) - limit)]:
        status = status_of(one)
        fresh = (status.get("observedGeneration") or 0) >= one["metadata"]["generation"]
        if fresh and not status.get("replicas") and not wanted(one):
            family.forget(one)
