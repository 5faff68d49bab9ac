"""The Kubernetes protobuf envelope, decoded for the kinds that clients insist on sending so.

kubectl's typed commands and Traefik's status write send protobuf and do not try again in JSON.
Only the fields they set are in the tables; others are skipped.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from e2e.bed.apiserver.trees import JsonObject, stamp

MEDIA_TYPE = "application/vnd.kubernetes.protobuf"
_MAGIC = b"k8s\0"


class NotDecodableError(ValueError):
    """The bytes are no envelope, or of a kind that is not in the tables."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Field:
    """One field of a message.

    Attributes:
        name: The JSON name; empty merges a nested message into its parent.
        sort: `text`, `number`, `flag`, `map`, `time`, `either` (int or string), `quantities`
            or `message`.
        repeated: Whether it is a list.
        message: The fields of a nested message.
    """

    name: str
    sort: str = "text"
    repeated: bool = False
    message: Mapping[int, "Field"] = field(default_factory=dict)


Message: TypeAlias = Mapping[int, Field]


def _text(name: str) -> Field:
    return Field(name=name)


def _texts(name: str) -> Field:
    return Field(name=name, repeated=True)


def _number(name: str) -> Field:
    return Field(name=name, sort="number")


def _map(name: str) -> Field:
    return Field(name=name, sort="map")


def _either(name: str) -> Field:
    return Field(name=name, sort="either")


def _one(name: str, message: Message) -> Field:
    return Field(name=name, sort="message", message=message)


def _many(name: str, message: Message) -> Field:
    return Field(name=name, sort="message", repeated=True, message=message)


_OWNER: Message = {
    5: _text("apiVersion"),
    1: _text("kind"),
    3: _text("name"),
    4: _text("uid"),
    6: Field(name="controller", sort="flag"),
    7: Field(name="blockOwnerDeletion", sort="flag"),
}
_META: Message = {
    1: _text("name"),
    2: _text("generateName"),
    3: _text("namespace"),
    5: _text("uid"),
    6: _text("resourceVersion"),
    11: _map("labels"),
    12: _map("annotations"),
    13: _many("ownerReferences", _OWNER),
    14: _texts("finalizers"),
}
_BACKEND_SERVICE: Message = {
    1: _text("name"),
    2: _one("port", {1: _text("name"), 2: _number("number")}),
}
_BACKEND: Message = {4: _one("service", _BACKEND_SERVICE)}
_INGRESS_PATH: Message = {1: _text("path"), 3: _text("pathType"), 2: _one("backend", _BACKEND)}
_INGRESS_RULE: Message = {
    1: _text("host"),
    2: _one("", {1: _one("http", {1: _many("paths", _INGRESS_PATH)})}),
}
_LOAD_BALANCER: Message = {
    1: _one("loadBalancer", {1: _many("ingress", {1: _text("ip"), 2: _text("hostname")})})
}
_INGRESS_SPEC: Message = {
    1: _one("defaultBackend", _BACKEND),
    2: _many("tls", {1: _texts("hosts"), 2: _text("secretName")}),
    3: _many("rules", _INGRESS_RULE),
    4: _text("ingressClassName"),
}
_EXPRESSION: Message = {1: _text("key"), 2: _text("operator"), 3: _texts("values")}
_LABEL_SELECTOR: Message = {1: _map("matchLabels"), 2: _many("matchExpressions", _EXPRESSION)}
_CONTAINER: Message = {
    1: _text("name"),
    2: _text("image"),
    3: _texts("command"),
    4: _texts("args"),
    6: _many("ports", {1: _text("name"), 3: _number("containerPort"), 4: _text("protocol")}),
    7: _many("env", {1: _text("name"), 2: _text("value")}),
}
_POD_SPEC: Message = {
    2: _many("containers", _CONTAINER),
    3: _text("restartPolicy"),
    8: _text("serviceAccountName"),
    10: _text("nodeName"),
}
_TEMPLATE: Message = {1: _one("metadata", _META), 2: _one("spec", _POD_SPEC)}
_DEPLOYMENT_SPEC: Message = {
    1: _number("replicas"),
    2: _one("selector", _LABEL_SELECTOR),
    3: _one("template", _TEMPLATE),
}
_SERVICE_PORT: Message = {
    1: _text("name"),
    2: _text("protocol"),
    3: _number("port"),
    4: _either("targetPort"),
    5: _number("nodePort"),
}
_SERVICE_SPEC: Message = {
    1: _many("ports", _SERVICE_PORT),
    2: _map("selector"),
    3: _text("clusterIP"),
    4: _text("type"),
    10: _text("externalName"),
}
_BUDGET_SPEC: Message = {
    1: _either("minAvailable"),
    2: _one("selector", _LABEL_SELECTOR),
    3: _either("maxUnavailable"),
}
_ACCESS: Message = {
    1: _one(
        "resourceAttributes",
        {
            1: _text("namespace"),
            2: _text("verb"),
            3: _text("group"),
            4: _text("version"),
            5: _text("resource"),
            6: _text("subresource"),
            7: _text("name"),
        },
    ),
    2: _one("nonResourceAttributes", {1: _text("path"), 2: _text("verb")}),
}
_DELETE: Message = {
    1: _number("gracePeriodSeconds"),
    2: _one("preconditions", {1: _text("uid"), 2: _text("resourceVersion")}),
    4: _text("propagationPolicy"),
    5: _texts("dryRun"),
}
_LEASE_SPEC: Message = {
    1: _text("holderIdentity"),
    2: _number("leaseDurationSeconds"),
    3: Field(name="acquireTime", sort="time"),
    4: Field(name="renewTime", sort="time"),
    5: _number("leaseTransitions"),
}
_CROSS_REFERENCE: Message = {1: _text("kind"), 2: _text("name"), 3: _text("apiVersion")}
_METRIC_TARGET: Message = {1: _text("type"), 4: _number("averageUtilization")}
_METRIC: Message = {
    1: _text("type"),
    4: _one("resource", {1: _text("name"), 2: _one("target", _METRIC_TARGET)}),
}
_AUTOSCALER_SPEC: Message = {
    1: _one("scaleTargetRef", _CROSS_REFERENCE),
    2: _number("minReplicas"),
    3: _number("maxReplicas"),
    4: _many("metrics", _METRIC),
}


def _object(*, spec: Message | None = None, status: Message | None = None) -> Message:
    fields: dict[int, Field] = {1: _one("metadata", _META)}
    if spec is not None:
        fields[2] = _one("spec", spec)
    if status is not None:
        fields[3] = _one("status", status)
    return fields


_MESSAGES: dict[str, Message] = {
    "ConfigMap": {**_object(), 2: _map("data")},
    "DeleteOptions": _DELETE,
    "Deployment": _object(spec=_DEPLOYMENT_SPEC),
    "Eviction": {1: _one("metadata", _META), 2: _one("deleteOptions", _DELETE)},
    "HorizontalPodAutoscaler": _object(spec=_AUTOSCALER_SPEC),
    "Ingress": _object(spec=_INGRESS_SPEC, status=_LOAD_BALANCER),
    "Lease": _object(spec=_LEASE_SPEC),
    "Namespace": _object(),
    "PodDisruptionBudget": _object(spec=_BUDGET_SPEC),
    "Secret": {**_object(), 3: _text("type")},
    "SelfSubjectAccessReview": _object(spec=_ACCESS),
    "SelfSubjectReview": _object(),
    "Service": _object(spec=_SERVICE_SPEC, status=_LOAD_BALANCER),
    "ServiceAccount": _object(),
}


def decode(raw: bytes) -> JsonObject:
    """Decode an envelope into the object as JSON would carry it.

    Raises:
        NotDecodableError: It is no envelope, or of a kind not in the tables.
    """
    if not raw.startswith(_MAGIC):
        raise NotDecodableError("not the Kubernetes protobuf envelope")
    try:
        envelope = dict(_fields(raw[len(_MAGIC) :]))
        about = dict(_fields(envelope[1]))
        kind = about[2].decode()
        body = _message(envelope.get(2, b""), _MESSAGES[kind])
        return {"apiVersion": about[1].decode(), "kind": kind, **body}
    except (KeyError, IndexError, UnicodeDecodeError, AttributeError) as error:
        raise NotDecodableError(f"cannot decode {error}") from error


def _varint(raw: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = raw[at]
        number |= (byte & 127) << shift
        shift += 7
        at += 1
        if byte < 128:
            return number, at


def _fields(raw: bytes) -> Iterator[tuple[int, Any]]:
    at = 0
    while at < len(raw):
        tag, at = _varint(raw, at)
        if tag & 7 == 0:
            value: Any
            value, at = _varint(raw, at)
        elif tag & 7 == 2:
            size, at = _varint(raw, at)
            value, at = raw[at : at + size], at + size
        else:
            raise NotDecodableError(f"wire type {tag & 7}")
        yield tag >> 3, value


def _message(raw: bytes, message: Message) -> JsonObject:
    decoded: JsonObject = {}
    for number, value in _fields(raw):
        known = message.get(number)
        if known is None:
            continue
        if known.sort == "map":
            pair = dict(_fields(value))
            decoded.setdefault(known.name, {})[_string(pair.get(1))] = _string(pair.get(2))
        elif known.repeated:
            decoded.setdefault(known.name, []).append(_value(value, known))
        elif known.name == "":
            decoded.update(_message(value, known.message))
        else:
            decoded[known.name] = _value(value, known)
    return {name: value for name, value in decoded.items() if _is_set(name, value)}


def _is_set(name: str, value: Any) -> bool:
    """Go writes every plain field; a zero stands for absence, but not in these counts."""
    if name in ("replicas", "minReplicas", "leaseTransitions", "gracePeriodSeconds"):
        return True
    return value not in ("", 0) and not (name in ("port", "defaultBackend") and value == {})


def _value(value: Any, known: Field) -> Any:
    match known.sort:
        case "number":
            return value
        case "flag":
            return bool(value)
        case "message":
            return _message(value, known.message)
        case "either":
            parts = dict(_fields(value))
            return _string(parts.get(3)) if parts.get(1) else parts.get(2, 0)
        case "time":
            return stamp(dict(_fields(value)).get(1, 0))
        case _:
            return _string(value)


def _string(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else ""
