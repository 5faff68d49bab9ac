import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.api import intent, names
from controller.api.check import Check
from controller.api.intent import (
    Action,
    Fault,
    Intent,
    InvalidIntentError,
    Parsed,
    Replicas,
    Step,
    configuration_digest,
    parse,
    require,
)
from controller.api.pattern import Suffix

SHORT_KEYS = ", ".join(key.removeprefix(names.PREFIX) for key in names.USER_KEYS)
ENROL = "kubectl label service NAME serinus.dev/canary=enabled"
MANUAL = Path(__file__).parents[3] / "docs" / "annotations.md"


def annotated(**values: object) -> dict[str, object]:
    """Annotations by their short names; `ready_deadline` is `serinus.dev/ready-deadline`."""
    return {names.PREFIX + name.replace("_", "-"): value for name, value in values.items()}


def problem(**values: object) -> str:
    """The message of the only fault, without its key and without what is allowed."""
    parsed = parse(annotated(**values))
    assert parsed.intent is None
    (fault,) = parsed.faults
    assert fault.message.startswith(f"{fault.key}: ")
    assert fault.message.endswith(f"; allowed: {fault.allowed}")
    return fault.message.removeprefix(f"{fault.key}: ").removesuffix(f"; allowed: {fault.allowed}")


def asked(**values: object) -> Intent:
    parsed = parse(annotated(**values))
    assert parsed.faults == ()
    assert parsed.intent is not None
    return parsed.intent


# What is understood.


def test_no_annotation_asks_for_nothing() -> None:
    assert parse({}) == Parsed(intent=Intent())


def test_reads_everything_at_once() -> None:
    assert asked(
        weight="5",
        steps="5/10m, 25/1h, 50",
        header="X-Account",
        header_values="alice, bob",
        header_suffixes="7, 00-04",
        cookie="beta-shop",
        query="beta=1, tier=gold",
        replicas="50%",
        promotion="auto, in-place",
        checks="error-rate<=1%, latency",
        ready_deadline="10m",
        deployment="shop",
        ingresses="shop, shop-internal",
        accept="affinity, recreate",
        action="promote:4f9d1c02ab",
    ) == Intent(
        weight=5,
        steps=(
            Step(weight=5, seconds=600),
            Step(weight=25, seconds=3600),
            Step(weight=50, seconds=None),
        ),
        header="X-Account",
        accounts=frozenset({"alice", "bob"}),
        suffixes=(Suffix(first="7", last="7"), Suffix(first="00", last="04")),
        cookie="beta-shop",
        query=(("beta", "1"), ("tier", "gold")),
        replicas=Replicas(percent=50),
        automatic=True,
        in_place=True,
        checks=(
            Check(text="error-rate<=1%", name="error-rate", unit="%", value=1.0),
            Check(text="latency", name="latency"),
        ),
        ready_deadline_seconds=600,
        deployment="shop",
        ingresses=("shop", "shop-internal"),
        accept=frozenset({"affinity", "recreate"}),
        action=Action(verb="promote", revision="4f9d1c02ab"),
    )


@pytest.mark.parametrize(
    ("text", "accounts"),
    [
        ("alice", {"alice"}),
        ("alice,bob", {"alice", "bob"}),
        ("alice bob", {"alice", "bob"}),
        ("alice\nbob\n", {"alice", "bob"}),
        (" alice,\n  bob,\n", {"alice", "bob"}),
        ("alice, Alice, alice", {"alice", "Alice"}),
        ("a@b.example", {"a@b.example"}),
    ],
)
def test_reads_accounts_between_commas_spaces_and_newlines(text: str, accounts: set[str]) -> None:
    assert asked(header="X-Account", header_values=text).accounts == accounts


@pytest.mark.parametrize(
    ("text", "replicas"),
    [
        ("auto", Replicas()),
        ("3", Replicas(count=3)),
        ("100%", Replicas(percent=100)),
    ],
)
def test_reads_the_size_of_the_canary(text: str, replicas: Replicas) -> None:
    assert asked(replicas=text).replicas == replicas


@pytest.mark.parametrize(
    ("text", "automatic", "in_place"),
    [
        ("manual", False, False),
        ("auto", True, False),
        ("shift-then-roll", False, False),
        ("in-place", False, True),
        ("in-place, auto", True, True),
        ("auto,shift-then-roll", True, False),
    ],
)
def test_reads_who_promotes_and_how(text: str, automatic: bool, in_place: bool) -> None:
    read = asked(promotion=text)
    assert (read.automatic, read.in_place) == (automatic, in_place)


@pytest.mark.parametrize(
    ("text", "action"),
    [
        ("promote:4f9d", Action(verb="promote", revision="4f9d")),
        ("retry:4f9d", Action(verb="retry", revision="4f9d")),
        ("abort", Action(verb="abort")),
        ("abort:4f9d", Action(verb="abort", revision="4f9d")),
        ("pause", Action(verb="pause")),
        ("continue", Action(verb="continue")),
    ],
)
def test_reads_actions(text: str, action: Action) -> None:
    parsed = parse(annotated(action=text))
    assert parsed.action == action
    assert require(parsed).action == action


def test_a_header_alone_is_allowed_and_opens_nothing() -> None:
    assert asked(header="X-Account") == Intent(header="X-Account")


def test_the_steps_may_end_at_100() -> None:
    assert asked(steps="50,100") == Intent(
        steps=(Step(weight=50, seconds=None), Step(weight=100, seconds=None))
    )


def test_looks_at_no_key_of_others_nor_of_the_controller() -> None:
    assert parse(
        {
            "example.com/weight": "many",
            "kubernetes.io/ingress.class": "nginx",
            "serinus.dev": "x",
            names.STATUS: "{",
            names.CHANGED: "\n",
            names.RELEASE: "",
        }
    ) == Parsed(intent=Intent())


# What is refused.


STRAY = ("", " ", "\n", "\x00", "\t5", "5\n", "auto\r\n", "\u0665", "\uff15", "\ud800", "a;b")


@pytest.mark.parametrize("key", names.USER_KEYS)
def test_refuses_stray_text_in_every_key(key: str) -> None:
    taken = [text for text in STRAY if not parse({names.HEADER: "X-Account", key: text}).faults]
    assert taken == (["5\n"] if key == names.HEADER_VALUES else [])


@pytest.mark.parametrize("key", names.USER_KEYS)
@pytest.mark.parametrize(("value", "kind"), [(5, "int"), (None, "NoneType"), (["bob"], "list")])
def test_refuses_what_is_no_string_without_repeating_it(key: str, value: object, kind: str) -> None:
    (fault,) = parse({names.HEADER: "X-Account", key: value}).faults
    assert (fault.key, fault.value) == (key, kind)
    assert f"the value is no string but {kind}: write it in quotes" in fault.message


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"weight": "101"}, "'101' does not fit"),
        ({"weight": "05"}, "'05' does not fit"),
        ({"weight": "5\n"}, r"'5\n' has a control character"),
        ({"weight": "\u0665"}, r"'\u0665' does not fit"),
        ({"weight": "9" * 61}, f"'{'9' * 57}...' does not fit"),
        ({"steps": "5/10m;25"}, "'5/10m;25' does not fit"),
        ({"steps": "5/10m 25"}, "'5/10m 25' does not fit"),
        ({"steps": "5,"}, "'' does not fit"),
        ({"steps": "0/10m, 5"}, "'0/10m' does not fit"),
        ({"steps": "5/0m"}, "'5/0m' does not fit"),
        ({"steps": "5/169h"}, "'169h' does not fit"),
        ({"steps": "5, 5"}, "'5' stands twice"),
        ({"steps": "5/1m, 5/2m"}, "step 5 after 5 does not rise"),
        ({"steps": "100, 50"}, "step 50 after 100 does not rise"),
        ({"steps": ",".join(map(str, range(1, 22)))}, "21 entries are more than 20"),
        ({"header": "Cookie"}, "'Cookie' is denied"),
        ({"header": "X_Account"}, "'X_Account' does not fit"),
        ({"header": "X-Account, X-Other"}, "'X-Account, X-Other' does not fit"),
        ({"cookie": "Beta"}, "'Beta' does not fit"),
        ({"query": "beta"}, "'beta' does not fit"),
        ({"query": "a=1&b=2"}, "'a=1&b=2' does not fit"),
        ({"query": "a=1, a=1"}, "'a=1' stands twice"),
        ({"query": ",".join(f"a={n}" for n in range(17))}, "17 entries are more than 16"),
        ({"replicas": "0"}, "'0' does not fit"),
        ({"replicas": "101%"}, "'101%' does not fit"),
        ({"promotion": "automatic"}, "'automatic' does not fit"),
        ({"promotion": "auto, manual"}, "manual and auto contradict each other"),
        (
            {"promotion": "in-place, auto, shift-then-roll"},
            "shift-then-roll and in-place contradict each other",
        ),
        ({"promotion": "auto, auto"}, "'auto' stands twice"),
        ({"checks": "errors"}, "'errors' does not fit"),
        ({"checks": "latency<=1"}, "'latency<=1' does not fit"),
        ({"checks": "success"}, "'success' needs a threshold: success>=99%"),
        (
            {"checks": "latency<=2x, latency<=3x"},
            "'latency<=3x' asks again what another check asks",
        ),
        ({"ready_deadline": "10"}, "'10' does not fit"),
        ({"ready_deadline": "8d"}, "'8d' does not fit"),
        ({"ready_deadline": "169h"}, "'169h' does not fit"),
        ({"deployment": "other/shop"}, "'other/shop' does not fit"),
        ({"ingresses": "shop, Shop"}, "'Shop' does not fit"),
        ({"ingresses": "shop, shop"}, "'shop' stands twice"),
        ({"accept": "everything"}, "'everything' does not fit"),
        ({"action": "promote"}, "'promote' does not fit"),
        ({"action": "resume"}, "'resume' does not fit"),
        ({"header": "X-Account", "header_suffixes": "04-00"}, "range '04-00' runs backwards"),
        ({"header_values": "alice"}, "it needs serinus.dev/header"),
        ({"header_suffixes": "7"}, "it needs serinus.dev/header"),
        ({"ingresses": "shop,\u00a0other"}, r"'\xa0other' does not fit"),
        ({"query": "a=1,\u00a0b=2"}, r"'\xa0b=2' does not fit"),
        ({"weight": "5" * 16_384}, f"'{'5' * 57}...' does not fit"),
        ({"weight": "5" * 16_385}, "16385 bytes are more than 16384"),
        ({"weight": "\u20ac" * 5_462}, "16386 bytes are more than 16384"),
    ],
)
def test_says_what_is_wrong(values: dict[str, object], said: str) -> None:
    assert problem(**values) == said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (" ,\n", "the list is empty"),
        ("alice, b*b", "account 2 of 2 has punctuation as character 2"),
        ("alice;bob", "account 1 of 1 has punctuation as character 6"),
        ("alice, b\u00f6b", "account 2 of 2 has a non-ASCII character as character 2"),
        ("alice, \u0667", "account 2 of 2 has a non-ASCII character as character 1"),
        ("alice, .bob", "account 2 of 2 begins with punctuation"),
        ("Always", "account 1 of 1 is a word of the proxies ('always', 'never')"),
        ("alice, " + "b" * 65, "account 2 of 2 has 65 characters"),
        ("alice\tbob", "the list has a control character"),
        ("alice\r\nbob", "the list has a control character"),
        ("alice\x00", "the list has a control character"),
        ("alice," * 3_000, "18000 bytes are more than 16384"),
    ],
)
def test_says_what_is_wrong_with_an_account_and_never_repeats_the_list(
    text: str, said: str
) -> None:
    assert problem(header="X-Account", header_values=text) == said
    (fault,) = parse(annotated(header="X-Account", header_values=text)).faults
    assert re.search("alice|b.b", fault.value + fault.message) is None


def test_a_fault_names_the_key_the_value_and_what_is_allowed() -> None:
    assert parse(annotated(weight="101")).faults == (
        Fault(
            key="serinus.dev/weight",
            value="'101'",
            allowed="a whole number from 0 to 100",
            message="serinus.dev/weight: '101' does not fit; allowed: a whole number from 0 to 100",
        ),
    )


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        (names.INGRESSES, "a, a", "'a'"),
        (names.HEADER_SUFFIXES, "7, 04-00", "'7, 04-00'"),
        (names.STEPS, "10, 5", "'5'"),
        (names.STEPS, "5/99999999999h", "'5/99999999999h'"),
        (names.READY_DEADLINE, "8000d", "'8000d'"),
        (names.READY_DEADLINE, "0s", "'0s'"),
        (names.PROMOTION, "manual, auto", "'manual, auto'"),
        (names.CHECKS, "error-rate<=0.5x", "'error-rate<=0.5x'"),
        (names.CHECKS, "error-rate, error-rate", "'error-rate'"),
        (names.CHECKS, "error-rate<=2x, error-rate<=2.0x", "'error-rate<=2.0x'"),
        ("serinus.dev/wieght", "1", ""),
    ],
)
def test_a_fault_shows_the_part_that_is_wrong(key: str, text: str, value: str) -> None:
    (fault,) = parse({names.HEADER: "X-Account", key: text}).faults
    assert (fault.key, fault.value) == (key, value)


def test_a_fault_of_an_unknown_key_lists_the_keys_there_are() -> None:
    (fault,) = parse({"serinus.dev/wieght": "1"}).faults
    assert fault.allowed == ", ".join(key.name.removeprefix(names.PREFIX) for key in intent.KEYS)


def test_as_many_entries_as_are_allowed_fit() -> None:
    several = [f"i{number}" for number in range(intent.ITEMS_LIMIT + 1)]
    found = parse({names.INGRESSES: ", ".join(several[:-1])})
    assert found.intent is not None
    assert found.intent.ingresses == tuple(several[:-1])
    (fault,) = parse({names.INGRESSES: ", ".join(several)}).faults
    assert fault.value == "17 entries"
    pairs = tuple((f"a{number}", "X") for number in range(intent.ITEMS_LIMIT))
    assert asked(query=", ".join(map("=".join, pairs))).query == pairs
    steps = range(1, intent.STEPS_LIMIT + 1)
    assert [step.weight for step in asked(steps=",".join(map(str, steps))).steps] == [*steps]


def test_a_header_that_is_wrong_itself_is_one_fault() -> None:
    parsed = parse(annotated(header="Cookie", header_values="alice", header_suffixes="7"))
    assert [fault.key for fault in parsed.faults] == [names.HEADER]


@pytest.mark.parametrize(
    ("max_accounts", "count", "said"),
    [
        (50, 51, "51 accounts are more than 50 (--max-accounts, up to 500)"),
        (2, 3, "3 accounts are more than 2 (--max-accounts, up to 500)"),
        (9_999, 501, "501 accounts are more than 500 (--max-accounts, up to 500)"),
    ],
)
def test_refuses_more_accounts_than_the_flag_allows(
    max_accounts: int, count: int, said: str
) -> None:
    def listed(number: int) -> dict[str, object]:
        return annotated(
            header="X-Account", header_values=" ".join(f"a{n}" for n in range(number)) + " a0"
        )

    assert parse(listed(count - 1), max_accounts=max_accounts).faults == ()
    (fault,) = parse(listed(count), max_accounts=max_accounts).faults
    assert (fault.key, fault.value) == (names.HEADER_VALUES, f"{count} accounts")
    assert said in fault.message


def test_refuses_accounts_whose_pattern_would_be_too_large() -> None:
    long = ",".join(f"{n:03d}{'.' * 27}" for n in range(200))
    parsed = parse(annotated(header="X-Account", header_values=long), max_accounts=500)
    (fault,) = parsed.faults
    assert (fault.key, fault.value) == (names.HEADER_VALUES, "200 accounts")
    assert "200 accounts make a pattern that is too large" in fault.message


def test_the_endings_make_the_pattern_larger_too() -> None:
    # A pattern of 16,357 characters, with the endings 16,387 of 16,384.
    accounts = ",".join(f"{n:03d}{'.' * 27}" for n in range(146))
    alone = annotated(header="X-Account", header_values=accounts)
    assert parse(alone, max_accounts=500).faults == ()
    (fault,) = parse({**alone, **annotated(header_suffixes="04-05")}, max_accounts=500).faults
    assert fault.value == "146 accounts"


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("wieght", "is not a key; did you mean serinus.dev/weight?"),
        ("Weight", "is not a key; did you mean serinus.dev/weight?"),
        ("header-vlaues", "is not a key; did you mean serinus.dev/header-values?"),
        ("header_values", "is not a key; did you mean serinus.dev/header-values?"),
        ("ready", "is not a key; did you mean serinus.dev/header?"),  # just near enough
        ("", f"is not a key; the keys are {SHORT_KEYS}"),
        ("x" * 300, f"is not a key; the keys are {SHORT_KEYS}"),
        ("weight\n", "is not a key; did you mean serinus.dev/weight?"),
        ("held", "is a label of the controller's, not an annotation"),
        ("track", "is a label of the controller's, not an annotation"),
        ("canary", f"is a label, not an annotation: {ENROL}"),
    ],
)
def test_refuses_an_unknown_key_and_never_repeats_its_value(key: str, said: str) -> None:
    parsed = parse({names.PREFIX + key: "alice, bob", names.WEIGHT: "5"})
    assert parsed.intent is None
    (fault,) = parsed.faults
    assert (fault.key, fault.value) == (names.PREFIX + key, "")
    assert fault.message.endswith(f" {said}")


@pytest.mark.parametrize(
    ("key", "shown"),
    [
        ("serinus.dev/wieght", "serinus.dev/wieght"),
        ("serinus.dev/weight\n", r"'serinus.dev/weight\n'"),
        ("serinus.dev/" + "x" * 300, f"'serinus.dev/{'x' * 45}...'"),
    ],
)
def test_names_the_unknown_key(key: str, shown: str) -> None:
    (fault,) = parse({key: "5"}).faults
    assert fault.message.startswith(f"{shown} is not a key; ")


def test_a_prefix_in_capitals_is_a_typo_too() -> None:
    (fault,) = parse({"Serinus.dev/weight": "5"}).faults
    assert fault.message == "Serinus.dev/weight is not a key; did you mean serinus.dev/weight?"


def test_refuses_annotations_that_are_too_large_together() -> None:
    every = annotated(
        header="X-Account",
        **dict.fromkeys(("cookie", "weight", "steps", "query"), "5" * 16_000),
    )
    assert len(parse(every).faults) == 4
    most = {**every, names.CHECKS: "5" * 1_421}  # 65,536 bytes
    assert len(parse(most).faults) == 5
    every[names.CHECKS] = "5" * 2_000
    fault = parse(every).faults[-1]
    assert fault == Fault(
        key="serinus.dev/*",
        value="66115 bytes",
        allowed="65536 bytes in all annotations together",
        message="serinus.dev/*: 66115 bytes are too many; "
        "allowed: 65536 bytes in all annotations together",
    )


def test_reports_all_faults_at_once_in_a_fixed_order() -> None:
    values = annotated(
        action="explode",
        zzz="",
        header_values="alice",
        canary="enabled",
        weight="101",
        steps="5,4",
    )
    keys = [
        "serinus.dev/canary",
        "serinus.dev/zzz",
        names.WEIGHT,
        names.STEPS,
        names.ACTION,
        names.HEADER_VALUES,
    ]
    assert [fault.key for fault in parse(values).faults] == keys
    assert parse(dict(reversed(values.items()))) == parse(values)


def test_a_valid_weight_and_action_are_known_beside_faults() -> None:
    parsed = parse(annotated(weight="5", action="abort", steps="wrong", wieght="7"))
    assert parsed.intent is None
    assert parsed.weight == 5
    assert parsed.action == Action(verb="abort")


def test_a_wrong_weight_and_a_wrong_action_are_not_known() -> None:
    parsed = parse(annotated(weight="101", action="resume", replicas="3"))
    assert (parsed.intent, parsed.weight, parsed.action) == (None, None, None)


def test_requires_an_intent_or_raises_every_fault() -> None:
    parsed = parse(annotated(weight="101", replicas="0"))
    with pytest.raises(InvalidIntentError) as raised:
        require(parsed)
    assert raised.value.faults == parsed.faults
    assert str(raised.value) == "; ".join(fault.message for fault in parsed.faults)
    assert require(parse({})) == Intent()


keys = st.sampled_from([*names.USER_KEYS, names.STATUS, names.CANARY]) | st.text().map(
    names.PREFIX.__add__
)
strings = st.text(st.characters(exclude_categories=()))  # lone surrogates included
near = st.sampled_from([key.example for key in intent.KEYS])
texts = strings | near | st.builds(str.__add__, near, st.sampled_from(["\n", ",", " ", "\u0665"]))
anything: st.SearchStrategy[Any] = texts | st.none() | st.integers() | st.lists(st.text())


@given(st.dictionaries(keys | strings, anything, max_size=8), st.integers())
def test_never_raises_whatever_is_written(annotations: dict[str, Any], limit: int) -> None:
    parsed = parse(annotations, max_accounts=limit)
    assert (parsed.intent is None) == bool(parsed.faults)
    assert all(fault.message.isascii() for fault in parsed.faults)
    assert all(fault.message.isprintable() for fault in parsed.faults)
    if parsed.intent is not None:
        assert (parsed.intent.weight, parsed.intent.action) == (parsed.weight, parsed.action)
    assert configuration_digest(annotations) == configuration_digest(
        dict(reversed(annotations.items()))
    )


# The digest.


def test_the_digest_speaks_of_the_users_configuration_only() -> None:
    plain = annotated(weight="5", header="X-Account")
    assert configuration_digest(plain) == configuration_digest(
        {
            "example.com/x": "y",
            names.ACTION: "abort",
            names.STATUS: "{}",
            names.CHANGED: "x",
            names.RELEASE: "y",
            **plain,
        }
    )


@pytest.mark.parametrize(
    "other", [{}, annotated(weight="6"), annotated(weight="5", wieght="5"), annotated(steps="5")]
)
def test_another_configuration_has_another_digest(other: dict[str, object]) -> None:
    assert configuration_digest(other) != configuration_digest(annotated(weight="5"))


# The manual.


def test_every_key_of_the_user_is_read_in_the_order_of_the_contract() -> None:
    assert tuple(key.name for key in intent.KEYS) == names.USER_KEYS


@pytest.mark.parametrize("key", intent.KEYS, ids=lambda key: key.name)
def test_every_example_of_the_manual_is_valid(key: intent.Key) -> None:
    assert parse({names.HEADER: "X-Account", key.name: key.example}).faults == ()


def test_the_manual_is_what_the_code_says() -> None:
    assert intent.reference() in MANUAL.read_text(encoding="utf-8"), (
        "docs/annotations.md must hold the text of controller.api.intent.reference()"
    )
