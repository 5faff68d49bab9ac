"""Judges ten thousand simulated releases of each kind beside the rules of others.

Prints tables in Markdown, and one closing line; the exit code is 1 where a target is missed.
"""

import argparse
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from typing import Final

import numpy as np

from controller.plan.judge import HARM, SAFETY, Outcome
from tests.judge.cells import BAD, EQUAL, JUDGE, PASSING, PEERS, Cell
from tests.judge.own import path_of, verdict_of
from tests.judge.rules import ERROR_RATE, Rule, passed, paths
from tests.judge.traffic import A_MINUTE, HOUR, SCRAPE_SECONDS, Array, Counts, Releases, batches

BEFORE: Final = 2 * HOUR
STEP: Final = 10 * A_MINUTE
SEED: Final = 20261123
CELLS: Final = {cell.name: cell for cell in (*EQUAL, *BAD, *PASSING)}
CHECKED: Final = 5
"""Releases of each batch that the controller's own code judges too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What one rule did to the releases of one cell.

    Attributes:
        share: of them that were rolled back, or passed.
        seconds: the median time until then; infinite where most were not.
        requests: the median of the requests that the canary answered until then.
        in_step: the share within ten minutes.
    """

    share: float
    seconds: float
    requests: float
    in_step: float


def main(argv: Sequence[str] | None = None) -> int:
    """Run the simulation; return the exit code."""
    parser = argparse.ArgumentParser(prog="make judge", description=__doc__)
    parser.add_argument("--releases", type=int, default=10_000, help="in each cell")
    parser.add_argument("--jobs", type=int, default=2, help="cells at once")
    options = parser.parse_args(argv)
    with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn")) as pool:
        ask = partial(simulate, number=options.releases)
        equal = list(pool.map(ask, _names(EQUAL)))
        bad = list(pool.map(ask, _names(BAD)))
        passing = list(pool.map(ask, _names(PASSING)))
        slow = _names(cell for cell in (*EQUAL, *BAD) if cell.traffic.rate == 1)
        said = pool.map(partial(simulate_quiet, number=options.releases), slow)
        quiet = dict(zip(slow, said, strict=True))
    _print_equal(equal)
    _print_bad(bad)
    _print_passing(passing)
    _print_quiet(quiet)
    missed = [*_missed(equal, bad, passing), *_said_pass(quiet)]
    for line in missed:
        print(f"missed: {line}")
    false = max(found[JUDGE].share for found in equal)
    tenfold = next(found for cell, found in zip(BAD, bad, strict=True) if cell.is_the_tenfold)
    number = options.releases * (len(EQUAL) + len(BAD) + len(PASSING) + len(quiet))
    print(
        f"judge: {number} releases; false rollbacks {100 * false:.2f} %; "
        f"median requests to rollback at 10x {tenfold[JUDGE].requests:.0f}"
    )
    return 1 if missed else 0


def simulate(name: str, number: int) -> dict[str, Found]:
    """Ask every rule about the releases of one cell; of some, when the judge lets them pass."""
    cell = CELLS[name]
    return _asked(cell, {JUDGE: passed()} if cell in PASSING else cell.rules, number)


def simulate_quiet(name: str, number: int) -> dict[Outcome, int]:
    """Count what is said of a cell's releases after a step of ten minutes."""
    said: dict[Outcome, int] = dict.fromkeys(Outcome, 0)
    drawn = batches(CELLS[name].traffic, SEED, number, before=BEFORE, during=STEP)
    for releases in drawn:
        for row in range(releases.during.canary.shape[0]):
            said[verdict_of(releases, row, STEP).outcome] += 1
    return said


def _names(cells: Iterable[Cell]) -> list[str]:
    return [cell.name for cell in cells]


def _asked(cell: Cell, rules: Mapping[str, Rule], number: int) -> dict[str, Found]:
    when: dict[str, list[Array]] = {name: [] for name in rules}
    met: dict[str, list[Array]] = {name: [] for name in rules}
    drawn = batches(cell.traffic, SEED, number, before=BEFORE, during=cell.scrapes)
    for releases in drawn:
        _hold_to_own(releases)
        for name, rule in rules.items():
            scrapes = rule(releases)
            when[name].append(scrapes)
            met[name].append(_met(releases.during, scrapes))
    return {name: _found(np.concatenate(when[name]), np.concatenate(met[name])) for name in rules}


def _hold_to_own(releases: Releases) -> None:
    """Make sure that the fast form says what the controller's own code says."""
    limit = -np.log(HARM)
    few = Releases(*(Counts(*(it[:CHECKED] for it in part)) for part in releases))
    fast = paths(few.before, few.during, limit)
    for row in range(fast.shape[0]):
        np.testing.assert_allclose(fast[row], path_of(few, row), rtol=1e-9, atol=1e-9)


def _met(during: Counts, scrapes: Array) -> Array:
    answered = during.canary.cumsum(axis=1)
    last = np.minimum(scrapes, answered.shape[1]).astype(np.int64) - 1
    return np.asarray(answered[np.arange(len(last)), last])


def _found(when: Array, met: Array) -> Found:
    return Found(
        share=float(np.isfinite(when).mean()),
        seconds=float(np.median(when)) * SCRAPE_SECONDS,
        requests=float(np.median(met)),
        in_step=float((when <= STEP).mean()),
    )


def _missed(
    equal: Sequence[dict[str, Found]],
    bad: Sequence[dict[str, Found]],
    passing: Sequence[dict[str, Found]],
) -> Iterable[str]:
    for cell, found in zip(EQUAL, equal, strict=True):
        if found[JUDGE].share > HARM:
            yield f"{cell.name}: {100 * found[JUDGE].share:.2f} % false rollbacks"
    for cell, found in zip(BAD, bad, strict=True):
        if cell.most_seconds is not None and found[JUDGE].seconds > cell.most_seconds:
            yield f"{cell.name}: {found[JUDGE].seconds:.0f} s, at most {cell.most_seconds:.0f}"
    for cell, found in zip(PASSING, passing, strict=True):
        if cell.traffic.ratio >= ERROR_RATE.margin and found[JUDGE].share > SAFETY:
            yield f"{cell.name}: {100 * found[JUDGE].share:.1f} % passed"


def _said_pass(quiet: dict[str, dict[Outcome, int]]) -> Iterable[str]:
    for name, said in quiet.items():
        if said[Outcome.PASS]:
            yield f"{name}: {said[Outcome.PASS]} passed within ten minutes"


def _print_equal(found: Sequence[dict[str, Found]]) -> None:
    rows = [
        [cell.name, *(_percent(entry, name) for name in _RULES)]
        for cell, entry in zip(EQUAL, found, strict=True)
    ]
    _table(
        "Equal versions: releases that were rolled back within an hour", ["traffic", *_RULES], rows
    )


def _print_bad(found: Sequence[dict[str, Found]]) -> None:
    for title, shown in (
        ("Bad versions: median seconds until the rollback", _seconds),
        ("Bad versions: median requests that met them until the rollback", _requests),
    ):
        rows = [
            [cell.name, *(shown(entry, name) for name in _RULES)]
            for cell, entry in zip(BAD, found, strict=True)
        ]
        _table(title, ["traffic", *_RULES], rows)


def _print_passing(found: Sequence[dict[str, Found]]) -> None:
    rows = [
        [
            cell.name,
            f"{100 * entry[JUDGE].in_step:.1f} %",
            f"{100 * entry[JUDGE].share:.1f} %",
            f"{entry[JUDGE].seconds / 60:.0f}" if np.isfinite(entry[JUDGE].seconds) else "never",
        ]
        for cell, entry in zip(PASSING, found, strict=True)
    ]
    header = ["traffic", "passed in 10 min", "passed in 4 h", "median minutes"]
    _table("The first step: when the judge lets it pass", header, rows)


def _print_quiet(found: dict[str, dict[Outcome, int]]) -> None:
    rows = [[name, *(f"{said[it]:,}" for it in Outcome)] for name, said in found.items()]
    _table("What is said after ten minutes", ["traffic", *map(str, Outcome)], rows)


_RULES: Final = (JUDGE, *PEERS)


def _percent(found: dict[str, Found], name: str) -> str:
    return f"{100 * found[name].share:.2f} %" if name in found else ""


def _seconds(found: dict[str, Found], name: str) -> str:
    if name not in found:
        return ""
    entry = found[name]
    shown = f"{entry.seconds:.0f}" if np.isfinite(entry.seconds) else "never"
    return shown if entry.share > 0.995 else f"{shown} (found {100 * entry.share:.0f} %)"


def _requests(found: dict[str, Found], name: str) -> str:
    return f"{found[name].requests:,.0f}" if name in found else ""


def _table(title: str, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    print(f"### {title}\n")
    for row in (header, ["---"] * len(header), *rows):
        print(f"| {' | '.join(row)} |")
    print()
