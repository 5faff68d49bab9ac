"""Runs the scenarios on the real bed: `python -m e2e.controlplane [ARGUMENTS OF PYTEST]`.

Everything happens in a network namespace that this makes for itself.
"""

import os
from collections.abc import Sequence

import pytest

from e2e.bed.controllerprocess import ROOT
from e2e.controlplane.namespace import run_inside

SCENARIOS = ROOT / "e2e" / "scenarios"


def _run(arguments: Sequence[str]) -> int:
    """Run pytest, and print how it ended."""
    os.environ["SERINUS_BED"] = "controlplane"
    from e2e.controlplane.report import Report  # noqa: PLC0415 - scenarios read the switch once

    report = Report()
    # One cluster is enough for two cores: scenarios run side by side in one process.
    own = ["-p", "no:xdist", "-p", "no:cacheprovider", "--rootdir", str(ROOT)]
    chosen = arguments or [str(SCENARIOS)]
    code = pytest.main([*own, *chosen], plugins=[report])
    print(f"\n{report.table()}\n{report.line()}")
    return 1 if code or report.is_amiss else 0


if __name__ == "__main__":
    run_inside("e2e.controlplane", _run)
