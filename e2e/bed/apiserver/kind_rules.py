"""What makes an object of each built-in kind invalid, and what may not change."""

import ipaddress
import re
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from e2e.bed.apiserver.errors import (
    Cause,
    duplicate,
    forbidden_field,
    immutable,
    invalid_value,
    required,
    unsupported,
)
from e2e.bed.apiserver.kinds import Kind
from e2e.bed.apiserver.selectors import label_selector_matches
from e2e.bed.apiserver.trees import JsonObject, at

Rule: TypeAlias = Callable[[JsonObject], Iterator[Cause]]
ChangeRule: TypeAlias = Callable[[JsonObject, JsonObject], Iterator[Cause]]

CLASS_ANNOTATION = "kubernetes.io/ingress.class"
_DATA_KEY = re.compile(r"(?!\.\.)(?!\.$)[-._a-zA-Z0-9]{1,253}")
_DATA_KEY_RULE = (
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. "
    "'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
)
LOOPBACK = "may not be in the loopback range (127.0.0.0/8, ::1/128)"


def causes_for(kind: Kind, new: JsonObject, old: JsonObject | None) -> list[Cause]:
    """Return what is wrong with an object of a built-in kind; only its creation's rules too."""
    causes = list(_RULES[kind.kind](new)) if kind.kind in _RULES else []
    if old is None and kind.kind in _CREATE_RULES:
        causes += _CREATE_RULES[kind.kind](new)
    return causes


def causes_for_change(kind: Kind, new: JsonObject, old: JsonObject) -> list[Cause]:
    """Return what changed that may not."""
    rule = _CHANGE_RULES.get(kind.kind)
    return list(rule(new, old)) if rule else []


def loopback_causes(obj: JsonObject) -> Iterator[Cause]:
    """Yield the loopback addresses of an EndpointSlice; a real server refuses them."""
    for index, endpoint in enumerate(obj.get("endpoints") or []):
        for place, address in enumerate(endpoint.get("addresses") or []):
            ip = _ip(address)
            if ip is not None and ip.is_loopback:
                yield invalid_value(f"endpoints[{index}].addresses[{place}]", address, LOOPBACK)


def _workload(obj: JsonObject) -> Iterator[Cause]:
    spec = obj["spec"]
    yield from _not_negative(spec, "replicas", "spec.replicas")
    selector = spec.get("selector")
    labels = at(spec, "template", "metadata", "labels") or {}
    if not selector:
        yield required("spec.selector")
    if not (selector or {}).get("matchLabels") and not (selector or {}).get("matchExpressions"):
        yield invalid_value(
            "spec.selector", selector or {}, "empty selector is invalid for deployment"
        )
    elif not label_selector_matches(selector, labels):
        yield invalid_value(
            "spec.template.metadata.labels", labels, "`selector` does not match template `labels`"
        )
    pod = at(spec, "template", "spec") or {}
    yield from _pod_causes(pod, "spec.template.spec")
    if pod.get("restartPolicy", "Always") != "Always":
        yield unsupported("spec.template.spec.restartPolicy", pod["restartPolicy"], ["Always"])


def _deployment(obj: JsonObject) -> Iterator[Cause]:
    yield from _workload(obj)
    spec = obj["spec"]
    yield from _not_negative(spec, "minReadySeconds", "spec.minReadySeconds")
    yield from _not_negative(spec, "revisionHistoryLimit", "spec.revisionHistoryLimit")
    strategy = spec.get("strategy") or {}
    kind = strategy.get("type")
    if kind not in ("Recreate", "RollingUpdate"):
        yield unsupported("spec.strategy.type", kind, ["Recreate", "RollingUpdate"])
    elif kind == "Recreate" and strategy.get("rollingUpdate") is not None:
        yield forbidden_field(
            "spec.strategy.rollingUpdate",
            "may not be specified when strategy `type` is 'Recreate'",
        )
    elif kind == "RollingUpdate":
        yield from _rolling_update(strategy.get("rollingUpdate") or {})
    deadline = spec.get("progressDeadlineSeconds", 600)
    if deadline <= spec.get("minReadySeconds", 0):
        yield invalid_value(
            "spec.progressDeadlineSeconds", deadline, "must be greater than minReadySeconds"
        )


def _rolling_update(rolling: JsonObject) -> Iterator[Cause]:
    if _is_zero(rolling.get("maxSurge")) and _is_zero(rolling.get("maxUnavailable")):
        yield invalid_value(
            "spec.strategy.rollingUpdate.maxUnavailable",
            rolling.get("maxUnavailable"),
            "may not be 0 when `maxSurge` is 0",
        )


def _is_zero(value: Any) -> bool:
    return value in (0, "0", "0%")


def _pod(obj: JsonObject) -> Iterator[Cause]:
    yield from _pod_causes(obj["spec"], "spec")


def _pod_causes(pod: JsonObject, path: str) -> Iterator[Cause]:
    containers = pod.get("containers") or []
    if not containers:
        yield required(f"{path}.containers")
    seen: set[str] = set()
    for index, container in enumerate(containers):
        here = f"{path}.containers[{index}]"
        name = container.get("name")
        if not name:
            yield required(f"{here}.name")
        elif name in seen:
            yield duplicate(f"{here}.name", name)
        seen.add(name or "")
        if not container.get("image"):
            yield required(f"{here}.image")
        for place, port in enumerate(container.get("ports") or []):
            yield from _port_number(
                port.get("containerPort"), f"{here}.ports[{place}].containerPort"
            )


def _port_number(port: Any, path: str) -> Iterator[Cause]:
    if port is None:
        yield required(path)
    elif not isinstance(port, int) or not 1 <= port <= 65535:
        yield invalid_value(path, port, "must be between 1 and 65535, inclusive")


def _service(obj: JsonObject) -> Iterator[Cause]:
    spec = obj["spec"]
    kinds = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"]
    if spec.get("type") not in kinds:
        yield unsupported("spec.type", spec.get("type"), kinds)
    ports = spec.get("ports") or []
    headless = spec.get("clusterIP") == "None"
    if not ports and not headless and spec.get("type") != "ExternalName":
        yield required("spec.ports")
    if spec.get("type") == "ExternalName" and not spec.get("externalName"):
        yield required("spec.externalName")
    seen: set[Any] = set()
    for index, port in enumerate(ports):
        here = f"spec.ports[{index}]"
        if len(ports) > 1 and not port.get("name"):
            yield required(f"{here}.name")
        elif port.get("name") and port["name"] in seen:
            yield duplicate(f"{here}.name", port["name"])
        seen.add(port.get("name"))
        yield from _port_number(port.get("port"), f"{here}.port")
        if port.get("protocol") not in ("TCP", "UDP", "SCTP"):
            yield unsupported(f"{here}.protocol", port.get("protocol"), ["SCTP", "TCP", "UDP"])


def _ingress(obj: JsonObject) -> Iterator[Cause]:
    spec = obj.get("spec") or {}
    if not spec.get("rules") and not spec.get("defaultBackend"):
        yield invalid_value("spec", spec, "either `defaultBackend` or `rules` must be specified")
    for index, rule in enumerate(spec.get("rules") or []):
        for place, path in enumerate(at(rule, "http", "paths") or []):
            yield from _ingress_path(path, f"spec.rules[{index}].http.paths[{place}]")


def _ingress_path(path: JsonObject, here: str) -> Iterator[Cause]:
    kind, text = path.get("pathType"), path.get("path", "")
    kinds = ["Exact", "ImplementationSpecific", "Prefix"]
    if kind is None:
        yield required(f"{here}.pathType", "pathType must be specified")
    elif kind not in kinds:
        yield unsupported(f"{here}.pathType", kind, kinds)
    elif not text.startswith("/") and (text or kind != "ImplementationSpecific"):
        yield invalid_value(f"{here}.path", text, "must be an absolute path")
    backend = path.get("backend") or {}
    service = backend.get("service")
    if service is None and backend.get("resource") is None:
        yield required(f"{here}.backend", "must specify service or resource")
    elif service is not None:
        yield from _service_backend(service, f"{here}.backend")


def _service_backend(service: JsonObject, here: str) -> Iterator[Cause]:
    if not service.get("name"):
        yield required(f"{here}.service.name")
    port = service.get("port") or {}
    if not port.get("number") and not port.get("name"):
        yield required(f"{here}", "port name or number is required")
    elif port.get("number") and port.get("name"):
        yield invalid_value(f"{here}", "", "cannot set both port name & port number")


def _ingress_created(obj: JsonObject) -> Iterator[Cause]:
    annotation = at(obj, "metadata", "annotations", CLASS_ANNOTATION)
    field = at(obj, "spec", "ingressClassName")
    if annotation is not None and field is not None and annotation != field:
        yield invalid_value(
            f"annotations.{CLASS_ANNOTATION}",
            annotation,
            "must match `ingressClassName` when both are specified",
        )


def _endpoint_slice(obj: JsonObject) -> Iterator[Cause]:
    kinds = ["FQDN", "IPv4", "IPv6"]
    kind = obj.get("addressType")
    if not kind:
        yield required("addressType")
    elif kind not in kinds:
        yield unsupported("addressType", kind, kinds)
    for index, endpoint in enumerate(obj.get("endpoints") or []):
        addresses = endpoint.get("addresses") or []
        if not addresses:
            yield required(f"endpoints[{index}].addresses", "must contain at least 1 address")
        for place, address in enumerate(addresses):
            ip = _ip(address)
            if kind == "IPv4" and (ip is None or ip.version != 4):
                path = f"endpoints[{index}].addresses[{place}]"
                yield invalid_value(path, address, "must be an IPv4 address")


def _ip(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _data_keys(obj: JsonObject) -> Iterator[Cause]:
    for field in ("data", "binaryData"):
        for key in obj.get(field) or {}:
            if not _DATA_KEY.fullmatch(key):
                yield invalid_value(f"{field}[{key}]", key, _DATA_KEY_RULE)


def _disruption_budget(obj: JsonObject) -> Iterator[Cause]:
    spec = obj["spec"]
    if "minAvailable" in spec and "maxUnavailable" in spec:
        yield invalid_value("spec", spec, "minAvailable and maxUnavailable cannot be both set")


def _autoscaler(obj: JsonObject) -> Iterator[Cause]:
    spec = obj["spec"]
    for field in ("kind", "name"):
        if not at(spec, "scaleTargetRef", field):
            yield required(f"spec.scaleTargetRef.{field}")
    most, least = spec.get("maxReplicas", 0), spec.get("minReplicas", 1)
    if most < 1:
        yield invalid_value("spec.maxReplicas", most, "must be greater than 0")
    elif most < least:
        yield invalid_value(
            "spec.maxReplicas", most, "must be greater than or equal to `minReplicas`"
        )


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
    yield from _not_negative(spec, "leaseTransitions", "spec.leaseTransitions")


def _not_negative(spec: JsonObject, field: str, path: str) -> Iterator[Cause]:
    value = spec.get(field)
    if isinstance(value, int) and value < 0:
        yield invalid_value(path, value, "must be greater than or equal to 0")


def _selector_stays(new: JsonObject, old: JsonObject) -> Iterator[Cause]:
    if at(new, "spec", "selector") != at(old, "spec", "selector"):
        yield immutable("spec.selector", at(new, "spec", "selector"))


def _address_type_stays(new: JsonObject, old: JsonObject) -> Iterator[Cause]:
    if new.get("addressType") != old.get("addressType"):
        yield immutable("addressType", new.get("addressType"))


def _data_stays_if_immutable(new: JsonObject, old: JsonObject) -> Iterator[Cause]:
    if not old.get("immutable"):
        return
    for field in ("immutable", "data", "binaryData"):
        if new.get(field) != old.get(field):
            yield forbidden_field(field, "field is immutable when `immutable` is set")


def _has_addresses_as_balancer(new: JsonObject, old: JsonObject) -> Iterator[Cause]:
    balancer = at(new, "status", "loadBalancer") or {}
    is_written = balancer != at(old, "status", "loadBalancer")
    if is_written and balancer.get("ingress") and new["spec"].get("type") != "LoadBalancer":
        yield forbidden_field(
            "status.loadBalancer.ingress", "may only be used when `spec.type` is 'LoadBalancer'"
        )


def _secret_stays(new: JsonObject, old: JsonObject) -> Iterator[Cause]:
    if new.get("type") != old.get("type"):
        yield immutable("type", new.get("type"))
    yield from _data_stays_if_immutable(new, old)


def _pod_stays(new: JsonObject, old: JsonObject) -> Iterator[Cause]:
    if _pod_identity(new) != _pod_identity(old):
        yield forbidden_field(
            "spec",
            "pod updates may not change fields other than `spec.containers[*].image`,"
            "`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` "
            "(only additions to existing tolerations),`spec.terminationGracePeriodSeconds` "
            "(allow it to be set to 1 if it was previously negative)",
        )


def _pod_identity(obj: JsonObject) -> JsonObject:
    free = ("activeDeadlineSeconds", "containers", "initContainers", "tolerations", "nodeName")
    return {key: value for key, value in obj["spec"].items() if key not in free}


_RULES: dict[str, Rule] = {
    "ConfigMap": _data_keys,
    "DaemonSet": _workload,
    "Deployment": _deployment,
    "EndpointSlice": _endpoint_slice,
    "Event": _event,
    "HorizontalPodAutoscaler": _autoscaler,
    "Ingress": _ingress,
    "Lease": _lease,
    "Pod": _pod,
    "PodDisruptionBudget": _disruption_budget,
    "ReplicaSet": _workload,
    "Secret": _data_keys,
    "Service": _service,
    "StatefulSet": _workload,
}
_CREATE_RULES: dict[str, Rule] = {"Ingress": _ingress_created}
_CHANGE_RULES: dict[str, ChangeRule] = {
    "ConfigMap": _data_stays_if_immutable,
    "DaemonSet": _selector_stays,
    "Deployment": _selector_stays,
    "EndpointSlice": _address_type_stays,
    "Pod": _pod_stays,
    "ReplicaSet": _selector_stays,
    "Secret": _secret_stays,
    "Service": _has_addresses_as_balancer,
    "StatefulSet": _selector_stays,
}
