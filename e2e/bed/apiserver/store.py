"""The API server's verbs on objects in memory, with the rules that controllers depend on.

Synchronous, without sockets, tasks or timers; the clock is a parameter. So it serves the HTTP
face and, in virtual time, a whole simulated world in one process.

Objects that come out are the stored ones: read them, never change them. Objects that go in
are copied.
"""

import random
import time
import uuid
from collections.abc import Callable, Sequence
from typing import Any, Unpack

from e2e.bed.apiserver import admission, writes
from e2e.bed.apiserver.addresses import Addresses
from e2e.bed.apiserver.apply import applied, entries_after_apply
from e2e.bed.apiserver.default_class import with_default_class
from e2e.bed.apiserver.defaults import with_defaults, with_status_defaults
from e2e.bed.apiserver.errors import (
    ApiError,
    Cause,
    already_exists,
    bad_request,
    conflict,
    not_found,
    unsupported_media_type,
)
from e2e.bed.apiserver.events import served_form
from e2e.bed.apiserver.history import Watch
from e2e.bed.apiserver.kinds import Kind, KindTable
from e2e.bed.apiserver.managed import applied_tree, entries_after_update, entry_of, ownable
from e2e.bed.apiserver.network_rules import loopback_causes
from e2e.bed.apiserver.options import Ask, Delete, Write
from e2e.bed.apiserver.patches import json_patched, merge_patched, strategic_merged
from e2e.bed.apiserver.reaper import Deletion, Reaper
from e2e.bed.apiserver.selectors import check_fields, selector_of
from e2e.bed.apiserver.shelves import Listener, Shelves
from e2e.bed.apiserver.trees import JsonObject, stamp
from e2e.bed.apiserver.validation import check
from e2e.bed.apiserver.writes import APPLY, JSON, MERGE, STRATEGIC


class Store:
    """Every object of one API server.

    Args:
        clock: Seconds since the epoch; versions start at it in milliseconds.
        rng: Source of uids and generated names; give a seeded one for equal runs.
        history: How many changes of each kind a watch may come back over.
        hold_policy: Whether the hooks of `hold.yaml` and `warn.yaml` are in force; an attribute
            that may be switched at any time.
        allow_loopback_endpoints: Whether EndpointSlices may hold loopback addresses; an attribute
            as well.
        gc_delay: Seconds until garbage is collected; 0 collects in the deleting call. With a
            delay someone has to call `run_due`.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.time,
        rng: random.Random | None = None,
        history: int = 5000,
        hold_policy: bool = False,
        allow_loopback_endpoints: bool = False,
        gc_delay: float = 0.0,
    ) -> None:
        self.kinds = KindTable()
        self.hold_policy = hold_policy
        self.allow_loopback_endpoints = allow_loopback_endpoints
        self._clock = clock
        self._rng = rng or random.Random()
        self._shelves = Shelves(int(clock() * 1000), history)
        self._reaper = Reaper(self._shelves, self.kinds, clock, gc_delay)
        self._addresses = Addresses()
        for name in ("default", "kube-system"):
            self.create("namespaces", None, {"metadata": {"name": name}})

    @property
    def version(self) -> int:
        """The resourceVersion of the last write."""
        return self._shelves.version

    def now(self) -> float:
        """Return the clock's seconds since the epoch."""
        return self._clock()

    def get(self, kind: str | Kind, namespace: str | None, name: str) -> JsonObject:
        """Return an object.

        Raises:
            ApiError: 404.
        """
        return self._stored(self.kinds.named(kind), namespace, name)

    def list(
        self,
        kind: str | Kind,
        namespace: str | None = None,
        labels: str = "",
        fields: str = "",
    ) -> list[JsonObject]:
        """Return the objects of a kind, by namespace and name.

        Args:
            kind: Plural name, such as `deployments`.
            namespace: None or empty for all of them.
            labels: A label selector, such as `app=web,tier in (a,b),!gone`.
            fields: A field selector, such as `metadata.name=web`.
        """
        known = self.kinds.named(kind)
        found = self._shelves.each(known, namespace)
        if not labels and not fields:
            return found
        selector = selector_of(labels, fields)
        check_fields(known.kind, selector)
        return [obj for obj in found if selector.matches(obj)]

    def watch(
        self,
        kind: str | Kind,
        namespace: str | None = None,
        labels: str = "",
        fields: str = "",
        since: int | None = None,
    ) -> Watch:
        """Open a watch; `Watch.take` returns what came, `close` ends it.

        Args:
            kind: As in `list`.
            namespace: As in `list`.
            labels: As in `list`.
            fields: As in `list`.
            since: The version already seen; None for changes from now on.

        Raises:
            ApiError: 410, `since` is older than what is kept.
        """
        selector = selector_of(labels, fields)
        check_fields(self.kinds.named(kind).kind, selector)
        watch = Watch(kind=self.kinds.named(kind), namespace=namespace or None, selector=selector)
        self._shelves.follow(watch, since)
        return watch

    def close(self, watch: Watch) -> None:
        """End a watch."""
        self._shelves.history(watch.kind).leave(watch)

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call `listener(event_type, plural, new, old)` in each write; returns what ends that."""
        return self._shelves.subscribe(listener)

    def create(
        self, kind: str | Kind, namespace: str | None, obj: JsonObject, **how: Unpack[Write]
    ) -> JsonObject:
        """Create an object and return it as stored.

        Args:
            kind: Plural name.
            namespace: None for the one in the object's metadata, or for a cluster kind.
            obj: The object; apiVersion and kind may be left out.
            **how: See `Write`.

        Raises:
            ApiError: 400, 403, 404 (no such namespace), 409 (the name is taken), 422.
        """
        return self._create(self.kinds.named(kind), namespace, obj, Ask(**how))

    def update(
        self,
        kind: str | Kind,
        namespace: str | None,
        name: str,
        obj: JsonObject,
        **how: Unpack[Write],
    ) -> JsonObject:
        """Replace an object (PUT) and return it as stored.

        Raises:
            ApiError: 400, 404, 409 (resourceVersion or uid is another's), 422.
        """
        found, ask = self.kinds.named(kind), Ask(**how)
        body = writes.body_of(found, obj)
        writes.check_put_name(body, name, namespace)
        old = self._shelves.find(found, namespace, name)
        if old is None:
            if not found.created_by_put:
                raise not_found(found, name)
            if body["metadata"].get("uid"):
                raise conflict(found, name, "Precondition failed: there is no such object")
            body["metadata"].pop("resourceVersion", None)
            return self._create(found, namespace, body, ask)
        writes.check_put(found, old, body)
        return self._replace(found, old, body, ask)

    def patch(
        self,
        kind: str | Kind,
        namespace: str | None,
        name: str,
        patch_type: str,
        patch: Any,
        **how: Unpack[Write],
    ) -> JsonObject:
        """Patch an object and return it as stored.

        Args:
            kind: Plural name.
            namespace: None for a cluster kind.
            name: The object's name.
            patch_type: `json`, `merge`, `strategic` or `apply`.
            patch: A list of operations for `json`, else an object.
            **how: See `Write`; an apply needs `manager`.

        Raises:
            ApiError: 400, 404, 409 (stale resourceVersion, or an apply's conflict), 415, 422.
        """
        found, ask = self.kinds.named(kind), Ask(**how)
        if patch_type == APPLY:
            return self._apply(found, namespace, name, patch, ask)
        if patch_type == STRATEGIC and found.custom:
            raise unsupported_media_type(writes.CUSTOM_PATCH_TYPES)
        old = self._stored(found, namespace, name)
        base = served_form(found, old)
        if patch_type == JSON:
            patched = json_patched(base, patch)
        elif not isinstance(patch, dict):
            raise bad_request("error decoding patch: the patch is no object")
        elif patch_type == MERGE:
            patched = merge_patched(base, patch)
        else:
            patched = strategic_merged(found.kind, base, patch)
        return self._replace(found, old, writes.patched_body(found, patched), ask)

    def delete(
        self, kind: str | Kind, namespace: str | None, name: str, **how: Unpack[Delete]
    ) -> JsonObject:
        """Delete an object; returns its last state, or its state while it waits to go.

        It waits for finalizers, for a Pod's grace period (a kubelet ends it with
        `grace_seconds=0`), or for the objects of a namespace.

        Raises:
            ApiError: 404; 409, a precondition does not hold.
        """
        found = self.kinds.named(kind)
        old = self._stored(found, namespace, name)
        writes.check_preconditions(found, old, how.get("uid"), how.get("resource_version"))
        deletion = Deletion(policy=how.get("policy") or "", grace_seconds=how.get("grace_seconds"))
        if how.get("dry_run"):
            return self._reaper.waiting(found, old, deletion) or old
        return self._reaper.delete(found, old, deletion)[0]

    def exists(self, kind: str | Kind, namespace: str | None, name: str) -> bool:
        """Say whether there is such an object."""
        return self._shelves.find(self.kinds.named(kind), namespace, name) is not None

    @property
    def is_collecting(self) -> bool:
        """Say whether what changes right now is garbage: nobody's write."""
        return self._reaper.is_collecting

    def next_due(self) -> float | None:
        """Return when garbage is to be collected, in seconds of the clock, or None."""
        return self._reaper.next_due()

    def run_due(self) -> None:
        """Collect the garbage that is due by the clock."""
        self._reaper.run_due()

    def compact(self) -> None:
        """Forget the history: every watch and list from an earlier version gets 410."""
        self._shelves.compact()

    def check_since(self, kind: str | Kind, since: int) -> None:
        """Refuse a version that no watch could start from any more.

        Raises:
            ApiError: 410.
        """
        self._shelves.history(self.kinds.named(kind)).check(since)

    def _stored(self, kind: Kind, namespace: str | None, name: str) -> JsonObject:
        obj = self._shelves.find(kind, namespace if kind.namespaced else None, name)
        if obj is None:
            raise not_found(kind, name)
        return obj

    def _create(self, kind: Kind, namespace: str | None, obj: JsonObject, ask: Ask) -> JsonObject:
        new = writes.body_of(kind, obj)
        version = new["metadata"].get("resourceVersion")
        place = writes.namespace_for(kind, namespace, new)
        writes.check_namespace_takes(kind, new, self._namespace(place) if place else None, place)
        writes.name_new(kind, new, self._rng)
        uid = str(uuid.UUID(int=self._rng.getrandbits(128), version=4))
        writes.stamp_new(kind, new, place, uid, stamp(self._clock()))
        if kind.status and not kind.custom and not ask.subresource:
            new.pop("status", None)
        with_defaults(kind, new)
        if kind.kind == "Ingress":
            new = with_default_class(new, self.list("ingressclasses"))
        self._own_new(kind, new, obj, ask)
        if ask.subresource:  # of an object that is made by it the status is not taken
            new["status"] = {}
            with_defaults(kind, new)
        self._check_new(kind, new, ask)
        name = new["metadata"]["name"]
        if version not in (None, "", "0") and not ask.dry_run:
            raise ApiError(500, "", "resourceVersion should not be set on objects to be created")
        if self._shelves.find(kind, place, name) is not None:
            raise already_exists(kind, name)
        if ask.dry_run:
            return writes.with_version(new, version)
        self._shelves.put(kind, new, None)
        self._reaper.check_owners(new)
        return new

    def _check_new(self, kind: Kind, new: JsonObject, ask: Ask) -> None:
        """Refuse a new object that is wrong, or give a Service its addresses."""
        is_addressed = kind.kind == "Service" and not ask.subresource
        if is_addressed:
            self._addresses.pair(new)
        check(kind, new, None, more=self._loopback_causes(kind, new))
        if is_addressed:
            self._addresses.settle(new, None)

    def _namespace(self, name: str) -> JsonObject | None:
        return self._shelves.find(self.kinds.named("namespaces"), None, name)

    def _own_new(self, kind: Kind, new: JsonObject, config: JsonObject, ask: Ask) -> None:
        now = stamp(self._clock())
        writer = ask.writer(kind)
        if ask.applies:
            tree = applied_tree(kind.kind, ownable(config, ask.subresource))
            entries = [entry_of(writer, tree, now)] if tree else []
        else:
            new["metadata"].pop("managedFields", None)
            entries = entries_after_update(kind.kind, None, new, writer, now)
        if entries:
            new["metadata"]["managedFields"] = entries

    def _loopback_causes(self, kind: Kind, new: JsonObject) -> Sequence[Cause]:
        if kind.kind != "EndpointSlice" or self.allow_loopback_endpoints:
            return ()
        return tuple(loopback_causes(new))

    def _replace(
        self,
        kind: Kind,
        old: JsonObject,
        body: JsonObject,
        ask: Ask,
        entries: Sequence[JsonObject] | None = None,
    ) -> JsonObject:
        """Put a wanted state in place of a stored one.

        `entries` are the managedFields of an apply; None finds out what changed.
        """
        writes.check_version(kind, old, body)
        new = writes.successor(kind, old, body, ask.subresource)
        if not ask.subresource:
            with_defaults(kind, new)
            writes.keep_status(kind, old, new)
        elif ask.subresource == "status":
            with_status_defaults(kind, new, body)
        if entries is None:
            now = stamp(self._clock())
            entries = entries_after_update(kind.kind, old, new, ask.writer(kind), now)
        if kind.kind == "Service":
            self._addresses.keep(new, old)
            self._addresses.pair(new)
        writes.set_managed(new, entries)
        new = self._admitted(kind, old, new, ask)
        writes.raise_generation(kind, old, new, ask.subresource)
        check(kind, new, old, ask.subresource, self._loopback_causes(kind, new))
        if kind.kind == "Service" and not ask.subresource:
            self._addresses.settle(new, old)
        self._warn(kind, old, new, ask)
        if new == old or ask.dry_run:
            return old if new == old else new
        return self._keep(kind, old, new)

    def _keep(self, kind: Kind, old: JsonObject, new: JsonObject) -> JsonObject:
        meta = new["metadata"]
        waits = meta.get("finalizers") or meta.get("deletionGracePeriodSeconds")
        if meta.get("deletionTimestamp") and not waits and kind.kind != "Namespace":
            self._reaper.remove(kind, new)
            return writes.with_version(new, old["metadata"]["resourceVersion"])
        self._shelves.put(kind, new, old)
        if meta.get("ownerReferences") != old["metadata"].get("ownerReferences"):
            self._reaper.check_owners(new)
        return new

    def _admitted(self, kind: Kind, old: JsonObject, new: JsonObject, ask: Ask) -> JsonObject:
        if not self._is_reviewed(kind, ask):
            return new
        return admission.mutated(admission.Update(new=new, old=old, manager=ask.manager))

    def _warn(self, kind: Kind, old: JsonObject, new: JsonObject, ask: Ask) -> None:
        if self._is_reviewed(kind, ask):
            update = admission.Update(new=new, old=old, manager=ask.manager)
            for text in admission.warnings(update):
                ask.warn(text)

    def _is_reviewed(self, kind: Kind, ask: Ask) -> bool:
        return self.hold_policy and kind.kind == "Deployment" and not ask.subresource

    def _apply(
        self, kind: Kind, namespace: str | None, name: str, config: Any, ask: Ask
    ) -> JsonObject:
        wanted = writes.applied_config(kind, name, config, ask)
        ask = ask.applying()
        live = self._shelves.find(kind, namespace, name)
        if live is None:
            creates = kind.created_by_put or not ask.subresource
            if not creates:
                raise not_found(kind, name)
            if wanted["metadata"].get("uid"):
                raise conflict(kind, name, "uid mismatch: there is no such object")
            wanted["metadata"].pop("resourceVersion", None)
            writes.applied_body(kind, wanted)
            return self._create(kind, namespace, wanted, ask)
        writer = ask.writer(kind)
        body = applied(kind.kind, live, wanted, writer, force=ask.force)
        now = stamp(self._clock())
        entries = entries_after_apply(kind.kind, live, wanted, body, writer, now)
        return self._replace(kind, live, writes.applied_body(kind, body), ask, entries)
