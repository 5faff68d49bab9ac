"""The embedded bed: one `async with` starts a cluster, a proxy and backends, and removes them."""

import json
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from e2e.bed import manifests
from e2e.bed.api import Api, normalised
from e2e.bed.children import Child, environment
from e2e.bed.client import Answer, Client, Request, Target
from e2e.bed.controllerprocess import ROOT, ControllerProcess
from e2e.bed.knobs import Knobs
from e2e.bed.kubectl import Kubectl, cluster_config
from e2e.bed.load import Load, ordinary_requests
from e2e.bed.polling import wait_until
from e2e.bed.proxy import Proxy

CONTROL_APPLICATION = "control"
"""The name of the application no release touches; its host is `control.example`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """How a bed is built."""

    hold: bool = True
    """Whether the server does what the policies of the admission hold do; switchable later."""
    proxy: bool = True
    loopback_endpoints: bool = True
    """Whether EndpointSlices may hold loopback addresses, as the pods here need."""
    folder: Path | None = None
    """Where logs and state go; by default a temporary folder that is removed at the end."""


@dataclass(slots=True)
class Bed:
    """A running bed; any number may run side by side.

    Example:
        async with Bed() as bed:
            await bed.api.apply(manifests.application())
            await bed.serves("myapp.example", "v1")
            await bed.kubectl("rollout", "pause", "deployment/myapp", "-n", "canary")
    """

    options: Options = field(default_factory=Options)
    api: Api = field(init=False)
    """The API server, for one namespace; `api_in` answers another."""
    knobs: Knobs = field(init=False)
    """What no cluster has: hold on and off, faults, delays, the pods' health, the request log."""
    kubectl: Kubectl = field(init=False)
    kubeconfig: Path = field(init=False)
    folder: Path = field(init=False)
    server: str = field(init=False)
    """The URL of the API server."""
    pid: int = field(init=False)
    """Of the bed process."""
    _proxy: Proxy | None = None
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stack.aclose()

    @property
    def proxy(self) -> Proxy:
        """Answer the proxy; raises if the bed was built without one."""
        if self._proxy is None:
            raise RuntimeError("this bed was built without a proxy")
        return self._proxy

    @property
    def target(self) -> Target:
        """Answer where requests through the proxy go."""
        return Target(port=self.proxy.port)

    def api_in(self, namespace: str) -> Api:
        """Answer the API server for another namespace."""
        return Api(client=self.api.client, namespace=namespace)

    async def request(
        self, host: str, path: str = "/", headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Send one request through the proxy, over a fresh connection."""
        client = Client(self.target)
        named = tuple((headers or {}).items())
        return await client.send(Request(host=host, path=path, headers=named, keep_alive=False))

    async def serves(self, host: str, version: str, within: float = 15.0) -> None:
        """Wait until a request to the host is answered by a pod of that version."""

        async def answered() -> bool:
            return (await self.request(host)).version == version

        await wait_until(answered, within=within, what=f"{host} serves {version}")

    async def settled(self, name: str, namespace: str = "", within: float = 30.0) -> None:
        """Wait until a Deployment is complete, as `kubectl rollout status` does."""

        async def complete() -> bool:
            found = await self.api.get("deployments", name, namespace)
            return found is not None and _is_complete(found)

        await wait_until(complete, within=within, what=f"deployment {name} is complete")

    async def add_control(self, replicas: int = 2) -> str:
        """Apply the control application of the load tests; answers its host."""
        host = f"{CONTROL_APPLICATION}.example"
        await self.api.apply(
            manifests.application(
                CONTROL_APPLICATION,
                namespace="bed-control",
                host=host,
                replicas=replicas,
                image="control:control",
            )
        )
        await self.serves(host, "control")
        return host

    async def load(self, host: str, *, control: bool = True, **bounds: Any) -> Load:
        """Build a load on a host, not yet running.

        Args:
            host: Of the application under test.
            control: Whether a tenth goes to the control application, added if need be.
            bounds: `rate`, `count` and `seconds` of `Load`.
        """
        other = await self.add_control() if control else ""
        return Load(self.target, ordinary_requests(host), control_host=other, **bounds)

    @asynccontextmanager
    async def controller(
        self, *flags: str, name: str = "controller"
    ) -> AsyncIterator[ControllerProcess]:
        """Run `python -m controller` with these flags while the block runs."""
        process = ControllerProcess(
            kubeconfig=self.kubeconfig, folder=self.folder, flags=flags, name=name
        )
        try:
            await process.start()
            yield process
        finally:
            await process.stop()

    async def dump(self, *, without: Sequence[str] = ()) -> dict[str, dict[str, Any]]:
        """Answer every object by `PLURAL/NAMESPACE/NAME`, without ids, times and versions.

        Args:
            without: Plurals to leave out, such as `events` or `pods` with their random names.
        """
        found = await self.knobs.objects()
        return {
            key: normalised(obj) for key, obj in found.items() if key.split("/")[0] not in without
        }

    async def _start(self) -> None:
        self.folder = self._folder()
        ports = await self._start_process()
        self.server = ports["api"]
        self.kubeconfig = self.folder / "kubeconfig"
        self.kubeconfig.write_text(cluster_config(self.server))
        self.kubectl = Kubectl(kubeconfig=self.kubeconfig, cache=self.folder / "kubectl-cache")
        self.api = Api(client=await self._client(self.server))
        self.knobs = Knobs(client=await self._client(ports["knobs"]))
        if self.options.proxy:
            self._proxy = await Proxy.start(kubeconfig=self.kubeconfig, folder=self.folder)
            self._stack.push_async_callback(self._proxy.stop)

    def _folder(self) -> Path:
        if self.options.folder:
            self.options.folder.mkdir(parents=True, exist_ok=True)
            return self.options.folder
        folder = Path(tempfile.mkdtemp(prefix="serinus-bed-"))
        self._stack.callback(shutil.rmtree, folder, ignore_errors=True)
        return folder

    async def _client(self, url: str) -> httpx.AsyncClient:
        client = httpx.AsyncClient(base_url=url, trust_env=False, timeout=30.0)
        return await self._stack.enter_async_context(client)

    async def _start_process(self) -> Mapping[str, str]:
        ready = self.folder / "ready.json"
        ready.unlink(missing_ok=True)
        command = [
            sys.executable,
            "-m",
            "e2e.bed",
            f"--ready-file={ready}",
            "--hold" if self.options.hold else "--no-hold",
            "--loopback-endpoints"
            if self.options.loopback_endpoints
            else "--no-loopback-endpoints",
        ]
        if self.options.folder is None:
            command.append(f"--remove-if-orphaned={self.folder}")
        child = Child.start(
            "bed",
            command,
            log=self.folder / "bed.log",
            env=environment(),
            cwd=ROOT,
            at_parents_end=signal.SIGTERM,
        )
        self._stack.push_async_callback(child.stop)
        self.pid = child.pid

        def is_ready() -> bool:
            child.check()
            return ready.exists()

        await wait_until(is_ready, within=20.0, what="the bed process is ready")
        ports: Mapping[str, str] = json.loads(ready.read_text())
        return ports


def _is_complete(deployment: Mapping[str, Any]) -> bool:
    status, replicas = deployment.get("status") or {}, deployment["spec"].get("replicas", 1)
    counters = ("updatedReplicas", "replicas", "availableReplicas")
    observed = (status.get("observedGeneration") or 0) >= deployment["metadata"]["generation"]
    return observed and all((status.get(counter) or 0) == replicas for counter in counters)
