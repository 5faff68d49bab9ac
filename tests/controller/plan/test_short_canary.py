"""A canary that loses its pods: lowered at once, counted once, aborted at the third time."""

from dataclasses import replace
from typing import Any

from controller.api import names
from controller.api.objects import DEPLOYMENT, ENDPOINT_SLICE, INGRESS, SERVICE
from controller.plan.observed import Observed, Pool, Ref
from controller.plan.traffic.exposure import CLOSED
from tests.controller.plan.applied import CANARY
from tests.controller.plan.plans import passed
from tests.controller.plan.worlds import LONG, NAME, NAMESPACE, exposed, record, running

HALF = {names.WEIGHT: "50"}


def without_pods(**more: Any) -> Observed:
    """At weight 50, and no canary pod is ready any more."""
    standing = {"exposure": exposed(50), "kept": record(step=50), **more}
    return replace(running(HALF, pods=2, **standing), canary=Pool(history=((LONG, 0),)))


def test_without_a_ready_pod_everything_is_closed_and_the_fall_is_counted() -> None:
    done = passed(without_pods())
    assert done.exposure == CLOSED
    assert done.record is not None
    assert (done.record.falls, done.record.short) == (1, True)
    assert done.reason == "CanaryShort"


def test_a_fall_whose_count_was_lost_is_counted_in_the_next_pass() -> None:
    done = passed(without_pods(exposure=CLOSED))
    assert done.record is not None
    assert (done.record.falls, done.record.short) == (1, True)


def test_a_canary_made_smaller_since_it_was_closed_did_not_fall() -> None:
    done = passed(running(HALF, pods=1, exposure=CLOSED, kept=record(step=50)))
    assert done.record is not None
    assert (done.record.falls, done.record.short) == (0, False)
    short = passed(running(HALF, pods=2, exposure=CLOSED, kept=record(step=50)))
    assert short.record is not None
    assert short.record.falls == 0


def test_a_fall_that_is_counted_is_not_counted_again() -> None:
    done = passed(without_pods(exposure=CLOSED, kept=record(step=50, falls=1, short=True)))
    assert done.record is not None
    assert (done.record.falls, done.record.short) == (1, True)


def test_the_third_fall_aborts_also_when_its_outcome_was_lost() -> None:
    done = passed(without_pods(exposure=CLOSED, kept=record(step=50, falls=2)))
    assert done.status.outcome is not None
    assert done.status.outcome.result == "aborted"
    assert done.status.rejected is not None


def test_the_third_fall_is_read_afresh_for_a_late_watch_must_not_end_a_release() -> None:
    third, second = (passed(without_pods(kept=record(step=50, falls=it))) for it in (2, 1))
    for kind, name in ((INGRESS, CANARY), (SERVICE, NAME)):
        (write,) = third.on(kind, name)
        assert write.confirm == frozenset(
            {
                Ref(kind=ENDPOINT_SLICE, namespace=NAMESPACE, name=CANARY),
                Ref(kind=DEPLOYMENT, namespace=NAMESPACE, name=CANARY),
            }
        )
        (write,) = second.on(kind, name)
        assert write.confirm == frozenset()


def test_a_canary_whose_replica_set_is_not_seen_is_lowered_but_did_not_fall() -> None:
    done = passed(replace(without_pods(kept=record(step=50, falls=2)), replica_sets=()))
    assert done.exposure == CLOSED
    assert done.reason == "CanaryShort"
    assert done.status.outcome is None
    assert done.record is not None
    assert (done.record.falls, done.record.short) == (2, False)


def test_a_weight_lowered_by_hand_is_no_fall() -> None:
    world = running({names.WEIGHT: "10"}, pods=2, exposure=exposed(10), kept=record(step=50))
    done = passed(world)
    assert done.record is not None
    assert (done.record.falls, done.record.step) == (0, 10)
