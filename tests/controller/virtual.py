"""An event loop whose time jumps to the next timer instead of passing."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any


class _Selector(selectors.DefaultSelector):
    """Looks for ready sockets, and skips the wait that would follow if there are none."""

    skipped = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        ready = super().select(0 if timeout else timeout)
        if not ready and timeout:
            self.skipped += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop in virtual time; sockets of this process work as ever."""

    def __init__(self) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)

    def time(self) -> float:
        return super().time() + self._virtual.skipped


def run_virtually(main: Coroutine[Any, Any, None]) -> None:
    """Run to the end; fail if a task is left over."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(_alone(main))


async def _alone(main: Coroutine[Any, Any, None]) -> None:
    await main
    left = asyncio.all_tasks() - {asyncio.current_task()}
    assert not left, f"tasks were left over: {left}"
