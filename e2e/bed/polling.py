"""Waits for something to become true, with a deadline instead of a guess."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar, cast, overload

T = TypeVar("T")


@overload
async def wait_until(
    predicate: Callable[[], Awaitable[T]],
    *,
    within: float = ...,
    every: float = ...,
    what: str = ...,
) -> T: ...


@overload
async def wait_until(
    predicate: Callable[[], T],
    *,
    within: float = ...,
    every: float = ...,
    what: str = ...,
) -> T: ...


async def wait_until(
    predicate: Callable[[], T | Awaitable[T]],
    *,
    within: float = 10.0,
    every: float = 0.01,
    what: str = "",
) -> T:
    """Ask again and again until the answer is truthy, and return it.

    Args:
        predicate: A plain or an async function; its exceptions are not caught.
        within: Seconds until it must have become true.
        every: Seconds between two questions.
        what: What is waited for, for the message; the predicate's name by default.

    Raises:
        TimeoutError: It did not become true in time; the message has the last answer.
    """
    end = time.monotonic() + within
    while True:
        found = predicate()
        answer = cast("T", await found if inspect.isawaitable(found) else found)
        if answer:
            return answer
        if time.monotonic() > end:
            name = what or getattr(predicate, "__name__", repr(predicate))
            raise TimeoutError(f"{name}: not within {within:g} s; the last answer was {answer!r}")
        await asyncio.sleep(every)
