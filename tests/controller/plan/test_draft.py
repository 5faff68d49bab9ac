"""The draft of a plan, and that what has nothing to act on writes nothing."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from controller.api import names
from controller.api.objects import DEPLOYMENT, DISRUPTION_BUDGET, INGRESS, SERVICE, stamp
from controller.plan.draft import Draft, canary_spec, draft_of, keep, new_record
from controller.plan.observed import Observed
from controller.plan.pods import (
    create_canary,
    ensure_budget,
    ensure_service,
    replace_template,
    size,
)
from controller.plan.promote import plan_promotion
from controller.plan.release import Release, release_of
from controller.plan.routes import canary_refs, ensure_routes, stable_refs
from controller.plan.start import plan_canary
from controller.plan.traffic.exposure import CLOSED
from controller.plan.writes import Event
from tests.controller.plan.applied import annotated, put, without
from tests.controller.plan.worlds import (
    LONG_AGO,
    NOW,
    canary,
    idle,
    meta,
    pending_deployment,
    record,
    replica_set,
    running,
    service,
    uid,
)

NOTHING = Observed(namespace="canary", name="myapp")

MAKERS: dict[str, Callable[[Release, Draft], object]] = {
    "create_canary": lambda release, draft: create_canary(release, draft, 1),
    "replace_template": lambda release, draft: replace_template(release, draft, 1),
    "canary_spec": lambda release, draft: canary_spec(release, draft, {}, "why"),
    "ensure_service": ensure_service,
    "ensure_budget": ensure_budget,
    "ensure_routes": ensure_routes,
    "keep": keep,
    "plan_canary": plan_canary,
    "plan_promotion": plan_promotion,
}


@pytest.mark.parametrize("maker", MAKERS)
@pytest.mark.parametrize("world", [NOTHING, replace(NOTHING, replica_sets=(replica_set("v2", 1),))])
def test_where_nothing_is_nothing_is_written(maker: str, world: Observed) -> None:
    release = release_of(world, NOW)
    draft = draft_of(release)
    MAKERS[maker](release, draft)
    assert draft.writes == []


@pytest.mark.parametrize("maker", ["create_canary", "replace_template"])
def test_pods_that_some_service_would_select_are_not_made(maker: str) -> None:
    everybody = {**service(selector={names.TRACK: "canary"}), "metadata": meta("Service", "all")}
    release = release_of(put(running(), SERVICE, everybody), NOW)
    draft = draft_of(release)
    MAKERS[maker](release, draft)
    assert draft.writes == []


@pytest.mark.parametrize("maker", ["replace_template", "canary_spec", "ensure_budget"])
def test_a_canary_whose_record_is_lost_is_not_written(maker: str) -> None:
    lost = annotated(canary()[0], {names.RELEASE: "{"})
    assert drafted(put(running(), DEPLOYMENT, lost), MAKERS[maker]).writes == []


def drafted(world: Observed, act: Callable[[Release, Draft], object]) -> Draft:
    release = release_of(world, NOW)
    draft = draft_of(release)
    act(release, draft)
    return draft


def test_without_the_service_none_is_made_for_the_canary() -> None:
    assert drafted(without(running(), SERVICE, "myapp"), ensure_service).writes == []


def test_without_the_deployment_no_budget_is_made() -> None:
    world = without(without(running(), DEPLOYMENT, "myapp"), DISRUPTION_BUDGET, "myapp-canary")
    assert drafted(world, ensure_budget).writes == []


def test_everything_told_on_the_deployment_is_told() -> None:
    first, second = Event(reason="A", message="a"), Event(reason="B", message="b")
    draft = draft_of(release_of(running(), NOW))
    draft.label_stable("x", None, "why", first)
    draft.release_stable("and why", frozenset(), second)
    assert draft.stable_events == [first, second]


@pytest.mark.parametrize(("replicas", "full"), [(0, 1), (1, 1), (2, 2)])
def test_a_record_begins_with_the_size_of_stable_and_keeps_what_is_recorded(
    replicas: int, full: int
) -> None:
    world = put(running(kept=record(stable="x")), DEPLOYMENT, pending_deployment(replicas=replicas))
    assert new_record(release_of(world, NOW)) == replace(
        record(stable="x"), replicas=full, since=stamp(NOW)
    )


def shrinking(seen: float, **kept: Any) -> Observed:
    """Four pods, one of which is enough, and no Ingress of ours any more."""
    world = running(exposure=CLOSED, pods=4, kept=record(step=0, **kept))
    path = (uid("Deployment", "myapp-canary"), stamp(LONG_AGO))
    return replace(without(world, INGRESS, "myapp-canary"), seen={path: seen})


@pytest.mark.parametrize(
    ("seen", "writes", "wake"),
    [(39.5, 0, 0.5), (40.0, 1, None)],
)
def test_pods_stay_until_the_kept_time_has_passed(
    seen: float, writes: int, wake: float | None
) -> None:
    world = shrinking(seen, changed=stamp(LONG_AGO))
    draft = drafted(world, lambda release, draft: size(release, draft, CLOSED, at_least=1))
    assert (len(draft.writes), draft.wake_seconds) == (writes, wake)
    assert draft.record == record(step=0, changed=stamp(LONG_AGO))


def test_where_no_time_was_kept_it_begins_now() -> None:
    draft = drafted(
        shrinking(40.0), lambda release, draft: size(release, draft, CLOSED, at_least=1)
    )
    assert draft.writes == []
    assert draft.record == record(step=0, changed=stamp(NOW))


def test_a_promotion_without_its_deployment_waits() -> None:
    release = release_of(without(running(), DEPLOYMENT, "myapp"), NOW)
    draft = draft_of(release)
    assert plan_promotion(release, draft).message == "the Deployment is gone"
    assert draft.writes == []


def test_only_what_exists_is_read_afresh() -> None:
    release = release_of(NOTHING, NOW)
    assert {ref.name for ref in canary_refs(release)} == {"myapp-canary"}
    assert {str(ref.kind) for ref in canary_refs(release) | stable_refs(release)} == {
        "EndpointSlice"
    }


def test_without_a_record_there_is_nothing_to_note() -> None:
    draft = draft_of(release_of(idle(), NOW))
    draft.note(paused=True)
    assert draft.record is None


def test_the_soonest_of_several_wakes_wins() -> None:
    draft = draft_of(release_of(idle(), NOW))
    for seconds in (30.0, None, 7.0, 12.0):
        draft.wake_after(seconds)
    assert draft.wake_seconds == 7.0
    draft.wake_after(-5.0)
    assert draft.wake_seconds == 0.0


def test_a_record_is_kept_only_where_it_differs_and_by_one_write() -> None:
    release = release_of(running(kept=record(step=0)), NOW)
    same, noted, sized = draft_of(release), draft_of(release), draft_of(release)
    keep(release, same)
    assert same.writes == []
    noted.note(paused=True)
    keep(release, noted)
    assert len(noted.writes) == 1
    sized.note(paused=True)
    canary_spec(release, sized, {"replicas": 9}, "why")
    keep(release, sized)
    assert len(sized.writes) == 1


def test_an_event_is_normal_unless_it_is_a_warning() -> None:
    draft = draft_of(release_of(idle(), NOW))
    draft.tell("One", "m")
    draft.tell("Two", "m", warning=True)
    assert draft.events == [
        Event(reason="One", message="m", type="Normal"),
        Event(reason="Two", message="m", type="Warning"),
    ]
    assert names.HELD not in draft.labels
