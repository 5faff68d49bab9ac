"""How the tests are dealt out to workers is the same for all of them."""

from e2e.parts import pytest_collection_modifyitems, pytest_xdist_make_scheduler

__all__ = ["pytest_collection_modifyitems", "pytest_xdist_make_scheduler"]
