"""Gathers everything one pass may look at into an `Observed`."""

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final

from controller import wakeup
from controller.api import names, objects
from controller.api.objects import (
    Kind,
    Object,
    annotations_of,
    is_selected,
    labels_of,
    name_of,
    namespace_of,
    spec_of,
    template_labels,
    uid_of,
    version_of,
)
from controller.plan.observed import Observed, Parameters, Pool, Ref, ReplicaSet
from controller.plan.workload import (
    canary_ingress_name,
    canary_name,
    canary_selector,
)
from controller.stores import (
    ANY_LABELS,
    Stores,
    hosts,
    is_enrolled,
    pair,
    releases_of,
    telling_pair,
)
from controller.tracker import Key, Tracker

Reading = Object | tuple[Object, ...] | None
"""What a quorum read found: the object, all slices of a Service, or None."""

States = frozenset[tuple[str, str]]
"""The (uid, resourceVersion) of what a read found: equal ones found the same, byte for byte."""

NOTHING_CONFIRMED: Final[Mapping[Ref, Reading]] = MappingProxyType({})


class Observer:
    """Sees the watched world, one release at a time.

    It asks for no time itself and starts nothing: whoever feeds the stores calls `changed`.

    Args:
        stores: what the watches keep up to date.
        monotonic: seconds that never go back.
        parameters: the settings that decisions depend on.
    """

    def __init__(
        self,
        stores: Stores,
        *,
        monotonic: Callable[[], float],
        parameters: Parameters | None = None,
    ) -> None:
        self.stores = stores
        self._parameters = parameters or Parameters()
        self._tracker = Tracker(monotonic)

    def changed(self, kind: Kind, old: Object | None, new: Object | None) -> set[Key]:
        """Take in one change of one object; return the releases that may have to act on it."""
        self.track(kind, old, new)
        return self.keys_of_change(kind, old, new)

    def track(self, kind: Kind, old: Object | None, new: Object | None) -> None:
        """Take in one change of one object, for the ages of things.

        To be called for every change of every store, when the store already shows it.
        """
        if new is not None and kind == objects.ENDPOINT_SLICE and self._is_from_list(new):
            self._tracker.jumped(new)
        self._tracker.changed(kind, old, new)

    def keys_of_change(self, kind: Kind, old: Object | None, new: Object | None) -> set[Key]:
        """Return the releases that a change may concern; None is no object."""
        return wakeup.keys_of_change(self.stores, kind, old, new)

    def keys_for(self, kind: Kind, obj: Object) -> set[Key]:
        """Return the releases that an object concerns."""
        return wakeup.keys_for(self.stores, kind, obj)

    def keys(self) -> set[Key]:
        """Return every release: the enrolled Services, and what we left anywhere."""
        found: set[Key] = set()
        for kind in (objects.SERVICE, objects.DEPLOYMENT, objects.INGRESS):
            for obj in self.stores.everywhere(kind):
                found |= {(namespace_of(obj), name) for name in releases_of(obj)}
                if kind == objects.SERVICE and is_enrolled(obj):
                    found.add((namespace_of(obj), name_of(obj)))
        return found

    def held_deployments(self) -> list[Object]:
        """Return every Deployment that carries the held label."""
        marked = self.stores.everywhere(objects.DEPLOYMENT)
        return [obj for obj in marked if labels_of(obj).get(names.HELD)]

    def learn(self, kind: Kind, obj: Object) -> None:
        """Take an answer of the API server into the stores, so that the next pass knows it.

        EndpointSlices are left to their watch: an age is only worth something if nothing was
        missed between two looks.
        """
        store = self.stores.store(kind, namespace_of(obj))
        if store is not None and kind != objects.ENDPOINT_SLICE:
            store.learn(obj)

    def unlearn(self, kind: Kind, obj: Object) -> None:
        """Take out of the stores what the API server says is gone, by its uid."""
        store = self.stores.store(kind, namespace_of(obj))
        if store is not None:
            store.unlearn(obj)

    def unwatched(self, key: Key) -> frozenset[Ref]:
        """Return what a pass needs and no watch shows: the slices of a Service without our label.

        EndpointSlices follow the labels of their Service, some time later: those of one that was
        just enrolled are not in our watch yet, and those of one that lost its label in mid-release
        leave it. They are read in every pass until the watch has them, or all is wound up.
        """
        namespace, name = key
        service = self.stores.get(objects.SERVICE, namespace, name)
        if service is None:
            return frozenset()
        if names.CANARY in labels_of(service):
            is_shown = any(self.stores.find(objects.ENDPOINT_SLICE, "service", namespace, name))
        else:
            marked = self.stores.find(objects.DEPLOYMENT, "release", namespace, name)
            is_shown = not any(labels_of(obj).get(names.SERVICE) for obj in marked)
        ref = Ref(kind=objects.ENDPOINT_SLICE, namespace=namespace, name=name)
        return frozenset() if is_shown else frozenset({ref})

    def states_of(self, ref: Ref) -> States:
        """Return the states that the caches hold of what a read of this would find."""
        if ref.kind == objects.ENDPOINT_SLICE:
            return states(tuple(self.stores.find(ref.kind, "service", ref.namespace, ref.name)))
        return states(self.stores.get(ref.kind, ref.namespace, ref.name))

    def observe(self, key: Key, confirmed: Mapping[Ref, Reading] = NOTHING_CONFIRMED) -> Observed:
        """Return the world of one release.

        Args:
            key: namespace and name of the Service.
            confirmed: what quorum reads found; it stands in for what the caches hold.
        """
        view = _View(self.stores, key, confirmed)
        service = view.service()
        deployments = view.deployments(service)
        ingresses = view.ingresses()
        carried = view.pod_labels(deployments)
        labels = _labels_that_pods_may_carry(carried)
        missing = self._tracker.missing_seconds(key, service)
        if service is None and not any(releases_of(obj) for obj in (*deployments, *ingresses)):
            self._tracker.forget(key)
        return Observed(
            namespace=view.namespace,
            name=view.name,
            service=service,
            service_missing_seconds=missing,
            deployments=deployments,
            replica_sets=view.replica_sets(deployments),
            services=view.services(service, carried, labels),
            ingresses=ingresses,
            budgets=view.budgets(deployments, labels),
            autoscalers=view.autoscalers(deployments),
            stable=self._pool(view, view.name),
            canary=self._pool(view, canary_name(view.name)),
            seen=self._tracker.seen((*deployments, *ingresses)),
            confirmed=frozenset(confirmed),
            parameters=self._parameters,
        )

    def _is_from_list(self, entry: Object) -> bool:
        """Tell whether a list brought this: what a watch brings is newer than all before it."""
        store = self.stores.store(objects.ENDPOINT_SLICE, namespace_of(entry))
        version, reached = version_of(entry), store.version if store is not None else ""
        return version.isdecimal() and reached.isdecimal() and int(version) <= int(reached)

    def _pool(self, view: "_View", service: str) -> Pool:
        key = (view.namespace, service)
        slices = view.slices(service)
        if view.is_read(service) and not any(names.CANARY in labels_of(it) for it in slices):
            self._tracker.read(key, slices)
        return self._tracker.pool(key, slices)


class _View:
    """The stores as one pass sees them: quorum reads laid over the caches.

    Where a watch has brought a newer state since, that one is seen: a pass may take seconds.
    """

    def __init__(self, stores: Stores, key: Key, confirmed: Mapping[Ref, Reading]) -> None:
        self.namespace, self.name = key
        self._stores = stores
        self._fresh: dict[Kind, dict[str, Object | None]] = {}
        self._slices: dict[str, tuple[Object, ...]] = {}
        for ref, found in confirmed.items():
            if ref.namespace != self.namespace:
                continue
            if ref.kind == objects.ENDPOINT_SLICE:
                self._slices[ref.name] = found if isinstance(found, tuple) else ()
            elif not isinstance(found, tuple):
                self._fresh.setdefault(ref.kind, {})[ref.name] = found

    def service(self) -> Object | None:
        """Return the enrolled Service."""
        return self._get(objects.SERVICE, self.name)

    def deployments(self, service: Object | None) -> tuple[Object, ...]:
        """Return what the Service selects, what is marked for it, and who has the canary's name."""
        found = _Found(self._find(objects.DEPLOYMENT, "release", self.name))
        selector = spec_of(service or {}).get("selector") or {}
        if selector:
            filed = self._find(objects.DEPLOYMENT, "label", telling_pair(selector, self.name))
            found.add(it for it in filed if is_selected(selector, template_labels(it)))
        named = annotations_of(service or {}).get(names.DEPLOYMENT)
        if named:
            found.add([self._get(objects.DEPLOYMENT, named.strip())])
        taken = [canary_name(name) for name in found.names()]
        found.add(self._get(objects.DEPLOYMENT, name) for name in taken)
        return found.sorted()

    def ingresses(self) -> tuple[Object, ...]:
        """Return who sends to either Service, ours, who shares a host, who has our names."""
        mains = list(self._find(objects.INGRESS, "backend", self.name))
        found = _Found(mains)
        found.add(self._find(objects.INGRESS, "backend", canary_name(self.name)))
        found.add(self._find(objects.INGRESS, "release", self.name))
        shared = {host for ingress in found.values() for host in hosts(ingress)}
        found.add(self._find(objects.INGRESS, "host", *shared))
        for ingress in mains:
            name = canary_ingress_name(self.name, name_of(ingress))
            found.add([self._get(objects.INGRESS, name)])
        return found.sorted()

    def services(
        self,
        service: Object | None,
        carried: Iterable[Mapping[str, str]],
        labels: Iterable[str],
    ) -> tuple[Object, ...]:
        """Return the Services that could select a pod that carries one of these sets, and ours."""
        found = _Found([service])
        found.add(self._find(objects.SERVICE, "release", self.name))
        found.add([self._get(objects.SERVICE, canary_name(self.name))])
        filed = self._find(objects.SERVICE, "selector", *labels)
        found.add(it for it in filed if any(_could_select(it, values) for values in carried))
        return found.sorted()

    def budgets(self, deployments: Iterable[Object], labels: Iterable[str]) -> tuple[Object, ...]:
        """Return the disruption budgets that could select a pod with these labels, and ours."""
        kind = objects.DISRUPTION_BUDGET
        found = _Found(self._find(kind, "release", self.name))
        found.add(self._get(kind, canary_name(name_of(it))) for it in deployments)
        found.add(self._find(kind, "selector", ANY_LABELS, *labels))
        return found.sorted()

    def autoscalers(self, deployments: Iterable[Object]) -> tuple[Object, ...]:
        """Return the autoscalers of these Deployments."""
        found = _Found(self._find(objects.AUTOSCALER, "target", *map(name_of, deployments)))
        return found.sorted()

    def replica_sets(self, deployments: Iterable[Object]) -> tuple[ReplicaSet, ...]:
        """Return the ReplicaSets of these Deployments."""
        found = _Found(self._find(objects.REPLICA_SET, "owner", *map(uid_of, deployments)))
        return tuple(_replica_set(it) for it in found.sorted())

    def slices(self, service: str) -> tuple[Object, ...]:
        """Return the EndpointSlices of a Service."""
        if self.is_read(service):
            found = self._slices[service]
            return tuple(self._newest(objects.ENDPOINT_SLICE, it) for it in found)
        return tuple(self._stores.find(objects.ENDPOINT_SLICE, "service", self.namespace, service))

    def is_read(self, service: str) -> bool:
        """Tell whether the slices of a Service come from a quorum read."""
        return service in self._slices

    def _get(self, kind: Kind, name: str) -> Object | None:
        fresh = self._fresh.get(kind, {})
        if name in fresh:
            read = fresh[name]
            return self._newest(kind, read) if read is not None else None
        return self._stores.get(kind, self.namespace, name)

    def _find(self, kind: Kind, index: str, *values: str) -> Iterable[Object]:
        """Return what an index holds; what was read afresh comes in its fresh form, or not at all.

        Every object read afresh is among the answers, filed here or not: it was asked for because
        it matters, and its fresh form may be what the index does not know yet.
        """
        filed = self._stores.find(kind, index, self.namespace, *values)
        fresh = self._fresh.get(kind)
        if fresh is None:
            return filed
        found = [obj for obj in filed if name_of(obj) not in fresh]
        return found + [self._newest(kind, obj) for obj in fresh.values() if obj is not None]

    def _newest(self, kind: Kind, read: Object) -> Object:
        """Return the read state of an object, or the cached one if that is newer."""
        cached = self._stores.get(kind, self.namespace, name_of(read))
        if cached is None or uid_of(cached) != uid_of(read):
            return read
        versions = version_of(cached), version_of(read)
        is_newer = all(it.isdecimal() for it in versions) and int(versions[0]) > int(versions[1])
        return cached if is_newer else read

    def pod_labels(self, deployments: Iterable[Object]) -> list[Mapping[str, str]]:
        """Return the labels of each Deployment's pods, ours among them."""
        ours = {**canary_selector(self.name), names.CANARY: ""}
        return [{**ours, **template_labels(it)} for it in deployments] or [ours]


def states(reading: Reading) -> States:
    """Return the states of what a read found."""
    found = reading if isinstance(reading, tuple) else (reading,)
    return frozenset((uid_of(obj), version_of(obj)) for obj in found if obj is not None)


class _Found:
    """Objects of one kind and one namespace, each once."""

    def __init__(self, found: Iterable[Object | None]) -> None:
        self._by_name: dict[str, Object] = {}
        self.add(found)

    def add(self, found: Iterable[Object | None]) -> None:
        self._by_name.update((name_of(obj), obj) for obj in found if obj is not None)

    def names(self) -> list[str]:
        return list(self._by_name)

    def values(self) -> list[Object]:
        return list(self._by_name.values())

    def sorted(self) -> tuple[Object, ...]:
        return tuple(self._by_name[name] for name in sorted(self._by_name))


def _renamed(value: str) -> str:
    """Return the value that a canary pod may carry instead (contract.md section 3)."""
    return canary_name(value) if value else "canary"


def _labels_that_pods_may_carry(carried: Iterable[Mapping[str, str]]) -> set[str]:
    """Return every label of these pods, and what a canary's may carry instead, each once."""
    return {
        pair(key, value)
        for labels in carried
        for key, own in labels.items()
        for value in (own, _renamed(own))
    }


def _could_select(service: Object, labels: Mapping[str, str]) -> bool:
    """Tell whether some of a Service's pods could be ours; our own labels count as unknown."""
    selector: Mapping[str, Any] = spec_of(service).get("selector") or {}
    return all(
        key.startswith(names.PREFIX)
        or (key in labels and value in (labels[key], _renamed(labels[key])))
        for key, value in selector.items()
    )


def _replica_set(obj: Object) -> ReplicaSet:
    status = objects.status_of(obj)
    owner = objects.controller_of(obj) or {}
    number = str(annotations_of(obj).get(names.DEPLOYMENT_REVISION, ""))
    return ReplicaSet(
        name=name_of(obj),
        owner=str(owner.get("uid", "")),
        revision=str(obj.get("revision") or objects.revision_of(objects.template_of(obj))),
        number=int(number) if number.isdecimal() else 0,
        wanted=objects.replicas_of(obj),
        pods=int(status.get("replicas") or 0),
        ready=int(status.get("readyReplicas") or 0),
    )
