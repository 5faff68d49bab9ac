import asyncio

import pytest

from controller.cluster.workqueue import BACKOFF_LIMIT_SECONDS, NoMetrics, WorkQueue
from tests.controller.cluster.clocks import FakeClock, settle


class Told(NoMetrics):
    """Writes down what a queue tells."""

    def __init__(self) -> None:
        self.story: list[object] = []

    def added(self) -> None:
        self.story.append("added")

    def depth(self, keys: int) -> None:
        self.story.append(f"depth {keys}")

    def taken(self, waited_seconds: float) -> None:
        self.story.append(f"taken after {waited_seconds:g}")

    def finished(self, worked_seconds: float) -> None:
        self.story.append(f"finished after {worked_seconds:g}")

    def retried(self) -> None:
        self.story.append("retried")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def queue(clock: FakeClock) -> WorkQueue[str]:
    return WorkQueue(clock=clock)


async def taken(queue: WorkQueue[str]) -> list[str | None]:
    """Take, and give back, all that is ready."""
    keys = []
    while len(queue):
        key = await queue.get()
        assert key is not None
        queue.done(key)
        keys.append(key)
    return list(keys)


async def test_hands_out_each_key_once_in_order(queue: WorkQueue[str]) -> None:
    for key in "abab":
        queue.add(key)
    assert await taken(queue) == ["a", "b"]


async def test_key_added_while_worked_on_comes_again_when_done(queue: WorkQueue[str]) -> None:
    queue.add("a")
    assert await queue.get() == "a"
    queue.add("a")
    queue.add("a")
    assert len(queue) == 0
    queue.done("a")
    assert await taken(queue) == ["a"]


async def test_worker_waits_for_a_key(queue: WorkQueue[str]) -> None:
    waiting = asyncio.create_task(queue.get())
    await settle()
    assert not waiting.done()
    queue.add("a")
    assert await waiting == "a"


async def test_worker_that_gives_up_takes_no_key_along(queue: WorkQueue[str]) -> None:
    first, second = asyncio.create_task(queue.get()), asyncio.create_task(queue.get())
    await settle()
    queue.add("a")
    first.cancel()
    assert await second == "a"
    await asyncio.gather(first, return_exceptions=True)


async def test_two_workers_never_have_the_same_key(queue: WorkQueue[str]) -> None:
    queue.add("a")
    queue.add("b")
    assert {await queue.get(), await queue.get()} == {"a", "b"}
    queue.add("a")
    third = asyncio.create_task(queue.get())
    await settle()
    assert not third.done()
    queue.done("a")
    assert await third == "a"


async def test_delayed_key_comes_when_it_is_due(queue: WorkQueue[str], clock: FakeClock) -> None:
    queue.add_after("a", 10)
    await clock.advance(9.9)
    assert len(queue) == 0
    await clock.advance(0.2)
    assert await taken(queue) == ["a"]


@pytest.mark.parametrize("delays", [(3, 10), (10, 3)])
async def test_earlier_of_two_times_counts(
    queue: WorkQueue[str], clock: FakeClock, delays: tuple[float, float]
) -> None:
    for delay in delays:
        queue.add_after("a", delay)
    await clock.advance(3)
    assert await taken(queue) == ["a"]
    await clock.advance(60)
    assert await taken(queue) == []


async def test_no_delay_is_now(queue: WorkQueue[str]) -> None:
    queue.add_after("a", 0)
    queue.add_after("b", -5)
    assert await taken(queue) == ["a", "b"]


async def test_back_off_doubles_up_to_its_limit_and_is_forgotten(
    queue: WorkQueue[str], clock: FakeClock
) -> None:
    for wait in [0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48]:
        queue.add_rate_limited("a")
        await clock.advance(0.9 * wait)
        assert await taken(queue) == []
        await clock.advance(0.11 * wait)
        assert await taken(queue) == ["a"]
    assert queue.retries("a") == 13
    for _ in range(30):
        queue.add_rate_limited("a")
        await clock.advance(BACKOFF_LIMIT_SECONDS)
        assert await taken(queue) == ["a"]
    queue.forget("a")
    queue.add_rate_limited("a")
    await clock.advance(0.005)
    assert await taken(queue) == ["a"]


async def test_back_off_of_one_key_is_none_for_another(
    queue: WorkQueue[str], clock: FakeClock
) -> None:
    for _ in range(10):
        queue.add_rate_limited("bad")
    queue.add_rate_limited("good")
    await clock.advance(0.005)
    assert "good" in await taken(queue)


async def test_shut_down_hands_out_what_is_ready_and_then_none(
    queue: WorkQueue[str], clock: FakeClock
) -> None:
    queue.add("a")
    queue.add_after("late", 1)
    queue.shut_down()
    queue.shut_down()
    queue.add("b")
    queue.add_after("c", 1)
    await clock.advance(5)
    assert await queue.get() == "a"
    queue.done("a")
    assert [await queue.get(), await queue.get()] == [None, None]


async def test_shut_down_wakes_every_worker(queue: WorkQueue[str]) -> None:
    workers = [asyncio.create_task(queue.get()) for _ in range(3)]
    await settle()
    queue.shut_down()
    assert await asyncio.gather(*workers) == [None, None, None]


async def test_tells_what_happens(clock: FakeClock) -> None:
    told = Told()
    queue: WorkQueue[str] = WorkQueue(clock=clock, metrics=told)
    queue.add("a")
    await clock.advance(2)
    await queue.get()
    queue.add("a")
    await clock.advance(3)
    queue.done("a")
    queue.add_rate_limited("b")
    assert told.story == [
        "added",
        "depth 1",
        "taken after 2",
        "depth 0",
        "added",
        "finished after 3",
        "depth 1",
        "retried",
    ]
