"""The plan for one pass. Total: whatever was observed, it never raises."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime

from controller.api.objects import name_of
from controller.plan.actions import act
from controller.plan.draft import Draft, Story, draft_of, keep
from controller.plan.gate import heed, inquiry_of
from controller.plan.hold import Readiness, readiness, remember_stable
from controller.plan.invariants import Broken, standing
from controller.plan.leave import plan_leave
from controller.plan.observed import Observed
from controller.plan.promote import plan_promotion
from controller.plan.release import SERVICE_GONE_SECONDS, Release, release_of
from controller.plan.rollback import plan_aborted, plan_rollback
from controller.plan.routes import service_ref
from controller.plan.stages import Stage, stage_of
from controller.plan.start import plan_canary, plan_start
from controller.plan.tell import edit_stable, tell
from controller.plan.writes import Plan

Planner = Callable[[Release, Draft], Story]


def decide(observed: Observed, now: datetime) -> Plan:
    """Plan one pass over one release.

    Args:
        observed: everything the pass may look at.
        now: the API server's time, UTC.
    """
    release = release_of(observed, now)
    draft = draft_of(release)
    if not release.is_enrolled:
        return _leaving(release, draft)
    stage = stage_of(release)
    if stage is not None:
        stage = heed(release, draft, act(release, draft, stage))
    story = PLANNERS[stage](release, draft)
    ready = readiness(release, draft, is_quiet=stage in QUIET and not release.is_pending)
    remember_stable(release, draft)
    broken = standing(release)
    story = _degraded(release, _explained(release, stage, story, ready), broken)
    plan = _finished(release, draft, stage, story, ready)
    return replace(
        plan,
        broken=frozenset(one.id for one in broken),
        inquiry=inquiry_of(release, draft.record),
    )


def _degraded(release: Release, story: Story, broken: tuple[Broken, ...]) -> Story:
    """Say what users may feel, whatever else the pass has to say."""
    if story.degraded is not None:
        return story
    if release.observed.refusal:
        return replace(story, degraded=("AdmissionRefused", release.observed.refusal))
    if release.is_stable_lost:
        message = (
            "the ReplicaSet that served is gone: promote, or put the old template back and resume"
        )
        return replace(story, degraded=("StableLost", message))
    if broken:
        return replace(story, degraded=("InvariantBroken", str(broken[0])))
    return story


def _leaving(release: Release, draft: Draft) -> Plan:
    left = plan_leave(release, draft)
    keep(release, draft)
    edit_stable(release, draft)
    draft.wake_after(left)
    return _once_read(release, _plan(draft, None))


def _once_read(release: Release, plan: Plan) -> Plan:
    """Have the Service read afresh before anything is written because it asks for us no more (T9).

    One that was created again gets its label a moment later, and a watch that lags hides it.
    """
    refs = frozenset({service_ref(release)})
    writes = (replace(write, confirm=write.confirm | refs) for write in plan.writes)
    return replace(plan, writes=tuple(writes))


def _finished(
    release: Release, draft: Draft, stage: Stage | None, story: Story, ready: Readiness
) -> Plan:
    keep(release, draft)
    edit_stable(release, draft)
    tell(release, draft, stage, story, ready)
    draft.wake_after(story.left_seconds)
    draft.wake_after(ready.left_seconds)
    return _plan(draft, stage)


def _plan(draft: Draft, stage: Stage | None) -> Plan:
    return Plan(stage=stage, writes=tuple(draft.writes), wake_seconds=draft.wake_seconds)


def _explained(release: Release, stage: Stage | None, story: Story, ready: Readiness) -> Story:
    """Without a stage the story is why there is none."""
    if release.observed.service is None:
        return story
    if stage is not None and (stage is not Stage.IDLE or ready.is_ready):
        return story
    return Story(reason=ready.reason, message=ready.message)


def _plan_nothing(release: Release, _: Draft) -> Story:
    """Not ready, or the Service is missing for a moment: nothing of ours is touched."""
    left = SERVICE_GONE_SECONDS - release.observed.service_missing_seconds
    return Story(reason="ServiceMissing", message="waiting for the Service", left_seconds=left)


def _plan_idle(release: Release, _: Draft) -> Story:
    name = name_of(release.stable or {})
    return Story(reason=Stage.IDLE, message=f"Deployment {name} has nothing pending")


QUIET: frozenset[Stage | None] = frozenset({None, Stage.IDLE})

PLANNERS: Mapping[Stage | None, Planner] = {
    None: _plan_nothing,
    Stage.IDLE: _plan_idle,
    Stage.STARTING: plan_start,
    Stage.CANARY: plan_canary,
    Stage.PROMOTING: plan_promotion,
    Stage.ROLLING_BACK: plan_rollback,
    Stage.ABORTED: plan_aborted,
}
