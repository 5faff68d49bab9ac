"""The parts of the demo of the checks that need no bed."""

import io
from dataclasses import replace
from typing import Any, cast

import pytest

from controller.api.intent import parse
from controller.api.status import Judged, Status
from controller.api.status import Outcome as End
from e2e.bed.load import Outcome, Report
from e2e.demo_checks import Teller
from e2e.demo_checks_story import (
    BUSY,
    CHAPTERS,
    CHECKS,
    FIRST,
    QUIET,
    SECOND,
    STEPS,
    is_at_rest,
    is_at_second_step,
    is_undecided,
    was_aborted,
    was_caught,
    was_promoted,
)
from e2e.demo_screen import Screen
from e2e.demo_story import arguments

PARTS = [part for chapter in CHAPTERS for part in chapter.parts]
UNDECIDED = Judged(check="error-rate", outcome="not enough data")
PROMOTED = End(revision="b", since="s", result="promoted", why="", at="t")
ABORTED = replace(PROMOTED, result="aborted")
CAUGHT = replace(ABORTED, reason="ChecksFailed")


def test_every_command_is_one_of_kubectl() -> None:
    assert all(arguments(part.command) for part in PARTS if part.command)


def test_what_the_story_asks_for_is_what_the_controller_reads() -> None:
    wishes = {"serinus.dev/steps": STEPS, "serinus.dev/checks": CHECKS}
    assert parse({**wishes, "serinus.dev/promotion": "auto"}).faults == ()
    assert f"{FIRST}/10s, {SECOND}/5s" == STEPS


def test_nobody_promotes_or_sets_a_weight() -> None:
    typed = " ".join(part.command for part in PARTS)
    assert "promote" not in typed.replace("promotion", "")
    assert "weight" not in typed


@pytest.mark.parametrize(
    ("status", "true_ones"),
    [
        (Status(stage="Idle", reason="Idle"), {is_at_rest}),
        (Status(stage="Idle", reason="Idle", outcome=PROMOTED), {is_at_rest, was_promoted}),
        (Status(stage="Idle", reason="Idle", outcome=ABORTED), {is_at_rest}),
        (Status(stage="Aborted", outcome=ABORTED), {was_aborted}),
        (Status(stage="Aborted", outcome=CAUGHT), {was_aborted, was_caught}),
        (Status(stage="RollingBack", outcome=CAUGHT), set()),
        (Status(stage="Canary", written=SECOND), set()),
        (Status(stage="Canary", written=SECOND, checks=(UNDECIDED,)), {is_at_second_step}),
        (Status(stage="Canary", written=FIRST, checks=(UNDECIDED,)), set()),
        (
            Status(stage="Canary", written=FIRST, checks=(UNDECIDED,), reason="ChecksUndecided"),
            {is_undecided},
        ),
        (Status(stage="Canary", written=FIRST, reason="ChecksUndecided"), set()),
    ],
)
def test_the_story_waits_for_what_it_tells(status: Status, true_ones: set[Any]) -> None:
    asked = (is_at_rest, is_at_second_step, is_undecided, was_aborted, was_caught, was_promoted)
    assert {question for question in asked if question(status)} == true_ones


def outcome(version: str, error: str = "") -> Outcome:
    return Outcome(
        second=1,
        phase="",
        kind="fresh GET",
        control=False,
        version=version,
        error=error,
        seconds=0.1,
    )


class TestTeller:
    def teller(self) -> Teller:
        return Teller(bed=cast("Any", None), screen=Screen(out=io.StringIO()), loads={})

    def test_an_error_of_the_application_is_no_lost_request(self) -> None:
        teller = self.teller()
        refused, cut = outcome("503", "503"), outcome("", "EOFError")
        teller._reports = [Report(outcomes=[outcome("v1", "500"), outcome("v1"), refused, cut])]
        assert teller.lost() == [refused, cut]

    def test_the_last_line_counts_what_was_seen(self) -> None:
        teller = self.teller()
        answers = [outcome("v1"), outcome("v2-flaky", "500"), outcome("v2-flaky")]
        teller._reports = [Report(outcomes=answers), Report(outcomes=[outcome("v1")])]
        teller._remember(BUSY, Status(outcome=ABORTED))
        teller._remember(BUSY, Status(outcome=ABORTED))
        teller._remember(BUSY, Status(outcome=replace(PROMOTED, since="later")))
        teller._remember(BUSY, Status(reason="ChecksUndecided"))
        teller._remember(QUIET, Status(reason="ChecksUndecided"))
        assert teller.closing_line(0) == (
            "demo: 4 requests, 0 lost; 1 rolled back (2 requests met it), 1 promoted, "
            "1 with not enough data; 0 objects left"
        )
