"""The whole pass: the same world gives the same plan, and no world is too strange for it."""

from dataclasses import replace

from controller.plan.decide import decide
from controller.plan.writes import Plan
from tests.controller.plan.worlds import NOW, idle, running


def test_a_service_that_is_missing_is_looked_at_again_when_its_time_is_up() -> None:
    missing = replace(idle(), service=None, service_missing_seconds=12.0)
    assert decide(missing, NOW) == Plan(stage=None, wake_seconds=18.0)


def test_a_release_whose_service_is_missing_stands_still_for_30_seconds() -> None:
    missing = replace(running(), service=None, service_missing_seconds=29.0)
    assert decide(missing, NOW) == Plan(stage=None, wake_seconds=1.0)
