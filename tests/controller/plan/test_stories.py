"""The book of stories: what a pass does and says, word for word."""

import pytest

from tests.controller.plan.stories import WORLDS, book, story


@pytest.mark.parametrize("name", WORLDS)
def test_does_and_says_what_is_written_down(name: str) -> None:
    found, written = story(WORLDS[name]).splitlines(), book()[name].splitlines()
    assert found == written, "if this is meant: .venv/bin/python -m tests.controller.plan.stories"


def test_every_story_has_a_world() -> None:
    assert list(book()) == list(WORLDS)
