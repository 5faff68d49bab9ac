"""The real bed: one `async with` starts a control plane, a node, a proxy, and removes them."""

import asyncio
import json
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import httpx

from e2e.bed import manifests
from e2e.bed.api import Api
from e2e.bed.children import Child, environment
from e2e.bed.controllerprocess import ROOT
from e2e.bed.knobs import PodKnobs
from e2e.bed.kubectl import Kubectl
from e2e.bed.polling import wait_until
from e2e.bed.served import Served, Write
from e2e.controlplane.audit import Audit
from e2e.controlplane.build import built
from e2e.controlplane.credentials import Credentials
from e2e.controlplane.servers import Servers

MANIFESTS = ROOT / "manifests"
OVERLAY = MANIFESTS / "overlays" / "cluster"
"""What a user applies."""
HOLD = tuple(MANIFESTS / "policies" / name for name in ("hold.yaml", "warn.yaml"))
"""What a user leaves out where the controller pauses."""
HOLD_POLICY = {"policy": "mutatingadmissionpolicy", "binding": "mutatingadmissionpolicybinding"}
"""The kinds of the two objects `serinus-hold`."""
APPLICATION = "app.kubernetes.io/name=serinus"
"""Selects what the overlay is made of."""
PROBE = "bed-probe"
"""The namespace and name of a Deployment that shows when the policies are in force."""
START_SECONDS = 60.0


class _Resource(NamedTuple):
    """A kind the server can list."""

    group: str
    plural: str
    is_namespaced: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """How a bed is built."""

    hold: bool = True
    """Whether the policies of the admission hold stay where the overlay put them."""
    proxy_throttle: str = "0s"
    """How long the proxy rests between two changes; its own default is 2 s."""
    folder: Path | None = None
    """Where logs and state go; by default a temporary folder that is removed at the end."""


@dataclass(slots=True)
class ControlPlane(Served):
    """A running bed with a real API server; needs a network namespace of its own.

    Several may run side by side in one.
    """

    options: Options = field(default_factory=Options)
    audit: Audit = field(init=False)
    """What the controller asked."""
    _servers: Servers = field(init=False)
    _credentials: Credentials = field(init=False)
    _knobs: PodKnobs = field(init=False)
    _account: Path = field(init=False)
    _resources: list[_Resource] = field(default_factory=list, init=False)

    @property
    def pods(self) -> PodKnobs:
        """Answer what changes running pods."""
        return self._knobs

    @property
    def controller_kubeconfig(self) -> Path:
        """Answer the kubeconfig of the controller's service account."""
        return self._account

    async def objects(
        self, namespace: str = "", *, without: Sequence[str] = ()
    ) -> Mapping[str, Mapping[str, Any]]:
        """Answer every object by `PLURAL/NAMESPACE/NAME`."""
        if not self._resources:
            self._resources = await _resources(self.api.client)
        wanted = [
            found
            for found in self._resources
            if found.plural not in without and (found.is_namespaced or not namespace)
        ]
        lists = await asyncio.gather(*(self._list(found, namespace) for found in wanted))
        return {
            f"{found.plural}/{obj['metadata'].get('namespace', '')}/{obj['metadata']['name']}": obj
            for found, objects in zip(wanted, lists, strict=True)
            for obj in objects
        }

    async def writes(self) -> Sequence[Write]:
        """Answer what the controller wrote since `forget_writes`; no Lease, no dry runs."""
        return self.audit.writes()

    async def forget_writes(self) -> None:
        """Begin to collect the controller's writes anew."""
        self.audit.forget()

    async def forbidden(self) -> Sequence[str]:
        """Answer what the controller asked for and was not allowed."""
        return self.audit.forbidden()

    async def asked(self) -> int:
        """Count the requests of the controller to the API server."""
        return self.audit.count()

    async def take_policy_away(self, part: str) -> None:
        """Let the server hold nothing any more."""
        await self.kubectl("delete", HOLD_POLICY[part], "serinus-hold")

    async def put_policy_back(self) -> None:
        """Let the server hold again."""
        await self.kubectl("apply", "-k", str(OVERLAY), "-l", APPLICATION)

    async def _start(self) -> None:
        programs = built()
        self.folder = self._new_folder(self.options.folder)
        self._credentials = Credentials.write(self.folder)
        self._servers = Servers(
            programs=programs, folder=self.folder, credentials=self._credentials
        )
        self._stack.push_async_callback(self._servers.stop)
        await self._servers.start()
        self.kubeconfig = self._kubeconfig("bed:kubectl")
        self.kubectl = Kubectl(kubeconfig=self.kubeconfig, cache=self.folder / "kubectl-cache")
        self.api = Api(client=await self._client())
        await self.api.apply(manifests.ingress_class())
        self._knobs = PodKnobs(client=await self._start_node())
        await self._install()
        await self._start_proxy(self._kubeconfig("bed:proxy"), self.options.proxy_throttle)

    def _kubeconfig(self, user: str, token: str = "") -> Path:
        return self._credentials.kubeconfig(self._servers.url, self._servers.authority, user, token)

    async def _client(self) -> httpx.AsyncClient:
        return await self._stack.enter_async_context(self._servers.client())

    async def _start_node(self) -> httpx.AsyncClient:
        ready, token = self.folder / "node.json", self.folder / "node.token"
        token.touch(mode=0o600)
        token.write_text(self._credentials.tokens["bed:kubelet"])
        command = [
            sys.executable,
            "-m",
            "e2e.controlplane.node",
            f"--server={self._servers.url}",
            f"--authority={self._servers.authority}",
            f"--token-file={token}",
            f"--ready-file={ready}",
        ]
        if self.options.folder is None:
            command.append(f"--orphaned-folder={self.folder}")
        child = Child.start(
            "node",
            command,
            log=self.folder / "node.log",
            env=environment(),
            cwd=ROOT,
            at_parents_end=signal.SIGTERM,
        )
        self._stack.push_async_callback(child.stop)

        def is_ready() -> bool:
            child.check()
            return ready.exists()

        await wait_until(is_ready, within=START_SECONDS, every=0.05, what="the node is ready")
        url = json.loads(ready.read_text())["knobs"]
        client = httpx.AsyncClient(base_url=url, trust_env=False, timeout=30.0)
        return await self._stack.enter_async_context(client)

    async def _install(self) -> None:
        """Apply what a user applies, and return when its policies are in force.

        The controller itself runs beside, as its service account: there is no image of it here.
        """
        await self.kubectl("apply", "-k", str(OVERLAY), within=START_SECONDS)
        if not self.options.hold:
            files = [word for path in HOLD for word in ("-f", str(path))]
            await self.kubectl("delete", *files, within=START_SECONDS)
        (account,) = await self.api.list_everywhere("serviceaccounts", labels=APPLICATION)
        namespace, name = account["metadata"]["namespace"], account["metadata"]["name"]
        await self.kubectl("scale", "deployment", "-n", namespace, "--replicas=0", name)
        user = f"system:serviceaccount:{namespace}:{name}"
        self.audit = Audit(path=self._servers.audit_log, user=user)
        self._account = self._kubeconfig(user, await self._token(namespace, name))
        await self._holds_as_told()

    async def _token(self, namespace: str, account: str) -> str:
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"
        answer = await self.api.client.post(path, json={"spec": {"expirationSeconds": 86_400}})
        return str(answer.raise_for_status().json()["status"]["token"])

    async def _holds_as_told(self) -> None:
        """Wait until a Deployment is held, or is not."""
        probe = self.api_in(PROBE)
        written = manifests.deployment(PROBE, namespace=PROBE, replicas=0)
        written["metadata"]["labels"] = {"serinus.dev/held": PROBE}
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": PROBE}}
        await probe.apply(namespace, written)

        async def is_as_told() -> bool:
            return await self._is_held() == self.options.hold

        await wait_until(
            is_as_told, within=START_SECONDS, every=0.1, what="the policies are in force"
        )
        await probe.delete("namespaces", PROBE)

    async def _is_held(self) -> bool:
        template = manifests.deployment(PROBE, image="probe:v2")["spec"]["template"]
        answer = await self.api.client.patch(
            f"/apis/apps/v1/namespaces/{PROBE}/deployments/{PROBE}",
            params={"dryRun": "All"},
            headers={"Content-Type": "application/merge-patch+json"},
            content=json.dumps({"spec": {"template": template}}),
        )
        return bool(answer.raise_for_status().json()["spec"].get("paused"))

    async def _list(self, resource: _Resource, namespace: str) -> list[dict[str, Any]]:
        scope = f"/namespaces/{namespace}" if namespace else ""
        answer = await self.api.client.get(f"{resource.group}{scope}/{resource.plural}")
        found: list[dict[str, Any]] = answer.raise_for_status().json()["items"]
        return found


async def _resources(client: httpx.AsyncClient) -> list[_Resource]:
    """Ask the server for every kind that can be listed, each in its preferred version."""
    groups = (await client.get("/apis")).raise_for_status().json()["groups"]
    paths = ["/api/v1", *(f"/apis/{group['preferredVersion']['groupVersion']}" for group in groups)]
    found = []
    for path in paths:
        answer = (await client.get(path)).raise_for_status().json()
        found += [
            _Resource(path, one["name"], one["namespaced"])
            for one in answer["resources"]
            if "list" in one["verbs"]
        ]
    return found
