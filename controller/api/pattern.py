"""The header pattern: written from accounts and endings, and read back (routing.md 5.3, 5.4)."""

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from itertools import takewhile
from typing import Final

from controller.api import grammar

TEXT_LIMIT: Final = 16 * 1024
"""Characters of a pattern; all annotations of an object share 256 KiB."""
BUDGET: Final = 60_000
"""Upper bound of the sum of 2 x bytes + 3; PCRE refuses above 65,535 (routing.md 5.3)."""
SUFFIXES_LIMIT: Final = 16
WIDTH_LIMIT: Final = 4

_HEX: Final = "0123456789abcdef"
_ALPHABET: Final = r"[A-Za-z0-9._~\x40\x2b-]*"
"""What may stand before an ending. Not `.`: that would also match the `, ` of a joined header, and
the last value would decide."""

# Nothing but this is ever written; `{`, `}`, `,` and look-arounds cannot be spelled with it.
_WRITABLE: Final = r"\^[A-Za-z0-9_.~:?|()\[\]*\\-]+\$"

_ACCOUNT: Final = r"(?:[A-Za-z0-9_-]|\\x[0-9a-f]{2})+"
_CLASS: Final = r"(?:[0-9a-f]|\[[0-9a-f](?:[0-9a-f-]*[0-9a-f])\])"
_ONE: Final = rf"{_CLASS}{{1,{WIDTH_LIMIT}}}"
_TAIL: Final = rf"[0-9a-f]*\(\?:{_ONE}(?:\|{_ONE})+\)|{_ONE}"
_WRITTEN: Final = (
    rf"\^(?:(?P<alone>{re.escape(_ALPHABET)}(?:{_TAIL}))"
    rf"|\(\?:(?P<accounts>{_ACCOUNT}(?:\|{_ACCOUNT})*)"
    rf"(?:\|(?P<suffix>{re.escape(_ALPHABET)}(?:{_TAIL})))?\))\$"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Suffix:
    """A range of endings, both ends included; `7` alone is first == last.

    Attributes:
        first, last: 1 to 4 digits or lower-case hex digits, of one width.
    """

    first: str
    last: str

    def __str__(self) -> str:
        return self.first if self.first == self.last else f"{self.first}-{self.last}"


def parse_suffixes(text: str) -> tuple[Suffix, ...]:
    """Read a list of endings and ranges such as `7, 00-04`; widths may be mixed.

    A list with a letter anywhere is a list of hex endings.

    Raises:
        ValueError: saying what is wrong; meant to be shown to the user.
    """
    items = [item.strip(" ") for item in text.split(",")]
    if len(items) > SUFFIXES_LIMIT:
        raise ValueError(f"{len(items)} entries are more than {SUFFIXES_LIMIT}")
    suffixes = tuple(_suffix(item) for item in items)
    if _base(suffixes) == 16:
        for suffix in suffixes:
            _refuse_two_meanings(suffix)
    return suffixes


def _suffix(item: str) -> Suffix:
    if not grammar.ENDING.fits(item):
        raise ValueError(f"entry {grammar.shown(item)} does not fit")
    first, _, last = item.partition("-")
    last = last or first
    if len(first) != len(last):
        raise ValueError(f"range {item!r} has two widths")
    if first > last:
        raise ValueError(f"range {item!r} runs backwards")
    return Suffix(first=first, last=last)


def _refuse_two_meanings(suffix: Suffix) -> None:
    """Refuse 00-24 in a list of hex endings: 25 of them to a reader of decimals, 37 in hex."""
    if not suffix.first.isdecimal() or not suffix.last.isdecimal():
        return
    decimal, hexadecimal = _count(suffix, 10), _count(suffix, 16)
    if decimal != hexadecimal:
        raise ValueError(
            f"range '{suffix}' beside hex endings could mean {decimal} or {hexadecimal} endings"
        )


def _count(suffix: Suffix, base: int) -> int:
    return int(suffix.last, base) - int(suffix.first, base) + 1


def _base(suffixes: Iterable[Suffix]) -> int:
    text = "".join(suffix.first + suffix.last for suffix in suffixes)
    return 10 if text.isdecimal() or not text else 16


def share_of(suffixes: Sequence[Suffix]) -> Fraction:
    """Return the share of uniformly spread ids that end so, overlaps counted once.

    Worked example: `7, 00-04` is 10 of 100 endings and 5 more, and none of the 5 ends in 7: 15 %.
    `7, 00-09` is 10 and 10 with 07 in both: 19 %.
    """
    base = _base(suffixes)
    reached = bytearray(1)
    for width in range(1, WIDTH_LIMIT + 1):
        reached *= base  # every ending of one digit less, once behind each new first digit
        for suffix in suffixes:
            if len(suffix.first) == width:
                start, count = int(suffix.first, base), _count(suffix, base)
                reached[start : start + count] = b"\x01" * count
    return Fraction(sum(reached), len(reached))


def pattern_of(accounts: Collection[str], suffixes: Sequence[Suffix]) -> str:
    """Return the pattern that matches exactly the accounts and whatever ends in a suffix.

    The same set always gives the same text.

    Args:
        accounts: each of the form `grammar.ACCOUNT`; order and duplicates do not matter.
        suffixes: as `parse_suffixes` returns them.

    Raises:
        ValueError: there is neither an account nor a suffix: that would match the empty header.
    """
    return composed(accounts, suffix_text(suffixes))


def composed(accounts: Collection[str], suffix: str) -> str:
    """Return the pattern of the accounts and of a suffix alternative as `suffix_text` writes it.

    Raises:
        ValueError: there is neither.
    """
    if not accounts and not suffix:
        raise ValueError("a pattern needs an account or a suffix: it would match the empty header")
    if not accounts:
        return f"^{suffix}$"
    alternatives = [_escaped(account) for account in sorted(set(accounts))]
    return f"^(?:{'|'.join([*alternatives, suffix] if suffix else alternatives)})$"


def _escaped(account: str) -> str:
    return "".join([_LITERAL[byte] for byte in account.encode()])


_LITERAL: Final = tuple(
    chr(byte) if re.fullmatch(r"[A-Za-z0-9_-]", chr(byte), re.ASCII) else f"\\x{byte:02x}"
    for byte in range(256)
)
"""What stands in a pattern for each byte."""


def suffix_text(suffixes: Sequence[Suffix]) -> str:
    """Return the alternative of the pattern for the suffixes, "" for none.

    How the endings were written does not matter: `0-4` and `3-4, 0-2, 1` have one text.
    """
    if not suffixes:
        return ""
    base = _base(suffixes)
    runs = [run for ends in _merged(suffixes, base) for run in _runs(*ends, base)]
    if len(runs) == 1:
        return _ALPHABET + _classes(*runs[0])
    ends = [end for run in runs for end in run]
    start = min(_common(ends), min(map(len, ends)) - 1)
    texts = [_classes(first[start:], last[start:]) for first, last in runs]
    return f"{_ALPHABET}{ends[0][:start]}(?:{'|'.join(texts)})"


def _merged(suffixes: Sequence[Suffix], base: int) -> Iterator[tuple[str, str]]:
    """Yield the ranges of each width without overlaps and without neighbours, in order."""
    for width in range(1, WIDTH_LIMIT + 1):
        merged: list[tuple[int, int]] = []
        for low, high in sorted(
            (int(suffix.first, base), int(suffix.last, base))
            for suffix in suffixes
            if len(suffix.first) == width
        ):
            if merged and low <= merged[-1][1] + 1:
                start, end = merged.pop()
                merged.append((start, max(end, high)))
            else:
                merged.append((low, high))
        for low, high in merged:
            yield _digits(low, width, base), _digits(high, width, base)


def _common(texts: Sequence[str]) -> int:
    """Count the characters that all texts begin with."""
    columns = zip(*texts, strict=False)
    return sum(1 for _ in takewhile(lambda column: len(set(column)) == 1, columns))


def _digits(number: int, width: int, base: int) -> str:
    return f"{number:0{width}{'d' if base == 10 else 'x'}}"


def _runs(first: str, last: str, base: int) -> Iterator[tuple[str, str]]:
    """Split a range into runs that one class for each digit can say.

    Worked example: 00-24 is 00-19 (`[01][0-9]`) and 20-24 (`2[0-4]`).
    """
    width = len(first)
    # Behind the first digit in which the ends differ, a run goes from all 0 to all 9 (or f).
    block = base ** (width - 1 - min(_common([first, last]), width - 1))
    low, high = int(first, base), int(last, base)
    if low % block:
        cut = low - low % block + block
    elif (high + 1) % block:
        cut = high - high % block
    else:
        yield first, last
        return
    yield from _runs(first, _digits(cut - 1, width, base), base)
    yield from _runs(_digits(cut, width, base), last, base)


def _classes(first: str, last: str) -> str:
    return "".join(_class(*ends) for ends in zip(first, last, strict=True))


def _class(first: str, last: str) -> str:
    members = _HEX[_HEX.index(first) : _HEX.index(last) + 1]
    if len(members) == 1:
        return members
    parts = "".join(filter(str.isdecimal, members)), "".join(filter(str.isalpha, members))
    return f"[{''.join(p if len(p) < 3 else f'{p[0]}-{p[-1]}' for p in parts)}]"


@lru_cache(maxsize=2048)
def decode(pattern: str) -> tuple[frozenset[str], str] | None:
    """Read a pattern back: its accounts, and its suffix alternative as `suffix_text` writes it.

    None where `pattern_of` could not have written it: not ours, or changed by another hand.
    """
    match = re.fullmatch(_WRITTEN, pattern, re.ASCII) if is_writable(pattern) else None
    if match is None:
        return None
    accounts = frozenset(map(_unescaped, (match["accounts"] or "").split("|"))) - {""}
    suffix = match["alone"] or match["suffix"] or ""
    suffixes = suffixes_of(suffix)
    if not all(map(grammar.ACCOUNT.fits, accounts)):
        return None
    if any(entry.first > entry.last or len(entry.first) > WIDTH_LIMIT for entry in suffixes):
        return None
    return (accounts, suffix) if pattern_of(accounts, suffixes) == pattern else None


def _unescaped(text: str) -> str:
    return re.sub(r"\\x(..)", lambda match: chr(int(match[1], 16)), text)


def suffixes_of(text: str) -> tuple[Suffix, ...]:
    """Return the suffixes that an alternative stands for: same text, same share.

    Args:
        text: what `suffix_text` or `decode` returned.
    """
    common, _, group = text.removeprefix(_ALPHABET).rpartition("(?:")
    runs = (re.findall(_CLASS, common + run) for run in group.split("|") if run)
    return tuple(Suffix(first=_end(run, 0), last=_end(run, -1)) for run in runs)


def _end(run: Sequence[str], side: int) -> str:
    return "".join(part.strip("[]")[side] for part in run)


def is_writable(pattern: str) -> bool:
    """Tell whether a pattern keeps to the characters and the length that we ever write.

    The last check before a write: other characters are emptied by the proxy, and an emptied
    pattern lets outsiders in (routing.md 1.2).
    """
    return len(pattern) <= TEXT_LIMIT and re.fullmatch(_WRITABLE, pattern, re.ASCII) is not None


def compiles(pattern: str) -> bool:
    """Tell whether the proxy can load the pattern: ours, and within the size budget.

    Too large is silent on ingress-nginx: every listed account would get stable.
    """
    decoded = decode(pattern)
    return decoded is not None and _budget(*decoded) <= BUDGET


def _budget(accounts: Collection[str], suffix: str) -> int:
    """Bound the compiled size from above: an escaped byte costs what a plain one does.

    A class is a bitmap of 32 bytes with its opcode.
    """
    return sum(2 * len(account) + 3 for account in accounts) + len(suffix) + 40 * suffix.count("[")


def is_single_value(accounts: Collection[str], suffixes: Sequence[Suffix]) -> bool:
    """Tell whether a plain header value says it all: one account, no suffix, safe characters."""
    values = set(accounts)
    return len(values) == 1 and not suffixes and all(map(grammar.HEADER_VALUE.fits, values))
