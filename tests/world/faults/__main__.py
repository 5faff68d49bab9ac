"""`make faults`: every row of safety.md section 6, and the proof that it would have noticed.

SEED=LINE, or a file of tests/world/plans/, replays one run.
"""

import argparse
import os
import sys
import time
from collections.abc import Sequence

from tests.world.faults import model, seeded
from tests.world.faults.bugs import BUGS
from tests.world.faults.director import Outcome
from tests.world.faults.plan import line_of, plan_in
from tests.world.faults.rows import ROWS, STRIDES
from tests.world.faults.suite import again, outcomes
from tests.world.faults.workloads import BY_NAME

TITLES = {
    "A": "crash at each write",
    "B": "bad answers to writes",
    "C": "watches that lie",
    "D": "time travel",
    "E": "two leaders, Lease, clocks, freezes",
    "F": "another writer in between",
    "G": "one field mutated",
    "H": "people's operations",
    "R": "random schedules",
}


def main(argv: Sequence[str]) -> int:
    """Run what was asked for; the exit code says whether all of it went well."""
    options = _options(argv)
    if options.seed:
        return _replay(options.seed)
    wrong, runs = _rows(options)
    told = ""
    if options.only in {"", "seeded"}:
        caught, known = _seeded(options.jobs)
        told, wrong = f"; seeded {caught} of {known}", wrong + known - caught
    if options.only in {"", "model"}:
        wrong += _model(options.states)
    _say(f"faults: {runs} runs, {wrong} violations{told}")
    return 1 if wrong else 0


def _options(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="faults", description=__doc__)
    parser.add_argument("--seed", default="", help="one plan: a line that was printed, or a file")
    parser.add_argument("--rows", default="".join(ROWS), help="letters of rows")
    parser.add_argument("--workloads", default="", help="names, with commas; all by default")
    parser.add_argument("--every", type=int, default=0, help="take every so many-th plan of a row")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 2, help="processes at once")
    parser.add_argument("--states", type=int, default=2000, help="of the model, in each script")
    parser.add_argument("--only", default="", choices=["", "rows", "seeded", "model"])
    return parser.parse_args(argv)


def _rows(options: argparse.Namespace) -> tuple[int, int]:
    """Run the rows and print the table; return how many runs were wrong, and how many ran."""
    if options.only not in {"", "rows"}:
        return 0, 0
    names = options.workloads.split(",") if options.workloads else list(BY_NAME)
    wrong, runs = 0, 0
    _say(f"{'row':4}{'what':38}{'runs':>7}{'violations':>12}{'CPU s':>9}{'seconds':>9}")
    for row in options.rows:
        stride = options.every or STRIDES[row]
        began, seconds, seen, bad = time.monotonic(), 0.0, 0, 0
        for outcome in outcomes(names, row, stride=stride, jobs=options.jobs):
            seen, seconds = seen + 1, seconds + outcome.seconds
            bad += bool(outcome.wrong)
            if outcome.wrong:
                show(outcome)
        took = time.monotonic() - began
        _say(f"{row:4}{TITLES[row]:38}{seen:7}{bad:12}{seconds:9.0f}{took:9.0f}")
        wrong, runs = wrong + bad, runs + seen
    return wrong, runs


def _seeded(jobs: int) -> tuple[int, int]:
    """Look for every seeded bug; return how many were caught, and how many there are."""
    caught = 0
    for name, found in seeded.hunted(jobs):
        caught += found is not None
        by = f"{found.oracle}, run {found.run}: {found.plan}" if found else "NOT CAUGHT"
        _say(f"seeded {name:36}{by}")
    return caught, len(BUGS)


def _model(most: int) -> int:
    """Visit the states of the small model; return how many violations there were."""
    wrong = 0
    for processes in (1, 2):
        began = time.monotonic()
        seen = model.explored(processes=processes, most=most)
        whole = "all of them" if seen.is_whole else "not all of them"
        _say(
            f"model: {processes} active, {seen.states} states ({whole}), {seen.passes} passes, "
            f"{len(seen.wrong)} violations, {time.monotonic() - began:.0f} s"
        )
        for line in seen.wrong[:10]:
            _say(f"  {line}")
        wrong += len(seen.wrong)
    return wrong


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
