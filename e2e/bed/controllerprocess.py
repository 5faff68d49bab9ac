"""The controller under test as a real process, to be killed, frozen and started again."""

import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from e2e.bed.addresses import free_port
from e2e.bed.children import Child, environment
from e2e.bed.polling import wait_until

ROOT = Path(__file__).parents[2]
"""The checkout, from where `python -m controller` is run."""


@dataclass(slots=True)
class ControllerProcess:
    """`python -m controller` against the bed."""

    kubeconfig: Path
    folder: Path
    flags: Sequence[str] = ()
    name: str = "controller"
    http_port: int = field(default_factory=free_port)
    _child: Child | None = None

    @property
    def child(self) -> Child:
        """Answer the process; raises if it was never started."""
        if self._child is None:
            raise RuntimeError(f"{self.name} was not started")
        return self._child

    async def start(self, within: float = 15.0) -> None:
        """Start it and wait until it says that it is ready.

        Raises:
            ChildEndedError: It ended; the message has the end of its log.
            TimeoutError: It was not ready in time.
        """
        command = [
            sys.executable,
            "-m",
            "controller",
            f"--kubeconfig={self.kubeconfig}",
            f"--http-address=127.0.0.1:{self.http_port}",
            *self.flags,
        ]
        log = self.folder / f"{self.name}.log"
        self._child = Child.start(self.name, command, log=log, env=environment(), cwd=ROOT)
        await wait_until(self.is_ready, within=within, every=0.05, what=f"{self.name} is ready")

    async def is_ready(self) -> bool:
        """Ask `/readyz`."""
        self.child.check()
        return (await self._read("/readyz")) is not None

    async def metrics(self) -> str:
        """Answer its metrics in the text format of Prometheus; empty when it does not answer."""
        return await self._read("/metrics") or ""

    async def stop(self) -> int:
        """End it by SIGTERM; answers the exit code."""
        return await self.child.stop()

    async def kill(self) -> None:
        """End it by SIGKILL, as a crash would."""
        await self.child.kill()

    async def restart(self) -> None:
        """Start it again, with the same flags, after an end of any kind."""
        await self.child.stop()
        await self.start()

    def freeze(self) -> None:
        """Stop it in its tracks: SIGSTOP."""
        self.child.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen one go on: SIGCONT."""
        self.child.signal(signal.SIGCONT)

    def log(self) -> str:
        """Answer everything it wrote, over all its lives."""
        return self.child.log.read_text(errors="replace")

    async def _read(self, path: str) -> str | None:
        url = f"http://127.0.0.1:{self.http_port}{path}"
        try:
            async with httpx.AsyncClient(trust_env=False, timeout=2.0) as client:
                answer = await client.get(url)
        except httpx.TransportError:
            return None
        return answer.text if answer.is_success else None
