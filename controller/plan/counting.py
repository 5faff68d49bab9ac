"""Turns the counters of a metrics server into windows of counts.

Counters only grow, and begin again at 0 when their process does. Each series is followed by itself,
because in a sum over several proxies a restart of one could hide behind the growth of another.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from controller.api.series import Series
from controller.plan.evidence import Count, Window

Side = Literal["canary", "stable"]

INSTANCE: Final = "instance"
"""The label by which a metrics server tells the processes apart that it looks at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What growth by one of a counter means.

    Attributes:
        requests: of that side; below 0 where it takes away what another counter has too much.
        events: the same of events.
    """

    side: Side
    requests: float = 0.0
    events: float = 0.0


Reading = Callable[[Mapping[str, str]], Part | None]
"""What the growth of a series with these labels means; None: nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """The moments at which the counters were read.

    Attributes:
        start: Unix time of the first.
        step: seconds from one to the next: a window.
        windows: how many follow the first moment.
    """

    start: float
    step: float
    windows: int

    def place(self, at: float) -> int:
        """Return the number of the moment that this time is."""
        return round((at - self.start) / self.step)

    def ends(self, number: int) -> float:
        """Return the time of a moment."""
        return self.start + number * self.step


GAP: Final = Count(requests=math.nan, events=math.nan)
"""Nobody looked."""
BACKWARDS: Final = Count(requests=-1.0)
"""A counter began again in between: what it had by then is not known."""


def windows_of(series: Sequence[Series], read: Reading, grid: Grid) -> tuple[Window, ...]:
    """Return the windows between the moments of a grid, oldest first.

    A window at whose end or beginning nothing at all was seen is a gap, and one in which a counter
    went backwards is spoilt; both are flawed and will be left out. A series that appears beside
    others of its process has grown from 0; one whose process was not looked at before begins with
    its first sample, whatever it says.
    """
    followed = [_Followed.of(entry, part, grid) for entry in series if (part := read(entry.labels))]
    seen: dict[str, set[int]] = {}
    for entry in followed:
        seen.setdefault(entry.instance, set()).update(entry.values)
    looked = set().union(*seen.values())
    return tuple(
        _window(followed, seen, number, grid.ends(number))
        if {number - 1, number} <= looked
        else Window(ends=grid.ends(number), canary=GAP, stable=GAP)
        for number in range(1, grid.windows + 1)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Followed:
    instance: str
    part: Part
    values: Mapping[int, float]

    @classmethod
    def of(cls, series: Series, part: Part, grid: Grid) -> "_Followed":
        values = {grid.place(at): value for at, value in series.samples}
        return cls(instance=series.labels.get(INSTANCE, ""), part=part, values=values)

    def growth(self, number: int, known: Iterable[int]) -> float:
        """Return by how much it grew up to a moment, as far as that is known."""
        if number not in self.values:
            return 0.0
        if number - 1 in self.values:
            return self.values[number] - self.values[number - 1]
        return self.values[number] if number - 1 in known else 0.0


def _window(
    followed: Iterable[_Followed], seen: Mapping[str, set[int]], number: int, ends: float
) -> Window:
    sums: dict[Side, list[float]] = {"canary": [0.0, 0.0], "stable": [0.0, 0.0]}
    for entry in followed:
        growth = entry.growth(number, seen[entry.instance])
        if growth < 0:
            return Window(ends=ends, canary=BACKWARDS, stable=BACKWARDS)
        side = sums[entry.part.side]
        side[0] += growth * entry.part.requests
        side[1] += growth * entry.part.events
    counts = {side: Count(requests=n, events=x) for side, (n, x) in sums.items()}
    return Window(ends=ends, canary=counts["canary"], stable=counts["stable"])
