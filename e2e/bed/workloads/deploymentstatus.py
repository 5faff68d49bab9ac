"""The status of a Deployment: its counters and its two conditions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from e2e.bed.workloads.cluster import (
    Object,
    condition_of,
    format_time,
    parse_time,
    status_of,
)
from e2e.bed.workloads.rollout import (
    NO_DEADLINE,
    bounds_of,
    total_status,
    total_wanted,
    wanted,
)

COMPLETE = "NewReplicaSetAvailable"
TIMED_OUT = "ProgressDeadlineExceeded"
PAUSED = "DeploymentPaused"
RESUMED = "DeploymentResumed"
CREATED = "NewReplicaSetCreated"
FOUND = "FoundNewReplicaSet"
UPDATED = "ReplicaSetUpdated"


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """What a status is computed from."""

    deployment: Object
    newest: Object | None
    """The ReplicaSet of the present template."""
    older: Sequence[Object]
    now: datetime

    @property
    def all(self) -> list[Object]:
        """Answer every ReplicaSet."""
        return [*self.older, *([self.newest] if self.newest else [])]


def deadline_of(deployment: Object) -> timedelta | None:
    """Answer the progress deadline; `None` when there is none."""
    seconds = deployment["spec"].get("progressDeadlineSeconds", 600)
    return None if seconds in {None, NO_DEADLINE} else timedelta(seconds=seconds)


def counted_status(reading: Reading) -> dict[str, Any]:
    """Build the status with its counters and the Available condition; Progressing is kept.

    Zero counters are left out, as the API server leaves them out; but not of those that leave.
    """
    deployment, every = reading.deployment, reading.all
    newest = [reading.newest] if reading.newest else []
    available = total_status(every, "availableReplicas")
    counters = {
        "replicas": total_status(every, "replicas"),
        "updatedReplicas": total_status(newest, "replicas"),
        "readyReplicas": total_status(every, "readyReplicas"),
        "availableReplicas": available,
        "unavailableReplicas": max(0, total_wanted(every) - available),
        "collisionCount": status_of(deployment).get("collisionCount") or 0,
    }
    status: dict[str, Any] = {
        "observedGeneration": deployment["metadata"]["generation"],
        **{name: count for name, count in counters.items() if count},
        "terminatingReplicas": total_status(every, "terminatingReplicas"),
    }
    conditions = list(status_of(deployment).get("conditions") or ())
    if conditions:
        status["conditions"] = conditions
    return with_condition(status, _available(reading, available), reading.now)


def _available(reading: Reading, available: int) -> dict[str, str]:
    least = wanted(reading.deployment) - bounds_of(reading.deployment).unavailable
    if available >= least:
        return _condition(
            "Available",
            "True",
            "MinimumReplicasAvailable",
            "Deployment has minimum availability.",
        )
    return _condition(
        "Available",
        "False",
        "MinimumReplicasUnavailable",
        "Deployment does not have minimum availability.",
    )


def _condition(kind: str, status: str, reason: str, message: str) -> dict[str, str]:
    return {"type": kind, "status": status, "reason": reason, "message": message}


def progressing(status: str, reason: str, message: str) -> dict[str, str]:
    """Build a Progressing condition without its times."""
    return _condition("Progressing", status, reason, message)


def with_condition(status: Object, wanted_condition: Object, now: datetime) -> dict[str, Any]:
    """Build a status in which the condition is as wanted.

    One with the same status and reason is left alone, its times included.
    """
    before = condition_of({"status": status}, wanted_condition["type"])
    if before and all(before[f] == wanted_condition[f] for f in ("status", "reason")):
        return dict(status)
    return _put(status, wanted_condition, before, now)


def _put(status: Object, new: Object, before: Object | None, now: datetime) -> dict[str, Any]:
    stamp = format_time(now)
    kept = before is not None and before["status"] == new["status"]
    changed = before["lastTransitionTime"] if before is not None and kept else stamp
    condition = {**new, "lastUpdateTime": stamp, "lastTransitionTime": changed}
    others = [c for c in status.get("conditions") or () if c["type"] != new["type"]]
    return {**status, "conditions": [*others, condition]}


def is_complete(deployment: Object, status: Object) -> bool:
    """Say whether every pod is of the present template and available."""
    replicas = wanted(deployment)
    counters = ("updatedReplicas", "replicas", "availableReplicas")
    return (
        all((status.get(counter) or 0) == replicas for counter in counters)
        and (status.get("observedGeneration") or 0) >= deployment["metadata"]["generation"]
    )


def rollout_status(reading: Reading) -> dict[str, Any]:
    """Build the whole status of a Deployment that is neither paused nor being scaled."""
    deployment = reading.deployment
    status = counted_status(reading)
    deadline = deadline_of(deployment)
    if deadline is None:
        conditions = [c for c in status["conditions"] if c["type"] != "Progressing"]
        return {**status, "conditions": conditions}
    before = condition_of(deployment, "Progressing")
    settled = before is not None and before["reason"] == COMPLETE
    if settled and (status.get("replicas") or 0) == (status.get("updatedReplicas") or 0):
        return status
    return _with_progress(reading, status, before, deadline)


def _with_progress(
    reading: Reading, status: dict[str, Any], before: Object | None, deadline: timedelta
) -> dict[str, Any]:
    deployment = reading.deployment
    subject = f'Deployment "{deployment["metadata"]["name"]}"'
    if reading.newest:
        subject = f'ReplicaSet "{reading.newest["metadata"]["name"]}"'
    if is_complete(deployment, status):
        message = f"{subject} has successfully progressed."
        return with_condition(status, progressing("True", COMPLETE, message), reading.now)
    if _progressed(status_of(deployment), status):
        new = progressing("True", UPDATED, f"{subject} is progressing.")
        return _put(status, new, before, reading.now)
    if _timed_out(before, deadline, reading.now):
        new = progressing("False", TIMED_OUT, f"{subject} has timed out progressing.")
        return with_condition(status, new, reading.now)
    return status


def _progressed(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    def grew(counter: str) -> bool:
        return (after.get(counter) or 0) > (before.get(counter) or 0)

    def outdated(status: Mapping[str, Any]) -> int:
        return (status.get("replicas") or 0) - (status.get("updatedReplicas") or 0)

    rising = ("updatedReplicas", "readyReplicas", "availableReplicas")
    return any(map(grew, rising)) or outdated(after) < outdated(before)


def _timed_out(condition: Object | None, deadline: timedelta, now: datetime) -> bool:
    if condition is None or condition["reason"] == COMPLETE:
        return False
    if condition["reason"] == TIMED_OUT:
        return True
    return parse_time(condition["lastUpdateTime"]) + deadline < now


def seconds_to_deadline(deployment: Object, now: datetime) -> float | None:
    """Answer when the progress deadline must be looked at; `None` when nothing is under way."""
    condition, deadline = condition_of(deployment, "Progressing"), deadline_of(deployment)
    if condition is None or deadline is None or deployment["spec"].get("paused"):
        return None
    if condition["reason"] in {COMPLETE, TIMED_OUT}:
        return None
    due = parse_time(condition["lastUpdateTime"]) + deadline
    return max(1.0, (due - now).total_seconds() + 1)


def pause_condition(deployment: Object) -> dict[str, str] | None:
    """Answer the Progressing condition that a pause or its end calls for; `None` if none does."""
    condition = condition_of(deployment, "Progressing")
    reason = condition["reason"] if condition else ""
    if deadline_of(deployment) is None or reason == TIMED_OUT:
        return None
    if deployment["spec"].get("paused") and reason != PAUSED:
        return progressing("Unknown", PAUSED, "Deployment is paused")
    if not deployment["spec"].get("paused") and reason == PAUSED:
        return progressing("Unknown", RESUMED, "Deployment is resumed")
    return None
