"""What is read off the world: revisions, the roll, sizes, routes and the two clocks."""

from dataclasses import replace
from datetime import timedelta
from fractions import Fraction
from math import inf
from typing import Any

import pytest

from controller.api import names
from controller.api.objects import DEPLOYMENT, INGRESS, SERVICE, Object, stamp
from controller.plan.observed import Endpoint, Observed, Pool
from controller.plan.record import Record
from controller.plan.release import Release, Roll, release_of, writable
from controller.plan.traffic.exposure import CLOSED, Exposure
from controller.plan.traffic.nginx import UNKNOWN
from tests.controller.plan.applied import CANARY, annotated, changed, labelled, put, without
from tests.controller.plan.worlds import (
    LONG,
    NAME,
    NOW,
    V1,
    V2,
    V3,
    canary,
    deployment,
    exposed,
    idle,
    ingress,
    meta,
    pending,
    pending_deployment,
    pool,
    record,
    replica_set,
    rolled,
    rolling,
    route,
    running,
    seen_for,
    service,
    status,
    uid,
)


def release(world: Observed) -> Release:
    return release_of(world, NOW)


def remembering(world: Observed, **values: Any) -> Observed:
    return put(world, SERVICE, annotated(world.service or {}, status(**values)))


def stable_known(revision: str, generation: int) -> dict[str, Any]:
    return {
        "stable": {
            "revision": revision,
            "uid": uid("Deployment", NAME),
            "generation": generation,
        }
    }


# Revisions.


def test_the_revision_of_a_generation_is_the_one_that_was_recorded() -> None:
    assert release(pending()).template_revision == V2
    assert release(remembering(pending(), **stable_known("r", 2))).template_revision == "r"
    assert release(remembering(pending(), **stable_known("r", 1))).template_revision == V2
    recorded = running(kept=record(revision="r", generation=2))
    assert release(recorded).template_revision == "r"
    assert release(without(idle(), DEPLOYMENT, NAME)).template_revision == ""


SERVING: dict[str, tuple[Observed, str]] = {
    "one with pods": (idle(), V1),
    "several with pods, one recorded": (rolling(), V1),
    "several with pods, none recorded": (
        rolling(deployments=(deployment("v2", generation=3),)),
        "",
    ),
    "no pods, one wanted": (
        idle(replica_sets=(replace(replica_set("v1", 4), pods=0), replica_set("v2", 0))),
        V1,
    ),
    "no pods, none wanted: the recorded one": (
        remembering(idle(replica_sets=(replica_set("v2", 0),)), **stable_known(V1, 9)),
        V1,
    ),
    "no pods, none wanted: the newest": (
        idle(replica_sets=(replica_set("v3", 0, number=3), replica_set("v2", 0, number=2))),
        V3,
    ),
    "no ReplicaSet at all: the template": (idle(replica_sets=()), V1),
}


@pytest.mark.parametrize("case", SERVING)
def test_the_revision_that_serves(case: str) -> None:
    world, revision = SERVING[case]
    assert release(world).serving == revision


def test_pending_is_paused_with_another_template_than_serves() -> None:
    assert release(pending()).is_pending
    assert not release(idle()).is_pending
    assert not release(idle(deployments=(deployment(paused=True),))).is_pending
    assert not release(rolling()).is_pending


REVISION = "deployment.kubernetes.io/revision"
ROLLS: dict[str, tuple[Observed, Roll]] = {
    "held": (running(), Roll.HELD),
    "let go, no pod yet": (rolling(old=4, new=0), Roll.ROLLING),
    "on its way": (rolling(), Roll.ROLLING),
    "on its way to one that nobody approved": (
        rolling(stable=deployment("v3", generation=4)),
        Roll.ROLLING,
    ),
    "whole": (rolled(), Roll.DONE),
    "whole, and a newer template is held": (
        rolled(stable=deployment("v3", paused=True, generation=4)),
        Roll.DONE,
    ),
    "whole, and a newer template rolls": (
        rolled(stable=deployment("v3", generation=4)),
        Roll.ROLLING,
    ),
    "whole, but short of ready pods": (rolled(ready=(0, 3)), Roll.ROLLING),
    "on its way back": (rolling(stable=deployment("v1", generation=4)), Roll.RETURNING),
    "back": (rolled(old=4, new=0, stable=deployment("v1", generation=4)), Roll.BACK),
    "put back before it rolled": (
        put(running(), DEPLOYMENT, deployment("v1", paused=True, generation=3)),
        Roll.BACK,
    ),
}


@pytest.mark.parametrize("case", ROLLS)
def test_where_the_roll_stands(case: str) -> None:
    world, roll = ROLLS[case]
    assert release(world).roll is roll


@pytest.mark.parametrize(
    ("world", "complete"),
    [
        (idle(), True),
        (idle(deployments=(changed(deployment(), status={"observedGeneration": 0}),)), False),
        (idle(replica_sets=(replica_set("v1", 4, ready=3),)), False),
        (idle(replica_sets=(replica_set("v1", 3),)), False),
        (idle(replica_sets=(replica_set("v1", 4), replica_set("v2", 1))), False),
        (idle(deployments=()), False),
    ],
)
def test_complete_is_one_revision_whole_and_seen(world: Observed, complete: bool) -> None:
    assert release(world).is_complete_at(V1) is complete


# Sizes.


@pytest.mark.parametrize(
    ("wanted", "recorded", "full"), [(4, 4, 4), (6, 4, 6), (2, 4, 4), (0, 0, 1), (None, 1, 1)]
)
def test_full_grows_with_stable_and_never_shrinks(
    wanted: int | None, recorded: int, full: int
) -> None:
    stable = changed(pending_deployment(), spec={"replicas": wanted})
    world = put(running(kept=record(replicas=recorded)), DEPLOYMENT, stable)
    assert release(world).full == full
    assert release(without(idle(), DEPLOYMENT, NAME)).full == 1


def test_only_pods_of_the_canarys_template_count() -> None:
    world = running(pods=2)
    assert release(world).canary_ready() == 2
    assert release(world).canary_ready(LONG + 1) == 0
    assert release(replace(world, canary=pool("other", 2))).canary_ready() == 0
    assert release(replace(world, replica_sets=())).canary_ready() == 0
    assert release(idle()).canary_set is None


@pytest.mark.parametrize(
    ("changes", "complete"),
    [
        ({}, True),
        ({"observedGeneration": 0}, False),
        ({"spec": {"replicas": 3}}, False),
        ({"pods": 3}, False),
        ({"ready": 1}, False),
        ({"older": 1}, False),
    ],
)
def test_a_canary_is_complete_when_its_template_is_everywhere(
    changes: dict[str, Any], complete: bool
) -> None:
    shown, mine = canary()
    shown = changed(
        shown,
        status={"observedGeneration": changes.get("observedGeneration", 1)},
        spec=changes.get("spec", {}),
    )
    own = replace(mine, pods=changes.get("pods", 2), ready=changes.get("ready", 2))
    older = replace(mine, name="older", revision="older", pods=changes.get("older", 0))
    world = replace(
        put(running(), DEPLOYMENT, shown), replica_sets=(replica_set("v1", 4), own, older)
    )
    assert release(world).is_canary_complete is complete
    assert not release(idle()).is_canary_complete


def test_stable_pods_are_counted_behind_the_service_or_by_their_sets_without_one() -> None:
    world = rolling(old=2, new=2)
    assert release(world).stable_ready(V1) == 2
    assert release(world).stable_ready(V2, LONG + 1) == 0
    gone = replace(without(world, SERVICE, NAME), stable=Pool())
    assert release(gone).stable_ready(V1) == 2
    fresh = replace(world, stable=pool(replica_set("v1", 2).name, 2, age=0.0))
    assert release(fresh).stable_ready(V1) == 2


def test_of_a_deadline_whose_time_nobody_knows_all_is_left() -> None:
    assert release(idle()).left("uid", "text", None, 10.0) == 11.0


def test_the_youngest_ready_pod_tells_how_long_all_are_known() -> None:
    name = replica_set("v1", 4).name
    ages = Pool(
        endpoints=(
            Endpoint(pod=f"{name}-a", age_seconds=9.0),
            Endpoint(pod=f"{name}-b", age_seconds=3.0),
            Endpoint(pod=f"{name}-c", ready=False),
            Endpoint(pod="other", age_seconds=1.0),
        )
    )
    assert release(idle(stable=ages)).stable_age(V1) == 3.0
    assert release(idle(stable=Pool())).stable_age(V1) == inf


@pytest.mark.parametrize(
    ("history", "most"),
    [((), None), (((5.0, 1),), None), (((5.0, 1), (9.0, 3), (12.0, 2)), 3), (((10.0, 2),), 2)],
)
def test_what_was_not_looked_at_for_so_long_is_not_known(
    history: tuple[tuple[float, int], ...], most: int | None
) -> None:
    assert Pool(history=history).most_ready_within(10) == most


def test_a_canary_is_stale_when_it_carries_something_else() -> None:
    assert not release(running()).is_canary_stale
    assert not release(idle()).is_canary_stale
    assert release(running(kept=record(revision=V3))).is_canary_stale
    newer = put(running(), DEPLOYMENT, pending_deployment("v3", generation=3))
    assert not release(newer).is_canary_stale  # it carries what its record says
    broken = put(running(), DEPLOYMENT, annotated(canary()[0], {names.RELEASE: "x"}))
    assert release(broken).is_canary_stale
    edited = changed(canary()[0], spec={"template": {"spec": {"hostNetwork": True}}})
    assert release(put(running(), DEPLOYMENT, edited)).is_canary_stale


@pytest.mark.parametrize(
    ("selector", "selected"),
    [({names.TRACK: "canary"}, True), ({"app": "myapp-canary"}, True), ({"app": "x"}, False)],
)
def test_a_service_that_selects_canary_pods_is_found(
    selector: dict[str, str], selected: bool
) -> None:
    greedy = {**service(selector=selector), "metadata": meta("Service", "greedy")}
    assert release(put(running(), SERVICE, greedy)).are_canary_pods_selected is selected


# Routes.


def test_the_widest_and_the_narrowest_of_several_routes() -> None:
    world = running(
        ingresses=(
            ingress(),
            ingress("web"),
            route(exposed(5, frozenset({"mia"}))),
            route(exposed(9), main="web"),
        )
    )
    assert release(world).widest == exposed(9)
    assert release(world).narrowest == exposed(5)
    assert release(world).is_open


def test_a_main_without_a_route_leaves_nothing_in_common() -> None:
    world = running(ingresses=(ingress(), ingress("web"), route(exposed(5))))
    assert release(world).narrowest == CLOSED
    assert release(idle()).widest == CLOSED


def test_an_orphan_counts_for_what_is_exposed() -> None:
    world = without(running(exposure=exposed(5)), INGRESS, NAME)
    assert release(world).widest == exposed(5)


def test_a_release_has_started_once_a_step_or_a_door_was_seen() -> None:
    assert release(running(kept=record(step=0), exposure=CLOSED)).is_started
    assert release(running(kept=record(), exposure=exposed(1))).is_started
    assert not release(running(kept=record(), exposure=CLOSED)).is_started


def test_a_route_of_the_same_paths_and_class_is_derived() -> None:
    found = release(running())
    assert found.is_derived(route(), ingress())


@pytest.mark.parametrize(
    "drift",
    [
        {"tls": [{"hosts": ["a"]}]},
        {"defaultBackend": {"service": {"name": NAME}}},
        {"ingressClassName": "x"},
        {"rules": []},
    ],
)
def test_a_route_with_anything_else_in_it_is_not(drift: dict[str, Any]) -> None:
    assert not release(running()).is_derived(changed(route(), spec=drift), ingress())


# Time.


@pytest.mark.parametrize(
    ("ago", "seen", "left"),
    [
        (0, 0, 11.0),
        (10, LONG, 1.0),  # Date minus stamp at least D + 1 s ...
        (11, LONG, 0.0),
        (LONG, 9, 1.0),  # ... and seen for D by this process
        (LONG, 10, 0.0),
        (-3600, LONG, 11.0),  # a stamp in the future counts as now
        (-3600, 0, 11.0),
    ],
)
def test_a_deadline_has_passed_when_both_clocks_say_so(
    ago: float, seen: float, left: float
) -> None:
    path = route(at=NOW - timedelta(seconds=ago))
    world = replace(put(running(), INGRESS, path), seen=seen_for(seen, path))
    assert release(world).settling(10) == left


def test_a_restarted_process_waits_anew() -> None:
    world = running()
    assert release(world).settling(10) <= 0
    assert release(replace(world, seen={})).settling(10) == 10.0


def test_a_time_kept_in_the_record_counts_where_its_ingress_is_gone() -> None:
    kept = record(changed=stamp(NOW - timedelta(seconds=4)))
    world = without(running(kept=kept), INGRESS, CANARY)
    assert release(world).settling(10) == 10.0
    seen = {(uid("Deployment", CANARY), kept.changed): 4.0}
    assert release(replace(world, seen=seen)).settling(10) == 7.0


def test_where_nothing_is_written_nothing_has_to_settle() -> None:
    assert release(idle()).settling(10) == 0.0
    assert release(idle()).last_changed == ""


@pytest.mark.parametrize(("text", "seconds"), [("", 0.0), ("nonsense", 0.0), (stamp(NOW), 0.0)])
def test_of_a_time_that_nobody_knows_nothing_has_passed(text: str, seconds: float) -> None:
    assert release(idle()).since(text) == seconds
    assert release(idle()).since(stamp(NOW + timedelta(hours=1))) == 0.0
    assert release(idle()).until(-5) == NOW


# What is remembered.


def test_a_rejection_counts_while_its_template_is_the_pending_one() -> None:
    assert release(remembering(pending(), rejected={"revision": V2})).is_rejected
    assert not release(remembering(pending(), rejected={"revision": V3})).is_rejected
    assert not release(remembering(idle(), rejected={"revision": V1})).is_rejected


def test_an_outcome_ends_exactly_the_release_it_names() -> None:
    def concluded(**outcome: str) -> bool:
        values = {"revision": V2, "since": record().since, "result": "aborted", **outcome}
        return release(remembering(running(), outcome=values)).is_concluded

    assert concluded()
    assert not concluded(since="another time")
    assert not concluded(revision=V3)
    assert not release(running()).is_concluded


def test_stable_is_lost_when_its_set_is_gone_with_a_template_pending() -> None:
    lost = replace(replica_set("v2", 0), revision="another")
    world = remembering(pending(replica_sets=(lost,)), **stable_known(V1, 1))
    assert release(world).is_stable_lost
    assert not release(remembering(pending(), **stable_known(V1, 1))).is_stable_lost


@pytest.mark.parametrize(
    ("missing", "enrolled"), [(0.0, True), (29.9, True), (30.0, False), (1e9, False)]
)
def test_a_service_that_is_gone_is_enrolled_for_half_a_minute(
    missing: float, enrolled: bool
) -> None:
    gone = replace(without(idle(), SERVICE, NAME), service_missing_seconds=missing)
    assert release(gone).is_enrolled is enrolled
    left = put(idle(), SERVICE, labelled(service(), {names.CANARY: None}))
    assert not release(left).is_enrolled


@pytest.mark.parametrize(
    ("number", "roll"),
    [("2", Roll.ROLLING), ("1", Roll.HELD), ("0", Roll.HELD), ("two", Roll.HELD)],
)
def test_a_deployment_that_counts_more_replica_sets_than_are_seen_has_rolled(
    number: str, roll: Roll
) -> None:
    world = put(running(), DEPLOYMENT, annotated(pending_deployment(), {REVISION: number}))
    assert release_of(world, NOW).roll is roll
    unknown = tuple(replace(entry, number=0) for entry in world.replica_sets)
    assert release_of(replace(world, replica_sets=unknown), NOW).roll is Roll.HELD


@pytest.mark.parametrize(
    ("number", "stable", "kept", "roll"),
    [
        ("3", pending_deployment(), record(), Roll.HELD),
        ("2", pending_deployment(), record(), Roll.DONE),
        ("3", pending_deployment(), record(approval=V2), Roll.ROLLING),
        ("3", deployment("v2"), record(), Roll.ROLLING),
        ("3", deployment("v1", paused=True), record(), Roll.DONE),
    ],
)
def test_replica_sets_of_before_the_release_are_no_roll_of_it(
    number: str, stable: Object, kept: Record, roll: Roll
) -> None:
    """An old list shows that v3 served, and not yet v1 that serves as this release begins."""
    world = put(running(kept=kept), DEPLOYMENT, annotated(stable, {REVISION: number}))
    sets = (replica_set("v3", 4, number=2), *world.replica_sets[1:])
    assert release_of(replace(world, replica_sets=sets), NOW).roll is roll


def test_without_a_record_replica_sets_are_taken_as_they_are_seen() -> None:
    lost = annotated(canary()[0], {names.RELEASE: "{"})
    world = put(put(running(), DEPLOYMENT, lost), DEPLOYMENT, deployment("v1", paused=True))
    counted = annotated(pending_deployment(), {REVISION: "3"})
    sets = (replica_set("v3", 1, number=2), *world.replica_sets)
    world = replace(put(world, DEPLOYMENT, counted), replica_sets=sets)
    assert release_of(world, NOW).roll is Roll.ROLLING


@pytest.mark.parametrize(("accounts", "header"), [({"alice"}, "X-Account"), (set(), None)])
def test_of_a_rule_that_is_not_ours_only_the_accounts_beside_it_may_be_written(
    accounts: set[str], header: str | None
) -> None:
    """Of two routes one may have the accounts, and the other what somebody wrote."""
    ours = Exposure(weight=10, header=header, accounts=frozenset(accounts))
    theirs = replace(ours, header="X-Account", suffix=UNKNOWN, share=Fraction(1))
    assert writable(theirs) == ours
    assert writable(replace(ours, suffix="7")) == replace(ours, suffix="7")
