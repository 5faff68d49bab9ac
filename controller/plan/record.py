"""What is remembered of a running release: the annotation on its canary Deployment.

Only facts that cannot be observed again are kept here (safety.md section 3, rule 6).
"""

import json
from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from typing import Any, Literal

from controller.api import names
from controller.api.objects import Object, annotations_of, moment_of

AbortState = Literal["", "asked", "stopped"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """The record of one release.

    Attributes:
        revision: of the template that the canary carries.
        generation: of the stable Deployment when that revision was seen.
        stable: revision that stable served when the release began.
        replicas: R of safety.md section 3: how many pods carry all the traffic.
        since: when the release began (UTC stamp).
        step: weight at which the plan stands; None until the first exposure was written.
        step_since: when that weight was seen written (UTC stamp).
        go: weight at which a person said `continue` to a step without a time.
        stale_pin: a `weight` that stood before the release began, until it is gone.
        falls: how often the canary was too short for its weight.
        short: such a fall has not ended yet.
        approval: the revision that may be rolled out; "" until somebody approves.
        approved_by: who or what did.
        paused: a person froze the plan.
        abort: asked for from P3 on; "stopped" once the roll was seen paused.
        interrupted: we stopped the roll because of a template that nobody approved.
        changed: time of the last routing change, copied before an Ingress is deleted.
        exposed: when the canary was first seen exposed while there were checks (UTC stamp); what
            they judge begins there.
        waived: weight at which a person said `continue` though checks had not passed.
        resumed: a `continue` ended a pause, and may still stand on the Service.
        failed: a failed check has stopped the roll, and does so once.
        shrinks: how many announced removals of pods are over, carried out or called off; one that
            an Ingress announces with a lower number says nothing any more (safety.md section 4).
    """

    revision: str
    generation: int
    stable: str
    replicas: int
    since: str
    step: int | None = None
    step_since: str = ""
    go: int | None = None
    stale_pin: str | None = None
    falls: int = 0
    short: bool = False
    approval: str = ""
    approved_by: str = ""
    paused: bool = False
    abort: AbortState = ""
    interrupted: bool = False
    changed: str = ""
    exposed: str = ""
    waived: int | None = None
    resumed: bool = False
    failed: bool = False
    shrinks: int = 0

    def written(self) -> str:
        """Return the annotation's text: JSON, defaults left out, keys in a fixed order."""
        defaults = {field.name: field.default for field in fields(self)}
        kept = {key: value for key, value in asdict(self).items() if value != defaults[key]}
        return json.dumps(kept, separators=(",", ":"))


def record_of(deployment: Object) -> Record | None:
    """Read the record; None where it is missing or somebody wrote nonsense over it."""
    return _record_in(annotations_of(deployment).get(names.RELEASE, ""))


@lru_cache(maxsize=256)
def _record_in(text: str) -> Record | None:
    """Read the annotation's text; most passes read the same one again."""
    try:
        return _checked(json.loads(text))
    except (ValueError, TypeError, RecursionError):
        return None


def _checked(values: dict[str, Any]) -> Record:
    record = Record(**values)
    for field in fields(record):
        value = getattr(record, field.name)
        if not isinstance(value, _TYPES[field.name]) or isinstance(value, bool) != (
            field.name in _FLAGS
        ):
            raise TypeError
    for text in (record.since, record.step_since, record.changed, record.exposed):
        if text and moment_of(text) is None:
            raise ValueError
    return record


_FLAGS = frozenset({"short", "paused", "interrupted", "resumed", "failed"})
_OPTIONAL_NUMBER = (int, type(None))
_TYPES: dict[str, type | tuple[type, ...]] = {
    "revision": str,
    "generation": int,
    "stable": str,
    "replicas": int,
    "since": str,
    "step": _OPTIONAL_NUMBER,
    "step_since": str,
    "go": _OPTIONAL_NUMBER,
    "stale_pin": (str, type(None)),
    "falls": int,
    "short": bool,
    "approval": str,
    "approved_by": str,
    "paused": bool,
    "abort": str,
    "interrupted": bool,
    "changed": str,
    "exposed": str,
    "waived": _OPTIONAL_NUMBER,
    "resumed": bool,
    "failed": bool,
    "shrinks": int,
}
