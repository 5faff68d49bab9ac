"""Builders of counts: windows that are all alike, of which a test changes what it is about."""

from typing import Any

from controller.plan.evidence import Count, Criterion, Evidence, Window

ERROR_RATE = Criterion(
    check="error-rate", scale="ratio", tolerated=1.05, margin=2.0, negligible=0.005
)
SUCCESS = Criterion(check="success>=99%", scale="share", tolerated=0.01, margin=0.01)


def count(requests: float, events: float = 0.0) -> Count:
    return Count(requests=requests, events=events)


def window(canary: Count, stable: Count, number: int = 1) -> Window:
    return Window(ends=15.0 * number, canary=canary, stable=stable)


def windows(canary: Count, stable: Count, number: int = 40) -> tuple[Window, ...]:
    """Return windows with the same counts."""
    return tuple(window(canary, stable, i + 1) for i in range(number))


def history(stable: Count, number: int = 480) -> tuple[Count, ...]:
    """Return two hours of stable."""
    return (stable,) * number


def evidence(
    canary: Count,
    stable: Count,
    number: int = 40,
    *,
    criterion: Criterion = ERROR_RATE,
    **more: Any,
) -> Evidence:
    """Return the evidence of a release whose windows are all alike, of a stable that always was."""
    given = {"history": history(stable), **more}
    return Evidence(criterion=criterion, windows=windows(canary, stable, number), **given)
