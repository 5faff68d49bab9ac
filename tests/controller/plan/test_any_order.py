"""A plan has no order: whatever part of it was carried out, the release goes on to the same end."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.api import names
from controller.api.objects import (
    DEPLOYMENT,
    INGRESS,
    SERVICE,
    is_paused,
    replicas_of,
    template_of,
)
from controller.plan.decide import decide
from controller.plan.observed import Observed
from controller.plan.release import release_of
from controller.plan.stages import NEXT, Stage
from controller.plan.writes import Write
from tests.controller.plan.applied import (
    CANARY,
    ConflictError,
    annotated,
    apply,
    changed,
    labelled,
    object_in,
    put,
    settled,
)
from tests.controller.plan.worlds import (
    NAME,
    NOW,
    V1,
    V2,
    idle,
    ingress,
    nginx,
    template,
)

MINUTE = timedelta(minutes=1)
DOORS = {names.HEADER: "X-Account", names.HEADER_VALUES: "alice, bob"}
User = Callable[[Observed], Observed]
Chosen = Callable[[tuple[Write, ...], int], tuple[Write, ...]]


def writes_annotations(**short: str | None) -> User:
    values = {f"{names.PREFIX}{key}": value for key, value in short.items()}

    def act(world: Observed) -> Observed:
        return put(world, SERVICE, annotated(world.service or {}, values))

    return act


def sets_image(version: str, *, generation: int) -> User:
    """As the hold policy has it: paused in the very request, unless the template is the old one."""

    def act(world: Observed) -> Observed:
        stable = object_in(world, DEPLOYMENT, NAME)
        assert stable is not None
        patch = {"template": template(version), "paused": True}
        return put(
            world,
            DEPLOYMENT,
            changed(stable, spec=patch, metadata={"generation": generation}),
        )

    return act


def resumes(world: Observed) -> Observed:
    """`kubectl rollout resume` on a pending template, as the hold policy turns it."""
    stable = object_in(world, DEPLOYMENT, NAME)
    assert stable is not None
    generation = str(stable["metadata"]["generation"])
    return put(world, DEPLOYMENT, labelled(stable, {names.RESUME: generation}))


def leaves(world: Observed) -> Observed:
    return put(world, SERVICE, labelled(world.service or {}, {names.CANARY: None}))


START = sets_image("v2", generation=2)
TEN = writes_annotations(weight="10")
PROMOTE = writes_annotations(action=f"promote:{V2}")
ABORT = writes_annotations(action="abort")

STORIES: dict[str, tuple[User, ...]] = {
    "promoted by action": (START, TEN, PROMOTE),
    "promoted by rollout resume": (START, TEN, resumes),
    "approved in Starting": (START, resumes),
    "promoted in place": (writes_annotations(promotion="in-place"), START, TEN, PROMOTE),
    "aborted": (START, TEN, ABORT),
    "aborted and tried again": (START, ABORT, writes_annotations(action=f"retry:{V2}")),
    "a newer template": (START, TEN, sets_image("v3", generation=3)),
    "the old template put back": (START, TEN, sets_image("v1", generation=3)),
    "un-enrolled": (START, TEN, leaves),
}
ENDS: dict[str, tuple[Stage | None, str, bool]] = {
    "promoted by action": (Stage.IDLE, V2, False),
    "promoted by rollout resume": (Stage.IDLE, V2, False),
    "approved in Starting": (Stage.IDLE, V2, False),
    "promoted in place": (Stage.IDLE, V2, False),
    "aborted": (Stage.ABORTED, V1, True),
    "aborted and tried again": (Stage.CANARY, V1, True),
    "a newer template": (Stage.CANARY, V1, True),
    "the old template put back": (Stage.IDLE, V1, False),
    "un-enrolled": (None, V1, True),
}
"""Where each story ends: the stage, the revision that serves, whether stable is paused."""


def everything(writes: tuple[Write, ...], _: int) -> tuple[Write, ...]:
    return writes


def backwards(writes: tuple[Write, ...], _: int) -> tuple[Write, ...]:
    return writes[::-1]


def one(writes: tuple[Write, ...], passes: int) -> tuple[Write, ...]:
    """A process that dies after one write, and not for ever after the same one."""
    return (writes[passes % len(writes)],) if writes else ()


def all_but_one(writes: tuple[Write, ...], passes: int) -> tuple[Write, ...]:
    failed = passes % (len(writes) + 1)
    return writes[:failed] + writes[failed + 1 :]


class Telling:
    """A story told with whatever part of each plan is carried out."""

    def __init__(self, chosen: Chosen) -> None:
        self.chosen = chosen
        self.world = settled(idle(DOORS))
        self.now: datetime = NOW
        self.stages: list[Stage | None] = []
        self.passes = 0

    def go_on(self) -> None:
        """Make passes until nothing is left to write."""
        for _ in range(60):
            if not self._one_pass():
                return
        raise AssertionError(f"never quiet: {decide(self.world, self.now)}")

    def _one_pass(self) -> bool:
        plan = decide(self.world, self.now)
        stage = Stage(plan.stage) if plan.stage is not None else None
        if not self.stages or self.stages[-1] != stage:
            self.stages.append(stage)
        for write in self.chosen(plan.writes, self.passes):
            self._carry_out(write)
        self.world = settled(self.world)
        self.now += MINUTE
        self.passes += 1
        return bool(plan.writes)

    def _carry_out(self, write: Write) -> None:
        before = self.world
        try:
            self.world = apply(before, write)
        except ConflictError:
            return
        forbid(before, self.world)


def forbid(before: Observed, after: Observed) -> None:
    """Nothing that safety.md section 5 forbids may stand after any single write of ours."""
    canary, route = object_in(after, DEPLOYMENT, CANARY), object_in(after, INGRESS, CANARY)
    stable = object_in(after, DEPLOYMENT, NAME)
    assert stable is not None
    exposure = nginx().exposure_of(route) if route is not None else None
    if exposure is not None and exposure.is_open:  # S1, S20
        assert canary is not None, "exposed without a canary"
        assert object_in(after, SERVICE, CANARY) is not None, "exposed without its Service"
        assert replicas_of(canary) >= exposure.pods_needed(4), "exposed to too few pods"
    if route is not None and object_in(before, INGRESS, CANARY) is None:  # S6
        assert exposure is not None
        assert not exposure.is_open, "created open"
    for kind, theirs in ((DEPLOYMENT, NAME), (SERVICE, NAME)):  # S14
        one, two = object_in(before, kind, theirs), object_in(after, kind, theirs)
        assert one is not None
        assert two is not None
        kept = {**two["spec"], "paused": None}
        assert kept == {**one["spec"], "paused": None}, "wrote a spec of the user's"
    old = object_in(before, DEPLOYMENT, CANARY)
    if old is not None and canary is not None and template_of(old) != template_of(canary):
        assert exposure is None or not exposure.is_open, "another template under exposure"
    assert object_in(after, INGRESS, NAME) == ingress(), "wrote the user's Ingress"
    was = object_in(before, DEPLOYMENT, NAME)
    assert was is not None
    if is_paused(was) and not is_paused(stable):  # P3, T3
        release = release_of(before, NOW)
        if not release.is_pending:  # the pause was the policy's, and its reason is gone
            return
        approved = release.record is not None and release.record.approval == V2
        assert approved, "let go without approval"
        assert exposure is not None
        in_place = release.intent is not None and release.intent.in_place
        assert exposure.weight == (10 if in_place else 100), "let go before everybody moved"


def told(story: str, chosen: Chosen) -> Telling:
    telling = Telling(chosen)
    telling.go_on()
    for user in STORIES[story]:
        telling.world = settled(user(telling.world))
        telling.go_on()
    return telling


@pytest.mark.parametrize("chosen", [everything, backwards, one, all_but_one])
@pytest.mark.parametrize("story", STORIES)
def test_ends_the_same_whatever_part_of_each_plan_is_carried_out(
    story: str, chosen: Chosen
) -> None:
    telling = told(story, chosen)
    stable = object_in(telling.world, DEPLOYMENT, NAME)
    assert stable is not None
    release = release_of(telling.world, telling.now)
    assert (telling.stages[-1], release.serving, is_paused(stable)) == ENDS[story]


@settings(max_examples=8, deadline=None)
@given(data=st.data(), story=st.sampled_from(sorted(STORIES)))
def test_no_subset_of_any_plan_leads_astray(data: st.DataObject, story: str) -> None:
    def some(writes: tuple[Write, ...], passes: int) -> tuple[Write, ...]:
        if not writes or passes % 10 == 9:  # nobody is unlucky for ever
            return writes
        count = data.draw(st.integers(1, len(writes)))
        return tuple(data.draw(st.permutations(writes)))[:count]

    telling = told(story, some)
    assert telling.stages[-1] == ENDS[story][0]


@pytest.mark.parametrize("story", STORIES)
def test_a_stage_follows_only_those_that_the_table_allows(story: str) -> None:
    stages = told(story, everything).stages
    steps = list(pairwise(stages))
    assert [step for step in steps if step[1] not in NEXT[step[0]]] == []


STAGES_TOLD: dict[str, list[Stage | None]] = {
    "promoted by action": [
        None,
        Stage.IDLE,
        Stage.STARTING,
        Stage.CANARY,
        Stage.PROMOTING,
        Stage.IDLE,
    ],
    "aborted": [
        None,
        Stage.IDLE,
        Stage.STARTING,
        Stage.CANARY,
        Stage.ROLLING_BACK,
        Stage.ABORTED,
    ],
    "a newer template": [
        None,
        Stage.IDLE,
        Stage.STARTING,
        Stage.CANARY,
        Stage.ROLLING_BACK,
        Stage.STARTING,
        Stage.CANARY,
    ],
}


@pytest.mark.parametrize("story", STAGES_TOLD)
def test_tells_the_stages_of_the_manual_in_their_order(story: str) -> None:
    assert told(story, everything).stages[-len(STAGES_TOLD[story]) + 1 :] == STAGES_TOLD[story][1:]


def test_the_user_finds_what_he_wrote_after_leaving() -> None:
    telling = told("un-enrolled", everything)
    service = telling.world.service
    stable = object_in(telling.world, DEPLOYMENT, NAME)
    assert service is not None
    assert stable is not None
    assert service["metadata"]["annotations"] == {**DOORS, names.WEIGHT: "10"}
    assert service["status"] == {"loadBalancer": {}}
    assert stable["metadata"]["labels"] == {"app": "myapp"}
    assert telling.world.ingresses == (ingress(),)
    assert [obj["metadata"]["name"] for obj in telling.world.deployments] == [NAME]


def test_a_restart_on_a_world_at_rest_writes_nothing() -> None:
    for story in STORIES:
        telling = told(story, everything)
        assert decide(telling.world, telling.now + MINUTE).writes == ()
        assert decide(replace(telling.world, seen={}), telling.now).writes == ()
