"""The cluster that scenarios share: a bed, the controller under test, and what Services say.

This is the one module of the scenarios that knows a bed; another bed needs another `Cluster`.
"""

import asyncio
import os
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any

from e2e.bed.addresses import free_port
from e2e.bed.api import Api
from e2e.bed.bed import Bed, Options
from e2e.bed.client import Answer, Client, Request, census
from e2e.bed.controllerprocess import ControllerProcess
from e2e.bed.kubectl import Kubectl
from e2e.bed.load import Load, ordinary_requests
from e2e.bed.polling import wait_until
from e2e.bed.prometheus import SCRAPE_SECONDS, Prometheus
from e2e.bed.served import Served, Write
from e2e.controlplane import bed as controlplane
from e2e.scenarios.closing import CLOSINGS, Closing, Figure
from e2e.scenarios.leaving import leave
from e2e.scenarios.watching import Watcher

QUIET_SECONDS = 11.0
"""Longer than any wait of a controller here: a status with nothing new but counts waits 10 s."""
PATIENCE = 90.0
"""Seconds for whatever has to happen in the end; machines can be busy."""
MADE = ("pods", "replicasets", "endpointslices", "events", "endpoints")
"""What others make of an owner's objects."""
LOAD_SECONDS = 300.0
"""A load that nobody stops ends after so long; no scenario takes longer."""
LOAD_COUNT = 100_000
"""Or after so many requests."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ground:
    """What scenarios run on.

    Attributes:
        bed: Builds it, with the policies of the admission hold or without.
        flags: Of the controller.
        is_closed: Whether all is un-enrolled in the end, to see what is left.
        is_metered: Whether Prometheus looks at the proxy, and the controller asks it.
    """

    bed: Callable[[bool], Served]
    flags: Sequence[str]
    is_closed: bool = False
    is_metered: bool = False


THROTTLE = "50ms"
"""Of the proxy; well below the propagation wait."""
GROUNDS = {
    # The proxy follows in milliseconds where one release goes on; where many begin at once on two
    # cores it was seen 0.7 s behind.
    "embedded": Ground(
        bed=lambda hold: Bed(Options(hold=hold, proxy_throttle=THROTTLE)),
        flags=("--propagation-wait=1s", "--drain-wait=500ms", "--ready-wait=100ms", "--qps=500"),
    ),
    "controlplane": Ground(
        bed=lambda hold: controlplane.ControlPlane(controlplane.Options(hold=hold)),
        flags=("--propagation-wait=1s", "--drain-wait=1s", "--ready-wait=100ms", "--qps=500"),
        is_closed=True,
    ),
}
GROUND = GROUNDS[os.environ.get("SERINUS_BED", "embedded")]
"""The one switch between the beds."""
METERED = replace(
    GROUND,
    flags=(*GROUND.flags, "--dialect=traefik", f"--scrape-interval={SCRAPE_SECONDS}s"),
    is_metered=True,
)


@dataclass(slots=True, kw_only=True)
class Cluster:
    """A running cluster with the controller in it."""

    bed: Served
    controller: ControllerProcess
    watcher: Watcher
    client: Client
    metrics: Prometheus | None = None
    """Where the ground is metered."""
    figures: list[Figure] = field(default_factory=list)
    """What scenarios measured."""
    _loads: list[Load] = field(default_factory=list)

    @property
    def prometheus(self) -> Prometheus:
        """Answer Prometheus; raises where the ground is not metered."""
        if self.metrics is None:
            raise RuntimeError("nobody looks at the proxy of this cluster")
        return self.metrics

    @property
    def kubectl(self) -> Kubectl:
        """Answer the real kubectl."""
        return self.bed.kubectl

    def api_in(self, namespace: str) -> Api:
        """Answer the API server for one namespace."""
        return self.bed.api_in(namespace)

    async def request(self, host: str, *headers: tuple[str, str]) -> Answer:
        """Send one request through the proxy."""
        return await self.client.send(Request(host=host, headers=headers))

    async def count(
        self, host: str, headers: Sequence[tuple[str, str]], count: int
    ) -> Counter[str]:
        """Send the same request many times and count the answers by version."""
        return await census(self.client, Request(host=host, headers=tuple(headers)), count)

    async def load(
        self,
        host: str,
        rate: float,
        headers: Sequence[tuple[str, str]] = (),
        *,
        seconds: float = LOAD_SECONDS,
    ) -> Load:
        """Build a load on a host with its control, not yet running; the caller stops it."""
        load = Load(
            self.bed.target,
            ordinary_requests(host, headers),
            control_host=await self.bed.add_control(),
            rate=rate,
            count=LOAD_COUNT,
            seconds=seconds,
        )
        self._loads.append(load)
        return load

    def stop_loads(self) -> None:
        """Let every load end."""
        for load in self._loads:
            load.stop()

    async def weight_in_force(self, namespace: str, service: str) -> int:
        """Answer the weight the proxy works with; 0 where it knows no canary."""
        return await self.bed.proxy.weight(service, namespace)

    async def set_pod(self, namespace: str, pod: str, *, ready: bool) -> None:
        """Let a pod's readiness probe succeed or fail."""
        await self.bed.pods.set_pod(pod, namespace, ready=ready)

    async def crash_pod(self, namespace: str, pod: str) -> None:
        """End a pod's process."""
        await self.bed.pods.crash_pod(pod, namespace)

    async def dump(
        self, namespace: str, *, without: Sequence[str] = MADE
    ) -> dict[str, dict[str, Any]]:
        """Answer what its owner has in a namespace, without ids, times and versions.

        Args:
            namespace: Where.
            without: Plurals to leave out.
        """
        return await self.bed.dump(namespace, without=without)

    async def take_policy_away(self, part: str) -> None:
        """Let the server hold nothing any more, by deleting the `policy` or its `binding`."""
        await self.bed.take_policy_away(part)

    async def put_policy_back(self) -> None:
        """Let the server hold again."""
        await self.bed.put_policy_back()

    async def start_controller(self) -> None:
        """Start the controller again after its end, and wait until it is ready."""
        await self.controller.start(within=PATIENCE)

    @asynccontextmanager
    async def second_controller(self) -> AsyncIterator[ControllerProcess]:
        """Run another instance with the same flags while the block runs."""
        first = self.controller
        second = replace(first, name="second", http_port=free_port(), _child=None)
        try:
            await second.start(within=PATIENCE)
            yield second
        finally:
            await second.stop()

    async def is_quiet(self) -> None:
        """Wait until the controller has written nothing for longer than any wait of its own."""
        known, since = -1, time.monotonic()

        async def has_rested() -> bool:
            nonlocal known, since
            count = len(await self.writes())
            if count != known:
                known, since = count, time.monotonic()
            return time.monotonic() - since > QUIET_SECONDS

        await wait_until(has_rested, within=PATIENCE, every=0.5, what="the controller is quiet")

    async def writes(self) -> Sequence[Write]:
        """Answer what the controller wrote since `forget_writes`; no Lease, no dry runs."""
        return await self.bed.writes()

    async def forget_writes(self) -> None:
        """Begin to count the controller's writes anew."""
        await self.bed.forget_writes()

    def measure(self, what: str, found: Sequence[str], *, limit: int) -> None:
        """Keep for the report how many were found, and raise if they are more than the limit."""
        self.figures.append(Figure(what=what, value=len(found), limit=limit))
        assert len(found) <= limit, f"{what}: {len(found)}, at most {limit}: {found}"

    async def close(self, name: str) -> Closing:
        """Un-enrol everything, and sum up."""
        left = await leave(self.bed, within=PATIENCE)
        reports = [load.report() for load in self._loads]
        return Closing(
            name=name,
            figures=tuple(self.figures),
            requests=self.client.sent + sum(report.sent for report in reports),
            lost=sum(len(report.lost) for report in reports),
            excused=sum(len(report.excused) for report in reports),
            bad_seconds=sum(len(report.bad_seconds) for report in reports),
            control_failed=sum(len(report.control_failures) for report in reports),
            asked=await self.bed.asked(),
            forbidden=await self.bed.forbidden(),
            left=left,
        )


@asynccontextmanager
async def running(hold: str, ground: Ground = GROUND) -> AsyncIterator[Cluster]:
    """Run a bed with the controller and a watch on all Services.

    Args:
        hold: `admission`: the server holds, and the controller has to find that out by itself;
            `pause`: it cannot, and the controller pauses.
        ground: What it runs on.
    """
    admits = hold == "admission"
    async with AsyncExitStack() as stack:
        bed = await stack.enter_async_context(ground.bed(admits))
        flags = [*ground.flags, f"--hold={'auto' if admits else 'pause'}"]
        metrics = None
        if ground.is_metered:
            metrics = await stack.enter_async_context(bed.prometheus())
            flags.append(f"--prometheus-url={metrics.url}")
        process = ControllerProcess(
            kubeconfig=bed.controller_kubeconfig, folder=bed.folder, flags=flags
        )
        watcher = Watcher(client=bed.api.client)
        follows = asyncio.create_task(watcher.run())
        client = Client(bed.target, timeout=30.0)
        try:
            await process.start(within=PATIENCE)
            cluster = Cluster(
                bed=bed, controller=process, watcher=watcher, client=client, metrics=metrics
            )
            yield cluster
            if ground.is_closed:
                CLOSINGS.append(await cluster.close(f"hold by {hold}"))
        finally:
            client.close()
            follows.cancel()
            with suppress(asyncio.CancelledError):
                await follows
            await process.stop()
