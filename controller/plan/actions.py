"""What a person asks for in one shot: `serinus.dev/action`, and `kubectl rollout resume`.

Each is carried out, then taken away with its outcome on the status. Approving is recorded on the
canary Deployment first and the request removed by a later pass, so that a crash between loses
nothing (safety.md section 3, rule 5). What is recorded rests on the Service as it is now: one that
is seen late asks once more for what was answered long ago.
"""

from collections.abc import Callable

from controller.api import names
from controller.api.intent import Action
from controller.api.objects import DEPLOYMENT, annotations_of, is_paused, labels_of, stamp
from controller.api.status import Outcome
from controller.plan.draft import Draft, known
from controller.plan.observed import Ref
from controller.plan.record import Record
from controller.plan.release import Release, Roll
from controller.plan.routes import service_ref
from controller.plan.stages import Stage
from controller.plan.writes import Event, ref

EVEN_IF_INVALID = frozenset({"abort", "pause"})
"""Obeyed while the configuration is wrong (contract.md section 2)."""


def act(release: Release, draft: Draft, stage: Stage) -> Stage:
    """Carry out what was asked for; returns the stage to go on with."""
    _resume(release, draft, stage)
    action = release.found.parsed.action
    if draft.record is not None and draft.record.resumed and not _asks_to_continue(action):
        draft.note(resumed=False)
    if action is None:
        return stage
    if release.intent is None and action.verb not in EVEN_IF_INVALID:
        _refuse(release, draft, "the configuration is invalid: mend it first")
        return stage
    before = draft.record
    after = HANDLERS[action.verb](release, draft, stage, action)
    if draft.record != before and action.verb != "abort":  # an abort waits for nobody
        draft.kept_confirm |= {service_ref(release)}
    return after


def _asks_to_continue(action: Action | None) -> bool:
    return action is not None and action.verb == "continue"


def _text(release: Release) -> str:
    return annotations_of(release.observed.service or {})[names.ACTION]


def _done(release: Release, draft: Draft, outcome: str) -> None:
    draft.answer(release, _text(release), outcome)


def _refuse(release: Release, draft: Draft, why: str, reason: str = "ActionRefused") -> None:
    draft.answer(release, _text(release), f"refused: {why}")
    draft.tell(reason, f"{_text(release)}: {why}", warning=True)


def _promote(release: Release, draft: Draft, stage: Stage, action: Action) -> Stage:
    why_not = _promotion_refused(release, stage, action.revision)
    record = release.record
    if why_not is not None:
        _refuse(release, draft, why_not, "PromotionRefused")
    elif record is None or release.template_revision not in {record.revision, record.approval}:
        _approve_other(release, draft, stage)
    elif record.approval == action.revision and not record.abort:
        _done(release, draft, "approved")
    else:
        approve(release, draft, "action")
    return stage


def _approve_other(release: Release, draft: Draft, stage: Stage) -> None:
    """Approve what stands in the Deployment in mid-roll; before that, wait for its canary."""
    if stage is Stage.PROMOTING and release.roll is Roll.ROLLING:
        approve(release, draft, "action")


def _promotion_refused(release: Release, stage: Stage, revision: str | None) -> str | None:
    pending = release.template_revision
    if stage is Stage.IDLE or release.roll in {Roll.BACK, Roll.RETURNING}:
        return "nothing is pending"
    if release.is_rejected:
        return f"revision {pending} was aborted; to try it again: retry:{pending}"
    if revision != pending:
        return f"the pending revision is {pending}"
    if release.is_concluded:
        return "the release has ended"
    return None


def approve(release: Release, draft: Draft, by: str) -> None:
    """Record that the template which waits may be rolled out (P0)."""
    stopped = release.record is not None and bool(release.record.abort)
    draft.note(
        approval=release.template_revision,
        approved_by=by,
        abort="",
        interrupted=stopped or (release.record is not None and release.record.interrupted),
    )
    draft.tell("PromotionApproved", f"revision {release.template_revision} by {by}")


def _abort(release: Release, draft: Draft, stage: Stage, action: Action) -> Stage:
    running = release.record.revision if release.record is not None else release.template_revision
    if action.revision is not None and action.revision != running:
        _refuse(release, draft, f"the running revision is {running}")
    elif stage in {Stage.IDLE, Stage.ABORTED}:
        _refuse(release, draft, "no release is running")
    elif stage is Stage.ROLLING_BACK:
        _done(release, draft, "already ending")
    elif release.record is not None and release.roll is not Roll.HELD:
        _abort_the_roll(release, draft)
    else:
        _done(release, draft, "aborted")
        end(release, draft, "aborted by a person")
        return Stage.ROLLING_BACK
    return stage


def _abort_the_roll(release: Release, draft: Draft) -> None:
    """From P3 on an abort lives in the record and stops the roll (safety.md section 4)."""
    if release.roll is Roll.DONE:
        _refuse(release, draft, "too late, the roll is complete: kubectl canary undo")
    elif release.record is not None and release.record.abort:
        _done(release, draft, "stopping the roll; put the old template back: kubectl canary undo")
    else:
        draft.note(abort="asked")
        draft.tell("AbortAsked", "the roll is stopped", warning=True)


def end(
    release: Release,
    draft: Draft,
    why: str,
    *,
    reject: bool = True,
    reason: str = "",
    rests_on: frozenset[Ref] = frozenset(),
) -> None:
    """Record that the release ends without promotion (B1); `weight` belongs to it and goes too.

    Args:
        release: the release.
        draft: where that is written.
        why: one clause for people.
        reject: this revision is not tried again by itself.
        reason: CamelCase, for the condition; "" for an abort like any.
        rests_on: what has to be read afresh before: a watch that lags must not end a release.
    """
    draft.told_confirm = rests_on
    revision = release.record.revision if release.record is not None else release.template_revision
    since = release.record.since if release.record is not None else stamp(release.now)
    if reject:
        draft.rejected = known(release, revision, why)
    draft.outcome = Outcome(
        revision=revision,
        since=since,
        result="aborted",
        why=why,
        reason=reason,
        at=stamp(release.now),
    )
    draft.remove(names.WEIGHT)
    draft.tell(reason or "Aborted", f"revision {revision}: {why}", warning=reject)


def _retry(release: Release, draft: Draft, stage: Stage, action: Action) -> Stage:
    rejected = release.status.rejected
    if rejected is None or not release.is_rejected:
        _refuse(release, draft, "no aborted revision is pending")
    elif rejected.revision != action.revision:
        _refuse(release, draft, f"the aborted revision is {rejected.revision}")
    elif stage is Stage.ABORTED:
        draft.rejected = None
        _done(release, draft, "starting again")
        draft.tell("Retried", f"revision {rejected.revision} is tried again")
    return stage


def _pause(release: Release, draft: Draft, stage: Stage, _: Action) -> Stage:
    if stage not in {Stage.STARTING, Stage.CANARY}:
        _refuse(release, draft, "no plan is running")
    elif release.record is not None and release.record.paused:
        _done(release, draft, "paused")
    else:
        draft.note(paused=True)
    return stage


def _continue(release: Release, draft: Draft, stage: Stage, _: Action) -> Stage:
    record = release.record
    if stage not in {Stage.STARTING, Stage.CANARY}:
        _refuse(release, draft, "no plan is running")
    elif record is not None:
        _go_on(release, draft, record)
    return stage


def _go_on(release: Release, draft: Draft, record: Record) -> None:
    """End a pause; without one, let a step be over that waits for a person or for its checks."""
    position = record.step or 0
    has_checks = release.intent is not None and bool(release.intent.checks)
    waived = position if has_checks else record.waived
    if record.paused:
        draft.note(paused=False, go=position, resumed=has_checks)
    elif record.resumed or (record.go, record.waived) == (position, waived):
        _done(release, draft, "continued")
    else:
        draft.note(go=position, waived=waived)


HANDLERS: dict[str, Callable[[Release, Draft, Stage, Action], Stage]] = {
    "promote": _promote,
    "abort": _abort,
    "retry": _retry,
    "pause": _pause,
    "continue": _continue,
}


def _resume(release: Release, draft: Draft, stage: Stage) -> None:
    """Answer `kubectl rollout resume`, which the hold turned into a label (safety.md section 2)."""
    asked = labels_of(release.stable or {}).get(names.RESUME)
    if asked is None or release.stable is None:
        return
    if stage is Stage.IDLE:
        draft.label_stable(names.RESUME, None, "nothing is pending: resumed the Deployment")
        if is_paused(release.stable):
            draft.release_stable("nothing is pending", frozenset({ref(DEPLOYMENT, release.stable)}))
    elif release.is_rejected:
        revision = release.template_revision
        _refuse_resume(draft, f"revision {revision} was aborted; to try it: retry:{revision}")
    elif release.is_concluded:
        _refuse_resume(draft, "the release has ended")
    elif release.record is not None and stage is not Stage.ROLLING_BACK:
        _approve_by_resume(release, draft, release.record, asked)


def _approve_by_resume(release: Release, draft: Draft, record: Record, asked: str) -> None:
    if release.roll is Roll.ROLLING and is_paused(release.stable or {}) and not record.interrupted:
        # The hold takes a roll without pods for a pending template; its resume ends a pause there.
        draft.note(abort="", interrupted=True)
    elif record.approval == release.template_revision:
        draft.label_stable(names.RESUME, None, "the approval is recorded")
    elif not asked.isdecimal() or int(asked) < record.generation:
        _refuse_resume(draft, "the template was changed since: resume again to promote that one")
    elif record.revision == release.template_revision:
        approve(release, draft, "rollout resume")


def _refuse_resume(draft: Draft, why: str) -> None:
    event = Event(reason="PromotionRefused", message=f"rollout resume: {why}", type="Warning")
    draft.label_stable(names.RESUME, None, "answered rollout resume", event)
