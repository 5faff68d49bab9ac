"""The commands of kubectl do to an enrolled application what their users expect."""

# ruff: noqa: D103 - a test's name is its docstring

import asyncio
import json

import pytest
import yaml

from e2e.bed import manifests
from e2e.bed.manifests import Manifest
from e2e.scenarios.application import ACCOUNT, GATED, NAME, App
from e2e.scenarios.side_by_side import scenario

CONTAINER = "myapp-container"


def image(version: str) -> dict[str, object]:
    """Build a strategic merge patch that ships a version."""
    container = {"name": CONTAINER, "image": f"janakiramm/myapp:{version}"}
    return {"spec": {"template": {"spec": {"containers": [container]}}}}


MERGE_PATCH = {
    "spec": {
        "template": manifests.deployment(NAME, image="janakiramm/myapp:v2")["spec"]["template"]
    }
}
JSON_PATCH = [
    {
        "op": "replace",
        "path": "/spec/template/spec/containers/0/image",
        "value": "janakiramm/myapp:v2",
    }
]


@pytest.mark.parametrize(
    ("kind", "patch"),
    [("merge", MERGE_PATCH), ("strategic", image("v2")), ("json", JSON_PATCH)],
    ids=["merge", "strategic", "json"],
)
@scenario
async def test_a_template_patched_in_any_way_is_held_and_a_canary_starts(
    app: App, kind: str, patch: object
) -> None:
    await app.enrol()
    await app.kubectl(f"patch deployment {NAME} --type {kind} -p '{json.dumps(patch)}'")
    await app.reaches("Canary")
    assert await app.runs() == {"v1": 2}


@scenario
async def test_the_weight_is_annotated_and_patched_in_any_way(app: App) -> None:
    await app.canary()
    await app.kubectl(f"annotate service {NAME} serinus.dev/weight=10")
    await app.weighs(10)
    for kind, weight in (("merge", 20), ("strategic", 30)):
        patch = {"metadata": {"annotations": {"serinus.dev/weight": str(weight)}}}
        await app.kubectl(f"patch service {NAME} --type {kind} -p '{json.dumps(patch)}'")
        await app.weighs(weight)
    operation = {
        "op": "replace",
        "path": "/metadata/annotations/serinus.dev~1weight",
        "value": "40",
    }
    await app.kubectl(f"patch service {NAME} --type json -p '{json.dumps([operation])}'")
    await app.weighs(40)
    await app.kubectl(f"annotate service {NAME} serinus.dev/weight-")
    await app.weighs(0)


@scenario
async def test_rollout_status_of_a_pipeline_waits_for_the_promotion(app: App) -> None:
    await app.canary()
    command = ("rollout", "status", f"deployment/{NAME}", "-n", app.namespace)
    async with app.cluster.kubectl.stream(*command) as lines:
        assert "Waiting" in await anext(lines)
        await app.resume()
        printed = [line async for line in lines]
    assert printed[-1] == f'deployment "{NAME}" successfully rolled out'
    assert await app.runs() == {"v2": 2}


@scenario
async def test_wait_for_the_ready_condition_ends_when_a_release_can_start(app: App) -> None:
    await app.deploy()
    await app.kubectl(f"label service {NAME} serinus.dev/canary=enabled")
    await app.kubectl(f"wait --for=condition=serinus.dev/Ready service/{NAME} --timeout=60s")
    conditions = (await app.get("services"))["status"]["conditions"]
    assert ("serinus.dev/Ready", "True") in {(it["type"], it["status"]) for it in conditions}


@scenario
async def test_wait_for_the_promoted_condition_ends_with_the_release(app: App) -> None:
    await app.canary()
    await app.resume()
    await app.kubectl(f"wait --for=condition=serinus.dev/Promoted service/{NAME} --timeout=60s")
    await app.ends("promoted")


@scenario
async def test_get_watch_shows_each_stage_to_a_person(app: App) -> None:
    await app.enrol()
    columns = r"custom-columns=R:.status.conditions[?(@.type=='serinus.dev/Progressing')].reason"
    command = ("get", "service", NAME, "-n", app.namespace, "-w", "--no-headers", "-o", columns)
    async with app.cluster.kubectl.stream(*command) as lines:
        assert (await anext(lines)).strip() == "Idle"
        await app.set_image("v2")
        async for line in lines:
            if line.strip() == "Canary":
                break


@scenario
async def test_a_manifest_applied_again_on_the_clients_side_changes_nothing(app: App) -> None:
    await applied_again_changes_nothing(app, "")


@scenario
async def test_a_manifest_applied_again_on_the_servers_side_changes_nothing(app: App) -> None:
    await applied_again_changes_nothing(app, "--server-side --force-conflicts")


async def applied_again_changes_nothing(app: App, how: str) -> None:
    """Ship by apply, apply the same files again in mid-release, and promote by resume."""
    first = manifest_of(app, "v1")
    await app.kubectl(f"apply {how} -f -", stdin=first)
    await app.answers("v1")
    await app.is_complete()
    await app.enrol(header=ACCOUNT, header_values="alice")
    await app.kubectl(f"apply {how} -f -", stdin=manifest_of(app, "v2"))
    await app.reaches("Canary")
    before = await app.get("deployments")
    await app.kubectl(f"apply {how} -f -", stdin=manifest_of(app, "v2"))
    after = await app.get("deployments")
    assert after["spec"] == before["spec"]
    assert app.told.stage == "Canary"
    assert (await app.get("services"))["metadata"]["labels"]["serinus.dev/canary"] == "enabled"
    await app.answers("v2", (ACCOUNT, "alice"))
    assert await app.who_gets("v2", ["alice", "bob"]) == ["alice"]
    await app.resume()
    await app.ends("promoted")
    await app.kubectl(f"apply {how} -f -", stdin=manifest_of(app, "v2"))
    assert await app.runs() == {"v2": 2}
    assert app.told.stage == "Idle"


def manifest_of(app: App, version: str) -> str:
    """Write the application's manifests as a file in Git would have them."""
    written = manifests.application(
        namespace=app.namespace,
        host=app.host,
        replicas=2,
        image=f"janakiramm/myapp:{version}",
    )
    return yaml.safe_dump_all(written)


@scenario
async def test_scale_goes_on_as_ever_and_the_canary_keeps_its_share(app: App) -> None:
    await app.canary()
    await app.annotate(weight="50")
    await app.weighs(50)
    assert await app.size("myapp-canary") == 2
    await app.kubectl(f"scale deployment {NAME} --replicas=6")
    await app.has_size("myapp-canary", 3)
    await app.comes_true("stable has six", lambda: has_stable_size(app, 6))
    assert await app.runs() == {"v1": 6}
    await app.kubectl(f"scale deployment {NAME} --replicas=2")
    await app.resume()
    await app.ends("promoted")
    assert await app.runs() == {"v2": 2}


async def has_stable_size(app: App, size: int) -> bool:
    return (await app.runs()).total() == size


# undo and restart: the table of contract.md section 4.


@scenario
async def test_undo_with_nothing_pending_is_a_release_of_the_old_version(app: App) -> None:
    await app.canary()
    await app.resume()
    await app.ends("promoted")
    await app.kubectl(f"rollout undo deployment {NAME}")
    await app.reaches("Canary")
    assert await app.runs() == {"v2": 2}
    await asyncio.gather(app.reaches("Promoting"), app.resume())
    await app.ends("promoted")
    assert await app.runs() == {"v1": 2}


@scenario
async def test_restart_with_nothing_pending_restarts_and_is_no_release(app: App) -> None:
    await app.enrol()
    before = {pod["metadata"]["name"] for pod in await app.api.list("pods")}
    await app.kubectl(f"rollout restart deployment {NAME}")
    await app.is_complete()

    async def all_are_new() -> bool:
        pods = {pod["metadata"]["name"] for pod in await app.api.list("pods")}
        return not pods & before

    await app.comes_true("all pods are new", all_are_new)
    assert await app.runs() == {"v1": 2}
    await app.is_ready()
    assert set(app.stages) == {"Idle"}
    await app.ship("v2")


@pytest.mark.parametrize("verb", ["undo", "restart", "pause"])
@scenario
async def test_kubectl_itself_refuses_while_a_template_is_pending(app: App, verb: str) -> None:
    await app.canary()
    before = await app.get("deployments")
    refused = await app.try_kubectl(f"rollout {verb} deployment {NAME}")
    assert refused.code == 1, refused
    assert (await app.get("deployments"))["spec"] == before["spec"]
    assert app.told.stage == "Canary"


@scenario
async def test_a_users_pause_between_releases_is_kept(app: App) -> None:
    await app.enrol()
    await app.kubectl(f"rollout pause deployment {NAME}")
    await app.annotate(header=ACCOUNT)
    await app.until("a pass", lambda told: told.status.get("configuration") is not None)
    await app.ship("v2")
    assert await app.runs() == {"v1": 2}
    await app.resume()
    await app.ends("promoted")


@scenario
async def test_the_warnings_of_a_held_template_and_of_resume_are_printed(app: App) -> None:
    await app.enrol()
    held = await app.try_kubectl(f"set image deployment {NAME} {CONTAINER}=janakiramm/myapp:v2")
    assert "a canary starts" in held.err
    await app.reaches("Canary")
    resumed = await app.try_kubectl(f"rollout resume deployment {NAME}")
    assert "asked for a promotion" in resumed.err
    await app.ends("promoted")


# delete.


@scenario
async def test_deleting_the_deployment_in_mid_canary_takes_everything_along(app: App) -> None:
    await app.canary()
    await app.kubectl(f"delete deployment {NAME}")
    await app.comes_true("nothing of ours", lambda: has_nothing_of_ours(app))
    await app.is_refused("NoDeployment")


async def has_nothing_of_ours(app: App) -> bool:
    return await app.ours() == []


@scenario
async def test_a_deployment_that_is_created_again_is_enrolled_again(app: App) -> None:
    await app.canary()
    written = manifests.deployment(NAME, namespace=app.namespace, replicas=2)
    await app.kubectl(f"delete deployment {NAME}")
    await app.is_refused("NoDeployment")
    await app.api.apply(written)
    await app.is_ready()
    await app.ship("v2")


@scenario
async def test_a_service_that_is_created_again_in_mid_canary_costs_nothing(app: App) -> None:
    await app.canary(header=ACCOUNT, header_values="alice")
    await app.annotate(weight="50")
    await app.weighs(50)
    service = await app.get("services")
    await app.kubectl(f"delete service {NAME}")
    assert "deployments myapp-canary" in await app.ours()
    await create_again(app, service, "labels", "annotations")
    await app.reaches("Canary")
    await app.answers("v2", (ACCOUNT, "alice"))
    await app.resume()
    await app.ends("promoted")


@pytest.mark.parametrize("kind", ["service", "ingress"])
@scenario
async def test_what_is_deleted_in_the_roll_and_created_again_does_not_stop_it(
    app: App, kind: str
) -> None:
    await app.in_roll()
    found = await app.get("services" if kind == "service" else "ingresses")
    await app.kubectl(f"delete {kind} {NAME}")
    assert "deployments myapp-canary" in await app.ours()
    await create_again(app, found, "labels")
    await app.let_in("", app.ends("promoted"))
    assert await app.runs() == {GATED: 2}
    await app.answers(GATED)


async def create_again(app: App, obj: Manifest, *kept: str) -> None:
    """Create what was deleted, as a Git tool does: with these parts of its metadata."""
    metadata = {key: obj["metadata"].get(key, {}) for key in kept}
    spec = {k: v for k, v in obj["spec"].items() if k not in {"clusterIP", "clusterIPs"}}
    identity = {"name": NAME, "namespace": app.namespace}
    written = {**obj, "metadata": {**metadata, **identity}, "spec": spec}
    written.pop("status", None)
    await app.kubectl("create -f -", stdin=json.dumps(written))


@scenario
async def test_deleting_the_deployment_in_the_roll_takes_everything_along(app: App) -> None:
    await app.in_roll()
    await app.kubectl(f"delete deployment {NAME}")
    await app.comes_true("nothing of ours", lambda: has_nothing_of_ours(app))


@scenario
async def test_an_ingress_that_is_gone_stops_the_release_until_it_is_back(app: App) -> None:
    await app.canary(header=ACCOUNT, header_values="alice")
    await app.annotate(weight="50")
    await app.weighs(50)
    ingress = manifests.ingress(namespace=app.namespace, host=app.host)
    await app.kubectl(f"delete ingress {NAME}")
    told = await app.is_refused("IngressWithoutService")
    assert told.stage == "Canary"
    await app.until("weight 0", lambda told: told.written == 0)
    await app.api.apply(ingress)
    await app.is_ready()
    await app.weighs(50)
    await app.answers("v2", (ACCOUNT, "alice"))


@scenario
async def test_a_canary_object_somebody_deletes_comes_back(app: App) -> None:
    await app.canary(header=ACCOUNT, header_values="alice")
    await app.answers("v2", (ACCOUNT, "alice"))
    for kind in ("ingress", "service", "deployment"):
        uid = (await app.get(f"{kind}{'es' if kind == 'ingress' else 's'}", "myapp-canary"))[
            "metadata"
        ]["uid"]
        await app.kubectl(f"delete {kind} myapp-canary")

        async def is_back(kind: str = kind, uid: str = uid) -> bool:
            plural = f"{kind}{'es' if kind == 'ingress' else 's'}"
            found = await app.api.get(plural, "myapp-canary")
            return found is not None and found["metadata"]["uid"] != uid

        await app.comes_true(f"{kind} is back", is_back)
        await app.reaches("Canary")
        await app.answers("v2", (ACCOUNT, "alice"))
    assert await app.runs() == {"v1": 2}
