"""What the user asked for: parse the annotations, or say exactly what is wrong."""

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Literal, cast

from controller.api import check, grammar, names, objects, pattern
from controller.api.check import Check
from controller.api.grammar import Form
from controller.api.pattern import Suffix

ACCEPTABLE: Final = grammar.ACCEPTABLE
"""The refusals that `accept` can overrule."""

ACCOUNTS_DEFAULT: Final = 50
ACCOUNTS_LIMIT: Final = 500
"""Whatever `--max-accounts` says (routing.md 5.3 has the requests per second)."""
STEPS_LIMIT: Final = 20
ITEMS_LIMIT: Final = 16
"""Entries of every other list."""
BYTES_LIMIT: Final = 16 * 1024
"""Of one annotation in UTF-8."""
TOTAL_LIMIT: Final = 64 * 1024
"""Of all annotations of ours together, keys included."""

Verb = Literal["promote", "retry", "abort", "pause", "continue"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that is wrong with the annotations.

    Attributes:
        key: the annotation, in full.
        value: what was found, quoted and shortened; of an account list only the position.
        allowed: what may stand there.
        message: all of it as a sentence.
    """

    key: str
    value: str
    allowed: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of the plan: a weight, and how many seconds it stands.

    Attributes:
        seconds: None waits there for a person.
    """

    weight: int
    seconds: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Replicas:
    """The size of the canary: a count, a percentage of stable's size, or neither (`auto`)."""

    count: int | None = None
    percent: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """A one-shot command; `promote` and `retry` always name their revision."""

    verb: Verb
    revision: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """The configuration of one Service; `Intent()` is what no annotation at all means.

    Attributes:
        weight: percent, pinned; None leaves it to the steps.
        ready_deadline_seconds: None: the Deployment's own progress deadline.
        deployment: None: discovered.
        ingresses: empty: discovered.
        accept: the refusals of `ACCEPTABLE` that the user overrules.
    """

    weight: int | None = None
    steps: tuple[Step, ...] = ()
    header: str | None = None
    accounts: frozenset[str] = frozenset()
    suffixes: tuple[Suffix, ...] = ()
    cookie: str | None = None
    query: tuple[tuple[str, str], ...] = ()
    replicas: Replicas = Replicas()
    automatic: bool = False
    in_place: bool = False
    checks: tuple[Check, ...] = ()
    ready_deadline_seconds: int | None = None
    deployment: str | None = None
    ingresses: tuple[str, ...] = ()
    accept: frozenset[str] = frozenset()
    action: Action | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Parsed:
    """What the annotations say, as far as they can be believed.

    Attributes:
        intent: None exactly when there are faults.
        faults: all of them, always in the same order.
        weight: the pinned weight wherever it is valid itself; beside faults only a lower one is
            obeyed.
        action: the action wherever it is valid itself; beside faults only abort and pause are
            obeyed.
    """

    intent: Intent | None
    faults: tuple[Fault, ...] = ()
    weight: int | None = None
    action: Action | None = None


class InvalidIntentError(Exception):
    """The annotations are wrong: show `faults`, and wait for the object to change."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        super().__init__("; ".join(fault.message for fault in faults))
        self.faults = faults


class _Wrong(ValueError):  # noqa: N818 - never leaves this module; it is a fault in the making
    """One value is wrong: what was seen, and what is wrong with it."""

    def __init__(self, value: str, problem: str) -> None:
        super().__init__(problem)
        self.value = value
        self.problem = problem


# Readers: the text of one annotation in, its value out, `_Wrong` where it is none.


def _formed(form: Form, text: str) -> str:
    if not form.fits(text):
        problem = "is denied" if form.denies(text) else "does not fit"
        raise _Wrong(grammar.shown(text), f"{grammar.shown(text)} {problem}")
    return text


def _word(form: Form) -> Callable[[str], str]:
    return lambda text: _formed(form, text)


def _listed(form: Form, limit: int = ITEMS_LIMIT) -> Callable[[str], tuple[str, ...]]:
    def read(text: str) -> tuple[str, ...]:
        items = tuple(item.strip(" ") for item in text.split(","))
        if len(items) > limit:
            raise _Wrong(f"{len(items)} entries", f"{len(items)} entries are more than {limit}")
        for item in items:
            _formed(form, item)
        twice = grammar.repeated(items)
        if twice is not None:
            raise _Wrong(grammar.shown(twice), f"{grammar.shown(twice)} stands twice")
        return items

    return read


def _weight(text: str) -> int:
    return int(_formed(grammar.WEIGHT, text))


def _duration(text: str) -> int:
    seconds = grammar.seconds_of(text)
    if seconds is None:
        raise _Wrong(grammar.shown(text), f"{grammar.shown(text)} does not fit")
    return seconds


def _steps(text: str) -> tuple[Step, ...]:
    steps: list[Step] = []
    for item in _listed(grammar.STEP, STEPS_LIMIT)(text):
        weight, _, duration = item.partition("/")
        step = Step(weight=int(weight), seconds=_duration(duration) if duration else None)
        if steps and step.weight <= steps[-1].weight:
            raise _Wrong(
                grammar.shown(item), f"step {weight} after {steps[-1].weight} does not rise"
            )
        steps.append(step)
    return tuple(steps)


def _accounts(text: str) -> frozenset[str]:
    accounts = [account for account in re.split(r"[, \n]+", text) if account]
    if not accounts:
        raise _Wrong("no account", "the list is empty")
    for position, account in enumerate(accounts, start=1):
        if not grammar.ACCOUNT.fits(account):
            where = f"account {position} of {len(accounts)}"
            raise _Wrong(where, f"{where} {_flaw_of(account)}")
    return frozenset(accounts)


def _flaw_of(account: str) -> str:
    """Say what is wrong with an account without repeating it: lists do not belong in messages."""
    if grammar.ACCOUNT.denies(account):
        return "is a word of the proxies ('always', 'never')"
    for place, character in enumerate(account, start=1):
        if not grammar.ACCOUNT.fits("a" + character):
            kind = "punctuation" if character.isascii() else "a non-ASCII character"
            return f"has {kind} as character {place}"
    if not account[0].isalnum():
        return "begins with punctuation"
    return f"has {len(account)} characters"


def _suffixes(text: str) -> tuple[Suffix, ...]:
    try:
        return pattern.parse_suffixes(text)
    except ValueError as error:
        raise _Wrong(grammar.shown(text), str(error)) from error


def _query(text: str) -> tuple[tuple[str, str], ...]:
    pairs = (item.partition("=") for item in _listed(grammar.PAIR)(text))
    return tuple((name, value) for name, _, value in pairs)


def _replicas(text: str) -> Replicas:
    _formed(grammar.REPLICAS, text)
    if text == "auto":
        return Replicas()
    if text.endswith("%"):
        return Replicas(percent=int(text[:-1]))
    return Replicas(count=int(text))


def _promotion(text: str) -> tuple[str, ...]:
    words = _listed(grammar.PROMOTION)(text)
    for pair in grammar.ALTERNATIVES:
        if set(pair) <= set(words):
            raise _Wrong(grammar.shown(text), f"{pair[0]} and {pair[1]} contradict each other")
    return words


def _checks(text: str) -> tuple[Check, ...]:
    items = _listed(grammar.CHECK)(text)
    try:
        checks = tuple(check.parse_check(item) for item in items)
    except ValueError as error:
        raise _Wrong(grammar.shown(text), str(error)) from error
    again = check.twice(checks)
    if again is not None:
        shown = grammar.shown(again.text)
        raise _Wrong(shown, f"{shown} asks again what another check asks")
    return checks


def _action(text: str) -> Action:
    verb, _, revision = _formed(grammar.ACTION, text).partition(":")
    return Action(verb=cast("Verb", verb), revision=revision or None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One annotation of the user: how it is read, and what the docs and messages say of it.

    Attributes:
        read: turns the text into a value.
        allowed: what may stand there, in words.
        example: a value that is valid, beside a `header` where it needs one.
        default: what its absence means.
        meaning: what it is for.
        separators: control characters that may stand between entries.
        private: messages never repeat the value.
    """

    name: str
    read: Callable[[str], object]
    allowed: str
    example: str
    default: str
    meaning: str
    separators: str = ""
    private: bool = False


def _up_to(limit: int, form: Form) -> str:
    return f"at most {limit}, separated by commas, none twice, each {form.says}"


KEYS: Final = (
    Key(
        name=names.WEIGHT,
        read=_weight,
        allowed=grammar.WEIGHT.says,
        example="5",
        default="what the steps say, else 0",
        meaning="percent of the requests that no rule decides; pins the weight while it stands, "
        "belongs to the running release",
    ),
    Key(
        name=names.STEPS,
        read=_steps,
        allowed=f"at most {STEPS_LIMIT} steps, separated by commas, strictly rising, each "
        f"{grammar.STEP.says}, DURATION {grammar.DURATION.says}",
        example="5/10m, 25/10m, 50",
        default="the weight moves by hand",
        meaning="the plan of every release; a step without a duration waits for a person",
    ),
    Key(
        name=names.HEADER,
        read=_word(grammar.HEADER),
        allowed=grammar.HEADER.says,
        example="X-Account",
        default="no header rule",
        meaning="the header that names the account; alone it opens nothing",
    ),
    Key(
        name=names.HEADER_VALUES,
        read=_accounts,
        allowed=f"at most {ACCOUNTS_DEFAULT} accounts (--max-accounts, never above "
        f"{ACCOUNTS_LIMIT}), separated by commas, spaces or newlines, each {grammar.ACCOUNT.says}",
        example="alice, bob",
        default="no account",
        meaning="the accounts that reach the canary, whatever the weight; case matters; "
        "needs `header`",
        separators="\n",
        private=True,
    ),
    Key(
        name=names.HEADER_SUFFIXES,
        read=_suffixes,
        allowed=f"at most {pattern.SUFFIXES_LIMIT}, separated by commas, each "
        f"{grammar.ENDING.says}; both ends of a range as wide, the first not above the last",
        example="7, 00-04",
        default="no ending",
        meaning="the account ids that reach the canary by how they end: a fixed share of users; "
        "needs `header`",
    ),
    Key(
        name=names.COOKIE,
        read=_word(grammar.COOKIE),
        allowed=grammar.COOKIE.says,
        example="beta-shop",
        default="none that users may set",
        meaning="visitors opt in with the value `always`, out with `never`",
    ),
    Key(
        name=names.QUERY,
        read=_query,
        allowed=_up_to(ITEMS_LIMIT, grammar.PAIR),
        example="beta=1",
        default="no query rule",
        meaning="the query parameters that reach the canary, where the data plane can",
    ),
    Key(
        name=names.REPLICAS,
        read=_replicas,
        allowed=grammar.REPLICAS.says,
        example="50%",
        default="auto",
        meaning="the size of the canary: the exposed share, a number, or percent of stable's size",
    ),
    Key(
        name=names.PROMOTION,
        read=_promotion,
        allowed=f"{grammar.PROMOTION.says}; one of each pair, separated by commas",
        example="auto, in-place",
        default="manual, shift-then-roll",
        meaning="who promotes after the last step, and how",
    ),
    Key(
        name=names.CHECKS,
        read=_checks,
        allowed=_up_to(ITEMS_LIMIT, grammar.CHECK),
        example="error-rate<=1.5x, latency-500ms<=1.2x, success>=99%, restarts",
        default="no check",
        meaning="what has to be shown before the next step, and what ends the release",
    ),
    Key(
        name=names.READY_DEADLINE,
        read=_duration,
        allowed=grammar.DURATION.says,
        example="10m",
        default="the Deployment's `progressDeadlineSeconds`",
        meaning="how long the first canary pods may take to become ready",
    ),
    Key(
        name=names.DEPLOYMENT,
        read=_word(grammar.OBJECT_NAME),
        allowed=grammar.OBJECT_NAME.says,
        example="shop",
        default="discovered",
        meaning="the stable Deployment, where several could be meant",
    ),
    Key(
        name=names.INGRESSES,
        read=_listed(grammar.OBJECT_NAME),
        allowed=_up_to(ITEMS_LIMIT, grammar.OBJECT_NAME),
        example="shop, shop-internal",
        default="discovered",
        meaning="the Ingresses that take part, where not all shall",
    ),
    Key(
        name=names.ACCEPT,
        read=_listed(grammar.REFUSAL),
        allowed=_up_to(ITEMS_LIMIT, grammar.REFUSAL),
        example="affinity",
        default="nothing",
        meaning="the refusals that are overruled; the risk is the user's",
    ),
    Key(
        name=names.ACTION,
        read=_action,
        allowed=f"{grammar.ACTION.says}; REVISION {grammar.REVISION.says}",
        example="promote:4f9d1c02ab",
        default="nothing",
        meaning="done once, then removed by the controller; the outcome is on the status",
    ),
)
"""Every annotation of the user, in the order in which faults are reported."""

_CONTROLLERS: Final = frozenset({names.STATUS, names.RELEASE, names.CHANGED, names.SHRINK})
_LABELS: Final = {
    names.CANARY: "is a label, not an annotation: "
    f"kubectl label service NAME {names.CANARY}={names.ENABLED}",
} | dict.fromkeys(
    (names.HELD, names.RESUME, names.SERVICE, names.TRACK, names.REVISION),
    "is a label of the controller's, not an annotation",
)
_KEY: Final = {key.name: key for key in KEYS}
_SHORT: Final = tuple(key.name.removeprefix(names.PREFIX) for key in KEYS)


def parse(annotations: Mapping[str, object], *, max_accounts: int = ACCOUNTS_DEFAULT) -> Parsed:
    """Read the user's annotations. Total: never raises, whatever they say.

    Args:
        annotations: of the Service; keys of others and the controller's own are not looked at. A
            value that is no string (a file may hold one, the API server does not) is a fault.
        max_accounts: the limit of `header-values`; above 500 it means 500.
    """
    own = _own(annotations)
    values: dict[str, Any] = {}
    faults = [_unknown(key) for key in sorted(own.keys() - set(names.USER_KEYS))]
    for key in KEYS:
        if key.name not in own:
            continue
        try:
            values[key.name] = _read(key, own[key.name])
        except _Wrong as wrong:
            faults.append(_fault(key, wrong.value, wrong.problem))
    faults += _across(own, values, min(max_accounts, ACCOUNTS_LIMIT))
    return Parsed(
        intent=None if faults else _assembled(values),
        faults=tuple(faults),
        weight=values.get(names.WEIGHT),
        action=values.get(names.ACTION),
    )


def parsed_of(service: objects.Object, *, max_accounts: int) -> Parsed:
    """Read the annotations of a Service as `parse` does; most passes read the same ones again."""
    own = _own(objects.annotations_of(service))
    return _parsed(frozenset(own.items()), max_accounts)


@lru_cache(maxsize=2048)
def _parsed(annotations: frozenset[tuple[str, object]], max_accounts: int) -> Parsed:
    return parse(dict(annotations), max_accounts=max_accounts)


def require(parsed: Parsed) -> Intent:
    """Return the intent.

    Raises:
        InvalidIntentError: there are faults.
    """
    if parsed.intent is None:
        raise InvalidIntentError(parsed.faults)
    return parsed.intent


def reference() -> str:
    """Return the tables of docs/annotations.md, in Markdown."""
    keys = _table(
        ("annotation", "allowed", "example", "default", "meaning"),
        (
            (f"`{key.name}`", key.allowed, f"`{key.example}`", key.default, key.meaning)
            for key in KEYS
        ),
    )
    forms = _table(
        ("form", "in words", "regular expression", "and not"),
        (
            (form.name, form.says, f"`{form.pattern}`", ", ".join(f"`{w}`" for w in form.denied))
            for form in grammar.FORMS
        ),
    )
    return f"{keys}\n{forms}"


def _table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [header, ("---",) * len(header), *rows]
    return "".join(
        f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines
    )


def configuration_digest(annotations: Mapping[str, object]) -> str:
    """Return a short hash of what the user wrote, without `action` (contract.md section 5)."""
    own = _own(annotations)
    # `ascii`, because a lone surrogate in a file cannot be encoded.
    return objects.digest([ascii((key, own[key])) for key in sorted(own) if key != names.ACTION])


def _own(annotations: Mapping[str, object]) -> dict[str, object]:
    """Return the user's annotations of ours; `Serinus.dev/` is a typo of ours, not another's."""
    return {
        key: value
        for key, value in annotations.items()
        if key.lower().startswith(names.PREFIX) and key not in _CONTROLLERS
    }


def _read(key: Key, text: object) -> object:
    if not isinstance(text, str):
        kind = type(text).__name__
        raise _Wrong(kind, f"the value is no string but {kind}: write it in quotes")
    if _size(text) > BYTES_LIMIT:
        raise _Wrong(f"{_size(text)} bytes", f"{_size(text)} bytes are more than {BYTES_LIMIT}")
    if grammar.has_control(text.translate(dict.fromkeys(map(ord, key.separators)))):
        seen = "the list" if key.private else grammar.shown(text)
        raise _Wrong(seen, f"{seen} has a control character")
    return key.read(text)


def _size(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


def _fault(key: Key, value: str, problem: str) -> Fault:
    message = f"{key.name}: {problem}; allowed: {key.allowed}"
    return Fault(key=key.name, value=value, allowed=key.allowed, message=message)


def _unknown(key: str) -> Fault:
    """Refuse a key. Its value stays unsaid: behind a typo it may be an account list."""
    name = key if re.fullmatch(r"[!-~]{1,120}", key, re.ASCII) else grammar.shown(key)
    problem = _LABELS.get(key) or f"is not a key; {_hint(key[len(names.PREFIX) :])}"
    return Fault(key=key, value="", allowed=", ".join(_SHORT), message=f"{name} {problem}")


def _hint(short: str) -> str:
    near = difflib.get_close_matches(short[: grammar.SHOWN_LIMIT].lower(), _SHORT, 1, cutoff=0.5)
    if near:
        return f"did you mean {names.PREFIX}{near[0]}?"
    return f"the keys are {', '.join(_SHORT)}"


def _across(
    own: Mapping[str, object], values: Mapping[str, Any], max_accounts: int
) -> Iterator[Fault]:
    """Yield the faults that no key has by itself."""
    accounts: frozenset[str] = values.get(names.HEADER_VALUES, frozenset())
    suffixes: tuple[Suffix, ...] = values.get(names.HEADER_SUFFIXES, ())
    count = f"{len(accounts)} accounts"
    for name in (names.HEADER_VALUES, names.HEADER_SUFFIXES):
        if name in own and names.HEADER not in own:
            yield _fault(_KEY[name], "no header", f"it needs {names.HEADER}")
    if len(accounts) > max_accounts:
        problem = f"{count} are more than {max_accounts} (--max-accounts, up to {ACCOUNTS_LIMIT})"
        yield _fault(_KEY[names.HEADER_VALUES], count, problem)
    elif accounts and not pattern.compiles(pattern.pattern_of(accounts, suffixes)):
        problem = f"{count} make a pattern that is too large (16 KiB, '._~@+' count four times)"
        yield _fault(_KEY[names.HEADER_VALUES], count, problem)
    size = sum(_size(key) + _size(str(value)) for key, value in own.items())
    if size > TOTAL_LIMIT:
        allowed = f"{TOTAL_LIMIT} bytes in all annotations together"
        message = f"{names.PREFIX}*: {size} bytes are too many; allowed: {allowed}"
        yield Fault(key=f"{names.PREFIX}*", value=f"{size} bytes", allowed=allowed, message=message)


def _assembled(values: Mapping[str, Any]) -> Intent:
    promotion = values.get(names.PROMOTION, ())
    return Intent(
        weight=values.get(names.WEIGHT),
        steps=values.get(names.STEPS, ()),
        header=values.get(names.HEADER),
        accounts=values.get(names.HEADER_VALUES, frozenset()),
        suffixes=values.get(names.HEADER_SUFFIXES, ()),
        cookie=values.get(names.COOKIE),
        query=values.get(names.QUERY, ()),
        replicas=values.get(names.REPLICAS, Replicas()),
        automatic="auto" in promotion,
        in_place="in-place" in promotion,
        checks=values.get(names.CHECKS, ()),
        ready_deadline_seconds=values.get(names.READY_DEADLINE),
        deployment=values.get(names.DEPLOYMENT),
        ingresses=values.get(names.INGRESSES, ()),
        accept=frozenset(values.get(names.ACCEPT, ())),
        action=values.get(names.ACTION),
    )
