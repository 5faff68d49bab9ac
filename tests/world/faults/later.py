"""Mistakes written last, from safety.md alone; docs/results/faults.md says how they were caught."""

from dataclasses import replace
from typing import Any

from controller.plan import draft, pods, promote, release, stable, start, tell
from controller.plan.checks import Hold
from controller.plan.draft import Story
from tests.world.faults.bugs import Bug, wrapped


def _with_the_old_approval(original: Any, now: Any) -> Any:
    made, before = original(now), now.record
    if before is None or not before.approval:
        return made
    return replace(made, approval=made.revision, approved_by=before.approved_by)


def _patient(_original: Any, *_: Any) -> Story:
    waiting = Hold(reason="Waiting", message="for pods, whatever the deadline")
    return Story(reason=waiting.reason, message=waiting.message)


def _without_outcome(original: Any, now: Any, plan: Any) -> None:
    before = plan.outcome
    original(now, plan)
    plan.outcome = before


def _as_it_began(self: Any) -> int:
    return int(self.record.replicas) if self.record is not None else 3


LATER: tuple[Bug, ...] = (
    Bug(
        name="walks back before anything is ready",
        plant=wrapped(stable.lowest_weight, lambda *_: 0),
    ),
    Bug(
        name="never gives up a canary that falls",
        plant=lambda: setattr(start, "FALLS_LIMIT", 99),
        workloads=("falling",),
    ),
    Bug(
        name="waits for ever for the first pods",
        plant=wrapped(start._overdue, _patient),
        workloads=("crash-looping",),
    ),
    Bug(
        name="takes an old weight for a new one",
        plant=wrapped(start._forget_stale_pin, lambda _, __, plan: plan.note(stale_pin=None)),
    ),
    Bug(
        name="keeps an approval for the next template",
        plant=wrapped(draft.new_record, _with_the_old_approval),
        workloads=("newer-approved",),
    ),
    Bug(
        name="protects the canary with no budget",
        plant=wrapped(pods.ensure_budget, lambda *_: None),
    ),
    Bug(
        name="forgets how a promotion ended",
        plant=wrapped(promote._conclude, _without_outcome),
    ),
    Bug(
        name="does not see that stable has grown",
        plant=lambda: setattr(release.Release, "full", property(_as_it_began)),
        workloads=("scaled",),
    ),
    Bug(
        name="does not pause again after the roll",
        plant=wrapped(promote._hold_again, lambda *_: None),
        workloads=("walk-back-pause",),
    ),
    Bug(
        name="leaves its status behind",
        plant=wrapped(tell.forget, lambda *_: None),
        workloads=("leave-canary",),
    ),
)
