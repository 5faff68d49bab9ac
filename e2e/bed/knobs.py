"""What the bed can do that no cluster can, asked of the bed process on a port of its own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx


@dataclass(frozen=True, kw_only=True, slots=True)
class PodKnobs:
    """What a kubelet of processes can do to its pods."""

    client: httpx.AsyncClient

    async def set_pod(
        self,
        name: str,
        namespace: str = "canary",
        *,
        ready: bool | None = None,
        errors: float | None = None,
    ) -> None:
        """Change a running pod: its readiness probe, the share of its answers that are 500."""
        wanted = {"ready": ready, "errors": errors}
        known = {key: value for key, value in wanted.items() if value is not None}
        await self._put(f"/bed/pods/{namespace}/{name}", known)

    async def crash_pod(self, name: str, namespace: str = "canary") -> None:
        """End a pod's process; the kubelet starts it again after its back-off."""
        answer = await self.client.post(f"/bed/pods/{namespace}/{name}/crash")
        answer.raise_for_status()

    async def _get(self, path: str) -> Any:
        return (await self.client.get(path)).raise_for_status().json()

    async def _put(self, path: str, body: Any) -> None:
        answer = await self.client.put(path, json=body)
        if answer.is_error:
            raise ValueError(f"{path}: {answer.text}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Knobs(PodKnobs):
    """The second port of the bed process."""

    async def set_hold(self, *, on: bool) -> None:
        """Switch the policies of the admission hold on or off."""
        await self._put("/bed/hold", {"on": on})

    async def set_delays(self, **seconds: float) -> None:
        """Make parts of the cluster sluggish.

        Args:
            seconds: `deployments`, `replicasets`, `endpointslices` (from a change to the
                controller's pass), `start` (of a container), `termination` (from a pod's deletion
                to its SIGTERM), `backoff` (before the first restart), `probe` (between two
                readiness probes); those left out stay as they are.
        """
        await self._put("/bed/delays", seconds)

    async def objects(self) -> dict[str, dict[str, Any]]:
        """Answer every object by `PLURAL/NAMESPACE/NAME`."""
        found: dict[str, dict[str, Any]] = await self._get("/bed/objects")
        return found

    async def requests(self) -> list[dict[str, Any]]:
        """Answer what was asked of the API server since the log was last cleared."""
        found: list[dict[str, Any]] = await self._get("/bed/requests")
        return found

    async def clear_requests(self) -> None:
        """Forget the requests so far."""
        (await self.client.delete("/bed/requests")).raise_for_status()

    async def set_faults(self, faults: Sequence[Mapping[str, Any]]) -> None:
        """Let requests fail; each fault is a mapping, see `e2e.bed.faults.PlannedFault`."""
        await self._put("/bed/faults", list(faults))

    async def forget_history(self) -> None:
        """Cut every watch and forget old versions: each that comes back gets 410."""
        (await self.client.post("/bed/forget-history")).raise_for_status()
