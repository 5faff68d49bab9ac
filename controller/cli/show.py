"""How what was read is printed: which form, in colours or plain, once or again and again."""

import json
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, Literal

import click
import yaml

from controller.cli.checks import checks_data, checks_screen
from controller.cli.screen import (
    COLUMNS,
    NAMESPACE,
    WIDE,
    WIDTH,
    Column,
    ansi,
    plain,
    printable,
    screen,
    table,
)
from controller.cli.view import View, data_of

Output = Literal["wide", "json", "yaml", "name"]
Render = Callable[[Sequence[View]], list[str]]
Data = Callable[[View], dict[str, Any]]
"""What a program is told of a Service."""

HOME: Final = "\x1b[H\x1b[J"
"""Puts the cursor into the first corner and empties what follows."""
NO_TIME: Final = datetime.fromtimestamp(0, UTC)


def is_terminal() -> bool:
    """Tell whether a person sees what is printed."""
    return sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


def screens(output: Output | None) -> Render:
    """Return how `status` prints: the one screen, or data."""
    draw = partial(screen, is_wide=output == "wide")
    return _data(data_of).get(output or "", _drawn(draw))


def checks(output: Output | None) -> Render:
    """Return how `checks` prints: the screen about them, or data."""
    return _data(checks_data).get(output or "", _drawn(checks_screen))


def _drawn(draw: Callable[..., list[str]]) -> Render:
    """Return how screens are printed here, one under the other."""
    colours = is_terminal() and not os.environ.get("NO_COLOR")
    paint = ansi if colours else plain
    width = shutil.get_terminal_size((WIDTH, 24)).columns if is_terminal() else WIDTH

    def render(views: Sequence[View]) -> list[str]:
        lines: list[str] = []
        for view in views:
            lines += [""] if lines else []
            lines += draw(view, paint=paint, width=width)
        return lines

    return render


def single(render: Render, output: Output | None, data: Data = data_of) -> Render:
    """Return the form of one named Service: data without a list around it."""
    if output == "json":
        return lambda views: _json(data(views[0]))
    if output == "yaml":
        return lambda views: _yaml(data(views[0]))
    return render


def tables(output: Output | None, *, with_namespace: bool) -> Render:
    """Return how `list` prints: one line for each Service, or data."""
    columns: list[Column] = [NAMESPACE] if with_namespace else []
    columns += [*COLUMNS, *(WIDE if output == "wide" else ())]
    return _data(data_of).get(output or "", lambda views: table(views, columns))


def _json(data: object) -> list[str]:
    return json.dumps(data, indent=2, ensure_ascii=False).splitlines()


def _yaml(data: object) -> list[str]:
    text: str = yaml.safe_dump(data, sort_keys=False, allow_unicode=True)
    return text.splitlines()


def _data(data: Data) -> dict[str, Render]:
    """Return the forms for programs."""

    def items(views: Sequence[View]) -> dict[str, object]:
        return {"items": [data(view) for view in views]}

    return {
        "json": lambda views: _json(items(views)),
        "yaml": lambda views: _yaml(items(views)),
        "name": lambda views: [f"service/{view.service}" for view in views],
    }


def put(lines: Sequence[str]) -> None:
    """Print lines; whether they have colours was decided before."""
    click.echo("\n".join(lines), color=True)


@dataclass(slots=True)
class Redrawn:
    """A terminal that always shows the present screen; the countdown goes on in it."""

    render: Render
    _before: list[str] = field(default_factory=list)

    def show(self, views: Sequence[View]) -> None:
        """Draw anew if a line differs."""
        lines = self.render(views)
        if lines != self._before:
            put([HOME + lines[0], *lines[1:]])
        self._before = lines


@dataclass(slots=True)
class Appended:
    """A file or a pipe that gets a new screen when anything but the time has changed."""

    render: Render
    _before: list[View] = field(default_factory=list)

    def show(self, views: Sequence[View]) -> None:
        """Print if the Services have changed."""
        timeless = [replace(view, now=NO_TIME) for view in views]
        if timeless != self._before:
            put(self.render(views))
        self._before = timeless


@dataclass(slots=True)
class Told:
    """One line for each change of what the release waits for."""

    _before: str = ""

    def show(self, views: Sequence[View]) -> None:
        """Print if the words have changed."""
        status = views[0].status
        words = printable(f"{status.stage or 'Not ready'}: {status.message}")
        if words != self._before:
            click.echo(words)
        self._before = words
