"""Sizing the canary and keeping its Service and budget as they have to be."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from controller.api import names
from controller.api.objects import DEPLOYMENT, DISRUPTION_BUDGET, INGRESS, SERVICE, stamp
from controller.plan.observed import Observed
from controller.plan.traffic.exposure import CLOSED
from controller.plan.writes import Merge
from tests.controller.plan.applied import CANARY, annotated, changed, object_in, put
from tests.controller.plan.plans import Pass, passed
from tests.controller.plan.worlds import (
    LONG,
    NOW,
    canary,
    exposed,
    meta,
    record,
    route,
    running,
    seen_for,
    service,
)

SCALE = f"merge Deployment {CANARY}"


def sized(annotations: dict[str, str], *, at: int = 0, pods: int = 2, **more: Any) -> Observed:
    """A release that stands at one weight while the annotations ask for another."""
    return running(annotations, exposure=exposed(at), kept=record(step=at), pods=pods, **more)


def replicas(done: Pass) -> int:
    found = object_in(done.after, DEPLOYMENT, CANARY)
    assert found is not None
    return int(found["spec"]["replicas"])


@pytest.mark.parametrize(
    ("annotations", "pods", "wanted"),
    [
        ({names.WEIGHT: "75"}, 2, 3),
        ({names.WEIGHT: "100"}, 2, 4),
        ({names.WEIGHT: "1"}, 1, 2),
        ({names.WEIGHT: "100", names.REPLICAS: "3"}, 2, 3),
        ({names.WEIGHT: "100", names.REPLICAS: "50%"}, 1, 2),
        ({names.REPLICAS: "3"}, 1, 3),
    ],
)
def test_grows_at_once_for_what_is_asked(
    annotations: dict[str, str], pods: int, wanted: int
) -> None:
    done = passed(sized(annotations, pods=pods))
    assert SCALE in done.does
    assert replicas(done) == wanted
    assert done.exposure == CLOSED  # pods first, then traffic


def test_the_users_replicas_cap_the_weight_and_it_is_said() -> None:
    done = passed(sized({names.WEIGHT: "80", names.REPLICAS: "2"}, at=50))
    assert done.exposure == exposed(50)
    assert done.status.message.startswith(
        "weight 80 is asked, but 2 pods of serinus.dev/replicas carry 50"
    )


def shrinking(ago: float, seen: float) -> Observed:
    """Lowered from 100 to 10 a while ago, with the pods for 100 still there, and announced so."""
    lowered = route(exposed(10), at=NOW - timedelta(seconds=ago))
    path = annotated(lowered, {names.SHRINK: "0"})
    world = put(sized({names.WEIGHT: "10"}, at=10, pods=4), INGRESS, path)
    return replace(world, seen=seen_for(seen, path))


@pytest.mark.parametrize(
    ("ago", "seen", "left"), [(0, 0, 41.0), (39, LONG, 2.0), (LONG, 20, 20.0), (41, 40, None)]
)
def test_shrinks_only_after_what_it_carried_has_drained(
    ago: float, seen: float, left: float | None
) -> None:
    done = passed(shrinking(ago, seen))
    assert done.plan.wake_seconds == left
    assert replicas(done) == (2 if left is None else 4)


def test_a_removal_of_capacity_is_conditional_and_read_afresh() -> None:
    (write,) = passed(shrinking(LONG, LONG)).on(DEPLOYMENT, CANARY)
    assert isinstance(write, Merge)
    assert write.patch["metadata"]["resourceVersion"] == "100"
    assert {(str(ref.kind), ref.name) for ref in write.confirm} == {
        ("Deployment", CANARY),
        ("EndpointSlice", CANARY),
        ("Ingress", CANARY),
    }


def test_a_removal_that_is_due_goes_on_beside_a_raise_that_waits_for_it() -> None:
    """The record that is still to be written is written first, and calls nothing off."""
    asked = {names.WEIGHT: "25", names.CHECKS: "restarts"}
    ours = object_in(shrinking(LONG, LONG), INGRESS, CANARY)
    assert ours is not None
    world = put(sized(asked, at=10, pods=4), INGRESS, ours)
    done = passed(replace(world, seen=seen_for(LONG, ours)))
    assert done.record == record(step=10, exposed=stamp(NOW))
    assert replicas(done) == 4


def test_does_not_shrink_while_more_is_exposed_than_fewer_carry() -> None:
    done = passed(sized({names.WEIGHT: "10"}, at=100, pods=4))
    assert done.exposure == exposed(10)
    assert replicas(done) == 4


# The canary Service.


def with_ours(**spec: Any) -> Observed:
    world = sized({})
    return put(world, SERVICE, changed(world.services[1], spec=spec))


@pytest.mark.parametrize(
    "drift",
    [
        {"ports": [{"port": 81}]},
        {"selector": {"app": "myapp"}},
        {"selector": {"app": "nobody", names.SERVICE: "myapp", names.TRACK: "canary"}},
        {"selector": None},
    ],
)
def test_the_canary_service_is_put_right(drift: dict[str, Any]) -> None:
    done = passed(with_ours(**drift))
    found = object_in(done.after, SERVICE, CANARY)
    assert found is not None
    assert found["spec"]["ports"] == [{"port": 80, "targetPort": 8080, "protocol": "TCP"}]
    assert found["spec"]["selector"] == {names.SERVICE: "myapp", names.TRACK: "canary"}


def test_a_default_that_the_server_fills_in_is_no_drift() -> None:
    plain = service(ports=[{"port": 80, "targetPort": 8080}])
    assert passed(put(sized({}), SERVICE, plain)).on(SERVICE, CANARY) == []


def test_a_canary_service_that_was_deleted_comes_back() -> None:
    world = sized({})
    done = passed(replace(world, services=world.services[:1]))
    assert f"create Service {CANARY}" in done.does


# The disruption budget.


def theirs(**labels: str) -> dict[str, Any]:
    return {
        "metadata": meta("PodDisruptionBudget", "theirs"),
        "spec": {"selector": {"matchLabels": labels}},
    }


def budgets(done: Pass) -> set[str]:
    return {one["metadata"]["name"] for one in done.after.budgets}


def test_two_canary_pods_get_a_budget_and_one_has_none() -> None:
    assert budgets(passed(sized({}, budgets=()))) == {CANARY}
    assert budgets(passed(sized({}, pods=1))) == set()


def test_a_budget_of_the_users_that_selects_the_pods_takes_its_place() -> None:
    selecting = theirs(**{names.TRACK: "canary"})
    assert budgets(passed(sized({}, budgets=(selecting,)))) == {"theirs"}
    world = put(sized({}), DISRUPTION_BUDGET, selecting)
    assert budgets(passed(world)) == {"theirs"}
    beside = put(sized({}), DISRUPTION_BUDGET, theirs(app="myapp"))
    assert budgets(passed(beside)) == {CANARY, "theirs"}


def test_a_budget_that_is_no_longer_needed_does_no_harm() -> None:
    one, _ = canary(pods=1)
    world = put(sized({}), DEPLOYMENT, one)
    assert budgets(passed(world)) == {CANARY}
