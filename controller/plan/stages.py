"""The state machine: a stage is a name for a region of the observed world.

`STAGES` is an ordered table of tests; the first that holds names the stage. `NEXT` says which stage
may follow which; it steers nothing, tests hold the world to it and the documentation is printed
from it.
"""

from collections.abc import Callable, Mapping
from enum import StrEnum

from controller.plan.release import Release, Roll


class Stage(StrEnum):
    """Where a release stands (contract.md section 4)."""

    IDLE = "Idle"
    STARTING = "Starting"
    CANARY = "Canary"
    PROMOTING = "Promoting"
    ROLLING_BACK = "RollingBack"
    ABORTED = "Aborted"


Test = Callable[[Release], bool]


def _is_without_stage(release: Release) -> bool:
    """Not enrolled, or nothing to serve, or not ready and nothing of ours to look after."""
    if not release.is_enrolled or release.stable is None or release.observed.service is None:
        return True
    return release.found.is_empty and (release.refusal is not None or not release.is_held)


def _is_aborted(release: Release) -> bool:
    return release.found.is_empty and release.is_rejected


def _is_starting_anew(release: Release) -> bool:
    return release.canary is None and release.is_pending and not release.is_rejected


def _is_idle(release: Release) -> bool:
    return release.found.is_empty


def _has_lost_its_record(release: Release) -> bool:
    return release.record is None


def _is_concluded_by_promotion(release: Release) -> bool:
    outcome = release.status.outcome
    return release.is_concluded and outcome is not None and outcome.result == "promoted"


def _is_concluded(release: Release) -> bool:
    return release.is_concluded


def _rolls_to_another(release: Release) -> bool:
    """Stable rolls, by somebody's own hand, to a revision that the canary does not carry."""
    record = release.record
    if record is None or record.approval or release.roll not in {Roll.ROLLING, Roll.DONE}:
        return False
    carried = release.template_revision if release.roll is Roll.ROLLING else release.serving
    return carried != record.revision


def _rolls(release: Release) -> bool:
    return release.roll in {Roll.ROLLING, Roll.DONE, Roll.RETURNING}


def _is_put_back(release: Release) -> bool:
    return release.roll is Roll.BACK


def _is_rejected(release: Release) -> bool:
    return release.is_rejected


def _is_superseded(release: Release) -> bool:
    record = release.record
    superseded = record is not None and record.revision != release.template_revision
    return superseded or release.is_canary_stale


def _is_approved(release: Release) -> bool:
    """Approved, and the doors are open; with nothing ready at stable nobody waits for that.

    So is an abort in a roll by hand that was stopped before it had made a pod.
    """
    record = release.record
    is_due = release.is_started or release.has_nothing_ready
    return record is not None and (bool(record.abort) or (is_due and bool(record.approval)))


def _is_started(release: Release) -> bool:
    return release.is_started


def _otherwise(_: Release) -> bool:
    return True


STAGES: tuple[tuple[Test, Stage | None], ...] = (
    (_is_without_stage, None),
    (_is_aborted, Stage.ABORTED),
    (_is_starting_anew, Stage.STARTING),
    (_is_idle, Stage.IDLE),
    (_has_lost_its_record, Stage.ROLLING_BACK),
    (_is_concluded_by_promotion, Stage.PROMOTING),
    (_is_concluded, Stage.ROLLING_BACK),
    (_rolls_to_another, Stage.ROLLING_BACK),
    (_rolls, Stage.PROMOTING),
    (_is_put_back, Stage.ROLLING_BACK),
    (_is_rejected, Stage.ROLLING_BACK),
    (_is_superseded, Stage.ROLLING_BACK),
    (_is_approved, Stage.PROMOTING),
    (_is_started, Stage.CANARY),
    (_otherwise, Stage.STARTING),
)

NEXT: Mapping[Stage | None, frozenset[Stage | None]] = {
    None: frozenset(Stage),
    Stage.IDLE: frozenset({None, Stage.STARTING, Stage.ABORTED}),
    Stage.STARTING: frozenset(
        {None, Stage.CANARY, Stage.PROMOTING, Stage.ROLLING_BACK, Stage.ABORTED, Stage.IDLE}
    ),
    Stage.CANARY: frozenset({None, Stage.PROMOTING, Stage.ROLLING_BACK, Stage.STARTING}),
    Stage.PROMOTING: frozenset(
        {None, Stage.IDLE, Stage.STARTING, Stage.ROLLING_BACK, Stage.ABORTED, Stage.CANARY}
    ),
    Stage.ROLLING_BACK: frozenset(
        {None, Stage.IDLE, Stage.ABORTED, Stage.STARTING, Stage.CANARY, Stage.PROMOTING}
    ),
    Stage.ABORTED: frozenset({None, Stage.IDLE, Stage.STARTING}),
}
"""What may be seen after what, None standing for no stage (not enrolled, or not ready)."""


def stage_of(release: Release) -> Stage | None:
    """Return the stage of a release: the first test of `STAGES` that holds."""
    return next(stage for holds, stage in STAGES if holds(release))
