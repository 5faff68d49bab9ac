"""The table of stages, by what the manual says is true in each (contract.md section 4)."""

import pytest

from controller.api import names
from controller.api.objects import DEPLOYMENT, INGRESS, SERVICE
from controller.plan.observed import Observed
from controller.plan.release import release_of
from controller.plan.stages import NEXT, STAGES, Stage, stage_of
from controller.plan.traffic.exposure import CLOSED
from tests.controller.plan.applied import CANARY, annotated, labelled, put, without
from tests.controller.plan.worlds import (
    NAME,
    NOW,
    V2,
    V3,
    canary,
    deployment,
    idle,
    ingress,
    pending,
    pending_deployment,
    record,
    rolled,
    rolling,
    running,
    status,
)

APPROVED = record(step=10, approval=V2, approved_by="action")


def remembering(world: Observed, **values: object) -> Observed:
    return put(world, SERVICE, annotated(world.service or {}, status(**values)))


def ended(world: Observed, result: str) -> Observed:
    outcome = {"revision": V2, "since": record().since, "result": result}
    return remembering(world, outcome=outcome)


NEWER = pending_deployment("v3", generation=3)

WHERE: dict[str, tuple[Observed, Stage | None]] = {
    "not enrolled": (
        put(idle(), SERVICE, labelled(idle().service or {}, {names.CANARY: None})),
        None,
    ),
    "no Deployment": (without(idle(), DEPLOYMENT, NAME), None),
    "the Service is missing": (without(running(), SERVICE, NAME), None),
    "refused": (idle(ingresses=()), None),
    "not held": (idle(deployments=(deployment(held=False),)), None),
    "at rest": (idle(), Stage.IDLE),
    "a template pending": (pending(), Stage.STARTING),
    "pods coming up": (running(kept=record(), exposure=CLOSED), Stage.STARTING),
    "a refusal while pods come up": (
        running(kept=record(), exposure=CLOSED, ingresses=(ingress(affinity="cookie"),)),
        Stage.STARTING,
    ),
    "approved before the first exposure": (
        running(kept=record(approval=V2), exposure=CLOSED),
        Stage.STARTING,
    ),
    "exposed": (running({names.WEIGHT: "5"}), Stage.CANARY),
    "started, at weight 0": (running(kept=record(step=0)), Stage.CANARY),
    "a refusal in mid-canary": (
        put(running({names.WEIGHT: "5"}), INGRESS, ingress(affinity="cookie")),
        Stage.CANARY,
    ),
    "approved": (running(kept=APPROVED), Stage.PROMOTING),
    "rolling": (rolling(), Stage.PROMOTING),
    "rolling by hand": (rolling(kept=record(step=10)), Stage.PROMOTING),
    "rolling by hand to another": (
        rolling(kept=record(step=10), stable=deployment("v3", generation=4)),
        Stage.ROLLING_BACK,
    ),
    "rolled by hand to another": (
        rolled(kept=record(step=10, revision=V3)),
        Stage.ROLLING_BACK,
    ),
    "stopped": (rolling(stable=deployment("v2", paused=True, generation=3)), Stage.PROMOTING),
    "rolling back": (rolling(stable=deployment("v1", generation=4)), Stage.PROMOTING),
    "whole again": (rolled(), Stage.PROMOTING),
    "promoted, not gone": (ended(rolled(exposure=CLOSED), "promoted"), Stage.PROMOTING),
    "aborted, not gone": (ended(running(exposure=CLOSED), "aborted"), Stage.ROLLING_BACK),
    "rejected, not gone": (
        remembering(running(exposure=CLOSED), rejected={"revision": V2}),
        Stage.ROLLING_BACK,
    ),
    "rejected and gone": (remembering(pending(), rejected={"revision": V2}), Stage.ABORTED),
    "rejected, and another is pending": (
        remembering(pending(), rejected={"revision": V3}),
        Stage.STARTING,
    ),
    "superseded": (put(running(kept=record(step=5)), DEPLOYMENT, NEWER), Stage.ROLLING_BACK),
    "superseded before it started": (
        put(running(kept=record(), exposure=CLOSED), DEPLOYMENT, NEWER),
        Stage.ROLLING_BACK,
    ),
    "the old template put back": (
        put(running(), DEPLOYMENT, deployment("v1", paused=True, generation=3)),
        Stage.ROLLING_BACK,
    ),
    "a record that is lost": (
        put(running(), DEPLOYMENT, annotated(canary()[0], {names.RELEASE: "{"})),
        Stage.ROLLING_BACK,
    ),
    "left-overs without a canary, nothing pending": (
        without(running(deployments=(deployment(), canary()[0])), DEPLOYMENT, CANARY),
        Stage.ROLLING_BACK,
    ),
    "a canary that was deleted": (without(running(), DEPLOYMENT, CANARY), Stage.STARTING),
}


@pytest.mark.parametrize("case", WHERE)
def test_a_stage_is_a_name_for_a_region_of_the_world(case: str) -> None:
    world, stage = WHERE[case]
    assert stage_of(release_of(world, NOW)) is stage


def test_every_stage_is_reached_and_can_be_left() -> None:
    assert {stage for _, stage in STAGES} == {None, *Stage}
    assert set(NEXT) == {None, *Stage}
    assert all(followers - {stage} for stage, followers in NEXT.items())


def test_the_stages_are_those_of_the_contract() -> None:
    assert [str(stage) for stage in Stage] == [
        "Idle",
        "Starting",
        "Canary",
        "Promoting",
        "RollingBack",
        "Aborted",
    ]
