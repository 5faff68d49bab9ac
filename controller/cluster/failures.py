"""Which error an answer of the API server is: one class per thing the caller can do."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from controller.api.errors import (
    ClusterError,
    ConflictError,
    ForbiddenError,
    GoneError,
    NotFoundError,
    RejectedError,
    ThrottledError,
    UnavailableError,
)

PATIENCE_SECONDS = 1.0
"""How long to wait where 429 names no time."""

DENIALS = ("admission webhook", "ValidatingAdmissionPolicy")
"""What the server's message holds when an admission rule said no, whatever its code is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """An answer that is not what was asked for.

    Attributes:
        action: the verb and the object, for the message.
        verb: the API's verb: get, list, watch, create, update, patch, delete.
        code: the HTTP status, or `code` of a Status that came in a watch.
        status: the Status object, empty where the body was none.
        retry_after: seconds of the Retry-After header; None without one.
    """

    action: str
    verb: str
    code: int
    status: Mapping[str, Any] = field(default_factory=dict)
    retry_after: float | None = None

    @property
    def message(self) -> str:
        """Say who asked what and what the server said."""
        said = self.status.get("message") or "no reason given"
        reason = self.status.get("reason")
        return f"{self.action}: {self.code}{f' {reason}' if reason else ''}: {said}"

    @property
    def causes(self) -> Sequence[Any]:
        """Return `details.causes`."""
        details = self.status.get("details")
        causes = details.get("causes") if isinstance(details, Mapping) else None
        return causes if isinstance(causes, Sequence) else ()

    @property
    def is_denial(self) -> bool:
        """Tell whether an admission rule refused the request.

        A ValidatingAdmissionPolicy answers 422 unless it names another reason, a webhook 400 or
        whatever it likes (Kubernetes reference: Dynamic Admission Control, Response).
        """
        said = str(self.status.get("message") or "")
        return 400 <= self.code < 500 and any(word in said for word in DENIALS)


def status_of_body(body: bytes) -> Mapping[str, Any]:
    """Read a Status; anything else becomes a Status whose message is the start of the body."""
    try:
        value = json.loads(body)
    except ValueError:
        value = None
    if isinstance(value, dict):
        return value
    text = body[:200].decode(errors="replace").strip()
    return {"message": text} if text else {}


def seconds_of(header: str | None) -> float | None:
    """Read a Retry-After header; the API server only sends whole seconds."""
    if header is None or not header.strip().isdecimal():
        return None
    return float(header)


def error_of(refusal: Refusal) -> ClusterError:
    """Return the error to raise for a refusal (house.md section 3, bed.md 2.1)."""
    if refusal.is_denial:
        return ForbiddenError(refusal.message)
    if refusal.code >= 500 or refusal.code < 400:
        return _server_error(refusal)
    return _BY_CODE.get(refusal.code, _rejected)(refusal)


def error_of_event(action: str, status: Mapping[str, Any]) -> ClusterError:
    """Return the error for the Status of an ERROR event in a watch."""
    code = status.get("code")
    return error_of(
        Refusal(
            action=action, verb="watch", code=code if isinstance(code, int) else 500, status=status
        )
    )


def _server_error(refusal: Refusal) -> ClusterError:
    if refusal.code == 503 and refusal.retry_after is not None:
        return ThrottledError(refusal.message, refusal.retry_after)
    return UnavailableError(refusal.message)


def _conflict(refusal: Refusal) -> ClusterError:
    """A delete says which state of which object it means: its 409 says that it is another now."""
    kind = GoneError if refusal.verb == "delete" else ConflictError
    return kind(refusal.message)


def _unprocessable(refusal: Refusal) -> ClusterError:
    """Tell the three kinds of 422 apart.

    A failed `test` of a JSON Patch is a bare one; `metadata.uid` is immutable, so a cause that
    names it says that the object was replaced; the rest is a fault in what was sent.
    """
    fields = {cause.get("field") for cause in refusal.causes if isinstance(cause, Mapping)}
    if "metadata.uid" in fields:
        return GoneError(refusal.message)
    if refusal.verb == "patch" and not refusal.causes:
        return ConflictError(refusal.message)
    return RejectedError(refusal.message)


def _rejected(refusal: Refusal) -> ClusterError:
    return RejectedError(refusal.message)


def _throttled(refusal: Refusal) -> ClusterError:
    wait = PATIENCE_SECONDS if refusal.retry_after is None else refusal.retry_after
    return ThrottledError(refusal.message, wait)


_BY_CODE: Mapping[int, Callable[[Refusal], ClusterError]] = {
    401: lambda it: ForbiddenError(it.message),
    403: lambda it: ForbiddenError(it.message),
    404: lambda it: NotFoundError(it.message),
    408: lambda it: UnavailableError(it.message),
    409: _conflict,
    410: lambda it: GoneError(it.message),
    422: _unprocessable,
    429: _throttled,
}
