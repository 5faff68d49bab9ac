"""Starts etcd, kube-apiserver and kube-controller-manager in one folder, and ends them."""

import ssl
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from e2e.bed.addresses import free_port
from e2e.bed.children import Child, environment
from e2e.bed.polling import wait_until
from e2e.controlplane.credentials import MANAGER, Credentials

LOOPBACK = "127.0.0.1"
START_SECONDS = 120.0
"""For each of the three; the cores may be busy."""
NOT_NEEDED = (
    "node-lifecycle-controller",  # our node sends no heartbeats
    "node-ipam-controller",
    "persistentvolume-binder-controller",
    "ttl-after-finished-controller",
)


@dataclass(slots=True, kw_only=True)
class Servers:
    """The programs of a control plane; `start` returns when a request is answered."""

    programs: Path
    """The folder they were built into."""
    folder: Path
    """Where their data, keys and logs go."""
    credentials: Credentials
    url: str = field(default_factory=lambda: f"https://{LOOPBACK}:{free_port()}")
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    @property
    def authority(self) -> Path:
        """Answer the certificate that vouches for the API server."""
        return self.folder / "certificates" / "apiserver.crt"

    @property
    def audit_log(self) -> Path:
        """Answer the file the API server writes every request to."""
        return self.folder / "audit.log"

    def trust(self) -> ssl.SSLContext:
        """Build what a client needs to know the server by."""
        return ssl.create_default_context(cafile=str(self.authority))

    async def start(self) -> None:
        """Start all three, one after the other.

        Raises:
            ChildEndedError: One ended; the message has the end of its log.
            TimeoutError: One was not ready in time.
        """
        await self.start_api()
        self._run("kube-controller-manager", self._manager())

    async def start_api(self) -> None:
        """Start etcd and the API server only, where nobody may write but the caller.

        Raises:
            ChildEndedError: As `start`.
            TimeoutError: As `start`.
        """
        etcd = f"http://{LOOPBACK}:{free_port()}"
        self._run("etcd", _etcd(etcd, f"http://{LOOPBACK}:{free_port()}", self.folder))
        server = self._run("kube-apiserver", self._api_server(etcd))
        await wait_until(
            lambda: self._is_ready(server), within=START_SECONDS, every=0.2, what=server.name
        )

    def client(self) -> httpx.AsyncClient:
        """Build a client with all rights; the caller closes it."""
        return httpx.AsyncClient(
            base_url=self.url,
            verify=self.trust(),
            headers={"Authorization": f"Bearer {self.credentials.tokens['bed:scenario']}"},
            trust_env=False,
            timeout=30.0,
        )

    async def stop(self) -> None:
        """End them, the last first."""
        await self._stack.aclose()

    def _run(self, name: str, flags: Mapping[str, str]) -> Child:
        command = [str(self.programs / name), *_words(flags)]
        log = self.folder / f"{name}.log"
        child = Child.start(name, command, log=log, env=environment(), cwd=self.folder)
        self._stack.push_async_callback(child.stop)
        return child

    async def _is_ready(self, server: Child) -> bool:
        server.check()
        if not self.authority.exists():
            return False
        token = self.credentials.tokens["bed:scenario"]
        headers = {"Authorization": f"Bearer {token}"}
        try:
            async with httpx.AsyncClient(
                base_url=self.url, verify=self.trust(), trust_env=False, headers=headers
            ) as client:
                return (await client.get("/readyz")).text == "ok"
        except (httpx.TransportError, ssl.SSLError):
            return False

    def _api_server(self, etcd: str) -> Mapping[str, str]:
        key = str(self.credentials.account_key)
        return {
            "etcd-servers": etcd,
            "bind-address": LOOPBACK,
            "advertise-address": "10.99.0.0",  # not used by anybody; loopback is refused
            "endpoint-reconciler-type": "none",
            "secure-port": self.url.rpartition(":")[2],
            "cert-dir": str(self.authority.parent),
            "service-account-issuer": "https://kubernetes.default.svc",
            "service-account-key-file": key,
            "service-account-signing-key-file": key,
            "service-cluster-ip-range": "10.96.0.0/16",
            "token-auth-file": str(self.credentials.token_file),
            "authorization-mode": "RBAC",
            "audit-policy-file": str(self.credentials.audit_policy),
            "audit-log-path": str(self.audit_log),
            "audit-log-maxsize": "10000",
            "allow-privileged": "true",
        }

    def _manager(self) -> Mapping[str, str]:
        kubeconfig = self.credentials.kubeconfig(self.url, self.authority, MANAGER)
        return {
            "kubeconfig": str(kubeconfig),
            "service-account-private-key-file": str(self.credentials.account_key),
            "use-service-account-credentials": "true",
            "leader-elect": "false",
            "kube-api-qps": "200",
            "kube-api-burst": "400",
            "secure-port": "0",
            "controllers": ",".join(["*", *(f"-{name}" for name in NOT_NEEDED)]),
        }


def _etcd(client: str, peer: str, folder: Path) -> Mapping[str, str]:
    return {
        "data-dir": str(folder / "etcd"),
        "listen-client-urls": client,
        "advertise-client-urls": client,
        "listen-peer-urls": peer,
        "initial-advertise-peer-urls": peer,
        "initial-cluster": f"default={peer}",
        "unsafe-no-fsync": "true",
    }


def _words(flags: Mapping[str, str]) -> Sequence[str]:
    return [f"--{name}={value}" for name, value in flags.items()]
