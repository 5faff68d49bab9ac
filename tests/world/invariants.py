"""What safety.md section 5 forbids, judged on the store in the middle of each change.

A predicate may be broken by the world, never by a write of ours: most are asked of our writes only.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from controller.api import names
from controller.api.objects import (
    annotations_of,
    backend_service,
    controller_of,
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
from controller.plan.observed import Parameters
from controller.plan.record import Record, record_of
from controller.plan.traffic.exposure import CLOSED, Exposure
from controller.plan.traffic.nginx import Nginx, closing_name
from e2e.bed.apiserver.store import Store

PER_KIND = {
    "services": ("/metadata/annotations/serinus.dev/", "/status/conditions"),
    "deployments": (
        "/spec/paused",
        "/metadata/labels/serinus.dev/held",
        "/metadata/labels/serinus.dev/resume",
    ),
}
"""Where contract.md section 3 lets us write on objects of the user."""
BOOKKEEPING = ("/metadata/resourceVersion", "/metadata/managedFields", "/metadata/generation")


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One change of the store.

    Attributes:
        kind: plural.
        new: the object, None if it is gone.
        old: as it was, None if it is new.
        by_us: a write of the controller did it.
        at: seconds since the world began.
    """

    kind: str
    new: Any
    old: Any
    by_us: bool
    at: float

    @property
    def current(self) -> Any:
        """The object, or its last state."""
        return self.new if self.new is not None else self.old

    @property
    def is_of_ours(self) -> bool:
        """Tell whether the object is one that we made."""
        return is_ours(self.current)


@dataclass(slots=True, kw_only=True)
class Memory:
    """What cannot be read off the store at one moment.

    Attributes:
        templates: revisions that stood in a user's Deployment at some time, labels left out.
        reached: for each enrolled Service, (time, exposure) of every change of its routes.
        let_go: for each Deployment, when we un-paused it and nothing else happened to it since.
        ready: ready endpoints of each Service.
        uids: of each Service, also when it is gone.
        served: for the uid of a Deployment, the revision whose pods were last alone and all ready.
    """

    templates: set[str] = field(default_factory=set)
    reached: dict[str, list[tuple[float, Exposure]]] = field(default_factory=dict)
    let_go: dict[str, float] = field(default_factory=dict)
    ready: dict[str, int] = field(default_factory=dict)
    uids: dict[str, str] = field(default_factory=dict)
    served: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What a predicate may look at."""

    store: Store
    parameters: Parameters
    memory: Memory

    def all(self, kind: str, namespace: str) -> list[Any]:
        """Return the objects of a kind."""
        return self.store.list(kind, namespace)

    def get(self, kind: str, namespace: str, name: str) -> Any:
        """Return an object, {} without one."""
        exists = self.store.exists(kind, namespace, name)
        return self.store.get(kind, namespace, name) if exists else {}

    def nginx(self, namespace: str, service: str) -> Nginx:
        """Return the annotation keys of a release."""
        uid = uid_of(self.get("services", namespace, service)) or self.memory.uids.get(service, "")
        return Nginx(prefix=self.parameters.annotation_prefix, closing=closing_name(uid))

    def release(self, obj: Any) -> str:
        """Return the Service whose release an object of ours belongs to."""
        return str(labels_of(obj).get(names.SERVICE, ""))

    def routes(self, namespace: str, service: str) -> list[Any]:
        """Return the canary Ingresses of a release."""
        return [
            obj
            for obj in self.all("ingresses", namespace)
            if is_ours(obj) and self.release(obj) == service
        ]

    def widest(self, namespace: str, service: str) -> Exposure:
        """Return the exposure of a release that needs most."""
        nginx = self.nginx(namespace, service)
        found = [nginx.exposure_of(route) for route in self.routes(namespace, service)]
        return max(found, key=lambda one: (one.of_all, one.is_open), default=CLOSED)

    def canary(self, namespace: str, service: str) -> Any:
        """Return the canary Deployment of a release, {} without one."""
        return next(
            (
                obj
                for obj in self.all("deployments", namespace)
                if is_ours(obj) and self.release(obj) == service
            ),
            {},
        )

    def stable(self, namespace: str, service: str) -> Any:
        """Return the Deployment that a Service holds, {} without one."""
        return next(
            (
                obj
                for obj in self.all("deployments", namespace)
                if labels_of(obj).get(names.HELD) == service
            ),
            {},
        )

    def record(self, namespace: str, service: str) -> Record | None:
        """Return the record of a release."""
        canary = self.canary(namespace, service)
        return record_of(canary) if canary else None

    def ready(self, namespace: str, service: str) -> int:
        """Count the ready endpoints of a Service."""
        return sum(
            (endpoint.get("conditions") or {}).get("ready") is not False
            for entry in self.all("endpointslices", namespace)
            if labels_of(entry).get(names.SERVICE_NAME) == service
            for endpoint in entry.get("endpoints") or ()
        )

    def full(self, namespace: str, service: str) -> int:
        """Return R of a release."""
        record = self.record(namespace, service)
        wanted = replicas_of(self.stable(namespace, service) or {"spec": {}})
        return max(wanted, record.replicas if record is not None else 1, 1)


Test = Callable[[Look, Change], str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Invariant:
    """One predicate.

    Attributes:
        id: of safety.md section 5.
        says: its sentence there.
        broken: says how a change breaks it, None if it does not.
        always: asked of everybody's changes, not of ours only.
    """

    id: str
    says: str
    broken: Test
    always: bool = False


class Judge:
    """Looks at every change of a store.

    Attributes:
        findings: what was broken, with its time.
    """

    def __init__(self, store: Store, parameters: Parameters, elapsed: Callable[[], float]) -> None:
        self.findings: list[str] = []
        self._elapsed = elapsed
        self._excused: set[str] = set()
        self._look = Look(store=store, parameters=parameters, memory=Memory())

    def excuse(self, *ids: str) -> None:
        """Do not judge by these from now on: the user has accepted what they forbid."""
        self._excused.update(ids)

    def disturbed(self) -> None:
        """Take note that somebody takes pods away: what follows is not our doing (S2)."""
        self._look.memory.let_go.clear()

    def nginx(self, namespace: str, service: str) -> Nginx:
        """Return the annotation keys of a release."""
        return self._look.nginx(namespace, service)

    def changed(self, kind: str, new: Any, old: Any, *, by_us: bool) -> None:
        """Judge one change, to be called while it is made."""
        if kind == "replicasets" and new is not None:
            _note_served(self._look, new)
        if kind in {"pods", "events", "replicasets", "namespaces"}:
            return
        change = Change(kind=kind, new=new, old=old, by_us=by_us, at=self._elapsed())
        for invariant in INVARIANTS:
            if (by_us or invariant.always) and invariant.id not in self._excused:
                wrong = invariant.broken(self._look, change)
                if wrong is not None:
                    self.findings.append(
                        f"{change.at:.2f} {invariant.id} ({invariant.says}): {wrong}"
                    )
        _remember(self._look, change)


def _remember(look: Look, change: Change) -> None:
    memory, obj = look.memory, change.current
    if change.kind == "deployments" and not change.is_of_ours:
        memory.templates.add(_bare(template_of(obj)))
        _note_roll(look, change)
    elif change.kind == "ingresses" and change.is_of_ours:
        service = look.release(obj)
        widest = look.widest(namespace_of(obj), service)
        memory.reached.setdefault(service, []).append((change.at, widest))
    elif change.kind == "services":
        memory.uids[name_of(obj)] = uid_of(obj)
    elif change.kind == "endpointslices":
        service = labels_of(obj).get(names.SERVICE_NAME, "")
        memory.ready[service] = look.ready(namespace_of(obj), service)


def _bare(template: Mapping[str, Any]) -> str:
    """Return a template's digest without labels and without when it was restarted."""
    meta = {k: v for k, v in (template.get("metadata") or {}).items() if k != "labels"}
    return revision_of({**template, "metadata": meta})


def _note_roll(look: Look, change: Change) -> None:
    name = name_of(change.current)
    if change.by_us and change.old is not None and is_paused(change.old) > is_paused(change.new):
        look.memory.let_go[name] = change.at
    elif (
        not change.by_us
        and change.old is not None
        and spec_of(change.old) != spec_of(change.new or {})
    ):
        look.memory.let_go.pop(name, None)


def _note_served(look: Look, replica_set: Any) -> None:
    owner = controller_of(replica_set) or {}
    siblings = [
        entry
        for entry in look.all("replicasets", namespace_of(replica_set))
        if (controller_of(entry) or {}).get("uid") == owner.get("uid")
        and status_of(entry).get("replicas")
    ]
    if len(siblings) != 1:
        return
    alone, counts = siblings[0], status_of(siblings[0])
    if counts.get("readyReplicas") == replicas_of(alone) == counts.get("replicas"):
        look.memory.served[str(owner.get("uid"))] = revision_of(template_of(alone))


# S: the state.


def _s1(look: Look, change: Change) -> str | None:
    before, after, place = _exposures(look, change)
    if after.is_within(before) or not after.is_open:
        return None
    needed = after.pods_needed(look.full(*place))
    ready = look.ready(place[0], f"{place[1]}-canary")
    return None if ready >= needed else f"raised to {after}: {ready} of {needed} pods are ready"


def _s2(look: Look, change: Change) -> str | None:
    if change.kind != "endpointslices":
        return None
    place, service = namespace_of(change.current), labels_of(change.current)[names.SERVICE_NAME]
    stable = look.stable(place, service)
    before = look.memory.ready.get(service, 0)
    emptied = before > 0 and look.ready(place, service) == 0
    if emptied and stable and name_of(stable) in look.memory.let_go:
        return f"Service {service} lost its last ready endpoint in a roll that we began"
    return None


def _s6(look: Look, change: Change) -> str | None:
    if not _is_route(change) or change.new is None:
        return None
    nginx = look.nginx(namespace_of(change.new), look.release(change.new))
    have = annotations_of(change.new)
    if have.get(nginx.key("canary")) != "true" or not have.get(nginx.key("canary-by-cookie")):
        return f"{name_of(change.new)} has {dict(have)}"
    if change.old is None and nginx.exposure_of(change.new) != CLOSED:
        return f"{name_of(change.new)} was created open: {nginx.exposure_of(change.new)}"
    return None


def _s7(look: Look, change: Change) -> str | None:
    if not _is_route(change) or change.new is None:
        return None
    service = look.release(change.new)
    mains = {
        (host, path.get("path"), path.get("pathType"))
        for main in look.all("ingresses", namespace_of(change.new))
        if not is_ours(main)
        for host, path in ingress_paths(main)
        if backend_service(path) == service
    }
    for host, path in ingress_paths(change.new):
        if (host, path.get("path"), path.get("pathType")) not in mains and change.old is None:
            return f"{name_of(change.new)} has {host}{path.get('path')}, which no main has"
        if backend_service(path) != f"{service}-canary":
            return f"{name_of(change.new)} sends to {backend_service(path)}"
    return None


def _s10(look: Look, change: Change) -> str | None:
    if not _is_route(change) or change.new is None:
        return None
    nginx = look.nginx(namespace_of(change.new), look.release(change.new))
    have = annotations_of(change.new)
    text = have.get(nginx.key("canary-weight"), "")
    if nginx.key("canary-weight-total") in have:
        return "canary-weight-total was written"
    return None if text.isdecimal() and 0 <= int(text) <= 100 else f"weight {text!r}"


def _s13(look: Look, change: Change) -> str | None:
    if change.new is None or not change.is_of_ours:
        return None
    place = namespace_of(change.new)
    if change.kind == "deployments":
        labels = template_labels(change.new)
        ours = f"{look.release(change.new)}-canary"
        for service in look.all("services", place):
            selector = spec_of(service).get("selector") or {}
            was = is_selected(selector, template_labels(change.old or {}))
            if name_of(service) != ours and is_selected(selector, labels) and not was:
                return f"Service {name_of(service)} selects the canary's pods"
    if change.kind == "services":
        selector = spec_of(change.new).get("selector") or {}
        for pod in look.all("pods", place):
            if is_selected(selector, labels_of(pod)) and names.TRACK not in labels_of(pod):
                return f"our Service selects pod {name_of(pod)}"
    return None


def _s14(_: Look, change: Change) -> str | None:
    if change.is_of_ours or change.kind not in {"deployments", "services", "ingresses"}:
        return None
    old, new = change.old or {}, change.new or {}
    parts: dict[str, Callable[[Any], object]] = {
        "deployments": template_of,
        "services": spec_of,
        "ingresses": spec_of,
    }
    part = parts[change.kind]
    return None if part(old) == part(new) else f"we changed {change.kind} {name_of(change.current)}"


def _s15(look: Look, change: Change) -> str | None:
    if change.kind != "deployments" or not change.is_of_ours or change.new is None:
        return None
    if change.old is not None and template_of(change.old) == template_of(change.new):
        return None
    if _bare(template_of(change.new)) in look.memory.templates:
        return None
    return "the canary's template differs from every template of stable in more than labels"


def _s16(look: Look, change: Change) -> str | None:
    if change.kind != "deployments" or change.new is None:
        return None
    before = labels_of(change.old or {}).get(names.HELD)
    after = labels_of(change.new).get(names.HELD)
    if before is not None and after is not None and before != after:
        return f"Deployment {name_of(change.new)} went from {before} to {after}"
    if not change.is_of_ours:
        return None
    owners = [owner["uid"] for owner in change.new["metadata"].get("ownerReferences") or ()]
    for other in look.all("deployments", namespace_of(change.new)):
        others = [owner["uid"] for owner in other["metadata"].get("ownerReferences") or ()]
        if is_ours(other) and uid_of(other) != uid_of(change.new) and set(owners) & set(others):
            return f"{name_of(other)} and {name_of(change.new)} are canaries of one Deployment"
    return None


def _s20(look: Look, change: Change) -> str | None:
    fewer = _pods_left(look, change)
    if fewer is None:
        return None
    place, service, left = fewer
    widest = look.widest(place, service)
    needed = widest.pods_needed(look.full(place, service)) if widest.is_open else 0
    if left >= needed:
        return None
    return f"{left} canary pods are left of {needed} for {widest}"


# T: our writes.


def _t2(look: Look, change: Change) -> str | None:
    fewer = _pods_left(look, change)
    if fewer is None:
        return None
    place, service, left = fewer
    full = look.full(place, service)
    wait = look.parameters.propagation_seconds + look.parameters.drain_seconds
    reached = look.memory.reached.get(service, [])
    ends = [*(at for at, _ in reached[1:]), change.at]
    for (_, exposure), until in zip(reached, ends, strict=False):
        needed = exposure.pods_needed(full) if exposure.is_open else 0
        if needed > left and change.at - until < wait:
            return f"{left} canary pods are left {change.at - until:.1f} s after {exposure} ended"
    return None


def _t3(look: Look, change: Change) -> str | None:
    if change.kind != "deployments" or change.is_of_ours or None in (change.old, change.new):
        return None
    if not is_paused(change.old) or is_paused(change.new):
        return None
    place = namespace_of(change.new)
    revision = revision_of(template_of(change.new))
    service = labels_of(change.old).get(names.HELD, "")
    record = look.record(place, service)
    allowed = {record.approval, record.stable} if record is not None else _served(look, change.new)
    if revision in allowed:
        return None
    return f"revision {revision} was let go; allowed: {sorted(allowed)}"


def _served(look: Look, deployment: Any) -> set[str]:
    """Return what may roll where no release runs: the revision that served alone before."""
    known = look.memory.served.get(uid_of(deployment))
    return {known} if known is not None else {revision_of(template_of(deployment))}


def _t4(look: Look, change: Change) -> str | None:
    before, after, (place, service) = _exposures(look, change)
    if after.is_within(before) or not after.is_open:
        return None
    status = status_in(look.get("services", place, service))
    stable = look.stable(place, service)
    rejected = status.rejected
    if rejected is None or not stable or rejected.revision != revision_of(template_of(stable)):
        return None
    return f"raised to {after} though revision {rejected.revision} was aborted"


# A: authority.


def _a1(_: Look, change: Change) -> str | None:
    if change.is_of_ours or change.kind == "events":
        return None
    if change.old is None or change.new is None:
        return f"we made or removed {change.kind} {name_of(change.current)}"
    allowed = (*PER_KIND.get(change.kind, ()), *BOOKKEEPING)
    for path in _differences(change.old, change.new):
        if not path.startswith(allowed):
            return f"we changed {path} of {change.kind} {name_of(change.new)}"
    if change.kind == "services":
        return _others_conditions(change)
    return None


def _others_conditions(change: Change) -> str | None:
    old, new = (
        [c for c in status_of(obj).get("conditions") or () if not is_our_condition(c)]
        for obj in (change.old, change.new)
    )
    return None if old == new else f"we changed conditions of others: {old} to {new}"


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


# What several of them ask.


def _is_route(change: Change) -> bool:
    return change.kind == "ingresses" and change.is_of_ours


def _exposures(look: Look, change: Change) -> tuple[Exposure, Exposure, tuple[str, str]]:
    """Return what one Ingress of ours let through before and after; where stable rolls: nothing."""
    place, service = namespace_of(change.current), look.release(change.current)
    if not _is_route(change) or change.new is None:
        return CLOSED, CLOSED, (place, service)
    nginx = look.nginx(place, service)
    before = nginx.exposure_of(change.old) if change.old is not None else CLOSED
    return before, nginx.exposure_of(change.new), (place, service)


def _pods_left(look: Look, change: Change) -> tuple[str, str, int] | None:
    """Return how many canary pods a change leaves that takes some away."""
    if not change.is_of_ours or change.old is None:
        return None
    place, service = namespace_of(change.current), look.release(change.current)
    if change.kind == "services" and not look.canary(place, service):
        return None
    if change.kind == "services":
        same = change.new is not None and _selector(change.new) == _selector(change.old)
        return None if same else (place, service, 0)
    if change.kind != "deployments":
        return None
    if change.new is None or template_of(change.new) != template_of(change.old):
        return place, service, 0
    if replicas_of(change.new) < replicas_of(change.old):
        return place, service, replicas_of(change.new)
    return None


def _selector(service: Any) -> object:
    return spec_of(service).get("selector")


INVARIANTS: tuple[Invariant, ...] = (
    Invariant(
        id="S1",
        says="a raise towards the canary finds ready(canary) >= need_c",
        broken=_s1,
    ),
    Invariant(
        id="S2",
        says="no write of ours ever makes ready(stable) = 0",
        broken=_s2,
        always=True,
    ),
    Invariant(
        id="S6",
        says='our canary Ingress has canary: "true" and a cookie name from its creation to its '
        "deletion, and is created with weight 0, the closing name and no rules",
        broken=_s6,
    ),
    Invariant(
        id="S7",
        says="its (host, path, pathType) are a subset of its main Ingress's; every backend is our "
        "canary Service",
        broken=_s7,
    ),
    Invariant(
        id="S10",
        says="the weight is an integer 0...100; canary-weight-total is never written",
        broken=_s10,
    ),
    Invariant(
        id="S13",
        says="no Service of the namespace but ours selects a canary pod; ours selects no other pod",
        broken=_s13,
    ),
    Invariant(
        id="S14",
        says="the user's Service spec, Ingress and pod template are byte-equal to what the user "
        "wrote",
        broken=_s14,
    ),
    Invariant(
        id="S15",
        says="the canary's pod template differs from its source in labels only",
        broken=_s15,
    ),
    Invariant(id="S16", says="no Deployment is in two releases", broken=_s16),
    Invariant(
        id="S20",
        says="no canary pod is removed while a proxy could still hold exposure",
        broken=_s20,
    ),
    Invariant(
        id="T2",
        says="capacity is removed only after the exposure it carried has been gone for "
        "D_prop + D_drain",
        broken=_t2,
    ),
    Invariant(
        id="T3",
        says="un-pausing happens only for the approved revision, or the recorded stable one",
        broken=_t3,
    ),
    Invariant(
        id="T4",
        says="after an abort is recorded, nothing raises exposure until a newer template or retry",
        broken=_t4,
    ),
    Invariant(
        id="A1",
        says="writes go only to our own objects and to the fields contract.md section 3 names",
        broken=_a1,
    ),
)
"""Asked in this order of every change; they grow into the full judge."""
