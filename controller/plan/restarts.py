"""`restarts`: containers of the canary that restart or crash-loop while stable's do not."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from controller.api.check import Check
from controller.api.objects import Object, moment_of, name_of, status_of
from controller.plan.evidence import NOTHING, Count
from controller.plan.judge import Outcome, Verdict

LOOPING = "CrashLoopBackOff"
"""Why a container waits that the kubelet starts again and again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Containers:
    """The containers of both sides.

    Attributes:
        canary: how many there are, and how many of them restarted since the first exposure.
        stable: the same.
        worst: one of the canary's that restarted, `POD/CONTAINER (why)`; "" without.
        problem: why nothing is known, in words; "" where something is.
    """

    canary: Count = NOTHING
    stable: Count = NOTHING
    worst: str = ""
    problem: str = ""


def containers_of(
    canary: Iterable[Object], stable: Iterable[Object], since: datetime
) -> Containers:
    """Count the containers of pods. Only a container's last end is known, so none counts twice.

    Args:
        canary: pods.
        stable: pods.
        since: of the first exposure.
    """
    ours, theirs = list(_entries(canary)), list(_entries(stable))
    restarted = [(pod, entry) for pod, entry in ours if _restarted(entry, since)]
    return Containers(
        canary=Count(requests=len(ours), events=len(restarted)),
        stable=Count(
            requests=len(theirs), events=sum(_restarted(entry, since) for _, entry in theirs)
        ),
        worst=next((f"{pod}/{entry.get('name')} ({_why(entry)})" for pod, entry in restarted), ""),
    )


def _entries(pods: Iterable[Object]) -> Iterable[tuple[str, Mapping[str, Any]]]:
    for pod in pods:
        for entry in status_of(pod).get("containerStatuses") or ():
            yield name_of(pod), entry


def _ended(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = (entry.get("lastState") or {}).get("terminated") or {}
    return found


def _is_looping(entry: Mapping[str, Any]) -> bool:
    return ((entry.get("state") or {}).get("waiting") or {}).get("reason") == LOOPING


def _restarted(entry: Mapping[str, Any], since: datetime) -> bool:
    at = moment_of(_ended(entry).get("finishedAt"))
    return _is_looping(entry) or (at is not None and at >= since)


def _why(entry: Mapping[str, Any]) -> str:
    ended = _ended(entry)
    said = f"{ended.get('reason') or 'ended'}, exit code {ended.get('exitCode')}"
    return f"{said}, crash-loops" if _is_looping(entry) else said


def restarted(check: Check, found: Containers) -> Verdict:
    """Return what `restarts` says. Total: whatever the pods say, it never raises."""
    outcome, why = _judged(found)
    return Verdict(
        check=check.text,
        outcome=outcome,
        message=f"{check.text}: {outcome}: {why}",
        canary=found.canary,
        stable=found.stable,
    )


def _judged(found: Containers) -> tuple[Outcome, str]:
    if found.problem:
        return Outcome.NO_DATA, found.problem
    if not found.canary.requests:
        return Outcome.NO_DATA, "the canary has no container that runs"
    told = (
        f"{found.canary.events:.0f} of {found.canary.requests:.0f} containers of the canary and "
        f"{found.stable.events:.0f} of {found.stable.requests:.0f} of stable restarted since the "
        "first exposure"
    )
    if not found.canary.events:
        return Outcome.PASS, told
    if found.stable.events:
        return Outcome.NOT_ENOUGH_DATA, f"{told}; both do: {found.worst}"
    return Outcome.FAIL, f"{told}: {found.worst}"
