"""Chance, with a seed: the requests of many releases at once, scrape by scrape."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

SCRAPE_SECONDS: Final = 15
A_MINUTE: Final = 60 // SCRAPE_SECONDS
HOUR: Final = 60 * A_MINUTE
AT_ONCE: Final = 1000
"""Releases drawn together: a batch has to fit in memory."""

Array = NDArray[np.float64]

Course = Callable[[NDArray[np.int64]], Array]
"""Something that may change: its values at these scrapes, counted from the first of the release."""


class Counts(NamedTuple):
    """What both sides counted: a row for each release, a column for each stretch of time."""

    canary: Array
    canary_events: Array
    stable: Array
    stable_events: Array

    def joined(self, length: int) -> "Counts":
        """Return the sums of `length` neighbouring columns."""
        whole = self.canary.shape[1] // length * length
        return Counts(*(it[:, :whole].reshape(it.shape[0], -1, length).sum(axis=2) for it in self))


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """What comes to one release.

    Attributes:
        rate: requests a second, both sides together.
        weight: percent of them that go to the canary.
        share: of stable's requests that are errors.
        ratio: how many times as many of the canary's are; at most all.
        cluster: errors in one fault on average, geometric; all on one side.
        spread: scrapes over which the errors of one fault are spread.
    """

    rate: float
    weight: Course
    share: Course
    ratio: float = 1.0
    cluster: float = 1.0
    spread: int = 1


class Releases(NamedTuple):
    """A batch of releases of one kind: stable's scrapes before, and all scrapes of it."""

    before: Counts
    during: Counts


def batches(
    traffic: Traffic, seed: int, number: int, *, before: int, during: int
) -> Iterator[Releases]:
    """Draw releases of the same kind, so many scrapes of each."""
    for batch in range(math.ceil(number / AT_ONCE)):
        chance = np.random.default_rng([seed, batch])
        size = min(AT_ONCE, number - batch * AT_ONCE)
        drawn = _drawn(traffic, chance, size, np.arange(-before, during))
        yield Releases(
            before=Counts(*(it[:, :before] for it in drawn)),
            during=Counts(*(it[:, before:] for it in drawn)),
        )


def _drawn(
    traffic: Traffic, chance: np.random.Generator, size: int, scrapes: NDArray[np.int64]
) -> Counts:
    part = traffic.weight(scrapes) / 100
    share = traffic.share(scrapes)
    everybody = traffic.rate * SCRAPE_SECONDS
    return Counts(
        *_side(traffic, chance, size, everybody * part, np.minimum(1, share * traffic.ratio)),
        *_side(traffic, chance, size, everybody * (1 - part), share),
    )


def _side(
    traffic: Traffic, chance: np.random.Generator, size: int, requests: Array, share: Array
) -> tuple[Array, Array]:
    shape = (size, len(requests))
    good = chance.poisson(requests * (1 - share), shape)
    faults = chance.poisson(requests * share / traffic.cluster, shape)
    events = _spread(_errors(faults, traffic.cluster, chance), traffic.spread, chance)
    return good + events, events


def _errors(
    faults: NDArray[np.int64], cluster: float, chance: np.random.Generator
) -> NDArray[np.int64]:
    """Return the errors of so many faults: geometric each, so a negative binomial together."""
    if cluster == 1:
        return faults
    more = chance.negative_binomial(np.maximum(faults, 1), 1 / cluster)
    return faults + np.where(faults > 0, more, 0)


def _spread(errors: NDArray[np.int64], spread: int, chance: np.random.Generator) -> Array:
    """Move each error to one of the next scrapes, this one included."""
    found = np.zeros(errors.shape)
    left = errors
    for later in range(spread):
        here = chance.binomial(left, 1 / (spread - later))
        found[:, later:] += here[:, : errors.shape[1] - later]
        left = left - here
    return found


def constant(value: float) -> Course:
    """Return what never changes."""
    return lambda scrapes: np.full(len(scrapes), value)


def waves(low: float, high: float, seconds: float) -> Course:
    """Return what goes up and down between two values, once in so many seconds."""
    middle, swing = math.log(low * high) / 2, math.log(high / low) / 2

    def course(scrapes: NDArray[np.int64]) -> Array:
        turns = scrapes * (SCRAPE_SECONDS / seconds)
        return np.asarray(np.exp(middle + swing * np.sin(2 * np.pi * turns)), np.float64)

    return course


def stairs(*steps: float, every: int) -> Course:
    """Return what takes a step after so many scrapes, again and again, and stays at the last."""
    return lambda scrapes: np.array(steps)[np.clip(scrapes // every, 0, len(steps) - 1)]
