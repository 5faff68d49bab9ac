"""`RollingBack` and `Aborted`: exposure 0 first, then drain, then pods (safety.md section 4)."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from controller.api import names
from controller.api.objects import DEPLOYMENT, INGRESS, SERVICE, stamp, template_of
from controller.plan.observed import Observed, Ref
from controller.plan.traffic.exposure import CLOSED
from controller.plan.traffic.nginx import changed_text
from controller.plan.writes import Edit, Event, Merge
from tests.controller.plan.applied import (
    CANARY,
    annotated,
    apply,
    changed,
    object_in,
    put,
    settled,
    without,
)
from tests.controller.plan.plans import Pass, passed
from tests.controller.plan.worlds import (
    LONG,
    NAME,
    NAMESPACE,
    NOW,
    V2,
    V3,
    canary,
    deployment,
    exposed,
    ingress,
    pending,
    pending_deployment,
    record,
    rolling,
    route,
    running,
    seen_for,
    status,
    uid,
)

KEPT = record(step=10)
TEN = {names.WEIGHT: "10"}
CLOSE = f"merge Ingress {CANARY}"
BOTH = {Ref(kind=DEPLOYMENT, namespace=NAMESPACE, name=name) for name in (NAME, CANARY)}


def remembering(world: Observed, **values: Any) -> Observed:
    return put(world, SERVICE, annotated(world.service or {}, status(**values)))


LET_GO = record(step=0, approval=V2, approved_by="action")
REJECTED = {"revision": V2, "generation": 2, "uid": uid("Deployment", NAME)}
ABORTED = {"revision": V2, "since": LET_GO.since, "result": "aborted", "why": "by a person"}


def let_go(*, kept: Any = LET_GO, rejected: Any = None, **more: Any) -> Observed:
    """One process has let stable roll in the moment in which another one aborted."""
    world = rolling({}, **{"kept": kept, "exposure": CLOSED, "old": 3, "new": 1, **more})
    return remembering(world, outcome=ABORTED, rejected=rejected or REJECTED)


@pytest.mark.parametrize(("old", "new"), [(4, 0), (3, 1)])
def test_a_roll_that_began_as_it_was_aborted_is_stopped(old: int, new: int) -> None:
    done = passed(let_go(old=old, new=new))
    (write,) = done.on(DEPLOYMENT, NAME)
    assert isinstance(write, Edit)
    assert write.operations == (
        {"op": "test", "path": "/metadata/uid", "value": uid("Deployment", NAME)},
        {"op": "add", "path": "/spec/paused", "value": True},
    )
    assert write.why == "stopped the roll of an aborted revision"
    said = (
        f"revision {V2} began to roll as it was aborted, and is stopped: put the old template "
        "back (kubectl canary undo)"
    )
    assert done.events == [Event(reason="RollStopped", message=said, type="Warning")]


@pytest.mark.parametrize(
    "world",
    [
        let_go(old=0, new=4),  # too late: it has rolled
        let_go(hold="pause"),  # a person has resumed it
        let_go(hold=None),
        let_go(kept=record(step=0)),  # nobody has approved: it was not let go by us
        let_go(rejected={**REJECTED, "revision": V3}),
        let_go(stable=pending_deployment()),  # stopped already
    ],
)
def test_nothing_else_that_rolls_is_stopped(world: Observed) -> None:
    assert passed(world).on(DEPLOYMENT, NAME) == []


def newer_of(world: Observed) -> Observed:
    return put(world, DEPLOYMENT, pending_deployment("v3", generation=3))


def aborting(**more: Any) -> Observed:
    """The abort is on the Service; nothing else was done about it."""
    outcome = {"revision": V2, "since": KEPT.since, "result": "aborted", "why": "x"}
    world = running(TEN, **{"kept": KEPT, "exposure": exposed(10), **more})
    return remembering(world, outcome=outcome, rejected={"revision": V2, "why": "x"})


def drained(world: Observed, ago: float, seen: float) -> Observed:
    path = route(CLOSED, at=NOW - timedelta(seconds=ago))
    return replace(put(world, INGRESS, path), seen=seen_for(seen, path))


# B1 to B3.


def test_the_closing_goes_on_where_only_the_abort_was_recorded() -> None:
    done = passed(aborting())
    assert done.does == [CLOSE]
    assert done.exposure == CLOSED


@pytest.mark.parametrize(
    ("ago", "seen", "left"), [(0, 0, 41.0), (40, LONG, 1.0), (LONG, 39, 1.0), (41, 40, None)]
)
def test_requests_drain_by_both_clocks_before_anything_is_deleted(
    ago: float, seen: float, left: float | None
) -> None:
    done = passed(drained(aborting(), ago, seen))
    assert done.plan.wake_seconds == left
    assert done.does == [f"merge Deployment {CANARY}"]  # the time is copied while it runs


def test_the_copied_time_runs_beside_the_one_on_the_ingress() -> None:
    after = passed(drained(aborting(), 0, 0)).after
    done = passed(settled(after), NOW + timedelta(seconds=42))
    assert done.does == [f"delete Ingress {CANARY}"]


def test_ours_goes_in_order_and_the_template_stays() -> None:
    world, did = settled(aborting(exposure=CLOSED)), []
    for _ in range(5):
        done = passed(world, NOW + timedelta(hours=1))
        did.append(done.does)
        world = settled(done.after)
    assert did == [
        [f"merge Deployment {CANARY}"],  # the time, before the Ingress goes
        [f"delete Ingress {CANARY}"],
        [f"delete PodDisruptionBudget {CANARY}", f"delete Service {CANARY}"],
        [f"delete Deployment {CANARY}"],
        [],
    ]
    stable = object_in(world, DEPLOYMENT, NAME)
    assert stable is not None
    assert template_of(stable) == template_of(pending_deployment())
    assert stable["spec"]["paused"]


def test_an_aborted_release_says_what_is_possible_now() -> None:
    done = passed(remembering(pending(), rejected={"revision": V2, "why": "too slow"}))
    assert (done.plan.stage, done.reason) == ("Aborted", "Aborted")
    assert done.status.message == (
        f"revision {V2} was rejected (too slow); it is still pending and held: "
        f"retry:{V2}, a newer template, or put the old one back (kubectl canary undo)"
    )
    assert "(aborted)" in passed(remembering(pending(), rejected={"revision": V2})).status.message


@pytest.mark.parametrize(
    ("rejected", "why"), [(V2, "aborted"), (V3, "an aborted template came back")]
)
def test_a_rejection_without_an_outcome_ends_the_release(rejected: str, why: str) -> None:
    world = running(TEN, kept=KEPT)
    if rejected == V3:
        world = put(world, DEPLOYMENT, pending_deployment("v3", generation=3))
    done = passed(remembering(world, rejected={"revision": rejected}))
    assert done.exposure == CLOSED
    assert done.status.outcome is not None
    assert done.status.outcome.why == why
    assert done.status.rejected is not None
    assert done.status.rejected.revision == rejected


def lost_record() -> Observed:
    return put(running(TEN), DEPLOYMENT, annotated(canary()[0], {names.RELEASE: "{"}))


def put_back() -> Observed:
    return put(running(TEN, kept=KEPT), DEPLOYMENT, deployment("v1", paused=True, generation=3))


def rolls_by_hand() -> Observed:
    return rolling(kept=KEPT, exposure=exposed(10), stable=deployment("v3", generation=4))


def at_last(world: Observed) -> Observed:
    """The time of the closing is kept, and it was long ago."""
    long_ago = stamp(NOW - timedelta(hours=1))
    return put(world, DEPLOYMENT, canary(kept=record(step=10, changed=long_ago))[0])


@pytest.mark.parametrize(
    ("world", "message", "wake"),
    [
        (aborting(), "the release has ended: taking all traffic off the canary", None),
        (
            drained(aborting(), 10, 10.0),
            "the release has ended: requests to the canary drain",
            31.0,
        ),
        (
            replace(
                at_last(drained(aborting(), LONG, LONG)),
                seen={
                    **drained(aborting(), LONG, LONG).seen,
                    (uid("Deployment", CANARY), stamp(NOW - timedelta(hours=1))): LONG,
                },
            ),
            "the release has ended: removing the canary",
            None,
        ),
        (
            remembering(running(TEN, kept=KEPT), rejected={"revision": V2}),
            "aborted: taking all traffic off the canary",
            None,
        ),
        (
            remembering(newer_of(running(TEN, kept=KEPT)), rejected={"revision": V3}),
            "an aborted template came back: taking all traffic off the canary",
            None,
        ),
        (put_back(), "the old template was put back: taking all traffic off the canary", None),
        (
            rolls_by_hand(),
            "the Deployment rolls to another revision: taking all traffic off the canary",
            None,
        ),
        (
            remembering(lost_record(), rejected={"revision": V2, "why": "x"}),
            "left-overs of a release: taking all traffic off the canary",
            None,
        ),
        (
            put(lost_record(), DEPLOYMENT, deployment()),
            "left-overs of a release: taking all traffic off the canary",
            None,
        ),
        (
            newer_of(running(TEN, kept=KEPT)),
            f"revision {V3} replaces the canary: taking all traffic off the canary",
            None,
        ),
        (
            drained(newer_of(running(TEN, kept=KEPT)), 10, 10.0),
            f"revision {V3} replaces the canary: requests to the canary drain",
            31.0,
        ),
        (
            drained(newer_of(running(TEN, kept=KEPT)), LONG, 39.5),
            f"revision {V3} replaces the canary: requests to the canary drain",
            0.5,
        ),
        (
            drained(newer_of(running(TEN, kept=record(revision=V3, generation=3))), 41, 40.0),
            f"revision {V3} replaces the canary",
            None,
        ),
        (
            newer_of(running(exposure=CLOSED, kept=record(revision=V3, generation=3))),
            f"revision {V3} replaces the canary",
            None,
        ),
    ],
)
def test_says_why_the_release_ends_and_how_far_that_is(
    world: Observed, message: str, wake: float | None
) -> None:
    done = passed(world)
    assert (done.plan.stage, done.reason, done.status.message, done.plan.wake_seconds) == (
        "RollingBack",
        "RollingBack",
        message,
        wake,
    )


def test_a_closing_of_which_the_time_was_taken_away_begins_its_drain_anew() -> None:
    path = annotated(route(CLOSED, at=NOW - timedelta(hours=1)), {names.CHANGED: None})
    done = passed(put(aborting(), INGRESS, path))
    written = object_in(done.after, INGRESS, CANARY) or {}
    assert written["metadata"]["annotations"][names.CHANGED] == changed_text(CLOSED, NOW)


# A newer template.


def newer(**more: Any) -> Observed:
    world = running(TEN, **{"kept": KEPT, "exposure": exposed(10), **more})
    return newer_of(world)


def test_a_newer_template_closes_the_canary_and_begins_a_new_record() -> None:
    done = passed(newer(kept=record(step=10, approval=V2, falls=2)))
    assert done.exposure == CLOSED
    now = stamp(NOW)
    began = record(revision=V3, generation=3, since=now, stale_pin="10", changed=now)
    assert done.record == began
    assert done.told == ["WeightLowered", "Superseded"]
    assert done.status.rejected is None


def test_the_canary_keeps_its_old_template_until_it_has_drained() -> None:
    waiting = passed(drained(newer(exposure=CLOSED), 10, 10.0))
    assert images(waiting) == ["janakiramm/myapp:v2"]
    assert waiting.plan.wake_seconds == 31.0
    assert V3 in waiting.status.message


def images(done: Pass) -> list[str]:
    found = object_in(done.after, DEPLOYMENT, CANARY)
    assert found is not None
    return [entry["image"] for entry in template_of(found)["spec"]["containers"]]


def announced() -> Observed:
    """Closed and drained long ago, and the canary Ingress says that pods go."""
    world = newer(exposure=CLOSED, kept=record(revision=V3, generation=3))
    return put(world, INGRESS, annotated(route(CLOSED), {names.SHRINK: "0"}))


def test_then_it_gets_the_newer_one_conditionally_and_read_afresh() -> None:
    done = passed(announced())
    made = object_in(done.after, DEPLOYMENT, CANARY)
    assert template_of(made or {}) == template_of(canary("v3")[0])
    (write,) = done.on(DEPLOYMENT, CANARY)
    assert isinstance(write, Merge)
    assert write.patch["metadata"]["resourceVersion"] == "100"
    assert {(str(ref.kind), ref.name) for ref in write.confirm} == {
        ("Deployment", CANARY),
        ("EndpointSlice", CANARY),
        ("Ingress", CANARY),
    }
    assert write.patch["spec"]["replicas"] == 1


def test_what_the_newer_template_does_not_have_is_taken_away() -> None:
    ours = object_in(announced(), DEPLOYMENT, CANARY)
    noted = {"template": {"metadata": {"annotations": {"note": "of the old one"}}}}
    done = passed(put(announced(), DEPLOYMENT, changed(ours or {}, spec=noted)))
    made = object_in(done.after, DEPLOYMENT, CANARY)
    assert template_of(made or {}) == template_of(canary("v3")[0])


def test_a_refusal_keeps_the_old_template() -> None:
    world = newer(exposure=CLOSED, kept=record(revision=V3, generation=3))
    done = passed(put(world, INGRESS, ingress(ssl_passthrough="true")))
    assert (done.does, done.reason) == ([], "PassthroughOnMain")


@pytest.mark.parametrize(
    ("annotations", "pods"),
    [({names.STEPS: "60"}, 3), ({names.REPLICAS: "2"}, 2), ({"serinus.dev/x": "y"}, None)],
)
def test_the_newer_one_begins_with_the_pods_of_its_first_exposure(
    annotations: dict[str, str], pods: int | None
) -> None:
    world = announced()
    done = passed(put(world, SERVICE, annotated(world.service or {}, annotations)))
    (found,) = [obj for obj in done.after.deployments if obj["metadata"]["name"] == CANARY]
    assert found["spec"]["replicas"] == (pods or 2)


def test_a_canary_that_is_not_ours_any_more_drains_if_its_ingress_has_just_gone() -> None:
    strange = canary("v3", kept=record(step=10))[0]
    world = without(put(running(TEN), DEPLOYMENT, strange), INGRESS, CANARY)
    done = passed(world)
    assert done.does == [f"merge Deployment {CANARY}"]
    assert done.record == record(step=10, changed=stamp(NOW))
    said = f"revision {V2} replaces the canary: requests to the canary drain"
    assert (done.status.message, done.plan.wake_seconds) == (said, 40)


# The old template put back, and rolls by hand.


def test_the_old_template_put_back_ends_the_release_without_a_rejection() -> None:
    done = passed(put_back())
    assert done.exposure == CLOSED
    assert done.status.outcome is not None
    assert done.status.outcome.why == "the old template was put back"
    assert done.status.rejected is None
    assert names.WEIGHT not in done.annotations


def test_out_of_a_promotion_stable_takes_over_only_as_far_as_it_is_ready() -> None:
    kept = record(step=10, approval=V2, approved_by="action")
    shifted = running(kept=kept, exposure=exposed(100), pods=4)
    world = put(shifted, DEPLOYMENT, deployment("v1", paused=True, generation=3))
    half = replace(world, stable=replace(world.stable, endpoints=world.stable.endpoints[:2]))
    assert passed(half).exposure == exposed(38)
    assert passed(world).exposure == CLOSED


def test_a_roll_by_hand_to_another_revision_takes_the_canary_down() -> None:
    done = passed(rolls_by_hand())
    assert done.exposure == CLOSED
    assert done.status.outcome is not None
    assert done.status.outcome.why == "the Deployment rolls to another revision"
    assert done.status.rejected is None


@pytest.mark.parametrize(
    "world",
    [
        put_back(),
        rolls_by_hand(),
        remembering(newer_of(running(TEN, kept=KEPT)), rejected={"revision": V3}),
    ],
)
def test_an_end_that_nobody_asked_for_rests_on_both_deployments_as_they_are(
    world: Observed,
) -> None:
    (told,) = passed(world).on(SERVICE, NAME)
    (closing,) = passed(world).on(INGRESS, CANARY)
    assert told.confirm == closing.confirm == BOTH


def test_so_does_the_closing_for_a_newer_template() -> None:
    (closing,) = passed(newer()).on(INGRESS, CANARY)
    assert closing.confirm == BOTH


# A canary or a record that is lost.


def test_a_lost_record_begins_the_release_again_from_its_first_gate() -> None:
    closed = passed(lost_record())
    assert (closed.does, closed.exposure) == ([CLOSE], CLOSED)
    assert passed(closed.after).record == record(since=stamp(NOW), stale_pin="10")


@pytest.mark.parametrize("pending_too", [True, False])
def test_left_overs_without_a_canary_are_closed(pending_too: bool) -> None:
    world = without(running(TEN), DEPLOYMENT, CANARY)
    if not pending_too:
        world = put(world, DEPLOYMENT, deployment())
    assert passed(world).exposure == CLOSED


def test_left_overs_are_cleaned_up_where_nothing_is_pending() -> None:
    world = put(without(running(exposure=CLOSED), DEPLOYMENT, CANARY), DEPLOYMENT, deployment())
    first = passed(world)
    assert first.does == [f"delete Ingress {CANARY}"]
    second = passed(first.after)
    assert second.does == [f"delete PodDisruptionBudget {CANARY}", f"delete Service {CANARY}"]


# Rule 5: any part of an abort may be all that was done.


def test_an_abort_of_which_only_the_closing_was_written_is_asked_again() -> None:
    asked = running({**TEN, names.ACTION: "abort"}, kept=KEPT)
    done = passed(asked)
    (closing,) = done.on(INGRESS, CANARY)
    again = passed(apply(asked, closing))
    assert again.exposure == CLOSED
    assert again.status.rejected is not None
