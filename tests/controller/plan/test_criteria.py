"""What each check tolerates."""

import pytest

from controller.api.check import Check, parse_check
from controller.plan.criteria import criterion_of
from controller.plan.evidence import Criterion


def test_an_administrators_check_is_tolerated_like_errors_and_never_negligible() -> None:
    assert criterion_of(parse_check("x-orders")) == Criterion(
        check="x-orders", scale="ratio", tolerated=1.05, margin=2.0
    )


@pytest.mark.parametrize(
    ("text", "tolerated", "margin", "negligible"),
    [
        ("error-rate", 1.05, 2.0, 0.005),
        ("error-rate<=1.5x", 1.5, 1.5, 0.005),
        ("latency", 1.05, 1.5, 0.0),
        ("latency-500ms<=1.2x", 1.2, 1.2, 0.0),
    ],
)
def test_a_ratio_is_of_stables_share(
    text: str, tolerated: float, margin: float, negligible: float
) -> None:
    assert criterion_of(parse_check(text)) == Criterion(
        check=text, scale="ratio", tolerated=tolerated, margin=margin, negligible=negligible
    )


@pytest.mark.parametrize(
    ("text", "share"), [("success>=99%", 0.01), ("error-rate<=2%", 0.02), ("latency<=5%", 0.05)]
)
def test_a_percentage_is_of_the_canarys_own_requests(text: str, share: float) -> None:
    assert criterion_of(parse_check(text)) == Criterion(
        check=text,
        scale="share",
        tolerated=pytest.approx(share),  # type: ignore[arg-type]
        margin=pytest.approx(share),  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("text", ["restarts", "coverage>=95%"])
def test_what_counts_no_events_has_no_criterion(text: str) -> None:
    assert criterion_of(parse_check(text)) is None


def test_success_without_a_threshold_is_not_judged() -> None:
    assert criterion_of(Check(text="success", name="success")) is None
