"""What the stores keep of an object: all that is asked of it, in as little memory as that needs."""

import json
import sys
from collections.abc import Mapping
from typing import Any

from controller.api import names, objects
from controller.api.objects import Object

INTERN_LIMIT = 64
"""Longer strings are hardly ever repeated."""
SHARED_LIMIT = 2_000
"""How many parts are remembered; more than that share hardly more (measured)."""

REVISION = "revision"
"""The key `trim_replica_set` adds beside `metadata` and `spec`."""


def trim(obj: Object) -> Object:
    """Leave out managedFields and the last-applied annotation, most of an object's size."""
    return _rebuilt(obj, _bare_metadata(obj))


def trim_deployment(obj: Object) -> Object:
    """Trim, but keep who declares `spec.paused`.

    That is asked before a Deployment is held by pausing it (contract.md section 3,
    `PausedDeclared`). Kept of managedFields: manager, operation and the field of the entries that
    own it; kept of last-applied: `{"spec": {"paused": …}}`, if it has the field.
    """
    meta = _bare_metadata(obj)
    owners = [_reduced(entry) for entry in _managed_fields(obj) if _owns_paused(entry)]
    if owners:
        meta["managedFields"] = owners
    declared = _declared_paused(objects.annotations_of(obj).get(names.LAST_APPLIED))
    if declared is not None:
        meta["annotations"] = {**meta["annotations"], names.LAST_APPLIED: declared}
    return _rebuilt(obj, meta)


def trim_replica_set(obj: Object) -> Object:
    """Trim, and put the template's revision in place of the template."""
    spec = {key: value for key, value in objects.spec_of(obj).items() if key != "template"}
    revision = objects.revision_of(objects.template_of(obj))
    return _rebuilt({**obj, "spec": spec, REVISION: revision}, _bare_metadata(obj))


def compacted(value: Any) -> Any:
    """Return an equal JSON value in which equal parts are one and the same.

    Probes, resources, conditions and environments repeat from object to object; the decoder shares
    keys within one answer only, and values never. Sharing is safe because nobody changes an object.
    """
    if len(_shared) > SHARED_LIMIT:
        _shared.clear()
    return _compacted(value)


def _bare_metadata(obj: Object) -> dict[str, Any]:
    """Return the metadata without both; annotations stay, empty, where that was the only one.

    A patch must know whether there are annotations: to create them where some are would wipe them.
    """
    meta = {key: value for key, value in objects.metadata(obj).items() if key != "managedFields"}
    annotations = meta.get("annotations")
    if isinstance(annotations, Mapping) and names.LAST_APPLIED in annotations:
        meta["annotations"] = {
            key: value for key, value in annotations.items() if key != names.LAST_APPLIED
        }
    return meta


def _rebuilt(obj: Object, meta: Mapping[str, Any]) -> Object:
    rebuilt: Object = compacted({**obj, "metadata": meta})
    return rebuilt


def _managed_fields(obj: Object) -> list[Any]:
    entries = objects.metadata(obj).get("managedFields")
    return entries if isinstance(entries, list) else []


def _owns_paused(entry: Any) -> bool:
    return "f:paused" in ((entry.get("fieldsV1") or {}).get("f:spec") or {})


def _reduced(entry: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: entry[key] for key in ("manager", "operation") if key in entry}
    return {**kept, "fieldsV1": {"f:spec": {"f:paused": {}}}}


def _declared_paused(last_applied: str | None) -> str | None:
    try:
        applied = json.loads(last_applied or "null")
    except ValueError:
        return None
    spec = applied.get("spec") if isinstance(applied, dict) else None
    if not isinstance(spec, dict) or "paused" not in spec:
        return None
    return json.dumps({"spec": {"paused": spec["paused"]}}, separators=(",", ":"))


def _compacted(value: Any) -> Any:
    kind = type(value)
    if kind is str:
        return sys.intern(value) if len(value) <= INTERN_LIMIT else value
    if kind is dict:
        made = {sys.intern(key): _compacted(item) for key, item in value.items()}
        # Equal parts are the same by now, so a part is known by the identity of what it holds.
        return _shared.setdefault((*made, *map(id, made.values())), made)
    if kind is list:
        listed = [_compacted(item) for item in value]
        return _shared.setdefault((None, *map(id, listed)), listed)
    return value


_shared: dict[tuple[object, ...], Any] = {}
"""What was made, by its keys and the identities of its values. The values are kept alive by what
was made, so that no identity is used twice; a list is told from an object by its first entry."""
