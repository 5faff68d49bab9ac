"""One process of the controller: reconciler, observer, applier and work queue, without manager."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Literal

from controller.api import objects
from controller.api.errors import ClusterError
from controller.api.objects import Kind, Object
from controller.apply import Applier
from controller.cluster.client import Listing, WatchEvent
from controller.cluster.reflector import Store as Cache
from controller.cluster.workqueue import WorkQueue
from controller.events import Recorder
from controller.gatherer import Asked, Gatherer
from controller.observe import Observer
from controller.plan.decide import decide
from controller.plan.observed import Parameters
from controller.prober import HoldProber
from controller.reconciler import Pass, Reconciler, UnsettledError
from controller.stores import INDEXES, SELECTORS, TRIMS, Stores
from controller.tracker import Key
from e2e.bed.apiserver.history import Watch
from tests.world.client import InProcessClient

WATCH_SECONDS = 0.02
"""From a change to its event."""

MOST_PASSES = 300
"""Within a minute; more is a loop that waits for nothing."""

HoldMode = Literal["auto", "admission", "pause"]


class Process:
    """Runs until it is stopped; keeps everything it knows in its own memory.

    Attributes:
        passes: what every pass did, with its time.
        bugs: errors that no pass may end with.
    """

    def __init__(
        self,
        client: InProcessClient,
        *,
        mode: HoldMode,
        parameters: Parameters,
        server: Asked | None = None,
    ) -> None:
        self.passes: list[tuple[float, Pass]] = []
        self.bugs: list[Exception] = []
        self._client = client
        self._loop = asyncio.get_running_loop()
        self._stores = Stores()
        self._observer = Observer(self._stores, monotonic=self._loop.time, parameters=parameters)
        self._queue = WorkQueue[Key]()
        self._prober = HoldProber(
            client,
            mode=mode,
            held=self._observer.held_deployments,
            changed=self.add_all,
            sleep=asyncio.sleep,
        )
        self._recorder = Recorder(
            client,
            find=lambda ref: self._stores.get(ref.kind, ref.namespace, ref.name),
            monotonic=self._loop.time,
        )
        self._gatherer = Gatherer(
            server, pods=client, changed=self._queue.add, now=client.server_time
        )
        self._reconciler = Reconciler(
            client=client,
            observer=self._observer,
            applier=Applier(client, self._observer, tell=self._recorder.tell),
            queue=self._queue,
            decide=decide,
            hold=lambda: self._prober.hold,
            gatherer=self._gatherer,
            monotonic=self._loop.time,
        )
        self._watches = [self._followed(kind) for kind in INDEXES]
        self.add_all()
        self._tasks = [
            self._loop.create_task(story)
            for story in (
                self._work(),
                self._prober.run(),
                self._recorder.run(),
                self._gatherer.run(),
            )
        ]

    def add_all(self) -> None:
        """Have every release looked at: a resync."""
        for key in sorted(self._observer.keys()):
            self._queue.add(key)

    async def stop(self) -> None:
        """End at once, in the middle of whatever it does."""
        self._queue.shut_down()
        for watch in self._watches:
            self._client.store.close(watch)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _work(self) -> None:
        while (key := await self._queue.get()) is not None:
            try:
                made = await self._reconciler.reconcile(key)
            finally:
                self._queue.done(key)
            self._note(made)

    def _note(self, made: Pass) -> None:
        now = self._loop.time()
        self.passes.append((now, made))
        self.bugs += [error for error in made.errors if _is_bug(error)]
        if len(self.passes) > MOST_PASSES and self.passes[-MOST_PASSES][0] > now - 60:
            self.bugs.append(RuntimeError(f"{MOST_PASSES} passes in a minute: {made.plan}"))

    def _followed(self, kind: Kind) -> Watch:
        """List a kind, and hand on its changes from then on."""
        selector = SELECTORS.get(kind, "")
        cache = Cache(
            on_change=partial(self._changed, kind),
            trim=TRIMS[kind],
            labels=selector,
            indexes=INDEXES[kind],
        )
        self._stores.add(kind, None, cache)
        store = self._client.store
        items = tuple(cache.trimmed(obj) for obj in store.list(kind.plural, None, selector))
        cache.begin_list()
        cache.replace(Listing(items=items, version=str(store.version)))
        watch = store.watch(kind.plural, labels=selector, since=store.version)
        watch.wake = self._later(lambda: _deliver(watch, cache))
        return watch

    def _later(self, deliver: Callable[[], None]) -> Callable[[], None]:
        """Return a wake-up that delivers a little later, once for all that came until then."""
        is_coming = False

        def arrive() -> None:
            nonlocal is_coming
            is_coming = False
            deliver()

        def wake() -> None:
            nonlocal is_coming
            if not is_coming:
                is_coming = True
                self._loop.call_later(WATCH_SECONDS, arrive)

        return wake

    def _changed(self, kind: Kind, old: Object | None, new: Object | None) -> None:
        self._observer.track(kind, old, new)
        if new is not None and kind == objects.DEPLOYMENT:
            self._prober.notice(new)
        for key in sorted(self._observer.keys_of_change(kind, old, new)):
            self._queue.add(key)


def _deliver(watch: Watch, cache: Cache) -> None:
    for event, obj in watch.take():
        cache.observe(WatchEvent(kind=event, object=obj))  # type: ignore[arg-type]  # the store says a str


def _is_bug(error: Exception) -> bool:
    return not isinstance(error, ClusterError | UnsettledError)
