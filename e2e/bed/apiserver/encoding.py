"""Objects as bytes, each version of an object encoded once."""

import json
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any

from e2e.bed.apiserver.events import served_form
from e2e.bed.apiserver.kinds import Kind
from e2e.bed.apiserver.trees import JsonObject


def dumps(value: Any) -> bytes:
    """Encode a JSON value compactly."""
    return _COMPACT.encode(value).encode()


_COMPACT = json.JSONEncoder(separators=(",", ":"))
"""`json.dumps` makes one anew for each call that is not by default."""


class Encoder:
    """Encodes stored objects; they never change, so the bytes are kept.

    Args:
        limit: How many objects' bytes are kept; the oldest go first.
    """

    def __init__(self, limit: int = 8192) -> None:
        self._limit = limit
        self._known: dict[int, tuple[Any, bytes]] = {}

    def whole(self, kind: Kind, obj: JsonObject) -> bytes:
        """Return an object with its kind and apiVersion."""
        return _head(kind.kind, kind.api_version) + self._rest(kind, obj)[1:]

    def event(self, kind: Kind, event_type: str, obj: JsonObject) -> bytes:
        """Return one line of a watch."""
        return b'{"type":"%s","object":%s}\n' % (event_type.encode(), self.whole(kind, obj))

    def list(self, kind: Kind, objects: Sequence[JsonObject], meta: JsonObject) -> bytes:
        """Return a list; the items of built-in kinds carry neither kind nor apiVersion."""
        head = {"kind": f"{kind.kind}List", "apiVersion": kind.api_version, "metadata": meta}
        items: Iterable[bytes]
        if kind.custom:
            items = (self.whole(kind, obj) for obj in objects)
        else:
            items = (self._rest(kind, obj) for obj in objects)
        return dumps(head)[:-1] + b',"items":[' + b",".join(items) + b"]}"

    def _rest(self, kind: Kind, obj: JsonObject) -> bytes:
        """Return an object without its kind and apiVersion."""
        if kind.group == "events.k8s.io":
            return dumps(_headless(served_form(kind, obj)))
        return self._once(obj, self._fields)

    def _once(self, value: Any, encode: Callable[[Any], bytes]) -> bytes:
        """Return the bytes of what never changes, encoded once."""
        known = self._known.get(id(value))
        if known is not None and known[0] is value:
            return known[1]
        encoded = encode(value)
        if len(self._known) >= self._limit:
            del self._known[next(iter(self._known))]
        self._known[id(value)] = (value, encoded)
        return encoded

    def _fields(self, obj: JsonObject) -> bytes:
        """Encode an object; most of its fields are those of the version before."""
        fields = (
            b"%s:%s" % (_key(key), self._field(key, value)) for key, value in _headless(obj).items()
        )
        return b"{%s}" % b",".join(fields)

    def _field(self, key: str, value: Any) -> bytes:
        if key != "metadata":
            return self._once(value, dumps)
        entries = value.get("managedFields")
        if not entries:
            return dumps(value)
        rest = dumps({name: value[name] for name in value if name != "managedFields"})
        owners = b",".join(self._once(entry, dumps) for entry in entries)
        return b'%s,"managedFields":[%s]}' % (rest[:-1], owners)


@lru_cache(maxsize=1024)
def _head(kind: str, api_version: str) -> bytes:
    """Return what an object begins with."""
    return dumps({"kind": kind, "apiVersion": api_version})[:-1] + b","


@lru_cache(maxsize=1024)
def _key(name: str) -> bytes:
    return dumps(name)


def _headless(obj: JsonObject) -> JsonObject:
    return {key: value for key, value in obj.items() if key not in ("kind", "apiVersion")}
