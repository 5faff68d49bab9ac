"""What the canary was never asked: kinds of requests, and what the check says of them."""

import math
from collections.abc import Mapping

import pytest

from controller.api.check import parse_check
from controller.api.series import Series
from controller.plan.counting import INSTANCE
from controller.plan.coverage import (
    SHOWN_KINDS,
    Kind,
    Sighting,
    Tried,
    covered,
    flaw_of,
    kinds_of,
    percent,
)
from controller.plan.evidence import Count
from controller.plan.judge import Outcome, Verdict

CHECK = parse_check("coverage>=95%")
EXPOSED = 100.0
GET = Kind(text="GET 2xx", stable=900, canary=90)
POST = Kind(text="POST 2xx", stable=80, canary=4)
DELETE = Kind(text="DELETE 2xx", stable=20)


def tell(labels: Mapping[str, str]) -> Sighting | None:
    side, kind = labels["side"], labels["kind"]
    if side not in {"canary", "stable"}:
        return None
    return Sighting(side="canary" if side == "canary" else "stable", kind=kind)


def counter(
    side: str, *samples: tuple[float, float], kind: str = "GET 2xx", proxy: str = "a"
) -> Series:
    return Series(labels={"side": side, "kind": kind, INSTANCE: proxy}, samples=samples)


def counted(*series: Series) -> tuple[float, float]:
    """Return what stable and canary are said to have answered, of the one kind."""
    (kind,) = kinds_of(series, tell, EXPOSED)
    return kind.stable, kind.canary


LOOKED = counter("stable", (60, 10), (200, 10))


def test_stable_counts_from_its_first_sample_and_the_canary_from_its_exposure() -> None:
    """What the canary's counter said before is of the release before."""
    stable = counter("stable", (60, 10), (90, 30), (120, 70))
    canary = counter("canary", (60, 50), (90, 55), (120, 62), (150, 65))
    assert counted(stable, canary) == (60, 10)


def test_a_counter_that_appears_beside_others_has_grown_from_nothing() -> None:
    assert counted(LOOKED, counter("canary", (120, 3), (150, 4))) == (0, 4)


def test_the_first_sample_of_a_process_is_where_it_begins() -> None:
    assert counted(LOOKED, counter("canary", (120, 3), (150, 4), proxy="b")) == (0, 1)
    assert counted(counter("canary", (120, 3))) == (0, 0)


def test_a_counter_that_begins_again_has_grown_by_what_it_says() -> None:
    assert counted(LOOKED, counter("canary", (80, 9), (120, 40), (150, 5), (180, 7))) == (0, 38)


def test_a_gap_loses_nothing() -> None:
    assert counted(counter("stable", (60, 10), (900, 25))) == (15, 0)


def test_a_counter_that_stands_still_has_not_grown() -> None:
    assert counted(counter("stable", (60, 10), (90, 10), (120, 10))) == (0, 0)


def test_the_moment_of_the_exposure_belongs_to_what_was_before() -> None:
    assert counted(LOOKED, counter("canary", (EXPOSED, 5), (120, 6))) == (0, 1)
    assert counted(LOOKED, counter("canary", (EXPOSED, 5))) == (0, 0)


def test_what_is_no_number_is_passed_on() -> None:
    (kind,) = kinds_of([counter("stable", (60, 10), (90, math.nan), (120, 20))], tell, EXPOSED)
    assert math.isnan(kind.stable)


def test_kinds_are_summed_over_proxies_and_sorted_by_how_often_stable_answers() -> None:
    series = [
        counter("stable", (60, 0), (120, 5), kind="POST 2xx"),
        counter("stable", (60, 0), (120, 30)),
        counter("stable", (60, 0), (120, 40), proxy="b"),
        counter("canary", (60, 0), (120, 7), proxy="b"),
        counter("stable", (60, 0), (120, 5), kind="DELETE 2xx"),
        counter("other", (60, 0), (120, 9), kind="PUT 2xx"),
        counter("canary", (60, 0), (120, 1), kind="HEAD 2xx"),
    ]
    assert kinds_of(series, tell, EXPOSED) == (
        Kind(text="GET 2xx", stable=70, canary=7),
        Kind(text="DELETE 2xx", stable=5),
        Kind(text="POST 2xx", stable=5),
        Kind(text="HEAD 2xx", canary=1),
    )


def test_series_without_a_process_or_samples_are_one_process_that_was_never_looked_at() -> None:
    bare = Series(labels={"side": "stable", "kind": "GET 2xx"}, samples=((60, 1), (120, 4)))
    assert kinds_of([bare, counter("canary")], tell, EXPOSED) == (Kind(text="GET 2xx", stable=3),)


def test_five_requests_are_a_try() -> None:
    assert Kind(text="GET 2xx", stable=1, canary=5).is_tried
    assert not Kind(text="GET 2xx", stable=1, canary=4.9).is_tried


def test_the_share_is_of_stables_requests() -> None:
    tried = Tried(kinds=(GET, POST, DELETE, Kind(text="HEAD 2xx", canary=9)))
    assert (tried.stable, tried.canary) == (1000, 103)
    assert tried.wanted == (GET, POST, DELETE)
    assert tried.missing == (POST, DELETE)
    assert math.isclose(tried.share, 0.9)
    assert Tried().share == 1
    assert Tried().share_of([GET]) == 0


def test_with_enough_tried_it_passes_and_still_says_what_is_missing() -> None:
    tried = Tried(kinds=(GET, DELETE), untold="hosts", seconds=60)
    assert covered(CHECK, tried) == Verdict(
        check="coverage>=95%",
        outcome=Outcome.PASS,
        message=(
            "coverage>=95%: pass: 1 of 2 kinds of requests, 97.8 % of stable's, were tried at "
            "least 5 times; missing: DELETE 2xx (2.2 % of stable's, none so far); not told apart: "
            "hosts"
        ),
        canary=Count(requests=90),
        stable=Count(requests=920),
    )


def test_with_everything_tried_there_is_nothing_more_to_say() -> None:
    assert covered(CHECK, Tried(kinds=(GET,))).message == (
        "coverage>=95%: pass: 1 of 1 kinds of requests, 100 % of stable's, were tried at least 5 "
        "times"
    )


def test_without_enough_it_holds_and_says_what_is_needed() -> None:
    """POST lacks 1 of 5 and is 8 % of the mix: 12.5 requests; DELETE need not be tried then."""
    assert covered(CHECK, Tried(kinds=(GET, POST, DELETE), seconds=47)) == Verdict(
        check="coverage>=95%",
        outcome=Outcome.NOT_ENOUGH_DATA,
        message=(
            "coverage>=95%: not enough data: 1 of 3 kinds of requests, 90 % of stable's, were "
            "tried at least 5 times; missing: POST 2xx (8 % of stable's, 4 so far), DELETE 2xx (2 "
            "% of stable's, none so far); about 12 more requests to the canary at stable's mix, 6 "
            "s at this rate"
        ),
        canary=Count(requests=94),
        stable=Count(requests=1000),
        needed_requests=12.5,
        needed_seconds=6.25,
    )


def test_the_rarest_kind_that_is_needed_says_how_long() -> None:
    needed = covered(parse_check("coverage>=99%"), Tried(kinds=(GET, POST, DELETE))).needed_requests
    assert needed == 250


def test_kinds_that_are_not_needed_for_the_share_need_not_be_tried() -> None:
    """PUT makes it 75 %, which is enough; DELETE would take 20 requests."""
    kinds = (
        Kind(text="GET 2xx", stable=50, canary=9),
        Kind(text="PUT 2xx", stable=25, canary=4.9),
        Kind(text="DELETE 2xx", stable=25),
    )
    found = covered(parse_check("coverage>=75%"), Tried(kinds=kinds, seconds=1))
    assert found.needed_requests is not None
    assert math.isclose(found.needed_requests, 0.4)
    assert found.needed_seconds is not None
    assert math.isclose(found.needed_seconds, 0.4 / 13.9)


def test_without_a_beginning_there_is_no_rate() -> None:
    found = covered(CHECK, Tried(kinds=(GET, POST)))
    assert found.needed_seconds is None
    assert found.message.endswith("about 12 more requests to the canary at stable's mix")


def test_a_canary_without_requests_may_be_tried_by_testers() -> None:
    found = covered(CHECK, Tried(kinds=(DELETE,), seconds=9))
    assert found.outcome is Outcome.NOT_ENOUGH_DATA
    assert found.needed_requests is None
    assert found.message.endswith(
        "; no request has reached the canary; one by a listed account counts as well"
    )


def test_at_the_threshold_it_passes() -> None:
    kinds = (Kind(text="GET 2xx", stable=75, canary=5), Kind(text="PUT 2xx", stable=25))
    assert covered(parse_check("coverage>=75%"), Tried(kinds=kinds)).outcome is Outcome.PASS
    assert covered(parse_check("coverage>=75.1%"), Tried(kinds=kinds)).outcome is (
        Outcome.NOT_ENOUGH_DATA
    )


def test_of_many_missing_kinds_the_most_frequent_are_shown() -> None:
    kinds = tuple(Kind(text=f"GET /{n}", stable=10 - n) for n in range(SHOWN_KINDS + 2))
    tried = Tried(kinds=kinds)
    assert len(tried.missing_texts()) == SHOWN_KINDS
    assert tried.missing_texts()[0] == "GET /0 (20 % of stable's, none so far)"
    assert "GET /4 (12 % of stable's, none so far) and 2 more;" in covered(CHECK, tried).message


def test_a_long_kind_is_cut_where_it_is_shown() -> None:
    kinds = tuple(Kind(text="x" * length, stable=1) for length in (100, 101))
    texts = [text.partition(" ")[0] for text in Tried(kinds=kinds).missing_texts()]
    assert texts == ["x" * 100, "x" * 97 + "..."]


FLAWS = {
    "a problem": (Tried(problem="no answer within 5 s"), "no answer within 5 s"),
    "stale": (
        Tried(kinds=(GET,), age_seconds=30.5),
        "the newest sample is 30 s old, more than two scrape intervals of 15 s",
    ),
    "of no age": (
        Tried(kinds=(GET,), age_seconds=math.nan),
        "the newest sample is nan s old, more than two scrape intervals of 15 s",
    ),
    "no number": (
        Tried(kinds=(GET, Kind(text="PUT 2xx", stable=1, canary=math.nan))),
        "a counter is not a number",
    ),
    "no end": (Tried(kinds=(Kind(text="PUT", stable=math.inf),)), "a counter is not a number"),
    "nothing": (Tried(), "no request to stable was counted"),
    "only the canary": (
        Tried(kinds=(Kind(text="PUT", canary=9),)),
        "no request to stable was counted",
    ),
}


@pytest.mark.parametrize("name", FLAWS)
def test_what_cannot_be_believed_is_no_data(name: str) -> None:
    tried, flaw = FLAWS[name]
    assert flaw_of(tried) == flaw
    assert covered(CHECK, tried) == Verdict(
        check="coverage>=95%",
        outcome=Outcome.NO_DATA,
        message=f"coverage>=95%: no data: {flaw}",
    )


def test_two_scrape_intervals_are_fresh() -> None:
    assert flaw_of(Tried(kinds=(GET,), age_seconds=30)) == ""
    assert flaw_of(Tried(kinds=(GET,), age_seconds=3, scrape_seconds=1)) != ""


@pytest.mark.parametrize(
    ("share", "text"),
    [(0.94999, "94.9 %"), (0.95, "95 %"), (1.0, "100 %"), (0.0004, "0 %"), (0.9996, "99.9 %")],
)
def test_a_share_is_never_rounded_up(share: float, text: str) -> None:
    assert percent(share) == text
