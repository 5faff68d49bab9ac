"""What an invariant may look at: one change of a cluster, what stands around it, and before it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from controller.api import names
from controller.api.intent import Intent, parsed_of
from controller.api.objects import (
    Object,
    annotations_of,
    backend_service,
    controller_of,
    ingress_paths,
    is_ours,
    is_paused,
    labels_of,
    name_of,
    namespace_of,
    replicas_of,
    revision_of,
    spec_of,
    status_of,
    template_of,
    uid_of,
)
from controller.plan.observed import Parameters
from controller.plan.record import Record, record_of
from controller.plan.traffic.exposure import CLOSED, Exposure
from controller.plan.traffic.nginx import Nginx, closing_name


class Cluster(Protocol):
    """Every object, as it is at one moment; kinds are plurals."""

    def list(self, kind: str, namespace: str) -> Sequence[Object]:
        """Return the objects of a kind in one namespace."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One change of the cluster.

    Attributes:
        kind: plural.
        new: the object, None if it is gone.
        old: as it was, None if it is new.
        by_us: a write of the controller did it.
        at: seconds since somebody began to look.
    """

    kind: str
    new: Object | None
    old: Object | None
    by_us: bool
    at: float

    @property
    def current(self) -> Object:
        """The object, or its last state."""
        return self.new if self.new is not None else self.old or {}

    @property
    def is_of_ours(self) -> bool:
        """Tell whether the object is one that we made."""
        return is_ours(self.current)

    @property
    def is_route(self) -> bool:
        """Tell whether it leaves a canary Ingress of ours behind."""
        return self.kind == "ingresses" and self.is_of_ours and self.new is not None

    @property
    def is_edit(self) -> bool:
        """Tell whether the object was there before and is still there."""
        return self.new is not None and self.old is not None


@dataclass(slots=True, kw_only=True)
class Memory:
    """What cannot be read off the cluster at one moment.

    Attributes:
        templates: revisions that stood in a user's Deployment at some time, labels left out.
        reached: for each enrolled Service, (time, exposure) of every change of its routes.
        stamped: for each of our Ingresses the text of its last change's time, and when it came.
        strange: when each Service's routes were opened by somebody else.
        let_go: for each Deployment, when we un-paused it and nothing else happened to it since.
        ready: ready endpoints of each Service.
        uids: of each Service, also when it is gone.
        closed: for each Service the closing names of all that ever had its name.
        enrolled: uids of the Services that were enrolled at some time.
        served: for the uid of a Deployment, the revision whose pods were last alone and all ready.
        accounts: every account that each Service's user ever listed.
        asked: for each Service, (time, weights) of what its pin and its plan ask for.
        paths: when (Service, host, path, pathType) was last seen on an Ingress of the user's.
        lost: for each Service, when the record of its release was last taken away, and the record.
    """

    templates: set[str] = field(default_factory=set)
    reached: dict[str, list[tuple[float, Exposure]]] = field(default_factory=dict)
    stamped: dict[str, tuple[str, float]] = field(default_factory=dict)
    strange: dict[str, list[float]] = field(default_factory=dict)
    let_go: dict[str, float] = field(default_factory=dict)
    ready: dict[str, int] = field(default_factory=dict)
    uids: dict[str, str] = field(default_factory=dict)
    closed: dict[str, set[str]] = field(default_factory=dict)
    enrolled: set[str] = field(default_factory=set)
    served: dict[str, str] = field(default_factory=dict)
    accounts: dict[str, set[str]] = field(default_factory=dict)
    asked: dict[str, list[tuple[float, tuple[int, ...]]]] = field(default_factory=dict)
    paths: dict[tuple[str, ...], float] = field(default_factory=dict)
    lost: dict[str, tuple[float, Record]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What stands around a change, and what is remembered of the changes before it."""

    cluster: Cluster
    parameters: Parameters
    memory: Memory

    def all(self, kind: str, namespace: str) -> Sequence[Object]:
        """Return the objects of a kind."""
        return self.cluster.list(kind, namespace)

    def get(self, kind: str, namespace: str, name: str) -> Object:
        """Return an object, {} without one."""
        found = (obj for obj in self.all(kind, namespace) if name_of(obj) == name)
        return next(found, {})

    def nginx(self, namespace: str, service: str) -> Nginx:
        """Return the annotation keys of a release.

        While the Service is gone a closing name may also be that of the Ingress which carries it:
        where somebody took the Service's away, no other is left that nobody can guess.
        """
        prefix = self.parameters.annotation_prefix
        here = uid_of(self.get("services", namespace, service))
        routes = [] if here else self.routes(namespace, service)
        shown = {annotations_of(route).get(f"{prefix}/canary-by-cookie") for route in routes}
        made = (closing_name(uid_of(route)) for route in routes)
        known = closing_name(here or self.memory.uids.get(service, ""))
        return Nginx(prefix=prefix, closing=next((it for it in made if it in shown), known))

    def exposure(self, route: Object) -> Exposure:
        """Return what one of our Ingresses lets through.

        The closing name of a Service that was made again lets nobody through either, and a process
        that hears of the new one late still writes it.
        """
        service = self.release(route)
        found = self.nginx(namespace_of(route), service).exposure_of(route)
        is_closed = found.cookie in self.memory.closed.get(service, ())
        return replace(found, cookie=None) if is_closed else found

    def release(self, obj: Object) -> str:
        """Return the Service whose release an object of ours belongs to."""
        return str(labels_of(obj).get(names.SERVICE, ""))

    def intent(self, namespace: str, service: str) -> Intent | None:
        """Return what the user asks for; None while something in it is wrong."""
        found = self.get("services", namespace, service)
        return parsed_of(found, max_accounts=self.parameters.max_accounts).intent

    def routes(self, namespace: str, service: str) -> list[Object]:
        """Return the canary Ingresses of a release."""
        return self._ours("ingresses", namespace, service)

    def widest(self, namespace: str, service: str) -> Exposure:
        """Return the exposure of a release that needs most."""
        found = [self.exposure(route) for route in self.routes(namespace, service)]
        return max(found, key=lambda one: (one.of_all, one.is_open), default=CLOSED)

    def canary(self, namespace: str, service: str) -> Object:
        """Return the canary Deployment of a release, {} without one."""
        return next(iter(self._ours("deployments", namespace, service)), {})

    def stable(self, namespace: str, service: str) -> Object:
        """Return the Deployment that a Service holds, {} without one."""
        found = self.all("deployments", namespace)
        return next((obj for obj in found if labels_of(obj).get(names.HELD) == service), {})

    def record(self, namespace: str, service: str) -> Record | None:
        """Return the record of a release."""
        return record_of(self.canary(namespace, service))

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
        return max(
            replicas_of(self.stable(namespace, service)),
            record.replicas if record is not None else 1,
            1,
        )

    def asked(self, service: str, since: float) -> list[int]:
        """Return the highest weight of each plan that stood since a moment, as it came."""
        known = self.memory.asked.get(service, [])
        newer = [weights for at, weights in known if at >= since]
        stood = [weights for at, weights in known if at < since][-1:]
        return [max(weights) for weights in (*stood, *newer)]

    def rolls(self, namespace: str, service: str) -> bool:
        """Tell whether a promotion has begun to roll stable, or has rolled it (P3 to P7)."""
        record, stable = self.record(namespace, service), self.stable(namespace, service)
        if record is None or not stable:
            return False
        revisions = {
            revision_of(template_of(entry))
            for entry in self.all("replicasets", namespace)
            if (controller_of(entry) or {}).get("uid") == uid_of(stable) and replicas_of(entry)
        }
        return bool(revisions - {record.stable}) or not is_paused(stable)

    def _ours(self, kind: str, namespace: str, service: str) -> list[Object]:
        found = self.all(kind, namespace)
        return [obj for obj in found if is_ours(obj) and self.release(obj) == service]


def bare(template: Mapping[str, Any]) -> str:
    """Return a template's digest without labels and without when it was restarted."""
    meta = template.get("metadata") or {}
    kept = {key: value for key, value in meta.items() if key != "labels"}
    return revision_of({**template, "metadata": kept})


def remember(scene: Scene, change: Change) -> None:
    """Take in a change, once it was judged."""
    _NOTES.get(change.kind, _nothing)(scene, change)


def _nothing(_: Scene, __: Change) -> None:
    return


def _note_deployment(scene: Scene, change: Change) -> None:
    if change.is_of_ours:
        _note_record(scene, change)
        return
    scene.memory.templates.add(bare(template_of(change.current)))
    name, old, new = name_of(change.current), change.old or {}, change.new or {}
    if change.by_us and change.is_edit and is_paused(old) > is_paused(new):
        scene.memory.let_go[name] = change.at
    elif not change.by_us and change.old is not None and spec_of(old) != spec_of(new):
        scene.memory.let_go.pop(name, None)


def _note_record(scene: Scene, change: Change) -> None:
    """Remember what a record said that somebody else took away."""
    before = record_of(change.old or {})
    if before is not None and record_of(change.new or {}) is None and not change.by_us:
        scene.memory.lost[scene.release(change.current)] = (change.at, before)


def _note_route(scene: Scene, change: Change) -> None:
    if change.is_of_ours:
        service = scene.release(change.current)
        widest = scene.widest(namespace_of(change.current), service)
        scene.memory.reached.setdefault(service, []).append((change.at, widest))
        name, text = name_of(change.current), annotations_of(change.current).get(names.CHANGED, "")
        if scene.memory.stamped.get(name, ("", 0.0))[0] != text:
            scene.memory.stamped[name] = (text, change.at)
        if not change.by_us:
            scene.memory.strange.setdefault(service, []).append(change.at)
        return
    for obj in (change.old, change.new):
        scene.memory.paths.update(dict.fromkeys(paths_of(obj or {}), change.at))


def paths_of(ingress: Object) -> Iterator[tuple[str, ...]]:
    """Yield what an Ingress sends where: Service, host, path, pathType."""
    for host, path in ingress_paths(ingress):
        yield backend_service(path), host, str(path.get("path")), str(path.get("pathType"))


def _note_service(scene: Scene, change: Change) -> None:
    name = name_of(change.current)
    scene.memory.uids[name] = uid_of(change.current)
    made = closing_name(uid_of(change.current))
    scene.memory.closed.setdefault(name, set()).add(made)
    if names.CANARY in labels_of(change.current) and not change.is_of_ours:
        scene.memory.enrolled.add(uid_of(change.current))
    intent = scene.intent(namespace_of(change.current), name)
    if intent is not None:
        scene.memory.accounts.setdefault(name, set()).update(intent.accounts)
        weights = (intent.weight or 0, *(step.weight for step in intent.steps))
        scene.memory.asked.setdefault(name, []).append((change.at, weights))


def _note_endpoints(scene: Scene, change: Change) -> None:
    service = labels_of(change.current)[names.SERVICE_NAME]
    scene.memory.ready[service] = scene.ready(namespace_of(change.current), service)


def _note_served(scene: Scene, change: Change) -> None:
    """Remember which revision of a Deployment has all its pods, and all of them ready."""
    owner = (controller_of(change.current) or {}).get("uid")
    siblings = [
        entry
        for entry in scene.all("replicasets", namespace_of(change.current))
        if (controller_of(entry) or {}).get("uid") == owner and status_of(entry).get("replicas")
    ]
    if len(siblings) != 1:
        return
    alone, counts = siblings[0], status_of(siblings[0])
    if counts.get("readyReplicas") == replicas_of(alone) == counts.get("replicas"):
        scene.memory.served[str(owner)] = revision_of(template_of(alone))


_NOTES: Mapping[str, Callable[[Scene, Change], None]] = {
    "deployments": _note_deployment,
    "ingresses": _note_route,
    "services": _note_service,
    "endpointslices": _note_endpoints,
    "replicasets": _note_served,
}
