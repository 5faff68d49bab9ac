"""Small doors for the shell's tests: a server in memory, a clock that is wound by hand."""

import asyncio
import itertools
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import jsonpatch

from controller.api import objects
from controller.api.errors import ConflictError, GoneError, NotFoundError
from controller.api.objects import Kind, Object, name_of, namespace_of, uid_of, version_of
from controller.cluster.client import Listing, WatchEvent
from controller.cluster.reflector import Store
from controller.observe import Observer
from controller.plan.observed import Ref
from controller.stores import INDEXES, SELECTORS, TRIMS, Stores
from controller.tracker import Key

NAMESPACE = "shop"
START = datetime(2026, 11, 1, 12, 0, 0, tzinfo=UTC)


class FakeClock:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.seconds = 1000.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        return START + timedelta(seconds=self.seconds - 1000.0)

    def advance(self, seconds: float) -> None:
        self.seconds += seconds

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.advance(seconds)
        await asyncio.sleep(0)


class FakeServer:
    """An API server of a few lines: objects, versions, and errors on demand."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.objects: dict[Ref, Object] = {}
        self.calls: list[tuple[str, str, str]] = []
        self.errors: dict[tuple[str, str, str], list[Exception]] = {}
        self.dry_run_answer: Object = {}
        self._versions = itertools.count(100)

    def server_time(self) -> datetime:
        return self.clock.now()

    def fail(self, verb: str, kind: Kind, name: str, *errors: Exception) -> None:
        """Answer the next calls of this verb on this object with these errors."""
        self.errors.setdefault((verb, str(kind), name), []).extend(errors)

    def fail_any(self, verb: str, kind: Kind, *errors: Exception) -> None:
        """Answer the next calls of this verb on this kind with these errors."""
        self.fail(verb, kind, "*", *errors)

    def put(self, kind: Kind, obj: Object) -> Object:
        """Store an object as its user would."""
        meta = {
            "namespace": NAMESPACE,
            "uid": f"uid-{kind.plural}-{name_of(obj)}",
            **objects.metadata(obj),
            "resourceVersion": str(next(self._versions)),
        }
        stored = {**obj, "metadata": meta}
        self.objects[self._ref(kind, stored)] = stored
        return stored

    def remove(self, kind: Kind, name: str) -> Object:
        """Remove an object; return it as a watch would tell it."""
        gone = self.objects.pop(Ref(kind=kind, namespace=NAMESPACE, name=name))
        return {**gone, "metadata": {**gone["metadata"], "resourceVersion": self.version()}}

    def version(self) -> str:
        return str(next(self._versions))

    async def get(self, kind: Kind, namespace: str | None, name: str) -> Object:
        self._begin("get", kind, name)
        return self._held(kind, namespace or "", name)

    async def list(self, kind: Kind, namespace: str | None, *, labels: str = "") -> Listing:
        self._begin("list", kind, labels)
        key, _, value = labels.partition("=")
        items = tuple(
            obj
            for ref, obj in self.objects.items()
            if ref.kind == kind
            and ref.namespace == namespace
            and objects.labels_of(obj).get(key) == value
        )
        return Listing(items=items, version=self.version())

    async def create(self, kind: Kind, obj: Object) -> Object:
        self._begin("create", kind, name_of(obj))
        if self._ref(kind, obj) in self.objects:
            raise ConflictError(f"create {kind} {name_of(obj)}: 409 AlreadyExists")
        return self.put(kind, obj)

    async def merge(
        self, kind: Kind, namespace: str, name: str, patch: Mapping[str, Any]
    ) -> Object:
        self._begin("merge", kind, name)
        held = self._held(kind, namespace, name)
        meta = patch.get("metadata", {})
        if meta.get("uid", uid_of(held)) != uid_of(held):
            raise GoneError(f"merge {kind} {name}: 422")
        version = objects.version_of(held)
        if meta.get("resourceVersion", version) != version:
            raise ConflictError(f"merge {kind} {name}: 409")
        return self.put(kind, _merged(held, patch))

    async def json_patch(
        self,
        kind: Kind,
        namespace: str,
        name: str,
        operations: Sequence[Mapping[str, Any]],
        *,
        subresource: str = "",
        dry_run: bool = False,
    ) -> Object:
        self._begin("dry-run" if dry_run else "json_patch", kind, name)
        if dry_run:
            return self.dry_run_answer
        try:
            held = self._held(kind, namespace, name)
            return self.put(kind, jsonpatch.JsonPatch(list(operations)).apply(held))
        except jsonpatch.JsonPatchException as error:
            raise ConflictError(f"json_patch {kind} {name}{subresource}: 422") from error

    async def delete(
        self, kind: Kind, namespace: str, name: str, *, uid: str, version: str
    ) -> None:
        self._begin("delete", kind, name)
        held = self._held(kind, namespace, name)
        if uid_of(held) != uid or version not in {"", version_of(held)}:
            raise GoneError(f"delete {kind} {name}: 409")
        self.remove(kind, name)

    def _held(self, kind: Kind, namespace: str, name: str) -> Object:
        ref = Ref(kind=kind, namespace=namespace, name=name)
        if ref not in self.objects:
            raise NotFoundError(f"{kind} {name}: 404")
        return self.objects[ref]

    def _begin(self, verb: str, kind: Kind, name: str) -> None:
        self.calls.append((verb, str(kind), name))
        for named in (name, "*"):
            waiting = self.errors.get((verb, str(kind), named))
            if waiting:
                raise waiting.pop(0)

    def _ref(self, kind: Kind, obj: Object) -> Ref:
        return Ref(kind=kind, namespace=namespace_of(obj), name=name_of(obj))


def _merged(held: Any, patch: Any) -> Any:
    if not isinstance(patch, Mapping):
        return patch
    base = dict(held) if isinstance(held, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            base.pop(key, None)
        else:
            base[key] = _merged(base.get(key), value)
    return base


class FakeQueue:
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, Key] | tuple[str, Key, float]] = []
        self.dirty: set[Key] = set()

    def is_dirty(self, key: Key) -> bool:
        return key in self.dirty

    def add_after(self, key: Key, seconds: float) -> None:
        self.told.append(("add_after", key, seconds))

    def add_rate_limited(self, key: Key) -> None:
        self.told.append(("add_rate_limited", key))

    def forget(self, key: Key) -> None:
        self.told.append(("forget", key))


class Watched:
    """A server whose watches are in order and at once, with an observer at their end."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.server = FakeServer(self.clock)
        self.stores = Stores()
        self.observer = Observer(self.stores, monotonic=self.clock.monotonic)
        self.woken: set[Key] = set()
        for kind, indexes in INDEXES.items():
            store = Store(
                on_change=partial(self._changed, kind),
                trim=TRIMS[kind],
                labels=SELECTORS.get(kind, ""),
                indexes=indexes,
            )
            self.stores.add(kind, None, store)

    def put(self, kind: Kind, *found: Object) -> None:
        """Have a user write objects, and the watch tell of them."""
        for obj in found:
            self.deliver(kind, self.server.put(kind, obj))

    def remove(self, kind: Kind, name: str) -> None:
        """Have a user delete an object, and the watch tell of it."""
        store = self._store(kind)
        store.observe(WatchEvent(kind="DELETED", object=self.server.remove(kind, name)))

    def deliver(self, kind: Kind, obj: Object) -> None:
        """Have the watch tell of an object."""
        self._store(kind).observe(WatchEvent(kind="MODIFIED", object=obj))

    def relist(self, kind: Kind) -> None:
        """Have the reflector list the kind again."""
        items = tuple(obj for ref, obj in self.server.objects.items() if ref.kind == kind)
        store = self._store(kind)
        store.begin_list()
        store.replace(Listing(items=items, version=self.server.version()))

    def woken_since(self) -> set[Key]:
        """Return the keys that changes concerned since the last call."""
        woken, self.woken = self.woken, set()
        return woken

    def _store(self, kind: Kind) -> Store:
        store = self.stores.store(kind, NAMESPACE)
        assert store is not None
        return store

    def _changed(self, kind: Kind, old: Object | None, new: Object | None) -> None:
        self.woken |= self.observer.changed(kind, old, new)


def service(name: str = "app", **more: Any) -> Object:
    """Return an enrolled Service that selects `app=NAME`."""
    return {
        "metadata": {
            "name": name,
            "labels": more.pop("labels", {"serinus.dev/canary": "enabled"}),
            "annotations": more.pop("annotations", {}),
        },
        "spec": {"selector": {"app": name}, "ports": [{"port": 80}], **more},
    }


def deployment(name: str = "app", labels: Mapping[str, str] | None = None, **more: Any) -> Object:
    """Return a complete Deployment whose pods carry `app=NAME`."""
    pods = more.pop("pods", {"app": name})
    status = {"replicas": 2, "updatedReplicas": 2, "availableReplicas": 2}
    return {
        "metadata": {
            "name": name,
            "labels": dict(labels or {}),
            "annotations": more.pop("annotations", {}),
        },
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": pods},
            "template": {"metadata": {"labels": pods}, "spec": {"containers": []}},
            **more,
        },
        "status": status,
    }


OURS = {"app.kubernetes.io/managed-by": "serinus", "serinus.dev/service": "app"}
"""The labels of what we made for the Service `app`."""


def canary(**more: Any) -> Object:
    """Return our Deployment beside `app`."""
    pods = {"serinus.dev/service": "app", "serinus.dev/track": "canary", "app": "app-canary"}
    return deployment("app-canary", OURS, pods=pods, **more)


def replica_set(name: str, owner: str, image: str = "v1") -> Object:
    """Return a ReplicaSet of the Deployment with this name."""
    return {
        "metadata": {
            "name": name,
            "annotations": {"deployment.kubernetes.io/revision": "7"},
            "ownerReferences": [
                {"kind": "Deployment", "name": owner, "uid": uid(owner), "controller": True}
            ],
        },
        "spec": {"replicas": 2, "template": {"spec": {"containers": [{"image": image}]}}},
        "status": {"replicas": 2, "readyReplicas": 1},
    }


def uid(name: str) -> str:
    """Return the uid that the server gives to a Deployment."""
    return f"uid-deployments-{name}"


def ingress(
    name: str = "app",
    *backends: str,
    host: str = "app.example",
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
) -> Object:
    """Return an Ingress that sends one path to each of these Services."""
    paths = [
        {"path": f"/{backend}", "pathType": "Prefix", "backend": {"service": {"name": backend}}}
        for backend in backends or ("app",)
    ]
    return {
        "metadata": {
            "name": name,
            "labels": dict(labels or {}),
            "annotations": dict(annotations or {}),
        },
        "spec": {"rules": [{"host": host, "http": {"paths": paths}}]},
    }


def endpoint(pod: str, *, ready: bool = True, **conditions: bool) -> Mapping[str, Any]:
    """Return one endpoint of a slice."""
    return {
        "addresses": [f"10.0.0.{sum(map(ord, pod)) % 250}"],
        "conditions": {"ready": ready, **conditions},
        "targetRef": {"kind": "Pod", "name": pod, "uid": f"uid-{pod}"},
    }


def slice_of(
    name: str,
    *endpoints: Mapping[str, Any],
    part: str = "a",
    labels: Mapping[str, str] | None = None,
) -> Object:
    """Return an EndpointSlice of the Service with this name."""
    inherited = {"serinus.dev/canary": "enabled"} if labels is None else labels
    return {
        "metadata": {
            "name": f"{name}-{part}",
            "labels": {**inherited, "kubernetes.io/service-name": name},
        },
        "endpoints": list(endpoints),
    }
