"""The fields of every built-in kind, as a real server publishes them; see `schemas.json`.

`python -m e2e.controlplane.schemas` writes that file; every differential run (`make differential`)
holds it against its server.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("schemas.json")
METADATA = "meta.v1.ObjectMeta"


@dataclass(frozen=True, kw_only=True, slots=True)
class Field:
    """One field of a type.

    Attributes:
        sort: `list`, `map` or `one`.
        type: Of its value, its items or its members: `string`, `int32`, `time`, or a struct.
        keys: By which items of a list are told apart; empty for a set; None where the list is
            written whole.
        merge: The key by which a strategic merge tells items apart, empty for plain values; None
            where it replaces the list.
        whole: Whether a map has one owner.
        is_kept: Whether it is there even when it is empty.
        empty: What it is then.
    """

    sort: str
    type: str
    keys: tuple[str, ...] | None = None
    merge: str | None = None
    whole: bool = False
    is_kept: bool = False
    empty: Any = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Struct:
    """A type with fields.

    Attributes:
        name: Such as `DeploymentSpec`.
        whole: Whether all of it has one owner.
        empties: The fields that are there even when empty, with what they are then; no lists.
    """

    name: str
    fields: Mapping[str, Field]
    whole: bool
    empties: Sequence[tuple[str, Any]]


@cache
def struct(name: str) -> Struct | None:
    """Return a type by its name, or None for a plain value."""
    found = _table()["types"].get(name)
    if found is None:
        return None
    fields = {key: _field(field) for key, field in found["fields"].items()}
    empties = [(k, one.empty) for k, one in fields.items() if one.is_kept and one.sort == "one"]
    return Struct(
        name=name.rpartition(".")[2],
        fields=fields,
        whole=found.get("whole", False),
        empties=empties,
    )


@cache
def type_of(kind: str, group: str = "") -> str | None:
    """Return the type of a kind's objects, or None for a kind that is not built in.

    Args:
        kind: Such as `Deployment`.
        group: Where more than one has such a kind; by default the first.
    """
    kinds: Mapping[str, str] = _table()["kinds"]
    exact = kinds.get(f"{group}/{kind}")
    return exact or next((kinds[key] for key in kinds if key.endswith(f"/{kind}")), None)


@cache
def _table() -> Mapping[str, Any]:
    table: Mapping[str, Any] = json.loads(FILE.read_text())
    return table


def _field(written: Mapping[str, Any]) -> Field:
    sort = next((one for one in ("list", "map") if one in written), "one")
    return Field(
        sort=sort,
        type=written["type"] if sort == "one" else written[sort],
        keys=tuple(written["keys"]) if "keys" in written else None,
        merge=written.get("merge"),
        whole=written.get("whole", False),
        is_kept="empty" in written,
        empty=written.get("empty"),
    )
