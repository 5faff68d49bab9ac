"""Each key once, one worker per key, delays and per-key back-off, as in client-go's workqueue."""

import asyncio
from collections import deque
from collections.abc import Hashable
from typing import Generic, Protocol, TypeVar

from controller.cluster.clock import Clock, LoopClock, Timer

K = TypeVar("K", bound=Hashable)

BACKOFF_SECONDS = 0.005
BACKOFF_LIMIT_SECONDS = 30.0


class QueueMetrics(Protocol):
    """Told what happens in a queue; seconds are by the queue's clock."""

    def added(self) -> None:
        """A key was queued that was not."""

    def depth(self, keys: int) -> None:
        """So many keys are ready."""

    def taken(self, waited_seconds: float) -> None:
        """A worker took a key that was ready for so long."""

    def finished(self, worked_seconds: float) -> None:
        """A worker is done with a key."""

    def retried(self) -> None:
        """A key was added with back-off."""


class NoMetrics:
    """Tells nobody."""

    def added(self) -> None:
        """See `QueueMetrics`."""

    def depth(self, keys: int) -> None:
        """See `QueueMetrics`."""

    def taken(self, waited_seconds: float) -> None:
        """See `QueueMetrics`."""

    def finished(self, worked_seconds: float) -> None:
        """See `QueueMetrics`."""

    def retried(self) -> None:
        """See `QueueMetrics`."""


class WorkQueue(Generic[K]):
    """Keys that need a pass.

    A key added while a worker has it is handed out again when that worker is done, once.
    `get` is followed by exactly one `done`; a success also by `forget`.
    """

    def __init__(self, *, clock: Clock | None = None, metrics: QueueMetrics | None = None) -> None:
        self._clock = clock or LoopClock()
        self._metrics = metrics or NoMetrics()
        self._ready: deque[K] = deque()
        self._dirty: dict[K, float] = {}
        self._working: dict[K, float] = {}
        self._delayed: dict[K, tuple[float, Timer]] = {}
        self._failures: dict[K, int] = {}
        self._is_down = False
        self._available = asyncio.Semaphore(0)

    def __len__(self) -> int:
        """Return how many keys are ready."""
        return len(self._ready)

    def add(self, key: K) -> None:
        """Have the key handed out, as soon as a worker is free and no other has it."""
        if self._is_down or key in self._dirty:
            return
        self._dirty[key] = self._clock.monotonic()
        self._metrics.added()
        if key not in self._working:
            self._push(key)

    def add_after(self, key: K, seconds: float) -> None:
        """Add the key after this time. Of several times the earliest counts."""
        if self._is_down:
            return
        if seconds <= 0:
            self.add(key)
            return
        due = self._clock.monotonic() + seconds
        waiting = self._delayed.get(key)
        if waiting is not None:
            if waiting[0] <= due:
                return
            waiting[1].cancel()
        self._delayed[key] = due, self._clock.call_later(seconds, lambda: self._fall_due(key))

    def add_rate_limited(self, key: K) -> None:
        """Add the key after a time that doubles with each call, until `forget`."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        self._metrics.retried()
        self.add_after(key, min(BACKOFF_SECONDS * 2 ** min(failures, 30), BACKOFF_LIMIT_SECONDS))

    def is_dirty(self, key: K) -> bool:
        """Tell whether the key was added since it was handed out, or waits to be."""
        return key in self._dirty

    def retries(self, key: K) -> int:
        """Return how often the key was added with back-off since it was forgotten."""
        return self._failures.get(key, 0)

    def forget(self, key: K) -> None:
        """End the key's back-off: its pass went well, or it is no more."""
        self._failures.pop(key, None)

    async def get(self) -> K | None:
        """Take a key, waiting for one; None once the queue is shut down and empty."""
        await self._available.acquire()
        if not self._ready:
            self._available.release()
            return None
        key = self._ready.popleft()
        now = self._clock.monotonic()
        self._metrics.taken(now - self._dirty.pop(key))
        self._metrics.depth(len(self._ready))
        self._working[key] = now
        return key

    def done(self, key: K) -> None:
        """Give the key back; it is ready again at once if it was added meanwhile."""
        since = self._working.pop(key)
        self._metrics.finished(self._clock.monotonic() - since)
        if key in self._dirty:
            self._push(key)

    def shut_down(self) -> None:
        """Take no more keys; hand out what is ready, then None to every worker."""
        if self._is_down:
            return
        self._is_down = True
        for _, timer in self._delayed.values():
            timer.cancel()
        self._delayed.clear()
        self._available.release()

    def _fall_due(self, key: K) -> None:
        del self._delayed[key]
        self.add(key)

    def _push(self, key: K) -> None:
        self._ready.append(key)
        self._metrics.depth(len(self._ready))
        self._available.release()
