"""The screens: what was put together goes in, lines come out."""

import re
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Final

from controller.api import names
from controller.api.objects import moment_of
from controller.cli.view import Door, View
from controller.plan.stages import Stage

Paint = Callable[[str, str], str]
"""Puts a text into a colour by its name; "" is the terminal's own."""

WIDTH: Final = 100
"""Columns where there is no terminal to ask."""

_CODES: Final = {"bold": "1", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}
_COLOURS: Final[Mapping[str, str]] = {
    Stage.IDLE: "green",
    Stage.STARTING: "cyan",
    Stage.CANARY: "cyan",
    Stage.PROMOTING: "cyan",
    Stage.ROLLING_BACK: "yellow",
    Stage.ABORTED: "yellow",
}
_PASTED: Final = re.compile(r"kubectl [A-Za-z0-9 .:/=_-]+", re.ASCII)
"""A command to paste; whoever may annotate the Service could have written another."""
_UNITS: Final = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))


def plain(text: str, colour: str) -> str:  # noqa: ARG001  # the form of every Paint
    """Return the text as it is."""
    return text


def ansi(text: str, colour: str) -> str:
    """Return the text in a colour, as terminals are told."""
    return f"\x1b[{_CODES[colour]}m{text}\x1b[0m" if colour else text


def span(seconds: float) -> str:
    """Return a time for a person, of at most two units: `45s`, `3m12s`, `2h`, `3d4h`."""
    left = max(0, round(seconds))
    for (unit, size), (smaller, small) in pairwise(_UNITS):
        if left >= size:
            rest = left % size // small
            return f"{left // size}{unit}{f'{rest}{smaller}' if rest else ''}"
    return f"{left}s"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One entry of a screen; long ones are wrapped, unless they are to be pasted."""

    text: str
    colour: str = ""
    is_pasted: bool = False


def screen(
    view: View, *, paint: Paint = plain, width: int = WIDTH, is_wide: bool = False
) -> list[str]:
    """Return the one screen about a Service.

    Args:
        view: what there is to tell.
        paint: puts colours in.
        width: columns of the terminal.
        is_wide: with every condition, whether it is as it should be or not.
    """
    lines = [paint(f"{view.service} -n {view.namespace}", "bold")]
    for label, rows in SECTIONS:
        lines += section(label, list(rows(view)), paint, width)
    if is_wide:
        lines += section("Conditions", list(_all_conditions(view)), paint, width)
    return lines


LABEL: Final = 14
"""Columns of the left side of a screen."""


def section(label: str, rows: Sequence[Line], paint: Paint, width: int) -> Iterator[str]:
    """Yield entries under a label of their left side, wrapped to the width."""
    texts = [(part, row.colour) for row in rows for part in _wrapped(row, width - LABEL)]
    for position, (text, colour) in enumerate(texts):
        left = label if position == 0 else ""
        yield f"  {left:<{LABEL - 2}}{paint(text, colour)}"


def _wrapped(line: Line, width: int) -> list[str]:
    text = printable(line.text)
    if line.is_pasted:
        return [text]
    return textwrap.wrap(text, max(width, 20), break_long_words=False, break_on_hyphens=False)


def printable(text: str) -> str:
    """Return the text without what would steer a terminal: much of it is read from objects."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _stage(view: View) -> Iterator[Line]:
    status = view.status
    if not view.is_told:
        yield Line(
            text=f"none: there is no {names.STATUS} yet; does the controller run?", colour="yellow"
        )
        return
    if status.stage is None:
        yield Line(text="none: not ready for a release", colour="yellow")
        return
    parts = [status.stage]
    parts += [f"revision {status.revision}"] if status.revision else []
    parts += [f"for {_ago(status.since, view.now)}"] if status.since else []
    parts += ["paused by a person"] if view.is_paused else []
    yield Line(text=", ".join(parts), colour=_COLOURS.get(status.stage, ""))


def _now(view: View) -> Iterator[Line]:
    status = view.status
    if status.message:
        lead = f"{status.reason}: " if status.reason not in {status.stage, ""} else ""
        yield Line(text=lead + status.message)
    if view.action:
        yield Line(text=f"{view.action} is asked for and not answered yet", colour="yellow")
    if view.is_told and not view.is_current:
        yield Line(text="the newest change of the annotations is not answered yet", colour="yellow")


def _until(view: View) -> Iterator[Line]:
    due = moment_of(view.status.until)
    if due is None:
        return
    left = (due - view.now).total_seconds()
    yield Line(text=f"{view.status.until}, {f'in {span(left)}' if left > 0 else 'any moment'}")


def _to_canary(view: View) -> Iterator[Line]:
    yield from (Line(text=_door(door)) for door in view.doors)
    if view.prepared:
        yield Line(text=f"nobody; the next release opens to {'; '.join(view.prepared)}")
    elif view.is_told and not view.doors:
        yield Line(text="nobody")


def _door(door: Door) -> str:
    if door.asked == door.written:
        return door.written
    if not door.written:
        return f"{door.asked} (not open yet)"
    if not door.asked:
        return f"{door.written} (being closed)"
    return f"{door.written} (asked: {door.asked})"


def _to_stable(view: View) -> Iterator[Line]:
    if not view.is_told:
        return
    if view.status.written == 100:
        yield Line(text="nobody")
    else:
        is_open = any(door.written for door in view.doors)
        yield Line(text="everybody else" if is_open else "everybody")


def _pods(view: View) -> Iterator[Line]:
    counts = [f"{pods.ready}/{pods.wanted}" for pods in view.pods]
    wide = max(map(len, counts), default=0)
    for pods, count in zip(view.pods, counts, strict=True):
        yield Line(
            text=f"{pods.side}  {count:<{wide}} ready  {pods.revision}  {', '.join(pods.images)}",
            colour="yellow" if pods.ready < pods.wanted else "",
            is_pasted=True,
        )


def _troubles(view: View) -> Iterator[Line]:
    for it in view.troubles:
        kind = it.type.removeprefix(names.PREFIX)
        yield Line(text=f"{kind} is {it.status}, {it.reason}: {it.message}", colour="red")
    yield from (Line(text=sentence, colour="yellow") for sentence in view.unread)


def _last(view: View) -> Iterator[Line]:
    last = view.status.last
    if last is not None:
        colour = "yellow" if last.outcome.startswith("refused") else ""
        ago = _ago(last.at, view.now)
        yield Line(text=f"{last.action}: {last.outcome}, {ago} ago", colour=colour)


def _outcome(view: View) -> Iterator[Line]:
    outcome = view.status.outcome
    if outcome is not None:
        why = f" ({outcome.why})" if outcome.why else ""
        ago = _ago(outcome.at, view.now)
        yield Line(text=f"revision {outcome.revision} was {outcome.result} {ago} ago{why}")


def _commands(view: View) -> Iterator[Line]:
    found = (command for command in view.status.commands if _PASTED.fullmatch(command))
    return (Line(text=command, is_pasted=True) for command in found)


def _all_conditions(view: View) -> Iterator[Line]:
    for it in view.conditions:
        yield Line(text=f"{it.type}={it.status} {it.reason}: {it.message}")


SECTIONS: Final[tuple[tuple[str, Callable[[View], Iterator[Line]]], ...]] = (
    ("Stage", _stage),
    ("Now", _now),
    ("Until", _until),
    ("To canary", _to_canary),
    ("To stable", _to_stable),
    ("Pods", _pods),
    ("Wrong", _troubles),
    ("Last action", _last),
    ("Last end", _outcome),
    ("Next", _commands),
)
"""The screen from top to bottom; a section without lines is left out."""


def _ago(text: str, now: datetime) -> str:
    moment = moment_of(text)
    return span((now - moment).total_seconds()) if moment is not None else "?"


Column = tuple[str, Callable[[View], str]]


def table(views: Sequence[View], columns: Sequence[Column]) -> list[str]:
    """Return one line for each view under a header, as kubectl aligns them."""
    rows = [[head for head, _ in columns]]
    rows += [[printable(cell(view)) for _, cell in columns] for view in views]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "   ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _ready(view: View) -> str:
    if not view.is_told:
        return "Unknown"
    return view.troubles[0].reason if view.troubles else "True"


def _weight(view: View) -> str:
    status = view.status
    if not status.since:
        return "-"
    same = status.asked == status.written
    return f"{status.written}%" if same else f"{status.written}% of {status.asked}%"


def _count(view: View) -> str:
    return f"{view.status.ready}/{view.status.needed}" if view.status.since else "-"


def _end(view: View) -> str:
    outcome = view.status.outcome
    if outcome is None:
        return "-"
    return f"{outcome.result} {_ago(outcome.at, view.now)} ago"


COLUMNS: Final[tuple[Column, ...]] = (
    ("NAME", lambda view: view.service),
    ("READY", _ready),
    ("STAGE", lambda view: view.status.stage or "-"),
    ("REVISION", lambda view: view.status.revision or "-"),
    ("WEIGHT", _weight),
    ("PODS", _count),
    ("LAST END", _end),
)
NAMESPACE: Final[Column] = ("NAMESPACE", lambda view: view.namespace)
WIDE: Final[tuple[Column, ...]] = (
    ("UNTIL", lambda view: view.status.until or "-"),
    ("REASON", lambda view: view.status.reason or "-"),
    ("MESSAGE", lambda view: view.status.message or "-"),
)
