"""`make faults`: every row of safety.md section 6, and the proof that it would have noticed.

SEED=LINE, or a file of tests/world/plans/, replays one run.
"""

import argparse
import gc
import multiprocessing
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.world.faults import model, seeded
from tests.world.faults.director import Outcome
from tests.world.faults.plan import line_of, plan_in
from tests.world.faults.rows import ROWS, STRIDES
from tests.world.faults.suite import CALM, Tale, again, tales
from tests.world.faults.workloads import BY_NAME

STATES = 400_000
"""Of a long story of the model with two processes, as many as `make faults` has time for."""
SHORT = frozenset({"down", "less", "up again"})
"""Stories that are always visited whole: pods are removed in them beside those who raise."""
TITLES = {
    CALM: "stories without faults",
    "A": "crash at each write",
    "B": "bad answers to writes",
    "C": "watches that lie",
    "D": "time travel",
    "E": "two leaders, Lease, clocks, freezes",
    "F": "another writer in between",
    "G": "one field mutated",
    "H": "people's operations",
    "S": "starts in a world that has changed",
    "R": "random schedules",
}


def main(argv: Sequence[str]) -> int:
    """Run what was asked for; the exit code says whether all of it went well."""
    options = _options(argv)
    if options.seed:
        return _replay(options.seed)
    began = time.monotonic()
    wrong, runs = _rows(options)
    told = ""
    if options.only in {"", "seeded"}:
        caught, known = _seeded(options.jobs)
        told, wrong = f"; seeded {caught} of {known}", wrong + known - caught
    if options.only in {"", "model"}:
        wrong += _model(options)
    spent = sum(os.times()[:4])
    _say(f"took {time.monotonic() - began:.0f} s, and {spent:.0f} s of processor time")
    _say(f"faults: {runs} runs, {wrong} violations{told}")
    return 1 if wrong else 0


def _options(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="faults", description=__doc__)
    parser.add_argument("--seed", default="", help="one plan: a line that was printed, or a file")
    parser.add_argument("--rows", default="".join(ROWS), help="letters of rows")
    parser.add_argument("--workloads", default="", help="names, with commas; all by default")
    parser.add_argument("--every", type=int, default=0, help="take every so many-th plan of a row")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 2, help="processes at once")
    parser.add_argument(
        "--states",
        type=int,
        default=STATES,
        help="of a long story of the model with two processes, the nearest first; 0 for all",
    )
    parser.add_argument(
        "--active", type=int, default=2, help="processes of the model, up to so many"
    )
    parser.add_argument("--only", default="", choices=["", "rows", "seeded", "model"])
    return parser.parse_args(argv)


@dataclass(slots=True)
class _Line:
    """One line of the table: plans there are, runs, runs that were wrong, processor seconds."""

    plans: int = 0
    runs: int = 0
    wrong: int = 0
    seconds: float = 0.0

    def count(self, outcome: Outcome) -> None:
        """Add a run."""
        self.runs += 1
        self.wrong += bool(outcome.wrong)
        self.seconds += outcome.seconds


def _rows(options: argparse.Namespace) -> tuple[int, int]:
    """Run the rows and print the table; return how many runs were wrong, and how many ran."""
    if options.only not in {"", "rows"}:
        return 0, 0
    names = options.workloads.split(",") if options.workloads else list(BY_NAME)
    strides = {row: options.every or STRIDES[row] for row in options.rows}
    lines = {row: _Line() for row in (CALM, *strides)}
    for tale in tales(names, strides, jobs=options.jobs):
        _count(tale, lines)
    _say(f"{'row':4}{'what':34}{'plans':>7}{'runs':>7}{'violations':>12}{'CPU s':>8}{'ms/run':>8}")
    for row, line in lines.items():
        each = 1000 * line.seconds / max(1, line.runs)
        _say(
            f"{row:4}{TITLES[row]:34}{line.plans:7}{line.runs:7}{line.wrong:12}"
            f"{line.seconds:8.0f}{each:8.0f}"
        )
    return sum(line.wrong for line in lines.values()), sum(line.runs for line in lines.values())


def _count(tale: Tale, lines: Mapping[str, _Line]) -> None:
    """Add a story to the table, and say that it was told."""
    began = sum(line.seconds for line in lines.values())
    lines[CALM].plans += 1
    for row, plans in tale.plans.items():
        lines[row].plans += plans
    for outcome in tale.outcomes:
        lines[outcome.plan.row].count(outcome)
        if outcome.wrong:
            show(outcome)
    seconds = sum(line.seconds for line in lines.values()) - began
    wrong = sum(bool(outcome.wrong) for outcome in tale.outcomes)
    _say(f"    {tale.workload:18}{len(tale.outcomes):6} runs, {wrong} wrong, {seconds:.0f} CPU s")


def _seeded(jobs: int) -> tuple[int, int]:
    """Look for every seeded bug; return how many were caught, and how many there are."""
    caught = 0
    for name, found in seeded.hunted(jobs):
        caught += found is not None
        by = f"{found.oracle}, run {found.run}: {found.plan}" if found else "NOT CAUGHT"
        _say(f"seeded {name:36}{by}")
    return caught, len(seeded.ALL)


def _model(options: argparse.Namespace) -> int:
    """Visit the states of the small model; return how many violations there were."""
    most = options.states or None
    jobs = [
        (script, processes, None if processes == 1 or script in SHORT else most)
        for processes in range(1, options.active + 1)
        for script in model.SCRIPTS
    ]
    wrong = 0
    with multiprocessing.get_context("fork").Pool(options.jobs) as pool:
        for (script, processes, _), (seen, seconds) in zip(
            jobs, pool.imap(_explored, jobs), strict=True
        ):
            whole = "all of them" if seen.is_whole else "not all of them"
            _say(
                f"model: {processes} active, {script}: {seen.states} states ({whole}), "
                f"{seen.worlds} clusters, {seen.steps} steps, {seen.ends} ends, "
                f"{len(seen.wrong)} violations, {seconds:.0f} CPU s"
            )
            for line in seen.wrong[:10]:
                _say(f"  {line}")
            for line in seen.known:
                _say(f"  known: {line}")
            wrong += len(seen.wrong)
    return wrong


def _explored(job: tuple[str, int, int | None]) -> tuple[model.Explored, float]:
    """Visit the states of one story; return what was seen, and the seconds of processor time."""
    script, processes, most = job
    gc.disable()  # hardly anything of it is ever garbage, and none of that is a cycle
    began = time.process_time()
    return model.explored([script], processes=processes, most=most), time.process_time() - began


def _replay(text: str) -> int:
    plan = plan_in(text)
    outcome = again(plan)
    show(outcome)
    _say(plan.written())
    if plan.why:
        _say(f"kept because: {plan.why}")
    _say("nothing was wrong" if not outcome.wrong else f"{len(outcome.wrong)} violations")
    return 1 if outcome.wrong else 0


def show(outcome: Outcome) -> None:
    """Print a run: its plan, what came to pass, what was wrong, and how to run it again."""
    _say(f"--- {outcome.plan}")
    for line in outcome.hit:
        _say(f"    at {line}")
    for line in outcome.wrong:
        _say(f"    {line[:2000]}")
    if outcome.wrong:
        _say(f"    make faults SEED='{line_of(outcome.plan)}'")


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    if os.environ.get("PYTHONHASHSEED") != "0":
        os.environ["PYTHONHASHSEED"] = "0"
        os.execv(sys.executable, [sys.executable, "-m", "tests.world.faults", *sys.argv[1:]])
    sys.exit(main(sys.argv[1:]))
