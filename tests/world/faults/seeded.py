"""Deliberate mistakes, switched on in a process of their own: the suite has to catch each of them.

They live here, and nothing of them in what is shipped. Every bug is a small change of one function.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.world.faults.bugs import BUGS, Bug
from tests.world.faults.director import failure, reported
from tests.world.faults.later import LATER
from tests.world.faults.lawful import LAWFUL
from tests.world.faults.plan import Plan
from tests.world.faults.suite import Told, alone, isolated, plans_of, read, run, told
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
    """Look for every bug in turn; yield its name and how it was caught."""
    known: dict[str, Told] = {}
    for bug in bugs:
        yield bug.name, _hunt(bug, known, jobs)


def _hunt(bug: Bug, known: dict[str, Told], jobs: int) -> Caught | None:
    runs = 0
    for rows in ("", bug.rows or ROWS):
        for name in bug.workloads or FIRST:
            if name not in known:
                known[name] = told(BY_NAME[name])
            with TemporaryDirectory() as folder:
                path = Path(folder) / "outcomes"
                path.touch()
                isolated(_tale(bug, name, known[name], rows, path, LIMIT - runs, jobs))
                for outcome in read(path):
                    runs += 1
                    if outcome.wrong:
                        return Caught(oracle=_oracle(outcome.wrong[0]), run=runs, plan=outcome.plan)
            if runs >= LIMIT:
                return None
    return None


def _oracle(line: str) -> str:
    """Return the oracle that spoke first, and which predicate if it is one."""
    name, _, rest = line.partition(": ")
    if name in {"invariant", "story"}:
        words = [word for word in rest.split() if word[:1] in "STAL" and word[1:2].isdigit()]
        return f"{name} {words[0]}" if words else name
    return name


def _tale(
    bug: Bug, name: str, known: Told, rows: str, path: Path, most: int, jobs: int
) -> Callable[[], None]:
    """Return a run of one story with a bug: alone, or with the plans of some rows."""

    def tell() -> None:
        bug.plant()
        workload = BY_NAME[name]
        calm = Plan(row="-", workload=name, faults=())
        if not rows:
            reported(path, calm, _calm(name, known), [], 0.0)
            return
        made = chain(*(plans_of(name, known, row)[:: bug.stride] for row in rows))
        plans = [plan for plan in made if bug.only in {"", plan.faults[0].do}][:most]
        run(workload, plans, known, path, jobs, lambda: any(it.wrong for it in read(path)))

    return tell


def _calm(name: str, known: Told) -> list[str]:
    """Tell a story without faults and with the bug."""
    try:
        return alone(Plan(row="-", workload=name, faults=()), known).wrong
    except Exception:  # noqa: BLE001  # a mistake may end it in any way
        return [failure()]  # it does not even come to the story
