"""`/healthz`, `/readyz`, `/metrics`."""

from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import Self

import structlog
from aiohttp import web

Check = Callable[[], str | None]
"""Returns what is wrong, or None."""

log = structlog.get_logger(__name__)


class Web:
    """A small server; use it with `async with`.

    Attributes:
        port: the port it listens on, once started; of use where the address says 0.
    """

    def __init__(
        self,
        address: str,
        *,
        live: Sequence[Check] = (),
        ready: Sequence[Check] = (),
        metrics: Callable[[], bytes],
    ) -> None:
        """Prepare; `async with` binds the address.

        Args:
            address: `HOST:PORT`; `:PORT` is every address of the host.
            live: what must hold or the process is to be restarted: the loop and the Lease.
            ready: what must hold besides that before the process counts: kinds synced and fresh.
            metrics: returns the Prometheus text.
        """
        host, _, port = address.rpartition(":")
        self._host = host.strip("[]") or None
        self.port = int(port)
        self._metrics = metrics
        app = web.Application()
        app.router.add_get("/healthz", _checked(live))
        app.router.add_get("/readyz", _checked([*live, *ready]))
        app.router.add_get("/metrics", self._answer_metrics)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=2)

    async def __aenter__(self) -> Self:
        """Listen.

        Raises:
            OSError: the address is taken or is none of ours.
        """
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._host, self.port).start()
        except OSError:
            await self._runner.cleanup()
            raise
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._runner.cleanup()

    async def _answer_metrics(self, _request: web.Request) -> web.Response:
        return web.Response(
            body=self._metrics(),
            headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"},
        )


def _checked(checks: Sequence[Check]) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def answer(_request: web.Request) -> web.Response:
        problems = [problem for check in checks if (problem := _problem(check)) is not None]
        if problems:
            return web.Response(text="\n".join(problems) + "\n", status=503)
        return web.Response(text="ok\n")

    return answer


def _problem(check: Check) -> str | None:
    try:
        return check()
    except Exception as error:  # a check that cannot answer is an answer
        log.exception("check was ended by a bug")
        return f"check: {type(error).__name__}"
