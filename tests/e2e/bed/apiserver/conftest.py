"""A server for the cases: ours, or a real one in `make e2e`."""

import asyncio
import itertools
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from e2e.controlplane.build import built
from e2e.controlplane.credentials import Credentials
from e2e.controlplane.servers import Servers
from tests.e2e.bed.apiserver.client import Api, eventually

ROOT = Path(__file__).parents[4]
IS_REAL = os.environ.get("SERINUS_BED") == "controlplane"
_NUMBERS = itertools.count(os.getpid() * 1000)


def started(*flags: str) -> Iterator[str]:
    """Run a server on a free port; yields its URL."""
    command = [sys.executable, "-m", "e2e.bed.apiserver", *flags]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield server.stdout.readline().strip()
        finally:
            server.terminate()


@pytest.fixture(scope="session")
def held_url() -> Iterator[str]:
    """A server with the policies of the hold in force."""
    yield from started("--hold-policy", "--allow-loopback-endpoints")


@pytest.fixture(scope="session")
def http(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """Ask the server under test: the real one on the real bed, else ours."""
    if IS_REAL:
        with _real(tmp_path_factory.mktemp("servers")) as client:
            yield client
        return
    for url in started():
        with httpx.Client(base_url=url, timeout=20) as client:
            yield client


@contextmanager
def _real(folder: Path) -> Iterator[httpx.Client]:
    """Run a control plane; no node, so no pod ever starts."""
    credentials = Credentials.write(folder)
    servers = Servers(programs=built(), folder=folder, credentials=credentials)
    headers = {"Authorization": f"Bearer {credentials.tokens['bed:scenario']}"}
    with asyncio.Runner() as runner:
        try:
            runner.run(servers.start())
            with httpx.Client(
                base_url=servers.url,
                headers=headers,
                verify=servers.trust(),
                trust_env=False,
                timeout=20,
            ) as client:
                yield client
        finally:
            runner.run(servers.stop())


@pytest.fixture
def api(http: httpx.Client) -> Iterator[Api]:
    """A namespace of the case's own."""
    name = f"case-{next(_NUMBERS)}"
    namespaces = "/api/v1/namespaces"
    made = http.post(namespaces, json={"metadata": {"name": name}})
    assert made.status_code == 201
    api = Api(http=http, namespace=name)
    if IS_REAL:
        # A real control plane puts something into what is new; what comes then is the case's own.
        assert eventually(lambda: api.get("configmaps", "kube-root-ca.crt").is_success)
        assert eventually(lambda: api.get("serviceaccounts", "default").is_success)
    yield api
    http.delete(f"{namespaces}/{name}")
