"""Figures as messages show them."""

import math

import pytest

from controller.plan.wording import evidence_text, number_text, ratio_text, share_text, time_text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (119, "119 s"),
        (120, "2 min"),
        (7199, "120 min"),
        (7200, "2 h"),
        (172800, "2 d"),
        (4e5, "5 d"),
    ],
)
def test_time_is_told_in_the_largest_unit_that_fits(seconds: float, text: str) -> None:
    assert time_text(seconds) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [(0, "0 %"), (0.00123, "0.12 %"), (0.0102, "1 %"), (0.123, "12 %"), (1, "100 %")],
)
def test_a_share_has_two_digits_that_say_something(share: float, text: str) -> None:
    assert share_text(share) == text


def test_counts_have_commas() -> None:
    assert number_text(1234567.4) == "1,234,567"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.04, "0.0"),
        (1, "1.0"),
        (9.96, "10.0"),
        (57.3, "57"),
        (1e6, "1,000,000"),
        (1e9, "over 1,000,000"),
    ],
)
def test_evidence_stands_beside_its_limit(value: float, text: str) -> None:
    assert evidence_text(math.log(value), math.log(100)) == f"{text} of 100"


@pytest.mark.parametrize(
    ("ratio", "text"),
    [
        (0.483, "0.48x"),
        (1.0, "1x"),
        (10.94, "11x"),
        (99.4, "99x"),
        (100.0, "100x"),
        (100.4, "100x"),
        (123.4, "123x"),
        (1e6, "1,000,000x"),
    ],
)
def test_a_ratio_is_never_written_with_an_exponent(ratio: float, text: str) -> None:
    assert ratio_text(ratio) == text
