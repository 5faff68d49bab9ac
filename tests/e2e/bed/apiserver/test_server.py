"""The HTTP face: faults, the request log, many watches, stopping."""

from collections.abc import AsyncIterator

import httpx
import pytest

from e2e.bed.apiserver.calls import Call
from e2e.bed.apiserver.errors import ApiError, throttled
from e2e.bed.apiserver.server import ApiServer
from tests.e2e.bed.apiserver.client import config_map

MAPS = "/api/v1/namespaces/default/configmaps"


@pytest.fixture
async def server() -> AsyncIterator[ApiServer]:
    server = ApiServer()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def http(server: ApiServer) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=server.url, headers={"User-Agent": "case/1"}) as client:
        yield client


async def test_a_fault_throttles(server: ApiServer, http: httpx.AsyncClient) -> None:
    def busy(call: Call) -> ApiError | None:
        return throttled(3) if call.verb == "create" else None

    server.faults.append(busy)
    response = await http.post(MAPS, json=config_map())
    assert (response.status_code, response.headers["Retry-After"]) == (429, "3")
    assert (await http.get(MAPS)).status_code == 200
    server.faults.clear()
    assert (await http.post(MAPS, json=config_map())).status_code == 201


async def test_a_fault_delays(server: ApiServer, http: httpx.AsyncClient) -> None:
    server.faults.append(lambda call: 0.05 if call.kind.plural == "configmaps" else None)
    await http.get(MAPS)
    assert next(iter(server.log)).seconds >= 0.05


async def test_the_log_counts_requests_and_writes(
    server: ApiServer, http: httpx.AsyncClient
) -> None:
    await http.get(MAPS, params={"limit": "1"})
    await http.post(MAPS, json=config_map(), params={"dryRun": "All"})
    await http.post(MAPS, json=config_map())
    noted = server.log.of("case/")
    assert [(one.method, one.status, one.writes) for one in noted] == [
        ("GET", 200, False),
        ("POST", 201, False),
        ("POST", 201, True),
    ]
    assert (noted[0].path, noted[0].query) == (MAPS, {"limit": "1"})
    assert noted[2].content_type == "application/json"
    server.log.clear()
    assert len(server.log) == 0


async def test_a_cut_watch_ends(server: ApiServer, http: httpx.AsyncClient) -> None:
    async with http.stream("GET", MAPS, params={"watch": "true"}) as response:
        assert response.status_code == 200
        server.end_watches()
        with pytest.raises(httpx.RemoteProtocolError):
            await response.aread()


async def test_a_forgotten_history_is_told_as_an_event(
    server: ApiServer, http: httpx.AsyncClient
) -> None:
    since = str(server.store.version)
    server.store.create("configmaps", "default", config_map())
    server.store.compact()
    response = await http.get(MAPS, params={"watch": "true", "resourceVersion": since})
    assert (response.status_code, response.json()["type"]) == (200, "ERROR")
    assert response.json()["object"]["code"] == 410


async def test_an_expired_page_is_410(server: ApiServer, http: httpx.AsyncClient) -> None:
    for name in "ab":
        server.store.create("configmaps", "default", config_map(name))
    page = (await http.get(MAPS, params={"limit": "1"})).json()
    server.store.create("configmaps", "default", config_map("c"))
    server.store.compact()
    token = page["metadata"]["continue"]
    response = await http.get(MAPS, params={"continue": token})
    assert (response.status_code, response.json()["reason"]) == (410, "Expired")


async def test_bookmarks_come_while_nothing_happens() -> None:
    server = ApiServer(bookmark_seconds=0.05)
    await server.start()
    query = {"watch": "true", "allowWatchBookmarks": "true", "resourceVersion": ""}
    namespaces = {**query, "resourceVersion": str(server.store.version)}
    async with (
        httpx.AsyncClient(base_url=server.url) as client,
        client.stream("GET", "/api/v1/namespaces", params=namespaces) as response,
    ):
        line = await anext(response.aiter_lines())
    await server.stop()
    assert '"type":"BOOKMARK"' in line
