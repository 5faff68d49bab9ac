import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from controller.api.objects import SERVICE
from controller.cli.main import cli
from controller.cluster.client import Client, Identity
from controller.settings import Settings
from tests.controller.cluster.scripted import Server, says, serving


def kubeconfig(directory: Path, server: Server) -> str:
    path = directory / "config"
    content = {
        "current-context": "here",
        "contexts": [{"name": "here", "context": {"cluster": "dead", "user": "me"}}],
        "clusters": [
            {"name": "dead", "cluster": {"server": "http://127.0.0.1:9"}},
            {"name": "alive", "cluster": {"server": server.url}},
        ],
        "users": [
            {"name": "me", "user": {}},
            {"name": "other", "user": {"token": "of-the-other"}},
        ],
    }
    path.write_text(json.dumps(content))
    return str(path)


async def test_another_cluster_user_and_name_stand_in_for_those_of_the_context(
    tmp_path: Path,
) -> None:
    who = Identity(cluster="alive", user="other", acts_as="alice")
    async with serving(says({})) as server:
        path = kubeconfig(tmp_path, server)
        client = await Client.connect(Settings(kubeconfig=path), identity=who)
        await client.get(SERVICE, "shop", "web")
        await client.close()
    headers = server.seen[0].headers
    assert headers["Authorization"] == "Bearer of-the-other"
    assert headers["Impersonate-User"] == "alice"


async def test_writing_as_another_manager_leaves_the_client_as_it_is(tmp_path: Path) -> None:
    who = Identity(manager="kubectl-canary", cluster="alive")
    async with serving(says({}), says({})) as server:
        path = kubeconfig(tmp_path, server)
        client = await Client.connect(Settings(kubeconfig=path), identity=who)
        await client.writing_as("kubectl-rollout").merge(SERVICE, "shop", "web", {})
        await client.merge(SERVICE, "shop", "web", {})
        await client.close()
    managers = [seen.query["fieldManager"] for seen in server.seen]
    assert managers == ["kubectl-rollout", "kubectl-canary"]
    assert "Impersonate-User" not in server.seen[0].headers


def called(*words: str) -> Result:
    return CliRunner().invoke(cli, list(words), prog_name="kubectl canary")


def test_a_time_that_is_none_is_a_usage_error() -> None:
    found = called("list", "--request-timeout", "soon")
    assert found.exit_code == 2
    assert "'soon' must be a duration such as 10s" in found.stderr


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_names_every_command(flag: str) -> None:
    found = called(flag).output
    for command in ("status", "list", "set-weight", "promote", "abort", "undo", "retry", "pause"):
        assert f"\n  {command} " in found
