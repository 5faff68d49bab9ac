"""Worlds for every test here, and silence from their controllers."""

import logging
from collections.abc import Iterator
from functools import partial

import pytest
import structlog

from tests.world.copies import PREPARED, on_copies

ON_COPIES = frozenset({"test_canary", "test_hold", "test_leaving", "test_promotion", "test_quiet"})
"""Modules whose tests begin with copies; `test_stages` makes its own."""


@pytest.fixture(autouse=True, scope="session")
def _worlds() -> Iterator[None]:
    """Keep log lines out of the way, which cost more than passes; close what is left at the end."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.reset_defaults()
    while PREPARED:
        PREPARED.popitem()[1].close()


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a test on copies of the worlds that it begins with."""
    if pyfuncitem.path.stem not in ON_COPIES:
        return None
    callspec = getattr(pyfuncitem, "callspec", None)
    on_copies(partial(pyfuncitem.obj, **(callspec.params if callspec else {})))
    return True
