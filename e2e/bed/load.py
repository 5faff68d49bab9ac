"""An open-loop load: bounded in count and in time, with a control that no release touches."""

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from e2e.bed.client import Client, Request, Target

CONTROL_EVERY = 10
"""Every so manieth request goes to the control application."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """One request of a load."""

    second: int
    """Whole seconds since the load began, when it was sent."""
    phase: str
    kind: str
    """`keep-alive GET`, `fresh POST`, ..."""
    control: bool
    version: str
    """Who answered; the status if no pod did; empty if nothing came."""
    error: str
    """Empty for an answer 200; else the status or the name of the exception."""
    seconds: float
    """How long it took."""
    late: float = 0.0
    """Seconds after it was due: a load generator that is late is busy itself."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """What a load found.

    On a busy machine requests to pods nobody touches fail as well. A second in which the control
    failed says nothing about the product: its failures are `excused`, the others are `failures`.
    """

    outcomes: Sequence[Outcome]

    @property
    def sent(self) -> int:
        """Count all requests, the control's included."""
        return len(self.outcomes)

    @property
    def bad_seconds(self) -> frozenset[int]:
        """Answer the seconds in which the control failed."""
        return frozenset(o.second for o in self.control_failures)

    @property
    def control_failures(self) -> list[Outcome]:
        """Answer the failures of requests to the control."""
        return [o for o in self.outcomes if o.control and o.error]

    @property
    def failures(self) -> list[Outcome]:
        """Answer the failures that are the product's."""
        bad_seconds = self.bad_seconds
        return [o for o in self._failed() if o.second not in bad_seconds]

    @property
    def lost(self) -> list[Outcome]:
        """Answer the failures in which no pod answered; an error of the application's is none."""
        return [o for o in self.failures if o.version in {"", o.error}]

    @property
    def excused(self) -> list[Outcome]:
        """Answer the failures in seconds in which the control failed too."""
        bad_seconds = self.bad_seconds
        return [o for o in self._failed() if o.second in bad_seconds]

    @property
    def failures_by_second(self) -> dict[int, Counter[str]]:
        """Count the product's failures by second and error."""
        found: dict[int, Counter[str]] = {}
        for outcome in self.failures:
            found.setdefault(outcome.second, Counter())[outcome.error] += 1
        return found

    def by_version(self, phase: str = "") -> Counter[str]:
        """Count the answers by version, the control's left out; of one phase or of all."""
        chosen = (o for o in self.outcomes if not o.control and phase in {"", o.phase})
        return Counter(o.version for o in chosen)

    def milliseconds(self, share: float) -> float:
        """Answer a quantile of the time an answer took; 0.5 is the median."""
        return _quantile([o.seconds for o in self.outcomes], share) * 1000

    def late_milliseconds(self, share: float) -> float:
        """Answer a quantile of how late requests were sent; 0.5 is the median."""
        return _quantile([o.late for o in self.outcomes], share) * 1000

    def summary(self) -> str:
        """Say it in one line."""
        versions = ", ".join(f"{v or '-'} {n}" for v, n in sorted(self.by_version().items()))
        return (
            f"{self.sent} requests ({versions}), {len(self.failures)} failed, "
            f"{self.excuse()}; "
            f"p50 {self.milliseconds(0.5):.1f} ms, p99 {self.milliseconds(0.99):.1f} ms"
        )

    def excuse(self) -> str:
        """Say what the control says of the machine."""
        return (
            f"{len(self.excused)} more in {len(self.bad_seconds)} s in which the control failed "
            f"too ({len(self.control_failures)} of its requests)"
        )

    def _failed(self) -> list[Outcome]:
        return [o for o in self.outcomes if o.error and not o.control]


def _quantile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def ordinary_requests(host: str, headers: Sequence[tuple[str, str]] = ()) -> list[Request]:
    """Build the four kinds a load sends in turn: GET and POST, kept-alive and fresh."""
    return [
        Request(
            host=host,
            method=method,
            headers=tuple(headers),
            body=b"hello" if method == "POST" else b"",
            keep_alive=keep_alive,
        )
        for keep_alive in (True, False)
        for method in ("GET", "POST")
    ]


@dataclass(slots=True)
class Load:
    """Sends requests at a fixed rate, whatever the answers, until the count or the time is up.

    Attributes:
        requests: Sent in turn.
        control_host: The host of an application that no release touches; it gets a tenth.
        rate: Requests a second.
        count: How many at most.
        seconds: How long at most; it stops at the first of the two.
    """

    target: Target
    requests: Sequence[Request]
    control_host: str = ""
    rate: float = 100.0
    count: int = 500
    seconds: float = 5.0
    phase: str = "start"
    _outcomes: list[Outcome] = field(default_factory=list)
    _pending: set[asyncio.Task[None]] = field(default_factory=set)
    _stopped: bool = False

    def mark(self, phase: str) -> None:
        """Name what goes on from here; later requests carry it."""
        self.phase = phase

    def stop(self) -> None:
        """Send nothing more; `run` returns when the requests in flight are answered."""
        self._stopped = True

    @property
    def sent(self) -> int:
        """Count the requests that are answered or in flight."""
        return len(self._outcomes) + len(self._pending)

    async def run(self) -> Report:
        """Send, wait for the last answers, and report."""
        client = Client(self.target)
        began = time.monotonic()
        try:
            for number, request in enumerate(itertools.cycle(self.requests)):
                due = began + number / self.rate
                if self._is_over(number, began):
                    break
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                self._send(client, request, number, _Moment(began=began, due=due))
            await asyncio.gather(*self._pending)
        finally:
            for task in self._pending:
                task.cancel()
            client.close()
        return self.report()

    def report(self) -> Report:
        """Report on the requests that are answered so far."""
        return Report(outcomes=sorted(self._outcomes, key=lambda outcome: outcome.second))

    def _is_over(self, number: int, began: float) -> bool:
        return self._stopped or number >= self.count or time.monotonic() - began >= self.seconds

    def _send(self, client: Client, request: Request, number: int, moment: "_Moment") -> None:
        control = bool(self.control_host) and number % CONTROL_EVERY == CONTROL_EVERY - 1
        chosen = replace(request, host=self.control_host, headers=()) if control else request
        task = asyncio.create_task(self._one(client, chosen, control=control, moment=moment))
        self._pending.add(task)
        task.add_done_callback(self._pending.discard)

    async def _one(
        self, client: Client, request: Request, *, control: bool, moment: "_Moment"
    ) -> None:
        phase, sent, version, error = self.phase, time.monotonic(), "", ""
        try:
            answer = await client.send(request)
        except (OSError, EOFError, ValueError) as failure:
            error = type(failure).__name__
        else:
            version = answer.version or str(answer.status)
            error = "" if answer.status == 200 else str(answer.status)
        self._outcomes.append(
            Outcome(
                second=int(sent - moment.began),
                phase=phase,
                kind=f"{'keep-alive' if request.keep_alive else 'fresh'} {request.method}",
                control=control,
                version=version,
                error=error,
                seconds=time.monotonic() - sent,
                late=max(0.0, sent - moment.due),
            )
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Moment:
    """When a request was due, by the clock by which the load began."""

    began: float
    due: float
