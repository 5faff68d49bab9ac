"""What Traefik counts, as it was seen: the question, and how each series is read."""

import re

import pytest

from controller.plan.counting import Part
from controller.plan.sources import Traefik, Upstream

SHOP = Upstream(namespace="canary", ingress="shop.web", service="myapp", port="80")
STABLE = "canary-shop.web-myapp-80@kubernetesingressnginx"
CANARY = "canary-shop.web-myapp-80-canary@kubernetesingressnginx"
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


@pytest.mark.parametrize(
    ("labels", "part"),
    [
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
        ({"service": "another@kubernetesingressnginx", "code": "200"}, None),
        ({}, None),
    ],
)
def test_every_series_is_read_for_what_it_is(labels: dict[str, str], part: Part | None) -> None:
    _, read = Traefik(upstreams=(SHOP,)).errors(15)
    assert read(labels) == part
