"""Tells the story of a release on this machine: `python -m e2e.demo`, no cluster needed."""

import argparse
import asyncio
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from e2e.bed import manifests
from e2e.bed.bed import Bed
from e2e.bed.children import ChildEndedError, MissingProgramError
from e2e.bed.client import Client
from e2e.bed.controllerprocess import ControllerProcess
from e2e.bed.load import Load, ordinary_requests
from e2e.demo_checks import ChecksDemo
from e2e.demo_leftovers import Dump, left_of
from e2e.demo_screen import Screen, closing_line, screen_for
from e2e.demo_story import (
    APPLICATION,
    CHAPTERS,
    HOST,
    INTRODUCTION,
    NAMESPACE,
    PROMOTED_IMAGE,
    TITLE,
    things_to_try,
)
from e2e.demo_teller import StoryError, Teller
from e2e.demo_traffic import Traffic, failure_lines

FLAGS = (
    "--propagation-wait=300ms",
    "--drain-wait=500ms",
    "--ready-wait=200ms",
    "--log-format=text",
)
"""Short waits: the proxy here follows within milliseconds, and no request takes half a second."""

LOAD_RATE, LOAD_COUNT, LOAD_SECONDS = 50.0, 15000, 300.0
"""Requests a second, requests in all and seconds; the load ends at the first of the two bounds."""

IMAGES = {f"deployments/{NAMESPACE}/{APPLICATION}": PROMOTED_IMAGE}
"""What the application runs in the end."""

LOG_LINES = 25
"""How much of the controller's log a failure shows."""

TOLD_FAILURES = (StoryError, TimeoutError, ChildEndedError, MissingProgramError)
"""What may go wrong on the way and says by itself what it is."""

STOPPED = 130
"""The exit code after Ctrl-C, as shells have it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Demo:
    """One telling of the story, from an empty bed to the last line."""

    screen: Screen
    keep: bool = False
    """Whether everything stays up at the end until a signal comes."""

    async def run(self) -> int:
        """Tell it; answers the exit code."""
        self.screen.title(TITLE, INTRODUCTION)
        async with Bed() as bed:
            before = await _application(bed)
            async with bed.controller(*FLAGS) as controller:
                with self._log_at_failure(controller):
                    is_good = await self._story(bed, before)
                if not is_good:
                    self._log(controller)
                if self.keep:
                    self.screen.output(things_to_try(bed.kubeconfig, bed.proxy.port))
                    await _signalled()
        return 0 if is_good else 1

    async def _story(self, bed: Bed, before: Dump) -> bool:
        traffic = Traffic(load=await _load(bed), client=Client(bed.target))
        teller = Teller(bed=bed, screen=self.screen, traffic=traffic)
        async with traffic.flowing():
            for number, chapter in enumerate(CHAPTERS, start=1):
                await teller.tell(number, chapter)
            left = await left_of(bed, before, images=IMAGES)
        return self._close(traffic, teller.results(), left)

    def _close(self, traffic: Traffic, results: Sequence[str], left: Sequence[str]) -> bool:
        report = traffic.report()
        ended = (results.count("promoted"), results.count("aborted"))
        self.screen.faults([*failure_lines(report.failures), *left])
        if report.excused:
            busy = f"{len(report.excused)} more failed in {len(report.bad_seconds)} s"
            self.screen.faults([f"{busy} in which an application nobody touches failed too"])
        is_good = not report.failures and not left and ended == (1, 1)
        line = closing_line(
            requests=report.sent,
            failed=len(report.failures),
            promoted=ended[0],
            aborted=ended[1],
            left=len(left),
        )
        self.screen.verdict(line, good=is_good)
        return is_good

    @contextmanager
    def _log_at_failure(self, controller: ControllerProcess) -> Iterator[None]:
        try:
            yield
        except Exception:
            self._log(controller)
            raise

    def _log(self, controller: ControllerProcess) -> None:
        self.screen.faults(["the end of the controller's log:", controller.child.tail(LOG_LINES)])


async def _application(bed: Bed) -> Dump:
    """Apply the application and the control of the load; answers a dump of the cluster."""
    await bed.api.apply(manifests.application(APPLICATION, namespace=NAMESPACE, host=HOST))
    await bed.settled(APPLICATION)
    await bed.serves(HOST, "v1")
    await bed.add_control()
    return await bed.dump()


async def _load(bed: Bed) -> Load:
    requests = [
        *ordinary_requests(HOST),
        *ordinary_requests(HOST, [("X-Account", "alice")]),
        *ordinary_requests(HOST, [("X-Account", "carol")]),
    ]
    return Load(
        bed.target,
        requests,
        control_host=await bed.add_control(),
        rate=LOAD_RATE,
        count=LOAD_COUNT,
        seconds=LOAD_SECONDS,
    )


def _on_signals(act: Callable[[], object]) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, act)


async def _signalled() -> None:
    came = asyncio.Event()
    _on_signals(came.set)
    await came.wait()


async def tell(demo: Demo | ChecksDemo) -> int:
    """Run the demo; the first signal ends it in order, later ones do not hurry the clearing up."""
    running = asyncio.create_task(demo.run())
    stopped = asyncio.Event()

    def stop() -> None:
        if not stopped.is_set():
            stopped.set()
            running.cancel()

    _on_signals(stop)
    try:
        return await running
    except asyncio.CancelledError:
        demo.screen.faults(["stopped: everything that was started is gone"])
        return STOPPED
    except TOLD_FAILURES as failure:
        demo.screen.faults([f"{type(failure).__name__}: {failure}"])
        demo.screen.verdict("demo: the story was not told to its end", good=False)
        return 1


def main() -> int:
    """Read the flags and tell the story; answers the exit code."""
    parser = argparse.ArgumentParser(prog="python -m e2e.demo", description=__doc__)
    stories = parser.add_mutually_exclusive_group()
    stories.add_argument("--keep", action="store_true", help="leave everything up until Ctrl-C")
    stories.add_argument(
        "--checks", action="store_true", help="another story: releases that metrics decide"
    )
    found = parser.parse_args()
    screen = screen_for(sys.stdout)
    told = ChecksDemo(screen=screen) if found.checks else Demo(screen=screen, keep=found.keep)
    return asyncio.run(tell(told))


if __name__ == "__main__":
    sys.exit(main())
