"""Annotations as people and tools write them: valid, at the edge, wrong, and against each other."""

import string
from collections.abc import Mapping

from hypothesis import strategies as st

from controller.api import names

MARK = "Zq7"
"""Stands in every account here: nowhere but in a canary Ingress may it turn up."""

_ID = string.ascii_letters + string.digits
_WEIGHTS = st.integers(0, 100).map(str)
_DURATIONS = st.builds("{}{}".format, st.integers(1, 90), st.sampled_from("smh"))
_REVISIONS = st.text(string.ascii_lowercase + string.digits, min_size=1, max_size=12)
_OBJECTS = st.sampled_from(["myapp", "other", "a", "a" * 63, "0-0"])
_SEPARATORS = st.sampled_from([",", ", ", " , ", ",,"])


def _joined(items: st.SearchStrategy[str], most: int) -> st.SearchStrategy[str]:
    return st.builds(str.join, _SEPARATORS, st.lists(items, min_size=1, max_size=most))


accounts = st.builds(str.__add__, st.just(MARK), st.text(_ID + "._~@+-", max_size=61))
"""Every account is one, whatever follows the mark."""


@st.composite
def suffixes(draw: st.DrawFn) -> str:
    """Draw endings and ranges, nearly all of which are some; `00-24` beside letters is not."""
    digits = draw(st.sampled_from(["0123456789", "0123456789abcdef"]))
    found = []
    for width in draw(st.lists(st.integers(1, 4), min_size=1, max_size=6)):
        ends = st.text(digits, min_size=width, max_size=width)
        first, last = sorted((draw(ends), draw(ends)))
        found.append(draw(st.sampled_from([first, f"{first}-{last}"])))
    return draw(st.sampled_from([",", ", "])).join(found)


_STEPS = st.lists(st.integers(1, 100), min_size=1, max_size=6, unique=True).flatmap(
    lambda weights: st.lists(
        st.one_of(st.just(""), _DURATIONS.map("/".__add__)),
        min_size=len(weights),
        max_size=len(weights),
    ).map(
        lambda ends: ", ".join(
            f"{weight}{end}" for weight, end in zip(sorted(weights), ends, strict=True)
        )
    )
)

GOOD: Mapping[str, st.SearchStrategy[str]] = {
    names.WEIGHT: _WEIGHTS,
    names.STEPS: _STEPS,
    names.HEADER: st.sampled_from(["X-Account", "X-User", "A", "x" * 63]),
    names.HEADER_VALUES: st.builds(
        str.join,
        st.sampled_from([", ", " ", "\n", ",\n"]),
        st.lists(accounts, min_size=1, max_size=8),
    ),
    names.HEADER_SUFFIXES: suffixes(),
    names.COOKIE: st.text(string.ascii_lowercase + string.digits + "_-", min_size=1, max_size=64),
    names.QUERY: _joined(st.just("beta=1"), 1),
    names.REPLICAS: st.one_of(
        st.just("auto"), st.integers(1, 9).map(str), st.integers(1, 100).map("{}%".format)
    ),
    names.PROMOTION: st.sampled_from(
        [
            "manual",
            "auto",
            "in-place",
            "shift-then-roll",
            "auto, in-place",
            "manual,shift-then-roll",
        ]
    ),
    names.CHECKS: st.sampled_from(["error-rate", "latency<=1.5x", "restarts", "success>=99%"]),
    names.READY_DEADLINE: _DURATIONS,
    names.DEPLOYMENT: _OBJECTS,
    names.INGRESSES: _joined(_OBJECTS, 2),
    names.ACCEPT: st.sampled_from(["affinity", "recreate", "affinity, recreate"]),
    names.ACTION: st.one_of(
        st.sampled_from(["abort", "pause", "continue"]),
        st.builds("{}:{}".format, st.sampled_from(["promote", "retry", "abort"]), _REVISIONS),
    ),
}
"""What fits each key, or nearly always does."""

ODD = st.sampled_from(
    [
        "", " ", "\n", "0", "00", "100", "101", "-1", "1e2", "5 ", " 5", "5\n", "9" * 400, "NaN",
        "\u0665", "\uff15", "always", "never", "Always", "x\t", "x;", "5/10m, 5/10m", "50, 25",
        "5/0s", "5/8d", "5/169h", "manual, auto", "in-place,shift-then-roll", "promote", "promote:",
        "retry:V2", "abort:" + "a" * 64, "Host", "X-Forwarded-For", "X_Account", "content-length",
        "^.*$", "(?:a|b)", "a{2}", "a,b", "%", "0%", "101%", "10000", "auto,auto", "00-4", "04-00",
        "00-24, a", "12345", "kube-system/myapp", "$(reboot)", "${jndi:x}", "'\"`", "a" * 65, "é",
        "\u2028", "{}", "null", "x=1", "=", "myapp, myapp", "nobody",
    ]
)  # fmt: skip
"""What people write by mistake, and what others try."""
_ODD_ACCOUNTS = st.sampled_from(
    [f"{MARK}, always", f"{MARK} NEVER", f"{MARK}\t", f"{MARK};", f"-{MARK}", f"{MARK}é", MARK * 30]
)

KEYS = st.sampled_from(names.USER_KEYS)
WRITTEN = (names.WEIGHT, names.HEADER, names.HEADER_VALUES, names.HEADER_SUFFIXES, names.COOKIE)
"""What ends up on an Ingress."""
TYPOS = st.sampled_from(
    ["serinus.dev/wieght", "serinus.dev/Weight", "Serinus.dev/weight", "serinus.dev/header-value",
     "serinus.dev/canary", "serinus.dev/held", "serinus.dev/"]
)  # fmt: skip
_ANY = st.text(st.characters(exclude_categories=["Cs"]), max_size=80)


_STRAY = st.sampled_from([*string.punctuation, " ", "\n", "\t", "\x00", "\x7f", "A", "z", "0", "é"])


@st.composite
def _spoiled(draw: st.DrawFn, key: str) -> str:
    """Draw a good value with one character more, or one less."""
    text = draw(GOOD[key])
    place = draw(st.integers(0, len(text)))
    return (
        text[:place]
        + draw(st.one_of(st.just(""), _STRAY))
        + text[place + draw(st.integers(0, 1)) :]
    )


@st.composite
def entries(draw: st.DrawFn) -> tuple[str, str]:
    """Draw a key and a value, which may fit each other or not; half are of what gets written."""
    key = draw(st.one_of(st.sampled_from(WRITTEN), KEYS))
    odd = [_ODD_ACCOUNTS] if key == names.HEADER_VALUES else []
    values = draw(st.sampled_from([GOOD[key], _spoiled(key), _spoiled(key), ODD, _ANY, *odd]))
    return key, draw(values)


@st.composite
def annotations(draw: st.DrawFn) -> dict[str, str]:
    """Draw all annotations of a Service at once: half of them are good, the others nearly are."""
    found = {key: draw(GOOD[key]) for key in draw(st.sets(KEYS, max_size=6))}
    if {names.HEADER_VALUES, names.HEADER_SUFFIXES} & found.keys():
        found.setdefault(names.HEADER, draw(GOOD[names.HEADER]))
    if draw(st.booleans()):
        found.update(draw(st.lists(entries(), min_size=1, max_size=2)))
    if draw(st.sampled_from([False] * 15 + [True])):
        found[draw(TYPOS)] = draw(st.one_of(ODD, _ODD_ACCOUNTS))
    return found


@st.composite
def doors(draw: st.DrawFn) -> dict[str, str]:
    """Draw a header with accounts, with endings, or with both."""
    keys = draw(st.sampled_from([(names.HEADER_VALUES,), (names.HEADER_SUFFIXES,), _BOTH]))
    return {key: draw(GOOD[key]) for key in (names.HEADER, *keys)}


_BOTH = (names.HEADER_VALUES, names.HEADER_SUFFIXES)
