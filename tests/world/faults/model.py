"""The small model: every state of a release with two pods a side, and what can lead to it.

Two active processes, each of which decides on the world as it is or as it was two changes ago,
carry their writes out one by one in any order, beside each other; one of them may die at any
moment. The world moves on by a minute whenever it likes: then pods are there, rolls are done, and
what was written is known. Nothing is drawn at random: every state is visited once.
"""

import json
import re
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import jsonpatch

from controller.api import names
from controller.api.objects import (
    DEPLOYMENT,
    INGRESS,
    Kind,
    Object,
    annotations_of,
    is_ours,
    replicas_of,
    stamp,
)
from controller.plan.decide import decide
from controller.plan.invariants import broken_by
from controller.plan.observed import Observed, Pool
from controller.plan.scene import Change, Memory, Scene, bare
from controller.plan.writes import Create, Delete, Edit, Merge, Write
from tests.controller.plan.applied import FIELDS, ConflictError, apply, objects_of, settled
from tests.controller.plan.test_any_order import User, sets_image, writes_annotations
from tests.controller.plan.worlds import (
    NAME,
    NOW,
    V2,
    deployment,
    idle,
    meta,
    pool,
    replica_set,
    template,
)

MINUTE = timedelta(minutes=1)
STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
LAG = 2
"""How many changes a cache may be behind."""
SCRIPTS: dict[str, tuple[User, ...]] = {
    "promote": (
        sets_image("v2", generation=2),
        writes_annotations(weight="50"),
        writes_annotations(action=f"promote:{V2}"),
    ),
    "abort": (
        sets_image("v2", generation=2),
        writes_annotations(weight="100"),
        writes_annotations(action="abort"),
    ),
    "down": (
        sets_image("v2", generation=2),
        writes_annotations(weight="50"),
        writes_annotations(weight="0"),
    ),
}
"""What people do, each step at any moment."""
BY_MEMORY = frozenset({"S12", "T2", "T5"})
"""Predicates that need to know what was before; here a minute of the world stands for that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """One state of the model.

    Attributes:
        world: the cluster.
        now: the time; only what was written in this minute is told from what is older.
        before: the worlds of the last changes, the newest first.
        pending: for each process, the writes that it has decided on and not carried out.
        step: how far people have come.
        has_crashed: a process has died already.
    """

    world: Observed
    now: datetime
    before: tuple[Observed, ...] = ()
    pending: tuple[tuple[Write, ...], ...] = ((), ())
    step: int = 0
    has_crashed: bool = False


@dataclass(slots=True, kw_only=True)
class Explored:
    """What was seen.

    Attributes:
        states: how many different states.
        passes: how many times a plan was made.
        wrong: every violation, with how it came about.
        is_whole: nothing is left to visit.
    """

    states: int = 0
    passes: int = 0
    wrong: list[str] = field(default_factory=list)
    is_whole: bool = True


def small() -> Observed:
    """Return an application of two pods, enrolled and at rest."""
    serving = replica_set("v1", 2)
    world = idle(
        {names.HEADER: "X-Account", names.HEADER_VALUES: "alice"},
        deployments=(deployment(replicas=2),),
        replica_sets=(serving,),
        stable=pool(serving.name, 2),
    )
    now = NOW
    for _ in range(6):
        for write in decide(world, now).writes:
            world = apply(world, write)
        world, now = settled(world), now + MINUTE
    return world


def explored(
    scripts: Sequence[str] = tuple(SCRIPTS), *, processes: int = 2, most: int = 400_000
) -> Explored:
    """Visit every state of these scripts, or so many of each."""
    seen = Explored()
    for script in scripts:
        first = State(world=small(), now=NOW + 10 * MINUTE, pending=((),) * processes)
        _explore(first, SCRIPTS[script], seen, seen.states + most)
    return seen


def _explore(first: State, script: tuple[User, ...], seen: Explored, most: int) -> None:
    known = {key_of(first)}
    waiting = deque([first])
    while waiting:
        state = waiting.popleft()
        seen.states += 1
        if seen.states >= most:
            seen.is_whole = False
            return
        for following in _following(state, script, seen):
            key = key_of(following)
            if key not in known:
                known.add(key)
                waiting.append(following)


def _following(state: State, script: tuple[User, ...], seen: Explored) -> Iterator[State]:
    """Yield every state that may come next."""
    if state.step < len(script):
        yield _changed(state, script[state.step](state.world), step=state.step + 1)
    yield _later(state)
    for number, pending in enumerate(state.pending):
        if not pending:
            yield from _decided(state, number, seen)
        for index, write in enumerate(pending):
            rest = pending[:index] + pending[index + 1 :]
            yield _written(state, number, write, rest, seen)
        if pending and not state.has_crashed:
            yield replace(state, pending=_put(state.pending, number, ()), has_crashed=True)


def _decided(state: State, number: int, seen: Explored) -> Iterator[State]:
    """Let a process make a plan: on what is, or, where it needs no fresh reads, on what was."""
    for ago, world in enumerate((state.world, *state.before[:LAG])):
        plan = decide(world, state.now)
        seen.passes += 1
        if plan.writes and (ago == 0 or not plan.confirm):
            yield replace(state, pending=_put(state.pending, number, plan.writes))


def _written(
    state: State, number: int, write: Write, rest: tuple[Write, ...], seen: Explored
) -> State:
    """Carry one write out; one that conflicts changes nothing."""
    after = replace(state, pending=_put(state.pending, number, rest))
    try:
        world = apply(state.world, write)
    except (
        ConflictError,
        AssertionError,
        jsonpatch.JsonPatchConflict,
        jsonpatch.JsonPatchTestFailed,
    ):
        return after
    seen.wrong += _flaws(state, world, write)
    return _changed(after, world)


def _changed(state: State, world: Observed, *, step: int | None = None) -> State:
    before = (state.world, *state.before)[:LAG] if world != state.world else state.before
    at = state.step if step is None else step
    return replace(state, world=world, before=before, step=at)


def _later(state: State) -> State:
    """Let a minute pass: what rests on a read is not written any more."""
    pending = tuple(
        tuple(write for write in writes if not write.confirm) for writes in state.pending
    )
    return replace(
        state, world=settled(state.world), now=state.now + MINUTE, before=(), pending=pending
    )


def _put(
    pending: tuple[tuple[Write, ...], ...], number: int, writes: tuple[Write, ...]
) -> tuple[tuple[Write, ...], ...]:
    return (*pending[:number], writes, *pending[number + 1 :])


# What is the same state.


def key_of(state: State) -> int:
    """Return what two states have in common that go on in the same way.

    The two processes are alike; of a time only counts whether it is of this minute; of a version
    only whether a pending write still fits it.
    """
    worlds = [_text(world, state.now) for world in (state.world, *state.before)]
    pending = sorted(
        sorted(f"{_text_of(write, state.now)} {_fits(state.world, write)}" for write in writes)
        for writes in state.pending
    )
    return hash((tuple(worlds), json.dumps(pending), state.step, state.has_crashed))


_TEXTS: dict[tuple[int, datetime], tuple[Observed, str]] = {}


def _text(world: Observed, now: datetime) -> str:
    """Return a world as text; the same one is asked for again and again."""
    known = _TEXTS.get((id(world), now))
    if known is None:
        known = _TEXTS[id(world), now] = world, _text_anew(world, now)
    return known[1]


def _text_anew(world: Observed, now: datetime) -> str:
    kinds = {name: getattr(world, name) for name in (*FIELDS.values(), "replica_sets", "seen")}
    text = json.dumps({**kinds, "seen": sorted(map(str, world.seen))}, default=str, sort_keys=True)
    return _timeless(re.sub(r'"resourceVersion": "\d+"', "", text), now)


def _text_of(write: Write, now: datetime) -> str:
    text = re.sub(r"'(resourceVersion|value)': '\d+'", "", repr(write))
    return _timeless(text, now)


def _timeless(text: str, now: datetime) -> str:
    return STAMP.sub(lambda found: "now" if found.group() == stamp(now) else "then", text)


def _fits(world: Observed, write: Write) -> bool:
    try:
        apply(world, write)
    except (
        ConflictError,
        AssertionError,
        jsonpatch.JsonPatchConflict,
        jsonpatch.JsonPatchTestFailed,
    ):
        return False
    return True


# What is wrong.


class _Cluster:
    """An observed world as the invariants look at it."""

    def __init__(self, world: Observed) -> None:
        self._world = world

    def list(self, kind: str, namespace: str) -> Sequence[Any]:
        del namespace
        match kind:
            case "deployments":
                return self._world.deployments
            case "services":
                return self._world.services
            case "ingresses":
                return self._world.ingresses
            case "endpointslices":
                return [
                    _slice(NAME, self._world.stable),
                    _slice(f"{NAME}-canary", self._world.canary),
                ]
            case _:
                return []


def _slice(service: str, known: Pool) -> dict[str, Any]:
    ready = [{"conditions": {"ready": True}}] * known.ready
    labels = {names.SERVICE_NAME: service}
    return {"metadata": meta("EndpointSlice", service, labels=labels), "endpoints": ready}


def _flaws(state: State, world: Observed, write: Write) -> list[str]:
    kind = write.kind
    name = write.obj["metadata"]["name"] if isinstance(write, Create) else write.name
    old, new = _object(state.world, kind, name), _object(world, kind, name)
    templates = {bare(template("v1")), bare(template("v2"))}
    memory = Memory(templates=templates, accounts={NAME: {"alice"}})
    scene = Scene(cluster=_Cluster(world), parameters=world.parameters, memory=memory)
    change = Change(kind=kind.plural, new=new, old=old, by_us=True, at=0.0)
    found = [str(one) for one in broken_by(scene, change) if one.id not in BY_MEMORY]
    found += _too_soon(state, kind, old, new)
    return [f"{one} [step {state.step}, by {_said(write)}]" for one in found]


def _too_soon(state: State, kind: Kind, old: Object | None, new: Object | None) -> list[str]:
    """Pods go in no minute in which a route was changed (T2)."""
    if kind != DEPLOYMENT or old is None or not is_ours(old):
        return []
    if new is not None and replicas_of(new) >= replicas_of(old):
        return []
    routes = [obj for obj in objects_of(state.world, INGRESS) if is_ours(obj)]
    fresh = [it for it in routes if stamp(state.now) in annotations_of(it).get(names.CHANGED, "")]
    return ["T2: canary pods go in the minute in which exposure was changed"] if fresh else []


def _object(world: Observed, kind: Kind, name: str) -> Object | None:
    found = (obj for obj in objects_of(world, kind) if obj["metadata"]["name"] == name)
    return next(found, None)


def _said(write: Write) -> str:
    verbs = {Create: "create", Merge: "merge", Edit: "edit", Delete: "delete"}
    return f"{verbs[type(write)]} {write.kind}: {write.why}"
