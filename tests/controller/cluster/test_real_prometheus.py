"""The questions, asked of a real Prometheus that looks at counters in Traefik's own words.

`make prometheus` unpacks Debian's. Without it these tests are skipped.
"""

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiohttp import web

from controller.api.errors import EvidenceError
from controller.cluster.prometheus import Prometheus
from controller.plan.counting import Grid, windows_of
from controller.plan.evidence import Window, flaw_of
from controller.plan.sources import Traefik, Upstream
from e2e.bed.prometheus import missing, prometheus_program

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())

TRAEFIK = Traefik(upstreams=(Upstream(namespace="shop", ingress="web", service="app", port="80"),))
STABLE = "shop-web-app-80@kubernetesingressnginx"
CANARY = "shop-web-app-80-canary@kubernetesingressnginx"
PATIENCE_SECONDS = 60


class Proxy:
    """Counters that grow by the same at every look, as Traefik would show them."""

    def __init__(self) -> None:
        self.looks = 0

    async def metrics(self, _: web.Request) -> web.Response:
        self.looks += 1
        router = 'router="web-rule-0-path-0-canary@kubernetesingressnginx"'
        grown = {
            f'traefik_service_requests_total{{code="200",service="{STABLE}"}}': 90,
            f'traefik_service_requests_total{{code="502",service="{STABLE}"}}': 1,
            f'traefik_service_requests_total{{code="200",service="{CANARY}"}}': 12,
            f'traefik_service_requests_total{{code="500",service="{CANARY}"}}': 3,
            f'traefik_router_requests_total{{code="200",{router},service="{CANARY}"}}': 4,
            'traefik_service_requests_total{code="500",service="other@x"}': 1000,
        }
        lines = [f"{name} {by * self.looks}\n" for name, by in grown.items()]
        return web.Response(text="".join(lines))


@dataclass(slots=True)
class Running:
    """A Prometheus that looks every second."""

    url: str
    proxy: web.AppRunner
    process: asyncio.subprocess.Process

    async def windows(self, number: int = 3) -> tuple[Window, ...]:
        """Ask for the windows up to the last full second."""
        grid = Grid(start=float(int(time.time()) - number), step=1.0, windows=number)
        query, read = TRAEFIK.errors(1)
        async with Prometheus(self.url) as server:
            found = await server.samples(query, start=grid.start, end=grid.ends(number), step=1.0)
        return windows_of(found, read, grid)

    async def until(self, *, flawed: bool) -> tuple[Window, ...]:
        """Ask until the newest window is flawed, or none is."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            try:
                found = await self.windows()
            except EvidenceError:
                found = ()
            if found and (flaw_of(found[-1]) if flawed else not any(map(flaw_of, found))):
                return found
            await asyncio.sleep(0.5)
        pytest.fail(f"after {PATIENCE_SECONDS} s: {await self.windows()}")


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


@asynccontextmanager
async def running(directory: Path) -> AsyncIterator[Running]:
    app = web.Application()
    app.router.add_get("/metrics", Proxy().metrics)
    proxy = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await proxy.setup()
    await web.TCPSite(proxy, "127.0.0.1", 0).start()
    target = f"127.0.0.1:{proxy.addresses[0][1]}"
    config = directory / "prometheus.yaml"
    config.write_text(
        "global: {scrape_interval: 1s}\n"
        f"scrape_configs: [{{job_name: proxy, static_configs: [{{targets: ['{target}']}}]}}]\n"
    )
    address = f"127.0.0.1:{free_port()}"
    process = await asyncio.create_subprocess_exec(
        prometheus_program(),
        f"--config.file={config}",
        f"--storage.tsdb.path={directory / 'data'}",
        f"--web.listen-address={address}",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield Running(url=f"http://{address}", proxy=proxy, process=process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await proxy.cleanup()


async def test_counters_of_a_real_prometheus_become_windows(tmp_path: Path) -> None:
    """Sides, errors and testers are told apart; a second may see none, one or two looks."""
    async with running(tmp_path) as prometheus:
        for window in await prometheus.until(flawed=False):
            looks = window.stable.requests / 91
            assert looks == int(looks)
            assert window.stable.events == looks
            assert window.canary.requests == 11 * looks
            assert window.canary.events == 3 * looks


async def test_a_proxy_that_is_gone_leaves_no_evidence(tmp_path: Path) -> None:
    async with running(tmp_path) as prometheus:
        await prometheus.until(flawed=False)
        await prometheus.proxy.cleanup()
        found = await prometheus.until(flawed=True)
        assert flaw_of(found[-1]) == "not a number"


async def test_a_prometheus_that_was_killed_is_said(tmp_path: Path) -> None:
    async with running(tmp_path) as prometheus:
        await prometheus.until(flawed=False)
        prometheus.process.kill()
        await prometheus.process.wait()
        with pytest.raises(EvidenceError, match=r"^no answer: "):
            await prometheus.windows()


async def test_a_wrong_question_is_answered_with_why(tmp_path: Path) -> None:
    async with running(tmp_path) as prometheus:
        await prometheus.until(flawed=False)
        async with Prometheus(prometheus.url) as server:
            with pytest.raises(EvidenceError, match=r"^answered 400: .*parse error"):
                await server.samples("sum(", start=0, end=1, step=1)
