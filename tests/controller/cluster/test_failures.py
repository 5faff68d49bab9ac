from collections.abc import Mapping
from typing import Any

import pytest

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
from controller.cluster import failures
from controller.cluster.failures import Refusal, error_of, error_of_event

UID_CAUSE = {"details": {"causes": [{"field": "metadata.uid", "message": "field is immutable"}]}}
SPEC_CAUSE = {"details": {"causes": [{"field": "spec.replicas", "message": "must be positive"}]}}
POLICY = {"message": "ValidatingAdmissionPolicy 'hold' with binding 'hold' denied request: no"}
WEBHOOK = {"message": 'admission webhook "x.example" denied the request: no'}


@pytest.mark.parametrize(
    ("verb", "code", "status", "error"),
    [
        ("get", 401, {}, ForbiddenError),
        ("get", 403, {}, ForbiddenError),
        ("get", 404, {}, NotFoundError),
        ("get", 408, {}, UnavailableError),
        ("create", 409, {"reason": "AlreadyExists"}, ConflictError),
        ("update", 409, {"reason": "Conflict"}, ConflictError),
        ("patch", 409, {"reason": "Conflict"}, ConflictError),
        ("delete", 409, {"reason": "Conflict"}, GoneError),
        ("list", 410, {"reason": "Expired"}, GoneError),
        ("patch", 422, {}, ConflictError),
        ("patch", 422, {"details": {}}, ConflictError),
        ("patch", 422, {"details": {"causes": []}}, ConflictError),
        ("patch", 422, UID_CAUSE, GoneError),
        ("patch", 422, SPEC_CAUSE, RejectedError),
        ("create", 422, SPEC_CAUSE, RejectedError),
        ("create", 422, {}, RejectedError),
        ("patch", 422, {"details": "odd"}, ConflictError),
        ("patch", 422, {"details": {"causes": ["odd"]}}, RejectedError),
        ("patch", 422, {**SPEC_CAUSE, **POLICY}, ForbiddenError),
        ("patch", 422, POLICY, ForbiddenError),
        ("create", 400, WEBHOOK, ForbiddenError),
        ("create", 500, WEBHOOK, UnavailableError),
        ("create", 400, {}, RejectedError),
        ("patch", 413, {}, RejectedError),
        ("patch", 415, {}, RejectedError),
        ("get", 418, {}, RejectedError),
        ("get", 429, {}, ThrottledError),
        ("get", 500, {}, UnavailableError),
        ("get", 502, {}, UnavailableError),
        ("get", 503, {}, UnavailableError),
        ("get", 504, {}, UnavailableError),
        ("get", 304, {}, UnavailableError),
    ],
)
def test_each_answer_is_the_error_that_tells_what_to_do(
    verb: str, code: int, status: Mapping[str, Any], error: type[ClusterError]
) -> None:
    refusal = Refusal(action="x", verb=verb, code=code, status=status)
    assert type(error_of(refusal)) is error


@pytest.mark.parametrize(
    ("code", "retry_after", "seconds"), [(429, None, 1), (429, 0, 0), (429, 9, 9), (503, 4, 4)]
)
def test_throttled_carries_the_wait(code: int, retry_after: float | None, seconds: float) -> None:
    error = error_of(Refusal(action="x", verb="get", code=code, retry_after=retry_after))
    assert isinstance(error, ThrottledError)
    assert error.retry_after == seconds


@pytest.mark.parametrize(
    ("header", "seconds"), [(None, None), ("3", 3), (" 12 ", 12), ("-1", None), ("soon", None)]
)
def test_retry_after_is_read_as_seconds(header: str | None, seconds: float | None) -> None:
    assert failures.seconds_of(header) == seconds


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"message": "no"}', "x: 400: no"),
        (b'{"message": "no", "reason": "BadRequest"}', "x: 400 BadRequest: no"),
        (b"upstream is \xff away", "x: 400: upstream is \ufffd away"),
        (b"", "x: 400: no reason given"),
        (b"[1]", "x: 400: [1]"),
    ],
)
def test_message_quotes_any_body(body: bytes, message: str) -> None:
    status = failures.status_of_body(body)
    refusal = Refusal(action="x", verb="create", code=400, status=status)
    assert str(error_of(refusal)) == message


@pytest.mark.parametrize(
    ("status", "error"),
    [
        ({"code": 410}, GoneError),
        ({"code": 429}, ThrottledError),
        ({"code": 500}, UnavailableError),
        ({}, UnavailableError),
        ({"code": "odd"}, UnavailableError),
    ],
)
def test_error_event_is_read_like_an_answer(
    status: Mapping[str, Any], error: type[ClusterError]
) -> None:
    assert type(error_of_event("watch Service", status)) is error
