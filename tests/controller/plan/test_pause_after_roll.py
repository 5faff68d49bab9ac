"""The pause that takes the hold again after a roll is ours: nobody is told that a person paused."""

from controller.plan.release import Roll, release_of
from tests.controller.plan.applied import changed
from tests.controller.plan.plans import passed
from tests.controller.plan.worlds import NOW, deployment, rolled

PAUSED = deployment("v2", generation=4, paused=True)


def test_a_roll_is_done_though_nobody_has_observed_our_pause_yet() -> None:
    unobserved = changed(PAUSED, status={"observedGeneration": 3})
    world = rolled(hold="pause", stable=unobserved)
    assert release_of(world, NOW).roll is Roll.DONE
    assert passed(world).reason != "RollPaused"


def test_a_pause_in_the_middle_of_a_roll_is_a_persons() -> None:
    world = rolled(hold="pause", stable=PAUSED, old=1, new=3)
    assert passed(world).reason == "RollPaused"
