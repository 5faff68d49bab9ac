"""Fuzzes the words, the patterns and the whole contract; bounded in runs and in seconds.

Hypothesis makes annotations, lists and sequences of what people do; atheris makes bytes, guided by
the branches they reach. One seed makes the same inputs again, as long as the time suffices.
"""

import argparse
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import run_state_machine_as_test

from tests.fuzz import contract, values
from tests.fuzz.machine import Contract, silent

ROOT = Path(__file__).parents[2]
BATCH, SEQUENCES = 250, 20
"""Inputs, and sequences of the machine, between two looks at the clock; each batch has a seed."""
STEPS = 30
GUIDED = ("intent", "pattern", "decoded")
SEEDS = (
    r"^(?:mia)$", r"^(?:mia|tom\x2ek)$", r"^[A-Za-z0-9._~\x40\x2b-]*0[0-4]$",
    r"^[A-Za-z0-9._~\x40\x2b-]*(?:[01][0-9]|2[0-4])$", r"^(?:mia|[A-Za-z0-9._~\x40\x2b-]*[89ab])$",
)  # fmt: skip
"""Where atheris begins: patterns as they are written."""
SHARES = {
    "annotations": 0.1,
    "doors": 0.1,
    "texts": 0.05,
    "contract": 0.4,
    **dict.fromkeys(GUIDED, 0.1),
}
"""Of the seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One way of fuzzing.

    Attributes:
        runs: how many inputs were made; of the machine, steps.
        flaw: what was found first, "" if nothing was.
    """

    name: str
    runs: int
    seconds: float
    flaw: str = ""


def made(runs: int, first: int, seconds: float) -> Iterator[Part]:
    """Fuzz in every way, each at most so many runs and its share of the seconds."""
    quiet = settings(database=None, deadline=None, suppress_health_check=list(HealthCheck))
    yield _batches(
        "annotations", runs, first, seconds, _Read(quiet, values.annotations(), contract.flaws)
    )
    yield _batches("doors", runs, first, seconds, _Read(quiet, values.doors(), contract.door_flaws))
    yield _batches("texts", runs, first, seconds, _Texts(quiet))
    with silent():
        yield _batches("contract", runs, first, seconds, _Sequences(quiet))
    for target in GUIDED:
        yield _guided(target, 10 * runs, first, SHARES[target] * seconds)


class _Read:
    """Annotations of a Service, read and followed to what is written."""

    def __init__(
        self,
        how: settings,
        made: st.SearchStrategy[dict[str, str]],
        flaws: Callable[[dict[str, str], int], list[str]],
    ) -> None:
        self.count = 0
        self._flaws = flaws
        self._how = settings(how, max_examples=BATCH)
        self._made = made

    def __call__(self, number: int) -> None:
        @self._how
        @seed(number)
        @given(self._made, st.integers(0, 100))
        def follow(annotations: dict[str, str], weight: int) -> None:
            self.count += 1
            assert self._flaws(annotations, weight) == []

        follow()


class _Texts:
    """Any text, read as a pattern."""

    def __init__(self, how: settings) -> None:
        self.count = 0
        self._how = settings(how, max_examples=BATCH)

    def __call__(self, number: int) -> None:
        @self._how
        @seed(number)
        @given(st.one_of(st.text(), st.from_regex(r"\^\(\?:[a-z|\\x0-9]+\)\$", fullmatch=True)))
        def read(text: str) -> None:
            self.count += 1
            assert contract.pattern_flaws(text) == []

        read()


class _Sequences:
    """What people do, in any order, in the simulated world."""

    def __init__(self, how: settings) -> None:
        self.count = 0
        self._how = settings(how, max_examples=SEQUENCES, stateful_step_count=STEPS)

    def __call__(self, number: int) -> None:
        fuzz = self

        class Counted(Contract):
            def _act(self, deed: Callable[[object], object], seconds: float) -> None:
                fuzz.count += 1
                super()._act(deed, seconds)

        run_state_machine_as_test(seed(number)(Counted), settings=self._how)


def _batches(
    name: str, runs: int, first: int, seconds: float, batch: _Read | _Texts | _Sequences
) -> Part:
    began, number, flaw = time.monotonic(), first, ""
    while not flaw and batch.count < runs and time.monotonic() - began < SHARES[name] * seconds:
        try:
            batch(number)
        except Exception:  # noqa: BLE001  # whatever it is, it is what was looked for
            flaw = f"batch {number}\n{traceback.format_exc()}"
        number += 1
    return Part(name=name, runs=batch.count, seconds=time.monotonic() - began, flaw=flaw)


def _guided(target: str, runs: int, first: int, seconds: float) -> Part:
    if find_spec("atheris") is None:
        return Part(name=target, runs=0, seconds=0)
    with TemporaryDirectory(prefix="serinus-fuzz-") as folder:
        corpus = Path(folder) / "corpus"
        corpus.mkdir()
        for number, text in enumerate(SEEDS):
            (corpus / str(number)).write_text(text, encoding="ascii")
        flags = (f"-runs={runs}", f"-seed={first}", f"-max_total_time={max(1, int(seconds))}")
        command = [sys.executable, "-m", "tests.fuzz.guided", target, str(corpus), *flags]
        began = time.monotonic()
        done = subprocess.run(
            [*command, "-len_control=0", "-max_len=600", f"-artifact_prefix={folder}/"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        flaw = done.stdout + done.stderr if done.returncode else ""
        return Part(
            name=target, runs=_runs_in(done.stderr), seconds=time.monotonic() - began, flaw=flaw
        )


def _runs_in(text: str) -> int:
    """Read how many runs there were: `Done 3000 runs in 2 second(s)`."""
    found = [line.split()[1] for line in text.splitlines() if line.startswith("Done ")]
    return int(found[0]) if found else 0


def main() -> int:
    """Read the flags and fuzz; answers the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--runs", type=int, default=10_000, help="of each part; tenfold guided")
    parser.add_argument("--seconds", type=float, default=600.0, help="for all of it")
    parser.add_argument("--seed", type=int, default=1)
    flags = parser.parse_args()
    parts = []
    print(f"{'part':12} {'runs':>9} {'seconds':>8}   seed {flags.seed}")
    for part in made(flags.runs, flags.seed, flags.seconds):
        missing = "" if part.runs or part.flaw else "   atheris is not installed here"
        print(f"{part.name:12} {part.runs:9} {part.seconds:8.1f}{missing}", flush=True)
        if part.flaw:
            print(part.flaw[-6000:])
        parts.append(part)
    flaws = sum(bool(part.flaw) for part in parts)
    print(f"fuzz: {sum(part.runs for part in parts)} runs, {flaws} violations; seed {flags.seed}")
    return 1 if flaws else 0


if __name__ == "__main__":
    sys.exit(main())
