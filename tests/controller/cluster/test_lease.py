import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from controller.api.errors import (
    ClusterError,
    ConflictError,
    ForbiddenError,
    NotFoundError,
    UnavailableError,
)
from controller.api.objects import Kind, Object
from controller.cluster.lease import Elector, Timing
from tests.controller.cluster.clocks import FakeClock, settle

TIMING = Timing()


class Leases:
    """A server with one Lease, and with faults."""

    def __init__(self, spec: dict[str, Any] | None = None) -> None:
        self.version = 1
        self.spec = spec
        self.fault: str | ClusterError = ""
        self.writes: list[Any] = []

    @property
    def holder(self) -> Any:
        return (self.spec or {}).get("holderIdentity")

    def lease(self) -> Object:
        meta = {"name": "serinus", "namespace": "ops", "resourceVersion": str(self.version)}
        return {"metadata": meta, "spec": self.spec}

    async def get(self, kind: Kind, namespace: str | None, name: str) -> Object:
        await self._fail()
        assert (str(kind), namespace, name) == ("Lease", "ops", "serinus")
        if self.spec is None:
            raise NotFoundError("get Lease ops/serinus: 404")
        return self.lease()

    async def create(self, kind: Kind, obj: Object) -> Object:
        await self._fail()
        assert str(kind) == "Lease"
        if self.spec is not None:
            raise ConflictError("create Lease ops/serinus: 409 AlreadyExists")
        return self._write(obj)

    async def replace(self, kind: Kind, obj: Object) -> Object:
        await self._fail()
        assert str(kind) == "Lease"
        if self.spec is None:
            raise NotFoundError("update Lease ops/serinus: 404")
        if obj["metadata"]["resourceVersion"] != str(self.version):
            raise ConflictError("update Lease ops/serinus: 409")
        written = self._write(obj)
        if self.fault == "answer lost":
            raise UnavailableError("update Lease ops/serinus: reset")
        return written

    def edit(self, **fields: Any) -> None:
        """Write as somebody else."""
        self.spec = {**(self.spec or {}), **fields}
        self.version += 1

    def _write(self, obj: Object) -> Object:
        self.spec = dict(obj["spec"])
        self.version += 1
        self.writes.append(self.spec)
        return self.lease()

    async def _fail(self) -> None:
        if self.fault == "hang":
            await asyncio.Event().wait()
        if isinstance(self.fault, ClusterError):
            raise self.fault


class Instance:
    """A process: its elector, and whether its writers run."""

    def __init__(self, leases: Leases, clock: FakeClock, identity: str) -> None:
        self.clock = clock
        self._leads = False
        self.story: list[object] = []
        self.elector = Elector(
            leases, namespace="ops", identity=identity, clock=clock, changed=self.story.append
        )
        self.task = asyncio.create_task(self.elector.run(self.lead))

    def leads(self) -> bool:
        return self._leads

    async def lead(self) -> None:
        self._leads = True
        try:
            await asyncio.Event().wait()
        finally:
            self._leads = False
            self.story.append(f"ended at {self.clock.time - 1000:g}")

    async def stop(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


Start = Callable[[str], Instance]


@asynccontextmanager
async def instances(leases: Leases, clock: FakeClock) -> AsyncIterator[Start]:
    started: list[Instance] = []

    def start(identity: str) -> Instance:
        started.append(Instance(leases, clock, identity))
        return started[-1]

    try:
        yield start
    finally:
        for instance in started:
            await instance.stop()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def foreign(**fields: Any) -> dict[str, Any]:
    return {
        "holderIdentity": "other",
        "leaseDurationSeconds": 15,
        "renewTime": "2020-01-01T00:00:00.000000Z",
        "leaseTransitions": 3,
        **fields,
    }


async def test_creates_the_lease_and_leads(clock: FakeClock) -> None:
    leases = Leases()
    async with instances(leases, clock) as start:
        me = start("me")
        await settle()
        assert me.leads()
        assert me.elector.is_held()
        assert leases.spec == {
            "holderIdentity": "me",
            "leaseDurationSeconds": 15,
            "acquireTime": "2026-11-22T12:00:00.000000Z",
            "renewTime": "2026-11-22T12:00:00.000000Z",
            "leaseTransitions": 0,
        }
        assert me.story == [1]


async def test_renews_without_changing_when_it_was_acquired(clock: FakeClock) -> None:
    leases = Leases()
    async with instances(leases, clock) as start:
        me = start("me")
        await clock.advance(60.5)
        assert me.leads()
        assert leases.spec is not None
        assert leases.spec["acquireTime"] == "2026-11-22T12:00:00.000000Z"
        assert leases.spec["renewTime"] == "2026-11-22T12:01:00.000000Z"
        assert leases.spec["leaseTransitions"] == 0


async def test_waits_out_another_holder_by_its_own_clock(clock: FakeClock) -> None:
    leases = Leases(foreign())
    async with instances(leases, clock) as start:
        me = start("me")
        await clock.advance(15)
        assert not me.leads()
        await clock.advance(3)
        assert me.leads()
        assert leases.spec is not None
        assert leases.spec["leaseTransitions"] == 4


async def test_never_leads_beside_one_who_renews(clock: FakeClock) -> None:
    leases = Leases(foreign())
    async with instances(leases, clock) as start:
        me = start("me")
        for minute in range(10):
            leases.edit(renewTime=f"2020-01-01T00:0{minute}:00.000000Z")
            await clock.advance(14)
        assert me.story == []


async def test_takes_a_released_lease_at_once_and_keeps_what_it_does_not_know(
    clock: FakeClock,
) -> None:
    leases = Leases(foreign(holderIdentity="", strategy="OldestEmulationVersion"))
    async with instances(leases, clock) as start:
        me = start("me")
        await settle()
        assert me.leads()
        assert leases.spec is not None
        assert leases.spec["strategy"] == "OldestEmulationVersion"


@pytest.mark.parametrize(
    "fault", ["hang", UnavailableError("reset"), ForbiddenError("no"), ConflictError("again")]
)
async def test_ends_its_writers_before_the_lease_can_lapse(
    clock: FakeClock, fault: str | ClusterError
) -> None:
    leases = Leases()
    async with instances(leases, clock) as start:
        me = start("me")
        await clock.advance(20.5)
        leases.fault = fault
        await clock.advance(9.4)
        assert me.leads()
        await clock.advance(0.2)
        assert not me.leads()
        assert not me.elector.is_held()
        # The last renewal was at 20 s: the Lease lapses at 35 s, the writers ended at 30 s.
        assert me.story == [1, 0, "ended at 30"]


async def test_leads_again_when_the_server_is_back(clock: FakeClock) -> None:
    leases = Leases()
    async with instances(leases, clock) as start:
        me = start("me")
        await settle()
        leases.fault = "hang"
        await clock.advance(60)
        leases.fault = ""
        await clock.advance(10)
        assert me.leads()
        assert me.story[-1] == 1


async def test_short_outage_ends_nothing(clock: FakeClock) -> None:
    leases = Leases()
    async with instances(leases, clock) as start:
        me = start("me")
        await clock.advance(10.5)
        leases.fault = UnavailableError("reset")
        await clock.advance(7)
        leases.fault = ""
        await clock.advance(30)
        assert me.story == [1]


async def test_renewal_whose_answer_was_lost_is_no_loss(clock: FakeClock) -> None:
    leases = Leases()
    async with instances(leases, clock) as start:
        me = start("me")
        await settle()
        leases.fault = "answer lost"
        await clock.advance(2.5)
        leases.fault = ""
        await clock.advance(30)
        assert me.story == [1]


async def test_edit_by_somebody_else_is_no_loss(clock: FakeClock) -> None:
    leases = Leases()
    async with instances(leases, clock) as start:
        me = start("me")
        await settle()
        leases.edit(note="hello")
        await clock.advance(30)
        assert me.story == [1]


async def test_another_holder_ends_the_writers_at_the_next_renewal(clock: FakeClock) -> None:
    leases = Leases()
    async with instances(leases, clock) as start:
        me = start("me")
        await settle()
        leases.edit(holderIdentity="other")
        await clock.advance(2.1)
        assert me.story == [1, 0, "ended at 2"]
        assert leases.holder == "other"


async def test_deleted_lease_is_lost(clock: FakeClock) -> None:
    leases = Leases()
    async with instances(leases, clock) as start:
        me = start("me")
        await settle()
        leases.spec = None
        await clock.advance(2.1)
        assert me.story[:3] == [1, 0, "ended at 2"]


async def test_releases_when_it_is_stopped_so_that_the_next_begins_at_once(
    clock: FakeClock,
) -> None:
    leases = Leases()
    async with instances(leases, clock) as start:
        me, next_one = start("me"), start("next")
        await clock.advance(5)
        await me.stop()
        assert me.story == [1, 0, "ended at 5"]
        assert leases.spec is not None
        assert (leases.holder, leases.spec["leaseDurationSeconds"]) == ("", 1)
        await clock.advance(2.1)
        assert next_one.leads()
        assert leases.spec["leaseTransitions"] == 1


async def test_stops_even_where_the_release_hangs(clock: FakeClock) -> None:
    leases = Leases()
    async with instances(leases, clock) as start:
        me = start("me")
        await settle()
        leases.fault = "hang"
        me.task.cancel()
        await clock.advance(TIMING.request)
        assert me.task.done()
        assert leases.holder == "me"


async def test_releases_nothing_it_does_not_hold(clock: FakeClock) -> None:
    leases = Leases(foreign())
    async with instances(leases, clock) as start:
        me = start("me")
        await clock.advance(5)
        await me.stop()
    assert leases.writes == []


async def test_two_instances_never_lead_together(clock: FakeClock) -> None:
    leases = Leases()
    async with instances(leases, clock) as start:
        both = [start("one"), start("two")]
        faults: list[str | ClusterError] = [
            "",
            "hang",
            "",
            UnavailableError("x"),
            "",
            "answer lost",
            "",
        ]
        for fault in faults:
            leases.fault = fault
            for _ in range(50):
                await clock.advance(0.5)
                assert sum(it.leads() for it in both) <= 1
        assert sum(it.leads() for it in both) == 1


async def test_end_of_the_work_ends_the_run_and_releases(clock: FakeClock) -> None:
    leases = Leases()

    async def work() -> None:
        await clock.sleep(3)

    elector = Elector(leases, namespace="ops", identity="me", clock=clock)
    task = asyncio.create_task(elector.run(work))
    await clock.advance(4)
    assert task.done()
    await task
    assert leases.holder == ""


async def test_failure_of_the_work_is_raised_and_releases(clock: FakeClock) -> None:
    leases = Leases()

    async def work() -> None:
        raise LookupError

    elector = Elector(leases, namespace="ops", identity="me", clock=clock)
    with pytest.raises(LookupError):
        await elector.run(work)
    assert leases.holder == ""


async def test_frozen_process_holds_nothing_when_it_wakes(clock: FakeClock) -> None:
    leases = Leases()
    async with instances(leases, clock) as start:
        me = start("me")
        await settle()
        clock.time += 60
        assert not me.elector.is_held()
        leases.edit(holderIdentity="other")
        await clock.advance(0)
        assert not me.leads()


async def test_is_alive_while_it_tries(clock: FakeClock) -> None:
    leases = Leases(foreign())
    async with instances(leases, clock) as start:
        me = start("me")
        leases.fault = "hang"
        await clock.advance(120)
        assert me.elector.problem() is None
        await me.stop()
        await clock.advance(31)
        assert me.elector.problem() == "lease: nothing tried for 31 s"
