from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from controller.api import names
from controller.api.status import Answer, Condition, Outcome, Status
from controller.cli.screen import COLUMNS, NAMESPACE, WIDE, ansi, screen, span, table
from controller.cli.view import Door, Pods, View
from tests.controller.cli.worlds import NOW, SINCE, idle, in_canary

READY = Condition(type=names.READY, status="True", reason="Held", message="held")
WHOLE = Condition(type=names.DEGRADED, status="False", reason="AsExpected", message="fine")
STABLE = Pods(
    side="stable", ready=3, wanted=3, revision="aaaaaaaaaa", images=("janakiramm/myapp:v1",)
)
CANARY = Pods(
    side="canary", ready=1, wanted=2, revision="bbbbbbbbbb", images=("janakiramm/myapp:v2", "log:1")
)
COMMANDS = ("kubectl canary set-weight myapp 10 -n canary", "kubectl canary abort myapp -n canary")


def view(status: Status, **changes: Any) -> View:
    good = View(
        namespace="canary",
        service="myapp",
        now=NOW,
        status=status,
        running=status.revision,
        conditions=(READY, WHOLE),
        pods=(STABLE,),
    )
    return replace(good, **changes)


def shown(seen: View, **how: Any) -> str:
    return "\n".join(screen(seen, **how))


def test_mid_canary_says_who_gets_what_and_what_is_waited_for() -> None:
    status = in_canary(
        reason="WaitingForPods",
        message="1 of 2 canary pods are ready",
        revision="bbbbbbbbbb",
        asked=25,
        until="2026-11-01T12:15:12Z",
        commands=COMMANDS,
        last=Answer(action="promote:cccccccccc", outcome="refused: not that one", at=SINCE),
    )
    doors = (
        Door(asked="2 accounts by X-Account", written="2 accounts by X-Account"),
        Door(asked="5 % of users: X-Account ends in 00-04", written=""),
        Door(asked="", written="visitors with cookie beta=always (never: stable)"),
        Door(asked="25 % of everybody else", written="5 % of everybody else"),
    )
    assert shown(view(status, doors=doors, pods=(STABLE, CANARY))) == (
        """\
myapp -n canary
  Stage       Canary, revision bbbbbbbbbb, for 12m
  Now         WaitingForPods: 1 of 2 canary pods are ready
  Until       2026-11-01T12:15:12Z, in 3m12s
  To canary   2 accounts by X-Account
              5 % of users: X-Account ends in 00-04 (not open yet)
              visitors with cookie beta=always (never: stable) (being closed)
              5 % of everybody else (asked: 25 % of everybody else)
  To stable   everybody else
  Pods        stable  3/3 ready  aaaaaaaaaa  janakiramm/myapp:v1
              canary  1/2 ready  bbbbbbbbbb  janakiramm/myapp:v2, log:1
  Last action promote:cccccccccc: refused: not that one, 12m ago
  Next        kubectl canary set-weight myapp 10 -n canary
              kubectl canary abort myapp -n canary"""
    )


def test_idle_says_whom_the_next_release_opens_to_and_how_the_last_one_ended() -> None:
    outcome = Outcome(
        revision="aaaaaaaaaa", since=SINCE, result="promoted", why="promoted by action", at=SINCE
    )
    status = idle(message="Deployment myapp has nothing pending", outcome=outcome)
    prepared = ("2 accounts by X-Account", "5 % of everybody else")
    assert shown(view(status, prepared=prepared)) == (
        """\
myapp -n canary
  Stage       Idle
  Now         Deployment myapp has nothing pending
  To canary   nobody; the next release opens to 2 accounts by X-Account; 5 % of everybody else
  To stable   everybody
  Pods        stable  3/3 ready  aaaaaaaaaa  janakiramm/myapp:v1
  Last end    revision aaaaaaaaaa was promoted 12m ago (promoted by action)"""
    )


def test_what_is_wrong_is_wrapped_to_the_width_and_conditions_that_are_right_are_left_out() -> None:
    status = Status(reason="NoDeployment", message="no Deployment makes pods of Service myapp")
    message = f"no Deployment makes pods of Service myapp; {'look again, ' * 6}please"
    unready = Condition(type=names.READY, status="False", reason="NoDeployment", message=message)
    seen = view(status, conditions=(unready, WHOLE), pods=(), unread=("you may not list Pods",))
    assert shown(seen, width=60) == (
        """\
myapp -n canary
  Stage       none: not ready for a release
  Now         NoDeployment: no Deployment makes pods of
              Service myapp
  To canary   nobody
  To stable   everybody
  Wrong       Ready is False, NoDeployment: no Deployment
              makes pods of Service myapp; look again, look
              again, look again, look again, look again,
              look again, please
              you may not list Pods"""
    )


def test_without_a_status_it_asks_whether_the_controller_runs() -> None:
    assert shown(view(Status(), is_told=False, conditions=(), pods=())) == (
        """\
myapp -n canary
  Stage       none: there is no serinus.dev/status yet; does the controller run?"""
    )


def test_what_the_controller_has_not_answered_yet_is_said() -> None:
    seen = view(in_canary(), action="abort:bbbbbbbbbb", is_current=False, is_paused=True)
    lines = shown(seen).splitlines()
    assert lines[1].endswith("for 12m, paused by a person")
    assert lines[3:5] == [
        "              abort:bbbbbbbbbb is asked for and not answered yet",
        "              the newest change of the annotations is not answered yet",
    ]


def test_at_weight_100_nobody_is_left_for_stable_and_a_time_that_is_past_is_any_moment() -> None:
    seen = view(in_canary(written=100, until=SINCE))
    assert f"  Until       {SINCE}, any moment" in screen(seen)
    assert "  To stable   nobody" in screen(seen)


def test_wide_adds_every_condition() -> None:
    assert screen(view(idle()), is_wide=True)[-2:] == [
        "  Conditions  serinus.dev/Ready=True Held: held",
        "              serinus.dev/Degraded=False AsExpected: fine",
    ]


def test_colours_stand_around_the_text_and_never_in_the_columns() -> None:
    seen = view(in_canary(), pods=(STABLE, CANARY))
    coloured = shown(seen, paint=ansi)
    assert "\x1b[33mcanary  1/2 ready  bbbbbbbbbb  janakiramm/myapp:v2, log:1\x1b[0m" in coloured
    assert coloured.splitlines()[0] == "\x1b[1mmyapp -n canary\x1b[0m"


def test_text_from_objects_cannot_steer_a_terminal_nor_be_pasted_as_another_command() -> None:
    status = in_canary(
        message="\x1b[2Jgone", commands=("kubectl canary abort myapp; rm x", "curl x | sh")
    )
    text = shown(view(status))
    assert "Canary: \x1b" not in text
    assert "?[2Jgone" in text
    assert "Next" not in text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "0s"),
        (59.6, "1m"),
        (45, "45s"),
        (192, "3m12s"),
        (7200, "2h"),
        (7265, "2h1m"),
        (273600, "3d4h"),
    ],
)
def test_spans_have_at_most_two_units(seconds: float, text: str) -> None:
    assert span(seconds) == text


def test_list_is_a_table_as_kubectl_prints_one() -> None:
    aborted = Outcome(revision="bb", since=SINCE, result="aborted", why="", at=SINCE)
    unready = Condition(type=names.READY, status="False", reason="NoIngress", message="none")
    views = [
        view(in_canary(revision="bbbbbbbbbb", asked=25), service="a-long-name"),
        view(idle(outcome=aborted), now=NOW + timedelta(hours=1)),
        view(Status(reason="NoIngress"), conditions=(unready,)),
        view(Status(), is_told=False, conditions=()),
    ]
    assert "\n".join(table(views, [NAMESPACE, *COLUMNS])) == (
        """\
NAMESPACE   NAME          READY       STAGE    REVISION     WEIGHT      PODS   LAST END
canary      a-long-name   True        Canary   bbbbbbbbbb   5% of 25%   2/2    -
canary      myapp         True        Idle     -            -           -      aborted 1h12m ago
canary      myapp         NoIngress   -        -            -           -      -
canary      myapp         Unknown     -        -            -           -      -"""
    )
    assert table(views[:1], WIDE) == [
        "UNTIL   REASON   MESSAGE",
        "-       Canary   weight 5, 2 accounts",
    ]
