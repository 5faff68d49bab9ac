import hashlib
import json
import re
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings

from controller.api import grammar, names
from controller.api.objects import stamp
from controller.plan.traffic.exposure import CLOSED, Exposure
from controller.plan.traffic.nginx import Nginx, changed_at, changed_text, closing_name
from tests.controller.plan.applied import annotated, changed, merged
from tests.controller.plan.traffic.test_exposure import exposures
from tests.controller.plan.worlds import (
    LONG_AGO,
    NAME,
    NOW,
    PREFIX,
    exposed,
    ingress,
    nginx,
    route,
)

PROFILE = settings(max_examples=40, deadline=None)

CLOSING = nginx().closing
ALLOWED: dict[str, re.Pattern[str]] = {
    "canary": re.compile("true"),
    "canary-weight": re.compile("0|[1-9][0-9]?|100"),
    "canary-by-cookie": re.compile("[a-z0-9_-]{1,64}"),
    "canary-by-header": re.compile(grammar.HEADER.pattern),
    "canary-by-header-value": re.compile("[A-Za-z0-9._~:/-]{1,128}"),
    "canary-by-header-pattern": re.compile(r"\^[][A-Za-z0-9_\\()?:|.~*-]+\$"),
}
"""Every key that we write, and the characters of its value (routing.md 5.1, 5.3 and 10)."""


def keys(**short: str) -> dict[str, str]:
    return {f"{PREFIX}/{key.replace('_', '-')}": value for key, value in short.items()}


def applied(before: dict[str, Any], exposure: Exposure) -> dict[str, Any]:
    changes = nginx().change(before, exposure, NOW)
    after: dict[str, Any] = merged(before, {"metadata": {"annotations": changes or {}}})
    return after


@pytest.mark.parametrize(
    ("exposure", "written"),
    [
        (CLOSED, {}),
        (exposed(5), {"canary_weight": "5"}),
        (exposed(0, cookie="beta-shop"), {"canary_by_cookie": "beta-shop"}),
        (
            exposed(0, frozenset({"tom.k"})),
            {"canary_by_header": "X-Account", "canary_by_header_value": "tom.k"},
        ),
        (
            exposed(0, frozenset({"tom.k", "mia"})),
            {"canary_by_header": "X-Account", "canary_by_header_pattern": r"^(?:mia|tom\x2ek)$"},
        ),
        (
            exposed(0, frozenset({"a@b"})),  # no such character in a plain value
            {"canary_by_header": "X-Account", "canary_by_header_pattern": r"^(?:a\x40b)$"},
        ),
        (
            exposed(20, frozenset({"mia"}), "00-04"),
            {
                "canary_weight": "20",
                "canary_by_header": "X-Account",
                "canary_by_header_pattern": r"^(?:mia|[A-Za-z0-9._~\x40\x2b-]*0[0-4])$",
            },
        ),
    ],
)
def test_writes_the_annotations_of_routing_5_1(exposure: Exposure, written: dict[str, str]) -> None:
    always = {"canary": "true", "canary_weight": "0", "canary_by_cookie": CLOSING}
    assert nginx().keys_for(exposure) == keys(**{**always, **written})


@PROFILE
@given(before=exposures, after=exposures)
def test_reads_back_what_it_wrote_whatever_stood_there(before: Exposure, after: Exposure) -> None:
    result = applied(route(before), after)
    assert nginx().exposure_of(result) == after
    assert nginx().change(result, after, NOW) is None


@PROFILE
@given(before=exposures, after=exposures)
def test_writes_no_key_and_no_character_but_those_of_the_list(
    before: Exposure, after: Exposure
) -> None:
    annotations = applied(route(before), after)["metadata"]["annotations"]
    ours = {key: value for key, value in annotations.items() if key != names.CHANGED}
    for key, value in ours.items():
        prefix, _, name = key.partition("/")
        assert prefix == PREFIX
        assert ALLOWED[name].fullmatch(value), (name, value)
    header = {name for name in ours if "by-header" in name}
    assert len(header) in {0, 2}  # a header never stands without value or pattern


@PROFILE
@given(before=exposures, after=exposures)
def test_is_a_canary_with_a_cookie_name_before_and_after_every_change(
    before: Exposure, after: Exposure
) -> None:
    changes = nginx().change(route(before), after, NOW) or {}
    assert changes.get(f"{PREFIX}/canary", "true") == "true"
    assert changes.get(f"{PREFIX}/canary-by-cookie", "set")


@pytest.mark.parametrize(
    "drift",
    [
        {f"{PREFIX}/canary-weight-total": "1000"},
        {f"{PREFIX}/affinity-canary-behavior": "legacy"},
        {f"{PREFIX}/configuration-snippet": "return 200;"},
        {"argocd.argoproj.io/tracking-id": "app"},
        {f"{PREFIX}/canary-by-header": "X-Account"},
        {f"{PREFIX}/canary-by-header-value": "always"},
    ],
)
def test_removes_what_does_not_belong_on_our_object(drift: dict[str, str]) -> None:
    drifted = annotated(route(exposed(5)), drift)
    changes = nginx().change(drifted, exposed(5), NOW)
    assert changes == {
        **dict.fromkeys(drift),
        names.CHANGED: changed_text(exposed(5), NOW),
    }


def test_leaves_the_announcement_of_a_removal_alone() -> None:
    announced = annotated(route(exposed(5)), {names.SHRINK: "3"})
    assert nginx().change(announced, exposed(5), NOW) is None
    assert nginx().change(announced, exposed(6), NOW) == {
        **keys(canary_weight="6"),
        names.CHANGED: changed_text(exposed(6), NOW),
    }


@pytest.mark.parametrize(
    ("changes", "closes"),
    [
        ({}, True),
        (keys(canary="true", canary_weight="0", canary_by_cookie=CLOSING), True),
        (dict.fromkeys(keys(canary_by_header="", canary_by_header_value="")), True),
        (dict.fromkeys(keys(canary_by_header_pattern="")), True),
        ({**keys(canary_weight="0"), names.CHANGED: "now", "example.com/x": None}, True),
        (keys(canary_weight="1"), False),
        (keys(canary_by_header="X-Account"), False),
        (keys(canary_by_header_value="alice"), False),
        (keys(canary_by_header_pattern="^alice$"), False),
        (keys(canary_by_cookie="beta"), False),
        (dict.fromkeys(keys(canary_by_cookie="")), False),
        (dict.fromkeys(keys(canary_weight="")), False),
        (keys(canary="false"), False),
    ],
)
def test_knows_what_opens_nothing_whatever_stands_by_now(
    changes: dict[str, str | None], closes: bool
) -> None:
    assert nginx().only_closes(changes) is closes


def test_makes_a_canary_again_of_what_somebody_switched_off() -> None:
    off = annotated(route(), keys(canary="false"))
    assert nginx().change(off, CLOSED, NOW) == {
        **keys(canary="true"),
        names.CHANGED: changed_text(CLOSED, NOW),
    }


def test_closing_what_is_closed_changes_nothing() -> None:
    assert nginx().closing_change(route(), NOW) is None


def test_closing_removes_what_does_not_belong_there_too() -> None:
    drifted = annotated(route(exposed(5, frozenset({"alice"}))), keys(rewrite_target="/x"))
    assert nginx().closing_change(drifted, NOW) == {
        **keys(canary="true", canary_weight="0", canary_by_cookie=CLOSING),
        **dict.fromkeys(
            keys(
                canary_by_header="",
                canary_by_header_value="",
                canary_by_header_pattern="",
                rewrite_target="",
            )
        ),
        names.CHANGED: changed_text(CLOSED, NOW),
    }


def test_keeps_the_class_annotation_of_its_own_object() -> None:
    by_annotation = annotated(route(), {names.INGRESS_CLASS: "nginx"})
    assert nginx().change(by_annotation, CLOSED, NOW) is None


def test_refuses_to_write_a_pattern_that_the_proxy_would_empty() -> None:
    endless = Exposure(header="X-Account", accounts=frozenset({"a" * 20_000, "b"}))
    with pytest.raises(ValueError, match="refusing to write the pattern"):
        nginx().keys_for(endless)


@pytest.mark.parametrize("weight", ["", "-1", "101", "1000", "1.5", "٣", "05", "9" * 5000, "half"])
def test_takes_a_weight_that_nobody_of_us_wrote_for_everything(weight: str) -> None:
    strange = annotated(route(), keys(canary_weight=weight))
    assert nginx().exposure_of(strange) == exposed(100)


def test_a_weight_that_is_not_there_is_none() -> None:
    assert nginx().exposure_of(ingress()).weight == 0


def test_takes_a_pattern_that_nobody_of_us_wrote_for_everybody() -> None:
    strange = annotated(
        route(), keys(canary_by_header="X-Account", canary_by_header_pattern="^.*$")
    )
    found = nginx().exposure_of(strange)
    assert (found.is_open, found.of_all) == (True, Fraction(1))
    assert not found.is_within(exposed(100, endings="7"))
    assert CLOSED.is_within(found)


def test_a_header_without_value_or_pattern_lets_through_who_knows() -> None:
    bare = nginx().exposure_of(annotated(route(), keys(canary_by_header="X-Account")))
    assert bare.of_all == Fraction(1)


@pytest.mark.parametrize("cookie", ["", None])
def test_an_ingress_without_a_cookie_name_is_open_to_the_nameless_cookie(
    cookie: str | None,
) -> None:
    nameless = annotated(route(), {f"{PREFIX}/canary-by-cookie": cookie})
    assert nginx().exposure_of(nameless) == Exposure(cookie="")
    assert (
        applied(nameless, CLOSED)["metadata"]["annotations"][f"{PREFIX}/canary-by-cookie"]
        == CLOSING
    )


def test_the_closing_name_is_that_of_routing_5_2() -> None:
    digits = hashlib.sha256(b"serinus closing name v1/uid-1").hexdigest()[:32]
    assert closing_name("uid-1") == f"serinus-{digits}"
    assert grammar.COOKIE.fits(closing_name("uid-1"))
    assert closing_name("uid-1") != closing_name("uid-2")


@pytest.mark.parametrize("value", ["true", "True", "TRUE", "t", "T", "1"])
def test_a_canary_to_any_proxy_is_one(value: str) -> None:
    assert nginx().is_canary(ingress(canary=value))


@pytest.mark.parametrize("value", ["false", "0", "", "yes", "tRUE", " true"])
def test_no_other_word_makes_a_canary(value: str) -> None:
    assert not nginx().is_canary(ingress(canary=value))
    assert not nginx().is_canary(ingress())


def test_another_prefix_has_its_own_keys() -> None:
    other = Nginx(prefix="custom.example", closing=CLOSING)
    assert set(other.keys_for(CLOSED)) == {
        "custom.example/canary",
        "custom.example/canary-weight",
        "custom.example/canary-by-cookie",
    }
    assert other.exposure_of(route(exposed(5))) == Exposure(cookie="")


def path(service: str, text: str = "/", **port: object) -> dict[str, Any]:
    backend = {"service": {"name": service, "port": port or {"number": 80}}}
    return {"path": text, "pathType": "Exact", "backend": backend}


def test_derives_only_the_paths_to_this_service_byte_for_byte() -> None:
    main = changed(
        ingress(),
        spec={
            "tls": [{"hosts": ["a.example"], "secretName": "tls"}],
            "defaultBackend": {"service": {"name": NAME, "port": {"number": 80}}},
            "rules": [
                {"host": "a.example", "http": {"paths": [path("other"), path(NAME, "/A b")]}},
                {"http": {"paths": [path(NAME, "/any", name="web")]}},
                {"host": "a.example", "http": {"paths": [path(NAME, "/two")]}},
                {"host": "b.example", "http": {"paths": [path("other")]}},
            ],
        },
    )
    assert nginx().rules(main, NAME, "myapp-canary") == [
        {
            "host": "a.example",
            "http": {"paths": [path("myapp-canary", "/A b"), path("myapp-canary", "/two")]},
        },
        {"http": {"paths": [path("myapp-canary", "/any", name="web")]}},
    ]


def test_is_born_closed() -> None:
    born = nginx().ingress(ingress(), [], {"name": "myapp-canary"}, NOW)
    assert born == {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {
            "name": "myapp-canary",
            "annotations": {
                **keys(canary="true", canary_weight="0", canary_by_cookie=CLOSING),
                names.CHANGED: changed_text(CLOSED, NOW),
            },
        },
        "spec": {"rules": [], "ingressClassName": "nginx"},
    }


def test_has_the_class_where_its_main_has_it_and_never_twice() -> None:
    old = annotated(changed(ingress(), spec={"ingressClassName": None}), {names.INGRESS_CLASS: "n"})
    born = nginx().ingress(old, [], {}, NOW)
    assert born["metadata"]["annotations"][names.INGRESS_CLASS] == "n"
    assert "ingressClassName" not in born["spec"]
    classless = changed(ingress(), spec={"ingressClassName": None})
    plain = nginx().ingress(classless, [], {}, NOW)
    assert names.INGRESS_CLASS not in plain["metadata"]["annotations"]


def test_copies_no_annotation_of_the_main() -> None:
    rich = ingress(auth_tls_secret="x", proxy_ssl_secret="y", canary_weight="50")
    assert nginx().ingress(rich, [], {}, NOW) == nginx().ingress(ingress(), [], {}, NOW)


def test_the_time_of_a_change_is_written_with_a_digest_of_what_was_changed() -> None:
    one, two = (json.loads(changed_text(exposed(weight), NOW)) for weight in (1, 2))
    assert one["digest"] != two["digest"]
    text = f'{{"at":"{stamp(NOW)}","digest":"{one["digest"]}"}}'
    assert changed_text(exposed(1), NOW) == text


@pytest.mark.parametrize(
    "text", [None, "", "nonsense", "[]", '"x"', '{"at":1}', '{"at":"yesterday"}', "[" * 99_999]
)
def test_without_a_readable_time_the_creation_counts(text: str | None) -> None:
    assert changed_at(annotated(route(at=NOW), {names.CHANGED: text})) == stamp(LONG_AGO)


def test_the_time_of_the_last_change_is_read_back() -> None:
    assert changed_at(route(at=NOW)) == stamp(NOW)
    assert changed_at({"metadata": {"name": "not stored yet"}}) == ""
