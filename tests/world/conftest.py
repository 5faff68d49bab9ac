"""Worlds for every test here, and silence from their controllers."""

import logging
from collections.abc import Iterator

import pytest
import structlog


@pytest.fixture(autouse=True, scope="session")
def _silence() -> Iterator[None]:
    """Keep log lines of the controller out of the way: they cost more than the passes."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.reset_defaults()
