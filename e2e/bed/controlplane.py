"""Runs the simulated controllers and a kubelet over one store, woken by its changes."""

import asyncio
from collections.abc import Callable
from typing import Protocol

from e2e.bed.kubelet import Kubelet
from e2e.bed.workloads.cluster import Object
from e2e.bed.workloads.controllers import Controllers

PASSES_AT_ONCE = 50
"""Passes between two looks at the sockets."""

SHORTEST_WAIT = 0.001
"""Seconds; the clock's floats, large numbers, cannot tell much shorter ones apart."""


class Collector(Protocol):
    """Removes garbage when it falls due: the store."""

    def next_due(self) -> float | None:
        """Answer when there is something to do, by the clock; `None` when there is not."""

    def run_due(self) -> None:
        """Do what is due."""


class ControlPlane:
    """What a cluster does by itself; tell `changed` of every change of the store.

    It has no clock but the event loop's timers, so under a loop with virtual time it runs in
    virtual time.
    """

    def __init__(
        self,
        collector: Collector,
        controllers: Controllers,
        kubelet: Kubelet,
        *,
        clock: Callable[[], float],
    ) -> None:
        """Put the parts together.

        Args:
            collector: The garbage collector.
            controllers: The simulated workload controllers.
            kubelet: The one kubelet.
            clock: The same clock as theirs.
        """
        self.controllers = controllers
        self.kubelet = kubelet
        self._collector = collector
        self._clock = clock
        self._next: asyncio.Handle | None = None
        self._next_is_soon = False

    def changed(self, event: str, kind: str, new: Object | None, old: Object | None) -> None:
        """Take notice of a change; carries out nothing before the event loop's next turn.

        Args:
            event: ADDED, MODIFIED or DELETED.
            kind: The plural.
            new: The object as it is now; `None` when it is gone.
            old: The object as it was; `None` when it is new.
        """
        obj = new if new is not None else old
        assert obj is not None
        self.controllers.notice(kind, obj)
        if kind == "pods":
            self.kubelet.notice(obj, gone=event == "DELETED")
        if not self._next_is_soon:
            self._wake_in(0.0)

    async def close(self) -> None:
        """Stop everything."""
        if self._next:
            self._next.cancel()
        await self.kubelet.close()

    def _wake_in(self, seconds: float) -> None:
        if self._next:
            self._next.cancel()
        loop = asyncio.get_running_loop()
        self._next_is_soon = seconds <= 0
        soon = self._next_is_soon
        later = max(seconds, SHORTEST_WAIT)
        self._next = loop.call_soon(self._run) if soon else loop.call_later(later, self._run)

    def _run(self) -> None:
        self._next, self._next_is_soon = None, True
        self.controllers.run_due(PASSES_AT_ONCE)
        self._collector.run_due()
        self._next_is_soon = False
        due = [one.next_due() for one in (self.controllers, self._collector)]
        times = [time for time in due if time is not None]
        if times:
            self._wake_in(min(times) - self._clock())
