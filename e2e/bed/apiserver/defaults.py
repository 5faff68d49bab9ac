"""What the API server fills in where a user leaves a field out."""

import base64
from collections.abc import Callable, Iterator
from typing import Any

from e2e.bed.apiserver.kinds import Kind
from e2e.bed.apiserver.trees import JsonObject

_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
_MODE_VOLUMES = ("configMap", "secret", "projected", "downwardAPI")


def with_defaults(kind: Kind, obj: JsonObject) -> JsonObject:
    """Fill in the defaults of a built-in kind; changes `obj` and returns it."""
    _tidy_metadata(obj["metadata"])
    fill = _FILLS.get(kind.kind)
    if fill is not None and not kind.custom:
        fill(obj)
    return obj


def with_status_defaults(kind: Kind, obj: JsonObject, sent: JsonObject) -> None:
    """Fill in the defaults of a status that is written by itself.

    A server reads what was sent with it too: who sends no balancer has its addresses not completed.
    """
    if kind.kind == "Service" and (sent.get("spec") or {}).get("type") == "LoadBalancer":
        for ingress in _dicts((obj.get("status") or {}).get("loadBalancer") or {}, "ingress"):
            if ingress.get("ip"):
                ingress.setdefault("ipMode", "VIP")


def _tidy_metadata(meta: JsonObject) -> None:
    for field in ("annotations", "labels", "finalizers", "ownerReferences"):
        if field in meta and not meta[field]:
            del meta[field]


def _deployment(obj: JsonObject) -> None:
    spec = _spec(obj)
    for field, value in (
        ("replicas", 1),
        ("revisionHistoryLimit", 10),
        ("progressDeadlineSeconds", 600),
    ):
        spec.setdefault(field, value)
    strategy = spec.setdefault("strategy", {})
    if strategy.setdefault("type", "RollingUpdate") == "RollingUpdate":
        rolling = strategy.setdefault("rollingUpdate", {})
        rolling.setdefault("maxUnavailable", "25%")
        rolling.setdefault("maxSurge", "25%")
    _drop_false(spec, "paused")
    _pod_template(spec)
    obj.setdefault("status", {})


def _drop_false(spec: JsonObject, field: str) -> None:
    if spec.get(field) is False:
        del spec[field]


def _replica_set(obj: JsonObject) -> None:
    spec = _spec(obj)
    spec.setdefault("replicas", 1)
    _pod_template(spec)
    obj.setdefault("status", {}).setdefault("replicas", 0)


def _stateful_set(obj: JsonObject) -> None:
    spec = _spec(obj)
    spec.setdefault("replicas", 1)
    spec.setdefault("revisionHistoryLimit", 10)
    spec.setdefault("podManagementPolicy", "OrderedReady")
    strategy = spec.setdefault("updateStrategy", {})
    if strategy.setdefault("type", "RollingUpdate") == "RollingUpdate":
        strategy.setdefault("rollingUpdate", {}).setdefault("partition", 0)
    spec.setdefault(
        "persistentVolumeClaimRetentionPolicy", {"whenDeleted": "Retain", "whenScaled": "Retain"}
    )
    _pod_template(spec)


def _daemon_set(obj: JsonObject) -> None:
    spec = _spec(obj)
    spec.setdefault("revisionHistoryLimit", 10)
    strategy = spec.setdefault("updateStrategy", {})
    if strategy.setdefault("type", "RollingUpdate") == "RollingUpdate":
        rolling = strategy.setdefault("rollingUpdate", {})
        rolling.setdefault("maxUnavailable", 1)
        rolling.setdefault("maxSurge", 0)
    _pod_template(spec)


def _pod_template(spec: JsonObject) -> None:
    template = spec.setdefault("template", {})
    if not isinstance(template, dict):
        return
    _tidy_metadata(template.setdefault("metadata", {}))
    _pod_spec(template.setdefault("spec", {}))


def _pod(obj: JsonObject) -> None:
    spec = _spec(obj)
    _pod_spec(spec)
    for container in _dicts(spec, "initContainers", "containers"):
        _resources(container["resources"])
    spec.setdefault("enableServiceLinks", True)
    spec.setdefault("preemptionPolicy", "PreemptLowerPriority")
    spec.setdefault("priority", 0)
    spec.setdefault("serviceAccountName", "default")
    spec.setdefault("serviceAccount", spec["serviceAccountName"])
    status = obj.setdefault("status", {})
    status.setdefault("phase", "Pending")
    status.setdefault("qosClass", _quality_of(spec))


def _quality_of(spec: JsonObject) -> str:
    resources = [container.get("resources") or {} for container in spec.get("containers") or []]
    if not any(resources):
        return "BestEffort"
    whole = all(
        {"cpu", "memory"} <= set(one.get("limits") or {})
        and (one.get("requests") or one["limits"]) == one["limits"]
        for one in resources
    )
    return "Guaranteed" if whole else "Burstable"


def _pod_spec(spec: JsonObject) -> None:
    for field, value in (
        ("restartPolicy", "Always"),
        ("terminationGracePeriodSeconds", 30),
        ("dnsPolicy", "ClusterFirst"),
        ("schedulerName", "default-scheduler"),
    ):
        spec.setdefault(field, value)
    spec.setdefault("securityContext", {})
    if spec.get("serviceAccountName"):
        spec.setdefault("serviceAccount", spec["serviceAccountName"])
    elif spec.get("serviceAccount"):
        spec["serviceAccountName"] = spec["serviceAccount"]
    for container in _dicts(spec, "initContainers", "containers"):
        _container(container)
    for volume in _dicts(spec, "volumes"):
        _volume(volume)


def _volume(volume: JsonObject) -> None:
    if volume.keys() <= {"name"}:
        volume["emptyDir"] = {}
    for source in _MODE_VOLUMES:
        if isinstance(volume.get(source), dict):
            volume[source].setdefault("defaultMode", 420)


def _container(container: JsonObject) -> None:
    container.setdefault("imagePullPolicy", _pull_policy(container.get("image") or ""))
    container.setdefault("terminationMessagePath", "/dev/termination-log")
    container.setdefault("terminationMessagePolicy", "File")
    container.setdefault("resources", {})
    for port in _dicts(container, "ports"):
        port.setdefault("protocol", "TCP")
    for variable in _dicts(container, "env"):
        reference = (variable.get("valueFrom") or {}).get("fieldRef")
        if isinstance(reference, dict):
            reference.setdefault("apiVersion", "v1")
    for name in _PROBES:
        if isinstance(container.get(name), dict):
            _probe(container[name])
    for action in (container.get("lifecycle") or {}).values():
        _http_action(action)


def _resources(resources: JsonObject) -> None:
    """Ask for what is limited, where nothing else is asked for."""
    if resources.get("limits"):
        resources["requests"] = {**resources["limits"], **(resources.get("requests") or {})}


def _pull_policy(image: str) -> str:
    tail = image.rpartition("/")[2]
    if "@" in tail or image != image.strip():
        return "IfNotPresent"
    _, colon, tag = tail.partition(":")
    return "IfNotPresent" if colon and tag != "latest" else "Always"


def _probe(probe: JsonObject) -> None:
    for field, value in (
        ("timeoutSeconds", 1),
        ("periodSeconds", 10),
        ("successThreshold", 1),
        ("failureThreshold", 3),
    ):
        if not probe.get(field):
            probe[field] = value
    _http_action(probe)
    if isinstance(probe.get("grpc"), dict):
        probe["grpc"].setdefault("service", "")


def _http_action(action: Any) -> None:
    if isinstance(action, dict) and isinstance(action.get("httpGet"), dict):
        action["httpGet"].setdefault("path", "/")
        action["httpGet"].setdefault("scheme", "HTTP")


def _service(obj: JsonObject) -> None:
    spec = _spec(obj)
    kind = spec.setdefault("type", "ClusterIP")
    spec.setdefault("sessionAffinity", "None")
    if spec["sessionAffinity"] == "ClientIP":
        spec.setdefault("sessionAffinityConfig", {"clientIP": {"timeoutSeconds": 10800}})
    else:
        spec.pop("sessionAffinityConfig", None)
    if kind != "ExternalName":
        spec.setdefault("internalTrafficPolicy", "Cluster")
    if kind in ("NodePort", "LoadBalancer"):
        spec.setdefault("externalTrafficPolicy", "Cluster")
    if kind == "LoadBalancer":
        spec.setdefault("allocateLoadBalancerNodePorts", True)
    for port in _dicts(spec, "ports"):
        port.setdefault("protocol", "TCP")
        if port.get("targetPort") in (None, 0, ""):
            port["targetPort"] = port.get("port")
    obj.setdefault("status", {}).setdefault("loadBalancer", {})


def _namespace(obj: JsonObject) -> None:
    obj.setdefault("spec", {}).setdefault("finalizers", ["kubernetes"])
    obj.setdefault("status", {}).setdefault("phase", "Active")
    labels = obj["metadata"].setdefault("labels", {})
    labels["kubernetes.io/metadata.name"] = obj["metadata"].get("name", "")


def _ingress(obj: JsonObject) -> None:
    obj.setdefault("status", {}).setdefault("loadBalancer", {})


def _secret(obj: JsonObject) -> None:
    obj.setdefault("type", "Opaque")
    for key, text in (obj.pop("stringData", None) or {}).items():
        obj.setdefault("data", {})[key] = base64.b64encode(text.encode()).decode()
    _drop_empty(obj, "data")


def _config_map(obj: JsonObject) -> None:
    _drop_empty(obj, "data")
    _drop_empty(obj, "binaryData")


def _drop_empty(obj: JsonObject, field: str) -> None:
    if field in obj and not obj[field]:
        del obj[field]


def _endpoint_slice(obj: JsonObject) -> None:
    if not obj.get("endpoints"):
        obj["endpoints"] = None
    obj.setdefault("ports", None)
    for port in _dicts(obj, "ports"):
        port.setdefault("name", "")
        port.setdefault("protocol", "TCP")


def _disruption_budget(obj: JsonObject) -> None:
    _spec(obj)
    status = obj.setdefault("status", {})
    for field in ("currentHealthy", "desiredHealthy", "disruptionsAllowed", "expectedPods"):
        status.setdefault(field, 0)


def _autoscaler(obj: JsonObject) -> None:
    spec = _spec(obj)
    spec.setdefault("minReplicas", 1)
    spec.setdefault(
        "metrics",
        [
            {
                "type": "Resource",
                "resource": {
                    "name": "cpu",
                    "target": {"type": "Utilization", "averageUtilization": 80},
                },
            }
        ],
    )
    obj.setdefault("status", {}).setdefault("desiredReplicas", 0)
    obj["status"].setdefault("currentMetrics", None)


def _event(obj: JsonObject) -> None:
    """Events of both groups lie in one store, in the words of the older one."""
    obj.setdefault("involvedObject", {})
    obj.setdefault("source", {})
    obj.setdefault("reportingComponent", "")
    obj.setdefault("reportingInstance", "")


def _spec(obj: JsonObject) -> JsonObject:
    spec = obj.setdefault("spec", {})
    return spec if isinstance(spec, dict) else {}


def _dicts(owner: JsonObject, *fields: str) -> Iterator[JsonObject]:
    for field in fields:
        for item in owner.get(field) or []:
            if isinstance(item, dict):
                yield item


_FILLS: dict[str, Callable[[JsonObject], None]] = {
    "ConfigMap": _config_map,
    "DaemonSet": _daemon_set,
    "Deployment": _deployment,
    "EndpointSlice": _endpoint_slice,
    "Event": _event,
    "HorizontalPodAutoscaler": _autoscaler,
    "Ingress": _ingress,
    "Namespace": _namespace,
    "Pod": _pod,
    "PodDisruptionBudget": _disruption_budget,
    "ReplicaSet": _replica_set,
    "Secret": _secret,
    "Service": _service,
    "StatefulSet": _stateful_set,
}
