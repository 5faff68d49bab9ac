"""More mistakes, each the breach of one sentence of safety.md, written last of all."""

from math import ceil
from typing import Any

from controller.api import names
from controller.api.objects import DEPLOYMENT, annotations_of, replicas_of
from controller.plan import decide, gate, leave, promote, release, routes
from controller.plan.draft import Draft
from controller.plan.routes import clean, close, keep_time
from controller.plan.start import rules_of
from controller.plan.traffic.exposure import Exposure
from controller.plan.traffic.nginx import Nginx
from controller.plan.writes import deleted
from tests.world.faults.bugs import Bug, method, wrapped


def _as_it_is_now(self: Any) -> int:
    return max(int(replicas_of(self.stable)), 1) if self.stable is not None else 1


def _with_their_cookie(original: Any, now: Any) -> Exposure:
    everything: Exposure = rules_of(now.intent, 100) if now.intent is not None else original(now)
    return everything


def _rolls_on(_original: Any, now: Any, plan: Any, stable: Any) -> Any:
    return promote._progress(now, plan, stable)


def _takes_the_canary(original: Any, now: Any, plan: Any, stable: Any) -> Any:
    if now.canary is not None:
        plan.add(deleted(DEPLOYMENT, now.canary, "it is in the way"))
    return original(now, plan, stable)


def _ends_at_once(_original: Any, now: Any, plan: Any) -> float | None:
    close(now, plan)
    if now.is_open:
        return None
    keep_time(now, plan)
    left: float = now.settling(now.drained_after)
    return left if left > 0 else clean(now, plan)


def _keeps_its_pause(original: Any) -> Any:
    def release_stable(self: Any, why: str, confirm: Any, *events: Any) -> None:
        if "our pause" not in why:
            original(self, why, confirm, *events)

    return release_stable


def _never_pauses(original: Any) -> Any:
    def note(self: Any, **changes: Any) -> None:
        original(self, **{key: value for key, value in changes.items() if key != "paused"})

    return note


def _one_is_enough(self: Any, full: int) -> int:
    needed: int = max(1, ceil(self.of_all * full))
    return needed


def _is_gone_at_once() -> None:
    for module in (decide, release):
        setattr(module, "SERVICE_GONE_SECONDS", 0)  # noqa: B010  # typed as final there


def _leaves_the_cookie(original: Any) -> Any:
    def change(self: Any, ingress: Any, exposure: Any, now: Any) -> Any:
        made = original(self, ingress, exposure, now) or {}
        key = self.key("canary-by-cookie")
        if key not in annotations_of(ingress):
            made.pop(key, None)
        return made if made.keys() - {names.CHANGED} else None

    return change


LAWFUL: tuple[Bug, ...] = (
    Bug(
        name="lets R shrink with stable",
        plant=lambda: setattr(release.Release, "full", property(_as_it_is_now)),
        workloads=("autoscaled-roll",),
    ),
    Bug(
        name="gives a share of everybody one pod",
        plant=method(Exposure, "pods_needed", _one_is_enough),
    ),
    Bug(
        name="keeps the visitors' cookie while stable rolls",
        plant=wrapped(promote._everything, _with_their_cookie),
        workloads=("promote-resume",),
    ),
    Bug(
        name="rolls on after an abort",
        plant=wrapped(promote._stopped, _rolls_on),
        workloads=("abort-roll",),
    ),
    Bug(
        name="takes the canary away in the roll",
        plant=wrapped(promote._progress, _takes_the_canary),
        workloads=("promote",),
    ),
    Bug(
        name="leaves in the middle of the roll",
        plant=wrapped(leave._end, _ends_at_once),
        workloads=("leave-rolling",),
    ),
    Bug(
        name="goes on with the plan of a paused release",
        plant=lambda: setattr(Draft, "note", _never_pauses(Draft.note)),
    ),
    Bug(
        name="leaves its pause behind",
        plant=lambda: setattr(Draft, "release_stable", _keeps_its_pause(Draft.release_stable)),
        workloads=("enrol-pause",),
    ),
    Bug(
        name="walks back on a cached read",
        plant=wrapped(routes.stable_refs, lambda *_: frozenset()),
    ),
    Bug(
        name="lets a step go on without an answer",
        plant=wrapped(gate.hold_on_step, lambda *_: None),
        workloads=("checks-pass",),
    ),
    Bug(
        name="takes a Service that is created again for one that is gone",
        plant=_is_gone_at_once,
        workloads=("port",),
    ),
    Bug(
        name="ends a release on a cached read of its Service",
        plant=wrapped(decide._once_read, lambda _original, _release, plan: plan),
        workloads=("port",),
        rows="R",
    ),
    Bug(
        name="leaves a cookie name that somebody took away",
        plant=lambda: setattr(Nginx, "change", _leaves_the_cookie(Nginx.change)),
        rows="G",
    ),
)
"""Looked for in this order, after all others."""
