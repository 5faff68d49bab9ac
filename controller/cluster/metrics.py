"""Every series of `/metrics`; libraries.md section 5 says which names users know already."""

from collections.abc import Callable

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

import controller
from controller.api.status import Judged

RUNNING, SUCCEEDED, FAILED = 0, 1, 2
"""Values of `serinus_canary_status`, as Flagger counts them."""

RECONCILE_BUCKETS = (0.001, 0.005, 0.02, 0.1, 0.5, 2, 10, 60)
QUESTION_BUCKETS = (0.005, 0.02, 0.1, 0.5, 1, 2, 5, 15)
QUEUE_BUCKETS = (0.000_01, 0.000_1, 0.001, 0.01, 0.1, 1, 10, 60)
CANARY = ("namespace", "service")
BOUNDS = ("harm", "safety")
OUTCOMES = ("pass", "fail", "no data", "not enough data")


class Metrics:
    """One process's series, in a registry of their own.

    Label sets of a canary exist from its first value to `forget`.
    """

    def __init__(self) -> None:
        # A second series for each counter that says when it was created; nobody reads it.
        prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]  # the library's
        self.registry = registry = CollectorRegistry()
        prometheus_client.ProcessCollector(registry=registry)
        Gauge("serinus_info", "The version that runs.", ["version"], registry=registry).labels(
            controller.__version__
        ).set(1)
        self.canary_status = Gauge(
            "serinus_canary_status",
            "0 while a release runs, 1 after its promotion, 2 after its abort.",
            CANARY,
            registry=registry,
        )
        self.canary_weight = Gauge(
            "serinus_canary_weight",
            "Percent of requests that go to the canary, as desired and as observed.",
            [*CANARY, "which"],
            registry=registry,
        )
        self.reconcile_seconds = Histogram(
            "serinus_reconcile_seconds",
            "How long one pass over one Service took.",
            buckets=RECONCILE_BUCKETS,
            registry=registry,
        )
        self.reconcile_errors = Counter(
            "serinus_reconcile_error_total",
            "Passes that ended with this error.",
            ["error"],
            registry=registry,
        )
        self.invariants_broken = Counter(
            "serinus_invariant_broken_total",
            "Predicates of safety.md that were found broken.",
            ["id"],
            registry=registry,
        )
        self.events = Counter(
            "serinus_events_total", "Events told to users.", ["type", "reason"], registry=registry
        )
        self.api_requests = Counter(
            "serinus_api_requests_total",
            "Requests to the API server; code is none where no answer came.",
            ["verb", "kind", "code"],
            registry=registry,
        )
        self.watch_age = Gauge(
            "serinus_watch_age_seconds",
            "For how long nothing was heard of this kind.",
            ["kind"],
            registry=registry,
        )
        self.relists = Counter(
            "serinus_relists_total",
            "How often everything of this kind was read.",
            ["kind"],
            registry=registry,
        )
        self.check_evidence = Gauge(
            "serinus_check_evidence",
            "Evidence of a check as decimal logarithm of E: at its limit it says so.",
            [*CANARY, "check", "of"],
            registry=registry,
        )
        self.check_limit = Gauge(
            "serinus_check_limit",
            "Where evidence of harm fails a check, and evidence of safety passes it.",
            [*CANARY, "check", "of"],
            registry=registry,
        )
        self.check_outcome = Gauge(
            "serinus_check_outcome",
            "1 for what a check says now, 0 for what it does not.",
            [*CANARY, "check", "outcome"],
            registry=registry,
        )
        self.questions_seconds = Histogram(
            "serinus_prometheus_seconds",
            "How long the metrics server took for the questions of one release.",
            buckets=QUESTION_BUCKETS,
            registry=registry,
        )
        self.questions_failed = Counter(
            "serinus_prometheus_errors_total",
            "Sets of questions that were left without an answer.",
            registry=registry,
        )
        self.leader = Gauge("serinus_leader", "1 while this instance leads.", registry=registry)

    def text(self) -> bytes:
        """Return everything in the Prometheus text format."""
        return prometheus_client.generate_latest(self.registry)

    def count_request(self, verb: str, kind: str, code: str) -> None:
        """Count an answer of the API server; the client's `counted`."""
        self.api_requests.labels(verb, kind, code).inc()

    def count_relist(self, kind: str) -> None:
        """Count a full list; a reflector's `relisted`."""
        self.relists.labels(kind).inc()

    def watch(self, kind: str, age_seconds: Callable[[], float]) -> None:
        """Show a reflector's age whenever it is asked for."""
        self.watch_age.labels(kind).set_function(age_seconds)

    def show_weight(self, namespace: str, service: str, *, desired: float, observed: float) -> None:
        """Show both weights of a canary, in percent."""
        self.canary_weight.labels(namespace, service, "desired").set(desired)
        self.canary_weight.labels(namespace, service, "observed").set(observed)

    def show_check(self, namespace: str, service: str, check: Judged) -> None:
        """Show what a check says, and how far it is from saying something else."""
        for of, bound in zip(BOUNDS, (check.harm, check.safety), strict=True):
            self.check_evidence.labels(namespace, service, check.check, of).set(bound.evidence)
            self.check_limit.labels(namespace, service, check.check, of).set(bound.limit)
        for outcome in OUTCOMES:
            is_said = float(outcome == check.outcome)
            self.check_outcome.labels(namespace, service, check.check, outcome).set(is_said)

    def forget_check(self, namespace: str, service: str, check: str) -> None:
        """Remove every series of a check that is asked for no more."""
        for of in BOUNDS:
            self.check_evidence.remove(namespace, service, check, of)
            self.check_limit.remove(namespace, service, check, of)
        for outcome in OUTCOMES:
            self.check_outcome.remove(namespace, service, check, outcome)

    def count_questions(self, seconds: float, *, answered: bool) -> None:
        """Count a set of questions to the metrics server; the gatherer's `counted`."""
        self.questions_seconds.observe(seconds)
        if not answered:
            self.questions_failed.inc()

    def forget(self, namespace: str, service: str) -> None:
        """Remove every series of a Service that is enrolled no more."""
        self.canary_status.remove(namespace, service)
        for which in ("desired", "observed"):
            self.canary_weight.remove(namespace, service, which)


class QueueSeries:
    """client-go's `workqueue_*` series of one queue; a `workqueue.QueueMetrics`."""

    def __init__(self, registry: CollectorRegistry, name: str) -> None:
        self._depth = Gauge(
            "workqueue_depth", "Keys that are ready.", ["name"], registry=registry
        ).labels(name)
        self._adds = Counter(
            "workqueue_adds_total", "Keys that were queued.", ["name"], registry=registry
        ).labels(name)
        self._retries = Counter(
            "workqueue_retries_total", "Keys added with back-off.", ["name"], registry=registry
        ).labels(name)
        self._waited = Histogram(
            "workqueue_queue_duration_seconds",
            "How long a key was ready before a worker took it.",
            ["name"],
            buckets=QUEUE_BUCKETS,
            registry=registry,
        ).labels(name)
        self._worked = Histogram(
            "workqueue_work_duration_seconds",
            "How long a worker had a key.",
            ["name"],
            buckets=QUEUE_BUCKETS,
            registry=registry,
        ).labels(name)

    def added(self) -> None:
        """Count a key that was queued."""
        self._adds.inc()

    def depth(self, keys: int) -> None:
        """Show how many keys are ready."""
        self._depth.set(keys)

    def taken(self, waited_seconds: float) -> None:
        """Observe how long a key was ready."""
        self._waited.observe(waited_seconds)

    def finished(self, worked_seconds: float) -> None:
        """Observe how long a worker had a key."""
        self._worked.observe(worked_seconds)

    def retried(self) -> None:
        """Count a key added with back-off."""
        self._retries.inc()
