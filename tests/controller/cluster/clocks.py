"""Clocks that only a test moves."""

import asyncio
import heapq
import itertools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

START = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


class Wound:
    """A timer of `FakeClock`."""

    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        self.callback = None


class FakeClock:
    """Time stands still until `advance`; timers fire in order on the way."""

    def __init__(self) -> None:
        self.time = 1000.0
        self._count = itertools.count()
        self._timers: list[tuple[float, int, Wound]] = []

    def monotonic(self) -> float:
        return self.time

    def now(self) -> datetime:
        return START + timedelta(seconds=self.time - 1000)

    async def sleep(self, seconds: float) -> None:
        passed = asyncio.Event()
        timer = self.call_later(seconds, passed.set)
        try:
            await passed.wait()
        finally:
            timer.cancel()

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Wound:
        timer = Wound(callback)
        heapq.heappush(self._timers, (self.time + seconds, next(self._count), timer))
        return timer

    async def advance(self, seconds: float) -> None:
        """Let so much time pass, and everybody do what they do meanwhile."""
        end = self.time + seconds
        await settle()
        while self._timers and self._timers[0][0] <= end:
            due, _, timer = heapq.heappop(self._timers)
            self.time = max(self.time, due)
            if timer.callback is not None:
                timer.callback()
                await settle()
        self.time = end
        await settle()

    def fire(self) -> None:
        """Let every timer go off in this very moment, before anybody can do anything."""
        for _, _, timer in self._timers:
            if timer.callback is not None:
                timer.callback()
        self._timers.clear()


class HastyClock(FakeClock):
    """Every sleep is over at once, has taken its time, and is written down."""

    def __init__(self) -> None:
        super().__init__()
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += seconds
        await asyncio.sleep(0)


async def settle() -> None:
    """Let every task run as far as it gets without time and without a network."""
    for _ in range(30):
        await asyncio.sleep(0)
