"""The screen about the checks of a release: what was counted, what it proves, what is missing."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from controller.api.status import Bound, Judged, Tally
from controller.cli.plot import plot
from controller.cli.screen import WIDTH, Line, Paint, plain, printable, section, span
from controller.cli.view import View
from controller.plan.coverage import percent
from controller.plan.judge import Outcome
from controller.plan.users import users_touched
from controller.plan.wording import number_text, ratio_text, share_text

COLOURS: Final[Mapping[str, str]] = {
    Outcome.PASS: "green",
    Outcome.FAIL: "red",
    Outcome.NO_DATA: "yellow",
    Outcome.NOT_ENOUGH_DATA: "cyan",
}
REQUESTS_OF_A_USER: Final = (1, 10, 100)
"""For such users it is said how many of them a weight reaches."""
RESTARTS: Final = "restarts"
"""The check that counts containers and not requests."""
PLOT_WIDTH: Final = 64
"""Columns of a plot; the digest holds some forty points."""
_SHOWN: Final = 6
"""Beyond a million nobody tells e-values apart."""


def checks_screen(view: View, *, paint: Paint = plain, width: int = WIDTH) -> list[str]:
    """Return the screen about the checks of one Service.

    Args:
        view: what there is to tell.
        paint: puts colours in.
        width: columns of the terminal.
    """
    lines = [paint(f"{view.service} -n {view.namespace}", "bold")]
    for label, rows in HEAD:
        lines += section(label, list(rows(view)), paint, width)
    for check in view.status.checks:
        said = f"{printable(check.check)}: {printable(check.outcome)}"
        lines += ["", paint(said, COLOURS.get(check.outcome, ""))]
        for label, texts in BODY:
            lines += section(label, [Line(text=text) for text in texts(check)], paint, width)
        if check.curve:
            lines += section("Over time", _plotted(check, width), paint, width)
    return lines


def _release(view: View) -> Iterator[Line]:
    status = view.status
    if not status.since:
        end = status.outcome
        told = f"; revision {end.revision} was {end.result}" if end is not None else ""
        yield Line(text=f"none runs{told}")
        return
    yield Line(text=f"revision {status.revision}, {status.stage}, weight {status.written} %")


def _users(view: View) -> Iterator[Line]:
    """Say whom a weight reaches: users are more than their requests (`plan/users.py`)."""
    reached = [(percent(share), k) for k, share in users_of(view).items()]
    if reached:
        (first, once), *others = reached
        more = "".join(f", {share} with {k}" for share, k in others)
        yield Line(text=f"at this weight {first} with {once} request meet the canary{more}")


def users_of(view: View) -> dict[int, float]:
    """Return the expected share of users who meet the canary, by how many requests they send."""
    status = view.status
    if not (status.since and status.written):
        return {}
    found = re.fullmatch(r"([0-9.]+)%", status.share)
    sticky = min(1.0, float(found[1]) / 100) if found and found[1].count(".") < 2 else 0.0
    return {k: users_touched(status.written / 100, k, sticky) for k in REQUESTS_OF_A_USER}


def _coverage(view: View) -> Iterator[Line]:
    found = view.status.coverage
    if found is None:
        return
    share = f"{percent(found.share)} of stable's requests"
    yield Line(text=f"{found.tried} of {found.kinds} kinds of requests were tried, {share}")
    yield from (Line(text=f"missing: {kind}") for kind in found.missing)
    if found.untold:
        yield Line(text=f"not told apart: {found.untold}")


def _none(view: View) -> Iterator[Line]:
    status = view.status
    if not status.checks:
        why = "nobody is exposed, or none are asked for" if status.since else "no release runs"
        yield Line(text=f"none has anything to say: {why}")


HEAD: Final[tuple[tuple[str, Callable[[View], Iterator[Line]]], ...]] = (
    ("Release", _release),
    ("Users", _users),
    ("Coverage", _coverage),
    ("Checks", _none),
)
"""The screen before its checks; a section without lines is left out."""


def _counted(tally: Callable[[Judged], Tally]) -> Callable[[Judged], Iterator[str]]:
    def texts(check: Judged) -> Iterator[str]:
        count = tally(check)
        if count.requests and check.harm.limit:
            share = share_text(count.events / count.requests)
            yield f"{number_text(count.events)} of {number_text(count.requests)} ({share})"
        elif count.requests and check.check == RESTARTS:
            yield f"{number_text(count.events)} of {number_text(count.requests)} containers"
        elif count.requests:
            yield f"{number_text(count.requests)} requests"

    return texts


def _ratio(check: Judged) -> Iterator[str]:
    canary, stable = check.canary, check.stable
    if canary.requests and stable.events and check.harm.limit:
        times = canary.events * stable.requests / (stable.events * canary.requests)
        yield f"{ratio_text(times)} of stable's"


def _harm(check: Judged) -> Iterator[str]:
    if check.harm.limit:
        yield f"{bound_text(check.harm)}, where it fails"


def _safety(check: Judged) -> Iterator[str]:
    if check.safety.limit:
        yield f"{bound_text(check.safety)}, where it passes"


def bound_text(bound: Bound) -> str:
    """Return an e-value beside its limit: `4.1 of 100`."""
    limit = number_text(10**bound.limit)
    if bound.evidence > _SHOWN:
        return f"over 1,000,000 of {limit}"
    value = 10**bound.evidence
    return f"{number_text(value) if value >= 10 else f'{value:.1f}'} of {limit}"


def _needed(check: Judged) -> Iterator[str]:
    if check.needed is None:
        return
    time = "" if check.needed_seconds is None else f", {span(check.needed_seconds)} at this rate"
    yield f"about {number_text(check.needed)} more requests to the canary{time}"


def _words(check: Judged) -> Iterator[str]:
    if check.message:
        yield check.message.removeprefix(f"{check.check}: {check.outcome}: ")


BODY: Final[tuple[tuple[str, Callable[[Judged], Iterator[str]]], ...]] = (
    ("Canary", _counted(lambda check: check.canary)),
    ("Stable", _counted(lambda check: check.stable)),
    ("Ratio", _ratio),
    ("Harm", _harm),
    ("Safety", _safety),
    ("Needed", _needed),
    ("In words", _words),
)
"""Each check from top to bottom; a section without lines is left out."""


def _plotted(check: Judged, width: int) -> list[Line]:
    lines = plot(check.curve, check.harm.limit, width=min(PLOT_WIDTH, width - 14))
    return [Line(text=line, is_pasted=True) for line in lines]


def checks_data(view: View) -> dict[str, Any]:
    """Return the checks as data, for `-o json` and `-o yaml`."""
    status = json.loads(view.status.text())
    return {
        "namespace": view.namespace,
        "service": view.service,
        "stage": view.status.stage,
        "revision": view.status.revision,
        "weight": view.status.written,
        "users": {str(k): round(share, 4) for k, share in users_of(view).items()},
        "checks": status.get("checks", []),
        "coverage": status.get("coverage"),
    }


def has_failed(view: View) -> bool:
    """Tell whether a check has failed the release."""
    return any(check.outcome == Outcome.FAIL for check in view.status.checks)
