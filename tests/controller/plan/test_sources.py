"""What Traefik counts, as it was seen: the question, and how each series is read."""

import math
import re

import pytest

from controller.api.series import Series
from controller.plan.counting import Part
from controller.plan.coverage import Sighting
from controller.plan.sources import (
    Nginx,
    Traefik,
    Upstream,
    edge_for,
    edge_in,
    faster_by_edge,
    fresh_range,
    pods_of,
)

SHOP = Upstream(namespace="canary", ingress="shop.web", service="myapp", port="80")
STABLE = "canary-shop.web-myapp-80@kubernetesingressnginx"
CANARY = "canary-shop.web-myapp-80-canary@kubernetesingressnginx"
OPTED_OUT = "canary-shop-rule-0-path-0-non-canary@kubernetesingressnginx"
ROUTER = "canary-shop-rule-0-path-0-canary@kubernetesingressnginx"


def test_the_question_names_the_upstreams_and_takes_no_stale_sample() -> None:
    query, _ = Traefik(upstreams=(SHOP,)).errors(15)
    assert query == (
        "sum by (instance,service,router,code) (last_over_time("
        '{__name__=~"traefik_service_requests_total|traefik_router_requests_total",'
        r'service=~"canary-shop\\.web-myapp-80-canary@kubernetesingressnginx|'
        r'canary-shop\\.web-myapp-80@kubernetesingressnginx"}[30s]))'
    )


def test_a_name_fits_itself_alone() -> None:
    query, _ = Traefik(upstreams=(SHOP,)).errors(15)
    (found,) = re.findall(r'service=~"([^"]*)"', query)
    pattern = found.replace("\\\\", "\\")
    assert re.fullmatch(pattern, STABLE)
    assert re.fullmatch(pattern, CANARY)
    assert not re.fullmatch(pattern, STABLE.replace(".", "x"))
    assert not re.fullmatch(pattern, STABLE + "x")
    # A capital with a backslash before it would be a class or an anchor.
    query, _ = Traefik(upstreams=(SHOP,), provider="CRD").errors(15)
    assert "-myapp-80@CRD|" not in query
    assert '-myapp-80@CRD"' in query


@pytest.mark.parametrize(
    ("labels", "part"),
    [
        ({"service": STABLE, "code": "101"}, Part(side="stable", requests=1.0)),
        ({"service": STABLE, "code": "200"}, Part(side="stable", requests=1.0)),
        ({"service": STABLE, "code": "404"}, Part(side="stable", requests=1.0)),
        ({"service": STABLE, "code": "503"}, Part(side="stable", requests=1.0, events=1.0)),
        ({"service": CANARY, "code": "302"}, Part(side="canary", requests=1.0)),
        ({"service": CANARY, "code": "500"}, Part(side="canary", requests=1.0, events=1.0)),
        ({"service": CANARY, "code": "0"}, Part(side="canary", requests=1.0, events=1.0)),
        ({"service": CANARY}, Part(side="canary", requests=1.0, events=1.0)),
        (
            {"service": CANARY, "router": ROUTER, "code": "500"},
            Part(side="canary", requests=-1.0, events=-1.0),
        ),
        (
            {"service": CANARY, "router": ROUTER, "code": "200"},
            Part(side="canary", requests=-1.0),
        ),
        ({"service": STABLE, "router": "main@kubernetesingressnginx", "code": "200"}, None),
        (
            {"service": STABLE, "router": OPTED_OUT, "code": "500"},
            Part(side="stable", requests=-1.0, events=-1.0),
        ),
        (
            {"service": STABLE, "router": OPTED_OUT.replace("@", "-tls@"), "code": "200"},
            Part(side="stable", requests=-1.0),
        ),
        ({"service": STABLE, "router": "a-non-canary-rule-0-path-0@x", "code": "200"}, None),
        ({"service": "another", "router": OPTED_OUT, "code": "200"}, None),
        ({"service": "another@kubernetesingressnginx", "code": "200"}, None),
        ({}, None),
    ],
)
def test_every_series_is_read_for_what_it_is(labels: dict[str, str], part: Part | None) -> None:
    _, read = Traefik(upstreams=(SHOP,)).errors(15)
    assert read(labels) == part


def test_slow_answers_are_asked_for_by_bucket() -> None:
    query, _ = Traefik(upstreams=(SHOP,)).slow(0.3, 30)
    assert query.startswith("sum by (instance,service,router,le) (last_over_time({__name__=~")
    assert '"traefik_service_request_duration_seconds_bucket|' in query
    assert query.endswith("[60s]))")


@pytest.mark.parametrize(
    ("labels", "part"),
    [
        ({"service": STABLE, "le": "+Inf"}, Part(side="stable", requests=1.0, events=1.0)),
        ({"service": STABLE, "le": "5.0"}, Part(side="stable", events=-1.0)),
        ({"service": CANARY, "le": "5"}, Part(side="canary", events=-1.0)),
        ({"service": CANARY, "le": "1.2"}, None),
        ({"service": CANARY, "le": "fast"}, None),
        ({"service": CANARY}, None),
        (
            {"service": CANARY, "router": ROUTER, "le": "+Inf"},
            Part(side="canary", requests=-1.0, events=-1.0),
        ),
        ({"service": CANARY, "router": ROUTER, "le": "5"}, Part(side="canary", events=1.0)),
        ({"service": "another", "le": "5"}, None),
    ],
)
def test_slow_is_what_was_not_fast_enough(labels: dict[str, str], part: Part | None) -> None:
    _, read = Traefik(upstreams=(SHOP,)).slow(5.0, 15)
    assert read(labels) == part


ADMIN = Upstream(namespace="canary", ingress="admin", service="myapp", port="http")


def test_kinds_are_asked_for_by_method_and_status() -> None:
    query, _ = Traefik(upstreams=(SHOP,)).kinds(15)
    assert query == (
        "sum by (instance,service,method,code) (last_over_time("
        "traefik_service_requests_total{"
        r'service=~"canary-shop\\.web-myapp-80-canary@kubernetesingressnginx|'
        r'canary-shop\\.web-myapp-80@kubernetesingressnginx"}[30s]))'
    )
    assert Traefik.untold == "hosts and paths of one Ingress"


@pytest.mark.parametrize(
    ("labels", "sighting"),
    [
        ({"service": STABLE, "method": "GET", "code": "200"}, ("stable", "GET 2xx")),
        ({"service": CANARY, "method": "POST", "code": "404"}, ("canary", "POST 4xx")),
        ({"service": CANARY, "method": "BREW", "code": "101"}, ("canary", "other 1xx")),
        ({"service": CANARY, "code": "302"}, ("canary", "other 3xx")),
        ({"service": CANARY, "method": "GET", "code": "503"}, None),
        ({"service": STABLE, "method": "GET", "code": "0"}, None),
        ({"service": STABLE, "method": "GET"}, None),
        ({"service": "other@kubernetesingressnginx", "method": "GET", "code": "200"}, None),
        ({"method": "GET", "code": "200"}, None),
    ],
)
def test_a_kind_is_a_method_and_what_came_of_it(
    labels: dict[str, str], sighting: tuple[str, str] | None
) -> None:
    _, tell = Traefik(upstreams=(SHOP,)).kinds(15)
    found = tell(labels)
    assert (None if found is None else (found.side, found.kind)) == sighting


def test_of_several_ingresses_each_has_kinds_of_its_own() -> None:
    _, tell = Traefik(upstreams=(SHOP, ADMIN)).kinds(15)
    found = [
        tell({"service": service, "method": "GET", "code": "200"})
        for service in (CANARY, "canary-admin-myapp-http@kubernetesingressnginx")
    ]
    assert found == [
        Sighting(side="canary", kind="shop.web:80 GET 2xx"),
        Sighting(side="stable", kind="admin:http GET 2xx"),
    ]


FASTER = {0.1: 900.0, 0.3: 949.0, 1.2: 950.0, 5.0: 990.0, math.inf: 1000.0}


@pytest.mark.parametrize(
    ("asked", "edge"),
    [(None, 1.2), (0.1, 0.1), (0.5, 1.2), (5.0, 5.0), (9.0, 5.0), (0.001, 0.1)],
)
def test_the_edge_is_the_users_or_stables_own(asked: float | None, edge: float) -> None:
    assert edge_for(asked, FASTER) == edge


@pytest.mark.parametrize("faster", [{}, {math.inf: 10.0}])
def test_without_buckets_there_is_no_edge(faster: dict[float, float]) -> None:
    assert edge_for(0.5, faster) is None


def test_where_nearly_all_are_slower_than_every_edge_the_last_is_taken() -> None:
    assert edge_for(None, {0.1: 1.0, 5.0: 2.0, math.inf: 100.0}) == 5.0


def test_an_edge_is_a_number() -> None:
    assert (edge_in({"le": "0.3"}), edge_in({"le": "+Inf"}), edge_in({})) == (0.3, math.inf, None)


@pytest.mark.parametrize(
    ("pod", "is_of"),
    [
        ("shop.web-7d4b9c6f8-x2k9p", True),
        ("shop.web-canary-7d4b9c6f8-x2k9p", False),
        ("shop.web-7d4b9c6f8-x2k9", False),
        ("shopxweb-7d4b9c6f8-x2k9p", False),
        ("my-shop.web-7d4b9c6f8-x2k9p", False),
    ],
)
def test_a_pattern_of_pods_fits_those_of_one_deployment(pod: str, *, is_of: bool) -> None:
    pattern = pods_of("shop.web").replace("\\\\", "\\")
    assert (re.fullmatch(pattern, pod) is not None) is is_of


def test_a_sample_is_fresh_for_two_looks() -> None:
    assert fresh_range(15) == "30s"


# ingress-nginx.

NGINX = Nginx(upstreams=(SHOP,))
OURS = "canary-myapp-canary-80"


def test_ingress_nginx_is_asked_by_every_spelling_of_its_labels() -> None:
    query, _ = NGINX.errors(15)
    ours = r'nginx_ingress_controller_requests{ingress=~"shop\\.web",'
    assert query == (
        "sum by (instance,canary,status) ("
        f'last_over_time({ours}namespace=~"canary",exported_namespace="",'
        'service=~"myapp",exported_service=""}[30s]) or '
        f'last_over_time({ours}exported_namespace=~"canary",service=~"myapp",'
        'exported_service=""}[30s]) or '
        f'last_over_time({ours}exported_namespace=~"canary",exported_service=~"myapp"}}[30s]))'
    )
    by_all = query.replace("canary,status", "canary,host,path,method,status")
    assert NGINX.kinds(15)[0] == by_all


def test_ingress_nginx_counts_durations_and_kinds() -> None:
    slow, kinds = NGINX.slow(0.5, 30)[0], NGINX.kinds(15)[0]
    assert slow.startswith("sum by (instance,canary,le) (last_over_time(nginx_ingress_controller_")
    assert "request_duration_seconds_bucket{" in slow
    assert kinds.startswith("sum by (instance,canary,host,path,method,status) (last_over_time(")


@pytest.mark.parametrize(
    ("labels", "part"),
    [
        ({"status": "200"}, Part(side="stable", requests=1.0)),
        ({"canary": "", "status": "502"}, Part(side="stable", requests=1.0, events=1.0)),
        ({"canary": OURS, "status": "404"}, Part(side="canary", requests=1.0)),
        ({"canary": OURS, "status": "500"}, Part(side="canary", requests=1.0, events=1.0)),
        ({"canary": "canary-other-80", "status": "500"}, None),
    ],
)
def test_ingress_nginx_says_by_a_label_who_answered(
    labels: dict[str, str], part: Part | None
) -> None:
    assert NGINX.errors(15)[1](labels) == part


@pytest.mark.parametrize(
    ("labels", "part"),
    [
        ({"le": "0.5"}, Part(side="stable", events=-1.0)),
        ({"canary": OURS, "le": "+Inf"}, Part(side="canary", requests=1.0, events=1.0)),
        ({"canary": OURS, "le": "1"}, None),
    ],
)
def test_slow_answers_of_ingress_nginx(labels: dict[str, str], part: Part | None) -> None:
    assert NGINX.slow(0.5, 15)[1](labels) == part


@pytest.mark.parametrize(
    ("labels", "seen"),
    [
        (
            {"host": "a.example", "path": "/x", "method": "GET", "status": "200"},
            Sighting(side="stable", kind="a.example/x GET 2xx"),
        ),
        (
            {"canary": OURS, "method": "POST", "status": "404"},
            Sighting(side="canary", kind="POST 4xx"),
        ),
        ({"canary": OURS, "method": "POST", "status": "500"}, None),
        ({"canary": "another", "method": "POST", "status": "200"}, None),
    ],
)
def test_kinds_of_ingress_nginx(labels: dict[str, str], seen: Sighting | None) -> None:
    assert NGINX.kinds(15)[1](labels) == seen


def test_edges_are_counted_of_stable_alone() -> None:
    grown = ((0.0, 1.0), (15.0, 4.0), (30.0, 2.0), (45.0, 9.0))
    series = [
        Series(labels={"le": "0.5"}, samples=grown),
        Series(labels={"le": "0.50"}, samples=grown),
        Series(labels={"le": "x"}, samples=grown),
        Series(labels={"le": "0.5", "canary": OURS}, samples=grown),
        Series(labels={"le": "+Inf"}),
    ]
    assert faster_by_edge(series, NGINX) == {0.5: 20.0, math.inf: 0.0}
