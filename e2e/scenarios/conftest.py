"""Fixtures of the scenarios: the cluster of a worker, and the stage of a module."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from e2e.bed.children import MissingProgramError, program
from e2e.scenarios import APART, OWN_CLUSTER
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


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def _stages() -> AsyncIterator[dict[str, Stage]]:
    """Keep the stages that have begun, to be ended when the tests are over."""
    stages: dict[str, Stage] = {}
    yield stages
    for stage in stages.values():
        await stage.end()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def stage(
    cluster: Cluster, _stages: dict[str, Stage], request: pytest.FixtureRequest
) -> Stage:
    """Run the scenarios of a module side by side, and with them those of all that may."""
    part = _part(request.path)
    if part not in _stages:
        _stages[part] = Stage(cluster)
        _stages[part].begin(item for item in request.session.items if _part(item.path) == part)
    return _stages[part]


def _part(path: Path) -> str:
    return path.stem if path.stem in (*OWN_CLUSTER, *APART) else "others"
