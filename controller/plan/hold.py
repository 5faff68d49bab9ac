"""Taking, keeping and letting go of the hold on the stable Deployment (safety.md section 2)."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from controller.api import names
from controller.api.objects import (
    DEPLOYMENT,
    Object,
    annotations_of,
    condition_of,
    is_paused,
    metadata,
    name_of,
    replicas_of,
    status_of,
)
from controller.api.status import Known
from controller.plan.draft import Draft, known
from controller.plan.release import Release
from controller.plan.workload import warnings
from controller.plan.writes import Event, ref

HELD = "Held"
"""The reason of a Service that is ready."""
LET_GO_SECONDS = 60
"""With `pause` hold: so long may stable have nothing available before its hold is let go."""

HANDS: frozenset[str] = frozenset(
    {names.FIELD_MANAGER, "kubectl-rollout", "kubectl-patch", "kubectl-edit"}
)
"""Field managers of a person's own commands; whoever else owns `spec.paused` is a manifest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """Whether a release can start: what the `Ready` condition says."""

    is_ready: bool
    reason: str
    message: str
    left_seconds: float | None = None


def readiness(release: Release, draft: Draft, *, is_quiet: bool) -> Readiness:
    """Say whether a release can start, and take or mend the hold where nothing runs.

    Args:
        release: the release.
        draft: takes the writes.
        is_quiet: no release is running and no template waits, so that the hold may be touched.
    """
    if release.refusal is not None:
        return _not(release.refusal.reason, release.refusal.message)
    stable = release.stable
    if stable is None:
        return _not("NoDeployment", "the Service and its Deployment are not there")
    if not release.is_held:
        return _take(release, draft, stable)
    if release.observed.hold is None:
        return _unproven(release)
    if is_quiet and is_paused(stable) and not release.is_serving_known:
        return _unknown(stable)
    if release.observed.hold == "pause":
        return _keep_paused(release, draft, stable, is_quiet=is_quiet)
    return _keep_admission(release, draft, stable, is_quiet=is_quiet)


def _not(reason: str, message: str) -> Readiness:
    return Readiness(is_ready=False, reason=reason, message=message)


def _unproven(release: Release) -> Readiness:
    """Let what was told stand until the hold is proven: a restart writes nothing (T8)."""
    told = condition_of(release.observed.service or {}, names.READY) or {}
    reason, is_ready = str(told.get("reason")), told.get("status") == "True"
    if is_ready or reason in {"DeploymentRolling", "HoldContested"}:
        return Readiness(is_ready=is_ready, reason=reason, message=str(told.get("message")))
    return _not("TakingHold", "proving how the Deployment can be held")


def _held(release: Release, stable: Object) -> Readiness:
    how = "by an admission policy" if release.observed.hold == "admission" else "paused"
    return Readiness(
        is_ready=True,
        reason=HELD,
        message=f"Deployment {name_of(stable)} is held ({how}); a new template starts a canary",
    )


def _unknown(stable: Object) -> Readiness:
    """Nothing says that the template behind the pause is the one that served: it must not roll."""
    name = name_of(stable)
    return _not(
        "StableLost",
        f"the ReplicaSets of Deployment {name} are gone, and which of its templates served is not "
        f"recorded: kubectl rollout resume deployment {name} rolls what stands there",
    )


def _take(release: Release, draft: Draft, stable: Object) -> Readiness:
    """Take the hold, but only of a Deployment that is complete."""
    name = name_of(stable)
    told = _overwritten(release, stable)
    if release.canary is not None or release.is_pending:
        return told or _not_held(release, name)
    if release.observed.hold == "pause" and is_declared(stable):
        return _declared(stable, "PausedDeclared")
    if is_paused(stable):
        return _not(
            "DeploymentPaused",
            f"Deployment {name} is paused: kubectl rollout resume deployment {name}",
        )
    if not release.is_complete:
        return told or _not("DeploymentRolling", _how_far(stable))
    found = warnings(stable, release.autoscalers)
    events = [Event(reason="Enrolled", message=f"Deployment {name} is held from now on")]
    if found:
        text = f"Deployment {name} has: {', '.join(found)}"
        events.append(Event(reason="Risky", message=text, type="Warning"))
    draft.label_stable(names.HELD, release.observed.name, "took the hold", *events)
    draft.tested = "generation"
    if release.observed.hold == "pause":
        draft.paused = True
    return told or _not("TakingHold", f"taking the hold of Deployment {name}")


def _not_held(release: Release, name: str) -> Readiness:
    return _not(
        "DeploymentPaused" if release.canary is None else "HeldLabelRemoved",
        f"Deployment {name} is paused with a template pending and carries no label "
        f"{names.HELD}: kubectl rollout resume deployment {name}, or put the old template back "
        "and resume",
    )


def _overwritten(release: Release, stable: Object) -> Readiness | None:
    """Say that one write took label and pause away together, as `kubectl replace` does.

    A person takes the label off before the pause, and that is told in between.
    """
    before = (condition_of(release.observed.service or {}, names.READY) or {}).get("reason")
    was_held = release.observed.hold == "pause" and before in {HELD, "HoldContested"}
    if not was_held or is_paused(stable):
        return None
    return _not(
        "HoldContested",
        f"somebody wrote the whole Deployment {name_of(stable)}, without the pause and the label "
        f"{names.HELD} that hold it: apply the manifest instead of replacing with it, or run the "
        "controller with the admission policy (--hold admission)",
    )


def _how_far(stable: Object) -> str:
    status = status_of(stable)
    ready, updated = status.get("readyReplicas") or 0, status.get("updatedReplicas") or 0
    return (
        f"Deployment {name_of(stable)} is not complete: {updated} of {replicas_of(stable)} pods "
        f"updated, {ready} ready"
    )


def _declared(stable: Object, reason: str) -> Readiness:
    return _not(
        reason,
        f"a manifest sets spec.paused of Deployment {name_of(stable)}, which the hold needs: take "
        "it out of there, or run the controller with the admission policy (--hold admission)",
    )


def _keep_admission(release: Release, draft: Draft, stable: Object, *, is_quiet: bool) -> Readiness:
    """Leave it un-paused between releases: the pause of a template put back has had its use."""
    if is_quiet and not is_paused(stable) and release.template_revision != release.serving:
        return _not("DeploymentRolling", _how_far(stable))
    if is_quiet and is_paused(stable) and not is_paused_by_hand(stable):
        draft.release_stable(
            "nothing is pending any more: took the pause off", frozenset({ref(DEPLOYMENT, stable)})
        )
    return _held(release, stable)


def _keep_paused(release: Release, draft: Draft, stable: Object, *, is_quiet: bool) -> Readiness:
    if is_declared(stable):
        return _declared(stable, "HoldContested")
    if not is_quiet:
        return _held(release, stable)
    name = name_of(stable)
    if not is_paused(stable):
        if not release.is_complete:
            return _not("DeploymentRolling", _how_far(stable))
        draft.pause_stable("held the Deployment again")
        draft.tested = "generation"
        return _not("TakingHold", f"pausing Deployment {name} again")
    if not any(entry.revision == release.serving for entry in release.stable_sets):
        draft.release_stable(
            "its ReplicaSet is gone: let it come back", frozenset({ref(DEPLOYMENT, stable)})
        )
        return _not("DeploymentRolling", f"the ReplicaSet of Deployment {name} is gone")
    most = release.observed.stable.most_ready_within(LET_GO_SECONDS)
    if replicas_of(stable) and not release.observed.stable.ready:
        if most == 0:
            event = Event(reason="HoldLetGo", message="nothing is available", type="Warning")
            draft.release_stable(
                "nothing is available: the next template rolls at once",
                frozenset({ref(DEPLOYMENT, stable)}),
                event,
            )
        return Readiness(
            is_ready=True,
            reason="NothingAvailable",
            message=f"Deployment {name} has no available pod; after {LET_GO_SECONDS} s its hold is "
            "let go, and the next template rolls at once",
            left_seconds=5.0,
        )
    return _held(release, stable)


def remember_stable(release: Release, draft: Draft) -> None:
    """Remember which revision serves, with the generation at which it is seen.

    The first time is in the pass that takes the hold: whatever comes next is a release of it.
    Where another template came before the end of a roll was written down, the generation is that
    template's: the revision is remembered without one.
    """
    is_held = release.is_held or draft.labels.get(names.HELD) is not None
    if release.stable is None or not is_held:
        return
    serving, remembered = release.serving, release.status.stable
    if release.is_complete:
        draft.stable = known(release, serving)
    elif remembered is not None and remembered.revision != serving and _is_whole(release):
        draft.stable = Known(revision=serving)


def _is_whole(release: Release) -> bool:
    """Tell whether the revision that serves does so alone, whatever is pending."""
    return release.is_pending and release.is_complete_at(release.serving)


def is_declared(stable: Object) -> bool:
    """Tell whether a manifest owns `spec.paused`: by last-applied, or by a manager's fields."""
    return _is_in_last_applied(stable) or any(
        entry.get("manager") not in HANDS
        and "f:paused" in ((entry.get("fieldsV1") or {}).get("f:spec") or {})
        for entry in metadata(stable).get("managedFields") or ()
    )


def is_paused_by_hand(stable: Object) -> bool:
    """Tell whether the pause is the user's: by `kubectl rollout pause`, or by a manifest.

    The policy's pause belongs to whoever changed the template.
    """
    return _is_in_last_applied(stable) or any(
        entry.get("manager") == "kubectl-rollout"
        and "f:paused" in ((entry.get("fieldsV1") or {}).get("f:spec") or {})
        for entry in metadata(stable).get("managedFields") or ()
    )


def _is_in_last_applied(stable: Object) -> bool:
    text = annotations_of(stable).get(names.LAST_APPLIED)
    if text is None:
        return False
    try:
        applied: Any = json.loads(text)
    except (ValueError, RecursionError):
        return False
    spec = applied.get("spec") if isinstance(applied, Mapping) else None
    return isinstance(spec, Mapping) and "paused" in spec
