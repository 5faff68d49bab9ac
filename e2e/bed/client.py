"""A small HTTP client on raw streams: many requests, none of them to a foreign address."""

import asyncio
import ipaddress
import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

IDLE_SECONDS = 30.0
"""A connection idle for longer is not used again."""


class ForeignTargetError(Exception):
    """The address is not of this machine's loopback, nor of a network named on purpose."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """Where requests are sent; only an address the bed may send to can be made into one.

    Attributes:
        networks: Networks beside the loopback that are allowed: the bed's own network namespace.
    """

    port: int
    address: str = "127.0.0.1"
    networks: Sequence[str] = ()

    def __post_init__(self) -> None:
        refuse_foreign(self.address, self.networks)


def refuse_foreign(address: str, networks: Sequence[str] = ()) -> None:
    """Raise `ForeignTargetError` unless the address is loopback or in a network named."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        raise ForeignTargetError(
            f"{address!r} is not an IP address; names are not looked up"
        ) from None
    allowed = [ipaddress.ip_network(network) for network in networks]
    if not found.is_loopback and not any(found in network for network in allowed):
        raise ForeignTargetError(f"{address} is not a loopback address: no request is sent there")


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """One request to send."""

    host: str
    path: str = "/"
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    keep_alive: bool = True

    def encode(self) -> bytes:
        """Write it for the wire."""
        lines = [f"{self.method} {self.path} HTTP/1.1", f"Host: {self.host}"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        if self.body:
            lines.append(f"Content-Length: {len(self.body)}")
        if not self.keep_alive:
            lines.append("Connection: close")
        return "\r\n".join([*lines, "", ""]).encode("latin1") + self.body


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def version(self) -> str:
        """Answer the version of the pod that served; empty if no pod did."""
        return self.headers.get("x-version", "")

    @property
    def pod(self) -> str:
        """Answer the pod that served; empty if no pod did."""
        return self.headers.get("x-pod", "")

    @property
    def track(self) -> str:
        """Answer `canary` or `stable`; empty if no pod served."""
        return self.headers.get("x-track", "")

    def json(self) -> Any:
        """Read the body as JSON."""
        return json.loads(self.body)


_Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(slots=True)
class Client:
    """Sends requests to one target; keeps idle connections, as a browser does."""

    target: Target
    timeout: float = 5.0
    """Seconds for one request, its connection included."""
    sent: int = 0
    """Requests so far, whatever became of them."""
    _idle: list[tuple[_Streams, float]] = field(default_factory=list)

    async def send(self, request: Request) -> Answer:
        """Send one request.

        Raises:
            OSError: The connection was refused, broke, or nothing came in time.
            EOFError: The answer ended early.
        """
        self.sent += 1
        async with asyncio.timeout(self.timeout):
            streams = self._reusable() if request.keep_alive else None
            streams = streams or await self._connect()
            try:
                answer = await _exchange(streams, request)
            except BaseException:
                streams[1].close()
                raise
        if request.keep_alive and answer.headers.get("connection", "").lower() != "close":
            self._idle.append((streams, time.monotonic()))
        else:
            streams[1].close()
        return answer

    def close(self) -> None:
        """Close the idle connections."""
        for (_, writer), _ in self._idle:
            writer.close()
        self._idle.clear()

    async def _connect(self) -> _Streams:
        refuse_foreign(self.target.address, self.target.networks)
        return await asyncio.open_connection(self.target.address, self.target.port)

    def _reusable(self) -> _Streams | None:
        while self._idle:
            streams, since = self._idle.pop()
            if not streams[0].at_eof() and time.monotonic() - since < IDLE_SECONDS:
                return streams
            streams[1].close()
        return None


async def _exchange(streams: _Streams, request: Request) -> Answer:
    reader, writer = streams
    writer.write(request.encode())
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin1")
    first, *lines = head.rstrip().split("\r\n")
    headers = {
        name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
    }
    body = b"" if request.method == "HEAD" else await _body(reader, headers)
    return Answer(status=int(first.split(" ")[1]), headers=headers, body=body)


async def _body(reader: asyncio.StreamReader, headers: Mapping[str, str]) -> bytes:
    if headers.get("transfer-encoding", "").lower() != "chunked":
        return await reader.readexactly(int(headers.get("content-length") or 0))
    body = b""
    while size := int(await reader.readline(), 16):
        body += (await reader.readexactly(size + 2))[:-2]
    await reader.readline()
    return body


async def census(
    client: Client, request: Request, count: int = 100, *, concurrency: int = 8
) -> Counter[str]:
    """Send the same request many times and count who answered.

    Args:
        client: Where to.
        request: What; its header or cookie is what the question is about.
        count: How often.
        concurrency: How many at a time.

    Returns:
        Answers by version; one that no pod gave counts under its status (`503`).
    """
    numbers = iter(range(count))
    found: Counter[str] = Counter()

    async def worker() -> None:
        for _ in numbers:
            answer = await client.send(request)
            found[answer.version or str(answer.status)] += 1

    async with asyncio.TaskGroup() as group:
        for _ in range(min(concurrency, count)):
            group.create_task(worker())
    return found
