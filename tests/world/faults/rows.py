"""Makes the plans of every row out of a run in which nothing goes wrong.

A new write of the controller is a new place in that run, and so forces new plans.
"""

import random
from collections.abc import Callable, Container, Iterator, Mapping, Sequence

from tests.world.faults.deeds import MUTATIONS, OPERATIONS, REPLACERS, TOUCH
from tests.world.faults.director import Place
from tests.world.faults.plan import Fault, Plan

WRITES = frozenset({"create", "patch", "update", "delete"})
WATCHED = ("services", "deployments", "ingresses", "endpointslices", "replicasets")
READ_FAULTS: tuple[tuple[str, float], ...] = (
    ("end", 0),
    ("half-open", 0),
    ("gone-event", 0),
    ("gone-status", 0),
    ("duplicate", 0),
    ("delay", 5),
    ("delay", 30),
    ("delay", 300),
    ("coalesce", 5),
    ("coalesce", 30),
    ("truncate", 0),
    ("stale-list", 10),
    ("stale-list", 60),
)
ANSWERS: tuple[tuple[str, str, object, float], ...] = (
    ("answer", "before", 400, 0),
    ("answer", "before", 403, 0),
    ("answer", "before", 409, 0),
    ("answer", "before", 422, 0),
    ("answer", "before", 429, 0),
    ("answer", "before", 500, 0),
    ("answer", "before", 503, 0),
    ("answer", "applied", 504, 0),
    ("reset", "before", "", 0),
    ("reset", "applied", "", 0),
    ("hang", "before", "", 30),
    ("hang", "applied", "", 30),
    ("slow", "before", "", 5),
    ("slow", "before", "", 30),
)


def write_places(points: Sequence[Place]) -> list[Place]:
    """Return where writes are about to be sent, in order."""
    return [point for point in points if point[0] in WRITES and point[4] == "before"]


def _at(place: Place, when: str, do: str, value: object = "", seconds: float = 0.0) -> Fault:
    verb, kind, name, nth, _ = place
    return Fault(
        verb=verb, kind=kind, name=name, nth=nth, when=when, do=do, value=value, seconds=seconds
    )


def crashes(workload: str, points: Sequence[Place], _: float) -> Iterator[Plan]:
    """Row A: the process dies at each write, at three moments; it comes back now or later."""
    for place in write_places(points):
        for when in ("before", "applied", "after"):
            for seconds in (0.0, 60.0):
                fault = _at(place, when, "crash", seconds=seconds)
                yield Plan(row="A", workload=workload, faults=(fault,))


def answers(workload: str, points: Sequence[Place], _: float) -> Iterator[Plan]:
    """Row B: each write is answered badly, or late, or not at all."""
    for place in write_places(points):
        for do, when, value, seconds in ANSWERS:
            fault = _at(place, when, do, value, seconds)
            yield Plan(row="B", workload=workload, faults=(fault,))


def reads(workload: str, points: Sequence[Place], _: float) -> Iterator[Plan]:
    """Row C: each watched kind is told late, twice, in part, or not at all.

    At two of its events, and at the last: where a release ends that is a removal. The history of
    Ingresses is gone at each event, so that also what a user deletes in between has to be missed.
    """
    chance = random.Random(workload)
    for kind in WATCHED:
        places = [point for point in points if point[:2] == ("event", kind)]
        for do, seconds in READ_FAULTS:
            some = (*chance.sample(places, min(2, len(places))), *places[-1:])
            for place in places if (kind, do) == ("ingresses", "gone-event") else some:
                fault = _at(place, "before", do, seconds=seconds)
                yield Plan(row="C", workload=workload, faults=(fault,))


def travels(workload: str, points: Sequence[Place], _: float) -> Iterator[Plan]:
    """Row D: what is known goes back in time just before a raise, a removal, a scaling down."""
    for place in write_places(points):
        if place[1] not in {"ingresses", "deployments"} and place[0] != "delete":
            continue
        for kind in ("ingresses", "deployments", "endpointslices", ""):
            for ago in (12.0, 60.0):
                fault = _at(place, "before", "travel", kind, ago)
                yield Plan(row="D", workload=workload, faults=(fault,))
        fault = _at(place, "before", "travel", "restart", 30.0)
        yield Plan(row="D", workload=workload, faults=(fault,))


def leaders(workload: str, points: Sequence[Place], _: float) -> Iterator[Plan]:
    """Row E: a second active process, a lost Lease, wrong clocks, a frozen process."""
    for place in write_places(points):
        for do, value, seconds in (
            ("second", "", 0.0),
            ("lease", "", 0.0),
            ("clock", "", 3600.0),
            ("clock", "", -3600.0),
            ("date", "", 3600.0),
            ("date", "", -3600.0),
            ("freeze", "", 60.0),
        ):
            fault = _at(place, "before", do, value, seconds)
            yield Plan(row="E", workload=workload, faults=(fault,))
        for when in ("applied", "after"):
            fault = _at(place, when, "freeze", seconds=60.0)
            yield Plan(row="E", workload=workload, faults=(fault,))


def writers(workload: str, points: Sequence[Place], _: float) -> Iterator[Plan]:
    """Row F: somebody else changes the object between our look and our write."""
    for place in write_places(points):
        for deed in (TOUCH, *REPLACERS.get(place[1], ())):
            fault = _at(place, "before", "deed", deed)
            if deed == TOUCH:
                fault = _at(place, "before", "touch", f"{place[1]}/{place[2]}")
            yield Plan(row="F", workload=workload, faults=(fault,))


def mutations(workload: str, _: Sequence[Place], seconds: float) -> Iterator[Plan]:
    """Row G: one field of one object is another all at once."""
    chance = random.Random(workload)
    for deed in MUTATIONS:
        for _number in range(2):
            at = round(chance.uniform(0, max(1.0, seconds - 60)), 1)
            fault = Fault(verb="time", at=at, do="deed", value=deed)
            yield Plan(row="G", workload=workload, faults=(fault,))


def operations(workload: str, _: Sequence[Place], seconds: float) -> Iterator[Plan]:
    """Row H: people do this and that, in any order."""
    for seed in range(60):
        chance = random.Random(f"{workload} {seed}")
        times = sorted(round(chance.uniform(0, seconds), 1) for _ in range(chance.randint(2, 6)))
        faults = tuple(
            Fault(verb="time", at=at, do="deed", value=chance.choice(OPERATIONS)) for at in times
        )
        yield Plan(row="H", workload=workload, faults=faults, seed=seed)


def absences(workload: str, _: Sequence[Place], seconds: float) -> Iterator[Plan]:
    """Row S: the controller is away, the world goes on, and it starts in what it finds then.

    What it finds may be anything that a cluster can be in: the middle of a release, changed by
    people and by chance, with nobody's memory of how it came about.
    """
    for seed in range(24):
        chance = random.Random(f"{workload} {seed} S")
        at, away = chance.uniform(0, seconds), chance.uniform(5, 55)
        end = Fault(verb="time", at=round(at, 1), do="crash", seconds=round(away, 1))
        deeds = [chance.choice(chance.choice((OPERATIONS, MUTATIONS))) for _ in range(3)]
        moments = sorted(round(at + chance.uniform(0.1, away), 1) for _ in deeds)
        faults = [
            Fault(verb="time", at=moment, do="deed", value=deed)
            for moment, deed in zip(moments, deeds, strict=True)
        ]
        yield Plan(row="S", workload=workload, faults=(end, *faults), seed=seed)


def schedules(workload: str, points: Sequence[Place], seconds: float) -> Iterator[Plan]:
    """Row R: several faults of any kind at any place."""
    known = frozenset(points)
    pool = [
        fault
        for row in (crashes, answers, reads, travels, leaders, writers, mutations, operations)
        for plan in row(workload, points, seconds)
        for fault in plan.faults
        if comes(fault, known)
    ]
    order = {place[:4]: number for number, place in reversed(list(enumerate(points)))}
    for seed in range(400):
        chance = random.Random(f"{workload} {seed} R")
        faults = chance.sample(pool, min(len(pool), chance.randint(2, 5)))
        faults.sort(key=lambda fault: (fault.verb == "time", order.get(fault.place[:4], 0)))
        yield Plan(row="R", workload=workload, faults=tuple(faults), seed=seed)


def comes(fault: Fault, points: Container[Place]) -> bool:
    """Tell whether a fault has a place in the story: what is a dry run only is never applied."""
    return fault.verb == "time" or fault.place in points


Row = Callable[[str, Sequence[Place], float], Iterator[Plan]]
ROWS: Mapping[str, Row] = {
    "A": crashes,
    "B": answers,
    "C": reads,
    "D": travels,
    "E": leaders,
    "F": writers,
    "G": mutations,
    "H": operations,
    "S": absences,
    "R": schedules,
}

STRIDES: Mapping[str, int] = {
    "A": 1,
    "B": 12,
    "C": 2,
    "D": 8,
    "E": 14,
    "F": 8,
    "G": 1,
    "H": 4,
    "S": 1,
    "R": 9,
}
"""Of each row every so many-th plan is run, 15,000 runs or so, or all of it would take hours.

Row A is whole: what a death leaves behind depends on the one write at which it came. Bad answers,
time travel and other writers are thinned more, as one write's plans of a row differ little and
each story begins with another one. `--every 1` runs them all.
"""
