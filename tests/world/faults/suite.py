"""Runs plans: every workload once without faults, and from there every plan in its own process."""

import gc
import json
import os
import signal
import sys
import time
import traceback
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from e2e.bed.apiserver.errors import ApiError
from tests.world.faults import oracles, rows
from tests.world.faults.deeds import DEEDS
from tests.world.faults.director import Director, Outcome, Place, failure, reported
from tests.world.faults.plan import Fault, Plan, plan_in
from tests.world.faults.turns import Turns
from tests.world.faults.workloads import BY_NAME, Workload, prepared, rest
from tests.world.faults.world import FaultyWorld
from tests.world.kubectl import KubectlError

QUIET_SECONDS = 70.0
"""A story ends when nothing was written for so long (`World.settle`)."""
AHEAD = 3
"""So many stories are begun at a time; their runs share the turns."""
CALM = "-"
"""The row of a story without faults."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A story without faults: what it is compared with, and where something may go wrong."""

    reference: oracles.Reference
    points: dict[Place, float]
    wrong: list[str]


def told(workload: Workload) -> Told:
    """Tell a story without faults, in this process."""
    with prepared(workload) as world:
        director = Director(world=world, deeds=DEEDS)
        director.begin()
        workload.story(world)
        reference = oracles.reference_of(world, director.began)
        points = dict(director.points)
        plan = Plan(row=CALM, workload=workload.name, faults=())
        return Told(
            reference=reference,
            points=points,
            wrong=oracles.judged(world, plan, reference, director.began),
        )


def run(
    workload: Workload,
    plans: Sequence[Plan],
    known: Told,
    path: Path,
    turns: Turns,
    is_enough: Callable[[], bool] = lambda: False,
) -> None:
    """Tell a story with every plan, each in a process of its own; outcomes go to a file."""
    gc.collect()
    gc.freeze()
    gc.disable()  # a story is short, and what is collected here is copied for every run
    world = prepared(workload)
    branches: dict[Place, list[Plan]] = defaultdict(list)
    timed: dict[float, list[Plan]] = defaultdict(list)
    for plan in plans:
        first = min(plan.faults, key=lambda fault: _moment(fault, known.points))
        if first.verb == "time":
            timed[first.at].append(plan)
        else:
            branches[first.place].append(plan)
    director = Director(
        world=world, deeds=DEEDS, branches=branches, turns=turns, is_enough=is_enough
    )
    director.begin(timed)
    _finish(workload, director, known, path)


def _moment(fault: Fault, points: Mapping[Place, float]) -> float:
    """Return when a fault comes if nothing went wrong before; a run parts from the others there."""
    return fault.at if fault.verb == "time" else points[fault.place]


def alone(plan: Plan, known: Told) -> Outcome:
    """Tell a story with one plan, in this process."""
    workload = BY_NAME[plan.workload]
    began = time.process_time()
    with prepared(workload) as world:
        director = Director(world=world, deeds=DEEDS, plan=plan)
        director.begin()
        wrong = _wrong(workload, director, known)
        seconds = time.process_time() - began
        return Outcome(plan=plan, wrong=wrong, seconds=seconds, hit=director.hit)


def _finish(workload: Workload, director: Director, known: Told, path: Path) -> None:
    """Go on to the end: as the parent of all runs, or as one of them."""
    try:
        wrong = _wrong(workload, director, known)
    finally:
        if not director.is_child:
            director.finish()  # whatever ended it: its runs have turns that others wait for
    if director.is_child and director.plan is not None:
        reported(path, director.plan, wrong, director.hit, 0.0)
        os._exit(0)


def _tell(workload: Workload, world: FaultyWorld) -> None:
    """Tell a story; where people do what they like, its own commands may fail, and it ends."""
    try:
        workload.story(world)
    except (ApiError, KubectlError):
        if not world.is_lenient:
            raise
        rest(world)


def _wait_for_faults(director: Director, plan: Plan) -> None:
    """Let come to pass what was planned for after the story's end, and the world rest again.

    A process that was away for a minute has waits to keep when it is back, and a watch that is
    silent still may hide a thing of the story from it: nothing is written, and nothing is at rest.
    """
    world = director.world
    timed = [fault.at + fault.seconds for fault in plan.faults if fault.verb == "time"]
    left = max(director.began + max(timed, default=0.0), director.until) - world.now
    if left > -QUIET_SECONDS:
        world.run(max(0.0, left) + 1.0)
        rest(world)


def _wrong(workload: Workload, director: Director, known: Told) -> list[str]:
    world = director.world
    try:
        _tell(workload, world)
        if director.plan is None:
            return []
        _wait_for_faults(director, director.plan)
        return oracles.judged(world, director.plan, known.reference, director.began)
    except BaseException:
        if director.plan is None:
            raise
        return [failure(), *oracles.findings(world)]


def plans_of(workload: str, known: Told, row: str) -> list[Plan]:
    """Return the plans of a row over one story."""
    made = rows.ROWS[row](workload, list(known.points), known.reference.seconds)
    return [plan for plan in made if all(rows.comes(it, known.points) for it in plan.faults)]


def sampled(workload: str, plans: Sequence[Plan], stride: int) -> Sequence[Plan]:
    """Return every so many-th plan; each story begins with another one."""
    return plans[hash_of(workload) % stride :: stride]


def hash_of(text: str) -> int:
    """Return a number that is the same in every process."""
    return sum(map(ord, text))


def isolated(work: Callable[[], Any]) -> Any:
    """Do something in a process of its own and return what it returns, as JSON can say it."""
    return begun(work).ended()


@dataclass(frozen=True, slots=True)
class Begun:
    """Something that is done in a process of its own."""

    process: int
    receiver: int

    def ended(self) -> Any:
        """Wait for what it returns."""
        with os.fdopen(self.receiver, encoding="utf-8") as back:
            text = back.read()
        _, status = os.waitpid(self.process, 0)
        if status:
            raise RuntimeError("a story without faults did not end well; see above")
        return json.loads(text)

    def end(self) -> None:
        """End it: nobody waits for it any more."""
        os.close(self.receiver)
        os.kill(self.process, signal.SIGKILL)
        os.waitpid(self.process, 0)


def begun(work: Callable[[], Any]) -> Begun:
    """Begin to do something in a process of its own."""
    receiver, sender = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.close(receiver)
            with os.fdopen(sender, "w", encoding="utf-8") as out:
                json.dump(work(), out)
            code = 0
        except BaseException:  # noqa: BLE001  # told here; the parent only learns that it failed
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    os.close(sender)
    return Begun(child, receiver)


def each(works: Iterable[Callable[[], Any]], most: int) -> Iterator[Any]:
    """Yield what each of these returns, in their order, so many begun at a time."""
    waiting: deque[Begun] = deque()
    try:
        for work in works:
            waiting.append(begun(work))
            if len(waiting) == most:
                yield waiting.popleft().ended()
        while waiting:
            yield waiting.popleft().ended()
    finally:
        for left in waiting:
            left.end()


@dataclass(frozen=True, slots=True, kw_only=True)
class Tale:
    """What became of one story, told without faults and with all of its plans.

    Attributes:
        plans: how many plans each row has for it, those that were left out included.
        outcomes: of every run, the one without faults first.
    """

    workload: str
    plans: Mapping[str, int]
    outcomes: tuple[Outcome, ...]


def tales(workloads: Iterable[str], strides: Mapping[str, int], *, jobs: int = 2) -> Iterator[Tale]:
    """Run the plans of these rows over these stories, every so many-th of each row.

    All plans of a story part from one telling of it: that costs less than one for each row. While
    a story is run the next one is told, so that no processor is idle in between.
    """
    with TemporaryDirectory() as folder, closing(Turns(jobs)) as turns:
        paths = {name: Path(folder) / name for name in workloads}
        works = (partial(_all, name, strides, turns, paths[name]) for name in paths)
        for name, plans in zip(paths, each(works, AHEAD if jobs > 1 else 1), strict=True):
            yield Tale(workload=name, plans=plans, outcomes=tuple(read(paths[name])))


def _all(name: str, strides: Mapping[str, int], turns: Turns, path: Path) -> dict[str, int]:
    workload = BY_NAME[name]
    known = told(workload)
    calm = Plan(row=CALM, workload=name, faults=())
    reported(path, calm, known.wrong, [], 0.0)
    made = {row: plans_of(name, known, row) for row in strides}
    chosen = [sampled(name, plans, strides[row]) for row, plans in made.items()]
    run(workload, [*chain(*chosen)], known, path, turns)
    return {row: len(plans) for row, plans in made.items()}


def read(path: Path) -> Iterator[Outcome]:
    """Yield what a file tells."""
    for line in path.read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        plan = plan_in(entry["plan"])
        yield Outcome(plan=plan, wrong=entry["wrong"], seconds=entry["seconds"], hit=entry["hit"])


def again(plan: Plan) -> Outcome:
    """Run one plan by itself."""
    known = told(BY_NAME[plan.workload])
    return alone(replace(plan), known)
