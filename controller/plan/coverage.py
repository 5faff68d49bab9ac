"""Coverage: which kinds of requests that stable answers the canary has answered as well.

The judge says how the canary did on what it was asked; this says what it was never asked. What
tells kinds apart is what the data plane counts by (`sources.py`), with one exception: an answer of
the server's own failure (5xx, or none) is an outcome and not a kind, or a canary would have to fail
as stable does to be covered.

Requests of testers count here, though they do not vote: whoever has tried a kind has tried it.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from controller.api.check import Check
from controller.api.series import Series
from controller.plan.counting import INSTANCE, Side
from controller.plan.evidence import STALE_SCRAPES, Count
from controller.plan.judge import Outcome, Verdict
from controller.plan.wording import number_text, share_text, time_text

TRIED_REQUESTS: Final = 5
"""Of a kind, until it counts as tried.

A fault that hits half of the requests of a kind shows in at least one of five with 97 %
(1 - 0.5**5); one that hits every fifth in 67 %.
"""
SHOWN_KINDS: Final = 5
"""Of what is missing; the rest is a number."""
KIND_LIMIT: Final = 100
"""Characters of a kind that a message shows."""
LOOKS: Final = 20
"""Moments between the beginning and now at which counters are read: sums need no windows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """What a series counts.

    Attributes:
        kind: of requests, in words: `POST 2xx`.
    """

    side: Side
    kind: str


Telling = Callable[[Mapping[str, str]], Sighting | None]
"""What a series with these labels counts; None: nothing of interest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """Requests that nothing the data plane counts by tells apart.

    Attributes:
        text: in words: `POST 2xx`.
        stable: how many stable has answered.
        canary: how many the canary has.
    """

    text: str
    stable: float = 0.0
    canary: float = 0.0

    @property
    def is_tried(self) -> bool:
        """Tell whether the canary has answered enough of them."""
        return self.canary >= TRIED_REQUESTS


def kinds_of(series: Sequence[Series], tell: Telling, since: float) -> tuple[Kind, ...]:
    """Return the kinds of requests that either side has answered, stable's most frequent first.

    A counter that begins again has grown by what it says then at least; one that appears beside
    others of its process has grown from 0. Gaps between samples lose nothing but a restart.

    Args:
        series: samples of counters; those of stable may begin before the release.
        tell: what each counts.
        since: Unix time of the canary's exposure: what its counters said before is of another
            release.
    """
    looked = _first_looks(series)
    counts: dict[str, dict[Side, float]] = {}
    for entry in series:
        seen = tell(entry.labels)
        if seen is not None:
            begins = since if seen.side == "canary" else -math.inf
            grown = _growth(entry, begins, looked[entry.labels.get(INSTANCE, "")])
            of_kind = counts.setdefault(seen.kind, {"canary": 0.0, "stable": 0.0})
            of_kind[seen.side] += grown
    kinds = (Kind(text=text, **sides) for text, sides in counts.items())
    return tuple(sorted(kinds, key=lambda kind: (-kind.stable, kind.text)))


def _first_looks(series: Iterable[Series]) -> Mapping[str, float]:
    """Return when each process was first looked at."""
    looks: dict[str, float] = {}
    for entry in series:
        instance = entry.labels.get(INSTANCE, "")
        first = min((at for at, _ in entry.samples), default=math.inf)
        looks[instance] = min(first, looks.get(instance, math.inf))
    return looks


def _growth(series: Series, since: float, looked: float) -> float:
    """Return by how much a counter has grown at least, from `since` on."""
    before: float | None = None
    grown = 0.0
    for at, value in series.samples:
        if at > since:
            if before is None:
                grown += value if looked < at else 0.0
            else:
                grown += value - before if value >= before else value
        before = value
    return grown


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """Everything that was gathered about what the canary was asked.

    Attributes:
        kinds: stable's most frequent first.
        untold: what the data plane does not count by, in words; "" where it tells all.
        seconds: since the canary was exposed.
        age_seconds: how old the newest sample is.
        scrape_seconds: how often the metrics server looks.
        problem: why nothing is known, in words; "" where something is.
    """

    kinds: tuple[Kind, ...] = ()
    untold: str = ""
    seconds: float = 0.0
    age_seconds: float = 0.0
    scrape_seconds: float = 15.0
    problem: str = ""

    @property
    def stable(self) -> float:
        """The requests that stable has answered."""
        return math.fsum(kind.stable for kind in self.kinds)

    @property
    def canary(self) -> float:
        """The requests that the canary has answered."""
        return math.fsum(kind.canary for kind in self.kinds)

    @property
    def wanted(self) -> tuple[Kind, ...]:
        """The kinds that stable answers."""
        return tuple(kind for kind in self.kinds if kind.stable > 0)

    @property
    def missing(self) -> tuple[Kind, ...]:
        """The kinds that stable answers and the canary has not been tried on."""
        return tuple(kind for kind in self.wanted if not kind.is_tried)

    @property
    def share(self) -> float:
        """The share of stable's requests that are of kinds the canary was tried on."""
        return 1 - self.share_of(self.missing)

    def share_of(self, kinds: Iterable[Kind]) -> float:
        """Return the share of stable's requests that are of these kinds; 0 without requests."""
        stable = self.stable
        return math.fsum(kind.stable for kind in kinds) / stable if stable else 0.0

    def missing_texts(self) -> tuple[str, ...]:
        """Return what is missing, the most frequent first, as many as are shown."""
        shown = self.missing[:SHOWN_KINDS]
        shares = (share_text(self.share_of([kind])) for kind in shown)
        return tuple(
            f"{_short(kind.text)} ({share} of stable's, {_so_far(kind)})"
            for kind, share in zip(shown, shares, strict=True)
        )


def flaw_of(tried: Tried) -> str:
    """Return why nothing can be said (safety.md T12); "" where something can."""
    if tried.problem:
        return tried.problem
    if not tried.age_seconds <= STALE_SCRAPES * tried.scrape_seconds:
        return (
            f"the newest sample is {number_text(tried.age_seconds)} s old, more than two scrape "
            f"intervals of {number_text(tried.scrape_seconds)} s"
        )
    if not all(math.isfinite(kind.stable + kind.canary) for kind in tried.kinds):
        return "a counter is not a number"
    return "" if tried.wanted else "no request to stable was counted"


def covered(check: Check, tried: Tried) -> Verdict:
    """Return what `coverage>=N%` says. Total: whatever was gathered, it never raises.

    It never fails: what was not tried is no proof of harm. It holds, and says what is missing.
    """
    flaw = flaw_of(tried)
    if flaw:
        outcome = Outcome.NO_DATA
        return Verdict(
            check=check.text, outcome=outcome, message=f"{check.text}: {outcome}: {flaw}"
        )
    wanted = (check.value or 0.0) / 100
    outcome = Outcome.PASS if tried.share >= wanted else Outcome.NOT_ENOUGH_DATA
    needed = None if outcome is Outcome.PASS else _needed(tried, wanted)
    return Verdict(
        check=check.text,
        outcome=outcome,
        message=f"{check.text}: {outcome}: {'; '.join(_parts(tried, outcome, needed))}",
        canary=Count(requests=tried.canary),
        stable=Count(requests=tried.stable),
        needed_requests=needed,
        needed_seconds=_seconds(tried, needed),
    )


def _parts(tried: Tried, outcome: Outcome, needed: float | None) -> list[str]:
    wanted, missing = tried.wanted, tried.missing
    covers = (
        f"{len(wanted) - len(missing)} of {len(wanted)} kinds of requests, {percent(tried.share)} "
        f"of stable's, were tried at least {TRIED_REQUESTS} times"
    )
    parts = [covers]
    if missing:
        texts = tried.missing_texts()
        rest = f" and {len(missing) - len(texts)} more" if len(texts) < len(missing) else ""
        parts.append(f"missing: {', '.join(texts)}{rest}")
    if outcome is Outcome.NOT_ENOUGH_DATA:
        parts.append(_more(tried, needed))
    if tried.untold:
        parts.append(f"not told apart: {tried.untold}")
    return parts


def _short(text: str) -> str:
    """Return a kind as a message may hold it: hosts and paths can be long."""
    return text if len(text) <= KIND_LIMIT else f"{text[: KIND_LIMIT - 3]}..."


def percent(share: float) -> str:
    """Return a share in percent, never rounded up to one that was not reached: `94.9 %`."""
    return f"{math.floor(1000 * share + 1e-9) / 10:g} %"


def _so_far(kind: Kind) -> str:
    return f"{number_text(kind.canary)} so far" if kind.canary else "none so far"


def _more(tried: Tried, needed: float | None) -> str:
    if needed is None:
        return "no request has reached the canary; one by a listed account counts as well"
    seconds = _seconds(tried, needed)
    time = f", {time_text(seconds)} at this rate" if seconds is not None else ""
    return f"about {number_text(needed)} more requests to the canary at stable's mix{time}"


def _seconds(tried: Tried, needed: float | None) -> float | None:
    """Return how long so many requests to the canary take at the rate so far."""
    if needed is None or tried.seconds <= 0:
        return None
    return needed * tried.seconds / tried.canary


def _needed(tried: Tried, wanted: float) -> float | None:
    """Return how many more requests of stable's mix would cover what is wanted.

    A kind with the share `p` that lacks `m` requests comes `m` times in `m / p` requests. The most
    frequent kinds count until their share is enough. None: the canary gets no requests at all.
    """
    if not tried.canary:
        return None
    share, needed = tried.share, 0.0
    for kind in tried.missing:
        if share >= wanted:
            break
        of_kind = tried.share_of([kind])
        needed = max(needed, (TRIED_REQUESTS - kind.canary) / of_kind)
        share += of_kind
    return needed
