"""Kills and freezes the controller at random moments of releases, under load.

Applications release without end, each with a load of its own beside a control that no release
touches. Meanwhile the one controller is ended by SIGKILL, ended while it starts, or stopped by
SIGSTOP for a while. Nothing may be lost, every release has to end as it was asked to, and nothing
may be left when all have taken their leave (safety.md T7, T8, T11; D1).
"""

import argparse
import asyncio
import itertools
import random
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Literal

from e2e.bed import container
from e2e.bed.children import ChildEndedError
from e2e.bed.load import Load, Report, ordinary_requests
from e2e.scenarios.application import App
from e2e.scenarios.cluster import PATIENCE, Cluster, running
from e2e.scenarios.leaving import leave

APPLICATIONS = 3
REPLICAS = 3
SLOW = {container.START: "0.5"}
"""Pods that take half a second to start, so that a release has moments."""
RATE = 12.0
"""Requests a second on each application and its control."""
SECONDS_A_BLOW = 20.0
"""More than a blow and what follows takes on a busy machine; bounds the loads."""

Kind = Literal["kill", "kill in start", "freeze"]
KINDS: tuple[Kind, ...] = ("kill", "kill", "kill in start", "freeze")
"""What may befall the controller; a plain kill is as frequent as both others."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Blow:
    """One thing that befalls the controller.

    Attributes:
        pause: Seconds since it was ready after the last one.
        kind: SIGKILL; SIGKILL, and once more while it starts; or SIGSTOP.
        down: Seconds until it is started again, or until SIGCONT.
        starting: Seconds it is given to start before the second SIGKILL.
    """

    pause: float
    kind: Kind
    down: float
    starting: float


def blows(seed: int, count: int) -> Iterator[Blow]:
    """Choose what happens, and when; the same seed chooses the same."""
    chance = random.Random(seed)
    for _ in range(count):
        yield Blow(
            pause=chance.uniform(0.2, 3.0),
            kind=chance.choice(KINDS),
            down=chance.choice([0.0, chance.uniform(0.0, 4.0)]),
            starting=chance.uniform(0.1, 1.5),
        )


@dataclass(slots=True, kw_only=True)
class Tally:
    """What was done and what became of it."""

    kinds: Counter[str] = field(default_factory=Counter)
    moments: Counter[str] = field(default_factory=Counter)
    """The stage of each application at each blow."""
    ended: Counter[str] = field(default_factory=Counter)
    """Releases, by how they ended."""
    wrong: list[str] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class Attack:
    """The releases of a cluster, and what befalls its controller."""

    cluster: Cluster
    tally: Tally = field(default_factory=Tally)
    _is_over: bool = False

    async def run(self, chosen: Sequence[Blow]) -> Report:
        """Let everything happen; answers what became of the requests."""
        apps = [
            App(cluster=self.cluster, namespace=f"killed-{number}")
            for number in range(APPLICATIONS)
        ]
        await asyncio.gather(*(self._enrolled(app) for app in apps))
        async with self._loaded(apps, len(chosen) * SECONDS_A_BLOW + PATIENCE) as loads:
            releasing = asyncio.gather(*(self._releases(app) for app in apps))
            try:
                for blow in chosen:
                    await self._befall(apps, blow)
            finally:
                self._is_over = True
            await releasing
        left = await leave(self.cluster.bed, within=PATIENCE)
        self.tally.wrong += [f"left: {one}" for one in left]
        return Report(outcomes=[it for load in loads for it in load.report().outcomes])

    async def _enrolled(self, app: App) -> None:
        await app.deploy(replicas=REPLICAS, pod_annotations=SLOW)
        await app.enrol(header="X-Account", header_values="alice, bob")

    @asynccontextmanager
    async def _loaded(self, apps: Sequence[App], seconds: float) -> AsyncIterator[list[Load]]:
        control = await self.cluster.bed.add_control()
        loads = [
            Load(
                self.cluster.bed.target,
                [*ordinary_requests(app.host), *ordinary_requests(app.host, _ALICE)],
                control_host=control,
                rate=RATE,
                count=int(RATE * seconds),
                seconds=seconds,
            )
            for app in apps
        ]
        sending = [asyncio.create_task(load.run()) for load in loads]
        try:
            yield loads
            for load in loads:
                load.stop()
            await asyncio.gather(*sending)
        finally:
            for task in sending:
                task.cancel()

    # What the owners do.

    async def _releases(self, app: App) -> None:
        """Release one version after the other: promote it by turns in two ways, abort every third.

        What an owner sees is checked after each: what serves, and that nothing of ours is left.
        """
        serving = "v1"
        for number in itertools.count(2):
            if self._is_over:
                return
            version = f"v{number}"
            told = await app.ship(version)
            await app.annotate(weight="30")
            outcome = "aborted" if number % 3 == 0 else "promoted"
            await app.until("weight 30", lambda told: told.written == 30)
            if outcome == "aborted":
                await app.act("abort")
            elif number % 2:
                await app.act(f"promote:{told.revision}")
            else:
                await app.resume()
            await app.ends(outcome)
            serving = version if outcome == "promoted" else serving
            runs = await app.runs()
            self.tally.ended[outcome] += 1
            if runs != {serving: REPLICAS}:
                self.tally.wrong.append(f"{app.namespace}: {version} was {outcome}, runs {runs}")

    # What befalls the controller.

    async def _befall(self, apps: Sequence[App], blow: Blow) -> None:
        controller = self.cluster.controller
        await asyncio.sleep(blow.pause)
        self.tally.kinds[blow.kind] += 1
        self.tally.moments.update(app.told.stage or "-" for app in apps)
        if blow.kind == "freeze":
            controller.freeze()
            await asyncio.sleep(blow.down)
            controller.thaw()
            return
        await controller.kill()
        await asyncio.sleep(blow.down)
        if blow.kind == "kill in start":
            starting = asyncio.create_task(controller.start(within=PATIENCE))
            await asyncio.sleep(blow.starting)
            await controller.kill()
            with suppress(ChildEndedError):
                await starting
        await controller.start(within=PATIENCE)


_ALICE = (("X-Account", "alice"),)


async def attack(count: int, seed: int) -> bool:
    """Run it all and print what was found; answers whether nothing was wrong."""
    began = time.monotonic()
    async with running("admission") as cluster:
        attacked = Attack(cluster=cluster)
        try:
            report = await attacked.run(list(blows(seed, count)))
        except Exception:
            print(cluster.controller.child.tail(), file=sys.stderr)
            raise
    tally = attacked.tally
    for failure in report.failures[:20]:
        print(f"lost: second {failure.second}, {failure.kind}: {failure.error}")
    for wrong in tally.wrong:
        print(f"wrong: {wrong}")
    print(f"seed {seed}; {time.monotonic() - began:.0f} s")
    for what, counts in (
        ("blows", tally.kinds),
        ("stages they met", tally.moments),
        ("releases", tally.ended),
    ):
        print(f"{what}: {', '.join(f'{name} {n}' for name, n in sorted(counts.items()))}")
    print(report.summary())
    blown, sent, lost = tally.kinds.total(), report.sent, len(report.failures)
    print(f"kills: {blown}, {sent} requests, {lost} failed; {len(tally.wrong)} wrong or left")
    return not lost and not tally.wrong


def main() -> int:
    """Read the flags and attack; answers the exit code."""
    parser = argparse.ArgumentParser(prog="python -m e2e.kills", description=__doc__)
    parser.add_argument("--kills", type=int, default=100, help="how many blows")
    parser.add_argument("--seed", type=int, default=1, help="of their kinds and moments")
    flags = parser.parse_args()
    return 0 if asyncio.run(attack(flags.kills, flags.seed)) else 1


if __name__ == "__main__":
    sys.exit(main())
