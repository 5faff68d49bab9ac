"""A server whose answers a test has written down beforehand."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from kubernetes.aio.client import Configuration

from controller.cluster.client import Client
from tests.controller.cluster.clocks import FakeClock

Answer = Callable[["Server", web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A request as it arrived."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Any
    text: str

    @property
    def is_watch(self) -> bool:
        return "watch" in self.query


class Server:
    """Gives its answers in the order of the script; then it is silent until it is closed."""

    def __init__(self, *script: Answer) -> None:
        self.script = list(script)
        self.seen: list[Seen] = []
        self.closing = asyncio.Event()
        self._arrived = asyncio.Condition()
        self.url = ""

    async def reached(self, count: int) -> None:
        """Return when so many requests have arrived."""
        async with self._arrived:
            await self._arrived.wait_for(lambda: len(self.seen) >= count)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        text = await request.text()
        async with self._arrived:
            self.seen.append(
                Seen(
                    method=request.method,
                    path=request.path,
                    query=dict(request.query),
                    headers=dict(request.headers),
                    body=json.loads(text) if text else None,
                    text=text,
                )
            )
            self._arrived.notify_all()
        answer = self.script.pop(0) if self.script else hang
        return await answer(self, request)

    def client(self, **options: Any) -> Client:
        configuration = Configuration()
        configuration.host = self.url
        return Client(configuration, **options)


@asynccontextmanager
async def serving(*script: Answer) -> AsyncIterator[Server]:
    server = Server(*script)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield server
    finally:
        server.closing.set()
        await runner.cleanup()


@asynccontextmanager
async def talking(*script: Answer, **options: Any) -> AsyncIterator[tuple[Server, Client]]:
    async with serving(*script) as server:
        client = server.client(**options)
        try:
            yield server, client
        finally:
            await client.close()


def says(body: Any, code: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    async def answer(_server: Server, _request: web.Request) -> web.StreamResponse:
        text = body if isinstance(body, str) else json.dumps(body)
        response = web.Response(text=text, status=code, headers=headers)
        # aiohttp repeats a GET by itself where a connection it had used before is reset.
        response.force_close()
        return response

    return answer


def refuses(code: int, headers: Mapping[str, str] | None = None, **status: Any) -> Answer:
    return says({"kind": "Status", "status": "Failure", "code": code, **status}, code, headers)


def page(items: Sequence[Any], version: str = "100", token: str = "") -> Answer:
    meta = {"resourceVersion": version, **({"continue": token} if token else {})}
    return says({"kind": "List", "metadata": meta, "items": list(items)})


def streams(*parts: Any, then: str = "end") -> Answer:
    """Send events (dicts) or raw bytes; `then` is end, reset or hang."""

    async def answer(server: Server, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.force_close()
        await response.prepare(request)
        for part in parts:
            await response.write(part if isinstance(part, bytes) else line(part))
        if then == "hang":
            await server.closing.wait()
        if then == "reset" and request.transport is not None:
            request.transport.abort()
        return response

    return answer


async def hang(server: Server, _request: web.Request) -> web.StreamResponse:
    await server.closing.wait()
    return web.Response()


async def resets(_server: Server, request: web.Request) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


def late(clock: FakeClock, seconds: float, then: Answer) -> Answer:
    """Answer when so much time has passed."""

    async def answer(server: Server, request: web.Request) -> web.StreamResponse:
        clock.time += seconds
        return await then(server, request)

    return answer


def line(event: Any) -> bytes:
    return json.dumps(event).encode() + b"\n"


def event(kind: str, obj: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": kind, "object": obj}


def bookmark(version: str) -> dict[str, Any]:
    return event("BOOKMARK", {"metadata": {"resourceVersion": version}})


def thing(name: str, version: int | str = 1, **meta: Any) -> dict[str, Any]:
    """Return an object; its uid is made of its name unless one is given."""
    return {
        "metadata": {
            "namespace": "shop",
            "name": name,
            "uid": f"uid-{name}",
            "resourceVersion": str(version),
            **meta,
        }
    }
