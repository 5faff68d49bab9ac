"""Containers that restart: which count, and what is said of both sides."""

from datetime import UTC, datetime
from typing import Any

import pytest

from controller.api.check import parse_check
from controller.plan.evidence import Count
from controller.plan.judge import Outcome
from controller.plan.restarts import Containers, containers_of, restarted

SINCE = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)
BEFORE, AFTER = "2026-11-22T11:59:59Z", "2026-11-22T12:00:00Z"


def container(at: str = "", *, looping: bool = False, name: str = "app") -> dict[str, Any]:
    ended = {"terminated": {"finishedAt": at, "reason": "OOMKilled", "exitCode": 137}}
    state = {"waiting": {"reason": "CrashLoopBackOff"}} if looping else {"running": {}}
    return {"name": name, "state": state, "lastState": ended if at else {}}


def pod(*containers: dict[str, Any], name: str = "p") -> dict[str, Any]:
    return {"metadata": {"name": name}, "status": {"containerStatuses": list(containers)}}


@pytest.mark.parametrize(
    ("entry", "restarts", "worst"),
    [
        (container(), 0, ""),
        (container(BEFORE), 0, ""),
        (container(AFTER), 1, "p/app (OOMKilled, exit code 137)"),
        (container("yesterday"), 0, ""),
        (container(looping=True), 1, "p/app (ended, exit code None, crash-loops)"),
        (container(BEFORE, looping=True), 1, "p/app (OOMKilled, exit code 137, crash-loops)"),
        ({}, 0, ""),
        ({"state": None, "lastState": None}, 0, ""),
    ],
)
def test_a_restart_counts_since_the_first_exposure(
    entry: dict[str, Any], restarts: int, worst: str
) -> None:
    found = containers_of([pod(entry)], [pod(entry), pod(container())], SINCE)
    assert found == Containers(
        canary=Count(requests=1, events=restarts),
        stable=Count(requests=2, events=restarts),
        worst=worst,
    )


def test_every_container_of_every_pod_is_one() -> None:
    ours = [
        pod(container(), container(AFTER, name="side"), name="a"),
        pod(container(AFTER), name="b"),
        {"metadata": {"name": "c"}},
    ]
    assert containers_of(ours, [], SINCE) == Containers(
        canary=Count(requests=3, events=2), worst="a/side (OOMKilled, exit code 137)"
    )


TWO, FIVE = Count(requests=2), Count(requests=5)


@pytest.mark.parametrize(
    ("found", "outcome", "why"),
    [
        (Containers(problem="no answer"), Outcome.NO_DATA, "no answer"),
        (Containers(stable=FIVE), Outcome.NO_DATA, "the canary has no container that runs"),
        (
            Containers(canary=TWO, stable=FIVE),
            Outcome.PASS,
            (
                "0 of 2 containers of the canary and 0 of 5 of stable restarted since the first "
                "exposure"
            ),
        ),
        (
            Containers(canary=TWO, stable=Count(requests=5, events=5)),
            Outcome.PASS,
            (
                "0 of 2 containers of the canary and 5 of 5 of stable restarted since the first "
                "exposure"
            ),
        ),
        (
            Containers(canary=Count(requests=2, events=1), stable=FIVE, worst="p/app (x)"),
            Outcome.FAIL,
            (
                "1 of 2 containers of the canary and 0 of 5 of stable restarted since the first "
                "exposure: p/app (x)"
            ),
        ),
        (
            Containers(
                canary=Count(requests=2, events=2),
                stable=Count(requests=5, events=1),
                worst="p/app (x)",
            ),
            Outcome.NOT_ENOUGH_DATA,
            (
                "2 of 2 containers of the canary and 1 of 5 of stable restarted since the first "
                "exposure; both do: p/app (x)"
            ),
        ),
    ],
)
def test_the_canary_fails_where_stable_does_not(
    found: Containers, outcome: Outcome, why: str
) -> None:
    said = restarted(parse_check("restarts"), found)
    assert (said.check, said.outcome, said.message) == (
        "restarts",
        outcome,
        f"restarts: {outcome}: {why}",
    )
    assert (said.canary, said.stable) == (found.canary, found.stable)
