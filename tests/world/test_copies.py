"""A story that is told on a copy fails here and changes nothing here."""

import pytest

from tests.world.columns import Column
from tests.world.copies import on_a_copy, prepared
from tests.world.world import World


def test_a_story_on_a_copy_leaves_the_world_as_it_is() -> None:
    world = prepared(Column.IDLE, "admission", history=False)
    before = world.now
    on_a_copy(world, World.settle)
    assert world.now == before


def test_a_story_that_fails_on_a_copy_fails_with_what_it_said() -> None:
    def story(world: World) -> None:
        assert world.stage() == "Nowhere", world.describe()

    world = prepared(Column.IDLE, "admission", history=False)
    with pytest.raises(AssertionError, match="stage Idle"):
        on_a_copy(world, story)


def test_a_broken_invariant_ends_a_story() -> None:
    def story(world: World) -> None:
        world.client.is_writing = True
        world.scale(1)
        world.client.is_writing = False
        world.run(1)

    world = prepared(Column.CANARY, "admission", history=False)
    with pytest.raises(AssertionError, match="A1"):
        on_a_copy(world, story)
