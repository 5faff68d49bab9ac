import json
from typing import Any

import pytest

from controller.cluster.pages import decoded

ITEMS: list[Any] = [{"a": 'quote " and ] and }'}, {"b": [1, {"c": []}]}, None, 3]


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize(
    "envelope",
    [
        {"items": ITEMS},
        {"kind": "List", "metadata": {"resourceVersion": "5"}, "items": ITEMS},
        {"items": ITEMS, "metadata": {"continue": "x"}, "kind": "List"},
    ],
)
def test_is_what_a_plain_decoder_gives(envelope: dict[str, Any], indent: int | None) -> None:
    body = json.dumps(envelope, indent=indent).encode()
    rest = {key: value for key, value in envelope.items() if key != "items"}
    assert decoded(body, lambda item: item) == (rest, ITEMS)


def test_shrinks_each_item_before_the_next() -> None:
    assert decoded(b'{"items": [1, 2, 3]}', lambda item: item * 10) == ({}, [10, 20, 30])


@pytest.mark.parametrize("body", [b"{}", b' { "items" : [ ] } ', b'{"items": null}'])
def test_nothing_is_no_items(body: bytes) -> None:
    assert decoded(body, lambda item: item)[1] == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b"<html>",
        b"{",
        b'{"items"',
        b'{"items": {}}',
        b'{"items": [1 2]}',
        b'{"items": [1, 2',
        b'{"items": [1],',
        b'{"a": 1 "b": 2}',
        b"{3: 4}",
        b"\xff",
    ],
)
def test_what_is_no_list_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        decoded(body, lambda item: item)
