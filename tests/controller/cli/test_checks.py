"""The screen about checks: a screen is compared whole."""

import json
from dataclasses import replace
from typing import Any

import pytest

from controller.api.status import Bound, Covered, Judged, Outcome, Status, Tally
from controller.cli.checks import bound_text, checks_data, checks_screen, has_failed, users_of
from controller.cli.screen import ansi
from controller.cli.view import View
from tests.controller.cli.worlds import NOW, SINCE, idle, in_canary

RATE = Judged(
    check="error-rate<=3x",
    outcome="not enough data",
    message="error-rate<=3x: not enough data: canary 6 of 600 (1 %)",
    canary=Tally(requests=600, events=6),
    stable=Tally(requests=5400, events=27),
    harm=Bound(evidence=0.3, limit=2.3),
    safety=Bound(evidence=-1.0, limit=1.3),
    needed=2057,
    needed_seconds=2040,
    curve=(-0.5, 0.1, 0.3),
)
COVERAGE = Judged(
    check="coverage>=95%",
    outcome="pass",
    message="coverage>=95%: pass: 1 of 2 kinds of requests",
    canary=Tally(requests=600),
    stable=Tally(requests=5400),
)
SILENT = Judged(
    check="latency", outcome="no data", message="latency: no data: no answer within 5 s"
)


def view(status: Status, **changes: Any) -> View:
    good = View(namespace="canary", service="myapp", now=NOW, status=status)
    return replace(good, **changes)


def shown(status: Status, **how: Any) -> str:
    return "\n".join(checks_screen(view(status), **how))


def test_each_check_says_what_it_counted_what_that_proves_and_what_it_lacks() -> None:
    covered = Covered(
        share=0.9781, kinds=3, tried=1, missing=("PUT 2xx (2 %)", "PUT 4xx (0.2 %)"), untold="hosts"
    )
    checks = (RATE, COVERAGE, SILENT)
    status = in_canary(revision="bbbbbbbbbb", checks=checks, coverage=covered)
    assert shown(status, width=60) == (
        """\
myapp -n canary
  Release     revision bbbbbbbbbb, Canary, weight 5 %
  Users       at this weight 5 % with 1 request meet the
              canary, 40.1 % with 10, 99.4 % with 100
  Coverage    1 of 3 kinds of requests were tried, 97.8 % of
              stable's requests
              missing: PUT 2xx (2 %)
              missing: PUT 4xx (0.2 %)
              not told apart: hosts

error-rate<=3x: not enough data
  Canary      6 of 600 (1 %)
  Stable      27 of 5,400 (0.5 %)
  Ratio       2x of stable's
  Harm        2.0 of 200, where it fails
  Safety      0.1 of 20, where it passes
  Needed      about 2,057 more requests to the canary, 34m
              at this rate
  In words    canary 6 of 600 (1 %)
  Over time   200 |-----------------------------------------
              100 |
                  |
               10 |
                  |
                1 |              ***************************
               <1 |**************
                  +-----------------------------------------

coverage>=95%: pass
  Canary      600 requests
  Stable      5,400 requests
  In words    1 of 2 kinds of requests

latency: no data
  In words    no answer within 5 s"""
    )


def test_what_was_not_written_for_want_of_room_is_left_out() -> None:
    bare = replace(RATE, message="", curve=(), needed=None)
    assert shown(in_canary(checks=(bare,))).endswith("\n  Safety      0.1 of 20, where it passes")


def test_requests_at_no_known_rate_have_no_time() -> None:
    unhurried = replace(RATE, needed_seconds=None)
    assert "\n  Needed      about 2,057 more requests to the canary\n" in shown(
        in_canary(checks=(unhurried,))
    )


def test_without_an_error_of_stable_there_is_no_ratio() -> None:
    clean = replace(RATE, stable=Tally(requests=5400))
    assert "Ratio" not in shown(in_canary(checks=(clean,)))
    assert "Ratio" not in shown(in_canary(checks=(replace(RATE, canary=Tally()),)))


def test_restarts_count_containers() -> None:
    found = Judged(
        check="restarts",
        outcome="fail",
        canary=Tally(requests=4, events=1),
        stable=Tally(requests=6, events=3),
    )
    lines = shown(in_canary(checks=(found,))).splitlines()
    assert lines[-2:] == ["  Canary      1 of 4 containers", "  Stable      3 of 6 containers"]


def test_without_checks_it_says_why() -> None:
    assert shown(in_canary(revision="bbbbbbbbbb", written=0)) == (
        """\
myapp -n canary
  Release     revision bbbbbbbbbb, Canary, weight 0 %
  Checks      none has anything to say: nobody is exposed, or none are asked for"""
    )
    assert shown(idle()) == (
        """\
myapp -n canary
  Release     none runs
  Checks      none has anything to say: no release runs"""
    )


def test_after_a_release_what_the_checks_said_last_stays() -> None:
    end = Outcome(revision="bbbbbbbbbb", since=SINCE, result="aborted", why="", at=SINCE)
    lines = shown(idle(stage="Aborted", outcome=end, checks=(SILENT,))).splitlines()
    assert lines[1:4] == [
        "  Release     none runs; revision bbbbbbbbbb was aborted",
        "",
        "latency: no data",
    ]


def test_outcomes_have_colours_and_foreign_text_steers_nothing() -> None:
    failed = Judged(check="error-rate\x1b[2J", outcome="fail")
    assert "\x1b[31merror-rate?[2J: fail\x1b[0m" in shown(in_canary(checks=(failed,)), paint=ansi)


@pytest.mark.parametrize(
    ("evidence", "text"),
    [(0.0, "1.0 of 100"), (1.0, "10 of 100"), (6.5, "over 1,000,000 of 100"), (-3.0, "0.0 of 100")],
)
def test_an_e_value_stands_beside_its_limit(evidence: float, text: str) -> None:
    assert bound_text(Bound(evidence=evidence, limit=2.0)) == text


@pytest.mark.parametrize(
    ("status", "users"),
    [
        (in_canary(written=50), {1: 0.5, 10: 1 - 0.5**10, 100: 1.0}),
        (in_canary(written=50, share="20.0000%"), {1: 0.6, 10: 1 - 0.8 * 0.5**10, 100: 1.0}),
        (in_canary(written=50, share="1.2.3%"), {1: 0.5, 10: 1 - 0.5**10, 100: 1.0}),
        (in_canary(written=0), {}),
        (idle(written=5), {}),
    ],
)
def test_users_are_more_than_the_weight_says(status: Status, users: dict[int, float]) -> None:
    assert users_of(view(status)) == pytest.approx(users)


def test_data_holds_the_checks_as_the_annotation_does() -> None:
    status = in_canary(revision="bbbbbbbbbb", checks=(SILENT,))
    written = json.loads(status.text())["checks"]
    assert written[0]["message"] == SILENT.message
    assert checks_data(view(status)) == {
        "namespace": "canary",
        "service": "myapp",
        "stage": "Canary",
        "revision": "bbbbbbbbbb",
        "weight": 5,
        "users": {"1": 0.05, "10": 0.4013, "100": 0.9941},
        "checks": written,
        "coverage": None,
    }
    assert checks_data(view(Status()))["checks"] == []


def test_one_failed_check_is_a_failure() -> None:
    assert has_failed(view(in_canary(checks=(COVERAGE, replace(RATE, outcome="fail")))))
    assert not has_failed(view(in_canary(checks=(COVERAGE, RATE, SILENT))))
