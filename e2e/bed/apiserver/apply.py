"""Server-side apply: a configuration merged into the live object, field by field owned."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from e2e.bed.apiserver.errors import ApiError
from e2e.bed.apiserver.fields import struct
from e2e.bed.apiserver.managed import (
    SELF,
    Tree,
    Writer,
    added_tree,
    applied_tree,
    children,
    entry_of,
    in_order,
    item_element,
    minus,
    ownable,
    removed_tree,
)
from e2e.bed.apiserver.schema import Path, field_at, is_whole, list_keys
from e2e.bed.apiserver.trees import JsonObject, clone


def applied(
    kind: str, live: JsonObject, config: JsonObject, writer: Writer, *, force: bool
) -> JsonObject:
    """Merge an applied configuration into the live object.

    Args:
        kind: Such as `Deployment`.
        live: The stored object.
        config: What the writer wants, and nothing else.
        writer: Who applies.
        force: Whether to take fields from their owners.

    Returns:
        The live object with the configuration's fields, without those the writer gave up.

    Raises:
        ApiError: 409, other managers own fields that would change.
    """
    others, before = _entries(live, writer, kind)
    mine = applied_tree(kind, ownable(config, writer.subresource))
    clashes = list(_clashes(kind, live, config, mine, others))
    if clashes and not force:
        raise _conflict(clashes)
    holders = [mine, *(entry["fieldsV1"] for entry in others), _OF_THE_SERVER]
    merged = merged_value(kind, live, config, ())
    return dict(without_fields(kind, merged, _given_up(before, holders), ()))


def entries_after_apply(
    kind: str,
    live: JsonObject,
    config: JsonObject,
    merged: JsonObject,
    writer: Writer,
    now: str,
) -> list[JsonObject]:
    """Return the managedFields after an apply that was let through: nobody owns what is gone."""
    others, _ = _entries(live, writer, kind)
    mine = applied_tree(kind, ownable(config, writer.subresource))
    gone = removed_tree(kind, ownable(live), ownable(merged))
    clashing = {(owner, path) for owner, path in _clashes(kind, live, config, mine, others)}
    kept = []
    for entry in others:
        tree = minus(entry["fieldsV1"], gone)
        for owner, path in clashing:
            if owner == entry["manager"]:
                tree = minus(tree, _tree_of(path))
        if tree:
            kept.append({**entry, "fieldsV1": tree})
    earlier = [one for one in live["metadata"].get("managedFields") or [] if writer.owns(one)]
    same = earlier and earlier[0]["fieldsV1"] == mine
    entry = earlier[0] if same else entry_of(writer, mine, now)
    return in_order([*kept, entry] if mine else kept)


def _entries(live: JsonObject, writer: Writer, kind: str) -> tuple[list[JsonObject], Tree]:
    entries = live.get("metadata", {}).get("managedFields") or [_of_before(kind, live, writer)]
    others = [entry for entry in entries if not writer.owns(entry)]
    before: Tree = next((one["fieldsV1"] for one in entries if writer.owns(one)), {})
    return others, before


_OF_THE_SERVER: Tree = {"f:metadata": {"f:name": {}}}


def _given_up(before: Tree, holders: Sequence[Tree]) -> Tree:
    """Return what a manager owned that nobody has a part in any more.

    A container that goes takes along what nobody owns, such as defaults: its node is empty.
    So does an item of a list that nobody owns as such.
    """
    tree: Tree = {}
    for name, node in before.items():
        below = [holder[name] for holder in holders if name in holder]
        is_held = any(not one or SELF in one for one in below) if name[0] == "k" else bool(below)
        if name != SELF and not is_held:
            tree[name] = {}
        elif node and (rest := _given_up(node, [one for one in below if one])):
            tree[name] = rest
    return tree


def _of_before(kind: str, live: JsonObject, writer: Writer) -> JsonObject:
    """Return an entry that owns all that was there to write before anybody kept account of it."""
    first = replace(writer, manager="before-first-apply", operation="Update")
    tree = added_tree(kind, ownable(live, writer.subresource), ())
    return entry_of(first, tree, live["metadata"]["creationTimestamp"])


def _tree_of(path: tuple[str, ...]) -> Tree:
    tree: Tree = {}
    for element in reversed(path):
        tree = {element: tree}
    return tree


def _clashes(
    kind: str, live: JsonObject, config: JsonObject, mine: Tree, others: list[JsonObject]
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield each field that another manager owns and that would change: manager, path."""
    changing = list(_changing(kind, live, config, mine, ()))
    for entry in others:
        for path in changing:
            if _owned(entry["fieldsV1"], path):
                yield entry["manager"], path


def _changing(
    kind: str, live: Any, config: Any, mine: Tree, path: Path, way: tuple[str, ...] = ()
) -> Iterator[tuple[str, ...]]:
    """Yield the paths of elements at which the configuration differs from the live object."""
    here = {name: child for name, child, _ in children(kind, live, path)}
    for name, child, below in children(kind, config, path):
        if name not in mine:
            continue
        if mine[name]:
            if name not in here:
                yield (*way, name)
            yield from _changing(kind, here.get(name), child, mine[name], below, (*way, name))
        elif name not in here or (here[name] != child and not _says_nothing(kind, child, below)):
            yield (*way, name)


def _says_nothing(kind: str, value: Any, path: Path) -> bool:
    """Say whether a value owns a container that is merged, and wants nothing in it."""
    field = field_at(kind, path)
    if value or field is None or is_whole(kind, path):
        return False
    if field.sort == "list":
        return field.keys is not None
    return field.sort == "map" or struct(field.type) is not None


def _owned(tree: Tree, path: tuple[str, ...]) -> bool:
    for element in path:
        if element not in tree:
            return False
        tree = tree[element]
    return not tree or SELF in tree


def _conflict(clashes: list[tuple[str, tuple[str, ...]]]) -> ApiError:
    told = [(f'conflict with "{owner}"', _shown(path)) for owner, path in clashes]
    count = f"{len(told)} conflict{'s' if len(told) > 1 else ''}"
    text = told[0][0] + ": " + told[0][1]
    if len(told) > 1:
        text = "conflicts " + _grouped(clashes)
    return ApiError(
        409,
        "Conflict",
        f"Apply failed with {count}: {text}",
        {
            "causes": [
                {"reason": "FieldManagerConflict", "message": message, "field": field}
                for message, field in told
            ]
        },
    )


def _grouped(clashes: list[tuple[str, tuple[str, ...]]]) -> str:
    owners: dict[str, list[str]] = {}
    for owner, path in clashes:
        owners.setdefault(owner, []).append(_shown(path))
    return "\n".join(
        f'with "{owner}":\n' + "\n".join(f"- {path}" for path in paths)
        for owner, paths in owners.items()
    )


def _shown(path: tuple[str, ...]) -> str:
    shown = ""
    for element in path:
        sort, _, name = element.partition(":")
        if sort == "f":
            shown += f".{name}"
        elif sort == "k":
            keys = json.loads(name)
            told = ",".join(f"{key}={json.dumps(value)}" for key, value in keys.items())
            shown += f"[{told}]"
        else:
            shown += f"[={name}]"
    return shown


def merged_value(kind: str, live: Any, config: Any, path: Path) -> Any:
    """Merge a configuration's value over the live one, list items by their keys."""
    if live is not None and _says_nothing(kind, config, path):
        return live
    if isinstance(config, dict) and isinstance(live, dict) and not is_whole(kind, path):
        merged = dict(live)
        for key, value in config.items():
            merged[key] = merged_value(kind, live.get(key), value, (*path, key))
        return merged
    keys = list_keys(kind, path)
    if isinstance(config, list) and isinstance(live, list) and keys is not None:
        wanted = {item_element(keys, item): item for item in config}
        items = {item_element(keys, item): item for item in live}
        order = merged_order(list(items), list(wanted))
        for name, item in wanted.items():
            items[name] = merged_value(kind, items.get(name), item, path)
        return [items[name] for name in order]
    return clone(config)


def merged_order(live: list[str], wanted: list[str]) -> list[str]:
    """Return in which order the items of two lists stand when the second is merged into the first.

    The wanted ones keep their own order, the others stand before what followed them.
    """
    order: list[str] = []
    left = list(wanted)
    for name in live:
        shared = next((one for one in left if one in live), None)
        if name not in wanted:
            order.append(name)
        elif name == shared:
            place = left.index(name) + 1
            order += left[:place]
            left = left[place:]
        elif shared is None and left:
            order.append(left.pop(0))
    return order + left


def without_fields(kind: str, value: Any, tree: Tree, path: Path) -> Any:
    """Return a value without the fields of a tree, in which an empty node is a whole field."""
    if isinstance(value, dict):
        kept = {key: child for key, child in value.items() if tree.get(f"f:{key}") != {}}
        return {
            key: _rest(kind, child, tree[f"f:{key}"], (*path, key)) if f"f:{key}" in tree else child
            for key, child in kept.items()
        }
    keys = list_keys(kind, path)
    if not isinstance(value, list) or keys is None:
        return value
    named = [(item_element(keys, item), item) for item in value]
    return [
        without_fields(kind, item, tree[name], path) if name in tree else item
        for name, item in named
        if tree.get(name) != {}
    ]


def _rest(kind: str, value: Any, tree: Tree, path: Path) -> Any:
    """Return what is left of a container: null for nothing, and whoever owns it owns that.

    Of a field that is not known nobody can tell whether it may be null: it stays, empty.
    """
    left = without_fields(kind, value, tree, path)
    return left if left or field_at(kind, path) is None else None
