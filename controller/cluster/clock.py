"""Time as a parameter: what the doors may ask of a clock, answered by the event loop's."""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class Timer(Protocol):
    """A call that is due later."""

    def cancel(self) -> None:
        """Never make the call."""


class Clock(Protocol):
    """What waits and deadlines are measured with; tests give one that they wind themselves."""

    def monotonic(self) -> float:
        """Return seconds since some fixed moment; never goes back."""

    def now(self) -> datetime:
        """Return the local wall clock in UTC, which may be wrong: nothing is timed by it."""

    async def sleep(self, seconds: float) -> None:
        """Return after this many seconds; 0 lets the others run first."""

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Timer:
        """Make the call after this many seconds."""


class LoopClock:
    """The clock of the running event loop, so that a loop in virtual time rules here too."""

    def monotonic(self) -> float:
        """Return the loop's time in seconds."""
        return asyncio.get_running_loop().time()

    def now(self) -> datetime:
        """Return the local wall clock in UTC."""
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        """Sleep in the loop."""
        await asyncio.sleep(seconds)

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Timer:
        """Have the loop make the call."""
        return asyncio.get_running_loop().call_later(seconds, callback)


async def within(clock: Clock, seconds: float, work: Coroutine[Any, Any, T]) -> T:
    """Await the work, for at most this many seconds of this clock.

    Raises:
        TimeoutError: the time ran out; the work was cancelled and has ended.
    """
    task = asyncio.create_task(work)
    timer = clock.call_later(seconds, lambda: _cancel(task))
    try:
        # Not `await task`: a cancellation of ours must not be taken for the timer's.
        await asyncio.wait({task})
        if task.cancelled():
            raise TimeoutError(f"no end within {seconds:g} s")
        return task.result()
    finally:
        timer.cancel()
        await finished(task)


def _cancel(task: "asyncio.Task[Any]") -> None:
    task.cancel()


async def finished(*tasks: "asyncio.Task[Any]") -> None:
    """Cancel the tasks and return when all of them have ended, however they did."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
