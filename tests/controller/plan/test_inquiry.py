"""What is asked of the metrics server, when, and what the answers become."""

import math
from collections.abc import Mapping
from dataclasses import replace

import pytest

from controller.api.check import parse_check
from controller.api.series import Series
from controller.api.template import Template
from controller.plan.counting import GAP, Grid, Part
from controller.plan.coverage import Kind, Tried
from controller.plan.evidence import Criterion, Evidence, Window
from controller.plan.inquiry import (
    CHUNK_WINDOWS,
    Ask,
    Inquiry,
    Look,
    Own,
    evidence_of,
    history_of,
    nothing,
    own_of,
    tried_of,
    unanswered,
)
from controller.plan.restarts import Containers
from controller.plan.sources import Nginx, Plane, Traefik, Upstream
from tests.controller.plan.windows import ERROR_RATE, count

TRAEFIK = Traefik(
    upstreams=(Upstream(namespace="canary", ingress="web", service="myapp", port="80"),)
)
STABLE = "canary-web-myapp-80@kubernetesingressnginx"
CANARY = "canary-web-myapp-80-canary@kubernetesingressnginx"
SINCE = 1_000_000.0


def inquiry(*checks: str, scrape: float = 15.0, has_testers: bool = False) -> Inquiry:
    return Inquiry(
        since=SINCE,
        checks=tuple(map(parse_check, checks or ("error-rate",))),
        plane=TRAEFIK,
        scrape_seconds=scrape,
        has_testers=has_testers,
    )


def look(*checks: str) -> Look:
    return inquiry(*checks).looks[0]


# When.


@pytest.mark.parametrize(
    ("past", "grids"),
    [
        (-5, []),
        (0, []),
        (19, []),
        (20, [Grid(start=SINCE, step=15, windows=1)]),
        (49, [Grid(start=SINCE, step=15, windows=2)]),
        (3605, [Grid(start=SINCE, step=15, windows=240)]),
        (
            3620,
            [
                Grid(start=SINCE, step=15, windows=240),
                Grid(start=SINCE + 3600, step=15, windows=1),
            ],
        ),
    ],
)
def test_windows_are_over_a_little_after_their_end(past: float, grids: list[Grid]) -> None:
    assert list(inquiry().grids(SINCE + past)) == grids


def test_after_four_hours_windows_are_four_times_as_long() -> None:
    grids = inquiry().grids(SINCE + 4 * 3600 + 5 + 59)
    assert [it.step for it in grids] == [15] * 4
    *_, last = inquiry().grids(SINCE + 4 * 3600 + 5 + 4 * 3600 + 60)
    assert last == Grid(start=SINCE + 8 * 3600, step=60, windows=1)
    assert inquiry().step_at(SINCE + 4 * 3600 + 4) == 15
    assert inquiry().step_at(SINCE + 4 * 3600 + 5) == 60


@pytest.mark.parametrize(
    ("past", "seconds"),
    [(0, 5), (5, 15), (19, 1), (20, 15), (4 * 3600 + 5, 60), (4 * 3600 + 35, 30)],
)
def test_the_next_questions_are_due_when_a_window_more_is_over(past: float, seconds: float) -> None:
    assert inquiry().next_after(SINCE + past) == seconds


def test_a_fast_metrics_server_is_waited_for_less() -> None:
    assert [it.windows for it in inquiry(scrape=1.0).grids(SINCE + 2.5)] == [2]


def test_what_was_seen_long_ago_does_not_change() -> None:
    whole = Grid(start=SINCE, step=15, windows=CHUNK_WINDOWS)
    assert not inquiry().is_settled(whole, SINCE + 3600 + 19)
    assert inquiry().is_settled(whole, SINCE + 3600 + 20)
    assert not inquiry().is_settled(Grid(start=SINCE, step=15, windows=239), SINCE + 9999)


def test_stable_is_looked_at_for_an_hour_before() -> None:
    assert inquiry().history == Grid(start=SINCE - 3600, step=15, windows=240)
    assert inquiry().before_grid == Grid(start=SINCE - 3600, step=180, windows=20)


def test_kinds_are_counted_from_the_first_exposure_to_the_last_window() -> None:
    assert inquiry().tried_grid(SINCE + 19) is None
    assert inquiry().tried_grid(SINCE + 605) == Grid(start=SINCE, step=30, windows=20)


# What.


def test_checks_that_need_the_same_share_a_question() -> None:
    asked = inquiry("error-rate", "success>=99%", "latency", "latency-500ms", "coverage>=95%")
    errors, slow = TRAEFIK.errors(15)[0], TRAEFIK.slow(0, 15)[0]
    assert [it.asks for it in asked.looks] == [
        (Ask(query=query),) for query in (errors, errors, slow, slow)
    ]
    assert [it.criterion.check for it in asked.looks] == [
        "error-rate",
        "success>=99%",
        "latency",
        "latency-500ms",
    ]
    assert [it.check for it in asked.looks] == list(asked.checks[:4])


def test_without_a_data_plane_nothing_is_asked() -> None:
    bare = Inquiry(since=SINCE, checks=(parse_check("coverage>=95%"), parse_check("error-rate")))
    assert bare.looks == ()
    assert Inquiry(since=SINCE, checks=(parse_check("restarts"),)).looks == ()


def buckets(faster: Mapping[str, float], service: str = STABLE) -> list[Series]:
    return [
        Series(
            labels={"instance": "a", "service": service, "le": edge.replace("inf", "+Inf")},
            samples=((SINCE - 60, 1000.0), (SINCE - 45, 1000.0 + number)),
        )
        for edge, number in faster.items()
    ]


def edge_of(text: str, before: list[Series]) -> float | str:
    """Return the edge that slow answers are beyond, or why there is none."""
    read = look(text).reads(before)
    if isinstance(read, str):
        return read
    fast = {"service": STABLE}
    edges = (0.1, 0.3, 1.2, 5.0)
    found = [edge for edge in edges if read({**fast, "le": str(edge)}) is not None]
    return found[0]


def test_errors_are_read_whatever_was_before() -> None:
    read = look("error-rate").reads([])
    assert not isinstance(read, str)
    assert read({"service": STABLE, "code": "500"}) == TRAEFIK.errors(15)[1](
        {"service": STABLE, "code": "500"}
    )


BEFORE = buckets({"0.1": 90.0, "0.3": 94.0, "1.2": 96.0, "inf": 100.0})


def test_twenty_answers_of_stable_are_enough_to_say_what_is_slow() -> None:
    assert edge_of("latency", buckets({"0.1": 19.5, "inf": 20.0})) == 0.1


@pytest.mark.parametrize(
    ("check", "edge"), [("latency", 1.2), ("latency-100ms", 0.1), ("latency-200ms", 0.3)]
)
def test_what_is_slow_is_settled_by_what_was_before(check: str, edge: float) -> None:
    assert edge_of(check, BEFORE) == edge


def test_the_canary_does_not_say_what_is_slow() -> None:
    assert edge_of("latency", [*BEFORE, *buckets({"0.1": 9000.0, "inf": 9000.0}, CANARY)]) == 1.2


FEW = (
    "stable answered fewer than 20 requests before the canary was exposed, so nobody knows what "
    "is slow: say it, such as latency-500ms"
)


@pytest.mark.parametrize(
    ("check", "before", "why"),
    [
        ("latency", [], FEW),
        ("latency", buckets({"0.1": 19.0, "inf": 19.9}), FEW),
        ("latency-500ms", [], "the metrics server knows no durations of this Service"),
        (
            "latency",
            buckets({"inf": 100.0}),
            "the metrics server knows no durations of this Service",
        ),
    ],
)
def test_where_nobody_knows_what_is_slow_it_is_said(
    check: str, before: list[Series], why: str
) -> None:
    assert edge_of(check, before) == why


def test_a_counter_that_began_again_does_not_say_less_than_nothing() -> None:
    fallen = Series(
        labels={"service": STABLE, "le": "+Inf"},
        samples=((0, 500.0), (15, 10.0), (30, 40.0)),
    )
    assert edge_of("latency-100ms", [fallen, *buckets({"0.3": 1.0})]) == 0.3


# The administrator's own.

OWN = Own(
    name="x-orders",
    asks=(
        Ask(query="canary tried", part="canary requests"),
        Ask(query="canary wrong", part="canary events"),
        Ask(query="stable tried", part="stable requests"),
        Ask(query="stable wrong", part="stable events"),
    ),
)


def test_an_own_check_is_filled_in_for_both_sides() -> None:
    template = Template(
        name="x-orders", requests='a{ns="$namespace",p=~"$pods"}[$fresh]', events="b $pods $service"
    )
    values = {"namespace": "canary", "service": "myapp", "fresh": "30s"}
    assert own_of(template, values, "c-.*", "s-.*") == Own(
        name="x-orders",
        asks=(
            Ask(query='a{ns="canary",p=~"c-.*"}[30s]', part="canary requests"),
            Ask(query="b c-.* myapp", part="canary events"),
            Ask(query='a{ns="canary",p=~"s-.*"}[30s]', part="stable requests"),
            Ask(query="b s-.* myapp", part="stable events"),
        ),
    )


def test_an_own_check_needs_no_data_plane_and_reads_by_what_was_asked() -> None:
    (seen,) = Inquiry(since=SINCE, checks=(parse_check("x-orders<=1%"),), own=(OWN,)).looks
    assert (seen.asks, seen.criterion) == (
        OWN.asks,
        Criterion(check="x-orders<=1%", scale="share", tolerated=0.01, margin=0.01),
    )
    read = seen.reads([])
    assert not isinstance(read, str)
    answer = [Series(labels={"pod": "p"}, samples=((0, 1.0),))]
    parts = [read(entry.labels) for ask in seen.asks for entry in ask.tagged(answer)]
    assert parts == [
        Part(side="canary", requests=1.0),
        Part(side="canary", events=1.0),
        Part(side="stable", requests=1.0),
        Part(side="stable", events=1.0),
    ]
    assert read({"pod": "p"}) is None
    assert list(Ask(query="q").tagged(answer)) == answer
    assert next(iter(OWN.asks[0].tagged(answer))).samples == ((0, 1.0),)


def test_an_own_check_that_is_defined_no_more_asks_nothing() -> None:
    (seen,) = Inquiry(since=SINCE, checks=(parse_check("x-gone"),), own=(OWN,)).looks
    assert seen.asks == ()


# The answers.


def test_history_is_stables_windows() -> None:
    read = TRAEFIK.errors(15)[1]
    series = [
        Series(labels={"service": STABLE, "code": code}, samples=((0, 0.0), (15, up), (30, up * 3)))
        for code, up in (("200", 9.0), ("500", 1.0))
    ]
    grid = Grid(start=0.0, step=15.0, windows=2)
    assert history_of(series, read, grid) == (count(10, 1), count(20, 2))


def window(number: int, stable: object = None) -> Window:
    good = count(9)
    return Window(ends=SINCE + 15 * number, canary=good, stable=GAP if stable is GAP else good)


@pytest.mark.parametrize(
    ("windows", "age"),
    [
        ((), 0),
        ((window(1), window(2)), 0),
        ((window(1), window(2, GAP), window(3, GAP)), 30),
        ((window(1, GAP), window(2)), 0),
        ((window(1, GAP), window(2, GAP)), 30),
    ],
)
def test_evidence_is_as_old_as_nothing_was_seen(windows: tuple[Window, ...], age: float) -> None:
    (seen,) = inquiry(scrape=30.0, has_testers=True).looks
    seen = replace(seen, has_testers=True)
    assert evidence_of(seen, (count(5),), windows) == Evidence(
        criterion=ERROR_RATE,
        windows=windows,
        history=(count(5),),
        window_seconds=30.0,
        scrape_seconds=30.0,
        age_seconds=age,
        has_testers=True,
    )


@pytest.mark.parametrize(
    ("check", "plane", "has_testers"),
    [
        ("error-rate", TRAEFIK, False),
        ("latency", TRAEFIK, False),
        ("error-rate", Nginx(upstreams=TRAEFIK.upstreams), True),
        ("x-orders", TRAEFIK, True),
        ("x-orders", None, True),
    ],
)
def test_testers_are_among_what_nobody_tells_apart(
    check: str, plane: Plane | None, *, has_testers: bool
) -> None:
    asked = replace(inquiry(check, has_testers=True), plane=plane, own=(OWN,))
    assert [it.has_testers for it in asked.looks] == [has_testers]
    assert [it.has_testers for it in replace(asked, has_testers=False).looks] == [False]


def test_what_nobody_answered_is_nothing_with_a_reason() -> None:
    asked = inquiry("error-rate", "coverage>=95%")
    found = unanswered(asked, 7.0, "no answer")
    assert (found.inquiry, found.at) == (asked, 7.0)
    assert found.evidence == (nothing(asked.looks[0], "no answer"),)
    assert found.evidence == (Evidence(criterion=ERROR_RATE, problem="no answer"),)
    assert (found.tried, found.containers) == (
        Tried(problem="no answer"),
        Containers(problem="no answer"),
    )


def test_kinds_are_joined_over_both_times() -> None:
    """Counters at the moment of the exposure are in both answers, and count once."""
    labels = {"instance": "a", "method": "GET", "code": "200"}
    series = [
        Series(labels={**labels, "service": STABLE}, samples=((SINCE - 60, 5.0), (SINCE, 25.0))),
        Series(labels={**labels, "service": CANARY}, samples=((SINCE - 60, 3.0), (SINCE, 4.0))),
        Series(labels={**labels, "service": STABLE}, samples=((SINCE, 25.0), (SINCE + 30, 35.0))),
        Series(labels={**labels, "service": CANARY}, samples=((SINCE, 4.0), (SINCE + 30, 10.0))),
    ]
    tell = TRAEFIK.kinds(15)[1]
    assert tried_of(inquiry(scrape=30.0), TRAEFIK, series, tell, SINCE + 36) == Tried(
        kinds=(Kind(text="GET 2xx", stable=30.0, canary=6.0),),
        untold=TRAEFIK.untold,
        seconds=36.0,
        age_seconds=6.0,
        scrape_seconds=30.0,
    )


def test_no_counter_at_all_is_as_old_as_the_exposure() -> None:
    found = tried_of(inquiry(), TRAEFIK, [Series()], TRAEFIK.kinds(15)[1], SINCE + 36)
    assert (found.kinds, found.age_seconds) == ((), 36.0)
    early = tried_of(
        inquiry(),
        TRAEFIK,
        [Series(samples=((SINCE + 60, math.nan),))],
        TRAEFIK.kinds(15)[1],
        SINCE,
    )
    assert early.age_seconds == 0.0
