"""The predicates of safety.md section 5, with their ids and sentences.

A predicate may be broken by the world, never by a write of ours: most are asked of our writes only.
`broken_by` judges one change in the middle of it, for a simulated cluster; `standing` looks at one
release as it is observed, for the running controller.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from itertools import pairwise
from math import ceil
from typing import Any

from controller.api import names
from controller.api.intent import Replicas
from controller.api.objects import (
    Object,
    annotations_of,
    backend_service,
    ingress_class,
    ingress_paths,
    is_ours,
    is_paused,
    is_selected,
    labels_of,
    name_of,
    namespace_of,
    replicas_of,
    revision_of,
    spec_of,
    status_of,
    template_labels,
    template_of,
    uid_of,
)
from controller.api.status import is_our_condition, status_in
from controller.plan.record import Record, record_of
from controller.plan.release import Release
from controller.plan.scene import Change, Scene, bare, paths_of
from controller.plan.traffic.exposure import CLOSED, Exposure
from controller.plan.traffic.nginx import UNKNOWN, Nginx, is_closing_name
from controller.plan.workload import canary_name

PER_KIND: Mapping[str, tuple[str, ...]] = {
    "services": ("/metadata/annotations/serinus.dev/", "/status/conditions"),
    "deployments": (
        "/spec/paused",
        "/metadata/labels/serinus.dev/held",
        "/metadata/labels/serinus.dev/resume",
    ),
}
"""Where contract.md section 3 lets us write on objects of the user."""
BOOKKEEPING = ("/metadata/resourceVersion", "/metadata/managedFields", "/metadata/generation")
_KEYS_OF_ROUTE = ("canary", "canary-by-cookie")
_KEYS_OF_WEIGHT = ("canary-weight", "canary-weight-total")
_KEYS_OF_RULE = ("canary-by-header", "canary-by-header-value", "canary-by-header-pattern")
ROUTE_KEYS = frozenset({*_KEYS_OF_ROUTE, "canary-weight", *_KEYS_OF_RULE})
"""The annotations that routing.md 5.1 lets us write on an Ingress."""
STAMP_SECONDS = 1.0
"""Times are written in whole seconds: a change within the second of the last one keeps its text."""
RACE_SECONDS = 10.0
"""What a pass has seen may be so old when it is written down."""
GROWTH = Fraction(5, 4)
"""A walk back may send a quarter more than its share, so that an idle stable grows (P5)."""

Test = Callable[[Scene, Change], str | None]
Place = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Invariant:
    """One predicate.

    Attributes:
        id: of safety.md section 5.
        says: its sentence there.
        broken: says how a change breaks it, None if it does not.
        kinds: plurals of what it has to be asked of; empty: of everything.
        always: asked of everybody's changes, not of ours only.
    """

    id: str
    says: str
    broken: Test
    kinds: frozenset[str] = frozenset()
    always: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """One invariant that does not hold, and how."""

    id: str
    says: str
    how: str

    def __str__(self) -> str:
        return f"{self.id} ({self.says}): {self.how}"


def broken_by(scene: Scene, change: Change) -> list[Broken]:
    """Return what a change breaks; the scene shows it already."""
    found = []
    for invariant in INVARIANTS:
        is_asked = change.by_us or invariant.always
        if is_asked and (not invariant.kinds or change.kind in invariant.kinds):
            how = invariant.broken(scene, change)
            if how is not None:
                found.append(Broken(id=invariant.id, says=invariant.says, how=how))
    return found


# S: the state.


def _s1(scene: Scene, change: Change) -> str | None:
    before, after, place = _exposures(scene, change)
    if after.is_within(before):
        return None
    needed = needed_for(after, scene.full(*place))
    ready = scene.ready(place[0], canary_name(place[1]))
    if ready < needed:
        return f"raised to {after}: {ready} of {needed} pods are ready"
    record, canary = scene.record(*place), scene.canary(*place)
    carried = template_labels(canary).get(names.REVISION)
    if record is None or record.revision != carried:
        return f"raised to {after}: the canary carries {carried}, the record says {record}"
    return None


def _s2(scene: Scene, change: Change) -> str | None:
    place, service = namespace_of(change.current), labels_of(change.current)[names.SERVICE_NAME]
    stable = scene.stable(place, service)
    before = scene.memory.ready.get(service, 0)
    emptied = before > 0 and scene.ready(place, service) == 0
    if emptied and stable and name_of(stable) in scene.memory.let_go:
        return f"Service {service} lost its last ready endpoint in a roll that we began"
    return None


def _s3(scene: Scene, change: Change) -> str | None:
    before, after, place = _exposures(scene, change)
    rolls = scene.rolls(*place)
    if rolls and after.weight < before.weight:
        return _walked_too_far(scene, after, place)
    if rolls or after.is_within(before) or scene.ready(*place):
        return None
    return f"raised to {after}: no stable pod is ready for what stays there"


def _walked_too_far(scene: Scene, after: Exposure, place: Place) -> str | None:
    """Judge a walk back (P5); a canary that is short of pods may not keep what it has.

    Behind a Service that is gone nobody is ready; a promotion is finished all the same.
    """
    namespace, service = place
    if not scene.get("services", namespace, service):
        return None
    full = scene.full(*place)
    if scene.ready(namespace, canary_name(service)) < full or _autoscaled(scene, place):
        return None
    wanted = max(1, replicas_of(scene.stable(*place)))
    ready, sent = scene.ready(*place), Fraction(100 - after.weight, 100)
    if sent * wanted <= ready * GROWTH:
        return None
    return f"walked back to weight {after.weight}: {ready} of {wanted} stable pods are ready"


def _autoscaled(scene: Scene, place: Place) -> bool:
    found = scene.all("horizontalpodautoscalers", place[0])
    name = name_of(scene.stable(*place))
    return any((spec_of(it).get("scaleTargetRef") or {}).get("name") == name for it in found)


def _s4(_: Scene, change: Change) -> str | None:
    before, after = _recorded(change.old), _recorded(change.new)
    if "" in {before, after} or before == after:
        return None
    return f"the recorded stable revision went from {before} to {after}"


def _recorded(canary: Object | None) -> str:
    record = record_of(canary or {})
    return record.stable if record is not None else ""


def _s5(scene: Scene, change: Change) -> str | None:
    before, after, place = _exposures(scene, change)
    if not change.is_route or (change.is_edit and after.is_within(before)):
        return None
    nginx, mine = _nginx(scene, change), _keys(change.current)
    for other in scene.all("ingresses", place[0]):
        is_other = uid_of(other) != uid_of(change.current) and nginx.is_canary(other)
        if is_other and (same := mine & _keys(other)):
            return f"{name_of(change.current)} and {name_of(other)} both have {sorted(same)}"
    return None


def _keys(ingress: Object) -> set[tuple[str, str, str, str]]:
    """Return what only one canary Ingress may have: class, host, path, pathType."""
    group = str(ingress_class(ingress))
    return {
        (group, host, str(path.get("path")), str(path.get("pathType")))
        for host, path in ingress_paths(ingress)
    }


def _s6(scene: Scene, change: Change) -> str | None:
    if not change.is_route:
        return None
    nginx = _nginx(scene, change)
    if _is_left_alone(nginx, change, _KEYS_OF_ROUTE):
        return None
    flaw = flaw_of_route(nginx, change.current)
    if flaw is None and change.old is None and nginx.exposure_of(change.current) != CLOSED:
        return f"{name_of(change.current)} was created open: {nginx.exposure_of(change.current)}"
    return flaw


def _is_left_alone(nginx: Nginx, change: Change, keys: Iterable[str]) -> bool:
    """Tell whether a change says nothing of these annotations: who broke them did so before it.

    The writes of a pass have no order, so one about something else may come before the repair.
    """
    if not change.is_edit:
        return False
    old, new = annotations_of(change.old or {}), annotations_of(change.current)
    return all(old.get(key) == new.get(key) for key in map(nginx.key, keys))


def flaw_of_route(nginx: Nginx, route: Object) -> str | None:
    """Return what keeps an Ingress of ours from being a canary one that is closed by a cookie."""
    have = annotations_of(route)
    if have.get(nginx.key("canary")) != "true":
        return f"{name_of(route)} is no canary Ingress: {have.get(nginx.key('canary'))}"
    if not have.get(nginx.key("canary-by-cookie")):
        return f"{name_of(route)} has no cookie name"
    return None


def _s7(scene: Scene, change: Change) -> str | None:
    if not change.is_route:
        return None
    namespace, service = namespace_of(change.current), scene.release(change.current)
    mains = [main for main in scene.all("ingresses", namespace) if not is_ours(main)]
    known = {path for main in mains for path in paths_of(main)}
    lately = change.at - RACE_SECONDS
    known |= {path for path, at in scene.memory.paths.items() if at >= lately}
    for backend, *path in paths_of(change.current):
        if change.old is None and (service, *path) not in known:
            return f"{name_of(change.current)} has {path}, which no main has"
        if backend != canary_name(service):
            return f"{name_of(change.current)} sends to {backend}"
    return None


def _s8(scene: Scene, change: Change) -> str | None:
    before, after, (namespace, service) = _exposures(scene, change)
    if after.is_within(before):
        return None
    nginx, ours = _nginx(scene, change), canary_name(service)
    for ingress in scene.all("ingresses", namespace):
        if not nginx.is_canary(ingress) and ours in _backends(ingress):
            return f"raised to {after} while {name_of(ingress)} sends to {ours} by itself"
    return None


def _backends(ingress: Object) -> set[str]:
    return {backend_service(path) for _, path in ingress_paths(ingress)}


def _s9(scene: Scene, change: Change) -> str | None:
    before, after, place = _exposures(scene, change)
    if after.is_within(before):
        return None
    found = {scene.exposure(route).doors for route in scene.routes(*place)}
    known = {CLOSED.doors, before.doors, after.doors}
    if len(found - known) > 1:
        return f"raised to {after} while the other routes have {sorted(map(str, found - known))}"
    return None


def _s10(scene: Scene, change: Change) -> str | None:
    if not change.is_route:
        return None
    nginx = _nginx(scene, change)
    if _is_left_alone(nginx, change, _KEYS_OF_WEIGHT):
        return None
    return flaw_of_weight(nginx, change.current)


def flaw_of_weight(nginx: Nginx, route: Object) -> str | None:
    """Return what is wrong with the weight of an Ingress of ours."""
    have = annotations_of(route)
    text = have.get(nginx.key("canary-weight"), "")
    if nginx.key("canary-weight-total") in have:
        return f"{name_of(route)} has canary-weight-total"
    is_weight = text.isdecimal() and text.isascii() and 0 <= int(text) <= 100
    return None if is_weight else f"{name_of(route)} has weight {text!r}"


def _s11(scene: Scene, change: Change) -> str | None:
    if not change.is_route:
        return None
    nginx = _nginx(scene, change)
    if _is_left_alone(nginx, change, _KEYS_OF_RULE):
        return None
    flaw = flaw_of_rule(nginx, change.current)
    if flaw is not None:
        return flaw
    accounts = nginx.exposure_of(change.current).accounts
    strangers = accounts - scene.memory.accounts.get(scene.release(change.current), set())
    return f"{len(strangers)} accounts reach it that nobody listed" if strangers else None


def flaw_of_rule(nginx: Nginx, route: Object) -> str | None:
    """Read the header rule back and compose it again: it must be what we would write."""
    have, exposure = annotations_of(route), nginx.exposure_of(route)
    keys = map(nginx.key, _KEYS_OF_RULE)
    written = {key: have[key] for key in keys if key in have}
    if exposure.suffix == UNKNOWN or exposure.accounts & {"always", "never"}:
        return f"{name_of(route)} has the rule {written}"
    text = written.get(nginx.key("canary-by-header-pattern"))
    if text and not _is_exact(text, exposure):
        return f"{name_of(route)} has the rule {text}, which reaches others too"
    due = {key: value for key, value in nginx.keys_for(exposure).items() if key in written}
    if due == written and (not written or exposure.accounts or exposure.suffix):
        return None
    return f"{name_of(route)} has the rule {written}, not {due}"


def _is_exact(text: str, exposure: Exposure) -> bool:
    """Tell whether a pattern is anchored and takes every listed account, and nothing around it."""
    if not (text.startswith("^") and text.endswith("$")):
        return False
    found = re.compile(text)
    beside = [near for name in exposure.accounts for near in (f"{name}!", name[:-1] + "!")]
    return all(map(found.search, exposure.accounts)) and not any(map(found.search, beside))


def _s12(scene: Scene, change: Change) -> str | None:
    before, after, place = _exposures(scene, change)
    if after.weight <= before.weight:
        return None
    record = scene.record(*place)
    if record is not None and record.approval:
        return None
    asked = scene.asked(place[1], change.at - RACE_SECONDS)
    if after.weight <= max(asked, default=0):
        return None
    return f"raised to weight {after.weight}; the plan and the pin ask for at most {asked}"


def _s13(scene: Scene, change: Change) -> str | None:
    if change.new is None or not change.is_of_ours:
        return None
    if change.kind == "deployments":
        return _selected_by_another(scene, change)
    selector = spec_of(change.new).get("selector") or {}
    for pod in scene.all("pods", namespace_of(change.new)):
        if is_selected(selector, labels_of(pod)) and names.TRACK not in labels_of(pod):
            return f"our Service selects pod {name_of(pod)}"
    return None


def _selected_by_another(scene: Scene, change: Change) -> str | None:
    labels, before = template_labels(change.current), template_labels(change.old or {})
    ours = canary_name(scene.release(change.current))
    for service in scene.all("services", namespace_of(change.current)):
        selector = spec_of(service).get("selector") or {}
        is_new = is_selected(selector, labels) and not is_selected(selector, before)
        if name_of(service) != ours and is_new:
            return f"Service {name_of(service)} selects the canary's pods"
    return None


_PARTS: Mapping[str, Callable[[Object], object]] = {
    "deployments": template_of,
    "services": spec_of,
    "ingresses": spec_of,
}


def _s14(_: Scene, change: Change) -> str | None:
    if change.is_of_ours:
        return None
    part = _PARTS[change.kind]
    same = part(change.old or {}) == part(change.new or {})
    return None if same else f"we changed {change.kind} {name_of(change.current)}"


def _s15(scene: Scene, change: Change) -> str | None:
    if not change.is_of_ours or change.new is None:
        return None
    if change.old is not None and template_of(change.old) == template_of(change.new):
        return None
    if bare(template_of(change.new)) in scene.memory.templates:
        return None
    return "the canary's template differs from every template of stable in more than labels"


def _s16(scene: Scene, change: Change) -> str | None:
    if change.new is None:
        return None
    before = labels_of(change.old or {}).get(names.HELD)
    after = labels_of(change.new).get(names.HELD)
    if None not in {before, after} and before != after:
        return f"Deployment {name_of(change.new)} went from {before} to {after}"
    if not change.is_of_ours:
        return None
    for other in scene.all("deployments", namespace_of(change.new)):
        is_another = is_ours(other) and uid_of(other) != uid_of(change.new)
        if is_another and _owners(other) & _owners(change.new):
            return f"{name_of(other)} and {name_of(change.new)} are canaries of one Deployment"
    return None


def _owners(obj: Object) -> set[str]:
    owners: Sequence[Mapping[str, str]] = obj["metadata"].get("ownerReferences") or ()
    return {owner["uid"] for owner in owners}


def _s19(scene: Scene, change: Change) -> str | None:
    before, after, _ = _exposures(scene, change)
    if _sides(before) == _sides(after) or not change.is_edit:
        return None
    old, new = (annotations_of(obj or {}).get(names.CHANGED) for obj in (change.old, change.new))
    _, stamped = scene.memory.stamped.get(name_of(change.current), ("", -STAMP_SECONDS))
    if new and (new != old or change.at - stamped < STAMP_SECONDS):
        return None
    return f"went from {before} to {after} and keeps the time {new}"


def _sides(exposure: Exposure) -> tuple[object, ...]:
    """Return who reaches which side; a closing name of a Service that is gone opens nothing."""
    *doors, cookie = exposure.doors
    return (*doors, None if is_closing_name(str(cookie)) else cookie)


def _s20(scene: Scene, change: Change) -> str | None:
    fewer = _pods_left(scene, change)
    if fewer is None:
        return None
    place, left = fewer
    widest = scene.widest(*place)
    needed = needed_for(widest, scene.full(*place)) if widest.is_open else 0
    if left >= needed:
        return None
    return f"{left} canary pods are left of {needed} for {widest}"


def _s21(scene: Scene, change: Change) -> str | None:
    before, after, (namespace, service) = _exposures(scene, change)
    if not before.is_open or after.is_open or not change.is_route:
        return None
    intent, rejected = scene.intent(namespace, service), _rejected(scene, (namespace, service))
    is_asked = intent is not None and intent.action is not None and intent.action.verb == "abort"
    if not (is_asked or rejected):
        return None
    nginx, mine = _nginx(scene, change), _keys(change.current)
    for main in scene.all("ingresses", namespace):
        sticks = annotations_of(main).get(nginx.key("affinity")) == "cookie"
        if sticks and not is_ours(main) and mine & _keys(main):
            return f"closed beside {name_of(main)}, whose clients stick to the canary"
    return None


# T: our writes.


def _t2(scene: Scene, change: Change) -> str | None:
    fewer = _pods_left(scene, change)
    if fewer is None:
        return None
    place, left = fewer
    full = scene.full(*place)
    wait = scene.parameters.propagation_seconds + scene.parameters.drain_seconds
    reached = scene.memory.reached.get(place[1], [])
    strange = [at for at in scene.memory.strange.get(place[1], []) if at > change.at - RACE_SECONDS]
    for (since, exposure), (until, _) in pairwise([*reached, (change.at, CLOSED)]):
        if since in strange:
            continue
        needed = needed_for(exposure, full) if exposure.is_open else 0
        if needed > left and change.at - until < wait:
            return f"{left} canary pods are left {change.at - until:.1f} s after {exposure} ended"
    return None


def _t3(scene: Scene, change: Change) -> str | None:
    if change.is_of_ours or change.old is None or change.new is None:
        return None
    if not is_paused(change.old) or is_paused(change.new):
        return None
    revision = revision_of(template_of(change.new))
    service = labels_of(change.old).get(names.HELD, "")
    record = scene.record(namespace_of(change.new), service) or _record_lost(scene, change, service)
    served = {scene.memory.served.get(uid_of(change.new), revision)}
    allowed = {record.approval, record.stable} if record is not None else served
    if revision in allowed:
        return None
    return f"revision {revision} was let go; allowed: {sorted(allowed)}"


def _record_lost(scene: Scene, change: Change, service: str) -> Record | None:
    """Return a record that somebody took away while we wrote down what it had approved.

    The un-pausing rests on the version of stable; no version ties it to the canary Deployment.
    """
    at, record = scene.memory.lost.get(service, (0.0, None))
    return record if at > change.at - RACE_SECONDS else None


def _t4(scene: Scene, change: Change) -> str | None:
    before, after, place = _exposures(scene, change)
    if after.is_within(before):
        return None
    rejected = _rejected(scene, place)
    return f"raised to {after} though revision {rejected} was aborted" if rejected else None


def _rejected(scene: Scene, place: Place) -> str:
    """Return the revision that was aborted, if it is the one that is pending still."""
    rejected, stable = status_in(scene.get("services", *place)).rejected, scene.stable(*place)
    if rejected is None or not stable or rejected.revision != revision_of(template_of(stable)):
        return ""
    return rejected.revision


def _t5(scene: Scene, change: Change) -> str | None:
    before, after, place = _exposures(scene, change)
    if not 0 < after.weight < before.weight:
        return None
    record, intent = scene.record(*place), scene.intent(*place)
    if intent is None or record is None or record.approval or record.short:
        return None
    needed = before.pods_needed(scene.full(*place))
    is_short = scene.ready(place[0], canary_name(place[1])) < needed
    if is_short or intent.replicas != Replicas() or intent.weight is not None:
        return None
    plan = scene.asked(place[1], change.at - RACE_SECONDS)
    if min(plan, default=0) <= after.weight:
        return None
    return f"the weight fell from {before.weight} to {after.weight}; the plan goes up to {plan}"


# A: authority.


def _a1(_: Scene, change: Change) -> str | None:
    if change.is_of_ours or change.kind == "events":
        return None
    if change.old is None or change.new is None:
        return f"we made or removed {change.kind} {name_of(change.current)}"
    allowed = (*PER_KIND.get(change.kind, ()), *BOOKKEEPING)
    for path in _differences(change.old, change.new):
        if not path.startswith(allowed):
            return f"we changed {path} of {change.kind} {name_of(change.new)}"
    return _others_conditions(change.old, change.new)


def _others_conditions(old: Object, new: Object) -> str | None:
    before, after = (
        [c for c in status_of(obj).get("conditions") or () if not is_our_condition(c)]
        for obj in (old, new)
    )
    return None if before == after else f"we changed conditions of others: {before} to {after}"


def _differences(old: Any, new: Any, path: str = "") -> Iterator[str]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in sorted(old.keys() | new.keys()):
            yield from _differences(old.get(key), new.get(key), f"{path}/{key}")
    elif old != new and (old or new):
        inner = old if isinstance(old, Mapping) else new if isinstance(new, Mapping) else None
        if inner is None:
            yield path
        else:
            yield from (f"{path}/{key}" for key in inner)


def _a3(scene: Scene, change: Change) -> str | None:
    """A Deployment is enrolled by its label, which we set and remove; a Service by its user's.

    A Service whose user takes the label off while our first write is under way was enrolled; what
    is written then is taken back by the next pass.
    """
    if change.is_of_ours or not change.is_edit:
        return None
    old, new = change.old or {}, change.new or {}
    if change.kind == "services":
        is_shown = names.CANARY in labels_of(old) or names.STATUS in annotations_of(old)
        was_enrolled = is_shown or uid_of(old) in scene.memory.enrolled
        knows_us = any(map(is_our_condition, status_of(old).get("conditions") or ()))
        return None if was_enrolled or knows_us else f"we wrote on Service {name_of(old)}"
    holder = labels_of(old).get(names.HELD) or labels_of(new).get(names.HELD)
    ours = (obj for obj in scene.all("deployments", namespace_of(old)) if is_ours(obj))
    if holder or any(uid_of(old) in _owners(obj) for obj in ours):
        return None
    return f"we wrote on Deployment {name_of(old)}"


def _a4(scene: Scene, change: Change) -> str | None:
    if not change.is_route:
        return None
    nginx = _nginx(scene, change)
    allowed = {*map(nginx.key, ROUTE_KEYS), names.CHANGED, names.SHRINK, names.INGRESS_CLASS}
    added = annotations_of(change.current).keys() - annotations_of(change.old or {}).keys()
    strange = sorted(added - allowed)
    return f"{name_of(change.current)} was given {strange}" if strange else None


# What several of them ask.


def needed_for(exposure: Exposure, full: int) -> int:
    """Return need_c of safety.md section 3, computed anew: the plan's own sum is what is judged."""
    share = Fraction(exposure.share)
    exposed = share + (1 - share) * exposure.weight / 100
    least = 2 if exposed > 0 and full >= 2 else 1
    return max(least, ceil(exposed * full))


def _nginx(scene: Scene, change: Change) -> Nginx:
    """Return the annotation keys of the release that an Ingress of ours belongs to."""
    return scene.nginx(namespace_of(change.current), scene.release(change.current))


def _exposures(scene: Scene, change: Change) -> tuple[Exposure, Exposure, Place]:
    """Return what one Ingress of ours let through before and after; of anything else: nothing."""
    place = namespace_of(change.current), scene.release(change.current)
    if not change.is_route:
        return CLOSED, CLOSED, place
    before = scene.exposure(change.old) if change.old is not None else CLOSED
    return before, scene.exposure(change.current), place


def _pods_left(scene: Scene, change: Change) -> tuple[Place, int] | None:
    """Return how many canary pods a change leaves that takes some away, or out of reach."""
    if not change.is_of_ours or change.old is None:
        return None
    place = namespace_of(change.current), scene.release(change.current)
    if change.kind == "services":
        pods = template_labels(scene.canary(*place))
        stays = change.new is not None and is_selected(_selector(change.new), pods)
        return None if stays or not pods else (place, 0)
    if change.new is None or template_of(change.new) != template_of(change.old):
        return place, 0
    fewer = replicas_of(change.new) < replicas_of(change.old)
    return (place, replicas_of(change.new)) if fewer else None


def _selector(service: Object) -> Mapping[str, str]:
    return spec_of(service).get("selector") or {}


_ROUTES = frozenset({"ingresses"})
_WORKLOADS = frozenset({"deployments"})
_SIZES = frozenset({"deployments", "services"})

INVARIANTS: tuple[Invariant, ...] = (
    Invariant(
        id="S1",
        says="a raise towards the canary finds ready(canary) >= need_c at the right revision",
        broken=_s1,
        kinds=_ROUTES,
    ),
    Invariant(
        id="S2",
        says="no write of ours ever makes ready(stable) = 0",
        broken=_s2,
        kinds=frozenset({"endpointslices"}),
        always=True,
    ),
    Invariant(
        id="S3",
        says="a raise or a walk-back finds stable able to carry what it leaves or sends there",
        broken=_s3,
        kinds=_ROUTES,
    ),
    Invariant(
        id="S4",
        says="outside Promoting, stable's serving revision is the recorded one",
        broken=_s4,
        kinds=_WORKLOADS,
    ),
    Invariant(
        id="S5",
        says="at most one canary Ingress for each (class, host, path, pathType), ours or anyone's",
        broken=_s5,
        kinds=_ROUTES,
    ),
    Invariant(
        id="S6",
        says='our canary Ingress has canary: "true" and a cookie name from its creation to its '
        "deletion, and is created with weight 0, the closing name and no rules",
        broken=_s6,
        kinds=_ROUTES,
    ),
    Invariant(
        id="S7",
        says="its (host, path, pathType) are a subset of its main Ingress's; every backend is our "
        "canary Service",
        broken=_s7,
        kinds=_ROUTES,
    ),
    Invariant(
        id="S8",
        says="the canary Service is no backend of any non-canary Ingress",
        broken=_s8,
        kinds=_ROUTES,
    ),
    Invariant(
        id="S9",
        says="canary Ingresses of one release carry the previous or the next intent",
        broken=_s9,
        kinds=_ROUTES,
    ),
    Invariant(
        id="S10",
        says="the weight is an integer 0...100; canary-weight-total is never written",
        broken=_s10,
        kinds=_ROUTES,
    ),
    Invariant(
        id="S11",
        says="the header rule is exactly the list: anchored, every literal escaped",
        broken=_s11,
        kinds=_ROUTES,
    ),
    Invariant(
        id="S12",
        says="rules only, weight 0: nobody else reaches the canary",
        broken=_s12,
        kinds=_ROUTES,
    ),
    Invariant(
        id="S13",
        says="no Service of the namespace but ours selects a canary pod; ours selects no other pod",
        broken=_s13,
        kinds=_SIZES,
    ),
    Invariant(
        id="S14",
        says="the user's Service spec, Ingress and pod template are byte-equal to what the user "
        "wrote",
        broken=_s14,
        kinds=frozenset(_PARTS),
    ),
    Invariant(
        id="S15",
        says="the canary's pod template differs from its source in labels only",
        broken=_s15,
        kinds=_WORKLOADS,
    ),
    Invariant(id="S16", says="no Deployment is in two releases", broken=_s16, kinds=_WORKLOADS),
    Invariant(
        id="S19",
        says="an exposure change less than D_prop ago has its persisted time",
        broken=_s19,
        kinds=_ROUTES,
    ),
    Invariant(
        id="S20",
        says="no canary pod is removed while a proxy could still hold exposure",
        broken=_s20,
        kinds=_SIZES,
    ),
    Invariant(
        id="S21",
        says="cookie affinity on the main Ingress: lowering deletes the canary Ingress",
        broken=_s21,
        kinds=_ROUTES,
    ),
    Invariant(
        id="T2",
        says="capacity is removed only after the exposure it carried has been gone for "
        "D_prop + D_drain",
        broken=_t2,
        kinds=_SIZES,
    ),
    Invariant(
        id="T3",
        says="un-pausing happens only for the approved revision, or the recorded stable one",
        broken=_t3,
        kinds=_WORKLOADS,
    ),
    Invariant(
        id="T4",
        says="after an abort is recorded, nothing raises exposure until a newer template or retry",
        broken=_t4,
        kinds=_ROUTES,
    ),
    Invariant(
        id="T5",
        says="a plan's weights never fall except by a short canary, a pin, a shorter plan, the "
        "walk-back, or to 0",
        broken=_t5,
        kinds=_ROUTES,
    ),
    Invariant(
        id="A1",
        says="writes go only to our own objects and to the fields contract.md section 3 names",
        broken=_a1,
    ),
    Invariant(
        id="A3",
        says="an object never enrolled gets no write",
        broken=_a3,
        kinds=_SIZES,
    ),
    Invariant(
        id="A4",
        says="Ingress annotation keys come from a fixed list, nothing copied",
        broken=_a4,
        kinds=_ROUTES,
    ),
)
"""Asked in this order of every change."""


# What the running controller looks at: one release, as it is observed.


def standing(release: Release) -> tuple[Broken, ...]:
    """Return which invariants of the state a release is found to break; it is changed by nobody.

    Only what somebody else must have done: a write of ours never leaves such a state behind.
    """
    says = {invariant.id: invariant.says for invariant in INVARIANTS}
    found = ((name, test(release)) for name, test in STANDING)
    return tuple(Broken(id=name, says=says[name], how=how) for name, how in found if how)


def _stands_s5(release: Release) -> str | None:
    """A rival of ours; which of two canary Ingresses a proxy takes, nobody can say."""
    nginx, ours = release.found.nginx, {uid_of(it) for it in release.found.our_ingresses}
    for route in release.found.our_ingresses:
        for other in release.observed.ingresses:
            is_rival = uid_of(other) not in ours and nginx.is_canary(other)
            if is_rival and _keys(route) & _keys(other):
                return f"{name_of(other)} is a canary Ingress for the paths of {name_of(route)}"
    return None


def _stands_on_routes(
    flaw_of: Callable[[Nginx, Object], str | None], release: Release
) -> str | None:
    flaws = (flaw_of(release.found.nginx, it) for it in release.found.our_ingresses)
    return next((flaw for flaw in flaws if flaw is not None), None)


def _stands_s8(release: Release) -> str | None:
    ours = canary_name(release.observed.name)
    for ingress in release.observed.ingresses:
        is_users = not release.found.nginx.is_canary(ingress) and not is_ours(ingress)
        if is_users and ours in _backends(ingress):
            return f"Ingress {name_of(ingress)} sends to {ours} by itself"
    return None


def _stands_s13(release: Release) -> str | None:
    if release.canary is None or not release.are_canary_pods_selected:
        return None
    return "a Service that is not ours selects the canary's pods"


Standing = Callable[[Release], str | None]
STANDING: tuple[tuple[str, Standing], ...] = (
    ("S5", _stands_s5),
    ("S6", partial(_stands_on_routes, flaw_of_route)),
    ("S8", _stands_s8),
    ("S10", partial(_stands_on_routes, flaw_of_weight)),
    ("S11", partial(_stands_on_routes, flaw_of_rule)),
    ("S13", _stands_s13),
)
"""What can be seen in one look, in this order."""
