import pytest

from controller.cli.plot import plot, stretched

RISING = [-0.5, -0.1, 0.0, 0.4, 0.5, 0.99, 1.0, 1.5, 1.9, 2.0, 2.31, 4.0]


def test_a_curve_stands_in_the_line_that_it_has_reached() -> None:
    assert plot(RISING, 2.3010299956639813, width=17) == [
        "200 |----------**",
        "100 |         *",
        "    |       **",
        " 10 |      *",
        "    |    **",
        "  1 |  **",
        " <1 |**",
        "    +------------",
    ]


def test_the_first_line_is_the_limits_also_where_that_is_a_decade() -> None:
    assert plot([0.0, 2.0], 2.0, width=13) == [
        "100 |----****",
        "    |",
        " 10 |",
        "    |",
        "  1 |****",
        " <1 |",
        "    +--------",
    ]


def test_a_limit_between_two_half_decades_has_the_lower_one_below_it() -> None:
    (first, second, *_) = plot([0.0], 1.7, width=9)
    assert (first, second) == ("50 |-----", "   |")


@pytest.mark.parametrize("width", [-3, 0, 5])
def test_the_narrowest_plot_has_a_column(width: int) -> None:
    assert plot([0.0, 3.0], 2.0, width=width)[0] == "100 |*"


def test_without_a_curve_there_are_only_its_lines() -> None:
    assert plot([], 1.0, width=20) == ["10 |", "   |", " 1 |", "<1 |", "   +"]


def test_a_curve_fills_the_columns_and_keeps_what_is_highest() -> None:
    assert stretched([1, 5, 2, 3], 2) == [5, 3]
    assert stretched([1, 2], 5) == [1, 1, 1, 2, 2]
    assert stretched([7], 3) == [7, 7, 7]
    assert stretched([], 3) == []
