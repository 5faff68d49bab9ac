"""What we tell the user: the status annotation, conditions.

The annotation also keeps the few facts that must survive a release (safety.md section 3, rule 6):
the outcome of the last release, the rejected revision, the revision that stable serves.
"""

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, Literal

from controller.api import names
from controller.api.objects import (
    Object,
    annotations_of,
    generation_of,
    moment_of,
    stamp,
    status_of,
    uid_of,
)

COUNTS_EVERY_SECONDS = 10
"""How often a status is written of which only counts and words changed (contract.md section 5)."""


BYTES_LIMIT = 16 * 1024
"""Of the annotation, in UTF-8."""
ROUNDING_SECONDS = 2
"""Times that follow from two clocks differ by so much from pass to pass, and mean the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A revision, with the Deployment and its generation at which it was seen.

    The same generation means the same revision, whatever a newer API server adds to the template.
    """

    revision: str
    uid: str = ""
    generation: int = 0
    why: str = ""

    def is_of(self, deployment: Object) -> bool:
        """Tell whether this was seen on that Deployment, as it is now."""
        same = (self.uid, self.generation) == (uid_of(deployment), generation_of(deployment))
        return bool(self.uid) and same


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How the last release ended.

    Attributes:
        revision: of the release.
        since: when it began; with the revision this names one release.
        result: "promoted" or "aborted".
        why: one clause for the message.
        reason: CamelCase, for the condition; "" is the result's own.
        at: when it was recorded (UTC stamp).
    """

    revision: str
    since: str
    result: Literal["promoted", "aborted"]
    why: str
    at: str
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What became of the last one-shot action."""

    action: str
    outcome: str
    at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What was counted on one side since the canary was exposed, in whole requests."""

    requests: int = 0
    events: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """Evidence beside its limit, both as decimal logarithms of E: 2.0 stands for 100."""

    evidence: float = 0.0
    limit: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What one check says, short enough for an annotation.

    Attributes:
        check: as the user wrote it.
        outcome: "pass", "fail", "no data" or "not enough data".
        message: one sentence with numbers, the outcome first.
        canary: counted on the canary.
        stable: counted on stable.
        harm: against "no worse than tolerated", since the first exposure; at the limit it fails.
        safety: against "as bad as the margin", since the step began; at the limit it passes.
        needed: requests to the canary until it can be expected to pass; None: not to be said.
        needed_seconds: the same at the present rate.
        curve: E against harm over time, as decimal logarithms, evenly thinned.
    """

    check: str
    outcome: str
    message: str = ""
    canary: Tally = Tally()
    stable: Tally = Tally()
    harm: Bound = Bound()
    safety: Bound = Bound()
    needed: int | None = None
    needed_seconds: int | None = None
    curve: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Covered:
    """Which kinds of requests that stable answers the canary has answered often enough.

    Attributes:
        share: of stable's requests that are of such kinds, from 0 to 1.
        kinds: how many kinds stable answers.
        tried: how many of them the canary has.
        missing: the most frequent others, in words.
        untold: what the data plane does not tell apart, in words.
    """

    share: float
    kinds: int
    tried: int
    missing: tuple[str, ...] = ()
    untold: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """The `serinus.dev/status` annotation.

    Attributes:
        configuration: digest of the user's annotations that this status speaks of.
        stage: contract.md section 4; None: not enrolled, or not ready.
        reason: the stage, or what holds it up (CamelCase).
        message: one sentence for a person, with numbers.
        revision: of the running release, or of the pending template.
        asked: percent of requests that the plan or the pin asks for.
        written: percent that the canary Ingress says.
        step: weight of the step at which the plan stands.
        since: when the release began (UTC stamp).
        until: when the next decision is due (UTC stamp); "" if a person or a pod is waited for.
        ready: ready canary pods of this revision.
        needed: how many are needed for what is asked.
        accounts: how many accounts are listed; never which.
        share: percent of users that suffix rules catch, as text.
        commands: lines to paste that go on from here.
        checks: what each check says, in the user's order.
        coverage: what the canary was asked; None: nobody knows.
        last: the last one-shot action.
        rejected: the revision that was aborted.
        outcome: how the last release ended.
        stable: the revision that stable serves.
        at: when this status was written (UTC stamp).
    """

    configuration: str = ""
    stage: str | None = None
    reason: str = ""
    message: str = ""
    revision: str = ""
    asked: int = 0
    written: int = 0
    step: int | None = None
    since: str = ""
    until: str = ""
    ready: int = 0
    needed: int = 0
    accounts: int = 0
    share: str = ""
    commands: tuple[str, ...] = ()
    checks: tuple[Judged, ...] = ()
    coverage: Covered | None = None
    last: Answer | None = None
    rejected: Known | None = None
    outcome: Outcome | None = None
    stable: Known | None = None
    at: str = ""

    def text(self) -> str:
        """Return the annotation: JSON with fixed order, what is unset left out.

        Where it would be too long the checks' curves go first, then their messages.
        """
        texts = (self._text(checks) for checks in (self.checks, *_shortened(self.checks)))
        return next((text for text in texts if len(text.encode()) <= BYTES_LIMIT), self._text(()))

    def _text(self, checks: Iterable[Judged]) -> str:
        values = {
            "configuration": self.configuration,
            "stage": self.stage,
            "reason": self.reason,
            "message": self.message,
            "revision": self.revision,
            "weight": {"asked": self.asked, "written": self.written} if self.since else None,
            "step": self.step,
            "since": self.since,
            "until": self.until,
            "replicas": {"ready": self.ready, "needed": self.needed} if self.since else None,
            "accounts": self.accounts,
            "share": self.share,
            "commands": list(self.commands),
            "checks": [_judged_as_json(entry) for entry in checks],
            "coverage": _plain(self.coverage),
            "lastAction": _plain(self.last),
            "rejected": _plain(self.rejected),
            "outcome": _plain(self.outcome),
            "stable": _plain(self.stable),
            "at": self.at,
        }
        kept = {key: value for key, value in values.items() if value or value == 0}
        return json.dumps(kept, ensure_ascii=False, separators=(",", ":"))

    def is_due(self, before: "Status", now: datetime) -> float | None:
        """Return in how many seconds this status should be written over `before`; None: never.

        At once if anything but counts and words differs, else ten seconds after the last write.
        """
        if self == replace(before, at=self.at) or self._says_the_same(before):
            return None
        if self.essence() != before.essence():
            return 0.0
        written = moment_of(before.at)
        if written is None:
            return 0.0
        due = written + timedelta(seconds=COUNTS_EVERY_SECONDS)
        return max(0.0, (due - now).total_seconds())

    def _says_the_same(self, before: "Status") -> bool:
        """Tell whether only the next decision's time differs, and by no more than rounding."""
        mine, theirs = moment_of(self.until), moment_of(before.until)
        if mine is None or theirs is None:
            return False
        near = abs((mine - theirs).total_seconds()) <= ROUNDING_SECONDS
        return near and self == replace(before, at=self.at, until=self.until)

    def essence(self) -> "Status":
        """Return the status without counts, words and times that follow from the rest."""
        checks = tuple(Judged(check=it.check, outcome=it.outcome) for it in self.checks)
        return replace(
            self, checks=checks, coverage=None, at="", message="", ready=0, needed=0, until=""
        )


def _shortened(checks: Sequence[Judged]) -> Iterator[tuple[Judged, ...]]:
    yield tuple(replace(entry, curve=()) for entry in checks)
    yield tuple(replace(entry, curve=(), message="") for entry in checks)


def _judged_as_json(entry: Judged) -> dict[str, Any]:
    needed = {"requests": entry.needed, "seconds": entry.needed_seconds}
    values = {
        "check": entry.check,
        "outcome": entry.outcome,
        "message": entry.message,
        "canary": asdict(entry.canary),
        "stable": asdict(entry.stable),
        "harm": asdict(entry.harm),
        "safety": asdict(entry.safety),
        "needed": {key: value for key, value in needed.items() if value is not None},
        "curve": list(entry.curve),
    }
    return {key: value for key, value in values.items() if value}


def _plain(value: Known | Outcome | Answer | Covered | None) -> dict[str, Any] | None:
    if value is None:
        return None
    return {key: entry for key, entry in asdict(value).items() if entry or entry == 0}


def status_in(service: Object) -> Status:
    """Read the status annotation; what is missing or overwritten with nonsense reads as unset."""
    return _status_in(annotations_of(service).get(names.STATUS, "{}"))


@lru_cache(maxsize=256)
def _status_in(text: str) -> Status:
    """Read the annotation's text; most passes read the same one again."""
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, dict):
        return Status()
    weight, replicas = _mapping(values, "weight"), _mapping(values, "replicas")
    return Status(
        configuration=_text(values, "configuration"),
        stage=_text(values, "stage") or None,
        reason=_text(values, "reason"),
        message=_text(values, "message"),
        revision=_text(values, "revision"),
        asked=_number(weight, "asked"),
        written=_number(weight, "written"),
        step=_number(values, "step") if "step" in values else None,
        since=_text(values, "since"),
        until=_text(values, "until"),
        ready=_number(replicas, "ready"),
        needed=_number(replicas, "needed"),
        accounts=_number(values, "accounts"),
        share=_text(values, "share"),
        commands=_texts(values, "commands"),
        checks=tuple(_judged(entry) for entry in _mappings(values, "checks")),
        coverage=_covered(_mapping(values, "coverage")),
        last=_answer(_mapping(values, "lastAction")),
        rejected=_known(_mapping(values, "rejected")),
        outcome=_outcome(_mapping(values, "outcome")),
        stable=_known(_mapping(values, "stable")),
        at=_text(values, "at"),
    )


def _mapping(values: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = values.get(key)
    return value if isinstance(value, dict) else {}


def _text(values: Mapping[str, Any], key: str) -> str:
    value = values.get(key)
    return value if isinstance(value, str) else ""


def _texts(values: Mapping[str, Any], key: str) -> tuple[str, ...]:
    value = values.get(key)
    return (
        tuple(entry for entry in value if isinstance(entry, str)) if isinstance(value, list) else ()
    )


def _mappings(values: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    value = values.get(key)
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def _real(value: object) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and math.isfinite(value) else 0.0  # type: ignore[arg-type]  # it is a number


def _judged(values: Mapping[str, Any]) -> Judged:
    needed = _mapping(values, "needed")
    curve = values.get("curve")
    return Judged(
        check=_text(values, "check"),
        outcome=_text(values, "outcome"),
        message=_text(values, "message"),
        canary=_tally(_mapping(values, "canary")),
        stable=_tally(_mapping(values, "stable")),
        harm=_bound(_mapping(values, "harm")),
        safety=_bound(_mapping(values, "safety")),
        needed=_number(needed, "requests") if "requests" in needed else None,
        needed_seconds=_number(needed, "seconds") if "seconds" in needed else None,
        curve=tuple(_real(value) for value in curve) if isinstance(curve, list) else (),
    )


def _covered(values: Mapping[str, Any]) -> Covered | None:
    if not values:
        return None
    return Covered(
        share=_real(values.get("share")),
        kinds=_number(values, "kinds"),
        tried=_number(values, "tried"),
        missing=_texts(values, "missing"),
        untold=_text(values, "untold"),
    )


def _tally(values: Mapping[str, Any]) -> Tally:
    return Tally(requests=_number(values, "requests"), events=_number(values, "events"))


def _bound(values: Mapping[str, Any]) -> Bound:
    return Bound(evidence=_real(values.get("evidence")), limit=_real(values.get("limit")))


def _number(values: Mapping[str, Any], key: str) -> int:
    value = values.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _known(values: Mapping[str, Any]) -> Known | None:
    revision = _text(values, "revision")
    if not revision:
        return None
    return Known(
        revision=revision,
        uid=_text(values, "uid"),
        generation=_number(values, "generation"),
        why=_text(values, "why"),
    )


def _answer(values: Mapping[str, Any]) -> Answer | None:
    action = _text(values, "action")
    if not action:
        return None
    return Answer(action=action, outcome=_text(values, "outcome"), at=_text(values, "at"))


def _outcome(values: Mapping[str, Any]) -> Outcome | None:
    result = _text(values, "result")
    if result not in {"promoted", "aborted"}:
        return None
    return Outcome(
        revision=_text(values, "revision"),
        since=_text(values, "since"),
        result="promoted" if result == "promoted" else "aborted",
        why=_text(values, "why"),
        at=_text(values, "at"),
        reason=_text(values, "reason"),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One of our entries in `status.conditions` of the Service (contract.md section 5)."""

    type: str
    status: Literal["True", "False", "Unknown"]
    reason: str
    message: str


MESSAGE_LIMIT = 1024
"""A condition's message may hold 32 KiB; a person reads less."""


def with_conditions(
    service: Object, ours: Iterable[Condition], now: datetime
) -> list[Mapping[str, Any]]:
    """Return `status.conditions` with our entries set, and the entries of others kept.

    `lastTransitionTime` moves only when the status does (Kubernetes API conventions).
    """
    before: Sequence[Mapping[str, Any]] = status_of(service).get("conditions") or ()
    kept = [entry for entry in before if not is_our_condition(entry)]
    earlier = {str(entry.get("type")): entry for entry in before}
    return kept + [_entry(condition, earlier.get(condition.type), now) for condition in ours]


def _entry(
    condition: Condition, before: Mapping[str, Any] | None, now: datetime
) -> Mapping[str, Any]:
    same = before is not None and before.get("status") == condition.status
    since = before.get("lastTransitionTime") if same and before is not None else None
    return {
        "type": condition.type,
        "status": condition.status,
        "reason": condition.reason,
        "message": condition.message[:MESSAGE_LIMIT],
        "lastTransitionTime": since or stamp(now),
    }


def is_our_condition(entry: Mapping[str, Any]) -> bool:
    """Tell whether an entry of `status.conditions` has a type of ours."""
    return str(entry.get("type", "")).startswith(names.PREFIX)
