"""Deliberate mistakes, switched on in a process of their own: the suite has to catch each of them.

They live here, and nothing of them in what is shipped. Every bug is a small change of one function.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.world.faults.bugs import BUGS, Bug
from tests.world.faults.director import Outcome, failure, reported
from tests.world.faults.later import LATER
from tests.world.faults.lawful import LAWFUL
from tests.world.faults.plan import Plan, line_of, plan_in
from tests.world.faults.suite import AHEAD, Told, alone, each, isolated, plans_of, read, run, told
from tests.world.faults.turns import Turns
from tests.world.faults.workloads import BY_NAME

ALL = (*BUGS, *LATER, *LAWFUL)
LIMIT = 500
"""Runs within which a bug has to be caught."""
FIRST = ("promote", "abort-canary", "ramp", "flapping", "newer", "promote-pause", "scaled")
ROWS = "AE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Caught:
    """How a bug was caught: by which oracle, in which run, under which plan."""

    oracle: str
    run: int
    plan: Plan


def hunted(jobs: int, bugs: Sequence[Bug] = ALL) -> Iterator[tuple[str, Caught | None]]:
    """Look for every bug, for some of them side by side; yield its name and how it was caught."""
    with closing(Turns(jobs)) as turns:
        works = _hunts(bugs, turns)
        for bug, found in zip(bugs, each(works, AHEAD if jobs > 1 else 1), strict=True):
            yield bug.name, found and Caught(**{**found, "plan": plan_in(found["plan"])})


def _hunts(bugs: Sequence[Bug], turns: Turns) -> Iterator[Callable[[], Any]]:
    known: dict[str, Told] = {}
    for bug in bugs:
        for name in bug.workloads or FIRST:
            if name not in known:
                known[name] = told(BY_NAME[name])
        yield partial(_hunt, bug, known, turns)


def _hunt(bug: Bug, known: Mapping[str, Told], turns: Turns) -> dict[str, Any] | None:
    """Return what `Caught` is made of, as JSON can say it."""
    runs = 0
    for rows in ("", bug.rows or ROWS):
        for name in bug.workloads or FIRST:
            for outcome in _told(bug, name, known[name], rows, LIMIT - runs, turns):
                runs += 1
                if outcome.wrong:
                    oracle, plan = _oracle(outcome.wrong[0]), line_of(outcome.plan)
                    return {"oracle": oracle, "run": runs, "plan": plan}
            if runs >= LIMIT:
                return None
    return None


def _told(
    bug: Bug, name: str, known: Told, rows: str, most: int, turns: Turns
) -> tuple[Outcome, ...]:
    """Tell one story with a bug: alone, or with the plans of some rows."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "outcomes"
        tale = _tale(bug, name, known, rows, path, most, turns)
        with nullcontext() if rows else turns.taken():  # runs take turns of their own
            isolated(tale)
        return tuple(read(path))


def _oracle(line: str) -> str:
    """Return the oracle that spoke first, and which predicate if it is one."""
    name, _, rest = line.partition(": ")
    if name in {"invariant", "story"}:
        words = [word for word in rest.split() if word[:1] in "STAL" and word[1:2].isdigit()]
        return f"{name} {words[0]}" if words else name
    return name


def _tale(
    bug: Bug, name: str, known: Told, rows: str, path: Path, most: int, turns: Turns
) -> Callable[[], None]:
    """Return what tells it, in a process of its own."""

    def tell() -> None:
        path.touch()
        bug.plant()
        workload = BY_NAME[name]
        calm = Plan(row="-", workload=name, faults=())
        if not rows:
            reported(path, calm, _calm(name, known), [], 0.0)
            return
        made = chain(*(plans_of(name, known, row)[:: bug.stride] for row in rows))
        plans = [plan for plan in made if bug.only in {"", plan.faults[0].do}][:most]
        run(workload, plans, known, path, turns, lambda: any(it.wrong for it in read(path)))

    return tell


def _calm(name: str, known: Told) -> list[str]:
    """Tell a story without faults and with the bug."""
    try:
        return alone(Plan(row="-", workload=name, faults=()), known).wrong
    except Exception:  # noqa: BLE001  # a mistake may end it in any way
        return [failure()]  # it does not even come to the story
