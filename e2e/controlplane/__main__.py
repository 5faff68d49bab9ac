"""Runs the scenarios on the real bed: `python -m e2e.controlplane [ARGUMENTS OF PYTEST]`.

Everything happens in a network namespace that this makes for itself.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence

import pytest

from e2e.bed.children import MissingProgramError, program
from e2e.bed.controllerprocess import ROOT
from e2e.controlplane.build import CannotBuildError, built
from e2e.controlplane.node import PODS

INSIDE = "--inside-the-namespace"
NOT_RUN = 3
"""The exit code where something is missing."""
SCENARIOS = ROOT / "e2e" / "scenarios"


class NotPossibleError(Exception):
    """This machine cannot run the bed; the message says what is missing."""


def main() -> None:
    """Enter a namespace, run pytest in it, and print how it ended."""
    arguments = sys.argv[1:]
    try:
        if arguments[:1] == [INSIDE]:
            _furnish()
            sys.exit(_run(arguments[1:]))
        _enter(arguments)
    except (NotPossibleError, CannotBuildError, MissingProgramError) as error:
        print(f"e2e: not run: {error}", file=sys.stderr)
        sys.exit(NOT_RUN)


def _enter(arguments: Sequence[str]) -> None:
    """Become a process in a network namespace of its own.

    Raises:
        NotPossibleError: There is no right or no program to make one.
    """
    unshare = _system_program("unshare", "util-linux")
    _system_program("ip", "iproute2")
    for name in ("kubectl", "traefik"):
        program(name)
    mine = [unshare, "--net"]
    if os.geteuid() != 0:
        mine = [unshare, "--user", "--map-root-user", "--net"]
    if subprocess.run([*mine, "true"], capture_output=True, check=False).returncode:
        raise NotPossibleError(
            "no network namespace can be made here, and pods need addresses of their own: "
            "run it as root, or where user namespaces are allowed"
        )
    built()
    again = [sys.executable, "-m", "e2e.controlplane", INSIDE, *arguments]
    sys.stdout.flush()
    os.execv(unshare, [*mine, "--", *again])


def _system_program(name: str, package: str) -> str:
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    if found is None:
        raise NotPossibleError(f"the program {name} is not installed: it is in {package}")
    return found


def _furnish() -> None:
    """Give the namespace its loopback, and a network whose every address is this machine's."""
    ip = _system_program("ip", "iproute2")
    for words in (["link", "set", "lo", "up"], ["route", "add", "local", str(PODS), "dev", "lo"]):
        done = subprocess.run([ip, *words], capture_output=True, text=True, check=False)
        if done.returncode:
            raise NotPossibleError(f"ip {' '.join(words)}: {done.stderr.strip()}")


def _run(arguments: Sequence[str]) -> int:
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
    main()
