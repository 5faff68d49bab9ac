"""What makes an object invalid, whatever its kind: names, labels, annotations, owners."""

import re
from collections.abc import Iterator
from typing import Any

from e2e.bed.apiserver.errors import (
    Cause,
    bad_request,
    forbidden_field,
    immutable,
    invalid,
    invalid_value,
    required,
    shown,
    too_long,
)
from e2e.bed.apiserver.kind_rules import causes_for, causes_for_change
from e2e.bed.apiserver.kinds import Kind
from e2e.bed.apiserver.trees import JsonObject

ANNOTATIONS_LIMIT_BYTES = 256 * 1024

_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_QUALIFIED = re.compile(
    r"([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?"
    r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
)
_VALUE = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?")
_PATH_NAME = re.compile(r"(?!\.\.?$)[^/%]+")

_SUBDOMAIN_RULE = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or "
    "'.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used "
    "for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
_LABEL_RULE = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and "
    "must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex "
    "used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
_QUALIFIED_RULE = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end "
    "with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for "
    "validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
_VALUE_RULE = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or "
    "'.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or "
    "'my_value',  or '12345', regex used for validation is "
    "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)
_RBAC_GROUP = "rbac.authorization.k8s.io"
_BARE_FINALIZERS = frozenset({"foregroundDeletion", "kubernetes", "orphan"})


def check_types(kind: Kind, obj: JsonObject) -> None:
    """Refuse what a typed struct could not hold.

    Raises:
        ApiError: 400.
    """
    meta = obj["metadata"]
    texts = [(meta, field, f"ObjectMeta.metadata.{field}") for field in ("labels", "annotations")]
    if kind.kind == "ConfigMap":
        texts.append((obj, "data", "ConfigMap.data"))
    for owner, field, path in texts:
        for value in _values(kind, owner, field):
            if not isinstance(value, str):
                raise _undecodable(kind, value, path, "string")
    for field in ("spec", "status"):
        if not kind.custom and not isinstance(obj.get(field, {}), dict):
            raise _undecodable(kind, obj[field], f"{kind.kind}.{field}", f"{kind.kind}Spec")


def _values(kind: Kind, owner: JsonObject, field: str) -> Iterator[Any]:
    values = owner.get(field) or {}
    if not isinstance(values, dict):
        raise _undecodable(kind, values, f"{kind.kind}.{field}", "map[string]string")
    return iter(values.values())


def _undecodable(kind: Kind, value: Any, field: str, wanted: str) -> Exception:
    words = {bool: "bool", int: "number", float: "number", str: "string", list: "array"}
    return bad_request(
        f'{kind.kind} in version "{kind.version}" cannot be handled as a {kind.kind}: json: '
        f"cannot unmarshal {words.get(type(value), 'object')} into Go struct field {field} of "
        f"type {wanted}"
    )


def check(kind: Kind, new: JsonObject, old: JsonObject | None) -> None:
    """Refuse an invalid object.

    Args:
        kind: Its kind.
        new: The object as it would be stored.
        old: The stored one; None for a creation.

    Raises:
        ApiError: 422 with every cause.
    """
    meta = new["metadata"]
    causes = [*_name_causes(kind, meta)] if old is None else [*_kept_name_causes(new, old)]
    if old is None or meta != old["metadata"]:
        causes += _metadata_causes(meta)
    if not kind.custom:
        causes += causes_for(kind, new, old)
        causes += [] if old is None else causes_for_change(kind, new, old)
    if causes:
        raise invalid(kind, meta["name"], causes)


def _name_causes(kind: Kind, meta: JsonObject) -> Iterator[Cause]:
    name = meta["name"]
    if kind.group == _RBAC_GROUP:
        pattern, rule, limit = _PATH_NAME, "may not contain '/' or '%'", 253
    elif kind.kind in ("Namespace", "Service"):
        pattern, rule, limit = _LABEL, _LABEL_RULE, 63
    else:
        pattern, rule, limit = _SUBDOMAIN, _SUBDOMAIN_RULE, 253
    if not pattern.fullmatch(name):
        yield invalid_value("metadata.name", name, rule)
    elif len(name) > limit:
        yield invalid_value("metadata.name", name, f"must be no more than {limit} bytes")


def _kept_name_causes(new: JsonObject, old: JsonObject) -> Iterator[Cause]:
    for field in ("name", "uid"):
        value = new["metadata"].get(field)
        if value != old["metadata"].get(field):
            yield immutable(f"metadata.{field}", value)
    if old["metadata"].get("deletionTimestamp"):
        had = set(old["metadata"].get("finalizers") or [])
        more = [name for name in new["metadata"].get("finalizers") or [] if name not in had]
        if more:
            names = ", ".join(shown(name) for name in more)
            yield forbidden_field(
                "metadata.finalizers",
                "no new finalizers can be added if the object is being deleted, found new "
                f"finalizers []string{{{names}}}",
            )


def _metadata_causes(meta: JsonObject) -> Iterator[Cause]:
    yield from label_causes("metadata.labels", meta.get("labels") or {})
    annotations = meta.get("annotations") or {}
    for key in annotations:
        if not _QUALIFIED.fullmatch(key.lower()):
            yield invalid_value("metadata.annotations", key, _QUALIFIED_RULE)
    size = sum(len(key.encode()) + len(value.encode()) for key, value in annotations.items())
    if size > ANNOTATIONS_LIMIT_BYTES:
        yield too_long("metadata.annotations", ANNOTATIONS_LIMIT_BYTES)
    yield from _owner_causes(meta.get("ownerReferences") or [])
    for index, name in enumerate(meta.get("finalizers") or []):
        if not _QUALIFIED.fullmatch(name):
            yield invalid_value("metadata.finalizers", name, _QUALIFIED_RULE)
        if "/" not in name and name not in _BARE_FINALIZERS:
            yield invalid_value(
                f"metadata.finalizers[{index}]",
                name,
                "name is neither a standard finalizer name nor is it fully qualified",
            )


def label_causes(field: str, labels: JsonObject) -> Iterator[Cause]:
    """Yield what is wrong with a map of labels."""
    for key, value in labels.items():
        if not _QUALIFIED.fullmatch(key):
            yield invalid_value(field, key, _QUALIFIED_RULE)
        if len(value) > 63:
            yield invalid_value(field, value, "must be no more than 63 bytes")
        elif not _VALUE.fullmatch(value):
            yield invalid_value(field, value, _VALUE_RULE)


def _owner_causes(references: list[JsonObject]) -> Iterator[Cause]:
    for index, reference in enumerate(references):
        for field in ("apiVersion", "kind", "name", "uid"):
            if not reference.get(field):
                path = f"metadata.ownerReferences[{index}].{field}"
                yield invalid_value(path, "", "must not be empty")
    controllers = [one.get("name") for one in references if one.get("controller")]
    if len(controllers) > 1:
        yield invalid_value(
            "metadata.ownerReferences",
            references,
            "Only one reference can have Controller set to true. Found "
            f'"true" in references for {controllers[0]} and {controllers[1]}',
        )


def missing_name(kind: Kind) -> Exception:
    """Refuse an object with neither name nor generateName."""
    return invalid(kind, "", [required("metadata.name", "name or generateName is required")])
