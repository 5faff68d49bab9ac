"""How a Deployment is held, and who contests it."""

import pytest

from controller.api import names
from controller.api.objects import labels_of
from controller.plan.observed import Hold
from e2e.bed import manifests
from tests.world.columns import WEIGHT, Column, reached
from tests.world.kubectl import image
from tests.world.outcomes import canary, idle, left, not_ready, pending, promoted, quiet
from tests.world.world import World, enrolled

HOLDS: tuple[Hold, ...] = ("admission", "pause")


def _declared(tag: str, *, paused: bool) -> manifests.Manifest:
    return manifests.deployment(image=image(tag), paused=paused)


# Two ways to hold, one contract.


@pytest.mark.parametrize("hold", HOLDS)
def test_auto_proves_how_the_cluster_holds(hold: Hold) -> None:
    with enrolled(hold=hold, mode="auto") as world:
        idle()(world)
        world.set_image("v2")
        canary()(world)


@pytest.mark.parametrize("hold", HOLDS)
def test_the_hold_is_taken_only_of_a_complete_deployment(hold: Hold) -> None:
    with World(hold=hold) as world:
        world.apply(manifests.application(image=image("v1")))
        world.enrol()
        world.run(1)
        assert world.reason("Ready") == "DeploymentRolling"
        assert names.HELD not in labels_of(world.deployment())
        world.run_until(world.is_ready, within=60)
        idle()(world)


def test_a_deployment_that_is_paused_when_enrolled_waits_with_the_reason() -> None:
    with World() as world:
        world.apply(manifests.application(image=image("v1")))
        world.run_until(lambda: len(world.pods("stable")) == 3)
        world.rollout_pause()
        world.enrol()
        not_ready("DeploymentPaused")(world)
        quiet(world)
        world.rollout_resume()
        world.run_until(world.is_ready, within=60)
        assert not world.is_paused()


def test_between_releases_rollout_status_is_done_and_waits_for_a_promotion() -> None:
    with enrolled() as world:
        assert world.rollout_is_done()
        world.set_image("v2")
        world.run_until(lambda: world.stage() == "Canary", within=120)
        assert not world.rollout_is_done()
        world.rollout_resume()
        promoted()(world)
        assert world.rollout_is_done()


# A manifest that owns `spec.paused`.


@pytest.mark.parametrize("server_side", [False, True])
def test_with_admission_hold_a_manifest_cannot_unpause_what_is_pending(
    *, server_side: bool
) -> None:
    with reached(Column.CANARY) as world:
        world.apply(_declared("v2", paused=False), server_side=server_side)
        assert world.is_paused()
        canary(weight=WEIGHT)(world)


@pytest.mark.parametrize("server_side", [False, True])
def test_with_pause_hold_a_manifest_that_declares_paused_is_refused(*, server_side: bool) -> None:
    with World(hold="pause") as world:
        application = manifests.application(image=image("v1"))
        application[1] = _declared("v1", paused=False)
        world.apply(application, server_side=server_side)
        world.run_until(lambda: len(world.pods("stable")) == 3)
        world.enrol()
        not_ready("PausedDeclared")(world)
        world.settle()
        assert names.HELD not in labels_of(world.deployment())
        assert not world.is_paused()
        quiet(world)


@pytest.mark.parametrize("server_side", [False, True])
def test_with_pause_hold_a_manifest_that_unpauses_rolls_and_is_called_contested(
    *, server_side: bool
) -> None:
    with reached(Column.CANARY, hold="pause") as world:
        world.apply(_declared("v2", paused=False), server_side=server_side)
        not_ready("HoldContested")(world)
        world.run_until(lambda: world.tags("stable") == {"v2": 3}, within=120)
        world.settle()
        assert world.ours() == []
        assert world.is_paused()
        # A server-side apply loses the field to our pause; last-applied goes on saying it.
        assert world.reason("Ready") == ("Held" if server_side else "HoldContested")
        quiet(world)


def test_with_pause_hold_auto_refuses_a_manifest_that_declares_paused_too() -> None:
    with World(hold="pause", mode="auto") as world:
        application = manifests.application(image=image("v1"))
        application[1] = _declared("v1", paused=False)
        world.apply(application)
        world.run_until(lambda: len(world.pods("stable")) == 3)
        world.enrol()
        world.settle()
        assert not world.is_ready()
        assert world.reason("Ready") in {"PausedDeclared", "HoldContested"}
        assert not world.is_paused()
        quiet(world)


# The label `held` in a person's hands.


@pytest.mark.parametrize("hold", HOLDS)
def test_without_the_held_label_everything_stays_until_a_person_resumes(hold: Hold) -> None:
    with reached(Column.CANARY, hold=hold) as world:
        world.label("deployments", {names.HELD: None})
        world.settle()
        assert world.weight() == WEIGHT
        assert world.tags("stable") == {"v1": 3}
        assert names.HELD not in labels_of(world.deployment())
        world.rollout_resume()
        promoted()(world)


@pytest.mark.parametrize("hold", HOLDS)
def test_the_held_label_is_taken_again_where_nothing_is_pending(hold: Hold) -> None:
    with enrolled(hold=hold) as world:
        world.label("deployments", {names.HELD: None})
        if hold == "pause":
            world.rollout_resume()
        idle()(world)


def test_a_resume_that_is_out_of_date_approves_nothing() -> None:
    with reached(Column.CANARY) as world:
        world.crash()
        world.rollout_resume()
        world.set_image("v3")
        world.start_controller()
        canary("v3")(world)
        assert names.RESUME not in labels_of(world.deployment())
        assert "PromotionRefused" in world.reasons()


def test_scaled_to_zero_and_back_stays_held() -> None:
    with enrolled() as world:
        world.scale(0)
        world.run(60)
        world.scale(3)
        idle()(world)
        world.set_image("v2")
        canary()(world)


@pytest.mark.parametrize("hold", HOLDS)
def test_a_template_changed_while_the_controller_is_down_is_held_when_it_comes_back(
    hold: Hold,
) -> None:
    with enrolled(hold=hold) as world:
        world.crash()
        world.set_image("v2")
        world.run(3600)
        assert world.tags("stable") == {"v1": 3}
        assert pending(world) == "v2"
        world.start_controller()
        canary()(world)


@pytest.mark.parametrize("column", list(Column))
def test_while_the_controller_is_down_nothing_moves(column: Column) -> None:
    """T11: exposure does not change, and no timer anywhere else acts."""
    with reached(column) as world:
        world.crash()
        world.run(30)
        routes, tags = world.routes(), (world.tags("stable"), world.tags("canary"))
        world.run(3600)
        assert (world.routes(), (world.tags("stable"), world.tags("canary"))) == (routes, tags)


def test_a_service_without_a_deployment_leaves_no_trace() -> None:
    with World() as world:
        world.apply(manifests.application(image=image("v1")))
        world.delete("deployments")
        world.enrol()
        not_ready("NoDeployment")(world)
        world.apply(manifests.deployment(image=image("v1")))
        world.run_until(world.is_ready, within=60)
        world.unenrol()
        left()(world)
