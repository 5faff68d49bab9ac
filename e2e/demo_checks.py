"""Tells the story of releases that metrics decide: `python -m e2e.demo --checks`."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from controller.api.intent import configuration_digest
from controller.api.objects import annotations_of
from controller.api.status import Status, status_in
from e2e.bed import manifests
from e2e.bed.bed import Bed
from e2e.bed.container import ERRORS as ERRORS_KNOB
from e2e.bed.load import Load, Outcome, Report, ordinary_requests
from e2e.bed.polling import wait_until
from e2e.bed.prometheus import SCRAPE_SECONDS, prometheus_program
from e2e.demo_checks_story import (
    BUSY,
    CHAPTERS,
    ERRORS,
    HAPPENS_WITHIN,
    IMAGES,
    INTRODUCTION,
    NAMESPACE,
    QUIET,
    RATES,
    TITLE,
    Chapter,
    Part,
    Until,
)
from e2e.demo_leftovers import Dump, left_of
from e2e.demo_screen import Screen
from e2e.demo_story import arguments
from e2e.demo_teller import StoryError
from e2e.demo_traffic import failure_lines

FLAGS = (
    "--propagation-wait=300ms",
    "--drain-wait=500ms",
    "--ready-wait=200ms",
    "--log-format=text",
    "--dialect=traefik",
    f"--scrape-interval={SCRAPE_SECONDS}s",
)
"""Short waits: the proxy here follows within milliseconds, and no request takes half a second."""

LOAD_COUNT, LOAD_SECONDS = 60_000, 400.0
"""Requests in all and seconds; a load ends at the first of the two bounds."""
HISTORY_SECONDS = 20.0
"""How long stable is looked at before the first release: by how much its errors vary."""
LOG_LINES = 25


@dataclass(frozen=True, kw_only=True, slots=True)
class ChecksDemo:
    """One telling of the story, from an empty bed to the last line."""

    screen: Screen

    async def run(self) -> int:
        """Tell it; answers the exit code."""
        prometheus_program()
        self.screen.title(TITLE, INTRODUCTION)
        async with Bed() as bed:
            before = await _applications(bed)
            async with bed.prometheus() as prometheus:
                flags = (*FLAGS, f"--prometheus-url={prometheus.url}")
                async with bed.controller(*flags) as controller:
                    try:
                        is_good = await self._story(bed, before)
                    except Exception:
                        log = controller.child.tail(LOG_LINES)
                        self.screen.faults(["the end of the controller's log:", log])
                        raise
        return 0 if is_good else 1

    async def _story(self, bed: Bed, before: Dump) -> bool:
        teller = Teller(bed=bed, screen=self.screen, loads=await _loads(bed))
        async with teller.flowing():
            await asyncio.sleep(HISTORY_SECONDS)
            for number, chapter in enumerate(CHAPTERS, start=1):
                await teller.tell(number, chapter)
            images = {f"deployments/{NAMESPACE}/{name}": image for name, image in IMAGES.items()}
            left = await left_of(bed, before, images=images)
        lost = teller.lost()
        self.screen.faults([*failure_lines(lost), *left])
        self.screen.verdict(teller.closing_line(len(left)), good=not lost and not left)
        return not lost and not left


async def _applications(bed: Bed) -> Dump:
    """Apply both applications, and the control of the load; answers a dump of the cluster."""
    notes = {ERRORS_KNOB: str(ERRORS)}
    for name in (BUSY, QUIET):
        written = manifests.application(
            name,
            namespace=NAMESPACE,
            image=f"janakiramm/{name}:v1",
            host=host_of(name),
            pod_annotations=notes if name == BUSY else None,
        )
        await bed.api.apply(*written)
        await bed.settled(name)
        await bed.serves(host_of(name), "v1")
    await bed.add_control()
    return await bed.dump()


def host_of(name: str) -> str:
    """Answer the host of an application."""
    return f"{name}.example"


async def _loads(bed: Bed) -> Mapping[str, Load]:
    return {
        name: Load(
            bed.target,
            ordinary_requests(host_of(name)),
            control_host=await bed.add_control() if name == BUSY else "",
            rate=rate,
            count=LOAD_COUNT,
            seconds=LOAD_SECONDS,
        )
        for name, rate in RATES.items()
    }


@dataclass(slots=True, kw_only=True)
class Teller:
    """Tells chapters on a running bed, and keeps what was seen on the way."""

    bed: Bed
    screen: Screen
    loads: Mapping[str, Load]
    _reports: list[Report] = field(default_factory=list)
    _ends: dict[tuple[str, str], str] = field(default_factory=dict)
    _undecided: set[str] = field(default_factory=set)
    _shown: tuple[object, ...] = ()

    @asynccontextmanager
    async def flowing(self) -> AsyncIterator[None]:
        """Send the loads while the block runs, and wait for their last answers."""
        sending = [asyncio.create_task(load.run()) for load in self.loads.values()]
        try:
            yield
            for load in self.loads.values():
                load.stop()
            self._reports = list(await asyncio.gather(*sending))
        finally:
            for task in sending:
                task.cancel()

    async def tell(self, number: int, chapter: Chapter) -> None:
        """Type the commands of a chapter, and follow what comes of them.

        Raises:
            StoryError: A command failed.
            TimeoutError: What is told did not come true.
        """
        self.screen.chapter(number, chapter.title)
        for load in self.loads.values():
            load.mark(chapter.title)
        for part in chapter.parts:
            typed = time.monotonic()
            if part.command:
                self.screen.command(part.command, part.says)
                await self._type(part)
            if part.until is not None:
                await self._follow(part.until, typed)

    async def _type(self, part: Part) -> None:
        result = await self.bed.kubectl.run(*arguments(part.command), within=HAPPENS_WITHIN)
        self.screen.warning(result.err)
        self.screen.output(result.out)
        if result.code != part.code:
            raise StoryError(f"{part.command}: exit code {result.code}, not {part.code}")

    async def _follow(self, until: Until, typed: float) -> None:
        async def has_come_true() -> bool:
            service = await self.bed.api.get("services", until.service) or {}
            status = status_in(service)
            if status.configuration != configuration_digest(annotations_of(service)):
                return False
            self._remember(until.service, status)
            self._show(time.monotonic() - typed, status)
            return until.holds(status)

        what = f"{until.service}: {until.what}"
        await wait_until(has_come_true, within=HAPPENS_WITHIN, every=0.05, what=what)

    def _show(self, seconds: float, status: Status) -> None:
        """Show what the status says, once for each stage, reason and weight."""
        shown = (status.stage, status.reason, status.written, status.since)
        if shown != self._shown:
            self.screen.progress(seconds, status)
        self._shown = shown

    def _remember(self, service: str, status: Status) -> None:
        if status.outcome is not None:
            self._ends[service, status.outcome.since] = status.outcome.result
        if status.reason == "ChecksUndecided":
            self._undecided.add(service)

    def lost(self) -> list[Outcome]:
        """Answer the requests that no pod answered; an error of the application's own is none."""
        return [lost for report in self._reports for lost in report.lost]

    def closing_line(self, left: int) -> str:
        """Write the last line."""
        versions: Counter[str] = Counter()
        for report in self._reports:
            versions += report.by_version()
        sent = sum(report.sent for report in self._reports)
        busy = [result for (service, _), result in self._ends.items() if service == BUSY]
        bad = sum(count for version, count in versions.items() if "flaky" in version)
        return (
            f"demo: {sent} requests, {len(self.lost())} lost; {busy.count('aborted')} rolled back "
            f"({bad} requests met it), {busy.count('promoted')} promoted, "
            f"{len(self._undecided - {BUSY})} with not enough data; {left} objects left"
        )
