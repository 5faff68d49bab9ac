"""A network namespace of its own for the process: pods of a real API server need addresses."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence

from e2e.bed.children import MissingProgramError, program
from e2e.controlplane.build import CannotBuildError, built
from e2e.controlplane.node import PODS

INSIDE = "--inside-the-namespace"
NOT_RUN = 3
"""The exit code where something is missing."""


class NotPossibleError(Exception):
    """This machine cannot run the bed; the message says what is missing."""


def run_inside(module: str, run: Callable[[Sequence[str]], int]) -> None:
    """Run the module's program in a namespace, with the arguments of this process.

    The module is started again there: until then `run` is not called. Never returns.

    Args:
        module: What `python -m` starts.
        run: What it does inside; given the arguments, answers the exit code.
    """
    arguments = sys.argv[1:]
    try:
        if arguments[:1] == [INSIDE]:
            _furnish()
            sys.exit(run(arguments[1:]))
        _enter(module, arguments)
    except (NotPossibleError, CannotBuildError, MissingProgramError) as error:
        print(f"{module}: not run: {error}", file=sys.stderr)
        sys.exit(NOT_RUN)


def _enter(module: str, arguments: Sequence[str]) -> None:
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
    again = [sys.executable, "-m", module, INSIDE, *arguments]
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
