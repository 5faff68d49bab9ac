"""The cells of the simulation: which traffic, which rules, what is asked of each."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from tests.judge.rules import Rule, fixed_threshold, judged, last_two_samples, rank_test
from tests.judge.traffic import HOUR, Traffic, constant, stairs, waves

JUDGE: Final = "judge"
USUAL: Final = judged()
ONE_PERCENT: Final = constant(0.01)
PEERS: Final[Mapping[str, Rule]] = {
    "fixed threshold 99 %": fixed_threshold(0.99),
    "fixed threshold 97 %": fixed_threshold(0.97),
    "last two samples 95 %": last_two_samples(),
    "rank test 98 %": rank_test(),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """Many releases of one kind.

    Attributes:
        name: in the tables.
        judge: the judge's rule.
        has_peers: whether the other rules are asked too.
        scrapes: how long a release is watched.
        most_seconds: the median that the judge has to keep.
    """

    name: str
    traffic: Traffic
    judge: Rule = USUAL
    has_peers: bool = True
    scrapes: int = HOUR
    most_seconds: float | None = None

    @property
    def is_equal(self) -> bool:
        """Tell whether the versions are equal: every rollback is a false one."""
        return self.traffic.ratio == 1.0

    @property
    def is_the_tenfold(self) -> bool:
        """Tell whether this is the cell of the closing line."""
        return self.name == "10x, weight 10"

    @property
    def rules(self) -> Mapping[str, Rule]:
        """The rules by their names, the judge first."""
        return {JUDGE: self.judge, **(PEERS if self.has_peers else {})}


def traffic(
    rate: float = 10, weight: float = 10, ratio: float = 1.0, *, share: float = 0.01
) -> Traffic:
    """Return traffic that does not change."""
    return Traffic(rate=rate, weight=constant(weight), share=constant(share), ratio=ratio)


def clustered(cluster: float, spread: int, ratio: float = 1.0) -> Traffic:
    """Return traffic of which one fault makes several errors on one side."""
    return Traffic(
        rate=10,
        weight=constant(10),
        share=ONE_PERCENT,
        ratio=ratio,
        cluster=cluster,
        spread=spread,
    )


EQUAL: Final = (
    Cell(name="10/s, 1 % errors, weight 10", traffic=traffic()),
    Cell(name="the same, within 6 h", traffic=traffic(), scrapes=6 * HOUR, has_peers=False),
    Cell(
        name="the same, windows of two scrapes",
        traffic=traffic(),
        judge=judged(length=2),
        has_peers=False,
    ),
    Cell(
        name="the same, nothing known before",
        traffic=traffic(),
        judge=judged(knows=False),
        has_peers=False,
    ),
    Cell(name="weight 50", traffic=traffic(weight=50)),
    Cell(name="100/s", traffic=traffic(100)),
    Cell(name="1/s", traffic=traffic(1)),
    Cell(name="100/s, 0.1 % errors", traffic=traffic(100, share=0.001)),
    Cell(name="20 % errors", traffic=traffic(share=0.2)),
    Cell(
        name="errors between 0.2 % and 5 %, up and down within an hour",
        traffic=Traffic(rate=10, weight=constant(10), share=waves(0.002, 0.05, 3600)),
    ),
    Cell(
        name="weight 5, 25, 50 for 20 min each",
        traffic=Traffic(rate=10, weight=stairs(5, 25, 50, every=HOUR // 3), share=ONE_PERCENT),
    ),
    Cell(name="5 errors a fault, at once", traffic=clustered(5, 1)),
    Cell(name="5 errors a fault, over a minute", traffic=clustered(5, 4)),
    Cell(name="20 errors a fault, over a minute", traffic=clustered(20, 4)),
    Cell(
        name="5 errors a fault, nothing known before",
        traffic=clustered(5, 1),
        judge=judged(knows=False),
        has_peers=False,
    ),
)

BAD: Final = (
    Cell(name="10x, weight 5", traffic=traffic(weight=5, ratio=10), most_seconds=130),
    Cell(name="10x, weight 10", traffic=traffic(ratio=10), most_seconds=130),
    Cell(name="10x, weight 50", traffic=traffic(weight=50, ratio=10), most_seconds=130),
    Cell(
        name="10x, weight 10, two checks",
        traffic=traffic(ratio=10),
        judge=judged(checks=2),
        has_peers=False,
        most_seconds=130,
    ),
    Cell(name="4x, weight 5", traffic=traffic(weight=5, ratio=4)),
    Cell(name="4x, weight 10", traffic=traffic(ratio=4), most_seconds=330),
    Cell(
        name="4x, weight 10, two checks",
        traffic=traffic(ratio=4),
        judge=judged(checks=2),
        has_peers=False,
    ),
    Cell(name="4x, weight 50", traffic=traffic(weight=50, ratio=4), most_seconds=330),
    Cell(name="2x, weight 10", traffic=traffic(ratio=2)),
    Cell(name="2x, weight 50", traffic=traffic(weight=50, ratio=2)),
    Cell(name="total failure, weight 5", traffic=traffic(weight=5, ratio=100), most_seconds=60),
    Cell(name="total failure, weight 10", traffic=traffic(ratio=100), most_seconds=60),
    Cell(name="10x, weight 10, 1/s", traffic=traffic(1, ratio=10)),
    Cell(name="10x, weight 10, 5 errors a fault", traffic=clustered(5, 1, ratio=10)),
)

PASSING: Final = tuple(
    Cell(name=name, traffic=coming, has_peers=False, scrapes=4 * HOUR)
    for name, coming in (
        ("equal, 10/s, 1 % errors, weight 10", traffic()),
        ("equal, 10/s, 1 % errors, weight 50", traffic(weight=50)),
        ("equal, 100/s, 1 % errors, weight 10", traffic(100)),
        ("equal, 100/s, 0.1 % errors, weight 5", traffic(100, 5, share=0.001)),
        ("equal, 10/s, 0.1 % errors, weight 10", traffic(share=0.001)),
        ("equal, 1/s, 1 % errors, weight 10", traffic(1)),
        ("2x, 10/s, 1 % errors, weight 10", traffic(ratio=2)),
        ("2x, 10/s, 1 % errors, weight 50", traffic(weight=50, ratio=2)),
        ("2x, 100/s, 0.25 % errors, weight 10", traffic(100, ratio=2, share=0.0025)),
        ("4x, 10/s, 1 % errors, weight 10", traffic(ratio=4)),
    )
)
"""How long a good version waits for a pass, and how often a bad one gets it."""
