"""The refusals of an API server, each with the Status body a client sees."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from e2e.bed.apiserver.kinds import Kind

MEDIA_TYPES = "the body of the request was in an unknown format - accepted media types include: "


class ApiError(Exception):
    """A refusal.

    Args:
        code: HTTP status.
        reason: Machine-readable reason of the Status body; empty for none.
        message: What a person reads.
        details: The Status body's `details`; None leaves them out.
        headers: Extra response headers, such as Retry-After.
    """

    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        details: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = details
        self.headers = dict(headers or {})

    def body(self) -> dict[str, Any]:
        """Return the Status object that goes over the wire."""
        status: dict[str, Any] = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
        }
        if self.reason:
            status["reason"] = self.reason
        if self.details is not None:
            status["details"] = dict(self.details)
        return {**status, "code": self.code}


@dataclass(frozen=True, kw_only=True, slots=True)
class Cause:
    """One field that is wrong; `field` is a path such as `spec.replicas`."""

    field: str
    message: str
    reason: str = "FieldValueInvalid"


def shown(value: Any) -> str:
    """Print a value as the API server prints it inside a message."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def invalid_value(field: str, value: Any, detail: str) -> Cause:
    """Say that a value is not allowed."""
    return Cause(field=field, message=f"Invalid value: {shown(value)}: {detail}")


def immutable(field: str, value: Any) -> Cause:
    """Say that a field may not change."""
    return invalid_value(field, value, "field is immutable")


def required(field: str, detail: str = "") -> Cause:
    """Say that a field must be set."""
    message = f"Required value: {detail}" if detail else "Required value"
    return Cause(field=field, message=message, reason="FieldValueRequired")


def forbidden_field(field: str, detail: str) -> Cause:
    """Say that a field must not be set."""
    return Cause(field=field, message=f"Forbidden: {detail}", reason="FieldValueForbidden")


def duplicate(field: str, value: Any) -> Cause:
    """Say that a value occurs twice."""
    return Cause(
        field=field, message=f"Duplicate value: {shown(value)}", reason="FieldValueDuplicate"
    )


def unsupported(field: str, value: Any, allowed: Sequence[str]) -> Cause:
    """Say that a value is none of the few that are allowed."""
    names = ", ".join(shown(name) for name in allowed)
    return Cause(
        field=field,
        message=f"Unsupported value: {shown(value)}: supported values: {names}",
        reason="FieldValueNotSupported",
    )


def too_long(field: str, limit: int) -> Cause:
    """Say that a value has more bytes than allowed."""
    return Cause(
        field=field,
        message=f"Too long: may not be more than {limit} bytes",
        reason="FieldValueTooLong",
    )


def invalid(kind: Kind, name: str, causes: Sequence[Cause]) -> ApiError:
    """Refuse an object with 422 and every cause, each once."""
    causes = list(dict.fromkeys(causes))
    told = [f"{cause.field}: {cause.message}" for cause in causes]
    text = told[0] if len(told) == 1 else f"[{', '.join(told)}]"
    details = {
        "name": name,
        "group": kind.group,
        "kind": kind.kind,
        "causes": [
            {"reason": cause.reason, "message": cause.message, "field": cause.field}
            for cause in causes
        ],
    }
    return ApiError(
        422, "Invalid", f'{kind.kind_group} "{name}" is invalid: {text}', _without_empty(details)
    )


def unprocessable() -> ApiError:
    """Refuse a patch that does not fit the object: a 422 that tells nothing."""
    return ApiError(
        422, "Invalid", "the server rejected our request due to an error in our request", {}
    )


def bad_request(message: str) -> ApiError:
    """Refuse a request that cannot be understood."""
    return ApiError(400, "BadRequest", message)


def not_found(kind: Kind, name: str) -> ApiError:
    """Say that an object does not exist."""
    return ApiError(404, "NotFound", f'{kind.resource} "{name}" not found', _about(kind, name))


def no_such_path() -> ApiError:
    """Say that a path is served by nobody."""
    return ApiError(404, "NotFound", "the server could not find the requested resource", {})


def already_exists(kind: Kind, name: str) -> ApiError:
    """Say that the name is taken."""
    return ApiError(
        409, "AlreadyExists", f'{kind.resource} "{name}" already exists', _about(kind, name)
    )


def conflict(kind: Kind, name: str, why: str) -> ApiError:
    """Refuse a write that was made against another version of the object."""
    message = f'Operation cannot be fulfilled on {kind.resource} "{name}": {why}'
    return ApiError(409, "Conflict", message, _about(kind, name))


def forbidden(kind: Kind, name: str, why: str, causes: Sequence[Cause] = ()) -> ApiError:
    """Refuse with 403."""
    details = _about(kind, name)
    if causes:
        details["causes"] = [
            {"reason": cause.reason, "message": cause.message, "field": cause.field}
            for cause in causes
        ]
    return ApiError(403, "Forbidden", f'{kind.resource} "{name}" is forbidden: {why}', details)


def expired(message: str) -> ApiError:
    """Say that a version or a continue token is too old."""
    return ApiError(410, "Expired", message)


def no_version(text: str) -> ApiError:
    """Say that a version is no number: a mistake of the client that is told as the server's own."""
    wrong = f'strconv.ParseUint: parsing "{text}": invalid syntax'
    return ApiError(500, "", f'resourceVersion: Invalid value: "{text}": {wrong}')


def unsupported_media_type(accepted: Sequence[str]) -> ApiError:
    """Refuse the format of a request body."""
    return ApiError(415, "UnsupportedMediaType", MEDIA_TYPES + ", ".join(accepted))


def throttled(retry_after_seconds: int) -> ApiError:
    """Refuse with 429 and the time after which to come again."""
    return ApiError(
        429,
        "TooManyRequests",
        "the server has received too many requests and has asked us to try again later",
        {"retryAfterSeconds": retry_after_seconds},
        {"Retry-After": str(retry_after_seconds)},
    )


def _about(kind: Kind, name: str) -> dict[str, Any]:
    return _without_empty({"name": name, "group": kind.group, "kind": kind.plural})


def _without_empty(details: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in details.items() if value != ""}
