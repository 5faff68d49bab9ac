"""The line at the end of a run on the real bed, and what makes it fail."""

from dataclasses import replace

import pytest

from e2e.controlplane.report import Report
from e2e.scenarios.closing import Closing, Figure

GOOD = Closing(
    name="hold by admission",
    figures=(Figure(what="writes of a promotion", value=12, limit=14),),
    requests=1000,
    lost=0,
    excused=3,
    bad_seconds=2,
    control_failed=5,
    asked=77,
    forbidden=(),
    left=(),
)


def report(*closings: Closing, **outcomes: str) -> Report:
    tests = {f"e2e/scenarios/test_it.py::{name}": how for name, how in outcomes.items()}
    return Report(closings=closings, outcomes=tests)


def test_a_good_run_in_one_line() -> None:
    found = report(GOOD, replace(GOOD, requests=234), one="passed", two="passed")
    assert found.line() == (
        "e2e: 2 scenarios, 0 failed; 1234 requests, 0 failed; 0 forbidden; 0 left"
    )
    assert not found.is_amiss
    assert found.table().splitlines()[:2] == [
        "hold by admission: writes of a promotion: 12, at most 14",
        (
            "hold by admission: 1000 requests of visitors, 0 failed, 3 more in 2 s in which the "
            "control failed too (5 of its requests); "
            "77 requests of the controller to the API server"
        ),
    ]


@pytest.mark.parametrize(
    "closing",
    [
        replace(GOOD, lost=1),
        replace(GOOD, forbidden=("get /x",)),
        replace(GOOD, left=("services a/b",)),
        replace(GOOD, figures=(Figure(what="writes", value=15, limit=14),)),
    ],
    ids=["lost", "forbidden", "left", "too many writes"],
)
def test_anything_wrong_is_amiss(closing: Closing) -> None:
    assert report(GOOD, closing, one="passed").is_amiss


def test_a_failed_scenario_is_amiss_and_a_skipped_one_is_told() -> None:
    found = report(GOOD, one="failed", two="skipped", three="passed")
    assert found.is_amiss
    assert found.line().startswith("e2e: 2 scenarios, 1 failed, 1 skipped; ")


def test_a_run_of_nothing_is_amiss() -> None:
    assert report(GOOD).is_amiss
    assert report(one="passed").is_amiss


def test_cases_are_no_scenarios() -> None:
    found = report(GOOD, one="passed")
    found.outcomes |= {f"tests/{name}": how for name, how in (("a", "passed"), ("b", "passed"))}
    assert found.line().startswith("e2e: 1 scenarios, 0 failed; 1000 requests")
    assert found.line().endswith("; 0 left; 2 cases, 0 failed")
    assert not found.is_amiss
    found.outcomes["tests/c"] = "failed"
    assert found.line().endswith("; 3 cases, 1 failed")
    assert found.is_amiss


def test_cases_alone_leave_nothing_to_close() -> None:
    found = Report(closings=(), outcomes={"tests/a": "passed"})
    assert found.line().startswith("e2e: 0 scenarios, 0 failed; 0 requests")
    assert not found.is_amiss
    assert Report(closings=(), outcomes={"tests/a": "skipped"}).is_amiss
