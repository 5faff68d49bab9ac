"""Where the plan stands: the weight that pin or steps ask for, and what it waits for."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from controller.api import names
from controller.api.intent import Step
from controller.api.objects import annotations_of, moment_of, stamp
from controller.plan.gate import asks, hold_on_step
from controller.plan.record import Record
from controller.plan.release import Release
from controller.plan.traffic.nginx import is_as_changed


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The weight asked for.

    Attributes:
        weight: percent of the requests that no rule decides.
        message: what comes next.
        left_seconds: until the next decision; None: a person is waited for.
        is_finished: the last step has had its time: promote, if nobody has to be asked.
        reason: CamelCase, of what holds the step up though its time is over; "" is nothing.
    """

    weight: int
    message: str
    left_seconds: float | None = None
    is_finished: bool = False
    reason: str = ""


def pin_of(release: Release) -> int | None:
    """Return the pinned weight; None without one, or if it stood before the release began."""
    service = release.observed.service or {}
    text = annotations_of(service).get(names.WEIGHT)
    stale = release.record.stale_pin if release.record is not None else None
    return release.found.parsed.weight if text != stale else None


def asked_of(release: Release, record: Record, steps: Sequence[Step]) -> Asked:
    """Return the weight that pin or steps ask for (contract.md section 4).

    The plan stands at the weight that was reached, not at the number of a step: edited steps
    continue from there, and it goes down only where the whole plan is lower now.
    """
    pin = pin_of(release)
    if pin is not None:
        return Asked(weight=pin, message=f"{names.WEIGHT} is set by hand")
    if not steps:
        return Asked(weight=0, message=f"set {names.WEIGHT} to expose a share of everybody")
    top = steps[-1].weight
    position = min(record.step or 0, top)
    raised = _raised(release, steps, position)
    if raised is not None:
        return Asked(weight=raised, message=f"weight {raised} is written: the plan stands there")
    if record.paused:
        return Asked(weight=position, message=f"paused at weight {position} by a person")
    reached = [step for step in steps if step.weight <= position]
    if not reached:
        return Asked(weight=steps[0].weight, message=f"first step: weight {steps[0].weight}")
    return _after(release, record, reached[-1], steps[len(reached) :], position)


def _raised(release: Release, steps: Sequence[Step], position: int) -> int | None:
    """Return the next step's weight if it is written already, and only not yet recorded.

    The process that raised it may have died since, and the next one's clock be a second behind, or
    another be active beside us: what the plan has reached does not fall again (T5).
    """
    following = next((step.weight for step in steps if step.weight > position), None)
    written = release.narrowest.weight
    routes = release.found.routes.values()
    ours = all(is_as_changed(route, release.written(route)) for route in routes)
    return written if following == written and ours else None


def _after(
    release: Release, record: Record, current: Step, rest: Sequence[Step], position: int
) -> Asked:
    """Return what follows the step at which the plan stands."""
    following = f"weight {rest[0].weight}" if rest else "promotion"
    if current.seconds is None:
        if record.go != position:
            return Asked(
                weight=position, message=f"waits for a person at weight {position}: continue"
            )
    else:
        left = current.seconds - release.since(record.step_since)
        if left > 0:
            due = moment_of(record.step_since) or release.now
            message = f"{following} at {stamp(due + timedelta(seconds=current.seconds))}"
            if asks(release.intent):
                message += " if every check passes"
            return Asked(weight=position, message=message, left_seconds=left)
    hold = hold_on_step(release, record, position)
    if hold is not None:
        message = f"{following} waits for the checks, or for a person (continue): {hold.message}"
        return Asked(weight=position, message=message, reason=hold.reason)
    if rest:
        return Asked(weight=rest[0].weight, message=f"next step: {following}")
    return Asked(weight=position, message="every step is done: promote", is_finished=True)
