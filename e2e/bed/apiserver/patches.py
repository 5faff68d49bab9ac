"""What the three patch types make of an object: JSON Patch, merge patch, strategic merge."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import Any

import jsonpatch
import jsonpointer

from e2e.bed.apiserver.errors import ApiError, bad_request, unprocessable
from e2e.bed.apiserver.schema import Path, merge_key
from e2e.bed.apiserver.trees import JsonObject, clone

_DIRECTIVE = "$patch"
_ORDER = "$setElementOrder/"
_DROP = "$deleteFromPrimitiveList/"
_RETAIN = "$retainKeys"


def json_patched(obj: JsonObject, operations: Any) -> JsonObject:
    """Apply an RFC 6902 patch.

    Raises:
        ApiError: 400 when it is no list of operations; a bare 422 when a test fails or a
            path does not exist.
    """
    if not isinstance(operations, list):
        raise bad_request(
            "error decoding patch: json: cannot unmarshal object into Go value of type "
            "jsonpatch.Patch"
        )
    try:
        patched = _opened(obj, operations)
        for operation in operations:
            read = _as_read(operation, patched)
            patched = jsonpatch.apply_patch(patched, [read], in_place=True)
    except (jsonpatch.JsonPatchException, jsonpointer.JsonPointerException, TypeError) as error:
        raise unprocessable() from error
    if not isinstance(patched, dict):
        raise unprocessable()
    return patched


def _opened(obj: JsonObject, operations: Sequence[Any]) -> JsonObject:
    """Copy what operations reach into: of a field only the members that they name."""
    paths = [
        jsonpointer.JsonPointer(str(operation.get(end) or "")).parts
        for operation in operations
        if isinstance(operation, dict)
        for end in ("path", "from")
    ]
    reached: dict[str, set[str]] = {}
    for field, *below in filter(None, paths):
        reached.setdefault(field, set()).add(below[0] if below else "")
    return {
        key: _copied(value, reached[key]) if key in reached else value for key, value in obj.items()
    }


def _copied(field: Any, members: AbstractSet[str]) -> Any:
    """Copy a field, whole or with those of its members."""
    if not isinstance(field, dict) or "" in members:
        return clone(field)
    return {key: clone(value) if key in members else value for key, value in field.items()}


def _as_read(operation: Any, obj: Any) -> Any:
    """Return an operation as the server's library reads it.

    A member that is missing may be replaced, copied (as null), and equals null.
    """
    if not isinstance(operation, dict):
        return operation
    match operation.get("op"):
        case "replace" if _is_member(operation.get("path"), obj):
            return {**operation, "op": "add"}
        case "test" if operation.get("value") is None and _is_missing(operation.get("path"), obj):
            return {"op": "test", "path": "", "value": obj}
        case "copy" if _is_missing(operation.get("from"), obj):
            return {"op": "add", "path": operation.get("path"), "value": None}
        case _:
            return operation


def _is_member(path: Any, obj: Any) -> bool:
    owner, key = jsonpointer.JsonPointer(str(path or "")).to_last(obj)
    return isinstance(owner, dict) and key is not None


def _is_missing(path: Any, obj: Any) -> bool:
    owner, key = jsonpointer.JsonPointer(str(path or "")).to_last(obj)
    return isinstance(owner, dict) and key is not None and key not in owner


def merge_patched(value: Any, patch: Any) -> Any:
    """Apply an RFC 7386 patch."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(value) if isinstance(value, dict) else {}
    for key, change in patch.items():
        if change is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patched(merged.get(key), change)
    return merged


def strategic_merged(kind: str, value: Any, patch: Any, path: Path = ()) -> Any:
    """Apply a strategic merge patch to an object of a built-in kind."""
    if not isinstance(patch, dict):
        return patch
    directive = patch.get(_DIRECTIVE)
    if directive == "replace":
        return {key: change for key, change in patch.items() if key != _DIRECTIVE}
    if directive == "delete":
        return {}
    merged = _retained(value if isinstance(value, dict) else {}, patch.get(_RETAIN))
    for key, change in patch.items():
        _merge_key(kind, merged, key, change, (*path, key))
    for key, order in patch.items():
        if key.startswith(_ORDER):
            name = key.removeprefix(_ORDER)
            _reorder(merged, name, order, merge_key(kind, (*path, name)))
    return merged


def _retained(value: JsonObject, keep: Sequence[str] | None) -> JsonObject:
    return {key: child for key, child in value.items() if keep is None or key in keep}


def _merge_key(kind: str, merged: JsonObject, key: str, change: Any, path: Path) -> None:
    if key in (_RETAIN, _DIRECTIVE) or key.startswith(_ORDER):
        return
    if key.startswith(_DROP):
        name = key.removeprefix(_DROP)
        merged[name] = [item for item in merged.get(name) or [] if item not in change]
    elif change is None:
        merged.pop(key, None)
    elif isinstance(change, list):
        merged[key] = _merged_list(kind, merged.get(key) or [], change, path)
    elif isinstance(change, dict) and change.get(_DIRECTIVE) and key not in merged:
        return  # nothing there that could be replaced or deleted
    else:
        merged[key] = strategic_merged(kind, merged.get(key), change, path)


def _merged_list(kind: str, current: list[Any], patch: list[Any], path: Path) -> list[Any]:
    key = merge_key(kind, path)
    if key is None:
        return patch
    if not key:
        return _in_patch_order(current, patch)
    if any(isinstance(item, dict) and item.get(_DIRECTIVE) == "replace" for item in patch):
        current = []
        patch = [item for item in patch if item.get(_DIRECTIVE) != "replace"]
    return _merged_items(kind, current, patch, path, key)


def _merged_items(
    kind: str, current: list[Any], patch: list[Any], path: Path, key: str
) -> list[Any]:
    for change in patch:
        if key not in change:
            raise ApiError(500, "", f"map: {change} does not contain declared merge key: {key}")
    before = [item.get(key) for item in current]
    if len(set(before)) < len(before):
        return _merged_in_place(kind, current, patch, path, key)
    items = {item.get(key): item for item in current}
    for change in patch:
        name = change.get(key)
        if change.get(_DIRECTIVE) == "delete":
            items.pop(name, None)
        else:
            items[name] = strategic_merged(kind, items.get(name), change, path)
    named = [change.get(key) for change in patch if change.get(_DIRECTIVE) != "delete"]
    return [items[name] for name in _in_patch_order(before, named) if name in items]


def _merged_in_place(
    kind: str, current: list[Any], patch: list[Any], path: Path, key: str
) -> list[Any]:
    """Merge into a list in which several items have the same key: into the first of them."""
    items = list(current)
    for change in patch:
        places = [at for at, item in enumerate(items) if item.get(key) == change[key]]
        if change.get(_DIRECTIVE) == "delete":
            items = [item for at, item in enumerate(items) if at not in places]
        elif places:
            items[places[0]] = strategic_merged(kind, items[places[0]], change, path)
        else:
            items.append(strategic_merged(kind, None, change, path))
    return items


def _in_patch_order(before: list[Any], named: list[Any]) -> list[Any]:
    """Put the patch's names in the patch's order, the others before what followed them."""
    others = [name for name in before if name not in named]
    ordered: list[Any] = []
    for name in dict.fromkeys(named):
        if name in before:
            place = before.index(name)
            while others and before.index(others[0]) < place:
                ordered.append(others.pop(0))
        ordered.append(name)
    return ordered + others


def _reorder(merged: JsonObject, name: str, order: list[Any], key: str | None) -> None:
    if name not in merged or key is None:
        return
    wanted = [item.get(key) if key else item for item in order]
    place = {value: index for index, value in enumerate(wanted)}
    merged[name] = sorted(
        merged[name],
        key=lambda item: place.get(item.get(key) if key else item, len(place)),
    )
