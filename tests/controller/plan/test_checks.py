"""Each reason for which exposure must not rise: its words, its end, and its place in the order."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from controller.api import names
from controller.api.objects import DEPLOYMENT, INGRESS, SERVICE
from controller.plan.checks import Hold, hold_on
from controller.plan.observed import Endpoint, Observed, Parameters, Pool
from controller.plan.release import release_of
from controller.plan.traffic.exposure import CLOSED
from tests.controller.plan.applied import CANARY, annotated, changed, labelled, put, without
from tests.controller.plan.worlds import (
    LONG,
    NAME,
    NOW,
    V2,
    canary,
    exposed,
    ingress,
    meta,
    pending_deployment,
    pool,
    record,
    replica_set,
    route,
    running,
    seen_for,
    service,
    status,
    uid,
)

TEN = exposed(10)


def hold(world: Observed, target: Any = TEN) -> Hold | None:
    return hold_on(release_of(world, NOW), target)


def good() -> Observed:
    return running({names.WEIGHT: "5"})


def with_stable(obj: Any) -> Observed:
    return put(good(), DEPLOYMENT, obj)


def with_canary_pods(*ages: float, ready: bool = True) -> Observed:
    name = canary()[1].name
    endpoints = tuple(
        Endpoint(pod=f"{name}-{i}", ready=ready, age_seconds=age) for i, age in enumerate(ages)
    )
    return replace(good(), canary=Pool(endpoints=endpoints))


def remembering(**values: Any) -> Observed:
    world = good()
    return put(world, SERVICE, annotated(world.service or {}, status(**values)))


def selecting_the_canary() -> Observed:
    greedy = {**service(selector={names.TRACK: "canary"}), "metadata": meta("Service", "greedy")}
    return put(good(), SERVICE, greedy)


def selecting_this_canary() -> Observed:
    """Other labels would escape; the pods that are there do not."""
    tier = {"template": {"metadata": {"labels": {"tier": "web"}}}}
    shown = changed(canary()[0], spec=tier)
    greedy = service(selector={"app": "myapp-canary", "tier": "web"})
    world = put(good(), DEPLOYMENT, changed(pending_deployment(), spec=tier))
    world = put(world, DEPLOYMENT, shown)
    return put(world, SERVICE, {**greedy, "metadata": meta("Service", "greedy")})


def with_another_path() -> dict[str, Any]:
    main = ingress()
    rules = main["spec"]["rules"]
    return changed(main, spec={"rules": [*rules, {**rules[0], "host": "second.example"}]})


def closed_just_now() -> Observed:
    path = route(CLOSED, at=NOW)
    return replace(put(good(), INGRESS, path), seen=seen_for(0.0, path))


def test_what_closes_waits_for_no_proxy() -> None:
    assert hold(closed_just_now()) is not None
    assert hold(closed_just_now(), CLOSED) is None


def lost() -> Observed:
    of_another = replace(replica_set("v2", 0), revision="another")
    known = {"revision": record().stable, "uid": uid("Deployment", NAME), "generation": 1}
    world = remembering(stable=known)
    return replace(world, replica_sets=(of_another, canary()[1]), stable=Pool())


def shrinking() -> Observed:
    return put(good(), INGRESS, annotated(route(exposed(5)), {names.SHRINK: "0"}))


HELD_BACK: dict[str, tuple[Observed, str, str]] = {
    "a refusal": (
        put(good(), INGRESS, ingress(affinity="cookie")),
        "AffinityOnMain",
        (
            "Ingress myapp has nginx.ingress.kubernetes.io/affinity: clients stick to a side, "
            "whatever header or weight says; accept it with serinus.dev/accept=affinity"
        ),
    ),
    "an invalid configuration": (
        running(
            {names.WEIGHT: "5"},
            service=service({names.WEIGHT: "five"}),
        ),
        "InvalidConfiguration",
        "serinus.dev/weight: 'five' does not fit; allowed: a whole number from 0 to 100",
    ),
    "an abort": (
        remembering(rejected={"revision": V2}),
        "Ended",
        "this release has ended; nothing is raised any more",
    ),
    "an outcome": (
        remembering(
            outcome={"revision": V2, "since": record().since, "result": "aborted", "why": "x"}
        ),
        "Ended",
        "this release has ended; nothing is raised any more",
    ),
    "a hold that somebody took off": (
        with_stable(labelled(pending_deployment(), {names.HELD: None})),
        "HeldLabelRemoved",
        (
            "label serinus.dev/held was taken off Deployment myapp: resume rolls it without "
            "us; to go on with the canary put the label back"
        ),
    ),
    "canary pods that may be going": (
        shrinking(),
        "CanaryShrinking",
        "canary pods are about to be removed: that is done, or called off, first",
    ),
    "a stable version that is gone": (
        lost(),
        "StableLost",
        "the ReplicaSet that served is gone: promote, or put the old template back and resume",
    ),
    "a Service that selects canary pods": (
        selecting_the_canary(),
        "CanaryPodsSelected",
        (
            "some Service of the namespace would select the canary pods whatever label of "
            "Deployment myapp is changed; add a label of its own to that selector"
        ),
    ),
    "a Service that came to select the canary pods there are": (
        selecting_this_canary(),
        "CanaryPodsSelected",
        (
            "a Service of the namespace selects the canary pods by their labels: change its "
            "selector, or delete it"
        ),
    ),
    "a canary of another revision": (
        with_stable(
            changed(pending_deployment("v2", replicas=4), spec={"template": {"spec": {"x": 1}}})
        ),
        "CanaryReplaced",
        "the canary does not carry this revision yet",
    ),
    "a main without a route beside it": (
        without(good(), INGRESS, CANARY),
        "RouteMissing",
        "the canary Ingress beside myapp is missing",
    ),
    "a main with a path that the route has not": (
        put(good(), INGRESS, with_another_path()),
        "RuleMismatch",
        (
            "the canary Ingress beside myapp has not the class and paths of its main: they are "
            "derived again"
        ),
    ),
    "a route of another class": (
        put(good(), INGRESS, changed(route(TEN), spec={"ingressClassName": "other"})),
        "RuleMismatch",
        (
            "the canary Ingress beside myapp has not the class and paths of its main: they are "
            "derived again"
        ),
    ),
    "too few pods": (with_canary_pods(LONG), "WaitingForPods", "1 of 2 canary pods are ready"),
    "pods that are not ready": (
        with_canary_pods(0, 0, ready=False),
        "WaitingForPods",
        "0 of 2 canary pods are ready",
    ),
    "pods of another template": (
        replace(good(), canary=pool("myapp-canary-other", 2)),
        "WaitingForPods",
        "0 of 2 canary pods are ready",
    ),
    "pods that stand for more than are ready": (
        replace(
            good(),
            replica_sets=(replica_set("v1", 4), replace(canary()[1], pods=3, wanted=3)),
        ),
        "WaitingForPods",
        "2 of 2 canary pods are ready; the canary Deployment is not complete at this revision",
    ),
    "pods that the proxy may not know": (
        with_canary_pods(LONG, 3.0),
        "WaitingForProxy",
        "2 canary pods are ready; the proxy may not know all of them yet",
    ),
    "a route that was closed just now": (
        closed_just_now(),
        "WaitingForProxy",
        "the proxy may not know the canary Ingress as it is yet",
    ),
    "a stable that is short": (
        replace(good(), stable=pool(replica_set("v1", 4).name, 3)),
        "StableShort",
        "3 of 4 stable pods are ready for what stays with them",
    ),
}


@pytest.mark.parametrize("case", HELD_BACK)
def test_holds_and_says_why(case: str) -> None:
    world, reason, said = HELD_BACK[case]
    found = hold(world)
    assert found is not None
    assert (found.reason, found.message) == (reason, said)


def test_raises_where_nothing_is_in_the_way() -> None:
    assert hold(good()) is None
    assert hold(good(), exposed(50, frozenset({"mia"}), cookie="beta")) is None


def test_what_raises_nothing_waits_for_no_removal() -> None:
    assert hold(shrinking(), exposed(5)) is None
    assert hold(shrinking(), exposed(4)) is None


TIMED = {"pods that the proxy may not know": 7.0, "a route that was closed just now": 11.0}


@pytest.mark.parametrize("case", HELD_BACK)
def test_a_hold_ends_by_itself_only_where_time_is_all_that_is_missing(case: str) -> None:
    found = hold(HELD_BACK[case][0])
    assert found is not None
    assert found.left_seconds == TIMED.get(case)


@pytest.mark.parametrize(
    ("ready", "stable_least", "age", "held"),
    [
        (5.0, None, 9.9, True),
        (5.0, None, 10.0, False),  # D_prop is the longest
        (25.0, None, 24.9, True),
        (25.0, None, 25.0, False),  # --ready-wait is
        (5.0, 60, 59.9, True),
        (5.0, 60, 60.0, False),  # minReadySeconds of the template is
    ],
)
def test_pods_count_once_they_were_ready_for_the_longest_of_three_times(
    ready: float, stable_least: int | None, age: float, held: bool
) -> None:
    world = with_canary_pods(age, age)
    stable = changed(pending_deployment(), spec={"minReadySeconds": stable_least})
    world = put(world, DEPLOYMENT, stable)
    world = replace(world, parameters=Parameters(propagation_seconds=10, ready_seconds=ready))
    assert (hold(world) is not None) is held


def test_a_target_that_stays_with_stable_needs_what_it_leaves_there() -> None:
    half = replace(running({names.WEIGHT: "5"}, pods=4), stable=pool(replica_set("v1", 4).name, 2))
    assert hold(half, exposed(50)) is None
    found = hold(half, exposed(49))
    assert found is not None
    assert found.message == "2 of 3 stable pods are ready for what stays with them"


def test_the_only_stable_pod_is_enough_where_one_is_all_there_is() -> None:
    small = put(good(), DEPLOYMENT, pending_deployment(replicas=1))
    one = replace(small, stable=pool(replica_set("v1", 1).name, 1))
    assert hold(one) is None
    found = hold(replace(one, stable=Pool()))
    assert found is not None
    assert found.message == "0 of 1 stable pods are ready for what stays with them"


@pytest.mark.parametrize(("seen", "left"), [(9.5, 0.5), (10.0, None)])
def test_a_closed_route_is_waited_for_to_the_end(seen: float, left: float | None) -> None:
    path = route(CLOSED, at=NOW - timedelta(hours=1))
    found = hold(replace(put(good(), INGRESS, path), seen=seen_for(seen, path)))
    assert (found and found.left_seconds) == left


def test_pods_without_any_time_to_wait_for_count_at_once() -> None:
    world = replace(with_canary_pods(0.0, 0.0), parameters=Parameters(propagation_seconds=0))
    at_once = replace(world.parameters, ready_seconds=0)
    assert hold(replace(world, parameters=at_once)) is None


def test_nothing_is_raised_without_any_main() -> None:
    world = without(good(), INGRESS, NAME)
    found = hold(world)
    assert found is not None
    assert found.reason == "IngressWithoutService"


def test_what_is_not_known_yet_holds() -> None:
    """T12, for a process that has just begun to look: no age, no history, no time seen."""
    fresh = with_canary_pods(0.0, 0.0)
    found = hold(replace(fresh, seen={}))
    assert found is not None
    assert found.reason == "WaitingForProxy"
