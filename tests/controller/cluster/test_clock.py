import asyncio

import pytest

from controller.cluster.clock import LoopClock, within
from tests.controller.cluster.clocks import FakeClock, settle


async def test_loop_clock_asks_the_loop() -> None:
    clock = LoopClock()
    called = asyncio.Event()
    before = clock.monotonic()
    clock.call_later(0, called.set)
    await clock.sleep(0)
    await called.wait()
    assert clock.monotonic() >= before
    assert clock.now().utcoffset() is not None


async def test_work_that_ends_in_time_gives_its_answer() -> None:
    async def work() -> int:
        return 7

    assert await within(FakeClock(), 5, work()) == 7


async def test_work_that_fails_raises() -> None:
    async def work() -> None:
        raise LookupError

    with pytest.raises(LookupError):
        await within(FakeClock(), 5, work())


async def test_work_that_takes_too_long_is_ended() -> None:
    clock = FakeClock()
    ended: list[str] = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("work")

    task = asyncio.create_task(within(clock, 5, work()))
    await clock.advance(5)
    with pytest.raises(TimeoutError, match="no end within 5 s"):
        await task
    assert ended == ["work"]


async def test_cancellation_in_the_same_moment_is_not_lost() -> None:
    clock = FakeClock()
    task = asyncio.create_task(within(clock, 5, asyncio.Event().wait()))
    await settle()
    clock.fire()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()
