"""What the bed can do to a running pod, asked over HTTP."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiohttp import web

from e2e.bed.kubelet import Kubelet

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, kw_only=True, slots=True)
class PodKnobServer:
    """Answers `e2e.bed.knobs.PodKnobs`."""

    kubelet: Kubelet

    def routes(self) -> list[web.RouteDef]:
        """Build the routes."""
        return [
            web.put("/bed/pods/{namespace}/{name}", self._set_pod),
            web.post("/bed/pods/{namespace}/{name}/crash", self._crash_pod),
        ]

    async def _set_pod(self, request: web.Request) -> web.Response:
        wanted: Mapping[str, Any] = await request.json()
        place = request.match_info
        container = self.kubelet.container(place["namespace"], place["name"])
        if container is None:
            return refused("no such pod is running")
        for name in ("ready", "errors"):
            if name in wanted:
                setattr(container.health, name, wanted[name])
        return web.json_response({})

    async def _crash_pod(self, request: web.Request) -> web.Response:
        place = request.match_info
        found = self.kubelet.crash(place["namespace"], place["name"])
        return web.json_response({}) if found else refused("no such pod is running")


def refused(message: str) -> web.Response:
    """Build the answer to a question that cannot be obeyed."""
    return web.Response(status=400, text=message)
