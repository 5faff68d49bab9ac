"""An event loop in virtual time: nobody waits, the clock jumps to the next timer."""

import asyncio
import selectors
from typing import Any

TURN_SECONDS = 1e-6
"""What one turn of the loop takes: two sums of the same waits may differ by less than that."""
EPOCH = 1_800_000_000.0
"""Seconds since 1970 at which every world begins."""


class _JumpingSelector(selectors.SelectSelector):
    """Waits for nothing: the time that it should have waited has passed."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise RuntimeError("nothing is due and nothing can ever be: the world has stopped")
        self.now += max(TURN_SECONDS, timeout)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time is the sum of what was waited for."""

    def __init__(self) -> None:
        self._jumps = _JumpingSelector()
        super().__init__(self._jumps)

    def time(self) -> float:
        return self._jumps.now
