"""What each check tolerates: the table behind the names."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from controller.api.check import Check
from controller.plan.evidence import Criterion


@dataclass(frozen=True, slots=True, kw_only=True)
class Usual:
    """What a name means without a threshold.

    Attributes:
        tolerated: times stable's share; a little above 1, because two versions are never the same.
        margin: times stable's share that a pass excludes.
        negligible: a share that does not matter whatever stable's is.
    """

    tolerated: float
    margin: float
    negligible: float = 0.0


USUAL: Final[Mapping[str, Usual]] = {
    "error-rate": Usual(tolerated=1.05, margin=2.0, negligible=0.005),
    "latency": Usual(tolerated=1.05, margin=1.5),
}


OWN: Final = Usual(tolerated=1.05, margin=2.0)
"""What an administrator's check means without a threshold."""


def criterion_of(check: Check) -> Criterion | None:
    """Return what a check tolerates; None for one that is not judged by counts of events.

    A threshold of the user's is both what is tolerated and what a pass excludes: above it is
    harm, below it is safe, and at it nothing is ever proven.
    """
    if check.name == "success" and check.value is not None:
        return _share(check, 1 - check.value / 100)
    usual = OWN if check.is_own else USUAL.get(check.name)
    if usual is None:
        return None
    if check.unit == "%" and check.value is not None:
        return _share(check, check.value / 100)
    return Criterion(
        check=check.text,
        scale="ratio",
        tolerated=check.value or usual.tolerated,
        margin=check.value or usual.margin,
        negligible=usual.negligible,
    )


def _share(check: Check, share: float) -> Criterion:
    return Criterion(check=check.text, scale="share", tolerated=share, margin=share)
