from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from controller.api import names, objects
from controller.api.errors import (
    ConflictError,
    ForbiddenError,
    GoneError,
    NotFoundError,
    RejectedError,
    ThrottledError,
    UnavailableError,
)
from controller.api.objects import Kind
from controller.apply import Applier
from controller.gatherer import Gatherer
from controller.plan.observed import Observed, Ref
from controller.plan.writes import Edit, Plan, Write
from controller.reconciler import FRESH_SECONDS, ROUNDS, Pass, Reconciler
from tests.controller.fakes import (
    NAMESPACE,
    START,
    FakeQueue,
    Watched,
    canary,
    deployment,
    endpoint,
    ingress,
    service,
    slice_of,
)

Planned = Callable[[Observed], Plan]
KEY = (NAMESPACE, "app")
NOTHING = Plan()


def ref(kind: Kind, name: str = "app") -> Ref:
    return Ref(kind=kind, namespace=NAMESPACE, name=name)


STABLE = ref(objects.DEPLOYMENT)
SLICES = ref(objects.ENDPOINT_SLICE)


def label(value: str = "app", **more: Any) -> Edit:
    """A write that the fake server always takes."""
    return Edit(
        kind=objects.DEPLOYMENT,
        namespace=NAMESPACE,
        name="app",
        operations=({"op": "add", "path": "/metadata/labels", "value": {names.HELD: value}},),
        why="took the hold",
        **more,
    )


def tell(text: str = "t") -> Edit:
    """A write on the Service."""
    return Edit(
        kind=objects.SERVICE,
        namespace=NAMESPACE,
        name="app",
        operations=({"op": "add", "path": "/metadata/annotations", "value": {names.STATUS: text}},),
        why="told the stage",
    )


class Bench:
    """A reconciler whose plans a test writes."""

    def __init__(self) -> None:
        self.world = Watched()
        self.world.put(objects.SERVICE, service())
        self.world.put(objects.DEPLOYMENT, deployment())
        self.world.put(objects.INGRESS, ingress())
        self.world.put(objects.ENDPOINT_SLICE, slice_of("app", endpoint("app-1-x")))
        self.queue = FakeQueue()
        self.seen: list[Observed] = []
        self.moments: list[datetime] = []
        self.plan: Planned = lambda _observed: NOTHING
        self.reconciler = Reconciler(
            client=self.world.server,
            observer=self.world.observer,
            applier=Applier(
                self.world.server, self.world.observer, tell=lambda _about, _event: None
            ),
            queue=self.queue,
            decide=self._decide,
            hold=lambda: "admission",
            gatherer=Gatherer(
                None,
                pods=self.world.server,
                changed=lambda _key: None,
                now=self.world.server.server_time,
            ),
            monotonic=self.world.clock.monotonic,
        )

    async def run(self, plan: Plan | None = None) -> Pass:
        """Make one pass, with this plan whatever is seen."""
        if plan is not None:
            self.plan = lambda _observed: plan
        self.queue.told.clear()
        self.seen.clear()
        self.world.server.calls.clear()
        return await self.reconciler.reconcile(KEY)

    async def run_against(self, *errors: Exception, wake: float | None = None) -> Pass:
        """Make one pass whose only write meets these errors, one after the other."""
        self.world.server.fail("json_patch", objects.DEPLOYMENT, "app", *errors)
        return await self.run(Plan(writes=(label(),), wake_seconds=wake))

    def _decide(self, observed: Observed, now: datetime) -> Plan:
        self.seen.append(observed)
        self.moments.append(now)
        return self.plan(observed)


@pytest.fixture
def bench() -> Bench:
    return Bench()


async def test_a_pass_that_finds_nothing_to_do_says_nothing_and_forgets(bench: Bench) -> None:
    made = await bench.run(NOTHING)

    assert made == Pass(plan=NOTHING)
    assert made.outcome == "success"
    assert bench.queue.told == [("forget", KEY)]
    assert bench.world.server.calls == []
    assert bench.moments == [START]


async def test_the_plan_sees_the_world_the_hold_and_no_refusal(bench: Bench) -> None:
    await bench.run(NOTHING)

    (seen,) = bench.seen
    assert (seen.hold, seen.refusal, seen.confirmed) == ("admission", "", frozenset())
    assert [objects.name_of(it) for it in seen.deployments] == ["app"]


async def test_a_plan_that_waits_is_looked_at_again_in_time(bench: Bench) -> None:
    await bench.run(Plan(wake_seconds=7.5))

    assert bench.queue.told == [("forget", KEY), ("add_after", KEY, 7.5)]


async def test_what_was_written_is_looked_at_once_more_and_is_slowed_down(bench: Bench) -> None:
    await bench.run(Plan(writes=(label(),), wake_seconds=7.5))

    assert bench.queue.told == [("add_rate_limited", KEY), ("add_after", KEY, 7.5)]
    assert bench.world.observer.held_deployments() != []


# Quorum reads.


async def test_nothing_is_written_before_what_it_rests_on_was_read(bench: Bench) -> None:
    await bench.run(Plan(writes=(label(confirm=frozenset({STABLE, SLICES})),)))

    assert bench.world.server.calls == [
        ("get", "Deployment", "app"),
        ("list", "EndpointSlice", "kubernetes.io/service-name=app"),
        ("json_patch", "Deployment", "app"),
    ]


async def test_a_plan_is_made_once_where_the_reads_find_what_it_saw(bench: Bench) -> None:
    await bench.run(Plan(writes=(label(confirm=frozenset({STABLE, SLICES})),)))

    assert [seen.confirmed for seen in bench.seen] == [frozenset()]


async def test_a_plan_is_made_again_where_something_arrived_during_the_reads(bench: Bench) -> None:
    bench.queue.dirty.add(KEY)

    await bench.run(Plan(writes=(label(confirm=frozenset({STABLE, SLICES})),)))

    assert [seen.confirmed for seen in bench.seen] == [frozenset(), frozenset({STABLE, SLICES})]


@pytest.mark.parametrize(
    ("kind", "newer"),
    [
        (objects.DEPLOYMENT, deployment(replicas=9)),
        (objects.ENDPOINT_SLICE, slice_of("app", endpoint("app-1-y"))),
    ],
)
async def test_a_plan_is_made_again_where_a_read_finds_something_newer(
    bench: Bench, kind: Kind, newer: objects.Object
) -> None:
    bench.world.server.put(kind, newer)

    await bench.run(Plan(writes=(label(confirm=frozenset({STABLE, SLICES})),)))

    assert [seen.confirmed for seen in bench.seen] == [frozenset(), frozenset({STABLE, SLICES})]


async def test_a_plan_changes_its_mind_when_the_fresh_read_differs(bench: Bench) -> None:
    bench.world.server.put(objects.DEPLOYMENT, deployment(replicas=9))

    def plan(observed: Observed) -> Plan:
        if objects.replicas_of(observed.deployments[0]) == 9:
            return NOTHING
        return Plan(writes=(label(confirm=frozenset({STABLE})),))

    bench.plan = plan
    made = await bench.run()

    assert made == Pass(plan=NOTHING)
    assert bench.world.server.calls == [("get", "Deployment", "app")]


async def test_a_read_that_finds_nothing_says_so_to_the_plan_and_the_cache(bench: Bench) -> None:
    bench.world.server.remove(objects.DEPLOYMENT, "app")

    await bench.run(Plan(writes=(label(confirm=frozenset({STABLE})),)))

    assert [len(seen.deployments) for seen in bench.seen] == [1, 0]
    assert bench.world.stores.get(objects.DEPLOYMENT, NAMESPACE, "app") is None


async def test_a_missing_object_that_was_not_known_stays_unknown(bench: Bench) -> None:
    await bench.run(Plan(writes=(label(confirm=frozenset({ref(objects.INGRESS, "nobody")})),)))

    assert bench.world.stores.get(objects.INGRESS, NAMESPACE, "nobody") is None


async def test_a_plan_that_never_stops_asking_starts_anew_later(bench: Bench) -> None:
    bench.plan = lambda observed: Plan(
        writes=(label(confirm=frozenset({ref(objects.SERVICE, f"s{len(observed.confirmed)}")})),),
    )

    bench.queue.dirty.add(KEY)
    await bench.run()

    assert bench.queue.told == [("add_rate_limited", KEY)]
    assert len(bench.world.server.calls) == ROUNDS
    assert ("json_patch", "Deployment", "app") not in bench.world.server.calls


async def test_what_rests_on_a_read_that_failed_is_left_out_and_the_rest_is_written(
    bench: Bench,
) -> None:
    bench.world.server.fail("get", objects.DEPLOYMENT, "app", UnavailableError("503"))

    made = await bench.run(Plan(writes=(label(confirm=frozenset({STABLE})), tell())))

    assert made.outcome == "UnavailableError"
    assert bench.world.server.calls == [
        ("get", "Deployment", "app"),
        ("json_patch", "Service", "app"),
    ]
    assert bench.queue.told == [("add_rate_limited", KEY)]


async def test_what_rests_on_old_reads_is_left_out(bench: Bench) -> None:
    def plan(observed: Observed) -> Plan:
        if observed.confirmed:
            bench.world.clock.advance(FRESH_SECONDS + 1)
        return Plan(writes=(label(confirm=frozenset({STABLE})), tell()))

    bench.plan = plan
    bench.queue.dirty.add(KEY)
    made = await bench.run()

    assert made.outcome == "UnsettledError"
    assert bench.world.server.calls == [
        ("get", "Deployment", "app"),
        ("json_patch", "Service", "app"),
    ]
    assert bench.queue.told == [("add_rate_limited", KEY)]


async def test_a_bug_in_a_read_ends_the_pass(bench: Bench) -> None:
    bench.world.server.fail("get", objects.DEPLOYMENT, "app", KeyError("bug"))

    made = await bench.run(Plan(writes=(label(confirm=frozenset({STABLE})), tell())))

    assert made.outcome == "KeyError"
    assert bench.queue.told == [("add_rate_limited", KEY)]


async def test_slices_that_no_watch_shows_are_read_first(bench: Bench) -> None:
    bench.world.put(objects.SERVICE, service(labels={}))
    bench.world.put(objects.DEPLOYMENT, canary())

    await bench.run(NOTHING)

    assert bench.world.server.calls == [("list", "EndpointSlice", "kubernetes.io/service-name=app")]
    assert [seen.confirmed for seen in bench.seen] == [frozenset({SLICES})]


async def test_nothing_is_decided_without_slices_that_no_watch_shows(bench: Bench) -> None:
    bench.world.put(objects.SERVICE, service(labels={}))
    bench.world.put(objects.DEPLOYMENT, canary())
    bench.world.server.fail_any("list", objects.ENDPOINT_SLICE, UnavailableError("503"))

    made = await bench.run(Plan(writes=(label(),)))

    assert (made.outcome, bench.seen) == ("UnavailableError", [])
    assert bench.queue.told == [("add_rate_limited", KEY)]


# The table of exceptions (house.md section 3).


@pytest.mark.parametrize(
    "error",
    [
        ConflictError("409"),
        GoneError("422"),
        NotFoundError("404"),
        UnavailableError("503"),
        ForbiddenError("403"),
        RejectedError("422"),
        KeyError("bug"),
    ],
)
async def test_a_failed_write_is_tried_again_with_back_off(bench: Bench, error: Exception) -> None:
    made = await bench.run_against(error, wake=30)

    assert made.errors == (error,)
    assert bench.queue.told == [("add_rate_limited", KEY), ("add_after", KEY, 30)]


async def test_patience_that_was_asked_for_is_kept(bench: Bench) -> None:
    await bench.run_against(ThrottledError("429", 17.0), wake=3)

    assert bench.queue.told == [("add_after", KEY, 17.0)]


@pytest.mark.parametrize("error", [ConflictError("409"), GoneError("422"), NotFoundError("404")])
async def test_what_could_not_be_written_is_read_before_the_next_plan(
    bench: Bench, error: Exception
) -> None:
    await bench.run_against(error)
    await bench.run(NOTHING)

    assert bench.world.server.calls == [("get", "Deployment", "app")]
    assert bench.seen[0].confirmed == frozenset({STABLE})

    await bench.run(NOTHING)
    assert bench.world.server.calls == []


async def test_a_doubt_that_cannot_be_cleared_delays_nothing(bench: Bench) -> None:
    await bench.run_against(ConflictError("409"))
    bench.world.server.fail("get", objects.DEPLOYMENT, "app", ForbiddenError("403"))

    made = await bench.run(Plan(writes=(tell(),)))

    assert made.errors == ()
    assert ("json_patch", "Service", "app") in bench.world.server.calls


@pytest.mark.parametrize("error", [ForbiddenError("403: quota"), RejectedError("422: bad port")])
async def test_a_refusal_is_told_until_a_pass_succeeds(bench: Bench, error: Exception) -> None:
    await bench.run_against(error)
    assert bench.reconciler.last_refusal == {KEY: str(error)}

    await bench.run_against(UnavailableError("503"))
    assert bench.seen[0].refusal == str(error)

    await bench.run(Plan(writes=(tell(),)))
    assert bench.seen[0].refusal == str(error)

    await bench.run(NOTHING)
    assert bench.seen[0].refusal == ""
    assert bench.reconciler.last_refusal == {}


async def test_one_failure_stops_no_other_write(bench: Bench) -> None:
    bench.world.server.fail("json_patch", objects.DEPLOYMENT, "app", UnavailableError("503"))

    writes: tuple[Write, ...] = (label(), tell())
    await bench.run(Plan(writes=writes))

    stored = bench.world.server.objects[ref(objects.SERVICE)]
    assert objects.annotations_of(stored) == {names.STATUS: "t"}


async def test_a_bug_in_the_plan_costs_one_release_a_delay(bench: Bench) -> None:
    def plan(_observed: Observed) -> Plan:
        raise ZeroDivisionError

    bench.plan = plan
    made = await bench.run()

    assert made.outcome == "ZeroDivisionError"
    assert bench.queue.told == [("add_rate_limited", KEY)]


async def test_a_service_that_is_gone_is_planned_for_like_any_other(bench: Bench) -> None:
    bench.world.remove(objects.SERVICE, "app")

    await bench.run(NOTHING)

    assert bench.seen[0].service is None
    assert bench.queue.told == [("forget", KEY)]
