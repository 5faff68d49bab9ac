"""What `kubectl get` prints: the columns of each kind and the cells of each object."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

from e2e.bed.apiserver.kinds import Kind
from e2e.bed.apiserver.trees import JsonObject, at, seconds_of

Cell: TypeAlias = Callable[[JsonObject, float], Any]
"""What a column shows of an object at a time in seconds since the epoch."""

NONE, UNSET, UNKNOWN = "<none>", "<unset>", "<unknown>"
_WIDE = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """One column; those of priority 1 are shown by `-o wide` only."""

    name: str
    cell: Cell
    type: str = "string"
    priority: int = 0


def table_of(
    kind: Kind, objects: Iterable[JsonObject], now: float, *, whole: bool = False
) -> JsonObject:
    """Return a Table.

    Args:
        kind: What the objects are.
        objects: The rows.
        now: For ages.
        whole: Whether rows carry whole objects instead of their metadata.
    """
    columns = COLUMNS.get(kind.kind, _PLAIN)
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": {},
        "columnDefinitions": [
            {
                "name": column.name,
                "type": column.type,
                "format": "name" if column.name == "Name" else "",
                "description": "",
                "priority": column.priority,
            }
            for column in columns
        ],
        "rows": [
            {
                "cells": [column.cell(obj, now) for column in columns],
                "object": obj if whole else partial_metadata(obj),
            }
            for obj in objects
        ],
    }


def partial_metadata(obj: JsonObject) -> JsonObject:
    """Return an object reduced to its metadata."""
    return {
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": obj["metadata"],
    }


def age(text: Any, now: float) -> str:
    """Return how long ago a time was, as kubectl says it: `5s`, `3m12s`, `26h`, `4d`."""
    if not text:
        return UNKNOWN
    seconds = int(now - seconds_of(text))
    if seconds < -1:
        return "<invalid>"
    return next(told(max(0, seconds)) for limit, told in _AGES if seconds < limit)


def _parts(seconds: int, size: int, name: str, small: int, small_name: str) -> str:
    """Return `3m12s`, or `3m` when nothing is left over."""
    left = seconds % size // small
    return f"{seconds // size}{name}{left}{small_name}" if left else f"{seconds // size}{name}"


_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_AGES: tuple[tuple[float, Callable[[int], str]], ...] = (
    (2 * _MINUTE, lambda seconds: f"{seconds}s"),
    (10 * _MINUTE, lambda seconds: _parts(seconds, _MINUTE, "m", 1, "s")),
    (3 * _HOUR, lambda seconds: f"{seconds // _MINUTE}m"),
    (8 * _HOUR, lambda seconds: _parts(seconds, _HOUR, "h", _MINUTE, "m")),
    (2 * _DAY, lambda seconds: f"{seconds // _HOUR}h"),
    (8 * _DAY, lambda seconds: _parts(seconds, _DAY, "d", _HOUR, "h")),
    (float("inf"), lambda seconds: f"{seconds // _DAY}d"),
)


def _path(*path: str, default: Any = "") -> Cell:
    def cell(obj: JsonObject, _: float) -> Any:
        value = at(obj, *path)
        return default if value is None else value

    return cell


def _of(answer: Callable[[JsonObject], Any]) -> Cell:
    return lambda obj, _: answer(obj)


def _created(obj: JsonObject, now: float) -> str:
    return age(obj["metadata"].get("creationTimestamp"), now)


_NAME = Column(name="Name", cell=_path("metadata", "name"))
_AGE = Column(name="Age", cell=_created)
_PLAIN = (_NAME, _AGE)


def _pairs(labels: Any) -> str:
    return ",".join(f"{key}={value}" for key, value in sorted((labels or {}).items())) or NONE


def _selector(obj: JsonObject) -> str:
    selector = at(obj, "spec", "selector") or {}
    terms = [f"{key}={value}" for key, value in sorted((selector.get("matchLabels") or {}).items())]
    for one in selector.get("matchExpressions") or []:
        word = {"In": "in", "NotIn": "notin"}.get(one["operator"])
        if word:
            terms.append(f"{one['key']} {word} ({','.join(one['values'])})")
        else:
            terms.append(one["key"] if one["operator"] == "Exists" else f"!{one['key']}")
    return ",".join(terms) or NONE


def _containers(obj: JsonObject, field: str) -> str:
    pod = at(obj, "spec", "template", "spec") or at(obj, "spec") or {}
    return ",".join(container.get(field, "") for container in pod.get("containers") or [])


def _count(title: str, *path: str) -> Column:
    return Column(name=title, cell=_path(*path, default=0), type="integer")


_CONTAINER_NAMES = Column(
    name="Containers", cell=_of(lambda obj: _containers(obj, "name")), priority=_WIDE
)
_IMAGES = Column(name="Images", cell=_of(lambda obj: _containers(obj, "image")), priority=_WIDE)
_SELECTOR = Column(name="Selector", cell=_of(_selector), priority=_WIDE)


def _ready_of(obj: JsonObject) -> str:
    ready, wanted = at(obj, "status", "readyReplicas") or 0, at(obj, "spec", "replicas")
    return f"{ready}/{1 if wanted is None else wanted}"


def _balancer(obj: JsonObject) -> str:
    entries = at(obj, "status", "loadBalancer", "ingress") or []
    return ",".join(entry.get("ip") or entry.get("hostname", "") for entry in entries)


def _external(obj: JsonObject) -> str:
    spec = obj["spec"]
    if spec.get("type") == "ExternalName":
        return str(spec.get("externalName", ""))
    waiting = "<pending>" if spec.get("type") == "LoadBalancer" else NONE
    return _balancer(obj) or ",".join(spec.get("externalIPs") or []) or waiting


def _service_ports(obj: JsonObject) -> str:
    told = []
    for port in obj["spec"].get("ports") or []:
        number = f"{port['port']}:{port['nodePort']}" if port.get("nodePort") else port["port"]
        told.append(f"{number}/{port.get('protocol', 'TCP')}")
    return ",".join(told) or NONE


def _hosts(obj: JsonObject) -> str:
    hosts = [rule["host"] for rule in at(obj, "spec", "rules") or [] if rule.get("host")]
    if len(hosts) > 3:
        return f"{','.join(hosts[:3])} + {len(hosts) - 3} more..."
    return ",".join(hosts) or "*"


def _shortened(items: list[str]) -> str:
    if len(items) > 3:
        return f"{','.join(items[:3])} + {len(items) - 3} more..."
    return ",".join(items) or UNSET


def _slice_ports(obj: JsonObject) -> str:
    return _shortened([str(port.get("port")) for port in obj.get("ports") or []])


def _slice_addresses(obj: JsonObject) -> str:
    endpoints = obj.get("endpoints") or []
    return _shortened([address for one in endpoints for address in one.get("addresses") or []])


def _pod_statuses(obj: JsonObject) -> list[JsonObject]:
    return at(obj, "status", "containerStatuses") or []


def _pod_ready(obj: JsonObject) -> str:
    ready = sum(bool(one.get("ready")) for one in _pod_statuses(obj))
    return f"{ready}/{len(obj['spec'].get('containers') or [])}"


def _pod_phase(obj: JsonObject) -> str:
    if obj["metadata"].get("deletionTimestamp"):
        return "Terminating"
    for status in _pod_statuses(obj):
        for state in ("waiting", "terminated"):
            if reason := at(status, "state", state, "reason"):
                return str(reason)
    return str(at(obj, "status", "reason") or at(obj, "status", "phase") or "Unknown")


def _pod_restarts(obj: JsonObject) -> str:
    return str(sum(one.get("restartCount", 0) for one in _pod_statuses(obj)))


def _event_seen(obj: JsonObject, now: float) -> str:
    times = ("lastTimestamp", "eventTime", "firstTimestamp")
    last = at(obj, "series", "lastObservedTime") or next(
        (obj[field] for field in times if obj.get(field)), None
    )
    return age(last or obj["metadata"].get("creationTimestamp"), now)


def _event_object(obj: JsonObject) -> str:
    about = obj.get("involvedObject") or {}
    return f"{about.get('kind', '').lower()}/{about.get('name', '')}"


def _event_source(obj: JsonObject) -> str:
    source = obj.get("source") or {}
    parts = [source.get("component") or obj.get("reportingComponent", ""), source.get("host", "")]
    return ", ".join(part for part in parts if part)


def _budget(field: str) -> Cell:
    return _path("spec", field, default="N/A")


def _scale_target(obj: JsonObject) -> str:
    return (
        f"{at(obj, 'spec', 'scaleTargetRef', 'kind')}/{at(obj, 'spec', 'scaleTargetRef', 'name')}"
    )


def _metrics(obj: JsonObject) -> str:
    told = []
    for metric in at(obj, "spec", "metrics") or []:
        resource = metric.get("resource") or {}
        wanted = at(resource, "target", "averageUtilization")
        told.append(f"{resource.get('name', metric.get('type'))}: <unknown>/{wanted}%")
    return ", ".join(told) or NONE


COLUMNS: dict[str, tuple[Column, ...]] = {
    "ConfigMap": (
        _NAME,
        Column(name="Data", cell=_of(lambda obj: len(obj.get("data") or {})), type="integer"),
        _AGE,
    ),
    "Deployment": (
        _NAME,
        Column(name="Ready", cell=_of(_ready_of)),
        _count("Up-to-date", "status", "updatedReplicas"),
        _count("Available", "status", "availableReplicas"),
        _AGE,
        _CONTAINER_NAMES,
        _IMAGES,
        _SELECTOR,
    ),
    "EndpointSlice": (
        _NAME,
        Column(name="AddressType", cell=_path("addressType")),
        Column(name="Ports", cell=_of(_slice_ports)),
        Column(name="Endpoints", cell=_of(_slice_addresses)),
        _AGE,
    ),
    "Event": (
        Column(name="Last Seen", cell=_event_seen),
        Column(name="Type", cell=_path("type")),
        Column(name="Reason", cell=_path("reason")),
        Column(name="Object", cell=_of(_event_object)),
        Column(name="Subobject", cell=_path("involvedObject", "fieldPath"), priority=_WIDE),
        Column(name="Source", cell=_of(_event_source), priority=_WIDE),
        Column(name="Message", cell=_path("message")),
        Column(name="First Seen", cell=_event_seen, priority=_WIDE),
        Column(name="Count", cell=_path("count", default=1), priority=_WIDE),
        Column(name="Name", cell=_path("metadata", "name"), priority=_WIDE),
    ),
    "HorizontalPodAutoscaler": (
        _NAME,
        Column(name="Reference", cell=_of(_scale_target)),
        Column(name="Targets", cell=_of(_metrics)),
        Column(name="MinPods", cell=_path("spec", "minReplicas", default=UNSET)),
        Column(name="MaxPods", cell=_path("spec", "maxReplicas"), type="integer"),
        Column(name="Replicas", cell=_path("status", "currentReplicas", default=0), type="integer"),
        _AGE,
    ),
    "Ingress": (
        _NAME,
        Column(name="Class", cell=_path("spec", "ingressClassName", default=NONE)),
        Column(name="Hosts", cell=_of(_hosts)),
        Column(name="Address", cell=_of(_balancer)),
        Column(name="Ports", cell=_of(lambda obj: "80, 443" if at(obj, "spec", "tls") else "80")),
        _AGE,
    ),
    "IngressClass": (
        _NAME,
        Column(name="Controller", cell=_path("spec", "controller")),
        Column(name="Parameters", cell=_path("spec", "parameters", "name", default=NONE)),
        _AGE,
    ),
    "Lease": (_NAME, Column(name="Holder", cell=_path("spec", "holderIdentity")), _AGE),
    "Namespace": (_NAME, Column(name="Status", cell=_path("status", "phase")), _AGE),
    "Node": (
        _NAME,
        Column(name="Status", cell=_of(lambda _: "Ready")),
        Column(name="Roles", cell=_of(lambda _: NONE)),
        _AGE,
        Column(name="Version", cell=_path("status", "nodeInfo", "kubeletVersion")),
    ),
    "Pod": (
        _NAME,
        Column(name="Ready", cell=_of(_pod_ready)),
        Column(name="Status", cell=_of(_pod_phase)),
        Column(name="Restarts", cell=_of(_pod_restarts)),
        _AGE,
        Column(name="IP", cell=_path("status", "podIP", default=NONE), priority=_WIDE),
        Column(name="Node", cell=_path("spec", "nodeName", default=NONE), priority=_WIDE),
        Column(
            name="Nominated Node",
            cell=_path("status", "nominatedNodeName", default=NONE),
            priority=_WIDE,
        ),
        Column(name="Readiness Gates", cell=_of(lambda _: NONE), priority=_WIDE),
    ),
    "PodDisruptionBudget": (
        _NAME,
        Column(name="Min Available", cell=_budget("minAvailable")),
        Column(name="Max Unavailable", cell=_budget("maxUnavailable")),
        _count("Allowed Disruptions", "status", "disruptionsAllowed"),
        _AGE,
    ),
    "ReplicaSet": (
        _NAME,
        _count("Desired", "spec", "replicas"),
        _count("Current", "status", "replicas"),
        _count("Ready", "status", "readyReplicas"),
        _AGE,
        _CONTAINER_NAMES,
        _IMAGES,
        _SELECTOR,
    ),
    "Secret": (
        _NAME,
        Column(name="Type", cell=_path("type")),
        Column(name="Data", cell=_of(lambda obj: len(obj.get("data") or {})), type="integer"),
        _AGE,
    ),
    "Service": (
        _NAME,
        Column(name="Type", cell=_path("spec", "type")),
        Column(name="Cluster-IP", cell=_path("spec", "clusterIP", default=NONE)),
        Column(name="External-IP", cell=_of(_external)),
        Column(name="Port(s)", cell=_of(_service_ports)),
        _AGE,
        Column(
            name="Selector",
            cell=_of(lambda obj: _pairs(at(obj, "spec", "selector"))),
            priority=_WIDE,
        ),
    ),
    "StatefulSet": (_NAME, Column(name="Ready", cell=_of(_ready_of)), _AGE),
}
