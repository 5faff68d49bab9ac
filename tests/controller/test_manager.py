# ruff: noqa: ARG002  # the arguments are the client's; a small server needs few of them
import asyncio
import gc
import io
import json
import logging
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import aiohttp
import pytest
import structlog

from controller import logs
from controller.__main__ import main
from controller.api import names, objects
from controller.api.errors import NotFoundError, UnavailableError
from controller.api.objects import Kind, Object
from controller.cluster.client import Client, Listing, Trim, WatchEvent
from controller.cluster.metrics import Metrics
from controller.figures import Figures
from controller.manager import Manager, parameters_of
from controller.plan.observed import Observed, Parameters
from controller.plan.writes import Edit, Event, Plan
from controller.reconciler import Pass
from controller.settings import Settings
from tests.controller.fakes import (
    NAMESPACE,
    FakeClock,
    FakeServer,
    Watched,
    deployment,
    service,
)
from tests.controller.virtual import run_virtually

KEY = (NAMESPACE, "app")
SETTINGS = Settings(http_address="127.0.0.1:0", hold="pause", workers=2)


class FakeApi(FakeServer):
    """A server with watches; a write is told to them at once."""

    namespace = "system"

    def __init__(self) -> None:
        super().__init__(FakeClock())
        self.watchers: list[tuple[Kind, asyncio.Queue[WatchEvent]]] = []
        self.is_up = True
        self.writing = asyncio.Event()
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.lease: Object | None = None

    def server_time(self) -> datetime:
        return datetime(2026, 11, 1, tzinfo=UTC) + timedelta(
            seconds=asyncio.get_running_loop().time()
        )

    def put(self, kind: Kind, obj: Object) -> Object:
        stored = super().put(kind, obj)
        for watched, events in self.watchers:
            if watched == kind:
                events.put_nowait(WatchEvent(kind="MODIFIED", object=stored))
        return stored

    async def list(
        self, kind: Kind, namespace: str | None, *, labels: str = "", trim: Trim | None = None
    ) -> Listing:
        if not self.is_up:
            raise UnavailableError("connection refused")
        found = [obj for ref, obj in self.objects.items() if ref.kind == kind]
        items = tuple(trim(obj) if trim else obj for obj in found)
        return Listing(items=items, version=self.version())

    async def watch(
        self, kind: Kind, namespace: str | None, *, version: str, labels: str = "", seconds: int
    ) -> AsyncGenerator[WatchEvent, None]:
        events: asyncio.Queue[WatchEvent] = asyncio.Queue()
        self.watchers.append((kind, events))
        while True:
            yield await events.get()

    async def json_patch(self, *args: Any, **more: Any) -> Object:
        self.writing.set()
        await self.may_answer.wait()
        return await super().json_patch(*args, **more)

    async def get(self, kind: Kind, namespace: str | None, name: str) -> Object:
        if kind != objects.LEASE:
            return await super().get(kind, namespace, name)
        if self.lease is None:
            raise NotFoundError("404")
        return self.lease

    async def create(self, kind: Kind, obj: Object) -> Object:
        return await (
            self.replace(kind, obj) if kind == objects.LEASE else super().create(kind, obj)
        )

    async def replace(self, kind: Kind, obj: Object) -> Object:
        assert kind == objects.LEASE
        if not self.is_up:
            raise UnavailableError("connection refused")
        self.lease = obj
        return obj

    @property
    def holder(self) -> str:
        return str(objects.spec_of(self.lease or {}).get("holderIdentity", ""))


class Process:
    """A manager at work, with a planner that writes once for every Service without a status."""

    def __init__(self, api: FakeApi, settings: Settings = SETTINGS) -> None:
        self.api = api
        self.metrics = Metrics()
        self.passes: list[str] = []
        self.manager = Manager(
            cast("Client", api), settings, decide=self._decide, metrics=self.metrics
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[asyncio.Event]:
        stop = asyncio.Event()
        run = asyncio.create_task(self.manager.run(stop))
        try:
            yield stop
            stop.set()
            await run
        finally:
            run.cancel()
            await asyncio.gather(run, return_exceptions=True)

    async def answer(self, path: str) -> tuple[int, str]:
        url = f"http://127.0.0.1:{self.manager.web.port}{path}"
        async with aiohttp.ClientSession() as session, session.get(url) as response:
            return response.status, await response.text()

    def _decide(self, observed: Observed, _now: datetime) -> Plan:
        self.passes.append(observed.name)
        if observed.service is None or names.STATUS in objects.annotations_of(observed.service):
            return Plan()
        text = json.dumps({"stage": "Canary", "since": "s", "weight": {"asked": 5, "written": 2}})
        operation = {"op": "add", "path": "/metadata/annotations", "value": {names.STATUS: text}}
        return Plan(
            writes=(
                Edit(
                    kind=objects.SERVICE,
                    namespace=observed.namespace,
                    name=observed.name,
                    operations=(operation,),
                    why="told the stage",
                    events=(Event(reason="Enrolled", message="m"),),
                ),
            )
        )


@pytest.fixture(autouse=True)
def _thawed() -> Iterator[None]:
    yield
    gc.unfreeze()


@pytest.fixture
def _own_logging() -> Iterator[None]:
    """Begin with structlog's defaults, and leave everything as it was."""
    root, configured = logging.getLogger(), structlog.get_config()
    handlers, level = list(root.handlers), root.level
    structlog.reset_defaults()
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.configure(**configured)


def furnished(api: FakeApi) -> FakeApi:
    api.put(objects.SERVICE, service())
    api.put(objects.DEPLOYMENT, deployment())
    return api


def test_every_release_gets_its_pass_and_every_change_another() -> None:
    async def story() -> None:
        process = Process(furnished(FakeApi()))
        async with process.running():
            await asyncio.sleep(2)
            assert set(process.passes) == {"app"}
            seen = len(process.passes)

            process.api.put(objects.DEPLOYMENT, deployment(replicas=7))
            await asyncio.sleep(1)
            assert len(process.passes) == seen + 1

            process.api.put(objects.SERVICE, service("second"))
            await asyncio.sleep(1)
            assert "second" in process.passes

    run_virtually(story())


def test_health_and_metrics_tell_what_goes_on() -> None:
    async def story() -> None:
        process = Process(furnished(FakeApi()))
        async with process.running():
            await asyncio.sleep(2)
            assert await process.answer("/healthz") == (200, "ok\n")
            assert await process.answer("/readyz") == (200, "ok\n")
            _, text = await process.answer("/metrics")

        told = set(text.splitlines())
        assert told >= {
            'serinus_canary_weight{namespace="shop",service="app",which="desired"} 5.0',
            'serinus_canary_weight{namespace="shop",service="app",which="observed"} 2.0',
            'serinus_canary_status{namespace="shop",service="app"} 0.0',
            'serinus_events_total{reason="Enrolled",type="Normal"} 1.0',
            'serinus_relists_total{kind="Service"} 1.0',
            "serinus_leader 1.0",
        }
        assert "serinus_leader 0.0" in process.metrics.text().decode()

    run_virtually(story())


def test_an_event_is_written_for_what_was_written() -> None:
    async def story() -> None:
        process = Process(furnished(FakeApi()))
        async with process.running():
            await asyncio.sleep(2)

        told = [obj for ref, obj in process.api.objects.items() if ref.kind == objects.EVENT]
        assert [it["reason"] for it in told] == ["Enrolled"]

    run_virtually(story())


@pytest.mark.usefixtures("_own_logging")
def test_starts_before_the_server_is_up_and_says_so_once() -> None:
    async def story() -> None:
        process = Process(furnished(FakeApi()))
        process.api.is_up = False
        with structlog.testing.capture_logs() as lines:
            async with process.running():
                await asyncio.sleep(600)
                status, text = await process.answer("/readyz")
                assert (status, "Service: not listed yet" in text) == (503, True)
                assert process.passes == []
                assert gc.isenabled()

                process.api.is_up = True
                await asyncio.sleep(60)
                assert "app" in process.passes
        told = [line["event"] for line in lines if line["log_level"] == "info"]
        assert told.count("first lists were not answered yet") == 1

    run_virtually(story())


def test_stopping_lets_a_pass_end() -> None:
    async def story() -> None:
        process = Process(furnished(FakeApi()))
        process.api.may_answer.clear()
        async with process.running() as stop:
            await process.api.writing.wait()
            stop.set()
            await asyncio.sleep(1)
            process.api.may_answer.set()

        (stored,) = [obj for ref, obj in process.api.objects.items() if ref.kind == objects.SERVICE]
        assert names.STATUS in objects.annotations_of(stored)

    run_virtually(story())


def test_stopping_waits_only_so_long() -> None:
    async def story() -> None:
        process = Process(furnished(FakeApi()))
        process.api.may_answer.clear()
        began = asyncio.get_running_loop().time()
        async with process.running():
            await process.api.writing.wait()
        assert asyncio.get_running_loop().time() - began < 10

    run_virtually(story())


def test_a_taken_address_ends_the_process() -> None:
    async def story() -> None:
        first = Process(FakeApi())
        async with first.running():
            await asyncio.sleep(1)
            taken = f"127.0.0.1:{first.manager.web.port}"
            second = Process(FakeApi(), Settings(http_address=taken))
            with pytest.raises(OSError, match="address"):
                await second.manager.run(asyncio.Event())

    run_virtually(story())


# The Lease.

ELECTED = Settings(http_address="127.0.0.1:0", hold="pause", leader_elect=True, workers=1)


def test_only_the_holder_of_the_lease_makes_passes() -> None:
    async def story() -> None:
        api = furnished(FakeApi())
        first, second = Process(api, ELECTED), Process(api, ELECTED)
        async with first.running():
            await asyncio.sleep(2)
            async with second.running():
                await asyncio.sleep(30)
                assert (bool(first.passes), second.passes) == (True, [])
                assert (await second.answer("/readyz"))[0] == 200
        assert api.holder == ""

    run_virtually(story())


def test_the_next_one_leads_as_soon_as_the_lease_is_released() -> None:
    async def story() -> None:
        api = furnished(FakeApi())
        first, second = Process(api, ELECTED), Process(api, ELECTED)
        async with second.running():
            async with first.running():
                await asyncio.sleep(3)
                leader, other = (first, second) if first.passes else (second, first)
                assert other.passes == []
            if leader is first:
                await asyncio.sleep(5)
            assert second.passes

    run_virtually(story())


def test_a_lost_lease_cancels_a_write_and_a_new_one_begins_again() -> None:
    async def story() -> None:
        api = furnished(FakeApi())
        process = Process(api, ELECTED)
        async with process.running():
            api.may_answer.clear()
            await api.writing.wait()
            api.is_up = False
            await asyncio.sleep(12)
            assert "serinus_leader 0.0" in process.metrics.text().decode()
            seen = len(process.passes)

            api.may_answer.set()
            await asyncio.sleep(1)
            assert len(process.passes) == seen

            api.is_up = True
            await asyncio.sleep(60)
            assert len(process.passes) > seen

    run_virtually(story())


def test_settings_become_the_parameters_of_decisions() -> None:
    settings = Settings(
        propagation_seconds=1,
        drain_seconds=2,
        ready_seconds=3,
        max_accounts=4,
        ingress_classes=("c",),
        annotation_prefix="p",
        dialect="traefik",
    )

    assert parameters_of(settings) == Parameters(
        propagation_seconds=1,
        drain_seconds=2,
        ready_seconds=3,
        max_accounts=4,
        ingress_classes=("c",),
        annotation_prefix="p",
        dialect="traefik",
    )


# Figures.


@pytest.mark.parametrize(
    ("status", "line"),
    [
        ({"stage": "Starting"}, "0.0"),
        ({"stage": "Aborted"}, "2.0"),
        ({"stage": "Idle", "outcome": {"revision": "r", "result": "promoted"}}, "1.0"),
        ({"stage": "Idle", "outcome": {"revision": "r", "result": "aborted"}}, "2.0"),
        ({"stage": "Idle"}, None),
        ("nonsense", None),
    ],
)
def test_a_release_stands_as_its_status_says(status: object, line: str | None) -> None:
    world, metrics = Watched(), Metrics()
    text = status if isinstance(status, str) else json.dumps(status)
    world.put(objects.SERVICE, service(annotations={names.STATUS: text}))

    Figures(metrics, world.stores).show(KEY, Pass(plan=Plan()), 0.1)

    shown = [it for it in metrics.text().decode().splitlines() if it.startswith("serinus_canary_s")]
    wanted = 'serinus_canary_status{namespace="shop",service="app"} '
    assert shown == ([wanted + line] if line else [])


def test_the_series_of_a_release_go_with_it() -> None:
    world, metrics = Watched(), Metrics()
    figures = Figures(metrics, world.stores)
    world.put(objects.SERVICE, service(annotations={names.STATUS: '{"stage":"Canary"}'}))
    figures.show(KEY, Pass(plan=Plan()), 0.1)
    world.remove(objects.SERVICE, "app")

    figures.show(KEY, Pass(errors=(UnavailableError("503"),)), 0.1)

    text = metrics.text().decode()
    assert 'service="app"' not in text
    assert 'serinus_reconcile_error_total{error="UnavailableError"} 1.0' in text


def test_what_checks_say_is_shown_for_as_long_as_they_are_asked() -> None:
    world, metrics = Watched(), Metrics()
    figures = Figures(metrics, world.stores)

    def shown(*checks: dict[str, Any]) -> list[str]:
        text = json.dumps({"stage": "Canary", "checks": checks})
        world.put(objects.SERVICE, service(annotations={names.STATUS: text}))
        figures.show(KEY, Pass(plan=Plan()), 0.1)
        lines = metrics.text().decode().splitlines()
        return [it.partition("_check_")[2] for it in lines if it.startswith("serinus_check_")]

    where = 'namespace="shop",service="app"'
    one: dict[str, Any] = {
        "check": "a",
        "outcome": "no data",
        "harm": {"evidence": 1.5, "limit": 2},
        "safety": {"evidence": -1, "limit": 1.3},
    }
    assert shown(one) == [
        'evidence{check="a",namespace="shop",of="harm",service="app"} 1.5',
        'evidence{check="a",namespace="shop",of="safety",service="app"} -1.0',
        'limit{check="a",namespace="shop",of="harm",service="app"} 2.0',
        'limit{check="a",namespace="shop",of="safety",service="app"} 1.3',
        *(
            f'outcome{{check="a",namespace="shop",outcome="{it}",service="app"}} {value}'
            for it, value in (
                ("pass", 0.0),
                ("fail", 0.0),
                ("no data", 1.0),
                ("not enough data", 0.0),
            )
        ),
    ]
    assert len(shown(one, {**one, "check": "b"})) == 16
    assert len(shown({**one, "check": "b"})) == 8
    assert shown() == []
    shown(one)
    world.remove(objects.SERVICE, "app")
    figures.show(KEY, Pass(plan=Plan()), 0.1)
    assert where not in metrics.text().decode()


def test_questions_to_the_metrics_server_are_counted() -> None:
    metrics = Metrics()
    metrics.count_questions(0.3, answered=True)
    metrics.count_questions(5.0, answered=False)
    text = metrics.text().decode()
    assert "serinus_prometheus_seconds_sum 5.3" in text
    assert "serinus_prometheus_errors_total 1.0" in text


def test_a_broken_invariant_is_counted_once_for_as_long_as_it_is() -> None:
    world, metrics = Watched(), Metrics()
    figures = Figures(metrics, world.stores)
    for broken in ({"S5"}, {"S5"}, set[str](), {"S5", "S6"}):
        figures.show(KEY, Pass(plan=Plan(broken=frozenset(broken))), 0.1)

    text = metrics.text().decode()
    assert 'serinus_invariant_broken_total{id="S5"} 2.0' in text
    assert 'serinus_invariant_broken_total{id="S6"} 1.0' in text


# Logs, and the process itself.


@pytest.mark.usefixtures("_own_logging")
def test_lines_of_libraries_have_the_same_shape() -> None:
    stream = io.StringIO()
    logs.configure("json", "info", stream)

    structlog.get_logger("controller.x").info("object was written", why="because")
    logging.getLogger("library").warning("something %s", "odd")
    logging.getLogger("aiohttp.access").info("said already")
    structlog.get_logger("controller.x").debug("not asked for")

    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [(it["event"], it["level"], it["logger"]) for it in lines] == [
        ("object was written", "info", "controller.x"),
        ("something odd", "warning", "library"),
    ]
    assert lines[0]["why"] == "because"


@pytest.mark.usefixtures("_own_logging")
def test_text_is_for_people() -> None:
    stream = io.StringIO()
    logs.configure("text", "info", stream)

    structlog.get_logger("controller.x").info("object was written", why="because")

    assert "object was written" in stream.getvalue()
    assert "why=because" in stream.getvalue()


@pytest.mark.usefixtures("_own_logging")
def test_auto_is_json_where_nobody_sits() -> None:
    stream = io.StringIO()
    logs.configure("auto", "info", stream)

    structlog.get_logger("controller.x").info("e")

    assert json.loads(stream.getvalue())["event"] == "e"


@pytest.mark.usefixtures("_own_logging")
@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("--hold=maybe", "--hold 'maybe': must be one of auto, admission, pause"),
        ("--unknown", "unrecognized arguments: --unknown"),
        ("--kubeconfig=/nowhere", "--kubeconfig /nowhere: there is no such file"),
    ],
)
def test_bad_flags_end_with_2(argument: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([argument]) == 2
    assert capsys.readouterr().err.startswith(f"serinus: {said}")


def test_sigterm_ends_with_0(tmp_path: Any) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(
        json.dumps(
            {
                "current-context": "c",
                "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
                "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:1"}}],
                "users": [{"name": "u", "user": {}}],
            }
        )
    )
    command = (sys.executable, "-m", "controller", "--log-format=json")
    process = subprocess.Popen(
        [*command, f"--kubeconfig={kubeconfig}", "--http-address=127.0.0.1:0"],
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stderr is not None
        first = json.loads(process.stderr.readline())
        process.send_signal(signal.SIGTERM)
        rest = process.stderr.read()

    assert first["event"] == "controller was started"
    assert json.loads(rest.splitlines()[-1])["event"] == "controller was stopped"
    assert process.returncode == 0
