"""What a run on the real bed found, in a table and in one line."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from e2e.scenarios.closing import CLOSINGS, Closing

SCENARIOS = "e2e/scenarios/"
"""Where the tests are that are scenarios; the others are cases."""


@dataclass(slots=True, eq=False)  # pytest keeps its plugins in sets
class Report:
    """A plugin of pytest that counts; the closings are left by the clusters of scenarios."""

    closings: Sequence[Closing] = field(default_factory=lambda: CLOSINGS)
    outcomes: dict[str, str] = field(default_factory=dict)
    """By test: `passed`, `failed` or `skipped`."""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note how a part of a test went; the worst part counts."""
        if report.failed or report.nodeid not in self.outcomes:
            self.outcomes[report.nodeid] = report.outcome
        elif report.skipped:
            self.outcomes[report.nodeid] = "skipped"

    @property
    def is_amiss(self) -> bool:
        """Say whether anything is not as it must be."""
        scenarios, cases = self._counts()
        return bool(
            scenarios["failed"]
            or cases["failed"]
            or not (scenarios or cases)["passed"]
            or (scenarios and not self.closings)
            or any(
                closing.lost or closing.forbidden or closing.left or closing.exceeded
                for closing in self.closings
            )
        )

    def table(self) -> str:
        """Write what was measured, and what is left over by name."""
        lines = []
        for closing in self.closings:
            lines += [
                f"{closing.name}: {figure.what}: {figure.value}, at most {figure.limit}"
                for figure in closing.figures
            ]
            lines.append(
                f"{closing.name}: {closing.requests} requests of visitors, {closing.lost} failed, "
                f"{closing.excused} more in {closing.bad_seconds} s in which the control failed "
                f"too ({closing.control_failed} of its requests); "
                f"{closing.asked} requests of the controller to the API server"
            )
            lines += [f"{closing.name}: forbidden: {what}" for what in closing.forbidden[:20]]
            lines += [f"{closing.name}: left: {what}" for what in closing.left[:20]]
        return "\n".join(lines)

    def line(self) -> str:
        """Write it in one line."""
        scenarios, cases = self._counts()
        return (
            f"e2e: {_counted(scenarios, 'scenarios')}; "
            f"{sum(closing.requests for closing in self.closings)} requests, "
            f"{sum(closing.lost for closing in self.closings)} failed; "
            f"{sum(len(closing.forbidden) for closing in self.closings)} forbidden; "
            f"{sum(len(closing.left) for closing in self.closings)} left"
            + (f"; {_counted(cases, 'cases')}" if cases else "")
        )

    def _counts(self) -> tuple[Counter[str], Counter[str]]:
        """Count the outcomes of scenarios, and those of cases."""
        scenarios, cases = Counter[str](), Counter[str]()
        for test, outcome in self.outcomes.items():
            (scenarios if test.startswith(SCENARIOS) else cases)[outcome] += 1
        return scenarios, cases


def _counted(counts: Counter[str], what: str) -> str:
    skipped = f", {counts['skipped']} skipped" if counts["skipped"] else ""
    return f"{counts['passed'] + counts['failed']} {what}, {counts['failed']} failed{skipped}"
