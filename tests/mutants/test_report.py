from collections import Counter

import pytest
import yaml

from tests.mutants import report
from tests.mutants.mutant import Mutant


def mutant(before: str, after: str, name: str = "x_advance__mutmut_1") -> Mutant:
    return Mutant(module="controller.plan.ramp", name=name, before=before, after=after)


RAISED = mutant("if weight > 5:", "if weight >= 5:")
WORDED = mutant('return f"wait for {n} pods"', 'return f"XXwait for {n} podsXX"')


def test_a_mutant_is_named_by_its_place_and_its_change_but_not_by_its_number() -> None:
    assert report.sentence(RAISED) == "plan/ramp.py advance: if weight > 5: => if weight >= 5:"
    method = mutant("return 1", "return 2", name="xǁRampǁ_pin__mutmut_12")
    assert report.sentence(method) == "plan/ramp.py Ramp._pin: return 1 => return 2"


@pytest.mark.parametrize(
    ("before", "after", "is_wording"),
    [
        ('raise ValueError("too many")', 'raise ValueError("TOO MANY")', True),
        ('raise ValueError("too many")', "raise ValueError(None)", True),
        ('say("two words", "reason")', 'say("two words", "REASON")', False),
        ('say("two words", limit)', 'say("XXtwo wordsXX", )', False),
        ('return {"op": "add"}', 'return {"XXopXX": "add"}', False),
        ('item.strip(" ")', "item.strip(None)", False),
    ],
)
def test_only_words_between_quotes_are_wording(before: str, after: str, is_wording: bool) -> None:
    assert mutant(before, after).is_wording is is_wording


def test_what_runs_for_ever_counts_as_noticed_and_what_no_test_calls_as_not() -> None:
    assert report.score({"killed": 6, "timeout": 3, "survived": 2, "untested": 1}) == 75.0
    assert report.score({}) == 100.0


def test_every_survivor_is_told_with_its_reason_or_as_one_without() -> None:
    unknown = mutant("a = 1", "a = None", name="x_advance__mutmut_2")
    verdicts = dict.fromkeys([RAISED.key, unknown.key], "survived")
    known = {report.sentence(RAISED): "equivalent: no weight is 5"}
    assert list(report.survivors([RAISED, unknown], verdicts, known)) == [
        "    1 equivalent: no weight is 5"
    ]
    assert list(report.complaints([RAISED, unknown], verdicts, known)) == [
        "without a reason: survived plan/ramp.py advance: a = 1 => a = None"
    ]


def test_one_reason_may_stand_for_every_change_of_a_line() -> None:
    verdicts = {RAISED.key: "survived"}
    known = {"plan/ramp.py advance: if weight > 5: => *": "equivalent: no weight is 5"}
    assert list(report.survivors([RAISED], verdicts, known)) == ["    1 equivalent: no weight is 5"]
    assert list(report.complaints([RAISED], verdicts, known)) == []


def test_a_reason_for_what_is_killed_or_gone_is_complained_of_where_its_module_was_run() -> None:
    gone, elsewhere = "plan/ramp.py gone: a => b", "plan/rampant.py advance: a => b"
    known = dict.fromkeys([report.sentence(RAISED), gone, elsewhere], "equivalent: x")
    assert list(report.complaints([RAISED], {RAISED.key: "killed"}, known)) == [
        f"needs no reason any more: {report.sentence(RAISED)}",
        f"needs no reason any more: {gone}",
    ]


def test_the_weakest_module_counts() -> None:
    other = Mutant(module="controller.plan.hold", name="x__mutmut_1", before="a", after="b")
    verdicts = {RAISED.key: "killed", other.key: "survived"}
    assert report.weakest([RAISED, other], verdicts) == 0.0
    assert report.weakest([RAISED], verdicts) == 100.0
    assert report.weakest([], {}) == 100.0


def test_the_last_line_has_the_score_and_the_line_before_it_leaves_out_the_words() -> None:
    worded = Mutant(
        module=WORDED.module, name="x_told__mutmut_1", before=WORDED.before, after=WORDED.after
    )
    verdicts = {RAISED.key: "killed", worded.key: "survived"}
    *_, behaviour, closing = report.lines([RAISED, worded], verdicts, {})
    assert behaviour == "1 of them change nothing but words; without these 100.0 %"
    assert closing == "mutants: 2, killed 1, score 50.0 %"


def test_the_reasons_are_a_list_of_sentences_that_each_stand_once() -> None:
    text = report.REASONS.read_text(encoding="utf-8")
    listed = [one for entry in yaml.safe_load(text) for one in entry["mutants"]]
    assert [one for one, count in Counter(listed).items() if count > 1] == []
    assert [one for one in listed if " => " not in one] == []
    assert [it for it in report.reasons(text).values() if ": " not in it] == []


def test_reads_the_reasons() -> None:
    text = "- reason: 'equivalent: x'\n  mutants: ['a => b', 'c => d']\n"
    assert report.reasons(text) == {"a => b": "equivalent: x", "c => d": "equivalent: x"}
    assert report.reasons("[]") == {}
