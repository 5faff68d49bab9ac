"""The one node: `python -m e2e.controlplane.node` runs every pod of an API server as processes do.

Its knobs are those of the embedded bed's pods, on a port of its own.
"""

import argparse
import asyncio
import json
import logging
import os
import shutil
import signal
import ssl
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path

import aiohttp
from aiohttp import web

from e2e.bed.addresses import AddressBlock
from e2e.bed.backend import Backend
from e2e.bed.kubelet import Kubelet
from e2e.bed.podknobserver import PodKnobServer
from e2e.bed.workloads.cluster import Object
from e2e.controlplane.pods import ServerPods

PODS = IPv4Network("10.99.0.0/16")
"""Where pods live: an EndpointSlice of a real server refuses loopback addresses."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Flags:
    """What the process is started with."""

    server: str
    authority: Path
    token_file: Path
    ready_file: Path
    """Where the URL of the knobs is written once pods are run."""
    orphaned_folder: Path | None
    """Removed at the end if the parent, who should do that, is gone by then."""


async def run(flags: Flags) -> None:
    """Run pods until SIGTERM or SIGINT."""
    parent = os.getppid()
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    async with AsyncExitStack() as stack:
        block = AddressBlock(PODS)
        stack.callback(block.release)
        pods = ServerPods(await stack.enter_async_context(_session(flags)))
        await pods.announce()
        kubelet = Kubelet(pods, runs=Backend, issue=block.issue, clock=time.time)
        stack.push_async_callback(kubelet.close)

        def notice(pod: Object, gone: bool) -> None:  # noqa: FBT001 - see `Notice`
            kubelet.notice(pod, gone=gone)

        follows = asyncio.create_task(pods.follow(notice))
        stack.callback(follows.cancel)
        knobs = await _serve(PodKnobServer(kubelet=kubelet), stack)
        draft = flags.ready_file.with_suffix(".draft")
        draft.write_text(json.dumps({"knobs": knobs}))
        draft.replace(flags.ready_file)
        await asyncio.wait(
            {follows, asyncio.create_task(ended.wait())}, return_when=asyncio.FIRST_COMPLETED
        )
        if follows.done():
            follows.result()
    if flags.orphaned_folder and os.getppid() != parent:
        shutil.rmtree(flags.orphaned_folder, ignore_errors=True)


def _session(flags: Flags) -> aiohttp.ClientSession:
    trust = ssl.create_default_context(cafile=str(flags.authority))
    return aiohttp.ClientSession(
        flags.server,
        headers={"Authorization": f"Bearer {flags.token_file.read_text().strip()}"},
        connector=aiohttp.TCPConnector(ssl=trust, limit=64),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=10),
    )


async def _serve(knobs: PodKnobServer, stack: AsyncExitStack) -> str:
    application = web.Application()
    application.add_routes(knobs.routes())
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return f"http://127.0.0.1:{runner.addresses[0][1]}"


def main() -> None:
    """Read the flags and run."""
    parser = argparse.ArgumentParser(prog="python -m e2e.controlplane.node", description=__doc__)
    parser.add_argument("--server", required=True)
    for name in ("authority", "token-file", "ready-file"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--orphaned-folder", type=Path, help="a folder the parent left behind")
    found = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    asyncio.run(run(Flags(**vars(found))))


if __name__ == "__main__":
    main()
