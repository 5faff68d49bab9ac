"""Keeps every watched kind in an indexed store, so that one pass looks at one release only.

An index value begins with the namespace; `EVERYWHERE` lists what concerns us in all of them.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from controller.api import names, objects
from controller.api.objects import (
    Kind,
    Object,
    annotations_of,
    labels_of,
    name_of,
    namespace_of,
    spec_of,
)
from controller.cluster.client import Trim
from controller.cluster.reflector import Index, Store
from controller.cluster.trim import trim, trim_deployment, trim_replica_set
from controller.plan.workload import canary_ingress_name, canary_name

EVERYWHERE: Final = "*"
ANY_LABELS: Final = "*"
"""Index value of a selector that no single label decides."""


class Stores:
    """One store for each kind and each namespace that is watched by itself."""

    def __init__(self) -> None:
        self._stores: dict[tuple[Kind, str | None], Store] = {}

    def add(self, kind: Kind, namespace: str | None, store: Store) -> None:
        """Add a store with the indexes of `INDEXES`; namespace None: it holds all of them."""
        self._stores[kind, namespace] = store

    def store(self, kind: Kind, namespace: str) -> Store | None:
        """Return the store that keeps objects of this kind and namespace; None if none does."""
        whole = self._stores.get((kind, None))
        return whole if whole is not None else self._stores.get((kind, namespace))

    def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        """Return one object, or None."""
        store = self.store(kind, namespace)
        return store.get(namespace, name) if store is not None else None

    def find(self, kind: Kind, index: str, namespace: str, *values: str) -> Iterable[Object]:
        """Return the objects of one namespace that an index files under one of these values."""
        store = self.store(kind, namespace)
        return () if store is None else store.find(index, *[f"{namespace}/{it}" for it in values])

    def everywhere(self, kind: Kind) -> Iterator[Object]:
        """Yield the objects that concern us (the index "concerning"), in all namespaces."""
        for (stored, _), store in self._stores.items():
            if stored == kind:
                yield from store.find("concerning", EVERYWHERE)


def is_enrolled(service: Object) -> bool:
    """Tell whether a Service is enrolled, or was and still shows it; ours never are."""
    label = labels_of(service).get(names.CANARY)
    if label == names.MANAGED:
        return False
    return label is not None or names.STATUS in annotations_of(service)


def telling_pair(labels: Mapping[str, str], name: str = "") -> str:
    """Return the one `key=value` of a selector to file it under and to look it up by.

    The pair whose value is the object's own name, else the longest one: labels that a whole
    namespace shares would make every look-up as long as the namespace.
    """
    key, value = max(labels.items(), key=lambda it: (it[1] == name, len(it[1]), it))
    return pair(key, value)


def pair(key: str, value: str) -> str:
    """Return a label as the indexes write it."""
    return f"{key}={value}"


def backends(ingress: Object) -> set[str]:
    """Return the names of all Services that an Ingress sends to."""
    found = {objects.backend_service(path) for _, path in objects.ingress_paths(ingress)}
    default = spec_of(ingress).get("defaultBackend")
    found.add(objects.backend_service({"backend": default}) if default else "")
    return found - {""}


def hosts(ingress: Object) -> set[str]:
    """Return the hosts of an Ingress; "" stands for a rule without one."""
    return {host for host, _ in objects.ingress_paths(ingress)}


def releases_of(obj: Object) -> set[str]:
    """Return the names of the Services that our labels on an object speak of."""
    labels = labels_of(obj)
    return {labels[key] for key in (names.HELD, names.SERVICE) if labels.get(key)}


def _in_namespace(values: Callable[[Object], Iterable[str]]) -> Index:
    def index(obj: Object) -> Iterable[str]:
        namespace = namespace_of(obj)
        return [f"{namespace}/{value}" for value in values(obj)]

    return index


def _service_selector(service: Object) -> Iterable[str]:
    selector = spec_of(service).get("selector")
    return [telling_pair(selector, name_of(service))] if selector else ()


def _budget_selector(budget: Object) -> Iterable[str]:
    labels = (spec_of(budget).get("selector") or {}).get("matchLabels")
    return [telling_pair(labels, name_of(budget)) if labels else ANY_LABELS]


def _named_deployment(service: Object) -> Iterable[str]:
    named = annotations_of(service).get(names.DEPLOYMENT)
    return [named.strip()] if named and is_enrolled(service) else ()


def _own_canary_name(obj: Object) -> Iterable[str]:
    return [canary_name(name_of(obj))]


def _canary_service_name(service: Object) -> Iterable[str]:
    return _own_canary_name(service) if is_enrolled(service) else ()


def _canary_ingress_names(ingress: Object) -> Iterable[str]:
    return [canary_ingress_name(service, name_of(ingress)) for service in backends(ingress)]


def _template_labels(deployment: Object) -> Iterable[str]:
    return [pair(key, value) for key, value in objects.template_labels(deployment).items()]


def _target(autoscaler: Object) -> Iterable[str]:
    target: Mapping[str, Any] = spec_of(autoscaler).get("scaleTargetRef") or {}
    return [str(target.get("name"))] if target.get("kind") == "Deployment" else ()


def _service_name(entry: Object) -> Iterable[str]:
    return [labels_of(entry).get(names.SERVICE_NAME, "")]


def _canary_namespace(deployment: Object) -> Iterable[str]:
    return [""] if labels_of(deployment).get(names.SERVICE) else ()


def _owner(replica_set: Object) -> Iterable[str]:
    owner = objects.controller_of(replica_set)
    return [str(owner.get("uid"))] if owner else ()


def _concerning(is_concerning: Callable[[Object], bool]) -> Index:
    return lambda obj: (EVERYWHERE,) if is_concerning(obj) else ()


_MARKED: Final[Mapping[str, Index]] = {
    "release": _in_namespace(releases_of),
    "concerning": _concerning(lambda obj: bool(releases_of(obj))),
}

INDEXES: Final[Mapping[Kind, Mapping[str, Index]]] = {
    objects.SERVICE: {
        "release": _in_namespace(releases_of),
        "concerning": _concerning(lambda obj: is_enrolled(obj) or bool(releases_of(obj))),
        "selector": _in_namespace(_service_selector),
        "deployment": _in_namespace(_named_deployment),
        "canary-name": _in_namespace(_canary_service_name),
    },
    objects.INGRESS: {
        **_MARKED,
        "backend": _in_namespace(backends),
        "host": _in_namespace(hosts),
        "canary-name": _in_namespace(_canary_ingress_names),
    },
    objects.DEPLOYMENT: {
        **_MARKED,
        "label": _in_namespace(_template_labels),
        "canary-name": _in_namespace(_own_canary_name),
        "canaries": _in_namespace(_canary_namespace),
    },
    objects.REPLICA_SET: {"owner": _in_namespace(_owner)},
    objects.DISRUPTION_BUDGET: {**_MARKED, "selector": _in_namespace(_budget_selector)},
    objects.AUTOSCALER: {"target": _in_namespace(_target)},
    objects.ENDPOINT_SLICE: {"service": _in_namespace(_service_name)},
}
"""Every watched kind, and how its objects are found. Values are filed under their namespace."""

SELECTORS: Final[Mapping[Kind, str]] = {objects.ENDPOINT_SLICE: names.CANARY}
"""Label selectors of the watches: a slice carries the labels of its Service, so one watch sees
both sides of every release, and no slice of anyone else."""

TRIMS: Final[Mapping[Kind, Trim]] = {
    **dict.fromkeys(INDEXES, trim),
    objects.DEPLOYMENT: trim_deployment,
    objects.REPLICA_SET: trim_replica_set,
}
"""What is kept of each kind."""
