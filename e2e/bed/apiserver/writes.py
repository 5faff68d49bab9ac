"""The steps of a write: read the body, check it against what is stored, make the successor."""

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from e2e.bed.apiserver.errors import (
    ApiError,
    Cause,
    bad_request,
    conflict,
    forbidden,
    invalid,
    invalid_value,
    not_found,
    required,
)
from e2e.bed.apiserver.events import stored_form
from e2e.bed.apiserver.kinds import BUILT_IN, Kind
from e2e.bed.apiserver.options import Ask
from e2e.bed.apiserver.trees import JsonObject, at
from e2e.bed.apiserver.typed import check_declared, typed
from e2e.bed.apiserver.validation import missing_name

JSON, MERGE, STRATEGIC, APPLY = "json", "merge", "strategic", "apply"

CUSTOM_PATCH_TYPES = (
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/apply-patch+yaml",
)

SYSTEM_FIELDS = (
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generation",
    "namespace",
    "resourceVersion",
    "selfLink",
    "uid",
)
"""Metadata that only the server writes."""

_NAME_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
_LONGEST_PREFIX = 58
_MODIFIED = (
    "the object has been modified; please apply your changes to the latest version and try again"
)


def body_of(kind: Kind, obj: JsonObject) -> JsonObject:
    """Copy a request's object into the order and the fields the store keeps.

    Raises:
        ApiError: 400, it is of another kind or cannot be decoded.
    """
    check_kind(kind, obj)
    copied = stored_form(kind, _copied(kind, obj))
    known = copied.keys() if kind.custom else (*kind.fields, *(("status",) if kind.status else ()))
    body: JsonObject = {
        "kind": kind.kind,
        "apiVersion": "v1" if kind.shelf else kind.api_version,
        "metadata": copied.get("metadata") or {},
    }
    for field in known:
        if field in copied and field not in body:
            body[field] = copied[field]
    return body


def patched_body(kind: Kind, obj: JsonObject) -> JsonObject:
    """Read what a patch made of an object, as `body_of`.

    Raises:
        ApiError: 422, a value is not of its field's type.
    """
    check_kind(kind, obj)
    try:
        return body_of(kind, obj)
    except ApiError as error:
        if error.code != 400:
            raise
        cause = Cause(field="patch", message=f"Invalid value: {error.message}")
        raise invalid(Kind(group="", kind="", plural=""), "", [cause]) from error


def applied_body(kind: Kind, obj: JsonObject) -> JsonObject:
    """Read what an apply made of an object, as `body_of`.

    Raises:
        ApiError: 500, a value is not of its field's type.
    """
    try:
        return body_of(kind, obj)
    except ApiError as error:
        message = f"failed to convert new object to proper version: {error.message}"
        raise ApiError(500, "", message) from error


def check_kind(kind: Kind, obj: JsonObject) -> None:
    """Refuse an object of another kind.

    Raises:
        ApiError: 400.
    """
    sent_kind = obj.get("kind") or kind.kind
    sent_version = obj.get("apiVersion") or kind.api_version
    if (sent_kind, sent_version) != (kind.kind, kind.api_version):
        raise bad_request(
            f"the API version in the data ({sent_version}, Kind={sent_kind}) does not match the "
            f"expected API version ({kind.api_version}, Kind={kind.kind})"
        )


def _copied(kind: Kind, obj: JsonObject) -> JsonObject:
    """Copy an object, but not its managedFields: they are large and never changed in place."""
    meta = obj.get("metadata")
    if not isinstance(meta, dict) or "managedFields" not in meta:
        return typed(kind, obj)
    bare = {**obj, "metadata": {key: meta[key] for key in meta if key != "managedFields"}}
    copied = typed(kind, bare)
    copied["metadata"]["managedFields"] = meta["managedFields"]
    return copied


def namespace_for(kind: Kind, namespace: str | None, body: JsonObject) -> str:
    """Return the namespace a new object goes to; empty for a cluster kind.

    Raises:
        ApiError: 400, the request and the object name different ones.
    """
    named = body["metadata"].pop("namespace", None)
    if not kind.namespaced:
        return ""
    if namespace and named and named != namespace:
        raise bad_request(
            "the namespace of the provided object does not match the namespace sent on the request"
        )
    return str(namespace or named or "default")


def check_namespace_takes(
    kind: Kind, body: JsonObject, namespace: JsonObject | None, name: str
) -> None:
    """Refuse an object whose namespace is missing or being deleted.

    Raises:
        ApiError: 404 or 403.
    """
    if not kind.namespaced:
        return
    if namespace is None:
        raise not_found(next(one for one in BUILT_IN if one.kind == "Namespace"), name)
    if namespace["metadata"].get("deletionTimestamp"):
        ending = f"namespace {name} is being terminated"
        cause = Cause(field="metadata.namespace", message=ending, reason="NamespaceTerminating")
        raise forbidden(
            kind,
            body["metadata"].get("name", ""),
            f"unable to create new content in namespace {name} because it is being terminated",
            [cause],
        )


def name_new(kind: Kind, body: JsonObject, rng: random.Random) -> None:
    """Give a new object its generated name.

    Raises:
        ApiError: 422, it has neither name nor generateName.
    """
    meta = body["metadata"]
    if not meta.get("name"):
        prefix = meta.get("generateName")
        if not prefix:
            raise missing_name(kind)
        meta["name"] = prefix[:_LONGEST_PREFIX] + "".join(rng.choices(_NAME_LETTERS, k=5))


def stamp_new(kind: Kind, body: JsonObject, namespace: str, uid: str, now: str) -> None:
    """Give a new object the metadata that only the server writes."""
    meta = body["metadata"]
    counted = meta.get("generation")
    for field in SYSTEM_FIELDS:
        meta.pop(field, None)
    if namespace:
        meta["namespace"] = namespace
    meta["uid"] = uid
    meta["creationTimestamp"] = now
    if kind.generation:
        meta["generation"] = 1
    elif counted:  # whoever does not count keeps what it was sent
        meta["generation"] = counted


def check_put_name(body: JsonObject, name: str, namespace: str | None) -> None:
    """Refuse a PUT whose object has another name or namespace than its URL, or none.

    Raises:
        ApiError: 400.
    """
    meta = body["metadata"]
    if not meta.get("name"):
        raise bad_request(
            f"the name of the object ({name} based on URL) was undeterminable: name must be "
            "provided"
        )
    if meta["name"] != name:
        raise bad_request(
            f"the name of the object ({meta['name']}) does not match the name on the URL ({name})"
        )
    if namespace and meta.get("namespace") not in (None, "", namespace):
        raise bad_request(
            "the namespace of the provided object does not match the namespace sent on the request"
        )


def check_put(kind: Kind, old: JsonObject, body: JsonObject) -> None:
    """Refuse a PUT of another object.

    Raises:
        ApiError: 409 or 422.
    """
    meta, stored = body["metadata"], old["metadata"]
    name = stored["name"]
    if meta.get("uid") and meta["uid"] != stored["uid"]:
        raise conflict(
            kind,
            name,
            f"Precondition failed: UID in precondition: {meta['uid']}, UID in object meta: "
            f"{stored['uid']}",
        )
    unversioned = meta.get("resourceVersion") in (None, "", "0")
    if unversioned and (kind.custom or not kind.unconditional):
        raise _unversioned(kind, name)


def check_version(kind: Kind, old: JsonObject, body: JsonObject) -> None:
    """Refuse a write made against another version, or into another namespace.

    Raises:
        ApiError: 400 or 409.
    """
    meta, stored = body["metadata"], old["metadata"]
    version = meta.get("resourceVersion")
    if version == "0" and not kind.unconditional:
        raise _unversioned(kind, stored["name"])
    if version not in (None, "", "0", stored["resourceVersion"]):
        if not str(version).isdigit():
            cause = invalid_value("metadata.resourceVersion", version, "must be an integer")
            raise invalid(kind, stored["name"], [cause])
        raise conflict(kind, stored["name"], _MODIFIED)
    if meta.get("namespace") not in (None, "", stored.get("namespace")):
        raise bad_request(
            "the namespace of the provided object does not match the namespace sent on the request"
        )


def check_preconditions(kind: Kind, old: JsonObject, uid: str | None, version: str | None) -> None:
    """Refuse a delete that was meant for another object.

    Raises:
        ApiError: 409.
    """
    meta = old["metadata"]
    wanted = (("UID", uid, meta["uid"]), ("ResourceVersion", version, meta["resourceVersion"]))
    for word, asked, found in wanted:
        if asked and asked != found:
            raise _not_that_one(
                kind,
                meta["name"],
                f"the {word} in the precondition ({asked}) does not match the {word} in record "
                f"({found}). The object might have been deleted and then recreated",
            )


def _unversioned(kind: Kind, name: str) -> ApiError:
    """Refuse an update without a version as the server does: by the plural, not the kind."""
    cause = invalid_value("metadata.resourceVersion", 0, "must be specified for an update")
    return invalid(replace(kind, kind=kind.plural), name, [cause])


def _not_that_one(kind: Kind, name: str, why: str) -> ApiError:
    """Refuse a delete as the server does: it names the kind where else it names the plural."""
    return conflict(replace(kind, plural=kind.kind), name, why)


def successor(kind: Kind, old: JsonObject, body: JsonObject, subresource: str) -> JsonObject:
    """Return what a write to this subresource makes of the stored object.

    A write to `/status` of a built-in kind also writes annotations and (except on a
    Deployment) labels; on a custom resource it writes status only.
    """
    meta = {**body["metadata"]}
    stored = old["metadata"]
    for field in (*SYSTEM_FIELDS, "generateName"):
        if field == "uid":
            meta.setdefault("uid", stored["uid"])
        elif field in stored:
            meta[field] = stored[field]
        else:
            meta.pop(field, None)
    if subresource != "status":
        return {**body, "metadata": meta}
    new = {**old, "metadata": {**stored} if kind.custom else _status_metadata(kind, stored, meta)}
    new.pop("status", None)
    if "status" in body:
        new["status"] = body["status"]
    return new


def _status_metadata(kind: Kind, stored: JsonObject, meta: JsonObject) -> JsonObject:
    for field in ("annotations", "labels", "finalizers", "ownerReferences"):
        if field in meta and not meta[field]:
            del meta[field]
    kept = {"Deployment": ("labels",), "Pod": ("ownerReferences",)}.get(kind.kind, ())
    for field in kept:
        meta.pop(field, None)
        if field in stored:
            meta[field] = stored[field]
    return meta


def keep_status(kind: Kind, old: JsonObject, new: JsonObject) -> None:
    """Put the stored status back: the main resource does not write it."""
    if not kind.status:
        return
    new.pop("status", None)
    if "status" in old:
        new["status"] = old["status"]
    if kind.kind == "Service" and at(new, "spec", "type") != "LoadBalancer":
        new["status"] = {**new.get("status", {}), "loadBalancer": {}}


def with_version(new: JsonObject, version: str | None) -> JsonObject:
    """Return an object with a version: what a write answers that stored nothing, or ended it."""
    meta = {key: value for key, value in new["metadata"].items() if key != "resourceVersion"}
    return {**new, "metadata": {**meta, "resourceVersion": version} if version else meta}


def set_managed(new: JsonObject, entries: Sequence[JsonObject]) -> None:
    """Write managedFields, or none."""
    new["metadata"].pop("managedFields", None)
    if entries:
        new["metadata"]["managedFields"] = list(entries)


def raise_generation(kind: Kind, old: JsonObject, new: JsonObject, subresource: str) -> None:
    """Raise `metadata.generation` when what it counts has changed."""
    if not kind.generation or subresource:
        return
    if _counted(kind, new) != _counted(kind, old):
        new["metadata"] = {
            **new["metadata"],
            "generation": old["metadata"].get("generation", 0) + 1,
        }


def _counted(kind: Kind, obj: JsonObject) -> list[Any]:
    """Return what a kind's generation counts: annotations too for a Deployment."""
    counted = [obj.get(field) for field in obj if field not in ("metadata", "status")]
    extra = {"Deployment": "annotations", "EndpointSlice": "labels"}.get(kind.kind)
    return [*counted, obj["metadata"].get(extra)] if extra else counted


def applied_config(kind: Kind, name: str, config: Any, ask: Ask) -> JsonObject:
    """Return what is applied, checked.

    Raises:
        ApiError: 400 or 422.
    """
    if not isinstance(config, dict):
        raise bad_request("error decoding YAML: the configuration is no object")
    if not ask.manager:
        options = Kind(group="meta.k8s.io", kind="PatchOptions", plural="patchoptions")
        cause = required("fieldManager", "is required for apply patch")
        raise invalid(options, "", [cause])
    if not config.get("apiVersion") or not config.get("kind"):
        raise bad_request("invalid object type: /, Kind=")
    check_kind(kind, config)
    meta = dict(config.get("metadata") or {})
    if meta.get("managedFields"):
        raise bad_request("metadata.managedFields must be nil")
    if meta.setdefault("name", name) != name:
        raise bad_request(
            f"the name of the object ({meta['name']}) does not match the name on the URL ({name})"
        )
    check_declared(kind, config)
    return {**config, "metadata": meta}
