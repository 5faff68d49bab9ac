"""The release that started the project, told from the first command to the last."""

import pytest

from controller.plan.observed import Hold
from tests.world.world import enrolled

HOLDS: tuple[Hold, ...] = ("admission", "pause")


@pytest.mark.parametrize("hold", HOLDS)
def test_a_release_is_held_tried_promoted_and_forgotten(hold: Hold) -> None:
    with enrolled(hold=hold) as world:
        world.set_image("v2")
        world.run_until(lambda: world.stage() == "Canary", within=120, what="Canary")
        assert world.accounts() == {"alice", "bob"}
        world.annotate(weight="2")
        world.run_until(lambda: world.weight() == 2, within=60, what="weight 2")
        assert world.tags("stable") == {"v1": 3}
        world.annotate(action=f"promote:{world.status().revision}")
        world.run_until(lambda: world.stage() == "Idle", within=600, what="Idle")
        world.settle()
        assert world.tags("stable") == {"v2": 3}
        assert world.ours() == []
