"""Runs a story on a copy of a world: what leads up to it is told once for many tests.

Tasks and timers cannot be copied, but a forked process has its own of everything.
"""

import os
import signal
import sys
import traceback
from collections.abc import Callable
from functools import cache
from typing import NoReturn

from controller.plan.observed import Hold
from tests.world.columns import Column, reached
from tests.world.world import World


def on_a_copy(world: World, story: Callable[[World], object]) -> None:
    """Run a story in a child process that begins as this one is; the world stays as it is.

    Raises:
        AssertionError: with the child's traceback, whatever ended the story there.
    """
    receiver, sender = os.pipe()
    child = os.fork()
    if child == 0:
        _tell(world, story, sender)
    os.close(sender)
    try:
        with os.fdopen(receiver, encoding="utf-8") as told:
            failure = told.read()
    except BaseException:
        os.kill(child, signal.SIGKILL)
        raise
    finally:
        os.waitpid(child, 0)
    if failure:
        raise AssertionError(failure)


def _tell(world: World, story: Callable[[World], object], sender: int) -> NoReturn:
    """Run the story and say how it failed; this process ends here, and cleans nothing up."""
    code = 0
    try:
        story(world)
    except BaseException:  # noqa: BLE001  # whatever it is belongs to the parent
        code = 1
        with os.fdopen(sender, "w", encoding="utf-8") as told:
            told.write(traceback.format_exc())
    finally:
        sys.stdout.flush()
        os._exit(code)


@cache
def prepared(column: Column, hold: Hold, *, history: bool) -> World:
    """Return a world that stands in this stage, the same one every time: only tell on copies."""
    world = reached(column, hold=hold, history=history)
    PREPARED.append(world)
    return world


PREPARED: list[World] = []
"""To be closed when the tests are over."""
