"""One HTTP request as the API understands it, and the log of those that came."""

import json
import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

import yaml

from e2e.bed.apiserver.errors import (
    ApiError,
    bad_request,
    invalid,
    no_such_path,
    unsupported,
    unsupported_media_type,
)
from e2e.bed.apiserver.kinds import Kind, KindTable
from e2e.bed.apiserver.protobuf import MEDIA_TYPE, NotDecodableError, decode
from e2e.bed.apiserver.texts import operations_of
from e2e.bed.apiserver.trees import JsonObject

PATCH_TYPES = {
    "application/json-patch+json": "json",
    "application/merge-patch+json": "merge",
    "application/strategic-merge-patch+json": "strategic",
    "application/apply-patch+yaml": "apply",
}
_OPTIONS = {"POST": "CreateOptions", "PUT": "UpdateOptions", "PATCH": "PatchOptions"}
BODY_TYPES = ("application/json", "application/yaml", MEDIA_TYPE)
_TRUE = ("1", "true")


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """A request for an object or a collection.

    Attributes:
        agent: The client's User-Agent.
        token: The bearer token, empty for none.
        content_type: Without parameters.
        name: Empty for a collection.
    """

    method: str
    path: str
    query: Mapping[str, str]
    agent: str
    token: str
    accept: str
    content_type: str
    kind: Kind
    namespace: str
    name: str
    subresource: str

    @property
    def dry_run(self) -> bool:
        """Whether nothing is to be stored."""
        return self.query.get("dryRun") == "All"

    def check_options(self) -> None:
        """Refuse options of a write that there are not.

        Raises:
            ApiError: 422.
        """
        asked = self.query.get("dryRun")
        if asked not in (None, "", "All"):
            sort = _OPTIONS.get(self.method, "DeleteOptions")
            options = Kind(group="meta.k8s.io", kind=sort, plural=sort.lower())
            raise invalid(options, "", [unsupported("dryRun", [asked], ["All"])])

    @property
    def watches(self) -> bool:
        """Whether the answer is a stream of events."""
        return self.method == "GET" and self.query.get("watch", "").lower() in _TRUE

    @property
    def verb(self) -> str:
        """The verb as roles name it: `get`, `list`, `watch`, `create`, ..."""
        if self.method == "GET":
            return "watch" if self.watches else "get" if self.name else "list"
        if self.method == "DELETE":
            return "delete" if self.name else "deletecollection"
        return {"POST": "create", "PUT": "update", "PATCH": "patch"}.get(self.method, "")

    def flag(self, name: str) -> bool:
        """Return a query parameter that is true or false."""
        return self.query.get(name, "").lower() in _TRUE

    @property
    def wanted_form(self) -> str:
        """Which representation the client likes best: `Table`, `PartialObjectMetadata` or ``."""
        first = self.accept.split(",", 1)[0]
        for form in ("Table", "PartialObjectMetadata"):
            if f"as={form}" in first:
                return form
        return ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where a URL points to."""

    kind: Kind
    namespace: str
    name: str
    subresource: str


def place_of(kinds: KindTable, path: str) -> Place:
    """Read a URL path below `/api/v1` or `/apis/GROUP/VERSION`.

    Raises:
        ApiError: 404, nothing is served there.
    """
    parts = path.strip("/").split("/")
    group, version, rest = ("", parts[1], parts[2:]) if parts[0] == "api" else _grouped(parts)
    namespace = ""
    if len(rest) > 2 and rest[0] == "namespaces" and rest[2] not in ("status", "finalize"):
        namespace, rest = rest[1], rest[2:]
    kind = kinds.served_at(group, version, rest[0]) if rest else None
    name, part = [*rest[1:], "", ""][:2]
    if kind is None or len(rest) > 3 or not _has_part(kind, part):
        raise no_such_path()
    return Place(kind=kind, namespace=namespace, name=name, subresource=part)


def _grouped(parts: list[str]) -> tuple[str, str, list[str]]:
    if parts[0] != "apis" or len(parts) < 4:
        raise no_such_path()
    return parts[1], parts[2], parts[3:]


def _has_part(kind: Kind, part: str) -> bool:
    match part:
        case "":
            return True
        case "status":
            return kind.status
        case "scale":
            return kind.scale
        case "binding" | "eviction":
            return kind.kind == "Pod"
        case _:
            return part == "finalize" and kind.kind == "Namespace"


class _Loader(yaml.CSafeLoader if hasattr(yaml, "CSafeLoader") else yaml.SafeLoader):  # type: ignore[misc]
    """YAML in which `y` and `n` are booleans too, and times stay text."""

    bool_values: ClassVar = {**yaml.SafeLoader.bool_values, "y": True, "n": False}
    yaml_implicit_resolvers: ClassVar = {
        letter: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":timestamp")]
        for letter, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"[yYnN]$"), list("yYnN"))


def _from_yaml(raw: bytes) -> Any:
    """Decode YAML into what JSON can say: the keys of maps are texts."""
    return _with_text_keys(yaml.load(raw, Loader=_Loader))


def _with_text_keys(value: Any) -> Any:
    if isinstance(value, list):
        return [_with_text_keys(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key if isinstance(key, str) else json.dumps(key): _with_text_keys(child)
        for key, child in value.items()
    }


def patch_type_of(call: Call) -> str:
    """Return which patch a request brings.

    Raises:
        ApiError: 415.
    """
    accepted = [one for one in PATCH_TYPES if not (call.kind.custom and "strategic" in one)]
    if call.content_type not in accepted:
        raise unsupported_media_type(accepted)
    return PATCH_TYPES[call.content_type]


def patch_body(raw: bytes, patch_type: str) -> Any:
    """Decode a patch.

    Raises:
        ApiError: 400.
    """
    try:
        return operations_of(raw) if patch_type == "json" else json.loads(raw)
    except ValueError as error:
        if patch_type != "apply":
            raise bad_request(f"error decoding patch: {error}") from error
    try:
        return _from_yaml(raw)
    except yaml.YAMLError as error:
        raise bad_request(f"error decoding YAML: {error}") from error


def object_body(raw: bytes, content_type: str) -> JsonObject:
    """Decode the object of a POST or a PUT.

    Raises:
        ApiError: 400 or 415.
    """
    if content_type not in (*BODY_TYPES, "application/octet-stream", ""):
        raise unsupported_media_type(BODY_TYPES)
    try:
        body = _decoded(raw, content_type)
    except NotDecodableError as error:
        raise unsupported_media_type(BODY_TYPES[:2]) from error
    except (ValueError, yaml.YAMLError) as error:
        raise bad_request(f"the object provided is unrecognized: {error}") from error
    if body is not None and not isinstance(body, dict):
        raise bad_request("the object provided is unrecognized (must be of type Object)")
    return body or {}


def _decoded(raw: bytes, content_type: str) -> Any:
    if content_type == MEDIA_TYPE:
        return decode(raw)
    if content_type == "application/yaml":
        return _from_yaml(raw)
    return json.loads(raw)


@dataclass(frozen=True, kw_only=True, slots=True)
class LoggedRequest:
    """One request that was answered; a watch is logged when it starts.

    Attributes:
        at: Seconds since the epoch at which it came.
        seconds: How long it took.
        path: Without the query.
        status: The HTTP status.
    """

    at: float
    seconds: float
    method: str
    path: str
    query: Mapping[str, str]
    agent: str
    content_type: str
    status: int

    @property
    def writes(self) -> bool:
        """Whether it asked for a change that was to be stored."""
        return self.method != "GET" and self.query.get("dryRun") != "All"


class RequestLog:
    """The last requests, oldest first.

    Args:
        limit: How many are kept.
    """

    def __init__(self, limit: int = 100_000) -> None:
        self._requests: deque[LoggedRequest] = deque(maxlen=limit)

    def add(self, request: LoggedRequest) -> None:
        """Note a request."""
        self._requests.append(request)

    def clear(self) -> None:
        """Forget all of them."""
        self._requests.clear()

    def __iter__(self) -> Iterator[LoggedRequest]:
        return iter(tuple(self._requests))

    def __len__(self) -> int:
        return len(self._requests)

    def of(self, agent: str) -> list[LoggedRequest]:
        """Return the requests of clients whose User-Agent starts so."""
        return [request for request in self if request.agent.startswith(agent)]


Fault: TypeAlias = Callable[[Call], ApiError | float | None]
"""Looks at a call and answers an error to return, seconds to wait, or None."""
