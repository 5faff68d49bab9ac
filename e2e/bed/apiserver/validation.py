"""What makes an object invalid, whatever its kind: names, labels, annotations, owners."""

import re
from collections.abc import Iterator, Sequence

from e2e.bed.apiserver.errors import (
    Cause,
    forbidden_field,
    immutable,
    invalid,
    invalid_value,
    required,
    shown,
    too_long,
)
from e2e.bed.apiserver.kind_rules import causes_before_all, causes_for, causes_for_change
from e2e.bed.apiserver.kinds import Kind
from e2e.bed.apiserver.name_rules import (
    LABEL,
    LABEL_RULE,
    QUALIFIED,
    SUBDOMAIN,
    SUBDOMAIN_RULE,
)
from e2e.bed.apiserver.trees import JsonObject

ANNOTATIONS_LIMIT_BYTES = 256 * 1024

_VALUE = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?")
_PATH_NAME = re.compile(r"(?!\.\.?$)[^/%]+")

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
_LOOKED_AT_LAST = frozenset({"PodDisruptionBudget"})
"""Kinds of which a new object's metadata is only looked at where nothing else is wrong."""
_LENIENT = frozenset({"Lease", "PodDisruptionBudget"})
"""Kinds whose finalizers may be bare names."""
_BARE_FINALIZERS = frozenset({"foregroundDeletion", "kubernetes", "orphan"})


def check(
    kind: Kind, new: JsonObject, old: JsonObject | None, part: str = "", more: Sequence[Cause] = ()
) -> None:
    """Refuse an invalid object.

    Args:
        kind: Its kind.
        new: The object as it would be stored.
        old: The stored one; None for a creation.
        part: The subresource that is written.
        more: What else was found to be wrong.

    Raises:
        ApiError: 422 with every cause.
    """
    meta = new["metadata"]
    own = [*more]
    if not kind.custom:
        if first := causes_before_all(kind, new):
            raise invalid(kind, meta["name"], first)
        own += causes_for(kind, new, old, part)
        own += [] if old is None else causes_for_change(kind, new, old)
    causes = [*_name_causes(kind, meta)] if old is None else [*_kept_name_causes(new, old)]
    is_looked_at = meta != old["metadata"] if old else kind.kind not in _LOOKED_AT_LAST or not own
    if is_looked_at:
        causes += _metadata_causes(meta, is_strict=kind.kind not in _LENIENT)
    causes += own
    if causes:
        raise invalid(kind, meta["name"], causes)


def _name_causes(kind: Kind, meta: JsonObject) -> Iterator[Cause]:
    name = meta["name"]
    if kind.group == _RBAC_GROUP:
        pattern, rule, limit = _PATH_NAME, "may not contain '/' or '%'", 253
    elif kind.kind in ("Namespace", "Service"):
        pattern, rule, limit = LABEL, LABEL_RULE, 63
    else:
        pattern, rule, limit = SUBDOMAIN, SUBDOMAIN_RULE, 253
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


def _metadata_causes(meta: JsonObject, *, is_strict: bool) -> Iterator[Cause]:
    yield from label_causes("metadata.labels", meta.get("labels") or {})
    annotations = meta.get("annotations") or {}
    for key in annotations:
        if not QUALIFIED.fullmatch(key.lower()):
            yield invalid_value("metadata.annotations", key, _QUALIFIED_RULE)
    size = sum(len(key.encode()) + len(value.encode()) for key, value in annotations.items())
    if size > ANNOTATIONS_LIMIT_BYTES:
        yield too_long("metadata.annotations", ANNOTATIONS_LIMIT_BYTES)
    yield from _owner_causes(meta.get("ownerReferences") or [])
    for index, name in enumerate(meta.get("finalizers") or []):
        if not QUALIFIED.fullmatch(name):
            yield invalid_value("metadata.finalizers", name, _QUALIFIED_RULE)
        if is_strict and "/" not in name and name not in _BARE_FINALIZERS:
            yield invalid_value(
                f"metadata.finalizers[{index}]",
                name,
                "name is neither a standard finalizer name nor is it fully qualified",
            )


def label_causes(field: str, labels: JsonObject) -> Iterator[Cause]:
    """Yield what is wrong with a map of labels."""
    for key, value in labels.items():
        if not QUALIFIED.fullmatch(key):
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
                yield required(path, "must not be empty")
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
