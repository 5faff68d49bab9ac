"""Leaving: the label is off the Service, or the Service is gone (contract.md section 4)."""

from controller.api import names
from controller.api.objects import (
    DEPLOYMENT,
    annotations_of,
    is_paused,
    labels_of,
    name_of,
    status_of,
)
from controller.api.status import is_our_condition
from controller.plan.draft import Draft
from controller.plan.hold import is_paused_by_hand
from controller.plan.promote import plan_promotion
from controller.plan.release import Release, Roll
from controller.plan.routes import clean, close, keep_time, restamp
from controller.plan.stable import hold_after_approval
from controller.plan.tell import forget
from controller.plan.writes import Event, ref


def plan_leave(release: Release, draft: Draft) -> float | None:
    """Plan one pass of un-enrolment: a promotion that rolls is finished, anything else ended.

    There is no Service to tell it on. Returns the seconds to wait for; None: nothing is waited for.
    """
    if not release.found.is_empty:
        return _end(release, draft)
    if _has_traces(release):
        forget(release, draft)
    else:
        _let_go(release, draft)
    return None


def _end(release: Release, draft: Draft) -> float | None:
    if _is_in_a_roll(release):
        return plan_promotion(release, draft).left_seconds
    restamp(release, draft)
    hold = hold_after_approval(release) or close(release, draft)
    if hold is not None:
        return hold.left_seconds
    if release.is_open:
        return None
    keep_time(release, draft)
    left = release.settling(release.drained_after)
    return left if left > 0 else clean(release, draft)


def _is_in_a_roll(release: Release) -> bool:
    """Tell whether stable has to be whole before traffic goes back to it (from P3 on).

    Also where the old template is back and has rolled out again: no proxy may know its pods yet.
    """
    if release.record is None or release.stable is None:
        return False
    if release.roll is Roll.BACK:
        return bool(release.record.approval) and release.is_open
    return release.roll in {Roll.ROLLING, Roll.RETURNING, Roll.DONE}


def _has_traces(release: Release) -> bool:
    """Tell whether the Service still carries our status or conditions."""
    service = release.observed.service
    if service is None:
        return False
    conditions = status_of(service).get("conditions") or ()
    return names.STATUS in annotations_of(service) or any(map(is_our_condition, conditions))


def _let_go(release: Release, draft: Draft) -> None:
    """Take our labels off the Deployment, last: `held` is what finds the Service again.

    A pause stays where a template waits behind it, and where it is the user's; else it was the
    hold's.
    """
    stable = release.stable
    if stable is None or not release.is_held:
        return
    if release.observed.hold is None:
        return  # an unproven hold: whose pause it is will be known in a moment
    name = name_of(stable)
    events = []
    if release.is_pending or (is_paused(stable) and not release.is_serving_known):
        text = (
            f"Deployment {name} stays paused with a template pending: kubectl rollout resume "
            f"deployment {name} rolls it to everyone, or put the old template back and resume"
        )
        on = ref(DEPLOYMENT, stable)
        events.append(Event(reason="LeftPending", message=text, type="Warning", on=on))
    elif is_paused(stable) and (release.observed.hold == "pause" or not is_paused_by_hand(stable)):
        draft.release_stable("took our pause off", frozenset({ref(DEPLOYMENT, stable)}))
    draft.label_stable(names.HELD, None, "let the Deployment go", *events)
    if names.RESUME in labels_of(stable):
        draft.label_stable(names.RESUME, None, "and its request to promote")
