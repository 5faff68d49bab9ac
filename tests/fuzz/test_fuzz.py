"""A slice of `make fuzz`: few examples, always the same."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import run_state_machine_as_test

from tests.fuzz import contract, engines, values, written
from tests.fuzz.machine import Contract

SLICE = settings(max_examples=60, derandomize=True)


@SLICE
@given(values.annotations(), st.integers(0, 100))
def test_whatever_is_asked_for_only_known_characters_are_written(
    annotations: dict[str, str], weight: int
) -> None:
    assert contract.flaws(annotations, weight) == []


@SLICE
@given(values.doors())
def test_a_pattern_is_its_list_to_every_engine(asked: dict[str, str]) -> None:
    assert contract.door_flaws(asked) == []


@SLICE
@given(st.one_of(st.text(), st.from_regex(written.FORMS[written.PATTERN], fullmatch=True)))
def test_no_text_is_taken_for_a_pattern_that_would_be_written_otherwise(text: str) -> None:
    assert contract.pattern_flaws(text) == []


def test_a_person_at_random_harms_nobody() -> None:
    few = settings(max_examples=4, stateful_step_count=12, derandomize=True)
    run_state_machine_as_test(Contract, settings=few)


# The judges would notice.

GOOD = {
    "nginx.ingress.kubernetes.io/canary": "true",
    "nginx.ingress.kubernetes.io/canary-weight": "5",
    "nginx.ingress.kubernetes.io/canary-by-cookie": "serinus-x",
}


@pytest.mark.parametrize(
    ("change", "flaw"),
    [
        ({"canary": "false"}, "canary: 'false'"),
        ({"canary-weight": "101"}, "canary-weight: '101'"),
        ({"canary-weight": "5\n"}, "canary-weight: '5\\n'"),
        ({"canary-weight-total": "100"}, "canary-weight-total: '100'"),
        ({"canary-by-cookie": "Beta"}, "canary-by-cookie: 'Beta'"),
        (
            {"canary-by-header": "X-Account"},
            "a header without value or pattern, or one of them without a header",
        ),
        (
            {"canary-by-header": "X-Account", "canary-by-header-pattern": "^(?:a{2})$"},
            "canary-by-header-pattern: '^(?:a{2})$'",
        ),
        (
            {"canary-by-header": "X-Account", "canary-by-header-value": "always"},
            "a word of the proxy as value",
        ),
    ],
)
def test_the_judge_of_what_is_written_sees(change: dict[str, str], flaw: str) -> None:
    changed = {f"{written.PREFIX}{key}": value for key, value in change.items()}
    assert written.faults_of({**GOOD, **changed}) == [flaw]


def test_the_judge_of_what_is_written_lets_the_rest_pass() -> None:
    assert written.faults_of({**GOOD, "serinus.dev/changed": "{}"}) == []
    assert written.faults_of({**GOOD, "example.com/x": ""}) == ["the key 'example.com/x'"]
    assert written.faults_of({}) == ["no canary", "no canary-by-cookie", "no canary-weight"]


@pytest.mark.parametrize("text", ["mia", "^mia$|x", "^(?:mi.)$", "^(?i:mia)$", "^(?:mia)"])
def test_the_judge_of_patterns_sees(text: str) -> None:
    assert engines.faults_of(text, ["mia", "mi.a"], ()) != []
