"""A run on two emulators: nothing differs, unless one of them is made to lie."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from e2e.bed.apiserver.calls import Call
from e2e.bed.apiserver.errors import ApiError, throttled
from e2e.bed.apiserver.server import ApiServer
from e2e.differential.explanations import Explanation
from e2e.differential.run import Run
from e2e.differential.side import Side

BUSY = Explanation(because="one is busy", request="GET .*", path="code", ours="429 .*")
OTHER = Explanation(because="never seen", request="GET .*", path="nowhere")


@asynccontextmanager
async def run_of(*table: Explanation, is_busy: bool) -> AsyncIterator[Run]:
    """Prepare a run on two servers; the first may refuse every read."""
    servers = [ApiServer(), ApiServer()]
    if is_busy:
        servers[0].faults.append(_refuse_reads)
    clients = [
        httpx.AsyncClient(base_url=await server.start(), trust_env=False) for server in servers
    ]
    ours, theirs = (Side(client=client) for client in clients)
    yield Run(ours=ours, theirs=theirs, seed=5, table=table)
    for client, server in zip(clients, servers, strict=True):
        await client.aclose()
        await server.stop()


def _refuse_reads(call: Call) -> ApiError | None:
    return throttled(1) if call.method == "GET" else None


async def test_two_equal_servers_differ_in_nothing() -> None:
    async with run_of(is_busy=False) as run:
        await run.go(300)
    assert run.line() == "differential: 300 operations, seed 5, 0 unexplained, 0 explained"
    assert run.codes.total() == 300


async def test_a_difference_that_no_row_explains_is_told() -> None:
    async with run_of(OTHER, is_busy=True) as run:
        await run.go(60)
    assert run.unexplained
    found = run.unexplained[0]
    assert found.operation.method == "GET"
    assert [difference.path for difference in found.differences] == ["code"]
    assert found.told().startswith(f"operation {found.number}: GET")
    assert run.unused() == [OTHER]


async def test_a_row_explains_what_it_describes() -> None:
    async with run_of(OTHER, BUSY, is_busy=True) as run:
        await run.go(60)
    assert run.unexplained == []
    assert run.used[BUSY] > 0
    assert run.unused() == [OTHER]
