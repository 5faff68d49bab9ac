"""The load generator: where it may send, when it stops, what it blames on whom."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator

import pytest

from e2e.bed.addresses import AddressBlock, free_port
from e2e.bed.backend import Backend
from e2e.bed.client import Client, ForeignTargetError, Request, Target, census
from e2e.bed.container import Settings
from e2e.bed.load import Load, Outcome, Report, ordinary_requests
from e2e.bed.polling import wait_until


@pytest.fixture
async def target() -> AsyncIterator[Target]:
    block = AddressBlock()
    settings = Settings(
        namespace="x", pod="one", image="app:v1", version="v1", track="stable", ports=(free_port(),)
    )
    backend = Backend(settings, block.issue())
    await backend.open()
    yield Target(address=backend.address, port=settings.ports[0])
    backend.kill()
    block.release()


@pytest.mark.parametrize(
    "address", ["192.0.2.1", "10.0.0.1", "0.0.0.0", "2001:db8::1", "localhost"]
)
def test_refuses_an_address_that_is_not_loopback(address: str) -> None:
    with pytest.raises(ForeignTargetError, match=address):
        Target(address=address, port=80)


def test_a_network_must_be_named_to_be_allowed() -> None:
    assert Target(address="10.99.0.7", port=80, networks=("10.99.0.0/16",)).address == "10.99.0.7"
    with pytest.raises(ForeignTargetError):
        Target(address="10.98.0.7", port=80, networks=("10.99.0.0/16",))


async def test_stops_at_the_count(target: Target) -> None:
    report = await Load(target, ordinary_requests("x"), rate=1000, count=40, seconds=10).run()
    assert (report.sent, report.failures) == (40, [])
    kinds = Counter(outcome.kind for outcome in report.outcomes)
    assert kinds == {"keep-alive GET": 10, "keep-alive POST": 10, "fresh GET": 10, "fresh POST": 10}


async def test_stops_at_the_deadline_and_when_told(target: Target) -> None:
    requests = ordinary_requests("x")
    late = await Load(target, requests, rate=100, count=10_000, seconds=0.2).run()
    assert 0 < late.sent <= 25
    told = Load(target, requests, rate=100, count=10_000, seconds=60)
    running = asyncio.create_task(told.run())
    await wait_until(lambda: told.sent)
    told.stop()
    assert (await running).sent < 10_000


async def test_a_tenth_goes_to_the_control(target: Target) -> None:
    report = await Load(
        target, ordinary_requests("x"), control_host="control.example", rate=1000, count=50
    ).run()
    assert sum(outcome.control for outcome in report.outcomes) == 5


async def test_a_refused_connection_is_a_failure(target: Target) -> None:
    nobody = Target(address=target.address, port=free_port())
    report = await Load(nobody, ordinary_requests("x"), rate=1000, count=4).run()
    assert report.failures_by_second == {0: Counter({"ConnectionRefusedError": 4})}


def test_failures_in_a_second_in_which_the_control_failed_are_excused() -> None:
    def outcome(second: int, *, control: bool, error: str) -> Outcome:
        return Outcome(
            second=second,
            phase="roll",
            kind="fresh GET",
            control=control,
            version="",
            error=error,
            seconds=0.001,
        )

    report = Report(
        outcomes=[
            outcome(0, control=False, error="502"),
            outcome(1, control=False, error="502"),
            outcome(1, control=True, error="TimeoutError"),
        ]
    )
    assert [failure.second for failure in report.failures] == [0]
    assert [failure.second for failure in report.excused] == [1]
    assert [failure.second for failure in report.control_failures] == [1]
    assert report.summary().startswith(
        "3 requests (- 2), 1 failed, "
        "1 more in 1 s in which the control failed too (1 of its requests); "
    )


async def test_a_request_is_late_by_what_the_generator_was_kept_busy(target: Target) -> None:
    load = Load(target, ordinary_requests("x"), rate=1000, count=100)
    running = asyncio.create_task(load.run())
    await wait_until(lambda: load.sent)
    time.sleep(0.05)  # noqa: ASYNC251 - this is what keeps it busy
    report = await running
    assert report.late_milliseconds(1) >= 45


async def test_a_census_counts_who_answered(target: Target) -> None:
    client = Client(target)
    assert await census(client, Request(host="x"), 30) == {"v1": 30}
    client.close()
