"""The requests of the demo: a steady load all the way, and questions between; all are counted."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from e2e.bed.client import Client, Request
from e2e.bed.load import Load, Outcome, Report

ASKED_TOGETHER = 8
"""Questions that are under way at a time."""


@dataclass(slots=True)
class Traffic:
    """Everything that is sent through the proxy, and what came back."""

    load: Load
    client: Client
    _began: float = 0.0
    _asked: list[Outcome] = field(default_factory=list)
    _steady: Report = field(default_factory=lambda: Report(outcomes=()))

    @asynccontextmanager
    async def flowing(self) -> AsyncIterator[None]:
        """Send the steady load while the block runs, and wait for its last answers."""
        self._began = time.monotonic()
        sending = asyncio.create_task(self.load.run())
        try:
            yield
            self.load.stop()
            self._steady = await sending
        finally:
            sending.cancel()
            self.client.close()

    async def ask(self, request: Request, count: int = 1) -> Counter[str]:
        """Send a request so many times and count the answers.

        Returns:
            The answers by version; the status where no pod answered; `-` where nothing came.
        """
        numbers = iter(range(count))
        found: Counter[str] = Counter()

        async def worker() -> None:
            for _ in numbers:
                found[await self._one(request)] += 1

        await asyncio.gather(*(worker() for _ in range(min(count, ASKED_TOGETHER))))
        return found

    def report(self) -> Report:
        """Answer all of it, once the load has stopped."""
        return Report(outcomes=[*self._steady.outcomes, *self._asked])

    async def _one(self, request: Request) -> str:
        sent, version, error = time.monotonic(), "", ""
        try:
            answer = await self.client.send(request)
        except (OSError, EOFError, ValueError) as failure:
            error = type(failure).__name__
        else:
            version = answer.version or str(answer.status)
            error = "" if answer.status == 200 else str(answer.status)
        self._asked.append(
            Outcome(
                second=int(sent - self._began),
                phase=self.load.phase,
                kind="question",
                control=False,
                version=version,
                error=error,
                seconds=time.monotonic() - sent,
            )
        )
        return version or "-"


def failure_lines(failures: Iterable[Outcome]) -> list[str]:
    """Write each failure in a line: when, during what, which request, and what came of it."""
    return [
        f"second {failure.second}, {failure.phase}: {failure.kind}: {failure.error}"
        f" after {failure.seconds:.2f} s"
        for failure in failures
    ]
