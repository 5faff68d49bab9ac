"""Counters become windows: what grew, what began anew, what nobody saw."""

from collections.abc import Mapping

import pytest

from controller.api.series import Series
from controller.plan.counting import BACKWARDS, GAP, Grid, Part, windows_of
from controller.plan.evidence import Count, Window, flaw_of
from tests.controller.plan.windows import count

NAN = float("nan")
PARTS = {
    "canary": Part(side="canary", requests=1.0),
    "canary-errors": Part(side="canary", requests=1.0, events=1.0),
    "stable": Part(side="stable", requests=1.0),
    "halves": Part(side="stable", requests=0.5, events=0.25),
    "events": Part(side="stable", events=1.0),
    "testers": Part(side="canary", requests=-1.0),
}


def read(labels: Mapping[str, str]) -> Part | None:
    return PARTS.get(labels["what"])


def series(what: str, *values: float | None, instance: str = "a") -> Series:
    samples = tuple(
        (100 + 15.0 * number, value) for number, value in enumerate(values) if value is not None
    )
    return Series(labels={"what": what, "instance": instance}, samples=samples)


def counted(*found: Series, windows: int = 2) -> list[tuple[Count, Count]]:
    grid = Grid(start=100.0, step=15.0, windows=windows)
    return [(it.canary, it.stable) for it in windows_of(found, read, grid)]


def flaws(*found: Series, windows: int = 2) -> list[str]:
    grid = Grid(start=100.0, step=15.0, windows=windows)
    return [flaw_of(it) for it in windows_of(found, read, grid)]


def test_a_window_is_what_counters_grew_by() -> None:
    found = counted(
        series("canary", 10, 14, 14),
        series("canary-errors", 1, 2, 5),
        series("stable", 1000, 1090, 1200),
        series("unknown", 0, 99, 999),
    )
    assert found == [(count(5, 1), count(90)), (count(3, 3), count(110))]


def test_windows_end_at_the_moments_of_the_grid() -> None:
    (window,) = windows_of([series("stable", 1, 2)], read, Grid(start=100.0, step=15.0, windows=1))
    assert window == Window(ends=115.0, canary=count(0), stable=count(1))


def test_the_processes_add_up() -> None:
    found = counted(series("stable", 1, 3, 5), series("stable", 7, 8, 9, instance="b"))
    assert found == [(count(0), count(3)), (count(0), count(3))]


def test_testers_are_taken_out() -> None:
    found = counted(series("canary", 0, 10, 20), series("testers", 0, 4, 14))
    assert found == [(count(6), count(0)), (count(0), count(0))]


def test_a_series_that_appears_beside_others_grew_from_nothing() -> None:
    found = counted(series("stable", 10, 20, 30), series("canary-errors", None, 3, 4))
    assert found == [(count(3, 3), count(10)), (count(1, 1), count(10))]


def test_a_process_that_was_not_looked_at_before_begins_with_its_first_sample() -> None:
    found = counted(series("stable", 10, 20, 30), series("stable", None, 5000, 5007, instance="b"))
    assert found == [(count(0), count(10)), (count(0), count(17))]


def test_a_process_that_vanishes_takes_nothing_away() -> None:
    found = counted(series("stable", 10, 20, 30), series("stable", 5, None, None, instance="b"))
    assert found == [(count(0), count(10)), (count(0), count(10))]


def test_a_counter_that_began_again_spoils_its_window() -> None:
    assert flaws(series("stable", 10, 3, 8), series("canary", 0, 99, 100)) == [
        "a counter went backwards",
        "",
    ]


@pytest.mark.parametrize(
    ("values", "flawed"),
    [
        ((None, 1, 2), [True, False]),
        ((1, None, 2), [True, True]),
        ((1, 2, None), [False, True]),
        ((1, NAN, 2), [True, True]),
    ],
)
def test_what_nobody_saw_is_no_number(values: tuple[float | None, ...], flawed: list[bool]) -> None:
    said = flaws(series("stable", *values))
    assert said == ["not a number" if it else "" for it in flawed]


@pytest.mark.parametrize("found", [(), (series("unknown", 1, 2, 3),)])
def test_nothing_that_matters_is_a_gap(found: tuple[Series, ...]) -> None:
    assert flaws(*found) == ["not a number"] * 2


def test_parts_count_for_as_much_as_they_say() -> None:
    found = counted(series("halves", 0, 4), series("events", 0, 3), windows=1)
    assert found == [(count(0), count(2, 4))]


def test_a_flawed_window_has_its_end_and_nothing_on_either_side() -> None:
    grid = Grid(start=100.0, step=15.0, windows=2)
    assert windows_of([series("stable", 1, None, 3)], read, grid) == (
        Window(ends=115.0, canary=GAP, stable=GAP),
        Window(ends=130.0, canary=GAP, stable=GAP),
    )
    assert windows_of([series("stable", 5, 1, 2)], read, grid) == (
        Window(ends=115.0, canary=BACKWARDS, stable=BACKWARDS),
        Window(ends=130.0, canary=count(0), stable=count(1)),
    )


def test_samples_outside_the_grid_change_nothing() -> None:
    found = counted(series("stable", 1, 2, 3, 4, 5), windows=1)
    assert found == [(count(0), count(1))]


def test_series_without_a_process_are_of_one() -> None:
    bare = Series(labels={"what": "stable"}, samples=((100, 1), (115, 3)))
    assert counted(bare, windows=1) == [(count(0), count(2))]
