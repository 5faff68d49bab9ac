"""The judge: what the counts of a release prove, however often one looks.

Each check is asked two questions, and each has an e-process of its own (`eprocess.py`):

* *Harm*: "the canary is no worse than tolerated" is rejected once E reaches the limit, at any look
  since the first exposure, and the check fails. All checks of a release share one chance of a
  false alarm, `HARM`: with `k` checks the limit of each is `k / HARM` (Bonferroni), which holds
  however the checks depend on each other.
* *Safety*: "the canary is as bad as the margin, or worse" is rejected once E of the windows since
  the step began is at `1 / SAFETY`, and the check passes. A step goes on only when all checks
  pass, so this needs no correction.

Between the two there is not enough data, and the message says how much more is needed. Evidence
that is missing, stale or no number is no data: it holds, and proves nothing (safety.md T12).
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from controller.plan.dispersion import dispersions
from controller.plan.eprocess import (
    BETTER,
    WORSE,
    View,
    at_any_time,
    by_ratio,
    by_share,
    expected_gain,
    log_mean,
    most_of,
    path,
)
from controller.plan.evidence import NOTHING, Count, Criterion, Evidence, Window, flaw_of, total
from controller.plan.wording import evidence_text, number_text, ratio_text, share_text, time_text

HARM = 0.01
"""The chance that a release whose canary is as good as tolerated is ever failed."""
SAFETY = 0.05
"""The chance that a canary as bad as the margin passes a step."""


class Outcome(StrEnum):
    """What a check says."""

    PASS = "pass"  # noqa: S105 - no password
    FAIL = "fail"
    NO_DATA = "no data"
    NOT_ENOUGH_DATA = "not enough data"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What one check says, and why.

    Attributes:
        check: as the user wrote it.
        message: one sentence with numbers, the outcome first.
        canary: what was counted on the canary since the first exposure.
        stable: the same of stable.
        harm: the highest logarithm of E against harm so far.
        harm_limit: the logarithm at which the check fails.
        safety: the logarithm of E for safety, of the step.
        safety_limit: the logarithm at which the check passes.
        dispersion: how many events count as one.
        curve: E against harm after each window, as logarithms.
        needed_requests: of the canary, until it can be expected to pass if it is as good as stable;
            None where nothing can be said.
        needed_seconds: the same at the rate so far.
    """

    check: str
    outcome: Outcome
    message: str
    canary: Count = NOTHING
    stable: Count = NOTHING
    harm: float = 0.0
    harm_limit: float = 0.0
    safety: float = 0.0
    safety_limit: float = 0.0
    dispersion: float = 1.0
    curve: tuple[float, ...] = ()
    needed_requests: float | None = None
    needed_seconds: float | None = None


def judge(evidence: Sequence[Evidence], since: float) -> tuple[Verdict, ...]:
    """Return the verdict of each check. Total: whatever the evidence holds, it never raises.

    Args:
        evidence: one for each check of the release that counts.
        since: Unix time at which the present step began: safety is shown for each step anew.
    """
    if not evidence:
        return ()
    limit = math.log(len(evidence) / HARM)
    return tuple(_verdict(entry, since, limit) for entry in evidence)


def outcome_of(verdicts: Iterable[Verdict]) -> Outcome:
    """Return the outcome of all checks together: one failure fails, a pass needs them all."""
    found = {verdict.outcome for verdict in verdicts}
    return next((outcome for outcome in _WORST_FIRST if outcome in found), Outcome.PASS)


_WORST_FIRST = (Outcome.FAIL, Outcome.NO_DATA, Outcome.NOT_ENOUGH_DATA)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reading:
    """The evidence of one check, without its flawed windows, and what it proves."""

    evidence: Evidence
    windows: tuple[Window, ...]
    harm: tuple[float, ...]
    harm_limit: float
    safety: float
    dispersion: float

    @property
    def criterion(self) -> Criterion:
        return self.evidence.criterion

    @property
    def canary(self) -> Count:
        return total([window.canary for window in self.windows])

    @property
    def stable(self) -> Count:
        return total([window.stable for window in self.windows])


def _verdict(evidence: Evidence, since: float, limit: float) -> Verdict:
    problem = evidence.problem or _problem(evidence)
    if problem:
        return Verdict(
            check=evidence.criterion.check,
            outcome=Outcome.NO_DATA,
            message=f"{evidence.criterion.check}: {Outcome.NO_DATA}: {problem}",
            harm_limit=limit,
            safety_limit=_SAFETY_LIMIT,
        )
    reading = _read(evidence, since, limit)
    outcome = _outcome(reading)
    needed = _needed(reading) if outcome is Outcome.NOT_ENOUGH_DATA else None
    return Verdict(
        check=evidence.criterion.check,
        outcome=outcome,
        message=_message(reading, outcome, needed),
        canary=reading.canary,
        stable=reading.stable,
        harm=max(reading.harm),
        harm_limit=limit,
        safety=reading.safety,
        safety_limit=_SAFETY_LIMIT,
        dispersion=reading.dispersion,
        curve=reading.harm,
        needed_requests=needed,
        needed_seconds=None if needed is None else needed / _rate(reading),
    )


_SAFETY_LIMIT = -math.log(SAFETY)


def _problem(evidence: Evidence) -> str:
    """Return why nothing can be said at all; "" where something can."""
    if not evidence.windows:
        return "no window is over since the canary was exposed"
    if evidence.is_stale:
        return (
            f"the newest sample is {number_text(evidence.age_seconds)} s old, more than two scrape "
            f"intervals of {number_text(evidence.scrape_seconds)} s"
        )
    flaw = flaw_of(evidence.windows[-1])
    if flaw:
        return f"the newest window cannot be believed: {flaw}"
    good = [window for window in evidence.windows if not flaw_of(window)]
    for side, counts in (
        ("canary", [window.canary for window in good]),
        ("stable", [window.stable for window in good]),
    ):
        if not total(counts).requests and _needs(evidence.criterion, side):
            return f"no request to {side} was counted in {len(good)} windows"
    return ""


def _needs(criterion: Criterion, side: str) -> bool:
    return side == "canary" or criterion.scale == "ratio"


def _read(evidence: Evidence, since: float, limit: float) -> _Reading:
    criterion = evidence.criterion
    windows = tuple(window for window in evidence.windows if not flaw_of(window))
    stable = [window.stable for window in windows]
    clustered = tuple(dispersions(evidence.history, stable))
    view = _view(criterion, criterion.tolerated)
    harm = tuple(path(windows, view, WORSE, clustered, most_of(limit, WORSE), at_any_time()))
    fresh = [i for i, window in enumerate(windows) if window.ends > since]
    step = [windows[i] for i in fresh]
    weights = [clustered[i] for i in fresh]
    shown = [tuple(path(step, view, BETTER, weights)) for view in _safety_views(criterion)]
    return _Reading(
        evidence=evidence,
        windows=windows,
        harm=harm,
        harm_limit=limit,
        safety=log_mean([process[-1] for process in shown]) if step else 0.0,
        dispersion=clustered[-1],
    )


def _view(criterion: Criterion, edge: float) -> View:
    return by_ratio(edge) if criterion.scale == "ratio" else by_share(edge)


def _safety_views(criterion: Criterion) -> list[View]:
    """Return the ways to be safe: below the margin, or below what matters at all.

    A canary that is neither is bad in both senses, so both are e-processes for it, and so is their
    mean.
    """
    views = [_view(criterion, criterion.margin)]
    if criterion.negligible:
        views.append(by_share(criterion.negligible))
    return views


def _outcome(reading: _Reading) -> Outcome:
    if max(reading.harm) >= reading.harm_limit:
        return Outcome.FAIL
    return Outcome.PASS if reading.safety >= _SAFETY_LIMIT else Outcome.NOT_ENOUGH_DATA


def _needed(reading: _Reading) -> float | None:
    """Return how many more requests of the canary would show that it is as good as stable."""
    canary, stable = reading.canary, reading.stable
    together = total([canary, stable])
    share = together.share if reading.criterion.scale == "ratio" else canary.share
    alike = Window(
        ends=0.0,
        canary=Count(requests=canary.requests, events=share * canary.requests),
        stable=Count(requests=stable.requests, events=share * stable.requests),
    )
    gains = []
    for view in _safety_views(reading.criterion):
        trials = view(alike)
        if trials.trials:
            chance = trials.hits / trials.trials
            gains.append(expected_gain(trials, chance, BETTER) / reading.dispersion)
    best = max(gains, default=0.0)
    # The wealth starts in equal parts, and only the best bet of the best view grows.
    missing = _SAFETY_LIMIT + math.log(len(BETTER) * len(gains or [0])) - max(reading.safety, 0.0)
    return canary.requests * missing / best if best > 0 else None


def _message(reading: _Reading, outcome: Outcome, needed: float | None) -> str:
    parts = [_counted(reading), _compared(reading), _proven(reading, outcome)]
    if outcome is Outcome.NOT_ENOUGH_DATA:
        parts.append(_more(reading, needed))
    if reading.dispersion >= 1.05:
        parts.append(f"{reading.dispersion:.1f} events count as one, as they come in clusters")
    left_out = len(reading.evidence.windows) - len(reading.windows)
    if left_out:
        flaw = next(flaw for it in reading.evidence.windows if (flaw := flaw_of(it)))
        parts.append(f"{left_out} of {len(reading.evidence.windows)} windows left out ({flaw})")
    if reading.evidence.has_testers:
        parts.append("requests routed by account or cookie are included")
    return f"{reading.criterion.check}: {outcome}: {'; '.join(parts)}"


def _counted(reading: _Reading) -> str:
    sides = [("canary", reading.canary)]
    if reading.criterion.scale == "ratio":
        sides.append(("stable", reading.stable))
    return ", ".join(
        f"{side} {number_text(count.events)} of {number_text(count.requests)}"
        f" ({share_text(count.share)})"
        for side, count in sides
    )


def _compared(reading: _Reading) -> str:
    criterion = reading.criterion
    if criterion.scale == "share":
        return f"tolerated {share_text(criterion.tolerated)}"
    if not reading.stable.events:
        return f"tolerated {criterion.tolerated:g}x of stable's"
    ratio = reading.canary.share / reading.stable.share
    return f"{ratio_text(ratio)} of stable's, tolerated {criterion.tolerated:g}x"


def _proven(reading: _Reading, outcome: Outcome) -> str:
    harm = f"evidence of harm {evidence_text(max(reading.harm), reading.harm_limit)}"
    if outcome is Outcome.FAIL:
        return harm
    criterion = reading.criterion
    margin = (
        f"{criterion.margin:g}x" if criterion.scale == "ratio" else share_text(criterion.margin)
    )
    if criterion.negligible:
        margin += f" or {share_text(criterion.negligible)}"
    safety = evidence_text(reading.safety, _SAFETY_LIMIT)
    return f"{harm}, that it is below {margin} {safety}"


def _more(reading: _Reading, needed: float | None) -> str:
    if needed is None:
        if not reading.canary.events + reading.stable.events:
            return "no event was seen to compare"
        return "as it stands no number of requests would show it"
    return (
        f"about {number_text(needed)} more requests to the canary if it is as good as stable, "
        f"{time_text(needed / _rate(reading))} at this rate"
    )


def _rate(reading: _Reading) -> float:
    """Return the canary's requests a second."""
    first, last = reading.windows[0], reading.windows[-1]
    seconds = last.ends - first.ends + reading.evidence.window_seconds
    return reading.canary.requests / seconds
