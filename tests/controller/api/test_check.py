"""One check as the user writes it."""

import re

import pytest

from controller.api.check import KINDS, Check, parse_check, twice
from controller.api.grammar import CHECKS


@pytest.mark.parametrize(
    ("text", "check"),
    [
        ("error-rate", {"name": "error-rate"}),
        ("error-rate<=1.5x", {"name": "error-rate", "unit": "x", "value": 1.5}),
        ("error-rate<=0.5%", {"name": "error-rate", "unit": "%", "value": 0.5}),
        ("latency", {"name": "latency"}),
        ("latency-500ms", {"name": "latency", "edge_seconds": 0.5}),
        (
            "latency-2s<=1.2x",
            {"name": "latency", "edge_seconds": 2.0, "unit": "x", "value": 1.2},
        ),
        ("success>=99%", {"name": "success", "unit": "%", "value": 99.0}),
        ("restarts", {"name": "restarts"}),
        ("coverage>=95%", {"name": "coverage", "unit": "%", "value": 95.0}),
        ("x-orders-2", {"name": "x-orders-2"}),
        ("x-500ms", {"name": "x-500ms"}),
        ("x-orders<=2x", {"name": "x-orders", "unit": "x", "value": 2.0}),
    ],
)
def test_reads_a_check(text: str, check: dict[str, object]) -> None:
    assert parse_check(text) == Check(text=text, **check)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("errors", "'errors' does not fit"),
        ("x-", "'x-' does not fit"),
        ("x-Orders", "'x-Orders' does not fit"),
        ("x-orders>=1%", "'x-orders>=1%' can only be written as x-orders<=1.5x"),
        ("x-orders<=0.5x", "'x-orders<=0.5x': the ratio is from 1x to 1000x"),
        ("latency<=-1x", "'latency<=-1x' does not fit"),
        ("success", "'success' needs a threshold: success>=99%"),
        ("coverage", "'coverage' needs a threshold: coverage>=95%"),
        ("restarts<=1x", "'restarts<=1x': restarts has no threshold"),
        ("error-rate-500ms", "'error-rate-500ms': error-rate has no time"),
        ("success-2s>=99%", "'success-2s>=99%': success has no time"),
        ("error-rate>=1%", "'error-rate>=1%' can only be written as error-rate<=1.5x"),
        ("success<=99%", "'success<=99%' can only be written as success>=99%"),
        ("success>=2x", "'success>=2x' can only be written as success>=99%"),
        ("error-rate<=0.5x", "'error-rate<=0.5x': the ratio is from 1x to 1000x"),
        ("latency<=1001x", "'latency<=1001x': the ratio is from 1x to 1000x"),
        ("error-rate<=0%", "'error-rate<=0%': the share is above 0% and below 100%"),
        ("success>=100%", "'success>=100%': the share is above 0% and below 100%"),
    ],
)
def test_says_what_is_wrong(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(problem)}$"):
        parse_check(text)


@pytest.mark.parametrize(("text", "is_own"), [("x-a", True), ("latency", False)])
def test_tells_the_administrators_own(text: str, *, is_own: bool) -> None:
    assert parse_check(text).is_own is is_own


def test_every_example_can_be_written() -> None:
    assert [parse_check(kind.example).name for kind in KINDS] == list(CHECKS)
    assert [kind.says for kind in KINDS][3:] == ["restarts", "coverage such as coverage>=95%"]


@pytest.mark.parametrize(
    ("texts", "again"),
    [
        ("error-rate latency", None),
        ("error-rate<=2x error-rate<=5%", None),
        ("latency-100ms latency-1s", None),
        ("error-rate<=2x error-rate<=3x", "error-rate<=3x"),
        ("latency-1000ms latency-1s<=2x latency-1s", "latency-1s"),
    ],
)
def test_finds_what_is_asked_twice(texts: str, again: str | None) -> None:
    found = twice(parse_check(text) for text in texts.split())
    assert (found.text if found else None) == again


@pytest.mark.parametrize("ratio", [1, 1000])
def test_a_ratio_may_be_the_least_and_the_greatest(ratio: int) -> None:
    assert parse_check(f"error-rate<={ratio}x").value == ratio
