"""The world of one release, as one frozen record."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Literal

from controller.api.objects import Kind, Object
from controller.api.template import Template
from controller.plan.inquiry import Gathered

Hold = Literal["admission", "pause"]
"""How a Deployment is held (safety.md section 2)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ref:
    """One object, or for EndpointSlices all slices of the Service with this name."""

    kind: Kind
    namespace: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """The settings that decisions depend on; times in seconds (contract.md section 6)."""

    propagation_seconds: float = 10.0
    drain_seconds: float = 30.0
    ready_seconds: float = 5.0
    max_accounts: int = 50
    ingress_classes: tuple[str, ...] = ("nginx",)
    annotation_prefix: str = "nginx.ingress.kubernetes.io"
    dialect: Literal["common", "ingress-nginx", "traefik"] = "common"
    scrape_seconds: float | None = None
    """How often the metrics server looks at the proxy; None: there is no metrics server."""
    templates: tuple[Template, ...] = ()
    """The administrator's own checks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One address behind a Service.

    Attributes:
        pod: name of the pod, "" where the slice names none.
        ready: the slice says ready and not terminating.
        age_seconds: how long this process has seen it ready without a break; 0 while not ready.
    """

    pod: str
    ready: bool = True
    age_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaSet:
    """One ReplicaSet of the stable or the canary Deployment.

    Attributes:
        owner: uid of the controlling Deployment.
        revision: revision of its template (`objects.revision_of`).
        number: `deployment.kubernetes.io/revision`, 0 without.
        wanted: `spec.replicas`.
        pods: `status.replicas`; terminating pods are not among them.
        ready: `status.readyReplicas`.
    """

    name: str
    owner: str
    revision: str
    number: int = 0
    wanted: int = 0
    pods: int = 0
    ready: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """What is behind one Service, stable or canary.

    Attributes:
        endpoints: the addresses now.
        history: (seconds ago, ready endpoints from then on), newest first, back to when this
            process began to look; the oldest entry says how far back it knows.
    """

    endpoints: tuple[Endpoint, ...] = ()
    history: tuple[tuple[float, int], ...] = ()

    @property
    def ready(self) -> int:
        """Count the ready endpoints."""
        return sum(endpoint.ready for endpoint in self.endpoints)

    @property
    def seconds_since_fall(self) -> float:
        """Return how long ago there was a ready endpoint more; infinity if we saw none go."""
        later = None
        for ago, count in self.history:
            if later is not None and later[1] < count:
                return later[0]
            later = ago, count
        return inf

    def most_ready_within(self, seconds: float) -> int | None:
        """Return the highest ready count of the last `seconds`; None if we looked for less."""
        highest = 0
        for ago, count in self.history:
            highest = max(highest, count)
            if ago >= seconds:
                return highest
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """Everything one pass may look at, as it was at one moment.

    Collections hold at least what can matter to this Service; more does no harm.

    Attributes:
        service: the enrolled (or once enrolled) Service; None if it does not exist.
        service_missing_seconds: how long this process has seen it missing; 0 while it exists.
        deployments: of the namespace; the stable one and the canary are found among them.
        replica_sets: those of the stable and of the canary Deployment.
        services: of the namespace, those that could select a pod of stable or canary.
        ingresses: of the namespace, those that name the Service or the canary Service, ours, and
            those that share a host with one of them.
        stable: what is behind the Service.
        canary: what is behind the canary Service.
        seen: for a pair (uid, text) of an object and a time written on it, the seconds for which
            this process has seen it there (safety.md section 3, persisted deadline).
        hold: the hold in force; None until it was proven.
        refusal: what the API server refused in the pass before, in its own words; cleared by a
            pass whose writes all succeed.
        confirmed: what was read by a quorum read for this pass.
        gathered: the newest answers of the metrics server about this release; None without.
    """

    namespace: str
    name: str
    service: Object | None = None
    service_missing_seconds: float = 0.0
    deployments: tuple[Object, ...] = ()
    replica_sets: tuple[ReplicaSet, ...] = ()
    services: tuple[Object, ...] = ()
    ingresses: tuple[Object, ...] = ()
    budgets: tuple[Object, ...] = ()
    autoscalers: tuple[Object, ...] = ()
    stable: Pool = field(default_factory=Pool)
    canary: Pool = field(default_factory=Pool)
    seen: Mapping[tuple[str, str], float] = field(default_factory=dict)
    hold: Hold | None = None
    refusal: str = ""
    confirmed: frozenset[Ref] = frozenset()
    gathered: Gathered | None = None
    parameters: Parameters = field(default_factory=Parameters)
