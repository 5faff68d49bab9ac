"""The fence between whoever removes canary pods and whoever raises (safety.md section 4, T10)."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from controller.api import names
from controller.api.objects import DEPLOYMENT, INGRESS
from controller.plan.observed import Observed
from controller.plan.record import Record
from controller.plan.traffic.exposure import CLOSED, Exposure
from controller.plan.writes import Merge
from tests.controller.plan.applied import CANARY, annotated, put, settled, without
from tests.controller.plan.plans import passed
from tests.controller.plan.test_any_order import sets_image
from tests.controller.plan.worlds import (
    LONG,
    LONG_AGO,
    NAME,
    NAMESPACE,
    NOW,
    exposed,
    ingress,
    record,
    route,
    running,
    seen_for,
)


def announcing(text: str | None, exposure: Exposure, **more: Any) -> dict[str, Any]:
    return annotated(route(exposure, **more), {names.SHRINK: text})


def release(
    *,
    weight: int,
    at: int,
    pods: int,
    announced: str | None = None,
    over: int = 0,
    since: datetime = LONG_AGO,
) -> Observed:
    """A release of stable size 4 whose user asks for a weight while the Ingress says another."""
    exposure, kept = exposed(at), record(step=at, shrinks=over)
    world = running({names.WEIGHT: str(weight)}, exposure=exposure, pods=pods, kept=kept)
    return put(world, INGRESS, announcing(announced, exposure, at=since))


def announcement(number: str) -> Merge:
    return Merge(
        kind=INGRESS,
        namespace=NAMESPACE,
        name=CANARY,
        patch={"metadata": {"resourceVersion": "100", "annotations": {names.SHRINK: number}}},
        why="announced that canary pods go",
    )


def shrunk(kept: Record, replicas: int) -> dict[str, Any]:
    notes = {names.RELEASE: kept.written()}
    meta = {"resourceVersion": "100", "annotations": notes}
    return {"metadata": meta, "spec": {"replicas": replicas}}


@pytest.mark.parametrize(
    ("announced", "over", "number"),
    [
        (None, 0, "0"),
        ("2", 3, "3"),  # that removal is over
        ("", 0, "0"),
        ("-1", 0, "0"),
        ("soon", 0, "0"),
        ("1234567890", 0, "0"),
        ("\N{ARABIC-INDIC DIGIT TWO}", 0, "0"),
    ],
)
def test_pods_go_only_after_the_ingress_says_so_in_the_version_that_was_seen(
    announced: str | None, over: int, number: str
) -> None:
    done = passed(release(weight=10, at=10, pods=4, announced=announced, over=over))
    assert done.on(INGRESS, CANARY) == [announcement(number)]
    assert done.does == [f"merge Ingress {CANARY}"]
    assert done.exposure == exposed(10)


@pytest.mark.parametrize(
    ("announced", "over", "next_one"),
    [("0", 0, 1), ("3", 3, 4), ("5", 3, 6), ("999999999", 0, 10**9)],
)
def test_then_they_go_and_the_announcement_is_over(
    announced: str, over: int, next_one: int
) -> None:
    done = passed(release(weight=10, at=10, pods=4, announced=announced, over=over))
    (write,) = done.on(DEPLOYMENT, CANARY)
    assert isinstance(write, Merge)
    assert write.patch == shrunk(record(step=10, shrinks=next_one), 2)
    assert done.does == [f"merge Deployment {CANARY}"]


def test_every_ingress_has_to_say_so() -> None:
    world = release(weight=10, at=10, pods=4, announced="0")
    world = put(world, INGRESS, ingress("web"))
    silent = route(exposed(10), main="web")
    world = replace(put(world, INGRESS, silent), seen={**world.seen, **seen_for(LONG, silent)})
    assert passed(world).does == [f"merge Ingress {NAME}-web-canary"]


def test_without_any_ingress_there_is_nobody_to_tell() -> None:
    """The canary is made smaller while it starts."""
    done = passed(without(running({}, pods=4, kept=record()), INGRESS, CANARY))
    (write,) = done.on(DEPLOYMENT, CANARY)
    assert isinstance(write, Merge)
    assert write.patch["spec"] == {"replicas": 1}


def test_a_record_that_is_still_to_be_written_is_written_before() -> None:
    kept = record(step=10, stale_pin="7")  # gone by now
    done = passed(running({names.WEIGHT: "10"}, pods=4, kept=kept))
    assert done.on(INGRESS, CANARY) == []
    assert done.record == record(step=10)


def test_nothing_is_raised_while_pods_may_be_going() -> None:
    done = passed(release(weight=50, at=10, pods=2, announced="0"))
    assert done.on(INGRESS, CANARY) == []
    assert done.reason == "CanaryShrinking"
    assert done.status.message == (
        "canary pods are about to be removed: that is done, or called off, first"
    )


def test_whoever_wants_to_raise_calls_it_off_first_on_the_object_that_the_removal_rests_on() -> (
    None
):
    done = passed(release(weight=50, at=10, pods=2, announced="0"))
    (write,) = done.on(DEPLOYMENT, CANARY)
    assert isinstance(write, Merge)
    assert write.patch == {
        "metadata": {
            "resourceVersion": "100",
            "annotations": {names.RELEASE: record(step=10, shrinks=1).written()},
        }
    }


def test_pods_that_come_for_a_raise_call_it_off_by_the_way() -> None:
    done = passed(release(weight=75, at=10, pods=2, announced="4", over=2))
    (write,) = done.on(DEPLOYMENT, CANARY)
    assert isinstance(write, Merge)
    assert write.patch == shrunk(record(step=10, shrinks=5), 3)


def test_after_that_it_is_raised_and_the_old_announcement_stays_unheard() -> None:
    done = passed(release(weight=50, at=10, pods=2, announced="0", over=1))
    (write,) = done.on(INGRESS, CANARY)
    assert isinstance(write, Merge)
    assert set(write.patch["metadata"]["annotations"]) == {
        "nginx.ingress.kubernetes.io/canary-weight",
        names.CHANGED,
    }
    assert done.exposure == exposed(50)


def test_an_announcement_is_heard_on_whichever_ingress_it_stands() -> None:
    """Whoever announces may have come no further than to the first of them."""
    world = release(weight=50, at=10, pods=2)
    world = put(world, INGRESS, ingress("web"))
    done = passed(put(world, INGRESS, announcing("0", exposed(10), main="web")))
    assert done.does == [f"merge Deployment {CANARY}"]
    assert done.record == record(step=10, shrinks=1)


def test_an_announcement_holds_up_nothing_but_a_raise() -> None:
    done = passed(release(weight=0, at=10, pods=2, announced="0"))
    assert done.exposure == CLOSED
    assert done.record == record(step=10)


def test_a_raise_goes_before_a_removal_for_somebody_waits_for_it() -> None:
    done = passed(release(weight=25, at=10, pods=4))
    assert done.does == [f"merge Ingress {CANARY}"]
    assert done.exposure == exposed(25)


def test_a_raise_that_is_held_back_holds_no_removal_up() -> None:
    world = release(weight=25, at=10, pods=4)
    done = passed(put(world, INGRESS, ingress(ssl_passthrough="true")))
    assert done.on(INGRESS, CANARY) == [announcement("0")]


def test_a_removal_that_was_announced_goes_before_a_raise_that_fewer_pods_carry() -> None:
    done = passed(release(weight=25, at=10, pods=4, announced="0"))
    (write,) = done.on(DEPLOYMENT, CANARY)
    assert isinstance(write, Merge)
    assert write.patch == shrunk(record(step=10, shrinks=1), 2)
    assert done.exposure == exposed(10)


def test_a_removal_that_has_to_wait_again_is_called_off_for_a_raise() -> None:
    """Somebody lowered after it was announced: the raise does not wait for that to drain."""
    world = release(weight=25, at=10, pods=4, announced="0", since=NOW - timedelta(seconds=20))
    done = passed(world)
    assert done.does == [f"merge Deployment {CANARY}"]
    assert done.record == record(step=10, shrinks=1)
    assert done.plan.wake_seconds is not None


def superseded(announced: str | None, over: int, exposure: Exposure) -> Observed:
    kept = record(step=exposure.weight, shrinks=over)
    world = running({}, exposure=exposure, kept=kept)
    world = put(world, INGRESS, announcing(announced, exposure))
    return sets_image("v3", generation=3)(world)


def test_the_record_of_a_newer_template_counts_on() -> None:
    done = passed(superseded("4", 2, exposed(10)))
    assert done.record is not None
    assert (done.record.revision != record().revision, done.record.shrinks) == (True, 5)


def test_a_newer_template_is_announced_like_fewer_pods() -> None:
    once = passed(superseded(None, 2, CLOSED), NOW)
    later = passed(settled(once.after), NOW + timedelta(minutes=1))
    assert once.on(INGRESS, CANARY) == []
    assert [write.why for write in later.on(INGRESS, CANARY)] == ["announced that canary pods go"]
    assert later.on(DEPLOYMENT, CANARY) == []
    last = passed(later.after, NOW + timedelta(minutes=2))
    assert [write.why for write in last.on(DEPLOYMENT, CANARY)] == [
        "replaced the canary's template"
    ]
    assert last.record is not None
    assert last.record.shrinks == 3
