"""What a run of cycles says of its requests, and what it counts as lost."""

from dataclasses import replace

from e2e.bed.load import Outcome, Report
from e2e.controlplane.cycles import Terms, closing_line, lost_in, row

TERMS = Terms(
    promotions=3,
    aborts=1,
    plain=2,
    rate=200.0,
    propagation_wait="1s",
    drain_wait="500ms",
    throttle="2s",
    latency="0s",
    rest="10s",
    at_most="1h",
)
SENT = Outcome(
    second=0,
    phase="promote 1",
    kind="fresh GET",
    control=False,
    version="v1",
    error="",
    seconds=0.002,
)


def report(**errors: str) -> Report:
    """Build a report of one good request, and of failed ones: `PHASE_NUMBER=ERROR`."""
    failed = [
        replace(SENT, second=1 + n, phase=phase.replace("_", " "), error=error)
        for n, (phase, error) in enumerate(errors.items())
    ]
    return Report(outcomes=[SENT, *failed])


def test_promotions_and_aborts_come_in_turn() -> None:
    assert list(TERMS.order) == ["promote", "abort", "promote", "promote"]
    assert TERMS.cycles == 6


def test_the_circumstances_are_said_in_one_line() -> None:
    assert TERMS.told() == (
        "3 promotions, 1 aborts, 2 plain updates; 200 requests a second; D_prop 1s, D_drain 500ms; "
        "proxy throttled by 2s, answers take 0s"
    )


def test_a_row_names_the_errors_and_how_many_cycles_had_any() -> None:
    found = report(promote_1="502", promote_2="TimeoutError", abort_1="502", promote_3="502")
    assert row("promote", found, [2.0, 4.0, 3.0]) == (
        "promote: 3 cycles of 3.0 s; 4 requests, 3 failed, in 3 cycles (502 2, TimeoutError 1)"
    )
    assert row("abort", report(), [5.0]) == (
        "abort: 1 cycles of 5.0 s; 0 requests, 0 failed, in 0 cycles (none)"
    )


def test_what_a_plain_update_loses_is_not_the_controllers() -> None:
    found = report(plain_1="502", abort_1="502")
    assert lost_in(found) == 1
    assert closing_line(found, {"promote": [1.0, 1.0]}, left=2) == (
        "cycles: 2 promoted, 0 aborted; 3 requests, 1 failed; "
        "0 more in 0 s in which the control failed too (0 of its requests); 2 left"
    )
