"""Real kubectl against the emulator: the client nobody here wrote."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import httpx
import pytest

from tests.e2e.bed.apiserver.client import Api, deployment, ok, service

Kubectl: TypeAlias = Callable[..., subprocess.CompletedProcess[str]]

PROGRAM = shutil.which("kubectl", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
pytestmark = pytest.mark.skipif(PROGRAM is None, reason="kubectl is not installed")

HELD = {"serinus.dev/held": "web"}
AT_REST = {
    "observedGeneration": 1,
    "replicas": 1,
    "updatedReplicas": 1,
    "readyReplicas": 1,
    "availableReplicas": 1,
}
MANIFEST = deployment()


@pytest.fixture
def case(held_url: str) -> Iterator[Api]:
    with httpx.Client(base_url=held_url, timeout=20) as http:
        name = f"kubectl-{time.monotonic_ns()}"
        http.post("/api/v1/namespaces", json={"metadata": {"name": name}})
        yield Api(http=http, namespace=name)


@pytest.fixture
def kubectl(case: Api, held_url: str, tmp_path_factory: pytest.TempPathFactory) -> Kubectl:
    home = tmp_path_factory.getbasetemp() / "kubectl-home"
    environment = {"HOME": str(home), "PATH": os.environ["PATH"], "KUBECONFIG": os.devnull}

    def run(*words: str, stdin: Any = None, fails: bool = False) -> Any:
        done = subprocess.run(
            [str(PROGRAM), *words, "--server", held_url, "--namespace", case.namespace],
            input=None if stdin is None else json.dumps(stdin),
            capture_output=True,
            text=True,
            timeout=20,
            env=environment,
            check=False,
        )
        assert (done.returncode != 0) == fails, done.stdout + done.stderr
        return done

    return run


def held(api: Api, **spec: Any) -> None:
    """Make a held Deployment at rest."""
    sent = deployment(labels=HELD)
    sent["spec"] |= spec
    api.made("deployments", sent)
    ok(api.patch("deployments", "web", {"status": AT_REST}, part="status"))


def test_create_get_and_describe(kubectl: Kubectl) -> None:
    kubectl("create", "deployment", "web", "--image=web:1", "--replicas=2")
    kubectl("create", "ingress", "web", "--rule=a.example/*=web:80", "--class=nginx")
    kubectl("expose", "deployment", "web", "--port=80", "--target-port=8080")
    wide = kubectl("get", "deployments,services,ingresses", "-o", "wide").stdout
    header = "NAME READY UP-TO-DATE AVAILABLE AGE CONTAINERS IMAGES SELECTOR"
    assert wide.splitlines()[0].split() == header.split()
    assert "deployment.apps/web   0/2     0            0" in wide
    assert "80/TCP" in wide
    assert "nginx   a.example" in wide
    described = kubectl("describe", "deployment", "web").stdout
    assert "StrategyType:           RollingUpdate" in described
    assert "0 available" in described


def test_client_side_apply_changes_and_prunes_fields(kubectl: Kubectl, case: Api) -> None:
    first = {**MANIFEST, "metadata": {"name": "web", "labels": {"a": "1", "b": "2"}}}
    assert "created" in kubectl("apply", "-f", "-", stdin=first).stdout
    assert "unchanged" in kubectl("apply", "-f", "-", stdin=first).stdout
    second = {**MANIFEST, "metadata": {"name": "web", "labels": {"a": "1"}}}
    assert "configured" in kubectl("apply", "-f", "-", stdin=second).stdout
    found = case.read("deployments", "web")
    assert found["metadata"]["labels"] == {"a": "1"}
    managers = [entry["manager"] for entry in found["metadata"]["managedFields"]]
    assert managers == ["kubectl-client-side-apply"]


def test_server_side_apply_conflicts_and_forces(kubectl: Kubectl) -> None:
    assert (
        "serverside-applied" in kubectl("apply", "--server-side", "-f", "-", stdin=MANIFEST).stdout
    )
    kubectl("scale", "deployment/web", "--replicas=3")
    wanted = {**MANIFEST, "spec": {**MANIFEST["spec"], "replicas": 2}}
    refused = kubectl("apply", "--server-side", "-f", "-", stdin=wanted, fails=True)
    assert "conflict with" in refused.stderr
    kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=wanted)
    assert kubectl("get", "deploy", "web", "-o", "jsonpath={.spec.replicas}").stdout == "2"


def test_server_side_apply_takes_over_from_client_side(kubectl: Kubectl, case: Api) -> None:
    kubectl("apply", "-f", "-", stdin=MANIFEST)
    kubectl("apply", "--server-side", "-f", "-", stdin=MANIFEST)
    entries = case.read("deployments", "web")["metadata"]["managedFields"]
    managers = [(entry["manager"], entry["operation"]) for entry in entries]
    assert managers == [("kubectl", "Apply"), ("kubectl-last-applied", "Apply")]


@pytest.mark.parametrize(
    ("sort", "patch"),
    [
        ("strategic", '{"metadata":{"annotations":{"a":"b"}}}'),
        ("merge", '{"metadata":{"annotations":{"a":"b"}}}'),
        ("json", '[{"op":"add","path":"/metadata/annotations","value":{"a":"b"}}]'),
    ],
)
def test_patch_in_three_ways(kubectl: Kubectl, case: Api, sort: str, patch: str) -> None:
    case.made("services", service())
    kubectl("patch", "service", "web", "--type", sort, "-p", patch)
    assert case.read("services", "web")["metadata"]["annotations"] == {"a": "b"}


def test_wait_for_a_condition_of_a_service(kubectl: Kubectl, case: Api) -> None:
    case.made("services", service())
    ready = {
        "type": "serinus.dev/Ready",
        "status": "True",
        "reason": "Enrolled",
        "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    ok(case.patch("services", "web", {"status": {"conditions": [ready]}}, part="status"))
    wanted = "--for=condition=serinus.dev/Ready"
    assert "condition met" in kubectl("wait", wanted, "service/web", "--timeout=5s").stdout
    unmet = "--for=condition=serinus.dev/Promoted"
    kubectl("wait", unmet, "service/web", "--timeout=0s", fails=True)


def test_label_annotate_and_delete(kubectl: Kubectl, case: Api) -> None:
    case.made("services", service())
    kubectl("label", "service", "web", "serinus.dev/canary=enabled")
    kubectl("annotate", "service", "web", "serinus.dev/weight=2")
    listed = kubectl("get", "services", "-l", "serinus.dev/canary", "-o", "name").stdout
    assert listed == "service/web\n"
    assert "deleted" in kubectl("delete", "service", "web").stdout
    assert "NotFound" in kubectl("get", "service", "web", fails=True).stderr


def test_get_watch_prints_changes(case: Api, held_url: str) -> None:
    command = [str(PROGRAM), "get", "configmaps", "-w", "-n", case.namespace, "--server", held_url]
    case.made("configmaps", {"metadata": {"name": "one"}})
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as watching:
        assert watching.stdout is not None
        assert watching.stdout.readline().split() == ["NAME", "DATA", "AGE"]
        assert watching.stdout.readline().split()[0] == "one"
        case.made("configmaps", {"metadata": {"name": "two"}, "data": {"a": "b"}})
        assert watching.stdout.readline().split()[:2] == ["two", "1"]
        watching.terminate()


def test_rollout_status_waits_for_status(kubectl: Kubectl, case: Api) -> None:
    held(case)
    assert "successfully rolled out" in kubectl("rollout", "status", "deployment/web").stdout


def test_permissions_and_kinds_are_told(kubectl: Kubectl) -> None:
    assert kubectl("auth", "can-i", "create", "deployments").stdout == "yes\n"
    assert "deployments" in kubectl("api-resources", "--api-group=apps").stdout


def test_a_replica_set_that_is_missing_fails_undo(kubectl: Kubectl, case: Api) -> None:
    held(case)
    failed = kubectl("rollout", "undo", "deployment/web", fails=True)
    assert "no rollout history found" in failed.stderr


# The hold, by kubectl's own verbs.


def test_set_image_is_held_and_says_so(kubectl: Kubectl, case: Api) -> None:
    held(case)
    done = kubectl("set", "image", "deployment/web", "web=web:2")
    assert "Warning: " in done.stderr
    assert "serinus: the new template is held" in done.stderr
    assert case.read("deployments", "web")["spec"]["paused"] is True


def test_resume_of_a_pending_template_asks_for_a_promotion(kubectl: Kubectl, case: Api) -> None:
    held(case)
    kubectl("set", "image", "deployment/web", "web=web:2")
    done = kubectl("rollout", "resume", "deployment/web")
    assert "serinus: asked for a promotion" in done.stderr
    found = case.read("deployments", "web")
    assert found["spec"]["paused"] is True
    assert found["metadata"]["labels"]["serinus.dev/resume"] == "2"
    assert found["metadata"]["generation"] == 2


def test_restart_is_not_held(kubectl: Kubectl, case: Api) -> None:
    held(case)
    kubectl("rollout", "restart", "deployment/web")
    assert "paused" not in case.read("deployments", "web")["spec"]


def test_undo_at_rest_is_held(kubectl: Kubectl, case: Api) -> None:
    held(case)
    numbered = {"metadata": {"annotations": {"deployment.kubernetes.io/revision": "2"}}}
    owner = ok(case.patch("deployments", "web", numbered))
    for revision, image in (("1", "web:0"), ("2", "web:1")):
        labels = {"app": "web", "pod-template-hash": revision}
        reference = {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "name": "web",
            "uid": owner["metadata"]["uid"],
            "controller": True,
        }
        container = {"name": "web", "image": image}
        case.made(
            "replicasets",
            {
                "metadata": {
                    "name": f"web-{revision}",
                    "labels": labels,
                    "annotations": {"deployment.kubernetes.io/revision": revision},
                    "ownerReferences": [reference],
                },
                "spec": {
                    "selector": {"matchLabels": labels},
                    "template": {
                        "metadata": {"labels": labels},
                        "spec": {"containers": [container]},
                    },
                },
            },
        )
    assert "rolled back" in kubectl("rollout", "undo", "deployment/web").stdout
    found = case.read("deployments", "web")
    assert found["spec"]["paused"] is True
    assert found["spec"]["template"]["spec"]["containers"][0]["image"] == "web:0"


@pytest.mark.parametrize("how", [(), ("--server-side", "--force-conflicts")])
def test_an_applied_unpause_is_undone(kubectl: Kubectl, case: Api, how: tuple[str, ...]) -> None:
    held(case)
    wanted = deployment(labels=HELD)
    wanted["spec"]["template"]["spec"]["containers"][0]["image"] = "web:2"
    wanted["spec"]["paused"] = False
    for _ in range(2):
        kubectl("apply", *how, "-f", "-", stdin=wanted)
        assert case.read("deployments", "web")["spec"]["paused"] is True


def test_a_dry_run_shows_the_hold(kubectl: Kubectl, case: Api) -> None:
    held(case)
    patch = '{"spec":{"template":{"metadata":{"annotations":{"probe":"1"}}}}}'
    words = ("patch", "deployment", "web", "-p", patch, "--dry-run=server", "-o", "json")
    assert json.loads(kubectl(*words).stdout)["spec"]["paused"] is True
    assert "paused" not in case.read("deployments", "web")["spec"]
