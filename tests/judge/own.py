"""The same releases, judged by the controller's own code: what the fast form is held to."""

import math

from controller.plan.dispersion import dispersions
from controller.plan.eprocess import WORSE, at_any_time, by_ratio, most_of, path
from controller.plan.evidence import Count, Evidence, Window
from controller.plan.judge import HARM, Verdict, judge
from tests.judge.rules import ERROR_RATE
from tests.judge.traffic import SCRAPE_SECONDS, Counts, Releases


def stable_of(counts: Counts, row: int) -> tuple[Count, ...]:
    """Return stable's windows of one release."""
    pairs = zip(counts.stable[row], counts.stable_events[row], strict=True)
    return tuple(Count(requests=float(n), events=float(x)) for n, x in pairs)


def canary_of(counts: Counts, row: int) -> tuple[Count, ...]:
    """Return the canary's windows of one release."""
    pairs = zip(counts.canary[row], counts.canary_events[row], strict=True)
    return tuple(Count(requests=float(n), events=float(x)) for n, x in pairs)


def windows_of(counts: Counts, row: int, seconds: float = SCRAPE_SECONDS) -> tuple[Window, ...]:
    """Return the windows of one release."""
    both = zip(canary_of(counts, row), stable_of(counts, row), strict=True)
    return tuple(
        Window(ends=seconds * (number + 1), canary=canary, stable=stable)
        for number, (canary, stable) in enumerate(both)
    )


def path_of(releases: Releases, row: int) -> list[float]:
    """Return E against harm after each window of one release, as logarithms."""
    windows = windows_of(releases.during, row)
    clustered = dispersions(stable_of(releases.before, row), (it.stable for it in windows))
    most = most_of(-math.log(HARM), WORSE)
    view = by_ratio(ERROR_RATE.tolerated)
    return list(path(windows, view, WORSE, clustered, most, at_any_time()))


def verdict_of(releases: Releases, row: int, scrapes: int) -> Verdict:
    """Return what the judge says of one release after so many scrapes in its first step."""
    evidence = Evidence(
        criterion=ERROR_RATE,
        windows=windows_of(releases.during, row)[:scrapes],
        history=stable_of(releases.before, row),
    )
    return judge([evidence], since=0.0)[0]
