"""Making and sizing the canary's pods: up before traffic, down long after it."""

from controller.api.objects import (
    DEPLOYMENT,
    DISRUPTION_BUDGET,
    SERVICE,
    name_of,
    replicas_of,
    spec_of,
    stamp,
    template_labels,
    template_of,
)
from controller.plan.checks import hold_on
from controller.plan.draft import Draft, canary_spec, new_record
from controller.plan.release import Release
from controller.plan.routes import announce, canary_refs, route_refs, service_ref
from controller.plan.traffic.exposure import Exposure
from controller.plan.workload import (
    budgets_selecting,
    canary_deployment,
    canary_pod_labels,
    canary_service,
    canary_template,
    disruption_budget,
    ports_of,
)
from controller.plan.writes import Create, Event, deleted, merge_into, raised, ref


def create_canary(release: Release, draft: Draft, needed: int) -> None:
    """Create the canary Deployment: the moment a release begins (U1).

    Rests on the Service too: an old one hides that this very revision was aborted.
    """
    if release.stable is None:
        return
    record = new_record(release)
    service = release.observed.name
    labels = canary_pod_labels(release.stable, service, record.revision, release.observed.services)
    if labels is None:  # refused as CanaryPodsSelected before it comes here
        return
    message = f"revision {record.revision} starts beside {record.stable}"
    draft.add(
        Create(
            kind=DEPLOYMENT,
            obj=canary_deployment(release.stable, service, labels, needed, record),
            why="created the canary Deployment",
            confirm=frozenset({ref(DEPLOYMENT, release.stable), service_ref(release)}),
            events=(Event(reason="CanaryStarted", message=message),),
        )
    )


def replace_template(release: Release, draft: Draft, needed: int) -> None:
    """Give the canary the template that is pending now; nobody is routed to it any more."""
    if release.stable is None or draft.record is None:
        return
    labels = canary_pod_labels(
        release.stable, release.observed.name, draft.record.revision, release.observed.services
    )
    if labels is not None:
        template = canary_template(release.stable, labels)
        spec = {
            "replicas": needed,
            "template": merge_into(template_of(release.canary or {}), template),
        }
        shown = canary_refs(release) | route_refs(release)
        draft.note(shrinks=release.shrinks)
        canary_spec(release, draft, spec, "replaced the canary's template", shown)


def ensure_service(release: Release, draft: Draft) -> None:
    """Create the canary Service, and keep its ports those of the Service."""
    service, ours = release.observed.service, release.found.canary_service
    if service is None or release.stable is None:
        return
    wanted = canary_service(release.stable, service)
    if ours is None:
        draft.add(Create(kind=SERVICE, obj=wanted, why="created the canary Service"))
        return
    spec = wanted["spec"]
    same_ports = _plain_ports(ports_of(ours)) == _plain_ports(ports_of(service))
    if same_ports and spec_of(ours).get("selector") == spec["selector"]:
        return
    # What somebody added to the selector has to be taken out by name: a merge patch only adds.
    selector = merge_into(spec_of(ours).get("selector") or {}, spec["selector"])
    patch = {"spec": {**spec, "selector": selector}}
    draft.add(raised(SERVICE, ours, patch, "gave the canary Service the user's ports"))


def _plain_ports(ports: list[dict[str, object]]) -> list[dict[str, object]]:
    return [{"protocol": "TCP", **port} for port in ports]


def ensure_budget(release: Release, draft: Draft) -> None:
    """Keep a disruption budget while there are two canary pods and no budget of the user's."""
    if release.stable is None or release.canary is None:
        return
    ours = release.found.budget
    users = [b for b in release.observed.budgets if ours is None or name_of(b) != name_of(ours)]
    selecting = budgets_selecting(users, template_labels(release.canary))
    wanted = replicas_of(release.canary) >= 2 and not selecting
    if wanted and ours is None:
        budget = disruption_budget(release.stable, release.observed.name)
        draft.add(
            Create(kind=DISRUPTION_BUDGET, obj=budget, why="created the canary's disruption budget")
        )
    elif selecting and ours is not None:
        draft.add(
            deleted(DISRUPTION_BUDGET, ours, "deleted our budget: the user's covers the pods")
        )


def size(release: Release, draft: Draft, target: Exposure, *, at_least: int) -> int:
    """Scale the canary for `target`; returns how many pods it should have.

    Up at once. Down only when the exposure that needed the pods has been gone for
    D_prop + D_drain (T2, S20), and not beside a raise: that one is waited for by somebody.
    """
    needed = max(at_least, release.pods_allowed or target.pods_needed(release.full))
    have = replicas_of(release.canary or {})
    is_raise = not target.is_within(release.narrowest)
    fewer = needed < have and release.widest.pods_needed(release.full) <= needed
    is_due = fewer and not (is_raise and hold_on(release, target) is None)
    if is_due and _shrink(release, draft, needed):
        return needed
    if is_raise and release.is_shrinking:
        draft.note(shrinks=release.shrinks)  # whoever was about to remove pods is too late now
    if needed > have:
        canary_spec(release, draft, {"replicas": needed}, f"scaled the canary up to {needed}")
    return needed


def _shrink(release: Release, draft: Draft, needed: int) -> bool:
    """Scale down to `needed` pods, once that is announced; tells whether it is under way."""
    left = release.settling(release.drained_after)
    if _is_lost(release, draft):
        draft.note(changed=stamp(release.now))
    elif left > 0:
        draft.wake_after(left)
        return False
    elif announce(release, draft):
        draft.note(shrinks=release.shrinks)
        why = f"scaled the canary down to {needed}"
        shown = canary_refs(release) | route_refs(release)
        canary_spec(release, draft, {"replicas": needed}, why, shown)
    return True


def _is_lost(release: Release, draft: Draft) -> bool:
    """Tell whether the Ingresses are gone and nothing says since when: the drain begins now."""
    is_untimed = draft.record is not None and not draft.record.changed
    return release.is_started and not release.found.our_ingresses and is_untimed
