"""The kubelet with real listeners: readiness, stop modes, crashes, addresses."""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from e2e.bed import manifests
from e2e.bed.addresses import AddressBlock, why_not_bound
from e2e.bed.apiserver.store import Store
from e2e.bed.backend import Backend
from e2e.bed.client import Answer, Client, Request, Target
from e2e.bed.controlplane import ControlPlane
from e2e.bed.kubelet import Pace
from e2e.bed.polling import wait_until
from e2e.bed.simulation import control_plane
from e2e.bed.workloads.cluster import is_ready

GET = Request(host="pod")


class Node:
    """A store with one kubelet; pods are created by name."""

    def __init__(self, store: Store, plane: ControlPlane) -> None:
        self.store = store
        self.plane = plane

    def run(self, image: str = "app:v1", *, grace: int = 5, **annotations: str) -> None:
        """Create the pod `one`; annotations are knobs without their `bed/`."""
        template: Any = manifests.deployment(image=image)["spec"]["template"]
        notes = {f"bed/{name}": value for name, value in annotations.items()}
        template["spec"]["containers"][0]["readinessProbe"]["failureThreshold"] = 1
        spec = {**template["spec"], "terminationGracePeriodSeconds": grace}
        metadata = {"name": "one", "labels": {"app": "myapp"}, "annotations": notes}
        self.store.create("pods", "default", {"metadata": metadata, "spec": spec})

    def pod(self) -> Any:
        return self.store.get("pods", "default", "one")

    def gone(self) -> bool:
        return not self.store.exists("pods", "default", "one")

    def state(self) -> dict[str, Any]:
        statuses = (self.pod().get("status") or {}).get("containerStatuses") or [{}]
        found: dict[str, Any] = statuses[0]
        return found

    def delete(self) -> None:
        self.store.delete("pods", "default", "one")

    async def ready(self) -> Client:
        await wait_until(lambda: is_ready(self.pod()), what="pod is ready")
        return Client(Target(address=self.pod()["status"]["podIP"], port=manifests.PORT))


@pytest.fixture
async def node() -> AsyncIterator[Node]:
    block = AddressBlock()
    store = Store()
    plane = control_plane(
        store,
        clock=time.time,
        rng=random.Random(1),
        runs=Backend,
        issue=block.issue,
        pace=Pace(backoff=0.05, probe=0.05),
    )
    yield Node(store, plane)
    await plane.close()
    block.release()


async def ask(client: Client, request: Request = GET) -> Answer | str:
    """Answer what came back, or the name of what went wrong."""
    try:
        return await client.send(request)
    except (OSError, EOFError) as error:
        return type(error).__name__


async def test_a_pod_answers_with_its_name_version_and_the_request(node: Node) -> None:
    node.run("registry/app:v7")
    client = await node.ready()
    answer = await client.send(
        Request(host="x.example", path="/a?header=X-User", headers=(("X-User", "mia"),))
    )
    client.close()
    body = answer.json()
    assert (answer.status, answer.version, answer.pod, answer.track) == (200, "v7", "one", "stable")
    assert (body["account"], body["host"], body["path"]) == ("mia", "x.example", "/a?header=X-User")
    assert body["headers"]["x-user"] == "mia"
    assert node.pod()["spec"]["nodeName"] == "bed-node"
    assert node.pod()["status"]["podIP"].startswith("127.")


async def test_a_post_on_a_kept_connection_is_read_whole(node: Node) -> None:
    node.run()
    client = await node.ready()
    post = Request(host="x", method="POST", body=b"x" * 70_000)
    found = [await client.send(request) for request in (post, GET, post)]
    client.close()
    assert [answer.json()["method"] for answer in found] == ["POST", "GET", "POST"]


async def test_a_bad_image_runs_but_never_becomes_ready(node: Node) -> None:
    node.run("bad:v1")
    await wait_until(lambda: node.state().get("started"))
    container = node.plane.kubelet.container("default", "one")
    assert container is not None
    assert not await container.is_ready()
    assert not is_ready(node.pod())


async def test_a_crashing_image_backs_off_and_counts_its_restarts(node: Node) -> None:
    node.run("crash:v1")
    await wait_until(lambda: (node.state().get("restartCount") or 0) >= 1)
    assert node.state()["state"]["waiting"]["reason"] == "CrashLoopBackOff"
    assert not is_ready(node.pod())


async def test_a_crashed_container_is_started_again(node: Node) -> None:
    node.run()
    client = await node.ready()
    assert node.plane.kubelet.crash("default", "one")
    await wait_until(lambda: not is_ready(node.pod()))
    assert await ask(client) == "ConnectionRefusedError"
    await wait_until(lambda: is_ready(node.pod()))
    assert node.state()["restartCount"] == 1


async def test_readiness_follows_the_probe(node: Node) -> None:
    node.run()
    await node.ready()
    container = node.plane.kubelet.container("default", "one")
    assert container is not None
    container.health.ready = False
    await wait_until(lambda: not is_ready(node.pod()))
    container.health.ready = True
    await wait_until(lambda: is_ready(node.pod()))


async def test_stop_now_loses_the_request_in_flight(node: Node) -> None:
    node.run(latency="5000")
    client = await node.ready()
    flying = asyncio.create_task(ask(client))
    await wait_until(lambda: connections(node))
    node.delete()
    assert isinstance(await flying, str)
    await wait_until(node.gone)
    assert await ask(client) == "ConnectionRefusedError"


async def test_stop_drain_finishes_the_request_and_refuses_new_ones(node: Node) -> None:
    node.run(latency="300", stop="drain")
    client = await node.ready()
    flying = asyncio.create_task(client.send(GET))
    await wait_until(lambda: connections(node))
    node.delete()
    await wait_until(lambda: backend(node).draining)
    assert await ask(client, Request(host="x", keep_alive=False)) == "ConnectionRefusedError"
    assert (await flying).headers["connection"] == "close"
    await wait_until(node.gone)


async def test_stop_serve_goes_on_until_the_grace_period_ends(node: Node) -> None:
    node.run(stop="serve", grace=1)
    client = await node.ready()
    node.delete()
    assert node.pod()["metadata"]["deletionTimestamp"]
    answer = await client.send(GET)
    assert answer.status == 200
    client.close()
    await wait_until(node.gone)


async def test_errors_are_a_share_of_the_answers(node: Node) -> None:
    node.run(errors="1.0")
    client = await node.ready()
    assert (await client.send(GET)).status == 500
    client.close()


async def test_a_pod_with_a_knob_nobody_knows_stays_pending(
    node: Node, caplog: pytest.LogCaptureFixture
) -> None:
    node.run(stop="gently")
    await asyncio.sleep(0)
    assert node.pod()["status"]["phase"] == "Pending"
    assert "annotation bed/stop is 'gently'; allowed: now, drain, serve" in caplog.text


async def test_a_pod_deleted_by_force_ends_at_once(node: Node) -> None:
    node.run(stop="serve")
    client = await node.ready()
    node.store.delete("pods", "default", "one", grace_seconds=0)
    assert await ask(client) == "ConnectionRefusedError"


def test_two_beds_never_share_an_address() -> None:
    one, other = AddressBlock(), AddressBlock()
    mine = {one.issue() for _ in range(1000)}
    theirs = {other.issue() for _ in range(1000)}
    one.release()
    other.release()
    assert (len(mine), len(theirs), mine & theirs) == (1000, 1000, set())


def test_a_refused_low_port_says_what_to_do() -> None:
    text = why_not_bound("127.64.0.1", 80, PermissionError(13, "Permission denied"))
    assert "127.64.0.1:80" in text
    assert "containerPort such as 8080" in text


def backend(node: Node) -> Backend:
    found = node.plane.kubelet.container("default", "one")
    assert isinstance(found, Backend)
    return found


def connections(node: Node) -> bool:
    """Say whether a request is in flight."""
    return any(connection.busy for connection in backend(node).connections)
