"""Prometheus, Debian's own, looking at the bed's proxy."""

import json
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import httpx

from e2e.bed.addresses import free_port
from e2e.bed.children import Child, MissingProgramError, environment, program
from e2e.bed.polling import wait_until

LOOPBACK = "127.0.0.1"
SCRAPE_SECONDS = 1
"""How often it looks: a window of the judge, so that a release takes seconds and not hours."""
START_SECONDS = 60.0
"""How long its start may take: it is a large program, and machines can be busy."""
MISSING = (
    "prometheus is not installed: releases that metrics decide need it; "
    "`make prometheus` unpacks Debian's, `apt-get install prometheus` installs it"
)


def prometheus_program() -> str:
    """Answer the path of Prometheus.

    Raises:
        MissingProgramError: It is not installed; the message is one line that says how to get it.
    """
    try:
        return program("prometheus")
    except MissingProgramError:
        raise MissingProgramError(MISSING) from None


def missing() -> str:
    """Say that it is not installed; empty if it is."""
    try:
        prometheus_program()
    except MissingProgramError as error:
        return str(error)
    return ""


@dataclass(kw_only=True, slots=True)
class Prometheus:
    """A running Prometheus; after `kill` or `stop` it can be started again over the same data."""

    folder: Path
    """Where its data, its configuration and its log lie."""
    port: int
    client: httpx.AsyncClient
    _child: Child | None = None

    @classmethod
    async def run(
        cls, *, folder: Path, targets: Sequence[str], within: float = START_SECONDS
    ) -> Self:
        """Start it and return when it has looked at every target once.

        Args:
            folder: Of the bed.
            targets: `HOST:PORT` of what shows `/metrics`.
            within: Seconds in which that has to be so.

        Raises:
            MissingProgramError: It is not installed.
            ChildEndedError: It ended; the message has its log.
            TimeoutError: It was not ready in time.
        """
        port = free_port()
        (folder / "prometheus.yaml").write_text(json.dumps(_config(targets)))
        client = httpx.AsyncClient(base_url=f"http://{LOOPBACK}:{port}", trust_env=False)
        found = cls(folder=folder, port=port, client=client)
        try:
            await found.start(within)
        except BaseException:
            await found.close()
            raise
        return found

    @property
    def url(self) -> str:
        """Answer where it is asked."""
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def pid(self) -> int:
        """Answer its process id."""
        assert self._child is not None
        return self._child.pid

    async def start(self, within: float = START_SECONDS) -> None:
        """Start it, over the data it had before, and wait until it has looked."""
        command = [
            prometheus_program(),
            f"--config.file={self.folder / 'prometheus.yaml'}",
            f"--storage.tsdb.path={self.folder / 'prometheus'}",
            f"--web.listen-address={LOOPBACK}:{self.port}",
            "--log.level=warn",
        ]
        log = self.folder / "prometheus.log"
        # The heap stays small for a handful of series; the machine's cores are the product's.
        env = environment(GOMAXPROCS="1")
        self._child = Child.start("prometheus", command, log=log, env=env)
        began = time.time()

        async def has_looked() -> bool:
            return await self._has_looked(began)

        await wait_until(has_looked, within=within, every=0.1, what="prometheus has looked")

    async def kill(self) -> None:
        """End it by SIGKILL; what it has not written yet is in its log of writes."""
        assert self._child is not None
        await self._child.kill()

    async def stop(self) -> None:
        """End it in order."""
        if self._child is not None:
            await self._child.stop()

    def freeze(self) -> None:
        """Stop it in its tracks: questions are taken and never answered."""
        assert self._child is not None
        self._child.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen one go on."""
        assert self._child is not None
        self._child.signal(signal.SIGCONT)

    async def close(self) -> None:
        """End it for good."""
        await self.stop()
        await self.client.aclose()

    async def ask(self, query: str) -> list[Mapping[str, Any]]:
        """Answer the series of a question, now: each has `metric` and `value`."""
        answer = await self.client.get("/api/v1/query", params={"query": query})
        found: list[Mapping[str, Any]] = answer.raise_for_status().json()["data"]["result"]
        return found

    async def _has_looked(self, since: float) -> bool:
        assert self._child is not None
        self._child.check()
        try:
            answer = await self.client.get("/api/v1/query", params={"query": "timestamp(up == 1)"})
        except httpx.TransportError:
            return False
        if not answer.is_success:
            return False
        found = answer.json()["data"]["result"]
        return bool(found) and all(float(one["value"][1]) >= since for one in found)


def _config(targets: Sequence[str]) -> Mapping[str, Any]:
    """Build its configuration; JSON is YAML."""
    interval = f"{SCRAPE_SECONDS}s"
    return {
        "global": {"scrape_interval": interval, "scrape_timeout": interval},
        "scrape_configs": [{"job_name": "proxy", "static_configs": [{"targets": list(targets)}]}],
    }
