"""The texts of a JSON Patch: a server compares what a `test` names by the bytes of its JSON."""

import json
import json.scanner
from typing import Any

_ESCAPED = {sign: f"\\u{ord(sign):04x}" for sign in "<>&\u2028\u2029"}


class _Odd(str):
    """A string whose JSON text is not the one the server itself would write."""

    __slots__ = ()


def operations_of(raw: bytes) -> Any:
    """Decode a JSON Patch; a `test` that is spelled otherwise than the server spells cannot hold.

    The server keeps its object as Go writes JSON, and compares strings without decoding them.
    """
    operations = json.loads(raw)
    if b'"test"' not in raw or not isinstance(operations, list):
        return operations
    spelled = _spelled(raw.decode())
    return [
        {**one, "value": object()} if _is_odd_test(other) else one
        for one, other in zip(operations, spelled, strict=True)
    ]


def _spelled(text: str) -> Any:
    """Decode with every string marked that is spelled in an odd way; the keys of maps are not."""
    decoder = json.JSONDecoder()

    def string(source: str, end: int, strict: bool = True) -> tuple[str, int]:  # noqa: FBT001, FBT002 - as the scanner calls it
        value, after = json.decoder.scanstring(source, end, strict)  # type: ignore[attr-defined]
        return (value if source[end - 1 : after] == _written(value) else _Odd(value)), after

    # The scanner in Python, unlike that in C, asks the decoder for its strings.
    decoder.parse_string = string  # type: ignore[attr-defined]
    decoder.scan_once = json.scanner.py_make_scanner(decoder)  # type: ignore[attr-defined]
    return decoder.decode(text)


def _written(value: str) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return "".join(_ESCAPED.get(sign, sign) for sign in text)


def _is_odd_test(operation: Any) -> bool:
    is_test = isinstance(operation, dict) and operation.get("op") == "test"
    return is_test and _has_odd(operation.get("value"))


def _has_odd(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_has_odd, value.values()))
    if isinstance(value, list):
        return any(map(_has_odd, value))
    return isinstance(value, _Odd)
