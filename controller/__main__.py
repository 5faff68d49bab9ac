"""Turns flags and environment into settings, runs the manager, turns its end into an exit code."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Sequence
from typing import Final

import structlog

from controller import logs
from controller.cluster.client import Client
from controller.cluster.metrics import Metrics
from controller.cluster.prometheus import Prometheus
from controller.manager import Manager
from controller.plan.decide import decide
from controller.settings import Settings, UsageError, from_arguments

STOPPED: Final = 0
FAILED: Final = 1
BAD_USAGE: Final = 2

log = structlog.get_logger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the controller until SIGTERM; return the exit code of contract.md section 6.

    Args:
        argv: the arguments without the program's name; None: those of the process.
    """
    try:
        settings = from_arguments(sys.argv[1:] if argv is None else argv, os.environ)
        logs.configure(settings.log_format, settings.log_level)
        asyncio.run(serve(settings))
    except UsageError as error:
        print(f"serinus: {error}", file=sys.stderr)  # noqa: T201  # before there are logs
        return BAD_USAGE
    except OSError as error:
        log.error("controller was stopped", error=str(error))  # noqa: TRY400  # no bug of ours
        return FAILED
    except Exception:
        log.exception("controller was stopped by a bug")
        return FAILED
    return STOPPED


async def serve(settings: Settings) -> None:
    """Run the manager until SIGTERM or SIGINT.

    Raises:
        UsageError: there is no way to an API server.
        OSError: the HTTP address cannot be had.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for sign in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(sign, stop.set)
    metrics = Metrics()
    client = await Client.connect(settings, counted=metrics.count_request)
    try:
        async with contextlib.AsyncExitStack() as doors:
            server = None
            if settings.prometheus_url is not None:
                door = Prometheus(
                    settings.prometheus_url, token_file=settings.prometheus_token_file
                )
                server = await doors.enter_async_context(door)
            manager = Manager(client, settings, decide=decide, server=server, metrics=metrics)
            await manager.run(stop)
    finally:
        await client.close()


if __name__ == "__main__":
    sys.exit(main())
