import json
from dataclasses import asdict, replace
from typing import Any

import pytest

from controller.api import names
from controller.plan.record import Record, record_of
from tests.controller.plan.worlds import record

FULL = record(
    step=5,
    step_since="2026-11-22T11:30:00Z",
    go=5,
    stale_pin="7",
    falls=1,
    short=True,
    approval="r",
    approved_by="action",
    paused=True,
    abort="asked",
    interrupted=True,
    changed="2026-11-22T11:30:00Z",
    exposed="2026-11-22T11:30:00Z",
    waived=5,
    resumed=True,
    failed=True,
    shrinks=2,
)


def on(text: str | None) -> dict[str, Any]:
    return {"metadata": {"annotations": {} if text is None else {names.RELEASE: text}}}


@pytest.mark.parametrize("kept", [record(), FULL, replace(FULL, step=0, go=0, stale_pin="")])
def test_a_record_is_read_back_as_it_was_written(kept: Record) -> None:
    assert record_of(on(kept.written())) == kept


def test_what_has_its_default_is_left_out() -> None:
    assert set(json.loads(record().written())) == {
        "revision",
        "generation",
        "stable",
        "replicas",
        "since",
    }


@pytest.mark.parametrize(
    "text", [None, "", "{", "null", "[]", "3", '"x"', "{}", '{"revision":"r"}', "[" * 99_999]
)
def test_a_record_that_nobody_can_read_is_lost(text: str | None) -> None:
    assert record_of(on(text)) is None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("revision", 1),
        ("generation", "2"),
        ("generation", True),
        ("replicas", 4.0),
        ("replicas", None),
        ("step", "5"),
        ("step", False),
        ("go", []),
        ("stale_pin", 7),
        ("short", 1),
        ("short", None),
        ("paused", "yes"),
        ("abort", None),
        ("shrinks", "2"),
        ("shrinks", True),
        ("unknown", 1),
        ("since", "yesterday"),
        ("step_since", "2026-13-01T00:00:00Z"),
        ("changed", "zzz"),
    ],
)
def test_a_record_with_one_wrong_value_is_lost_whole(field: str, value: object) -> None:
    assert record_of(on(json.dumps({**asdict(FULL), field: value}))) is None
