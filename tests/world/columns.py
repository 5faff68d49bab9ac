"""The stages of docs/stages.md, and how a story comes to each of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from controller.plan.observed import Hold
from tests.world.world import World, enrolled

WEIGHT = 50
"""The weight at which every story stands in `Canary`: two of the canary's pods carry it."""


class Column(StrEnum):
    """Where a release stands when something happens to it."""

    IDLE = "Idle"
    STARTING = "Starting"
    CANARY = "Canary"
    SHIFTING = "Promoting, before the roll"
    ROLLING = "Promoting, in the roll"
    ROLLING_BACK = "RollingBack"
    ABORTED = "Aborted"


def reached(column: Column, *, hold: Hold = "admission", history: bool = False) -> World:
    """Return a world that stands in this stage: v1 serves, v2 is what is released.

    Args:
        column: the stage.
        hold: how Deployments are held.
        history: v0 served before v1, so that `rollout undo` has something to go back to.
    """
    return source.reached(column, hold=hold, history=history)


def told(column: Column, *, hold: Hold = "admission", history: bool = False) -> World:
    """Return such a world after the whole story that leads up to it."""
    world = enrolled(hold=hold, history=history)
    try:
        _WAYS[column](world)
    except BaseException:
        world.close()
        raise
    return world


def _to_idle(_: World) -> None:
    return


def _to_starting(world: World) -> None:
    """Up to the moment at which the canary Ingress exists, closed."""
    world.set_image("v2")
    world.run_until(world.routes, within=60, what="a canary Ingress")
    world.run(1)
    assert world.stage() == "Starting", world.describe()


def _to_canary(world: World) -> None:
    world.set_image("v2")
    world.run_until(world.canary, within=10, what="a canary")
    world.annotate(weight=str(WEIGHT))
    world.run_until(lambda: world.weight() == WEIGHT, within=120, what=f"weight {WEIGHT}")
    world.run(1)
    assert world.stage() == "Canary", world.describe()


def _to_shifting(world: World) -> None:
    """Up to the drain of stable: everybody is on the canary."""
    _to_canary(world)
    world.annotate(action=f"promote:{world.status().revision}")
    world.run_until(lambda: world.weight() == 100, within=120, what="weight 100")
    world.run(5)
    assert world.stage() == "Promoting", world.describe()
    assert world.tags("stable") == {"v1": 3}, world.describe()


def _to_rolling(world: World) -> None:
    """Up to the first new pod of stable."""
    _to_shifting(world)
    world.run_until(lambda: world.tags("stable").get("v2"), within=120, what="a new stable pod")
    assert world.stage() == "Promoting", world.describe()


def _to_rolling_back(world: World) -> None:
    _to_canary(world)
    world.annotate(action="abort")
    world.run(5)
    assert world.stage() == "RollingBack", world.describe()


def _to_aborted(world: World) -> None:
    _to_rolling_back(world)
    world.run_until(lambda: world.stage() == "Aborted", within=300, what="Aborted")
    world.run(1)


class _Reached(Protocol):
    def __call__(self, column: Column, *, hold: Hold, history: bool) -> World: ...


@dataclass(slots=True)
class Source:
    """Where worlds come from; see `copies`."""

    reached: _Reached = told


source = Source()

_WAYS: Mapping[Column, Callable[[World], None]] = {
    Column.IDLE: _to_idle,
    Column.STARTING: _to_starting,
    Column.CANARY: _to_canary,
    Column.SHIFTING: _to_shifting,
    Column.ROLLING: _to_rolling,
    Column.ROLLING_BACK: _to_rolling_back,
    Column.ABORTED: _to_aborted,
}
