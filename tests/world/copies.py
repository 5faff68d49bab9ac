"""Runs a story on a copy of a world: what leads up to it is told once for many tests.

Tasks and timers cannot be copied, but a forked process has its own of everything.
"""

import gc
import os
import pickle
import signal
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

from controller.plan.observed import Hold
from tests.world import columns
from tests.world.columns import Column
from tests.world.world import World


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Where a world stands that many tests begin with."""

    column: Column
    hold: Hold
    history: bool


PREPARED: dict[Start, World] = {}
"""To be closed when the tests are over."""


class _NotPreparedError(BaseException):
    """A copy asks for a world that is not there yet; no test may catch it."""

    def __init__(self, start: Start) -> None:
        super().__init__(start)
        self.start = start


def prepared(column: Column, hold: Hold, *, history: bool) -> World:
    """Return a world that stands in this stage, the same one every time: only tell on copies."""
    start = Start(column=column, hold=hold, history=history)
    if start not in PREPARED:
        PREPARED[start] = columns.told(column, hold=hold, history=history)
        gc.collect()
        gc.freeze()  # what copies never collect, they need not look at
    return PREPARED[start]


def on_a_copy(world: World, story: Callable[[World], object]) -> None:
    """Run a story in a child process that begins as this one is; the world stays as it is.

    Raises:
        AssertionError: with the child's traceback, whatever ended the story there.
    """
    found = _forked(lambda: story(world))
    assert not isinstance(found, Start)
    if found is not None:
        raise AssertionError(found)


def on_copies(test: Callable[[], object]) -> None:
    """Run a test in a child process, where the first world of each `reached` is a copy.

    Raises:
        AssertionError: as `on_a_copy` does.
    """
    while isinstance(found := _forked(lambda: _on_prepared(test)), Start):
        # It had just begun: it does so again, and finds what it asked for.
        prepared(found.column, found.hold, history=found.history)
    if found is not None:
        raise AssertionError(found)


def _on_prepared(test: Callable[[], object]) -> None:
    left = dict(PREPARED)
    taken: set[Start] = set()

    def reached(column: Column, *, hold: Hold = "admission", history: bool = False) -> World:
        start = Start(column=column, hold=hold, history=history)
        if start in taken:
            return columns.told(column, hold=hold, history=history)
        if start not in left:
            raise _NotPreparedError(start)
        taken.add(start)
        return left[start]

    columns.source.reached = reached
    test()
    gc.collect()


def _forked(story: Callable[[], object]) -> str | Start | None:
    """Run a story in a child process; returns how it failed there, or what it has to begin with."""
    receiver, sender = os.pipe()
    child = os.fork()
    if child == 0:
        _tell(story, sender)
    os.close(sender)
    try:
        with os.fdopen(receiver, "rb") as told:
            found = told.read()
    except BaseException:
        os.kill(child, signal.SIGKILL)
        raise
    finally:
        _, status = os.waitpid(child, 0)
    if found:
        answer: str | Start = pickle.loads(found)
        return answer
    return None if status == 0 else f"the copy ended with status {status}"


def _tell(story: Callable[[], object], sender: int) -> NoReturn:
    """Run the story and say how it failed; this process ends here, and cleans nothing up."""
    code = 1
    unraisable: list[str] = []
    sys.unraisablehook = lambda one: unraisable.append(_written(one))
    try:
        found = _failure(story, unraisable)
        if found is not None:
            with os.fdopen(sender, "wb") as told:
                told.write(pickle.dumps(found))
        code = 0
    finally:
        sys.stdout.flush()
        os._exit(code)


def _failure(story: Callable[[], object], unraisable: list[str]) -> str | Start | None:
    try:
        story()
    except _NotPreparedError as missing:
        return missing.start
    except BaseException:  # noqa: BLE001  # whatever it is belongs to the parent
        return traceback.format_exc()
    return "\n".join(unraisable) or None


def _written(one: Any) -> str:
    lines = traceback.format_exception(one.exc_type, one.exc_value, one.exc_traceback)
    return "".join([f"{one.err_msg or 'not raised'}: {one.object!r}\n", *lines])
