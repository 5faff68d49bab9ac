import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from controller.api.objects import SERVICE, Object, name_of
from controller.cluster.reflector import (
    BACKOFF_LIMIT_SECONDS,
    HEALTHY_SECONDS,
    RELIST_SECONDS,
    SILENCE_SECONDS,
    Reflector,
)
from tests.controller.cluster.clocks import HastyClock
from tests.controller.cluster.scripted import (
    Answer,
    Server,
    bookmark,
    event,
    late,
    page,
    refuses,
    resets,
    says,
    streams,
    talking,
    thing,
)

Uniform = Callable[[float, float], float]


class Following:
    """A reflector that runs, its server, its clock, and what it told."""

    reflector: Reflector

    def __init__(self, server: Server, clock: HastyClock) -> None:
        self.server = server
        self.clock = clock
        self.told: list[str] = []
        self.relisted: list[str] = []

    def note(self, old: Object | None, new: Object | None) -> None:
        self.told.append(f"-{name_of(old or {})}" if new is None else f"+{name_of(new)}")

    @property
    def asked(self) -> list[str]:
        """What was asked: `list`, or the version a watch began at."""
        return [
            seen.query["resourceVersion"] if seen.is_watch else "list" for seen in self.server.seen
        ]


@asynccontextmanager
async def following(
    *script: Answer, uniform: Uniform = max, clock: HastyClock | None = None
) -> AsyncIterator[Following]:
    """Follow Services until the script is over and the next request hangs."""
    clock = clock or HastyClock()
    async with talking(*script) as (server, client):
        at = Following(server, clock)
        at.reflector = Reflector(
            client,
            SERVICE,
            on_change=at.note,
            clock=clock,
            uniform=uniform,
            relisted=at.relisted.append,
        )
        task = asyncio.create_task(at.reflector.run())
        try:
            await server.reached(len(script) + 1)
            yield at
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def test_lists_then_watches_from_there() -> None:
    script = page([thing("a", 5)], "10"), streams(event("ADDED", thing("b", 11)))
    async with following(*script) as at:
        assert at.asked == ["list", "10", "11"]
        assert at.told == ["+a", "+b"]
        assert at.server.seen[1].query["allowWatchBookmarks"] == "true"
        assert at.reflector.synced.is_set()
        assert at.relisted == ["Service"]


@pytest.mark.parametrize(("uniform", "seconds"), [(min, "240"), (max, "300")])
async def test_asks_for_an_end_after_four_to_five_minutes(uniform: Uniform, seconds: str) -> None:
    async with following(page([], "10"), uniform=uniform) as at:
        assert at.server.seen[1].query["timeoutSeconds"] == seconds


async def test_resumes_from_the_last_event_or_bookmark() -> None:
    script = (
        page([], "10"),
        streams(event("ADDED", thing("a", 12))),
        streams(bookmark("40")),
        streams(),
    )
    async with following(*script) as at:
        assert at.asked == ["list", "10", "12", "40", "40"]
        assert at.relisted == ["Service"]


ENDS = {
    "clean end": (streams(),),
    "403": (refuses(403),),
    "404": (refuses(404),),
    "410": (refuses(410),),
    "429": (refuses(429),),
    "500": (refuses(500),),
    "503": (refuses(503),),
    "reset": (resets, resets),  # aiohttp repeats a GET once by itself
    "reset in mid-stream": (streams(bookmark("11"), then="reset"),),
    "truncated line": (streams(b'{"type": "ADD'),),
    "no JSON": (streams(b"<html>\n"),),
    "wrong body": (says("<html>"),),
    "error event": (streams(event("ERROR", {"code": 500})),),
    "410 as event": (streams(event("ERROR", {"code": 410})),),
}


@pytest.mark.parametrize("end", ENDS)
async def test_waits_after_every_end(end: str) -> None:
    async with following(page([], "10"), *ENDS[end]) as at:
        assert len(at.clock.slept) == 1
        assert at.clock.slept[0] > 0


@pytest.mark.parametrize("end", ["clean end", "403", "429", "500", "reset", "truncated line"])
async def test_waits_longer_with_each_failure_until_the_limit(end: str) -> None:
    async with following(page([], "10"), *ENDS[end] * 4, uniform=max) as at:
        slept = at.clock.slept
    assert slept == sorted(slept)
    assert slept[3] > 4 * slept[0]


async def test_never_waits_longer_than_the_limit() -> None:
    async with following(*[refuses(500)] * 12, uniform=max) as at:
        assert max(at.clock.slept) == BACKOFF_LIMIT_SECONDS
        assert not at.reflector.synced.is_set()


async def test_loop_of_410_waits_longer_and_longer() -> None:
    loop = (page([], "10"), streams(event("ERROR", {"code": 410})))
    async with following(*loop * 4) as at:
        assert at.asked == ["list", "10"] * 4 + ["list"]
        assert at.clock.slept == sorted(at.clock.slept)
        assert at.clock.slept[-1] > 4 * at.clock.slept[0]


async def test_jitter_is_between_half_and_all_of_the_wait() -> None:
    asked: list[tuple[float, float]] = []

    def uniform(low: float, high: float) -> float:
        asked.append((low, high))
        return low

    async with following(refuses(500), uniform=uniform) as at:
        assert asked == [(at.clock.slept[0], 2 * at.clock.slept[0])]


async def test_waits_as_long_as_the_server_asks() -> None:
    async with following(page([], "10"), refuses(429, {"Retry-After": "25"})) as at:
        assert at.clock.slept == [25]


async def test_healthy_stream_ends_the_series_of_failures() -> None:
    clock = HastyClock()
    healthy = late(clock, HEALTHY_SECONDS + 1, streams())
    async with following(page([], "10"), *[streams()] * 3, healthy, clock=clock):
        first, *_, third, after = clock.slept
    assert third > first
    assert after == first


async def test_long_list_is_no_healthy_stream() -> None:
    clock = HastyClock()
    slow = late(clock, HEALTHY_SECONDS + 1, refuses(504))
    async with following(*[slow] * 3, clock=clock):
        assert clock.slept[2] > clock.slept[0]


@pytest.mark.parametrize(
    "end", [refuses(410), streams(event("ERROR", {"code": 410, "reason": "Expired"}))]
)
async def test_410_reads_everything_again_and_tells_what_vanished(end: Answer) -> None:
    script = page([thing("a"), thing("b")], "10"), end, page([thing("b")], "50")
    async with following(*script) as at:
        assert at.asked == ["list", "10", "list", "50"]
        assert at.told == ["+a", "+b", "-a"]


async def test_410_in_mid_list_begins_the_list_anew() -> None:
    script = page([thing("a")], "10", "more"), refuses(410), page([thing("b")], "20")
    async with following(*script) as at:
        assert at.told == ["+b"]


async def test_reads_everything_again_after_ten_minutes() -> None:
    clock = HastyClock()
    old = late(clock, RELIST_SECONDS, streams())
    async with following(page([thing("a")], "10"), old, page([], "90"), clock=clock) as at:
        assert at.asked == ["list", "10", "list", "90"]
        assert at.told == ["+a", "-a"]


async def test_watch_ends_when_everything_is_to_be_read_again() -> None:
    clock = HastyClock()
    old = late(clock, RELIST_SECONDS - 100, streams())
    async with following(page([], "10"), old, clock=clock) as at:
        assert at.asked == ["list", "10", "10"]
        assert 90 <= int(at.server.seen[2].query["timeoutSeconds"]) <= 100


async def test_failures_in_a_row_lead_to_a_list() -> None:
    async with following(page([], "10"), *[streams(b"<html>\n")] * 5, page([], "60")) as at:
        assert at.asked == ["list", "10", "10", "10", "10", "10", "list", "60"]


async def test_odd_objects_do_not_stop_the_kind() -> None:
    odd: list[Any] = [None, 3, {}, {"metadata": []}, {"metadata": {"name": None}}]
    script = (
        page([*odd, thing("a", 5)], "10"),
        streams(*[{"type": "ADDED", "object": it} for it in odd], event("ADDED", thing("b", 11))),
    )
    async with following(*script) as at:
        assert at.told == ["+a", "+b"]
        assert at.asked[-1] == "11"


async def test_is_a_problem_until_synced() -> None:
    async with following(refuses(403)) as at:
        assert at.reflector.problem() == "Service: not listed yet"


async def test_silence_is_a_problem() -> None:
    async with following(page([], "10")) as at:
        assert at.reflector.problem() is None
        at.clock.time += SILENCE_SECONDS + 1
        assert at.reflector.age_seconds() == SILENCE_SECONDS + 1
        assert at.reflector.problem() == "Service: nothing heard for 376 s"


async def test_bookmark_is_a_sign_of_life() -> None:
    clock = HastyClock()
    quiet = late(clock, SILENCE_SECONDS + 1, streams(bookmark("11"), then="reset"))
    async with following(page([], "10"), quiet, clock=clock) as at:
        assert at.reflector.problem() is None


async def test_selector_is_sent_with_lists_and_watches() -> None:
    async with talking(page([], "10")) as (server, client):
        reflector = Reflector(
            client, SERVICE, "shop", "serinus.dev/canary", on_change=lambda _old, _new: None
        )
        task = asyncio.create_task(reflector.run())
        await server.reached(2)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert [seen.query["labelSelector"] for seen in server.seen] == ["serinus.dev/canary"] * 2
    assert {seen.path for seen in server.seen} == {"/api/v1/namespaces/shop/services"}
