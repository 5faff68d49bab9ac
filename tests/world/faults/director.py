"""Puts faults where plans say, and tells what follows from each in a process of its own.

A run goes as the one without faults until its first fault; up to there it is told once for all
plans, and forked where they part.
"""

import asyncio
import gc
import json
import os
import random
import signal
import sys
import time
import traceback
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.world.faults.farend import Asked, Session
from tests.world.faults.plan import Fault, Plan, line_of
from tests.world.faults.turns import Turns
from tests.world.faults.world import FaultyWorld
from tests.world.world import World

Place = tuple[str, str, str, int, str]
Deed = Callable[[World], object]

LIMIT_SECONDS = 60
"""Of processor time; a run that takes longer goes round in circles."""
SILENT_SECONDS = {"half-open": 330.0}
"""How long it takes until a silent watch is given up, by the client's own time limit."""
TIMELESS = frozenset({"clock", "date", "travel", "stale-list"})
"""Faults whose seconds say how far, and not how long."""
SILENT = frozenset({"events", "leases"})
"""Kinds whose requests are no place for a fault of their own."""


@dataclass(slots=True, kw_only=True)
class Director:
    """Stands between the world and its controllers while one story is told.

    Attributes:
        world: the world.
        deeds: what faults of other names do.
        plan: what goes wrong in this process; None where nothing does, or not yet.
        branches: plans by the place of their first fault; each becomes a process of its own.
        turns: who may begin such a process, and when.
        points: every place at which something could have gone wrong, in order, and when in
            seconds since the story began.
        began: when the story began, in seconds of the world.
        until: the second of the world until which a process is away or a watch silent.
        is_enough: asked before every run; tells whether what was looked for is found.
    """

    world: FaultyWorld
    deeds: Mapping[str, Deed]
    plan: Plan | None = None
    branches: Mapping[Place, list[Plan]] = field(default_factory=dict)
    turns: Turns | None = None
    points: dict[Place, float] = field(default_factory=dict)
    began: float = 0.0
    until: float = 0.0
    is_enough: Callable[[], bool] = lambda: False
    is_child: bool = False
    _faults: dict[Place, Fault] = field(default_factory=dict)
    _children: set[int] = field(default_factory=set)
    hit: list[str] = field(default_factory=list)

    def begin(self, timed: Mapping[float, Iterable[Plan]] | None = None) -> None:
        """Take the world in hand, at the beginning of the story.

        Args:
            timed: plans by the second in which their first fault comes, wherever that is.
        """
        self.world.far.adversary = self
        self.world.far.seen.clear()
        self.began = self.world.now
        if self.plan is not None:
            self._take(self.plan)
        for at, plans in (timed or {}).items():
            self.world.loop.call_at(self.began + at, self._branch, plans)

    def _take(self, plan: Plan) -> None:
        self.plan = plan
        self.world.is_lenient = not plan.is_harmless
        for fault in plan.faults:
            if fault.verb == "time":
                self.world.loop.call_at(self.began + fault.at, self._at_time, fault)
            else:
                self._faults[fault.place] = fault

    def _at_time(self, fault: Fault) -> None:
        self._note(fault)
        session = self._session()
        waiting = self.world.befall(session, fault, self._deed(fault))
        if waiting is not None:
            waiting.close()

    def _session(self) -> Session:
        living = [it.session for it in self.world.instances if not it.session.is_dead]
        return living[0] if living else self.world.instances[-1].session

    def _deed(self, fault: Fault) -> Deed:
        return self.deeds.get(str(fault.value), _nothing)

    # As the far end asks.

    def asked(self, _session: Session, asked: Asked, when: str) -> Fault | None:
        """See `farend.Adversary`."""
        if asked.kind in SILENT and not self._faults:
            return None
        return self._here((asked.verb, asked.kind, asked.name, asked.nth, when))

    def told(self, _session: Session, kind: str, nth: int) -> Fault | None:
        """See `farend.Adversary`."""
        return self._here(("event", kind, "", nth, "before"))

    def befall(self, session: Session, fault: Fault) -> Awaitable[None] | None:
        """See `farend.Adversary`."""
        waiting: Awaitable[None] | None = self.world.befall(session, fault, self._deed(fault))
        return waiting

    def _here(self, place: Place) -> Fault | None:
        if self.plan is None:
            self.points.setdefault(place, self.world.now - self.began)
            plans = self.branches.get(place)
            if plans:
                self._branch(plans)
        fault = self._faults.pop(place, None)
        if fault is not None:
            self._note(fault)
        return fault

    def _note(self, fault: Fault) -> None:
        if fault.do not in TIMELESS:
            lasts = SILENT_SECONDS.get(fault.do, fault.seconds)
            self.until = max(self.until, self.world.now + lasts)
        self.hit.append(f"{self.world.now - self.began:.2f} {fault}")
        self.world.trace.append(f"{self.world.now:.3f} FAULT {fault}")

    # Processes.

    def _branch(self, plans: Iterable[Plan]) -> None:
        """Begin a process for each plan; in it this returns with the plan taken."""
        if self.is_child:
            return
        for plan in plans if not self.is_enough() else ():
            self._take_turn()
            sys.stdout.flush()
            chance = random.getstate()
            child = os.fork()
            if child == 0:
                random.setstate(chance)  # a fork draws other lots than its parent, and its replay
                # A running loop is known by its process' number too.
                asyncio._set_running_loop(self.world.loop)
                self.is_child = True
                self.branches = {}
                self._children = set()
                gc.disable()  # a run is shorter than what collecting would take
                _limit()
                self._take_here(plan)
                return
            self._children.add(child)

    def _take_here(self, plan: Plan) -> None:
        """Take a plan in the middle of the story: what is due now happens now."""
        self.plan = plan
        self.world.is_lenient = not plan.is_harmless
        now = self.world.now - self.began
        for fault in plan.faults:
            if fault.verb != "time":
                self._faults[fault.place] = fault
            elif fault.at <= now + 1e-3:
                self._at_time(fault)
            else:
                self.world.loop.call_at(self.began + fault.at, self._at_time, fault)

    def _take_turn(self) -> None:
        assert self.turns is not None
        while not self.turns.take():
            if self._children:
                self._reap()
            else:
                self.turns.wait()

    def _reap(self) -> None:
        assert self.turns is not None
        child, _ = os.wait()
        self._children.discard(child)
        self.turns.give()

    def finish(self) -> None:
        """Wait for every process that was begun."""
        while self._children:
            self._reap()


def _limit() -> None:
    signal.signal(signal.SIGXCPU, _overrun)
    signal.signal(signal.SIGVTALRM, _overrun)
    signal.setitimer(signal.ITIMER_VIRTUAL, LIMIT_SECONDS)


def _overrun(*_: object) -> None:
    raise RuntimeError(f"goes round in circles: {LIMIT_SECONDS} s of processor time")


def _nothing(_world: World) -> None:
    return


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one run.

    Attributes:
        wrong: what the oracles found, each line beginning with the oracle's name.
        seconds: of processor time since the run parted from the others.
        hit: the faults that came to pass.
    """

    plan: Plan
    wrong: list[str]
    seconds: float
    hit: list[str]


def reported(path: Path, plan: Plan, wrong: list[str], hit: list[str], began: float) -> None:
    """Add an outcome to the file that all processes share."""
    told: dict[str, Any] = {
        "plan": line_of(plan),
        "wrong": [line[:6000] for line in wrong[:12]],
        "seconds": time.process_time() - began,
        "hit": hit,
    }
    with path.open("ab", buffering=0) as file:
        file.write(json.dumps(told).encode() + b"\n")


def failure() -> str:
    """Return what ended a story, as an oracle's line."""
    kind, error, trace = sys.exc_info()
    last = traceback.extract_tb(trace)[-1]
    name = kind.__name__ if kind else ""
    return f"story: {name}: {str(error)[:3000]} ({last.filename}:{last.lineno})"
