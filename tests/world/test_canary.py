"""How a canary follows what its user wants, and what its pods can carry."""

import pytest

from controller.api import names
from e2e.bed import manifests
from tests.world.columns import WEIGHT, Column, reached
from tests.world.deeds import act, delete_pods
from tests.world.kubectl import NAME
from tests.world.outcomes import (
    aborted,
    answered,
    canary,
    closed_at_once,
    idle,
    promoted,
    quiet,
    service_notes,
    told,
    waits,
)
from tests.world.world import CANARY, World, enrolled

# Short canary: all three rules of safety.md section 4.


def test_a_canary_short_for_less_than_10_s_keeps_its_weight() -> None:
    with reached(Column.CANARY) as world:
        delete_pods("canary", most=1)(world)
        weights = _weights(world, 30)
        assert weights == {WEIGHT}
        canary(weight=WEIGHT)(world)


def test_a_canary_short_for_10_s_is_lowered_to_what_it_carries_and_raised_when_it_is_back() -> None:
    with reached(Column.CANARY) as world:
        world.annotate(weight="80")
        canary(weight=80, pods=3)(world)
        weak = world.pods("canary")[0]
        world.set_ready(weak, ready=False)
        world.run_until(lambda: len(world.pods("canary")) == 2, within=10)
        world.run(8)
        assert world.weight() == 80
        world.run_until(lambda: world.weight() == 66, within=10, what="2 of 3 pods carry 66 %")
        assert world.accounts() == {"alice", "bob"}
        assert world.conditions()["Degraded"][:2] == ("True", "CanaryShort")
        world.set_ready(weak, ready=True)
        canary(weight=80, pods=3)(world)


def test_no_ready_canary_pod_closes_every_door_within_2_s() -> None:
    with reached(Column.CANARY) as world:
        for pod in world.pods("canary"):
            world.crash_pod(pod)
        closed_at_once(world)
        canary(weight=WEIGHT)(world)


def test_from_the_roll_on_a_short_canary_never_aborts_and_keeps_what_stable_cannot_carry() -> None:
    with reached(Column.SHIFTING) as world:
        world.hold_new_pods()
        waits("PromotionStalled", within=1200)(world)
        assert world.tags("stable") == {"v1": 3}
        world.set_ready(world.pods("canary")[0], ready=False)
        world.run(60)
        assert world.weight() == 66
        assert world.stage() == "Promoting"


# The weight and the plan.


def test_a_weight_that_stands_when_a_release_starts_is_removed_once_and_said_so() -> None:
    with enrolled() as world:
        world.annotate(weight="40")
        world.set_image("v2")
        canary(weight=0)(world)
        assert names.WEIGHT not in service_notes(world)
        assert "WeightRemoved" in world.reasons()
        world.annotate(weight="40")
        canary(weight=40)(world)


def test_steps_are_walked_and_the_last_one_promotes_where_nobody_is_asked() -> None:
    with enrolled() as world:
        world.annotate(steps="10/2m, 50/2m, 100/1m", promotion="auto")
        world.set_image("v2")
        for weight in (10, 50, 100):
            world.run_until(lambda at=weight: world.weight() == at, within=300)  # type: ignore[misc]  # bound now
        promoted()(world)
        assert service_notes(world)[names.STEPS] == "10/2m, 50/2m, 100/1m"


def test_a_step_without_a_time_waits_for_continue() -> None:
    with enrolled() as world:
        world.annotate(steps="10, 50/1m, 60")
        world.set_image("v2")
        canary(weight=10)(world)
        world.run(600)
        assert world.weight() == 10
        act("continue")(world)
        world.run_until(lambda: world.weight() == 60, within=300)
        canary(weight=60)(world)


def test_a_paused_plan_stands_still_and_goes_on_with_continue() -> None:
    with enrolled() as world:
        world.annotate(steps="10/2m, 50")
        world.set_image("v2")
        world.run_until(lambda: world.weight() == 10, within=120)
        act("pause")(world)
        world.run(600)
        canary(weight=10)(world)
        act("continue")(world)
        canary(weight=50)(world)


def test_a_plan_goes_on_at_its_step_when_the_main_ingress_is_back() -> None:
    with enrolled() as world:
        world.annotate(steps="10/1m, 50/10m, 80")
        world.set_image("v2")
        world.run_until(lambda: world.weight() == 50, within=300)
        world.run(1)
        world.delete("ingresses")
        world.settle()
        world.apply(manifests.ingress())
        canary(weight=50)(world)


def test_a_pin_overrides_the_steps_while_it_stands() -> None:
    with enrolled() as world:
        world.annotate(steps="10/2m, 50")
        world.set_image("v2")
        world.run_until(lambda: world.weight() == 10, within=120)
        world.annotate(weight="30")
        world.run(600)
        canary(weight=30)(world)
        world.annotate(weight=None)
        canary(weight=50)(world)


def test_with_a_bad_value_only_abort_pause_and_a_lower_weight_are_obeyed() -> None:
    with reached(Column.CANARY) as world:
        world.annotate(replicas="many", weight="80", header_values="alice,bob,mallory")
        waits("InvalidConfiguration")(world)
        canary(weight=WEIGHT)(world)
        world.annotate(weight="20")
        world.run_until(lambda: world.weight() == 20, within=2)
        act("promote:REV")(world)
        told("ActionRefused")(world)
        act("pause")(world)
        answered("paused")(world)
        act("abort")(world)
        closed_at_once(world)
        world.settle()
        assert world.ours() == []
        world.annotate(replicas=None)
        aborted()(world)


# Releases that follow one another.


def test_a_rejected_template_that_comes_again_is_rejected_at_once() -> None:
    with reached(Column.ABORTED) as world:
        world.put_back()
        idle(result="aborted")(world)
        world.set_image("v2")
        aborted()(world)
        act("retry:REV")(world)
        canary()(world)


def test_promoting_another_revision_ends_the_rejection() -> None:
    with reached(Column.ABORTED) as world:
        world.set_image("v3")
        canary("v3")(world)
        world.rollout_resume()
        promoted("v3")(world)
        world.set_image("v2")
        world.run_until(lambda: world.stage() == "Canary", within=120)


def test_two_releases_follow_one_another_and_the_second_is_held_again() -> None:
    with reached(Column.SHIFTING) as world:
        promoted("v2")(world)
        world.set_image("v3")
        world.run_until(lambda: world.stage() == "Canary", within=120)
        assert world.tags("stable") == {"v2": 3}
        world.rollout_resume()
        promoted("v3")(world)


def test_the_ready_deadline_of_a_newer_template_begins_when_its_pods_do() -> None:
    with reached(Column.CANARY) as world:
        world.annotate(ready_deadline="20s")
        world.set_image("v3")
        canary("v3")(world)


# Ingresses.


def _two_mains() -> World:
    world = enrolled()
    world.apply(manifests.ingress("internal", host="internal.example", backend=NAME))
    world.set_image("v2")
    world.annotate(weight=str(WEIGHT))
    return world


INTERNAL = f"{NAME}-internal-canary"


def _all_at(world: World, weight: int) -> bool:
    return {name: route.weight for name, route in world.routes().items()} == {
        CANARY: weight,
        INTERNAL: weight,
    }


def test_every_main_ingress_has_a_canary_and_all_say_the_same() -> None:
    with _two_mains() as world:
        world.run(5)
        world.annotate(weight="20")
        world.run_until(lambda: _all_at(world, 20), within=120)
        assert len({route.doors for route in world.routes().values()}) == 1
        world.rollout_resume()
        promoted()(world)


def test_the_drain_before_a_newer_template_outlives_its_ingress() -> None:
    with reached(Column.CANARY) as world:
        world.set_image("v3")
        closed_at_once(world)
        world.delete("ingresses", CANARY)
        world.run(35)
        assert set(world.tags("canary")) == {"v2"}
        canary("v3")(world)


def test_a_main_ingress_that_comes_later_is_joined_once_its_canary_is_known() -> None:
    with reached(Column.CANARY) as world:
        world.apply(manifests.ingress("internal", host="internal.example", backend=NAME))
        world.run_until(lambda: INTERNAL in world.routes(), within=10)
        assert not world.routes()[INTERNAL].is_open
        assert world.weight() == WEIGHT
        world.run_until(lambda: _all_at(world, WEIGHT), within=60)
        world.settle()
        quiet(world)


def test_a_main_ingress_that_goes_takes_its_canary_along_and_leaves_the_other() -> None:
    with reached(Column.CANARY) as world:
        world.apply(manifests.ingress("internal", host="internal.example", backend=NAME))
        world.run_until(lambda: _all_at(world, WEIGHT), within=120)
        world.delete("ingresses", "internal")
        world.run_until(lambda: not world.routes()[INTERNAL].is_open, within=2)
        world.settle()
        assert world.routes().keys() == {CANARY}
        canary(weight=WEIGHT)(world)


def test_a_git_tool_that_makes_the_main_ingress_anew_stops_nothing_for_long() -> None:
    with reached(Column.CANARY) as world:
        world.delete("ingresses")
        world.apply(manifests.ingress())
        canary(weight=WEIGHT)(world)


def test_pods_outlive_an_ingress_that_vanished_together_with_its_main_by_a_drain() -> None:
    with reached(Column.CANARY) as world:
        world.annotate(weight="80")
        canary(weight=80, pods=3)(world)
        world.delete("ingresses", CANARY)
        world.delete("ingresses")
        world.run(35)
        assert world.tags("canary") == {"v2": 3}
        world.settle()
        assert world.tags("canary") == {"v2": 1}
        world.apply(manifests.ingress())
        canary(weight=80, pods=3)(world)


@pytest.mark.parametrize(
    "column", [Column.STARTING, Column.CANARY, Column.SHIFTING, Column.ROLLING]
)
def test_a_service_made_anew_within_30_s_ends_nothing(column: Column) -> None:
    with reached(column) as world:
        notes = {
            key.removeprefix(names.PREFIX).replace("-", "_"): value
            for key, value in service_notes(world).items()
            if key in names.USER_KEYS
        }
        world.delete("services")
        world.run(20)
        world.apply(manifests.service())
        world.annotate(**notes)
        world.enrol()
        check = {
            Column.STARTING: canary(),
            Column.CANARY: canary(weight=WEIGHT),
        }.get(column, promoted())
        check(world)


# Claims.


def test_a_second_service_does_not_get_a_deployment_that_is_in_a_release() -> None:
    with reached(Column.CANARY) as world:
        world.apply(
            manifests.service("rival", selector={"app": NAME}),
            manifests.ingress("rival", host="rival.example"),
        )
        world.enrol(name="rival")
        world.run(60)
        assert world.conditions("rival")["Ready"][1] == "DeploymentClaimed"
        assert "NotReady" not in world.reasons()


def _weights(world: World, seconds: int) -> set[int | None]:
    seen = set()
    for _ in range(seconds * 4):
        world.run(0.25)
        seen.add(world.weight())
    return seen
