"""`Starting` and `Canary`: pods come up, doors open, the weight follows the plan."""

from dataclasses import replace

from controller.api import names
from controller.api.intent import Intent
from controller.api.objects import INGRESS, annotations_of, replicas_of, spec_of, stamp
from controller.api.pattern import share_of, suffix_text
from controller.plan.actions import approve, end
from controller.plan.checks import ROUTE_MISSING, WAITING_FOR_PODS, Hold, hold_on, pods_hold
from controller.plan.draft import Draft, Story
from controller.plan.pods import create_canary, ensure_budget, ensure_service, size
from controller.plan.ramp import Asked, asked_of
from controller.plan.record import Record
from controller.plan.release import Release
from controller.plan.routes import canary_refs, close, ensure_routes, move, restamp, words
from controller.plan.stages import Stage
from controller.plan.traffic.exposure import CLOSED, Exposure

FALLS_LIMIT = 3
"""The fall with this number aborts the release (safety.md section 4, short canary)."""
SHORT_SECONDS = 10
"""So long may a canary have fewer pods than its weight needs."""
DEADLINE_SECONDS = 600
"""The API server's default of `progressDeadlineSeconds`."""


def rules_of(intent: Intent, weight: int) -> Exposure:
    """Return the exposure that the user's doors make together with a weight."""
    suffix = suffix_text(intent.suffixes)
    return Exposure(
        weight=weight,
        header=intent.header if intent.accounts or suffix else None,
        accounts=intent.accounts,
        suffix=suffix,
        share=share_of(intent.suffixes) if suffix else CLOSED.share,
        cookie=intent.cookie,
    )


def asked_now(release: Release, draft: Draft) -> Asked:
    """Return the weight that is asked for; with a bad configuration, what stands or less."""
    record = draft.record
    if release.intent is None or record is None:
        written = release.narrowest.weight
        lower = release.found.parsed.weight
        weight = written if lower is None else min(written, lower)
        return Asked(weight=weight, message="the configuration is invalid: the plan stands still")
    return asked_of(release, record, release.intent.steps)


def target_of(release: Release, asked: Asked) -> Exposure:
    """Return the exposure to aim for: the asked one, as far as the user's `replicas` carries it."""
    if not release.found.mains:
        return release.kept.at_weight(0)
    if release.intent is None:
        return release.kept.at_weight(min(asked.weight, release.kept.weight))
    wanted = rules_of(release.intent, asked.weight)
    allowed = release.pods_allowed
    return wanted if allowed is None else wanted.limited_to(allowed, release.full)


def plan_start(release: Release, draft: Draft) -> Story:
    """Plan one pass of `Starting` (safety.md section 4, Start)."""
    if release.canary is None or draft.record is None:
        return _begin(release, draft)
    asked = asked_now(release, draft)
    target = target_of(release, asked)
    needed = _look_after(release, draft, target)
    waiting = pods_hold(release, needed)
    if waiting is not None:
        left = _deadline_left(release, draft.record)
        # Pods that are ready are not late, however long the proxy takes to know them.
        if left <= 0 and waiting.reason == WAITING_FOR_PODS:
            return _overdue(release, draft)
        return _story(waiting, asked, needed, left)
    ensure_routes(release, draft)
    hold = hold_on(release, target)
    move(release, draft, target, hold)
    if hold is not None:
        if hold.reason == ROUTE_MISSING and any(it.kind == INGRESS for it in draft.writes):
            hold = Hold(reason="WaitingForProxy", message="creating the canary Ingress, closed")
        return _story(hold, asked, needed)
    if not target.is_open:
        draft.note(step=0, step_since=stamp(release.now))
    return Story(
        reason=Stage.STARTING,
        message=f"opening the canary to {words(target)}",
        asked=asked.weight,
        needed=needed,
    )


def _overdue(release: Release, draft: Draft) -> Story:
    ready = release.canary_ready()
    why = f"only {ready} canary pods became ready before the ready-deadline"
    shown = canary_refs(release)
    end(release, draft, why, rests_on=shown)
    close(release, draft, shown)
    return Story(reason=Stage.ROLLING_BACK, message=why)


def _begin(release: Release, draft: Draft) -> Story:
    """Create the canary, once nothing that may be left over could route to it."""
    hold = close(release, draft)
    if hold is not None:
        return Story.of(hold)
    left = release.settling(release.propagation)
    if release.is_open or left > 0:
        return Story(
            reason="WaitingForProxy",
            message="a canary Ingress is left over: closing it before the canary starts",
            left_seconds=left,
        )
    if release.refusal is not None:
        return Story(reason=release.refusal.reason, message=release.refusal.message)
    ensure_service(release, draft)
    create_canary(release, draft, first_need(release))
    return Story(
        reason=Stage.STARTING,
        message=f"starting revision {release.template_revision} beside {release.serving}",
    )


def first_need(release: Release) -> int:
    """Return how many canary pods a release begins with: those of its first exposure."""
    intent = release.intent or Intent()
    first = rules_of(intent, intent.steps[0].weight if intent.steps else 0)
    return release.pods_allowed or first.pods_needed(release.full)


def _look_after(release: Release, draft: Draft, target: Exposure) -> int:
    """Keep everything of ours as it has to be; returns how many canary pods are needed."""
    _forget_stale_pin(release, draft)
    restamp(release, draft)
    if release.refusal is None:
        ensure_service(release, draft)
        ensure_budget(release, draft)
    full = draft.record is not None and bool(draft.record.approval)
    return size(release, draft, target, at_least=release.full if full else 1)


def _forget_stale_pin(release: Release, draft: Draft) -> None:
    """Take away a weight that stood before the release began, once (contract.md section 4)."""
    if draft.record is None or draft.record.stale_pin is None:
        return
    standing = annotations_of(release.observed.service or {}).get(names.WEIGHT)
    if standing == draft.record.stale_pin:
        draft.remove(names.WEIGHT)
        draft.tell(
            "WeightRemoved",
            f"weight {standing} was set before the release began: set it again, or use steps",
            warning=True,
        )
    else:
        draft.note(stale_pin=None)


def _deadline_left(release: Release, record: Record) -> float:
    """Return the seconds until `ready-deadline` aborts the release."""
    intent = release.intent
    asked = intent.ready_deadline_seconds if intent is not None else None
    default = spec_of(release.stable or {}).get("progressDeadlineSeconds")
    seconds = asked or int(default or DEADLINE_SECONDS)
    return seconds - release.since(record.since)


def _story(hold: Hold, asked: Asked, needed: int, left_seconds: float | None = None) -> Story:
    left = hold.left_seconds if hold.left_seconds is not None else left_seconds
    return replace(Story.of(hold), left_seconds=left, asked=asked.weight, needed=needed)


def plan_canary(release: Release, draft: Draft) -> Story:
    """Plan one pass of `Canary`: the doors are open, the weight follows pin or steps."""
    short = short_canary(release, draft)
    if short is not None:
        return short
    asked = asked_now(release, draft)
    target = target_of(release, asked)
    needed = _look_after(release, draft, target)
    ensure_routes(release, draft)
    hold = hold_on(release, target)
    move(release, draft, target, hold)
    if hold is not None:
        draft.wake_after(asked.left_seconds)  # a step may be over while the gates hold
    if hold is not None and not target.is_within(release.narrowest):
        return _story(hold, asked, needed)
    if hold is not None and release.refusal is not None:
        return _story(hold, asked, needed)
    return _standing(release, draft, asked, target, needed)


def _standing(release: Release, draft: Draft, asked: Asked, target: Exposure, needed: int) -> Story:
    """Note how far the plan has come, and say what it waits for."""
    written = release.narrowest.doors == target.doors
    if written:
        _note_progress(release, draft, asked, target)
        draft.note(replicas=release.full)
    message = f"{words(target)}; {asked.message}"
    if target.weight < asked.weight:
        message = (
            f"weight {asked.weight} is asked, but {release.pods_allowed} pods of "
            f"{names.REPLICAS} carry {target.weight}; {asked.message}"
        )
    return Story(
        reason=asked.reason or Stage.CANARY,
        message=message,
        left_seconds=asked.left_seconds,
        asked=asked.weight,
        needed=needed,
    )


def _note_progress(release: Release, draft: Draft, asked: Asked, target: Exposure) -> None:
    record = draft.record
    if record is None:
        return
    if record.short:
        draft.note(short=False)
    if record.changed and release.is_open:
        draft.note(changed="")  # of an exposure that has ended; the Ingress says its own now
    if record.step != target.weight or not record.step_since:
        draft.note(step=target.weight, step_since=stamp(release.now))
        return
    intent = release.intent
    if asked.is_finished and intent is not None and intent.automatic and not record.approval:
        approve(release, draft, "the plan")


def short_canary(release: Release, draft: Draft) -> Story | None:
    """Lower at once what the canary cannot carry; None while it carries what it has."""
    carried, ready = _carried(release), release.canary_ready()
    if not carried.is_open or release.record is None:
        return None
    needed = carried.pods_needed(release.record.replicas)
    if ready >= needed:
        return None
    most = release.observed.canary.most_ready_within(SHORT_SECONDS)
    if ready and (most is None or most >= needed):
        draft.wake_after(1.0)
        return None
    return _fall(release, draft, carried.limited_to(ready, release.record.replicas), needed)


def _carried(release: Release) -> Exposure:
    """Return what the canary has to carry: what is written, or stood before a fall not yet counted.

    The lowering and the count of a fall are two writes, and the first may have been carried out
    alone (safety.md section 3, rule 5). A canary that is not made for what stood did not fall: it
    was made smaller since its main Ingress went, or its user has just asked for more.
    """
    written, record, intent = release.widest, release.record, release.intent
    if record is None or record.short or record.approval or record.step is None or intent is None:
        return written
    stood = rules_of(intent, record.step)
    is_whole = replicas_of(release.canary or {}) >= stood.pods_needed(record.replicas)
    return stood if is_whole and written.is_within(stood) else written


def _fall(release: Release, draft: Draft, carried: Exposure, needed: int) -> Story:
    """Count a fall, and lower to what is carried: nothing where no pod is ready.

    Where the ReplicaSet of the canary is not seen nobody knows which pods are its own. That is a
    reason to lower, but no fall: an old list may hide it, and no read of one release shows it.
    """
    ready = release.canary_ready()
    record = draft.record
    if record is not None and not record.short and release.canary_set is not None:
        if record.falls + 1 >= FALLS_LIMIT:
            shown = canary_refs(release)
            end(release, draft, f"the canary was short of pods {FALLS_LIMIT} times", rests_on=shown)
            close(release, draft, shown)
            return Story(reason=Stage.ROLLING_BACK, message="the canary kept losing its pods")
        draft.note(falls=record.falls + 1, short=True)
        draft.tell("CanaryShort", f"{ready} of {needed} canary pods are ready", warning=True)
    target = carried if ready else CLOSED
    count = f"{ready} of {needed} canary pods are ready"
    why = Hold(reason="CanaryShort", message=count)
    move(release, draft, target, why, waits_for_nobody=True)
    does = f"lowered to {words(target)}"
    if release.widest.is_within(target):
        does = f"{words(release.widest)} stands"
    return Story(
        reason="CanaryShort",
        message=f"{count}: {does} until they are back",
        needed=needed,
        degraded=("CanaryShort", count),
    )
