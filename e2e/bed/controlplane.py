"""Runs the simulated controllers and a kubelet over one store, woken by its changes."""

import asyncio
from collections.abc import Callable

from e2e.bed.kubelet import Kubelet
from e2e.bed.workloads.cluster import Object
from e2e.bed.workloads.controllers import Controllers

PASSES_AT_ONCE = 50
"""Passes between two looks at the sockets."""


class ControlPlane:
    """What a cluster does by itself; tell `changed` of every change of the store.

    It has no clock but the event loop's timers, so under a loop with virtual time it runs in
    virtual time.
    """

    def __init__(
        self, controllers: Controllers, kubelet: Kubelet, *, clock: Callable[[], float]
    ) -> None:
        """Put the parts together.

        Args:
            controllers: The simulated workload controllers.
            kubelet: The one kubelet.
            clock: The same clock as theirs.
        """
        self.controllers = controllers
        self.kubelet = kubelet
        self._clock = clock
        self._timer: asyncio.Handle | None = None
        self._timer_due = 0.0

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
        self._arm()

    async def close(self) -> None:
        """Stop everything."""
        if self._timer:
            self._timer.cancel()
        await self.kubelet.close()

    def _arm(self) -> None:
        due = self.controllers.next_due()
        if due is None or (self._timer and self._timer_due <= due):
            return
        if self._timer:
            self._timer.cancel()
        self._timer_due = due
        delay = max(0.0, due - self._clock())
        self._timer = asyncio.get_running_loop().call_later(delay, self._run)

    def _run(self) -> None:
        self._timer = None
        self.controllers.run_due(PASSES_AT_ONCE)
        self._arm()
