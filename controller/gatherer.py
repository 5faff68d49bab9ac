"""Asks the metrics server about running releases, outside of any pass.

A pass says what it wants to know and reads the newest answer; it never waits for one. So a metrics
server that is slow, wrong or dead delays no release and no abort (safety.md L1, L5), and what is
kept here is only what can be asked again.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final, Protocol

import structlog

from controller.api.errors import ClusterError, EvidenceError
from controller.api.objects import POD, Kind
from controller.api.series import Series
from controller.cluster.client import Listing
from controller.cluster.clock import Clock, LoopClock, finished
from controller.cluster.workqueue import WorkQueue
from controller.plan.counting import Grid, Reading, windows_of
from controller.plan.coverage import Tried
from controller.plan.evidence import Count, Evidence, Window
from controller.plan.inquiry import (
    Gathered,
    Inquiry,
    Look,
    evidence_of,
    history_of,
    nothing,
    tried_of,
    unanswered,
)
from controller.plan.restarts import Containers, containers_of
from controller.plan.sources import Plane
from controller.tracker import Key

ASKED_AT_ONCE: Final = 4
"""Releases whose questions are on their way at the same time."""

log = structlog.get_logger(__name__)


class Asked(Protocol):
    """The metrics server, as one verb (`cluster/prometheus.py`)."""

    async def samples(
        self, query: str, *, start: float, end: float, step: float
    ) -> tuple[Series, ...]:
        """Return every series of a query; raises `EvidenceError` where there is no answer."""


class Counted(Protocol):
    """Told how long the metrics server took, and whether it answered."""

    def __call__(self, seconds: float, *, answered: bool) -> None:
        """Count one set of questions."""


def _count_nothing(seconds: float, *, answered: bool) -> None:
    """Tell nobody."""


class Pods(Protocol):
    """The API server, as one verb."""

    async def list(self, kind: Kind, namespace: str | None, *, labels: str = "") -> Listing:
        """Read all objects that match."""


@dataclass(slots=True)
class _Known:
    """What was found out about one release, as far as it cannot change any more."""

    inquiry: Inquiry
    before: dict[str, tuple[Series, ...]] = field(default_factory=dict)
    windows: dict[tuple[str, Grid], tuple[Window, ...]] = field(default_factory=dict)


class Gatherer:
    """Keeps the newest answers about each release that asks.

    Args:
        server: the metrics server; None: there is none.
        pods: asked for pods.
        changed: told of a release about which there are new answers.
        now: the time at the API server, by which releases are stamped.
        clock: what waits are measured with.
        counted: told of each set of questions to the metrics server.
    """

    def __init__(
        self,
        server: Asked | None,
        *,
        pods: Pods,
        changed: Callable[[Key], None],
        now: Callable[[], datetime],
        clock: Clock | None = None,
        counted: Counted | None = None,
    ) -> None:
        self._server = server
        self._pods = pods
        self._changed = changed
        self._now = now
        self._clock = clock or LoopClock()
        self._counted = counted or _count_nothing
        self._queue = WorkQueue[Key](clock=self._clock)
        self._known: dict[Key, _Known] = {}
        self._newest: dict[Key, Gathered] = {}

    def newest(self, key: Key) -> Gathered | None:
        """Return the newest answers about a release; None before the first."""
        return self._newest.get(key)

    def want(self, key: Key, inquiry: Inquiry | None) -> None:
        """Ask from now on; None: the release is over, or has no checks."""
        known = self._known.get(key)
        if inquiry is None:
            self._known.pop(key, None)
            self._newest.pop(key, None)
        elif known is None or known.inquiry != inquiry:
            self._known[key] = _Known(inquiry)
            self._queue.add(key)

    async def run(self) -> None:
        """Ask whenever a window is over, until cancelled."""
        workers = [asyncio.create_task(self._work()) for _ in range(ASKED_AT_ONCE)]
        try:
            await asyncio.wait(workers, return_when=asyncio.FIRST_COMPLETED)
            for worker in workers:
                if worker.done():
                    worker.result()
        finally:
            await finished(*workers)

    async def _work(self) -> None:
        while (key := await self._queue.get()) is not None:
            known = self._known.get(key)
            try:
                if known is not None:
                    await self._ask(key, known)
            finally:
                self._queue.done(key)

    async def _ask(self, key: Key, known: _Known) -> None:
        found = await self._gathered(key, known)
        if self._known.get(key) is known:
            self._newest[key] = found
            self._queue.add_after(key, known.inquiry.next_after(self._now().timestamp()))
            self._changed(key)

    async def _gathered(self, key: Key, known: _Known) -> Gathered:
        """Ask both servers; one release without evidence holds, the others go on."""
        at = self._now().timestamp()
        try:
            containers = await self._containers(key, known.inquiry)
            return replace(await self._counts(key, known, at), containers=containers)
        except Exception as error:
            log.exception("questions were ended by a bug", service="/".join(key))
            return unanswered(known.inquiry, at, f"a bug: {type(error).__name__}")

    async def _counts(self, key: Key, known: _Known, at: float) -> Gathered:
        began = self._clock.monotonic()
        questions = _Round(known, self._server, at)
        try:
            found = await questions.gathered()
        except EvidenceError as error:
            self._counted(self._clock.monotonic() - began, answered=False)
            log.warning("metrics server did not answer", error=str(error), service="/".join(key))
            return unanswered(known.inquiry, at, str(error))
        if questions.answers:
            self._counted(self._clock.monotonic() - began, answered=True)
        return found

    async def _containers(self, key: Key, inquiry: Inquiry) -> Containers | None:
        """Return the containers of both sides; None where no check wants to know."""
        if inquiry.pods is None:
            return None
        namespace, _ = key
        try:
            canary, stable = [
                await self._pods.list(POD, namespace, labels=labels) for labels in inquiry.pods
            ]
        except ClusterError as error:
            return Containers(problem=str(error))
        since = datetime.fromtimestamp(inquiry.since, UTC)
        return containers_of(canary.items, stable.items, since)


class _Round:
    """One set of questions: each is asked once, however many checks look at the answer.

    Attributes:
        answers: those so far.
    """

    def __init__(self, known: _Known, server: Asked | None, at: float) -> None:
        self._known = known
        self._inquiry = known.inquiry
        self._server = server
        self._at = at
        self.answers: dict[tuple[str, Grid], tuple[Series, ...]] = {}

    async def gathered(self) -> Gathered:
        """Return what every check wants to know.

        Raises:
            EvidenceError: the metrics server left a question without an answer.
        """
        evidence = [await self._look(look) for look in self._inquiry.looks]
        plane = self._inquiry.plane
        return Gathered(
            inquiry=self._inquiry,
            at=self._at,
            evidence=tuple(evidence),
            tried=await self._tried(plane) if plane is not None else None,
        )

    async def _tried(self, plane: Plane) -> Tried:
        """Return what the canary was asked; that nobody can say is no trouble of other checks."""
        try:
            return await self._kinds(plane)
        except EvidenceError as error:
            return Tried(problem=str(error))

    async def _kinds(self, plane: Plane) -> Tried:
        query, tell = plane.kinds(self._inquiry.scrape_seconds)
        series = list(await self._before(query, self._inquiry.before_grid))
        grid = self._inquiry.tried_grid(self._at)
        if grid is not None:
            series += await self._answer(query, grid)
        return tried_of(self._inquiry, plane, series, tell, self._at)

    async def _before(self, query: str, grid: Grid) -> tuple[Series, ...]:
        """Return the answer for the time before the release, which is asked for once."""
        if query not in self._known.before:
            self._known.before[query] = await self._answer(query, grid)
        return self._known.before[query]

    async def _look(self, look: Look) -> Evidence:
        history = self._inquiry.history
        before = [
            entry
            for ask in look.asks
            for entry in ask.tagged(await self._before(ask.query, history))
        ]
        reading = look.reads(before)
        if isinstance(reading, str):
            return nothing(look, reading)
        counts: tuple[Count, ...] = history_of(before, reading, history)
        windows: list[Window] = []
        for grid in self._inquiry.grids(self._at):
            windows += await self._windows(look, reading, grid)
        return evidence_of(look, counts, tuple(windows))

    async def _windows(self, look: Look, reading: Reading, grid: Grid) -> Sequence[Window]:
        place = (look.check.text, grid)
        if place in self._known.windows:
            return self._known.windows[place]
        series = [
            entry for ask in look.asks for entry in ask.tagged(await self._answer(ask.query, grid))
        ]
        found = windows_of(series, reading, grid)
        if self._inquiry.is_settled(grid, self._at):
            self._known.windows[place] = found
        return found

    async def _answer(self, query: str, grid: Grid) -> tuple[Series, ...]:
        if self._server is None:
            raise EvidenceError("there is no metrics server")
        if (query, grid) not in self.answers:
            self.answers[query, grid] = await self._server.samples(
                query, start=grid.start, end=grid.ends(grid.windows), step=grid.step
            )
        return self.answers[query, grid]
