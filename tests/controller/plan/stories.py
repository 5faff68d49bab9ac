"""What one pass does and says in each place where a release may stand, word for word.

`python -m tests.controller.plan.stories` writes `stories.txt` anew; read what has changed there.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from controller.api import names
from controller.api.objects import (
    DEPLOYMENT,
    INGRESS,
    SERVICE,
    Object,
    annotations_of,
    name_of,
    stamp,
)
from controller.plan.observed import Observed, Pool
from controller.plan.traffic.exposure import CLOSED
from controller.plan.writes import Create, Delete, Edit, Event, Merge, Write
from tests.controller.plan.applied import CANARY, annotated, changed, labelled, put, without
from tests.controller.plan.good import APPROVED, DOORS, GOOD, SCALER, STEPS, told
from tests.controller.plan.plans import passed
from tests.controller.plan.worlds import (
    EVERYBODY,
    LONG,
    LONG_AGO,
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
    uid,
)

BOOK = Path(__file__).with_name("stories.txt")
IN_PLACE = {names.PROMOTION: "in-place"}
TEN = {names.WEIGHT: "10"}
STABLE_SET = replica_set("v1", 4).name
CANARY_SET = canary()[1].name


def shifted(**more: Any) -> Observed:
    return running(**{"kept": APPROVED, "pods": 4, "exposure": EVERYBODY, **more})


def ago(world: Observed, exposure: Any, seconds: float) -> Observed:
    """The canary Ingress was changed so long ago, by either clock."""
    path = route(exposure, at=NOW - timedelta(seconds=seconds))
    return replace(put(world, INGRESS, path), seen=seen_for(seconds, path))


def seen(world: Observed, exposure: Any, seconds: float) -> Observed:
    """It was changed long ago, and this process knows it for so long."""
    path = route(exposure, at=NOW - timedelta(hours=1))
    return replace(put(world, INGRESS, path), seen=seen_for(seconds, path))


def small(**more: Any) -> Observed:
    """Stable is whole at the new revision, and half as big as the release is."""
    stable = deployment("v2", replicas=2, generation=3)
    return rolled(**{"new": 2, "stable": stable, "autoscalers": (SCALER,), **more})


def with_pods(world: Observed, count: int, *, age: float = LONG, was: float = LONG) -> Observed:
    """So many canary pods are ready, since when, and were before."""
    entry = replace(pool(CANARY_SET, count, age=age), history=((was, count),))
    return replace(world, canary=entry)


def asked(action: str, world: Observed) -> Observed:
    return put(world, SERVICE, annotated(world.service or {}, {names.ACTION: action}))


def resumed(world: Observed, generation: str = "2") -> Observed:
    """`kubectl rollout resume`, as the hold policy turns it."""
    return put(world, DEPLOYMENT, labelled(pending_deployment(), {names.RESUME: generation}))


def left(world: Observed) -> Observed:
    return put(world, SERVICE, labelled(world.service or {}, {names.CANARY: None}))


def by_hand(stable: Object) -> Object:
    """It was paused by `kubectl rollout pause`."""
    entry = {"manager": "kubectl-rollout", "fieldsV1": {"f:spec": {"f:paused": {}}}}
    return changed(stable, metadata={"managedFields": [entry]})


def stalled() -> Object:
    entry = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}
    return changed(deployment("v2", generation=3), status={"conditions": [entry]})


def contested(world: Observed) -> Observed:
    """It was told that a manifest takes the pause away."""
    said = {"type": names.READY, "status": "False", "reason": "HoldContested", "message": "x"}
    return put(world, SERVICE, changed(world.service or {}, status={"conditions": [said]}))


NOTHING_COUNTED = {"updatedReplicas": None, "readyReplicas": None, "observedGeneration": 0}
RECORDED = {"revision": V2, "since": record().since, "result": "promoted", "why": "x"}
RISKY = pending_deployment(strategy={"rollingUpdate": {"maxUnavailable": "100%"}})
ABORTING = replace(APPROVED, abort="asked")
SECOND = ingress("second", host="second.example")

MORE: Mapping[str, Observed] = {
    # Starting.
    "starting, too few pods": replace(
        with_pods(running({**STEPS}, exposure=CLOSED, kept=record()), 0), ingresses=(ingress(),)
    ),
    "starting, young pods": replace(
        with_pods(running({**STEPS}, exposure=CLOSED, kept=record()), 2, age=3.0),
        ingresses=(ingress(),),
    ),
    "starting, without a route": replace(
        running(STEPS, exposure=CLOSED, kept=record()), ingresses=(ingress(),)
    ),
    "starting, a route is new": ago(running(STEPS, kept=record()), CLOSED, 3.0),
    "starting, the first step": running(STEPS, exposure=CLOSED, kept=record()),
    "starting, too late": replace(
        with_pods(
            running({names.READY_DEADLINE: "10m"}, exposure=CLOSED, kept=record()), 0, was=9999
        ),
        ingresses=(ingress(),),
    ),
    "starting, a closed Ingress is left over": seen(pending(STEPS), CLOSED, 9.5),
    "starting, a closed Ingress is left over for long": seen(pending(STEPS), CLOSED, 10.0),
    "starting, a weight stands from before": running(
        TEN, exposure=CLOSED, kept=record(stale_pin="10")
    ),
    "starting, another path came": put(
        running(STEPS, exposure=CLOSED, kept=record()), INGRESS, ingress(host="new.example")
    ),
    "starting, refused": put(pending(DOORS), INGRESS, ingress(affinity="cookie")),
    "starting, two mains": pending(STEPS, ingresses=(ingress(), SECOND)),
    # Canary.
    "canary, paused": running(STEPS, kept=record(step=25, paused=True), exposure=exposed(25)),
    "canary, waits for a person": running(
        STEPS, kept=record(step=50), exposure=exposed(50), pods=2
    ),
    "canary, short": with_pods(running({names.WEIGHT: "75"}, pods=4), 2, was=12.0),
    "canary, short for a moment": with_pods(running({names.WEIGHT: "75"}, pods=4), 2, was=2.0),
    "canary, empty": with_pods(running({names.WEIGHT: "75"}, pods=4), 0, was=1.0),
    "canary, short for the third time": with_pods(
        running({names.WEIGHT: "75"}, pods=4, kept=record(step=75, falls=2)), 2, was=12.0
    ),
    "canary, short for the second time": with_pods(
        running({names.WEIGHT: "75"}, pods=4, kept=record(step=75, falls=1)), 2, was=12.0
    ),
    "canary, empty with rules": with_pods(running({**DOORS, names.WEIGHT: "75"}, pods=4), 0),
    "canary, was short and has two of three pods": with_pods(
        running(
            {names.WEIGHT: "75"}, kept=record(step=75, short=True), exposure=exposed(25), pods=3
        ),
        2,
        was=12.0,
    ),
    "canary, lowered already and short": with_pods(
        running({names.WEIGHT: "75"}, kept=record(step=75), exposure=exposed(25), pods=4),
        2,
        was=12.0,
    ),
    "canary, closed with a kept time": running(
        {names.WEIGHT: "0"}, kept=record(step=0, changed=stamp(LONG_AGO)), exposure=CLOSED
    ),
    "canary, closed by somebody in mid-step, young pods": with_pods(
        running(STEPS, kept=record(step=5, step_since=stamp(NOW)), exposure=CLOSED), 2, age=3.0
    ),
    "canary, too small by the user's wish": running(
        {**TEN, names.REPLICAS: "1"}, exposure=exposed(0)
    ),
    "canary, less asked": running({names.WEIGHT: "5"}, exposure=exposed(10)),
    "canary, another list": running(
        {names.HEADER: "X-Account", names.HEADER_VALUES: "bob, carol"},
        exposure=exposed(0, frozenset({"alice", "bob"})),
    ),
    "canary, misconfigured": put(
        running(TEN), SERVICE, annotated(service(TEN), {"serinus.dev/wieght": "5"})
    ),
    "canary, drifted": put(
        running(TEN),
        INGRESS,
        annotated(route(exposed(10)), {"nginx.ingress.kubernetes.io/canary-weight-total": "50"}),
    ),
    "canary, its main went": without(running(TEN), INGRESS, NAME),
    "canary, its Service is gone": replace(
        running(TEN), service=None, service_missing_seconds=12.0
    ),
    "canary, its Deployment is gone": without(running(TEN), DEPLOYMENT, NAME),
    "canary, its own Service is gone": without(running(TEN), SERVICE, CANARY),
    "canary, a main came": replace(running(TEN), ingresses=(*running(TEN).ingresses, SECOND)),
    "canary, let go by hand": put(
        running(TEN), DEPLOYMENT, labelled(pending_deployment(), {names.HELD: None})
    ),
    # What is asked for.
    "asked to promote": asked(f"promote:{V2}", running(TEN)),
    "asked to promote another": asked(f"promote:{V3}", running(TEN)),
    "asked to abort": asked("abort", running(TEN)),
    "asked to abort another": asked(f"abort:{V3}", running(TEN)),
    "asked to pause": asked("pause", running(STEPS, kept=record(step=5), exposure=exposed(5))),
    "asked to continue": asked(
        "continue", running(STEPS, kept=record(step=5, paused=True), exposure=exposed(5))
    ),
    "asked to continue before the first step": asked(
        "continue", running(STEPS, kept=record(paused=True), exposure=CLOSED)
    ),
    "asked to promote at once": asked(f"promote:{V2}", pending(STEPS)),
    "asked to promote what is rolled back": asked(
        f"promote:{V2}", put(running(TEN), DEPLOYMENT, deployment("v1", paused=True, generation=3))
    ),
    "asked to retry": asked(f"retry:{V2}", told(pending(), rejected={"revision": V2})),
    "asked to retry what was not rejected": asked(f"retry:{V2}", running(TEN)),
    "asked to abort at rest": asked("abort", idle()),
    "asked to promote at rest": asked(f"promote:{V2}", idle()),
    "asked to abort in the roll": asked("abort", rolling()),
    "asked to abort when it is too late": asked("abort", rolled()),
    "asked to promote what came in the roll": asked(
        f"promote:{V3}", rolling(stable=deployment("v3", paused=True, generation=4))
    ),
    "resumed": resumed(running(TEN)),
    "resumed out of date": resumed(running(TEN, kept=record(step=10, generation=3)), "1"),
    "resumed after an abort": resumed(told(pending(), rejected={"revision": V2})),
    "asked to promote what rolls by itself": asked(
        f"promote:{V2}", idle(deployments=(deployment("v2", generation=2),))
    ),
    "asked to promote what came before the roll": asked(
        f"promote:{V3}", put(shifted(), DEPLOYMENT, pending_deployment("v3", generation=3))
    ),
    "asked to abort what a newer template has ended": asked(
        f"abort:{V3}", GOOD["a newer template"]
    ),
    "asked to abort with a lost record": asked(
        "abort", put(running(TEN), DEPLOYMENT, annotated(canary()[0], {names.RELEASE: "{"}))
    ),
    "asked to retry what does not wait any more": asked(
        f"retry:{V2}", told(idle(), rejected={"revision": V2})
    ),
    "resumed at rest": idle(deployments=(labelled(deployment(paused=True), {names.RESUME: "1"}),)),
    "resumed at rest, held by pausing": idle(
        hold="pause", deployments=(labelled(deployment(paused=True), {names.RESUME: "1"}),)
    ),
    "asked to abort before the canary is there": asked("abort", pending()),
    "asked to promote what came after the roll": asked(
        f"promote:{V3}", rolled(stable=deployment("v3", paused=True, generation=4))
    ),
    "resumed before the canary is there": resumed(pending()),
    "resumed when a newer template has ended it": resumed(GOOD["a newer template"]),
    "resumed after an abort in the roll": rolling(
        kept=replace(APPROVED, abort="stopped"),
        stable=labelled(deployment("v2", paused=True, generation=3), {names.RESUME: "3"}),
    ),
    # Promoting.
    "approved, few pods": running(TEN, kept=APPROVED),
    "approved, young pods": with_pods(running(TEN, kept=APPROVED, pods=4), 4, age=9.0),
    "shifted, draining": ago(shifted(), EVERYBODY, 12.0),
    "shifted and drained": shifted(),
    "shifted, stable would be empty": put(shifted(), DEPLOYMENT, RISKY),
    "shifted, stable grew": put(
        shifted(), DEPLOYMENT, changed(pending_deployment(), spec={"replicas": 6})
    ),
    "shifted, refused": put(shifted(), INGRESS, ingress(affinity="cookie")),
    "shifted, a route is missing": put(shifted(), INGRESS, SECOND),
    "shifted, a pod is gone": with_pods(shifted(), 3),
    "shifted, nothing of stable is ready": replace(
        shifted(), stable=Pool(), replica_sets=(replica_set("v1", 4, ready=0), canary(pods=4)[1])
    ),
    "shifted, aborted at the edge": shifted(kept=replace(APPROVED, abort="asked")),
    "shifted, aborted before the pause is seen": put(
        shifted(kept=replace(APPROVED, abort="asked")),
        DEPLOYMENT,
        changed(pending_deployment(), status={"observedGeneration": 1}),
    ),
    "shifted, the old template is back": put(
        shifted(), DEPLOYMENT, deployment("v1", paused=True, generation=3)
    ),
    "shifted, drained to the last half second": seen(shifted(), EVERYBODY, 39.5),
    "shifted, the time was taken away": put(
        shifted(), INGRESS, annotated(route(EVERYBODY), {names.CHANGED: None})
    ),
    "approved, our Service is gone": without(running(TEN, kept=APPROVED), SERVICE, CANARY),
    "approved, a small canary by the user's wish": running(
        {**TEN, names.REPLICAS: "1"}, kept=APPROVED, exposure=exposed(0), pods=1
    ),
    "approved, misconfigured": put(
        running({**DOORS, **TEN}, kept=APPROVED, pods=4),
        SERVICE,
        annotated(service({**DOORS, **TEN}), {names.WEIGHT: "many"}),
    ),
    "approved, Recreate accepted and not in place": put(
        running({names.ACCEPT: "recreate"}, kept=APPROVED, pods=4),
        DEPLOYMENT,
        pending_deployment(strategy={"type": "Recreate"}),
    ),
    "in place, known at last": seen(running(IN_PLACE, kept=APPROVED), exposed(50), 10.0),
    "in place, not known for half a second": seen(
        running(IN_PLACE, kept=APPROVED), exposed(50), 9.5
    ),
    "in place, too much": running(IN_PLACE, exposure=exposed(80), pods=4, kept=APPROVED),
    "in place, settling": ago(running(IN_PLACE, kept=APPROVED), exposed(50), 5.0),
    "in place, ready to roll": running(IN_PLACE, exposure=exposed(50), kept=APPROVED),
    "rolling, by hand": rolling(TEN, kept=record(step=10), exposure=exposed(10), pods=2),
    "rolling, stalled": rolling(stable=stalled()),
    "rolling, paused by a person": rolling(stable=deployment("v2", paused=True, generation=3)),
    "rolling, interrupted and paused": rolling(
        kept=replace(APPROVED, interrupted=True),
        stable=deployment("v3", paused=True, generation=4),
    ),
    "rolling, returned": rolling(stable=deployment("v1", paused=True, generation=4)),
    "rolling, back to the old one": rolling(stable=deployment("v1", generation=4)),
    "rolling, aborted and stopped": rolling(
        kept=ABORTING, stable=deployment("v2", paused=True, generation=3)
    ),
    "rolling, aborted and undone": rolling(
        kept=replace(APPROVED, abort="stopped"),
        stable=deployment("v1", paused=True, generation=4),
    ),
    "rolling, the canary is short": with_pods(rolling(), 2, was=12.0),
    "rolling, the canary is empty": with_pods(rolling(), 0, was=3.0),
    "rolling, the canary is half of what it was": with_pods(rolling(old=0, new=1), 2, was=12.0),
    "rolling, three of four canary pods are left": with_pods(rolling(old=2, new=1), 3, was=12.0),
    "rolling, both sides are short": with_pods(rolling(old=1, new=0), 1, was=12.0),
    "rolling, the canary is whole again and young": with_pods(
        rolling(exposure=exposed(75)), 4, age=4.0
    ),
    "rolling, the canary is whole again and nearly known": with_pods(
        rolling(exposure=exposed(75)), 4, age=8.0
    ),
    "rolling, the canary is whole again and misconfigured": put(
        rolling(exposure=exposed(75, cookie="beta")), SERVICE, service({names.WEIGHT: "many"})
    ),
    "rolling three, one canary pod is left": with_pods(
        rolling(
            old=2,
            new=0,
            kept=replace(APPROVED, replicas=3),
            stable=deployment("v2", replicas=3, generation=3),
            pods=3,
        ),
        1,
        was=12.0,
    ),
    "rolling three, a canary pod is gone": with_pods(
        rolling(
            old=2,
            new=1,
            kept=replace(APPROVED, replicas=3),
            stable=deployment("v2", replicas=3, generation=3),
            pods=3,
        ),
        2,
        was=12.0,
    ),
    "rolling, the canary is short and nothing of stable is there": with_pods(
        rolling(old=0, new=0, replica_sets=(canary(pods=4)[1],)), 3, was=12.0
    ),
    "rolling, the Service and the canary's pods are gone": replace(
        with_pods(rolling(old=4, new=0, stable=deployment("v2", generation=3)), 0, was=12.0),
        stable=Pool(),
        service=None,
        service_missing_seconds=30.0,
    ),
    "rolling a hundred, one canary pod is left": with_pods(
        rolling(
            old=99,
            new=0,
            kept=replace(APPROVED, replicas=100),
            stable=deployment("v2", replicas=100, generation=3),
            pods=100,
        ),
        1,
        was=12.0,
    ),
    "rolling, the approved template is back": rolling(
        kept=replace(APPROVED, interrupted=True),
        stable=deployment("v2", paused=True, generation=5),
    ),
    "rolling, the abort was withdrawn": rolling(kept=replace(APPROVED, abort="stopped")),
    "rolled small, with an autoscaler": small(),
    "rolled small, with an autoscaler that does nothing": ago(small(), EVERYBODY, 400.0),
    "rolled small, on the way": ago(small(exposure=exposed(50)), exposed(50), 12.0),
    "rolled small, waiting for growth": ago(small(exposure=exposed(38)), exposed(38), 100.0),
    "rolled small, without growth for long": ago(small(exposure=exposed(38)), exposed(38), 400.0),
    "rolled small, without an autoscaler": small(autoscalers=()),
    "rolled small and young": replace(small(), stable=pool(replica_set("v2", 2).name, 2, age=4.0)),
    "rolled to one pod": rolled(new=1, stable=deployment("v2", replicas=1, generation=3)),
    "rolled, one of four is known": replace(rolled(), stable=pool(replica_set("v2", 4).name, 1)),
    "rolled, none is known": replace(rolled(), stable=Pool(history=((LONG, 0),))),
    "rolled, half of it is known": ago(
        replace(rolled(exposure=exposed(38)), stable=pool(replica_set("v2", 4).name, 2)),
        exposed(38),
        100.0,
    ),
    "rolled, a pod fell a moment ago": replace(
        rolled(), stable=replace(rolled().stable, history=((9.5, 4), (LONG, 5)))
    ),
    "rolled, pods are young for half a second": replace(
        rolled(), stable=pool(replica_set("v2", 4).name, 4, age=9.5)
    ),
    "rolled small with rules, without growth for long": ago(
        rolled(
            DOORS,
            kept=replace(APPROVED, replicas=9),
            new=7,
            stable=deployment("v2", replicas=7, generation=3),
            autoscalers=(SCALER,),
            exposure=exposed(3, frozenset({"alice", "bob"})),
            pods=9,
        ),
        exposed(3, frozenset({"alice", "bob"})),
        400.0,
    ),
    "rolled and over, with something unreadable asked": put(
        rolled(exposure=CLOSED),
        SERVICE,
        service({names.WEIGHT: "10", names.ACTION: "nonsense"}),
    ),
    "rolled by hand, and another template came": rolled(
        kept=record(step=10), stable=deployment("v3", paused=True, generation=4)
    ),
    "a newer template, drained": replace(
        put(
            running(exposure=CLOSED),
            DEPLOYMENT,
            canary("v3", kept=record(changed=stamp(LONG_AGO)))[0],
        ),
        seen={
            **running(exposure=CLOSED).seen,
            (uid("Deployment", CANARY), stamp(LONG_AGO)): LONG,
        },
    ),
    "rolled, drained at last": seen(rolled(), CLOSED, 40.0),
    "rolled, draining for half a second": seen(rolled(), CLOSED, 39.5),
    "rolling in place": rolling(IN_PLACE, exposure=exposed(50), pods=2),
    "rolled, young pods": replace(rolled(), stable=pool(replica_set("v2", 4).name, 4, age=5.0)),
    "rolled, half of it is ready": rolled(ready=(0, 2)),
    "rolled and back": rolled(exposure=CLOSED),
    "rolled, back and draining": ago(rolled(), CLOSED, 10.0),
    "rolled with the pause hold": rolled(hold="pause"),
    "rolled, scaled": rolled(DOORS, autoscalers=(SCALER,), ready=(0, 1)),
    "rolled, sessions stick": rolled(
        {names.ACCEPT: "affinity"}, ingresses=(ingress(affinity="cookie"), route(EVERYBODY))
    ),
    "ended": told(rolled(exposure=CLOSED), outcome=RECORDED),
    "ended, a door is open again": told(rolled(), outcome=RECORDED),
    "ended, the Ingress is gone": without(
        told(rolled(exposure=CLOSED), outcome=RECORDED), INGRESS, CANARY
    ),
    # Leaving, and being refused.
    "leaving": left(running(TEN)),
    "leaving, closed": left(running(exposure=CLOSED)),
    "leaving at rest": left(idle()),
    "leaving, held by pausing": left(idle(hold="pause", deployments=(deployment(paused=True),))),
    "leaving, paused by a person": left(idle(deployments=(deployment(paused=True),))),
    "leaving, all of it is gone but the label": left(idle(deployments=(deployment(held=False),))),
    "leaving, held by pausing as a person does it": left(
        idle(hold="pause", deployments=(by_hand(deployment(paused=True)),))
    ),
    "leaving, paused by kubectl": left(idle(deployments=(by_hand(deployment(paused=True)),))),
    "leaving, the time was taken away": left(
        put(running(TEN), INGRESS, annotated(route(exposed(10)), {names.CHANGED: None}))
    ),
    "leaving, the time is to come": left(ago(running(TEN), exposed(10), -60.0)),
    "leaving, draining for half a second": left(seen(running(exposure=CLOSED), CLOSED, 39.5)),
    "leaving, drained at last": left(seen(running(exposure=CLOSED), CLOSED, 40.0)),
    "leaving, all but the pods is gone": left(
        without(seen(running(exposure=CLOSED), CLOSED, 40.0), INGRESS, CANARY)
    ),
    "leaving with the request to promote": left(resumed(pending())),
    "leaving when the old template is back": left(
        put(running(TEN), DEPLOYMENT, deployment("v1", paused=True, generation=3))
    ),
    "leaving in the roll": left(rolling()),
    "leaving with a template pending": left(pending()),
    "regular expressions on the main": put(idle(), INGRESS, ingress(use_regex="true")),
    "captures on the main": put(idle(), INGRESS, ingress(rewrite_target="/$1")),
    "passthrough on the main": put(idle(), INGRESS, ingress(ssl_passthrough="true")),
    "hashing on the main": put(idle(), INGRESS, ingress(upstream_hash_by_subset="true")),
    "another Ingress left out": idle({names.INGRESSES: "other"}),
    "a pod with a port of its host": idle(
        deployments=(
            changed(
                deployment(held=False),
                spec={
                    "template": {
                        "spec": {"containers": [{"name": "a", "ports": [{"hostPort": 80}]}]}
                    }
                },
            ),
        )
    ),
    "no Deployment": idle(deployments=(), replica_sets=(), stable=Pool()),
    "no Ingress": idle(ingresses=()),
    "two Deployments": idle(
        deployments=(
            deployment(),
            {**deployment(), "metadata": {**deployment()["metadata"], "name": "other"}},
        )
    ),
    "Recreate": idle(deployments=(deployment(strategy={"type": "Recreate"}),)),
    "the hold is not proven": idle(hold=None),
    "held by pausing": idle(hold="pause"),
    "held by pausing, pending": pending(hold="pause"),
    "not ready to be held": idle(
        deployments=(changed(deployment(held=False), status={"updatedReplicas": 3}),)
    ),
    "paused by a person when enrolled": idle(deployments=(deployment(held=False, paused=True),)),
    "nothing of stable is ready": idle(
        stable=Pool(history=((LONG, 0),)), replica_sets=(replica_set("v1", 4, ready=0),)
    ),
    "risky when enrolled": idle(
        deployments=(deployment(held=False, replicas=1),),
        replica_sets=(replica_set("v1", 1),),
        stable=pool(STABLE_SET, 1),
        autoscalers=(SCALER,),
    ),
    "not held, nothing is counted": idle(
        deployments=(changed(deployment(held=False), status=NOTHING_COUNTED),)
    ),
    "the hold is not proven, and was contested": contested(idle(hold=None)),
    "nothing is pending any more": idle(deployments=(deployment(paused=True),)),
    "held by pausing, and rolling": idle(
        hold="pause", deployments=(changed(deployment(), status={"updatedReplicas": 3}),)
    ),
    "held by pausing, its ReplicaSet is gone": told(
        idle(
            hold="pause",
            deployments=(deployment(paused=True),),
            replica_sets=(replace(replica_set("v1", 0), revision="another"),),
            stable=Pool(),
        ),
        stable={"revision": V1, "uid": uid("Deployment", NAME), "generation": 1},
    ),
    "held by pausing, nothing is available": idle(
        hold="pause",
        deployments=(deployment(paused=True),),
        stable=Pool(history=((59.0, 0), (LONG, 4))),
    ),
    "held by pausing, nothing is available for a minute": idle(
        hold="pause",
        deployments=(deployment(paused=True),),
        stable=Pool(history=((60.0, 0), (LONG, 4))),
    ),
    "refused by the API server": replace(pending(), refusal="quota exceeded"),
}
WORLDS: Mapping[str, Observed] = {**GOOD, **MORE}


def story(world: Observed) -> str:
    """Return everything that a pass over a world does and says."""
    return "\n".join(_lines(world))


def _lines(world: Observed) -> Iterator[str]:
    done = passed(world)
    status = done.status
    yield f"{done.plan.stage}, {status.reason}: {status.message}"
    yield (
        f"asked {status.asked} written {status.written} ready {status.ready} of {status.needed}"
        f" step {status.step} revision {status.revision or '-'} since {status.since or '-'}"
        f" until {status.until or '-'} wake {done.plan.wake_seconds}"
    )
    yield from (f"$ {command}" for command in status.commands)
    for entry in ((done.after.service or {}).get("status") or {}).get("conditions") or ():
        kind = entry["type"].removeprefix(names.PREFIX)
        yield f"{kind}={entry['status']} {entry['reason']}: {entry['message']}"
    for outcome in (status.outcome, status.rejected, status.last, status.stable):
        if outcome is not None:
            yield f"remembers {outcome}"
    yield from (f"takes away {key}" for key in sorted(_asked(world) - done.annotations.keys()))
    yield from sorted(_written(write) for write in done.plan.writes if not _tells(write))
    yield from map(_event, done.events)


def _asked(world: Observed) -> set[str]:
    return annotations_of(world.service or {}).keys() - {names.STATUS}


def _event(event: Event) -> str:
    place = f" on {event.on.kind.name} {event.on.namespace}/{event.on.name}" if event.on else ""
    return f"! {event.type} {event.reason}{place}: {event.message}"


def _tells(write: Write) -> bool:
    return isinstance(write, Edit) and write.kind == SERVICE


def _written(write: Write) -> str:
    read = ", ".join(sorted(f"{it.kind.name} {it.name}" for it in write.confirm)) or "nothing"
    return f"- {_what(write)} ({write.why}; reads {read})"


def _what(write: Write) -> str:
    match write:
        case Create(obj=obj):
            return f"create {write.kind} {name_of(obj)} {json.dumps(obj, sort_keys=True)}"
        case Merge(patch=patch):
            return f"merge {write.kind} {write.name} {json.dumps(patch, sort_keys=True)}"
        case Edit(operations=operations):
            return f"edit {write.kind} {write.name} {json.dumps(operations)}"
        case Delete(uid=uid, version=version):
            return f"delete {write.kind} {write.name} {uid} {version or 'of any version'}"


def book() -> dict[str, str]:
    """Return the stories as they were written down, by the name of the world."""
    chapters = BOOK.read_text(encoding="utf-8").split("\n\n")
    return dict(chapter.strip("\n").split("\n", 1) for chapter in chapters)


if __name__ == "__main__":
    written = "\n\n".join(f"{name}\n{story(world)}" for name, world in WORLDS.items())
    BOOK.write_text(written + "\n", encoding="utf-8")
