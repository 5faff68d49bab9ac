"""Promotion, where it does not go straight: stopped, interrupted, stalled, blocked, in place."""

from typing import Any

import pytest

from controller.plan.observed import Hold
from e2e.bed import manifests
from tests.world.columns import Column, reached
from tests.world.deeds import act, change_template, delete_pods
from tests.world.kubectl import NAME, NAMESPACE, image
from tests.world.outcomes import aborted, canary, idle, left, promoted, quiet, told, waits
from tests.world.world import World, enrolled

HOLDS: tuple[Hold, ...] = ("admission", "pause")


def _interrupted(hold: Hold = "admission") -> World:
    world = reached(Column.ROLLING, hold=hold)
    world.set_image("v3")
    waits("PromotionInterrupted", degraded=True)(world)
    world.settle()
    assert world.is_paused()
    assert world.weight() == 100
    assert not world.pods("stable", "v3")
    return world


# PromotionInterrupted and its ways out.


@pytest.mark.parametrize("hold", HOLDS)
def test_an_interrupted_promotion_goes_on_with_the_newer_one_once_that_is_approved(
    hold: Hold,
) -> None:
    with _interrupted(hold) as world:
        act("promote:REV")(world)
        promoted("v3")(world)


@pytest.mark.parametrize("hold", HOLDS)
def test_an_interrupted_promotion_goes_on_when_the_approved_template_is_back(hold: Hold) -> None:
    with _interrupted(hold) as world:
        world.set_image("v2")
        promoted("v2")(world)


@pytest.mark.parametrize("hold", HOLDS)
def test_an_interrupted_promotion_ends_when_the_recorded_template_is_back(hold: Hold) -> None:
    with _interrupted(hold) as world:
        world.put_back()
        idle(result="aborted")(world)


def test_a_newer_template_after_the_roll_is_the_next_release() -> None:
    with reached(Column.ROLLING) as world:
        world.run_until(lambda: world.tags("stable") == {"v2": 3}, within=60)
        world.run(1)
        world.set_image("v3")
        world.run_until(lambda: world.stage() == "Canary", within=400)
        assert world.tags("stable") == {"v2": 3}
        outcome = world.status().outcome
        assert outcome is not None
        assert outcome.result == "promoted"


# An abort from P3 on.


@pytest.mark.parametrize("hold", HOLDS)
def test_an_abort_in_the_roll_is_withdrawn_by_promote(hold: Hold) -> None:
    with reached(Column.ROLLING, hold=hold) as world:
        act("abort")(world)
        waits("AbortedInRoll", degraded=True)(world)
        world.settle()
        assert set(world.tags("stable")) == {"v1", "v2"}
        act("promote:REV")(world)
        promoted()(world)


@pytest.mark.parametrize("hold", HOLDS)
def test_an_abort_in_the_roll_is_withdrawn_by_rollout_resume(hold: Hold) -> None:
    with reached(Column.ROLLING, hold=hold) as world:
        act("abort")(world)
        waits("AbortedInRoll")(world)
        world.settle()
        world.rollout_resume()
        promoted()(world)


def test_an_abort_after_the_roll_is_too_late_and_says_so() -> None:
    with reached(Column.ROLLING) as world:
        world.run_until(lambda: world.tags("stable") == {"v2": 3}, within=60)
        world.run(1)
        act("abort")(world)
        world.run(1)
        last = world.status().last
        assert last is not None
        assert "too late" in last.outcome
        promoted()(world)


# PromotionStalled.


def test_a_stalled_promotion_goes_on_when_pods_come() -> None:
    with reached(Column.SHIFTING) as world:
        world.hold_new_pods()
        waits("PromotionStalled", degraded=True, within=1200)(world)
        world.settle()
        quiet(world)
        assert world.weight() == 100
        world.let_new_pods_start()
        promoted()(world)


# StableWouldBeEmpty, and strategies.


def _rolling(unavailable: int | str, surge: int | str = 0) -> dict[str, Any]:
    return {
        "type": "RollingUpdate",
        "rollingUpdate": {"maxUnavailable": unavailable, "maxSurge": surge},
    }


def test_a_roll_that_would_empty_stable_is_blocked_until_the_field_is_mended() -> None:
    with enrolled(strategy=_rolling("100%", 1)) as world:
        world.set_image("v2")
        world.run_until(lambda: world.stage() == "Canary", within=120)
        world.rollout_resume()
        waits("StableWouldBeEmpty")(world)
        world.settle()
        assert "maxUnavailable" in world.status().message
        assert world.weight() == 0
        assert world.tags("stable") == {"v1": 3}
        world.patch("deployments", {"spec": {"strategy": _rolling(1, 1)}})
        promoted()(world)


def test_the_autoscalers_minimum_is_asked_too() -> None:
    with enrolled(strategy=_rolling(2)) as world:
        target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": NAME}
        scaler = {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": NAME, "namespace": NAMESPACE},
            "spec": {"minReplicas": 2, "maxReplicas": 5, "scaleTargetRef": target},
        }
        world.apply(scaler)
        world.set_image("v2")
        world.run_until(lambda: world.stage() == "Canary", within=120)
        world.rollout_resume()
        waits("StableWouldBeEmpty")(world)
        world.patch("horizontalpodautoscalers", {"spec": {"minReplicas": 3}})
        promoted()(world)


def test_strategy_recreate_is_refused_until_it_is_accepted_and_then_rolls_in_place() -> None:
    with World() as world:
        recreate = {"type": "Recreate"}
        world.apply(manifests.application(image=image("v1"), strategy=recreate))
        world.run_until(lambda: len(world.pods("stable")) == 3)
        world.annotate(header="X-Account", header_values="alice,bob")
        world.enrol()
        world.run(5)
        assert world.reason("Ready") == "RecreateStrategy"
        world.annotate(accept="recreate", promotion="in-place")
        world.run_until(world.is_ready, within=60)
        world.judge.excuse("S2")  # accepted: 503 for everybody until the first new pod is ready
        world.set_image("v2")
        world.run_until(lambda: world.stage() == "Canary", within=120)
        world.rollout_resume()
        promoted()(world)


# In place.


def test_in_place_lowers_to_50_and_rolls_under_it() -> None:
    with reached(Column.CANARY) as world:
        world.annotate(weight="80", promotion="in-place")
        canary(weight=80, pods=3)(world)
        world.rollout_resume()
        world.run_until(lambda: world.weight() == 50, within=5)
        weights: set[int | None] = set()
        while not world.pods("stable", "v2"):
            world.run(0.5)
            weights.add(world.weight())
        assert weights == {50}
        promoted()(world)


def test_in_place_keeps_a_lower_weight() -> None:
    with reached(Column.CANARY) as world:
        world.annotate(weight="20", promotion="in-place")
        canary(weight=20)(world)
        world.rollout_resume()
        world.run_until(lambda: world.pods("stable", "v2"), within=120)
        assert world.weight() == 20
        promoted()(world)


# Stable without pods.


def test_with_nothing_ready_at_stable_an_approved_release_rolls_at_once() -> None:
    with reached(Column.CANARY) as world:
        for pod in world.pods("stable"):
            world.set_ready(pod, ready=False)
        world.run_until(lambda: not world.pods("stable"), within=60)
        world.run(1)
        world.rollout_resume()
        world.run_until(lambda: not world.is_paused(), within=2, what="rolls at once")
        promoted()(world)


def test_with_nothing_pending_a_broken_stable_is_mended_by_the_next_template() -> None:
    """L6: a bad stable never blocks a fix."""
    with enrolled() as world:
        for pod in world.pods("stable"):
            world.set_ready(pod, ready=False)
        world.run_until(lambda: not world.pods("stable"), within=60)
        world.run(5)
        world.set_image("v2")
        world.run_until(lambda: world.tags("stable") == {"v2": 3}, within=60)
        idle("v2")(world)


def test_with_pause_hold_a_broken_stable_is_let_go_after_a_minute() -> None:
    with enrolled(hold="pause") as world:
        for pod in world.pods("stable"):
            world.set_ready(pod, ready=False)
        world.run_until(lambda: not world.is_paused(), within=90, what="the hold is let go")
        told("HoldLetGo")(world)
        world.set_image("v2")
        world.run_until(lambda: world.tags("stable") == {"v2": 3}, within=60)
        idle("v2")(world)


# Everything at once.


def test_a_promotion_survives_the_loss_of_every_pod_on_the_way() -> None:
    with reached(Column.SHIFTING) as world:
        delete_pods("canary")(world)
        world.run(3)
        delete_pods("stable")(world)
        promoted()(world)


def test_a_restart_in_the_middle_of_every_wait_changes_nothing_but_its_length() -> None:
    with reached(Column.CANARY) as world:
        world.rollout_resume()
        for _ in range(25):
            world.run(11)
            world.restart_controller()
            if world.stage() == "Idle":
                break
        promoted()(world)


def test_unenrolling_an_interrupted_promotion_leaves_when_a_person_has_decided() -> None:
    with _interrupted() as world:
        world.unenrol()
        world.settle()
        assert world.weight() == 100
        world.put_back()
        left("v1")(world)


def test_a_change_of_the_template_before_the_roll_never_rolls_unapproved() -> None:
    with reached(Column.SHIFTING) as world:
        change_template(world)
        canary()(world)
        world.annotate(action="abort")
        aborted()(world)
