"""E-processes: their arithmetic against SciPy, and that they are what they claim to be."""

import math
from itertools import islice, product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from controller.plan.eprocess import (
    BETTER,
    WORSE,
    Trials,
    at_any_time,
    by_ratio,
    by_share,
    expected_gain,
    gain,
    log_mean,
    log_sum,
    most_of,
    path,
)
from controller.plan.evidence import Count
from tests.controller.plan.windows import count, window, windows

COUNTS = st.integers(0, 8)
PARTS = st.just(0.0) | st.floats(1e-6, 1)
"""SciPy's binomial distribution overflows at chances near the smallest number there is."""


def test_a_gain_is_the_logarithm_of_a_likelihood_ratio() -> None:
    chance, factor, hits, trials = 0.2, 3.0, 4, 11
    raised = factor * chance / (1 - chance + factor * chance)
    expected = stats.binom.logpmf(hits, trials, raised) - stats.binom.logpmf(hits, trials, chance)
    assert gain(Trials(hits=hits, trials=trials, chance=chance), factor) == pytest.approx(expected)


def test_the_chance_of_a_hit_follows_from_the_observed_requests() -> None:
    seen = by_ratio(2.0)(window(count(50, 4), count(450, 6)))
    assert seen == Trials(hits=4, trials=10, chance=100 / 550)
    few = by_ratio(2.0)(window(count(0.5, 0.2), count(0.25, 0.1)))
    assert few == Trials(hits=0.2, trials=0.2 + 0.1, chance=1.0 / 1.25)


@pytest.mark.parametrize(
    ("canary", "stable"),
    [(count(0), count(90, 9)), (count(10, 3), count(0)), (count(0), count(0))],
)
def test_a_window_in_which_one_side_had_no_request_compares_nothing(
    canary: Count, stable: Count
) -> None:
    seen = by_ratio(1.0)(window(canary, stable))
    assert seen == Trials(hits=0, trials=0, chance=0.0)
    assert list(path([window(canary, stable)], by_ratio(1.0), WORSE, [1.0])) == [pytest.approx(0.0)]


def test_a_share_looks_at_the_canary_alone() -> None:
    seen = by_share(0.01)(window(count(50, 4), count(450, 450)))
    assert seen == Trials(hits=4, trials=50, chance=0.01)


def test_a_share_has_no_more_hits_than_trials() -> None:
    assert by_share(0.01)(window(count(3, 3.4), count(0))).hits == 3


@given(COUNTS, st.floats(0.01, 0.99), st.sampled_from(WORSE + BETTER))
def test_a_bet_on_a_share_gains_nothing_on_average_at_the_edge(
    trials: int, chance: float, factor: float
) -> None:
    """The mean over the binomial distribution, by SciPy, is 1."""
    hits = range(trials + 1)
    values = [math.exp(gain(Trials(hits=x, trials=trials, chance=chance), factor)) for x in hits]
    weights = stats.binom.pmf(hits, trials, chance)
    assert float(values @ weights) == pytest.approx(1.0)


@given(
    COUNTS,
    COUNTS,
    st.floats(0.001, 0.99),
    st.floats(0.3, 3),
    PARTS,
    st.sampled_from(WORSE),
)
def test_however_frequent_the_events_a_canary_within_the_ratio_gains_nothing(
    n_canary: int, n_stable: int, share: float, ratio: float, within: float, factor: float
) -> None:
    worst = min(1.0, ratio * share)
    assert _mean(n_canary, n_stable, within * worst, share, ratio, factor) <= 1 + 1e-9


@given(COUNTS, COUNTS, st.floats(0.001, 0.3), st.floats(1, 3), st.sampled_from(BETTER))
def test_however_frequent_the_events_a_canary_at_the_margin_gains_nothing(
    n_canary: int, n_stable: int, share: float, ratio: float, factor: float
) -> None:
    bad = min(1.0, ratio * share)
    assert _mean(n_canary, n_stable, bad, share, ratio, factor) <= 1 + 1e-9
    assert _mean(n_canary, n_stable, (bad + 1) / 2, share, ratio, factor) <= 1 + 1e-9


def _mean(n: int, m: int, canary: float, stable: float, ratio: float, factor: float) -> float:
    """Return the exact mean of one bet over all outcomes of a window."""
    view = by_ratio(ratio)
    on_canary = stats.binom.pmf(range(n + 1), n, canary)
    on_stable = stats.binom.pmf(range(m + 1), m, stable)
    return math.fsum(
        float(on_canary[x] * on_stable[y])
        * math.exp(gain(view(window(count(n, x), count(m, y))), factor))
        for x, y in product(range(n + 1), range(m + 1))
    )


def test_the_path_is_the_mean_of_the_bets_products() -> None:
    seen = windows(count(10, 2), count(90, 3), 3)
    view = by_ratio(1.0)
    expected = [
        math.log(sum(math.exp(n * gain(view(seen[0]), factor)) for factor in WORSE) / len(WORSE))
        for n in (1, 2, 3)
    ]
    assert list(path(seen, view, WORSE, [1.0, 1.0, 1.0])) == pytest.approx(expected)


def test_bets_may_begin_with_any_window() -> None:
    """Half begins at once, a quarter with the third window, the rest never: it stands still."""
    seen = windows(count(10, 2), count(90, 3), 3)
    by_window = sum(math.exp(gain(by_ratio(1.0)(seen[0]), factor)) for factor in (4.0, 10.0)) / 2
    squared, cubed = (
        sum(math.exp(n * gain(by_ratio(1.0)(seen[0]), factor)) for factor in (4.0, 10.0)) / 2
        for n in (2, 3)
    )
    found = path(seen, by_ratio(1.0), (4.0, 10.0), [1.0] * 3, begin=(0.5, 0.0, 0.25))
    assert [math.exp(value) for value in found] == pytest.approx(
        [
            0.5 * by_window + 0.5,
            0.5 * squared + 0.5,
            0.5 * cubed + 0.25 * by_window + 0.25,
        ]
    )


def test_nothing_has_to_be_bet_on_the_first_window() -> None:
    seen = windows(count(10, 2), count(90, 3), 3)
    found = list(path(seen, by_ratio(1.0), WORSE, [1.0] * 3, begin=(0.0, 1.0)))
    assert found == pytest.approx([0.0, *path(seen[1:], by_ratio(1.0), WORSE, [1.0] * 2)])


def test_the_parts_that_begin_later_add_up_to_the_whole() -> None:
    parts = list(islice(at_any_time(), 1000))
    assert parts[:3] == pytest.approx([0.8, 0.1, 0.2 / 6])
    assert math.fsum(parts) == pytest.approx(1 - 0.2 / 1000)


def test_clusters_of_four_count_as_one() -> None:
    seen = windows(count(10, 4), count(90, 8), 1)
    few = windows(count(10, 1), count(90, 2), 1)
    view = by_ratio(1.0)
    assert list(path(seen, view, WORSE, [4.0])) == pytest.approx(
        list(path(few, view, WORSE, [1.0]))
    )


def test_no_window_adds_more_than_the_most() -> None:
    seen = windows(count(100, 100), count(900, 0), 2)
    limit = math.log(100)
    evidence = list(path(seen, by_ratio(1.0), WORSE, [1.0, 1.0], most_of(limit, WORSE)))
    assert evidence[0] < limit <= evidence[1]


def test_averages_and_sums_of_logarithms() -> None:
    assert log_sum([math.log(2), math.log(3)]) == pytest.approx(math.log(5))
    assert log_mean([math.log(2), math.log(4)]) == pytest.approx(math.log(3))
    assert log_sum([-2000.0, 2000.0]) == 2000.0


def test_nothing_is_expected_of_bets_that_lose() -> None:
    at = Trials(hits=5, trials=10, chance=0.5)
    assert expected_gain(at, 0.5, BETTER) == 0.0
    assert expected_gain(at, 0.1, BETTER) == pytest.approx(
        max(gain(Trials(hits=1.0, trials=10, chance=0.5), factor) for factor in BETTER)
    )
