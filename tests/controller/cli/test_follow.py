from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from controller.api.errors import UnavailableError
from controller.api.status import Answer, Outcome, Status
from controller.cli.follow import (
    Verdict,
    Wish,
    follow,
    never,
    until_answered,
    until_settled,
)
from controller.cli.view import View
from tests.controller.cli.worlds import NOW, SINCE, V1, V2, V3, idle, in_canary

PROMOTED = Outcome(
    revision=V2, since=SINCE, result="promoted", why="by action", at="2026-11-01T13:00:00Z"
)
ABORTED = replace(PROMOTED, result="aborted", why="by a person")
PROMOTE = Wish(verb="promote", action=f"promote:{V2}", revision=V2)
ABORT = Wish(verb="abort", action=f"abort:{V2}", revision=V2)


def view(status: Status | None = None, **changes: Any) -> View:
    good = View(namespace="canary", service="myapp", now=NOW, status=status or in_canary())
    return replace(good, **{"is_settled": False, **changes})


class Clock:
    """Time that passes when somebody sleeps."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        self.seconds += seconds


def script(*seen: View | Exception) -> Callable[[], Any]:
    left = list(seen)

    async def look() -> View:
        now = left.pop(0)
        if isinstance(now, Exception):
            raise now
        return now

    return look


class TestFollow:
    async def test_shows_every_look_until_there_is_a_verdict(self) -> None:
        first, second = view(), view(in_canary(written=10))
        shown: list[View] = []
        good = Verdict(is_good=True, message="there")
        found = await follow(
            first,
            script(second),
            lambda start, now: good if (start, now) == (first, second) else None,
            shown.append,
            clock=Clock(),
        )
        assert (found, shown) == (good, [first, second])

    async def test_a_server_that_is_away_for_a_while_is_waited_for(self) -> None:
        shown: list[View] = []
        found = await follow(
            view(),
            script(UnavailableError("away"), view(idle(outcome=PROMOTED), is_settled=True)),
            until_settled,
            shown.append,
            clock=Clock(),
        )
        assert found == Verdict(is_good=True, message=f"revision {V2} was promoted: by action")
        assert len(shown) == 3

    async def test_gives_up_when_its_time_is_over(self) -> None:
        clock = Clock()
        looks = [view() for _ in range(9)]
        found = await follow(
            view(), script(*looks), never, lambda _: None, clock=clock, timeout_seconds=3
        )
        assert found == Verdict(is_good=False, message="no end within 3s")
        assert clock.seconds == 3


class TestUntilSettled:
    def test_goes_on_while_a_release_runs_or_is_about_to(self) -> None:
        assert until_settled(view(), view()) is None
        assert until_settled(view(idle()), view(idle())) is None

    def test_nothing_running_is_good_whatever_happened_before(self) -> None:
        before = view(idle(outcome=ABORTED), is_settled=True)
        found = until_settled(before, before)
        assert found == Verdict(is_good=True, message="no release is running")

    @pytest.mark.parametrize("first", [in_canary(), in_canary(outcome=ABORTED)])
    def test_the_release_that_was_followed_ended_by_abort(self, first: Status) -> None:
        found = until_settled(view(first), view(idle(outcome=ABORTED), is_settled=True))
        assert found == Verdict(is_good=False, message=f"revision {V2} was aborted: by a person")

    def test_a_rejected_template_that_waits_is_a_failed_release(self) -> None:
        aborted = view(Status(stage="Aborted", message="rejected"), is_settled=True)
        assert until_settled(view(), aborted) == Verdict(is_good=False, message="rejected")

    def test_a_refusal_fails_and_what_passes_by_itself_is_waited_for(self) -> None:
        refused = view(Status(reason="NoIngress", message="no Ingress"))
        assert until_settled(refused, refused) == Verdict(
            is_good=False, message="not ready, NoIngress: no Ingress"
        )
        assert until_settled(refused, replace(refused, is_current=False)) is None
        assert until_settled(refused, replace(refused, is_told=False)) is None
        assert until_settled(refused, view(Status(reason="TakingHold"))) is None


def answered(action: str, outcome: str, **changes: Any) -> Status:
    return in_canary(last=Answer(action=action, outcome=outcome, at=SINCE), **changes)


class TestUntilAnswered:
    def test_a_refusal_fails(self) -> None:
        now = view(answered(PROMOTE.action, "refused: no"))
        assert until_answered(PROMOTE)(view(), now) == Verdict(
            is_good=False, message=f"{PROMOTE.action}: refused: no"
        )

    def test_an_old_answer_to_the_same_words_is_none(self) -> None:
        old = view(answered(PROMOTE.action, "refused: no"))
        assert until_answered(PROMOTE)(old, old) is None

    def test_promotion_is_waited_for_to_its_end(self) -> None:
        judge = until_answered(PROMOTE)
        assert judge(view(), view(answered(PROMOTE.action, "approved"))) is None
        assert judge(view(), view(idle(outcome=PROMOTED))) == Verdict(
            is_good=True, message=f"revision {V2} was promoted: by action"
        )
        assert judge(view(), view(idle(outcome=ABORTED))) == Verdict(
            is_good=False, message=f"revision {V2} was aborted: by a person"
        )

    def test_an_earlier_release_of_the_same_revision_is_another(self) -> None:
        earlier = replace(PROMOTED, since="2026-10-01T00:00:00Z")
        now = view(in_canary(outcome=earlier))
        assert until_answered(PROMOTE)(now, now) is None

    def test_before_a_release_has_its_record_a_new_outcome_is_its(self) -> None:
        first = view(Status(stage="Starting", revision=V2))
        found = until_answered(ABORT)(first, view(idle(outcome=ABORTED)))
        assert found == Verdict(is_good=True, message=f"revision {V2} was aborted: by a person")

    def test_a_newer_template_ends_the_waiting(self) -> None:
        now = view(in_canary(stage="Starting", revision=V3))
        assert until_answered(PROMOTE)(view(), now) == Verdict(
            is_good=False, message=f"revision {V3} took the place of {V2}"
        )

    def test_an_abort_in_mid_roll_needs_a_person(self) -> None:
        now = view(in_canary(stage="Promoting", reason="AbortedInRoll", message="stopped"))
        assert until_answered(ABORT)(view(), now) == Verdict(is_good=False, message="stopped")

    def test_pause_ends_with_its_answer(self) -> None:
        pause = Wish(verb="pause", action=f"pause:{V2}", revision=V2)
        judge = until_answered(pause)
        assert judge(view(), view(in_canary(outcome=replace(PROMOTED, revision=V1)))) is None
        assert judge(view(), view(answered(pause.action, "paused"))) == Verdict(
            is_good=True, message=f"{pause.action}: paused"
        )
