"""Questions asked of any Kubernetes object, as the dict the API server sent."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from controller.api import names

Object = Mapping[str, Any]
"""A Kubernetes object exactly as the server sent it. Read it; never change it."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Kind:
    """A resource of the API: where it is found and what it is called.

    There is one for each resource, below: every look-up in the stores hashes it, and that it is the
    same one is told faster than that it is an equal one.
    """

    group: str
    version: str
    plural: str
    name: str

    @property
    def api_version(self) -> str:
        """`apps/v1`, or `v1` for the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None, name: str = "", subresource: str = "") -> str:
        """Return the URL path; `namespace` None means all namespaces."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        parts = [root]
        if namespace is not None:
            parts.append(f"namespaces/{namespace}")
        parts += [part for part in (self.plural, name, subresource) if part]
        return "/".join(parts)

    def __str__(self) -> str:
        return self.name


SERVICE = Kind(group="", version="v1", plural="services", name="Service")
POD = Kind(group="", version="v1", plural="pods", name="Pod")
EVENT = Kind(group="", version="v1", plural="events", name="Event")
DEPLOYMENT = Kind(group="apps", version="v1", plural="deployments", name="Deployment")
REPLICA_SET = Kind(group="apps", version="v1", plural="replicasets", name="ReplicaSet")
INGRESS = Kind(group="networking.k8s.io", version="v1", plural="ingresses", name="Ingress")
ENDPOINT_SLICE = Kind(
    group="discovery.k8s.io", version="v1", plural="endpointslices", name="EndpointSlice"
)
DISRUPTION_BUDGET = Kind(
    group="policy", version="v1", plural="poddisruptionbudgets", name="PodDisruptionBudget"
)
AUTOSCALER = Kind(
    group="autoscaling",
    version="v2",
    plural="horizontalpodautoscalers",
    name="HorizontalPodAutoscaler",
)
LEASE = Kind(group="coordination.k8s.io", version="v1", plural="leases", name="Lease")


def metadata(obj: Object) -> Mapping[str, Any]:
    """Return `metadata`, or an empty mapping."""
    return obj.get("metadata") or {}


def name_of(obj: Object) -> str:
    """Return the object's name."""
    return str((obj.get("metadata") or {}).get("name", ""))


def namespace_of(obj: Object) -> str:
    """Return the object's namespace."""
    return str((obj.get("metadata") or {}).get("namespace", ""))


def uid_of(obj: Object) -> str:
    """Return the object's uid."""
    return str((obj.get("metadata") or {}).get("uid", ""))


def version_of(obj: Object) -> str:
    """Return the object's resourceVersion."""
    return str(metadata(obj).get("resourceVersion", ""))


def generation_of(obj: Object) -> int:
    """Return `metadata.generation`, 0 for the kinds that have none (Services)."""
    return int(metadata(obj).get("generation") or 0)


def labels_of(obj: Object) -> Mapping[str, str]:
    """Return the object's labels."""
    return (obj.get("metadata") or {}).get("labels") or {}


def annotations_of(obj: Object) -> Mapping[str, str]:
    """Return the object's annotations."""
    return (obj.get("metadata") or {}).get("annotations") or {}


def is_terminating(obj: Object) -> bool:
    """Tell whether the object was deleted and only waits for its finalizers."""
    return bool(metadata(obj).get("deletionTimestamp"))


def spec_of(obj: Object) -> Mapping[str, Any]:
    """Return `spec`, or an empty mapping."""
    return obj.get("spec") or {}


def status_of(obj: Object) -> Mapping[str, Any]:
    """Return `status`, or an empty mapping."""
    return obj.get("status") or {}


def controller_of(obj: Object) -> Mapping[str, Any] | None:
    """Return the controlling ownerReference, if there is one."""
    owners: Sequence[Mapping[str, Any]] = metadata(obj).get("ownerReferences") or ()
    return next((owner for owner in owners if owner.get("controller")), None)


def is_ours(obj: Object) -> bool:
    """Tell whether we made the object: the two labels of contract.md section 3."""
    labels = labels_of(obj)
    return labels.get(names.MANAGED_BY) == names.FIELD_MANAGER and bool(labels.get(names.SERVICE))


def condition_of(obj: Object, kind: str) -> Mapping[str, Any] | None:
    """Return the entry of `status.conditions` with this type."""
    conditions: Sequence[Mapping[str, Any]] = status_of(obj).get("conditions") or ()
    return next((entry for entry in conditions if entry.get("type") == kind), None)


def template_of(obj: Object) -> Mapping[str, Any]:
    """Return `spec.template`, or an empty mapping."""
    return spec_of(obj).get("template") or {}


def template_labels(obj: Object) -> Mapping[str, str]:
    """Return the labels of the pods that a workload makes."""
    return (template_of(obj).get("metadata") or {}).get("labels") or {}


def replicas_of(deployment: Object) -> int:
    """Return `spec.replicas`; the API server's default is 1."""
    replicas = spec_of(deployment).get("replicas")
    return 1 if replicas is None else int(replicas)


def is_paused(deployment: Object) -> bool:
    """Tell whether `spec.paused` is set."""
    return bool(spec_of(deployment).get("paused"))


def is_selected(selector: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    """Tell whether a plain (equality) selector matches. An empty one selects nothing here."""
    return bool(selector) and all(labels.get(key) == value for key, value in selector.items())


def matches(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Tell whether a LabelSelector (`matchLabels`, `matchExpressions`) matches.

    An empty selector matches everything (Kubernetes reference: LabelSelector).
    """
    wanted: Mapping[str, str] = selector.get("matchLabels") or {}
    if any(labels.get(key) != value for key, value in wanted.items()):
        return False
    return all(_holds(entry, labels) for entry in selector.get("matchExpressions") or ())


def _holds(expression: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    key, values = expression.get("key", ""), expression.get("values") or ()
    match expression.get("operator"):
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
        case _:
            return False


def ingress_paths(ingress: Object) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield (host, path entry) for every path of an Ingress; host is "" where none is written."""
    for rule in spec_of(ingress).get("rules") or ():
        for path in (rule.get("http") or {}).get("paths") or ():
            yield str(rule.get("host") or ""), path


def backend_service(path: Mapping[str, Any]) -> str:
    """Return the name of the Service behind an Ingress path, "" for a resource backend."""
    return str(((path.get("backend") or {}).get("service") or {}).get("name") or "")


def ingress_class(ingress: Object) -> str | None:
    """Return the class, from the field or the old annotation; None where neither is set."""
    field = spec_of(ingress).get("ingressClassName")
    return str(field) if field else annotations_of(ingress).get(names.INGRESS_CLASS)


def digest(value: object, length: int = 10) -> str:
    """Return a short stable hash (lower-case hex) of any JSON value.

    JSON can also name half a surrogate pair, which no encoding has.
    """
    text = _CANONICAL.encode(value)
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:length]


_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)
"""`json.dumps` makes one anew for each call that is not by default."""


def revision_of(template: Mapping[str, Any]) -> str:
    """Return the revision of a pod template: a hash without `restartedAt` (contract.md section 4).

    `pod-template-hash` is left out too, so that a ReplicaSet's template and the Deployment's have
    the same revision.
    """
    return digest(_revised(template))


def is_same_revision(template: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Tell whether two pod templates have one revision, without a hash of either."""
    return _revised(template) == _revised(other)


def _revised(template: Mapping[str, Any]) -> dict[str, Any]:
    """Return what makes a template's revision."""
    meta = template.get("metadata") or {}
    labels = {k: v for k, v in (meta.get("labels") or {}).items() if k != names.POD_TEMPLATE_HASH}
    annotations = {
        k: v for k, v in (meta.get("annotations") or {}).items() if k != names.RESTARTED_AT
    }
    return {"labels": labels, "annotations": annotations, "spec": template.get("spec")}


def shortened(name: str, limit: int = names.NAME_LIMIT) -> str:
    """Return the name, cut and closed with a hash of the whole where it is too long."""
    if len(name) <= limit:
        return name
    return f"{name[: limit - 9].rstrip('-.')}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def stamp(moment: datetime) -> str:
    """Return a UTC time as Kubernetes writes it, to the second."""
    return f"{moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='seconds')}Z"


_STAMP = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")


def moment_of(text: object) -> datetime | None:
    """Read a time written by `stamp`; None for anything else."""
    if not isinstance(text, str) or _STAMP.fullmatch(text) is None:
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None
