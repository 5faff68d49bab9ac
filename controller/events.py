"""Tells people what happened: core/v1 Events, counted, limited, and never waited for."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol

import structlog

from controller.api import names, objects
from controller.api.errors import ClusterError, NotFoundError
from controller.api.objects import Kind, Object, digest, shortened, uid_of, version_of
from controller.plan.observed import Ref
from controller.plan.writes import Event

QUEUE_LIMIT: Final = 1000
"""Events that wait to be sent; more are dropped, as each of them is on the status too."""
REMEMBERED: Final = 1024
"""Events whose repeats are counted, and objects whose bucket is known."""
BURST: Final = 25
REFILL_SECONDS: Final = 30.0
"""An object may have 25 events at once, then one every half minute."""
NAME_LIMIT: Final = 200
MESSAGE_LIMIT: Final = 1024
"""The API server refuses longer ones (Kubernetes reference: Event)."""

log = structlog.get_logger(__name__)


class Writer(Protocol):
    """What events ask of the client."""

    async def create(self, kind: Kind, obj: Object) -> Object:
        """Create the object."""

    async def merge(
        self, kind: Kind, namespace: str, name: str, patch: Mapping[str, Any]
    ) -> Object:
        """Send a merge patch."""

    def server_time(self) -> datetime:
        """Return the time at the API server."""


@dataclass(slots=True)
class _Told:
    """An event that exists: its name, and how often it was told."""

    name: str
    count: int = 1


@dataclass(slots=True)
class _Bucket:
    tokens: float
    filled: float


class Recorder:
    """Writes Events in its own task: a slow answer must not hold up a release.

    Args:
        client: what writes them.
        find: returns the object a reference means, or None.
        monotonic: seconds that never go back.
    """

    def __init__(
        self,
        client: Writer,
        *,
        find: Callable[[Ref], Object | None],
        monotonic: Callable[[], float],
    ) -> None:
        self._client = client
        self._find = find
        self._now = monotonic
        self._waiting: asyncio.Queue[tuple[Ref, Event]] = asyncio.Queue(QUEUE_LIMIT)
        self._told: OrderedDict[tuple[Ref, str, str, str], _Told] = OrderedDict()
        self._buckets: OrderedDict[Ref, _Bucket] = OrderedDict()

    def tell(self, about: Ref, event: Event) -> None:
        """Have an event written soon, on this object and on `event.on`."""
        for ref in dict.fromkeys((about, event.on or about)):
            if not self._is_allowed(ref) or self._waiting.full():
                log.debug("event was dropped", reason=event.reason, object=str(ref.name))
                continue
            self._waiting.put_nowait((ref, event))

    async def run(self) -> None:
        """Write what is told, until cancelled."""
        while True:
            ref, event = await self._waiting.get()
            await self._write(ref, event)

    async def flush(self) -> None:
        """Write everything told so far."""
        while not self._waiting.empty():
            await self._write(*self._waiting.get_nowait())

    async def _write(self, ref: Ref, event: Event) -> None:
        try:
            await self._count_or_create(ref, event)
        except ClusterError as error:
            log.info("event was not written", reason=event.reason, error=str(error))
        except Exception:  # a bug here must not end the task: events are only words
            log.exception("event was not written", reason=event.reason)

    async def _count_or_create(self, ref: Ref, event: Event) -> None:
        key = (ref, event.type, event.reason, event.message)
        told = self._told.get(key)
        if told is not None and await self._counted(ref, told):
            self._told.move_to_end(key)
            return
        now = self._client.server_time()
        obj = _event(ref, self._find(ref) or {}, event, now)
        await self._client.create(objects.EVENT, obj)
        self._told[key] = _Told(objects.name_of(obj))
        if len(self._told) > REMEMBERED:
            self._told.popitem(last=False)

    async def _counted(self, ref: Ref, told: _Told) -> bool:
        """Count a repeat; return False if the first one has expired."""
        last = objects.stamp(self._client.server_time())
        patch = {"count": told.count + 1, "lastTimestamp": last}
        try:
            await self._client.merge(objects.EVENT, ref.namespace, told.name, patch)
        except NotFoundError:
            return False
        told.count += 1
        return True

    def _is_allowed(self, ref: Ref) -> bool:
        now = self._now()
        bucket = self._buckets.setdefault(ref, _Bucket(BURST, now))
        self._buckets.move_to_end(ref)
        if len(self._buckets) > REMEMBERED:
            self._buckets.popitem(last=False)
        bucket.tokens = min(BURST, bucket.tokens + (now - bucket.filled) / REFILL_SECONDS)
        bucket.filled = now
        if bucket.tokens < 1:
            return False
        bucket.tokens -= 1
        return True


def _event(ref: Ref, about: Object, event: Event, now: datetime) -> Object:
    time = objects.stamp(now)
    suffix = digest([str(ref.kind), ref.name, event.reason, event.message, now.isoformat()])
    involved = {
        "apiVersion": ref.kind.api_version,
        "kind": ref.kind.name,
        "namespace": ref.namespace,
        "name": ref.name,
        "uid": uid_of(about),
        "resourceVersion": version_of(about),
    }
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {
            "name": f"{shortened(ref.name, NAME_LIMIT)}.{suffix}",
            "namespace": ref.namespace,
        },
        "involvedObject": {key: value for key, value in involved.items() if value},
        "reason": event.reason,
        "message": event.message[:MESSAGE_LIMIT],
        "type": event.type,
        "count": 1,
        "firstTimestamp": time,
        "lastTimestamp": time,
        "source": {"component": names.FIELD_MANAGER},
        "reportingComponent": names.FIELD_MANAGER,
        "reportingInstance": names.FIELD_MANAGER,
    }
