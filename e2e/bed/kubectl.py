"""Runs the real kubectl against the bed, as a user would."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from e2e.bed.children import environment, program


class KubectlError(Exception):
    """kubectl ended with a code that is not 0; the message has what it printed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """What one kubectl command printed."""

    code: int
    out: str
    err: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Kubectl:
    """kubectl with the bed's kubeconfig; plugins of this Python are found (`kubectl canary`)."""

    kubeconfig: Path
    cache: Path
    """A folder of its own for discovery, so that nothing is left in the home folder."""

    def environment(self) -> dict[str, str]:
        """Build the environment in which a user's kubectl would talk to the bed."""
        return environment(
            KUBECONFIG=str(self.kubeconfig), KUBECACHEDIR=str(self.cache), NO_COLOR="1"
        )

    async def __call__(self, *args: str, stdin: str = "", within: float = 30.0) -> str:
        """Run one command and answer what it printed.

        Raises:
            KubectlError: It did not succeed.
            TimeoutError: It did not end in time, and was killed.
        """
        result = await self.run(*args, stdin=stdin, within=within)
        if result.code:
            command = " ".join(args)
            raise KubectlError(f"kubectl {command}: exit {result.code}\n{result.err}{result.out}")
        return result.out

    async def run(self, *args: str, stdin: str = "", within: float = 30.0) -> Result:
        """Run one command, whatever its exit code."""
        process = await self._start(*args)
        try:
            async with asyncio.timeout(within):
                out, err = await process.communicate(stdin.encode())
        finally:
            await _end(process)
        assert process.returncode is not None
        return Result(code=process.returncode, out=out.decode(), err=err.decode())

    @asynccontextmanager
    async def stream(self, *args: str) -> AsyncIterator[AsyncIterator[str]]:
        """Run a command that goes on (`get -w`, `rollout status`) and follow its lines."""
        process = await self._start(*args)
        assert process.stdin
        assert process.stdout
        process.stdin.close()
        try:
            yield (line.decode().rstrip("\n") async for line in process.stdout)
        finally:
            await _end(process)

    async def _start(self, *args: str) -> asyncio.subprocess.Process:
        pipe = asyncio.subprocess.PIPE
        return await asyncio.create_subprocess_exec(
            program("kubectl"), *args, stdin=pipe, stdout=pipe, stderr=pipe, env=self.environment()
        )


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def cluster_config(server: str) -> str:
    """Write a kubeconfig for a server that asks for no credentials."""
    return f"""\
apiVersion: v1
kind: Config
clusters: [{{name: bed, cluster: {{server: "{server}"}}}}]
users: [{{name: bed, user: {{}}}}]
contexts: [{{name: bed, context: {{cluster: bed, user: bed}}}}]
current-context: bed
"""
