"""One process of the controller: the real manager on the real client, without a socket."""

import asyncio
import functools
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

from kubernetes.aio.client import Configuration

from controller.cluster.client import Client
from controller.cluster.clock import Timer, finished
from controller.cluster.metrics import Metrics
from controller.gatherer import Asked
from controller.manager import Manager
from controller.plan.decide import decide
from controller.plan.observed import Parameters
from controller.reconciler import Decide
from controller.settings import Settings
from e2e.bed.certificate import write_certificate
from tests.world.faults.farend import Session
from tests.world.process import HoldMode


class SessionClock:
    """The clock of a process: its wall clock may be wrong, and it stops with the process.

    Attributes:
        offset: seconds by which the wall clock is wrong.
    """

    def __init__(self, session: Session) -> None:
        self.offset = 0.0
        self._session = session
        self._loop = asyncio.get_running_loop()

    def monotonic(self) -> float:
        """Return the loop's time; it goes on while the process is frozen."""
        return self._loop.time()

    def now(self) -> datetime:
        """Return what this machine takes for the time of day."""
        return datetime.fromtimestamp(self._session.far.now() + self.offset, UTC)

    async def sleep(self, seconds: float) -> None:
        """Sleep, and on while frozen."""
        await asyncio.sleep(seconds)
        while (left := self._session.frozen_until - self._loop.time()) > 0:  # noqa: ASYNC110  # it may be frozen anew
            await asyncio.sleep(left)

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Timer:
        """Make the call, once the process is not frozen any more."""
        return _Call(self._session, self._loop, seconds, callback)


class _Call:
    def __init__(
        self,
        session: Session,
        loop: asyncio.AbstractEventLoop,
        seconds: float,
        callback: Callable[[], None],
    ) -> None:
        self._session, self._loop, self._callback = session, loop, callback
        self._handle = loop.call_later(seconds, self._due)

    def cancel(self) -> None:
        self._handle.cancel()

    def _due(self) -> None:
        left = self._session.frozen_until - self._loop.time()
        if left > 0:
            self._handle = self._loop.call_later(left, self._due)
        else:
            self._callback()


class _NoWeb:
    """Nobody scrapes a process of a simulated cluster."""

    port = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return


class Instance:
    """Runs until it is stopped; keeps everything it knows in its own memory.

    Attributes:
        session: its connections.
        clock: its clock.
        bugs: what ended its manager, if anything did.
    """

    def __init__(
        self,
        session: Session,
        *,
        mode: HoldMode,
        parameters: Parameters,
        leader_elect: bool = False,
        decides: Decide = decide,
        server: Asked | None = None,
    ) -> None:
        self.session = session
        self.clock = SessionClock(session)
        self.bugs: list[Exception] = []
        self.metrics = Metrics()
        self._client = _client(session, self.clock, self.metrics)
        self._manager = Manager(
            self._client,
            settings_of(parameters, mode, leader_elect=leader_elect),
            decide=decides,
            server=server,
            metrics=self.metrics,
            clock=self.clock,
        )
        self._manager.web = _NoWeb()  # type: ignore[assignment]  # it is only entered and left
        self._task = asyncio.get_running_loop().create_task(self._manager.run(asyncio.Event()))
        self._task.add_done_callback(self._ended)

    def add_all(self) -> None:
        """Have every release looked at: a resync."""
        self._manager._add_all()

    def kill(self) -> None:
        """End at once, in the middle of whatever it does; nothing it sends arrives any more."""
        self.session.is_dead = True
        self._task.cancel()

    async def stop(self) -> None:
        """End at once and return when it has."""
        self.kill()
        await finished(self._task)
        await self.session.close()

    def _ended(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and isinstance(error := task.exception(), Exception):
            self.bugs.append(error)
        for stream in tuple(self.session.streams):
            stream.close()


def settings_of(parameters: Parameters, mode: HoldMode, *, leader_elect: bool) -> Settings:
    """Return the settings of a process."""
    return Settings(
        hold=mode,
        propagation_seconds=parameters.propagation_seconds,
        drain_seconds=parameters.drain_seconds,
        ready_seconds=parameters.ready_seconds,
        max_accounts=parameters.max_accounts,
        dialect=parameters.dialect,
        prometheus_url="http://metrics" if parameters.scrape_seconds else None,
        scrape_seconds=parameters.scrape_seconds or 15.0,
        leader_elect=leader_elect,
        lease_namespace="kube-system",
        workers=2,
        qps=1000,
        http_address="127.0.0.1:0",
    )


def _client(session: Session, clock: SessionClock, metrics: Metrics) -> Client:
    configuration = Configuration(host="http://127.0.0.1")
    configuration.ca_cert_data = _authority()
    client = Client(configuration, qps=1000, clock=clock, counted=metrics.count_request)
    # The one thing that is not real: where the library's connection pool would be.
    pool: Any = client._api.rest_client
    pool.pool_manager = session
    return client


@functools.cache
def _authority() -> str:
    """Return any certificate: without one, every client reads all of the system's, for 60 ms."""
    with TemporaryDirectory() as folder:
        write_certificate(Path(folder))
        return (Path(folder) / "certificate.pem").read_text(encoding="ascii")
