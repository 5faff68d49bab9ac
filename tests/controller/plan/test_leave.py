"""Un-enrolling: exposure, pods, our words on the Service, and last our labels on the Deployment."""

from dataclasses import replace
from typing import Any

import pytest

from controller.api import names
from controller.api.objects import DEPLOYMENT, INGRESS, SERVICE, is_paused, labels_of
from controller.plan.observed import Observed, Pool, Ref
from controller.plan.traffic.exposure import CLOSED, Exposure
from controller.plan.writes import Edit
from tests.controller.plan.applied import (
    CANARY,
    changed,
    labelled,
    object_in,
    put,
    settled,
    without,
)
from tests.controller.plan.plans import Pass, passed
from tests.controller.plan.worlds import (
    EVERYBODY,
    LONG,
    NAME,
    NAMESPACE,
    NOW,
    V1,
    V2,
    deployment,
    exposed,
    idle,
    pending,
    pending_deployment,
    pool,
    record,
    rolled,
    rolling,
    route,
    running,
    seen_for,
)


def left(world: Observed) -> Observed:
    """The label was taken off the Service."""
    return put(world, SERVICE, labelled(world.service or {}, {names.CANARY: None}))


def gone(world: Observed) -> Observed:
    """The Service has been missing for half a minute."""
    return replace(without(world, SERVICE, NAME), service_missing_seconds=30.0)


def let_go(done: Pass) -> bool:
    return names.HELD not in labels_of(object_in(done.after, DEPLOYMENT, NAME) or {})


def stays_paused(done: Pass) -> bool:
    return is_paused(object_in(done.after, DEPLOYMENT, NAME) or {})


def conditioned(world: Observed, *types: str) -> Observed:
    entries = [{"type": kind, "status": "True", "reason": "X"} for kind in types]
    service = changed(world.service or {}, status={"conditions": entries})
    return put(world, SERVICE, service)


@pytest.mark.parametrize("leaving", [left, gone])
def test_takes_all_traffic_off_the_canary_first(leaving: Any) -> None:
    done = passed(leaving(running({names.WEIGHT: "10"})))
    assert done.exposure == CLOSED
    assert done.does == [f"merge Ingress {CANARY}"]


@pytest.mark.parametrize("leaving", [left, gone])
def test_lets_requests_drain_before_anything_is_deleted(leaving: Any) -> None:
    path = route(CLOSED, at=NOW)
    world = replace(running(exposure=CLOSED, at=NOW), seen=seen_for(0.0, path))
    done = passed(leaving(world))
    assert done.does == [f"merge Deployment {CANARY}"]  # the time is copied while it runs
    assert done.plan.wake_seconds == 41.0


@pytest.mark.parametrize("leaving", [left, gone])
def test_keeps_the_time_and_then_deletes(leaving: Any) -> None:
    done = passed(leaving(running(exposure=CLOSED)))
    assert done.does == [f"merge Deployment {CANARY}"]
    assert passed(done.after).does == []  # the copy has not been seen for as long yet
    assert passed(settled(done.after)).does == [f"delete Ingress {CANARY}"]


@pytest.mark.parametrize("leaving", [left, gone])
@pytest.mark.parametrize(
    "world",
    [running({names.WEIGHT: "10"}), running(exposure=CLOSED), rolled(), idle({names.STATUS: "{}"})],
)
def test_everything_rests_on_a_fresh_read_of_the_service(leaving: Any, world: Observed) -> None:
    afresh = Ref(kind=SERVICE, namespace=NAMESPACE, name=NAME)
    writes = passed(leaving(world)).plan.writes
    assert [write for write in writes if afresh not in write.confirm] == []
    assert writes != ()


def test_what_is_deleted_is_read_afresh_as_well() -> None:
    done = passed(passed(left(running(exposure=CLOSED))).after)
    (write,) = passed(settled(done.after)).plan.writes
    assert write.confirm == {
        Ref(kind=SERVICE, namespace=NAMESPACE, name=NAME),
        Ref(kind=INGRESS, namespace=NAMESPACE, name=CANARY),
    }


def test_a_service_that_is_missing_for_a_moment_changes_nothing() -> None:
    world = replace(gone(running({names.WEIGHT: "10"})), service_missing_seconds=29.9)
    assert passed(world).plan.writes == ()


@pytest.mark.parametrize("types", [(), (names.READY,), (names.READY, "example.com/Theirs")])
def test_takes_its_words_off_the_service_and_keeps_those_of_others(types: tuple[str, ...]) -> None:
    world = conditioned(left(idle({names.STATUS: "{}", names.WEIGHT: "5"})), *types)
    done = passed(world)
    service = done.after.service or {}
    assert service["metadata"]["annotations"] == {names.WEIGHT: "5"}
    kept = [{"type": kind, "status": "True", "reason": "X"} for kind in types[1:]]
    assert service["status"].get("conditions", []) == kept
    assert done.told == ["Left"]
    assert not let_go(done)  # its label finds the Service again


def test_a_status_without_conditions_is_a_trace_too() -> None:
    done = passed(left(idle({names.STATUS: "{}"})))
    service = done.after.service or {}
    assert service["metadata"]["annotations"] == {}
    assert service["status"] == {"loadBalancer": {}}


def test_a_condition_of_ours_alone_is_a_trace_too() -> None:
    done = passed(conditioned(left(idle()), names.READY))
    assert "conditions" not in (done.after.service or {})["status"]


def test_lets_the_deployment_go_last() -> None:
    done = passed(left(idle()))
    assert let_go(done)
    (write,) = done.on(DEPLOYMENT, NAME)
    assert isinstance(write, Edit)
    assert write.operations[0]["path"] == "/metadata/uid"
    assert passed(done.after).plan.writes == ()


def test_lets_the_deployment_of_a_service_that_is_gone_go() -> None:
    assert let_go(passed(gone(idle())))


def test_takes_the_pause_of_its_own_hold_off() -> None:
    done = passed(left(idle(deployments=(deployment(paused=True),), hold="pause")))
    assert let_go(done)
    assert not stays_paused(done)


@pytest.mark.parametrize("hold", ["admission", "pause"])
def test_a_pending_template_stays_held_back_with_both_ways_out_told(hold: Any) -> None:
    done = passed(left(pending(hold=hold)))
    assert let_go(done)
    assert stays_paused(done)
    (event,) = done.events
    assert event.reason == "LeftPending"
    assert event.on is not None
    assert event.on.name == NAME
    assert "kubectl rollout resume deployment myapp" in event.message
    assert "put the old template back" in event.message


def test_a_request_to_promote_goes_with_the_hold() -> None:
    asked = labelled(pending_deployment(), {names.RESUME: "2"})
    done = passed(left(pending(deployments=(asked,))))
    labels = labels_of(object_in(done.after, DEPLOYMENT, NAME) or {})
    assert labels == {"app": "myapp"}


def test_waits_to_know_whose_the_pause_is() -> None:
    assert passed(left(idle(hold=None))).plan.writes == ()


def test_what_was_never_held_is_never_written() -> None:
    assert passed(left(idle(deployments=(deployment(held=False),)))).plan.writes == ()
    assert passed(left(idle(deployments=()))).plan.writes == ()


@pytest.mark.parametrize("leaving", [left, gone])
def test_a_promotion_that_rolls_is_finished_first(leaving: Any) -> None:
    assert passed(leaving(rolling())).exposure == EVERYBODY
    assert passed(leaving(rolled())).exposure == CLOSED
    over = passed(leaving(rolled(exposure=CLOSED)))
    assert over.does == [f"merge Deployment {CANARY}"]


def test_the_hold_is_not_taken_again_on_the_way_out() -> None:
    free = deployment("v2", generation=3, held=False)
    done = passed(left(rolled(stable=free, hold="pause")))
    assert not stays_paused(done)
    assert let_go(done)


@pytest.mark.parametrize(("age", "found"), [(LONG, CLOSED), (9.0, EVERYBODY)])
def test_the_old_template_back_in_a_roll_gets_its_traffic_once_the_proxy_knows_its_pods(
    age: float, found: Exposure
) -> None:
    kept = record(step=10, approval=V2, approved_by="action")
    world = running(kept=kept, exposure=EVERYBODY, pods=4, stable=pool(f"{NAME}-{V1}", 4, age=age))
    back = put(world, DEPLOYMENT, deployment("v1", generation=4))
    assert passed(left(back)).exposure == found


def test_the_old_template_back_in_a_roll_gets_as_much_traffic_as_its_pods_carry() -> None:
    kept = record(step=10, approval=V2, approved_by="action")
    world = running(kept=kept, exposure=EVERYBODY, pods=4)
    back = put(world, DEPLOYMENT, deployment("v1", generation=4))
    half = replace(back, stable=replace(back.stable, endpoints=back.stable.endpoints[:2]))
    assert passed(left(half)).exposure == exposed(38)


def test_a_promotion_that_does_not_roll_yet_ends_at_once() -> None:
    kept = record(step=10, approval=V2, approved_by="action")
    done = passed(left(running(kept=kept, exposure=exposed(100), pods=4)))
    assert done.exposure == CLOSED
    assert stays_paused(done)


def test_a_roll_without_its_deployment_just_ends() -> None:
    world = left(rolling())
    done = passed(without(world, DEPLOYMENT, NAME))
    assert done.exposure == CLOSED


def test_nobody_is_told_of_a_stage_any_more() -> None:
    done = passed(left(replace(running({names.WEIGHT: "5"}), stable=Pool())))
    assert done.plan.stage is None
    assert names.STATUS not in (done.after.service or {})["metadata"]["annotations"]
