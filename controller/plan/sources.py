"""What each data plane counts: the question for the metrics server, and how its answer is read.

Nothing a user wrote is part of a question: names of objects are, and the label values made of them
are compared as a whole.
"""

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Final

from controller.plan.counting import Part, Reading
from controller.plan.coverage import Sighting, Telling

FRESH_SCRAPES: Final = 2
"""A sample older than so many scrape intervals is none (`evidence.STALE_SCRAPES`)."""
SLOW_QUANTILE: Final = 0.95
"""Where nobody says what is slow: slower than so many of stable's answers."""
CANARY: Final = "-canary"
"""What Traefik adds to the name of the service beside a canary's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """One port of the enrolled Service behind one of its Ingresses."""

    namespace: str
    ingress: str
    service: str
    port: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Traefik:
    """Traefik's counters (seen on 3.7.15 with routers' labels).

    Its services are named `NAMESPACE-INGRESS-SERVICE-PORT@PROVIDER`, the canary's with `-canary`
    before the `@`. A request that a header or a cookie led to the canary went through a router of
    the canary's own, and is counted there once more: so testers can be taken out.
    """

    untold: ClassVar[str] = "hosts and paths of one Ingress"
    """By what this data plane does not count requests."""

    upstreams: tuple[Upstream, ...]
    provider: str = "kubernetesingressnginx"

    def errors(self, scrape_seconds: float) -> tuple[str, Reading]:
        """Return the question about requests by status, and how the answer is read."""
        query = self._latest("requests_total", "code", scrape_seconds)
        return query, partial(self._read, _by_code)

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
        return _latest(selector, scrape_seconds, ("service", "method", "code")), self._sighting

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
        return _latest(selector, scrape_seconds, ("service", "router", label))

    def _read(self, tell: "Tell", labels: Mapping[str, str]) -> Part | None:
        service, told = labels.get("service", ""), tell(labels)
        if told is None:
            return None
        requests, events = told
        is_canary = service in {self._name(it, CANARY) for it in self.upstreams}
        if labels.get("router"):
            is_tester = is_canary
            return Part(side="canary", requests=-requests, events=-events) if is_tester else None
        if is_canary:
            return Part(side="canary", requests=requests, events=events)
        if service in {self._name(it, "") for it in self.upstreams}:
            return Part(side="stable", requests=requests, events=events)
        return None

    def _name(self, upstream: Upstream, ending: str) -> str:
        parts = (upstream.namespace, upstream.ingress, upstream.service, upstream.port)
        return f"{'-'.join(parts)}{ending}@{self.provider}"


def _latest(selector: str, scrape_seconds: float, labels: Iterable[str]) -> str:
    """Return the sum of the newest samples by process and labels, none of them stale.

    Without the range a metrics server would repeat a sample for five minutes.
    """
    fresh = f"last_over_time({selector}[{FRESH_SCRAPES * scrape_seconds:.0f}s])"
    return f"sum by (instance,{','.join(labels)}) ({fresh})"


def _one_of(values: Iterable[str]) -> str:
    """Return a quoted pattern that fits exactly these values."""
    pattern = "|".join(re.sub(r"([^A-Za-z0-9_@-])", r"\\\\\1", value) for value in sorted(values))
    return f'"{pattern}"'


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


def _by_code(labels: Mapping[str, str]) -> tuple[float, float]:
    """Tell errors by their status: the server's own failure, or no status at all."""
    return 1.0, 0.0 if labels.get("code", "").startswith(("1", "2", "3", "4")) else 1.0


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
