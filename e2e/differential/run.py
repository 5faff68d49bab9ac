"""Sends drawn operations to both servers, and keeps count of what differs and why."""

import asyncio
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from e2e.differential.comparison import Difference, differences
from e2e.differential.drawing import NAMES, NAMESPACE, Drawing
from e2e.differential.explanations import EXPLANATIONS, Explanation
from e2e.differential.operation import Operation
from e2e.differential.side import Answer, Side

LONGEST_EXCERPT = 1200


@dataclass(frozen=True, kw_only=True, slots=True)
class Unexplained:
    """An operation of which a difference is in no row.

    Attributes:
        number: Its place in the run, from 0.
        differences: Those that no row explains.
    """

    number: int
    operation: Operation
    differences: Sequence[Difference]
    ours: Answer
    theirs: Answer

    def told(self) -> str:
        """Write it for a person."""
        operation = self.operation
        lines = [f"operation {self.number}: {operation.label}", f"  {operation.path}"]
        lines.append(f"  sent: {_excerpt(operation.body)}")
        lines += [
            f"  {one.path}: emulator {one.ours[:300]}, server {one.theirs[:300]}"
            for one in self.differences[:12]
        ]
        for who, answer in (("emulator", self.ours), ("server", self.theirs)):
            if answer.code >= 300:
                lines.append(f"  {who} said: {_excerpt(answer.body.get('message'))}")
        return "\n".join(lines)


@dataclass(slots=True, kw_only=True)
class Run:
    """A bounded number of operations on both servers.

    Attributes:
        done: How many were sent.
        codes: How often the real server answered with each status.
    """

    ours: Side
    theirs: Side
    seed: int
    table: Sequence[Explanation] = EXPLANATIONS
    done: int = 0
    codes: Counter[int] = field(default_factory=Counter)
    used: Counter[Explanation] = field(default_factory=Counter)
    unexplained: list[Unexplained] = field(default_factory=list)

    async def go(self, operations: int) -> None:
        """Send so many operations; after a difference both objects are removed."""
        drawing = Drawing(self.seed)
        await self._furnish()
        for number in range(operations):
            operation = drawing.next()
            sent = (side.send(operation) for side in (self.ours, self.theirs))
            ours, theirs = await asyncio.gather(*sent)
            self.done, self.codes = number + 1, self.codes + Counter([theirs.code])
            found = differences(operation.plural, ours, theirs)
            if found:
                self._judge(number, operation, found, (ours, theirs))
                await self._level(operation)

    def unused(self) -> list[Explanation]:
        """Answer the rows that explained nothing."""
        return [row for row in self.table if row not in self.used]

    def line(self) -> str:
        """Write it in one line."""
        return (
            f"differential: {self.done} operations, seed {self.seed}, "
            f"{len(self.unexplained)} unexplained, {self.used.total()} explained"
        )

    def _judge(
        self,
        number: int,
        operation: Operation,
        found: Sequence[Difference],
        answers: tuple[Answer, Answer],
    ) -> None:
        left = []
        rows = set()
        for difference in found:
            row = next((row for row in self.table if row.explains(operation, difference)), None)
            if row is None:
                left.append(difference)
            else:
                rows.add(row)
        if not left:
            self.used.update(rows)
            return
        ours, theirs = answers
        self.unexplained.append(
            Unexplained(
                number=number, operation=operation, differences=left, ours=ours, theirs=theirs
            )
        )

    async def _furnish(self) -> None:
        body = json.dumps({"metadata": {"name": NAMESPACE}})
        headers = {"Content-Type": "application/json"}
        for side in (self.ours, self.theirs):
            made = await side.client.post("/api/v1/namespaces", content=body, headers=headers)
            made.raise_for_status()

    async def _level(self, operation: Operation) -> None:
        """Remove what differs on both servers, so that one difference does not make more."""
        for name in [operation.name] if operation.name else NAMES:
            key = operation.plural, name
            for side in (self.ours, self.theirs):
                await side.remove(operation.root, NAMESPACE, key)


def _excerpt(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= LONGEST_EXCERPT else text[:LONGEST_EXCERPT] + " ..."
