"""Who owns which field: the trees of `managedFields`, in the `fieldsV1` shape itself.

A node is a dict from path elements (`f:image`, `k:{"name":"web"}`, `v:"x"`) to nodes.
An element `.` says that the container itself is owned; an empty node means the same.
"""

import json
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

from e2e.bed.apiserver.schema import Path, is_always_there, is_whole, list_keys
from e2e.bed.apiserver.trees import JsonObject

Tree: TypeAlias = dict[str, Any]

SELF = "."
_COMPACT = json.JSONEncoder(separators=(",", ":"))
"""`json.dumps` makes one anew for each call that is not by default."""
_UNOWNED_ROOT = frozenset({"apiVersion", "kind"})
_UNOWNED_METADATA = frozenset(
    {
        "creationTimestamp",
        "deletionGracePeriodSeconds",
        "deletionTimestamp",
        "generation",
        "managedFields",
        "name",
        "namespace",
        "resourceVersion",
        "selfLink",
        "uid",
    }
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Writer:
    """Who writes, as `managedFields` tells managers apart."""

    manager: str
    operation: str = "Update"
    api_version: str = ""
    subresource: str = ""

    def owns(self, entry: JsonObject) -> bool:
        """Say whether an entry of managedFields is this writer's."""
        return bool(
            self.manager == entry.get("manager", "")
            and self.subresource == entry.get("subresource", "")
            and self.operation == entry.get("operation", "")
            and self.api_version == entry.get("apiVersion", "")
        )


def ownable(obj: JsonObject, subresource: str = "") -> JsonObject:
    """Return the part of an object that a writer to this subresource can own."""
    kept = {key: value for key, value in obj.items() if key not in _UNOWNED_ROOT}
    kept.pop("spec" if subresource == "status" else "status", None)
    meta = obj.get("metadata") or {}
    owned = {key: meta[key] for key in meta if key not in _UNOWNED_METADATA}
    kept.pop("metadata", None)
    return {"metadata": owned, **kept} if owned else kept


def item_element(keys: tuple[str, ...], item: Any) -> str:
    """Return the path element of one item of a list that merges."""
    if not keys:
        return "v:" + _COMPACT.encode(item)
    named = {key: item[key] for key in keys if isinstance(item, dict) and key in item}
    if "protocol" in keys:
        named.setdefault("protocol", "TCP")
    return _named_element(tuple(named), *named.values())


@lru_cache(maxsize=1024, typed=True)
def _named_element(keys: tuple[str, ...], *values: Any) -> str:
    return "k:" + _COMPACT.encode(dict(zip(keys, values, strict=True)))


def children(kind: str, value: Any, path: Path) -> list[tuple[str, Any, Path]]:
    """Return the owned parts of a value: element, child, and the child's path of names.

    There are none of a leaf, a list without keys and a map that is written whole.
    """
    if isinstance(value, dict) and not is_whole(kind, path):
        return [("f:" + key, child, (*path, key)) for key, child in value.items()]
    if isinstance(value, list) and (keys := list_keys(kind, path)) is not None:
        return [(item_element(keys, item), item, path) for item in value]
    return []


def applied_tree(kind: str, value: Any, path: Path = ()) -> Tree:
    """Return the fields an applied configuration owns."""
    tree: Tree = {}
    for element, child, below in children(kind, value, path):
        if child == [] and list_keys(kind, below) is not None:
            continue  # a list that is merged, with nothing in it, says nothing
        node = applied_tree(kind, child, below)
        if child and not node and isinstance(child, dict) and not is_whole(kind, below):
            continue
        tree[element] = {SELF: {}, **node} if element[0] == "k" and node else node
    return tree


def added_tree(kind: str, value: Any, path: Path, element: str = "") -> Tree:
    """Return the fields someone owns who brought this value to where nothing was."""
    tree: Tree = {}
    for name, child, below in children(kind, value, path):
        _add(tree, kind, name, child, below)
    if tree and (element[:1] == "k" or not is_always_there(kind, path)):
        tree[SELF] = {}
    return tree


def _add(tree: Tree, kind: str, name: str, value: Any, path: Path) -> None:
    """Put a new part into a tree, unless it is a container as it is in an empty object."""
    if not isinstance(value, dict | list):
        tree[name] = {}
    elif (node := added_tree(kind, value, path, name)) or not is_always_there(kind, path):
        tree[name] = node


def changed_tree(kind: str, before: Any, after: Any, path: Path = ()) -> Tree | None:
    """Return the fields that are new or other than before; None when there are none."""
    if before is after or before == after:
        return None
    if _are_maps(kind, before, after, path):
        return _changed_members(kind, before, after, path)
    return _changed_parts(kind, before, after, path)


def _changed_parts(kind: str, before: Any, after: Any, path: Path) -> Tree | None:
    if not isinstance(after, dict | list):
        return {}
    befores = children(kind, before, path)
    earlier = {name: child for name, child, _ in befores}
    parts = children(kind, after, path)
    if not parts and after in ({}, []) and (earlier or is_always_there(kind, path)):
        return None
    if not parts or not (earlier or before in ({}, [])):
        return added_tree(kind, after, path)
    tree: Tree = {}
    old, new = ([name for name, _, _ in one] for one in (befores, parts))
    for name, child, below in parts:
        if new.count(name) != old.count(name):
            _add(tree, kind, name, child, below)
        elif (node := changed_tree(kind, earlier[name], child, below)) is not None:
            tree[name] = node
    return tree or None


def _are_maps(kind: str, before: Any, after: Any, path: Path) -> bool:
    """Say whether two values are told apart member by member, without looking for their names."""
    both = isinstance(before, dict) and isinstance(after, dict) and before and after
    return bool(both) and not is_whole(kind, path)


def _changed_members(kind: str, before: JsonObject, after: JsonObject, path: Path) -> Tree | None:
    tree: Tree = {}
    for key, child in after.items():
        below, name = (*path, key), "f:" + key
        if key not in before:
            _add(tree, kind, name, child, below)
        elif child is before[key]:
            continue
        elif (node := changed_tree(kind, before[key], child, below)) is not None:
            tree[name] = node
    return tree or None


def removed_tree(kind: str, before: Any, after: Any, path: Path = ()) -> Tree | None:
    """Return the fields that are gone; None when there are none."""
    if before is after or before == after:
        return None
    if _are_maps(kind, before, after, path):
        return _removed_members(kind, before, after, path)
    if not isinstance(before, dict | list):
        return None
    later = {name: child for name, child, _ in children(kind, after, path)}
    tree: Tree = {}
    for name, child, below in children(kind, before, path):
        if name not in later:
            tree[name] = everything(applied_tree(kind, child, below))
        elif (node := removed_tree(kind, child, later[name], below)) is not None:
            tree[name] = node
    return tree or None


def _removed_members(kind: str, before: JsonObject, after: JsonObject, path: Path) -> Tree | None:
    tree: Tree = {}
    for key, child in before.items():
        below = (*path, key)
        if key not in after:
            tree["f:" + key] = everything(applied_tree(kind, child, below))
        elif child is after[key]:
            continue
        elif (node := removed_tree(kind, child, after[key], below)) is not None:
            tree["f:" + key] = node
    return tree or None


def everything(tree: Tree) -> Tree:
    """Return a tree with each of its containers owned too."""
    return {SELF: {}, **{name: everything(node) for name, node in tree.items() if name != SELF}}


def union(left: Tree, right: Tree) -> Tree:
    """Return what either tree owns."""
    if not left or not right:
        one = left or right
        return {SELF: {}, **one} if one and _differs_in_self(left, right) else dict(one)
    merged = dict(left)
    for name, node in right.items():
        merged[name] = union(left[name], node) if name in left and name != SELF else node
    return merged


def _differs_in_self(left: Tree, right: Tree) -> bool:
    return left != right and SELF not in left and SELF not in right


def without(tree: Tree, taken: Tree) -> Tree | None:
    """Return what a tree owns and the other does not; None when that is nothing."""
    if tree == taken:
        return None
    owned = (not tree or SELF in tree) and not (not taken or SELF in taken)
    left: Tree = {SELF: {}} if owned else {}
    for name, node in tree.items():
        if name == SELF:
            continue
        rest = without(node, taken[name]) if name in taken else node
        if rest is not None:
            left[name] = rest
    if not left:
        return None
    return {} if left == {SELF: {}} else left


def minus(tree: Tree, taken: Tree | None) -> Tree:
    """Subtract at the root, where owning nothing is an empty tree.

    A tree of which nothing is taken stays the same one: its bytes are known (`encoding.py`).
    """
    if not taken or not tree:
        return tree
    left = {
        name: rest
        for name, node in tree.items()
        if (rest := without(node, taken[name]) if name in taken else node) is not None
    }
    return tree if left == tree else left


def joined(tree: Tree, more: Tree | None) -> Tree:
    """Add at the root, where an empty tree owns nothing."""
    if not more or not tree:
        return tree or more or {}
    return union(tree, more)


def entries_after_update(
    kind: str, before: JsonObject | None, after: JsonObject, writer: Writer, now: str
) -> list[JsonObject]:
    """Return the managedFields of an object after a plain write.

    Args:
        kind: Such as `Deployment`.
        before: The stored object; None when it is created.
        after: The object as the writer wants it, with defaults.
        writer: Who writes.
        now: The time for the writer's entry.
    """
    entries = _entries_to_start_from(before, after)
    if before is not None and not entries:
        return []  # nobody's fields were ever kept account of, or somebody ended that
    old, new = (ownable(obj or {}, writer.subresource) for obj in (before, after))
    added = changed_tree(kind, old, new)
    removed = removed_tree(kind, old, new)
    if added is None and removed is None:
        return entries
    taken = joined(added or {}, removed)
    left = [_with_tree(entry, minus(entry["fieldsV1"], taken)) for entry in entries]
    mine: Tree = next((entry["fieldsV1"] for entry in left if writer.owns(entry)), {})
    others = [entry for entry in left if entry["fieldsV1"] and not writer.owns(entry)]
    if added is None:
        own = [entry for entry in left if writer.owns(entry) and entry["fieldsV1"]]
        return in_order(others + own)
    return in_order([*others, entry_of(writer, joined(mine, added), now)])


def _entries_to_start_from(before: JsonObject | None, after: JsonObject) -> list[JsonObject]:
    sent = after["metadata"].get("managedFields")
    if sent == [{}]:
        return []
    if sent and all("fieldsV1" in entry for entry in sent):
        return list(sent)
    return list((before or {}).get("metadata", {}).get("managedFields") or [])


def entry_of(writer: Writer, tree: Tree, now: str) -> JsonObject:
    """Return one entry of managedFields."""
    entry = {
        "manager": writer.manager,
        "operation": writer.operation,
        "apiVersion": writer.api_version,
        "time": now,
        "fieldsType": "FieldsV1",
        "fieldsV1": tree,
    }
    return {**entry, "subresource": writer.subresource} if writer.subresource else entry


def in_order(entries: list[JsonObject]) -> list[JsonObject]:
    """Sort entries as the API server does: applied ones first, then by time and name."""
    return sorted(
        entries,
        key=lambda entry: (entry["operation"], entry.get("time", ""), entry["manager"]),
    )


def _with_tree(entry: JsonObject, tree: Tree) -> JsonObject:
    return entry if entry["fieldsV1"] is tree else {**entry, "fieldsV1": tree}
