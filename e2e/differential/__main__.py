"""Compares the emulator with a real API server: `python -m e2e.differential [FLAGS]`."""

import argparse
import asyncio
import random
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from e2e.bed.apiserver.server import ApiServer
from e2e.controlplane.build import CannotBuildError, built
from e2e.controlplane.credentials import Credentials
from e2e.controlplane.schemas import OldSchemasError, hold, published
from e2e.controlplane.servers import Servers
from e2e.differential.run import Run
from e2e.differential.side import Side

NOT_RUN = 3
"""The exit code where something is missing."""
MOST = 100_000
NEVER = 1e9
"""Seconds after which the emulator collects garbage: the real server is without its collector."""
TOLD = 40
"""How many differences without an explanation are printed whole."""


def _flags(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m e2e.differential", description=__doc__)
    parser.add_argument("--operations", type=int, default=10_000, help=f"at most {MOST}")
    parser.add_argument(
        "--seed", type=int, action="append", help="may be given again; by default a new one"
    )
    parser.add_argument(
        "--fresh",
        type=int,
        default=0,
        help="so many operations of a new seed besides; what they find is told and fails nothing",
    )
    found = parser.parse_args(arguments)
    for name in ("operations", "fresh"):
        if not 0 <= getattr(found, name) <= MOST:
            parser.error(f"--{name} is {getattr(found, name)}: at most {MOST}")
    found.seed = found.seed or [_new_seed()]
    return found


def _new_seed() -> int:
    return random.SystemRandom().randrange(1_000_000)


async def compare(operations: int, seeds: Sequence[int]) -> bool:
    """Run once for each seed, on servers of its own; answers whether all was explained.

    Raises:
        OldSchemasError: The emulator knows other fields than the server publishes.
    """
    is_well = True
    for seed in seeds:
        print(f"differential: {operations} operations, seed {seed}", flush=True)
        async with _both() as (ours, theirs):
            hold(await published(theirs))
            run = Run(ours=Side(client=ours), theirs=Side(client=theirs), seed=seed)
            await run.go(operations)
        _tell(run)
        is_well = is_well and not run.unexplained
    return is_well


@asynccontextmanager
async def _both() -> AsyncIterator[tuple[httpx.AsyncClient, httpx.AsyncClient]]:
    """Start both servers, neither with controllers, so that nobody else writes."""
    with tempfile.TemporaryDirectory(prefix="serinus-differential-") as name:
        folder = Path(name)
        credentials = Credentials.write(folder)
        servers = Servers(programs=built(), folder=folder, credentials=credentials)
        emulator = ApiServer(gc_delay=NEVER)
        try:
            await servers.start_api()
            url = await emulator.start()
            async with (
                httpx.AsyncClient(base_url=url, trust_env=False, timeout=30.0) as ours,
                servers.client() as theirs,
            ):
                yield ours, theirs
        finally:
            await emulator.stop()
            await servers.stop()


def _tell(run: Run) -> None:
    codes = ", ".join(f"{code}: {count}" for code, count in sorted(run.codes.items()))
    print(f"the server's answers: {codes}")
    for found in run.unexplained[:TOLD]:
        print(found.told())
    kinds = Counter(
        (one.operation.label.partition("?")[0], found.path, found.ours[:60], found.theirs[:60])
        for one in run.unexplained
        for found in one.differences
    )
    for kind, count in kinds.most_common():
        print(f"unexplained {count} times: {', '.join(kind)}")
    for row, count in run.used.most_common():
        print(f"explained {count} times: {row.because}")
    for row in run.unused():
        print(f"explains nothing any more, or not in this run: {row.because}")
    print(run.line(), flush=True)


def main() -> None:
    """Read the flags and run."""
    flags = _flags()
    try:
        is_well = asyncio.run(compare(flags.operations, flags.seed))
        if flags.fresh:
            asyncio.run(compare(flags.fresh, [_new_seed()]))
    except CannotBuildError as error:
        print(f"differential: not run: {error}", file=sys.stderr)
        sys.exit(NOT_RUN)
    except OldSchemasError as error:
        sys.exit(f"differential: {error}")
    sys.exit(0 if is_well else 1)


if __name__ == "__main__":
    main()
