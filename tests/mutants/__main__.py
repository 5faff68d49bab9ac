"""Counts how many small mistakes in the decisions and the words the unit tests notice.

mutmut makes the mistakes, its own way of running tests is replaced: `tests.mutants.loop`.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.mutants import making, report
from tests.mutants.mutant import Mutant


def judged(mutants: Sequence[Mutant], place: Path, jobs: int) -> Mapping[str, str]:
    """Run the tests of each mutant in the copy of the project."""
    listed, verdicts = place / "mutants.json", place / "verdicts.json"
    listed.write_text(json.dumps([asdict(mutant) for mutant in mutants]), encoding="utf-8")
    command = [sys.executable, "-m", "tests.mutants.loop", str(listed), str(jobs), str(verdicts)]
    done = subprocess.run(command, cwd=place, stdout=subprocess.DEVNULL, check=False)
    found: dict[str, str] = json.loads(verdicts.read_text()) if verdicts.exists() else {}
    if done.returncode or found.keys() != {mutant.key for mutant in mutants}:
        raise SystemExit(f"the tests could not be run: exit code {done.returncode}")
    return found


def main() -> int:
    """Read the flags, make the mutants, run and report; answers the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("modules", nargs="*", help="parts of paths, such as plan/ramp; all")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="mutants at once")
    parser.add_argument(
        "--least",
        type=float,
        default=90.0,
        help="the score that each module has to reach, in percent",
    )
    flags = parser.parse_args()
    with TemporaryDirectory(prefix="serinus-mutants-") as folder:
        place = Path(folder)
        making.copied(place)
        mutants = [
            mutant
            for path in making.modules_of(flags.modules)
            for mutant in making.made(place, path)
        ]
        verdicts = judged(mutants, place, flags.jobs)
    known = report.reasons(report.REASONS.read_text(encoding="utf-8"))
    sys.stdout.write("\n".join(report.lines(mutants, verdicts, known)) + "\n")
    is_explained = not any(report.complaints(mutants, verdicts, known))
    return 0 if is_explained and report.weakest(mutants, verdicts) >= flags.least else 1


if __name__ == "__main__":
    sys.exit(main())
