"""One of the two servers, with what it gave out so far."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import httpx

from e2e.bed.apiserver.patches import merge_patched
from e2e.differential.operation import CONTINUE, OLDER_VERSION, UID, VERSION, Operation

NOTHING_YET = "1"
"""What stands for a version or uid that the server has not given out."""
MERGE = {"Content-Type": "application/merge-patch+json"}

Key = tuple[str, str]
"""The plural and the name of an object."""


class Answer(NamedTuple):
    """What a server answered.

    Attributes:
        code: The HTTP status.
        body: As decoded.
        before: The versions of the objects in the body as they were known before.
    """

    code: int
    body: Any
    before: dict[Key, str]


@dataclass(slots=True, kw_only=True)
class Side:
    """A server, and the objects as it last showed them."""

    client: httpx.AsyncClient
    seen: dict[Key, dict[str, Any]] = field(default_factory=dict)
    _older: dict[Key, str] = field(default_factory=dict)
    _continue: dict[str, str] = field(default_factory=dict)

    async def send(self, operation: Operation) -> Answer:
        """Send an operation, with this server's own versions, uids and tokens filled in."""
        key = operation.plural, operation.name
        query = {
            name: self._filled(value, key)
            for name, value in operation.query.items()
            if self._filled(value, key)
        }
        answer = await self.client.request(
            operation.method,
            operation.path,
            params=query,
            content=self._content(operation, key),
            headers={"Content-Type": operation.content_type},
        )
        body = answer.json()
        shown = list(_objects(operation.plural, body))
        before = {at: _version(self.seen[at]) for at, _ in shown if at in self.seen}
        if answer.is_success and not _is_dry(operation):
            self._remember(operation, body, shown)
        return Answer(answer.status_code, body, before)

    async def remove(self, root: str, namespace: str, key: Key) -> None:
        """Delete an object, whatever holds it."""
        path = f"{root}/namespaces/{namespace}/{key[0]}/{key[1]}"
        for _ in range(2):
            await self.client.patch(
                path, content=json.dumps({"metadata": {"finalizers": None}}), headers=MERGE
            )
            await self.client.delete(path)
        self._forget(key)

    def _content(self, operation: Operation, key: Key) -> str | None:
        if operation.body is None:
            return None
        body = operation.body
        if operation.onto_seen:
            body = merge_patched(self.seen.get(key, {}), body)
        return self._filled(json.dumps(body), key)

    def _filled(self, text: str, key: Key) -> str:
        seen = self.seen.get(key, {}).get("metadata", {})
        values = {
            VERSION: seen.get("resourceVersion", NOTHING_YET),
            OLDER_VERSION: self._older.get(key, NOTHING_YET),
            UID: seen.get("uid", NOTHING_YET),
            CONTINUE: self._continue.get(key[0], ""),
        }
        for placeholder, value in values.items():
            text = text.replace(placeholder, value)
        return text

    def _remember(
        self, operation: Operation, body: Any, shown: list[tuple[Key, dict[str, Any]]]
    ) -> None:
        for key, obj in shown:
            known = self.seen.get(key)
            if known is not None and _version(known) != _version(obj):
                self._older[key] = _version(known)
            self.seen[key] = obj
        if operation.method == "GET" and not operation.name:
            self._continue[operation.plural] = body["metadata"].get("continue", "")
        is_gone = operation.method == "DELETE" and body.get("kind") == "Status"
        if is_gone and operation.name:
            self._forget((operation.plural, operation.name))

    def _forget(self, key: Key) -> None:
        if key in self.seen:
            self._older[key] = _version(self.seen.pop(key))


def _objects(plural: str, body: Any) -> Iterator[tuple[Key, dict[str, Any]]]:
    """Find the stored objects in an answer."""
    items = body.get("items") if "items" in body else [body]
    for obj in items or ():
        meta = obj.get("metadata") or {}
        if "resourceVersion" in meta and "name" in meta and obj.get("kind") != "Scale":
            yield (plural, meta["name"]), obj


def _version(obj: dict[str, Any]) -> str:
    return str(obj["metadata"]["resourceVersion"])


def _is_dry(operation: Operation) -> bool:
    body = operation.body if isinstance(operation.body, dict) else {}
    return "dryRun" in operation.query or "dryRun" in body
