"""Simple faults of the API server, as data: which calls fail, how, and how often."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from e2e.bed.apiserver.calls import Call
from e2e.bed.apiserver.errors import ApiError

_REASONS = {
    400: "BadRequest",
    403: "Forbidden",
    409: "Conflict",
    410: "Expired",
    422: "Invalid",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServiceUnavailable",
    504: "Timeout",
}


@dataclass(kw_only=True, slots=True)
class PlannedFault:
    """Calls that fail or are slow; an empty word matches every call.

    Attributes:
        agent: How the client's User-Agent begins.
        verb: `get`, `list`, `watch`, `create`, `update`, `patch` or `delete`.
        kind: The plural.
        name: Of the object.
        status: What is answered; 0 lets the call through, after the delay.
        delay: Seconds before a call is let through.
        retry_after: Seconds, sent as the header; 0 for none.
        skip: How many matching calls are let through first.
        times: How many matching calls fail then.
    """

    agent: str = ""
    verb: str = ""
    kind: str = ""
    name: str = ""
    status: int = 0
    delay: float = 0.0
    retry_after: int = 0
    skip: int = 0
    times: int = 1_000_000

    def __call__(self, call: Call) -> ApiError | float | None:
        """Answer an error, seconds to wait, or `None`."""
        if not self._matches(call):
            return None
        if self.skip > 0:
            self.skip -= 1
            return None
        if self.times <= 0:
            return None
        self.times -= 1
        return self._error() if self.status else self.delay

    def _matches(self, call: Call) -> bool:
        words = ((self.verb, call.verb), (self.kind, call.kind.plural), (self.name, call.name))
        same = all(wanted in {"", found} for wanted, found in words)
        return same and call.agent.startswith(self.agent)

    def _error(self) -> ApiError:
        headers = {"Retry-After": str(self.retry_after)} if self.retry_after else {}
        reason = _REASONS.get(self.status, "")
        return ApiError(self.status, reason, "the bed lets this call fail", headers=headers)


def planned_fault(written: Mapping[str, Any]) -> PlannedFault:
    """Read a fault from JSON; raises `ValueError` for a word that does not exist."""
    known = {field.name for field in fields(PlannedFault)}
    unknown = set(written) - known
    if unknown:
        raise ValueError(f"no such word of a fault: {', '.join(sorted(unknown))}")
    return PlannedFault(**written)
