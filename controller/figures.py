"""Shows in `/metrics` what every pass did, and where every release stands."""

from collections.abc import Sequence
from typing import Final

from controller.api import objects
from controller.api.status import Judged, Status, status_in
from controller.cluster.metrics import FAILED, RUNNING, SUCCEEDED, Metrics
from controller.reconciler import Pass
from controller.stores import Stores, is_enrolled
from controller.tracker import Key

SETTLED_STAGES: Final = (None, "Idle", "Aborted")
"""Stages in which no release runs."""


class Figures:
    """Keeps the series of each release in line with its status annotation.

    Args:
        metrics: the series.
        stores: where the Services are.
    """

    def __init__(self, metrics: Metrics, stores: Stores) -> None:
        self._metrics = metrics
        self._stores = stores
        self._shown: dict[Key, Status] = {}
        self._checks: dict[Key, frozenset[str]] = {}
        self._broken: dict[Key, frozenset[str]] = {}

    def show(self, key: Key, made: Pass, seconds: float) -> None:
        """Take in a pass over a release and how long it took."""
        self._metrics.reconcile_seconds.observe(seconds)
        for error in made.errors:
            self._metrics.reconcile_errors.labels(type(error).__name__).inc()
        self._count_broken(key, made.plan.broken if made.plan is not None else frozenset())
        service = self._stores.get(objects.SERVICE, *key)
        if service is None or not is_enrolled(service):
            self._forget(key)
            return
        self._show(key, status_in(service))

    def _count_broken(self, key: Key, broken: frozenset[str]) -> None:
        """Count an invariant once for as long as it stays broken."""
        for name in broken - self._broken.get(key, frozenset()):
            self._metrics.invariants_broken.labels(name).inc()
        self._broken[key] = broken
        if not broken:
            del self._broken[key]

    def _show(self, key: Key, status: Status) -> None:
        if self._shown.get(key) == status:
            return
        self._shown[key] = status
        self._metrics.show_weight(*key, desired=status.asked, observed=status.written)
        self._show_checks(key, status.checks)
        standing = _standing(status)
        if standing is not None:
            self._metrics.canary_status.labels(*key).set(standing)

    def _show_checks(self, key: Key, checks: Sequence[Judged]) -> None:
        """Show each check, and take away those that are asked for no more."""
        for check in checks:
            self._metrics.show_check(*key, check)
        said = frozenset(check.check for check in checks)
        for gone in self._checks.get(key, frozenset()) - said:
            self._metrics.forget_check(*key, gone)
        self._checks[key] = said
        if not said:
            del self._checks[key]

    def _forget(self, key: Key) -> None:
        self._show_checks(key, ())
        if self._shown.pop(key, None) is not None:
            self._metrics.forget(*key)


def _standing(status: Status) -> int | None:
    """Return how the release stands, or the last one stood; None before the first."""
    if status.stage not in SETTLED_STAGES:
        return RUNNING
    if status.stage == "Aborted":
        return FAILED
    if status.outcome is None:
        return None
    return SUCCEEDED if status.outcome.result == "promoted" else FAILED
