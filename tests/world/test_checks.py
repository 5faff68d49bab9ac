"""Metrics decide: releases with steps and checks, over a metrics server in virtual time."""

from collections.abc import Iterator

import pytest

from tests.world.metrics import CANARY
from tests.world.world import World, enrolled


@pytest.fixture
def world() -> Iterator[World]:
    with enrolled(metered=True) as made:
        made.annotate(steps="20/3m, 50/3m", checks="error-rate", promotion="auto")
        made.run(900)
        yield made


def test_a_good_version_is_promoted_by_its_checks(world: World) -> None:
    world.set_image("v2")
    world.run_until(lambda: world.status().outcome, within=7200, what="the release is over")
    outcome = world.status().outcome
    assert outcome is not None
    assert (outcome.result, outcome.why) == ("promoted", "promoted by the plan")


def test_a_bad_version_is_rolled_back_before_its_first_step_is_over(world: World) -> None:
    world.metrics.errors[CANARY] = 0.2
    world.set_image("v2")
    world.run_until(lambda: world.weight() == 20, within=120, what="exposed")
    exposed = world.now
    world.run_until(lambda: world.stage() == "Aborted", within=600, what="rolled back")
    outcome = world.status().outcome
    assert outcome is not None
    assert outcome.result == "aborted"
    assert outcome.why.startswith("error-rate: fail: canary ")
    assert world.conditions()["Promoted"][:2] == ("False", "ChecksFailed")
    assert world.now - exposed < 180
