"""Which lists merge by a key, which are sets, and which maps are written whole."""

from functools import lru_cache
from typing import TypeAlias

from e2e.bed.apiserver.fields import METADATA, Field, struct, type_of

Path: TypeAlias = tuple[str, ...]
"""Field names from the root to a value; items of lists add nothing."""

SET: tuple[str, ...] = ()
"""The keys of a list that is a set of plain values."""


def list_keys(kind: str, path: Path) -> tuple[str, ...] | None:
    """Return the keys by which the items of a list are told apart.

    Args:
        kind: Such as `Deployment`.
        path: To the list.

    Returns:
        The key fields, `SET` for a set of values, None for a list that is written whole.
    """
    field = field_at(kind, path)
    return field.keys if field is not None and field.sort == "list" else None


def merge_key(kind: str, path: Path) -> str | None:
    """Return the key by which a strategic merge patch tells items of a list apart.

    Returns:
        A field; empty for plain values; None for a list that the patch replaces.
    """
    field = field_at(kind, path)
    return field.merge if field is not None else None


@lru_cache(maxsize=8192)
def is_whole(kind: str, path: Path) -> bool:
    """Say whether the map or struct at this path has one owner for all of it."""
    field = field_at(kind, path)
    if field is None:
        return False
    known = struct(field.type) if field.sort != "map" else None
    return field.whole or (known is not None and known.whole)


@lru_cache(maxsize=8192)
def is_always_there(kind: str, path: Path) -> bool:
    """Say whether a container exists in every empty object, so that nobody ever adds it."""
    if not path:
        return True
    field, above = field_at(kind, path), field_at(kind, path[:-1])
    is_item = above is not None and above.sort != "one"
    return field is not None and field.is_kept and not is_item and is_always_there(kind, path[:-1])


@lru_cache(maxsize=8192)
def field_at(kind: str, path: Path) -> Field | None:
    """Return the field at a path, or None where no field is known."""
    name = type_of(kind)
    if name is None and path[:1] == ("metadata",):
        name, path = METADATA, path[1:]
    field: Field | None = None
    for element in path:
        if field is not None and field.sort == "map":
            field = Field(sort="one", type=field.type)
            continue
        known = struct(name) if name else None
        field = known.fields.get(element) if known is not None else None
        if field is None:
            return None
        name = field.type
    return field
