"""E-processes on counts: evidence that may be looked at as often as one likes.

An e-process is a running product that starts at 1 and whose expectation, as long as a hypothesis
holds, never exceeds 1 at any time at which somebody may choose to stop. Ville's inequality then
bounds the chance that it ever reaches 1/alpha by alpha: looks cost nothing.

Both hypotheses here are about odds. Of `trials` Bernoulli trials with chance `p` that had `hits`,
multiplying the odds by `f` multiplies the likelihood by `f**hits / (1 + p * (f - 1))**trials`:

* *ratio*: each event of a window is a trial and a hit if it fell on the canary. With `n_c` and
  `n_s` observed requests and a canary that is `r` times as bad, `p = r * n_c / (r * n_c + n_s)`.
  Stable's own share cancels out, so it may wander from window to window as it likes.
* *share*: each request of the canary is a trial and a hit if it was an event; `p` is the limit.

The ratio form is exact for Poisson counts and conservative for binomial ones, however frequent the
events: with `a` and `b` the factors of an event on the canary and on stable, the expectation is
`(1 + q_c * (a - 1))**n_c * (1 + q_s * (b - 1))**n_s`, at most the exponential of
`n_c * q_c * (a - 1) + n_s * q_s * (b - 1)`, which is 0 where `q_c = r * q_s` and negative on the
side of the hypothesis.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from controller.plan.evidence import Window

WORSE = (2.0, 4.0, 10.0, 40.0)
"""Multiples of the tolerated odds that the mixture against harm bets on, in equal parts."""
BETTER = (0.85, 0.7, 0.5, 0.3, 0.1, 0.02)
"""Multiples of the odds at the margin that the mixture for safety bets on, in equal parts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trials:
    """What one window says about one hypothesis.

    Attributes:
        hits: of the trials.
        trials: how many there were.
        chance: of a hit at the edge of the hypothesis.
    """

    hits: float
    trials: float
    chance: float


View = Callable[[Window], Trials]
"""How a hypothesis looks at a window."""


def by_ratio(ratio: float) -> View:
    """Look at which side the events fell on; the edge: the canary is `ratio` times as bad."""

    def view(window: Window) -> Trials:
        canary, stable = window.canary, window.stable
        if canary.requests <= 0 or stable.requests <= 0:
            return Trials(hits=0.0, trials=0.0, chance=0.0)
        weighted = ratio * canary.requests
        return Trials(
            hits=canary.events,
            trials=canary.events + stable.events,
            chance=weighted / (weighted + stable.requests),
        )

    return view


def by_share(share: float) -> View:
    """Look at the canary's requests alone; the edge: this share of them are events."""

    def view(window: Window) -> Trials:
        count = window.canary
        hits = min(count.events, count.requests)
        return Trials(hits=hits, trials=count.requests, chance=share)

    return view


def gain(trials: Trials, factor: float) -> float:
    """Return what a bet on `factor` times the odds gains, as a logarithm."""
    against = trials.trials * math.log1p(trials.chance * (factor - 1.0))
    return trials.hits * math.log(factor) - against


AT_ONCE = (1.0,)
"""All bets begin with the first window."""
FIRST = 0.8
"""The part of the wealth that is bet from the first window on."""


def at_any_time() -> Iterator[float]:
    """Yield for each window the part of the wealth whose bets begin with it.

    A canary may turn bad after hours in which it was good, when the bets of the first window have
    lost all they had. So a part begins later: in the `n`th window after the first
    `(1 - FIRST) / (n * (n + 1))` of the whole, which adds up to 1. A mixture of e-processes is one,
    and what has not begun yet is wealth that stands still.
    """
    yield FIRST
    number = 0
    while True:
        number += 1
        yield (1.0 - FIRST) / (number * (number + 1))


def most_of(limit: float, factors: Sequence[float]) -> float:
    """Return the most that one window may add: two of the worst just reach the limit.

    A bet that is paid less than it won stays an e-process. So no single burst decides, whatever
    made it.
    """
    return (limit + math.log(len(factors) / FIRST)) / 2


def path(
    windows: Iterable[Window],
    view: View,
    factors: Sequence[float],
    dispersion: Iterable[float],
    most: float = math.inf,
    begin: Iterable[float] = AT_ONCE,
) -> Iterator[float]:
    """Yield the logarithm of the e-process after each window.

    Args:
        windows: oldest first, without flaws.
        view: the hypothesis.
        factors: the bets of the mixture; the wealth starts in equal parts.
        dispersion: for each window by how much events come in clusters; clusters of `d` events
            are worth one, so every gain is divided by it.
        most: what one window may add, as a logarithm.
        begin: for each window the part of the wealth that is bet from then on; no more follows.
    """
    wealth, waiting, parts = [-math.inf] * len(factors), 1.0, iter(begin)
    for window, clustered in zip(windows, dispersion, strict=True):
        part = next(parts, 0.0)
        waiting -= part
        fresh = _logarithm(part / len(factors))
        trials = view(window)
        wealth = [
            _log_sum_of_two(have, fresh) + min(gain(trials, factor) / clustered, most)
            for have, factor in zip(wealth, factors, strict=True)
        ]
        yield log_sum([*wealth, _logarithm(waiting)])


def _logarithm(part: float) -> float:
    return math.log(part) if part > 0 else -math.inf


def _log_sum_of_two(one: float, other: float) -> float:
    low, high = min(one, other), max(one, other)
    return high if low == -math.inf else high + math.log1p(math.exp(low - high))


def log_sum(logarithms: Sequence[float]) -> float:
    """Return the logarithm of a sum, of its terms' logarithms."""
    highest = max(logarithms)
    return highest + math.log(math.fsum(math.exp(it - highest) for it in logarithms))


def log_mean(logarithms: Sequence[float]) -> float:
    """Return the logarithm of a mean: e-values of any dependence average to an e-value."""
    return log_sum(logarithms) - math.log(len(logarithms))


def expected_gain(at: Trials, chance: float, factors: Sequence[float]) -> float:
    """Return what the best bet gains on average if hits have this chance instead; 0 at least."""
    expected = Trials(hits=at.trials * chance, trials=at.trials, chance=at.chance)
    return max(0.0, *(gain(expected, factor) for factor in factors))
