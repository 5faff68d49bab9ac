"""The ordered reasons for which exposure must not rise now.

Each check is one function; the first `Hold` wins. A new gate is one function and one line.
"""

from collections.abc import Callable
from dataclasses import dataclass

from controller.api.objects import name_of, replicas_of, spec_of
from controller.plan.release import Release
from controller.plan.traffic.exposure import Exposure


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """Why exposure must not rise now, or must not yet be taken away.

    Attributes:
        reason: CamelCase, for the condition.
        message: what is waited for, with numbers and names.
        left_seconds: when to look again though nothing changed; None: something must change.
    """

    reason: str
    message: str
    left_seconds: float | None = None


Check = Callable[[Release, Exposure], Hold | None]

WAITING_FOR_PODS = "WaitingForPods"
ROUTE_MISSING = "RouteMissing"


def hold_on(release: Release, target: Exposure) -> Hold | None:
    """Return the first reason against raising to `target`, None if the gates are open."""
    return next((hold for check in CHECKS if (hold := check(release, target)) is not None), None)


def _refused(release: Release, _: Exposure) -> Hold | None:
    if release.refusal is None:
        return None
    return Hold(reason=release.refusal.reason, message=release.refusal.message)


def _concluding(release: Release, _: Exposure) -> Hold | None:
    """After an abort or an outcome nothing rises again (T4)."""
    if not (release.is_rejected or release.is_concluded):
        return None
    return Hold(reason="Ended", message="this release has ended; nothing is raised any more")


def let_go(release: Release, _: Exposure | None = None) -> Hold | None:
    """Somebody took the label off: everything stays as it is (safety.md section 4)."""
    if release.is_held:
        return None
    return Hold(
        reason="HeldLabelRemoved",
        message=f"label serinus.dev/held was taken off Deployment {name_of(release.stable or {})}: "
        "resume rolls it without us; to go on with the canary put the label back",
    )


def _lost(release: Release, _: Exposure) -> Hold | None:
    if not release.is_stable_lost:
        return None
    return Hold(
        reason="StableLost",
        message="the ReplicaSet that served is gone: promote, or put the old template back and "
        "resume",
    )


def _selected(release: Release, _: Exposure) -> Hold | None:
    if not release.are_canary_pods_selected:
        return None
    return Hold(
        reason="CanaryPodsSelected",
        message="a Service of the namespace selects the canary pods by their labels: change its "
        "selector, or delete it",
    )


def _stale(release: Release, _: Exposure) -> Hold | None:
    if not release.is_canary_stale:
        return None
    return Hold(reason="CanaryReplaced", message="the canary does not carry this revision yet")


def _routes(release: Release, _: Exposure) -> Hold | None:
    missing = [name for name in release.found.mains if name not in release.found.routes]
    if not missing and release.found.mains:
        return None
    return Hold(
        reason=ROUTE_MISSING,
        message=f"the canary Ingress beside {', '.join(missing) or 'the main one'} is missing",
    )


def _derived(release: Release, _: Exposure) -> Hold | None:
    """A path that the canary Ingress lacks would stay with stable, also when that rolls (S7)."""
    routes = release.found.routes
    for name, main in release.found.mains.items():
        if name in routes and not release.is_derived(routes[name], main):
            return Hold(
                reason="RuleMismatch",
                message=f"the canary Ingress beside {name} has not the class and paths of its "
                "main: they are derived again",
            )
    return None


def _pods(release: Release, target: Exposure) -> Hold | None:
    needed = target.pods_needed(release.full)
    return pods_hold(release, needed)


def pods_hold(release: Release, needed: int) -> Hold | None:
    """Return why `needed` canary pods cannot be counted on yet (S1)."""
    ready = release.canary_ready()
    if ready < needed:
        return Hold(reason=WAITING_FOR_PODS, message=f"{ready} of {needed} canary pods are ready")
    if not release.is_canary_complete:
        return Hold(
            reason=WAITING_FOR_PODS,
            message=f"{ready} of {replicas_of(release.canary or {})} canary pods are ready; the "
            "canary Deployment is not complete at this revision",
        )
    least = int(spec_of(release.stable or {}).get("minReadySeconds") or 0)
    known = max(release.propagation, release.parameters.ready_seconds, least)
    if release.canary_ready(known) < needed:
        return Hold(
            reason="WaitingForProxy",
            message=f"{needed} canary pods are ready; the proxy may not know all of them yet",
            left_seconds=_youngest(release, known),
        )
    return None


def _youngest(release: Release, seconds: float) -> float:
    ages = [entry.age_seconds for entry in release.observed.canary.endpoints if entry.ready]
    return max((seconds - age for age in ages), default=seconds)


def _shrinking(release: Release, target: Exposure) -> Hold | None:
    """Another process may be removing pods in this very moment (T10)."""
    if not release.is_shrinking or target.is_within(release.narrowest):
        return None
    return Hold(
        reason="CanaryShrinking",
        message="canary pods are about to be removed: that is done, or called off, first",
    )


def _settled(release: Release, target: Exposure) -> Hold | None:
    """A closed route has to be known to the proxy before it may carry anything (U2, U3)."""
    closed = [
        route for route in release.found.routes.values() if not release.written(route).is_open
    ]
    left = release.settling_of(closed, release.propagation) if target.is_open else 0.0
    if left <= 0:
        return None
    return Hold(
        reason="WaitingForProxy",
        message="the proxy may not know the canary Ingress as it is yet",
        left_seconds=left,
    )


def _stable(release: Release, target: Exposure) -> Hold | None:
    """Stable must be able to carry what it keeps (S3)."""
    needed = min(target.stable_needed(release.full), replicas_of(release.stable or {}))
    ready = release.stable_ready(release.serving)
    if ready >= max(1, needed):
        return None
    return Hold(
        reason="StableShort",
        message=f"{ready} of {max(1, needed)} stable pods are ready for what stays with them",
    )


CHECKS: tuple[Check, ...] = (
    _refused,
    _concluding,
    let_go,
    _lost,
    _selected,
    _stale,
    _routes,
    _derived,
    _pods,
    _shrinking,
    _settled,
    _stable,
)
