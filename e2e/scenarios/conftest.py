"""Fixtures of the scenarios: the cluster of a worker, and the stage of a module."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from e2e.bed.children import MissingProgramError, program
from e2e.scenarios.cluster import Cluster, running
from e2e.scenarios.side_by_side import Stage


@pytest.fixture(scope="session")
def programs() -> None:
    """Skip where kubectl or the proxy is not installed."""
    try:
        program("kubectl"), program("traefik")
    except MissingProgramError as error:
        pytest.skip(str(error))


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def cluster(programs: None) -> AsyncIterator[Cluster]:  # noqa: ARG001 - asked for first
    """Run one cluster for all modules of a worker; a module may have its own instead."""
    async with running("admission") as cluster:
        yield cluster


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def stage(cluster: Cluster, request: pytest.FixtureRequest) -> AsyncIterator[Stage]:
    """Run the scenarios of a module side by side."""
    stage = Stage(cluster)
    stage.begin(item for item in request.session.items if item.path == request.path)
    yield stage
    await stage.end()
