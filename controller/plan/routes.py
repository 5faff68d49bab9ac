"""Moving exposure: one PATCH on each canary Ingress, up behind gates, down without any."""

from collections.abc import Iterable
from datetime import datetime

from controller.api import names
from controller.api.objects import (
    DEPLOYMENT,
    DISRUPTION_BUDGET,
    ENDPOINT_SLICE,
    INGRESS,
    SERVICE,
    Object,
    annotations_of,
    moment_of,
    name_of,
    stamp,
)
from controller.plan.checks import Hold
from controller.plan.draft import Draft, new_record
from controller.plan.observed import Ref
from controller.plan.refusals import has_affinity
from controller.plan.release import Release
from controller.plan.stable import hold_without_record
from controller.plan.traffic.exposure import CLOSED, Exposure
from controller.plan.traffic.nginx import changed_at, changed_text, shrink_on
from controller.plan.workload import canary_ingress_name, canary_name, our_metadata
from controller.plan.writes import (
    Create,
    Event,
    Merge,
    Write,
    deleted,
    dropped,
    lowered,
    raised,
    ref,
)


def canary_refs(release: Release) -> frozenset[Ref]:
    """Return what has to be read afresh before the canary is relied on (T1)."""
    slices = Ref(
        kind=ENDPOINT_SLICE,
        namespace=release.observed.namespace,
        name=canary_name(release.observed.name),
    )
    if release.canary is not None:
        return frozenset({slices, ref(DEPLOYMENT, release.canary)})
    return frozenset({slices, *_due_canary(release)})


def _due_canary(release: Release) -> Iterable[Ref]:
    """Yield where the canary Deployment is if a watch that lags has not shown it yet."""
    if release.stable is not None:
        name = canary_name(name_of(release.stable))
        yield Ref(kind=DEPLOYMENT, namespace=release.observed.namespace, name=name)


def stable_refs(release: Release) -> frozenset[Ref]:
    """Return what has to be read afresh before stable is relied on (T1, T3)."""
    slices = Ref(
        kind=ENDPOINT_SLICE, namespace=release.observed.namespace, name=release.observed.name
    )
    if release.stable is None:
        return frozenset({slices})
    return frozenset({slices, ref(DEPLOYMENT, release.stable)})


def deployment_refs(release: Release) -> frozenset[Ref]:
    """Return both Deployments: they tell whether stable rolls by an approval, and how big it is."""
    found = (release.stable, release.canary)
    return frozenset(ref(DEPLOYMENT, one) for one in found if one is not None)


def service_ref(release: Release) -> Ref:
    """Return the Service, to be read afresh before what its user may have forbidden (T4)."""
    return Ref(kind=SERVICE, namespace=release.observed.namespace, name=release.observed.name)


def route_refs(release: Release) -> frozenset[Ref]:
    """Return what has to be read afresh before pods go that traffic may need (T2, T9).

    Every canary Ingress, and each place where another process may have made one: a watch of
    Ingresses that lags says nothing of doors that were opened meanwhile.
    """
    namespace, service = release.observed.namespace, release.observed.name
    known = [name_of(route) for route in release.found.our_ingresses]
    due = [canary_ingress_name(service, main) for main in release.found.mains]
    return frozenset(Ref(kind=INGRESS, namespace=namespace, name=name) for name in (*known, *due))


def move(
    release: Release,
    draft: Draft,
    target: Exposure,
    hold: Hold | None,
    *,
    waits_for_nobody: bool = False,
) -> None:
    """Bring every route to `target`; while the gates hold, only as far as nothing is raised.

    Args:
        release: what is seen.
        draft: where the writes go.
        target: who is to reach the canary.
        hold: why nothing may be raised; None while everything may.
        waits_for_nobody: lower without a read, as an empty canary has to be. What only a pin or a
            plan lowers is read first: a record that is seen late may hide that stable rolls.
    """
    rests_on = frozenset() if waits_for_nobody else deployment_refs(release)
    for route in release.found.routes.values():
        written = release.written(route)
        if target.is_within(written):
            draft.add(lower(release, route, target, rests_on))
        elif hold is None:
            draft.add(_raise(release, route, target))
        else:
            draft.add(lower(release, route, target.meet(written), rests_on))
    for orphan in release.found.orphans:
        draft.add(lower(release, orphan, CLOSED, rests_on))


def raise_routes(release: Release, draft: Draft, target: Exposure) -> None:
    """Bring every route to `target`; an Ingress whose main is gone stays as it is."""
    draft.add(*(_raise(release, route, target) for route in release.found.routes.values()))


def lower(
    release: Release, route: Object, target: Exposure, rests_on: frozenset[Ref] = frozenset()
) -> Merge | None:
    """Return the PATCH that lowers a route; None: it is so already.

    Conditional on the uid only where it opens nothing, whatever stands there by now. What leaves a
    door open would be a raise to another process that has closed it since, so it names the version.
    So does all of a release without a record: nobody knows whether it is a walk back.

    Args:
        release: what is seen.
        route: the canary Ingress.
        target: who is to reach the canary through it.
        rests_on: what has to be read afresh before; an abort waits for nobody.
    """
    nginx, now = release.found.nginx, release.now
    change = nginx.change(route, target, now)
    if target == CLOSED:
        change = nginx.closing_change(route, now)
    if change is None:
        return None
    is_lowering = nginx.only_closes(change) and release.record is not None
    conditional = lowered if is_lowering else raised
    return conditional(
        INGRESS,
        route,
        {"metadata": {"annotations": change}},
        f"lowered the canary's exposure to {words(target)}",
        confirm=rests_on | _unless_it_rolls(release),
        events=_events(release.written(route), target),
    )


def _unless_it_rolls(release: Release) -> frozenset[Ref]:
    """Return what has to be read afresh before a lowering; before an approval nothing.

    From the approval on another process may have let stable roll, and then to lower is to raise
    (safety.md section 3): only a fresh read of stable and its endpoints tells.
    """
    is_approved = release.record is not None and bool(release.record.approval)
    if not is_approved or release.stable is None:
        return frozenset()
    return stable_refs(release)


def _raise(release: Release, route: Object, target: Exposure) -> Merge | None:
    changes = release.found.nginx.change(route, target, release.now)
    if changes is None:
        return None
    return raised(
        INGRESS,
        route,
        {"metadata": {"annotations": changes}},
        f"raised the canary's exposure to {words(target)}",
        confirm=canary_refs(release) | {service_ref(release)} | deployment_refs(release),
        events=_events(release.written(route), target),
    )


def announce(release: Release, draft: Draft) -> bool:
    """Announce on every canary Ingress that pods are about to go; tells whether each says so.

    The fence between two objects that no write can change together (safety.md section 4): a raise
    that was decided before meets another version of the Ingress, and one that is decided after
    finds the announcement. It changes nothing of who reaches the canary. A record that is still to
    be written is written first: the number is of it.
    """
    record, routes = release.record, release.found.our_ingresses
    if not routes:
        return True
    if record is None or draft.record != record:
        return False
    silent = [route for route in routes if shrink_on(route) < record.shrinks]
    patch = {"metadata": {"annotations": {names.SHRINK: str(record.shrinks)}}}
    draft.add(*(raised(INGRESS, it, patch, "announced that canary pods go") for it in silent))
    return not silent


def walk_back(release: Release, draft: Draft, target: Exposure) -> None:
    """Send traffic back to stable: from P3 to P6 this is the raise (safety.md section 3)."""
    for route in release.found.our_ingresses:
        changes = release.found.nginx.change(route, target, release.now)
        if changes is not None:
            draft.add(
                raised(
                    INGRESS,
                    route,
                    {"metadata": {"annotations": changes}},
                    f"walked back to {words(target)}",
                    confirm=stable_refs(release),
                    events=_events(release.written(route), target),
                )
            )


def words(exposure: Exposure) -> str:
    """Return an exposure for a person; the number of accounts, never which."""
    parts = [f"weight {exposure.weight}"]
    if exposure.accounts:
        parts.append(f"{len(exposure.accounts)} accounts")
    if exposure.suffix:
        parts.append(f"suffixes for {float(exposure.share):.2%} of users")
    if exposure.cookie is not None:
        parts.append("the visitors' cookie")
    return ", ".join(parts)


def _events(written: Exposure, target: Exposure) -> tuple[Event, ...]:
    if target.weight != written.weight:
        reason = "WeightRaised" if target.weight > written.weight else "WeightLowered"
        message = f"weight {written.weight} to {target.weight}"
        return (Event(reason=reason, message=message),)
    if target.doors != written.doors:
        return (Event(reason="RulesChanged", message=f"the canary is reached by {words(target)}"),)
    return ()


def ensure_routes(release: Release, draft: Draft) -> None:
    """Create the canary Ingress beside each main (U2), and derive its rules from the live main."""
    stable = release.stable
    if stable is None or release.refusal is not None or release.found.canary_service is None:
        return
    for name, main in release.found.mains.items():
        route = release.found.routes.get(name)
        if route is None:
            draft.add(_new_route(release, stable, main))
        elif not release.is_derived(route, main):
            draft.add(_derived(release, route, main))
    _drop_orphans(release, draft)


def _drop_orphans(release: Release, draft: Draft) -> None:
    """Delete a canary Ingress whose main is gone for good: others are left, and it has drained."""
    orphans = release.found.orphans if release.found.mains else ()
    closed = [orphan for orphan in orphans if not release.written(orphan).is_open]
    left = release.settling_of(closed, release.drained_after)
    if left > 0:
        draft.wake_after(left)
        return
    draft.add(*(deleted(INGRESS, one, "deleted the canary Ingress: no main") for one in closed))


def _new_route(release: Release, stable: Object, main: Object) -> Write:
    """Return the creation of a route; rests on the Service: an old one hides that it has ended."""
    service = release.observed.name
    meta = our_metadata(stable, service, canary_ingress_name(service, name_of(main)))
    rules = release.spec_beside(main)["rules"]
    return Create(
        kind=INGRESS,
        obj=release.found.nginx.ingress(main, rules, meta, release.now),
        why=f"created the canary Ingress beside {name_of(main)}, closed",
        confirm=frozenset({service_ref(release)}),
    )


def _derived(release: Release, route: Object, main: Object) -> Write:
    """Return the PATCH that makes a route fit its main again; nothing else belongs in its spec."""
    annotations = {names.CHANGED: changed_text(release.written(route), release.now)}
    return raised(
        INGRESS,
        route,
        {
            "metadata": {"annotations": annotations},
            "spec": release.spec_beside(main),
        },
        "derived the canary Ingress from its main again",
        confirm=canary_refs(release),
    )


def restamp(release: Release, draft: Draft) -> None:
    """Write the time of a change anew where it is still to come, or was taken away: it is now.

    Of a time that is not there nobody could ever have seen for how long it stands. One that is to
    come would be waited for, for an hour where the API server's clock was put right by so much.
    """
    if release.record is not None and _is_to_come(release, moment_of(release.record.changed)):
        draft.note(changed=stamp(release.now))
    for route in release.found.our_ingresses:
        is_to_come = _is_to_come(release, moment_of(changed_at(route)))
        if is_to_come or not annotations_of(route).get(names.CHANGED):
            text = changed_text(release.written(route), release.now)
            patch = {"metadata": {"annotations": {names.CHANGED: text}}}
            draft.add(lowered(INGRESS, route, patch, "corrected the time of the last change"))


def _is_to_come(release: Release, at: datetime | None) -> bool:
    return at is not None and (at - release.now).total_seconds() > FUTURE_SECONDS


FUTURE_SECONDS = 5
"""API servers behind one address may differ by so much."""


def sticks(release: Release) -> bool:
    """Tell whether clients stick to the canary by an affinity cookie."""
    return any(has_affinity(release.found, main) for main in release.found.mains.values())


def close(release: Release, draft: Draft, rests_on: frozenset[Ref] = frozenset()) -> Hold | None:
    """Take all exposure away, at once and without a gate (B1); returns why it has to wait.

    What nobody asked for rests on a read: a release is not ended on what a watch showed late.
    Without a record this may be a walk back: it has the gates and the reads of one.

    Where clients stick to the canary by an affinity cookie weight 0 is no rollback: there the
    Ingress goes (S21), and its time is that at which it is found missing. One that stands in the
    record before is of another change, and would let pods go too early: it is taken out first.
    """
    if release.record is None and release.is_open:
        hold = hold_without_record(release)
        if hold is not None:
            return hold
        rests_on |= canary_refs(release) | stable_refs(release)
    sticky = {
        name_of(release.found.routes[name])
        for name, main in release.found.mains.items()
        if name in release.found.routes and has_affinity(release.found, main)
    }
    for route in release.found.our_ingresses:
        if name_of(route) not in sticky:
            draft.add(lower(release, route, CLOSED, rests_on))
        elif release.record is None or not release.record.changed:
            draft.note(changed="")
            why = "deleted the canary Ingress: sessions stick to it"
            draft.add(dropped(INGRESS, route, why, rests_on))
        else:
            draft.note(changed="")
    return None


def clean(release: Release, draft: Draft) -> float | None:
    """Delete what is ours, in order: Ingresses, then Service and budget, then the Deployment.

    To be called once exposure is 0 and drained. Returns the seconds to wait for, None if nothing
    is left to do or the next pass follows from what this one writes.
    """
    ingresses = release.found.our_ingresses
    if ingresses:
        if keep_time(release, draft):
            return None
        draft.add(*(deleted(INGRESS, one, "deleted the canary Ingress") for one in ingresses))
        return None
    return _clean_pods(release, draft)


def keep_time(release: Release, draft: Draft) -> bool:
    """Copy the time of the last change to the record, before an Ingress takes it along.

    To be called as soon as exposure is 0: the copy's own wait then runs beside the Ingress's, and
    not after it. Returns whether there was anything to copy.
    """
    due = release.record is not None and release.record.changed < release.last_changed
    if due:
        draft.note(changed=release.last_changed)
    return due


def keep_missing(release: Release, draft: Draft) -> bool:
    """Write down when an Ingress was found missing, where nothing says it; tell whether it was due.

    The drain runs from then. A record that somebody took away with its time is written anew.
    """
    is_timed = release.record is not None and bool(release.record.changed)
    if release.canary is None or release.found.our_ingresses or is_timed:
        return False
    draft.record = draft.record or new_record(release)
    draft.note(changed=stamp(release.now))
    return True


def _clean_pods(release: Release, draft: Draft) -> float | None:
    if keep_missing(release, draft):
        return None
    left = release.settling(release.drained_after)
    if left > 0:
        return left
    service, budget = release.found.canary_service, release.found.budget
    routes = route_refs(release)
    if service is not None:
        draft.add(deleted(SERVICE, service, "deleted the canary Service", routes))
    if budget is not None:
        draft.add(deleted(DISRUPTION_BUDGET, budget, "deleted the canary's disruption budget"))
    if service is None and budget is None and release.canary is not None:
        draft.add(deleted(DEPLOYMENT, release.canary, "deleted the canary Deployment", routes))
    return None
