"""One check as the user writes it: `error-rate`, `latency-500ms<=1.2x`, `success>=99%`."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal, cast

from controller.api import grammar

Relation = Literal["<=", ">="]
Unit = Literal["x", "%"]

OWN: Final = "x-"
"""What names of the administrator's begin with: none of them can ever become one of `KINDS`."""
RATIO_LIMIT: Final = 1000
"""More than so many times as bad is no tolerance any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One check.

    Attributes:
        text: as it was written.
        name: of `KINDS`, or of the administrator's, `x-...`.
        edge_seconds: answers slower than this are counted; None: the check says.
        unit: `x` is times as much as stable, `%` a share of the canary's own; None: as usual.
        value: the threshold in that unit.
    """

    text: str
    name: str
    edge_seconds: float | None = None
    unit: Unit | None = None
    value: float | None = None

    @property
    def is_own(self) -> bool:
        """Tell whether an administrator defined it."""
        return self.name.startswith(OWN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What may stand behind a name.

    Attributes:
        relation: the only sensible one; None where there is no threshold.
        units: of the threshold.
        is_bare: it may stand without a threshold.
    """

    name: str
    relation: Relation | None = None
    units: tuple[Unit, ...] = ()
    is_bare: bool = True
    has_edge: bool = False
    example: str

    @property
    def says(self) -> str:
        """The kind in words, for a message."""
        return self.name if self.example == self.name else f"{self.name} such as {self.example}"


KINDS: Final = (
    Kind(name="error-rate", relation="<=", units=("x", "%"), example="error-rate<=1.5x"),
    Kind(
        name="latency",
        relation="<=",
        units=("x", "%"),
        has_edge=True,
        example="latency-500ms<=1.2x",
    ),
    Kind(name="success", relation=">=", units=("%",), is_bare=False, example="success>=99%"),
    Kind(name="restarts", example="restarts"),
    Kind(name="coverage", relation=">=", units=("%",), is_bare=False, example="coverage>=95%"),
)
_KIND: Final = {kind.name: kind for kind in KINDS}
_PARTS: Final = re.compile(
    r"(?P<name>x(?:-[a-z0-9]+)+|[a-z]+(?:-[a-z]+)*)(?:-(?P<edge>[0-9]+)(?P<edge_unit>ms|s))?"
    r"(?:(?P<relation><=|>=)(?P<value>[0-9.]+)(?P<unit>[x%]))?",
    re.ASCII,
)
_SECONDS: Final = {"ms": 0.001, "s": 1.0}


def parse_check(text: str) -> Check:
    """Read one check.

    Raises:
        ValueError: it is none, or says what cannot be meant; the message says why.
    """
    parts = _PARTS.fullmatch(text) if grammar.CHECK.fits(text) else None
    if parts is None:
        raise ValueError(f"{grammar.shown(text)} does not fit")
    kind = _KIND.get(parts["name"]) or _own(parts["name"])
    if parts["edge"] and not kind.has_edge:
        raise ValueError(f"{grammar.shown(text)}: {kind.name} has no time")
    if parts["relation"] is None and not kind.is_bare:
        raise ValueError(f"{grammar.shown(text)} needs a threshold: {kind.example}")
    if parts["relation"] is not None:
        _require_sense(text, kind, parts)
    edge = int(parts["edge"]) * _SECONDS[parts["edge_unit"]] if parts["edge"] else None
    return Check(
        text=text,
        name=kind.name,
        edge_seconds=edge,
        unit=cast("Unit | None", parts["unit"]),
        value=float(parts["value"]) if parts["value"] else None,
    )


def _own(name: str) -> Kind:
    return Kind(name=name, relation="<=", units=("x", "%"), example=f"{name}<=1.5x")


def _require_sense(text: str, kind: Kind, parts: "re.Match[str]") -> None:
    """Refuse a threshold that the check cannot have."""
    if kind.relation is None:
        raise ValueError(f"{grammar.shown(text)}: {kind.name} has no threshold")
    if parts["relation"] != kind.relation or parts["unit"] not in kind.units:
        raise ValueError(f"{grammar.shown(text)} can only be written as {kind.example}")
    value = float(parts["value"])
    if parts["unit"] == "x" and not 1 <= value <= RATIO_LIMIT:
        raise ValueError(f"{grammar.shown(text)}: the ratio is from 1x to {RATIO_LIMIT}x")
    if parts["unit"] == "%" and not 0 < value < 100:
        raise ValueError(f"{grammar.shown(text)}: the share is above 0% and below 100%")


def twice(checks: Iterable[Check]) -> Check | None:
    """Return the first check that asks the same as one before it, with another threshold or not."""
    seen = set()
    for check in checks:
        asked = (check.name, check.edge_seconds, check.unit)
        if asked in seen:
            return check
        seen.add(asked)
    return None
