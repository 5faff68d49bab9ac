"""One pattern, three engines, and the rule as a person would say it."""

import re
from collections.abc import Collection, Iterator, Sequence
from functools import lru_cache
from typing import Any

import pcre2
import re2

from controller.api.pattern import Suffix

ID = re.compile(r"[A-Za-z0-9._~@+-]*", re.ASCII)


@lru_cache(maxsize=64)
def _compiled(text: str) -> tuple[Any, Any, Any]:
    return pcre2.compile(text), re2.compile(text), re.compile(text)


def matches(text: str, value: str) -> set[bool]:
    """Return what PCRE2, RE2 and Python say; one element where they agree."""
    return {engine.search(value) is not None for engine in _compiled(text)}


def belongs(value: str, accounts: Collection[str], suffixes: Sequence[Suffix]) -> bool:
    """Tell whether a header value is in the list, or ends so."""
    return value in accounts or _ends_so(value, suffixes)


def _ends_so(value: str, suffixes: Sequence[Suffix]) -> bool:
    letters = any(end.isalpha() for it in suffixes for end in it.first + it.last)
    digits = "0123456789abcdef" if letters else "0123456789"
    tails = [(value[-len(it.first) :], it) for it in suffixes]
    return ID.fullmatch(value) is not None and any(
        len(tail) == len(it.first) and set(tail) <= set(digits) and it.first <= tail <= it.last
        for tail, it in tails
    )


def probes(accounts: Collection[str], suffixes: Sequence[Suffix]) -> Iterator[str]:
    """Yield header values at the edge of a list: its members, their neighbours, and strangers."""
    yield from ("", "always", "never", "zoe", "0", "00", "ff", "a, b", "x" * 300)
    for account in sorted(accounts)[:12]:
        yield from (account, account.swapcase(), account[:-1], account + "x", "x" + account)
        yield from (f"{account}, {account}", f" {account}", f"{account} ", account.upper())
        yield account.replace(".", "x").replace("@", "x").replace("+", "")
    for suffix in suffixes[:6]:
        for end in (suffix.first, suffix.last, _next(suffix.last), suffix.first[1:]):
            yield from (end, f"77{end}", f"a.b@c+d~{end}", f"{end}g", f"77{end}, 1", f"/{end}")


def _next(end: str) -> str:
    return f"{int(end, 16) + 1:0{len(end)}x}"[-len(end) :]


def faults_of(text: str, accounts: Collection[str], suffixes: Sequence[Suffix]) -> list[str]:
    """Return the probes about which the engines and the list do not agree."""
    return [
        f"{value[:80]!r}: {sorted(found)}, not {wanted}"
        for value in probes(accounts, suffixes)
        if (found := matches(text, value)) != {wanted := belongs(value, accounts, suffixes)}
    ]
