"""5 % of requests is not 5 % of users."""

import math

import pytest

from controller.plan.users import users_touched


@pytest.mark.parametrize(
    ("weight", "requests", "share"),
    [
        (0.05, 1, 0.05),
        (0.05, 10, 0.40126),
        (0.05, 100, 0.99408),
        (0.5, 2, 0.75),
        (0.0, 100, 0.0),
        (1.0, 1, 1.0),
        (0.3, 0, 0.0),
    ],
)
def test_every_request_is_another_draw(weight: float, requests: float, share: float) -> None:
    assert math.isclose(users_touched(weight, requests), share, abs_tol=1e-5)


def test_who_is_caught_by_an_ending_is_there_for_good_and_the_others_are_drawn() -> None:
    assert users_touched(0.0, 50, sticky=0.05) == 0.05
    assert math.isclose(users_touched(0.5, 1, sticky=0.2), 0.6)
    assert users_touched(0.0, 50, sticky=1.0) == 1.0
