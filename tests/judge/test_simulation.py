"""The simulation is worth believing: its fast forms say what the slow and the known ones say."""

import numpy as np
import pytest
from scipy import stats

from controller.plan.judge import HARM, Outcome
from tests.judge.cells import BAD, EQUAL, JUDGE, Cell
from tests.judge.own import path_of, verdict_of
from tests.judge.rules import NEVER, paths, rank_scores, safe_paths
from tests.judge.simulation import BEFORE, CELLS, STEP, main
from tests.judge.traffic import HOUR, Releases, batches

FEW = 5


def drawn(cell: Cell, number: int = FEW) -> Releases:
    return next(batches(cell.traffic, 7, number, before=BEFORE, during=HOUR))


@pytest.mark.parametrize("name", [cell.name for cell in (*EQUAL, *BAD)])
def test_the_fast_judge_says_what_the_controllers_own_says(name: str) -> None:
    releases = drawn(CELLS[name])
    fast = paths(releases.before, releases.during, -np.log(HARM))
    safe = safe_paths(releases.before, releases.during)
    for row in range(FEW):
        assert fast[row] == pytest.approx(path_of(releases, row))
        said = verdict_of(releases, row, HOUR)
        assert said.harm == pytest.approx(fast[row].max())
        assert said.safety == pytest.approx(safe[row, -1])


def test_the_rank_test_is_the_known_one() -> None:
    chance = np.random.default_rng(3)
    canary, stable = chance.poisson(3, (20, 30)) / 7, chance.poisson(2, (20, 30)) / 7
    for row, score in enumerate(rank_scores(canary, stable)):
        known = stats.mannwhitneyu(canary[row], stable[row], alternative="greater")
        assert 1 - stats.norm.cdf(score) == pytest.approx(known.pvalue)


def test_points_that_are_all_alike_rank_alike() -> None:
    same = np.ones((2, 5))
    assert list(rank_scores(same, same)) == [0, 0]


def test_the_same_seed_draws_the_same_releases() -> None:
    cell = EQUAL[0]
    for first, second in zip(drawn(cell).during, drawn(cell).during, strict=True):
        np.testing.assert_array_equal(first, second)


def test_faults_have_the_errors_that_the_cell_says() -> None:
    cell = CELLS["5 errors a fault, over a minute"]
    counts = drawn(cell, 50).during
    share = counts.stable_events.sum() / counts.stable.sum()
    assert share == pytest.approx(0.01, rel=0.05)


@pytest.mark.parametrize("cell", BAD, ids=lambda cell: cell.name)
def test_bad_versions_are_found(cell: Cell) -> None:
    """A hundred of each; `make judge` has the figures."""
    found = cell.rules[JUDGE](drawn(cell, 100))
    assert (found < NEVER).mean() > (0.4 if cell.traffic.ratio == 2 else 0.95)


def test_one_request_a_second_is_not_enough() -> None:
    releases = drawn(CELLS["1/s"], 20)
    said = {verdict_of(releases, row, STEP).outcome for row in range(20)}
    assert said == {Outcome.NOT_ENOUGH_DATA}


def test_it_closes_with_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--releases", "10", "--jobs", "1"])
    closing = capsys.readouterr().out.splitlines()[-1]
    assert closing.startswith("judge: 410 releases; false rollbacks ")
    assert "median requests to rollback at 10x " in closing
