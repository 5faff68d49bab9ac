"""Applications under a steady traffic that a real Prometheus looks at."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress

from e2e.bed import container
from e2e.bed.load import Load
from e2e.bed.polling import wait_until
from e2e.scenarios.application import App
from e2e.scenarios.watching import Told

LONG = 200.0
"""Seconds for what counts have to show, on a busy machine too."""
USUAL_ERRORS = 0.02
"""The share of errors that every version has had since ever."""


@asynccontextmanager
async def traffic(
    app: App, rate: float, *headers: tuple[str, str], seen: int = 0
) -> AsyncIterator[Load]:
    """Send requests while the block runs; none may be lost.

    Args:
        app: Who gets them.
        rate: Requests a second.
        headers: Of each.
        seen: How many have to be answered before the block begins.
    """
    load = await app.cluster.load(app.host, rate, headers, seconds=2 * LONG)
    sending = asyncio.create_task(load.run())
    try:
        await sends(load, seen)
        yield load
        load.stop()
        report = await sending
        assert not report.lost, report.summary()
    finally:
        sending.cancel()


async def sends(load: Load, count: int) -> None:
    """Wait until so many requests more are under way or answered."""
    least = load.sent + count
    await wait_until(lambda: load.sent >= least, within=LONG, every=0.1, what=f"{count} requests")


@asynccontextmanager
async def enrolled(
    app: App, wishes: Mapping[str, str], *, rate: float = 40.0, seen: int = 200
) -> AsyncIterator[Load]:
    """Enrol an application that answers some errors as ever, under traffic that was looked at.

    Args:
        app: The application.
        wishes: Annotations by their short names.
        rate: Requests a second.
        seen: How many have to be answered before the block begins.
    """
    await app.deploy(pod_annotations={container.ERRORS: str(USUAL_ERRORS)})
    await app.enrol(**wishes)
    async with traffic(app, rate, seen=seen) as load:
        yield load


async def canary_errs(app: App, share: float) -> None:
    """Let the canary's pods answer so many errors."""
    for pod in await app.pods("canary"):
        with suppress(ValueError):  # it has ended meanwhile
            await app.cluster.bed.pods.set_pod(pod, app.namespace, errors=share)


def outcomes(told: Told) -> Mapping[str, str]:
    """Answer what each check says."""
    checks = told.status.get("checks", ())
    return {str(check["check"]): str(check["outcome"]) for check in checks}


def why(told: Told) -> str:
    """Answer why the last release ended."""
    return str((told.status.get("outcome") or {}).get("why", ""))


def was_caught(told: Told) -> bool:
    """Say whether checks have ended the last release."""
    return told.outcome == "aborted" and told.why("Promoted") == "ChecksFailed"
