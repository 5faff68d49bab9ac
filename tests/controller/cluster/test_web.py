import aiohttp
import pytest

from controller.cluster.metrics import Metrics, QueueSeries
from controller.cluster.web import Check, Web


def fine() -> None:
    return None


def broken() -> str:
    return "Service: not listed yet"


def buggy() -> str:
    raise LookupError


async def fetch(path: str, *, live: list[Check], ready: list[Check]) -> tuple[int, str]:
    async with (
        Web("127.0.0.1:0", live=live, ready=ready, metrics=lambda: b"up 1\n") as server,
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{server.port}{path}") as answer,
    ):
        return answer.status, await answer.text()


@pytest.mark.parametrize(
    ("path", "live", "ready", "answer"),
    [
        ("/healthz", [fine], [broken], (200, "ok\n")),
        ("/healthz", [fine, broken], [], (503, "Service: not listed yet\n")),
        ("/healthz", [buggy], [], (503, "check: LookupError\n")),
        ("/readyz", [fine], [fine], (200, "ok\n")),
        ("/readyz", [fine], [fine, broken], (503, "Service: not listed yet\n")),
        ("/readyz", [broken], [broken], (503, "Service: not listed yet\n" * 2)),
        ("/metrics", [broken], [broken], (200, "up 1\n")),
    ],
)
async def test_says_what_is_wrong(
    path: str, live: list[Check], ready: list[Check], answer: tuple[int, str]
) -> None:
    assert await fetch(path, live=live, ready=ready) == answer


async def test_has_nothing_else() -> None:
    assert (await fetch("/", live=[], ready=[]))[0] == 404


async def test_metrics_are_prometheus_text() -> None:
    metrics = Metrics()
    async with (
        Web("127.0.0.1:0", metrics=metrics.text) as server,
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{server.port}/metrics") as answer,
    ):
        assert answer.content_type == "text/plain"
        assert 'serinus_info{version="' in await answer.text()


async def test_taken_address_is_an_error() -> None:
    async with Web("127.0.0.1:0", metrics=lambda: b"") as first:
        with pytest.raises(OSError, match="address already in use"):
            async with Web(f"127.0.0.1:{first.port}", metrics=lambda: b""):
                raise AssertionError


class TestMetrics:
    def test_counts_answers_and_lists(self) -> None:
        metrics = Metrics()
        metrics.count_request("patch", "Service", "409")
        metrics.count_relist("Ingress")
        text = metrics.text().decode()
        assert 'serinus_api_requests_total{code="409",kind="Service",verb="patch"} 1.0' in text
        assert 'serinus_relists_total{kind="Ingress"} 1.0' in text

    def test_asks_for_the_age_of_a_watch_when_it_is_asked(self) -> None:
        metrics, ages = Metrics(), [5.0]
        metrics.watch("Service", lambda: ages[0])
        ages[0] = 70.0
        assert 'serinus_watch_age_seconds{kind="Service"} 70.0' in metrics.text().decode()

    def test_forgets_a_canary_that_is_gone(self) -> None:
        metrics = Metrics()
        metrics.show_weight("shop", "web", desired=20, observed=5)
        metrics.canary_status.labels("shop", "web").set(0)
        metrics.show_weight("shop", "api", desired=1, observed=1)
        shown = metrics.text().decode()
        weight = 'serinus_canary_weight{namespace="shop",service="web",which="observed"} 5.0'
        assert weight in shown
        metrics.forget("shop", "web")
        metrics.forget("shop", "never-seen")
        shown = metrics.text().decode()
        assert 'service="web"' not in shown
        assert 'service="api"' in shown

    def test_queue_has_the_names_of_client_go(self) -> None:
        metrics = Metrics()
        series = QueueSeries(metrics.registry, "services")
        series.added()
        series.retried()
        series.depth(3)
        series.taken(0.5)
        series.finished(2)
        shown = metrics.text().decode()
        for line in (
            'workqueue_adds_total{name="services"} 1.0',
            'workqueue_retries_total{name="services"} 1.0',
            'workqueue_depth{name="services"} 3.0',
            'workqueue_queue_duration_seconds_sum{name="services"} 0.5',
            'workqueue_work_duration_seconds_sum{name="services"} 2.0',
        ):
            assert line in shown
