"""A server in this process, in a thread of its own: the commands bring their own event loop."""

import asyncio
import json
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner, Result

from controller.cli.main import cli
from e2e.bed.apiserver.server import ApiServer
from tests.controller.cli import worlds
from tests.e2e.bed.apiserver.client import Api


@pytest.fixture(scope="session")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """The servers' own event loop."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield loop
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture
def server(loop: asyncio.AbstractEventLoop) -> Iterator[ApiServer]:
    """An empty server with the policies of the hold in force."""
    server = ApiServer(hold_policy=True)
    asyncio.run_coroutine_threadsafe(server.start(), loop).result(timeout=10)
    yield server
    asyncio.run_coroutine_threadsafe(server.stop(), loop).result(timeout=10)


@pytest.fixture
def api(server: ApiServer) -> Iterator[Api]:
    """A client of the server."""
    with httpx.Client(base_url=server.url, verify=False) as http:
        api = Api(http=http, namespace=worlds.NAMESPACE)
        api.made("namespaces", {"metadata": {"name": api.namespace}})
        yield api


@dataclass(frozen=True, kw_only=True, slots=True)
class Hand:
    """A person with the plugin and the cluster's objects."""

    api: Api
    kubeconfig: Path

    def __call__(self, *words: str, **environ: str) -> Result:
        # To read the system's certificates takes longer than all the rest of a command.
        own = {"KUBECONFIG": str(self.kubeconfig), "SSL_CERT_FILE": os.devnull}
        runner = CliRunner(env={**own, **environ})
        return runner.invoke(cli, list(words), prog_name="kubectl canary")

    def has(self, plural: str, obj: worlds.Json) -> worlds.Json:
        """Have the cluster know an object, its status too; return it as it is stored."""
        made = self.api.made(plural, obj)
        if "status" not in obj:
            return made
        told = self.api.put(plural, {**made, "status": obj["status"]}, "status")
        assert told.is_success, told.text
        stored: worlds.Json = told.json()
        return stored

    def annotations(self) -> dict[str, str]:
        """Return what stands on the Service."""
        found: dict[str, str] = self.api.read("services", "myapp")["metadata"]["annotations"]
        return found


@pytest.fixture
def hand(server: ApiServer, api: Api, tmp_path: Path) -> Hand:
    path = tmp_path / "config"
    context = {"cluster": "here", "user": "me", "namespace": worlds.NAMESPACE}
    content = {
        "current-context": "here",
        "contexts": [
            {"name": "here", "context": context},
            {"name": "elsewhere", "context": {**context, "namespace": "default"}},
        ],
        "clusters": [
            {"name": "here", "cluster": {"server": server.url}},
            {"name": "nowhere", "cluster": {"server": "http://127.0.0.1:9"}},
        ],
        "users": [{"name": "me", "user": {}}],
    }
    path.write_text(json.dumps(content))
    return Hand(api=api, kubeconfig=path)
