"""What each data plane counts: the question for the metrics server, and how its answer is read.

Nothing a user wrote is part of a question: names of objects are, and the label values made of them
are compared as a whole.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from controller.plan.counting import Part, Reading

FRESH_SCRAPES = 2
"""A sample older than so many scrape intervals is none (`evidence.STALE_SCRAPES`)."""


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

    upstreams: tuple[Upstream, ...]
    provider: str = "kubernetesingressnginx"

    def errors(self, scrape_seconds: float) -> tuple[str, Reading]:
        """Return the question about requests by status, and how the answer is read."""
        stable = {self._name(it, "") for it in self.upstreams}
        canary = {self._name(it, "-canary") for it in self.upstreams}
        query = _latest(
            '{__name__=~"traefik_service_requests_total|traefik_router_requests_total",'
            f"service=~{_one_of({*stable, *canary})}}}",
            scrape_seconds,
            ("service", "router", "code"),
        )

        def read(labels: Mapping[str, str]) -> Part | None:
            service, is_error = labels.get("service", ""), _is_error(labels.get("code", ""))
            if labels.get("router"):
                is_tester = service in canary
                return Part(side="canary", requests=-1.0, events=-is_error) if is_tester else None
            if service in canary:
                return Part(side="canary", requests=1.0, events=is_error)
            if service in stable:
                return Part(side="stable", requests=1.0, events=is_error)
            return None

        return query, read

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


def _is_error(code: str) -> float:
    """Return 1 for a status of the server's own failure; no status at all is one."""
    return 0.0 if code.startswith(("1", "2", "3", "4")) else 1.0
