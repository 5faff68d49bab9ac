"""Writes a JSON Patch as the API server writes JSON, for it compares the texts of a `test`."""

import json
from typing import Any

_ESCAPED = {sign: f"\\u{ord(sign):04x}" for sign in "<>&\u2028\u2029"}
"""What Go's encoder escapes inside of strings; outside of them none of these can stand."""


def encoded(value: Any) -> str:
    """Write a value as Go's `encoding/json` does.

    The server tests a string by the bytes of its JSON text (github.com/evanphx/json-patch): one
    with a `<` that is not escaped, or with a letter that is, would never be equal to what it has.
    """
    text = json.dumps(value, ensure_ascii=False)
    for sign, escape in _ESCAPED.items():
        text = text.replace(sign, escape)
    return text
