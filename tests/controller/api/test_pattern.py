import re
from collections.abc import Callable, Sequence
from fractions import Fraction

import pcre2
import pytest
import re2
from hypothesis import example, given, settings
from hypothesis import strategies as st

from controller.api import grammar, pattern
from controller.api.pattern import (
    Suffix,
    composed,
    decode,
    parse_suffixes,
    pattern_of,
    share_of,
    suffix_text,
    suffixes_of,
)

ALPHABET = r"[A-Za-z0-9._~\x40\x2b-]*"
ID_CHARACTERS = re.compile(r"[A-Za-z0-9._~@+-]*", re.ASCII)

ENGINES: tuple[Callable[[str], Callable[[str], object]], ...] = (
    lambda text: pcre2.compile(text).search,
    lambda text: re2.compile(text).search,
    lambda text: re.compile(text).search,
)


def found(text: str, values: Sequence[str]) -> list[list[bool]]:
    searches = [compiled(text) for compiled in ENGINES]
    return [[search(value) is not None for search in searches] for value in values]


def ends_so(value: str, suffixes: Sequence[Suffix]) -> bool:
    """The rule as a person would say it, digit by digit."""
    letters = any(end.isalpha() for s in suffixes for end in s.first + s.last)
    digits = "0123456789abcdef" if letters else "0123456789"
    for suffix in suffixes:
        tail = value[-len(suffix.first) :]
        spelled = len(tail) == len(suffix.first) and set(tail) <= set(digits)
        if spelled and suffix.first <= tail <= suffix.last:
            return ID_CHARACTERS.fullmatch(value) is not None
    return False


PROFILE = settings(max_examples=40, deadline=None)

accounts = st.builds(
    str.__add__, st.sampled_from("aZ09"), st.text("amM0-9._~@+", max_size=5)
).filter(grammar.ACCOUNT.fits)
account_lists = st.lists(accounts, max_size=5)


@st.composite
def suffix_lists(draw: st.DrawFn) -> tuple[Suffix, ...]:
    digits = draw(st.sampled_from(["0123456789", "0123456789abcdef"]))
    suffixes = []
    for width in draw(st.lists(st.integers(1, 4), max_size=6)):
        ends = st.text(digits, min_size=width, max_size=width)
        first, last = sorted((draw(ends), draw(ends)))
        suffixes.append(Suffix(first=first, last=last))
    return tuple(suffixes)


# What is written.


@pytest.mark.parametrize(
    ("members", "endings", "text"),
    [
        (["mia"], None, "^(?:mia)$"),
        (["Mia"], None, "^(?:Mia)$"),
        (["tom.k", "mia"], None, r"^(?:mia|tom\x2ek)$"),
        (["mia", "mia"], None, "^(?:mia)$"),
        (["a@b+c~d"], None, r"^(?:a\x40b\x2bc\x7ed)$"),
        (["a_b-c"], None, "^(?:a_b-c)$"),
        ([], "7", f"^{ALPHABET}7$"),
        ([], "00-04", f"^{ALPHABET}0[0-4]$"),
        ([], "0-9", f"^{ALPHABET}[0-9]$"),
        ([], "00-24", f"^{ALPHABET}(?:[01][0-9]|2[0-4])$"),
        ([], "7, 00-04", f"^{ALPHABET}(?:7|0[0-4])$"),
        ([], "0, 00-04", f"^{ALPHABET}(?:0|0[0-4])$"),
        (
            [],
            "0000-1233",
            f"^{ALPHABET}(?:0[0-9][0-9][0-9]|1[01][0-9][0-9]|12[0-2][0-9]|123[0-3])$",
        ),
        ([], "100-124", f"^{ALPHABET}1(?:[01][0-9]|2[0-4])$"),
        ([], "8-b", f"^{ALPHABET}[89ab]$"),
        ([], "00-ff", f"^{ALPHABET}[0-9a-f][0-9a-f]$"),
        ([], "08-1f", f"^{ALPHABET}(?:0[89a-f]|1[0-9a-f])$"),
        (["mia"], "00-04", rf"^(?:mia|{ALPHABET}0[0-4])$"),
    ],
)
def test_writes_the_pattern(members: list[str], endings: str | None, text: str) -> None:
    suffixes = parse_suffixes(endings) if endings else ()
    assert pattern_of(members, suffixes) == text


def test_the_empty_set_has_no_pattern_because_it_would_match_the_empty_header() -> None:
    with pytest.raises(ValueError, match="an account or a suffix"):
        pattern_of([], ())


@pytest.mark.parametrize(
    "same", ["0-4", "0, 1, 2, 3, 4", "3-4, 0-2", "0-3, 1-4", "0-4, 2-3", "4, 0-4, 0-1"]
)
def test_one_set_of_endings_has_one_text_however_it_is_written(same: str) -> None:
    assert suffix_text(parse_suffixes(same)) == f"{ALPHABET}[0-4]"


def test_five_of_a_hundred_endings_are_exactly_500_of_ten_thousand_ids() -> None:
    ids = [f"{number:04d}" for number in range(10_000)]
    text = pattern_of([], parse_suffixes("00-04"))
    for compiled in ENGINES:
        search = compiled(text)
        assert [i for i in ids if search(i)] == [i for i in ids if int(i) % 100 <= 4]
        assert sum(1 for i in ids if search(i)) == 500


@pytest.mark.parametrize(
    ("value", "canary"),
    [
        ("88104", True),
        ("88114", False),
        ("4", False),
        ("04", True),
        ("", False),
        ("88199, 88104", False),
        ("always", False),
        ("mia", True),
        ("Mia", False),
        ("mia ", False),
        ("xmia", False),
        ("mia, mia", False),
        ("a@b+c~d.04", True),
        ("a/04", False),
        ("\u066004", False),
    ],
)
def test_decides_as_the_truth_table_says(value: str, canary: bool) -> None:
    text = pattern_of(["mia"], parse_suffixes("00-04"))
    assert found(text, [value]) == [[canary] * 3]


@PROFILE
@given(account_lists, suffix_lists(), st.data())
def test_matches_exactly_the_list_and_the_endings_in_all_engines(
    members: list[str], suffixes: tuple[Suffix, ...], data: st.DataObject
) -> None:
    if not members and not suffixes:
        return
    text = pattern_of(members, suffixes)
    strange = st.text(st.characters(max_codepoint=0x7F, exclude_characters="\n"), max_size=6)
    ends = [end for suffix in suffixes for end in (suffix.first, suffix.last)]
    tails = st.builds(str.__add__, strange, st.sampled_from([*ends, "0", "7f", ""]))
    near = st.builds(
        lambda account, extra, at: account[:at] + extra + account[at:],
        st.sampled_from([*members, "x"]),
        strange,
        st.integers(0, 8),
    )
    digits = st.text("0123456789abcdef", max_size=5)
    values = [*members, *ends, *data.draw(st.lists(strange | tails | near | digits, max_size=20))]
    # `$` matches before a last newline in PCRE and Python, not in RE2; no header can carry one.
    values = [value for value in values if not value.endswith("\n")]
    wanted = [value in members or ends_so(value, suffixes) for value in values]
    assert found(text, values) == [[one] * 3 for one in wanted]


@PROFILE
@given(suffix_lists())
def test_matches_exactly_the_endings_of_every_width(suffixes: tuple[Suffix, ...]) -> None:
    if not suffixes:
        return
    values = [f"{number:x}".zfill(3) for number in range(0, 4096, 13)]
    values += [f"{number:05d}" for number in range(0, 100_000, 1_777)]
    search = re2.compile(pattern_of([], suffixes)).search
    assert [v for v in values if search(v)] == [v for v in values if ends_so(v, suffixes)]


# What is read back.


@PROFILE
@given(account_lists, suffix_lists())
def test_reads_back_what_it_wrote(members: list[str], suffixes: tuple[Suffix, ...]) -> None:
    if members or suffixes:
        text = pattern_of(members, suffixes)
        assert decode(text) == (frozenset(members), suffix_text(suffixes))


@PROFILE
@given(suffix_lists())
def test_reads_back_endings_of_the_same_text_and_share(suffixes: tuple[Suffix, ...]) -> None:
    read = suffixes_of(suffix_text(suffixes))
    assert suffix_text(read) == suffix_text(suffixes)
    assert share_of(read) == share_of(suffixes)


@PROFILE
@given(account_lists, suffix_lists(), st.data())
def test_never_reads_what_it_could_not_have_written(
    members: list[str], suffixes: tuple[Suffix, ...], data: st.DataObject
) -> None:
    if not members and not suffixes:
        return
    text = pattern_of(members, suffixes)
    at = data.draw(st.integers(0, len(text)))
    cut = data.draw(st.integers(0, 3))
    changed = text[:at] + data.draw(st.text(r"^$()|[]?:*-\x0123af", max_size=4)) + text[at + cut :]
    read = decode(changed)
    if read is not None:
        assert composed(*read) == changed


@given(st.text())
@example("^(?:)$")
@example("^$")
def test_reads_any_text_without_failing(text: str) -> None:
    assert decode(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "mia",
        "^mia$",
        "^(?:mia)$\n",
        "^(?:tom|mia)$",
        "^(?:mia|mia)$",
        "^(?:mia|)$",
        "^(?:m.a)$",
        r"^(?:\x6dia)$",
        r"^(?:tom\x2Ek)$",
        r"^(?:tom\xffk)$",
        "^(?:always)$",
        "^(?:mia)$|.*",
        "^(?:-mia)$",
        "^.*0[0-4]$",
        f"^{ALPHABET}$",
        f"^(?:{ALPHABET}7)$",
        f"^(?:{ALPHABET}7|mia)$",
        f"^{ALPHABET}(?:7)$",
        f"^{ALPHABET}[7]$",
        f"^{ALPHABET}[4-0]$",
        f"^{ALPHABET}[013]$",
        f"^{ALPHABET}[-]$",
        f"^{ALPHABET}(?:7|[0-4])$",
        f"^{ALPHABET}(?:0[0-4]|7)$",
        f"^{ALPHABET}(?:00|01)$",
        f"^{ALPHABET}(?:[0-2][0-9]|a0)$",
        f"^{ALPHABET}00000$",
        f"^{ALPHABET}0(?:0000|0001)$",
    ],
)
def test_does_not_take_another_hand_for_its_own(text: str) -> None:
    assert decode(text) is None
    assert not pattern.compiles(text)


# The last checks before a write.


@PROFILE
@given(account_lists, suffix_lists())
def test_writes_nothing_outside_the_fixed_characters(
    members: list[str], suffixes: tuple[Suffix, ...]
) -> None:
    if members or suffixes:
        text = pattern_of(members, suffixes)
        assert set(text) <= set(
            "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/-._~:^$[]()*+?|&=\\"
        )
        assert pattern.is_writable(text)
        assert pattern.compiles(text)


@pytest.mark.parametrize("text", ["", "^$", "mia", "^a{2}$", "^a,b$", "^a$\n", "^a b$", "^\u00e9$"])
def test_refuses_to_write_other_characters(text: str) -> None:
    assert not pattern.is_writable(text)


def test_a_pattern_ends_at_16_kib() -> None:
    assert pattern.is_writable(f"^{'a' * (16 * 1024 - 2)}$")
    assert not pattern.is_writable(f"^{'a' * (16 * 1024 - 1)}$")


def test_every_pattern_within_the_limits_compiles_in_pcre2() -> None:
    ranges = ", ".join(f"{n:x}001-{n:x}ffe" for n in range(16))
    text = pattern_of([f"{n:04d}" for n in range(2_000)], parse_suffixes(ranges))
    assert len(text) > 11_000
    assert pattern.compiles(text)
    pcre2.compile(text)


def test_a_pattern_over_the_budget_does_not_compile(monkeypatch: pytest.MonkeyPatch) -> None:
    text = pattern_of(["mia", "tom"], parse_suffixes("00-04"))
    needed = 2 * (2 * 3 + 3) + len(suffix_text(parse_suffixes("00-04"))) + 2 * 40
    monkeypatch.setattr(pattern, "BUDGET", needed)
    assert pattern.compiles(text)
    monkeypatch.setattr(pattern, "BUDGET", needed - 1)
    assert not pattern.compiles(text)


@pytest.mark.parametrize(
    ("members", "endings", "single"),
    [
        (["mia"], None, True),
        (["mia", "mia"], None, True),
        (["tom.k~x_y-z"], None, True),
        (["a@b"], None, False),
        (["a+b"], None, False),
        (["mia", "tom"], None, False),
        ([], None, False),
        (["mia"], "7", False),
        ([], "7", False),
    ],
)
def test_a_plain_value_does_for_one_account_of_safe_characters(
    members: list[str], endings: str | None, single: bool
) -> None:
    suffixes = parse_suffixes(endings) if endings else ()
    assert pattern.is_single_value(members, suffixes) is single


# What users write.


@pytest.mark.parametrize(
    ("text", "suffixes"),
    [
        ("7", [("7", "7")]),
        ("7, 00-04", [("7", "7"), ("00", "04")]),
        ("7,00-04", [("7", "7"), ("00", "04")]),
        ("00-0f, a0", [("00", "0f"), ("a0", "a0")]),
        ("00-09, a0", [("00", "09"), ("a0", "a0")]),
        ("20, a0", [("20", "20"), ("a0", "a0")]),
        ("0-9, a", [("0", "9"), ("a", "a")]),
        ("0000-9999", [("0000", "9999")]),
    ],
)
def test_reads_endings_and_ranges(text: str, suffixes: list[tuple[str, str]]) -> None:
    read = parse_suffixes(text)
    assert read == tuple(Suffix(first=first, last=last) for first, last in suffixes)
    assert parse_suffixes(", ".join(map(str, read))) == read
    assert {str(suffix) for suffix in read} <= set(text.replace(" ", "").split(","))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "entry '' does not fit"),
        ("7,", "entry '' does not fit"),
        ("7 8", "entry '7 8' does not fit"),
        ("7;8", "entry '7;8' does not fit"),
        ("7\n", r"entry '7\n' does not fit"),
        ("FF", "entry 'FF' does not fit"),
        ("X7", "entry 'X7' does not fit"),
        ("\u0667", r"entry '\u0667' does not fit"),
        ("00000", "entry '00000' does not fit"),
        ("0 - 4", "entry '0 - 4' does not fit"),
        ("0-04", "range '0-04' has two widths"),
        ("04-00", "range '04-00' runs backwards"),
        ("00-24, a0", "range '00-24' beside hex endings could mean 25 or 37 endings"),
        (",".join("0" * 17), "17 entries are more than 16"),
    ],
)
def test_says_what_is_wrong_with_endings(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=re.escape(problem)):
        parse_suffixes(text)


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("7", Fraction(10, 100)),
        ("00-04", Fraction(5, 100)),
        ("7, 00-04", Fraction(15, 100)),
        ("7, 00-09", Fraction(19, 100)),
        ("00-04, 02-06", Fraction(7, 100)),
        ("7, 7", Fraction(10, 100)),
        ("0-9", Fraction(1)),
        ("0-9, 1234", Fraction(1)),
        ("0000", Fraction(1, 10_000)),
        ("00-0f", Fraction(16, 256)),
        ("f, 0f", Fraction(1, 16)),
        ("20, a0", Fraction(2, 256)),
    ],
)
def test_counts_the_share_with_overlaps_once(text: str, share: Fraction) -> None:
    assert share_of(parse_suffixes(text)) == share


def test_no_suffix_is_no_share_and_no_text() -> None:
    assert share_of(()) == 0
    assert suffix_text(()) == ""


@PROFILE
@given(suffix_lists())
def test_the_share_is_the_part_of_all_ids_that_match(suffixes: tuple[Suffix, ...]) -> None:
    short = tuple(suffix for suffix in suffixes if len(suffix.first) <= 3)
    letters = any(end.isalpha() for s in short for end in s.first + s.last)
    base, spelled = (16, "03x") if letters else (10, "03d")
    ids = [format(number, spelled) for number in range(base**3)]
    assert share_of(short) == Fraction(sum(ends_so(i, short) for i in ids), len(ids))
