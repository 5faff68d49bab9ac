"""The metrics server: what it is asked, and that only a right answer is one."""

import asyncio
import contextlib
import json
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from controller.api.errors import EvidenceError
from controller.api.series import Series
from controller.cluster import prometheus
from controller.cluster.prometheus import Prometheus

Handler = Callable[[asyncio.StreamWriter], Awaitable[None]]

QUERY = 'sum by (code) (traefik_service_requests_total{service="a"})'
ONE = {"metric": {"__name__": "x", "code": "200"}, "values": [[10, "1"], [25.5, "NaN"]]}


@dataclass(slots=True)
class Server:
    """Answers every request with the same bytes, and keeps what it was asked."""

    handle: Handler
    url: str = ""
    seen: list[tuple[str, dict[str, str], dict[str, list[str]]]] = field(default_factory=list)
    tasks: list["asyncio.Task[None]"] = field(default_factory=list)

    def start(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.tasks.append(asyncio.create_task(self.connected(reader, writer)))

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = head.strip().split("\r\n")
        headers = {key.lower(): value for key, _, value in (it.partition(": ") for it in lines)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        self.seen.append((first, headers, parse_qs(body.decode())))
        try:
            await self.handle(writer)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


@asynccontextmanager
async def serving(handle: Handler) -> AsyncIterator[Server]:
    server = Server(handle)
    listening = await asyncio.start_server(server.start, "127.0.0.1", 0)
    server.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    try:
        yield server
    finally:
        listening.close()
        for task in server.tasks:
            task.cancel()
        await asyncio.gather(*server.tasks, return_exceptions=True)


def says(body: object, code: int = 200, headers: Mapping[str, str] | None = None) -> Handler:
    text = body if isinstance(body, bytes) else json.dumps(body).encode()

    async def handle(writer: asyncio.StreamWriter) -> None:
        extra = "".join(f"{key}: {value}\r\n" for key, value in (headers or {}).items())
        head = f"HTTP/1.1 {code} X\r\nContent-Length: {len(text)}\r\n{extra}\r\n"
        writer.write(head.encode() + text)
        await writer.drain()

    return handle


def matrix(*result: object, **more: object) -> dict[str, object]:
    return {
        "status": "success",
        "data": {"resultType": "matrix", "result": list(result)},
        **more,
    }


async def asked(
    url: str,
    *,
    token_file: str | None = None,
    timeout: float = 5.0,  # noqa: ASYNC109
) -> tuple[Series, ...]:
    async with Prometheus(url, token_file=token_file, timeout=timeout) as server:
        return await server.samples(QUERY, start=10, end=25.5, step=15)


async def refusal(handle: Handler, *, timeout: float = 5.0) -> str:  # noqa: ASYNC109
    async with serving(handle) as server:
        return await unanswered(server.url, timeout=timeout)


async def unanswered(url: str, **options: Any) -> str:
    """Return why there is no answer."""
    try:
        answer = await asked(url, **options)
    except EvidenceError as error:
        return str(error)
    return f"answered {answer}"


async def test_a_question_is_a_form_with_the_query_in_its_body() -> None:
    async with serving(says(matrix())) as server:
        assert await asked(server.url + "/prometheus/") == ()
    ((first, headers, form),) = server.seen
    assert first == "POST /prometheus/api/v1/query_range HTTP/1.1"
    assert form == {
        "query": [QUERY],
        "start": ["10.000"],
        "end": ["25.500"],
        "step": ["15.000"],
        "timeout": ["5s"],
    }
    assert "authorization" not in headers
    assert headers["accept-encoding"] == "identity"


async def test_every_series_comes_with_its_labels_and_its_samples() -> None:
    two = {"metric": {}, "values": [[10, "+Inf"]]}
    async with serving(says(matrix(ONE, two))) as server:
        first, second = await asked(server.url)
    assert first.labels == {"code": "200"}
    assert [at for at, _ in first.samples] == [10, 25.5]
    assert [math.isnan(value) for _, value in first.samples] == [False, True]
    assert second == Series(labels={}, samples=((10, math.inf),))


WRONG: dict[str, tuple[Handler, str]] = {
    "no JSON": (says(b"<html>"), "answered 200 with something else than JSON"),
    "no UTF-8": (says(b"\xff\xfe{"), "answered 200 with something else than JSON"),
    "too deep": (says(b"[" * 100_000), "answered 200 with something else than JSON"),
    "a list": (says([]), "answered 200: 'no reason given'"),
    "an error": (
        says({"status": "error", "error": "parse error: \u2603"}, 400),
        r"answered 400: 'parse error: \u2603'",
    ),
    "an error with 200": (
        says({"status": "error", "error": "x" * 300}),
        f"answered 200: '{'x' * 197}...'",
    ),
    "a success with 503": (says(matrix(ONE), 503), "answered 503: 'no reason given'"),
    "a redirect": (
        says({}, 302, {"Location": "http://127.0.0.1:1/"}),
        "answered 302: 'no reason given'",
    ),
    "a warning": (
        says(matrix(ONE, warnings=["one store did not answer"])),
        "answered with a warning: \"['one store did not answer']\"",
    ),
    "no data": (
        says({"status": "success"}),
        "answered with something else than a range of samples",
    ),
    "a vector": (
        says({"status": "success", "data": {"resultType": "vector", "result": []}}),
        "answered with something else than a range of samples",
    ),
    "no result": (
        says({"status": "success", "data": {"resultType": "matrix"}}),
        "answered without a result",
    ),
    "a series of text": (says(matrix("x")), "answered with a series of another form"),
    "labels of a list": (
        says(matrix({"metric": [], "values": []})),
        "answered with a series of another form",
    ),
    "no values": (says(matrix({"metric": {}})), "answered with a series of another form"),
    "values of numbers": (
        says(matrix({"metric": {}, "values": [[1, 2.0]]})),
        "answered with a series of another form",
    ),
    "values of words": (
        says(matrix({"metric": {}, "values": [[1, "many"]]})),
        "answered with a series of another form",
    ),
    "three in a pair": (
        says(matrix({"metric": {}, "values": [[1, "2", 3]]})),
        "answered with a series of another form",
    ),
    "time runs backwards": (
        says(matrix({"metric": {}, "values": [[2, "1"], [1, "1"]]})),
        "answered with a series of another form",
    ),
    "too much": (
        says(b" " * (prometheus.ANSWER_LIMIT + 1)),
        "the answer has more than 1048576 bytes",
    ),
}


@pytest.mark.parametrize("name", WRONG)
async def test_a_wrong_answer_is_none(name: str) -> None:
    handle, why = WRONG[name]
    assert await refusal(handle) == why


async def test_silence_is_no_answer() -> None:
    async def handle(_: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.5)

    assert await refusal(handle, timeout=0.1) == "no answer within 0.1 s"


async def test_an_answer_that_drips_is_none() -> None:
    """Every byte comes in time, and all of them do not."""

    async def handle(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 X\r\nContent-Length: 9999\r\n\r\n")
        for _ in range(20):
            writer.write(b" ")
            await asyncio.sleep(0.05)

    assert await refusal(handle, timeout=0.3) == "no answer within 0.3 s"


async def test_an_answer_that_breaks_off_is_none() -> None:
    async def handle(writer: asyncio.StreamWriter) -> None:
        writer.write(b'HTTP/1.1 200 X\r\nContent-Length: 9999\r\n\r\n{"status"')

    assert (await refusal(handle)).startswith("no answer: ")


async def test_a_server_that_is_not_there_is_said() -> None:
    async with serving(says({})) as server:
        url = server.url
    assert (await unanswered(url)).startswith("no answer: ")


@pytest.mark.parametrize("url", ["http://[::1", "http://a b/", "http://a:99999/"])
async def test_an_address_that_is_none_is_said(url: str) -> None:
    assert (await unanswered(url)).startswith("no answer: ")


async def test_variables_of_proxies_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with serving(says(matrix(ONE))) as server:
        assert len(await asked(server.url)) == 1


async def test_the_token_is_read_for_every_question(tmp_path: Path) -> None:
    path = tmp_path / "token"
    async with (
        serving(says(matrix())) as server,
        Prometheus(server.url, token_file=str(path)) as asks,
    ):
        for token in ("first", "second\n"):
            path.write_text(token)
            await asks.samples(QUERY, start=0, end=1, step=1)
    seen = [headers["authorization"] for _, headers, _ in server.seen]
    assert seen == ["Bearer first", "Bearer second"]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "the token file cannot be read: FileNotFoundError"),
        (b"\xff", "the token file cannot be read: UnicodeDecodeError"),
        (b" \n", "the token file holds no token"),
        (b"a\r\nHost: b", "the token file holds no token"),
        (b"two words", "the token file holds no token"),
    ],
)
async def test_a_token_that_is_none_is_said_and_never_shown(
    tmp_path: Path, content: bytes | None, why: str
) -> None:
    path = tmp_path / "token"
    if content is not None:
        path.write_bytes(content)
    async with serving(says(matrix())) as server:
        assert await unanswered(server.url, token_file=str(path)) == why
    assert server.seen == []
