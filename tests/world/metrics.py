"""A metrics server in virtual time: requests that a proxy counts, and somebody who looks at them.

Counters grow by what the routes let through; what goes wrong with the metrics server is a knob.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from controller.api.errors import EvidenceError
from controller.api.series import Series
from tests.world.virtual import EPOCH

SCRAPE_SECONDS = 15.0
STABLE = "canary-myapp-myapp-80@kubernetesingressnginx"
CANARY = "canary-myapp-myapp-80-canary@kubernetesingressnginx"
Trouble = Literal["", "dead", "slow", "nan", "blind", "twice"]


@dataclass(slots=True, kw_only=True)
class Metrics:
    """Requests come at a steady rate; every so many of a side are errors.

    Attributes:
        weight: percent of the requests that reach the canary now.
        elapsed: seconds since the world began.
        rate: requests a second.
        errors: share of a side's requests that fail.
        trouble: what is wrong with the metrics server: it is dead, slow, answers no numbers, does
            not see the proxy any more, or sees it twice.
        asked: (seconds, query) of every question.
    """

    weight: Callable[[], int]
    elapsed: Callable[[], float]
    rate: float = 20.0
    errors: dict[str, float] = field(default_factory=lambda: {STABLE: 0.01, CANARY: 0.01})
    trouble: Trouble = ""
    asked: list[tuple[float, str]] = field(default_factory=list)
    _counters: dict[tuple[str, str], float] = field(default_factory=dict)
    _scrapes: list[tuple[float, dict[tuple[str, str], float]]] = field(default_factory=list)

    async def run(self) -> None:
        """Let requests come, and look at their counters."""
        for second in range(1_000_000):
            await asyncio.sleep(1.0)
            share = self.weight() / 100
            for service, part in ((CANARY, share), (STABLE, 1 - share)):
                requests = self.rate * part
                failed = requests * self.errors[service]
                self._grow(service, "200", requests - failed)
                self._grow(service, "500", failed)
            if second % SCRAPE_SECONDS == 0 and self.trouble != "blind":
                self._scrapes.append((EPOCH + self.elapsed(), dict(self._counters)))

    def restart_proxy(self) -> None:
        """Let every counter begin again at 0."""
        self._counters.clear()

    def _grow(self, service: str, code: str, by: float) -> None:
        place = (service, code)
        if by or place in self._counters:
            self._counters[place] = self._counters.get(place, 0.0) + by

    async def samples(
        self, query: str, *, start: float, end: float, step: float
    ) -> tuple[Series, ...]:
        """Answer as Prometheus does: at each moment the newest sample that is not stale."""
        self.asked.append((self.elapsed(), query))
        await asyncio.sleep(0.01)
        if self.trouble == "slow":
            await asyncio.sleep(5.0)
            raise EvidenceError("no answer within 5 s")
        if self.trouble == "dead":
            raise EvidenceError("no answer: connection refused")
        found: dict[tuple[str, str], list[tuple[float, float]]] = {}
        at = start
        while at <= end:
            newest = next((it for it in reversed(self._scrapes) if it[0] <= at), None)
            if newest is not None and at - newest[0] < 2 * SCRAPE_SECONDS:
                for place, value in newest[1].items():
                    shown = float("nan") if self.trouble == "nan" else value
                    found.setdefault(place, []).append((at, shown))
            at += step
        if "myapp-" in query and query.startswith(("tried", "lost")):
            found = _own(found, query)
        instances = ("a", "b") if self.trouble == "twice" else ("a",)
        return tuple(
            Series(
                labels={"instance": instance, "service": service, "code": code},
                samples=tuple(samples),
            )
            for (service, code), samples in found.items()
            for instance in instances
        )


def _own(
    found: dict[tuple[str, str], list[tuple[float, float]]], query: str
) -> dict[tuple[str, str], list[tuple[float, float]]]:
    """Return the counters that an administrator's question is about: one side, all or errors."""
    service = CANARY if "myapp-canary-" in query else STABLE
    codes = ("500",) if query.startswith("lost") else ("200", "500")
    return {place: found[place] for code in codes if (place := (service, code)) in found}
