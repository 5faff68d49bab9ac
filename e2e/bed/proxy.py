"""Traefik, the real one, as the bed's ingress controller."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import httpx

from e2e.bed.addresses import free_port
from e2e.bed.certificate import write_certificate
from e2e.bed.children import Child, environment, program
from e2e.bed.polling import wait_until

LOOPBACK = "127.0.0.1"
PROVIDER = "kubernetesingressnginx"


@dataclass(frozen=True, kw_only=True, slots=True)
class Proxy:
    """A running Traefik."""

    child: Child
    port: int
    """Where requests go."""
    admin_port: int
    """Where its own state and its metrics are read."""
    client: httpx.AsyncClient

    @classmethod
    async def start(
        cls, *, kubeconfig: Path, folder: Path, throttle: str = "0s", within: float = 20.0
    ) -> Self:
        """Start Traefik and return when it serves what the API server holds.

        Args:
            kubeconfig: Leads to the API server.
            folder: Where its log goes.
            throttle: How long it rests after it took a change; the next ones wait for it together.
            within: Seconds in which it has to be ready.

        Raises:
            MissingProgramError: Traefik is not installed.
            ChildEndedError: It ended; the message has its log.
            TimeoutError: It was not ready in time.
        """
        port, admin_port = free_port(), free_port()
        command = [program("traefik"), *_flags(port, admin_port, throttle)]
        command.append(f"--providers.file.filename={write_certificate(folder)}")
        env = environment(KUBECONFIG=str(kubeconfig), GOGC="400")
        child = Child.start("traefik", command, log=folder / "traefik.log", env=env)
        client = httpx.AsyncClient(base_url=f"http://{LOOPBACK}:{admin_port}", trust_env=False)
        proxy = cls(child=child, port=port, admin_port=admin_port, client=client)
        try:
            await wait_until(proxy.is_ready, within=within, what="traefik is ready")
        except BaseException:
            await proxy.stop()
            raise
        return proxy

    async def stop(self) -> None:
        """End it."""
        await self.client.aclose()
        await self.child.stop()

    async def is_ready(self) -> bool:
        """Say whether it is up and has read the Ingresses once."""
        self.child.check()
        try:
            ping = await self.client.get("/ping")
            overview = await self.client.get("/api/overview")
        except httpx.TransportError:
            return False
        return ping.is_success and overview.is_success and bool(overview.json().get("providers"))

    async def services(self) -> dict[str, Mapping[str, Any]]:
        """Answer its services as they are in force, by name without the provider."""
        return {_short(entry): entry for entry in await self._read("services")}

    async def routers(self) -> dict[str, Mapping[str, Any]]:
        """Answer its routers as they are in force, by name without the provider."""
        return {_short(entry): entry for entry in await self._read("routers")}

    async def weights(self, service: str, namespace: str = "canary") -> dict[str, int]:
        """Answer the canary weights in force for a stable Service.

        Returns:
            The weight by the proxy's name of the stable side, one for each Ingress that has a
            canary; empty when none has one.
        """
        services = await self.services()
        stable = [name for name, entry in services.items() if _is_for(entry, service, namespace)]
        return {
            name: int(part.get("weight") or 0)
            for name in stable
            for part in (services.get(f"{name}-wrr", {}).get("weighted") or {}).get("services", ())
            if part["name"].partition("@")[0] == f"{name}-canary"
        }

    async def weight(self, service: str, namespace: str = "canary") -> int:
        """Answer the highest canary weight in force for a stable Service; 0 without a canary."""
        return max((await self.weights(service, namespace)).values(), default=0)

    async def has_canary(self, service: str, namespace: str = "canary") -> bool:
        """Say whether a canary Ingress is in force for a stable Service, at whatever weight."""
        return bool(await self.weights(service, namespace))

    async def canary_rules(self, service: str, namespace: str = "canary") -> list[str]:
        """Answer the proxy's rules of the header and cookie that lead to the canary."""
        weights = await self.weights(service, namespace)
        targets = {f"{name}-canary" for name in weights}
        routers = (await self.routers()).values()
        return sorted({r["rule"] for r in routers if r["service"].partition("@")[0] in targets})

    async def metrics(self) -> str:
        """Answer its metrics in the text format of Prometheus."""
        answer = await self.client.get("/metrics")
        return answer.raise_for_status().text

    async def _read(self, what: str) -> list[Mapping[str, Any]]:
        answer = await self.client.get(f"/api/http/{what}", params={"per_page": 1000})
        found: list[Mapping[str, Any]] = answer.raise_for_status().json()
        return [entry for entry in found if entry["name"].endswith(f"@{PROVIDER}")]


def _short(entry: Mapping[str, Any]) -> str:
    return str(entry["name"]).partition("@")[0]


def _is_for(entry: Mapping[str, Any], service: str, namespace: str) -> bool:
    metadata = (entry.get("observability") or {}).get("metadata") or {}
    found = metadata.get("kubernetes") or {}
    return (found.get("name"), found.get("namespace")) == (service, namespace)


def _flags(port: int, admin_port: int, throttle: str) -> list[str]:
    """Build the command line; bed.md section 3 gives the reason for each flag."""
    return [
        "--global.checknewversion=false",
        "--global.sendanonymoususage=false",
        "--log.level=INFO",
        f"--entrypoints.web.address={LOOPBACK}:{port}",
        f"--entrypoints.traefik.address={LOOPBACK}:{admin_port}",
        f"--providers.{PROVIDER}=true",
        f"--providers.{PROVIDER}.publishstatusaddress={LOOPBACK}",
        f"--providers.{PROVIDER}.throttleduration={throttle}",
        f"--providers.providersthrottleduration={throttle}",
        "--metrics.prometheus=true",
        "--metrics.prometheus.addrouterslabels=true",
        "--api.insecure=true",
        "--ping=true",
    ]
