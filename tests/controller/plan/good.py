"""A good world for every place where a release may stand."""

from dataclasses import replace
from typing import Any

from controller.api import names
from controller.api.objects import SERVICE, Object, stamp
from controller.plan.observed import Observed
from controller.plan.traffic.exposure import CLOSED
from tests.controller.plan.applied import annotated, put
from tests.controller.plan.worlds import (
    EVERYBODY,
    NAME,
    NOW,
    V2,
    V3,
    deployment,
    exposed,
    idle,
    ingress,
    pending,
    record,
    rolled,
    rolling,
    running,
    status,
    uid,
)

DOORS = {
    names.HEADER: "X-Account",
    names.HEADER_VALUES: "alice, bob",
    names.HEADER_SUFFIXES: "7, 00-04",
    names.COOKIE: "beta",
}
STEPS = {**DOORS, names.STEPS: "5/10m, 25/10m, 50"}
APPROVED = record(step=10, approval=V2, approved_by="action")
SCALER: Object = {
    "metadata": {"name": "scaler"},
    "spec": {"scaleTargetRef": {"kind": "Deployment", "name": NAME}, "minReplicas": 2},
}


def told(world: Observed, **values: Any) -> Observed:
    """Return the world with this status on its Service."""
    return put(world, SERVICE, annotated(world.service or {}, status(**values)))


GOOD: dict[str, Observed] = {
    "idle": idle(DOORS),
    "idle, paused": idle(
        STEPS, deployments=(deployment(paused=True),), hold="pause", autoscalers=(SCALER,)
    ),
    "not held": idle(deployments=(deployment(held=False),)),
    "starting": pending({**STEPS, names.READY_DEADLINE: "10m"}),
    "canary": running({**DOORS, names.WEIGHT: "10"}),
    "canary, rising": running(
        {**STEPS, names.PROMOTION: "auto"}, kept=record(step=5, step_since=stamp(NOW))
    ),
    "canary, more asked than is there": running(
        {**DOORS, names.WEIGHT: "40"}, exposure=exposed(5), pods=2
    ),
    "approved": running({names.WEIGHT: "10"}, kept=APPROVED, pods=4),
    "approved in place": running({names.PROMOTION: "in-place"}, kept=APPROVED, pods=2),
    "everybody on the canary": running(kept=APPROVED, pods=4, exposure=EVERYBODY),
    "affinity": running(
        {**DOORS, names.ACCEPT: "affinity"},
        ingresses=(
            ingress(affinity="cookie"),
            *running({**DOORS, names.ACCEPT: "affinity"}).ingresses[1:],
        ),
    ),
    "rolling": rolling(DOORS),
    "rolling, less than everybody": rolling(exposure=exposed(75)),
    "aborted in the roll": rolling(kept=replace(APPROVED, abort="asked")),
    "interrupted": rolling(stable=deployment("v3", generation=4)),
    "rolled": rolled(DOORS, autoscalers=(SCALER,)),
    "rolled and drained": rolled(exposure=CLOSED),
    "aborted": told(
        running({names.WEIGHT: "10"}),
        rejected={"revision": V2, "uid": uid("Deployment", NAME), "generation": 2},
    ),
    "aborted and gone": told(pending(), rejected={"revision": V2}),
    "a newer template": running(
        {names.WEIGHT: "10"}, kept=replace(record(step=10), revision=V3, generation=1)
    ),
    "asked": running({names.WEIGHT: "10", names.ACTION: f"promote:{V2}"}),
}
