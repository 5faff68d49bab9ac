"""A Service in mid-canary: good objects, of which a test changes what it is about."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from controller.api import names
from controller.api.intent import configuration_digest
from controller.api.objects import Object, revision_of
from controller.api.status import Known, Status
from controller.cli.view import World
from controller.plan.traffic.nginx import closing_name

NAMESPACE = "canary"
NOW = datetime(2026, 11, 1, 12, 12, 0, tzinfo=UTC)
SINCE = "2026-11-01T12:00:00Z"
STABLE_UID = "uid-stable"
CANARY_UID = "uid-canary"
OURS = {names.MANAGED_BY: names.FIELD_MANAGER, names.SERVICE: "myapp"}
CLASS = "nginx.ingress.kubernetes.io/"
WISHES = {names.HEADER: "X-Account", names.HEADER_VALUES: "alice, bob", names.WEIGHT: "5"}

Json = dict[str, Any]


def template(tag: str, labels: Mapping[str, str] | None = None) -> Json:
    container = {"name": "myapp-container", "image": f"janakiramm/myapp:{tag}"}
    return {
        "metadata": {"labels": dict(labels or {"app": "myapp"})},
        "spec": {"containers": [container]},
    }


V1 = revision_of(template("v1"))
V2 = revision_of(template("v2"))
V3 = revision_of(template("v3"))


def in_canary(**changes: Any) -> Status:
    good = Status(
        stage="Canary",
        reason="Canary",
        message="weight 5, 2 accounts",
        revision=V2,
        asked=5,
        written=5,
        since=SINCE,
        ready=2,
        needed=2,
        accounts=2,
        stable=Known(revision=V1),
        at=SINCE,
    )
    return replace(good, **changes)


def idle(serving: str = V1, **changes: Any) -> Status:
    good = Status(stage="Idle", reason="Idle", stable=Known(revision=serving), at=SINCE)
    return replace(good, **changes)


def service(status: Status | None = None, annotations: Mapping[str, str] = WISHES) -> Json:
    told = dict(annotations)
    if status is not None:
        known = replace(status, configuration=configuration_digest(annotations))
        told[names.STATUS] = known.text()
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": "myapp",
            "namespace": NAMESPACE,
            "uid": "uid-service",
            "labels": {names.CANARY: names.ENABLED},
            "annotations": told,
        },
        "spec": {"selector": {"app": "myapp"}, "ports": [{"port": 80, "targetPort": 8080}]},
    }


def deployment(tag: str = "v2", *, paused: bool = True, generation: int = 2) -> Json:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": "myapp",
            "namespace": NAMESPACE,
            "uid": STABLE_UID,
            "generation": generation,
            "labels": {"app": "myapp", names.HELD: "myapp"},
        },
        "spec": {
            "replicas": 3,
            "paused": paused,
            "selector": {"matchLabels": {"app": "myapp"}},
            "template": template(tag),
        },
        "status": {
            "observedGeneration": generation,
            "replicas": 3,
            "updatedReplicas": 0 if paused else 3,
            "readyReplicas": 3,
            "availableReplicas": 3,
        },
    }


CANARY_LABELS = {
    "app": "myapp-canary",
    names.SERVICE: "myapp",
    names.TRACK: names.TRACK_CANARY,
    names.REVISION: V2,
}


def canary(record: str = "") -> Json:
    text = record or (
        f'{{"revision":"{V2}","generation":2,"stable":"{V1}","replicas":3,'
        f'"since":"{SINCE}","step":5}}'
    )
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": "myapp-canary",
            "namespace": NAMESPACE,
            "uid": CANARY_UID,
            "labels": OURS,
            "annotations": {names.RELEASE: text},
        },
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {names.SERVICE: "myapp", names.TRACK: "canary"}},
            "template": template("v2", CANARY_LABELS),
        },
    }


def replica_set(
    tag: str,
    number: int,
    pods: int,
    *,
    ready: int | None = None,
    owner: str = STABLE_UID,
    labels: Mapping[str, str] | None = None,
) -> Json:
    name = "myapp" if owner == STABLE_UID else "myapp-canary"
    marked = {**(labels or {"app": "myapp"}), names.POD_TEMPLATE_HASH: f"hash{number}"}
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": f"{name}-{number}",
            "namespace": NAMESPACE,
            "labels": {"app": name},
            "annotations": {names.DEPLOYMENT_REVISION: str(number)},
            "ownerReferences": [
                {
                    "apiVersion": "apps/v1",
                    "kind": "Deployment",
                    "name": name,
                    "uid": owner,
                    "controller": True,
                }
            ],
        },
        "spec": {
            "replicas": pods,
            "selector": {"matchLabels": marked},
            "template": template(tag, marked),
        },
        "status": {"replicas": pods, "readyReplicas": pods if ready is None else ready},
    }


def canary_set(ready: int = 2) -> Json:
    return replica_set("v2", 1, 2, ready=ready, owner=CANARY_UID, labels=CANARY_LABELS)


def ingress(name: str = "myapp", annotations: Mapping[str, str] | None = None, **more: Any) -> Json:
    target = {"service": {"name": name, "port": {"number": 80}}}
    path = {"path": "/", "pathType": "Prefix", "backend": target}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {
            "name": name,
            "namespace": NAMESPACE,
            "annotations": dict(annotations or {}),
            **more,
        },
        "spec": {"ingressClassName": "nginx", "rules": [{"host": "a", "http": {"paths": [path]}}]},
    }


def canary_ingress(weight: int = 5, **doors: str) -> Json:
    """Doors: header, header_pattern, header_value, cookie."""
    written = {
        "canary": "true",
        "canary-weight": str(weight),
        **{f"canary-by-{key.replace('_', '-')}": value for key, value in doors.items()},
    }
    annotations = {CLASS + key: value for key, value in written.items()}
    return ingress("myapp-canary", annotations, labels=OURS)


def open_to_accounts(weight: int = 5, accounts: str = "alice|bob") -> Json:
    pattern = f"^(?:{accounts})$"
    return canary_ingress(weight, header="X-Account", header_pattern=pattern, cookie=CLOSING)


CLOSING = closing_name("uid-service")


def world(**changes: Any) -> World:
    good = World(
        service=service(in_canary()),
        now=NOW,
        deployments=(deployment(), canary()),
        replica_sets=(replica_set("v1", 1, 3), canary_set()),
        ingresses=(ingress(), open_to_accounts()),
    )
    return replace(good, **changes)


def named(objects: tuple[Object, ...], name: str) -> Object:
    return next(it for it in objects if it["metadata"]["name"] == name)
