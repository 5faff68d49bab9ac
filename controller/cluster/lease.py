"""Holds the Lease, or says it was lost, before it is."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import structlog

from controller.api import objects
from controller.api.errors import ClusterError, ConflictError, NotFoundError
from controller.api.objects import LEASE, Kind, Object
from controller.cluster.clock import Clock, LoopClock, finished, within

SILENCE_SECONDS = 30.0
"""A living elector tries something far more often, whether it leads or not."""

log = structlog.get_logger(__name__)


class Leases(Protocol):
    """What the elector asks of the client."""

    async def get(self, kind: Kind, namespace: str | None, name: str) -> Object:
        """Read the Lease."""

    async def create(self, kind: Kind, obj: Object) -> Object:
        """Create it, or raise ConflictError."""

    async def replace(self, kind: Kind, obj: Object) -> Object:
        """Replace it, conditional on its resourceVersion."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """client-go's defaults, in seconds.

    Attributes:
        lease: how long the others wait after our last renewal.
        deadline: how long after the last renewal we stop; the rest is for the writers to end.
        retry: between two tries.
        request: for one answer, so that a hanging server leaves time for another try.
    """

    lease: float = 15
    deadline: float = 10
    retry: float = 2
    request: float = 4


class Elector:
    """Runs something only while this process holds the Lease.

    All deadlines are by our own monotonic clock: times of other machines are never compared with
    ours. A Lease is a hint, not a fence (safety.md T10): whoever is about to write may ask
    `is_held` once more.
    """

    def __init__(
        self,
        client: Leases,
        *,
        namespace: str,
        identity: str,
        name: str = "serinus",
        timing: Timing | None = None,
        clock: Clock | None = None,
        changed: Callable[[int], None] = lambda _leaders: None,
    ) -> None:
        """Prepare; nothing is sent before `run`.

        Args:
            client: the API server.
            namespace: where the Lease is.
            identity: ours, of no other process; a new one for every start.
            name: the Lease's.
            timing: how long everything takes.
            clock: what deadlines are measured with.
            changed: told 1 when leading begins, 0 before it ends.
        """
        self._client = client
        self._namespace = namespace
        self._name = name
        self._identity = identity
        self._timing = timing or Timing()
        self._clock = clock or LoopClock()
        self._changed = changed
        self._held: Object | None = None
        self._deadline = 0.0
        self._seen: tuple[object, float] | None = None
        self._contact = self._clock.monotonic()

    def is_held(self) -> bool:
        """Tell whether we hold the Lease and nobody else can think they do."""
        return self._held is not None and self._clock.monotonic() < self._deadline

    def problem(self) -> str | None:
        """Say why the elector must be taken for dead, for `/healthz`; None: it is alive."""
        silent = self._clock.monotonic() - self._contact
        return f"lease: nothing tried for {silent:.0f} s" if silent > SILENCE_SECONDS else None

    async def run(self, lead: Callable[[], Awaitable[None]]) -> None:
        """Campaign and lead, again after every loss, until `lead` ends by itself or we are ended.

        `lead` is cancelled, and has ended, before the Lease can lapse. When we are cancelled it is
        ended first and the Lease released then.
        """
        try:
            while True:
                await self._campaign()
                if await self._lead(lead):
                    return
        finally:
            await self._release()

    async def _campaign(self) -> None:
        while True:
            if await self._tried(self._acquire(), self._timing.request):
                log.info("lease was acquired", lease=self._name, identity=self._identity)
                return
            await self._clock.sleep(self._timing.retry)

    async def _lead(self, lead: Callable[[], Awaitable[None]]) -> bool:
        """Lead while we hold the Lease; return whether `lead` ended by itself."""
        self._changed(1)
        leading = asyncio.create_task(_run(lead), name="lead")
        renewing = asyncio.create_task(self._renew_until_lost(), name="lease")
        try:
            await asyncio.wait({leading, renewing}, return_when=asyncio.FIRST_COMPLETED)
            if leading.done():
                await leading
                return True
            await renewing
            log.warning("lease was lost", lease=self._name, identity=self._identity)
            self._held = None
            return False
        finally:
            self._changed(0)
            await finished(leading)
            await finished(renewing)

    async def _renew_until_lost(self) -> None:
        """Renew the Lease; return when it is another's, or when our own deadline has come."""
        while self._held is not None and (left := self._left()) > 0:
            await self._clock.sleep(min(self._timing.retry, left))
            if (left := self._left()) > 0:
                await self._tried(self._renew(), min(self._timing.request, left))

    def _left(self) -> float:
        return self._deadline - self._clock.monotonic()

    async def _tried(self, attempt: Any, seconds: float) -> bool:
        """Make an attempt; a failure is not fatal, the deadline is."""
        self._contact = self._clock.monotonic()
        try:
            return bool(await within(self._clock, seconds, attempt))
        except (ClusterError, TimeoutError) as error:
            log.debug("lease was not written", lease=self._name, error=str(error))
            return False

    async def _acquire(self) -> bool:
        """Take the Lease if it is free, released, ours or out of date; tell whether we did."""
        try:
            lease = await self._client.get(LEASE, self._namespace, self._name)
        except NotFoundError:
            return await self._create()
        if not self._is_free(lease):
            return False
        return await self._write(lease, self._taken(lease))

    async def _renew(self) -> bool:
        """Write the Lease once more; after a conflict look whether it is still ours.

        A conflict comes from somebody who edited it, or from a write of ours whose answer was lost.
        A Lease that was deleted is lost: another instance may have created its own by now.
        """
        held = self._held
        if held is None:
            return False
        try:
            return await self._write(held, self._renewed(held))
        except NotFoundError:
            self._held = None
            return False
        except ConflictError:
            lease = await self._client.get(LEASE, self._namespace, self._name)
            self._held = lease if _holder(lease) == self._identity else None
            return self._held is not None and await self._write(lease, self._renewed(lease))

    async def _create(self) -> bool:
        lease = {
            "apiVersion": LEASE.api_version,
            "kind": LEASE.name,
            "metadata": {"namespace": self._namespace, "name": self._name},
        }
        began = self._clock.monotonic()
        spec = {**self._claim(), "leaseTransitions": 0}
        return self._accept(await self._client.create(LEASE, {**lease, "spec": spec}), began)

    async def _write(self, lease: Object, spec: Mapping[str, Any]) -> bool:
        # The deadline runs from before the request: the server may count from any moment after.
        began = self._clock.monotonic()
        written = await self._client.replace(LEASE, {**lease, "spec": dict(spec)})
        return self._accept(written, began)

    def _accept(self, lease: Object, began: float) -> bool:
        self._held = lease
        self._deadline = began + self._timing.deadline
        return True

    def _is_free(self, lease: Object) -> bool:
        """Tell whether nobody holds it: released, ours, or not renewed while we watched."""
        holder, spec = _holder(lease), objects.spec_of(lease)
        if holder in ("", self._identity):
            return True
        now = self._clock.monotonic()
        mark = (holder, objects.version_of(lease), spec.get("renewTime"))
        if self._seen is None or self._seen[0] != mark:
            self._seen = (mark, now)
            return False
        duration = spec.get("leaseDurationSeconds")
        limit = duration if isinstance(duration, int) and duration > 0 else self._timing.lease
        return now - self._seen[1] > limit

    def _claim(self) -> dict[str, Any]:
        now = micro_time(self._clock.now())
        return {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": int(self._timing.lease),
            "acquireTime": now,
            "renewTime": now,
        }

    def _taken(self, lease: Object) -> Mapping[str, Any]:
        spec = objects.spec_of(lease)
        if _holder(lease) == self._identity:
            return self._renewed(lease)
        transitions = int(spec.get("leaseTransitions") or 0) + 1
        return {**spec, **self._claim(), "leaseTransitions": transitions}

    def _renewed(self, lease: Object) -> Mapping[str, Any]:
        now = micro_time(self._clock.now())
        seconds = int(self._timing.lease)
        return {**objects.spec_of(lease), "leaseDurationSeconds": seconds, "renewTime": now}

    async def _release(self) -> None:
        """Let the next one begin at once; only what is still ours, and at most for one try."""
        held = self._held
        if held is None or not self.is_held():
            return
        self._held = None
        spec = {
            **objects.spec_of(held),
            "holderIdentity": "",
            "leaseDurationSeconds": 1,
            "renewTime": micro_time(self._clock.now()),
        }
        giving = self._client.replace(LEASE, {**held, "spec": spec})
        try:
            await within(self._clock, self._timing.request, _ended(giving))
            log.info("lease was released", lease=self._name, identity=self._identity)
        except (ClusterError, TimeoutError) as error:
            log.debug("lease was not released", lease=self._name, error=str(error))


def micro_time(moment: datetime) -> str:
    """Return a UTC time as Kubernetes' MicroTime."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _holder(lease: Object) -> str:
    return str(objects.spec_of(lease).get("holderIdentity") or "")


async def _run(lead: Callable[[], Awaitable[None]]) -> None:
    await lead()


async def _ended(work: Awaitable[Any]) -> None:
    await work
