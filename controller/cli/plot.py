"""A curve as text: a few lines of letters that any terminal shows and any log keeps."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from controller.plan.wording import number_text

POINT: Final = "*"
LIMIT: Final = "-"
BELOW: Final = "<1"
"""The lowest line: what speaks against nothing at all."""


def plot(curve: Sequence[float], limit: float, *, width: int) -> list[str]:
    """Return a curve of decimal logarithms over time under its limit.

    A line for each half of a decade from the limit down to 1, and one for all that is less. A point
    stands in the line that it has reached; the first line is the limit's.

    Args:
        curve: evenly spread over time; it fills the width, and where there are more values than
            columns the highest of each part is drawn, so that nothing is smoothed away.
        limit: a decimal logarithm too, above 0.
        width: columns of the whole, labels included.
    """
    levels = [limit, *_halves(limit)]
    labels = [number_text(10**limit), *(_label(level) for level in levels[1:]), BELOW]
    left = max(len(label) for label in labels)
    columns = max(1, width - left - 2)
    places = [_place(value, levels) for value in stretched(curve, columns)]
    lines = [
        f"{label:>{left}} |{''.join(_letter(row, place) for place in places)}".rstrip()
        for row, label in enumerate(labels)
    ]
    return [*lines, f"{'':>{left}} +{'-' * len(places)}"]


def stretched(curve: Sequence[float], columns: int) -> list[float]:
    """Return so many values, each the highest of its part of the curve; none of an empty one."""
    if not curve:
        return []
    bounds = [column * len(curve) // columns for column in range(columns + 1)]
    return [max(curve[a : max(b, a + 1)]) for a, b in pairwise(bounds)]


def _halves(limit: float) -> list[float]:
    """Return the half decades below a limit, down to 0."""
    highest = math.ceil(2 * limit - 1e-9) - 1
    return [half / 2 for half in range(highest, -1, -1)]


def _label(level: float) -> str:
    return number_text(10**level) if level == int(level) else ""


def _place(value: float, levels: Sequence[float]) -> int:
    reached = (row for row, level in enumerate(levels) if value >= level - 1e-9)
    return next(reached, len(levels))


def _letter(row: int, place: int) -> str:
    if row == place:
        return POINT
    return LIMIT if row == 0 else " "
