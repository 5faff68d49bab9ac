"""What a pass tells: one PATCH of the Service's status, and one of the stable Deployment."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import ceil, floor, isfinite, log
from typing import Any

from controller.api import names
from controller.api.intent import configuration_digest
from controller.api.objects import (
    DEPLOYMENT,
    SERVICE,
    Object,
    annotations_of,
    condition_of,
    metadata,
    name_of,
    namespace_of,
    stamp,
    status_of,
)
from controller.api.pattern import share_of
from controller.api.status import (
    Bound,
    Condition,
    Covered,
    Judged,
    Status,
    Tally,
    is_our_condition,
    with_conditions,
)
from controller.plan.draft import Draft, Story
from controller.plan.evidence import Count
from controller.plan.gate import JUDGED, REASONS, tried_by, verdicts_of
from controller.plan.hold import HELD, Readiness
from controller.plan.judge import Verdict
from controller.plan.release import Release
from controller.plan.stages import Stage
from controller.plan.writes import Edit, Event, edit_map

CURVE_POINTS = 40
"""A text plot has no more columns."""
CHECK_MESSAGE_LIMIT = 400
WHOLE_LIMIT = 1e9
"""More requests than that nobody waits for."""
ENDING = frozenset({Stage.PROMOTING, Stage.ROLLING_BACK, Stage.ABORTED})
RUNNING = frozenset({Stage.STARTING, Stage.CANARY, Stage.PROMOTING, Stage.ROLLING_BACK})


def tell(
    release: Release, draft: Draft, stage: Stage | None, story: Story, ready: Readiness
) -> None:
    """Add the status write, if anything worth it differs from what the Service says."""
    service = release.observed.service
    if service is None:
        return
    status = status_now(release, draft, stage, story)
    due = status.is_due(release.status, release.now)
    conditions = conditions_now(draft, stage, story, ready)
    stands = names.STATUS in annotations_of(service)
    differs = _said(service) != {c.type: _worth(c.status, c.reason, c.message) for c in conditions}
    has_news = differs or bool(draft.removed or draft.events) or not stands
    if due is None and not has_news:
        return
    if due and not has_news:
        draft.wake_after(due)
        return
    changes: dict[str, str | None] = dict.fromkeys(draft.removed)
    changes[names.STATUS] = _stamped(status, release)
    entries = with_conditions(service, conditions, release.now)
    events = (*_change_of_readiness(service, ready), *draft.events)
    told = _edit(service, changes, entries, events)
    draft.add(replace(told, confirm=draft.told_confirm))


def _stamped(status: Status, release: Release) -> str:
    return replace(status, at=stamp(release.now)).text()


def _said(service: Object) -> dict[str, tuple[str, str, str]]:
    entries = status_of(service).get("conditions") or ()
    return {
        str(entry.get("type")): _worth(
            *(str(entry.get(k)) for k in ("status", "reason", "message"))
        )
        for entry in entries
        if is_our_condition(entry)
    }


def _worth(status: str, reason: str, message: str) -> tuple[str, str, str]:
    """Return what of a condition is worth a write of its own: of messages, how it is held."""
    return status, reason, message if reason == HELD else ""


def _edit(
    service: Object,
    annotations: Mapping[str, str | None],
    conditions: list[Mapping[str, Any]],
    events: tuple[Event, ...],
) -> Edit:
    before = status_of(service).get("conditions")
    meta = metadata(service)
    operations = [
        _same(meta, "uid" if meta.get("annotations") is not None else "resourceVersion"),
        *edit_map("/metadata/annotations", meta.get("annotations"), annotations),
    ]
    if before is not None:
        operations.append({"op": "test", "path": "/status/conditions", "value": before})
    if conditions:
        operations.append({"op": "add", "path": "/status/conditions", "value": conditions})
    elif before is not None:
        operations.append({"op": "remove", "path": "/status/conditions"})
    return Edit(
        kind=SERVICE,
        namespace=namespace_of(service),
        name=name_of(service),
        operations=tuple(operations),
        subresource="status",
        why="told how the release stands",
        events=events,
    )


def _same(meta: Mapping[str, Any], field: str) -> dict[str, Any]:
    """Return the test that a field of the metadata is as it was seen."""
    return {"op": "test", "path": f"/metadata/{field}", "value": meta[field]}


def forget(release: Release, draft: Draft) -> None:
    """Remove our status and conditions from a Service that has left."""
    service = release.observed.service or {}
    kept = [e for e in status_of(service).get("conditions") or () if not is_our_condition(e)]
    event = Event(reason="Left", message="nothing of ours is left on this Service")
    draft.add(_edit(service, {names.STATUS: None}, kept, (event,)))


def status_now(release: Release, draft: Draft, stage: Stage | None, story: Story) -> Status:
    """Return the status annotation as it should be after this pass."""
    service = release.observed.service or {}
    record = draft.record
    runs = stage in RUNNING and record is not None
    intent = release.intent
    return Status(
        configuration=configuration_digest(annotations_of(service)),
        stage=str(stage) if stage is not None else None,
        reason=str(story.reason),
        message=story.message,
        revision=_revision(release, stage),
        asked=story.asked if runs else 0,
        written=release.widest.weight if runs else 0,
        step=record.step if runs and record is not None else None,
        since=record.since if runs and record is not None else "",
        until=stamp(release.until(story.left_seconds)) if story.left_seconds else "",
        ready=release.canary_ready() if runs else 0,
        needed=story.needed if runs else 0,
        accounts=len(intent.accounts) if intent is not None else 0,
        share=f"{float(share_of(intent.suffixes)):.4%}" if intent and intent.suffixes else "",
        commands=(*_going_on(release, story), *commands(release, stage)),
        checks=checks_now(release, draft, stage),
        coverage=coverage_now(release, draft, stage),
        last=draft.last,
        rejected=draft.rejected,
        outcome=draft.outcome,
        stable=draft.stable,
    )


def _revision(release: Release, stage: Stage | None) -> str:
    if stage in {None, Stage.IDLE}:
        return ""
    return release.template_revision


def checks_now(release: Release, draft: Draft, stage: Stage | None) -> tuple[Judged, ...]:
    """Return what the checks say; once nobody is exposed any more, what they said last."""
    if _is_judged(release, draft, stage):
        return tuple(judged_of(verdict) for verdict in verdicts_of(release))
    return release.status.checks if stage in ENDING else ()


def coverage_now(release: Release, draft: Draft, stage: Stage | None) -> Covered | None:
    """Return what the canary was asked; once nobody is exposed any more, what was said last."""
    if not _is_judged(release, draft, stage):
        return release.status.coverage if stage in ENDING else None
    tried = tried_by(release)
    if tried is None:
        return None
    return Covered(
        share=floor(tried.share * 1000 + 1e-9) / 1000,
        kinds=len(tried.wanted),
        tried=len(tried.wanted) - len(tried.missing),
        missing=tried.missing_texts(),
        untold=tried.untold,
    )


def _is_judged(release: Release, draft: Draft, stage: Stage | None) -> bool:
    is_ending = draft.outcome != release.status.outcome
    return release.is_open and (stage in JUDGED or is_ending)


def judged_of(verdict: Verdict) -> Judged:
    """Return a verdict as the annotation shows it."""
    return Judged(
        check=verdict.check,
        outcome=str(verdict.outcome),
        message=verdict.message[:CHECK_MESSAGE_LIMIT],
        canary=_tally(verdict.canary),
        stable=_tally(verdict.stable),
        harm=_bound(verdict.harm, verdict.harm_limit),
        safety=_bound(verdict.safety, verdict.safety_limit),
        needed=_whole(verdict.needed_requests),
        needed_seconds=_whole(verdict.needed_seconds),
        curve=tuple(_decimal(value) for value in _thinned(verdict.curve)),
    )


def _tally(count: Count) -> Tally:
    return Tally(requests=_whole(count.requests) or 0, events=_whole(count.events) or 0)


def _bound(evidence: float, limit: float) -> Bound:
    return Bound(evidence=_decimal(evidence), limit=_decimal(limit))


def _decimal(natural: float) -> float:
    """Return a natural logarithm as a decimal one, as exact as a plot needs it."""
    return round(natural / log(10), 2) if isfinite(natural) else 0.0


def _whole(number: float | None) -> int | None:
    return round(number) if number is not None and 0 <= number < WHOLE_LIMIT else None


def _thinned(curve: Sequence[float]) -> Sequence[float]:
    """Return at most `CURVE_POINTS` values, evenly spread, the newest among them."""
    step = ceil(len(curve) / CURVE_POINTS) or 1
    return curve[::-1][::step][::-1]


def _going_on(release: Release, story: Story) -> tuple[str, ...]:
    """Return the line that lets a step be over whose checks hold it."""
    if story.reason not in REASONS.values():
        return ()
    return (f"kubectl canary continue {release.observed.name} -n {release.observed.namespace}",)


def commands(release: Release, stage: Stage | None) -> tuple[str, ...]:
    """Return the lines to paste that go on from here."""
    service, namespace = release.observed.name, release.observed.namespace
    where = f"{service} -n {namespace}"
    deployment = name_of(release.stable or {})
    resume = f"kubectl rollout resume deployment {deployment} -n {namespace}"
    abort, undo = f"kubectl canary abort {where}", f"kubectl canary undo {where}"
    revision = release.template_revision
    action = f"kubectl annotate service {where} --overwrite {names.ACTION}="
    match stage:
        case Stage.STARTING:
            return (abort,)
        case Stage.CANARY:
            more = f"kubectl canary set-weight {service} 10 -n {namespace}"
            return (more, f"{action}promote:{revision}", resume, abort)
        case Stage.PROMOTING:
            return (abort, undo)
        case Stage.ABORTED:
            return (f"{action}retry:{revision}", undo)
        case _:
            return ()


def conditions_now(
    draft: Draft, stage: Stage | None, story: Story, ready: Readiness
) -> list[Condition]:
    """Return our conditions as they should be after this pass."""
    runs = stage in RUNNING
    found = [
        Condition(
            type=names.READY,
            status="True" if ready.is_ready else "False",
            reason=ready.reason,
            message=ready.message,
        ),
        Condition(
            type=names.PROGRESSING,
            status="True" if runs else "False",
            reason=str(story.reason),
            message=story.message,
        ),
        _degraded(story),
    ]
    if draft.outcome is not None:
        promoted = draft.outcome.result == "promoted"
        found.append(
            Condition(
                type=names.PROMOTED,
                status="True" if promoted else "False",
                reason=draft.outcome.reason or ("Promoted" if promoted else "Aborted"),
                message=f"revision {draft.outcome.revision}: {draft.outcome.why}",
            )
        )
    return found


def _degraded(story: Story) -> Condition:
    if story.degraded is None:
        return Condition(
            type=names.DEGRADED, status="False", reason="AsExpected", message="nothing is wrong"
        )
    reason, message = story.degraded
    return Condition(type=names.DEGRADED, status="True", reason=reason, message=message)


def _change_of_readiness(service: Object, ready: Readiness) -> tuple[Event, ...]:
    before = condition_of(service, names.READY) or {}
    if before.get("reason") == ready.reason == HELD and before.get("message") != ready.message:
        return (Event(reason="HoldChanged", message=ready.message),)
    if ready.is_ready or before.get("reason") == ready.reason or ready.reason == "TakingHold":
        return ()
    return (Event(reason=ready.reason, message=ready.message, type="Warning"),)


def edit_stable(release: Release, draft: Draft) -> None:
    """Add the one PATCH of the stable Deployment: `spec.paused` and our two labels."""
    stable = release.stable
    if stable is None or (draft.paused is None and not draft.labels):
        return
    meta = metadata(stable)
    is_new = bool(draft.labels) and meta.get("labels") is None
    operations = [
        _same(meta, "resourceVersion" if is_new else draft.tested),
        *_held_still(meta, draft),
        *edit_map("/metadata/labels", meta.get("labels"), draft.labels),
    ]
    if draft.paused is True:
        operations.append({"op": "add", "path": "/spec/paused", "value": True})
    elif draft.paused is False:
        operations.append({"op": "remove", "path": "/spec/paused"})
    draft.add(
        Edit(
            kind=DEPLOYMENT,
            namespace=namespace_of(stable),
            name=name_of(stable),
            operations=tuple(operations),
            why="; ".join(draft.stable_why),
            confirm=draft.stable_confirm,
            events=tuple(draft.stable_events),
        )
    )


def _held_still(meta: Mapping[str, Any], draft: Draft) -> list[dict[str, Any]]:
    """Return the test that a hold which is kept is still marked: a label raises no generation."""
    held = (meta.get("labels") or {}).get(names.HELD)
    if draft.tested != "generation" or held is None or names.HELD in draft.labels:
        return []
    return [{"op": "test", "path": HELD_PATH, "value": held}]


HELD_PATH = "/metadata/labels/" + names.HELD.replace("/", "~1")
