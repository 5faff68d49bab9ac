"""The HTTP/1.1 server inside a pod: fast, small, and honest about which pod it is."""

import asyncio
import json
import random
from collections.abc import Mapping
from contextlib import suppress
from http import HTTPStatus
from urllib.parse import parse_qs

from e2e.bed.container import Health, Settings

HEALTH_PATH = "/healthz"
ACCOUNT_HEADER = "x-account"
"""The header shown as `account` unless the query says `?header=NAME`."""

FAIL_HEADER = "x-bed-fail"
"""Who sends it gets an error, whatever the version: faults that only some visitors meet."""

LONGEST_HEAD = 1 << 20
_PROBE_SECONDS = 1.0


class Backend:
    """The container of one pod: listens on the pod's address at each of its ports."""

    def __init__(self, settings: Settings, address: str) -> None:
        self.settings = settings
        self.address = address
        self.health = Health(ready=not settings.never_ready)
        self.draining = False
        self.served = 0
        self.connections: set[_Connection] = set()
        self._servers: list[asyncio.Server] = []
        self._emptied = asyncio.Event()

    async def open(self) -> None:
        """Listen; raises `OSError` when the address and port cannot be bound."""
        self.draining = False
        loop = asyncio.get_running_loop()
        for port in self.settings.ports:
            server = await loop.create_server(
                lambda: _Connection(self), self.address, port, backlog=1024, reuse_address=True
            )
            self._servers.append(server)

    async def is_ready(self) -> bool:
        """Send the readiness probe, as a kubelet does, over a connection of its own."""
        probe = self.settings.probe
        port = probe.port if probe and isinstance(probe.port, int) else self.settings.ports[0]
        try:
            async with asyncio.timeout(_PROBE_SECONDS):
                return await self._ask_health(port)
        except OSError:  # A TimeoutError is one of these.
            return False

    async def _ask_health(self, port: int) -> bool:
        reader, writer = await asyncio.open_connection(self.address, port)
        try:
            writer.write(
                f"GET {HEALTH_PATH} HTTP/1.1\r\nHost: probe\r\nConnection: close\r\n\r\n".encode()
            )
            return b" 200 " in await reader.readline()
        finally:
            writer.close()

    def kill(self) -> None:
        """Close the listeners and every connection, requests in flight included."""
        self._stop_listening()
        for connection in list(self.connections):
            connection.abort()

    async def terminate(self, seconds: float) -> None:
        """Act on SIGTERM in the pod's stop mode; killed after so many seconds."""
        if self.settings.stop == "serve":
            await asyncio.sleep(seconds)
        elif self.settings.stop == "drain":
            await self._drain(seconds)
        self.kill()

    async def _drain(self, seconds: float) -> None:
        self.draining = True
        self._stop_listening()
        for connection in list(self.connections):
            connection.close_if_idle()
        self._emptied.clear()
        if self.connections:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._emptied.wait(), seconds)

    def _stop_listening(self) -> None:
        for server in self._servers:
            server.close()
        self._servers.clear()

    def joined(self, connection: "_Connection") -> None:
        """Count a new connection."""
        self.connections.add(connection)

    def left(self, connection: "_Connection") -> None:
        """Forget a closed connection."""
        self.connections.discard(connection)
        if not self.connections:
            self._emptied.set()

    def status_for(self, path: str, headers: Mapping[str, str]) -> HTTPStatus:
        """Choose the status of an answer."""
        if path == HEALTH_PATH:
            return HTTPStatus.OK if self.health.ready else HTTPStatus.SERVICE_UNAVAILABLE
        if FAIL_HEADER in headers:
            return HTTPStatus.INTERNAL_SERVER_ERROR
        share = self.health.errors
        share = self.settings.error_share if share is None else share
        failed = share and random.random() < share
        return HTTPStatus.INTERNAL_SERVER_ERROR if failed else HTTPStatus.OK

    def body_for(self, method: str, target: str, headers: dict[str, str]) -> bytes:
        """Write the answer: who serves, and what reached it."""
        query = parse_qs(target.partition("?")[2])
        account = query.get("header", [ACCOUNT_HEADER])[0].lower()
        settings = self.settings
        answer = {
            "version": settings.version,
            "image": settings.image,
            "pod": settings.pod,
            "track": settings.track,
            "account": headers.get(account, ""),
            "method": method,
            "path": target,
            "host": headers.get("host", ""),
            "headers": headers,
        }
        return json.dumps(answer).encode() + b"\n"


class _Connection(asyncio.Protocol):
    """One connection: requests are answered in the order in which they come."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._buffer = b""
        self.busy = False
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._backend.joined(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 (asyncio's signature)
        self._transport = None
        self._backend.left(self)

    def abort(self) -> None:
        """Close now, losing what is in flight."""
        if self._transport:
            self._transport.abort()

    def close_if_idle(self) -> None:
        """Close unless a request is in flight."""
        if self._transport and not self.busy:
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if len(self._buffer) > LONGEST_HEAD:
            self.abort()
            return
        self._take_request()

    def _take_request(self) -> None:
        end = self._buffer.find(b"\r\n\r\n")
        if self.busy or end < 0:
            return
        lines = self._buffer[:end].decode("latin1").split("\r\n")
        headers = _headers(lines[1:])
        body = _body_end(self._buffer, end + 4, headers)
        if body is None:
            return
        self._buffer = self._buffer[body:]
        self.busy = True
        method, target = lines[0].split(" ")[:2]
        latency = 0.0 if target == HEALTH_PATH else self._backend.settings.latency_seconds
        if latency:
            loop = asyncio.get_running_loop()
            loop.call_later(latency, self._answer, method, target, headers)
        else:
            self._answer(method, target, headers)

    def _answer(self, method: str, target: str, headers: dict[str, str]) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        backend = self._backend
        backend.served += target != HEALTH_PATH
        status = backend.status_for(target.partition("?")[0], headers)
        body = backend.body_for(method, target, headers)
        last = backend.draining or headers.get("connection", "").lower() == "close"
        self._transport.write(_head(backend.settings, status, len(body), closing=last))
        if method != "HEAD":
            self._transport.write(body)
        self.busy = False
        if last:
            self._transport.close()
        elif self._buffer:
            asyncio.get_running_loop().call_soon(self._take_request)


def _headers(lines: list[str]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        name, value = name.lower(), value.strip()
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def _body_end(buffer: bytes, start: int, headers: dict[str, str]) -> int | None:
    """Answer where the request's body ends; `None` while it is not there whole."""
    if headers.get("transfer-encoding", "").lower() == "chunked":
        end = buffer.find(b"0\r\n\r\n", start)
        return None if end < 0 else end + 5
    end = start + int(headers.get("content-length") or 0)
    return None if len(buffer) < end else end


def _head(settings: Settings, status: HTTPStatus, length: int, *, closing: bool) -> bytes:
    connection = "Connection: close\r\n" if closing else ""
    return (
        f"HTTP/1.1 {status.value} {status.phrase}\r\n"
        "Content-Type: application/json\r\n"
        f"X-Pod: {settings.pod}\r\nX-Image: {settings.image}\r\nX-Version: {settings.version}\r\n"
        f"X-Track: {settings.track}\r\n{connection}Content-Length: {length}\r\n\r\n"
    ).encode()
