"""Looks again and again until what is waited for has come to an end, one way or the other."""

import contextlib
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

from controller.api.errors import ThrottledError, UnavailableError
from controller.api.status import Outcome
from controller.cli.screen import span
from controller.cli.view import View
from controller.plan.stages import Stage
from controller.plan.tell import RUNNING

T = TypeVar("T")

POLL_SECONDS: Final = 1.0

PASSING: Final = frozenset({"TakingHold", "HoldUnproven", "DeploymentRolling"})
"""Reasons for not being ready that go by themselves in healthy life."""

ENDS: Final = {"promote": "promoted", "abort": "aborted"}
"""How a release ends if the action has its way."""


class Clock(Protocol):
    """The part of `cluster.clock.Clock` that waiting needs."""

    def monotonic(self) -> float:
        """Return seconds that never go back."""

    async def sleep(self, seconds: float) -> None:
        """Return after so many seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """How the waiting ended: as it was wished, or not."""

    is_good: bool
    message: str


Judge = Callable[[View, View], Verdict | None]
"""Told how it was at first and how it is now; None means: look again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """An action that was written, with the revision it names."""

    verb: str
    action: str
    revision: str


async def follow(
    first: T,
    look: Callable[[], Awaitable[T]],
    judge: Callable[[T, T], Verdict | None],
    show: Callable[[T], None],
    *,
    clock: Clock,
    timeout_seconds: float = 0,
) -> Verdict:
    """Look every second, and show what is seen, until the judge has a verdict.

    A server that does not answer for a while is waited for.

    Args:
        first: how it was at first.
        look: looks again.
        judge: told how it was at first and how it is now; None means: look again.
        show: is given whatever is seen, changed or not.
        clock: to sleep by.
        timeout_seconds: 0: no limit.
    """
    seen, end = first, clock.monotonic() + (timeout_seconds or math.inf)
    while True:
        show(seen)
        verdict = judge(first, seen)
        if verdict is not None:
            return verdict
        left = end - clock.monotonic()
        if left <= 0:
            return Verdict(is_good=False, message=f"no end within {span(timeout_seconds)}")
        await clock.sleep(min(POLL_SECONDS, left))
        with contextlib.suppress(ThrottledError, UnavailableError):
            seen = await look()


def never(_first: object, _now: object) -> None:
    """Go on for as long as the user looks."""


def until_settled(first: View, view: View) -> Verdict | None:
    """Wait for the running release, and for one that is about to start, to end."""
    status = view.status
    if status.stage is None:
        return _unready(view)
    if not view.is_settled:
        return None
    if status.stage == Stage.ABORTED:
        return Verdict(is_good=False, message=status.message)
    outcome = status.outcome
    was_running = first.status.stage in RUNNING
    if outcome is None or (outcome == first.status.outcome and not was_running):
        return Verdict(is_good=True, message="no release is running")
    return _ended(outcome, "promoted")


def _unready(view: View) -> Verdict | None:
    reason = view.status.reason
    if not view.is_told or not view.is_current or reason in PASSING:
        return None
    return Verdict(is_good=False, message=f"not ready, {reason}: {view.status.message}")


def _ended(outcome: Outcome, wanted: str) -> Verdict:
    why = f": {outcome.why}" if outcome.why else ""
    return Verdict(
        is_good=outcome.result == wanted,
        message=f"revision {outcome.revision} was {outcome.result}{why}",
    )


def until_answered(wish: Wish) -> Judge:
    """Wait until an action is refused, or has come to its end."""

    def judge(first: View, view: View) -> Verdict | None:
        last = view.status.last
        if last is not None and last != first.status.last and last.action == wish.action:
            message = f"{last.action}: {last.outcome}"
            if last.outcome.startswith("refused"):
                return Verdict(is_good=False, message=message)
            if wish.verb not in ENDS:
                return Verdict(is_good=True, message=message)
        return _end_of(wish, first, view)

    return judge


def _end_of(wish: Wish, first: View, view: View) -> Verdict | None:
    status = view.status
    outcome = status.outcome
    if wish.verb not in ENDS:
        return None
    if outcome is not None and _is_of(wish, first, outcome):
        return _ended(outcome, ENDS[wish.verb])
    if status.reason == "AbortedInRoll":
        return Verdict(is_good=False, message=status.message)
    if status.stage in {Stage.STARTING, Stage.CANARY} and status.revision != wish.revision:
        message = f"revision {status.revision} took the place of {wish.revision}"
        return Verdict(is_good=False, message=message)
    return None


def _is_of(wish: Wish, first: View, outcome: Outcome) -> bool:
    """Tell whether this is how the release ended that the action was about.

    A release is named by its revision and its beginning; before it has one, a new outcome is its.
    """
    if outcome.revision != wish.revision:
        return False
    since = first.status.since
    return outcome.since == since if since else outcome != first.status.outcome
