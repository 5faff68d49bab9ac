"""What makes an object of each built-in kind invalid, and what may not change."""

import re
from collections.abc import Callable, Iterator
from typing import TypeAlias

from e2e.bed.apiserver import network_rules, workload_rules
from e2e.bed.apiserver.errors import (
    Cause,
    forbidden_field,
    immutable,
    invalid_value,
    required,
)
from e2e.bed.apiserver.kinds import Kind
from e2e.bed.apiserver.name_rules import not_negative
from e2e.bed.apiserver.trees import JsonObject, at

Rule: TypeAlias = Callable[[JsonObject], Iterator[Cause]]
ChangeRule: TypeAlias = Callable[[JsonObject, JsonObject], Iterator[Cause]]

_DATA_KEY = re.compile(r"(?!\.\.)(?!\.$)[-._a-zA-Z0-9]{1,253}")
_DATA_KEY_RULE = (
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. "
    "'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
)


def causes_for(kind: Kind, new: JsonObject, old: JsonObject | None, part: str) -> list[Cause]:
    """Return what is wrong with an object of a built-in kind.

    Args:
        kind: Its kind.
        new: The object as it would be stored.
        old: The stored one; None for a creation, which has rules of its own.
        part: The subresource that is written; of `status` only its own rules are asked.
    """
    if part == "status":
        rule = _STATUS_RULES.get(kind.kind)
        return list(rule(new)) if rule else []
    causes = list(_RULES[kind.kind](new)) if kind.kind in _RULES else []
    if old is None and kind.kind in _CREATE_RULES:
        causes += _CREATE_RULES[kind.kind](new)
    return causes


def causes_before_all(kind: Kind, new: JsonObject) -> list[Cause]:
    """Return what keeps a server from looking at the rest of an object."""
    rules = network_rules.BEFORE_ALL if kind.kind == "Service" else ()
    return next((causes for rule in rules if (causes := list(rule(new)))), [])


def causes_for_change(kind: Kind, new: JsonObject, old: JsonObject) -> list[Cause]:
    """Return what changed that may not."""
    rule = _CHANGE_RULES.get(kind.kind)
    return list(rule(new, old)) if rule else []


def _data_keys(obj: JsonObject) -> Iterator[Cause]:
    for field in ("data", "binaryData"):
        for key in obj.get(field) or {}:
            if not _DATA_KEY.fullmatch(key):
                yield invalid_value(f"{field}[{key}]", key, _DATA_KEY_RULE)


def _autoscaler(obj: JsonObject) -> Iterator[Cause]:
    spec = obj["spec"]
    most, least = spec.get("maxReplicas", 0), spec.get("minReplicas", 1)
    if least < 1:
        yield invalid_value("spec.minReplicas", least, "must be greater than or equal to 1")
    if most < 0:
        yield invalid_value("spec.maxReplicas", most, "must be greater than 0")
    if most < least:
        yield invalid_value(
            "spec.maxReplicas", most, "must be greater than or equal to `minReplicas`"
        )
    for field in ("kind", "name"):
        if not at(spec, "scaleTargetRef", field):
            yield required(f"spec.scaleTargetRef.{field}")
    if not at(spec, "scaleTargetRef", "apiVersion"):
        path = "spec.scaleTargetRef.apiVersion"
        yield invalid_value(path, "", "apiVersion must specify API group")
    if not most:
        yield required("spec.maxReplicas")


def _event(obj: JsonObject) -> Iterator[Cause]:
    about, own = at(obj, "involvedObject", "namespace") or "", obj["metadata"].get("namespace")
    is_newer = bool(obj.get("eventTime"))
    homeless = ("default", "kube-system") if is_newer else ("default",)
    if (own not in homeless) if not about else (about != own and not is_newer):
        yield invalid_value("involvedObject.namespace", about, "does not match event.namespace")


def _lease(obj: JsonObject) -> Iterator[Cause]:
    spec = obj.get("spec") or {}
    duration = spec.get("leaseDurationSeconds")
    if duration is not None and duration <= 0:
        yield invalid_value("spec.leaseDurationSeconds", duration, "must be greater than 0")
    yield from not_negative("spec.leaseTransitions", spec.get("leaseTransitions"))


def _data_stays_if_immutable(new: JsonObject, old: JsonObject) -> Iterator[Cause]:
    if not old.get("immutable"):
        return
    for field in ("immutable", "data", "binaryData"):
        if new.get(field) != old.get(field):
            yield forbidden_field(field, "field is immutable when `immutable` is set")


def _secret_stays(new: JsonObject, old: JsonObject) -> Iterator[Cause]:
    if new.get("type") != old.get("type"):
        yield immutable("type", new.get("type"))
    yield from _data_stays_if_immutable(new, old)


_RULES: dict[str, Rule] = {
    "ConfigMap": _data_keys,
    "DaemonSet": workload_rules.workload,
    "Deployment": workload_rules.deployment,
    "EndpointSlice": network_rules.endpoint_slice,
    "Event": _event,
    "HorizontalPodAutoscaler": _autoscaler,
    "Ingress": network_rules.ingress,
    "Lease": _lease,
    "Pod": workload_rules.pod,
    "PodDisruptionBudget": workload_rules.budget,
    "ReplicaSet": workload_rules.workload,
    "Secret": _data_keys,
    "Service": network_rules.service,
    "StatefulSet": workload_rules.workload,
}
_CREATE_RULES: dict[str, Rule] = {"Ingress": network_rules.ingress_created}
_STATUS_RULES: dict[str, Rule] = {
    "Deployment": workload_rules.workload_status,
    "Ingress": network_rules.ingress_status,
    "PodDisruptionBudget": workload_rules.budget_status,
    "ReplicaSet": workload_rules.workload_status,
    "Service": network_rules.service_status,
}
_CHANGE_RULES: dict[str, ChangeRule] = {
    "ConfigMap": _data_stays_if_immutable,
    "DaemonSet": workload_rules.selector_stays,
    "Deployment": workload_rules.selector_stays,
    "EndpointSlice": network_rules.address_type_stays,
    "Pod": workload_rules.pod_stays,
    "ReplicaSet": workload_rules.selector_stays,
    "Secret": _secret_stays,
    "Service": network_rules.service_changed,
    "StatefulSet": workload_rules.selector_stays,
}
