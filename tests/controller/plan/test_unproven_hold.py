"""Until a new process has proven the hold, what was told of a held Deployment stands (T8)."""

from dataclasses import replace

import pytest

from controller.api import names
from controller.api.objects import condition_of
from controller.plan.observed import Observed
from tests.controller.plan.plans import passed
from tests.controller.plan.worlds import idle, pending


@pytest.mark.parametrize("world", [idle(), pending()], ids=["idle", "pending"])
def test_a_restart_tells_nothing_new_before_the_hold_is_proven(world: Observed) -> None:
    told = passed(passed(world).after).after
    done = passed(replace(told, hold=None))
    assert "edit Service myapp" not in " ".join(done.does)
    assert (done.after.service or {})["status"] == (told.service or {})["status"]


@pytest.mark.parametrize(
    ("reason", "expected"),
    [("DeploymentRolling", "DeploymentRolling"), ("IngressWithoutService", "TakingHold")],
)
def test_a_reason_that_is_not_of_the_hold_is_asked_anew(reason: str, expected: str) -> None:
    world = idle(hold=None)
    service = world.service or {}
    entry = {"type": names.READY, "status": "False", "reason": reason, "message": "as it was"}
    told = {**service, "status": {"conditions": [entry]}}
    done = passed(replace(world, service=told, services=(told,)))
    ready = condition_of(done.after.service or {}, names.READY) or {}
    assert (ready["status"], ready["reason"]) == ("False", expected)
