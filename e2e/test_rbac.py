"""The roles in `manifests/` are exactly what the controller asks for, in both overlays."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from controller.api import names
from controller.stores import INDEXES
from e2e.bed import manifests
from e2e.bed.bed import Bed, Options
from e2e.bed.children import MissingProgramError, program
from e2e.bed.controllerprocess import ROOT
from e2e.bed.kubectl import Kubectl
from e2e.bed.polling import wait_until
from e2e.rbac import across_namespaces, granted, used

pytestmark = pytest.mark.slow  # a whole release on a bed of its own for each overlay

FLAGS = (
    "--propagation-wait=100ms",
    "--drain-wait=100ms",
    "--ready-wait=100ms",
    "--leader-elect",
    "--lease-namespace=serinus-system",
)
PATIENCE = 60.0


async def overlay(name: str) -> list[dict[str, Any]]:
    """Render an overlay as `kubectl apply -k` does."""
    try:
        program("kubectl")
    except MissingProgramError as error:
        pytest.skip(str(error))
    kubectl = Kubectl(kubeconfig=Path("/dev/null"), cache=Path("/dev/null"))
    rendered = await kubectl("kustomize", str(ROOT / "manifests" / "overlays" / name))
    return list(yaml.safe_load_all(rendered))


async def asked(bed: Bed) -> list[dict[str, Any]]:
    """Return what the controller has asked of the API server."""
    return [it for it in await bed.knobs.requests() if it["agent"].startswith("serinus")]


async def end_watches(bed: Bed) -> None:
    """Cut all watches until each kind's is in the log: it is there once the server has ended it."""

    async def are_logged() -> bool:
        await bed.knobs.forget_history()
        rights = used(await asked(bed))
        return len({right for right in rights if right.verb == "watch"}) == len(INDEXES)

    await wait_until(are_logged, within=PATIENCE, every=0.5, what="all watches have ended")


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("name", "flags"),
    [
        ("cluster", ("--hold=auto",)),
        ("namespaces", ("--hold=pause", "--namespace=canary")),
    ],
)
async def test_the_roles_of_an_overlay_are_exactly_what_releases_need(
    name: str, flags: tuple[str, ...]
) -> None:
    """Every right is needed by some release, and no release needs another."""
    allowed = granted(await overlay(name))
    async with Bed(Options(proxy=False, hold=name == "cluster")) as bed:
        await bed.api.apply({**NAMESPACE, "metadata": {"name": "serinus-system"}})
        await bed.api.apply(manifests.application(replicas=3))
        await bed.settled("myapp")
        async with bed.controller(*FLAGS, *flags):
            await releases(bed)
            await end_watches(bed)
        requests = await asked(bed)
    assert used(requests) == allowed
    assert not [it for it in requests if it["status"] in (401, 403)]
    if name == "namespaces":
        assert across_namespaces(requests) == []


NAMESPACE = {"apiVersion": "v1", "kind": "Namespace"}


async def releases(bed: Bed) -> None:
    """Promote one release, abort the next, and leave: every write that there is."""
    await bed.api.patch("services", "myapp", {"metadata": {"labels": {names.CANARY: "enabled"}}})
    await ready(bed)
    await annotate(bed, checks="restarts")
    await ship(bed, "v2")
    await weigh(bed, 50)
    await passes(bed, "restarts")
    await bed.api.patch("services", "myapp", {"spec": {"ports": [PORT]}})
    await our_port_follows(bed)
    await weigh(bed, 0)
    await weigh(bed, 50)
    await bed.api.apply(BUDGET)
    await gone(bed, "poddisruptionbudgets", "myapp-canary")
    await annotate(bed, action=f"promote:{(await status_of(bed))['revision']}")
    await reaches(bed, "Idle")
    await ship(bed, "v3")
    await annotate(bed, action="abort")
    await reaches(bed, "Aborted")
    await bed.api.patch("services", "myapp", {"metadata": {"labels": {names.CANARY: None}}})
    await left(bed)


PORT = {"port": 80, "targetPort": 8080, "appProtocol": "http"}
BUDGET = {
    "apiVersion": "policy/v1",
    "kind": "PodDisruptionBudget",
    "metadata": {"name": "all", "namespace": "canary"},
    "spec": {"maxUnavailable": 1, "selector": {}},
}


async def ship(bed: Bed, version: str) -> None:
    """Ship a version, and wait until its canary stands."""
    image = f"myapp-container=janakiramm/myapp:{version}"
    await bed.kubectl("set", "image", "deployment/myapp", image, "-n", "canary")
    await reaches(bed, "Canary")


async def weigh(bed: Bed, percent: int) -> None:
    """Set the weight, and wait until the canary Ingress carries it."""
    await annotate(bed, weight=str(percent))

    async def is_written() -> bool:
        ours = await bed.api.get("ingresses", "myapp-canary")
        annotations = ours["metadata"]["annotations"] if ours else {}
        return annotations.get("nginx.ingress.kubernetes.io/canary-weight") == str(percent)

    await wait_until(is_written, within=PATIENCE, every=0.1, what=f"the weight is {percent}")


async def annotate(bed: Bed, **values: str) -> None:
    """Write annotations of the Service by their short names."""
    written = {names.PREFIX + key: value for key, value in values.items()}
    await bed.api.patch("services", "myapp", {"metadata": {"annotations": written}})


async def status_of(bed: Bed) -> Mapping[str, Any]:
    """Return what the status annotation says."""
    service = await bed.api.get("services", "myapp")
    annotations = (service or {}).get("metadata", {}).get("annotations", {})
    status: Mapping[str, Any] = json.loads(annotations.get(names.STATUS, "{}"))
    return status


async def reaches(bed: Bed, stage: str) -> None:
    """Wait for a stage."""

    async def is_there() -> bool:
        return (await status_of(bed)).get("stage") == stage

    await wait_until(is_there, within=PATIENCE, every=0.1, what=f"the stage is {stage}")


async def passes(bed: Bed, check: str) -> None:
    """Wait until a check has passed."""

    async def has_passed() -> bool:
        said = (await status_of(bed)).get("checks") or ()
        return any((one["check"], one["outcome"]) == (check, "pass") for one in said)

    await wait_until(has_passed, within=PATIENCE, every=0.1, what=f"{check} passes")


async def ready(bed: Bed) -> None:
    """Wait until a release can start."""
    wait = ("wait", "--for=condition=serinus.dev/Ready", "service/myapp", f"--timeout={PATIENCE}s")
    await bed.kubectl(*wait, "-n", "canary", within=PATIENCE)


async def our_port_follows(bed: Bed) -> None:
    """Wait until the canary Service has the port as it was changed."""

    async def follows() -> bool:
        ours = await bed.api.get("services", "myapp-canary")
        return ours is not None and ours["spec"]["ports"][0].get("appProtocol") == "http"

    await wait_until(follows, within=PATIENCE, every=0.1, what="our Service has the new port")


async def gone(bed: Bed, plural: str, name: str) -> None:
    """Wait until an object is no more."""

    async def is_gone() -> bool:
        return await bed.api.get(plural, name) is None

    await wait_until(is_gone, within=PATIENCE, every=0.1, what=f"{plural} {name} is gone")


async def left(bed: Bed) -> None:
    """Wait until nothing of ours is on the Deployment."""

    async def is_left() -> bool:
        stable = await bed.api.get("deployments", "myapp")
        return stable is not None and names.HELD not in stable["metadata"]["labels"]

    await wait_until(is_left, within=PATIENCE, every=0.1, what="the Deployment is let go")
