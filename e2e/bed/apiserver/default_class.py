"""The default IngressClass, put on a new Ingress that names none."""

from e2e.bed.apiserver.network_rules import CLASS_ANNOTATION
from e2e.bed.apiserver.trees import JsonObject, at

IS_DEFAULT = "ingressclass.kubernetes.io/is-default-class"


def with_default_class(ingress: JsonObject, classes: list[JsonObject]) -> JsonObject:
    """Return a new Ingress with the newest default class, when it names none itself."""
    field = at(ingress, "spec", "ingressClassName")
    annotation = at(ingress, "metadata", "annotations", CLASS_ANNOTATION)
    defaults = [one for one in classes if at(one, "metadata", "annotations", IS_DEFAULT) == "true"]
    if field is not None or annotation is not None or not defaults:
        return ingress
    newest = max(defaults, key=lambda one: str(one["metadata"]["creationTimestamp"]))
    spec = {**(ingress.get("spec") or {}), "ingressClassName": newest["metadata"]["name"]}
    return {**ingress, "spec": spec}
