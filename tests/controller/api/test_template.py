"""An administrator's file of checks: what is read, and what is said of anything else."""

import re
from typing import Any

import pytest

from controller.api.template import Template, filled, templates_of

GOOD = {"requests": 'a{pod=~"$pods"}[$fresh]', "events": 'b{ns="$namespace",pod=~"$pods"}'}


def test_reads_every_check_in_the_order_of_the_file() -> None:
    assert templates_of({"checks": {"x-b": GOOD, "x-a-2": GOOD}}) == (
        Template(name="x-b", requests=GOOD["requests"], events=GOOD["events"]),
        Template(name="x-a-2", requests=GOOD["requests"], events=GOOD["events"]),
    )


def own(**changes: Any) -> dict[str, Any]:
    return {"checks": {"x-a": {**GOOD, **changes}}}


PLACES = "allowed: $namespace, $service, $pods, $fresh"
BAD: dict[str, tuple[object, str]] = {
    "nothing": (None, "'None' must be a mapping with the one key 'checks'"),
    "a list": ([], "'[]' must be a mapping with the one key 'checks'"),
    "another key": (
        {"checks": {"x-a": GOOD}, "more": 1},
        "must be a mapping with the one key 'checks'",
    ),
    "no checks": ({"checks": {}}, "checks: '{}' must map 1 to 50 names"),
    "checks as a list": ({"checks": ["x-a"]}, "checks: \"['x-a']\" must map 1 to 50 names"),
    "too many": (
        {"checks": {f"x-{n}": GOOD for n in range(51)}},
        "must map 1 to 50 names",
    ),
    "a name of ours": (
        {"checks": {"latency": GOOD}},
        "checks: 'latency' must be x- and lower-case letters, digits and '-'",
    ),
    "a number for a name": ({"checks": {7: GOOD}}, "checks: '7' must be x- and lower-case"),
    "a long name": ({"checks": {"x-" + "a" * 62: GOOD}}, "must be x- and lower-case letters"),
    "no fields": (
        {"checks": {"x-a": "up"}},
        "checks.x-a: 'up' must have the keys requests and events",
    ),
    "a field too many": (own(url="http://x"), "must have the keys requests and events"),
    "no text": (own(events=7), "checks.x-a.events: '7' must be a text of 1 to 2000 characters"),
    "no character": (own(requests=""), "checks.x-a.requests: '' must be a text of 1 to 2000"),
    "one character": (
        own(requests="u"),
        "checks.x-a.requests: 'u' must hold $pods, which tells both sides apart",
    ),
    "too long": (own(requests="$pods " + "x" * 1995), "must be a text of 1 to 2000 characters"),
    "a placeholder of another name": (
        own(events="$pods $pod"),
        f"checks.x-a.events: $pod is no placeholder; {PLACES}",
    ),
    "a bare dollar": (own(events="$pods a$"), f"checks.x-a.events: $ is no placeholder; {PLACES}"),
    "one side": (
        own(events="up"),
        "checks.x-a.events: 'up' must hold $pods, which tells both sides apart",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_says_what_is_wrong_and_where(name: str) -> None:
    document, message = BAD[name]
    with pytest.raises(ValueError, match=re.escape(message)):
        templates_of(document)


def test_the_longest_allowed_is_allowed() -> None:
    longest = "$pods " + "x" * 1994
    name = "x-" + "a" * 61
    document = {"checks": {name: {"requests": longest, "events": "$pods"}}}
    assert templates_of(document) == (Template(name=name, requests=longest, events="$pods"),)
    assert len(templates_of({"checks": {f"x-{n}": GOOD for n in range(50)}})) == 50


def test_every_placeholder_is_filled_in() -> None:
    values = {"namespace": "n", "service": "s", "pods": r"p\\.x", "fresh": "30s"}
    assert filled("$namespace/$service $pods[$fresh] $pods", values) == r"n/s p\\.x[30s] p\\.x"
