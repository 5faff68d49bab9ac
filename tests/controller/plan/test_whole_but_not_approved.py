"""A template that nobody approved may be everywhere before its roll is stopped: no user meets it.

Everybody is on the canary meanwhile; stable has to be whole at the approved or at the recorded
revision before the traffic goes back (safety.md section 4, P3).
"""

from dataclasses import replace

import pytest

from controller.api.objects import DEPLOYMENT, is_paused
from controller.plan.observed import Observed
from tests.controller.plan.applied import object_in
from tests.controller.plan.plans import passed
from tests.controller.plan.worlds import EVERYBODY, V2, deployment, record, replica_set, rolled


def whole_at_v3(template: str = "v3", *, paused: bool = True) -> Observed:
    """Stable has four ready pods of v3, and this template; v2 was approved."""
    kept = record(step=0, approval=V2, approved_by="action", interrupted=True)
    stable = deployment(template, generation=4, paused=paused)
    world = rolled(stable=stable, kept=kept)
    *_, canary_set = world.replica_sets
    gone = (replica_set("v1", 0), replica_set("v2", 0, number=2))
    return replace(world, replica_sets=(*gone, replica_set("v3", 4, number=3), canary_set))


def test_everybody_stays_on_the_canary() -> None:
    done = passed(whole_at_v3())
    assert done.reason == "PromotionInterrupted"
    assert done.exposure == EVERYBODY
    assert done.status.outcome is None


def test_it_is_paused_where_it_still_rolls() -> None:
    done = passed(whole_at_v3(paused=False))
    assert is_paused(object_in(done.after, DEPLOYMENT, "myapp") or {})
    assert done.reason == "PromotionInterrupted"


@pytest.mark.parametrize("template", ["v1", "v2"])
def test_either_known_template_put_back_rolls_on(template: str) -> None:
    done = passed(whole_at_v3(template))
    assert not is_paused(object_in(done.after, DEPLOYMENT, "myapp") or {})
    assert done.exposure == EVERYBODY
