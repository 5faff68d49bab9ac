"""Worlds for every test here, and silence from their controllers."""

import logging
from collections.abc import Iterator

import pytest
import structlog

from tests.world.copies import PREPARED


@pytest.fixture(autouse=True, scope="session")
def _worlds() -> Iterator[None]:
    """Keep log lines out of the way, which cost more than passes; close what is left at the end."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.reset_defaults()
    while PREPARED:
        PREPARED.pop().close()
