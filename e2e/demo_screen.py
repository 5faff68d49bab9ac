"""What the demo shows: made for a person who watches a terminal of 100 columns."""

import os
import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TextIO

from controller.api.status import Status

WIDTH = 100
MARGIN = "  "
LABEL = 8
"""Columns of the words `who`, `gets`, `status` and `pods`."""

_STYLES = {"bold": "1", "dim": "2", "green": "32", "red": "31", "cyan": "36"}
_CANARY_DOT, _NOT_READY_DOT = "●", "○"


@dataclass(frozen=True, kw_only=True, slots=True)
class Pods:
    """The pods of one version on one side.

    Attributes:
        owner: The Deployment's name.
        version: The tag of their image.
        ready: How many are ready.
        total: How many there are.
    """

    owner: str
    version: str
    ready: int
    total: int


@dataclass(frozen=True, kw_only=True, slots=True)
class View:
    """What a table shows.

    Attributes:
        gets: For each visitor how the requests were answered; None: not asked.
        plain: How the plain requests were answered.
        pods: What runs.
        status: What the status says.
        canary: The version to bring out; empty: none.
    """

    gets: Mapping[str, Counter[str] | None]
    plain: Counter[str]
    pods: Sequence[Pods]
    status: str
    canary: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Screen:
    """Prints the parts of the story; plain where the output is no terminal."""

    out: TextIO
    colored: bool = False

    def title(self, name: str, lines: Sequence[str]) -> None:
        """Print what this is."""
        self._line(self._styled(name, "bold"))
        for line in lines:
            self._line(line)

    def chapter(self, number: int, title: str) -> None:
        """Begin a part."""
        heading = f"── {number}. {title} "
        self._line()
        self._line(self._styled(heading + "─" * max(0, WIDTH - len(heading)), "bold"))

    def command(self, command: str, says: str = "") -> None:
        """Echo a command as it is typed, with a line that says what to look for."""
        self._line()
        if says:
            self._line(self._styled(f"# {says}", "dim"))
        for line in continued(f"$ {command}"):
            self._line(self._styled(line, "cyan"))

    def output(self, text: str) -> None:
        """Print what a command printed."""
        for line in text.rstrip().splitlines():
            self._line(line.rstrip())

    def warning(self, text: str) -> None:
        """Print what a command told beside its output."""
        for line in text.splitlines():
            self.output(textwrap.fill(line, WIDTH, break_on_hyphens=False))

    def progress(self, seconds: float, status: Status) -> None:
        """Print what the status says, so many seconds after the command."""
        head = f"{MARGIN}{seconds:5.1f} s  {status.stage or '-':<11}  "
        lines = textwrap.wrap(status.message, WIDTH - len(head))
        for number, line in enumerate(lines):
            self._line(self._styled((" " * len(head) if number else head) + line, "dim"))

    def table(self, view: View) -> None:
        """Print who gets what, what the status says, and the pods."""
        self._line()
        heads, answers = zip(*_columns(view), strict=True)
        self._line(f"{MARGIN}{'who':<{LABEL}}{''.join(heads).rstrip()}")
        cells = [self._emphasised(cell, view.canary) for cell in answers]
        self._line(f"{MARGIN}{'gets':<{LABEL}}{''.join(cells).rstrip()}")
        self._row("pods", pods_line(view.pods))
        self._row("status", view.status)

    def faults(self, lines: Sequence[str]) -> None:
        """Print what went wrong."""
        for line in lines:
            self._line(self._styled(line, "red"))

    def verdict(self, line: str, *, good: bool) -> None:
        """Print the last line."""
        self._line()
        self._line(self._styled(line, "green" if good else "red"))

    def _row(self, label: str, text: str) -> None:
        lines = textwrap.wrap(text, WIDTH - LABEL - len(MARGIN))
        for number, line in enumerate(lines):
            self._line(f"{MARGIN}{'' if number else label:<{LABEL}}{line}")

    def _emphasised(self, cell: str, canary: str) -> str:
        return self._styled(cell, "green") if canary and canary in cell else cell

    def _styled(self, text: str, style: str) -> str:
        return f"\x1b[{_STYLES[style]}m{text}\x1b[0m" if self.colored else text

    def _line(self, text: str = "") -> None:
        print(text, file=self.out, flush=True)


def screen_for(out: TextIO, environ: Mapping[str, str] = os.environ) -> Screen:
    """Build a screen: colours only on a terminal, and never where NO_COLOR is set."""
    return Screen(out=out, colored=out.isatty() and not environ.get("NO_COLOR"))


def _columns(view: View) -> list[tuple[str, str]]:
    """Build the head and the cell of each column, of the same width."""
    found = []
    for name, answers in view.gets.items():
        width = max(len(name), 6) + 2
        found.append((f"{name:<{width}}", f"{versions(answers):<{width}}"))
    total = f"{sum(view.plain.values()):,} plain requests"
    return [*found, (total, shares(view.plain))]


def continued(command: str) -> list[str]:
    """Break a long command between words, as shells read it; none of ours quotes a space."""
    if len(command) <= WIDTH:
        return [command]
    *lines, last = textwrap.wrap(
        command,
        WIDTH - 2,
        subsequent_indent="    ",
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [*(f"{line} \\" for line in lines), last]


def versions(answers: Counter[str] | None) -> str:
    """Name the versions a visitor got, the most frequent first; `-` where nobody asked."""
    if not answers:
        return "-"
    return ", ".join(version for version, _ in answers.most_common())


def shares(answers: Counter[str]) -> str:
    """Say in percent how requests were divided, in the order of the versions."""
    total = sum(answers.values())
    parts = [f"{version} {100 * count / total:.1f} %" for version, count in sorted(answers.items())]
    return ", ".join(parts)


def pods_line(pods: Sequence[Pods]) -> str:
    """Show each side's pods: a dot for each, hollow while it is not ready."""
    shown = []
    for side in pods:
        dots = _CANARY_DOT * side.ready + _NOT_READY_DOT * (side.total - side.ready)
        shown.append(f"{side.owner} {side.version} {dots}")
    return "   ".join(shown) or "none"


def closing_line(*, requests: int, failed: int, promoted: int, aborted: int, left: int) -> str:
    """Write the last line of the demo."""
    return (
        f"demo: {requests} requests, {failed} failed; {promoted} promoted, {aborted} aborted; "
        f"{left} objects left"
    )
