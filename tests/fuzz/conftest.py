"""Silence from the controllers of the simulated worlds."""

from collections.abc import Iterator

import pytest

from tests.fuzz.machine import silent


@pytest.fixture(autouse=True, scope="session")
def _silence() -> Iterator[None]:
    with silent():
        yield
