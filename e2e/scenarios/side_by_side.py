"""Lets scenarios run side by side: each waits most of its time.

A scenario lives in a namespace of its own, so nothing keeps them apart but the cluster's strength.
The first test of a stage starts them all, whatever their modules; each then waits for its own.
"""

import asyncio
import inspect
import re
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import wraps
from typing import Any

import pytest

from e2e.scenarios.application import App
from e2e.scenarios.cluster import Cluster

AT_ONCE = 12
"""Scenarios under way at a time; more only wait for the two cores of a small machine."""
LIMIT_SECONDS = 240.0

Story = Callable[..., Awaitable[None]]
_STORY = "__scenario__"


def scenario(story: Story) -> Story:
    """Make a test of a story that is told of an `app`; it runs beside the others of its module."""

    @wraps(story)
    async def test(stage: "Stage", request: pytest.FixtureRequest, **_: object) -> None:
        await stage.tells(request.node)

    own = list(inspect.signature(story).parameters.values())[1:]
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    given = [inspect.Parameter(name, kind) for name in ("stage", "request")]
    setattr(test, "__signature__", inspect.Signature([*given, *own]))  # noqa: B010 - a plain function has no such attribute for mypy
    setattr(test, _STORY, story)
    marked = pytest.mark.asyncio(loop_scope="session")(test)
    result: Story = pytest.mark.timeout(LIMIT_SECONDS + 60)(marked)
    return result


@dataclass(slots=True)
class Stage:
    """Runs scenarios on one cluster."""

    cluster: Cluster
    _running: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    _places: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))

    def begin(self, items: Iterable[pytest.Item]) -> None:
        """Start every scenario among these tests."""
        for number, item in enumerate(items):
            if isinstance(item, pytest.Function) and hasattr(item.function, _STORY):
                self._running[item.nodeid] = asyncio.create_task(self._run(item, number))

    async def tells(self, item: pytest.Item) -> None:
        """Wait for the end of one scenario; raises what it raised."""
        await self._running[item.nodeid]

    async def end(self) -> None:
        """Cancel what still runs."""
        for task in self._running.values():
            task.cancel()
        for task in self._running.values():
            with suppress(asyncio.CancelledError, Exception):
                await task

    async def _run(self, item: pytest.Function, number: int) -> None:
        story: Story = getattr(item.function, _STORY)
        params: dict[str, Any] = item.callspec.params if hasattr(item, "callspec") else {}
        app = App(cluster=self.cluster, namespace=_namespace(item, number))
        async with self._places:
            try:
                async with asyncio.timeout(LIMIT_SECONDS):
                    await story(app, **params)
            except Exception as error:
                error.add_note(app.report())
                raise
            await app.api.delete("namespaces", app.namespace)


def _namespace(item: pytest.Function, number: int) -> str:
    module = item.path.stem.removeprefix("test_")
    words = re.sub(r"[^a-z0-9]+", "-", f"{module}-{number}-{item.originalname}".lower())
    return words[:50].strip("-")
