"""Deals the tests out to the workers of pytest-xdist, and keeps the clock out of hypothesis."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]  # it has none

from e2e.scenarios import OWN_CLUSTER

# An example that takes long on a busy machine is no failure.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")
# The same few examples for each mutant: what kills one by luck is no test (`make mutants`).
settings.register_profile(
    "mutants",
    settings.get_profile("patient"),
    max_examples=20,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
)

SCENARIOS = "e2e/scenarios"
FIRST = (
    f"{SCENARIOS}/test_routing.py",
    f"{SCENARIOS}/test_plan.py",
    f"{SCENARIOS}/test_stages.py",
    SCENARIOS,
    *(f"{SCENARIOS}/{name}.py" for name in OWN_CLUSTER),
    "tests/e2e",
    "tests/world",
)
"""What takes longest comes first, so that all workers end at about the same time."""
APART = frozenset({"tests/world/test_faults.py"})
"""Modules of which every test is a part of its own: they share nothing, and one takes long."""


def part_of(module: str) -> str:
    """Return what one worker runs as a whole: a module, or all scenarios that share a cluster."""
    shares = module.startswith(SCENARIOS) and Path(module).stem not in OWN_CLUSTER
    return SCENARIOS if shares else module


class Parts(LoadScopeScheduling):  # type: ignore[misc]  # its base has no types
    """Deals out parts where the plugin deals out modules, in the order of collection."""

    def _split_scope(self, nodeid: str) -> str:
        module = nodeid.partition("::")[0]
        return nodeid if module in APART else part_of(module)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> Parts | None:
    """Deal out parts with `--dist loadscope`."""
    if config.getvalue("dist") != "loadscope":
        return None
    config.option.loadscopereorder = False
    return Parts(config, log)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put first what takes longest."""
    items.sort(key=lambda item: _place(item.nodeid.partition("::")[0]))


def _place(module: str) -> tuple[int, int]:
    names = [name for name in (module, part_of(module), *_folders(module)) if name in FIRST]
    part = FIRST.index(SCENARIOS) if part_of(module) == SCENARIOS else None
    found = FIRST.index(names[0]) if names else len(FIRST)
    return (found if part is None else part, found)


def _folders(module: str) -> list[str]:
    return [str(folder) for folder in Path(module).parents]
