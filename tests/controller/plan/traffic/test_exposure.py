from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.plan.traffic.exposure import CLOSED, Exposure
from tests.controller.plan.worlds import exposed

PROFILE = settings(max_examples=30, deadline=None)

ENDINGS = ("", "7", "00-04", "0-9", "00-24, 7")


exposures = st.builds(
    exposed,
    weight=st.integers(0, 100),
    accounts=st.frozensets(st.sampled_from(["alice", "bob", "mia"]), max_size=3),
    endings=st.sampled_from(ENDINGS),
    cookie=st.sampled_from([None, "beta", "shop"]),
    header=st.sampled_from(["X-Account", "X-User"]),
)
sizes = st.integers(1, 40)
BOB = frozenset({"bob"})


@PROFILE
@given(one=exposures, two=exposures, three=exposures)
def test_meet_is_commutative_associative_and_idempotent(
    one: Exposure, two: Exposure, three: Exposure
) -> None:
    assert one.meet(two) == two.meet(one)
    assert one.meet(two).meet(three) == one.meet(two.meet(three))
    assert one.meet(one) == one


@PROFILE
@given(one=exposures, two=exposures, three=exposures)
def test_being_within_is_a_partial_order(one: Exposure, two: Exposure, three: Exposure) -> None:
    assert one.is_within(one)
    assert CLOSED.is_within(one)
    if one.is_within(two) and two.is_within(one):
        assert one == two
    if one.is_within(two) and two.is_within(three):
        assert one.is_within(three)


@PROFILE
@given(one=exposures, two=exposures, other=exposures)
def test_the_meet_is_the_widest_that_is_within_both(
    one: Exposure, two: Exposure, other: Exposure
) -> None:
    both = one.meet(two)
    assert both.is_within(one)
    assert both.is_within(two)
    if other.is_within(one) and other.is_within(two):
        assert other.is_within(both)


@PROFILE
@given(one=exposures, two=exposures, full=sizes)
def test_a_wider_exposure_never_needs_fewer_canary_pods_nor_more_stable_ones(
    one: Exposure, two: Exposure, full: int
) -> None:
    within = one.meet(two)
    assert within.pods_needed(full) <= one.pods_needed(full)
    assert within.stable_needed(full) >= one.stable_needed(full)


@PROFILE
@given(asked=exposures, pods=st.integers(1, 40), full=sizes)
def test_what_pods_carry_is_the_greatest_weight_that_fits(
    asked: Exposure, pods: int, full: int
) -> None:
    part = asked.limited_to(pods, full)
    assert part.is_within(asked)
    if asked.at_weight(0).pods_needed(full) <= pods:
        assert part.pods_needed(full) <= pods
        assert part.doors[1:] == asked.doors[1:]
        assert part == asked or part.at_weight(part.weight + 1).pods_needed(full) > pods
    else:  # not even the endings fit: of the rules only the accounts stay
        assert part.doors == exposed(0, asked.accounts, "", asked.cookie, asked.header or "").doors


@pytest.mark.parametrize(
    ("exposure", "full", "canary", "stable"),
    [
        (CLOSED, 10, 1, 10),
        (exposed(0, BOB), 10, 1, 10),
        (exposed(1), 10, 2, 10),
        (exposed(1), 1, 1, 1),
        (exposed(1), 2, 2, 2),
        (exposed(20), 10, 2, 8),
        (exposed(21), 10, 3, 8),
        (exposed(100), 10, 10, 1),
        (exposed(0, endings="00-04"), 10, 2, 10),
        (exposed(20, endings="00-04"), 10, 3, 8),
        (exposed(50, endings="0-9"), 4, 4, 1),
    ],
)
def test_pods_needed_are_those_of_safety_section_3(
    exposure: Exposure, full: int, canary: int, stable: int
) -> None:
    assert (exposure.pods_needed(full), exposure.stable_needed(full)) == (canary, stable)


def test_endings_and_a_weight_add_up_to_a_share_of_everybody() -> None:
    assert exposed(20, endings="00-04").of_all == Fraction(24, 100)


@pytest.mark.parametrize(
    "opened", [exposed(1), exposed(0, BOB), exposed(0, endings="7"), exposed(0, cookie="beta")]
)
def test_each_door_opens_the_canary_by_itself(opened: Exposure) -> None:
    assert opened.is_open
    assert not CLOSED.is_open


def test_the_same_accounts_on_another_header_are_nobody_in_common() -> None:
    other = exposed(0, BOB, header="X-User")
    assert exposed(0, BOB).meet(other) == CLOSED


def test_of_a_replaced_list_the_common_accounts_stay() -> None:
    before = exposed(5, frozenset({"alice", "bob"}))
    assert before.meet(exposed(9, frozenset({"bob", "mia"}))) == exposed(5, BOB)


def test_the_next_lower_weight_that_fits_is_taken() -> None:
    assert exposed(76).limited_to(3, 4) == exposed(75)
    assert exposed(75).limited_to(3, 4) == exposed(75)
    assert exposed(50, endings="0-4").limited_to(2, 4) == exposed(0, endings="0-4")


def test_endings_go_before_the_accounts() -> None:
    assert exposed(5, BOB, endings="0-4").limited_to(1, 4) == exposed(0, BOB)
