"""A slice of the fault plans, and all that were kept; `make faults` runs many more."""

from pathlib import Path

import pytest
import yaml

from tests.world.faults.__main__ import show
from tests.world.faults.bugs import BUGS
from tests.world.faults.director import Outcome
from tests.world.faults.model import explored
from tests.world.faults.plan import Plan, line_of, plan_in, plan_of
from tests.world.faults.rows import ROWS
from tests.world.faults.seeded import hunted
from tests.world.faults.suite import again, tales
from tests.world.faults.workloads import BY_NAME

SLICE = {"A": 1, "R": 25}
"""Of each row every so many-th plan, of every story: row A whole, and 500 of row R."""
KEPT = sorted((Path(__file__).parent / "plans").glob("*.yaml"))


def told(found: list[Outcome]) -> str:
    wrong = [outcome for outcome in found if outcome.wrong]
    for outcome in wrong:
        show(outcome)
    return f"{len(wrong)} of {len(found)} runs were wrong: see the output for their seeds"


@pytest.mark.timeout(600)
@pytest.mark.parametrize("row", SLICE)
@pytest.mark.parametrize("workload", BY_NAME)
def test_a_death_at_any_write_and_a_slice_of_random_schedules_harm_nobody(
    workload: str, row: str
) -> None:
    (tale,) = tales([workload], {row: SLICE[row]}, jobs=1)
    assert len(tale.outcomes) > tale.plans[row] // SLICE[row] > 0
    assert not any(outcome.wrong for outcome in tale.outcomes), told(list(tale.outcomes))


@pytest.mark.parametrize("script", ["abort", "down"])
def test_one_process_that_dies_anywhere_harms_nobody_in_any_state_of_the_model(script: str) -> None:
    seen = explored([script], processes=1)
    assert (seen.wrong, seen.is_whole) == ([], True)
    assert seen.states > 10_000


def test_two_processes_side_by_side_harm_nobody_in_any_state_of_the_model() -> None:
    seen = explored(["down"], processes=2)
    assert (seen.wrong, seen.known, seen.is_whole) == ([], [], True)
    assert seen.states > 100_000


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.stem)
def test_what_was_found_once_is_not_found_again(path: Path) -> None:
    outcome = again(plan_in(str(path)))
    assert outcome.hit, "the plan does not come to pass any more: write another"
    assert outcome.wrong == [], told([outcome])


def test_a_mistake_is_caught_without_any_fault() -> None:
    some = [bug for bug in BUGS if bug.name in {"skips the drain", "adds an account"}]
    assert [found is not None for _, found in hunted(1, some)] == [True, True]


def test_a_plan_reads_back_as_it_was_written() -> None:
    plan = plan_in(str(KEPT[0]))
    assert isinstance(plan, Plan)
    assert plan_in(line_of(plan)) == plan
    assert plan_of(yaml.safe_load(plan.written())) == plan
    assert set(ROWS) == set("ABCDEFGHSR")
