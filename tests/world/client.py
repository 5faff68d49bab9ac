"""The controller's client without a network: the same verbs and errors, over a store in process."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from controller.api import names
from controller.api.errors import ClusterError
from controller.api.objects import Kind, Object, name_of, namespace_of
from controller.cluster.client import Listing
from controller.cluster.failures import Refusal, error_of
from e2e.bed.apiserver.errors import ApiError
from e2e.bed.apiserver.store import Store

LATENCY_SECONDS = 0.004
"""Each way; so a pass takes time, and others can write while it runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request of the controller that wants to change something.

    Attributes:
        at: seconds since the world began.
        verb: create, merge, json_patch or delete.
        what: the object, the patch or the uid that was sent.
        error: why it was not carried out.
    """

    at: float
    verb: str
    kind: str
    name: str
    what: Any
    error: ApiError | None = None

    def __str__(self) -> str:
        told = f" -> {self.error}" if self.error else ""
        return f"{self.at:8.2f} {self.verb} {self.kind} {self.name} {self.what}{told}"


@dataclass(slots=True, kw_only=True)
class InProcessClient:
    """Answers as the API server would.

    Attributes:
        store: the objects.
        now: seconds since the epoch.
        elapsed: seconds since the world began.
        log: told of every write that was asked for.
        refuse: returns what a request is refused with, or None.
        is_writing: a write of the controller is being applied right now.
    """

    store: Store
    now: Callable[[], float]
    elapsed: Callable[[], float]
    log: list[Request] = field(default_factory=list)
    refuse: Callable[[str, str, str], ClusterError | None] = lambda _verb, _kind, _name: None
    is_writing: bool = False

    def server_time(self) -> datetime:
        """Return the time at the API server."""
        return datetime.fromtimestamp(self.now(), UTC)

    async def get(self, kind: Kind, namespace: str | None, name: str) -> Object:
        """Read one object."""
        found: Object = await self._ask(
            "get", kind, name, lambda: self.store.get(kind.plural, namespace, name)
        )
        return found

    async def list(
        self, kind: Kind, namespace: str | None, *, labels: str = "", **_: Any
    ) -> Listing:
        """Read all objects that match."""
        items = await self._ask(
            "list", kind, "", lambda: self.store.list(kind.plural, namespace, labels)
        )
        return Listing(items=tuple(items), version=str(self.store.version))

    async def create(self, kind: Kind, obj: Object, *, dry_run: bool = False) -> Object:
        """Create the object."""
        namespace, name = namespace_of(obj), name_of(obj)

        def call() -> Object:
            body = dict(obj)
            return self.store.create(
                kind.plural, namespace, body, manager=names.FIELD_MANAGER, dry_run=dry_run
            )

        made: Object = await self._write("create", kind, name, obj, call, dry_run=dry_run)
        return made

    async def merge(
        self,
        kind: Kind,
        namespace: str,
        name: str,
        patch: Mapping[str, Any],
        *,
        subresource: str = "",
        dry_run: bool = False,
    ) -> Object:
        """Send a merge patch."""
        call = self._patching(kind, namespace, name, "merge", dict(patch), subresource, dry_run)
        made: Object = await self._write("merge", kind, name, patch, call, dry_run=dry_run)
        return made

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
        """Send a JSON Patch."""
        body = [dict(entry) for entry in operations]
        call = self._patching(kind, namespace, name, "json", body, subresource, dry_run)
        made: Object = await self._write(
            "json_patch", kind, name, operations, call, dry_run=dry_run
        )
        return made

    async def delete(
        self, kind: Kind, namespace: str, name: str, *, uid: str, version: str
    ) -> None:
        """Delete the object with this uid, and this version unless that is ""."""
        await self._write(
            "delete",
            kind,
            name,
            uid,
            lambda: self.store.delete(
                kind.plural, namespace, name, uid=uid, resource_version=version
            ),
        )

    def _patching(
        self,
        kind: Kind,
        namespace: str,
        name: str,
        form: str,
        body: Any,
        subresource: str,
        dry_run: bool,
    ) -> Callable[[], Object]:
        return lambda: self.store.patch(
            kind.plural,
            namespace,
            name,
            form,
            body,
            manager=names.FIELD_MANAGER,
            subresource=subresource,
            dry_run=dry_run,
        )

    async def _write(
        self,
        verb: str,
        kind: Kind,
        name: str,
        what: Any,
        call: Callable[[], Any],
        *,
        dry_run: bool = False,
    ) -> Any:
        """Ask for a change, and note it at the moment at which it is applied or refused."""
        return await self._ask(
            verb, kind, name, call if dry_run else lambda: self._noted(verb, kind, name, what, call)
        )

    def _noted(self, verb: str, kind: Kind, name: str, what: Any, call: Callable[[], Any]) -> Any:
        error: ApiError | None = None
        self.is_writing = True
        try:
            return call()
        except ApiError as refused:
            error = refused
            raise
        finally:
            self.is_writing = False
            request = Request(
                at=self.elapsed(), verb=verb, kind=kind.name, name=name, what=what, error=error
            )
            self.log.append(request)

    async def _ask(self, verb: str, kind: Kind, name: str, call: Callable[[], Any]) -> Any:
        """Be on the way, be answered, be on the way back."""
        await asyncio.sleep(LATENCY_SECONDS)
        refused = self.refuse(verb, kind.name, name)
        if refused is not None:
            raise refused
        try:
            answer = call()
        except ApiError as error:
            raise _error(verb, kind, name, error) from error
        await asyncio.sleep(LATENCY_SECONDS)
        return answer


def _error(verb: str, kind: Kind, name: str, error: ApiError) -> ClusterError:
    verbs = {"merge": "patch", "json_patch": "patch"}
    return error_of(
        Refusal(
            action=f"{verb} {kind} {name}",
            verb=verbs.get(verb, verb),
            code=error.code,
            status=error.body(),
        )
    )
