"""`Starting` and `Canary` (safety.md section 4): pods, doors, the plan, and a short canary."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from controller.api import names
from controller.api.intent import Intent
from controller.api.objects import DEPLOYMENT, ENDPOINT_SLICE, INGRESS, SERVICE, stamp
from controller.plan.observed import Observed, Pool, Ref
from controller.plan.record import Record, record_of
from controller.plan.start import rules_of
from controller.plan.traffic.exposure import CLOSED, Exposure
from controller.plan.writes import Create, Merge
from tests.controller.plan.applied import CANARY, annotated, changed, object_in, put, without
from tests.controller.plan.plans import Pass, passed
from tests.controller.plan.worlds import (
    LONG,
    NAME,
    NAMESPACE,
    NOW,
    V1,
    V2,
    canary,
    exposed,
    ingress,
    pending,
    pending_deployment,
    pool,
    record,
    route,
    running,
    seen_for,
    service,
)

ALICE = {names.HEADER: "X-Account", names.HEADER_VALUES: "alice"}
PLAN = {names.STEPS: "10/10m, 25"}


def record_in(done: Pass) -> Record:
    assert done.record is not None
    return done.record


# U1: the canary Deployment and its Service.


def test_a_release_begins_with_pods_that_nobody_is_routed_to() -> None:
    done = passed(pending(ALICE))
    assert done.does == [f"create Deployment {CANARY}", f"create Service {CANARY}"]
    (write,) = done.on(DEPLOYMENT, CANARY)
    assert isinstance(write, Create)
    assert write.obj["spec"]["replicas"] == 1  # only accounts will reach it
    assert record_of(write.obj) == Record(
        revision=V2, generation=2, stable=V1, replicas=4, since=stamp(NOW)
    )
    # An old Service hides that this revision was aborted.
    assert write.confirm == {
        Ref(kind=kind, namespace=NAMESPACE, name=NAME) for kind in (DEPLOYMENT, SERVICE)
    }
    assert done.told[-1:] == ["CanaryStarted"]
    assert done.status.message == f"starting revision {V2} beside {V1}"


@pytest.mark.parametrize(
    ("annotations", "pods"),
    [
        ({names.STEPS: "60"}, 3),
        ({names.STEPS: "1, 100"}, 2),
        ({names.REPLICAS: "3"}, 3),
        ({names.REPLICAS: "25%"}, 1),
        ({names.HEADER: "X-Account", names.HEADER_SUFFIXES: "0-9"}, 4),
    ],
)
def test_it_begins_with_the_pods_of_its_first_exposure(
    annotations: dict[str, str], pods: int
) -> None:
    done = passed(pending(annotations))
    found = object_in(done.after, DEPLOYMENT, CANARY)
    assert found is not None
    assert found["spec"]["replicas"] == pods


def test_a_weight_that_stood_before_is_taken_away_once() -> None:
    first = passed(pending({names.WEIGHT: "70"}))
    assert record_in(first).stale_pin == "70"
    second = passed(first.after)
    assert second.annotations == {}
    assert "WeightRemoved" in second.told
    third = passed(second.after)
    assert record_in(third).stale_pin is None
    again = put(third.after, SERVICE, annotated(third.after.service or {}, {names.WEIGHT: "70"}))
    assert passed(again).annotations == {names.WEIGHT: "70"}


def test_a_left_over_route_is_closed_before_the_canary_begins() -> None:
    world = put(pending(), INGRESS, route(exposed(5)))
    first = passed(world)
    assert first.does == [f"merge Ingress {CANARY}"]
    fresh = passed(first.after)
    assert (fresh.does, fresh.reason) == ([], "WaitingForProxy")
    settled = replace(world, seen=seen_for(LONG, route(CLOSED)))
    done = passed(put(settled, INGRESS, route(CLOSED)))
    assert done.does == [f"create Deployment {CANARY}", f"create Service {CANARY}"]


def test_a_refusal_creates_no_canary_also_where_something_is_left_over() -> None:
    left_over = put(pending(), SERVICE, running().services[1])
    done = passed(put(left_over, INGRESS, ingress(affinity="cookie")))
    assert (done.plan.stage, done.does) == ("Starting", [])
    assert done.reason == "AffinityOnMain"


# U2: the route, once the pods are ready.


def starting(annotations: dict[str, str] | None = None, **more: Any) -> Observed:
    """Canary pods are ready and known; no route was made yet."""
    kept = more.pop("kept", record())
    world = running(annotations, **{"pods": 1, "kept": kept, "exposure": CLOSED, **more})
    return without(world, INGRESS, CANARY)


def test_the_route_comes_closed_after_the_pods_are_known() -> None:
    done = passed(starting(ALICE))
    assert done.does == [f"create Ingress {CANARY}"]
    assert done.exposure == CLOSED
    assert done.status.message == "creating the canary Ingress, closed"


@pytest.mark.parametrize(("age", "made"), [(9.0, False), (10.0, True)])
def test_pods_have_to_be_known_to_the_proxy_first(age: float, made: bool) -> None:
    done = passed(replace(starting(), canary=pool(canary()[1].name, 1, age=age)))
    assert bool(done.does) is made
    assert made or done.plan.wake_seconds == 1.0


def test_pods_are_waited_for_until_the_deadline() -> None:
    kept = record(since=stamp(NOW - timedelta(seconds=100)))
    done = passed(replace(starting(kept=kept), canary=Pool()))
    assert (done.does, done.reason) == ([], "WaitingForPods")
    assert done.status.message == "0 of 1 canary pods are ready"
    assert done.plan.wake_seconds == 500.0  # progressDeadlineSeconds


@pytest.mark.parametrize(
    ("annotations", "own", "seconds"),
    [({}, 600, 600), ({}, 90, 90), ({}, None, 600), ({names.READY_DEADLINE: "2m"}, 600, 120)],
)
def test_pods_that_are_late_abort_the_release(
    annotations: dict[str, str], own: int | None, seconds: int
) -> None:
    def after(elapsed: int) -> Pass:
        kept = record(since=stamp(NOW - timedelta(seconds=elapsed)))
        world = replace(starting(annotations, kept=kept), canary=Pool())
        stable = changed(pending_deployment(), spec={"progressDeadlineSeconds": own})
        return passed(put(world, DEPLOYMENT, stable))

    assert after(seconds - 1).status.rejected is None
    late = after(seconds)
    assert late.plan.stage == "Starting"
    assert late.status.rejected is not None
    assert late.status.rejected.why == "only 0 canary pods became ready before the ready-deadline"
    assert "Aborted" in late.told
    # A watch that lags must not end a release.
    (telling,) = late.on(SERVICE, NAME)
    assert telling.confirm == {
        Ref(kind=kind, namespace=NAMESPACE, name=CANARY) for kind in (DEPLOYMENT, ENDPOINT_SLICE)
    }
    (telling,) = after(seconds - 1).on(SERVICE, NAME)
    assert telling.confirm == frozenset()


def test_where_sessions_stick_the_ingress_goes_with_pods_that_are_late_on_the_same_reads() -> None:
    kept = record(since=stamp(NOW - timedelta(seconds=600)))
    world = running({names.ACCEPT: "affinity"}, exposure=CLOSED, kept=kept, pods=0)
    (write,) = passed(put(world, INGRESS, ingress(affinity="cookie"))).on(INGRESS, CANARY)
    assert {(str(ref.kind), ref.name) for ref in write.confirm} == {
        ("Deployment", CANARY),
        ("EndpointSlice", CANARY),
        ("Ingress", CANARY),
    }


def test_pods_that_are_ready_are_not_late_because_we_have_just_begun_to_look() -> None:
    """A controller that was down past the deadline finds a healthy canary."""
    done = passed(replace(starting(), canary=pool(canary()[1].name, 1, age=0.0)))
    assert done.status.rejected is None
    assert done.reason == "WaitingForProxy"


def test_an_invalid_configuration_has_the_deployments_deadline() -> None:
    kept = record(since=stamp(NOW - timedelta(seconds=599)))
    world = replace(starting(kept=kept), canary=Pool())
    done = passed(put(world, SERVICE, service({names.WEIGHT: "x"})))
    assert done.plan.wake_seconds == 1.0


def test_an_approval_in_starting_makes_the_canary_grow_to_full_size() -> None:
    done = passed(starting(kept=record(approval=V2)))
    found = object_in(done.after, DEPLOYMENT, CANARY)
    assert found is not None
    assert found["spec"]["replicas"] == 4


# U3: the doors.


def closed(annotations: dict[str, str], *, ago: float = LONG, seen: float = LONG) -> Observed:
    path = route(CLOSED, at=NOW - timedelta(seconds=ago))
    world = put(running(annotations, kept=record(), exposure=CLOSED), INGRESS, path)
    return replace(world, seen=seen_for(seen, path))


@pytest.mark.parametrize(("ago", "seen", "left"), [(4, LONG, 7.0), (LONG, 4, 6.0)])
def test_the_closed_route_has_to_be_known_before_it_opens(
    ago: float, seen: float, left: float
) -> None:
    done = passed(closed(ALICE, ago=ago, seen=seen))
    assert (done.does, done.reason) == ([], "WaitingForProxy")
    assert done.plan.wake_seconds == left


def test_a_step_that_ends_while_the_gates_hold_is_looked_at_when_it_ends() -> None:
    kept = record(step=10, step_since=stamp(NOW - timedelta(seconds=20)))
    steps = {names.STEPS: "10/1m, 50"}
    world = without(running(steps, exposure=exposed(10), kept=kept), INGRESS, NAME)
    done = passed(put(world, INGRESS, route(CLOSED)))
    assert done.reason == "IngressWithoutService"
    assert done.plan.wake_seconds == 40.0


def test_rules_and_weight_of_the_first_step_come_in_one_patch() -> None:
    done = passed(closed({**ALICE, **PLAN}))
    assert done.does == [f"merge Ingress {CANARY}"]
    assert done.exposure == exposed(10, frozenset({"alice"}))
    assert done.plan.stage == "Starting"
    (write,) = done.on(INGRESS, CANARY)
    assert isinstance(write, Merge)
    assert {ref.kind for ref in write.confirm} == {DEPLOYMENT, ENDPOINT_SLICE, SERVICE}


def test_a_release_with_nothing_to_open_starts_all_the_same() -> None:
    done = passed(running(kept=record(), exposure=CLOSED, pods=1))
    assert (record_in(done).step, record_in(done).step_since) == (0, stamp(NOW))
    assert done.exposure == CLOSED


# Canary: the plan.


def at_step(weight: int, ago: timedelta, annotations: dict[str, str], **more: Any) -> Observed:
    kept = record(step=weight, step_since=stamp(NOW - ago))
    return running(annotations, exposure=exposed(weight), kept=kept, **more)


def test_a_step_that_was_reached_is_noted_with_its_time() -> None:
    world = running(PLAN, exposure=exposed(10), kept=record(step=0))
    done = passed(world)
    assert (record_in(done).step, record_in(done).step_since) == (10, stamp(NOW))


def test_a_step_whose_time_was_lost_begins_anew() -> None:
    kept = record(step=10, step_since="")
    done = passed(running(PLAN, exposure=exposed(10), kept=kept))
    assert done.exposure == exposed(10)
    assert record_in(done).step_since == stamp(NOW)


def test_the_plan_goes_on_by_itself() -> None:
    done = passed(at_step(10, timedelta(minutes=10), PLAN))
    assert done.exposure == exposed(25)


def test_a_step_is_looked_at_when_its_time_is_over_whatever_holds_the_doors_meanwhile() -> None:
    standing = at_step(10, timedelta(minutes=4), PLAN)
    with_alice = at_step(10, timedelta(minutes=4), {**PLAN, **ALICE})
    not_held = put(with_alice, DEPLOYMENT, pending_deployment(held=False))
    without_a_main = without(standing, INGRESS, NAME)
    refused = put(standing, INGRESS, ingress(affinity="cookie"))
    for world in (standing, not_held, without_a_main, refused):
        assert passed(world).plan.wake_seconds == 360.0


def test_a_finished_plan_waits_for_a_person_or_promotes_itself() -> None:
    timed = {names.STEPS: "10/10m"}
    by_hand = passed(at_step(10, timedelta(minutes=11), timed))
    assert record_in(by_hand).approval == ""
    assert by_hand.status.message.endswith("every step is done: promote")
    itself = passed(at_step(10, timedelta(minutes=11), {**timed, names.PROMOTION: "auto"}))
    assert (record_in(itself).approval, record_in(itself).approved_by) == (V2, "the plan")


def test_a_finished_plan_is_approved_once() -> None:
    timed = {names.STEPS: "10/10m", names.PROMOTION: "auto"}
    kept = record(step=10, approval=V2, approved_by="the plan")
    done = passed(running(timed, exposure=exposed(10), kept=kept))
    assert done.plan.stage == "Promoting"
    assert "PromotionApproved" not in done.told


@pytest.mark.parametrize(
    ("weight", "after"), [("5", exposed(5)), ("30", exposed(10)), ("0", CLOSED), ("x", exposed(10))]
)
def test_of_an_invalid_configuration_only_a_lower_weight_is_obeyed(
    weight: str, after: Exposure
) -> None:
    world = running({names.WEIGHT: "10"}, kept=record(step=10))
    bad = {names.WEIGHT: weight, "serinus.dev/tpyo": "x"}
    done = passed(put(world, SERVICE, service(bad)))
    assert done.exposure == after
    assert done.reason == "InvalidConfiguration"


def test_the_size_of_a_stable_that_grew_is_noted_when_the_canary_carries_its_share() -> None:
    world = running({names.WEIGHT: "10"}, kept=record(step=10))
    grown = put(world, DEPLOYMENT, changed(pending_deployment(), spec={"replicas": 8}))
    assert record_in(passed(grown)).replicas == 8


def test_a_refusal_in_mid_canary_is_told_and_the_weight_stays() -> None:
    world = running({names.WEIGHT: "10"}, kept=record(step=10))
    done = passed(put(world, INGRESS, ingress(affinity="cookie")))
    assert (done.exposure, done.reason) == (exposed(10), "AffinityOnMain")


# A short canary.


def short(ready: int, ago: float, *, at: int = 75, **kept: Any) -> Observed:
    """Three pods are needed, and so many are ready for a while."""
    history = ((ago, ready), (LONG, 3))
    name = canary()[1].name
    world = running(
        {names.WEIGHT: str(at)}, exposure=exposed(at), pods=3, kept=record(step=at, **kept)
    )
    return replace(world, canary=replace(pool(name, ready), history=history))


def test_without_any_ready_pod_everything_is_closed_at_once() -> None:
    done = passed(short(0, 0.0))
    assert done.exposure == CLOSED
    assert (record_in(done).falls, record_in(done).short) == (1, True)
    assert "CanaryShort" in done.told
    assert done.reason == "CanaryShort"


@pytest.mark.parametrize(("ago", "after"), [(9.0, exposed(75)), (10.0, exposed(50))])
def test_a_canary_that_is_short_for_ten_seconds_keeps_what_it_carries(
    ago: float, after: Exposure
) -> None:
    done = passed(short(2, ago))
    assert done.exposure == after


def test_a_fall_is_counted_once_while_it_lasts() -> None:
    done = passed(short(2, 20.0, falls=1, short=True))
    assert record_in(done).falls == 1
    assert done.exposure == exposed(50)


def test_the_third_fall_aborts() -> None:
    done = passed(short(2, 20.0, falls=2))
    assert done.exposure == CLOSED
    assert done.status.rejected is not None
    assert done.status.rejected.why == "the canary was short of pods 3 times"


def test_a_fall_is_over_once_the_weight_is_back() -> None:
    kept = record(step=10, falls=1, short=True)
    done = passed(running({names.WEIGHT: "10"}, kept=kept))
    assert (record_in(done).falls, record_in(done).short) == (1, False)


def test_an_abort_needs_nothing_of_the_world_but_its_ingress() -> None:
    """Rule 3: no gate before an abort."""
    world = running({names.WEIGHT: "10", names.ACTION: "abort"}, kept=record(step=10))
    bare = replace(world, canary=Pool(), stable=Pool(), seen={}, hold=None, replica_sets=())
    assert passed(bare).exposure == CLOSED


def test_a_header_alone_opens_nothing() -> None:
    assert rules_of(Intent(header="X-Account"), 0) == CLOSED
