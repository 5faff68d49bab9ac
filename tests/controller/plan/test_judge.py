"""What the judge says of counts: four outcomes, each with its numbers."""

import math
from dataclasses import replace
from typing import Any

import pytest

from controller.plan.evidence import Count, Criterion, Evidence, Window, flaw_of_count
from controller.plan.judge import HARM, SAFETY, Outcome, Verdict, judge, outcome_of
from tests.controller.plan.windows import (
    ERROR_RATE,
    SUCCESS,
    count,
    evidence,
    window,
    windows,
)

NAN = float("nan")
QUIET = (count(15, 0.15), count(135, 1.35))
BUSY = (count(1500, 15), count(13500, 135))
BAD = (count(15, 1.5), count(135, 1.35))
CLEAN = (count(150), count(1350))
WORST = (count(60, 30), count(240, 2.4))


def verdict(found: Evidence, since: float = 0.0) -> Verdict:
    return judge([found], since)[0]


SAID = {
    "busy": (
        evidence(*BUSY),
        Outcome.PASS,
        (
            "error-rate: pass: canary 600 of 60,000 (1 %), stable 5,400 of 540,000 (1 %); 1x of "
            "stable's, tolerated 1.05x; evidence of harm 0.2 of 100, that it is below 2x or 0.5 % "
            "over 1,000,000 of 20"
        ),
    ),
    "bad": (
        evidence(*BAD),
        Outcome.FAIL,
        (
            "error-rate: fail: canary 60 of 600 (10 %), stable 54 of 5,400 (1 %); 10x of "
            "stable's, tolerated 1.05x; evidence of harm over 1,000,000 of 100"
        ),
    ),
    "quiet": (
        evidence(*QUIET),
        Outcome.NOT_ENOUGH_DATA,
        (
            "error-rate: not enough data: canary 6 of 600 (1 %), stable 54 of 5,400 (1 %); 1x of "
            "stable's, tolerated 1.05x; evidence of harm 0.7 of 100, that it is below 2x or 0.5 % "
            "1.1 of 20; about 2,057 more requests to the canary if it is as good as stable, 34 "
            "min at this rate"
        ),
    ),
    "early": (
        evidence(*QUIET, number=10),
        Outcome.NOT_ENOUGH_DATA,
        (
            "error-rate: not enough data: canary 2 of 150 (1 %), stable 14 of 1,350 (1 %); 1x of "
            "stable's, tolerated 1.05x; evidence of harm 0.7 of 100, that it is below 2x or 0.5 % "
            "0.7 of 20; about 2,108 more requests to the canary if it is as good as stable, 35 "
            "min at this rate"
        ),
    ),
    "clean": (
        evidence(*CLEAN),
        Outcome.NOT_ENOUGH_DATA,
        (
            "error-rate: not enough data: canary 0 of 6,000 (0 %), stable 0 of 54,000 (0 %); "
            "tolerated 1.05x of stable's; evidence of harm 1.0 of 100, that it is below 2x or 0.5 "
            "% 10 of 20; about 3,758 more requests to the canary if it is as good as stable, 6 "
            "min at this rate; 7.5 events count as one, as they come in clusters"
        ),
    ),
    "long clean": (
        evidence(*CLEAN, number=80),
        Outcome.PASS,
        (
            "error-rate: pass: canary 0 of 12,000 (0 %), stable 0 of 108,000 (0 %); tolerated "
            "1.05x of stable's; evidence of harm 1.0 of 100, that it is below 2x or 0.5 % 358 of "
            "20; 7.5 events count as one, as they come in clusters"
        ),
    ),
    "at the limit": (
        evidence(*BUSY, criterion=SUCCESS, number=2),
        Outcome.NOT_ENOUGH_DATA,
        (
            "success>=99%: not enough data: canary 30 of 3,000 (1 %); tolerated 1 %; evidence of "
            "harm 0.2 of 100, that it is below 1 % 0.1 of 20; as it stands no number of requests "
            "would show it"
        ),
    ),
    "as many on both sides": (
        evidence(count(1500, 15), count(1500, 15), criterion=SUCCESS, number=2),
        Outcome.NOT_ENOUGH_DATA,
        (
            "success>=99%: not enough data: canary 30 of 3,000 (1 %); tolerated 1 %; evidence of "
            "harm 0.2 of 100, that it is below 1 % 0.1 of 20; as it stands no number of requests "
            "would show it"
        ),
    ),
    "better than a stable that does not count": (
        evidence(count(150, 0.75), count(1350, 67.5), criterion=SUCCESS, number=2),
        Outcome.NOT_ENOUGH_DATA,
        (
            "success>=99%: not enough data: canary 2 of 300 (0.5 %); tolerated 1 %; evidence of "
            "harm 0.3 of 100, that it is below 1 % 1.0 of 20; about 3,080 more requests to the "
            "canary if it is as good as stable, 5 min at this rate"
        ),
    ),
    "too many": (
        evidence(*BAD, criterion=SUCCESS),
        Outcome.FAIL,
        (
            "success>=99%: fail: canary 60 of 600 (10 %); tolerated 1 %; evidence of harm over "
            "1,000,000 of 100"
        ),
    ),
    "few enough": (
        evidence(*CLEAN, criterion=SUCCESS, number=80, history=()),
        Outcome.PASS,
        (
            "success>=99%: pass: canary 0 of 12,000 (0 %); tolerated 1 %; evidence of harm 0.5 of "
            "100, that it is below 1 % over 1,000,000 of 20; 7.5 events count as one, as they "
            "come in clusters"
        ),
    ),
    "nothing to compare": (
        evidence(*CLEAN, criterion=replace(ERROR_RATE, negligible=0)),
        Outcome.NOT_ENOUGH_DATA,
        (
            "error-rate: not enough data: canary 0 of 6,000 (0 %), stable 0 of 54,000 (0 %); "
            "tolerated 1.05x of stable's; evidence of harm 1.0 of 100, that it is below 2x 1.0 of "
            "20; no event was seen to compare; 7.5 events count as one, as they come in clusters"
        ),
    ),
}


@pytest.mark.parametrize("name", SAID)
def test_an_outcome_is_told_with_its_numbers(name: str) -> None:
    found, outcome, message = SAID[name]
    said = verdict(found)
    assert (said.outcome, said.message) == (outcome, message)


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (Evidence(criterion=ERROR_RATE), "no window is over since the canary was exposed"),
        (evidence(*BAD, problem="Prometheus did not answer"), "Prometheus did not answer"),
        (
            evidence(*BAD, age_seconds=30.5),
            "the newest sample is 30 s old, more than two scrape intervals of 15 s",
        ),
        (
            evidence(*BAD, age_seconds=NAN),
            "the newest sample is nan s old, more than two scrape intervals of 15 s",
        ),
        (
            evidence(count(15, NAN), count(135)),
            "the newest window cannot be believed: not a number",
        ),
        (
            evidence(count(15), count(math.inf)),
            "the newest window cannot be believed: not a number",
        ),
        (
            evidence(count(15), count(-1)),
            "the newest window cannot be believed: a counter went backwards",
        ),
        (
            evidence(count(15, -1), count(1)),
            "the newest window cannot be believed: a counter went backwards",
        ),
        (
            evidence(count(15, 17), count(1)),
            "the newest window cannot be believed: more events than requests",
        ),
        (evidence(count(0), count(9, 1)), "no request to canary was counted in 40 windows"),
        (evidence(count(9, 9), count(0)), "no request to stable was counted in 40 windows"),
        (
            evidence(count(0), count(0), criterion=SUCCESS),
            "no request to canary was counted in 40 windows",
        ),
    ],
)
def test_evidence_that_cannot_be_believed_is_no_data(found: Evidence, why: str) -> None:
    said = verdict(found)
    name = found.criterion.check
    assert (said.outcome, said.message) == (Outcome.NO_DATA, f"{name}: no data: {why}")


def test_counts_are_extrapolated_so_one_event_more_than_requests_is_believed() -> None:
    assert flaw_of_count(count(15, 16)) == ""
    assert flaw_of_count(count(15, 16.1)) == "more events than requests"


def test_a_share_needs_no_stable() -> None:
    assert verdict(evidence(count(15, 5), count(0), criterion=SUCCESS)).outcome is Outcome.FAIL


def test_a_flawed_window_in_the_middle_is_left_out_and_said() -> None:
    good = evidence(*QUIET)
    gap = window(count(NAN), count(NAN), 20)
    holed = replace(good, windows=(*good.windows[:20], gap, *good.windows[20:]))
    before, after = verdict(good), verdict(holed)
    assert after.message == before.message + "; 1 of 41 windows left out (not a number)"
    assert (after.curve, after.safety) == (before.curve, before.safety)


def test_testers_are_mentioned_where_they_cannot_be_told_apart() -> None:
    said = verdict(evidence(*QUIET, has_testers=True))
    assert said.message.endswith("; requests routed by account or cookie are included")


def test_a_failure_stays_one_whatever_comes_later() -> None:
    """Evidence that reached the limit at any look did so for good (Ville's inequality)."""
    bad, good = windows(*BAD, 20), windows(count(150, 0), count(1350, 13.5), 200)
    said = verdict(replace(evidence(*BAD), windows=(*bad, *good)))
    assert said.curve[-1] < said.harm_limit <= said.harm
    assert said.outcome is Outcome.FAIL


def test_evidence_that_is_computed_again_says_the_same() -> None:
    whole = evidence(*QUIET, number=40)
    half = replace(whole, windows=whole.windows[:20])
    assert verdict(half).curve == verdict(whole).curve[:20]


def test_all_checks_of_a_release_share_one_chance_of_a_false_alarm() -> None:
    one, two = judge([evidence(*QUIET)], 0.0), judge([evidence(*QUIET)] * 2, 0.0)
    assert math.exp(one[0].harm_limit) == pytest.approx(1 / HARM)
    assert [math.exp(it.harm_limit) for it in two] == pytest.approx([2 / HARM] * 2)
    assert [math.exp(it.safety_limit) for it in (*one, *two)] == pytest.approx([1 / SAFETY] * 3)


def test_what_is_still_needed_goes_by_what_both_sides_share_and_by_the_rate() -> None:
    said = verdict(evidence(count(30, 0.6), count(270, 2.7), 40))
    assert said.check == "error-rate"
    assert said.needed_requests == pytest.approx(1916.64, abs=0.01)
    assert said.needed_seconds == pytest.approx(1916.64 / 2, abs=0.01)  # two requests a second
    assert (said.harm_limit, said.safety_limit) == (math.log(1 / HARM), math.log(1 / SAFETY))


def test_of_what_is_decided_nothing_is_needed() -> None:
    passed = verdict(evidence(count(1500, 15), count(13500, 135), 250))
    assert (passed.outcome, passed.needed_requests, passed.needed_seconds) == (
        Outcome.PASS,
        None,
        None,
    )


def test_without_an_answer_the_limits_are_told_too() -> None:
    said = verdict(Evidence(criterion=ERROR_RATE, problem="no answer within 5 s"))
    assert said == Verdict(
        check="error-rate",
        outcome=Outcome.NO_DATA,
        message="error-rate: no data: no answer within 5 s",
        harm_limit=math.log(1 / HARM),
        safety_limit=math.log(1 / SAFETY),
    )


def test_safety_is_shown_for_each_step_anew() -> None:
    found = evidence(*BUSY)
    assert verdict(found, since=0).outcome is Outcome.PASS
    late = verdict(found, since=40 * 15 - 1)
    assert late.outcome is Outcome.NOT_ENOUGH_DATA
    assert 0 < late.safety < verdict(found).safety
    assert verdict(found, since=40 * 15).safety == 0.0


def test_harm_is_shown_for_the_whole_release() -> None:
    assert verdict(evidence(*BAD), since=1e9).outcome is Outcome.FAIL


def test_one_window_never_fails_a_release_alone() -> None:
    burst = (count(1500, 1500), count(13500))
    assert verdict(evidence(*burst, number=1)).outcome is Outcome.NOT_ENOUGH_DATA
    assert verdict(evidence(*burst, number=2, history=())).outcome is Outcome.FAIL


@pytest.mark.parametrize(
    ("criterion", "good", "needed"),
    [
        (ERROR_RATE, 0, 2),
        (ERROR_RATE, 20, 3),
        (ERROR_RATE, 240, 5),
        (ERROR_RATE, 960, 6),
        (SUCCESS, 0, 2),
        (SUCCESS, 20, 4),
        (SUCCESS, 240, 6),
        (SUCCESS, 960, 7),
    ],
)
def test_a_canary_that_turns_bad_after_hours_is_found_in_minutes(
    criterion: Criterion, good: int, needed: int
) -> None:
    """Bets that lost all they had in the good hours are not the only ones."""
    before, after = windows(count(60, 0.3), count(240, 1.2), good), windows(*WORST, 200)
    said = verdict(replace(evidence(*WORST, criterion=criterion), windows=(*before, *after)))
    found = next(n for n, value in enumerate(said.curve, 1) if value >= said.harm_limit)
    assert found - good == needed


@pytest.mark.parametrize("number", [1, 4, 40])
@pytest.mark.parametrize("ratio", [1, 10])
def test_one_request_a_second_never_passes_within_ten_minutes(number: int, ratio: int) -> None:
    slow = evidence(count(1.5, 0.015 * ratio), count(13.5, 0.135), number)
    assert verdict(slow).outcome is Outcome.NOT_ENOUGH_DATA


@pytest.mark.parametrize("stable", [count(135, 1.35), count(135), count(0.5)])
@pytest.mark.parametrize("canary", [count(15, 0.15), count(15, 3), count(0.5)])
def test_clusters_make_evidence_weaker(canary: Count, stable: Count) -> None:
    independent = evidence(canary, stable, history=(count(135, 1.35),) * 480)
    bursts = tuple(count(135, 21.6 * (i // 8 % 2) / 8) for i in range(480))
    clustered = verdict(replace(independent, history=bursts))
    assert clustered.dispersion > verdict(independent).dispersion
    assert clustered.harm <= max(verdict(independent).harm, 0.0) + 1e-9


def test_clusters_are_said() -> None:
    bursts = tuple(count(135, 21.6 * (i // 8 % 2) / 8) for i in range(480))
    assert "events count as one" in verdict(evidence(*QUIET, history=bursts)).message
    uneven = tuple(count(135, 9 + 2 * (i // 8 % 2)) for i in range(480))
    said = verdict(evidence(*QUIET, number=10, history=uneven))
    assert said.dispersion == pytest.approx(1.78)
    assert said.message.endswith("; 1.8 events count as one, as they come in clusters")


@pytest.mark.parametrize(
    ("outcomes", "together"),
    [
        ([], Outcome.PASS),
        ([Outcome.PASS, Outcome.PASS], Outcome.PASS),
        ([Outcome.PASS, Outcome.NOT_ENOUGH_DATA], Outcome.NOT_ENOUGH_DATA),
        ([Outcome.NO_DATA, Outcome.NOT_ENOUGH_DATA], Outcome.NO_DATA),
        ([Outcome.PASS, Outcome.NO_DATA, Outcome.FAIL], Outcome.FAIL),
    ],
)
def test_one_failure_fails_and_a_pass_needs_all(outcomes: list[Outcome], together: Outcome) -> None:
    verdicts = [Verdict(check="x", outcome=it, message="") for it in outcomes]
    assert outcome_of(verdicts) is together


def test_no_check_no_verdict() -> None:
    assert judge([], 0.0) == ()


@pytest.mark.parametrize("requests", [0.0, 1e-9, 1.0, 1e15])
@pytest.mark.parametrize("events", [0.0, 1e-9, 1.0, 1e15])
def test_whatever_is_counted_the_judge_does_not_raise(requests: float, events: float) -> None:
    for criterion in (ERROR_RATE, SUCCESS):
        odd: dict[str, Any] = {"criterion": criterion, "number": 3}
        verdict(evidence(count(requests, events), count(events, requests), **odd))
        verdict(evidence(count(requests, events), count(requests, events), **odd))


def test_a_window_with_one_side_only_proves_nothing() -> None:
    alone = Window(ends=15.0, canary=count(10, 10), stable=count(0))
    said = verdict(Evidence(criterion=ERROR_RATE, windows=(alone, window(*QUIET, 2))))
    assert said.curve[0] == pytest.approx(0.0)
