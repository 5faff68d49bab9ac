"""Server-side apply: a configuration merged into the live object, field by field owned."""

from collections.abc import Iterator
from typing import Any

from e2e.bed.apiserver.errors import ApiError
from e2e.bed.apiserver.managed import (
    SELF,
    Tree,
    Writer,
    applied_tree,
    children,
    entry_of,
    in_order,
    item_element,
    minus,
    ownable,
)
from e2e.bed.apiserver.schema import Path, is_whole, list_keys
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
    others, before = _entries(live, writer)
    mine = applied_tree(kind, ownable(config, writer.subresource))
    clashes = list(_clashes(kind, live, config, mine, others))
    if clashes and not force:
        raise _conflict(clashes)
    given_up = minus(before, mine)
    for entry in others:
        given_up = minus(given_up, entry["fieldsV1"])
    merged = merged_value(kind, live, config, ())
    return dict(without_fields(kind, merged, given_up, ()))


def entries_after_apply(
    kind: str, live: JsonObject, config: JsonObject, writer: Writer, now: str
) -> list[JsonObject]:
    """Return the managedFields after an apply that was let through."""
    others, _ = _entries(live, writer)
    mine = applied_tree(kind, ownable(config, writer.subresource))
    clashing = {(owner, path) for owner, path in _clashes(kind, live, config, mine, others)}
    kept = []
    for entry in others:
        tree = entry["fieldsV1"]
        for owner, path in clashing:
            if owner == entry["manager"]:
                tree = minus(tree, _tree_of(path))
        if tree:
            kept.append({**entry, "fieldsV1": tree})
    earlier = [one for one in live["metadata"].get("managedFields") or [] if writer.owns(one)]
    same = earlier and earlier[0]["fieldsV1"] == mine
    entry = earlier[0] if same else entry_of(writer, mine, now)
    return in_order([*kept, entry] if mine else kept)


def _entries(live: JsonObject, writer: Writer) -> tuple[list[JsonObject], Tree]:
    entries = live.get("metadata", {}).get("managedFields") or []
    others = [entry for entry in entries if not writer.owns(entry)]
    before: Tree = next((one["fieldsV1"] for one in entries if writer.owns(one)), {})
    return others, before


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
            if name in here:
                yield from _changing(kind, here[name], child, mine[name], below, (*way, name))
        elif name not in here or here[name] != child:
            yield (*way, name)


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
            shown += f"[{name.strip('{}').replace(chr(34) + ':', '=', 1).lstrip(chr(34))}]"
        else:
            shown += f"[={name}]"
    return shown


def merged_value(kind: str, live: Any, config: Any, path: Path) -> Any:
    """Merge a configuration's value over the live one, list items by their keys."""
    if isinstance(config, dict) and isinstance(live, dict) and not is_whole(path):
        merged = dict(live)
        for key, value in config.items():
            merged[key] = merged_value(kind, live.get(key), value, (*path, key))
        return merged
    keys = list_keys(kind, path)
    if isinstance(config, list) and isinstance(live, list) and keys is not None:
        wanted = {item_element(keys, item): item for item in config}
        items = {item_element(keys, item): item for item in live}
        for name, item in wanted.items():
            items[name] = merged_value(kind, items.get(name), item, path)
        return list(items.values())
    return clone(config)


def without_fields(kind: str, value: Any, tree: Tree, path: Path) -> Any:
    """Return a value without the fields of a tree."""
    if isinstance(value, dict):
        return _without_keys(kind, value, tree, path)
    keys = list_keys(kind, path)
    if not isinstance(value, list) or keys is None:
        return value
    left = []
    for item in value:
        node = tree.get(item_element(keys, item))
        if node is None:
            left.append(item)
        elif node and SELF not in node:
            left.append(without_fields(kind, item, node, path))
    return left


def _without_keys(kind: str, value: JsonObject, tree: Tree, path: Path) -> JsonObject:
    left: JsonObject = {}
    for key, child in value.items():
        node = tree.get("f:" + key)
        if node is None:
            left[key] = child
        elif node:
            rest = without_fields(kind, child, node, (*path, key))
            if rest or SELF not in node:
                left[key] = rest
    return left
