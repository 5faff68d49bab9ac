"""One release, as it is read off the observed world: the questions every planner asks."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum
from functools import cached_property
from math import inf
from typing import Any

from controller.api import names
from controller.api.intent import Intent
from controller.api.objects import (
    Object,
    annotations_of,
    generation_of,
    is_paused,
    is_same_revision,
    is_selected,
    labels_of,
    moment_of,
    name_of,
    replicas_of,
    revision_of,
    spec_of,
    status_of,
    template_labels,
    template_of,
    uid_of,
)
from controller.api.status import Status, status_in
from controller.plan.discovery import Found, discover
from controller.plan.observed import Endpoint, Observed, Parameters, ReplicaSet
from controller.plan.record import Record, record_of
from controller.plan.refusals import Refusal, refusal_of
from controller.plan.traffic.exposure import CLOSED, Exposure
from controller.plan.traffic.nginx import UNKNOWN, changed_at, shrink_on
from controller.plan.workload import (
    autoscalers_of,
    canary_name,
    canary_template,
    pods_allowed,
)

SERVICE_GONE_SECONDS = 30
"""Git tools re-create a Service; for so long it may be missing (safety.md section 4)."""


class Roll(Enum):
    """Where the stable Deployment stands between its recorded revision and another one."""

    HELD = "held"
    """The recorded revision serves, another template is pending, `spec.paused` holds it."""
    ROLLING = "rolling"
    """Let go: pods of another revision exist or are about to (P3)."""
    DONE = "done"
    """Another revision than the recorded one, and none but the approved, serves alone, whole."""
    RETURNING = "returning"
    """Pods of another revision exist, and the template is the recorded one again."""
    BACK = "back"
    """Nothing is pending: the template is the one that serves."""


# No slots: `cached_property` needs a `__dict__`.
@dataclass(frozen=True, kw_only=True)
class Release:
    """What one pass knows. Everything here is computed from `observed` and `now`.

    Attributes:
        observed: the world.
        now: the API server's time.
        found: what belongs to the Service.
        status: what the status annotation said before this pass.
        record: of the running release; None without a canary, or if it cannot be read.
        refusal: the first reason against serving this Service.
    """

    observed: Observed
    now: datetime
    found: Found
    status: Status
    record: Record | None
    refusal: Refusal | None

    # Who is who.

    @property
    def parameters(self) -> Parameters:
        """The settings that decisions depend on."""
        return self.observed.parameters

    @property
    def intent(self) -> Intent | None:
        """What the user asks for; None while something in it is wrong."""
        return self.found.intent

    @property
    def stable(self) -> Object | None:
        """The stable Deployment."""
        return self.found.stable

    @property
    def canary(self) -> Object | None:
        """The canary Deployment."""
        return self.found.canary

    @cached_property
    def is_enrolled(self) -> bool:
        """Tell whether the Service asks for us. A Service that is gone does so for a while."""
        service = self.observed.service
        if service is None:
            return self.observed.service_missing_seconds < SERVICE_GONE_SECONDS
        return names.CANARY in labels_of(service)

    @cached_property
    def is_held(self) -> bool:
        """Tell whether the stable Deployment carries our label."""
        return labels_of(self.stable or {}).get(names.HELD) == self.observed.name

    @cached_property
    def autoscalers(self) -> list[Object]:
        """The autoscalers that move stable."""
        return autoscalers_of(self.observed.autoscalers, self.stable) if self.stable else []

    # Stable's revisions.

    def _sets_of(self, deployment: Object | None) -> list[ReplicaSet]:
        uid = uid_of(deployment or {})
        return [entry for entry in self.observed.replica_sets if entry.owner == uid and uid]

    @cached_property
    def stable_sets(self) -> list[ReplicaSet]:
        """The ReplicaSets of stable."""
        return self._sets_of(self.stable)

    @cached_property
    def template_revision(self) -> str:
        """The revision of stable's template.

        Where the generation is one that we recorded a revision for, it is that revision: a newer
        API server may show the same template with more defaults (safety.md section 2).
        """
        if self.stable is None:
            return ""
        for known in (self.status.rejected, self.status.stable):
            if known is not None and known.is_of(self.stable):
                return known.revision
        if self.record is not None and self.record.generation == generation_of(self.stable):
            return self.record.revision
        return revision_of(template_of(self.stable))

    @cached_property
    def serving(self) -> str:
        """The revision that stable's pods have; "" while several have pods and none is recorded."""
        recorded = self._recorded_stable()
        with_pods = {entry.revision for entry in self.stable_sets if entry.pods}
        if len(with_pods) == 1:
            return next(iter(with_pods))
        if with_pods:
            return recorded if recorded in with_pods else ""
        wanted = {entry.revision for entry in self.stable_sets if entry.wanted}
        if len(wanted) == 1:
            return next(iter(wanted))
        newest = max(self.stable_sets, key=lambda entry: entry.number, default=None)
        return recorded or (newest.revision if newest is not None else self.template_revision)

    @cached_property
    def is_serving_known(self) -> bool:
        """Tell whether `serving` is more than a guess: recorded, or seen on a ReplicaSet."""
        seen = {entry.revision for entry in self.stable_sets}
        return self.serving in seen | {self._recorded_stable()}

    def _recorded_stable(self) -> str:
        if self.record is not None:
            return self.record.stable
        return self.status.stable.revision if self.status.stable is not None else ""

    @cached_property
    def is_pending(self) -> bool:
        """Tell whether a template waits: paused, and not the one that serves."""
        return (
            self.stable is not None
            and is_paused(self.stable)
            and self.template_revision != self.serving
        )

    @cached_property
    def is_observed(self) -> bool:
        """Tell whether the Deployment controller has seen stable as it is."""
        seen = int(status_of(self.stable or {}).get("observedGeneration") or 0)
        return seen >= generation_of(self.stable or {})

    def is_complete_at(self, revision: str) -> bool:
        """Tell whether this revision alone has pods, as many ready as wanted, at least one.

        `updatedReplicas` is not asked: it counts pods of a template that may only be pending.
        """
        return self.is_observed and self._is_whole_at(revision)

    def _is_whole_at(self, revision: str) -> bool:
        """Tell the same of the pods there are, whatever is written on the Deployment meanwhile."""
        if self.stable is None:
            return False
        with_pods = [entry for entry in self.stable_sets if entry.pods]
        ready = sum(entry.ready for entry in with_pods)
        alone = {entry.revision for entry in with_pods} == {revision}
        pods = sum(entry.pods for entry in with_pods)
        return alone and ready == pods == replicas_of(self.stable)

    @cached_property
    def is_complete(self) -> bool:
        """Tell whether stable is whole and has nothing pending: the moment to take the hold.

        The Deployment's own counts are asked too: the hold policy looks at nothing else.
        """
        counts = status_of(self.stable or {})
        fields = ("replicas", "updatedReplicas", "availableReplicas")
        wanted = replicas_of(self.stable or {})
        whole = all(int(counts.get(field) or 0) == wanted for field in fields)
        serves = self.serving == self.template_revision
        return whole and serves and self.is_complete_at(self.serving)

    @cached_property
    def roll(self) -> Roll:
        """Where stable stands between the recorded revision and another."""
        recorded = self.record.stable if self.record is not None else self.serving
        revision = self.template_revision
        paused = is_paused(self.stable or {})
        moved = (entry for entry in self.stable_sets if entry.pods or entry.wanted)
        others = {entry.revision for entry in moved} - {recorded}
        if not others:
            if revision == recorded:
                return Roll.BACK
            return Roll.HELD if paused and not self.has_rolled_unseen else Roll.ROLLING
        if paused and revision != recorded and self._has_sets_of_before:
            return Roll.HELD
        # Our own pause after the roll (P4) makes a generation that nobody has observed yet.
        whole = next((entry for entry in others if self._is_whole_at(entry)), None)
        approved = self.record.approval if self.record is not None else ""
        if whole is not None and (revision == whole or paused) and approved in {whole, ""}:
            return Roll.DONE
        return Roll.RETURNING if revision == recorded else Roll.ROLLING

    @cached_property
    def has_rolled_unseen(self) -> bool:
        """Tell whether the Deployment has made a ReplicaSet that no watch has shown yet.

        Its own number is read afresh where it matters; what is known of ReplicaSets may be old.
        """
        text = str(annotations_of(self.stable or {}).get(names.DEPLOYMENT_REVISION, ""))
        newest = max((entry.number for entry in self.stable_sets), default=0)
        return text.isdecimal() and 0 < newest < int(text)

    @property
    def _has_sets_of_before(self) -> bool:
        """Tell whether the ReplicaSets that are known are older than the release: it rolled before.

        Since it began nobody has let stable go, or its record would tell of an approval.
        """
        return self.record is not None and not self.record.approval and self.has_rolled_unseen

    @cached_property
    def is_stable_lost(self) -> bool:
        """Tell whether something is pending and the ReplicaSet that served is gone."""
        return (
            self.is_pending
            and bool(self._recorded_stable())
            and all(entry.revision != self.serving for entry in self.stable_sets)
        )

    @cached_property
    def has_nothing_ready(self) -> bool:
        """Tell whether no pod of stable serves anybody: promotion skips to P3 (safety.md 4).

        Pods are asked as well as endpoints: a Service that was just created again has none yet.
        """
        pods = sum(entry.ready for entry in self.stable_sets)
        return pods == 0 and self.observed.stable.ready == 0

    # Pods and sizes.

    @cached_property
    def full(self) -> int:
        """R: pods that carry all the traffic; it grows with stable and never shrinks."""
        wanted = replicas_of(self.stable) if self.stable is not None else 1
        return max(wanted, self.record.replicas if self.record is not None else 1, 1)

    @cached_property
    def canary_template_revision(self) -> str:
        """The revision of the canary's own template, its changed labels included."""
        return revision_of(template_of(self.canary or {}))

    @cached_property
    def canary_set(self) -> ReplicaSet | None:
        """The ReplicaSet of the canary's present template."""
        if self.canary is None:
            return None
        current = self.canary_template_revision
        sets = [entry for entry in self._sets_of(self.canary) if entry.revision == current]
        return sets[0] if sets else None

    def canary_ready(self, seconds: float = 0.0) -> int:
        """Count the canary's endpoints of the right revision that are ready for so long."""
        if self.canary_set is None:
            return 0
        return self._ready_of(self.observed.canary.endpoints, [self.canary_set], seconds)

    def stable_ready(self, revision: str, seconds: float = 0.0) -> int:
        """Count stable's endpoints of this revision that are ready for so long."""
        sets = [entry for entry in self.stable_sets if entry.revision == revision]
        if self.observed.service is None:
            return sum(entry.ready for entry in sets)
        return self._ready_of(self.observed.stable.endpoints, sets, seconds)

    def stable_age(self, revision: str) -> float:
        """Return for how long the youngest ready pod of this revision is known; none: for ever."""
        starts = tuple(f"{entry.name}-" for entry in self.stable_sets if entry.revision == revision)
        ages = (
            entry.age_seconds
            for entry in self.observed.stable.endpoints
            if entry.ready and entry.pod.startswith(starts)
        )
        return min(ages, default=inf)

    @staticmethod
    def _ready_of(endpoints: Iterable[Endpoint], sets: Iterable[ReplicaSet], seconds: float) -> int:
        starts = tuple(f"{entry.name}-" for entry in sets)
        return sum(
            endpoint.ready and endpoint.age_seconds >= seconds and endpoint.pod.startswith(starts)
            for endpoint in endpoints
        )

    @cached_property
    def is_canary_complete(self) -> bool:
        """Tell whether the canary's template is everywhere and every pod of it is ready."""
        current = self.canary_set
        if self.canary is None or current is None:
            return False
        seen = int(status_of(self.canary).get("observedGeneration") or 0)
        others = [e for e in self._sets_of(self.canary) if e.pods and e.name != current.name]
        wanted = replicas_of(self.canary)
        whole = current.pods == current.ready == wanted
        return seen >= generation_of(self.canary) and not others and whole

    @cached_property
    def canary_revision(self) -> str:
        """The revision that the canary's pods carry."""
        return template_labels(self.canary or {}).get(names.REVISION, "")

    @cached_property
    def is_canary_stale(self) -> bool:
        """Tell whether the canary carries something else than the record says (S1, S15)."""
        if self.canary is None or self.record is None or self.stable is None:
            return self.canary is not None
        if self.canary_revision != self.record.revision:
            return True
        if self.template_revision != self.record.revision:
            return False
        derived = canary_template(self.stable, template_labels(self.canary))
        return not is_same_revision(derived, template_of(self.canary))

    @cached_property
    def are_canary_pods_selected(self) -> bool:
        """Tell whether a Service of the namespace, not ours, selects canary pods (S13)."""
        labels = template_labels(self.canary or {})
        ours = canary_name(self.observed.name)
        return any(
            is_selected(spec_of(service).get("selector") or {}, labels)
            for service in self.observed.services
            if name_of(service) != ours
        )

    @cached_property
    def pods_allowed(self) -> int | None:
        """How many canary pods the user's `replicas` allows; None: as many as needed."""
        return pods_allowed(self.intent.replicas, self.full) if self.intent is not None else None

    # Routes.

    def spec_beside(self, main: Object) -> dict[str, Any]:
        """Return the spec that our Ingress beside a main has to have; None: not there (S7)."""
        service = self.observed.name
        return {
            "rules": self.found.nginx.rules(main, service, canary_name(service)),
            "ingressClassName": spec_of(main).get("ingressClassName"),
            "tls": None,
            "defaultBackend": None,
        }

    def is_derived(self, route: Object, main: Object) -> bool:
        """Tell whether our Ingress sends the paths of its main, all of them and nothing else."""
        spec = spec_of(route)
        return all(spec.get(key) == value for key, value in self.spec_beside(main).items())

    def written(self, ingress: Object) -> Exposure:
        """Return what an Ingress of ours lets through."""
        return self.found.nginx.exposure_of(ingress)

    @cached_property
    def exposures(self) -> list[Exposure]:
        """What each Ingress of ours lets through."""
        return [self.written(ingress) for ingress in self.found.our_ingresses]

    @cached_property
    def widest(self) -> Exposure:
        """The exposure that needs the most pods."""
        return max(self.exposures, key=lambda one: (one.of_all, one.is_open), default=CLOSED)

    @cached_property
    def narrowest(self) -> Exposure:
        """What every route of ours lets through."""
        routes = [self.written(route) for route in self.found.routes.values()]
        if not routes or len(routes) < len(self.found.mains):
            return CLOSED
        least = routes[0]
        for other in routes[1:]:
            least = least.meet(other)
        return least

    @property
    def kept(self) -> Exposure:
        """What every route of ours lets through, without a rule that we could not have written.

        To be aimed for where nothing else is known: what somebody else wrote is not written again.
        """
        return writable(self.narrowest)

    @property
    def is_open(self) -> bool:
        """Tell whether any request can reach the canary."""
        return any(exposure.is_open for exposure in self.exposures)

    @cached_property
    def is_started(self) -> bool:
        """Tell whether the first exposure of the release was written."""
        return (self.record is not None and self.record.step is not None) or self.is_open

    # The fence between those who remove pods and those who raise (safety.md section 4).

    @cached_property
    def shrinks(self) -> int:
        """The number of removals that is past every one announced so far."""
        over = self.record.shrinks if self.record is not None else 0
        return max([over, *(shrink_on(route) + 1 for route in self.found.our_ingresses)])

    @cached_property
    def is_shrinking(self) -> bool:
        """Tell whether a removal is announced that is neither carried out nor called off."""
        return self.record is not None and self.shrinks > self.record.shrinks

    # Time.

    def settling(self, seconds: float) -> float:
        """Return for how long every change of ours has to settle still; 0 or less: it has.

        The later of two clocks decides (safety.md section 3, persisted deadline): the API
        server's time since the stamp, one second more for its granularity, and this process's own
        time since it saw the change.
        """
        routes = self.settling_of(self.found.our_ingresses, seconds)
        if self.record is None or not self.record.changed or self.canary is None:
            return routes
        text = self.record.changed
        return max(routes, self.left(uid_of(self.canary), text, moment_of(text), seconds))

    def settling_of(self, ingresses: Iterable[Object], seconds: float) -> float:
        """Return the same for the changes of these Ingresses only."""
        waits = (
            self.left(
                uid_of(ingress),
                annotations_of(ingress).get(names.CHANGED, ""),
                moment_of(changed_at(ingress)),
                seconds,
            )
            for ingress in ingresses
        )
        return max(waits, default=0.0)

    def left(self, uid: str, text: str, at: datetime | None, seconds: float) -> float:
        """Return how long a persisted deadline has to run still."""
        seen = self.observed.seen.get((uid, text), 0.0)
        past = max(0.0, (self.now - at).total_seconds()) if at is not None else 0.0
        return max(seconds + 1.0 - past, seconds - seen)

    @property
    def propagation(self) -> float:
        """D_prop in seconds."""
        return self.parameters.propagation_seconds

    @property
    def drained_after(self) -> float:
        """D_prop + D_drain in seconds."""
        return self.parameters.propagation_seconds + self.parameters.drain_seconds

    @cached_property
    def last_changed(self) -> str:
        """The stamp of the newest routing change; "" without a route of ours."""
        return max((changed_at(ingress) for ingress in self.found.our_ingresses), default="")

    def since(self, text: str) -> float:
        """Return the seconds since a stamp; 0 for one that is unreadable or to come."""
        at = moment_of(text)
        return max(0.0, (self.now - at).total_seconds()) if at is not None else 0.0

    def until(self, seconds: float) -> datetime:
        """Return the moment so many seconds from now."""
        return self.now + timedelta(seconds=max(0.0, seconds))

    # What is remembered of this revision.

    @cached_property
    def is_rejected(self) -> bool:
        """Tell whether the template that waits was aborted."""
        rejected = self.status.rejected
        return (
            rejected is not None and self.is_pending and rejected.revision == self.template_revision
        )

    @cached_property
    def is_concluded(self) -> bool:
        """Tell whether the outcome of this release is on the Service (P6)."""
        outcome, record = self.status.outcome, self.record
        return (
            outcome is not None
            and record is not None
            and (outcome.revision, outcome.since) == (record.revision, record.since)
        )


def release_of(observed: Observed, now: datetime) -> Release:
    """Read one release off the world."""
    found = discover(observed)
    return Release(
        observed=observed,
        now=now,
        found=found,
        status=status_in(observed.service or {}),
        record=record_of(found.canary) if found.canary is not None else None,
        refusal=refusal_of(observed, found),
    )


def writable(exposure: Exposure) -> Exposure:
    """Return an exposure without a rule that somebody else wrote and we never could."""
    if exposure.suffix != UNKNOWN:
        return exposure
    header = exposure.header if exposure.accounts else None
    return replace(exposure, header=header, suffix="", share=CLOSED.share)
