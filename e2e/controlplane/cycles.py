"""Releases under load, one after the other: `python -m e2e.controlplane.cycles [FLAGS]`.

One application on the real bed, its pods without a preStop hook: they stop at SIGTERM, at once.
A steady load runs through all of it, a tenth of it to an application that no release touches.
Each release gives half of the requests to its canary, and is promoted by `kubectl rollout resume`
or aborted. Every failed request of these counts as lost.

A plain rolling update of the same pods, where one is asked for, shows what a release without the
controller costs; what it loses is told, and counts for nothing.
"""

import argparse
import asyncio
import itertools
import math
import os
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from controller.settings import duration
from e2e.bed.container import LATENCY
from e2e.bed.load import Load, Outcome, Report, ordinary_requests
from e2e.controlplane.bed import ControlPlane, Options
from e2e.controlplane.namespace import run_inside
from e2e.scenarios.application import ACCOUNT, App
from e2e.scenarios.closing import CLOSINGS
from e2e.scenarios.cluster import Cluster, Ground, running

REPLICAS = 3
WEIGHT = 50
LONGEST_CYCLE_SECONDS = 180.0
"""A load that nobody stops ends after so long for each cycle; longer ones are stuck."""
SETTLED_SECONDS = 3.0
"""Longer than a proxy without a throttle takes to follow, on a busy machine too."""
PLAIN, PROMOTE, ABORT, REST = "plain", "promote", "abort", "rest"
"""What the load runs through."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Terms:
    """How many cycles of what, and under which circumstances; times are durations as text.

    Attributes:
        promotions, aborts, plain: How many cycles of each; promotions and aborts alternate.
        rate: Requests a second.
        propagation_wait, drain_wait: `D_prop` and `D_drain` of the controller.
        throttle: How long the proxy rests after it took a change; 2 s unless it is told otherwise.
        latency: How long each pod takes for an answer.
        rest: How long the load runs before the first cycle, to see the load generator alone.
        at_most: No cycle begins later than this after the first.
    """

    promotions: int
    aborts: int
    plain: int
    rate: float
    propagation_wait: str
    drain_wait: str
    throttle: str
    latency: str
    rest: str
    at_most: str

    @property
    def cycles(self) -> int:
        """Count all cycles."""
        return self.promotions + self.aborts + self.plain

    @property
    def order(self) -> Iterator[str]:
        """Answer what comes after what, once the application is enrolled."""
        pairs = itertools.zip_longest([PROMOTE] * self.promotions, [ABORT] * self.aborts)
        return (kind for pair in pairs for kind in pair if kind)

    def told(self) -> str:
        """Say them in one line."""
        return (
            f"{self.promotions} promotions, {self.aborts} aborts, {self.plain} plain updates; "
            f"{self.rate:g} requests a second; D_prop {self.propagation_wait}, "
            f"D_drain {self.drain_wait}; proxy throttled by {self.throttle}, "
            f"answers take {self.latency}"
        )


@dataclass(slots=True, kw_only=True)
class Run:
    """The cycles of one run, while they happen."""

    app: App
    load: Load
    seconds: dict[str, list[float]] = field(default_factory=dict)
    """How long each cycle took, by kind."""
    _versions: Iterator[int] = field(default_factory=lambda: itertools.count(2))

    async def plain(self) -> None:
        """Update the application as Kubernetes does it alone."""
        await self.app.set_image(self._version())
        await self.app.is_complete()

    async def promote(self) -> None:
        """Release a version and promote it."""
        await self._expose()
        await self.app.resume()
        await self.app.ends("promoted")

    async def abort(self) -> None:
        """Release a version and abort it."""
        await self._expose()
        await self.app.act("abort")
        await self.app.ends("aborted")

    async def cycle(self, kind: str) -> None:
        """Run one cycle; the load carries its kind and number from its begin to the next."""
        acts: Mapping[str, Callable[[], Awaitable[None]]] = {
            PLAIN: self.plain,
            PROMOTE: self.promote,
            ABORT: self.abort,
        }
        taken = self.seconds.setdefault(kind, [])
        self.load.mark(f"{kind} {len(taken) + 1}")
        begun = time.monotonic()
        await acts[kind]()
        taken.append(time.monotonic() - begun)

    async def _expose(self) -> None:
        await self.app.ship(self._version())
        await self.app.annotate(weight=str(WEIGHT))
        await self.app.weighs(WEIGHT)

    def _version(self) -> str:
        return f"v{next(self._versions)}"


def kind_of(outcome: Outcome) -> str:
    """Answer during what a request was sent."""
    return outcome.phase.partition(" ")[0]


def row(kind: str, report: Report, seconds: Sequence[float]) -> str:
    """Write what one kind of cycle cost, as a row of a table."""
    lost = [outcome for outcome in report.failures if kind_of(outcome) == kind]
    sent = sum(1 for outcome in report.outcomes if kind_of(outcome) == kind)
    errors = Counter(outcome.error for outcome in lost)
    named = ", ".join(f"{error} {n}" for error, n in sorted(errors.items())) or "none"
    return (
        f"{kind}: {len(seconds)} cycles of {median(seconds):.1f} s; {sent} requests, "
        f"{len(lost)} failed, in {len({outcome.phase for outcome in lost})} cycles ({named})"
    )


def lost_in(report: Report) -> int:
    """Count the failed requests but for those of plain updates."""
    return sum(1 for outcome in report.failures if kind_of(outcome) != PLAIN)


def closing_line(report: Report, seconds: Mapping[str, Sequence[float]], left: int) -> str:
    """Say it in one line."""
    return (
        f"cycles: {len(seconds.get(PROMOTE, ()))} promoted, {len(seconds.get(ABORT, ()))} aborted; "
        f"{report.sent} requests, {lost_in(report)} failed; {report.excuse()}; {left} left"
    )


async def measure(terms: Terms) -> int:
    """Run the cycles and print what became of the requests; answers the exit code."""
    print(terms.told(), flush=True)
    flags = (
        f"--propagation-wait={terms.propagation_wait}",
        f"--drain-wait={terms.drain_wait}",
        "--ready-wait=100ms",
        "--qps=500",
    )
    ground = Ground(
        bed=lambda hold: ControlPlane(Options(hold=hold, proxy_throttle=terms.throttle)),
        flags=flags,
        is_closed=True,
    )
    async with running("admission", ground) as cluster:
        report, seconds = await _measured(cluster, terms)
    (closing,) = CLOSINGS
    for kind in (kind for kind in (PLAIN, PROMOTE, ABORT) if seconds.get(kind)):
        print(row(kind, report, seconds[kind]))
    print(f"sent late: p50 {report.late_milliseconds(0.5):.1f} ms, ", end="")
    print(f"p99 {report.late_milliseconds(0.99):.1f} ms, {report.late_milliseconds(1):.0f} at most")
    print("load average of the last 1, 5 and 15 minutes:", *(f"{n:.1f}" for n in os.getloadavg()))
    for what in [*closing.forbidden, *closing.left]:
        print(f"amiss: {what}")
    print(closing_line(report, seconds, len(closing.left)))
    return 1 if lost_in(report) or closing.left or closing.forbidden else 0


async def _measured(cluster: Cluster, terms: Terms) -> tuple[Report, Mapping[str, Sequence[float]]]:
    app = App(cluster=cluster, namespace="cycles")
    milliseconds = str(round(1000 * duration(terms.latency)))
    await app.deploy(replicas=REPLICAS, pod_annotations={LATENCY: milliseconds})
    longest = duration(terms.rest) + min(
        LONGEST_CYCLE_SECONDS * terms.cycles, duration(terms.at_most) + LONGEST_CYCLE_SECONDS
    )
    load = Load(
        cluster.bed.target,
        ordinary_requests(app.host),
        control_host=await cluster.bed.add_control(),
        rate=terms.rate,
        count=math.ceil(longest * terms.rate),
        seconds=longest,
        phase=REST,
    )
    run = Run(app=app, load=load)
    sending = asyncio.create_task(load.run())
    try:
        await _rest(load, duration(terms.rest))
        for _ in range(terms.plain):
            await run.cycle(PLAIN)
        if terms.plain:  # what the last of them loses is lost while the proxy does not know of it
            await asyncio.sleep(
                duration(terms.throttle) + duration(terms.latency) + SETTLED_SECONDS
            )
        load.mark(REST)
        await app.enrol(header=ACCOUNT, header_values="alice")
        latest = time.monotonic() + duration(terms.at_most)
        for kind in itertools.takewhile(lambda _: time.monotonic() < latest, terms.order):
            await run.cycle(kind)
    except Exception as error:
        error.add_note(app.report())
        error.add_note(load.report().summary())
        raise
    finally:
        load.stop()
        report = await sending
    return report, run.seconds


async def _rest(load: Load, seconds: float) -> None:
    """Let the load run with nothing beside it, and print what that costs this process."""
    if not seconds:
        return
    begun, used = time.monotonic(), time.process_time()
    await asyncio.sleep(seconds)  # the load alone is what is measured
    share = (time.process_time() - used) / (time.monotonic() - begun)
    busy = os.getloadavg()[0]
    print(f"at rest: {load.report().summary()}")
    print(
        f"at rest: the load generator takes {share:.0%} of a core; load average {busy:.1f}",
        flush=True,
    )


def _run(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m e2e.controlplane.cycles", description=__doc__)
    for name, count in (("promotions", 50), ("aborts", 50), ("plain", 0)):
        parser.add_argument(f"--{name}", type=int, default=count, help=f"default: {count}")
    parser.add_argument("--rate", type=float, default=200.0, help="requests a second; default: 200")
    times = {"propagation-wait": "1s", "drain-wait": "1s", "throttle": "0s", "latency": "0s"}
    for name, value in {**times, "rest": "10s", "at-most": "1h"}.items():
        parser.add_argument(f"--{name}", default=value, help=f"default: {value}")
    return asyncio.run(measure(Terms(**vars(parser.parse_args(arguments)))))


if __name__ == "__main__":
    run_inside("e2e.controlplane.cycles", _run)
