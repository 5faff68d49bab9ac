"""What there is to tell about one Service, put together from objects that were read."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any, Final, cast

from controller.api import names
from controller.api.intent import Intent, configuration_digest
from controller.api.objects import (
    Object,
    annotations_of,
    controller_of,
    labels_of,
    name_of,
    namespace_of,
    replicas_of,
    revision_of,
    status_of,
    template_of,
    uid_of,
)
from controller.api.pattern import suffix_text, suffixes_of
from controller.api.status import Condition, Status, is_our_condition
from controller.plan.observed import Observed, Parameters, ReplicaSet
from controller.plan.release import Release, release_of
from controller.plan.stages import Stage
from controller.plan.start import rules_of
from controller.plan.traffic.exposure import CLOSED, Exposure
from controller.plan.traffic.nginx import UNKNOWN

WEIGHT_KEY: Final = "/canary-weight"
"""How the annotation of a canary Ingress ends, whatever prefix the proxy was started with."""

OPENING: Final = frozenset({Stage.STARTING, Stage.CANARY})
"""Where what the user wrote is what shall be open; elsewhere the controller goes by the roll."""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What was read about one Service.

    Attributes:
        now: the API server's time.
        ingresses: None where the user may not read them.
        unread: what the user may not read, as sentences.
    """

    service: Object
    now: datetime
    deployments: Sequence[Object] = ()
    replica_sets: Sequence[Object] = ()
    ingresses: Sequence[Object] | None = ()
    unread: tuple[str, ...] = ()

    @property
    def release(self) -> Release:
        """Return the release as the controller reads it off these objects."""
        observed = Observed(
            namespace=namespace_of(self.service),
            name=name_of(self.service),
            service=self.service,
            services=(self.service,),
            deployments=tuple(self.deployments),
            ingresses=tuple(self.ingresses or ()),
            replica_sets=tuple(_observed(entry) for entry in self.replica_sets),
            parameters=Parameters(annotation_prefix=self._prefix()),
        )
        return release_of(observed, self.now)

    def _prefix(self) -> str:
        """Return the prefix that the canary Ingress was written with, else the usual one."""
        ours = (it for it in self.ingresses or () if labels_of(it).get(names.SERVICE))
        keys = (key for ingress in ours for key in annotations_of(ingress))
        found = (key.removesuffix(WEIGHT_KEY) for key in keys if key.endswith(WEIGHT_KEY))
        return next(found, Parameters().annotation_prefix)


def _observed(replica_set: Object) -> ReplicaSet:
    status = status_of(replica_set)
    return ReplicaSet(
        name=name_of(replica_set),
        owner=owner_of(replica_set),
        revision=revision_of(template_of(replica_set)),
        number=number_of(replica_set),
        wanted=replicas_of(replica_set),
        pods=int(status.get("replicas") or 0),
        ready=int(status.get("readyReplicas") or 0),
    )


def owner_of(replica_set: Object) -> str:
    """Return the uid of the Deployment that controls a ReplicaSet."""
    return str((controller_of(replica_set) or {}).get("uid", ""))


def number_of(replica_set: Object) -> int:
    """Return which one of its Deployment's it is, 0 where that is not written."""
    text = str(annotations_of(replica_set).get(names.DEPLOYMENT_REVISION, ""))
    return int(text) if text.isdecimal() else 0


def images_of(workload: Object) -> tuple[str, ...]:
    """Return the images of the pods that a workload makes."""
    pod = template_of(workload).get("spec") or {}
    return tuple(str(container.get("image", "")) for container in pod.get("containers") or ())


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """One way to the canary, in words.

    Attributes:
        asked: who shall get through, "" nobody.
        written: whom the canary Ingresses let through, "" nobody.
    """

    asked: str
    written: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pods:
    """The pods of one side at one revision."""

    side: str
    ready: int
    wanted: int
    revision: str
    images: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What there is to tell about one Service.

    Attributes:
        status: the status annotation.
        is_told: there is one.
        is_current: it speaks of the annotations as they are.
        is_settled: no release runs, and no template waits for one.
        running: the revision that the canary was made for; where a newer template came in the
            middle of a promotion, not the one that the status names.
        doors: the ways to the canary.
        prepared: the ways that the next release will open.
        pods: of both sides.
        conditions: ours.
        action: one that the controller has not answered yet.
        is_paused: a person froze the plan.
        unread: what the user may not read.
        now: the API server's time.
    """

    namespace: str
    service: str
    now: datetime
    status: Status = field(default_factory=Status)
    is_told: bool = True
    is_current: bool = True
    is_settled: bool = True
    running: str = ""
    doors: tuple[Door, ...] = ()
    prepared: tuple[str, ...] = ()
    pods: tuple[Pods, ...] = ()
    conditions: tuple[Condition, ...] = ()
    action: str = ""
    is_paused: bool = False
    unread: tuple[str, ...] = ()

    @property
    def troubles(self) -> list[Condition]:
        """Return the conditions that are not as they should be."""
        wanted = {names.READY: "True", names.DEGRADED: "False"}
        return [it for it in self.conditions if it.status != wanted.get(it.type, it.status)]

    @property
    def is_fine(self) -> bool:
        """Tell whether the Service is ready for a release and nothing is wrong in one."""
        return self.is_told and not self.troubles


def view_of(world: World) -> View:
    """Put together what there is to tell."""
    release = world.release
    service, status = world.service, release.status
    doors, prepared = _doors(release, world)
    return View(
        namespace=namespace_of(service),
        service=name_of(service),
        now=world.now,
        status=status,
        is_told=names.STATUS in annotations_of(service),
        is_current=status.configuration == configuration_digest(annotations_of(service)),
        is_settled=_is_settled(release),
        running=release.record.revision if release.record is not None else status.revision,
        doors=doors,
        prepared=prepared if status.stage == Stage.IDLE and not doors else (),
        pods=tuple(_pods(release, world)),
        conditions=tuple(conditions_of(service)),
        action=annotations_of(service).get(names.ACTION, ""),
        is_paused=release.record is not None and release.record.paused,
        unread=world.unread,
    )


def conditions_of(service: Object) -> Iterator[Condition]:
    """Yield the conditions of ours on a Service."""
    for entry in status_of(service).get("conditions") or ():
        if is_our_condition(entry):
            yield Condition(
                type=str(entry.get("type")),
                status=cast("Any", entry.get("status", "Unknown")),
                reason=str(entry.get("reason", "")),
                message=str(entry.get("message", "")),
            )


def _is_settled(release: Release) -> bool:
    status = release.status
    if status.stage not in {Stage.IDLE, Stage.ABORTED}:
        return False
    known = status.stable if status.stage == Stage.IDLE else status.rejected
    return known is None or release.stable is None or known.revision == release.template_revision


def _doors(release: Release, world: World) -> tuple[tuple[Door, ...], tuple[str, ...]]:
    """Return the doors as they are asked and written, and those of the next release."""
    status, intent = release.status, release.intent or Intent()
    first = intent.steps[0].weight if intent.steps else 0
    prepared = tuple(_words(rules_of(intent, first), intent).values())
    written = release.narrowest if release.found.routes else release.widest
    if world.ingresses is None:
        written = CLOSED.at_weight(status.written)
    asked = _asked(status, release.intent, written)
    wanted, open_now = _words(asked, intent), _words(written, intent)
    doors = tuple(
        Door(asked=wanted.get(key, ""), written=open_now.get(key, ""))
        for key in KEYS
        if key in wanted or key in open_now
    )
    return doors, prepared


def _asked(status: Status, intent: Intent | None, written: Exposure) -> Exposure:
    if status.stage in OPENING and intent is not None:
        return rules_of(intent, status.asked)
    if status.stage == Stage.PROMOTING:
        return replace(written, weight=status.asked)
    return CLOSED


KEYS: Final = ("accounts", "endings", "cookie", "weight")
"""The doors in the order in which a proxy asks (routing.md section 1)."""


def _words(exposure: Exposure, intent: Intent) -> Mapping[str, str]:
    """Return each door of an exposure in words: the number of accounts, never which."""
    words = {}
    if exposure.accounts:
        count = len(exposure.accounts)
        words["accounts"] = f"{count} account{'s' if count > 1 else ''} by {exposure.header}"
    if exposure.suffix:
        words["endings"] = _endings(exposure, intent)
    if exposure.cookie is not None:
        words["cookie"] = f"visitors with cookie {exposure.cookie}=always (never: stable)"
    if exposure.weight:
        words["weight"] = f"{exposure.weight} % of everybody{' else' if words else ''}"
    return words


def _endings(exposure: Exposure, intent: Intent) -> str:
    """Return the endings as the user wrote them, where they are those."""
    if exposure.suffix == UNKNOWN:
        return f"whoever a pattern on {exposure.header} matches that the controller did not write"
    same = suffix_text(intent.suffixes) == exposure.suffix
    endings = intent.suffixes if same else suffixes_of(exposure.suffix)
    share = f"{float(100 * exposure.share):.4g}"
    return f"{share} % of users: {exposure.header} ends in {', '.join(map(str, endings))}"


def _pods(release: Release, world: World) -> Iterator[Pods]:
    stable, canary = uid_of(release.stable or {}), uid_of(release.canary or {})
    for replica_set in sorted(world.replica_sets, key=number_of):
        seen = _observed(replica_set)
        if seen.owner == stable and stable and (seen.pods or seen.wanted):
            yield _side("stable", seen, seen.revision, images_of(replica_set))
    for replica_set in sorted(world.replica_sets, key=number_of):
        seen = _observed(replica_set)
        if seen.owner == canary and canary and (seen.pods or seen.wanted):
            wanted = replace(seen, wanted=max(seen.wanted, release.status.needed))
            yield _side("canary", wanted, release.canary_revision, images_of(replica_set))


def _side(side: str, seen: ReplicaSet, revision: str, images: tuple[str, ...]) -> Pods:
    return Pods(side=side, ready=seen.ready, wanted=seen.wanted, revision=revision, images=images)


def data_of(view: View) -> dict[str, Any]:
    """Return a view as data, for `-o json` and `-o yaml`."""
    return {
        "namespace": view.namespace,
        "service": view.service,
        "fine": view.is_fine,
        "settled": view.is_settled,
        "status": json.loads(view.status.text()),
        "doors": [asdict(door) for door in view.doors],
        "pods": [{**asdict(pods), "images": list(pods.images)} for pods in view.pods],
        "conditions": [asdict(condition) for condition in view.conditions],
    }
