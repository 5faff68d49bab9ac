"""A bed leaves nothing behind, however it ends; beds do not disturb one another."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from e2e.bed import manifests
from e2e.bed.bed import Bed
from e2e.bed.polling import wait_until

HOST = "myapp.example"
SCRIPT = """
import asyncio, json
from e2e.bed.bed import Bed, Options

async def main():
    async with Bed(Options(proxy=False)) as bed:
        print(json.dumps({"folder": str(bed.folder), "pid": bed.pid}), flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


@asynccontextmanager
async def bed_elsewhere() -> AsyncIterator[tuple[asyncio.subprocess.Process, dict[str, Any]]]:
    """Run a bed in a process of its own."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        SCRIPT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert process.stdout
    try:
        yield process, json.loads(await process.stdout.readline())
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def is_there(folder: str) -> bool:
    return Path(folder).exists()


def is_running(pid: int) -> bool:
    """Say whether a process runs; one that only waits to be buried does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


async def test_ctrl_c_leaves_nothing() -> None:
    async with bed_elsewhere() as (process, told):
        process.send_signal(signal.SIGINT)
        await asyncio.wait_for(process.wait(), 10)
        assert not is_there(told["folder"])
        assert not is_running(told["pid"])


async def test_nothing_is_left_when_the_parent_is_killed() -> None:
    async with bed_elsewhere() as (process, told):
        os.kill(process.pid, signal.SIGKILL)
        await wait_until(lambda: not is_running(told["pid"]), what="the bed process is gone")
        assert not is_there(told["folder"])


async def test_two_beds_side_by_side_answer_for_themselves() -> None:
    async with Bed() as one, Bed() as other:
        await asyncio.gather(
            one.api.apply(manifests.application(image="myapp:one")),
            other.api.apply(manifests.application(image="myapp:other")),
        )
        await asyncio.gather(one.serves(HOST, "one"), other.serves(HOST, "other"))
        versions = [(await bed.request(HOST)).version for bed in (one, other) for _ in range(6)]
        assert versions == ["one"] * 6 + ["other"] * 6
        before = await one.dump(without=["events"])
        await one.api.apply(manifests.service("extra"))
        await one.api.delete("services", "extra")
        after = await one.dump(without=["events"])
        assert before.keys() == after.keys()
