"""`Promoting`, P0 to P7 of safety.md section 4: each write, and the gate before it."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from controller.api import names
from controller.api.objects import (
    DEPLOYMENT,
    ENDPOINT_SLICE,
    INGRESS,
    SERVICE,
    Object,
    is_paused,
    stamp,
)
from controller.plan.observed import Observed, Pool, Ref
from controller.plan.traffic.exposure import CLOSED, Exposure
from controller.plan.traffic.nginx import changed_text
from controller.plan.writes import Delete, Edit, Merge
from tests.controller.plan.applied import (
    CANARY,
    annotated,
    changed,
    labelled,
    object_in,
    put,
    without,
)
from tests.controller.plan.plans import Pass, passed
from tests.controller.plan.worlds import (
    EVERYBODY,
    LONG,
    NAME,
    NAMESPACE,
    NOW,
    PREFIX,
    V2,
    V3,
    canary,
    deployment,
    exposed,
    ingress,
    pending_deployment,
    pool,
    record,
    replica_set,
    rolled,
    rolling,
    route,
    running,
    seen_for,
    status,
    uid,
)

APPROVED = record(step=10, approval=V2, approved_by="action")
TEN = {names.WEIGHT: "10"}
IN_PLACE = {names.WEIGHT: "10", names.PROMOTION: "in-place"}
EDIT_STABLE = f"edit Deployment {NAME}"
MOVE = f"merge Ingress {CANARY}"


def approved(**more: Any) -> Observed:
    return running(TEN, **{"kept": APPROVED, **more})


def shifted(**more: Any) -> Observed:
    """Everybody on a canary of full size, long enough for every request to have drained."""
    return approved(**{"pods": 4, "exposure": EVERYBODY, **more})


def stable_after(done: Pass) -> dict[str, Any]:
    found = object_in(done.after, DEPLOYMENT, NAME)
    assert found is not None
    return dict(found)


def edits_of_stable(done: Pass) -> tuple[dict[str, Any], ...]:
    (write,) = done.on(DEPLOYMENT, NAME)
    assert isinstance(write, Edit)
    return tuple(dict(operation) for operation in write.operations)


def refs(service: str, deployment_name: str) -> frozenset[Ref]:
    return frozenset(
        {
            Ref(kind=ENDPOINT_SLICE, namespace=NAMESPACE, name=service),
            Ref(kind=DEPLOYMENT, namespace=NAMESPACE, name=deployment_name),
        }
    )


BY_STABLE = refs(NAME, NAME)
BY_CANARY = refs(CANARY, CANARY)
BY_SERVICE = frozenset({Ref(kind=SERVICE, namespace=NAMESPACE, name=NAME)})
BY_ROUTE = frozenset({Ref(kind=INGRESS, namespace=NAMESPACE, name=CANARY)})
UN_PAUSED = (
    {"op": "test", "path": "/metadata/resourceVersion", "value": "100"},
    {"op": "remove", "path": "/spec/paused"},
)
PAUSED = (
    {"op": "test", "path": "/metadata/uid", "value": uid("Deployment", NAME)},
    {"op": "add", "path": "/spec/paused", "value": True},
)


# P0 to P3.


def test_the_canary_gets_its_full_size_first_and_keeps_its_weight() -> None:
    done = passed(approved())
    assert done.does == [f"merge Deployment {CANARY}"]
    (write,) = done.on(DEPLOYMENT, CANARY)
    assert isinstance(write, Merge)
    assert write.patch["spec"] == {"replicas": 4}
    assert (done.plan.stage, done.reason) == ("Promoting", "WaitingForPods")


def test_everybody_is_moved_once_the_canary_carries_everybody() -> None:
    done = passed(approved(pods=4))
    assert done.does == [MOVE]
    (write,) = done.on(INGRESS, CANARY)
    assert isinstance(write, Merge)
    assert write.patch["metadata"]["resourceVersion"] == "100"
    by_size = frozenset({Ref(kind=DEPLOYMENT, namespace=NAMESPACE, name=NAME)})
    assert write.confirm == BY_CANARY | BY_SERVICE | by_size
    assert done.exposure == EVERYBODY
    assert done.told == ["WeightRaised"]


def test_the_move_keeps_the_header_rules_and_the_visitors_cookie_gives_way() -> None:
    doors = {
        names.HEADER: "X-Account",
        names.HEADER_VALUES: "alice",
        names.COOKIE: "beta",
        **TEN,
    }
    done = passed(running(doors, kept=APPROVED, pods=4))
    assert done.exposure == exposed(100, frozenset({"alice"}))


def test_the_proxy_must_know_all_pods_before_everybody_is_moved() -> None:
    young = pool(canary(pods=4)[1].name, 4, age=9.0)
    done = passed(replace(approved(pods=4), canary=young))
    assert (done.does, done.reason) == ([], "WaitingForProxy")
    assert done.plan.wake_seconds == 1.0


@pytest.mark.parametrize(
    ("stamped", "seen", "left"),
    [
        (39, LONG, 2.0),  # the API server's clock: D_prop + D_drain + 1 s
        (LONG, 12.0, 28.0),  # this process's own
        (41, 40.0, None),
    ],
)
def test_requests_to_stable_drain_by_both_clocks_before_it_rolls(
    stamped: float, seen: float, left: float | None
) -> None:
    path = route(EVERYBODY, at=NOW - timedelta(seconds=stamped))
    world = put(shifted(), INGRESS, path)
    done = passed(replace(world, seen=seen_for(seen, path)))
    assert done.plan.wake_seconds == left
    assert is_paused(stable_after(done)) is (left is not None)


def test_the_approved_revision_is_let_go_exactly_as_it_was_read() -> None:
    done = passed(shifted())
    assert done.does == [EDIT_STABLE]
    assert edits_of_stable(done) == UN_PAUSED
    (write,) = done.on(DEPLOYMENT, NAME)
    assert write.confirm == BY_STABLE | BY_CANARY | BY_ROUTE | BY_SERVICE
    assert done.told == ["RollStarted"]


def test_an_abort_after_the_approval_reads_afresh_whether_stable_rolls_already() -> None:
    told_to_abort = {**TEN, names.ACTION: "abort"}
    done = passed(running(told_to_abort, kept=APPROVED, pods=4, exposure=EVERYBODY))
    (write,) = done.on(INGRESS, CANARY)
    assert done.exposure == CLOSED
    assert write.confirm == BY_STABLE


def odd_rule_at(weight: int, at: datetime = NOW) -> Object:
    """Return our Ingress with a rule that we never write."""
    odd = annotated(route(exposed(weight), at=at), {f"{PREFIX}/canary-by-header": "X-Account"})
    return annotated(odd, {f"{PREFIX}/canary-by-header-pattern": ".*"})


def test_a_rule_of_somebody_else_is_not_written_again_in_the_shift() -> None:
    """Nobody asks for it: with a configuration that cannot be read what stands is kept."""
    world = put(approved(pods=4), INGRESS, odd_rule_at(10))
    done = passed(put(world, SERVICE, annotated(world.service or {}, {names.WEIGHT: "many"})))
    assert done.exposure is not None
    assert (done.exposure.header, done.exposure.suffix) == (None, "")


@pytest.mark.parametrize("holding", ["AffinityOnMain", "RuleMismatch", "RouteMissing"])
def test_nothing_rolls_while_something_stands_against_the_shift(holding: str) -> None:
    worlds = {
        "AffinityOnMain": put(shifted(), INGRESS, ingress(affinity="cookie")),
        "RuleMismatch": put(shifted(), INGRESS, ingress(host="moved.example")),
        "RouteMissing": put(shifted(), INGRESS, ingress("second")),
    }
    done = passed(worlds[holding])
    assert is_paused(stable_after(done))
    assert done.status.reason == holding


def test_a_canary_that_lost_a_pod_is_not_rolled_behind() -> None:
    world = replace(shifted(), canary=pool(canary()[1].name, 3))
    assert is_paused(stable_after(passed(world)))


def test_a_stable_that_grew_makes_the_canary_grow_first() -> None:
    grown = changed(pending_deployment(), spec={"replicas": 6})
    done = passed(put(shifted(), DEPLOYMENT, grown))
    (write,) = done.on(DEPLOYMENT, CANARY)
    assert isinstance(write, Merge)
    assert write.patch["spec"] == {"replicas": 6}
    assert is_paused(stable_after(done))


def test_the_size_that_was_reached_is_remembered_once_everybody_is_there() -> None:
    grown = changed(pending_deployment(), spec={"replicas": 6})
    world = put(shifted(pods=6), DEPLOYMENT, grown)
    sets = (replica_set("v1", 6), world.replica_sets[-1])
    world = replace(world, replica_sets=sets, stable=pool(sets[0].name, 6))
    done = passed(world)
    assert done.record is not None
    assert done.record.replicas == 6


@pytest.mark.parametrize(
    ("rolling_update", "allowed"),
    [
        ({"maxUnavailable": 4}, "4 of 4"),
        ({"maxUnavailable": "100%"}, "4 of 4"),
    ],
)
def test_a_roll_that_could_empty_stable_is_blocked(
    rolling_update: dict[str, Any], allowed: str
) -> None:
    risky = pending_deployment(strategy={"rollingUpdate": rolling_update})
    done = passed(put(shifted(), DEPLOYMENT, risky))
    assert done.reason == "StableWouldBeEmpty"
    assert f"allows {allowed} pods" in done.status.message
    assert "maxUnavailable of Deployment myapp" in done.status.message
    assert is_paused(stable_after(done))


def test_the_smallest_size_an_autoscaler_may_choose_counts_too() -> None:
    scaler = {
        "metadata": {"name": "scaler"},
        "spec": {"scaleTargetRef": {"kind": "Deployment", "name": NAME}, "minReplicas": 1},
    }
    risky = pending_deployment(strategy={"rollingUpdate": {"maxUnavailable": 1}})
    world = put(shifted(), DEPLOYMENT, risky)
    assert passed(world).reason != "StableWouldBeEmpty"
    assert passed(replace(world, autoscalers=(scaler,))).reason == "StableWouldBeEmpty"


def dead(world: Observed) -> Observed:
    """The same world, and no pod of stable is ready."""
    sets = tuple(
        replace(entry, ready=0) if entry.owner == uid("Deployment", NAME) else entry
        for entry in world.replica_sets
    )
    return replace(world, stable=Pool(), replica_sets=sets)


def test_a_stable_with_nothing_ready_rolls_at_once() -> None:
    assert edits_of_stable(passed(dead(approved()))) == UN_PAUSED


def test_a_service_that_was_created_again_has_no_endpoints_for_a_moment_and_nothing_rolls() -> None:
    done = passed(replace(approved(), stable=Pool()))
    assert EDIT_STABLE not in done.does


def test_a_refusal_keeps_even_an_empty_stable_from_rolling() -> None:
    done = passed(dead(put(approved(), INGRESS, ingress(ssl_passthrough="true"))))
    assert is_paused(stable_after(done))
    assert done.reason == "PassthroughOnMain"


def test_an_invalid_configuration_moves_everybody_by_the_rules_that_stand() -> None:
    world = shifted(exposure=exposed(100, frozenset({"mia"})))
    bad = annotated(world.service or {}, {names.WEIGHT: "many"})
    done = passed(replace(world, service=bad))
    assert is_paused(stable_after(done))
    assert done.exposure == exposed(100, frozenset({"mia"}))


def test_a_main_that_went_before_the_roll_stops_it() -> None:
    done = passed(without(shifted(), INGRESS, NAME))
    assert done.reason == "IngressWithoutService"
    assert is_paused(stable_after(done))
    assert done.exposure == CLOSED


def test_a_short_canary_is_lowered_before_the_roll_too() -> None:
    world = replace(shifted(), canary=Pool(history=((LONG, 0),)))
    done = passed(world)
    assert done.exposure == CLOSED
    assert done.reason == "CanaryShort"


# In place.


def test_in_place_goes_down_to_half_first() -> None:
    world = running(IN_PLACE, exposure=exposed(80), pods=4, kept=APPROVED)
    done = passed(world)
    assert done.exposure == exposed(50)
    assert is_paused(stable_after(done))


@pytest.mark.parametrize(("ago", "paused"), [(5, True), (LONG, False)])
def test_in_place_rolls_once_the_proxy_knows_the_weight(ago: float, paused: bool) -> None:
    path = route(exposed(50), at=NOW - timedelta(seconds=ago))
    world = put(running(IN_PLACE, exposure=exposed(50), kept=APPROVED), INGRESS, path)
    done = passed(replace(world, seen=seen_for(ago, path)))
    assert is_paused(stable_after(done)) is paused


def test_in_place_leaves_the_weight_where_sessions_stick() -> None:
    sticky = {**IN_PLACE, names.ACCEPT: "affinity"}
    world = running(sticky, exposure=exposed(80), pods=4, kept=APPROVED)
    done = passed(put(world, INGRESS, ingress(affinity="cookie")))
    assert done.exposure == exposed(80)
    assert not is_paused(stable_after(done))


def test_recreate_is_rolled_in_place_where_it_was_accepted() -> None:
    recreate = {**IN_PLACE, names.ACCEPT: "recreate"}
    world = running(recreate, exposure=exposed(10), kept=APPROVED)
    done = passed(put(world, DEPLOYMENT, pending_deployment(strategy={"type": "Recreate"})))
    assert not is_paused(stable_after(done))


# P3: the roll.


def test_the_roll_is_waited_for_and_counted() -> None:
    done = passed(rolling(old=3, new=1))
    assert done.does == []
    assert done.plan.stage == "Promoting"
    assert done.status.message == f"1 of 4 stable pods are ready at revision {V2}"


def test_a_roll_that_stands_still_is_looked_at_and_its_status_stays_the_same() -> None:
    early, late = (
        passed(rolling(old=3, new=1), now=now) for now in (NOW, NOW + timedelta(hours=1))
    )
    assert (early.plan.wake_seconds, late.plan.wake_seconds) == (5.0, 5.0)
    assert early.status.until == late.status.until == ""


def test_a_roll_by_hand_is_followed_and_the_canary_kept_as_it_is() -> None:
    by_hand = record(step=10)
    done = passed(rolling(TEN, kept=by_hand, exposure=exposed(10), pods=2))
    assert done.does == []
    assert done.status.message.endswith("(rolled by hand)")


def test_a_roll_that_does_not_advance_is_called_stalled_and_users_stay() -> None:
    stalled = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}
    stable = changed(deployment("v2", generation=3), status={"conditions": [stalled]})
    done = passed(rolling(stable=stable))
    assert (done.does, done.reason) == ([], "PromotionStalled")
    assert "kubectl canary abort and undo" in done.status.message


@pytest.mark.parametrize(
    ("deadline", "ago", "stalled"),
    [(None, 641, True), (None, 640, False), (2**31 - 1, 641, True), (600, 9999, False)],
)
def test_without_a_deadline_of_its_own_a_roll_stalls_after_ten_minutes(
    deadline: int | None, ago: float, stalled: bool
) -> None:
    path = route(EVERYBODY, at=NOW - timedelta(seconds=ago))
    stable = deployment("v2", generation=3, progressDeadlineSeconds=deadline)
    done = passed(put(rolling(stable=stable), INGRESS, path))
    assert (done.reason == "PromotionStalled") is stalled


def test_a_roll_by_hand_is_not_called_stalled_for_the_age_of_its_canary() -> None:
    stable = deployment("v2", generation=3, progressDeadlineSeconds=None)
    by_hand = record(step=10)
    done = passed(rolling(TEN, kept=by_hand, exposure=exposed(10), pods=2, stable=stable))
    assert done.reason == "Promoting"


def test_a_person_who_pauses_the_roll_is_waited_for() -> None:
    done = passed(rolling(stable=deployment("v2", paused=True, generation=3)))
    assert (done.does, done.reason) == ([], "RollPaused")
    assert "kubectl rollout resume deployment myapp" in done.status.message


def test_a_template_that_nobody_approved_stops_the_roll() -> None:
    done = passed(rolling(stable=deployment("v3", generation=4)))
    assert edits_of_stable(done) == PAUSED
    assert done.reason == "PromotionInterrupted"
    assert done.told == ["PromotionInterrupted"]
    assert f"promote:{V3}" in done.status.message
    assert done.record == replace(
        record(step=0, approval=V2, approved_by="action"), interrupted=True
    )


def interrupted(**changes: Any) -> Any:
    return record(step=0, approval=V2, approved_by="action", interrupted=True, **changes)


def test_an_interrupted_roll_is_told_once() -> None:
    done = passed(rolling(kept=interrupted(), stable=deployment("v3", paused=True, generation=4)))
    assert done.does == []
    assert done.told == []


def test_an_interrupted_roll_goes_on_when_the_approved_template_is_back() -> None:
    done = passed(rolling(kept=interrupted(), stable=deployment("v2", paused=True, generation=5)))
    assert edits_of_stable(done) == UN_PAUSED
    assert done.told == ["RollContinued"]


def test_an_interruption_is_over_once_the_roll_goes_on() -> None:
    done = passed(rolling(kept=interrupted()))
    assert done.record == replace(interrupted(), interrupted=False)


def test_the_recorded_template_put_back_in_mid_roll_rolls_back() -> None:
    back = deployment("v1", paused=True, generation=4)
    done = passed(rolling(stable=back))
    assert edits_of_stable(done) == UN_PAUSED
    assert done.told == ["RollReturned"]
    running_back = passed(rolling(stable=deployment("v1", generation=4)))
    assert running_back.does == []
    assert "the old template is back" in running_back.status.message


def asked_to_abort(state: Any = "asked") -> Any:
    return record(step=0, approval=V2, approved_by="action", abort=state)


def test_an_abort_in_mid_roll_pauses_stable_without_any_condition_but_its_uid() -> None:
    done = passed(rolling(kept=asked_to_abort()))
    assert edits_of_stable(done) == PAUSED
    assert done.reason == "AbortedInRoll"
    assert "kubectl canary undo" in done.status.message
    assert f"promote:{V2}" in done.status.message


def test_an_abort_is_noted_as_stopped_once_the_pause_is_seen() -> None:
    stopped = deployment("v2", paused=True, generation=3)
    done = passed(rolling(kept=asked_to_abort(), stable=stopped))
    assert done.record == asked_to_abort("stopped")
    quiet = passed(rolling(kept=asked_to_abort("stopped"), stable=stopped))
    assert (quiet.does, quiet.reason) == ([], "AbortedInRoll")


def test_resuming_a_stopped_roll_withdraws_the_abort() -> None:
    done = passed(rolling(kept=asked_to_abort("stopped")))
    assert done.record == asked_to_abort("")
    assert done.told == ["AbortWithdrawn"]


def test_everybody_goes_to_stable_at_once_when_no_canary_pod_is_ready_in_mid_roll() -> None:
    done = passed(rolling(canary=Pool(history=((LONG, 0),))))
    assert done.exposure == CLOSED
    (write,) = done.on(INGRESS, CANARY)
    assert isinstance(write, Merge)
    assert write.patch["metadata"]["resourceVersion"] == "100"
    assert write.confirm == BY_STABLE


def test_everybody_stays_when_nothing_is_ready_anywhere() -> None:
    world = rolling(ready=(0, 0), canary=Pool(history=((LONG, 0),)))
    assert passed(world).exposure == EVERYBODY


@pytest.mark.parametrize(
    ("old", "new", "weight"),
    [(2, 2, 75), (0, 1, 75), (4, 0, 75)],  # never below what the canary's pods carry
)
def test_a_short_canary_gives_away_what_it_cannot_carry_in_mid_roll(
    old: int, new: int, weight: int
) -> None:
    three = Pool(endpoints=pool(canary()[1].name, 3).endpoints, history=((10.0, 3), (LONG, 4)))
    done = passed(rolling(old=old, new=new, canary=three))
    assert done.exposure == exposed(weight)


def test_a_canary_that_is_short_for_a_moment_keeps_everybody() -> None:
    three = Pool(endpoints=pool(canary()[1].name, 3).endpoints, history=((9.0, 3), (LONG, 4)))
    done = passed(rolling(canary=three))
    assert done.exposure == EVERYBODY
    assert done.plan.wake_seconds == 1.0


def test_a_canary_grows_with_stable_in_mid_roll_and_is_not_short_until_it_has() -> None:
    larger = deployment("v2", generation=3, replicas=6)
    done = passed(rolling(stable=larger))
    assert done.exposure == EVERYBODY
    (write,) = done.on(DEPLOYMENT, CANARY)
    assert isinstance(write, Merge)
    assert write.patch["spec"] == {"replicas": 6}
    in_place = passed(rolling(IN_PLACE, stable=larger, exposure=exposed(50), pods=2))
    assert in_place.on(DEPLOYMENT, CANARY) == []


def test_a_promotion_in_place_stays_as_it_is_when_the_label_was_taken_off() -> None:
    off = pending_deployment(held=False)
    world = approved(exposure=exposed(10))
    world = replace(world, service=annotated(world.service or {}, IN_PLACE))
    done = passed(put(world, DEPLOYMENT, off))
    assert done.reason == "HeldLabelRemoved"
    assert EDIT_STABLE not in done.does


def test_everybody_comes_back_to_a_canary_that_is_whole_again() -> None:
    done = passed(rolling(exposure=exposed(75)))
    assert done.exposure == EVERYBODY
    young = pool(canary(pods=4)[1].name, 4, age=4.0)
    waiting = passed(rolling(exposure=exposed(75), canary=young))
    assert waiting.exposure == exposed(75)


def test_a_main_that_went_in_mid_roll_is_left_alone() -> None:
    gone = without(rolling(), INGRESS, NAME)
    assert passed(gone).does == []


def test_in_place_is_not_moved_to_the_canary_in_mid_roll() -> None:
    done = passed(rolling(IN_PLACE, exposure=exposed(50)))
    assert done.exposure == exposed(50)


# P4 to P7.


def test_everybody_walks_back_to_a_stable_that_is_whole() -> None:
    done = passed(rolled())
    assert done.does == [MOVE]
    assert done.exposure == CLOSED
    (write,) = done.on(INGRESS, CANARY)
    assert isinstance(write, Merge)
    assert write.patch["metadata"]["resourceVersion"] == "100"
    assert write.confirm == BY_STABLE


def test_stable_must_be_known_to_the_proxy_before_the_walk_back() -> None:
    young = pool(replica_set("v2", 4).name, 4, age=4.0)
    done = passed(rolled(stable=None, exposure=EVERYBODY))
    assert done.exposure == CLOSED
    waiting = passed(replace(rolled(), stable=young))
    assert (waiting.exposure, waiting.reason) == (EVERYBODY, "WaitingForStable")
    assert waiting.plan.wake_seconds == 6.0


def test_the_pause_hold_is_taken_again_after_the_roll() -> None:
    done = passed(rolled(hold="pause"))
    assert is_paused(stable_after(done))
    operations = edits_of_stable(done)
    assert operations[0] == {"op": "test", "path": "/metadata/generation", "value": 3}


def test_nobody_walks_back_while_a_proxy_may_know_a_pod_that_went() -> None:
    v2, v1 = replica_set("v2", 4), replica_set("v1", 0)
    leaving = pool(v2.name, 4).endpoints + pool(v1.name, 1).endpoints
    there = passed(replace(rolled(), stable=Pool(endpoints=leaving, history=((LONG, 5),))))
    assert MOVE not in there.does
    assert there.plan.wake_seconds == 10.0
    gone = Pool(endpoints=pool(v2.name, 4).endpoints, history=((4.0, 4), (LONG, 5)))
    early = passed(replace(rolled(), stable=gone))
    assert MOVE not in early.does
    assert early.plan.wake_seconds == 6.0
    known = replace(gone, history=((10.0, 4), (LONG, 5)))
    assert passed(replace(rolled(), stable=known)).does == [MOVE]


def test_a_label_that_was_taken_off_is_put_back_once_stable_is_whole() -> None:
    done = passed(rolled(stable=deployment("v2", generation=3, held=False)))
    assert stable_after(done)["metadata"]["labels"][names.HELD] == NAME
    theirs = labelled(deployment("v2", generation=3), {names.HELD: "other"})
    assert EDIT_STABLE not in passed(rolled(stable=theirs)).does


def scaled(wanted: int, ready: int, **more: Any) -> Observed:
    """An autoscaler shrank the idle stable, of which so many pods are ready."""
    scaler = {"spec": {"scaleTargetRef": {"kind": "Deployment", "name": NAME}, "minReplicas": 1}}
    small = deployment("v2", replicas=wanted, generation=3)
    return rolled(new=ready, stable=small, autoscalers=(scaler,), **more)


def test_the_weight_falls_as_far_as_a_small_stable_carries_it_with_a_quarter_more() -> None:
    done = passed(scaled(2, 2))
    assert done.exposure == exposed(38)  # 2 of 4 pods may carry 62.5 %


def test_a_rule_of_somebody_else_is_not_written_again_when_everybody_walks_back() -> None:
    part = passed(put(scaled(2, 2), INGRESS, odd_rule_at(100)))
    assert part.exposure == replace(CLOSED, weight=38)
    long_ago = odd_rule_at(38, at=NOW - timedelta(seconds=300))
    forced = passed(put(scaled(2, 2), INGRESS, long_ago))
    assert forced.exposure == replace(CLOSED, weight=13)


def test_a_rule_of_somebody_else_is_not_written_again_in_place() -> None:
    world = put(running(IN_PLACE, pods=4, kept=APPROVED), INGRESS, odd_rule_at(80))
    assert passed(world).exposure == replace(CLOSED, weight=50)


def test_a_rule_of_somebody_else_is_not_written_again_where_the_canary_is_short() -> None:
    two = Pool(endpoints=pool(canary()[1].name, 2).endpoints, history=((10.0, 2), (LONG, 4)))
    world = put(rolling(old=2, new=2, canary=two), INGRESS, odd_rule_at(100))
    assert passed(world).exposure == replace(CLOSED, weight=50)


def test_a_small_stable_that_grows_by_load_is_waited_for() -> None:
    path = route(exposed(38), at=NOW - timedelta(seconds=299))
    done = passed(put(scaled(2, 2, exposure=exposed(38)), INGRESS, path))
    assert (done.exposure, done.reason) == (exposed(38), "WaitingForStable")


@pytest.mark.parametrize(("weight", "after"), [(38, exposed(13)), (20, CLOSED)])
def test_without_growth_for_five_minutes_the_weight_falls_all_the_same(
    weight: int, after: Exposure
) -> None:
    path = route(exposed(weight), at=NOW - timedelta(seconds=300))
    world = scaled(1 if weight == 20 else 2, 1 if weight == 20 else 2, exposure=exposed(weight))
    done = passed(put(world, INGRESS, path))
    assert done.exposure == after
    assert "WalkBackForced" in done.told


def test_where_sessions_stick_the_ingress_goes_and_the_pods_stay_until_it_has_drained() -> None:
    sticky = {**TEN, names.ACCEPT: "affinity"}
    first = passed(put(rolled(sticky), INGRESS, ingress(affinity="cookie")))
    assert first.exposure is None
    told = passed(first.after)
    assert told.status.outcome is not None
    timed = passed(told.after)
    assert timed.record is not None
    assert timed.record.changed == stamp(NOW)
    drains = passed(timed.after)
    assert drains.does == []


def back(**more: Any) -> Observed:
    return rolled(exposure=CLOSED, **more)


def test_a_door_opened_again_after_the_outcome_is_closed_and_drained_before_anything_goes() -> None:
    told = passed(back()).after
    opened = passed(put(told, INGRESS, route(exposed(77))))
    assert opened.exposure == CLOSED
    assert opened.does == [f"merge Ingress {CANARY}"]
    drains = passed(opened.after)
    assert (drains.does, drains.reason) == ([f"merge Deployment {CANARY}"], "Promoted")
    assert passed(drains.after).does == []


def test_the_outcome_is_recorded_once_requests_to_the_canary_have_drained() -> None:
    path = route(CLOSED, at=NOW - timedelta(seconds=30))
    early = passed(replace(put(back(), INGRESS, path), seen=seen_for(30.0, path)))
    assert early.status.outcome is None
    assert early.plan.wake_seconds == 11.0
    done = passed(back())
    assert done.does == [f"merge Deployment {NAME}-canary"]  # the time of the last change
    assert done.status.outcome is not None
    assert (done.status.outcome.result, done.status.outcome.why) == (
        "promoted",
        "promoted by action",
    )
    assert done.told[-1:] == ["Promoted"]


def test_weight_and_action_end_with_the_release() -> None:
    keys = {names.WEIGHT: "10", names.HEADER: "X-Account", names.HEADER_VALUES: "mia"}
    done = passed(back(annotations={**keys, names.ACTION: f"promote:{V2}"}))
    assert done.annotations == {names.HEADER: "X-Account", names.HEADER_VALUES: "mia"}


def test_a_roll_by_hand_is_promoted_by_rollout_resume() -> None:
    done = passed(back(kept=record(step=10)))
    assert done.status.outcome is not None
    assert done.status.outcome.why == "promoted by rollout resume"


def test_a_promotion_forgets_what_was_rejected_before() -> None:
    world = back()
    service = annotated(world.service or {}, status(rejected={"revision": V3}))
    done = passed(replace(world, service=service, services=(service, *world.services[1:])))
    assert done.status.rejected is None


def ended(world: Observed) -> Observed:
    """The outcome is on the Service."""
    outcome = {"revision": V2, "since": record().since, "result": "promoted", "why": "x", "at": ""}
    service = annotated(world.service or {}, status(outcome=outcome))
    return replace(world, service=service, services=(service, *world.services[1:]))


def test_what_is_ours_goes_in_order_with_the_time_kept_before_the_ingress() -> None:
    world, did = ended(back()), []
    for _ in range(6):
        done = passed(world)
        did.append(done.does)
        world = settle_seen(done.after)
    budget = f"delete PodDisruptionBudget {CANARY}"
    assert did == [
        [f"merge Deployment {CANARY}"],
        [f"delete Ingress {CANARY}"],
        [budget, f"delete Service {CANARY}"],
        [f"delete Deployment {CANARY}"],
        [],
        [],
    ]


def test_a_door_open_after_the_outcome_is_closed_by_uid_if_the_record_is_the_newest() -> None:
    (write,) = passed(ended(rolled())).on(INGRESS, CANARY)
    assert isinstance(write, Merge)
    assert write.patch["metadata"].keys() == {"uid", "annotations"}
    assert write.confirm == BY_CANARY | BY_STABLE


def test_an_ingress_left_after_the_outcome_goes_if_the_record_is_the_newest() -> None:
    """Where sessions stick."""
    mains = (ingress(affinity="cookie"), route(EVERYBODY))
    (write,) = passed(ended(rolled({names.ACCEPT: "affinity"}, ingresses=mains))).on(
        INGRESS, CANARY
    )
    assert isinstance(write, Delete)
    assert write.version == ""
    assert write.confirm == BY_CANARY | BY_ROUTE


def settle_seen(world: Observed) -> Observed:
    """This process has seen for long whatever is written."""
    return replace(
        world,
        seen={
            (entry["metadata"]["uid"], text): LONG
            for entry in (*world.ingresses, *world.deployments)
            for text in (
                (entry["metadata"].get("annotations") or {}).get(names.CHANGED, ""),
                changed_text(CLOSED, NOW),
                stamp(NOW - timedelta(hours=1)),
            )
        },
    )


def test_the_pods_stay_until_what_an_ingress_carried_has_drained() -> None:
    world = without(ended(back()), INGRESS, CANARY)
    kept = record(step=0, approval=V2, approved_by="action", changed=stamp(NOW))
    world = put(world, DEPLOYMENT, {**(canary(pods=4, kept=kept)[0])})
    done = passed(world)
    assert done.does == []
    assert done.plan.wake_seconds == 41.0


@pytest.mark.parametrize(("known", "does"), [(39.5, []), (40.0, [f"delete Ingress {CANARY}"])])
def test_an_ingress_stays_until_its_drain_is_over_after_the_outcome(
    known: float, does: list[str]
) -> None:
    at = NOW - timedelta(hours=1)
    path = route(CLOSED, at=at)
    kept = record(step=0, approval=V2, approved_by="action", changed=stamp(at))
    world = put(ended(back(kept=kept)), INGRESS, path)
    noted = {(uid("Deployment", CANARY), stamp(at)): LONG}
    assert passed(replace(world, seen={**seen_for(known, path), **noted})).does == does


def test_an_ingress_found_missing_without_a_time_gets_one_from_now() -> None:
    done = passed(without(ended(back()), INGRESS, CANARY))
    assert done.does == [f"merge Deployment {CANARY}"]
    assert done.record is not None
    assert done.record.changed == stamp(NOW)


def test_the_old_template_put_back_before_the_roll_walks_back_as_an_abort() -> None:
    world = put(shifted(), DEPLOYMENT, deployment("v1", paused=True, generation=3))
    done = passed(world)
    assert done.plan.stage == "RollingBack"
    assert done.exposure == CLOSED
    over = passed(put(shifted(exposure=CLOSED), DEPLOYMENT, deployment("v1", generation=3)))
    assert over.status.outcome is not None
    assert (over.status.outcome.result, over.status.outcome.why) == (
        "aborted",
        "the old template was put back",
    )


def test_a_roll_that_returned_ends_as_an_abort() -> None:
    stable = deployment("v1", generation=4)
    world = rolled(old=4, new=0, stable=stable, exposure=CLOSED)
    done = passed(world)
    assert done.status.outcome is not None
    assert done.status.outcome.result == "aborted"


# Edges.


def test_an_approval_of_another_revision_lets_nothing_roll() -> None:
    done = passed(shifted(kept=record(step=10, approval=V3, approved_by="action")))
    assert is_paused(stable_after(done))
    assert (done.reason, done.status.needed) == ("WaitingForApproval", 4)


def test_of_two_routes_only_the_one_that_fell_is_brought_back_and_both_walk_back() -> None:
    two = (ingress(), ingress("web"), route(exposed(75)), route(EVERYBODY, main="web"))
    assert passed(rolling(ingresses=two)).does == [MOVE]
    walked = (ingress(), ingress("web"), route(EVERYBODY), route(CLOSED, main="web"))
    assert passed(rolled(ingresses=walked)).does == [MOVE]


def edge(**counts: int) -> Observed:
    """An abort stopped the roll before it had made a pod of the new revision."""
    stopped = changed(pending_deployment(generation=3), status=counts)
    kept = record(step=10, approval=V2, approved_by="action", abort="asked")
    return put(shifted(kept=kept), DEPLOYMENT, stopped)


def test_an_abort_before_the_roll_had_made_a_pod_ends_like_any_before_it() -> None:
    early = passed(edge(observedGeneration=2))
    assert (early.exposure, early.reason) == (EVERYBODY, "AbortedInRoll")
    done = passed(edge())
    assert done.exposure == CLOSED
    assert done.status.rejected is not None
    assert done.status.rejected.revision == V2


@pytest.mark.parametrize("exposure", [CLOSED, exposed(10)])
def test_so_does_one_in_a_roll_by_hand(exposure: Exposure) -> None:
    kept = record(step=10 if exposure.is_open else None, abort="asked")
    done = passed(running(kept=kept, exposure=exposure))
    assert done.exposure == CLOSED
    assert done.status.rejected is not None
    assert done.status.rejected.revision == V2
