"""What can go wrong at the API server: one class per thing a caller can do about it."""


class ClusterError(Exception):
    """A request that the API server did not carry out.

    The message names the verb, the object and what the server said.
    """


class NotFoundError(ClusterError):
    """The object does not exist: plan again without it."""


class ConflictError(ClusterError):
    """Another writer was first (409 on a write, 422 on a failed `test`): read and plan again."""


class GoneError(ClusterError):
    """What was meant is no more, as another object or version is there: read and plan again.

    Seen as 409 on DELETE, 422 on `metadata.uid` in PATCH, 410 on a watch.
    """


class ForbiddenError(ClusterError):
    """The account may not do this (401, 403), or an admission policy refused it: tell a person."""


class RejectedError(ClusterError):
    """The server found the object wrong (400, 413, 415, 422): repeating it does not help."""


class ThrottledError(ClusterError):
    """The server asks for patience (429, or 503 with Retry-After).

    Attributes:
        retry_after: seconds to wait before the next try.
    """

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class UnavailableError(ClusterError):
    """No answer, or a 5xx: nobody knows whether the write happened. Try again later."""


class EvidenceError(Exception):
    """The metrics server gave no answer that can be believed: hold, and say why (safety.md T12)."""
