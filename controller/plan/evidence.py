"""What was counted for one check: requests and events, window by window, on both sides."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

STALE_SCRAPES = 2
"""Evidence whose newest sample is older than so many scrape intervals is stale (safety.md T12)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """How many requests one side answered, and how many of them were events.

    An event is what the check counts: an error, an answer slower than the edge. Metrics servers
    extrapolate, so counts need not be whole.
    """

    requests: float = 0.0
    events: float = 0.0

    @property
    def share(self) -> float:
        """The share of requests that were events; 0 without requests."""
        return self.events / self.requests if self.requests else 0.0


NOTHING = Count()


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The counts of both sides in the same stretch of time.

    Attributes:
        ends: Unix time of its end, in seconds.
    """

    ends: float
    canary: Count
    stable: Count


@dataclass(frozen=True, slots=True, kw_only=True)
class Criterion:
    """What one check tolerates.

    Attributes:
        check: as the user wrote it.
        scale: `ratio` compares the canary's share with stable's of the same time, `share` with a
            fixed number.
        tolerated: more than this is harm.
        margin: less than this is safe; from `tolerated` to `margin` nothing is claimed.
        negligible: a share below which the canary is safe whatever stable's share is; without it
            two versions without a single event could never be told from a bad one.
    """

    check: str
    scale: Literal["ratio", "share"]
    tolerated: float
    margin: float
    negligible: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Everything that was gathered for one check of one release.

    Attributes:
        windows: since the canary was first exposed, oldest first, all of one length.
        history: stable's windows of the same length before that, oldest first.
        window_seconds: how long a window is: from one scrape to the next.
        scrape_seconds: how often the metrics server looks.
        age_seconds: how old the newest sample is.
        problem: why there is no evidence, in words; "" where there is.
        has_testers: requests routed by account, ending or cookie are among the counts.
    """

    criterion: Criterion
    windows: tuple[Window, ...] = ()
    history: tuple[Count, ...] = ()
    window_seconds: float = 15.0
    scrape_seconds: float = 15.0
    age_seconds: float = 0.0
    problem: str = ""
    has_testers: bool = False

    @property
    def is_stale(self) -> bool:
        """Tell whether the newest sample is too old to decide on."""
        return not self.age_seconds <= STALE_SCRAPES * self.scrape_seconds


def flaw_of(window: Window) -> str:
    """Return why a window cannot be believed; "" where it can."""
    return flaw_of_count(window.canary) or flaw_of_count(window.stable)


def flaw_of_count(count: Count) -> str:
    """Return why a count cannot be believed; "" where it can."""
    if not (math.isfinite(count.requests) and math.isfinite(count.events)):
        return "not a number"
    if count.requests < 0 or count.events < 0:
        return "a counter went backwards"
    return "" if count.events <= count.requests + 1 else "more events than requests"


def total(counts: Sequence[Count]) -> Count:
    """Return the sum of counts."""
    return Count(
        requests=math.fsum(count.requests for count in counts),
        events=math.fsum(count.events for count in counts),
    )
