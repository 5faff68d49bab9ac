"""Runs the bed process: `python -m e2e.bed`; `e2e.bed.bed.Bed` starts and ends it."""

import argparse
import asyncio
import logging
from pathlib import Path

from e2e.bed.process import Flags, run


def main() -> None:
    """Read the flags and serve until a signal comes."""
    parser = argparse.ArgumentParser(prog="python -m e2e.bed", description=__doc__)
    toggle = argparse.BooleanOptionalAction
    parser.add_argument("--hold", action=toggle, default=True, help="policies of the hold")
    parser.add_argument("--loopback-endpoints", action=toggle, default=True)
    parser.add_argument("--port", type=int, default=0, help="of the API server; 0: a free one")
    parser.add_argument("--ready-file", type=Path, help="where the addresses are written")
    parser.add_argument("--remove-if-orphaned", type=Path, help="a folder the parent left behind")
    found = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s %(message)s")
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)
    asyncio.run(
        run(
            Flags(
                hold=found.hold,
                loopback_endpoints=found.loopback_endpoints,
                port=found.port,
                ready_file=found.ready_file,
                orphaned_folder=found.remove_if_orphaned,
            )
        )
    )


if __name__ == "__main__":
    main()
