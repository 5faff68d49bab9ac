"""A plan while it is written, and the story that the status will tell."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from controller.api import names
from controller.api.objects import (
    DEPLOYMENT,
    Object,
    annotations_of,
    generation_of,
    replicas_of,
    stamp,
    uid_of,
)
from controller.api.status import Answer, Known, Outcome
from controller.plan.checks import Hold
from controller.plan.observed import Ref
from controller.plan.record import Record
from controller.plan.release import Release
from controller.plan.writes import Event, Write, raised, ref


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """What a pass has to say.

    Attributes:
        reason: the stage's name, or what holds it up.
        message: one sentence, with numbers.
        left_seconds: until the next decision; None: a person or the world is waited for.
        asked: percent that the plan or the pin asks for.
        needed: canary pods needed for it.
        degraded: (reason, message) of what users may feel.
    """

    reason: str
    message: str
    left_seconds: float | None = None
    asked: int = 0
    needed: int = 0
    degraded: tuple[str, str] | None = None

    @classmethod
    def of(cls, hold: Hold) -> "Story":
        """Return what a pass has to say that waits for this."""
        return cls(reason=hold.reason, message=hold.message, left_seconds=hold.left_seconds)


@dataclass(slots=True, kw_only=True)
class Draft:
    """The one mutable thing of the core, local to one `decide`.

    Attributes:
        record: as the release's record should be; written by `keep` if it differs.
        rejected, outcome, stable, last: what the Service is to remember.
        removed: annotations of the user that this pass takes away.
        events: what the status write tells once it is done.
        told_confirm: what has to be read afresh before that write.
        kept_confirm: what has to be read afresh before the record is written.
        labels: changes of labels on the stable Deployment; None removes one.
        paused: what `spec.paused` of the stable Deployment should become; None: as it is.
        tested: field of its metadata that must be as it was seen for that.
    """

    record: Record | None
    rejected: Known | None
    outcome: Outcome | None
    stable: Known | None
    last: Answer | None
    writes: list[Write] = field(default_factory=list)
    removed: set[str] = field(default_factory=set)
    events: list[Event] = field(default_factory=list)
    told_confirm: frozenset[Ref] = frozenset()
    kept_confirm: frozenset[Ref] = frozenset()
    labels: dict[str, str | None] = field(default_factory=dict)
    paused: bool | None = None
    tested: Literal["uid", "generation", "resourceVersion"] = "uid"
    stable_why: list[str] = field(default_factory=list)
    stable_confirm: frozenset[Ref] = frozenset()
    stable_events: list[Event] = field(default_factory=list)
    wake_seconds: float | None = None

    def add(self, *writes: Write | None) -> None:
        """Add writes; None is left out."""
        self.writes += [write for write in writes if write is not None]

    def wake_after(self, seconds: float | None) -> None:
        """Ask for another pass, at the latest after so many seconds."""
        if seconds is None:
            return
        sooner = self.wake_seconds is None or seconds < self.wake_seconds
        self.wake_seconds = max(seconds, 0.0) if sooner else self.wake_seconds

    def note(self, **changes: Any) -> None:
        """Change the release's record; without a canary there is none to change."""
        if self.record is not None:
            self.record = replace(self.record, **changes)

    def remove(self, *keys: str) -> None:
        """Take annotations of the user away."""
        self.removed.update(keys)

    def tell(self, reason: str, message: str, *, warning: bool = False) -> None:
        """Add an event to the status write."""
        kind = "Warning" if warning else "Normal"
        self.events.append(Event(reason=reason, message=message, type=kind))  # type: ignore[arg-type] # mypy widens the literal

    def answer(self, release: Release, action: str, outcome: str) -> None:
        """Take the action away and say what became of it."""
        self.last = Answer(action=action, outcome=outcome, at=stamp(release.now))
        self.remove(names.ACTION)

    def pause_stable(self, why: str) -> None:
        """Pause the stable Deployment: it stops a roll, so it has no condition but the uid."""
        self.paused = True
        self.stable_why.append(why)

    def release_stable(self, why: str, confirm: frozenset[Ref], *events: Event) -> None:
        """Un-pause the stable Deployment, exactly as it was seen (T3)."""
        self.paused = False
        self.tested = "resourceVersion"
        self.stable_why.append(why)
        self.stable_confirm = confirm
        self.stable_events += events

    def label_stable(self, key: str, value: str | None, why: str, *events: Event) -> None:
        """Set or remove one of our labels on the stable Deployment."""
        self.labels[key] = value
        self.stable_why.append(why)
        self.stable_events += events


def draft_of(release: Release) -> Draft:
    """Begin a plan with everything as it is."""
    status = release.status
    return Draft(
        record=release.record,
        rejected=status.rejected,
        outcome=status.outcome,
        stable=status.stable,
        last=status.last,
    )


def known(release: Release, revision: str, why: str = "") -> Known:
    """Return a revision with the generation at which it is seen now."""
    stable = release.stable or {}
    return Known(revision=revision, uid=uid_of(stable), generation=generation_of(stable), why=why)


def keep(release: Release, draft: Draft) -> None:
    """Write the record if this pass changed it, and nothing else writes the canary already.

    Conditional on resourceVersion: a record is written whole, so a stale one must not win (T10).
    One of another revision rests on the Deployment whose template that is (T9).
    """
    if release.canary is None or draft.record is None or draft.record == release.record:
        return
    if any(is_on(write, DEPLOYMENT, release.canary) for write in draft.writes):
        return
    known = release.record.revision if release.record is not None else ""
    template = release.stable if draft.record.revision != known else None
    draft.add(
        raised(
            DEPLOYMENT,
            release.canary,
            {"metadata": {"annotations": {names.RELEASE: draft.record.written()}}},
            "kept the record of the release",
            confirm=draft.kept_confirm | _refs(template),
        )
    )


def _refs(deployment: Object | None) -> frozenset[Ref]:
    return frozenset() if deployment is None else frozenset({ref(DEPLOYMENT, deployment)})


def is_on(write: Write, kind: object, obj: Object) -> bool:
    """Tell whether a write concerns this object."""
    named = getattr(write, "name", None)
    return write.kind == kind and named == (obj.get("metadata") or {}).get("name")


def canary_spec(
    release: Release,
    draft: Draft,
    spec: dict[str, Any],
    why: str,
    confirm: Iterable[Ref] = (),
) -> None:
    """Change the canary Deployment's spec, and write the record along with it."""
    if release.canary is None or draft.record is None:
        return
    patch = {
        "metadata": {"annotations": {names.RELEASE: draft.record.written()}},
        "spec": spec,
    }
    rests_on = draft.kept_confirm.union(confirm)
    draft.add(raised(DEPLOYMENT, release.canary, patch, why, confirm=rests_on))


def new_record(release: Release) -> Record:
    """Return the record of a release that begins now, with the template that is pending."""
    stable = release.stable or {}
    return Record(
        revision=release.template_revision,
        generation=generation_of(stable),
        stable=release.record.stable if release.record is not None else release.serving,
        replicas=max(1, replicas_of(stable)),
        since=stamp(release.now),
        stale_pin=annotations_of(release.observed.service or {}).get(names.WEIGHT),
        shrinks=release.shrinks,
    )
