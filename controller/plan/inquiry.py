"""What has to be found out about the canary of a running release, and what was found out.

The plan says what it wants to know (`Plan.inquiry`); the shell asks for it outside of any pass and
hands the newest answer in (`Observed.gathered`). Everything is asked for the release's own time
span, so what is known does not hang on who asked before.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

from controller.api.check import Check
from controller.api.series import Series
from controller.api.template import Template, filled
from controller.plan.counting import GAP, Grid, Part, Reading, windows_of
from controller.plan.coverage import LOOKS, Telling, Tried, kinds_of
from controller.plan.criteria import criterion_of
from controller.plan.evidence import Count, Criterion, Evidence, Window
from controller.plan.restarts import Containers
from controller.plan.sources import Plane, edge_for, faster_by_edge

CHUNK_WINDOWS = 240
"""Windows of one question; a metrics server answers 11,000 moments, and we read 1 MiB."""
FINE_CHUNKS = 4
"""After so many (four hours of the usual windows) windows are longer: judging takes its time."""
COARSE = 4
"""So many times as long."""
HISTORY_WINDOWS = 240
"""Stable's windows before the first exposure show by how much its events come in clusters."""
LATE_SECONDS = 5.0
"""A sample may reach the metrics server so long after its time."""
EDGE_REQUESTS = 20
"""So many answers of stable say which are slow."""


# No slots: `cached_property` needs a `__dict__`.
@dataclass(frozen=True, kw_only=True)
class Inquiry:
    """What the checks of one release need to know.

    Attributes:
        since: Unix time at which the canary was first seen exposed.
        checks: in the user's order.
        plane: how the data plane counts; None: nobody asks.
        scrape_seconds: how often the metrics server looks; the length of a window.
        own: the administrator's checks that are asked for, filled in.
        pods: label selectors of the canary's pods and of stable's; None: nobody asks.
        has_testers: rules lead requests to the canary, whatever the weight.
    """

    since: float
    checks: tuple[Check, ...]
    plane: Plane | None = None
    scrape_seconds: float = 15.0
    own: tuple["Own", ...] = ()
    pods: tuple[str, str] | None = None
    has_testers: bool = False

    @property
    def history(self) -> Grid:
        """The moments before the first exposure."""
        span = HISTORY_WINDOWS * self.scrape_seconds
        return Grid(start=self.since - span, step=self.scrape_seconds, windows=HISTORY_WINDOWS)

    def grids(self, now: float) -> tuple[Grid, ...]:
        """Return the moments since then, in pieces; only the last one may still grow.

        Args:
            now: Unix time.
        """
        return tuple(self._grids(now - self._late))

    def _grids(self, end: float) -> Iterator[Grid]:
        start, number = self.since, 0
        while True:
            step = self.scrape_seconds * (1 if number < FINE_CHUNKS else COARSE)
            windows = min(CHUNK_WINDOWS, int((end - start) // step))
            if windows <= 0:
                return
            grid = Grid(start=start, step=step, windows=windows)
            yield grid
            start, number = grid.ends(windows), number + 1

    def tried_grid(self, now: float) -> Grid | None:
        """Return the moments at which kinds of requests are counted; None before the first."""
        *_, last = self.grids(now) or (None,)
        if last is None:
            return None
        span = last.ends(last.windows) - self.since
        return Grid(start=self.since, step=span / LOOKS, windows=LOOKS)

    @property
    def before_grid(self) -> Grid:
        """The moments before the first exposure at which they are counted."""
        whole = self.history
        span = whole.ends(whole.windows) - whole.start
        return Grid(start=whole.start, step=span / LOOKS, windows=LOOKS)

    def is_settled(self, grid: Grid, now: float) -> bool:
        """Tell whether nothing that was counted in these moments can still come in."""
        past = now - grid.ends(grid.windows)
        return grid.windows == CHUNK_WINDOWS and past >= self._late + grid.step

    def next_after(self, now: float) -> float:
        """Return the seconds until one window more is over."""
        step = self.step_at(now)
        return step - (now - self._late - self.since) % step

    def step_at(self, now: float) -> float:
        """Return how long a window is that ends now, in seconds."""
        fine = FINE_CHUNKS * CHUNK_WINDOWS * self.scrape_seconds
        return self.scrape_seconds * (1 if now - self._late - self.since < fine else COARSE)

    @property
    def _late(self) -> float:
        return min(LATE_SECONDS, self.scrape_seconds / 2)

    @cached_property
    def looks(self) -> tuple["Look", ...]:
        """What each check has to be told, in the user's order."""
        return tuple(
            look for check in self.checks if (look := self._look(check, self.plane)) is not None
        )

    def _look(self, check: Check, plane: Plane | None) -> "Look | None":
        criterion = criterion_of(check)
        if criterion is None:
            return None
        if check.is_own:
            own = next((it for it in self.own if it.name == check.name), None)
            asks = own.asks if own is not None else ()
            reads: Reads = read_own
        elif plane is None:
            return None
        elif check.name == "latency":
            asks = (Ask(query=plane.slow(0, self.scrape_seconds)[0]),)
            reads = partial(_slow, plane, check.edge_seconds, self.scrape_seconds)
        else:
            query, reading = plane.errors(self.scrape_seconds)
            asks, reads = (Ask(query=query),), partial(_always, reading)
        # A data plane may tell how a request came; what pods count for an administrator does not.
        tells = not check.is_own and plane is not None and plane.tells_testers
        return Look(
            inquiry=self,
            check=check,
            criterion=criterion,
            asks=asks,
            reads=reads,
            has_testers=self.has_testers and not tells,
        )


Reads = Callable[[Sequence[Series]], Reading | str]
"""How a series is read, given the answers for the time before the release; or why nobody can say.
What counts as slow is settled by that time: it must not change with what the release brings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One question.

    Attributes:
        query: for the metrics server.
        part: which of `PARTS` its counters are; "" where their labels say it.
    """

    query: str
    part: str = ""

    def tagged(self, answer: Iterable[Series]) -> Iterable[Series]:
        """Return the answer with its part among the labels."""
        if not self.part:
            return answer
        return (
            Series(labels={**entry.labels, PART: self.part}, samples=entry.samples)
            for entry in answer
        )


PART = "serinus_part"
PARTS: Mapping[str, Part] = {
    "canary requests": Part(side="canary", requests=1.0),
    "canary events": Part(side="canary", events=1.0),
    "stable requests": Part(side="stable", requests=1.0),
    "stable events": Part(side="stable", events=1.0),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Own:
    """One check of the administrator's, filled in for one release."""

    name: str
    asks: tuple[Ask, ...]


def own_of(
    template: Template, values: Mapping[str, str], canary_pods: str, stable_pods: str
) -> Own:
    """Fill in an administrator's check.

    Args:
        template: its questions.
        values: of every placeholder but `$pods`.
        canary_pods: pattern of their names.
        stable_pods: pattern of their names.
    """
    return Own(
        name=template.name,
        asks=tuple(
            Ask(query=filled(text, {**values, "pods": pods}), part=f"{side} {what}")
            for side, pods in (("canary", canary_pods), ("stable", stable_pods))
            for what, text in (("requests", template.requests), ("events", template.events))
        ),
    )


def read_own(_: Sequence[Series]) -> Reading:
    """Return how the counters of an administrator's check are read: by what was asked."""
    return lambda labels: PARTS.get(labels.get(PART, ""))


def _always(reading: Reading, _: Sequence[Series]) -> Reading:
    return reading


def _slow(
    plane: Plane, asked_seconds: float | None, scrape_seconds: float, before: Sequence[Series]
) -> Reading | str:
    faster = faster_by_edge(before, plane)
    if asked_seconds is None and max(faster.values(), default=0.0) < EDGE_REQUESTS:
        return (
            f"stable answered fewer than {EDGE_REQUESTS} requests before the canary was "
            "exposed, so nobody knows what is slow: say it, such as latency-500ms"
        )
    edge = edge_for(asked_seconds, faster)
    if edge is None:
        return "the metrics server knows no durations of this Service"
    return plane.slow(edge, scrape_seconds)[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """How one check looks at the answers of the metrics server.

    Attributes:
        asks: its questions.
        reads: how the answers are read.
        has_testers: requests that a rule led to the canary are among what is counted.
    """

    inquiry: Inquiry
    check: Check
    criterion: Criterion
    asks: tuple[Ask, ...]
    reads: Reads
    has_testers: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Gathered:
    """What was found out about the canary of one release, by the latest answers.

    Two of them are the same only if they are one: what they prove is computed once for each.

    Attributes:
        inquiry: what was asked; anything else is no evidence for it.
        at: Unix time at which it was asked.
        evidence: for each of `inquiry.looks`.
        tried: what the canary was asked; None without a data plane that counts.
        containers: those of both sides; None where no check wants to know.
    """

    inquiry: Inquiry
    at: float
    evidence: tuple[Evidence, ...] = ()
    tried: Tried | None = None
    containers: Containers | None = None


def history_of(before: Sequence[Series], reading: Reading, grid: Grid) -> tuple[Count, ...]:
    """Return stable's counts before the first exposure."""
    return tuple(window.stable for window in windows_of(before, reading, grid))


def evidence_of(look: Look, history: tuple[Count, ...], windows: tuple[Window, ...]) -> Evidence:
    """Return what was counted for one check.

    Its age is for how long nothing was seen at the end of what was asked for; for how long nobody
    has asked, a pass sees by itself.
    """
    inquiry = look.inquiry
    asked = windows[-1].ends if windows else inquiry.since
    newest = next((it.ends for it in reversed(windows) if it.stable is not GAP), inquiry.since)
    return Evidence(
        criterion=look.criterion,
        windows=windows,
        history=history,
        window_seconds=inquiry.scrape_seconds,
        scrape_seconds=inquiry.scrape_seconds,
        age_seconds=asked - newest,
        has_testers=look.has_testers,
    )


def tried_of(
    inquiry: Inquiry, plane: Plane, series: Iterable[Series], tell: Telling, now: float
) -> Tried:
    """Return what the canary was asked, by counters before and after its first exposure.

    Args:
        inquiry: of the release.
        plane: how the data plane counts.
        series: a counter may be among them twice, once for each time.
        tell: what each counts.
        now: Unix time.
    """
    found = _joined(series)
    newest = max((entry.samples[-1][0] for entry in found if entry.samples), default=inquiry.since)
    return Tried(
        kinds=kinds_of(found, tell, inquiry.since),
        untold=plane.untold,
        seconds=now - inquiry.since,
        age_seconds=max(0.0, now - newest),
        scrape_seconds=inquiry.scrape_seconds,
    )


def _joined(series: Iterable[Series]) -> list[Series]:
    """Return each counter once, with its samples in order and none twice."""
    samples: dict[tuple[tuple[str, str], ...], dict[float, float]] = {}
    for entry in series:
        samples.setdefault(tuple(sorted(entry.labels.items())), {}).update(entry.samples)
    return [
        Series(labels=dict(labels), samples=tuple(sorted(values.items())))
        for labels, values in samples.items()
    ]


def unanswered(inquiry: Inquiry, at: float, problem: str) -> Gathered:
    """Return that nothing is known, and why."""
    return Gathered(
        inquiry=inquiry,
        at=at,
        evidence=tuple(nothing(look, problem) for look in inquiry.looks),
        tried=Tried(problem=problem),
        containers=Containers(problem=problem),
    )


def nothing(look: Look, problem: str) -> Evidence:
    """Return that nothing is known for one check, and why."""
    return Evidence(criterion=look.criterion, problem=problem)
