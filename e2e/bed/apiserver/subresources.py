"""The parts of objects with a face of their own: scale, binding, eviction."""

from dataclasses import replace
from typing import Unpack

from e2e.bed.apiserver.errors import ApiError, Cause, bad_request, conflict, invalid
from e2e.bed.apiserver.kinds import Kind
from e2e.bed.apiserver.name_rules import not_negative
from e2e.bed.apiserver.options import Write
from e2e.bed.apiserver.patches import json_patched, merge_patched
from e2e.bed.apiserver.selectors import label_selector_matches
from e2e.bed.apiserver.store import Store
from e2e.bed.apiserver.trees import JsonObject, at

_SCALE = Kind(group="autoscaling", kind="Scale", plural="scales")
_SCALE_METADATA = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
_SUCCESS: JsonObject = {
    "kind": "Status",
    "apiVersion": "v1",
    "metadata": {},
    "status": "Success",
    "code": 201,
}


def scale_of(obj: JsonObject) -> JsonObject:
    """Return the Scale of a workload."""
    replicas = at(obj, "spec", "replicas")
    labels = at(obj, "spec", "selector", "matchLabels") or {}
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {key: obj["metadata"][key] for key in _SCALE_METADATA},
        "spec": {} if replicas == 0 else {"replicas": 1 if replicas is None else replicas},
        "status": {
            "replicas": at(obj, "status", "replicas") or 0,
            "selector": ",".join(f"{key}={value}" for key, value in sorted(labels.items())),
        },
    }


def put_scale(
    store: Store, kind: Kind, namespace: str, name: str, scale: JsonObject, **how: Unpack[Write]
) -> JsonObject:
    """Write the replicas of a Scale to its workload and return the new Scale.

    Raises:
        ApiError: 404, 409 or 422.
    """
    replicas = at(scale, "spec", "replicas") or 0
    if not isinstance(replicas, int):
        raise bad_request('Scale in version "v1" cannot be handled as a Scale: replicas are int32')
    check_uid(store.get(kind, namespace, name), scale, kind)
    causes = list(not_negative("spec.replicas", replicas))
    if causes:
        raise invalid(_SCALE, name, causes)
    how["face"] = "scale"
    change: JsonObject = {"spec": {"replicas": replicas}}
    if version := at(scale, "metadata", "resourceVersion"):
        change["metadata"] = {"resourceVersion": version}
    return scale_of(store.patch(kind, namespace, name, "merge", change, **how))


def check_uid(obj: JsonObject, scale: JsonObject, kind: Kind) -> None:
    """Refuse the Scale of another object.

    Raises:
        ApiError: 409.
    """
    if at(scale, "metadata", "uid") not in (None, "", obj["metadata"]["uid"]):
        raise conflict(kind, obj["metadata"]["name"], "Precondition failed: another UID")


def patch_scale(
    store: Store, place: tuple[Kind, str, str], patch_type: str, patch: object, **how: Unpack[Write]
) -> JsonObject:
    """Patch the Scale of a workload.

    Raises:
        ApiError: 404, 409 or 422.
    """
    kind, namespace, name = place
    obj = store.get(kind, namespace, name)
    before = scale_of(obj)
    patched = json_patched(before, patch) if patch_type == "json" else merge_patched(before, patch)
    if not isinstance(at(patched, "spec", "replicas") or 0, int):
        cause = Cause(field="patch", message="Invalid value: replicas are int32")
        raise invalid(Kind(group="", kind="", plural=""), "", [cause])
    check_uid(obj, patched, replace(kind, plural=f"{kind.plural}/scale"))
    return put_scale(store, kind, namespace, name, patched, **how)


def bind(
    store: Store, namespace: str, name: str, binding: JsonObject, **how: Unpack[Write]
) -> JsonObject:
    """Put a Pod on a Node.

    Raises:
        ApiError: 404; 409, it already is on one.
    """
    node = at(binding, "target", "name")
    pod = store.get("pods", namespace, name)
    if current := at(pod, "spec", "nodeName"):
        kind = store.kinds.named("pods")
        raise conflict(kind, name, f"pod {name} is already assigned to node {current!r}")
    store.patch("pods", namespace, name, "merge", {"spec": {"nodeName": node}}, **how)
    scheduled = {"type": "PodScheduled", "status": "True"}
    store.patch(
        "pods",
        namespace,
        name,
        "strategic",
        {"status": {"conditions": [scheduled]}},
        subresource="status",
        dry_run=how.get("dry_run", False),
    )
    return _SUCCESS


def evict(store: Store, namespace: str, name: str, eviction: JsonObject) -> JsonObject:
    """Delete a Pod if its disruption budget allows.

    Raises:
        ApiError: 404; 429, the budget does not allow it.
    """
    pod = store.get("pods", namespace, name)
    labels = pod["metadata"].get("labels") or {}
    budgets = [
        budget
        for budget in store.list("poddisruptionbudgets", namespace)
        if label_selector_matches(at(budget, "spec", "selector"), labels)
    ]
    if len(budgets) > 1:
        raise ApiError(
            500,
            "InternalError",
            "This pod has more than one PodDisruptionBudget, which the eviction subresource does "
            "not support.",
        )
    if budgets and (at(budgets[0], "status", "disruptionsAllowed") or 0) < 1:
        raise _disrupts(budgets[0])
    options = eviction.get("deleteOptions") or {}
    store.delete("pods", namespace, name, grace_seconds=options.get("gracePeriodSeconds"))
    return _SUCCESS


def _disrupts(budget: JsonObject) -> ApiError:
    name = budget["metadata"]["name"]
    healthy = at(budget, "status", "currentHealthy") or 0
    needed = at(budget, "status", "desiredHealthy") or 0
    return ApiError(
        429,
        "TooManyRequests",
        "Cannot evict pod as it would violate the pod's disruption budget.",
        {
            "causes": [
                {
                    "reason": "DisruptionBudget",
                    "message": f"The disruption budget {name} needs {needed} healthy pods and has "
                    f"{healthy} currently",
                }
            ]
        },
    )
