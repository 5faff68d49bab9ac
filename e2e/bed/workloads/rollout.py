"""The arithmetic of a Deployment's rollout: pure functions over counts and templates.

Source of every rule: the Deployment controller of Kubernetes, package `deployment/util`.
"""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from e2e.bed.workloads.cluster import Object, annotations_of, status_of

HASH_LABEL = "pod-template-hash"
REVISION = "deployment.kubernetes.io/revision"
DESIRED = "deployment.kubernetes.io/desired-replicas"
MAXIMUM = "deployment.kubernetes.io/max-replicas"
NO_DEADLINE = 2**31 - 1
"""The value of progressDeadlineSeconds that means: never."""

_HASH_LETTERS = "bcdfghjklmnpqrstvwxz2456789"


@dataclass(frozen=True, kw_only=True, slots=True)
class Bounds:
    """How far a rolling update may leave the wanted number of pods."""

    surge: int
    unavailable: int


def template_hash(template: Object, collisions: int = 0) -> str:
    """Name a pod template by ten letters that depend on nothing but its content.

    Args:
        template: The pod template of a Deployment.
        collisions: The Deployment's `status.collisionCount`.
    """
    text = json.dumps(_without_hash(template), sort_keys=True) + (
        str(collisions) * bool(collisions)
    )
    digest = hashlib.sha256(text.encode()).digest()
    return "".join(_HASH_LETTERS[byte % len(_HASH_LETTERS)] for byte in digest[:10])


def same_template(one: Object, other: Object) -> bool:
    """Say whether two pod templates differ in nothing but the hash label."""
    return _without_hash(one) == _without_hash(other)


def _without_hash(template: Object) -> dict[str, Any]:
    metadata = template.get("metadata") or {}
    labels = {k: v for k, v in (metadata.get("labels") or {}).items() if k != HASH_LABEL}
    kept = {k: v for k, v in metadata.items() if v and k not in {"labels", "creationTimestamp"}}
    return {"metadata": {**kept, "labels": labels}, "spec": template.get("spec") or {}}


def wanted(obj: Object) -> int:
    """Answer `spec.replicas` of a Deployment or ReplicaSet."""
    replicas = obj["spec"].get("replicas")
    return 1 if replicas is None else int(replicas)


def total_wanted(replica_sets: Sequence[Object]) -> int:
    """Answer the sum of `spec.replicas`."""
    return sum(wanted(replica_set) for replica_set in replica_sets)


def total_status(replica_sets: Sequence[Object], field: str) -> int:
    """Answer the sum of one status counter."""
    return sum(int(status_of(replica_set).get(field) or 0) for replica_set in replica_sets)


def is_rolling(deployment: Object) -> bool:
    """Say whether the strategy is RollingUpdate, the default."""
    strategy = deployment["spec"].get("strategy") or {}
    return bool(strategy.get("type", "RollingUpdate") == "RollingUpdate")


def bounds_of(deployment: Object) -> Bounds:
    """Resolve maxSurge and maxUnavailable at the Deployment's present size.

    A surge percentage rounds up, an unavailable percentage rounds down; both zero makes one
    unavailable, for otherwise nothing could move. 25 % of 3 is a surge of 1 and 0 unavailable.
    """
    if not is_rolling(deployment):
        return Bounds(surge=0, unavailable=0)
    replicas = wanted(deployment)
    rolling = (deployment["spec"].get("strategy") or {}).get("rollingUpdate") or {}
    surge = _resolve(rolling.get("maxSurge", "25%"), replicas, math.ceil)
    unavailable = _resolve(rolling.get("maxUnavailable", "25%"), replicas, math.floor)
    if surge == 0 and unavailable == 0:
        unavailable = 1
    return Bounds(surge=surge, unavailable=min(unavailable, replicas))


def _resolve(value: int | str, replicas: int, rounded: Any) -> int:
    if isinstance(value, int):
        return value
    return int(rounded(int(value.removesuffix("%")) * replicas / 100))


def newest_size(deployment: Object, replica_sets: Sequence[Object], current: int) -> int:
    """Answer how many pods the ReplicaSet of the present template may have now.

    Args:
        deployment: The Deployment.
        replica_sets: All its ReplicaSets, the one in question included if it exists.
        current: The size of the one in question.
    """
    if not is_rolling(deployment):
        return wanted(deployment)
    allowed = wanted(deployment) + bounds_of(deployment).surge
    room = allowed - total_wanted(replica_sets)
    if room <= 0:
        return current
    return current + min(room, wanted(deployment) - current)


def proportional_sizes(deployment: Object, active: Sequence[Object]) -> dict[str, int]:
    """Spread a changed number of replicas over the active ReplicaSets, by their present share.

    Worked example: 10 replicas, surge 3, sets of 8 and 5 (13 together), scaled to 15: the limit
    becomes 18, of which 8/13 is 11 and 5/13 is 7.

    Returns:
        The new size by ReplicaSet name.
    """
    replicas = wanted(deployment)
    allowed = replicas + bounds_of(deployment).surge if replicas else 0
    change = allowed - total_wanted(active)
    ordered = _by_size(active, newer_first=change > 0)
    sizes: dict[str, int] = {}
    added = 0
    for replica_set in ordered:
        part = _share(deployment, replica_set, change, added)
        added += part
        sizes[replica_set["metadata"]["name"]] = wanted(replica_set) + part
    if ordered and change:
        largest = ordered[0]["metadata"]["name"]
        sizes[largest] = max(0, sizes[largest] + change - added)
    return sizes


def _by_size(replica_sets: Sequence[Object], *, newer_first: bool) -> list[Object]:
    by_age = sorted(replica_sets, key=age_order, reverse=newer_first)
    return sorted(by_age, key=wanted, reverse=True)


def age_order(obj: Object) -> tuple[str, int, str]:
    """Sort by age; within one second by revision, then by name."""
    metadata = obj["metadata"]
    return metadata["creationTimestamp"], revision_of(obj), metadata["name"]


def revision_of(obj: Object) -> int:
    """Answer the revision annotation; 0 without one."""
    return int(annotations_of(obj).get(REVISION) or 0)


def _share(deployment: Object, replica_set: Object, change: int, added: int) -> int:
    if not wanted(replica_set) or change in {0, added}:
        return 0
    part = _fraction(deployment, replica_set)
    left = change - added
    return min(part, left) if change > 0 else max(part, left)


def _fraction(deployment: Object, replica_set: Object) -> int:
    size = wanted(replica_set)
    if wanted(deployment) == 0:
        return -size
    before = int(
        annotations_of(replica_set).get(MAXIMUM) or status_of(deployment).get("replicas") or 0
    )
    if not before:
        return 0
    after = wanted(deployment) + bounds_of(deployment).surge
    return math.floor(size * after / before + 0.5) - size


def size_annotations(deployment: Object) -> Mapping[str, str]:
    """Build the two annotations by which a later change of scale is recognised."""
    replicas = wanted(deployment)
    return {DESIRED: str(replicas), MAXIMUM: str(replicas + bounds_of(deployment).surge)}


def is_scaled(deployment: Object, active: Sequence[Object]) -> bool:
    """Say whether the Deployment's size changed since its ReplicaSets were last sized."""
    desired = str(wanted(deployment))
    return any(annotations_of(one).get(DESIRED, desired) != desired for one in active)
