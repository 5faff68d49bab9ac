"""Follows every Service of the cluster, so that waiting costs nobody a request."""

import asyncio
import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import httpx

from controller.api import names

_PATH = "/api/v1/services"
_AGAIN_SECONDS = 0.2


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """What a Service said about its release at one moment.

    Attributes:
        status: The status annotation; empty without one.
        conditions: Our entries of `status.conditions`, by the type without its prefix.
        annotations: All of them.
    """

    status: Mapping[str, Any]
    conditions: Mapping[str, Mapping[str, str]]
    annotations: Mapping[str, str]

    @property
    def stage(self) -> str:
        """Answer the stage; empty where there is none."""
        return str(self.status.get("stage", ""))

    @property
    def reason(self) -> str:
        """Answer the stage's name, or what holds it up."""
        return str(self.status.get("reason", ""))

    @property
    def message(self) -> str:
        """Answer the sentence for a person."""
        return str(self.status.get("message", ""))

    @property
    def revision(self) -> str:
        """Answer the revision of the running release, or of the pending template."""
        return str(self.status.get("revision", ""))

    @property
    def written(self) -> int:
        """Answer the weight that the canary Ingress carries."""
        return int((self.status.get("weight") or {}).get("written", 0))

    @property
    def outcome(self) -> str:
        """Answer how the last release ended: `promoted`, `aborted`, or empty."""
        return str((self.status.get("outcome") or {}).get("result", ""))

    @property
    def last_action(self) -> str:
        """Answer what became of the last one-shot action."""
        return str((self.status.get("lastAction") or {}).get("outcome", ""))

    @property
    def is_ready(self) -> bool:
        """Say whether a release can start."""
        return self.conditions.get("Ready", {}).get("status") == "True"

    def why(self, condition: str) -> str:
        """Answer the reason of a condition; empty without it."""
        return self.conditions.get(condition, {}).get("reason", "")

    def says(self, condition: str) -> str:
        """Answer the message of a condition; empty without it."""
        return self.conditions.get(condition, {}).get("message", "")


def told_by(service: Mapping[str, Any]) -> Told:
    """Read what a Service says."""
    annotations = service["metadata"].get("annotations") or {}
    entries = (service.get("status") or {}).get("conditions") or ()
    return Told(
        status=json.loads(annotations.get(names.STATUS, "{}")),
        conditions={
            entry["type"].removeprefix(names.PREFIX): entry
            for entry in entries
            if entry["type"].startswith(names.PREFIX)
        },
        annotations=annotations,
    )


@dataclass(slots=True)
class Watcher:
    """Keeps all that every Service ever said, in order."""

    client: httpx.AsyncClient
    _history: dict[tuple[str, str], list[Told]] = field(default_factory=dict)
    _news: dict[tuple[str, str], asyncio.Event] = field(default_factory=dict)

    async def run(self) -> None:
        """Follow until cancelled; a watch that ends is begun again where it stopped."""
        version = await self._list()
        while True:
            with suppress(httpx.TransportError):
                version = await self._watch(version)
            await asyncio.sleep(_AGAIN_SECONDS)

    def history(self, namespace: str, name: str) -> Sequence[Told]:
        """Answer all that a Service said, oldest first."""
        return self._history.get((namespace, name), ())

    async def until(
        self,
        namespace: str,
        name: str,
        holds: Callable[[Told], bool],
        *,
        within: float,
        what: str,
    ) -> Told:
        """Wait until something fits that a Service says now or from now on, however briefly.

        Raises:
            TimeoutError: Nothing did in time.
        """
        key = (namespace, name)
        end = time.monotonic() + within
        looked_at = max(0, len(self.history(*key)) - 1)
        while True:
            news = self._news.setdefault(key, asyncio.Event())
            news.clear()
            fresh = self.history(*key)[looked_at:]
            looked_at += len(fresh)
            fitting = next((told for told in fresh if holds(told)), None)
            if fitting is not None:
                return fitting
            try:
                async with asyncio.timeout(end - time.monotonic()):
                    await news.wait()
            except TimeoutError:
                raise TimeoutError(f"{what}: not within {within:g} s") from None

    async def _list(self) -> str:
        answer = (await self.client.get(_PATH)).raise_for_status().json()
        for service in answer["items"]:
            self._keep(service)
        return str(answer["metadata"]["resourceVersion"])

    async def _watch(self, version: str) -> str:
        params = {"watch": "true", "resourceVersion": version}
        async with self.client.stream("GET", _PATH, params=params, timeout=None) as answer:
            async for line in answer.aiter_lines():
                event = json.loads(line)
                if event["type"] == "ERROR":
                    return await self._list()
                version = event["object"]["metadata"]["resourceVersion"]
                if event["type"] in {"ADDED", "MODIFIED"}:
                    self._keep(event["object"])
        return version

    def _keep(self, service: Mapping[str, Any]) -> None:
        key = (service["metadata"]["namespace"], service["metadata"]["name"])
        self._history.setdefault(key, []).append(told_by(service))
        # One event for all who wait: each clears it before it looks.
        self._news.setdefault(key, asyncio.Event()).set()
