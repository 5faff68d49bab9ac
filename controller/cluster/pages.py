"""A page of a list, decoded one object at a time.

Five hundred Deployments are 4 MB of text and 20 MB of dicts, most of it managedFields.
Making each object small before the next is decoded keeps that from ever being in memory at once.
"""

import json
import re
from collections.abc import Callable
from typing import Any

_DECODE = json.JSONDecoder().raw_decode
_SPACE = re.compile(r"[ \t\r\n]*")


def decoded(body: bytes, shrink: Callable[[Any], Any]) -> tuple[dict[str, Any], list[Any]]:
    """Return a list object without its items, and the items as `shrink` left them.

    Raises:
        ValueError: the body is no JSON object, or its `items` are no array.
    """
    text = body.decode()
    envelope: dict[str, Any] = {}
    items: list[Any] = []
    at = _past(text, 0, "{")
    while not _is_at(text, at, "}"):
        at = _skip(text, at)
        if not _is_at(text, at, '"'):
            raise ValueError(f"expected a key at {at}")
        key, at = _DECODE(text, at)
        at = _past(text, at, ":")
        if key == "items" and not _is_at(text, at, "n"):  # `null` is what Go writes for none
            found, at = _array(text, at, shrink)
            items.extend(found)
        else:
            envelope[key], at = _DECODE(text, _skip(text, at))
        at = _separated(text, at, "}")
    return envelope, items


def _array(text: str, at: int, shrink: Callable[[Any], Any]) -> tuple[list[Any], int]:
    items = []
    at = _past(text, at, "[")
    while not _is_at(text, at, "]"):
        item, at = _DECODE(text, _skip(text, at))
        items.append(shrink(item))
        at = _separated(text, at, "]")
    return items, _past(text, at, "]")


def _skip(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _is_at(text: str, at: int, sign: str) -> bool:
    return text.startswith(sign, _skip(text, at))


def _past(text: str, at: int, sign: str) -> int:
    if not _is_at(text, at, sign):
        raise ValueError(f"expected {sign!r} at {at}")
    return _skip(text, at) + 1


def _separated(text: str, at: int, end: str) -> int:
    """Step over a comma, or stay before the end."""
    return at if _is_at(text, at, end) else _past(text, at, ",")
