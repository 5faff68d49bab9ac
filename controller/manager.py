"""Starts and stops everything that runs: watches, workers, the Lease, health and metrics."""

import asyncio
import contextlib
import gc
import os
import socket
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Final
from uuid import uuid4

import structlog

from controller.api import objects
from controller.api.objects import Kind, Object
from controller.apply import Applier
from controller.cluster.client import Client
from controller.cluster.clock import Clock, LoopClock, finished
from controller.cluster.lease import Elector
from controller.cluster.metrics import Metrics, QueueSeries
from controller.cluster.reflector import Reflector
from controller.cluster.web import Web
from controller.cluster.workqueue import WorkQueue
from controller.events import Recorder
from controller.figures import Figures
from controller.gatherer import Asked, Gatherer
from controller.observe import Observer
from controller.plan.observed import Parameters, Ref
from controller.plan.writes import Event
from controller.prober import HoldProber
from controller.reconciler import Decide, Reconciler
from controller.settings import Settings
from controller.stores import INDEXES, SELECTORS, TRIMS, Stores
from controller.tracker import Key

PATIENCE_SECONDS: Final = 5.0
"""A first list that takes longer is worth a line: the API server may not be up yet."""
QUIET_SECONDS: Final = 60.0
"""For so long the garbage collector stays out of the way of the first lists, and no longer."""
STOP_SECONDS: Final = 5.0
"""How long passes may take to end after SIGTERM, before they are cancelled."""

log = structlog.get_logger(__name__)


class Manager:
    """One process of the controller.

    Args:
        client: the API server.
        settings: every knob.
        decide: the plan for what is seen.
        server: the metrics server; None: there is none.
        metrics: the series, shared with whoever made the client.
        clock: what waits and ages are measured with.
    """

    def __init__(
        self,
        client: Client,
        settings: Settings,
        *,
        decide: Decide,
        server: Asked | None = None,
        metrics: Metrics | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._settings = settings
        self._clock = clock or LoopClock()
        self._metrics = metrics or Metrics()
        self._is_leading = False
        self._is_stopping = False
        stores = Stores()
        self._observer = Observer(
            stores, monotonic=self._clock.monotonic, parameters=parameters_of(settings)
        )
        self._reflectors = self._followed(client, stores)
        self.queue = WorkQueue[Key](
            clock=self._clock, metrics=QueueSeries(self._metrics.registry, "serinus")
        )
        self._prober = HoldProber(
            client,
            mode=settings.hold,
            held=self._observer.held_deployments,
            changed=self._add_all,
            sleep=self._clock.sleep,
            every_seconds=settings.hold_check_seconds,
        )
        self._recorder = Recorder(
            client,
            find=lambda ref: stores.get(ref.kind, ref.namespace, ref.name),
            monotonic=self._clock.monotonic,
        )
        self._elector = self._new_elector(client) if settings.leader_elect else None
        self._gatherer = Gatherer(
            server,
            pods=client,
            changed=self.queue.add,
            now=client.server_time,
            clock=self._clock,
            counted=self._metrics.count_questions,
        )
        self._reconciler = Reconciler(
            client=client,
            observer=self._observer,
            applier=Applier(client, self._observer, tell=self._tell, may_write=self._may_write),
            queue=self.queue,
            decide=decide,
            hold=lambda: self._prober.hold,
            gatherer=self._gatherer,
            monotonic=self._clock.monotonic,
        )
        self._figures = Figures(self._metrics, stores)
        self.web = Web(
            settings.http_address,
            live=[self._elector.problem] if self._elector else [],
            ready=[reflector.problem for reflector in self._reflectors],
            metrics=self._metrics.text,
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Run until `stop` is set; then let passes end, release the Lease and return.

        Raises:
            OSError: the HTTP address cannot be had.
            Exception: a bug ended something that never ends.
        """
        async with self.web:
            watches = [
                asyncio.create_task(reflector.run(), name=f"watch {reflector.kind}")
                for reflector in self._reflectors
            ]
            leading = asyncio.create_task(self._campaign(), name="campaign")
            stopped = asyncio.create_task(stop.wait(), name="stop")
            log.info("controller was started", port=self.web.port)
            try:
                await asyncio.wait(
                    {*watches, leading, stopped}, return_when=asyncio.FIRST_COMPLETED
                )
                await self._stop(leading)
            finally:
                await finished(leading, *watches, stopped)
            _raise_first(leading, *watches)
        log.info("controller was stopped")

    async def _stop(self, leading: "asyncio.Task[None]") -> None:
        """Take no more keys and wait a little for the passes that run."""
        self._is_stopping = True
        self.queue.shut_down()
        if self._is_leading:
            await asyncio.wait({leading}, timeout=STOP_SECONDS)

    async def _campaign(self) -> None:
        if self._elector is None:
            await self._lead()
        else:
            await self._elector.run(self._lead)

    async def _lead(self) -> None:
        """Work until the queue is shut down; a lost Lease cancels everything in here."""
        self._metrics.leader.set(1)
        try:
            await self._synced()
            self._is_leading = True
            self._add_all()
            async with asyncio.TaskGroup() as group:
                workers = [
                    group.create_task(self._work(), name=f"worker {number}")
                    for number in range(self._settings.workers)
                ]
                others = [
                    group.create_task(self._prober.run(), name="prober"),
                    group.create_task(self._recorder.run(), name="events"),
                    group.create_task(self._gatherer.run(), name="gatherer"),
                ]
                await asyncio.wait(workers)
                await finished(*others)
            await self._recorder.flush()
        finally:
            self._is_leading = False
            self._metrics.leader.set(0)

    async def _synced(self) -> None:
        """Wait for the first list of every kind; say once that it takes long."""
        lists = asyncio.create_task(self._first_lists(), name="first lists")
        try:
            with _quiet_collector():
                await asyncio.wait({lists}, timeout=PATIENCE_SECONDS)
                if not lists.done():
                    log.info("first lists were not answered yet", waiting=self._unsynced())
                    await asyncio.wait({lists}, timeout=QUIET_SECONDS)
            await lists
        finally:
            await finished(lists)
        gc.freeze()
        log.info("first lists were read", releases=len(self._observer.keys()))

    async def _first_lists(self) -> None:
        for reflector in self._reflectors:
            await reflector.synced.wait()

    def _unsynced(self) -> list[str]:
        return [str(it.kind) for it in self._reflectors if not it.synced.is_set()]

    async def _work(self) -> None:
        """Make passes, one key at a time, until the queue has no more."""
        while not self._is_stopping and (key := await self.queue.get()) is not None:
            began = self._clock.monotonic()
            try:
                made = await self._reconciler.reconcile(key)
            finally:
                self.queue.done(key)
            self._figures.show(key, made, self._clock.monotonic() - began)

    def _followed(self, client: Client, stores: Stores) -> list[Reflector]:
        """Prepare a watch, with its store, for every kind and every namespace named."""
        followed = []
        for kind, indexes in INDEXES.items():
            for namespace in self._settings.namespaces or (None,):
                reflector = Reflector(
                    client,
                    kind,
                    namespace,
                    SELECTORS.get(kind, ""),
                    on_change=partial(self._changed, kind),
                    trim=TRIMS[kind],
                    indexes=indexes,
                    clock=self._clock,
                    relisted=self._metrics.count_relist,
                )
                stores.add(kind, namespace, reflector.store)
                followed.append(reflector)
            same = [it for it in followed if it.kind == kind]
            self._metrics.watch(str(kind), partial(_oldest, same))
        return followed

    def _changed(self, kind: Kind, old: Object | None, new: Object | None) -> None:
        """Hand on what a watch brought: only keys go further, and only while we lead."""
        self._observer.track(kind, old, new)
        if new is not None and kind == objects.DEPLOYMENT:
            self._prober.notice(new)
        if self._is_leading:
            for key in self._observer.keys_of_change(kind, old, new):
                self.queue.add(key)

    def _add_all(self) -> None:
        for key in sorted(self._observer.keys()):
            self.queue.add(key)

    def _tell(self, about: Ref, event: Event) -> None:
        self._metrics.events.labels(event.type, event.reason).inc()
        self._recorder.tell(about, event)

    def _may_write(self) -> bool:
        return self._elector is None or self._elector.is_held()

    def _new_elector(self, client: Client) -> Elector:
        return Elector(
            client,
            namespace=self._settings.lease_namespace or client.namespace,
            identity=f"{socket.gethostname()}-{os.getpid()}-{uuid4().hex[:8]}",
            clock=self._clock,
        )


def parameters_of(settings: Settings) -> Parameters:
    """Return the settings that decisions depend on."""
    return Parameters(
        propagation_seconds=settings.propagation_seconds,
        drain_seconds=settings.drain_seconds,
        ready_seconds=settings.ready_seconds,
        max_accounts=settings.max_accounts,
        ingress_classes=settings.ingress_classes,
        annotation_prefix=settings.annotation_prefix,
        dialect=settings.dialect,
        scrape_seconds=settings.scrape_seconds if settings.prometheus_url else None,
        templates=settings.checks,
    )


def _oldest(reflectors: Sequence[Reflector]) -> float:
    return max(reflector.age_seconds() for reflector in reflectors)


@contextlib.contextmanager
def _quiet_collector() -> Iterator[None]:
    """Keep the garbage collector still: it takes half of the time of a first list."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _raise_first(*tasks: "asyncio.Task[None]") -> None:
    """Raise what ended a task, if anything did."""
    for task in tasks:
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error
