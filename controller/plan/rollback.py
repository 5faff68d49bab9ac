"""`RollingBack` and `Aborted`: exposure 0 first, then drain, then pods (safety.md section 4)."""

from dataclasses import replace

from controller.api.objects import is_paused, stamp
from controller.plan.actions import end
from controller.plan.draft import Draft, Story, new_record
from controller.plan.observed import Ref
from controller.plan.pods import replace_template
from controller.plan.promote import plan_promotion
from controller.plan.release import Release, Roll
from controller.plan.routes import (
    announce,
    clean,
    close,
    deployment_refs,
    keep_missing,
    keep_time,
    restamp,
    sticks,
)
from controller.plan.stable import hold_after_approval
from controller.plan.stages import Stage
from controller.plan.start import first_need


def plan_rollback(release: Release, draft: Draft) -> Story:
    """Plan one pass of `RollingBack`: why it ends decides what stays afterwards."""
    restamp(release, draft)
    _stop_the_aborted(release, draft)
    if release.is_concluded or draft.outcome != release.status.outcome:
        return _down(release, draft, "the release has ended")
    if release.record is None:
        return _without_record(release, draft)
    if release.roll is Roll.BACK:
        return _put_back(release, draft)
    hold = hold_after_approval(release)
    if hold is not None:
        return Story.of(hold)
    if release.is_rejected:
        return _rejected(release, draft)
    if release.roll is not Roll.HELD:
        return _ended(release, draft, "the Deployment rolls to another revision")
    return _replace(release, draft)


def _stop_the_aborted(release: Release, draft: Draft) -> None:
    """Pause a roll that was let go in the very moment of its abort.

    Another process may have read just before that nobody aborts, and an abort waits for no write on
    the Deployment that would fail it. With `pause` hold a person's resume looks so too: it goes on.
    """
    record, rejected = release.record, release.status.rejected
    revision = release.template_revision
    if record is None or rejected is None or {record.approval, rejected.revision} != {revision}:
        return
    is_let_go = release.roll is Roll.ROLLING and not is_paused(release.stable or {})
    if is_let_go and release.observed.hold == "admission":
        draft.pause_stable("stopped the roll of an aborted revision")
        message = (
            f"revision {revision} began to roll as it was aborted, and is stopped: put the old "
            "template back (kubectl canary undo)"
        )
        draft.tell("RollStopped", message, warning=True)


def _ended(release: Release, draft: Draft, why: str) -> Story:
    """End what nobody asked to end: only as both Deployments are now (T9)."""
    shown = deployment_refs(release)
    end(release, draft, why, reject=False, rests_on=shown)
    return _down(release, draft, why, shown)


def _down(
    release: Release, draft: Draft, why: str, rests_on: frozenset[Ref] = frozenset()
) -> Story:
    """B1 to B3: close, drain, delete."""
    hold = close(release, draft, rests_on)
    if hold is not None:
        return Story.of(hold)
    if release.is_open:
        return _told(f"{why}: taking all traffic off the canary")
    keep_time(release, draft)
    left = release.settling(release.drained_after)
    if left > 0:
        return _told(f"{why}: requests to the canary drain", left)
    return _told(f"{why}: removing the canary", clean(release, draft))


def _told(message: str, left_seconds: float | None = None) -> Story:
    return Story(reason=Stage.ROLLING_BACK, message=message, left_seconds=left_seconds)


def _put_back(release: Release, draft: Draft) -> Story:
    """The old template is back: nothing is pending. Out of a promotion stable takes over gated."""
    record = release.record
    if record is not None and record.approval and release.is_open:
        return plan_promotion(release, draft)
    return _ended(release, draft, "the old template was put back")


def _rejected(release: Release, draft: Draft) -> Story:
    rejected = release.status.rejected
    record = release.record
    again = rejected is not None and record is not None and rejected.revision != record.revision
    why = "an aborted template came back" if again else "aborted"
    return _ended(release, draft, why)


def _without_record(release: Release, draft: Draft) -> Story:
    """The canary or its record is missing: close what is left, then begin again or clean up."""
    is_over = release.canary is None or not release.is_pending or release.is_rejected
    if release.is_open or is_over:
        return _down(release, draft, "left-overs of a release")
    draft.record = new_record(release)
    return _replace(release, draft)


def _replace(release: Release, draft: Draft) -> Story:
    """A newer template in mid-canary: close, drain, then give the canary the newer one."""
    record = draft.record
    if record is not None and record.revision != release.template_revision:
        draft.record = record = replace(new_record(release), changed=_end_of_exposure(release))
        draft.tell("Superseded", f"revision {record.revision} takes the canary's place")
    why = f"revision {release.template_revision} replaces the canary"
    close(release, draft, deployment_refs(release))
    if release.is_open:
        return _told(f"{why}: taking all traffic off the canary")
    if (sticks(release) or release.is_started) and keep_missing(release, draft):
        return _told(f"{why}: requests to the canary drain", release.drained_after)
    left = release.settling(release.drained_after)
    if left > 0:
        return _told(f"{why}: requests to the canary drain", left)
    if release.refusal is not None:
        return Story(reason=release.refusal.reason, message=release.refusal.message)
    if not announce(release, draft):
        return _told(why)
    draft.note(since=stamp(release.now))  # the ready-deadline is for the pods that come now
    replace_template(release, draft, first_need(release))
    return _told(why)


def _end_of_exposure(release: Release) -> str:
    """Return when the superseded template's exposure ends: now, or when it had ended before.

    The new record knows nothing of doors that were open, and an Ingress may vanish meanwhile.
    """
    if release.is_started:
        return stamp(release.now)
    return release.record.changed if release.record is not None else ""


def plan_aborted(release: Release, _: Draft) -> Story:
    """Plan `Aborted`: nothing is ours any more, and the template is still pending."""
    rejected = release.status.rejected
    why = rejected.why if rejected is not None and rejected.why else "aborted"
    revision = release.template_revision
    return Story(
        reason=Stage.ABORTED,
        message=f"revision {revision} was rejected ({why}); it is still pending and held: "
        f"retry:{revision}, a newer template, or put the old one back (kubectl canary undo)",
    )
