"""Runs the tests of each mutant in a fork of one process that has collected them all."""

import gc
import json
import os
import pickle
import resource
import signal
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from mutmut.mutation.trampoline import set_mutant_under_test
from mutmut.state import state

from tests.mutants.mutant import Mutant

TESTS = ("tests/controller/api", "tests/controller/plan")
COSTLY = "test_decide.py::test_the_plan_does_not_depend_on_the_order_of_any_set"
ARGUMENTS = (
    "-q", "-s", "--assert=plain", "--tb=no", "--timeout=0", "--hypothesis-profile=mutants",
    "--deselect", f"{TESTS[1]}/{COSTLY}",
    *(it for name in ("cacheprovider", "xdist", "cov") for it in ("-p", f"no:{name}")),
)  # fmt: skip
"""One test is left out: it starts interpreters of its own, which costs more than all others."""
SPARE_SECONDS = 2
TIMES_AS_LONG = 10
"""A test that needs so many times its own processor time, and a bit, runs for ever."""
MEMORY_BYTES = 3 << 30

Verdict = str
"""`killed`, `timeout` (which counts as killed), `survived`, or `untested`."""


@dataclass(slots=True, kw_only=True)
class Touched:
    """Which tests call a function, and how long each test takes in seconds of CPU."""

    tests: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    seconds: dict[str, float] = field(default_factory=dict)


class Loop:
    """A pytest plugin that tests mutants in the place of running the tests once.

    Attributes:
        verdicts: of each mutant, by its key.
    """

    def __init__(self, mutants: Sequence[Mutant], jobs: int, told: Callable[[str], None]) -> None:
        self.verdicts: dict[str, Verdict] = {}
        self._mutants = mutants
        self._jobs = jobs
        self._told = told
        self._failed: list[str] = []
        self._running: dict[int, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Remember a failure."""
        if report.failed:
            self._failed.append(report.nodeid)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Learn which tests call what, then run those of each mutant."""
        gc.collect()
        gc.freeze()
        items = {item.nodeid: item for item in session.items}
        touched = self._touched(session.items)
        began = time.monotonic()
        for number, mutant in enumerate(self._mutants, start=1):
            self._submit(mutant, items, touched)
            if number % 200 == 0:
                seconds = time.monotonic() - began
                counts = dict(Counter(self.verdicts.values()))
                self._told(f"{number} of {len(self._mutants)} in {seconds:.0f} s: {counts}")
        while self._running:
            self._wait()
        return True

    # One fork for each.

    def _submit(self, mutant: Mutant, items: dict[str, pytest.Item], touched: Touched) -> None:
        own = f"/test_{mutant.module.rpartition('.')[2]}.py::"
        tests = sorted(
            touched.tests.get(mutant.function, ()),
            key=lambda name: (own not in name, touched.seconds[name], name),
        )
        if not tests:
            self.verdicts[mutant.key] = "untested"
            return
        while len(self._running) >= self._jobs:
            self._wait()
        child = os.fork()
        if child == 0:
            _silence()
            signal.signal(signal.SIGPROF, signal.SIG_DFL)
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
            set_mutant_under_test(mutant.key)
            os._exit(self._run([items[name] for name in tests], touched.seconds))
        self._running[child] = mutant.key

    def _wait(self) -> None:
        child, status = os.wait()
        key = self._running.pop(child)
        code = os.waitstatus_to_exitcode(status)
        self.verdicts[key] = (
            "timeout" if code == -signal.SIGPROF else "killed" if code else "survived"
        )

    def _run(self, items: Sequence[pytest.Item], seconds: Mapping[str, float]) -> int:
        """Run tests until one fails; tell by the exit code whether one did."""
        for item, following in zip(items, [*items[1:], None], strict=True):
            limit = TIMES_AS_LONG * seconds[item.nodeid] + SPARE_SECONDS
            signal.setitimer(signal.ITIMER_PROF, limit)
            try:
                item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            except BaseException:  # noqa: BLE001  # whatever a mutant does to pytest was noticed
                return 1
            if self._failed:
                return 1
        return 0

    # Which tests call what.

    def _touched(self, items: Sequence[pytest.Item]) -> Touched:
        self._told(f"{len(items)} tests, once each")
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reading)
            _silence()
            with os.fdopen(writing, "wb") as pipe:
                pickle.dump((self._learned(items), self._failed), pipe)
            os._exit(0)
        os.close(writing)
        with os.fdopen(reading, "rb") as pipe:
            answer: tuple[Touched, list[str]] = pickle.load(pipe)
        os.waitpid(child, 0)
        found, failed = answer
        if failed:
            raise pytest.UsageError(f"these fail without any mutant: {failed[:5]}")
        seconds = sum(found.seconds.values())
        self._told(f"{seconds:.0f} s; {len(found.tests)} functions are called by tests")
        return found

    def _learned(self, items: Sequence[pytest.Item]) -> Touched:
        found = Touched()
        set_mutant_under_test("stats")
        for item, following in zip(items, [*items[1:], None], strict=True):
            state()._stats.clear()
            began = time.process_time()
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            found.seconds[item.nodeid] = time.process_time() - began
            for function in state()._stats:
                found.tests[function].add(item.nodeid)
        found.tests = dict(found.tests)
        return found


def _silence() -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)


def main(listed: str, jobs: str, verdicts: str) -> int:
    """Test the mutants of a file, in the folder this is started in; write the verdicts."""
    mutants = [Mutant(**entry) for entry in json.loads(Path(listed).read_text(encoding="utf-8"))]
    os.environ["MUTMUT_DEPENDENCY_DEPTH"] = "-1"
    told: Any = lambda line: print(line, file=sys.stderr, flush=True)  # noqa: E731, T201
    loop = Loop(mutants, int(jobs), told)
    code = int(pytest.main([*ARGUMENTS, *TESTS], plugins=[loop]))
    Path(verdicts).write_text(json.dumps(loop.verdicts), encoding="utf-8")
    return code


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
