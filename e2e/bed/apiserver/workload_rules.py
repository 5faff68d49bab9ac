"""What makes a pod, or what runs pods, invalid."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from e2e.bed.apiserver.errors import (
    Cause,
    duplicate,
    forbidden_field,
    immutable,
    invalid_value,
    required,
    unsupported,
)
from e2e.bed.apiserver.name_rules import (
    label_name,
    not_negative,
    port_number,
    port_reference,
    subdomain,
)
from e2e.bed.apiserver.quantities import amount_of
from e2e.bed.apiserver.selectors import label_selector_matches
from e2e.bed.apiserver.trees import JsonObject, at

_RESTARTS = ["Always", "OnFailure", "Never"]
_PERCENT = re.compile(r"[0-9]+%")
_NUMBER = re.compile(r"[+-]?[0-9]+")
_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
_PROBE_ACTIONS = ("exec", "httpGet", "tcpSocket", "grpc")
_HOOKS = ("postStart", "preStop")
_HOOK_ACTIONS = ("exec", "httpGet", "tcpSocket", "sleep")
_PROBE_COUNTS = (
    "initialDelaySeconds",
    "timeoutSeconds",
    "periodSeconds",
    "successThreshold",
    "failureThreshold",
)


def workload(obj: JsonObject) -> Iterator[Cause]:
    """Yield what is wrong with anything that has a pod template."""
    spec = obj["spec"]
    yield from not_negative("spec.replicas", spec.get("replicas"))
    yield from not_negative("spec.minReadySeconds", spec.get("minReadySeconds"))
    selector = spec.get("selector")
    labels = at(spec, "template", "metadata", "labels")
    if selector is None:
        yield required("spec.selector")
    elif not selector.get("matchLabels") and not selector.get("matchExpressions"):
        yield invalid_value("spec.selector", selector, "empty selector is invalid for deployment")
    if selector != {} and not label_selector_matches(selector, labels or {}):
        yield invalid_value(
            "spec.template.metadata.labels", labels, "`selector` does not match template `labels`"
        )
    pod = at(spec, "template", "spec") or {}
    yield from pod_causes(pod, "spec.template.spec")
    if pod.get("restartPolicy", "Always") not in _RESTARTS:
        yield unsupported("spec.template.spec.restartPolicy", pod["restartPolicy"], _RESTARTS)
    if pod.get("restartPolicy", "Always") != "Always":
        yield unsupported("spec.template.spec.restartPolicy", pod["restartPolicy"], ["Always"])


def deployment(obj: JsonObject) -> Iterator[Cause]:
    """Yield what is wrong with a Deployment."""
    yield from workload(obj)
    spec = obj["spec"]
    for field in ("revisionHistoryLimit", "progressDeadlineSeconds"):
        yield from not_negative(f"spec.{field}", spec.get(field))
    yield from _strategy(spec.get("strategy") or {})
    deadline = spec.get("progressDeadlineSeconds", 600)
    if deadline <= spec.get("minReadySeconds", 0):
        yield invalid_value(
            "spec.progressDeadlineSeconds", deadline, "must be greater than minReadySeconds"
        )


def _strategy(strategy: JsonObject) -> Iterator[Cause]:
    kind = strategy.get("type")
    if kind not in ("Recreate", "RollingUpdate"):
        yield unsupported("spec.strategy", strategy, ["Recreate", "RollingUpdate"])
    elif kind == "Recreate" and strategy.get("rollingUpdate") is not None:
        yield forbidden_field(
            "spec.strategy.rollingUpdate",
            "may not be specified when strategy `type` is 'Recreate'",
        )
    elif kind == "RollingUpdate":
        yield from _rolling_update(strategy.get("rollingUpdate") or {})


def _rolling_update(rolling: JsonObject) -> Iterator[Cause]:
    path = "spec.strategy.rollingUpdate"
    yield from amount(f"{path}.maxUnavailable", rolling.get("maxUnavailable"))
    yield from amount(f"{path}.maxSurge", rolling.get("maxSurge"))
    if _is_zero(rolling.get("maxSurge")) and _is_zero(rolling.get("maxUnavailable")):
        yield invalid_value(
            f"{path}.maxUnavailable",
            rolling.get("maxUnavailable"),
            "may not be 0 when `maxSurge` is 0",
        )
    yield from _at_most_all(f"{path}.maxUnavailable", rolling.get("maxUnavailable"))


def amount(path: str, value: Any) -> Iterator[Cause]:
    """Yield what is wrong with a number of pods or a share of them."""
    if isinstance(value, str):
        if not _PERCENT.fullmatch(value):
            yield invalid_value(
                path,
                value,
                "a valid percent string must be a numeric string followed by an ending '%'",
            )
    else:
        yield from not_negative(path, value)


def _at_most_all(path: str, value: Any) -> Iterator[Cause]:
    is_share = isinstance(value, str) and _PERCENT.fullmatch(value)
    if is_share and int(value.removesuffix("%")) > 100:
        yield invalid_value(path, value, "must not be greater than 100%")


def _is_zero(value: Any) -> bool:
    """Say whether nothing is allowed; a text that is no share is read as a number, else as 0."""
    if not isinstance(value, str):
        return bool(value == 0)
    text = value.removesuffix("%") if _PERCENT.fullmatch(value) else value
    return not _NUMBER.fullmatch(text) or int(text) == 0


def workload_status(obj: JsonObject) -> Iterator[Cause]:
    """Yield what is wrong with the counters of a Deployment or a ReplicaSet."""
    status = obj.get("status") or {}
    own = {"Deployment": "updatedReplicas"}.get(obj["kind"], "fullyLabeledReplicas")
    parts = (own, "readyReplicas", "availableReplicas")
    counts = {name: status.get(name) or 0 for name in ("replicas", *parts)}
    for name, count in {**counts, "observedGeneration": status.get("observedGeneration")}.items():
        yield from not_negative(f"status.{name}", count)
    for name in parts:
        if counts[name] > counts["replicas"]:
            yield _more_than(name, counts[name], "status.replicas")
    if counts["availableReplicas"] > counts["readyReplicas"]:
        yield _more_than("availableReplicas", counts["availableReplicas"], "readyReplicas")


def _more_than(name: str, count: int, other: str) -> Cause:
    return invalid_value(f"status.{name}", count, f"cannot be greater than {other}")


def budget(obj: JsonObject) -> Iterator[Cause]:
    """Yield what is wrong with a PodDisruptionBudget."""
    spec = obj["spec"]
    if "minAvailable" in spec and "maxUnavailable" in spec:
        yield invalid_value("spec", spec, "minAvailable and maxUnavailable cannot be both set")
    for field in ("minAvailable", "maxUnavailable"):
        yield from amount(f"spec.{field}", spec.get(field))
        yield from _at_most_all(f"spec.{field}", spec.get(field))


def budget_status(obj: JsonObject) -> Iterator[Cause]:
    """Yield what is wrong with the status of a PodDisruptionBudget."""
    status = obj.get("status") or {}
    for name, count in status.items():
        if name != "observedGeneration":
            yield from not_negative(f"status.{name}", count)
    for index, condition in enumerate(status.get("conditions") or []):
        yield from _condition(condition, f"status.conditions[{index}]")


_REASON = re.compile(r"[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?")


def _condition(condition: JsonObject, here: str) -> Iterator[Cause]:
    states = ["False", "True", "Unknown"]
    if not condition.get("status"):
        yield required(f"{here}.status")
    elif condition["status"] not in states:
        yield unsupported(f"{here}.status", condition["status"], states)
    yield from not_negative(f"{here}.observedGeneration", condition.get("observedGeneration"))
    if condition.get("lastTransitionTime") is None:
        yield required(f"{here}.lastTransitionTime", "must be set")
    reason = condition.get("reason")
    if not reason:
        yield required(f"{here}.reason")
    elif not _REASON.fullmatch(reason):
        yield invalid_value(f"{here}.reason", reason, "a condition reason must start with a letter")


def pod(obj: JsonObject) -> Iterator[Cause]:
    """Yield what is wrong with a Pod."""
    yield from pod_causes(obj["spec"], "spec")


def pod_causes(spec: JsonObject, path: str) -> Iterator[Cause]:
    """Yield what is wrong with the spec of a pod."""
    containers = spec.get("containers") or []
    if not containers:
        yield required(f"{path}.containers")
    seen: set[str] = set()
    for index, container in enumerate(containers):
        here = f"{path}.containers[{index}]"
        name = container.get("name")
        if not name:
            yield required(f"{here}.name")
        else:
            yield from label_name(f"{here}.name", name)
        if (name or "") in seen:
            yield duplicate(f"{here}.name", name or "")
        seen.add(name or "")
        yield from _container(container, here, spec.get("terminationGracePeriodSeconds", 30))
    if spec.get("serviceAccountName"):
        yield from subdomain(f"{path}.serviceAccountName", spec["serviceAccountName"])


def _container(container: JsonObject, here: str, grace: int) -> Iterator[Cause]:
    image = container.get("image")
    if not image:
        yield required(f"{here}.image")
    for place, port in enumerate(container.get("ports") or []):
        yield from _container_port(port, f"{here}.ports[{place}].containerPort")
    for name in _PROBES:
        if name in container:
            yield from _probe(container[name], f"{here}.{name}")
    for name, hook in (container.get("lifecycle") or {}).items():
        if name in _HOOKS:
            yield from _handler(hook, _HOOK_ACTIONS, f"{here}.lifecycle.{name}")
    yield from _resources(container.get("resources") or {}, f"{here}.resources")
    yield from _sleep(container, here, grace)


def _container_port(port: JsonObject, path: str) -> Iterator[Cause]:
    number = port.get("containerPort")
    yield from port_number(path, number) if number else iter([required(path)])


def _sleep(container: JsonObject, here: str, grace: int) -> Iterator[Cause]:
    seconds = at(container, "lifecycle", "preStop", "sleep", "seconds")
    if seconds is not None and not 0 <= seconds <= grace:
        yield invalid_value(
            f"{here}.lifecycle.preStop.sleep",
            seconds,
            f"must be non-negative and less than terminationGracePeriodSeconds ({grace})",
        )


def _probe(probe: JsonObject, here: str) -> Iterator[Cause]:
    for field in _PROBE_COUNTS:
        yield from not_negative(f"{here}.{field}", probe.get(field))
    yield from _handler(probe, _PROBE_ACTIONS, here)


def _handler(handler: JsonObject, known: Sequence[str], here: str) -> Iterator[Cause]:
    """Yield what is wrong with what is done to a container: one thing, and no other."""
    actions = [action for action in known if action in handler]
    if not actions:
        yield required(here, "must specify a handler type")
    for action in actions[1:]:
        yield forbidden_field(f"{here}.{action}", "may not specify more than 1 handler type")
    for action in ("httpGet", "tcpSocket"):
        if action in actions[:1]:
            yield from port_reference(f"{here}.{action}.port", handler[action].get("port"))


def _resources(resources: JsonObject, here: str) -> Iterator[Cause]:
    limits, requests = (resources.get(part) or {} for part in ("limits", "requests"))
    for part, amounts in (("limits", limits), ("requests", requests)):
        for name, written in amounts.items():
            if amount_of(written) < 0:
                path = f"{here}.{part}[{name}]"
                yield invalid_value(path, written, "must be greater than or equal to 0")
    for name, written in requests.items():
        if name in limits and amount_of(written) > amount_of(limits[name]):
            most = f"must be less than or equal to {name} limit of {limits[name]}"
            yield invalid_value(f"{here}.requests", written, most)


def selector_stays(new: JsonObject, old: JsonObject) -> Iterator[Cause]:
    """Yield another selector than before."""
    if at(new, "spec", "selector") != at(old, "spec", "selector"):
        yield immutable("spec.selector", at(new, "spec", "selector"))


def pod_stays(new: JsonObject, old: JsonObject) -> Iterator[Cause]:
    """Yield what may not change of a Pod."""
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
