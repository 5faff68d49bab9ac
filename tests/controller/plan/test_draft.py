"""The draft of a plan, and that what has nothing to act on writes nothing."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from controller.api import names
from controller.api.objects import DEPLOYMENT, SERVICE
from controller.plan.draft import Draft, canary_spec, draft_of, keep
from controller.plan.observed import Observed
from controller.plan.pods import create_canary, ensure_budget, ensure_service, replace_template
from controller.plan.promote import plan_promotion
from controller.plan.release import Release, release_of
from controller.plan.routes import canary_refs, ensure_routes, stable_refs
from controller.plan.start import plan_canary
from controller.plan.writes import Event
from tests.controller.plan.applied import put, without
from tests.controller.plan.worlds import NOW, idle, meta, record, replica_set, running, service

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
