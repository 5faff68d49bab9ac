"""The whole pass: the same world gives the same plan, and no world is too strange for it."""

import os
import subprocess
import sys
from copy import deepcopy
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings

from controller.api.objects import INGRESS, name_of
from controller.plan.decide import decide
from controller.plan.observed import Observed
from controller.plan.release import Release, Roll, release_of
from controller.plan.traffic.exposure import CLOSED, Exposure
from controller.plan.writes import Create, Delete, Plan, Write
from tests.controller.plan.applied import apply, object_in, without
from tests.controller.plan.good import GOOD
from tests.controller.plan.plans import digest_of_plans, passed
from tests.controller.plan.strange import strange_worlds
from tests.controller.plan.worlds import NAME, NOW, deployment, idle, ingress, running

STRANGE = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def exposure_in(world: Observed, name: str, release: Release) -> Exposure:
    obj = object_in(world, INGRESS, name)
    return release.written(obj) if obj is not None else CLOSED


def is_raised(world: Observed, release: Release, write: Write) -> bool:
    """Tell whether anybody may newly reach the canary after this write."""
    if write.kind != INGRESS or isinstance(write, Delete):
        return False
    name = name_of(write.obj) if isinstance(write, Create) else write.name
    after = exposure_in(apply(world, write), name, release)
    return not after.is_within(exposure_in(world, name, release))


def why_not(release: Release, target: Exposure) -> list[str]:
    """Return everything that should have held a raise (safety.md rule 3, S1, T4, T12)."""
    known = release.canary_ready(max(release.propagation, release.parameters.ready_seconds))
    reasons = {
        "refused": release.refusal is not None,
        "rejected": release.is_rejected,
        "concluded": release.is_concluded,
        "invalid": release.intent is None,
        "short": known < target.pods_needed(release.full),
        "left": release.roll is Roll.HELD and not release.is_enrolled,
        "no record": release.record is None,
        "stale": release.roll is Roll.HELD and release.is_canary_stale,
        "selected": release.roll is Roll.HELD and release.are_canary_pods_selected,
    }
    return [reason for reason, stands in reasons.items() if stands]


@STRANGE
@given(world=strange_worlds())
def test_no_world_is_too_strange(world: Observed) -> None:
    before = deepcopy(world)
    release = release_of(world, NOW)
    plan = decide(world, NOW)
    assert decide(world, NOW) == plan
    assert world == before  # nothing that was observed is changed
    for write in plan.writes:
        if is_raised(world, release, write):
            target = exposure_in(apply(world, write), _name(write), release)
            assert why_not(release, target) == []


def _name(write: Write) -> str:
    return name_of(write.obj) if isinstance(write, Create) else write.name


@pytest.mark.parametrize("case", GOOD)
def test_raises_in_a_good_world_only_what_is_carried(case: str) -> None:
    world = GOOD[case]
    release = release_of(world, NOW)
    raises = [write for write in decide(world, NOW).writes if is_raised(world, release, write)]
    assert bool(raises) is (case in RAISED)


RAISED = {
    "canary, rising",
    "canary, more asked than is there",
    "approved",
    "rolling",  # its rules are put back
    "rolling, less than everybody",
}


def test_the_plan_does_not_depend_on_the_order_of_any_set() -> None:
    code = (
        "from tests.controller.plan.good import GOOD\n"
        "from tests.controller.plan.plans import digest_of_plans\n"
        "print(digest_of_plans(GOOD.values()))"
    )
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed in ("1", "2")
    ]
    told = {run.communicate(timeout=60)[0].strip() for run in runs}
    assert told == {digest_of_plans(GOOD.values())}


@pytest.mark.parametrize(
    ("world", "stage", "reason", "message"),
    [
        (idle(), "Idle", "Idle", "Deployment myapp has nothing pending"),
        (
            without(idle(), INGRESS, NAME),
            None,
            "IngressWithoutService",
            (
                "no Ingress of namespace canary has a path to Service myapp (a default backend "
                "does not count)"
            ),
        ),
        (
            idle(deployments=(deployment(held=False),)),
            None,
            "TakingHold",
            "taking the hold of Deployment myapp",
        ),
    ],
)
def test_without_a_release_it_says_that_all_is_well_or_what_is_missing(
    world: Observed, stage: str | None, reason: str, message: str
) -> None:
    done = passed(world)
    told = (done.plan.stage, done.status.stage, done.status.reason, done.status.message)
    assert told == (stage, stage, reason, message)


def test_a_service_that_is_missing_is_looked_at_again_when_its_time_is_up() -> None:
    missing = replace(idle(), service=None, service_missing_seconds=12.0)
    assert decide(missing, NOW) == Plan(stage=None, wake_seconds=18.0)


def test_a_release_whose_service_is_missing_stands_still_for_30_seconds() -> None:
    missing = replace(running(), service=None, service_missing_seconds=29.0)
    assert decide(missing, NOW) == Plan(stage=None, wake_seconds=1.0)


def test_where_nothing_is_left_nothing_is_done_but_wait() -> None:
    bare = replace(idle(), service=None, deployments=(), replica_sets=())
    assert decide(bare, NOW) == Plan(stage=None, wake_seconds=30.0)


@pytest.mark.parametrize("case", GOOD)
def test_the_order_in_which_objects_were_observed_does_not_matter(case: str) -> None:
    world = GOOD[case]
    turned = replace(
        world,
        deployments=world.deployments[::-1],
        replica_sets=world.replica_sets[::-1],
        services=world.services[::-1],
        ingresses=world.ingresses[::-1],
        seen=dict(reversed(list(world.seen.items()))),
    )
    assert decide(turned, NOW) == decide(world, NOW)


def test_what_somebody_else_broke_is_told_by_its_id() -> None:
    world = running(exposure=Exposure(weight=10))
    rival = ingress("rival", canary="true")

    plan = decide(replace(world, ingresses=(*world.ingresses, rival)), NOW)

    assert plan.broken == {"S5"}
    assert any("InvariantBroken" in str(write) and "S5" in str(write) for write in plan.writes)
    assert decide(world, NOW).broken == frozenset()
