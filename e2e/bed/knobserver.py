"""The second port of the bed process: what the bed can do that no cluster can."""

from dataclasses import asdict, dataclass, fields, replace

from aiohttp import web

from e2e.bed.apiserver.server import ApiServer
from e2e.bed.controlplane import ControlPlane
from e2e.bed.faults import planned_fault
from e2e.bed.podknobserver import PodKnobServer, refused


@dataclass(frozen=True, kw_only=True, slots=True)
class KnobServer:
    """Answers `e2e.bed.knobs.Knobs`."""

    server: ApiServer
    plane: ControlPlane

    def application(self) -> web.Application:
        """Build the web application."""
        application = web.Application()
        application.add_routes(
            [
                web.put("/bed/hold", self._set_hold),
                web.put("/bed/delays", self._set_delays),
                *PodKnobServer(kubelet=self.plane.kubelet).routes(),
                web.get("/bed/objects", self._objects),
                web.get("/bed/requests", self._requests),
                web.delete("/bed/requests", self._clear_requests),
                web.put("/bed/faults", self._set_faults),
                web.post("/bed/forget-history", self._forget_history),
            ]
        )
        return application

    async def _set_hold(self, request: web.Request) -> web.Response:
        self.server.store.hold_policy = bool((await request.json())["on"])
        return web.json_response({})

    async def _set_delays(self, request: web.Request) -> web.Response:
        seconds: dict[str, float] = await request.json()
        controllers, pace = self.plane.controllers, self.plane.kubelet.pace
        own = {field.name for field in fields(controllers.delays)}
        unknown = set(seconds) - own - {field.name for field in fields(pace)}
        if unknown:
            return refused(f"no such delay: {', '.join(sorted(unknown))}")
        mine = {name: value for name, value in seconds.items() if name in own}
        controllers.delays = replace(controllers.delays, **mine)
        for name in set(seconds) - own:
            setattr(pace, name, seconds[name])
        return web.json_response({})

    async def _objects(self, _: web.Request) -> web.Response:
        found = {
            f"{kind.plural}/{obj['metadata'].get('namespace', '')}/{obj['metadata']['name']}": obj
            for kind in self.server.store.kinds.all()
            for obj in self.server.store.list(kind)
        }
        return web.json_response(found)

    async def _requests(self, _: web.Request) -> web.Response:
        return web.json_response([asdict(request) for request in self.server.log])

    async def _clear_requests(self, _: web.Request) -> web.Response:
        self.server.log.clear()
        return web.json_response({})

    async def _set_faults(self, request: web.Request) -> web.Response:
        try:
            self.server.faults[:] = [planned_fault(one) for one in await request.json()]
        except ValueError as error:
            return refused(str(error))
        return web.json_response({})

    async def _forget_history(self, _: web.Request) -> web.Response:
        self.server.store.compact()
        self.server.end_watches()
        return web.json_response({})
