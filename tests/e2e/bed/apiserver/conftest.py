"""A server for the cases, or the one that an environment variable names."""

import itertools
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.e2e.bed.apiserver.client import Api, eventually

ROOT = Path(__file__).parents[4]
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
def base_url() -> Iterator[str]:
    """A server under test: SERINUS_TEST_API if set (with SERINUS_TEST_TOKEN), else ours."""
    given = os.environ.get("SERINUS_TEST_API")
    if given:
        yield given
    else:
        yield from started()


@pytest.fixture(scope="session")
def held_url() -> Iterator[str]:
    """A server with the policies of the hold in force."""
    yield from started("--hold-policy", "--allow-loopback-endpoints")


@pytest.fixture(scope="session")
def http(base_url: str) -> Iterator[httpx.Client]:
    token = os.environ.get("SERINUS_TEST_TOKEN", "")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    with httpx.Client(base_url=base_url, headers=headers, verify=False, timeout=20) as client:
        yield client


@pytest.fixture
def api(http: httpx.Client) -> Iterator[Api]:
    """A namespace of the case's own."""
    name = f"case-{next(_NUMBERS)}"
    namespaces = "/api/v1/namespaces"
    made = http.post(namespaces, json={"metadata": {"name": name}})
    assert made.status_code == 201
    api = Api(http=http, namespace=name)
    if os.environ.get("SERINUS_TEST_API"):
        # A real control plane puts something into what is new; what comes then is the case's own.
        assert eventually(lambda: api.get("configmaps", "kube-root-ca.crt").is_success)
        assert eventually(lambda: api.get("serviceaccounts", "default").is_success)
    yield api
    http.delete(f"{namespaces}/{name}")
