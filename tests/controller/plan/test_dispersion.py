"""How clustered events are, as stable's windows tell."""

import random

import pytest

from controller.plan.dispersion import BLOCK, FADING, PRIOR, PRIOR_EVENTS, VARIED, dispersions
from controller.plan.evidence import Count
from tests.controller.plan.windows import count, history


def last(counts: list[Count]) -> float:
    return list(dispersions(counts, [count(1)]))[-1]


def drawn(cluster: int, seed: int, number: int = 2000) -> list[Count]:
    """Return windows of 100 requests with one fault each on average, of so many errors."""
    chance = random.Random(seed)
    faults = [sum(chance.random() < 0.01 for _ in range(100)) for _ in range(number)]
    return [count(100, cluster * it) for it in faults]


def test_while_nothing_is_known_clusters_are_assumed() -> None:
    assert list(dispersions([], [count(10), count(10)])) == [1 + VARIED * (PRIOR - 1)] * 2


def test_windows_without_events_or_requests_tell_nothing() -> None:
    unknown = last([])
    assert last([count(10)] * 4 * BLOCK) == unknown
    assert last([count(0, 0)] * BLOCK + [count(10, 1)] * BLOCK) == unknown


def test_without_events_nothing_is_learned_either_way_round() -> None:
    assert last([count(10, 1)] * BLOCK + [count(0, 0)] * BLOCK) == last([])


def shown(squares: float, events: float) -> float:
    """What blocks show whose differences add up to so many squares."""
    prior = PRIOR_EVENTS - events / FADING
    return 1 + VARIED * ((PRIOR * prior + squares) / (prior + events) - 1)


def test_two_blocks_are_compared_as_soon_as_they_are_there() -> None:
    one, other = [count(100)] * BLOCK, [count(100, 2)] * BLOCK
    events = 2.0 * BLOCK
    assert last(one + other) == shown((events / 2) ** 2 / 0.25, events)


def test_one_request_a_side_and_one_event_are_compared_too() -> None:
    one = [count(1, 1), *[count(0)] * (BLOCK - 1)]
    other = [count(1), *[count(0)] * (BLOCK - 1)]
    assert last(one + other) == shown(1.0, 1.0)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("cluster", [1, 3, 10])
def test_clusters_are_found_by_their_size(cluster: int, seed: int) -> None:
    expected = 1 + VARIED * (cluster - 1)
    assert last(drawn(cluster, seed)) == pytest.approx(expected, rel=0.35, abs=0.2)


def test_a_rate_that_rises_slowly_is_no_cluster() -> None:
    chance = random.Random(7)
    rising = [
        count(1000, sum(chance.random() < number / 2e5 for _ in range(1000)))
        for number in range(1000)
    ]
    assert last(rising) < 1.3


def test_it_is_never_below_one() -> None:
    assert last(list(history(count(100, 5)))) == 1.0


def test_what_a_window_says_does_not_depend_on_what_comes_later() -> None:
    counts = drawn(5, 1, 100)
    assert list(dispersions([], counts))[:50] == list(dispersions([], counts[:50]))


def test_history_counts_like_windows_of_the_release() -> None:
    counts = drawn(5, 2, 100)
    assert list(dispersions([], counts))[60:] == list(dispersions(counts[:60], counts[60:]))


def test_flawed_windows_of_history_are_left_out() -> None:
    counts = drawn(5, 3, 100)
    flawed = [*counts[:50], count(float("nan")), count(-1), *counts[50:]]
    assert last(flawed) == last(counts)
