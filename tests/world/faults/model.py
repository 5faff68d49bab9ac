"""The small model: every state of a release with two pods a side, and what can lead to it.

Two active processes, each of which decides on the world as it is or as it was one or two changes
ago, carry their writes out one by one in any order, beside each other; one of them may die at any
moment. Pods come one at a time, or the world moves on by a minute, whenever it likes: then pods are
there, rolls are done, and what was written is known. Nothing is drawn at random: every state that
can be reached is visited once, on the real `decide`.

What is left out of a state, so that there are few enough of them, and why nothing bad hides there:

* What the status says to people, the conditions and the events. No plan reads them; that a status
  is written for their sake alone changes nothing else.
* Times. A stamp is of this minute, or older than every wait and younger than every deadline; a
  process has seen what is older for long enough. One that was just started knows less, and so does
  less of what is waited for here.
* The numbers of versions and generations. Each is a hash of what it stands for, so a write fits
  whenever the object looks as it did: more writes succeed than in a cluster, where an object that
  was changed and changed back has another version.
* uids: an object that is made again has the same one, and with it every delete that is under way
  meets it. Again more succeeds than in a cluster.
* Which of the two processes is which: they are alike, so two states that differ in that alone have
  the same future, and are one.
* A cluster of the past that nobody can have in a cache any more, and how far behind a cache may be
  that knows all there was since everybody knew all. Nothing is computed from either.

The last two of these take nothing away and add nothing; all others add behaviour and take none
away. Two things do take some away. What a process reads afresh it reads in the moment in which it
decides; in a cluster one answer may be some seconds older than another. And a process that has
written knows the cluster as its write found it; in a cluster the answer tells of one object only.

Writes that rest on a quorum read are given up when a minute passes, as the reconciler gives them up
(FRESH_SECONDS).
"""

import json
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cache
from typing import Any

import jsonpatch

from controller.api import names
from controller.api.objects import (
    DEPLOYMENT,
    ENDPOINT_SLICE,
    SERVICE,
    Kind,
    Object,
    annotations_of,
    digest,
    is_ours,
    is_paused,
    name_of,
    replicas_of,
    revision_of,
    stamp,
    template_of,
    uid_of,
)
from controller.api.status import Status, status_in
from controller.plan.decide import decide
from controller.plan.invariants import broken_by
from controller.plan.observed import Endpoint, Observed, Pool, Ref, ReplicaSet
from controller.plan.record import record_of
from controller.plan.scene import Change, Memory, Scene, bare
from controller.plan.stages import Stage
from controller.plan.traffic.exposure import Exposure
from controller.plan.writes import Create, Delete, Edit, Merge, Write
from tests.controller.plan.applied import (
    CANARY,
    FIELDS,
    ConflictError,
    apply,
    changed,
    object_in,
    objects_of,
    put,
    record_stamps,
    settled,
)
from tests.controller.plan.test_any_order import User, resumes, sets_image, writes_annotations
from tests.controller.plan.worlds import (
    LONG,
    NAME,
    NOW,
    V1,
    V2,
    deployment,
    idle,
    meta,
    nginx,
    pool,
    replica_set,
    template,
)

LAG = 2
"""How many changes a cache may be behind."""
ROUNDS = 3
"""reconciler.ROUNDS."""
OLDER = stamp(NOW - timedelta(minutes=2))
"""Every time but that of this minute: past every wait, before every deadline."""
LATE = stamp(NOW - timedelta(minutes=3))
"""The time in a write that was under way for more than a minute: as old, and seen by nobody yet."""
FULL = 2
SCRIPTS: Mapping[str, tuple[User, ...]] = {
    "promote": (
        sets_image("v2", generation=2),
        writes_annotations(weight="50"),
        writes_annotations(action=f"promote:{V2}"),
    ),
    "resume": (
        sets_image("v2", generation=2),
        writes_annotations(weight="100"),
        resumes,
    ),
    "abort": (
        sets_image("v2", generation=2),
        writes_annotations(weight="100"),
        writes_annotations(action="abort"),
    ),
    "abort the shift": (
        sets_image("v2", generation=2),
        writes_annotations(action=f"promote:{V2}"),
        writes_annotations(action="abort"),
    ),
    "down": (
        sets_image("v2", generation=2),
        writes_annotations(weight="50"),
        writes_annotations(weight="0"),
    ),
    "less": (
        sets_image("v2", generation=2),
        writes_annotations(weight="100"),
        writes_annotations(weight="50"),
        writes_annotations(weight="0"),
    ),
    "up again": (
        sets_image("v2", generation=2),
        writes_annotations(weight="50"),
        writes_annotations(weight="0"),
        writes_annotations(weight="50"),
    ),
    "put back": (
        sets_image("v2", generation=2),
        writes_annotations(weight="50"),
        sets_image("v1", generation=3),
    ),
}
"""What people do, each step at any moment."""
ENDS: Mapping[str, frozenset[tuple[str | None, str]]] = {
    "promote": frozenset({(Stage.IDLE, V2)}),
    "resume": frozenset({(Stage.IDLE, V2)}),
    "abort": frozenset({(Stage.ABORTED, V1)}),
    "abort the shift": frozenset(
        {
            (Stage.ABORTED, V1),  # in time
            (Stage.IDLE, V2),  # too late
            (Stage.PROMOTING, f"{V2},{V1}"),  # stopped in the roll: it waits for the old template
        }
    ),
    "down": frozenset({(Stage.CANARY, V1)}),
    "less": frozenset({(Stage.CANARY, V1)}),
    "up again": frozenset({(Stage.CANARY, V1)}),
    "put back": frozenset({(Stage.IDLE, V1)}),
}
"""The stage and the revision that serves, where people have done all and nothing moves any more."""
BY_MEMORY = frozenset({"S12", "T2", "T5"})
"""Predicates that need to know what was before; T2 is judged by what this minute's exposure needs.
The others look back at what people asked for, which is at every moment's choice here."""
STOPPED: tuple[str | None, str] = (Stage.ABORTED, f"{V2},{V1}")
"""Where two processes may come besides: the roll had begun as it was aborted, and was stopped."""
BY_ONE = frozenset({"T4"})
"""What two processes at once cannot keep: that one has recorded an abort, the other may not know
while its raise is under way. T10 asks for every S of them, and these are lowered at once."""

Process = tuple[int, tuple[int, ...]]
"""How many of the last changes it may not have heard of, its own never among them; and what it has
decided on and not carried out."""
State = tuple[int, tuple[int, ...], tuple[Process, ...], int, bool, int]
"""The world; those before the last changes, the newest first; the processes; how far people have
come; whether a process has died; how many canary pods the widest exposure of this minute needs.
Worlds and writes by number."""


@dataclass(slots=True, kw_only=True)
class Explored:
    """What was seen.

    Attributes:
        states: how many different states.
        worlds: how many different clusters among them.
        steps: how many ways lead from one state to the next.
        ends: how many states in which nothing moves any more.
        wrong: every violation, with how it came about.
        known: what two processes cannot keep, and no predicate asks: one lets stable roll in
            the moment in which the other aborts, and stops it again.
        is_whole: nothing is left to visit.
    """

    states: int = 0
    worlds: int = 0
    steps: int = 0
    ends: int = 0
    wrong: list[str] = field(default_factory=list)
    known: list[str] = field(default_factory=list)
    is_whole: bool = True


def small() -> Observed:
    """Return an application of two pods, enrolled and at rest."""
    serving = replica_set("v1", FULL)
    world = idle(
        {names.HEADER: "X-Account", names.HEADER_VALUES: "alice"},
        deployments=(deployment(replicas=FULL),),
        replica_sets=(serving,),
        stable=pool(serving.name, FULL),
    )
    for _ in range(6):
        for write in decide(world, NOW).writes:
            world = apply(world, write)
        world = aged(settled(world))
    return world


def explored(
    scripts: Sequence[str] = tuple(SCRIPTS), *, processes: int = 2, most: int | None = None
) -> Explored:
    """Visit every state of these scripts, or so many of each."""
    seen = Explored()
    for script in scripts:
        _Model(script, processes).visit(seen, most)
    return seen


class _Model:
    """One script: its worlds and writes by number, and what is known of them."""

    def __init__(self, script: str, processes: int) -> None:
        self._script, self._steps = script, SCRIPTS[script]
        self._worlds: list[Observed] = []
        self._needs: list[int] = []
        self._numbers: dict[str, int] = {}
        self._writes: list[Write] = []
        self._named: dict[str, int] = {}
        self._plans: dict[int, tuple[tuple[int, ...], frozenset[Ref], Any]] = {}
        self._decided: dict[tuple[int, int], tuple[int, ...]] = {}
        self._applied: dict[tuple[int, int], int | None] = {}
        self._acted: dict[tuple[int, int], int] = {}
        self._moved: dict[tuple[int, str], int] = {}
        self._olds: dict[int, int | None] = {}
        self._older: dict[tuple[Process, ...], tuple[Process, ...]] = {}
        self._wrong: dict[str, None] = {}
        self._known: dict[str, None] = {}
        self._is_one = processes == 1
        self._excused = BY_MEMORY | (BY_ONE if processes > 1 else frozenset())
        self._first: State = (self._number(small()), (), ((0, ()),) * processes, 0, False, 0)

    def visit(self, seen: Explored, most: int | None) -> None:
        """Visit every state, the nearest first."""
        known, waiting, visited = {self._first}, deque([self._first]), 0
        while waiting:
            if most is not None and visited >= most:
                seen.is_whole = False
                break
            state = waiting.popleft()
            visited += 1
            moves = False
            for following in self._following(state):
                seen.steps += 1
                moves = moves or following != state
                if following not in known:
                    known.add(following)
                    waiting.append(following)
            if not moves:
                seen.ends += 1
                self._judge_end(state)
        seen.states += visited
        seen.worlds += len(self._worlds)
        seen.wrong += [f"{self._script}: {line}" for line in self._wrong]
        seen.known += [f"{self._script}: {line}" for line in self._known]

    def _following(self, state: State) -> Iterator[State]:
        """Yield every state that may come next."""
        world, before, processes, step, died, needed = state
        if step < len(self._steps):
            yield self._on(state, self._act(world, step), processes, step=step + 1)
        half = self._move(world, "half")
        if half != world:
            yield self._on(state, half, processes)
        later = self._move(world, "settled")
        yield later, (), self._aged(processes), step, died, self._needs[later]
        for number, (behind, writes) in enumerate(processes):
            if not writes:
                for plan in {self._decide(one, world) for one in (world, *before[:behind])} - {()}:
                    yield world, before, _put(processes, number, (behind, plan)), step, died, needed
                continue
            for index, write in enumerate(writes):
                rest = behind, writes[:index] + writes[index + 1 :]
                after = self._apply(world, write)
                self._judge_pods(world, after, write, needed)
                yield self._on(state, after, _put(processes, number, rest), writer=rest)
            if not died:
                dead = min(LAG, len(before)), ()
                yield world, before, _put(processes, number, dead), step, True, needed

    def _on(
        self,
        state: State,
        world: int | None,
        processes: tuple[Process, ...],
        *,
        step: int | None = None,
        writer: Process | None = None,
    ) -> State:
        """Return what follows from a change; a write that does not fit changes nothing."""
        was, before, _, at, died, needed = state
        step = at if step is None else step
        if world is None or world == was:
            return was, before, processes, step, died, needed
        widest = max(needed, self._needs[world])
        processes = _unheard(processes, writer)
        oldest = max(behind for behind, _ in processes) if died else LAG
        return world, (was, *before)[:oldest], processes, step, died, widest

    def _judge_pods(self, world: int, after: int | None, write: int, needed: int) -> None:
        """Pods that this minute's exposure needs stay for this minute (T2)."""
        if after is None or not needed:
            return
        left, had = _pods(self._worlds[after]), _pods(self._worlds[world])
        if left < min(had, needed):
            line = f"T2: {left} canary pods are left of {needed} that were needed this minute"
            self._wrong[f"{line} [by {_said(self._writes[write])}]"] = None

    # What happens to worlds; each is found out once.

    def _number(self, world: Observed) -> int:
        world = canonical(world)
        objects = [obj for kind in FIELDS for obj in objects_of(world, kind)]
        versions = [(name_of(obj), obj["metadata"]["resourceVersion"]) for obj in objects]
        text = f"{versions}{world.replica_sets}{world.stable}{world.canary}"
        number = self._numbers.setdefault(text, len(self._worlds))
        if number == len(self._worlds):
            self._worlds.append(world)
            self._needs.append(max(map(_needed, _exposures(world)), default=0))
            self._wrong |= dict.fromkeys(_short(world))
            is_late = not self._is_one and _is_aborted(world)
            found = self._known if is_late else self._wrong
            found |= dict.fromkeys(_rolls_under_traffic(world))
        return number

    def _named_write(self, write: Write) -> int:
        number = self._named.setdefault(repr(write), len(self._writes))
        if number == len(self._writes):
            self._writes.append(write)
        return number

    def _act(self, world: int, step: int) -> int:
        if (world, step) not in self._acted:
            self._acted[world, step] = self._number(self._steps[step](self._worlds[world]))
        return self._acted[world, step]

    def _move(self, world: int, how: str) -> int:
        if (world, how) not in self._moved:
            move = _half if how == "half" else _settled
            after = move(self._worlds[world])
            self._moved[world, how] = self._number(aged(after) if move is _settled else after)
        return self._moved[world, how]

    def _apply(self, world: int, write: int) -> int | None:
        if (world, write) not in self._applied:
            self._applied[world, write] = self._apply_anew(world, write)
        return self._applied[world, write]

    def _apply_anew(self, world: int, write: int) -> int | None:
        before, what = self._worlds[world], self._writes[write]
        try:
            after = apply(before, what)
        except (
            ConflictError,
            AssertionError,
            jsonpatch.JsonPatchConflict,
            jsonpatch.JsonPatchTestFailed,
        ):
            return None
        self._wrong |= dict.fromkeys(_flaws(before, after, what, self._excused))
        return self._number(after)

    def _decide(self, then: int, now: int) -> tuple[int, ...]:
        """Plan on a world as it was, what has to be read being as it is now."""
        if (then, now) not in self._decided:
            self._decided[then, now] = self._decide_anew(then, now)
        return self._decided[then, now]

    def _decide_anew(self, then: int, now: int) -> tuple[int, ...]:
        world, read = then, frozenset[Ref]()
        for _ in range(ROUNDS):
            writes, asked, _ = self._plan(world)
            if asked <= read or world == now:
                return writes
            read |= asked
            world = self._number(_read(self._worlds[then], self._worlds[now], read))
        writes, asked, _ = self._plan(world)
        return writes if asked <= read else ()

    def _plan(self, world: int) -> tuple[tuple[int, ...], frozenset[Ref], str | None]:
        if world not in self._plans:
            plan = decide(self._worlds[world], NOW)
            written = [essential(write) for write in plan.writes]
            numbers = sorted({self._named_write(write) for write in written if write is not None})
            self._plans[world] = tuple(numbers), plan.confirm, plan.stage
        return self._plans[world]

    def _aged(self, processes: tuple[Process, ...]) -> tuple[Process, ...]:
        """Let a minute pass over what is still to be written."""
        if processes not in self._older:
            self._older[processes] = self._aged_anew(processes)
        return self._older[processes]

    def _aged_anew(self, processes: tuple[Process, ...]) -> tuple[Process, ...]:
        kept = [[self._old(write) for write in writes] for _, writes in processes]
        return tuple(sorted((0, tuple(sorted(it for it in old if it is not None))) for old in kept))

    def _old(self, write: int) -> int | None:
        if write not in self._olds:
            what = self._writes[write]
            older = None if what.confirm else _older_write(what)
            self._olds[write] = None if older is None else self._named_write(older)
        return self._olds[write]

    def _judge_end(self, state: State) -> None:
        world, step = state[0], state[3]
        if step < len(self._steps):
            return
        served = ",".join(sorted(one.revision for one in self._sets(world) if one.pods))
        end = self._plan(world)[2], served
        if end not in ENDS[self._script]:
            is_late = not self._is_one and end == STOPPED
            found = self._known if is_late else self._wrong
            found[f"ends in {end}"] = None

    def _sets(self, world: int) -> list[ReplicaSet]:
        known = self._worlds[world]
        stable = object_in(known, DEPLOYMENT, NAME)
        return [one for one in known.replica_sets if one.owner == uid_of(stable or {})]


def _put(processes: tuple[Process, ...], number: int, one: Process) -> tuple[Process, ...]:
    return tuple(sorted((*processes[:number], one, *processes[number + 1 :])))


def _unheard(processes: tuple[Process, ...], writer: Process | None) -> tuple[Process, ...]:
    """Let a change be news to everybody but to who made it."""
    behind = [(min(LAG, number + 1), writes) for number, writes in processes]
    if writer is not None:
        behind[processes.index(writer)] = (0, writer[1])
    return tuple(sorted(behind))


# What is the same world.


def canonical(world: Observed) -> Observed:
    """Return the world without what no plan depends on; see the module."""
    kinds: dict[str, Any] = {
        name: tuple(sorted((_canonical(kind, one) for one in objects_of(world, kind)), key=name_of))
        for kind, name in FIELDS.items()
    }
    service = next((it for it in kinds[FIELDS[SERVICE]] if name_of(it) == NAME), world.service)
    seen = {
        (uid_of(obj), text): LONG
        for obj in (*kinds["ingresses"], *kinds["deployments"])
        for text in _times(annotations_of(obj))
        if OLDER in text
    }
    return replace(world, **kinds, service=service, seen=seen)


def _times(notes: Mapping[str, str]) -> list[str]:
    """Return the times that processes watch the age of."""
    found = [notes[names.CHANGED]] if names.CHANGED in notes else []
    return [*found, *record_stamps(notes.get(names.RELEASE, "{}"))]


def _canonical(kind: Kind, obj: Object) -> Object:
    known = _CANONICAL.get(obj["metadata"].get("resourceVersion", ""))
    if known is obj:
        return obj
    meta_now, status = dict(obj["metadata"]), obj.get("status")
    if names.STATUS in annotations_of(obj):
        text = _remembered(annotations_of(obj)[names.STATUS])
        meta_now["annotations"] = {**meta_now["annotations"], names.STATUS: text}
    if kind == SERVICE:
        status = {"loadBalancer": {}}
    if kind == DEPLOYMENT:
        is_observed = (status or {}).get("observedGeneration") == meta_now["generation"]
        meta_now["generation"] = int(digest(obj["spec"], 7), 16)
        status = {**(status or {}), "observedGeneration": meta_now["generation"] * is_observed}
    meta_now.pop("resourceVersion", None)
    made = {**obj, "metadata": meta_now, **({"status": status} if status is not None else {})}
    version = meta_now["resourceVersion"] = str(int(digest(made, 12), 16))
    return _CANONICAL.setdefault(version, made)


_CANONICAL: dict[str, Object] = {}
"""Every object there was, by its version, which is a hash of it."""


@cache
def _remembered(text: str) -> str:
    """Return a status with no more than what a later pass needs of it."""
    status = status_in({"metadata": {"annotations": {names.STATUS: text}}})
    kept = Status(rejected=status.rejected, outcome=status.outcome, stable=status.stable)
    return kept.text()


def essential(write: Write) -> Write | None:
    """Return a write without words; None for one that says nothing but words."""
    write = replace(write, why="", events=())
    if not isinstance(write, Edit) or write.kind != SERVICE:
        return write
    operations = [_essential(one) for one in write.operations if "/status/" not in one["path"]]
    does = [one for one in operations if one["op"] != "test" and one not in _untouched(operations)]
    return replace(write, operations=tuple(operations), subresource="") if does else None


def _essential(operation: Mapping[str, Any]) -> dict[str, Any]:
    is_status = operation["path"].endswith(names.STATUS.replace("/", "~1"))
    if is_status and isinstance(operation.get("value"), str):
        return {**operation, "value": _remembered(operation["value"])}
    return dict(operation)


def _untouched(operations: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return what would add what is there already."""
    return [{**one, "op": "add"} for one in operations if one["op"] == "test"]


def aged(world: Observed) -> Observed:
    """Return the world a minute later: what was written is known to everybody."""
    for kind in FIELDS:
        for obj in objects_of(world, kind):
            notes = {key: _older(text, OLDER) for key, text in annotations_of(obj).items()}
            if notes:
                meta_now = {**obj["metadata"], "annotations": notes}
                world = put(world, kind, {**obj, "metadata": meta_now})
    return world


def _older(text: str, then: str) -> str:
    return text.replace(stamp(NOW), then).replace(LATE, then)


def _older_write(write: Write) -> Write:
    """Return a write that is a minute late; what it tests has grown older with the world."""
    if isinstance(write, Merge):
        return replace(write, patch=json.loads(_older(json.dumps(write.patch), LATE)))
    if isinstance(write, Edit):
        operations = [_older_operation(one) for one in write.operations]
        return replace(write, operations=tuple(operations))
    if isinstance(write, Create):
        return replace(write, obj=json.loads(_older(json.dumps(write.obj), LATE)))
    return write


def _older_operation(operation: Mapping[str, Any]) -> dict[str, Any]:
    then = OLDER if operation["op"] == "test" else LATE
    older: dict[str, Any] = json.loads(_older(json.dumps(operation), then))
    return older


def _read(then: Observed, now: Observed, refs: frozenset[Ref]) -> Observed:
    """Return a world as it was, in which these objects were read afresh."""
    world = then
    for ref in sorted(refs, key=str):
        if ref.kind == ENDPOINT_SLICE:
            side = "stable" if ref.name == NAME else "canary"
            pools: dict[str, Any] = {side: getattr(now, side)}
            world = replace(world, **pools)
        elif (fresh := object_in(now, ref.kind, ref.name)) is not None:
            world = put(world, ref.kind, fresh)
        else:
            kept = tuple(one for one in objects_of(world, ref.kind) if name_of(one) != ref.name)
            gone: dict[str, Any] = {FIELDS[ref.kind]: kept}
            world = replace(world, **gone)
    return world


# What a cluster does by itself.


def _settled(world: Observed) -> Observed:
    """Let every pod come and go; a Deployment that is paused in mid-roll stays there."""
    stable = object_in(world, DEPLOYMENT, NAME)
    owned = [one for one in world.replica_sets if one.owner == uid_of(stable or {}) and one.pods]
    after = settled(world)
    if stable is None or not is_paused(stable) or len(owned) < 2:
        return after
    others = [one for one in after.replica_sets if one.owner != uid_of(stable)]
    sets = tuple(sorted((*owned, *others), key=lambda one: one.name))
    counts = {**after_status(after), "updatedReplicas": 1}
    after = put(after, DEPLOYMENT, changed(object_in(after, DEPLOYMENT, NAME) or {}, status=counts))
    return replace(after, replica_sets=sets, stable=_known(world.stable))


def after_status(world: Observed) -> Mapping[str, Any]:
    """Return what stable's Deployment says of itself."""
    return dict((object_in(world, DEPLOYMENT, NAME) or {})["status"])


def _known(now: Pool) -> Pool:
    """Return a pool whose pods every proxy knows."""
    endpoints = tuple(replace(one, age_seconds=LONG) for one in now.endpoints)
    return Pool(endpoints=endpoints, history=((LONG, len(endpoints)),))


def _half(world: Observed) -> Observed:
    """Let one pod come: of a canary that has none, or of a stable that rolls."""
    canary, stable = (object_in(world, DEPLOYMENT, name) for name in (CANARY, NAME))
    if canary is not None and not world.canary.endpoints and replicas_of(canary) > 1:
        return _first_canary_pod(world, canary)
    if stable is not None and not is_paused(stable):
        return _first_new_pod(world, stable)
    return world


def _first_canary_pod(world: Observed, canary: Object) -> Observed:
    revision, wanted = revision_of(template_of(canary)), replicas_of(canary)
    mine = ReplicaSet(
        name=f"{CANARY}-{revision}",
        owner=uid_of(canary),
        revision=revision,
        number=1,
        wanted=wanted,
        pods=wanted,
        ready=1,
    )
    others = [one for one in world.replica_sets if one.owner != mine.owner]
    sets = tuple(sorted((*others, mine), key=lambda one: one.name))
    there = pool(mine.name, 1) if object_in(world, SERVICE, CANARY) else Pool()
    counts = {
        "observedGeneration": canary["metadata"]["generation"],
        "replicas": wanted,
        "updatedReplicas": wanted,
        "readyReplicas": 1,
        "availableReplicas": 1,
    }
    world = put(world, DEPLOYMENT, changed(canary, status=counts))
    return replace(world, replica_sets=sets, canary=there)


def _first_new_pod(world: Observed, stable: Object) -> Observed:
    """One pod of the new template is ready, for a moment only, and one of the old ones is left."""
    revision, owner = revision_of(template_of(stable)), uid_of(stable)
    owned = [one for one in world.replica_sets if one.owner == owner and one.pods]
    if len(owned) != 1 or owned[0].revision == revision:
        return world
    old = replace(owned[0], wanted=1, pods=1, ready=1)
    new = replace(old, name=f"{NAME}-{revision}", revision=revision, number=old.number + 1)
    others = [one for one in world.replica_sets if one.owner != owner]
    counts = {
        "observedGeneration": stable["metadata"]["generation"],
        "replicas": FULL,
        "updatedReplicas": 1,
        "readyReplicas": FULL,
        "availableReplicas": FULL,
    }
    world = put(world, DEPLOYMENT, changed(stable, status=counts))
    endpoints = (
        Endpoint(pod=f"{old.name}-0", age_seconds=LONG),
        Endpoint(pod=f"{new.name}-0", age_seconds=0.0),
    )
    sets = tuple(sorted((*others, old, new), key=lambda one: one.name))
    there = Pool(endpoints=endpoints, history=((0.0, FULL), (LONG, FULL)))
    return replace(world, replica_sets=sets, stable=there)


# What is wrong.


def _short(world: Observed) -> Iterator[str]:
    """Say where the canary has too few pods, however that came about."""
    pods = _pods(world)
    for exposure in _exposures(world):
        if pods < _needed(exposure):
            yield f"{exposure} is left with {pods} canary pods of {_needed(exposure)}"


def _rolls_under_traffic(world: Observed) -> Iterator[str]:
    """Say whether stable rolls with users on it, however that came about."""
    stable = object_in(world, DEPLOYMENT, NAME) or {}
    serving = {one.revision for one in world.replica_sets if one.owner == uid_of(stable)}
    if is_paused(stable) or serving == {revision_of(template_of(stable))}:
        return
    weights = [exposure.weight for exposure in _exposures(world)]
    if not weights or min(weights) < 100:
        yield f"stable rolls under its traffic: weights {weights}"


def _is_aborted(world: Observed) -> bool:
    """Tell whether a person has asked for the end of the release, or it is recorded."""
    service = world.service or {}
    is_asked = annotations_of(service).get(names.ACTION) == "abort"
    record = record_of(object_in(world, DEPLOYMENT, CANARY) or {})
    is_noted = record is not None and bool(record.abort)
    return is_asked or is_noted or status_in(service).rejected is not None


def _exposures(world: Observed) -> list[Exposure]:
    return [nginx().exposure_of(route) for route in world.ingresses if is_ours(route)]


def _needed(exposure: Exposure) -> int:
    return exposure.pods_needed(FULL) if exposure.is_open else 0


def _pods(world: Observed) -> int:
    """Return how many pods the canary Service is to have."""
    canary = object_in(world, DEPLOYMENT, CANARY)
    is_there = canary is not None and object_in(world, SERVICE, CANARY) is not None
    return replicas_of(canary or {}) if is_there else 0


class _Cluster:
    """An observed world as the invariants look at it."""

    def __init__(self, world: Observed) -> None:
        self._world = world

    def list(self, kind: str, namespace: str) -> Sequence[Any]:
        del namespace
        if kind == "endpointslices":
            stable, canary = self._world.stable, self._world.canary
            return [_slice(NAME, stable), _slice(CANARY, canary)]
        known = {one.plural: objects_of(self._world, one) for one in FIELDS}
        return known.get(kind, ())


def _slice(service: str, known: Pool) -> dict[str, Any]:
    ready = [{"conditions": {"ready": True}}] * known.ready
    labels = {names.SERVICE_NAME: service}
    return {"metadata": meta("EndpointSlice", service, labels=labels), "endpoints": ready}


def _flaws(
    before: Observed, world: Observed, write: Write, excused: frozenset[str]
) -> Iterator[str]:
    kind = write.kind
    name = write.obj["metadata"]["name"] if isinstance(write, Create) else write.name
    old, new = object_in(before, kind, name), object_in(world, kind, name)
    templates = {bare(template("v1")), bare(template("v2"))}
    memory = Memory(templates=templates, accounts={NAME: {"alice"}})
    scene = Scene(cluster=_Cluster(world), parameters=world.parameters, memory=memory)
    change = Change(kind=kind.plural, new=new, old=old, by_us=True, at=0.0)
    found = [one for one in broken_by(scene, change) if one.id not in excused]
    yield from (f"{one} [by {_said(write)}]" for one in found)


def _said(write: Write) -> str:
    verbs = {Create: "create", Merge: "merge", Edit: "edit", Delete: "delete"}
    how = getattr(write, "patch", getattr(write, "operations", ""))
    return f"{verbs[type(write)]} {write.kind}: {how}"
