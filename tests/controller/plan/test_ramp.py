"""The weight that pin or steps ask for (contract.md section 4)."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from controller.api import names
from controller.api.intent import parse
from controller.api.objects import stamp
from controller.plan.ramp import Asked, asked_of
from controller.plan.release import release_of
from tests.controller.plan.worlds import NOW, exposed, record, running

AGO = stamp(NOW - timedelta(minutes=4))
PLAN = "5/10m, 25/2m, 50"


def asked(steps: str | None = PLAN, pin: str | None = None, **kept: Any) -> Asked:
    keys = {names.STEPS: steps, names.WEIGHT: pin}
    annotations = {key: value for key, value in keys.items() if value is not None}
    noted = record(**kept)
    world = running(annotations, exposure=exposed(0), kept=noted)
    intent = parse(annotations).intent
    assert intent is not None
    return asked_of(release_of(world, NOW), noted, intent.steps)


def test_without_pin_and_steps_nobody_is_asked_for() -> None:
    assert asked(steps=None) == Asked(
        weight=0, message="set serinus.dev/weight to expose a share of everybody"
    )


@pytest.mark.parametrize("pin", ["0", "3", "100"])
def test_a_pin_overrides_the_steps(pin: str) -> None:
    assert asked(pin=pin, step=25, step_since=AGO) == Asked(
        weight=int(pin), message="serinus.dev/weight is set by hand"
    )


def test_a_pin_from_before_the_release_is_no_pin() -> None:
    assert asked(pin="70", stale_pin="70").weight == 5
    assert asked(pin="71", stale_pin="70").weight == 71


def test_the_plan_begins_with_its_first_step() -> None:
    assert asked() == Asked(weight=5, message="first step: weight 5")


def test_a_step_stands_for_its_time_and_says_until_when() -> None:
    until = stamp(NOW + timedelta(minutes=6))
    assert asked(step=5, step_since=AGO) == Asked(
        weight=5, message=f"weight 25 at {until}", left_seconds=360.0
    )


def test_the_last_step_says_when_the_promotion_is_due() -> None:
    due = stamp(NOW + timedelta(minutes=6))
    assert asked("5/10m", step=5, step_since=AGO) == Asked(
        weight=5, message=f"promotion at {due}", left_seconds=360.0
    )


def test_a_step_is_over_when_all_of_its_time_is() -> None:
    for seconds, weight in ((599.5, 5), (600.0, 25)):
        world = running({names.STEPS: PLAN}, exposure=exposed(0), kept=record(step=5))
        begun = record(step=5, step_since=stamp(NOW))
        steps = release_of(world, NOW).intent
        assert steps is not None
        later = release_of(world, NOW + timedelta(seconds=seconds))
        assert asked_of(later, begun, steps.steps).weight == weight


def test_a_step_that_had_its_time_is_followed_by_the_next() -> None:
    assert asked(step=25, step_since=AGO) == Asked(weight=50, message="next step: weight 50")


def test_a_step_without_a_time_waits_for_a_person() -> None:
    assert asked(step=50, step_since=AGO) == Asked(
        weight=50, message="waits for a person at weight 50: continue"
    )


def test_a_person_goes_on_from_the_weight_he_saw() -> None:
    waiting = "5, 25/2m"
    assert asked(waiting, step=5, step_since=AGO, go=5).weight == 25
    assert asked(waiting, step=5, step_since=AGO, go=4).weight == 5


def test_after_the_last_step_the_plan_is_done() -> None:
    done = Asked(weight=50, message="every step is done: promote", is_finished=True)
    assert asked(step=50, step_since=AGO, go=50) == done
    assert asked("5/1m, 50/2m", step=50, step_since=AGO) == done


def test_a_paused_plan_keeps_its_weight() -> None:
    assert asked(step=5, step_since=AGO, paused=True) == Asked(
        weight=5, message="paused at weight 5 by a person"
    )
    assert asked(paused=True).weight == 0


@pytest.mark.parametrize(
    ("edited", "step", "weight"),
    [
        ("10/10m, 40", 25, 25),  # it goes on from the weight that stands
        ("25/10m, 90", 25, 25),
        ("30, 90", 25, 30),  # none of the new steps was reached: the first of them
        ("5/10m", 25, 5),  # a shorter plan is the only one that goes down
    ],
)
def test_edited_steps_continue_from_the_weight_that_stands(
    edited: str, step: int, weight: int
) -> None:
    assert asked(edited, step=step, step_since=AGO).weight == weight


def test_a_step_whose_beginning_nobody_knows_advances_nothing() -> None:
    """T12: missing evidence holds."""
    unknown = asked(step=5, step_since="")
    assert (unknown.weight, unknown.left_seconds) == (5, 600.0)


def test_a_beginning_that_is_still_to_come_counts_as_now() -> None:
    future = asked(step=5, step_since=stamp(NOW + timedelta(hours=1)))
    assert (future.weight, future.left_seconds) == (5, 600.0)


@pytest.mark.parametrize(
    ("written", "kept", "weight"),
    [
        (25, {"step": 5, "step_since": stamp(NOW)}, 25),
        (25, {"step": 5, "step_since": stamp(NOW), "paused": True}, 25),
        (50, {"step": 5, "step_since": stamp(NOW)}, 5),
        (30, {"step": 5, "step_since": stamp(NOW)}, 5),
        (50, {"step": 50, "step_since": stamp(NOW)}, 50),
    ],
)
def test_a_step_that_is_written_and_not_yet_recorded_is_where_the_plan_stands(
    written: int, kept: dict[str, Any], weight: int
) -> None:
    noted = record(**kept)
    annotations = {names.STEPS: PLAN}
    world = running(annotations, exposure=exposed(written), kept=noted)
    intent = parse(annotations).intent
    assert intent is not None
    assert asked_of(release_of(world, NOW), noted, intent.steps).weight == weight


def test_a_weight_that_somebody_else_wrote_is_not_where_the_plan_stands() -> None:
    noted = record(step=5, step_since=stamp(NOW))
    world = running({names.STEPS: PLAN}, exposure=exposed(5), kept=noted)
    route = world.ingresses[1]
    key = "nginx.ingress.kubernetes.io/canary-weight"
    notes = {**route["metadata"]["annotations"], key: "25"}
    edited = {**route, "metadata": {**route["metadata"], "annotations": notes}}
    changed = replace(world, ingresses=(world.ingresses[0], edited))
    intent = parse({names.STEPS: PLAN}).intent
    assert intent is not None
    assert asked_of(release_of(changed, NOW), noted, intent.steps).weight == 5
