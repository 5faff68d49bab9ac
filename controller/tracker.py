"""Remembers since when things have been as they are, by this process's own monotonic clock.

Nothing here survives a restart: then every wait runs its full length once more (safety.md
section 3, "Persisted deadline").
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from controller.api import names, objects
from controller.api.objects import Kind, Object, annotations_of, namespace_of, uid_of, version_of
from controller.plan.observed import Endpoint, Pool
from controller.plan.record import record_of

HISTORY_SECONDS = 120.0
"""How far back ready counts are kept; one entry at or before the limit is always kept."""
FORGET_SECONDS = 600.0
"""How long the history of a Service is kept after its last EndpointSlice went."""

Key = tuple[str, str]
"""Namespace and name of a Service."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Slice:
    """What was last seen of an EndpointSlice: its version, and each endpoint's readiness."""

    version: str
    endpoints: Mapping[str, bool]


@dataclass(slots=True, kw_only=True)
class _Watched:
    """What is known of the endpoints of one Service.

    Attributes:
        slices: by uid.
        since: since when each endpoint has been ready without a break.
        ready: the endpoints that were ready when it was last looked at.
        history: (time, ready endpoints from then on), oldest first. Where one endpoint took the
            place of another in one change, the count without both comes first, at the same time.
    """

    slices: dict[str, _Slice] = field(default_factory=dict)
    since: dict[str, float] = field(default_factory=dict)
    ready: frozenset[str] = frozenset()
    history: deque[tuple[float, int]] = field(default_factory=deque)


class Tracker:
    """Takes in every change of what is watched, and answers with ages in seconds.

    Args:
        monotonic: the clock; never goes back.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._now = monotonic
        self._pools: dict[Key, _Watched] = {}
        self._texts: dict[str, tuple[str, float]] = {}
        self._missing: dict[Key, float] = {}

    def changed(self, kind: Kind, old: Object | None, new: Object | None) -> None:
        """Take in one change of one object; telling the same change twice does no harm."""
        if kind == objects.ENDPOINT_SLICE:
            self._slice_changed(old, new)
        elif kind in (objects.INGRESS, objects.DEPLOYMENT):
            self._text_changed(old, new)
        elif kind == objects.SERVICE and new is not None:
            self._missing.pop((namespace_of(new), objects.name_of(new)), None)

    def jumped(self, entry: Object) -> None:
        """Take in an EndpointSlice that may have changed more than once since it was last seen.

        A break that nobody saw would make an age too long: its endpoints count as new.
        """
        known = self._pools.setdefault(service_key(entry), _Watched())
        self._take(known, uid_of(entry), _seen_of(entry))
        self._settle(known)

    def read(self, key: Key, slices: Iterable[Object]) -> None:
        """Take in a whole read of slices that no watch shows; each may have jumped."""
        known = self._pools.setdefault(key, _Watched())
        fresh = {uid_of(entry): _seen_of(entry) for entry in slices}
        for uid in known.slices.keys() - fresh.keys():
            del known.slices[uid]
        for uid, entry in fresh.items():
            self._take(known, uid, entry)
        self._settle(known)

    def pool(self, key: Key, slices: Iterable[Object]) -> Pool:
        """Return what these slices say, with the ages of what they say.

        A slice in another version than the last one taken in may hide a break that was not seen:
        its endpoints have the age 0.
        """
        now = self._now()
        known = self._pools.get(key) or _Watched()
        slices = tuple(slices)
        trusted = {
            endpoint
            for entry in slices
            if (seen := known.slices.get(uid_of(entry))) and seen.version == version_of(entry)
            for endpoint in seen.endpoints
        }
        ready = _ready([_seen_of(entry) for entry in slices])
        pods = {_endpoint_key(one): _pod(one) for entry in slices for one in _endpoints(entry)}
        endpoints = tuple(
            Endpoint(
                pod=pods[name],
                ready=ready[name],
                age_seconds=now - known.since[name]
                if ready[name] and name in trusted and name in known.since
                else 0.0,
            )
            for name in sorted(ready)
        )
        history = tuple((now - at, count) for at, count in reversed(known.history))
        count = sum(ready.values())
        if history and history[0][1] != count:
            history = ((0.0, count), *history)
        return Pool(endpoints=endpoints, history=history)

    def seen(self, found: Iterable[Object]) -> dict[tuple[str, str], float]:
        """Return for each (uid, text) of a time written on these objects how long it was seen."""
        now = self._now()
        ages = {}
        for obj in found:
            text, since = self._texts.get(uid_of(obj), ("", 0.0))
            if text and text == _time_on(obj):
                ages[uid_of(obj), text] = now - since
        return ages

    def missing_seconds(self, key: Key, service: Object | None) -> float:
        """Return how long the Service has been seen missing; 0 while it exists."""
        if service is not None:
            self._missing.pop(key, None)
            return 0.0
        now = self._now()
        return now - self._missing.setdefault(key, now)

    def forget(self, key: Key) -> None:
        """Drop a Service of which nothing is left."""
        self._missing.pop(key, None)

    def _text_changed(self, old: Object | None, new: Object | None) -> None:
        if old is not None and (new is None or uid_of(new) != uid_of(old)):
            self._texts.pop(uid_of(old), None)
        if new is None:
            return
        text = _time_on(new)
        if not text:
            self._texts.pop(uid_of(new), None)
        elif self._texts.get(uid_of(new), ("", 0.0))[0] != text:
            self._texts[uid_of(new)] = (text, self._now())

    def _slice_changed(self, old: Object | None, new: Object | None) -> None:
        if old is not None and (new is None or uid_of(new) != uid_of(old)):
            known = self._pools.get(service_key(old))
            if known is not None:
                known.slices.pop(uid_of(old), None)
                self._settle(known)
                self._sweep()
        if new is not None:
            known = self._pools.setdefault(service_key(new), _Watched())
            known.slices[uid_of(new)] = _seen_of(new)
            self._settle(known)

    def _take(self, known: _Watched, uid: str, entry: _Slice) -> None:
        before = known.slices.get(uid)
        if before is not None and before.version != entry.version:
            for endpoint in entry.endpoints:
                known.since.pop(endpoint, None)
        known.slices[uid] = entry

    def _settle(self, known: _Watched) -> None:
        """Bring `since`, `ready` and `history` in line with the slices."""
        now = self._now()
        found = _ready(known.slices.values())
        ready = frozenset(name for name, is_ready in found.items() if is_ready)
        kept, known.ready = ready & known.ready, ready
        known.since = {name: known.since.get(name, now) for name in ready}
        history = known.history
        for count in (len(kept), len(ready)) if history else (len(ready),):
            if not history or history[-1][1] != count:
                history.append((now, count))
        while len(history) > 1 and now - history[1][0] >= HISTORY_SECONDS:
            history.popleft()

    def _sweep(self) -> None:
        now = self._now()
        gone = [
            key
            for key, known in self._pools.items()
            if not known.slices and now - known.history[-1][0] > FORGET_SECONDS
        ]
        for key in gone:
            del self._pools[key]


def service_key(entry: Object) -> Key:
    """Return the Service that an EndpointSlice belongs to."""
    return namespace_of(entry), objects.labels_of(entry).get(names.SERVICE_NAME, "")


def _time_on(obj: Object) -> str:
    """Return the time of a routing change as it is written on the object, "" without one."""
    text = annotations_of(obj).get(names.CHANGED)
    if text:
        return str(text)
    record = record_of(obj) if names.RELEASE in annotations_of(obj) else None
    return record.changed if record is not None else ""


def _endpoints(entry: Object) -> Iterable[Mapping[str, Any]]:
    return entry.get("endpoints") or ()


def _pod(endpoint: Mapping[str, Any]) -> str:
    target = endpoint.get("targetRef") or {}
    return str(target.get("name") or "") if target.get("kind") == "Pod" else ""


def _endpoint_key(endpoint: Mapping[str, Any]) -> str:
    """Return what one pod has in all its slices; a pod of the same name later is another one."""
    target = endpoint.get("targetRef") or {}
    addresses = endpoint.get("addresses") or ("",)
    return str(target.get("uid") or target.get("name") or addresses[0])


def _is_ready(endpoint: Mapping[str, Any]) -> bool:
    """Tell whether requests are sent there; unknown counts as ready (reference: EndpointSlice)."""
    conditions = endpoint.get("conditions") or {}
    return conditions.get("ready") is not False and not conditions.get("terminating")


def _seen_of(entry: Object) -> _Slice:
    endpoints: dict[str, bool] = {}
    for endpoint in _endpoints(entry):
        name = _endpoint_key(endpoint)
        endpoints[name] = _is_ready(endpoint) and endpoints.get(name, True)
    return _Slice(version=version_of(entry), endpoints=endpoints)


def _ready(slices: Iterable[_Slice]) -> dict[str, bool]:
    """Return each endpoint's readiness; one that is in several slices is ready if all say so."""
    merged: dict[str, bool] = {}
    for entry in slices:
        for name, is_ready in entry.endpoints.items():
            merged[name] = is_ready and merged.get(name, True)
    return merged
