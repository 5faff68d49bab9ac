"""When a release is rolled back: the judge's answer, and those of rules that others document.

The others are written here from what their documentation says, in the simplest form that keeps it.
All see the same scrapes.
"""

import math
from collections.abc import Callable, Sequence
from statistics import NormalDist
from typing import Final

import numpy as np
from numpy.typing import NDArray

from controller.plan.dispersion import BLOCK, FADING, PRIOR, PRIOR_EVENTS, VARIED
from controller.plan.eprocess import BETTER, WORSE, at_any_time, most_of
from controller.plan.evidence import Criterion
from controller.plan.judge import HARM, SAFETY
from tests.judge.traffic import A_MINUTE, Array, Counts, Releases

ERROR_RATE: Final = Criterion(
    check="error-rate", scale="ratio", tolerated=1.05, margin=2.0, negligible=0.005
)
NEVER: Final = math.inf

Rule = Callable[[Releases], Array]
"""Return for each release after how many scrapes it is rolled back; infinite: never."""


def judged(*, length: int = 1, checks: int = 1, knows: bool = True) -> Rule:
    """The judge, with a look at the end of every window of so many scrapes."""
    limit = math.log(checks / HARM)

    def rule(releases: Releases) -> Array:
        during = releases.during.joined(length)
        before = releases.before.joined(length)
        if not knows:
            before = Counts(*(it[:, :0] for it in before))
        return first(paths(before, during, limit) >= limit) * length

    return rule


def paths(before: Counts, during: Counts, limit: float) -> Array:
    """Return E against harm after each window, as logarithms: `eprocess.path`, for all at once."""
    trials = ratio_trials(during, ERROR_RATE.tolerated)
    gains = _gains(*trials, WORSE, dispersion(before, during), most_of(limit, WORSE))
    begin = np.fromiter(at_any_time(), float, during.canary.shape[1])
    wealth, found = [np.full(during.canary.shape[0], -math.inf)] * len(gains), []
    for column, (part, waiting) in enumerate(zip(begin, 1 - begin.cumsum(), strict=True)):
        fresh = math.log(part / len(gains))
        wealth = [
            np.logaddexp(have, fresh) + gain[:, column]
            for have, gain in zip(wealth, gains, strict=True)
        ]
        found.append(np.logaddexp.reduce([*wealth, np.full_like(wealth[0], math.log(waiting))]))
    return np.asarray(found).T


def passed(*, knows: bool = True) -> Rule:
    """When the judge lets a step pass; infinite: never, or it failed first."""

    def rule(releases: Releases) -> Array:
        shown = first(safe_paths(releases.before, releases.during) >= -math.log(SAFETY))
        return np.where(shown < judged(knows=knows)(releases), shown, NEVER)

    return rule


def safe_paths(before: Counts, during: Counts) -> Array:
    """Return E for safety after each window, as logarithms: the mean of its two views."""
    clustered = dispersion(before, during)
    by_ratio = _wealth(_gains(*ratio_trials(during, ERROR_RATE.margin), BETTER, clustered))
    chance = np.full_like(during.canary, ERROR_RATE.negligible)
    by_share = _wealth(_gains(during.canary_events, during.canary, chance, BETTER, clustered))
    return np.logaddexp(by_ratio, by_share) - math.log(2)


def ratio_trials(during: Counts, ratio: float) -> tuple[Array, Array, Array]:
    """Return hits, trials and chance: `eprocess.by_ratio`, for all at once."""
    weighted = ratio * during.canary
    requests = weighted + during.stable
    chance = np.divide(weighted, requests, out=np.zeros_like(requests), where=requests > 0)
    both = (during.canary > 0) & (during.stable > 0)
    hits = np.where(both, during.canary_events, 0)
    return hits, np.where(both, during.canary_events + during.stable_events, 0), chance


def _gains(
    hits: Array,
    trials: Array,
    chance: Array,
    factors: Sequence[float],
    clustered: Array,
    most: float = math.inf,
) -> list[Array]:
    gains = (
        (hits * math.log(factor) - trials * np.log1p(chance * (factor - 1))) / clustered
        for factor in factors
    )
    return [np.minimum(gain, most) for gain in gains]


def _wealth(gains: Sequence[Array]) -> Array:
    """Return the wealth of bets that all begin with the first window."""
    wealth = [np.cumsum(gain, axis=1) for gain in gains]
    return np.asarray(np.logaddexp.reduce(wealth, axis=0) - math.log(len(gains)))


def dispersion(before: Counts, during: Counts) -> Array:
    """Return the dispersion known before each window: `dispersion.dispersions`, for all at once."""
    requests = np.concatenate([before.stable, during.stable], axis=1)
    events = np.concatenate([before.stable_events, during.stable_events], axis=1)
    rows, columns = requests.shape
    pairs = columns // (2 * BLOCK)
    n, x = (
        it[:, : pairs * 2 * BLOCK].reshape(rows, pairs, 2, BLOCK).sum(axis=3)
        for it in (requests, events)
    )
    total = x.sum(axis=2)
    counts = (n.min(axis=2) > 0) & (total > 0)
    part = np.where(counts, n[:, :, 0] / np.maximum(n.sum(axis=2), 1), 0.5)
    square = (x[:, :, 0] - total * part) ** 2 / (part * (1 - part))
    squares = np.zeros((rows, pairs + 1))
    seen = np.zeros((rows, pairs + 1))
    squares[:, 1:] = np.where(counts, square, 0).cumsum(axis=1)
    seen[:, 1:] = np.where(counts, total, 0).cumsum(axis=1)
    prior = np.maximum(0, PRIOR_EVENTS - seen / FADING)
    estimate = (PRIOR * prior + squares) / (prior + seen)
    known = np.maximum(1, 1 + VARIED * (estimate - 1))
    complete = np.arange(before.stable.shape[1], columns) // (2 * BLOCK)
    return np.asarray(known[:, complete])


def first(reached: NDArray[np.bool_]) -> Array:
    """Return the number of the first column, from 1, in which something holds."""
    return np.where(reached.any(axis=1), reached.argmax(axis=1) + 1.0, NEVER)


def fixed_threshold(lowest: float, failures: int = 5) -> Rule:
    """Every minute: a lower share of good answers than this is a failure; so many roll back."""

    def rule(releases: Releases) -> Array:
        minutes = releases.during.joined(A_MINUTE)
        failed = _share(minutes.canary, minutes.canary_events) > 1 - lowest
        return first(failed.cumsum(axis=1) >= failures) * A_MINUTE

    return rule


def last_two_samples(lowest: float = 0.95, tolerated: int = 3) -> Rule:
    """Every minute: the rate between the last two scrapes; more failures than so many roll back."""

    def rule(releases: Releases) -> Array:
        latest = Counts(*(it[:, A_MINUTE - 1 :: A_MINUTE] for it in releases.during))
        failed = _share(latest.canary, latest.canary_events) > 1 - lowest
        return first(failed.cumsum(axis=1) > tolerated) * A_MINUTE

    return rule


def rank_test(confidence: float = 0.98, every: int = 5) -> Rule:
    """Every five minutes: a rank test on the error shares of all minutes so far, two-sided."""
    limit = NormalDist().inv_cdf((1 + confidence) / 2)

    def rule(releases: Releases) -> Array:
        minutes = releases.during.joined(A_MINUTE)
        canary = _share(minutes.canary, minutes.canary_events)
        stable = _share(minutes.stable, minutes.stable_events)
        looks = range(every, canary.shape[1] + 1, every)
        scores = [rank_scores(canary[:, :end], stable[:, :end]) for end in looks]
        return first(np.stack(scores, axis=1) > limit) * every * A_MINUTE

    return rule


def rank_scores(canary: Array, stable: Array) -> Array:
    """Return how far the canary's points rank above stable's, in standard deviations."""
    m, n = canary.shape[1], stable.shape[1]
    points = np.sort(np.concatenate([canary, stable], axis=1), axis=1)
    above = np.zeros(canary.shape[0])
    tied = np.zeros(canary.shape[0])
    for row, ordered in enumerate(points):
        low = np.searchsorted(ordered, canary[row], side="left")
        high = np.searchsorted(ordered, canary[row], side="right")
        above[row] = (low + high + 1).sum() / 2 - m * (m + 1) / 2
        _, sizes = np.unique(ordered, return_counts=True)
        tied[row] = (sizes**3 - sizes).sum()
    variance = m * n / 12 * (m + n + 1 - tied / ((m + n) * (m + n - 1)))
    # Half a step towards the middle: the ranks are whole, the normal distribution is not.
    distance = above - m * n / 2
    distance -= np.sign(distance) / 2
    # With nothing but ties the distance is 0 and the spread is too.
    return np.asarray(distance / np.sqrt(np.where(variance > 0, variance, 1)), np.float64)


def _share(requests: Array, events: Array) -> Array:
    return np.divide(events, requests, out=np.zeros_like(events), where=requests > 0)
