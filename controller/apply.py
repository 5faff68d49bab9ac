"""Carries out a `Plan` and says what did not succeed."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, assert_never

import structlog

from controller.api import objects
from controller.api.errors import ClusterError, NotFoundError, UnavailableError
from controller.api.objects import Kind, Object
from controller.plan.observed import Ref
from controller.plan.writes import Create, Delete, Edit, Event, Merge, Plan, Write, ref
from controller.tracker import Key

log = structlog.get_logger(__name__)


class Writer(Protocol):
    """What a plan asks of the client: one verb per kind of ownership."""

    async def create(self, kind: Kind, obj: Object) -> Object:
        """Create the object."""

    async def merge(
        self, kind: Kind, namespace: str, name: str, patch: Mapping[str, Any]
    ) -> Object:
        """Send a merge patch to an object of ours."""

    async def json_patch(
        self,
        kind: Kind,
        namespace: str,
        name: str,
        operations: Sequence[Mapping[str, Any]],
        *,
        subresource: str = "",
    ) -> Object:
        """Send a JSON Patch to a user's object."""

    async def delete(
        self, kind: Kind, namespace: str, name: str, *, uid: str, version: str
    ) -> None:
        """Delete the object with this uid, and this version unless that is ""."""


class Memory(Protocol):
    """Where answers go, so that the next pass knows them before the watch does."""

    def learn(self, kind: Kind, obj: Object) -> None:
        """Take in an object as the API server has it now."""

    def unlearn(self, kind: Kind, obj: Object) -> None:
        """Take out an object that is gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A write that was not carried out, or of which nobody knows.

    Attributes:
        write: the write.
        error: why; a `ClusterError`, or anything else if it is a bug.
    """

    write: Write
    error: Exception

    @property
    def target(self) -> Ref:
        """The object that the next pass has to read before it says anything about it."""
        return target_of(self.write)


class Applier:
    """Carries out plans.

    Args:
        client: what writes.
        memory: what is told every answer.
        tell: has an event written on the Service, once its write was carried out.
        may_write: asked before each write; a process that was frozen may have lost its Lease.
    """

    def __init__(
        self,
        client: Writer,
        memory: Memory,
        *,
        tell: Callable[[Ref, Event], None],
        may_write: Callable[[], bool] = lambda: True,
    ) -> None:
        self._client = client
        self._memory = memory
        self._tell = tell
        self._may_write = may_write

    async def apply(self, key: Key, plan: Plan) -> tuple[Failure, ...]:
        """Carry out all writes at once, as a plan has no order; return those that failed."""
        service = Ref(kind=objects.SERVICE, namespace=key[0], name=key[1])
        outcomes = await asyncio.gather(*(self._carry_out(service, it) for it in plan.writes))
        return tuple(outcome for outcome in outcomes if outcome is not None)

    async def _carry_out(self, service: Ref, write: Write) -> Failure | None:
        try:
            await self._send(write)
        except ClusterError as error:
            return Failure(write=write, error=error)
        except Exception as error:  # noqa: BLE001  # a bug in one write must not hide the others
            return Failure(write=write, error=error)
        target = target_of(write)
        log.info(
            "object was written",
            verb=type(write).__name__.lower(),
            kind=str(target.kind),
            object=target.name,
            why=write.why,
        )
        for event in write.events:
            self._tell(service, event)
        return None

    async def _send(self, write: Write) -> None:
        if not self._may_write():
            raise UnavailableError(f"{target_of(write).name}: not written, the Lease is not held")
        match write:
            case Create():
                answer = await self._client.create(write.kind, write.obj)
            case Merge():
                answer = await self._client.merge(
                    write.kind, write.namespace, write.name, write.patch
                )
            case Edit():
                answer = await self._client.json_patch(
                    write.kind,
                    write.namespace,
                    write.name,
                    write.operations,
                    subresource=write.subresource,
                )
            case Delete():
                await self._delete(write)
                return
            case _:
                assert_never(write)
        self._memory.learn(write.kind, answer)

    async def _delete(self, write: Delete) -> None:
        """Delete; one that is gone already is what was wanted."""
        try:
            await self._client.delete(
                write.kind, write.namespace, write.name, uid=write.uid, version=write.version
            )
        except NotFoundError:
            log.debug("object was gone already", kind=str(write.kind), object=write.name)
        meta = {"namespace": write.namespace, "name": write.name, "uid": write.uid}
        self._memory.unlearn(write.kind, {"metadata": meta})


def target_of(write: Write) -> Ref:
    """Return the object that a write is about."""
    if isinstance(write, Create):
        return ref(write.kind, write.obj)
    return Ref(kind=write.kind, namespace=write.namespace, name=write.name)
