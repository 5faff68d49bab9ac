"""Serve an empty API server on a loopback port until interrupted; prints its URL."""

import argparse
import asyncio
import contextlib
import signal
from collections.abc import Sequence

from e2e.bed.apiserver.server import ApiServer


def options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m e2e.bed.apiserver", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="a loopback address")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--hold-policy", action="store_true", help="hold new templates")
    parser.add_argument("--allow-loopback-endpoints", action="store_true")
    parser.add_argument("--bookmark-seconds", type=float, default=60.0)
    parser.add_argument("--gc-delay", type=float, default=0.05, help="seconds")
    return parser.parse_args(arguments)


async def serve(chosen: argparse.Namespace) -> None:
    """Serve until SIGINT or SIGTERM."""
    server = ApiServer(
        hold_policy=chosen.hold_policy,
        allow_loopback_endpoints=chosen.allow_loopback_endpoints,
        bookmark_seconds=chosen.bookmark_seconds,
        gc_delay=chosen.gc_delay,
    )
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    print(await server.start(chosen.host, chosen.port), flush=True)
    try:
        await stopped.wait()
    finally:
        await server.stop()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(options()))
