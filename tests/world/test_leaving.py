"""Un-enrolling leaves a byte-equal dump of the user's objects, versions aside (A8)."""

import copy
from typing import Any

import pytest

from controller.api import names
from controller.plan.observed import Hold
from tests.world.columns import Column, reached
from tests.world.outcomes import left
from tests.world.world import World

HOLDS: tuple[Hold, ...] = ("admission", "pause")


@pytest.mark.parametrize("hold", HOLDS)
@pytest.mark.parametrize("column", list(Column))
def test_unenrolling_leaves_what_the_user_wrote_and_nothing_else(
    column: Column, hold: Hold
) -> None:
    with reached(column, hold=hold) as world:
        wanted = _bare(world, column)
        world.unenrol()
        _is_left(world, column)
        assert world.dump() == wanted


@pytest.mark.parametrize("column", list(Column))
def test_unenrolling_is_finished_after_a_restart(column: Column) -> None:
    with reached(column) as world:
        wanted = _bare(world, column)
        world.crash()
        world.unenrol()
        world.run(60)
        world.start_controller()
        _is_left(world, column)
        assert world.dump() == wanted


@pytest.mark.parametrize("column", list(Column))
def test_unenrolling_and_enrolling_again_ends_well(column: Column) -> None:
    with reached(column) as world:
        world.unenrol()
        world.run(7)
        world.enrol()
        world.settle()
        if world.stage() is None:
            assert world.reason("Ready") == "DeploymentPaused", world.describe()
            world.rollout_resume()
            world.run_until(world.is_ready, within=120)
        assert world.stage() in {"Idle", "Canary", "Aborted"}, world.describe()


def _is_left(world: World, column: Column) -> None:
    if column is Column.IDLE:
        left()(world)
    elif column is Column.ROLLING:
        left("v2", stable="v2")(world)
    else:
        left("v2", paused=True)(world)


def _bare(world: World, column: Column) -> dict[str, Any]:
    """Return the user's objects as they have to be afterwards: without anything of ours."""
    found = {name: obj for name, obj in world.dump().items() if name not in world.ours()}
    wanted = copy.deepcopy(found)
    service, deployment = wanted["Service/myapp"], wanted["Deployment/myapp"]
    del service["metadata"]["labels"][names.CANARY]
    for key in (names.STATUS, names.ACTION):
        service["metadata"]["annotations"].pop(key, None)
    for key in (names.HELD, names.RESUME):
        deployment["metadata"]["labels"].pop(key, None)
    if column in {Column.IDLE, Column.ROLLING}:
        deployment["spec"].pop("paused", None)
    return wanted
