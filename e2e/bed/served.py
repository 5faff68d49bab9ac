"""What every bed offers once it runs: kubectl, the proxy, requests, loads, the controller."""

import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from e2e.bed import manifests
from e2e.bed.api import Api, normalised
from e2e.bed.client import Answer, Client, Request, Target
from e2e.bed.controllerprocess import ControllerProcess
from e2e.bed.knobs import PodKnobs
from e2e.bed.kubectl import Kubectl
from e2e.bed.load import Load, ordinary_requests
from e2e.bed.polling import wait_until
from e2e.bed.prometheus import LOOPBACK, Prometheus
from e2e.bed.proxy import Proxy

CONTROL_APPLICATION = "control"
"""The name of the application no release touches; its host is `control.example`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Write:
    """One request by which the controller wrote."""

    method: str
    path: str


@dataclass(slots=True)
class Served(ABC):
    """A running bed, whatever its API server is; `async with` starts and ends it."""

    api: Api = field(init=False)
    """The API server, for one namespace; `api_in` answers another."""
    kubectl: Kubectl = field(init=False)
    kubeconfig: Path = field(init=False)
    """With all rights: what `kubectl` uses."""
    folder: Path = field(init=False)
    _proxy: Proxy | None = field(default=None, init=False)
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack, init=False)

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

    @abstractmethod
    async def _start(self) -> None:
        """Start every part, and push its end on the stack."""

    @property
    @abstractmethod
    def pods(self) -> PodKnobs:
        """Answer what changes running pods."""

    @abstractmethod
    async def objects(
        self, namespace: str = "", *, without: Sequence[str] = ()
    ) -> Mapping[str, Mapping[str, Any]]:
        """Answer every object by `PLURAL/NAMESPACE/NAME`.

        Args:
            namespace: The only one looked at; empty for all.
            without: Plurals to leave out.
        """

    @abstractmethod
    async def writes(self) -> Sequence[Write]:
        """Answer what the controller wrote since `forget_writes`; no Lease, no dry runs."""

    @abstractmethod
    async def forget_writes(self) -> None:
        """Begin to collect the controller's writes anew."""

    @abstractmethod
    async def forbidden(self) -> Sequence[str]:
        """Answer what the controller asked for and was not allowed."""

    @abstractmethod
    async def asked(self) -> int:
        """Count the requests of the controller to the API server."""

    @abstractmethod
    async def take_policy_away(self, part: str) -> None:
        """Let the server hold nothing any more.

        Args:
            part: What is deleted, where there are such objects: `policy` or `binding`.
        """

    @abstractmethod
    async def put_policy_back(self) -> None:
        """Let the server hold again."""

    @property
    def controller_kubeconfig(self) -> Path:
        """Answer the kubeconfig the controller is given."""
        return self.kubeconfig

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
            kubeconfig=self.controller_kubeconfig, folder=self.folder, flags=flags, name=name
        )
        try:
            await process.start()
            yield process
        finally:
            await process.stop()

    @asynccontextmanager
    async def prometheus(self) -> AsyncIterator[Prometheus]:
        """Let Prometheus look at the proxy while the block runs."""
        target = f"{LOOPBACK}:{self.proxy.admin_port}"
        found = await Prometheus.run(folder=self.folder, targets=[target])
        try:
            yield found
        finally:
            await found.close()

    async def dump(
        self, namespace: str = "", *, without: Sequence[str] = ()
    ) -> dict[str, dict[str, Any]]:
        """Answer `objects` without ids, times and versions.

        Args:
            namespace: The only one looked at; empty for all.
            without: Plurals to leave out, such as `events` or `pods` with their random names.
        """
        found = await self.objects(namespace, without=without)
        return {key: normalised(obj) for key, obj in found.items()}

    def _new_folder(self, given: Path | None) -> Path:
        """Make the folder of logs and state; one that was not given is removed at the end."""
        if given:
            given.mkdir(parents=True, exist_ok=True)
            return given
        folder = Path(tempfile.mkdtemp(prefix="serinus-bed-"))
        self._stack.callback(shutil.rmtree, folder, ignore_errors=True)
        return folder

    async def _start_proxy(self, kubeconfig: Path, throttle: str = "0s") -> None:
        self._proxy = await Proxy.start(
            kubeconfig=kubeconfig, folder=self.folder, throttle=throttle
        )
        self._stack.push_async_callback(self._proxy.stop)


def _is_complete(deployment: Mapping[str, Any]) -> bool:
    status, replicas = deployment.get("status") or {}, deployment["spec"].get("replicas", 1)
    counters = ("updatedReplicas", "replicas", "availableReplicas")
    observed = (status.get("observedGeneration") or 0) >= deployment["metadata"]["generation"]
    return observed and all((status.get(counter) or 0) == replicas for counter in counters)
