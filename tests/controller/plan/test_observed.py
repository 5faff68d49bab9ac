"""What is behind a Service: how many are ready, and since when."""

from math import inf

import pytest

from controller.plan.observed import Pool


@pytest.mark.parametrize(
    ("history", "seconds"),
    [
        ((), inf),
        (((5.0, 3),), inf),
        (((1.0, 4), (5.0, 3)), inf),
        (((2.0, 3), (5.0, 4)), 2.0),
        (((1.0, 4), (2.0, 3), (5.0, 4)), 2.0),
        (((1.0, 3), (2.0, 4), (5.0, 3)), 1.0),
    ],
)
def test_a_pool_knows_when_it_last_lost_an_endpoint(
    history: tuple[tuple[float, int], ...], seconds: float
) -> None:
    assert Pool(history=history).seconds_since_fall == seconds
