"""A Deployment with whichever controllers run it: the simulated ones, or those of Kubernetes."""

import asyncio
import json
import os
import random
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import httpx

from e2e.bed import manifests
from e2e.bed.api import Api
from e2e.bed.apiserver.server import ApiServer
from e2e.bed.apiserver.store import Store
from e2e.bed.container import ImaginaryContainer
from e2e.bed.kubelet import Kubelet, Pace
from e2e.bed.polling import wait_until
from e2e.bed.simulation import control_plane, pod_addresses
from e2e.bed.workloads.cluster import condition_of, is_active, is_ready
from e2e.bed.workloads.rollout import HASH_LABEL, REVISION
from e2e.controlplane.build import built
from e2e.controlplane.credentials import Credentials
from e2e.controlplane.pods import ServerPods
from e2e.controlplane.servers import Servers

IS_REAL = os.environ.get("SERINUS_BED") == "controlplane"
NAME = "myapp"
GATED = "bad"
"""A version whose pods become ready only where a case lets them."""
PATIENCE = 90.0
PACE = Pace(probe=0.1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Plane:
    """An API server with controllers, and the one kubelet of imaginary containers."""

    client: httpx.AsyncClient
    kubelet: Kubelet


@asynccontextmanager
async def simulated() -> AsyncIterator[Plane]:
    """Run the emulator and the simulated controllers in this process."""
    store = Store(gc_delay=0.05)
    plane = control_plane(store, clock=time.time, rng=random.Random(), pace=PACE)
    server = ApiServer(store)
    url = await server.start()
    try:
        async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=30.0) as client:
            yield Plane(client=client, kubelet=plane.kubelet)
    finally:
        await plane.close()
        await server.stop()


@asynccontextmanager
async def real(folder: Path) -> AsyncIterator[Plane]:
    """Run etcd, kube-apiserver and kube-controller-manager, with our kubelet in this process."""
    credentials = Credentials.write(folder)
    servers = Servers(programs=built(), folder=folder, credentials=credentials)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(servers.stop)
        await servers.start()
        client = await stack.enter_async_context(servers.client())
        session = aiohttp.ClientSession(
            servers.url,
            headers={"Authorization": f"Bearer {credentials.tokens['bed:kubelet']}"},
            connector=aiohttp.TCPConnector(ssl=servers.trust()),
        )
        pods = ServerPods(await stack.enter_async_context(session))
        await pods.announce()
        kubelet = Kubelet(
            pods, runs=ImaginaryContainer, issue=pod_addresses(), clock=time.time, pace=PACE
        )
        stack.push_async_callback(kubelet.close)
        follows = asyncio.create_task(pods.follow(lambda pod, gone: kubelet.notice(pod, gone=gone)))
        stack.callback(follows.cancel)
        yield Plane(client=client, kubelet=kubelet)


@dataclass(slots=True, kw_only=True)
class Seen:
    """What watches saw of the ReplicaSets and pods of a Deployment, at any moment since they began.

    `maxSurge` bounds what the ReplicaSets together are to have. The pods themselves can be one
    more for a moment: each ReplicaSet is served by a worker of its own, and the one that takes a
    pod away may be later than the one that puts the next one up: so it was in 7 of 40 rolls of
    Kubernetes 1.37.2.

    Attributes:
        most_wanted: How many pods the ReplicaSets were to have together.
        most: How many pods there were at once that did not end.
        fewest_ready: How few of these were ready.
    """

    most_wanted: int = 0
    most: int = 0
    fewest_ready: int = 1_000
    _objects: dict[str, dict[str, Mapping[str, Any]]] = field(
        default_factory=lambda: {"pods": {}, "replicasets": {}}
    )

    def take(self, resource: str, event: str, found: Mapping[str, Any]) -> None:
        """Take notice of one change."""
        uid = found["metadata"]["uid"]
        if event == "DELETED":
            self._objects[resource].pop(uid, None)
        else:
            self._objects[resource][uid] = found

    def count(self) -> None:
        """Count what there is now."""
        wanted = [one["spec"]["replicas"] for one in self._objects["replicasets"].values()]
        active = [pod for pod in self._objects["pods"].values() if is_active(pod)]
        self.most_wanted = max(self.most_wanted, sum(wanted))
        self.most = max(self.most, len(active))
        self.fewest_ready = min(self.fewest_ready, sum(map(is_ready, active)))


@dataclass(frozen=True, kw_only=True, slots=True)
class Rollout:
    """One Deployment in a namespace of its own."""

    plane: Plane
    namespace: str

    @property
    def api(self) -> Api:
        """Answer the API server for this namespace."""
        return Api(client=self.plane.client, namespace=self.namespace)

    # What its owner does.

    async def deploy(
        self,
        replicas: int = 3,
        name: str = NAME,
        lifecycle: Mapping[str, Any] | None = None,
        **spec: Any,
    ) -> None:
        """Create it, and wait until it is complete unless its pods are held back."""
        written = manifests.deployment(name, namespace=self.namespace, replicas=replicas, **spec)
        if lifecycle:
            written["spec"]["template"]["spec"]["containers"][0]["lifecycle"] = lifecycle
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace}}
        await self.api.apply(namespace, written)
        if "bad" not in spec.get("image", ""):
            await self.is_complete(name)

    async def set_image(self, version: str, name: str = NAME) -> None:
        """Ship a version."""
        found = await self.get(name)
        pods = found["spec"]["template"]["spec"]
        pods["containers"][0]["image"] = f"janakiramm/myapp:{version}"
        await self.api.patch("deployments", name, {"spec": {"template": {"spec": pods}}})

    async def set_spec(self, name: str = NAME, **fields: Any) -> None:
        """Change fields of its spec."""
        await self.api.patch("deployments", name, {"spec": fields})

    async def let_in(self, version: str = GATED) -> None:
        """Let the pods of a version become ready."""
        for pod in await self.pods(version):
            meta = pod["metadata"]
            container = self.plane.kubelet.container(meta["namespace"], meta["name"])
            if container is not None:
                container.health.ready = True

    # What a controller sees.

    async def get(self, name: str = NAME) -> dict[str, Any]:
        """Answer the Deployment."""
        found = await self.api.get("deployments", name)
        assert found is not None
        return dict(found)

    async def comes(self, what: str, holds: Callable[[], Any]) -> Any:
        """Wait until something holds."""
        return await wait_until(holds, within=PATIENCE, every=0.05, what=what)

    async def is_complete(self, name: str = NAME) -> None:
        """Wait until all pods are of the template and available, and that is reported."""

        async def holds() -> bool:
            found = await self.get(name)
            status = found.get("status", {})
            counts = [
                status.get(c, 0) for c in ("replicas", "updatedReplicas", "availableReplicas")
            ]
            is_seen = status.get("observedGeneration", 0) == found["metadata"]["generation"]
            reported = (condition_of(found, "Progressing") or {}).get("reason")
            return (
                is_seen
                and set(counts) == {found["spec"]["replicas"]}
                and "unavailableReplicas" not in status
                and reported == "NewReplicaSetAvailable"
                and len(await self.pods()) >= found["spec"]["replicas"]
            )

        await self.comes(f"{self.namespace}: complete", holds)

    async def is_observed(self, name: str = NAME) -> None:
        """Wait until the controller has seen the spec as it is."""

        async def holds() -> bool:
            found = await self.get(name)
            seen = found.get("status", {}).get("observedGeneration", 0)
            return bool(seen == found["metadata"]["generation"])

        await self.comes(f"{self.namespace}: observed", holds)

    async def sizes(self) -> dict[str, int]:
        """Answer the wanted size of each ReplicaSet by its version."""
        found = await self.api.list("replicasets")
        return {_version(one["spec"]["template"]): one["spec"]["replicas"] for one in found}

    async def has_sizes(self, **expected: int) -> None:
        """Wait until the ReplicaSets have these sizes, and these pods run."""

        async def holds() -> bool:
            pods = [_version(pod) for pod in await self.pods() if is_active(pod)]
            counts = {version: pods.count(version) for version in expected}
            return await self.sizes() == counts == expected

        await self.comes(f"{self.namespace}: sizes {expected}", holds)

    async def pods(self, version: str = "") -> list[Mapping[str, Any]]:
        """Answer the pods, of one version or all."""
        found = await self.api.list("pods")
        return [pod for pod in found if not version or _version(pod) == version]

    async def status(self, name: str = NAME) -> dict[str, int]:
        """Answer the counters of the status, but for the generation and of pods that leave."""
        status = (await self.get(name)).get("status", {})
        apart = ("conditions", "observedGeneration", "terminatingReplicas")
        return {key: value for key, value in status.items() if key not in apart}

    async def has_status(self, **counters: int) -> None:
        """Wait until the counters are these, and no others."""

        async def holds() -> bool:
            await self.is_observed()
            return await self.status() == counters

        await self.comes(f"{self.namespace}: status {counters}", holds)

    async def has_leaving(self, count: int) -> None:
        """Wait until so many pods are told to leave."""

        async def holds() -> bool:
            status = (await self.get()).get("status", {})
            return bool(status.get("terminatingReplicas") == count)

        await self.comes(f"{self.namespace}: {count} leave", holds)

    async def condition(self, kind: str, name: str = NAME) -> tuple[str, str]:
        """Answer status and reason of a condition."""
        found = condition_of(await self.get(name), kind) or {}
        return found.get("status", ""), found.get("reason", "")

    async def has_condition(self, kind: str, status: str, reason: str, name: str = NAME) -> None:
        """Wait for a condition."""

        async def holds() -> bool:
            return await self.condition(kind, name) == (status, reason)

        await self.comes(f"{self.namespace}: {kind} {status} {reason}", holds)

    async def revisions(self) -> dict[str, str]:
        """Answer the revision of each ReplicaSet by its version, and of the Deployment itself."""
        found = await self.api.list("replicasets")
        own = (await self.get())["metadata"]["annotations"][REVISION]
        sets = {
            _version(one["spec"]["template"]): one["metadata"]["annotations"][REVISION]
            for one in found
        }
        return {**sets, NAME: own}

    async def hashes(self) -> dict[str, str]:
        """Answer the hash label of each ReplicaSet by its version."""
        found = await self.api.list("replicasets")
        return {
            _version(one["spec"]["template"]): one["metadata"]["labels"][HASH_LABEL]
            for one in found
        }

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[Seen]:
        """Watch the ReplicaSets and the pods while the block runs."""
        seen = Seen()
        async with asyncio.TaskGroup() as group:
            follows = [
                group.create_task(self._follow(path, await self._listed(path, seen), seen))
                for path in self._watched_paths()
            ]
            yield seen
            for task in follows:
                task.cancel()

    def _watched_paths(self) -> tuple[str, ...]:
        core, apps = "/api/v1", "/apis/apps/v1"
        inside = f"namespaces/{self.namespace}"
        return f"{core}/{inside}/pods", f"{apps}/{inside}/replicasets"

    async def _listed(self, path: str, seen: Seen) -> str:
        """Take notice of what there is; answer the version to watch from."""
        listed = (await self.plane.client.get(path)).json()
        for found in listed["items"]:
            seen.take(_resource(path), "ADDED", found)
        version: str = listed["metadata"]["resourceVersion"]
        return version

    async def _follow(self, path: str, version: str, seen: Seen) -> None:
        params = {"watch": "true", "resourceVersion": version}
        async with self.plane.client.stream("GET", path, params=params, timeout=None) as answer:
            async for line in answer.aiter_lines():
                event = json.loads(line)
                seen.take(_resource(path), event["type"], event["object"])
                seen.count()


def _resource(path: str) -> str:
    return path.rpartition("/")[2]


def _version(pod: Mapping[str, Any]) -> str:
    image: str = pod["spec"]["containers"][0]["image"]
    return image.rpartition(":")[2].replace("-", "_")
