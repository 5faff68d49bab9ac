"""Questions outside of passes: when they are asked, once each, and what an unkind server does."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from controller.api.check import parse_check
from controller.api.errors import EvidenceError, UnavailableError
from controller.api.series import Series
from controller.cluster.client import Listing
from controller.gatherer import ASKED_AT_ONCE, Gatherer
from controller.plan.inquiry import Gathered, Inquiry
from controller.plan.restarts import Containers
from controller.plan.sources import Traefik, Upstream
from controller.tracker import Key
from tests.controller.plan.windows import count
from tests.world.virtual import EPOCH, VirtualLoop

KEY = ("canary", "myapp")
STABLE = "canary-web-myapp-80@kubernetesingressnginx"
CANARY = "canary-web-myapp-80-canary@kubernetesingressnginx"
TRAEFIK = Traefik(
    upstreams=(Upstream(namespace="canary", ingress="web", service="myapp", port="80"),)
)


def inquiry(*checks: str, since: float = EPOCH, **more: Any) -> Inquiry:
    asked = tuple(map(parse_check, checks or ("error-rate",)))
    return Inquiry(since=since, checks=asked, plane=TRAEFIK, **more)


@dataclass(slots=True)
class Server:
    """Counters that grow by 9 and 1 a second, and what shall go wrong.

    Attributes:
        asked: (start, end, step) of each question for a check, in seconds since the world began.
        kinds: the same of each question about kinds of requests.
    """

    seconds: float = 0.5
    error: Exception | None = None
    asked: list[tuple[float, float, float]] = field(default_factory=list)
    kinds: list[tuple[float, float, float]] = field(default_factory=list)
    together: int = 0
    most: int = 0

    async def samples(
        self, query: str, *, start: float, end: float, step: float
    ) -> tuple[Series, ...]:
        assert STABLE.partition("@")[0] in query
        asked = self.kinds if ",method," in query else self.asked
        asked.append((start - EPOCH, end - EPOCH, step))
        self.together += 1
        self.most = max(self.most, self.together)
        await asyncio.sleep(self.seconds)
        self.together -= 1
        if self.error is not None:
            raise self.error
        moments = [start + number * step for number in range(round((end - start) / step) + 1)]
        return tuple(
            Series(
                labels={
                    "instance": "a",
                    "service": service,
                    "method": "GET",
                    "code": "200",
                },
                samples=tuple((at, rate * (at - EPOCH + 7200)) for at in moments),
            )
            for service, rate in ((STABLE, 9.0), (CANARY, 1.0))
        )


@dataclass(slots=True)
class Pods:
    error: Exception | None = None
    asked: list[str] = field(default_factory=list)

    async def list(self, kind: Any, namespace: str | None, *, labels: str = "") -> Listing:
        self.asked.append(f"{kind} {namespace} {labels}")
        if self.error is not None:
            raise self.error
        pod = {"metadata": {"name": "p"}, "status": {"containerStatuses": [{"name": "app"}]}}
        return Listing(items=(pod,), version="1")


class Bench:
    """A gatherer in virtual time."""

    def __init__(self, server: Server | None = None) -> None:
        self.loop = VirtualLoop()
        self.server = server or Server()
        self.pods = Pods()
        self.told: list[tuple[float, Key]] = []
        self.counted: list[tuple[float, bool]] = []
        self.gatherer = self.loop.run_until_complete(self._made())

    async def _made(self) -> Gatherer:
        return Gatherer(
            self.server,
            pods=self.pods,
            changed=lambda key: self.told.append((round(self.loop.time(), 1), key)),
            now=lambda: datetime.fromtimestamp(EPOCH + self.loop.time(), UTC),
            counted=self._count,
        )

    def _count(self, seconds: float, *, answered: bool) -> None:
        self.counted.append((round(seconds, 1), answered))

    def run(self, seconds: float, *first: Callable[[], None]) -> None:
        """Let it work for so long."""

        async def story() -> None:
            for step in first:
                step()
            working = asyncio.create_task(self.gatherer.run())
            await asyncio.sleep(seconds)
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)

        self.loop.run_until_complete(story())

    def want(self, asked: Inquiry | None, key: Key = KEY) -> Callable[[], None]:
        return lambda: self.gatherer.want(key, asked)

    @property
    def newest(self) -> Gathered:
        found = self.gatherer.newest(KEY)
        assert found is not None
        return found

    def problem(self) -> str:
        (evidence,) = self.newest.evidence
        return evidence.problem

    def close(self) -> None:
        self.loop.close()


@pytest.fixture
def bench() -> Any:
    made = Bench()
    yield made
    made.close()


def test_before_anybody_asks_nothing_is_known(bench: Bench) -> None:
    bench.run(60)
    assert bench.gatherer.newest(KEY) is None
    assert (bench.server.asked, bench.told, bench.counted) == ([], [], [])


def test_asks_at_once_and_then_whenever_a_window_is_over(bench: Bench) -> None:
    bench.run(52, bench.want(inquiry()))
    assert bench.told == [(1.0, KEY), (5.0, KEY), (21.0, KEY), (36.0, KEY), (51.0, KEY)]
    assert bench.server.asked == [
        (-3600, 0, 15),
        (0, 15, 15),
        (0, 30, 15),
        (0, 45, 15),
    ]
    (evidence,) = bench.newest.evidence
    assert [(it.canary, it.stable) for it in evidence.windows] == [(count(15), count(135))] * 3
    assert evidence.history == (count(135),) * 240
    assert bench.newest.at == pytest.approx(EPOCH + 50)


def test_the_same_wish_again_asks_nothing_more(bench: Bench) -> None:
    bench.run(4, bench.want(inquiry()), bench.want(inquiry()))
    assert len(bench.server.asked) == 1


def test_checks_that_need_the_same_ask_once(bench: Bench) -> None:
    bench.run(20.9, bench.want(inquiry("error-rate", "success>=99%")))
    assert len(bench.server.asked) == 2
    first, second = bench.newest.evidence
    assert (first.criterion.check, second.criterion.check) == ("error-rate", "success>=99%")
    assert first.windows == second.windows


def test_another_wish_begins_anew(bench: Bench) -> None:
    bench.run(4, bench.want(inquiry()))
    bench.run(2, bench.want(inquiry("success>=99%")))
    assert [it.criterion.check for it in bench.newest.evidence] == ["success>=99%"]


def test_a_wish_that_is_taken_back_ends_the_questions(bench: Bench) -> None:
    bench.run(4, bench.want(inquiry()))
    bench.run(60, bench.want(None))
    assert bench.gatherer.newest(KEY) is None
    assert len(bench.server.asked) == 1


def test_an_answer_that_nobody_waits_for_any_more_is_dropped() -> None:
    bench = Bench(Server(seconds=2))
    bench.run(1, bench.want(inquiry()))
    bench.run(0.1, bench.want(None))
    bench.run(3)
    assert (bench.gatherer.newest(KEY), bench.told) == (None, [])
    bench.close()


def test_what_is_long_over_is_asked_for_once(bench: Bench) -> None:
    """Two hours ago: the first two pieces are settled, the last one grows."""
    bench.run(21, bench.want(inquiry(since=EPOCH - 7300)))
    pieces = [asked[:2] for asked in bench.server.asked]
    assert pieces.count((-7300, -3700)) == 1
    assert pieces.count((-3700, -100)) == 1
    assert [start for start, _ in pieces].count(-100) == 2
    (evidence,) = bench.newest.evidence
    assert [it.ends - EPOCH for it in evidence.windows[-2:]] == [-10, 5]
    assert len(evidence.windows) == 487


def test_kinds_are_asked_for_where_coverage_is(bench: Bench) -> None:
    bench.run(36, bench.want(inquiry("coverage>=95%")))
    found = bench.newest
    assert found.tried is not None
    (kind,) = found.tried.kinds
    assert kind.text == "GET 2xx"
    assert [kind.stable, kind.canary] == pytest.approx([9 * 3630, 30])
    assert [it.criterion.check for it in found.evidence] == []
    first, *_, last = bench.server.kinds
    assert [first, last] == [(-3600, 0, 180), (0, 30, 1.5)]


def test_pods_are_listed_where_restarts_are_asked_for(bench: Bench) -> None:
    bare = Inquiry(since=EPOCH, checks=(parse_check("restarts"),), pods=("a=b", "c=d"))
    bench.run(6, bench.want(bare))
    assert bench.pods.asked == ["Pod canary a=b", "Pod canary c=d"] * 2
    assert bench.newest.containers == Containers(canary=count(1), stable=count(1))
    assert (bench.server.asked, bench.counted) == ([], [])


def test_an_api_server_that_does_not_answer_is_no_data_for_restarts(bench: Bench) -> None:
    bench.pods.error = UnavailableError("the server is gone")
    asked = inquiry("error-rate", "restarts", pods=("a=b", "c=d"))
    bench.run(21, bench.want(asked))
    assert bench.newest.containers == Containers(problem="the server is gone")
    (evidence,) = bench.newest.evidence
    assert len(evidence.windows) == 1


# Servers that are not kind.


def test_a_server_without_an_answer_is_asked_again_with_the_next_window(bench: Bench) -> None:
    bench.server.error = EvidenceError("answered 503")
    bench.run(6, bench.want(inquiry("error-rate")))
    assert bench.problem() == "answered 503"
    assert bench.counted == [(0.5, False), (0.5, False)]
    assert bench.server.kinds == []
    bench.server.error = None
    bench.run(20)
    assert bench.problem() == ""
    assert bench.counted[2:] == [(2.0, True)]


def test_a_slow_server_keeps_the_others_waiting_for_no_pass() -> None:
    bench = Bench(Server(seconds=5))
    keys = [("canary", f"s{number}") for number in range(10)]
    bench.run(45, *(bench.want(inquiry(), key) for key in keys))
    assert bench.server.most == ASKED_AT_ONCE
    assert {key for _, key in bench.told} == set(keys)
    bench.close()


def test_a_bug_costs_one_release_its_evidence(bench: Bench) -> None:
    bench.server.error = RuntimeError("odd")
    bench.run(1, bench.want(inquiry()))
    assert bench.problem() == "a bug: RuntimeError"
    bench.server.error = None
    bench.run(6)
    assert bench.problem() == ""


def test_without_a_metrics_server_there_is_no_answer() -> None:
    bench = Bench()
    bench.gatherer._server = None
    bench.run(1, bench.want(inquiry()))
    assert bench.problem() == "there is no metrics server"
    bench.close()
