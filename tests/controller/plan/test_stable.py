"""When stable gets its traffic back where nobody asks for it: once it is whole and known."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from controller.api import names
from controller.api.objects import DEPLOYMENT, ENDPOINT_SLICE, INGRESS, SERVICE, Kind, Object
from controller.plan.observed import Observed, Pool, Ref
from controller.plan.record import Record
from controller.plan.stages import Stage
from controller.plan.traffic.exposure import CLOSED
from controller.plan.writes import Delete, Merge
from tests.controller.plan.applied import CANARY, annotated, changed, labelled, put, without
from tests.controller.plan.good import APPROVED, told
from tests.controller.plan.plans import passed
from tests.controller.plan.worlds import (
    EVERYBODY,
    LONG,
    NAME,
    NAMESPACE,
    V2,
    V3,
    deployment,
    ingress,
    pending_deployment,
    record,
    rolled,
    rolling,
    running,
)

Losing = Callable[[Observed], Observed]


def canary_in(world: Observed) -> Object:
    (ours,) = [it for it in world.deployments if it["metadata"]["name"] == CANARY]
    return ours


def spoilt(world: Observed) -> Observed:
    """Somebody has written nonsense over the record."""
    return put(world, DEPLOYMENT, annotated(canary_in(world), {names.RELEASE: "{"}))


def disowned(world: Observed) -> Observed:
    """Somebody has taken our label off the canary Deployment: it is no canary of ours."""
    return put(world, DEPLOYMENT, labelled(canary_in(world), {names.MANAGED_BY: None}))


def deleted(world: Observed) -> Observed:
    """Somebody has deleted the canary Deployment, and its pods were left."""
    return without(world, DEPLOYMENT, CANARY)


def enrolled(world: Observed) -> Observed:
    return world


def left(world: Observed) -> Observed:
    """The label was taken off the Service."""
    return put(world, SERVICE, labelled(world.service or {}, {names.CANARY: None}))


def gone(world: Observed) -> Observed:
    """The Service has been missing for half a minute."""
    return replace(without(world, SERVICE, NAME), service_missing_seconds=30.0)


def known_for(world: Observed, seconds: float, **more: Any) -> Observed:
    """Stable's pods are known for so long, and none has gone since unless `more` says so."""
    pods = tuple(replace(it, age_seconds=seconds) for it in world.stable.endpoints)
    return replace(world, stable=replace(world.stable, endpoints=pods, **more))


def begun() -> Observed:
    """The roll was stopped before its first pod was seen: a set of the new revision wants one."""
    world = rolling(stable=PAUSED, old=4, new=0)
    before, new, ours = world.replica_sets
    return replace(world, replica_sets=(before, replace(new, wanted=1), ours))


PAUSED = deployment("v2", generation=4, paused=True)
UNSEEN = changed(deployment("v2"), status={"observedGeneration": 0})
ROLLS_UNSEEN = annotated(PAUSED, {names.DEPLOYMENT_REVISION: "3"})
ROLLS = (
    "the record of the release is gone: everybody stays where he is until all pods of Deployment "
    "myapp are of one revision and ready (kubectl rollout status, resume or undo)"
)
YOUNG = (
    "the record of the release is gone: everybody stays where he is until the proxy knows the "
    "pods of Deployment myapp"
)
every_loss = pytest.mark.parametrize("lost", [spoilt, disowned, deleted])
wherever = pytest.mark.parametrize("where", [enrolled, left, gone])


@every_loss
@wherever
@pytest.mark.parametrize(
    ("world", "left_seconds"),
    [
        (rolling(), None),
        (rolling(stable=PAUSED), None),
        (rolling(old=4, new=0), None),
        (begun(), None),
        (rolled(stable=UNSEEN), None),
        (rolled(stable=ROLLS_UNSEEN), None),
        (rolled(ready=(0, 3)), None),
        (rolled(new=0), None),
        (rolled(stable=deployment("v2", replicas=29, generation=4), new=29, ready=(0, 23)), None),
        (known_for(rolled(), 4), 6.0),
        (known_for(rolled(), 9), 1.0),
        (known_for(rolled(), LONG, history=((3.0, 4), (LONG, 5))), 7.0),
        (known_for(rolled(stable=PAUSED), 4), 6.0),
    ],
)
def test_while_stable_is_not_whole_and_known_everybody_stays_where_he_is(
    world: Observed, left_seconds: float | None, where: Losing, lost: Losing
) -> None:
    done = passed(where(lost(world)))
    assert (done.exposure, done.does, done.plan.wake_seconds) == (EVERYBODY, [], left_seconds)


@every_loss
@pytest.mark.parametrize(
    ("world", "message"), [(rolling(), ROLLS), (known_for(rolled(), 4), YOUNG)]
)
def test_the_status_says_what_is_waited_for(world: Observed, message: str, lost: Losing) -> None:
    done = passed(lost(world))
    assert (done.plan.stage, done.reason, done.status.message) == (
        Stage.ROLLING_BACK,
        "WaitingForStable",
        message,
    )


def test_a_release_that_would_begin_anew_waits_for_a_roll_that_is_stopped_too() -> None:
    done = passed(deleted(rolling(stable=PAUSED)))
    assert (done.plan.stage, done.reason, done.status.message) == (
        Stage.STARTING,
        "WaitingForStable",
        ROLLS,
    )


def test_a_release_that_would_begin_anew_waits_until_the_proxy_knows_stable() -> None:
    done = passed(deleted(known_for(running({names.WEIGHT: "10"}), 4)))
    assert (done.plan.stage, done.status.message, done.plan.wake_seconds) == (
        Stage.STARTING,
        YOUNG,
        6.0,
    )


@every_loss
@wherever
@pytest.mark.parametrize("stable", [deployment("v2", generation=4), PAUSED])
def test_once_it_is_all_traffic_goes_back(stable: Object, where: Losing, lost: Losing) -> None:
    done = passed(where(lost(known_for(rolled(stable=stable), 10))))
    assert done.exposure == CLOSED
    assert done.does == [f"merge Ingress {CANARY}"]


@every_loss
@wherever
def test_a_pod_in_five_may_be_missing_as_in_any_walk_back(where: Losing, lost: Losing) -> None:
    five = deployment("v2", replicas=5, generation=4)
    world = rolled(stable=five, new=5, ready=(0, 4))
    assert passed(where(lost(world))).exposure == CLOSED


@every_loss
@wherever
def test_not_one_percent_is_sent_back_beyond_that(where: Losing, lost: Losing) -> None:
    stable = deployment("v2", replicas=29, generation=4)
    world = rolled(stable=stable, new=29, ready=(0, 23))
    assert passed(where(lost(world))).exposure == EVERYBODY


def test_what_is_left_of_a_release_goes_where_nothing_is_pending_any_more() -> None:
    done = passed(put(spoilt(running(exposure=CLOSED)), DEPLOYMENT, deployment("v1")))
    assert done.does == [f"delete Ingress {CANARY}"]
    assert done.status.message == "left-overs of a release: removing the canary"


@every_loss
@wherever
def test_nobody_is_kept_on_a_canary_without_pods(where: Losing, lost: Losing) -> None:
    world = replace(lost(rolling()), canary=Pool())
    assert passed(where(world)).exposure == CLOSED


@every_loss
@pytest.mark.parametrize("where", [left, gone])
def test_nobody_waits_for_a_deployment_that_is_gone(where: Losing, lost: Losing) -> None:
    world = without(lost(rolling()), DEPLOYMENT, NAME)
    assert passed(where(world)).exposure == CLOSED


def of(kind: Kind, name: str) -> Ref:
    return Ref(kind=kind, namespace=NAMESPACE, name=name)


BOTH_SIDES = {
    of(DEPLOYMENT, NAME),
    of(ENDPOINT_SLICE, NAME),
    of(DEPLOYMENT, CANARY),
    of(ENDPOINT_SLICE, CANARY),
}


@every_loss
@wherever
@pytest.mark.parametrize("world", [rolled(), running({names.WEIGHT: "10"})])
def test_it_rests_on_fresh_reads_of_both_sides_and_on_the_version(
    world: Observed, where: Losing, lost: Losing
) -> None:
    (write,) = passed(where(lost(world))).on(INGRESS, CANARY)
    assert isinstance(write, Merge)
    assert write.confirm == BOTH_SIDES | ({of(SERVICE, NAME)} if where is not enrolled else set())
    assert write.patch["metadata"].keys() == {"annotations", "resourceVersion"}


@every_loss
def test_so_does_the_end_of_an_ingress_to_which_sessions_stick(lost: Losing) -> None:
    world = put(lost(rolled()), INGRESS, ingress(affinity="cookie"))
    (write,) = passed(world).on(INGRESS, CANARY)
    assert isinstance(write, Delete)
    assert write.confirm == BOTH_SIDES | {of(INGRESS, CANARY)}


def test_what_sessions_stick_to_goes_after_a_roll_on_fresh_reads_of_stable() -> None:
    world = put(rolled(), INGRESS, ingress(affinity="cookie"))
    (write,) = passed(world).on(INGRESS, CANARY)
    assert isinstance(write, Delete)
    assert write.confirm == {
        of(DEPLOYMENT, NAME),
        of(ENDPOINT_SLICE, NAME),
        of(INGRESS, CANARY),
    }


# With its record, from the approval on: stable may have rolled and turned back since.


NEXT = pending_deployment("v3", generation=4)
KNOWN_SOON = "everybody stays where he is until the proxy knows the pods of Deployment myapp"


def turned_back(seconds: float = 4.0, kept: Record = APPROVED, **more: Any) -> Observed:
    """The old template rolled out again so long ago, and one that nobody approved is pending."""
    world = running(kept=kept, exposure=EVERYBODY, pods=4, **more)
    return known_for(put(world, DEPLOYMENT, NEXT), seconds)


@wherever
@pytest.mark.parametrize(
    ("world", "left_seconds"),
    [
        (turned_back(), 6.0),
        (turned_back(9.5), 0.5),
        (known_for(turned_back(), LONG, history=((3.0, 4), (LONG, 5))), 7.0),
        (told(turned_back(), rejected={"revision": V3}), 6.0),
    ],
)
def test_what_nobody_asked_for_waits_until_an_approved_release_can_go_back(
    world: Observed, left_seconds: float, where: Losing
) -> None:
    done = passed(where(world))
    assert (done.exposure, done.does, done.plan.wake_seconds) == (EVERYBODY, [], left_seconds)


def test_the_status_says_so() -> None:
    done = passed(turned_back())
    assert (done.plan.stage, done.reason, done.status.message) == (
        Stage.ROLLING_BACK,
        "WaitingForStable",
        KNOWN_SOON,
    )


@wherever
@pytest.mark.parametrize(
    "world",
    [
        turned_back(10),
        turned_back(kept=record(step=100)),
        replace(turned_back(), canary=Pool()),
    ],
)
def test_it_goes_back_where_nothing_is_in_the_way(world: Observed, where: Losing) -> None:
    assert passed(where(world)).exposure == CLOSED


@pytest.mark.parametrize("where", [enrolled, left])
def test_an_end_that_is_recorded_waits_for_nobody(where: Losing) -> None:
    aborted = {"revision": V2, "since": APPROVED.since, "result": "aborted", "why": "x"}
    assert passed(where(told(turned_back(), outcome=aborted))).exposure == CLOSED


@wherever
def test_it_rests_on_fresh_reads_of_stable(where: Losing) -> None:
    (write,) = passed(where(turned_back(10))).on(INGRESS, CANARY)
    assert write.confirm >= {of(DEPLOYMENT, NAME), of(ENDPOINT_SLICE, NAME)}


@pytest.mark.parametrize("where", [left, gone])
def test_an_approved_release_waits_for_no_deployment_that_is_gone(where: Losing) -> None:
    world = without(turned_back(), DEPLOYMENT, NAME)
    assert passed(where(world)).exposure == CLOSED
