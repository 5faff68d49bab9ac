"""Says which releases a change may concern: nothing but their keys goes further.

One key too many costs a pass that does nothing; one too few would leave a release waiting.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from controller.api import names, objects
from controller.api.objects import (
    Kind,
    Object,
    annotations_of,
    is_ours,
    is_selected,
    labels_of,
    matches,
    name_of,
    namespace_of,
    spec_of,
    template_labels,
)
from controller.stores import (
    Stores,
    backends,
    hosts,
    is_enrolled,
    pair,
    releases_of,
    telling_pair,
)
from controller.tracker import Key, service_key


def keys_of_change(stores: Stores, kind: Kind, old: Object | None, new: Object | None) -> set[Key]:
    """Return the releases that a change from `old` to `new` may concern; None is no object."""
    told = [obj for obj in (old, new) if obj is not None]
    if kind in _NEIGHBOURS and len(told) == 2 and _is_same_to_neighbours(told[0], told[1]):
        return _own_keys(stores, kind, told[0]) | _own_keys(stores, kind, told[1])
    return set().union(*(keys_for(stores, kind, obj) for obj in told))


def keys_for(stores: Stores, kind: Kind, obj: Object) -> set[Key]:
    """Return the releases that an object concerns."""
    return _own_keys(stores, kind, obj) | _NEIGHBOURS.get(kind, _nobody)(stores, obj)


def _is_same_to_neighbours(old: Object, new: Object) -> bool:
    """Tell whether only what no other release looks at differs: status, our annotations."""
    return all(aspect(old) == aspect(new) for aspect in (spec_of, labels_of, _user_annotations))


def _user_annotations(obj: Object) -> dict[str, str]:
    found = annotations_of(obj)
    return {key: value for key, value in found.items() if not key.startswith(names.PREFIX)}


def _own_keys(stores: Stores, kind: Kind, obj: Object) -> set[Key]:
    namespace = namespace_of(obj)
    marked = {(namespace, name) for name in releases_of(obj)}
    return marked | _OWN.get(kind, _nobody)(stores, obj)


def _nobody(_stores: Stores, _obj: Object) -> set[Key]:
    return set()


def _enrolled(found: Iterable[Object]) -> set[Key]:
    return {(namespace_of(it), name_of(it)) for it in found if is_enrolled(it)}


def _of_service(_stores: Stores, service: Object) -> set[Key]:
    return _enrolled([service])


def _beside_service(stores: Stores, service: Object) -> set[Key]:
    """A Service may claim another's pods, or sit on a name that we need."""
    namespace = namespace_of(service)
    found = _enrolled(stores.find(objects.SERVICE, "canary-name", namespace, name_of(service)))
    selector: Mapping[str, str] = spec_of(service).get("selector") or {}
    if is_ours(service) or not selector:
        return found
    if any(key.startswith(names.PREFIX) for key in selector):
        return found | _all_of(stores, namespace)
    filed = stores.find(
        objects.DEPLOYMENT, "label", namespace, telling_pair(selector, name_of(service))
    )
    for deployment in filed:
        if is_selected(selector, template_labels(deployment)):
            found |= _of_deployment(stores, deployment)
    return found


def _all_of(stores: Stores, namespace: str) -> set[Key]:
    """Return every release of a namespace: labels of ours are on no template before it starts."""
    known = stores.everywhere(objects.SERVICE)
    return _enrolled(it for it in known if namespace_of(it) == namespace)


def _of_deployment(stores: Stores, deployment: Object) -> set[Key]:
    """Return the release it is marked for, and the enrolled Services that select its pods."""
    namespace, labels = namespace_of(deployment), template_labels(deployment)
    found = {(namespace, name) for name in releases_of(deployment)}
    pairs = [pair(key, value) for key, value in labels.items()]
    filed = stores.find(objects.SERVICE, "selector", namespace, *pairs)
    found |= _enrolled(it for it in filed if is_selected(spec_of(it).get("selector") or {}, labels))
    return found | _enrolled(
        stores.find(objects.SERVICE, "deployment", namespace, name_of(deployment))
    )


def _beside_deployment(stores: Stores, deployment: Object) -> set[Key]:
    """A Deployment of anyone may sit on the name that a canary needs."""
    namespace, name = namespace_of(deployment), name_of(deployment)
    found: set[Key] = set()
    for stable in stores.find(objects.DEPLOYMENT, "canary-name", namespace, name):
        found |= _of_deployment(stores, stable)
    return found


def _of_ingress(stores: Stores, ingress: Object) -> set[Key]:
    """Return the releases whose Service, or canary Service to be, is a backend."""
    namespace = namespace_of(ingress)
    found: set[Key] = set()
    for name in backends(ingress):
        found |= _enrolled(stores.find(objects.SERVICE, "canary-name", namespace, name))
        service = stores.get(objects.SERVICE, namespace, name)
        if service is not None:
            found |= _enrolled([service])
            found |= {(namespace, release) for release in releases_of(service)}
    return found


def _beside_ingress(stores: Stores, ingress: Object) -> set[Key]:
    """An Ingress may be a rival for a path, or sit on a name that we need; ours are neither."""
    if is_ours(ingress):
        return set()
    namespace, found = namespace_of(ingress), set[Key]()
    named = stores.find(objects.INGRESS, "canary-name", namespace, name_of(ingress))
    for other in named:
        found |= _of_ingress(stores, other)
    for host in hosts(ingress):
        for other in stores.find(objects.INGRESS, "host", namespace, host):
            found |= _of_ingress(stores, other)
    return found


def _of_replica_set(stores: Stores, replica_set: Object) -> set[Key]:
    owner = objects.controller_of(replica_set) or {}
    deployment = stores.get(
        objects.DEPLOYMENT, namespace_of(replica_set), str(owner.get("name", ""))
    )
    return _of_deployment(stores, deployment) if deployment is not None else set()


def _of_slice(_stores: Stores, entry: Object) -> set[Key]:
    """A slice carries the labels of its Service: the canary's names the release itself."""
    if releases_of(entry):
        return set()
    key = service_key(entry)
    return {key} if key[1] else set()


def _of_budget(stores: Stores, budget: Object) -> set[Key]:
    """A budget matters while it selects canary pods, or sits on the name that ours needs."""
    namespace, name = namespace_of(budget), name_of(budget)
    selector: Mapping[str, object] = spec_of(budget).get("selector") or {}
    canaries = stores.find(objects.DEPLOYMENT, "canaries", namespace, "")
    found = {
        (namespace, labels_of(it)[names.SERVICE])
        for it in canaries
        if matches(selector, template_labels(it)) or name_of(it) == name
    }
    for stable in stores.find(objects.DEPLOYMENT, "canary-name", namespace, name):
        found |= _of_deployment(stores, stable)
    return found


def _of_autoscaler(stores: Stores, autoscaler: Object) -> set[Key]:
    target = spec_of(autoscaler).get("scaleTargetRef") or {}
    if target.get("kind") != "Deployment":
        return set()
    name = str(target.get("name", ""))
    deployment = stores.get(objects.DEPLOYMENT, namespace_of(autoscaler), name)
    return _of_deployment(stores, deployment) if deployment is not None else set()


_Answer = Callable[[Stores, Object], set[Key]]

_OWN: Final[Mapping[Kind, _Answer]] = {
    objects.SERVICE: _of_service,
    objects.DEPLOYMENT: _of_deployment,
    objects.INGRESS: _of_ingress,
    objects.REPLICA_SET: _of_replica_set,
    objects.ENDPOINT_SLICE: _of_slice,
    objects.DISRUPTION_BUDGET: _of_budget,
    objects.AUTOSCALER: _of_autoscaler,
}
"""The releases that an object is part of: every change of it concerns them."""

_NEIGHBOURS: Final[Mapping[Kind, _Answer]] = {
    objects.SERVICE: _beside_service,
    objects.DEPLOYMENT: _beside_deployment,
    objects.INGRESS: _beside_ingress,
}
"""The releases that an object stands beside: they look at its spec and annotations only."""
