"""What a typed server makes of an object of a built-in kind: known fields, of their types."""

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, NamedTuple, TypeAlias

from e2e.bed.apiserver.errors import ApiError, bad_request
from e2e.bed.apiserver.fields import METADATA, Field, Struct, struct, type_of
from e2e.bed.apiserver.kinds import Kind
from e2e.bed.apiserver.quantities import canonical
from e2e.bed.apiserver.trees import JsonObject, clone, seconds_of

FALSE_DROPPED = frozenset(
    {
        "hostIPC",
        "hostNetwork",
        "hostPID",
        "paused",
        "publishNotReadyAddresses",
        "readOnly",
        "stdin",
        "stdinOnce",
        "tty",
        "unschedulable",
    }
)
"""Booleans of which a server cannot tell false from absence; of all others it can."""
ZERO_DROPPED = frozenset(
    {
        "DeploymentStatus.replicas",
        "availableReplicas",
        "count",
        "currentReplicas",
        "failureThreshold",
        "fullyLabeledReplicas",
        "generation",
        "healthCheckNodePort",
        "hostPort",
        "initialDelaySeconds",
        "minReadySeconds",
        "nodePort",
        "number",
        "observedGeneration",
        "periodSeconds",
        "readyReplicas",
        "successThreshold",
        "timeoutSeconds",
        "unavailableReplicas",
        "updatedReplicas",
    }
)
"""The same for numbers; `replicas` and the like are told apart."""
EMPTY_KEPT = frozenset(
    {
        "apiGroup",
        "appProtocol",
        "holderIdentity",
        "ingressClassName",
        "internalTrafficPolicy",
        "loadBalancerClass",
        "pathType",
        "preferredHolder",
        "runtimeClassName",
    }
)
"""Texts of which a server can tell empty from absence."""
Place: TypeAlias = str
"""A path as messages of the decoder show it: `Deployment.spec.replicas`."""
Read: TypeAlias = Callable[[Any], Any]
"""Reads what lies at one place."""


class WrongTypeError(Exception):
    """A value is not of its field's type; the message is the decoder's."""


def typed(kind: Kind, obj: JsonObject) -> JsonObject:
    """Copy an object as a typed server keeps it: what it does not know is dropped.

    Raises:
        ApiError: 400, a value is of another type than its field.
    """
    name = type_of(kind.kind, kind.group)
    known = None if kind.custom or name is None else struct(name)
    try:
        return _free(obj) if name is None or known is None else _reader(name, kind.kind)(obj)
    except WrongTypeError as error:
        raise _refused(kind, str(error)) from error


def check_declared(kind: Kind, config: JsonObject) -> None:
    """Refuse an applied configuration with a field that its kind has not.

    Raises:
        ApiError: 500, as the server answers there.
    """
    name = type_of(kind.kind, kind.group)
    known = None if kind.custom or name is None else struct(name)
    if known is None:
        return
    try:
        _declared(known, config, "")
    except WrongTypeError as error:
        about = f"{config.get('metadata', {}).get('namespace', '')}/{config['metadata']['name']}"
        message = f"failed to create typed patch object ({about}; {kind.api_version}, Kind="
        raise ApiError(500, "", f"{message}{kind.kind}): {error}") from error


def _declared(known: Struct, value: Any, place: Place) -> None:
    if value is None:
        return
    if not isinstance(value, dict):
        raise WrongTypeError(f"{place}: expected map, got {value!r}")
    for name, child in value.items():
        field = known.fields.get(name)
        if field is None:
            raise WrongTypeError(f"{place}.{name}: field not declared in schema")
        if child is not None:
            _declared_field(field, child, f"{place}.{name}")


def _declared_field(field: Field, value: Any, place: Place) -> None:
    known = struct(field.type)
    for part in _parts(field, value, place):
        if known is not None:
            _declared(known, part, place)
        elif part is not None and field.type in _STRICT:
            _READERS[field.type](place, part)


def _parts(field: Field, value: Any, place: Place) -> Sequence[Any]:
    """Return the values of a field: its items, its members, or the one there is."""
    if field.sort == "one":
        return [value]
    if field.sort == "map" and isinstance(value, dict):
        return list(value.values())
    if field.sort == "map" or not isinstance(value, list):
        raise WrongTypeError(f"{place}: expected {field.sort}, got {value!r}")
    if field.keys:
        _check_keys(field, value, place)
    return value


def _check_keys(field: Field, items: Sequence[Any], place: Place) -> None:
    """Refuse two items of a list that have the same keys."""
    known = struct(field.type)
    assert known is not None
    assert field.keys is not None
    seen = set()
    for item in items:
        key = tuple(str((item or {}).get(name, known.fields[name].empty)) for name in field.keys)
        if key in seen:
            raise WrongTypeError(f"{place}: duplicate entries for key {list(key)}")
        seen.add(key)


def _free(obj: JsonObject) -> JsonObject:
    """Copy an object of which only the metadata has known fields."""
    copied: JsonObject = clone({key: obj[key] for key in obj if key != "metadata"})
    return {**copied, "metadata": _reader(METADATA, "ObjectMeta")(obj.get("metadata") or {})}


def _refused(kind: Kind, why: str) -> ApiError:
    return bad_request(
        f'{kind.kind} in version "{kind.version}" cannot be handled as a {kind.kind}: {why}'
    )


class _Member(NamedTuple):
    """One field of a struct at a place.

    Attributes:
        plain: Values of exactly this type are taken as they are, all others are read.
    """

    plain: type | None
    read: Read


@dataclass(frozen=True, kw_only=True, slots=True)
class _Plan:
    """A struct at a place, as it is read.

    Attributes:
        members: By name.
        empties: The fields that are there even when empty, with what they are then.
    """

    known: Struct
    place: Place
    members: Mapping[str, _Member]
    empties: Sequence[tuple[str, Any]]


@cache
def _reader(name: str, place: Place) -> Read:
    """Return what reads values of a type; it is put together once for each place."""
    known = struct(name)
    if known is not None:
        return partial(_struct, _plan(known, place))
    read = _READERS.get(name)
    return _taken if read is None else partial(read, place)


def _plan(known: Struct, place: Place) -> _Plan:
    members = {name: _member(field, f"{place}.{name}") for name, field in known.fields.items()}
    empties = [
        (name, members[name].read({}) if struct(known.fields[name].type) else empty)
        for name, empty in known.empties
    ]
    return _Plan(known=known, place=place, members=members, empties=empties)


def _struct(plan: _Plan, value: Any) -> JsonObject:
    if value is None:
        value = {}
    if not isinstance(value, dict):
        raise _unmarshal(value, plan.place, "struct")
    kept: JsonObject = {}
    members = plan.members
    for name, child in value.items():
        member = members.get(name)
        if member is None or child is None:
            continue
        part = child if type(child) is member.plain else member.read(child)
        if part or not _is_dropped(plan.known, name, part):
            kept[name] = part
    for name, empty in plan.empties:
        if name not in kept:
            kept[name] = clone(empty)
    return kept


def _is_dropped(known: Struct, name: str, value: Any) -> bool:
    """Say whether a typed server takes a value that is false, zero or empty for absent."""
    if known.fields[name].is_kept:
        return False
    if value is False:
        return name in FALSE_DROPPED
    if value == "":
        return name not in EMPTY_KEPT
    if value == 0:
        return name in ZERO_DROPPED or f"{known.name}.{name}" in ZERO_DROPPED
    return isinstance(value, list)


def _member(field: Field, place: Place) -> _Member:
    plain, read = _PLAIN.get(field.type), _reader(field.type, place)
    if field.sort == "list":
        return _Member(None, partial(_list, plain, read, f"[]{field.type}", place))
    if field.sort == "map":
        return _Member(None, partial(_map, plain, read, f"map[string]{field.type}", place))
    return _Member(plain, read)


def _list(plain: type | None, read: Read, wanted: str, place: Place, value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise _unmarshal(value, place, wanted)
    return [item if type(item) is plain else read(item) for item in value]


def _map(plain: type | None, read: Read, wanted: str, place: Place, value: Any) -> JsonObject:
    if not isinstance(value, dict):
        raise _unmarshal(value, place, wanted)
    return {key: child if type(child) is plain else read(child) for key, child in value.items()}


def _taken(value: Any) -> Any:
    return value


def _text(place: Place, value: Any) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _unmarshal(value, place, "string")
    return value


def _bool(place: Place, value: Any) -> bool:
    if not isinstance(value, bool):
        raise _unmarshal(value, place, "bool")
    return value


def _integer(place: Place, value: Any) -> int:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise _unmarshal(value, place, "int32")
    return value


def _integer_or_text(place: Place, value: Any) -> int | str:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise _unmarshal(value, place, "intstr.IntOrString")
    return value


def _time(place: Place, value: Any) -> str:
    text = _text(place, value)
    try:
        seconds_of(text)
    except ValueError as error:
        raise WrongTypeError(f'parsing time "{text}" as a time: cannot parse it') from error
    return text


def _micro_time(place: Place, value: Any) -> str:
    text = _time(place, value)
    if "." not in text:
        raise WrongTypeError(f'parsing time "{text}" as a time with microseconds')
    return text


def _bytes(place: Place, value: Any) -> str:
    text = _text(place, value)
    try:
        base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise WrongTypeError("illegal base64 data") from error
    return text


def _quantity(_: Place, value: Any) -> str:
    try:
        return canonical(value)
    except ValueError as error:
        raise WrongTypeError(str(error)) from error


def _unmarshal(value: Any, place: Place, wanted: str) -> WrongTypeError:
    words = {bool: "bool", int: "number", float: "number", str: "string", list: "array"}
    word = words.get(type(value), "object")
    return WrongTypeError(
        f"json: cannot unmarshal {word} into Go struct field {place} of type {wanted}"
    )


_READERS: Mapping[str, Callable[[Place, Any], Any]] = {
    "bool": _bool,
    "bytes": _bytes,
    "int-or-string": _integer_or_text,
    "int32": _integer,
    "int64": _integer,
    "microtime": _micro_time,
    "quantity": _quantity,
    "string": _text,
    "time": _time,
}
_STRICT = frozenset({"bool", "int32", "int64", "string"})
"""The types that an applied configuration is held to before it is merged."""
_PLAIN: Mapping[str, type] = {"bool": bool, "int32": int, "int64": int, "string": str}
"""The types whose readers change nothing, and what they take as it is."""
