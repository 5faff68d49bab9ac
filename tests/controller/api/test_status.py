import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from controller.api import names
from controller.api.objects import stamp
from controller.api.status import (
    BYTES_LIMIT,
    MESSAGE_LIMIT,
    Answer,
    Bound,
    Condition,
    Covered,
    Judged,
    Known,
    Outcome,
    Status,
    Tally,
    is_our_condition,
    status_in,
    with_conditions,
)

NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)
AGO = stamp(NOW - timedelta(seconds=4))
FULL = Status(
    configuration="abc",
    stage="Canary",
    reason="WaitingForPods",
    message="1 of 2 canary pods are ready",
    revision="r1",
    asked=10,
    written=5,
    step=5,
    since=AGO,
    until=stamp(NOW),
    ready=1,
    needed=2,
    accounts=3,
    share="5.0000%",
    commands=("kubectl canary abort",),
    checks=(
        Judged(
            check="error-rate",
            outcome="not enough data",
            message="error-rate: not enough data: canary 6 of 600",
            canary=Tally(requests=600, events=6),
            stable=Tally(requests=5400, events=54),
            harm=Bound(evidence=-0.52, limit=2.0),
            safety=Bound(evidence=0.04, limit=1.3),
            needed=2057,
            needed_seconds=2057,
            curve=(0.0, -0.25, -0.52),
        ),
        Judged(check="restarts", outcome="pass"),
    ),
    coverage=Covered(share=0.978, kinds=3, tried=1, missing=("PUT 2xx", "PUT 4xx"), untold="hosts"),
    last=Answer(action="pause", outcome="paused", at=AGO),
    rejected=Known(revision="r0", uid="u", generation=3, why="too slow"),
    outcome=Outcome(revision="r0", since=AGO, result="aborted", why="too slow", at=AGO),
    stable=Known(revision="r-1", uid="u", generation=2),
    at=AGO,
)

NOTHING = Covered(share=0.0, kinds=0, tried=0)


def service(text: str | None = None, **status: Any) -> dict[str, Any]:
    annotations = {} if text is None else {names.STATUS: text}
    return {"metadata": {"annotations": annotations}, "status": status}


@pytest.mark.parametrize("status", [FULL, Status(), replace(FULL, stage=None, step=0, ready=0)])
def test_a_status_is_read_back_as_it_was_written(status: Status) -> None:
    assert status_in(service(status.text())) == status


def test_what_is_unset_is_left_out() -> None:
    assert json.loads(Status(reason="Held").text()) == {"reason": "Held", "accounts": 0}


def test_a_check_is_written_with_the_names_of_the_manual() -> None:
    (first, second) = json.loads(FULL.text())["checks"]
    assert first == {
        "check": "error-rate",
        "outcome": "not enough data",
        "message": "error-rate: not enough data: canary 6 of 600",
        "canary": {"requests": 600, "events": 6},
        "stable": {"requests": 5400, "events": 54},
        "harm": {"evidence": -0.52, "limit": 2.0},
        "safety": {"evidence": 0.04, "limit": 1.3},
        "needed": {"requests": 2057, "seconds": 2057},
        "curve": [0.0, -0.25, -0.52],
    }
    assert second == {
        "check": "restarts",
        "outcome": "pass",
        "canary": {"requests": 0, "events": 0},
        "stable": {"requests": 0, "events": 0},
        "harm": {"evidence": 0.0, "limit": 0.0},
        "safety": {"evidence": 0.0, "limit": 0.0},
    }


@pytest.mark.parametrize(
    ("checks", "kept"),
    [
        ([], []),
        ("x", []),
        ({"a": 1}, []),
        (["x", None, {}], [Judged(check="", outcome="")]),
        (
            [{"check": "a", "outcome": 1, "canary": "x", "harm": {"evidence": "x", "limit": True}}],
            [Judged(check="a", outcome="")],
        ),
        (
            [{"check": "a", "curve": [1, "x", None, 2.5], "needed": {"requests": "x"}}],
            [Judged(check="a", outcome="", needed=0, curve=(1.0, 0.0, 0.0, 2.5))],
        ),
        ([{"check": "a", "curve": 7, "needed": []}], [Judged(check="a", outcome="")]),
    ],
)
def test_a_check_that_nobody_can_read_says_nothing(checks: object, kept: list[Judged]) -> None:
    assert list(status_in(service(json.dumps({"checks": checks}))).checks) == kept


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999"])
def test_what_is_no_number_is_none(number: str) -> None:
    text = '{"checks":[{"check":"a","harm":{"evidence":' + number + "}}]}"
    assert status_in(service(text)).checks == (Judged(check="a", outcome=""),)


@pytest.mark.parametrize(
    ("points", "words", "curves", "messages"),
    [(40, 400, True, True), (400, 400, False, True), (400, 1200, False, False)],
)
def test_curves_go_first_and_messages_next_where_it_gets_too_long(
    points: int, words: int, *, curves: bool, messages: bool
) -> None:
    checks = tuple(
        Judged(
            check=f"c{n}", outcome="pass", message="\u00e9" * (words // 2), curve=(1.25,) * points
        )
        for n in range(16)
    )
    text = replace(FULL, checks=checks).text()
    assert len(text.encode()) <= BYTES_LIMIT
    read = status_in(service(text)).checks
    assert {bool(it.curve) for it in read} == {curves}
    assert {bool(it.message) for it in read} == {messages}
    assert [it.outcome for it in read] == ["pass"] * 16


def test_a_text_of_exactly_the_limit_is_kept_whole() -> None:
    check = Judged(check="a", outcome="pass", curve=(1.0, 2.0))
    short = Status(checks=(check,), message="x")
    fitting = replace(short, message="x" * (BYTES_LIMIT - len(short.text()) + 1))
    assert len(fitting.text()) == BYTES_LIMIT
    assert json.loads(fitting.text())["checks"][0]["curve"] == [1.0, 2.0]
    longer = replace(fitting, message=fitting.message + "x")
    assert "curve" not in json.loads(longer.text())["checks"][0]


def test_the_text_is_short_and_zeros_are_kept() -> None:
    told = Status(stage="Idle", message="é", coverage=Covered(share=0.0, kinds=0, tried=0))
    assert told.text() == (
        '{"stage":"Idle","message":"é","accounts":0,"coverage":{"share":0.0,"kinds":0,"tried":0}}'
    )


def test_another_check_is_another_essence() -> None:
    one, other = Judged(check="a", outcome="pass"), Judged(check="b", outcome="pass")
    assert Status(checks=(one,)).essence() != Status(checks=(other,)).essence()


def test_checks_that_are_too_long_even_so_are_left_out() -> None:
    checks = tuple(Judged(check="x" * 2000, outcome="pass") for _ in range(16))
    assert replace(FULL, checks=checks).text() == replace(FULL, checks=()).text()


def test_what_the_canary_was_asked_is_written_with_the_names_of_the_manual() -> None:
    assert json.loads(FULL.text())["coverage"] == {
        "share": 0.978,
        "kinds": 3,
        "tried": 1,
        "missing": ["PUT 2xx", "PUT 4xx"],
        "untold": "hosts",
    }


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ({}, None),
        ("x", None),
        ({"share": "x", "kinds": "2", "tried": None, "missing": "PUT", "untold": 1}, NOTHING),
        ({"missing": ["PUT", 1]}, replace(NOTHING, missing=("PUT",))),
    ],
)
def test_a_coverage_that_nobody_can_read_says_nothing(
    written: object, read: Covered | None
) -> None:
    assert status_in(service(json.dumps({"coverage": written}))).coverage == read


def test_what_a_check_counts_can_wait_and_its_outcome_cannot() -> None:
    (first, second) = FULL.checks
    counted = replace(first, canary=Tally(requests=700, events=7), message="more", curve=())
    decided = replace(first, outcome="pass")
    assert replace(FULL, checks=(counted, second)).is_due(FULL, NOW) == 6.0
    assert replace(FULL, checks=(decided, second)).is_due(FULL, NOW) == 0.0
    assert replace(FULL, coverage=None).is_due(FULL, NOW) == 6.0


@pytest.mark.parametrize("text", [None, "", "{", "[]", "null", "3", '"x"', "[" * 99_999])
def test_a_status_that_nobody_can_read_says_nothing(text: str | None) -> None:
    assert status_in(service(text)) == Status()


NONSENSE: dict[str, Any] = {
    "configuration": 1,
    "stage": [],
    "reason": {},
    "weight": [],
    "replicas": {"ready": "x", "needed": True},
    "step": "5",
    "commands": "rm",
    "lastAction": "pause",
    "rejected": {"revision": 7},
    "outcome": {"result": "won"},
    "stable": {"uid": "u"},
}


def test_each_value_of_the_wrong_kind_says_nothing() -> None:
    assert status_in(service(json.dumps(NONSENSE))) == Status(step=0)


def test_texts_among_other_things_are_kept() -> None:
    assert status_in(service('{"commands":["a",1,null,"b"]}')).commands == ("a", "b")


@pytest.mark.parametrize("result", ["promoted", "aborted"])
def test_both_outcomes_are_known(result: str) -> None:
    found = status_in(service(json.dumps({"outcome": {"result": result}}))).outcome
    assert found is not None
    assert found.result == result


@pytest.mark.parametrize(
    ("changes", "due"),
    [
        ({}, None),
        ({"at": "other"}, None),
        ({"until": stamp(NOW + timedelta(seconds=2))}, None),  # two clocks, one meaning
        ({"at": "other", "until": stamp(NOW + timedelta(seconds=2))}, None),
        ({"until": stamp(NOW + timedelta(seconds=3))}, 6.0),
        ({"until": ""}, 6.0),
        ({"ready": 2}, 6.0),
        ({"message": "2 of 2"}, 6.0),
        ({"needed": 3, "until": ""}, 6.0),
        ({"stage": "Promoting"}, 0.0),
        ({"reason": "Canary"}, 0.0),
        ({"written": 10}, 0.0),
        ({"step": None}, 0.0),
        ({"accounts": 4}, 0.0),
        ({"last": None}, 0.0),
        ({"rejected": None}, 0.0),
    ],
)
def test_counts_and_words_wait_ten_seconds_and_all_else_is_due_at_once(
    changes: dict[str, Any], due: float | None
) -> None:
    assert replace(FULL, **changes).is_due(FULL, NOW) == due


def test_ten_seconds_after_the_last_write_counts_are_due() -> None:
    counted = replace(FULL, ready=2)
    assert counted.is_due(FULL, NOW + timedelta(seconds=6)) == 0.0
    assert counted.is_due(FULL, NOW + timedelta(hours=1)) == 0.0
    assert counted.is_due(replace(FULL, at="nonsense"), NOW) == 0.0


@pytest.mark.parametrize(
    ("uid", "generation", "same"), [("u", 3, True), ("u", 4, False), ("v", 3, False)]
)
def test_a_revision_is_known_for_one_generation_of_one_deployment(
    uid: str, generation: int, same: bool
) -> None:
    known = Known(revision="r", uid="u", generation=3)
    assert known.is_of({"metadata": {"uid": uid, "generation": generation}}) is same
    assert not Known(revision="r").is_of({"metadata": {}})


READY = Condition(type=names.READY, status="True", reason="Held", message="held")
THEIRS = {"type": "example.com/Healthy", "status": "True"}


def entry(status: str = "True", since: str = AGO, **more: Any) -> dict[str, Any]:
    return {
        "type": names.READY,
        "status": status,
        "reason": "Held",
        "message": "held",
        "lastTransitionTime": since,
        **more,
    }


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, [entry(since=stamp(NOW))]),
        ([], [entry(since=stamp(NOW))]),
        ([entry(reason="Other")], [entry()]),  # the same status: no transition
        ([entry("False")], [entry(since=stamp(NOW))]),
        ([THEIRS, entry()], [THEIRS, entry()]),
        (
            [{"type": "serinus.dev/Gone", "status": "True"}, THEIRS],
            [THEIRS, entry(since=stamp(NOW))],
        ),
        ([{"type": names.READY, "status": "True"}], [entry(since=stamp(NOW))]),
    ],
)
def test_sets_our_conditions_and_keeps_those_of_others(
    before: list[dict[str, Any]] | None, after: list[dict[str, Any]]
) -> None:
    assert with_conditions(service(conditions=before), [READY], NOW) == after


def test_a_long_message_is_cut() -> None:
    long = replace(READY, message="x" * 5000)
    (only,) = with_conditions(service(), [long], NOW)
    assert only["message"] == "x" * MESSAGE_LIMIT


def test_tells_our_conditions_by_their_prefix() -> None:
    assert is_our_condition({"type": "serinus.dev/Ready"})
    assert not is_our_condition({"type": "Ready"})
    assert not is_our_condition({})
