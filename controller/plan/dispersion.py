"""By how much events come in clusters, estimated from stable's windows alone.

One account that retries ten times makes ten errors and one fault. Counts in windows then vary
more than independent events would, by about the size of a cluster, and every e-value has to be
discounted by that (`eprocess.path`).

Neighbours are compared: of `k` events in two neighbouring blocks of windows the first should have
its part by its requests, with the variance of a binomial. The square of the difference over that
variance is 1 per event on average for independent events, whatever the rate is and however slowly
it changes, and about the size of a cluster for clustered ones.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from controller.plan.evidence import Count, flaw_of_count, total

BLOCK = 8
"""Windows in a block, two minutes of the usual ones: a burst may be longer than a window."""
PRIOR = 6.0
"""What is assumed while nothing is known: clusters of six."""
PRIOR_EVENTS = 30.0
"""So many events stand for that assumption."""
FADING = 8.0
"""Every so many events that were seen take the place of one of them."""
VARIED = 1.3
"""Clusters are of different sizes, and the large ones mislead more than the mean says; found by
simulation with sizes that are spread geometrically (docs/results/judge.md)."""


@dataclass(slots=True)
class _Known:
    """What the windows so far say.

    Attributes:
        squares: of the differences between neighbouring blocks, over what they should be.
        events: in these blocks.
        waiting: windows that do not make two blocks yet.
    """

    squares: float = 0.0
    events: float = 0.0
    waiting: list[Count] = field(default_factory=list)

    def take(self, count: Count) -> None:
        self.waiting.append(count)
        if len(self.waiting) == 2 * BLOCK:
            self._compare(total(self.waiting[:BLOCK]), total(self.waiting[BLOCK:]))
            self.waiting.clear()

    def _compare(self, first: Count, second: Count) -> None:
        both = total([first, second])
        if first.requests > 0 and second.requests > 0 and both.events > 0:
            part = first.requests / both.requests
            self.squares += (first.events - both.events * part) ** 2 / (part * (1.0 - part))
            self.events += both.events

    @property
    def dispersion(self) -> float:
        prior = max(0.0, PRIOR_EVENTS - self.events / FADING)
        estimate = (PRIOR * prior + self.squares) / (prior + self.events)
        return max(1.0, 1.0 + VARIED * (estimate - 1.0))


def dispersions(history: Sequence[Count], windows: Iterable[Count]) -> Iterator[float]:
    """Yield for each window the dispersion, at least 1, that all windows before it show.

    Only what came before: what a window says does not depend on what comes later, so evidence that
    is computed again says the same.

    Args:
        history: stable's windows before the release, oldest first; flawed ones are left out.
        windows: stable's windows of the release.
    """
    known = _Known()
    for count in history:
        if not flaw_of_count(count):
            known.take(count)
    for count in windows:
        yield known.dispersion
        known.take(count)
