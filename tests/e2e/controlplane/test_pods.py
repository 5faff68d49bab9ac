"""The kubelet over HTTP, against the emulator: what it writes of a pod, and in which order."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import httpx
import pytest

from e2e.bed import manifests
from e2e.bed.api import Api
from e2e.bed.apiserver.server import ApiServer
from e2e.bed.apiserver.store import Store
from e2e.bed.container import ImaginaryContainer
from e2e.bed.kubelet import Kubelet
from e2e.bed.polling import wait_until
from e2e.bed.simulation import pod_addresses
from e2e.bed.workloads.cluster import is_ready
from e2e.controlplane.pods import ServerPods


@dataclass(kw_only=True)
class Node:
    api: Api
    pods: ServerPods
    kubelet: Kubelet
    follows: asyncio.Task[None] = field(init=False)

    async def create(self, name: str = "one", image: str = "app:v1") -> None:
        spec: Any = manifests.deployment(image=image)["spec"]["template"]["spec"]
        spec["containers"][0]["readinessProbe"]["failureThreshold"] = 1
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}
        await self.api.apply(pod)

    async def read(self, name: str = "one") -> Any:
        return await self.api.get("pods", name)

    async def is_ready(self, name: str = "one") -> bool:
        found = await self.read(name)
        return found is not None and is_ready(found)


@pytest.fixture
async def node() -> AsyncIterator[Node]:
    server = ApiServer(Store())
    await server.start("127.0.0.1", 0)
    async with (
        aiohttp.ClientSession(server.url) as session,
        httpx.AsyncClient(base_url=server.url, trust_env=False) as client,
    ):
        pods = ServerPods(session)
        await pods.announce()
        kubelet = Kubelet(pods, runs=ImaginaryContainer, issue=pod_addresses(), clock=time.time)
        found = Node(api=Api(client=client, namespace="default"), pods=pods, kubelet=kubelet)
        follows = asyncio.create_task(pods.follow(lambda pod, gone: kubelet.notice(pod, gone=gone)))
        yield found
        follows.cancel()
        await kubelet.close()
    await server.stop()


async def test_a_pod_is_bound_runs_and_becomes_ready(node: Node) -> None:
    await node.create()
    await wait_until(node.is_ready)
    pod = await node.read()
    assert pod["spec"]["nodeName"] == "bed-node"
    assert pod["status"]["phase"] == "Running"
    assert pod["status"]["podIP"].startswith("10.64.")
    assert await node.api.get("nodes", "bed-node") is not None


async def test_a_deleted_pod_is_gone_when_its_process_has_ended(node: Node) -> None:
    await node.create()
    await wait_until(node.is_ready)
    await node.api.delete("pods", "one")

    async def is_gone() -> bool:
        return await node.read() is None

    await wait_until(is_gone)
    await node.create()
    await wait_until(node.is_ready)


async def test_a_status_that_was_told_later_is_written_later_though_the_first_was_given_up(
    node: Node,
) -> None:
    await node.create(image="bad:v1")
    await wait_until(lambda: node.pods.get("default", "one"))
    pod = node.pods.get("default", "one")
    assert pod is not None
    first = asyncio.create_task(node.pods.write_status(pod, {"message": "first"}))
    await asyncio.sleep(0)
    first.cancel()
    await node.pods.write_status(pod, {"message": "second"})
    assert (await node.read())["status"]["message"] == "second"


async def test_a_pod_that_is_another_by_now_is_left_alone(
    node: Node, caplog: pytest.LogCaptureFixture
) -> None:
    await node.create()
    await wait_until(node.is_ready)
    stranger = {"metadata": {"namespace": "default", "name": "one", "uid": "another"}}
    await node.pods.write_status(stranger, {"message": "not of you"})
    await node.pods.remove(stranger)
    assert "message" not in (await node.read())["status"]
    assert "given up" not in caplog.text
