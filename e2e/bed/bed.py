"""The embedded bed: one `async with` starts a cluster, a proxy and backends, and removes them."""

import json
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from e2e.bed.api import Api
from e2e.bed.children import Child, environment
from e2e.bed.controllerprocess import ROOT
from e2e.bed.knobs import Knobs, PodKnobs
from e2e.bed.kubectl import Kubectl, cluster_config
from e2e.bed.polling import wait_until
from e2e.bed.served import Served, Write


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """How a bed is built."""

    hold: bool = True
    """Whether the server does what the policies of the admission hold do; switchable later."""
    proxy: bool = True
    proxy_throttle: str = "0s"
    """How long the proxy rests between two changes; many releases at once cost it less so."""
    loopback_endpoints: bool = True
    """Whether EndpointSlices may hold loopback addresses, as the pods here need."""
    folder: Path | None = None
    """Where logs and state go; by default a temporary folder that is removed at the end."""


@dataclass(slots=True)
class Bed(Served):
    """A running bed; any number may run side by side.

    Example:
        async with Bed() as bed:
            await bed.api.apply(manifests.application())
            await bed.serves("myapp.example", "v1")
            await bed.kubectl("rollout", "pause", "deployment/myapp", "-n", "canary")
    """

    options: Options = field(default_factory=Options)
    knobs: Knobs = field(init=False)
    """What no cluster has: hold on and off, faults, delays, the pods' health, the request log."""
    server: str = field(init=False)
    """The URL of the API server."""
    pid: int = field(init=False)
    """Of the bed process."""

    @property
    def pods(self) -> PodKnobs:
        """Answer what changes running pods."""
        return self.knobs

    async def objects(
        self, namespace: str = "", *, without: Sequence[str] = ()
    ) -> Mapping[str, Mapping[str, Any]]:
        """Answer every object by `PLURAL/NAMESPACE/NAME`."""
        found = await self.knobs.objects()
        wanted = f"/{namespace}/" if namespace else ""
        left_out = tuple(f"{plural}/" for plural in without)
        return {
            key: obj for key, obj in found.items() if wanted in key and not key.startswith(left_out)
        }

    async def writes(self) -> Sequence[Write]:
        """Answer what the controller wrote since `forget_writes`; no Lease, no dry runs."""
        return [
            Write(method=request["method"], path=request["path"])
            for request in await self._of_the_controller()
            if request["method"] != "GET"
            and request["query"].get("dryRun") != "All"
            and "leases" not in request["path"]
        ]

    async def forget_writes(self) -> None:
        """Begin to collect the controller's writes anew."""
        await self.knobs.clear_requests()

    async def forbidden(self) -> Sequence[str]:
        """Answer what the controller asked for and was not allowed."""
        found = await self._of_the_controller()
        return [f"{one['method']} {one['path']}" for one in found if one["status"] == 403]

    async def asked(self) -> int:
        """Count the requests of the controller, of the last 100,000 that came."""
        return len(await self._of_the_controller())

    async def take_policy_away(self, part: str) -> None:  # noqa: ARG002 - both are one switch here
        """Let the server hold nothing any more."""
        await self.knobs.set_hold(on=False)

    async def put_policy_back(self) -> None:
        """Let the server hold again."""
        await self.knobs.set_hold(on=True)

    async def _of_the_controller(self) -> list[dict[str, Any]]:
        found = await self.knobs.requests()
        return [request for request in found if request["agent"].startswith("serinus")]

    async def _start(self) -> None:
        self.folder = self._new_folder(self.options.folder)
        ports = await self._start_process()
        self.server = ports["api"]
        self.kubeconfig = self.folder / "kubeconfig"
        self.kubeconfig.write_text(cluster_config(self.server))
        self.kubectl = Kubectl(kubeconfig=self.kubeconfig, cache=self.folder / "kubectl-cache")
        self.api = Api(client=await self._client(self.server))
        self.knobs = Knobs(client=await self._client(ports["knobs"]))
        if self.options.proxy:
            await self._start_proxy(self.kubeconfig, self.options.proxy_throttle)

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
