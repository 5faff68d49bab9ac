"""Proves how Deployments are held: by the admission policy, or by pausing them ourselves."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, Literal, Protocol

import structlog

from controller.api import names, objects
from controller.api.errors import ClusterError
from controller.api.objects import (
    Kind,
    Object,
    is_paused,
    labels_of,
    name_of,
    namespace_of,
    replicas_of,
    status_of,
    template_of,
    uid_of,
)
from controller.plan.observed import Hold
from controller.settings import HOLD_CHECK_SECONDS

RETRY_SECONDS: Final = 10.0
RETRY_LIMIT_SECONDS: Final = 60.0
"""After a dry run that proved nothing while nothing is known; doubles up to the limit."""
PROBE: Final = names.PREFIX + "probe"
"""The template annotation that a dry run adds; it is never stored."""

log = structlog.get_logger(__name__)


class Patcher(Protocol):
    """What a proof asks of the client."""

    async def json_patch(
        self,
        kind: Kind,
        namespace: str,
        name: str,
        operations: Sequence[Mapping[str, Any]],
        *,
        dry_run: bool = False,
    ) -> Object:
        """Send a JSON Patch."""


class HoldProber:
    """Knows the hold in force (safety.md section 2, "Two ways to hold").

    Args:
        client: what is asked.
        mode: `auto` proves the policy, the others are taken as said.
        held: returns the Deployments that carry the held label.
        changed: told when the answer is another one than before.
        sleep: waits for so many seconds.
        every_seconds: how often the proof is repeated; one dry run for all Deployments.

    Attributes:
        hold: the answer; None while it is not known.
    """

    def __init__(
        self,
        client: Patcher,
        *,
        mode: Literal["auto", "admission", "pause"],
        held: Callable[[], Sequence[Object]],
        changed: Callable[[], None],
        sleep: Callable[[float], Awaitable[None]],
        every_seconds: float = HOLD_CHECK_SECONDS,
    ) -> None:
        self.hold: Hold | None = None if mode == "auto" else mode
        self._is_proven_here = mode == "auto"
        self._client = client
        self._held = held
        self._changed = changed
        self._sleep = sleep
        self._every_seconds = every_seconds
        self._noticed = asyncio.Event()
        self._retry = RETRY_SECONDS

    def notice(self, deployment: Object) -> None:
        """Take note of a Deployment: the first that is held can be asked at once."""
        if self.hold is None and labels_of(deployment).get(names.HELD):
            self._noticed.set()

    async def run(self) -> None:
        """Prove the hold again and again, until cancelled; return at once if it is given."""
        while self._is_proven_here:
            if not self._held() and self.hold is None:
                self._noticed.clear()
                await self._noticed.wait()
            await self._sleep(await self.prove())

    async def prove(self) -> float:
        """Ask once, and return in how many seconds to ask again.

        An answer that proves nothing (no answer, or about a Deployment that no policy would hold
        just now) leaves what was known.
        """
        held = sorted(self._held(), key=_preference)
        answer = await self._asked(held[0]) if held else None
        if answer is None:
            wait, self._retry = self._retry, min(2 * self._retry, RETRY_LIMIT_SECONDS)
            return wait if self.hold is None else self._every_seconds
        self._retry = RETRY_SECONDS
        before, self.hold = self.hold, answer
        if answer != before:
            tell = log.info if before is None else log.warning
            tell("hold was proven", hold=answer, before=before)
            self._changed()
        return self._every_seconds

    async def _asked(self, deployment: Object) -> Hold | None:
        try:
            answer = await self._client.json_patch(
                objects.DEPLOYMENT,
                namespace_of(deployment),
                name_of(deployment),
                probe_operations(deployment),
                dry_run=True,
            )
        except ClusterError as error:
            log.debug("hold was not proven", deployment=name_of(deployment), error=str(error))
            return None
        if is_paused(answer):
            return "admission"
        return "pause" if is_paused(deployment) or _is_at_rest(answer) else None


def probe_operations(deployment: Object) -> list[dict[str, Any]]:
    """Return a patch that a hold policy has to answer with `paused: true`.

    One that is paused is always at rest to the policy, also with a template pending: the patch
    fails where it is not paused any more.
    """
    path = "/spec/template/metadata/annotations"
    meta = template_of(deployment).get("metadata") or {}
    escaped = PROBE.replace("/", "~1")
    change: dict[str, Any] = (
        {"op": "add", "path": f"{path}/{escaped}", "value": "dry-run"}
        if meta.get("annotations")
        else {"op": "add", "path": path, "value": {PROBE: "dry-run"}}
    )
    paused = {"op": "test", "path": "/spec/paused", "value": True}
    return [
        {"op": "test", "path": "/metadata/uid", "value": uid_of(deployment)},
        *([paused] if is_paused(deployment) else []),
        {"op": "add", "path": "/spec/paused", "value": False},
        change,
    ]


def _is_at_rest(deployment: Object) -> bool:
    """Tell whether the policy would hold a new template now (its condition `at-rest`)."""
    status = status_of(deployment)
    is_complete = int(status.get("updatedReplicas") or 0) == int(status.get("replicas") or 0)
    is_available = int(status.get("availableReplicas") or 0) > 0
    return (is_complete and is_available) or replicas_of(deployment) == 0


def _preference(deployment: Object) -> tuple[bool, bool, str, str]:
    """Order by how sure the answer will be: at rest before rolling, running before paused."""
    return (
        not _is_at_rest(deployment),
        is_paused(deployment),
        namespace_of(deployment),
        name_of(deployment),
    )
