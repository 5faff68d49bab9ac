"""What each data plane counts: the question for the metrics server, and how its answer is read.

Nothing a user wrote is part of a question: names of objects are, and the label values made of them
are compared as a whole.
"""

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import ClassVar, Final

from controller.api.series import Series
from controller.plan.counting import Part, Reading, Side
from controller.plan.coverage import Sighting, Telling
from controller.plan.workload import canary_name

FRESH_SCRAPES: Final = 2
"""A sample older than so many scrape intervals is none (`evidence.STALE_SCRAPES`)."""
SLOW_QUANTILE: Final = 0.95
"""Where nobody says what is slow: slower than so many of stable's answers."""
REQUESTS: Final = "nginx_ingress_controller_requests"
CANARY: Final = "-canary"
"""What Traefik adds to the name of the service beside a canary's."""


_OPTED_OUT: Final = re.compile(r"-non-canary(-tls)?@", re.ASCII)
"""In the name of the router for visitors who opted out by cookie, without and with TLS."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """One port of the enrolled Service behind one of its Ingresses."""

    namespace: str
    ingress: str
    service: str
    port: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Nginx:
    """ingress-nginx's counters (its documentation; routing.md section 8).

    A request is counted for its main Ingress and Service; the label `canary` names the upstream
    that answered instead, `NAMESPACE-SERVICE-PORT`. How a request came there is not told, so
    testers are among the counts. A metrics server that sets `namespace` or `service` itself keeps
    the proxy's labels as `exported_...`.
    """

    untold: ClassVar[str] = ""
    """It counts by host, path, method and status."""
    tells_testers: ClassVar[bool] = False

    upstreams: tuple[Upstream, ...]

    def errors(self, scrape_seconds: float) -> tuple[str, Reading]:
        """Return the question about requests by status, and how the answer is read."""
        query = self._latest(REQUESTS, ("status",), scrape_seconds)
        return query, partial(self._read, partial(_by_code, "status"))

    def slow(self, edge_seconds: float, scrape_seconds: float) -> tuple[str, Reading]:
        """Return the question about requests slower than an edge, and how the answer is read."""
        counter = "nginx_ingress_controller_request_duration_seconds_bucket"
        query = self._latest(counter, ("le",), scrape_seconds)
        return query, partial(self._read, partial(_by_edge, edge_seconds))

    def kinds(self, scrape_seconds: float) -> tuple[str, Telling]:
        """Return the question about requests by all that is counted, and how it is read."""
        labels = ("host", "path", "method", "status")
        return self._latest(REQUESTS, labels, scrape_seconds), self._sighting

    def _sighting(self, labels: Mapping[str, str]) -> Sighting | None:
        asked = asked_for(labels.get("method", ""), labels.get("status", ""))
        side = self.side_of(labels)
        if not asked or side is None:
            return None
        place = f"{labels.get('host', '')}{labels.get('path', '')}"
        return Sighting(side=side, kind=f"{place} {asked}".strip())

    def side_of(self, labels: Mapping[str, str]) -> Side | None:
        """Return which side answered; None: neither."""
        answered = labels.get("canary", "")
        canaries = {f"{it.namespace}-{canary_name(it.service)}-{it.port}" for it in self.upstreams}
        if answered in canaries:
            return "canary"
        return None if answered else "stable"

    def _latest(self, counter: str, labels: Iterable[str], scrape_seconds: float) -> str:
        namespace, service = (
            _one_of({getattr(it, field) for it in self.upstreams})
            for field in ("namespace", "service")
        )
        ours = f"ingress=~{_one_of({it.ingress for it in self.upstreams})}"
        spelled = (
            f'namespace=~{namespace},exported_namespace="",service=~{service},exported_service=""',
            f'exported_namespace=~{namespace},service=~{service},exported_service=""',
            f"exported_namespace=~{namespace},exported_service=~{service}",
        )
        return _sum(
            " or ".join(_fresh(f"{counter}{{{ours},{it}}}", scrape_seconds) for it in spelled),
            ("canary", *labels),
        )

    def _read(self, tell: "Tell", labels: Mapping[str, str]) -> Part | None:
        side, told = self.side_of(labels), tell(labels)
        if side is None or told is None:
            return None
        return Part(side=side, requests=told[0], events=told[1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Traefik:
    """Traefik's counters (seen on 3.7.15 with routers' labels).

    Its services are named `NAMESPACE-INGRESS-SERVICE-PORT@PROVIDER`, the canary's with `-canary`
    before the `@`. A request that a header or a cookie led to the canary went through a router of
    the canary's own, and is counted there once more: so testers can be taken out. The same is true
    of the router for visitors whose cookie keeps them on stable. Without routers' labels
    (`--metrics.prometheus.addrouterslabels`) nothing of this is counted, and they stay in.
    """

    untold: ClassVar[str] = "hosts and paths of one Ingress"
    """By what this data plane does not count requests."""

    tells_testers: ClassVar[bool] = True

    upstreams: tuple[Upstream, ...]
    provider: str = "kubernetesingressnginx"

    def errors(self, scrape_seconds: float) -> tuple[str, Reading]:
        """Return the question about requests by status, and how the answer is read."""
        query = self._latest("requests_total", "code", scrape_seconds)
        return query, partial(self._read, partial(_by_code, "code"))

    def slow(self, edge_seconds: float, scrape_seconds: float) -> tuple[str, Reading]:
        """Return the question about requests slower than an edge, and how the answer is read.

        Args:
            edge_seconds: one of the edges of the proxy's buckets.
            scrape_seconds: how often the metrics server looks.
        """
        query = self._latest("request_duration_seconds_bucket", "le", scrape_seconds)
        return query, partial(self._read, partial(_by_edge, edge_seconds))

    def kinds(self, scrape_seconds: float) -> tuple[str, Telling]:
        """Return the question about requests by method and status, and what each series counts.

        A service is all paths and hosts of its Ingress: what it counts does not tell them apart.
        Routers would, but those of the weight's traffic do not say which side they led to.
        """
        selector = f"traefik_service_requests_total{{service=~{_one_of(self._services())}}}"
        labels = ("service", "method", "code")
        return _sum(_fresh(selector, scrape_seconds), labels), self._sighting

    def _sighting(self, labels: Mapping[str, str]) -> Sighting | None:
        name, several = labels.get("service", ""), len(self.upstreams) > 1
        asked = asked_for(labels.get("method", ""), labels.get("code", ""))
        for upstream in self.upstreams if asked else ():
            place = f"{upstream.ingress}:{upstream.port} " if several else ""
            if name == self._name(upstream, CANARY):
                return Sighting(side="canary", kind=f"{place}{asked}")
            if name == self._name(upstream, ""):
                return Sighting(side="stable", kind=f"{place}{asked}")
        return None

    def _services(self) -> list[str]:
        return [self._name(it, ending) for it in self.upstreams for ending in ("", CANARY)]

    def _latest(self, counter: str, label: str, scrape_seconds: float) -> str:
        names = f"traefik_service_{counter}|traefik_router_{counter}"
        selector = f'{{__name__=~"{names}",service=~{_one_of(self._services())}}}'
        return _sum(_fresh(selector, scrape_seconds), ("service", "router", label))

    def side_of(self, labels: Mapping[str, str]) -> Side | None:
        """Return which side answered; None: neither, or it is counted elsewhere too."""
        service = labels.get("service", "")
        if labels.get("router"):
            return None
        if service in {self._name(it, CANARY) for it in self.upstreams}:
            return "canary"
        return "stable" if service in {self._name(it, "") for it in self.upstreams} else None

    def _read(self, tell: "Tell", labels: Mapping[str, str]) -> Part | None:
        told = tell(labels)
        if told is None:
            return None
        requests, events = told
        side = self.side_of(labels)
        if side is not None:
            return Part(side=side, requests=requests, events=events)
        ruled = self._ruled(labels.get("router", ""), labels.get("service", ""))
        return Part(side=ruled, requests=-requests, events=-events) if ruled is not None else None

    def _ruled(self, router: str, service: str) -> Side | None:
        """Return the side to which a rule led, whatever the weight; None: the weight did."""
        if service in {self._name(it, CANARY) for it in self.upstreams}:
            return "canary"
        is_stable = service in {self._name(it, "") for it in self.upstreams}
        return "stable" if is_stable and _OPTED_OUT.search(router) else None

    def _name(self, upstream: Upstream, ending: str) -> str:
        parts = (upstream.namespace, upstream.ingress, upstream.service, upstream.port)
        return f"{'-'.join(parts)}{ending}@{self.provider}"


Plane = Nginx | Traefik
"""What counts the requests."""


def _fresh(selector: str, scrape_seconds: float) -> str:
    """Return the newest samples, none of them stale.

    Without the range a metrics server would repeat a sample for five minutes.
    """
    return f"last_over_time({selector}[{fresh_range(scrape_seconds)}])"


def fresh_range(scrape_seconds: float) -> str:
    """Return for how long a sample is worth something."""
    return f"{FRESH_SCRAPES * scrape_seconds:.0f}s"


def pods_of(deployment: str) -> str:
    """Return a pattern of the names of a Deployment's pods, as it stands between quotes.

    Its ReplicaSet adds a hash and five characters. `NAME-canary` does not fit the pattern of
    `NAME`: it has one part more.
    """
    return f"{_escaped(deployment)}-[a-z0-9]{{1,10}}-[a-z0-9]{{5}}"


def _sum(samples: str, labels: Iterable[str]) -> str:
    """Return the sum by process and labels."""
    return f"sum by (instance,{','.join(labels)}) ({samples})"


def _one_of(values: Iterable[str]) -> str:
    """Return a quoted pattern that fits exactly these values."""
    return f'"{"|".join(map(_escaped, sorted(values)))}"'


def _escaped(value: str) -> str:
    return re.sub(r"([^A-Za-z0-9_@-])", r"\\\\\1", value)


METHODS: Final = frozenset(
    {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"}
)
"""Those with a name; whatever else clients write is one kind together (RFC 9110, RFC 5789)."""


def asked_for(method: str, code: str) -> str:
    """Return what kind of request it was; "" for a failure of the server, which is no kind."""
    if code[:1] not in {"1", "2", "3", "4"}:
        return ""
    return f"{method if method in METHODS else 'other'} {code[0]}xx"


Tell = Callable[[Mapping[str, str]], tuple[float, float] | None]
"""How many requests and events one of a series with these labels is; None: of no interest."""


def _by_code(label: str, labels: Mapping[str, str]) -> tuple[float, float]:
    """Tell errors by their status: the server's own failure, or no status at all."""
    return 1.0, 0.0 if labels.get(label, "").startswith(("1", "2", "3", "4")) else 1.0


def _by_edge(edge_seconds: float, labels: Mapping[str, str]) -> tuple[float, float] | None:
    """Tell slow answers by buckets: all of them, less those that were fast enough.

    Edges are compared as numbers: metrics servers write `5` and `5.0`.
    """
    edge = edge_in(labels)
    if edge == math.inf:
        return 1.0, 1.0
    return (0.0, -1.0) if edge == edge_seconds else None


def edge_in(labels: Mapping[str, str]) -> float | None:
    """Return the edge of a bucket in seconds; None where there is none."""
    try:
        return float(labels.get("le", ""))
    except ValueError:
        return None


def faster_by_edge(series: Iterable[Series], plane: Plane) -> dict[float, float]:
    """Return for each edge how many of stable's answers were at most as slow."""
    faster: dict[float, float] = {}
    for entry in series:
        edge = edge_in(entry.labels)
        if edge is not None and plane.side_of(entry.labels) == "stable":
            values = [value for _, value in entry.samples]
            grown = sum(max(0.0, later - earlier) for earlier, later in pairwise(values))
            faster[edge] = faster.get(edge, 0.0) + grown
    return faster


def edge_for(asked_seconds: float | None, faster: Mapping[float, float]) -> float | None:
    """Return the edge beyond which answers count as slow; None without buckets to choose from.

    Args:
        asked_seconds: the user's; the nearest edge that is not below it is taken, because a
            bucket cannot be divided. None: the bucket that holds stable's 95th percentile.
        faster: for each edge how many of stable's answers were at most as slow.
    """
    edges = sorted(edge for edge in faster if math.isfinite(edge))
    if not edges:
        return None
    if asked_seconds is not None:
        return next((edge for edge in edges if edge >= asked_seconds), edges[-1])
    most = SLOW_QUANTILE * max(faster.values())
    return next((edge for edge in edges if faster[edge] >= most), edges[-1])
