"""Types the commands of the story, follows what each leads to, and shows who gets what."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from controller.api.intent import configuration_digest
from controller.api.names import HELD, STATUS, TRACK
from controller.api.objects import annotations_of, condition_of, labels_of
from controller.api.status import Status, status_in
from e2e.bed.bed import Bed
from e2e.bed.polling import wait_until
from e2e.demo_screen import Pods, Screen, View
from e2e.demo_story import (
    APPLICATION,
    NOBODY,
    PLAIN_REQUESTS,
    STATUS_COMMAND,
    VISITORS,
    Chapter,
    Look,
    Step,
    Visitor,
    arguments,
)
from e2e.demo_traffic import Traffic

STEP_SECONDS = 60.0
"""How long a step may take on a busy machine."""

PROXY_SECONDS = 10.0
"""How long the proxy may take to do what was written."""

ASKED = 20
"""How many requests of each visitor one table counts."""

TOLERANCE = 0.02
"""By how much a share may differ from the weight: other requests take turns in between."""


class StoryError(Exception):
    """The story went on otherwise than it is told; the message says where."""


@dataclass(slots=True)
class Teller:
    """Tells chapters on a running bed."""

    bed: Bed
    screen: Screen
    traffic: Traffic
    _outcomes: dict[tuple[str, str], str] = field(default_factory=dict)
    _shown: str = ""

    def results(self) -> Sequence[str]:
        """Answer how each release ended, as the controller's status said."""
        return list(self._outcomes.values())

    async def tell(self, number: int, chapter: Chapter) -> None:
        """Type the commands of a chapter; each that changes something is followed to its end.

        Raises:
            StoryError: A command failed, or somebody got another version than he should.
            TimeoutError: A command did not lead where it should.
        """
        self.screen.chapter(number, chapter.title)
        self.traffic.load.mark(chapter.title)
        for part in chapter.parts:
            self.screen.command(part.command, part.says)
            typed = time.monotonic()
            await self._type(part.command)
            match part:
                case Step():
                    await self._follow(part, typed)
                    self.screen.table(await self._view(part))
                case Look():
                    pass

    async def _type(self, command: str) -> None:
        result = await self.bed.kubectl.run(*arguments(command))
        self.screen.warning(result.err)
        self.screen.output(result.out)
        if result.code:
            raise StoryError(f"{command}: exit code {result.code}")

    async def _follow(self, step: Step, typed: float) -> None:
        async def has_arrived() -> bool:
            service = await self.bed.api.get("services", APPLICATION) or {}
            status = status_in(service)
            self._remember(status)
            if step.stage is None:
                return STATUS not in annotations_of(service) and not await self._is_held()
            if status.configuration != configuration_digest(annotations_of(service)):
                return False
            self._show(time.monotonic() - typed, status)
            arrived = status.stage == status.reason == step.stage
            return arrived and status.written == step.weight

        await wait_until(has_arrived, within=STEP_SECONDS, every=0.02, what=step.command)
        await self._has_reached_the_proxy(step)

    def _show(self, seconds: float, status: Status) -> None:
        """Show what the status says, once, and nothing that it said before the command."""
        if status.message != self._shown:
            self.screen.progress(seconds, status)
        self._shown = status.message

    def _remember(self, status: Status) -> None:
        outcome = status.outcome
        if outcome is not None:
            self._outcomes[outcome.revision, outcome.since] = outcome.result

    async def _is_held(self) -> bool:
        return HELD in labels_of(await self.bed.api.get("deployments", APPLICATION) or {})

    async def _has_reached_the_proxy(self, step: Step) -> None:
        """Wait until the proxy does what is written: it says the weight, answers tell the rest."""

        async def weighs() -> bool:
            return await self.bed.proxy.weight(APPLICATION) == step.weight

        async def answers() -> bool:
            for visitor in step.visitors():
                got = await self.traffic.ask(visitor.request())
                if step.expected(visitor) not in {"", *got}:
                    return False
            return True

        await wait_until(weighs, within=PROXY_SECONDS, what=f"weight {step.weight} is in force")
        await wait_until(answers, within=PROXY_SECONDS, what="everybody gets the right version")

    async def _view(self, step: Step) -> View:
        (gets, plain), pods, status = await asyncio.gather(
            self._who_gets_what(step), self._pods(), self._status()
        )
        return View(gets=gets, plain=plain, pods=pods, status=status, canary=step.canary)

    async def _who_gets_what(
        self, step: Step
    ) -> tuple[dict[str, Counter[str] | None], Counter[str]]:
        """Ask one after the other: requests of one visitor must not take another's turn."""
        gets = {visitor.name: await self._answers(step, visitor) for visitor in VISITORS}
        plain = await self.traffic.ask(NOBODY.request(), PLAIN_REQUESTS)
        share = plain[step.canary] / PLAIN_REQUESTS
        if step.canary and abs(share - step.weight / 100) > TOLERANCE:
            raise StoryError(f"{share:.1%} of the plain requests were served by {step.canary}")
        return gets, plain

    async def _answers(self, step: Step, visitor: Visitor) -> Counter[str] | None:
        if visitor not in step.visitors():
            return None
        found = await self.traffic.ask(visitor.request(), ASKED)
        expected = step.expected(visitor)
        if expected and set(found) != {expected}:
            got = ", ".join(f"{version} {count} times" for version, count in found.items())
            raise StoryError(f"{visitor.name} got {got}; it should be {expected} every time")
        return found

    async def _pods(self) -> list[Pods]:
        """Count the pods by side and version; those that are ending are left out."""
        ready: Counter[tuple[str, str]] = Counter()
        total: Counter[tuple[str, str]] = Counter()
        for pod in await self.bed.api.list("pods"):
            if pod["metadata"].get("deletionTimestamp"):
                continue
            owner = f"{APPLICATION}-canary" if TRACK in labels_of(pod) else APPLICATION
            image = str(pod["spec"]["containers"][0]["image"])
            side = (owner, image.rpartition(":")[2])
            total[side] += 1
            ready[side] += (condition_of(pod, "Ready") or {}).get("status") == "True"
        return [
            Pods(owner=owner, version=version, ready=ready[owner, version], total=count)
            for (owner, version), count in sorted(total.items())
        ]

    async def _status(self) -> str:
        """Ask the plugin, as a person would; it says so where the Service is not enrolled."""
        told = await self.bed.kubectl.run(*arguments(STATUS_COMMAND), "--output=json")
        if not told.out:
            return told.err.strip().removeprefix("Error: ")
        status = json.loads(told.out)["status"]
        return f"{status.get('stage') or 'not ready'}: {status.get('message', '')}"
