"""JSON values as the store keeps them: copied once on the way in, never changed after."""

from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, TypeAlias

JsonObject: TypeAlias = dict[str, Any]


def clone(value: Any) -> Any:
    """Copy a JSON value; several times faster than `copy.deepcopy`."""
    kind = type(value)
    if kind is dict:
        return {
            key: clone(child) if type(child) in _NESTED else child for key, child in value.items()
        }
    if kind in _NESTED:
        return [clone(child) for child in value]
    return value


_NESTED = frozenset({dict, list, tuple})
"""What holds other values; asking for the type costs a fraction of `isinstance`."""


def stamp(seconds: float) -> str:
    """Return a time as `metadata` carries it, for example 2026-01-31T12:00:00Z."""
    return _stamp(int(seconds))


@lru_cache(maxsize=16)
def _stamp(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def stamp_micro(seconds: float) -> str:
    """Return a time with microseconds, as Leases and Events carry it."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def seconds_of(text: str) -> float:
    """Return the epoch seconds of a time from `stamp` or `stamp_micro`.

    Raises:
        ValueError: The text is no such time.
    """
    return datetime.fromisoformat(text).timestamp()


def at(value: Any, *path: str) -> Any:
    """Return what lies under these keys, or None where the path ends early."""
    for key in path:
        if not isinstance(value, dict):
            return None
        value = value.get(key)
    return value


def meta_of(obj: JsonObject) -> JsonObject:
    """Return an object's metadata, `{}` when it has none."""
    meta = obj.get("metadata")
    return meta if isinstance(meta, dict) else {}
