"""How a write or a delete is made: what a request's query says."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Self, TypedDict

from e2e.bed.apiserver.kinds import Kind
from e2e.bed.apiserver.managed import Writer


class Write(TypedDict, total=False):
    """How a write is made; every key may be left out.

    Attributes:
        manager: The `fieldManager` option. The hooks of the hold look at this one only.
        agent: The client's User-Agent; names the manager of fields when `manager` is empty.
        dry_run: Whether nothing is to be stored.
        subresource: `""` or `"status"`.
        face: Another subresource by which the object is written, as managedFields name it.
        force: Whether an apply takes fields from their owners.
        warn: Called with each warning for the client.
    """

    manager: str
    agent: str
    dry_run: bool
    subresource: str
    face: str
    force: bool
    warn: Callable[[str], None]


class Delete(TypedDict, total=False):
    """How an object is deleted; every key may be left out.

    Attributes:
        uid: Delete only the object with this uid, else 409.
        resource_version: Delete only this version, else 409.
        policy: `Background` (default), `Foreground` or `Orphan`.
        grace_seconds: Overrides a Pod's own grace period; 0 ends it now.
        dry_run: Whether nothing is to be stored.
    """

    uid: str | None
    resource_version: str | None
    policy: str
    grace_seconds: int | None
    dry_run: bool


def _say_nothing(_: str) -> None:
    """Take a warning nobody asked for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ask:
    """The options of one write; see `Write`."""

    manager: str = ""
    agent: str = ""
    dry_run: bool = False
    subresource: str = ""
    face: str = ""
    force: bool = False
    applies: bool = False
    warn: Callable[[str], None] = _say_nothing

    def writer(self, kind: Kind) -> Writer:
        """Return whom managedFields name for this write."""
        agent = self.agent.split("/", 1)[0]
        return Writer(
            manager=self.manager or agent or "unknown",
            operation="Apply" if self.applies else "Update",
            api_version=kind.api_version,
            subresource=self.subresource or self.face,
        )

    def applying(self) -> Self:
        """Return the same options for a server-side apply."""
        return replace(self, applies=True)
