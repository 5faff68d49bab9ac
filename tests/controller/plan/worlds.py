"""Builders: a good world of one release, of which a test changes what it is about."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from controller.api import names
from controller.api.intent import parse
from controller.api.objects import Object, digest, revision_of, stamp
from controller.api.pattern import parse_suffixes, share_of, suffix_text
from controller.plan.observed import Endpoint, Observed, Parameters, Pool, ReplicaSet
from controller.plan.record import Record
from controller.plan.start import rules_of
from controller.plan.traffic.exposure import CLOSED, Exposure
from controller.plan.traffic.nginx import Nginx, changed_text, closing_name
from controller.plan.workload import (
    canary_deployment,
    canary_pod_labels,
    canary_service,
    disruption_budget,
    our_metadata,
)

NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)
LONG_AGO = NOW - timedelta(hours=1)
NAMESPACE = "canary"
NAME = "myapp"
LONG = 3600.0
PREFIX = "nginx.ingress.kubernetes.io"

EVERYBODY = Exposure(weight=100)


def uid(kind: str, name: str) -> str:
    """Return a uid that a test can foresee."""
    return f"uid-{digest([kind, name])}"


def meta(kind: str, name: str, **more: Any) -> dict[str, Any]:
    """Return metadata as the API server fills it in."""
    return {
        "name": name,
        "namespace": NAMESPACE,
        "uid": uid(kind, name),
        "resourceVersion": "100",
        "creationTimestamp": stamp(LONG_AGO),
        **more,
    }


def template(version: str = "v1", **labels: str) -> dict[str, Any]:
    """Return a pod template with an image of this version."""
    return {
        "metadata": {"labels": {"app": "myapp", **labels}},
        "spec": {
            "containers": [
                {
                    "name": "myapp-container",
                    "image": f"janakiramm/myapp:{version}",
                    "lifecycle": {"preStop": {"sleep": {"seconds": 5}}},
                }
            ]
        },
    }


V1 = revision_of(template("v1"))
V2 = revision_of(template("v2"))
V3 = revision_of(template("v3"))


def deployment(
    version: str = "v1",
    *,
    replicas: int = 4,
    paused: bool = False,
    held: bool = True,
    generation: int = 1,
    **spec: Any,
) -> dict[str, Any]:
    """Return the stable Deployment, complete unless `spec` or a test says otherwise."""
    labels = {"app": "myapp", **({names.HELD: NAME} if held else {})}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": meta("Deployment", NAME, labels=labels, generation=generation),
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "myapp"}},
            "template": template(version),
            "progressDeadlineSeconds": 600,
            **({"paused": True} if paused else {}),
            **spec,
        },
        "status": {
            "observedGeneration": generation,
            "replicas": replicas,
            "updatedReplicas": replicas,
            "readyReplicas": replicas,
            "availableReplicas": replicas,
        },
    }


def pending_deployment(version: str = "v2", **more: Any) -> dict[str, Any]:
    """Return the stable Deployment with this version pending: no pod of it exists."""
    held_back = deployment(version, **{"paused": True, "generation": 2, **more})
    return {**held_back, "status": {**held_back["status"], "updatedReplicas": 0}}


def service(annotations: Mapping[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    """Return the enrolled Service."""
    more = {"annotations": dict(annotations)} if annotations else {}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": meta("Service", NAME, labels={names.CANARY: names.ENABLED}, **more),
        "spec": {
            "clusterIP": "10.96.0.1",
            "selector": {"app": "myapp"},
            "ports": [{"port": 80, "targetPort": 8080, "protocol": "TCP"}],
            **spec,
        },
        "status": {"loadBalancer": {}},
    }


def ingress(name: str = NAME, host: str = "myapp.example", **annotations: str) -> dict[str, Any]:
    """Return a main Ingress of the Service; annotation keys without the prefix."""
    keys = {f"{PREFIX}/{key.replace('_', '-')}": value for key, value in annotations.items()}
    path = {
        "path": "/",
        "pathType": "Prefix",
        "backend": {"service": {"name": NAME, "port": {"number": 80}}},
    }
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": meta("Ingress", name, **({"annotations": keys} if keys else {})),
        "spec": {
            "ingressClassName": "nginx",
            "rules": [{"host": host, "http": {"paths": [path]}}],
        },
    }


def replica_set(
    version: str, pods: int, *, ready: int | None = None, owner: str = NAME, number: int = 1
) -> ReplicaSet:
    """Return a ReplicaSet of stable, or of the canary where `owner` says so."""
    revision = revision_of(template(version))
    return ReplicaSet(
        name=f"{owner}-{revision}",
        owner=uid("Deployment", owner),
        revision=revision,
        number=number,
        wanted=pods,
        pods=pods,
        ready=pods if ready is None else ready,
    )


def pool(set_name: str, ready: int, *, age: float = LONG) -> Pool:
    """Return so many ready endpoints of a ReplicaSet's pods, ready for `age` seconds."""
    return Pool(
        endpoints=tuple(
            Endpoint(pod=f"{set_name}-{index}", age_seconds=age) for index in range(ready)
        ),
        history=((LONG, ready),),
    )


def idle(annotations: Mapping[str, str] | None = None, **changes: Any) -> Observed:
    """Return an enrolled, held application at rest."""
    stable_set = replica_set("v1", 4)
    world = Observed(
        namespace=NAMESPACE,
        name=NAME,
        service=service(annotations),
        deployments=(deployment(),),
        replica_sets=(stable_set,),
        services=(service(annotations),),
        ingresses=(ingress(),),
        stable=pool(stable_set.name, 4),
        hold="admission",
        parameters=Parameters(propagation_seconds=10, drain_seconds=30, ready_seconds=5),
    )
    return replace(world, **changes)


def pending(annotations: Mapping[str, str] | None = None, **changes: Any) -> Observed:
    """Return the same with v2 pending behind the hold."""
    return idle(annotations, **{"deployments": (pending_deployment(),), **changes})


def record(**changes: Any) -> Record:
    """Return the record of a release of v2 over v1 that began long ago."""
    begun = Record(revision=V2, generation=2, stable=V1, replicas=4, since=stamp(LONG_AGO))
    stands = {"step_since": stamp(LONG_AGO)} if changes.get("step") is not None else {}
    return replace(begun, **{**stands, **changes})


def canary(
    version: str = "v2", *, pods: int = 2, kept: Record | None = None
) -> tuple[Object, ReplicaSet]:
    """Return the canary Deployment as the API server shows it, and its ReplicaSet."""
    source = deployment(version)
    revision = revision_of(template(version))
    labels = canary_pod_labels(source, NAME, revision, [service()])
    assert labels is not None
    made = canary_deployment(source, NAME, labels, pods, kept or record())
    name = made["metadata"]["name"]
    filled = {**meta("Deployment", name, generation=1), **made["metadata"]}
    shown = {**made, "metadata": filled, "status": {"observedGeneration": 1, "replicas": pods}}
    own = revision_of(made["spec"]["template"])
    ours = ReplicaSet(
        name=f"{name}-{own}",
        owner=uid("Deployment", name),
        revision=own,
        number=1,
        wanted=pods,
        pods=pods,
        ready=pods,
    )
    return shown, ours


def nginx() -> Nginx:
    """Return the annotation keys of the application."""
    return Nginx(prefix=PREFIX, closing=closing_name(uid("Service", NAME)))


def route(
    exposure: Exposure = CLOSED, *, at: datetime = LONG_AGO, main: str = NAME
) -> dict[str, Any]:
    """Return the canary Ingress beside a main, with this exposure written `at` a time."""
    plane = nginx()
    name = f"{NAME}-canary" if main == NAME else f"{NAME}-{main}-canary"
    owner = our_metadata(deployment(), NAME, name)
    made = plane.ingress(
        ingress(main), plane.rules(ingress(main), NAME, f"{NAME}-canary"), owner, at
    )
    annotations = {**plane.keys_for(exposure), names.CHANGED: changed_text(exposure, at)}
    filled = {**meta("Ingress", name), **owner, "annotations": annotations}
    return {**made, "metadata": filled}


def ours(obj: Object, kind: str) -> dict[str, Any]:
    """Return an object of ours as the API server shows it."""
    shown = {**meta(kind, obj["metadata"]["name"]), **obj["metadata"]}
    return {**obj, "metadata": shown}


def exposed(
    weight: int = 0,
    accounts: frozenset[str] = frozenset(),
    endings: str = "",
    cookie: str | None = None,
    header: str = "X-Account",
) -> Exposure:
    """Return an exposure by the doors as a user writes them."""
    suffixes = parse_suffixes(endings) if endings else ()
    return Exposure(
        weight=weight,
        header=header if accounts or endings else None,
        accounts=accounts,
        suffix=suffix_text(suffixes),
        share=share_of(suffixes),
        cookie=cookie,
    )


def running(
    annotations: Mapping[str, str] | None = None,
    *,
    exposure: Exposure | None = None,
    pods: int = 2,
    kept: Record | None = None,
    at: datetime = LONG_AGO,
    **changes: Any,
) -> Observed:
    """Return a release of v2 in stage Canary: doors as the annotations say, all settled.

    Args:
        annotations: of the Service.
        exposure: what the canary Ingress says; by default what the annotations ask for.
        pods: ready canary pods.
        kept: the record on the canary Deployment.
        at: when the canary Ingress was last changed.
        changes: fields of the observed world.
    """
    parsed = parse(annotations or {})
    assert parsed.intent is not None
    weight = parsed.intent.weight or 0
    wanted = rules_of(parsed.intent, weight) if exposure is None else exposure
    shown, canary_set = canary(pods=pods, kept=kept or record(step=wanted.weight))
    beside = ours(canary_service(deployment(), service()), "Service")
    budget = ours(disruption_budget(deployment(), NAME), "PodDisruptionBudget")
    path = route(wanted, at=at)
    world = idle(
        annotations,
        deployments=(pending_deployment(), shown),
        replica_sets=(replica_set("v1", 4), canary_set),
        services=(service(annotations), beside),
        ingresses=(ingress(), path),
        budgets=(budget,) if pods >= 2 else (),
        canary=pool(canary_set.name, pods),
        seen=seen_for(LONG, path),
    )
    return replace(world, **changes)


def rolling(
    annotations: Mapping[str, str] | None = None,
    *,
    old: int = 2,
    new: int = 2,
    kept: Record | None = None,
    stable: Object | None = None,
    ready: tuple[int, int] | None = None,
    exposure: Exposure = EVERYBODY,
    pods: int = 4,
    **changes: Any,
) -> Observed:
    """Return a promotion of v2 in P3: everybody on the canary, stable on its way.

    Args:
        annotations: of the Service.
        old: pods of v1 that stable has still.
        new: pods of v2 that stable has already.
        kept: the record; by default the one of an approved release.
        stable: the stable Deployment; by default v2, not paused.
        ready: how many of old and new are ready; by default all.
        exposure: what the canary Ingress says.
        pods: ready canary pods.
        changes: fields of the observed world.
    """
    old_ready, new_ready = ready if ready is not None else (old, new)
    sets = (
        replica_set("v1", old, ready=old_ready),
        replica_set("v2", new, ready=new_ready, number=2),
    )
    endpoints = tuple(
        endpoint
        for entry, count in zip(sets, (old_ready, new_ready), strict=True)
        for endpoint in pool(entry.name, count).endpoints
    )
    approved = record(step=0, approval=V2, approved_by="action")
    before = running(annotations, exposure=exposure, pods=pods, kept=kept or approved)
    _, shown = before.deployments
    *_, canary_set = before.replica_sets
    world = replace(
        before,
        deployments=(stable or deployment("v2", generation=3), shown),
        replica_sets=(*sets, canary_set),
        stable=Pool(endpoints=endpoints, history=((LONG, len(endpoints)),)),
    )
    return replace(world, **changes)


def rolled(annotations: Mapping[str, str] | None = None, **more: Any) -> Observed:
    """Return the promotion after P3: stable is whole at v2."""
    return rolling(annotations, **{"old": 0, "new": 4, **more})


def seen_for(seconds: float, *routes: Object) -> dict[tuple[str, str], float]:
    """Return that this process has seen the last change of these routes for so long."""
    return {
        (entry["metadata"]["uid"], entry["metadata"]["annotations"][names.CHANGED]): seconds
        for entry in routes
    }


def status(**values: Any) -> dict[str, str]:
    """Return the status annotation with these JSON values."""
    return {names.STATUS: json.dumps(values)}
