"""`Promoting`: shift to the canary, roll the Deployment, walk back (safety.md section 4, P0 to P7).

From P3 to P6 the canary carries everybody, so there lowering the weight is the raise.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from math import ceil

from controller.api import names
from controller.api.objects import (
    Object,
    condition_of,
    is_paused,
    labels_of,
    name_of,
    replicas_of,
    spec_of,
    stamp,
)
from controller.api.status import Outcome
from controller.plan.actions import end
from controller.plan.checks import Hold, hold_on, let_go, pods_hold
from controller.plan.draft import Draft, Story, canary_spec
from controller.plan.pods import ensure_budget, ensure_service, size
from controller.plan.refusals import has_affinity
from controller.plan.release import Release, Roll, writable
from controller.plan.routes import (
    canary_refs,
    clean,
    close,
    ensure_routes,
    keep_time,
    lower,
    move,
    raise_routes,
    restamp,
    route_refs,
    service_ref,
    stable_refs,
    sticks,
    walk_back,
)
from controller.plan.stable import lowest_weight, needed_back, unknown_seconds
from controller.plan.stages import Stage
from controller.plan.start import rules_of, short_canary
from controller.plan.traffic.exposure import CLOSED, Exposure
from controller.plan.workload import most_unavailable, smallest_replicas
from controller.plan.writes import Event

IN_PLACE_WEIGHT = 50
"""In-place promotion leaves stable at least half of the traffic's worth of pods to roll over."""
NO_GROWTH_SECONDS = 300
"""With an autoscaler: so long may an idle stable stay small before the weight falls anyway."""
NO_GROWTH_FALL = 25
STALLED_SECONDS = 600
"""Without a progress deadline of its own a roll is called stalled after so long."""
LOOK_SECONDS = 5.0
"""How often a roll is looked at while nothing is heard of it; nothing is decided then, so the
status names no time: one that moves on would be written again and again."""
NO_DEADLINE = (None, 2**31 - 1)
"""`progressDeadlineSeconds` that the Deployment controller takes for none."""


def plan_promotion(release: Release, draft: Draft) -> Story:
    """Plan one pass of `Promoting`, by where the stable Deployment stands."""
    restamp(release, draft)
    if release.is_concluded:
        return _concluded(release, draft)
    return PLANNERS[release.roll](release, draft)


def _concluded(release: Release, draft: Draft) -> Story:
    """P7: remove the canary. A door that somebody opened meanwhile is closed and drained first.

    That is a lowering again, and it rests on the record: one of the release before, seen late,
    would close the canary of the next.
    """
    if release.is_open:
        close(release, draft, canary_refs(release))
        return Story(reason="Promoted", message="a door was opened again: closing it")
    keep_time(release, draft)
    left = release.settling(release.drained_after)
    if left > 0:
        message = "requests to the canary drain"
        return Story(reason="Promoted", message=message, left_seconds=left)
    return Story(
        reason="Promoted", message="removing the canary", left_seconds=clean(release, draft)
    )


# Before the roll: P0 to P3.


def _shift(release: Release, draft: Draft) -> Story:
    """P0 to P3: everything to a canary of full size, then let the Deployment go."""
    if release.record is not None and release.record.abort:
        return _aborted_at_the_edge(release, draft)
    blocked = _blocked(release)
    if blocked is not None:
        return _waiting(blocked, release.full)
    if release.refusal is None:
        ensure_service(release, draft)
        ensure_budget(release, draft)
    if release.has_nothing_ready:
        return _let_go(release, draft, "stable has nothing ready: rolling at once")
    if release.intent is not None and release.intent.in_place:
        return _in_place(release, draft)
    short = short_canary(release, draft)
    if short is not None:
        return short
    return _to_the_canary(release, draft)


def _aborted_at_the_edge(release: Release, draft: Draft) -> Story:
    """An abort that stopped the roll before it had made a pod: an abort like any before P3.

    Only once the Deployment controller has seen the pause: until then it may still make one.
    """
    if not release.is_observed:
        return _told(release, "AbortedInRoll", "waiting for the Deployment controller to stop")
    end(release, draft, "aborted by a person")
    close(release, draft)
    return _told(release, Stage.ROLLING_BACK, "aborted before the roll had made a pod")


def _to_the_canary(release: Release, draft: Draft) -> Story:
    target = _everything(release)
    needed = size(release, draft, target, at_least=release.full)
    ensure_routes(release, draft)
    hold = hold_on(release, target) or pods_hold(release, needed)
    shifted = bool(release.found.mains) and release.narrowest.doors == target.doors
    if hold is not None or not shifted:
        wanted = release.kept if hold is not None else target
        move(release, draft, wanted, hold)
        fallback = Hold(reason=Stage.PROMOTING, message="moving everybody to the canary")
        return _waiting(hold or fallback, needed)
    if draft.record is not None and draft.record.replicas < release.full:
        draft.note(replicas=release.full)
    draft.note(short=False)
    left = release.settling(release.drained_after)
    if left > 0:
        return Story(
            reason=Stage.PROMOTING,
            message="everybody is on the canary; requests to stable drain before it rolls",
            left_seconds=left,
            asked=100,
            needed=needed,
        )
    return _let_go(release, draft, "everybody is on the canary: rolling the Deployment")


def _everything(release: Release) -> Exposure:
    """Return weight 100 with the header rules kept; a visitors' cookie would hold `never` back."""
    if release.intent is None:
        return replace(release.kept, weight=100, cookie=None)
    return replace(rules_of(release.intent, 100), cookie=None)


def _let_go(release: Release, draft: Draft, message: str) -> Story:
    """P3: un-pause stable, exactly as it was read just before (T3)."""
    hold = _no_roll(release)
    if hold is not None:
        return _waiting(hold, release.full)
    event = Event(reason="RollStarted", message=f"revision {release.template_revision} rolls out")
    confirm = canary_refs(release) | stable_refs(release) | route_refs(release)
    confirm |= {service_ref(release)}
    draft.release_stable("let the approved revision roll", confirm, event)
    return Story(reason=Stage.PROMOTING, message=message, asked=100, needed=release.full)


def _no_roll(release: Release) -> Hold | None:
    record = release.record
    if release.stable is None or record is None or record.approval != release.template_revision:
        return Hold(reason="WaitingForApproval", message="the pending template is not approved")
    if release.refusal is not None:
        return Hold(reason=release.refusal.reason, message=release.refusal.message)
    return let_go(release)


def _blocked(release: Release) -> Hold | None:
    """P0: stable must be able to roll without being empty for a moment (S2)."""
    stable = release.stable or {}
    if (spec_of(stable).get("strategy") or {}).get("type") == "Recreate":
        return None  # refused, or accepted with its 503s
    for replicas in smallest_replicas(stable, release.autoscalers):
        unavailable = most_unavailable(stable, replicas)
        if replicas and unavailable >= replicas:
            return Hold(
                reason="StableWouldBeEmpty",
                message=f"strategy.rollingUpdate.maxUnavailable of Deployment {name_of(stable)} "
                f"allows {unavailable} of {replicas} pods to be missing in the roll: lower it",
            )
    return None


def _waiting(hold: Hold, needed: int) -> Story:
    return replace(Story.of(hold), asked=100, needed=needed)


def _in_place(release: Release, draft: Draft) -> Story:
    """Down to half, then let stable roll under its own share."""
    sticky = any(has_affinity(release.found, main) for main in release.found.mains.values())
    ensure_routes(release, draft)
    if release.widest.weight > IN_PLACE_WEIGHT and not sticky:
        for route in release.found.our_ingresses:
            half = writable(release.written(route)).at_weight(IN_PLACE_WEIGHT)
            draft.add(lower(release, route, half.meet(release.written(route))))
        return Story(reason=Stage.PROMOTING, message="lowering the weight to 50 before the roll")
    left = release.settling(release.propagation)
    if left > 0:
        return Story(
            reason=Stage.PROMOTING,
            message="the proxy may not know the weight yet",
            left_seconds=left,
        )
    return _let_go(release, draft, "rolling the Deployment in place")


# The roll: P3 to P5.


def _roll(release: Release, draft: Draft) -> Story:
    """Stable rolls: to the approved revision, back to its own, or to one nobody approved."""
    _keep_carried(release, draft)
    record = draft.record
    if release.stable is None or record is None:
        return Story(reason=Stage.PROMOTING, message="the Deployment is gone")
    if release.roll is Roll.RETURNING:
        return _returning(release, draft, release.stable)
    if record.approval in {release.template_revision, ""}:
        return _rolling(release, draft, release.stable)
    return _interrupted(release, draft, release.stable)


def _returning(release: Release, draft: Draft, stable: Object) -> Story:
    """The recorded template is back in mid-roll: that counts as abort, and it rolls back."""
    if is_paused(stable):
        event = Event(reason="RollReturned", message="the old template is back: it rolls out again")
        draft.release_stable("let the old template roll back", stable_refs(release), event)
    return _told(
        release, Stage.PROMOTING, "the old template is back: waiting for stable to be whole"
    )


def _rolling(release: Release, draft: Draft, stable: Object) -> Story:
    record = draft.record
    name = name_of(stable)
    if record is not None and record.abort:
        return _stopped(release, draft, stable)
    if not is_paused(stable):
        if record is not None and record.interrupted:
            draft.note(interrupted=False)
        return _progress(release, draft, stable)
    if record is not None and record.interrupted:
        event = Event(reason="RollContinued", message="the approved revision is back: it rolls on")
        draft.release_stable("let the approved revision roll on", stable_refs(release), event)
        return _told(release, Stage.PROMOTING, "going on with the roll")
    return _told(
        release, "RollPaused", f"a person paused the roll: kubectl rollout resume deployment {name}"
    )


def _stopped(release: Release, draft: Draft, stable: Object) -> Story:
    """An abort from P3 on: the roll is stopped until a person says which way."""
    record = draft.record
    paused = is_paused(stable)
    message = (
        "the roll is stopped by an abort: put the old template back (kubectl canary undo), or go "
        f"on with promote:{release.template_revision} or kubectl rollout resume"
    )
    if record is not None and record.abort == "stopped" and not paused:
        draft.note(abort="")
        draft.tell("AbortWithdrawn", "the Deployment was resumed: the roll goes on")
        return _told(release, Stage.PROMOTING, "the abort was withdrawn: the roll goes on")
    if not paused:
        draft.pause_stable("stopped the roll: abort")
    elif record is not None and record.abort == "asked":
        draft.note(abort="stopped")
    return _told(release, "AbortedInRoll", message, degraded=True)


def _interrupted(release: Release, draft: Draft, stable: Object) -> Story:
    """A template that nobody approved came in mid-roll: stop, and say so."""
    revision = release.template_revision
    if draft.record is not None and not draft.record.interrupted:
        draft.note(interrupted=True)
        draft.tell("PromotionInterrupted", f"revision {revision} is not approved", warning=True)
    if not is_paused(stable):
        draft.pause_stable("stopped the roll of a revision that nobody approved")
    message = (
        f"revision {revision} came in the middle of a promotion and is stopped: promote:{revision} "
        "approves it, or put either known template back"
    )
    return _told(release, "PromotionInterrupted", message, degraded=True)


def _progress(release: Release, draft: Draft, stable: Object) -> Story:
    wanted = replicas_of(stable)
    ready = sum(
        entry.ready for entry in release.stable_sets if entry.revision == release.template_revision
    )
    count = f"{ready} of {wanted} stable pods are ready at revision {release.template_revision}"
    if _is_stalled(release, stable):
        message = (
            f"{count}; the roll does not advance, everybody is served by the canary meanwhile: "
            "mend what it lacks (quota, nodes, configuration), or kubectl canary abort and undo"
        )
        return _told(release, "PromotionStalled", message, degraded=True)
    native = "" if release.record is not None and release.record.approval else " (rolled by hand)"
    draft.wake_after(LOOK_SECONDS)
    return _told(release, Stage.PROMOTING, count + native)


def _is_stalled(release: Release, stable: Object) -> bool:
    """The Deployment controller knows what advances; without a deadline we ask the clock.

    Of a roll by hand nobody knows when it began.
    """
    if spec_of(stable).get("progressDeadlineSeconds") not in NO_DEADLINE:
        progressing = condition_of(stable, "Progressing") or {}
        return release.is_observed and progressing.get("reason") == "ProgressDeadlineExceeded"
    if release.record is None or not release.record.approval:
        return False
    return release.since(release.last_changed) > STALLED_SECONDS + release.drained_after


def _told(
    release: Release,
    reason: str,
    message: str,
    *,
    left_seconds: float | None = None,
    degraded: bool = False,
) -> Story:
    return Story(
        reason=reason,
        message=message,
        left_seconds=left_seconds,
        asked=release.widest.weight,
        needed=release.full,
        degraded=(reason, message) if degraded else None,
    )


def _keep_carried(release: Release, draft: Draft) -> None:
    """While stable rolls, keep everybody where pods can carry them; never abort (short canary)."""
    if release.record is None or not release.record.approval:
        return
    _grow(release, draft)
    stable = max((release.stable_ready(entry.revision) for entry in release.stable_sets), default=0)
    canary, full = release.canary_ready(), release.widest.pods_needed(release.record.replicas)
    if canary == 0 and release.observed.stable.ready:
        walk_back(release, draft, CLOSED)
        return
    if canary >= full:
        _restore(release, draft)
        return
    most = release.observed.canary.most_ready_within(10)
    if most is None or most >= full:
        draft.wake_after(1.0)
        return
    spared = ceil(100 - 100 * stable / release.full)
    weight = max(spared, 100 * canary // release.record.replicas)
    if 0 < weight < release.widest.weight:
        walk_back(release, draft, writable(release.widest).at_weight(weight))


def _grow(release: Release, draft: Draft) -> None:
    """Grow the canary along with stable: until it has, it is not short, for nobody promised more.

    To lower the weight instead would send people to a Deployment that is in the middle of a roll.
    """
    in_place = release.intent is not None and release.intent.in_place
    needed = release.widest.pods_needed(release.full)
    if in_place or release.canary is None or release.refusal is not None:
        return
    if replicas_of(release.canary) < needed:
        canary_spec(release, draft, {"replicas": needed}, f"scaled the canary up to {needed}")


def _restore(release: Release, draft: Draft) -> None:
    """Bring everybody back to a canary that is whole again."""
    target = _everything(release)
    in_place = release.intent is not None and release.intent.in_place
    if in_place or release.refusal is not None or release.narrowest.doors == target.doors:
        return
    hold = pods_hold(release, release.full)
    if hold is None:
        raise_routes(release, draft, target)
    else:
        draft.wake_after(hold.left_seconds)


# After the roll: P4 to P7.


def _walk(release: Release, draft: Draft) -> Story:
    """P4 to P6: hold again, walk the traffic back to stable, record the outcome."""
    _hold_again(release, draft)
    if not release.is_open:
        return _drained(release, draft)
    revision = release.serving
    unknown = unknown_seconds(release, revision)
    ready = release.stable_ready(revision, release.propagation) if unknown <= 0 else 0
    floor = lowest_weight(release, ready)
    rules, weight = writable(release.widest), release.widest.weight
    if floor == 0:
        _walk_all(release, draft)
        return _told(release, Stage.PROMOTING, f"{ready} stable pods are known: walking back to 0")
    if floor < weight:
        walk_back(release, draft, rules.at_weight(floor))
        return _told(release, Stage.PROMOTING, f"{ready} stable pods are known: weight {floor}")
    left = NO_GROWTH_SECONDS - release.since(release.last_changed)
    if release.autoscalers and ready and left <= 0:
        less = max(0, weight - NO_GROWTH_FALL)
        draft.tell(
            "WalkBackForced", f"stable did not grow: weight {weight} to {less}", warning=True
        )
        walk_back(release, draft, rules.at_weight(less) if less else CLOSED)
    return _told(
        release,
        "WaitingForStable",
        f"{ready} of {needed_back(release)} stable pods are ready and known to the proxy",
        left_seconds=_next_growth(release, revision, left, unknown),
    )


def _next_growth(
    release: Release, revision: str, no_growth_seconds: float, unknown_seconds: float
) -> float | None:
    """Return when stable may count for more though nothing changes; None: something has to.

    Nothing counts while a proxy may still know a pod that has gone: it would be asked.
    """
    waits = [
        release.propagation - release.stable_age(revision),
        no_growth_seconds if release.autoscalers else 0.0,
        unknown_seconds,
    ]
    return min((seconds for seconds in waits if seconds > 0), default=None)


def _walk_all(release: Release, draft: Draft) -> None:
    """Weight 0 and rules off; where sessions stick to the canary, its Ingress goes (S21)."""
    if sticks(release):
        close(release, draft, stable_refs(release))
    else:
        walk_back(release, draft, CLOSED)


def _hold_again(release: Release, draft: Draft) -> None:
    """P4: with `pause` hold, pause again; put the label back where somebody took it off."""
    stable = release.stable
    if stable is None or not release.is_enrolled:
        return
    if names.HELD not in labels_of(stable):  # another Service's label is not ours to replace (S16)
        draft.label_stable(names.HELD, release.observed.name, "took the hold again")
        draft.tested = "generation"
    if release.observed.hold == "pause" and not is_paused(stable):
        draft.pause_stable("held the Deployment again")
        draft.tested = "generation"


def _drained(release: Release, draft: Draft) -> Story:
    """P6: once requests to the canary have ended, record the outcome; P7 follows."""
    keep_time(release, draft)
    left = release.settling(release.drained_after)
    if left > 0:
        return _told(
            release,
            Stage.PROMOTING,
            "everybody is back on stable; requests to the canary drain",
            left_seconds=left,
        )
    if not release.is_enrolled:
        return Story(reason="Promoted", message="", left_seconds=clean(release, draft))
    _conclude(release, draft)
    return _told(release, "Promoted", "the release is over: removing the canary")


def _conclude(release: Release, draft: Draft) -> None:
    """Record that the release ended by promotion (P6). One that rolled back ends as an abort."""
    record = release.record
    if record is None:
        return
    by = record.approved_by or "rollout resume"
    draft.outcome = Outcome(
        revision=record.revision,
        since=record.since,
        result="promoted",
        why=f"promoted by {by}",
        at=stamp(release.now),
    )
    draft.remove(names.WEIGHT, names.ACTION)
    draft.rejected = None
    draft.tell("Promoted", f"revision {release.serving} serves everybody")


PLANNERS: Mapping[Roll, Callable[[Release, Draft], Story]] = {
    Roll.HELD: _shift,
    Roll.ROLLING: _roll,
    Roll.RETURNING: _roll,
    Roll.DONE: _walk,
    Roll.BACK: _walk,
}
