"""One pass over one Service: observe, decide, apply, and the outcome as a queue verb."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final, Protocol

import structlog

from controller.api import names, objects
from controller.api.errors import (
    ClusterError,
    ConflictError,
    ForbiddenError,
    GoneError,
    NotFoundError,
    RejectedError,
    ThrottledError,
)
from controller.api.objects import Kind, Object
from controller.apply import Applier, Failure
from controller.cluster.client import Listing
from controller.observe import Observer, Reading, States, states
from controller.plan.inquiry import Gathered, Inquiry
from controller.plan.observed import Hold, Observed, Ref
from controller.plan.writes import Plan
from controller.tracker import Key

ROUNDS: Final = 3
"""A plan may ask for reads, change its mind and ask for more; this often, then it starts anew."""

FRESH_SECONDS: Final = 6.0
"""What a read showed is good for so long; then whatever rests on it is read again."""

Decide = Callable[[Observed, datetime], Plan]

log = structlog.get_logger(__name__)


class Reader(Protocol):
    """What a pass asks of the client: quorum reads, and the time."""

    async def get(self, kind: Kind, namespace: str | None, name: str) -> Object:
        """Read one object."""

    async def list(self, kind: Kind, namespace: str | None, *, labels: str = "") -> Listing:
        """Read all objects that match."""

    def server_time(self) -> datetime:
        """Return the time at the API server."""


class Queue(Protocol):
    """The verbs of the work queue that say how a pass ended, and one question."""

    def is_dirty(self, key: Key) -> bool:
        """Tell whether the key was added again since it was handed out."""

    def add_after(self, key: Key, seconds: float) -> None:
        """Hand the key out again after so long, or sooner if asked."""

    def add_rate_limited(self, key: Key) -> None:
        """Hand the key out again after its back-off, which doubles."""

    def forget(self, key: Key) -> None:
        """Start the key's back-off from the beginning."""


class Gathering(Protocol):
    """What a pass asks of the gatherer: the newest answers, and to ask on."""

    def newest(self, key: Key) -> Gathered | None:
        """Return the newest answers about a release."""

    def want(self, key: Key, inquiry: Inquiry | None) -> None:
        """Ask this about a release from now on."""


class UnsettledError(Exception):
    """The world moved under every read that a plan asked for: start anew, a little later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """What one pass did.

    Attributes:
        plan: what was decided; None where a read that it needed did not come.
        errors: what did not succeed.
    """

    plan: Plan | None = None
    errors: tuple[Exception, ...] = ()

    @property
    def outcome(self) -> str:
        """The result in a word, for metrics: "success" or the first error's class."""
        return type(self.errors[0]).__name__ if self.errors else "success"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Readings:
    """The quorum reads of one pass: what they found, and those that did not succeed."""

    found: Mapping[Ref, Reading] = field(default_factory=dict)
    failed: Mapping[Ref, ClusterError] = field(default_factory=dict)

    @property
    def errors(self) -> tuple[ClusterError, ...]:
        return tuple(self.failed.values())

    def missing(self, plan: Plan) -> frozenset[Ref]:
        """Return what a plan asks for and nobody has tried to read yet."""
        return plan.confirm - self.found.keys() - self.failed.keys()

    def bears_out(self, seen: Mapping[Ref, States]) -> bool:
        """Tell whether every read came and found what was seen before."""
        return all(ref in self.found and states(self.found[ref]) == it for ref, it in seen.items())

    def with_more(self, more: "_Readings") -> "_Readings":
        return _Readings(found={**self.found, **more.found}, failed={**self.failed, **more.failed})


class Reconciler:
    """Makes passes. It keeps nothing between two of them but what the API server answered.

    Args:
        client: quorum reads, and the time.
        observer: sees the world.
        applier: changes it.
        queue: told when to look again.
        decide: the plan for what is seen.
        hold: the hold in force; None while it is not known.
        gatherer: asks the metrics server, outside of passes.
        monotonic: seconds that never go back.

    Attributes:
        last_refusal: for each key what the API server refused in the last pass.
    """

    def __init__(  # noqa: PLR0913  # each is a door of its own, by keyword
        self,
        *,
        client: Reader,
        observer: Observer,
        applier: Applier,
        queue: Queue,
        decide: Decide,
        hold: Callable[[], Hold | None],
        gatherer: Gathering,
        monotonic: Callable[[], float],
    ) -> None:
        self.last_refusal: dict[Key, str] = {}
        self._client = client
        self._observer = observer
        self._applier = applier
        self._queue = queue
        self._decide = decide
        self._hold = hold
        self._gatherer = gatherer
        self._monotonic = monotonic
        self._doubtful: dict[Key, frozenset[Ref]] = {}

    async def reconcile(self, key: Key) -> Pass:
        """Make one pass over a Service, and tell the queue when to make the next one.

        Raises nothing but cancellation: a bug costs one release a delay, not the process.
        """
        namespace, name = key
        with structlog.contextvars.bound_contextvars(namespace=namespace, service=name):
            try:
                made = await self._pass(key)
            except UnsettledError as error:
                log.debug("pass was given up", why=str(error))
                made = Pass(errors=(error,))
            except Exception as error:  # noqa: BLE001  # the top of the loop, see _conclude
                made = Pass(errors=(error,))
            self._conclude(key, made)
            return made

    async def _pass(self, key: Key) -> Pass:
        """Plan, carry the plan out, and remember what the API server had against it.

        What rests on a read that did not succeed is left out; the rest of the plan is safe
        without it (safety.md section 3, rule 5), and an abort must not wait for it.
        """
        began = self._monotonic()
        plan, readings = await self._settled_plan(key)
        self._gatherer.want(key, plan.inquiry)
        errors: list[Exception] = list(readings.errors)
        shown = frozenset(readings.found)
        if self._monotonic() - began > FRESH_SECONDS:
            shown = frozenset()
            errors.append(UnsettledError("the reads took too long to rest on"))
        ready = [write for write in plan.writes if write.confirm <= shown]
        failures = await self._applier.apply(key, replace(plan, writes=tuple(ready)))
        self._remember(key, failures)
        return Pass(plan=plan, errors=(*errors, *(it.error for it in failures)))

    async def _settled_plan(self, key: Key) -> tuple[Plan, "_Readings"]:
        """Decide, read afresh what the plan rests on, and decide again until nothing is missing.

        Reads that show the very states that the plan saw bear it out: it is not made again. What
        the last pass could not write is read before the first look: the cache may be what made
        it fail.

        Raises:
            ClusterError: what no watch shows could not be read.
            UnsettledError: after the last round something is still missing.
        """
        needed = await self._read(self._observer.unwatched(key))
        for error in needed.errors:
            raise error
        doubtful = await self._read(self._doubtful.get(key, frozenset()))
        readings = _Readings(found={**doubtful.found, **needed.found})
        plan = self._planned(key, readings)
        for _ in range(ROUNDS):
            missing = readings.missing(plan)
            if not missing:
                return plan, readings
            seen = {ref: self._observer.states_of(ref) for ref in missing}
            more = await self._read(missing)
            readings = readings.with_more(more)
            if more.bears_out(seen) and not self._queue.is_dirty(key):
                return plan, readings
            plan = self._planned(key, readings)
        if readings.missing(plan):
            raise UnsettledError(f"{len(readings.missing(plan))} objects were still to be read")
        return plan, readings

    def _planned(self, key: Key, readings: "_Readings") -> Plan:
        observed = replace(
            self._observer.observe(key, readings.found),
            hold=self._hold(),
            gathered=self._gatherer.newest(key),
            refusal=self.last_refusal.get(key, ""),
        )
        return self._decide(observed, self._client.server_time())

    async def _read(self, refs: frozenset[Ref]) -> "_Readings":
        """Read all of them at once from the API server, not from a cache.

        Raises:
            Exception: a bug; what the API server has against a read is an answer.
        """
        ordered = sorted(refs, key=lambda ref: (ref.kind.plural, ref.namespace, ref.name))
        answers = await asyncio.gather(*map(self._read_one, ordered), return_exceptions=True)
        found: dict[Ref, Reading] = {}
        failed: dict[Ref, ClusterError] = {}
        for ref, answer in zip(ordered, answers, strict=True):
            if isinstance(answer, ClusterError):
                failed[ref] = answer
            elif isinstance(answer, BaseException):
                raise answer
            else:
                found[ref] = answer
        return _Readings(found=found, failed=failed)

    async def _read_one(self, ref: Ref) -> Reading:
        if ref.kind == objects.ENDPOINT_SLICE:
            selector = f"{names.SERVICE_NAME}={ref.name}"
            listing = await self._client.list(ref.kind, ref.namespace, labels=selector)
            return tuple(listing.items)
        before = self._observer.stores.get(ref.kind, ref.namespace, ref.name)
        try:
            obj = await self._client.get(ref.kind, ref.namespace, ref.name)
        except NotFoundError:
            # Only what was known before the read: a newer one of that name may exist by now.
            if before is not None:
                self._observer.unlearn(ref.kind, before)
            return None
        self._observer.learn(ref.kind, obj)
        return obj

    def _remember(self, key: Key, failures: Sequence[Failure]) -> None:
        refused = [
            str(failure.error)
            for failure in failures
            if isinstance(failure.error, ForbiddenError | RejectedError)
        ]
        if refused:
            self.last_refusal[key] = refused[0]
        elif not failures:
            self.last_refusal.pop(key, None)
        self._doubtful[key] = frozenset(failure.target for failure in failures)
        if not failures:
            del self._doubtful[key]

    def _conclude(self, key: Key, made: Pass) -> None:
        """Turn the outcome into queue verbs (house.md section 3, the table of exceptions)."""
        for error in {type(error): error for error in made.errors}.values():
            _report(error)
        patience = [error.retry_after for error in made.errors if isinstance(error, ThrottledError)]
        if patience:
            self._queue.add_after(key, max(patience))
            return
        plan = made.plan
        if made.errors or (plan is not None and plan.writes):
            # What was written is looked at once more, in case its echo tells nobody; a plan that
            # always finds something to write is slowed down by the back-off.
            self._queue.add_rate_limited(key)
        else:
            self._queue.forget(key)
        if plan is not None and plan.wake_seconds is not None:
            self._queue.add_after(key, plan.wake_seconds)


def _report(error: Exception) -> None:
    """Say what went wrong as loudly as somebody has to act on it."""
    match error:
        case UnsettledError():
            return
        case ConflictError() | GoneError() | NotFoundError():
            log.debug("write met a newer object", error=str(error))
        case ThrottledError():
            log.info("server asked for patience", error=str(error), seconds=error.retry_after)
        case ForbiddenError() | RejectedError():
            log.warning("write was refused", error=str(error))
        case ClusterError():
            log.warning("server was not available", error=str(error))
        case _:
            log.error("pass was ended by a bug", exc_info=error)
