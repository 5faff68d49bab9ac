"""The bed process: API server, workload controllers and kubelet over one store."""

import asyncio
import json
import os
import random
import shutil
import signal
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from e2e.bed import manifests
from e2e.bed.addresses import AddressBlock
from e2e.bed.apiserver.server import ApiServer
from e2e.bed.apiserver.store import Store
from e2e.bed.backend import Backend
from e2e.bed.knobserver import KnobServer
from e2e.bed.kubelet import NODE
from e2e.bed.simulation import control_plane

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, kw_only=True, slots=True)
class Flags:
    """What the process is started with."""

    hold: bool
    loopback_endpoints: bool
    port: int
    """Of the API server; 0 for a free one."""
    ready_file: Path | None
    """Where the two addresses are written as JSON once everything answers."""
    orphaned_folder: Path | None
    """Removed at the end if the parent, who should do that, is gone by then."""


async def run(flags: Flags) -> None:
    """Serve until SIGTERM or SIGINT."""
    parent = os.getppid()
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    async with AsyncExitStack() as stack:
        addresses = await _start(flags, stack)
        text = json.dumps(addresses)
        if flags.ready_file:
            _write_whole(flags.ready_file, text)
        print(text, flush=True)
        await ended.wait()
    if flags.orphaned_folder and os.getppid() != parent:
        shutil.rmtree(flags.orphaned_folder, ignore_errors=True)


async def _start(flags: Flags, stack: AsyncExitStack) -> dict[str, str]:
    block = AddressBlock()
    stack.callback(block.release)
    store = Store(hold_policy=flags.hold, allow_loopback_endpoints=flags.loopback_endpoints)
    plane = control_plane(
        store, clock=time.time, rng=random.Random(), runs=Backend, issue=block.issue
    )
    stack.push_async_callback(plane.close)
    _furnish(store)
    server = ApiServer(store)
    await server.start(LOOPBACK, flags.port)
    stack.push_async_callback(server.stop)
    knobs = await _serve_knobs(KnobServer(plane=plane, server=server), stack)
    return {"api": server.url, "knobs": knobs}


async def _serve_knobs(knobs: KnobServer, stack: AsyncExitStack) -> str:
    runner = web.AppRunner(knobs.application(), access_log=None)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    site = web.TCPSite(runner, LOOPBACK, 0)
    await site.start()
    port = runner.addresses[0][1]
    return f"http://{LOOPBACK}:{port}"


def _furnish(store: Store) -> None:
    """Make what a cluster has before anybody comes: a node and the class of the proxy."""
    node = store.create("nodes", None, {"metadata": {"name": NODE}})
    ready = {
        "type": "Ready",
        "status": "True",
        "reason": "Bed",
        "message": "the bed's kubelet runs",
    }
    store.update(
        "nodes", None, NODE, {**node, "status": {"conditions": [ready]}}, subresource="status"
    )
    store.create("ingressclasses", None, manifests.ingress_class())


def _write_whole(path: Path, text: str) -> None:
    """Write a file so that nobody can read half of it."""
    draft = path.with_suffix(".draft")
    draft.write_text(text)
    draft.replace(path)
