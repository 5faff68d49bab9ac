"""The canary Deployment, Service and disruption budget, derived from stable (contract.md 3)."""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import combinations
from math import ceil
from typing import Any

from controller.api import names
from controller.api.intent import Replicas
from controller.api.objects import (
    Object,
    is_selected,
    matches,
    name_of,
    namespace_of,
    replicas_of,
    shortened,
    spec_of,
    template_labels,
    template_of,
    uid_of,
)
from controller.plan.record import Record

FREE_CHOICE = ("app.kubernetes.io/instance", "app", "app.kubernetes.io/name")
"""Labels that are changed first where there is a choice."""


@lru_cache(maxsize=4096)
def canary_name(name: str) -> str:
    """Return the name of our Deployment, Service or budget beside the user's `name`."""
    return shortened(f"{name}-canary")


def canary_ingress_name(service: str, ingress: str) -> str:
    """Return the name of our Ingress beside the user's Ingress."""
    return canary_name(service) if ingress == service else shortened(f"{service}-{ingress}-canary")


def our_labels(service: str) -> dict[str, str]:
    """Return the labels that mark every object of ours."""
    return {names.MANAGED_BY: names.FIELD_MANAGER, names.SERVICE: service}


def owned_by(stable: Object) -> list[dict[str, Any]]:
    """Return the ownerReference to the stable Deployment: deleting it takes everything along."""
    return [
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "name": name_of(stable),
            "uid": uid_of(stable),
        }
    ]


def our_metadata(stable: Object, service: str, name: str) -> dict[str, Any]:
    """Return the metadata of an object of ours."""
    return {
        "name": name,
        "namespace": namespace_of(stable),
        "labels": our_labels(service),
        "ownerReferences": owned_by(stable),
    }


def canary_selector(service: str) -> dict[str, str]:
    """Return the only labels that select canary pods."""
    return {names.SERVICE: service, names.TRACK: names.TRACK_CANARY}


def canary_pod_labels(
    stable: Object, service: str, revision: str, services: Iterable[Object]
) -> dict[str, str] | None:
    """Return the labels of canary pods: the template's, as few changed as possible (S13).

    Args:
        stable: the stable Deployment.
        service: name of the enrolled Service.
        revision: of the template.
        services: of the namespace; none of them may select the pods, nor may stable.

    Returns:
        The labels, or None if no set of changed values escapes every selector.
    """
    original = dict(template_labels(stable))
    added = {**canary_selector(service), names.REVISION: revision}
    others = [
        dict(spec_of(other).get("selector") or {})
        for other in services
        if name_of(other) != canary_name(service)
    ]
    own = spec_of(stable).get("selector") or {}
    order = sorted(original, key=lambda key: (_preference(key), key))
    for count in range(len(order) + 1):
        for keys in combinations(order, count):
            labels = {**original, **{key: _renamed(original[key]) for key in keys}, **added}
            if not matches(own, labels) and not any(is_selected(s, labels) for s in others):
                return labels
        if count >= MOST_CHANGED:
            break
    everything = {**{key: _renamed(value) for key, value in original.items()}, **added}
    escapes = not matches(own, everything) and not any(is_selected(s, everything) for s in others)
    return everything if escapes else None


MOST_CHANGED = 3
"""Sets of up to three labels are tried; past that all are changed at once, to stay quick."""


def _preference(key: str) -> int:
    return FREE_CHOICE.index(key) if key in FREE_CHOICE else len(FREE_CHOICE)


def _renamed(value: str) -> str:
    return canary_name(value) if value else "canary"


def canary_template(stable: Object, labels: Mapping[str, str]) -> dict[str, Any]:
    """Return stable's pod template with other labels and nothing else changed (S15)."""
    template = template_of(stable)
    meta = {**(template.get("metadata") or {}), "labels": dict(labels)}
    return {**template, "metadata": meta}


def canary_deployment(
    stable: Object, service: str, labels: Mapping[str, str], replicas: int, record: Record
) -> Object:
    """Return the canary Deployment."""
    meta = our_metadata(stable, service, canary_name(name_of(stable)))
    spec: dict[str, Any] = {
        "replicas": replicas,
        "selector": {"matchLabels": canary_selector(service)},
        "template": canary_template(stable, labels),
        "revisionHistoryLimit": 0,
    }
    for key in ("minReadySeconds", "progressDeadlineSeconds"):
        if spec_of(stable).get(key) is not None:
            spec[key] = spec_of(stable)[key]
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {**meta, "annotations": {names.RELEASE: record.written()}},
        "spec": spec,
    }


def canary_service(stable: Object, service: Object) -> Object:
    """Return the canary Service: the ports of the Service, the canary's pods."""
    name = name_of(service)
    meta = our_metadata(stable, name, canary_name(name))
    meta["labels"] = {**meta["labels"], names.CANARY: names.MANAGED}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": meta,
        "spec": {"ports": ports_of(service), "selector": canary_selector(name)},
    }


def ports_of(service: Object) -> list[dict[str, Any]]:
    """Return the ports as we copy them: no node ports."""
    kept = ("name", "port", "targetPort", "protocol", "appProtocol")
    return [
        {key: port[key] for key in kept if port.get(key) is not None}
        for port in spec_of(service).get("ports") or ()
    ]


def disruption_budget(stable: Object, service: str) -> Object:
    """Return the budget: at 100 % the canary pods carry everything."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": our_metadata(stable, service, canary_name(name_of(stable))),
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": canary_selector(service)}},
    }


def budgets_selecting(budgets: Iterable[Object], labels: Mapping[str, str]) -> list[Object]:
    """Return the budgets, ours left out by the caller, that select a pod with these labels."""
    return [budget for budget in budgets if matches(spec_of(budget).get("selector") or {}, labels)]


def pods_allowed(replicas: Replicas, full: int) -> int | None:
    """Return how many canary pods the user's `replicas` allows; None: as many as are needed."""
    if replicas.count is not None:
        return replicas.count
    if replicas.percent is not None:
        return max(1, ceil(replicas.percent * full / 100))
    return None


def most_unavailable(stable: Object, replicas: int) -> int:
    """Return `maxUnavailable` of a rolling update as the Deployment controller resolves it.

    Percentages of maxSurge are rounded up, of maxUnavailable down, and both may not be 0
    (Kubernetes reference: Deployment, RollingUpdate).
    """
    rolling = (spec_of(stable).get("strategy") or {}).get("rollingUpdate") or {}
    unavailable = _hundredths(rolling.get("maxUnavailable", "25%"), replicas) // 100
    surge = _hundredths(rolling.get("maxSurge", "25%"), replicas)  # rounded up it is 0 only of 0
    return 1 if unavailable == 0 and surge == 0 else unavailable


def _hundredths(value: object, replicas: int) -> int:
    """Return a count of pods, or a percentage of the replicas, in hundredths of a pod."""
    if isinstance(value, int):
        return 100 * value
    text = str(value).removesuffix("%")
    if not text.isascii() or not text.isdecimal():
        return 0
    return int(text) * replicas


def autoscalers_of(autoscalers: Iterable[Object], stable: Object) -> list[Object]:
    """Return the autoscalers that move the stable Deployment."""
    return [
        scaler
        for scaler in autoscalers
        if (target := spec_of(scaler).get("scaleTargetRef") or {}).get("kind") == "Deployment"
        and target.get("name") == name_of(stable)
    ]


def smallest_replicas(stable: Object, autoscalers: Sequence[Object]) -> tuple[int, ...]:
    """Return the sizes at which stable may be rolled: now, and where an autoscaler may take it."""
    lowest = [int(spec_of(scaler).get("minReplicas") or 1) for scaler in autoscalers]
    return (replicas_of(stable), *lowest)


def warnings(stable: Object, autoscalers: Sequence[Object]) -> tuple[str, ...]:
    """Return what a release of this Deployment should be warned about (contract.md section 3)."""
    pod = template_of(stable).get("spec") or {}
    found = [
        (replicas_of(stable) == 1, "one replica"),
        (not _has_pre_stop(pod), "no preStop sleep"),
        (_has_required_anti_affinity(pod), "required anti-affinity"),
        (_has_host_port(pod), "hostPort"),
        (_has_claim(pod), "a volume claim: read-write-once cannot be shared with the canary"),
        (bool(autoscalers), "an autoscaler"),
    ]
    return tuple(text for is_found, text in found if is_found)


def _containers(pod: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    return pod.get("containers") or ()


def _has_pre_stop(pod: Mapping[str, Any]) -> bool:
    return any((entry.get("lifecycle") or {}).get("preStop") for entry in _containers(pod))


def _has_required_anti_affinity(pod: Mapping[str, Any]) -> bool:
    anti = (pod.get("affinity") or {}).get("podAntiAffinity") or {}
    return bool(anti.get("requiredDuringSchedulingIgnoredDuringExecution"))


def _has_host_port(pod: Mapping[str, Any]) -> bool:
    return any(
        port.get("hostPort") for entry in _containers(pod) for port in entry.get("ports") or ()
    )


def _has_claim(pod: Mapping[str, Any]) -> bool:
    return any(volume.get("persistentVolumeClaim") for volume in pod.get("volumes") or ())
