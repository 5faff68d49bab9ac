"""The story of `make demo CHECKS=1`, as data: what is typed, and what comes of it by itself."""

from collections.abc import Callable
from dataclasses import dataclass

from controller.api.status import Status
from controller.plan.judge import Outcome
from controller.plan.stages import Stage

NAMESPACE = "canary"
BUSY, QUIET = "myapp", "quiet"
"""The names of the applications: Deployment, Service and Ingress each."""
RATES = {BUSY: 150.0, QUIET: 1.0}
"""Requests a second."""
ERRORS = 0.02
"""The share of errors that version 1 has always had: what a canary is compared with."""
IMAGES = {BUSY: "janakiramm/myapp:v3", QUIET: "janakiramm/quiet:v1"}
"""What runs in the end: one was promoted, the other put back."""

TITLE = "Serinus: releases that are decided by what the proxy counts"
INTRODUCTION = (
    "On this machine alone: an emulated API server, small HTTP servers as pods, the real Traefik,",
    "the real Prometheus that looks at it every second, the real kubectl.",
    "myapp gets 150 requests a second and answers 2 % of them by an error, as it always has;",
    "quiet gets 1 request a second. Nobody sets a weight, promotes or aborts anything.",
)

CHECKS = "error-rate<=3x, success>=90%, coverage>=95%"
FIRST, SECOND = 25, 40
STEPS = f"{FIRST}/10s, {SECOND}/5s"
_IN = f"-n {NAMESPACE}"

HAPPENS_WITHIN = 180.0
"""Seconds in which what is told has to come true, on a busy machine too."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Until:
    """What a part waits for.

    Attributes:
        service: Whose status is followed.
        what: In words, for a failure.
        holds: Tells whether it has come true.
    """

    service: str
    what: str
    holds: Callable[[Status], bool]


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """A command, or none, and what is waited for after it, or nothing.

    Attributes:
        says: One line that tells what to look for.
        code: The exit code of the command; 1 where it says that a check has failed.
    """

    command: str = ""
    says: str = ""
    code: int = 0
    until: Until | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Chapter:
    """A part of the story."""

    title: str
    parts: tuple[Part, ...]


def is_at_rest(status: Status) -> bool:
    """Tell whether a release can start."""
    return status.stage == status.reason == Stage.IDLE


def was_aborted(status: Status) -> bool:
    """Tell whether the release has ended and nothing of it is left."""
    return status.stage == Stage.ABORTED and status.outcome is not None


def was_caught(status: Status) -> bool:
    """Tell whether the checks have ended the release and nothing of it is left."""
    outcome = status.outcome
    return was_aborted(status) and outcome is not None and outcome.reason == "ChecksFailed"


def is_at_second_step(status: Status) -> bool:
    """Tell whether the first step was passed, and the second one has been looked at."""
    return status.written == SECOND and bool(status.checks)


def was_promoted(status: Status) -> bool:
    """Tell whether the release is everybody's."""
    outcome = status.outcome
    return status.stage == Stage.IDLE and outcome is not None and outcome.result == "promoted"


def is_undecided(status: Status) -> bool:
    """Tell whether the first step has lasted its time, and is held for want of requests."""
    undecided = any(check.outcome == Outcome.NOT_ENOUGH_DATA for check in status.checks)
    return undecided and status.written == FIRST and status.reason == "ChecksUndecided"


CHAPTERS = (
    Chapter(
        title="A standing plan for every release: steps, checks, and who promotes",
        parts=(
            Part(
                command=f"kubectl label service {BUSY} {QUIET} {_IN} serinus.dev/canary=enabled",
            ),
            Part(
                command=f'kubectl annotate service {BUSY} {QUIET} {_IN} serinus.dev/steps="{STEPS}"'
                f' serinus.dev/checks="{CHECKS}" serinus.dev/promotion=auto',
                says="25 % for 10 s and 40 % for 5 s, longer if the checks want; then everybody.",
                until=Until(service=BUSY, what="a release can start", holds=is_at_rest),
            ),
        ),
    ),
    Chapter(
        title="Release v2, of which three in ten answers are errors: it is caught",
        parts=(
            Part(
                command="kubectl set image deployment myapp"
                f" myapp-container=janakiramm/myapp:v2-flaky {_IN}",
                says="Compared with v1 at the same time, request by request, from the first on.",
                until=Until(service=BUSY, what="the checks catch it", holds=was_caught),
            ),
            Part(
                command=f"kubectl canary checks myapp {_IN}",
                says="What the checks said when it ended: evidence of harm beside its limit.",
                code=1,
            ),
            Part(
                command=f"kubectl canary undo myapp {_IN}",
                says="The template goes back to v1; no pod of v1 was ever touched.",
                until=Until(service=BUSY, what="nothing is pending", holds=is_at_rest),
            ),
        ),
    ),
    Chapter(
        title="Release v3, as good as v1: it goes to everybody by itself",
        parts=(
            Part(
                command="kubectl set image deployment quiet"
                f" quiet-container=janakiramm/quiet:v2 {_IN}",
                says="The quiet application at the same time: we come back to it.",
            ),
            Part(
                command=f"kubectl set image deployment myapp myapp-container={IMAGES[BUSY]} {_IN}",
                until=Until(service=BUSY, what="the second step", holds=is_at_second_step),
            ),
            Part(
                command=f"kubectl canary checks myapp {_IN}",
                says="Safety is shown for each step anew; what is needed is said in requests.",
                until=Until(service=BUSY, what="it is promoted", holds=was_promoted),
            ),
        ),
    ),
    Chapter(
        title="Release v2 of the quiet application: too little traffic is no proof of anything",
        parts=(
            Part(
                command=f"kubectl canary checks quiet {_IN}",
                says="It neither passes nor fails: it holds at 25 %, and says what it lacks.",
                until=Until(service=QUIET, what="it is undecided", holds=is_undecided),
            ),
            Part(
                command=f"kubectl canary abort quiet {_IN}",
                says="A person may promote or abort at any time, whatever the checks say.",
                until=Until(service=QUIET, what="the release is over", holds=was_aborted),
            ),
            Part(
                command=f"kubectl canary undo quiet {_IN}",
                until=Until(service=QUIET, what="nothing is pending", holds=is_at_rest),
            ),
        ),
    ),
    Chapter(
        title="Leave: nothing stays behind",
        parts=(
            Part(command=f"kubectl label service {BUSY} {QUIET} {_IN} serinus.dev/canary-"),
            Part(
                command=f"kubectl annotate service {BUSY} {QUIET} {_IN} serinus.dev/steps-"
                " serinus.dev/checks- serinus.dev/promotion-",
            ),
        ),
    ),
)
