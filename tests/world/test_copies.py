"""A story that is told on a copy fails here and changes nothing here."""

import os
import signal

import pytest

from tests.world.columns import Column, reached
from tests.world.copies import on_a_copy, on_copies, prepared
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


def test_a_test_on_copies_finds_each_world_as_it_is_after_its_story() -> None:
    def test() -> None:
        with reached(Column.IDLE) as world, reached(Column.IDLE) as told_anew:
            assert world.trace == told_anew.trace
            world.scale(1)
            assert world.trace != told_anew.trace

    for _ in range(2):
        on_copies(test)


def test_a_test_on_copies_fails_with_what_it_said() -> None:
    def test() -> None:
        with reached(Column.IDLE) as world:
            assert world.stage() == "Nowhere", world.describe()

    with pytest.raises(AssertionError, match="stage Idle"):
        on_copies(test)


def test_what_python_cannot_raise_fails_a_test_on_copies() -> None:
    class Broken:
        def __del__(self) -> None:
            raise ValueError("in a finalizer")

    with pytest.raises(AssertionError, match="in a finalizer"):
        on_copies(Broken)


def test_a_copy_that_is_killed_fails() -> None:
    with pytest.raises(AssertionError, match="ended with status 9"):
        on_copies(lambda: os.kill(os.getpid(), signal.SIGKILL))
