"""The Deployment controller as others see it; the same cases hold for that of Kubernetes."""

import itertools
import os
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from e2e.bed.workloads.rollout import DESIRED, HASH_LABEL, MAXIMUM
from tests.e2e.bed.rollouts import GATED, IS_REAL, NAME, Plane, Rollout, real, simulated

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(240)]
_NUMBERS = itertools.count(os.getpid() * 1000)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def plane(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Plane]:
    """Run controllers: those of Kubernetes on the real bed, else the simulated ones."""
    async with real(tmp_path_factory.mktemp("plane")) if IS_REAL else simulated() as plane:
        yield plane


@pytest_asyncio.fixture(loop_scope="session")
async def rollout(plane: Plane) -> AsyncIterator[Rollout]:
    """A Deployment's namespace."""
    found = Rollout(plane=plane, namespace=f"rollout-{next(_NUMBERS)}")
    yield found
    await found.api.delete("namespaces", found.namespace)


def rolling(surge: int | str, unavailable: int | str) -> dict[str, Any]:
    rates = {"maxSurge": surge, "maxUnavailable": unavailable}
    return {"type": "RollingUpdate", "rollingUpdate": rates}


ONE_BY_ONE = rolling(1, 0)
THREE = {"replicas": 3, "updatedReplicas": 3, "readyReplicas": 3, "availableReplicas": 3}
THREE_OLD = {"replicas": 3, "readyReplicas": 3, "availableReplicas": 3}


async def test_a_new_deployment(rollout: Rollout) -> None:
    await rollout.deploy()
    await rollout.has_status(**THREE)
    assert await rollout.condition("Available") == ("True", "MinimumReplicasAvailable")
    assert await rollout.revisions() == {"v1": "1", NAME: "1"}
    [one] = await rollout.api.list("replicasets")
    digest = one["metadata"]["labels"][HASH_LABEL]
    assert one["metadata"]["name"] == f"{NAME}-{digest}"
    assert one["spec"]["selector"]["matchLabels"] == {"app": NAME, HASH_LABEL: digest}
    annotations = one["metadata"]["annotations"]
    assert (annotations[DESIRED], annotations[MAXIMUM]) == ("3", "4")
    assert {pod["metadata"]["labels"][HASH_LABEL] for pod in await rollout.pods()} == {digest}


async def test_a_roll_ends_with_the_new_template(rollout: Rollout) -> None:
    await rollout.deploy()
    await rollout.set_image("v2")
    await rollout.is_complete()
    await rollout.has_sizes(v1=0, v2=3)
    await rollout.has_status(**THREE)
    assert await rollout.revisions() == {"v1": "1", "v2": "2", NAME: "2"}
    hashes = await rollout.hashes()
    assert hashes["v1"] != hashes["v2"]


async def test_paused_with_a_new_template(rollout: Rollout) -> None:
    await rollout.deploy()
    await rollout.set_spec(paused=True)
    await rollout.set_image("v2")
    await rollout.has_condition("Progressing", "Unknown", "DeploymentPaused")
    await rollout.has_status(**THREE_OLD)
    assert await rollout.sizes() == {"v1": 3}
    assert await rollout.revisions() == {"v1": "1", NAME: "1"}


async def test_paused_and_nothing_new(rollout: Rollout) -> None:
    await rollout.deploy()
    await rollout.set_spec(paused=True)
    await rollout.has_condition("Progressing", "Unknown", "DeploymentPaused")
    await rollout.has_status(**THREE)
    await rollout.set_spec(paused=False)
    await rollout.is_complete()
    assert await rollout.revisions() == {"v1": "1", NAME: "1"}


async def test_scaled_while_paused_with_a_new_template(rollout: Rollout) -> None:
    await rollout.deploy()
    await rollout.set_spec(paused=True)
    await rollout.set_image("v2")
    for replicas in (5, 0, 2):
        await rollout.set_spec(replicas=replicas)
        await rollout.has_sizes(v1=replicas)
        counted = {name: replicas for name in THREE_OLD if replicas}
        await rollout.has_status(**counted)
    assert await rollout.revisions() == {"v1": "1", NAME: "1"}


async def test_scaled_to_nothing_and_back(rollout: Rollout) -> None:
    await rollout.deploy()
    await rollout.set_spec(replicas=0)
    await rollout.has_sizes(v1=0)
    await rollout.has_status()
    assert await rollout.condition("Available") == ("True", "MinimumReplicasAvailable")
    await rollout.set_spec(replicas=2)
    await rollout.is_complete()
    await rollout.has_sizes(v1=2)
    assert await rollout.revisions() == {"v1": "1", NAME: "1"}


async def test_pods_that_leave_are_counted(rollout: Rollout) -> None:
    hook = {"preStop": {"sleep": {"seconds": 3}}}
    await rollout.deploy(lifecycle=hook)
    await rollout.set_spec(replicas=1)
    await rollout.has_leaving(2)
    await rollout.has_leaving(0)
    await rollout.is_complete()


async def test_a_pod_deleted_while_paused_comes_back_as_it_was(rollout: Rollout) -> None:
    await rollout.deploy()
    await rollout.set_spec(paused=True)
    await rollout.set_image("v2")
    doomed = (await rollout.pods())[0]["metadata"]["name"]
    await rollout.api.delete("pods", doomed)

    async def is_replaced() -> bool:
        return doomed not in {pod["metadata"]["name"] for pod in await rollout.pods()}

    await rollout.comes("the pod is gone", is_replaced)
    await rollout.has_sizes(v1=3)
    await rollout.has_status(**THREE_OLD)


async def test_resumed_with_a_new_template(rollout: Rollout) -> None:
    await rollout.deploy()
    await rollout.set_spec(paused=True)
    await rollout.set_image("v2")
    await rollout.is_observed()
    await rollout.set_spec(paused=False)
    await rollout.is_complete()
    await rollout.has_sizes(v1=0, v2=3)
    assert await rollout.revisions() == {"v1": "1", "v2": "2", NAME: "2"}


async def test_put_back_while_paused(rollout: Rollout) -> None:
    await rollout.deploy()
    names = {pod["metadata"]["name"] for pod in await rollout.pods()}
    await rollout.set_spec(paused=True)
    await rollout.set_image("v2")
    await rollout.has_status(**THREE_OLD)
    await rollout.set_image("v1")
    await rollout.has_status(**THREE)
    await rollout.set_spec(paused=False)
    await rollout.is_complete()
    assert await rollout.sizes() == {"v1": 3}
    assert {pod["metadata"]["name"] for pod in await rollout.pods()} == names
    assert await rollout.revisions() == {"v1": "1", NAME: "1"}


async def test_put_back_in_mid_roll(rollout: Rollout) -> None:
    await rollout.deploy(strategy=ONE_BY_ONE)
    await rollout.set_image(GATED)
    await rollout.has_sizes(v1=3, bad=1)
    await rollout.has_status(
        **{**THREE_OLD, "replicas": 4}, updatedReplicas=1, unavailableReplicas=1
    )
    await rollout.set_image("v1")
    await rollout.has_sizes(v1=3, bad=0)
    await rollout.is_complete()
    assert await rollout.revisions() == {"v1": "3", "bad": "2", NAME: "3"}


async def test_paused_in_mid_roll_and_put_back(rollout: Rollout) -> None:
    await rollout.deploy(strategy=ONE_BY_ONE)
    await rollout.set_image(GATED)
    await rollout.has_sizes(v1=3, bad=1)
    await rollout.set_spec(paused=True)
    await rollout.has_condition("Progressing", "Unknown", "DeploymentPaused")
    await rollout.let_in()
    await rollout.has_status(replicas=4, updatedReplicas=1, readyReplicas=4, availableReplicas=4)
    await rollout.has_sizes(v1=3, bad=1)
    await rollout.set_image("v1")
    await rollout.has_sizes(v1=3, bad=0)  # what is whole takes over, paused or not
    await rollout.has_status(**THREE)
    await rollout.set_spec(paused=False)
    await rollout.is_complete()


async def test_of_two_quick_changes_the_last_is_rolled(rollout: Rollout) -> None:
    await rollout.deploy(strategy=ONE_BY_ONE)
    async with rollout.watched() as seen:
        await rollout.set_image("v2")
        await rollout.set_image("v3")
        await rollout.is_complete()
    sizes = await rollout.sizes()
    assert sizes["v3"] == 3
    assert sum(sizes.values()) == 3
    assert seen.fewest_ready >= 3
    assert seen.most_wanted == 4


async def test_a_third_template_in_mid_roll(rollout: Rollout) -> None:
    await rollout.deploy(strategy=ONE_BY_ONE)
    await rollout.set_image(GATED)
    await rollout.has_sizes(v1=3, bad=1)
    await rollout.set_image("v3")
    await rollout.is_complete()
    await rollout.has_sizes(v1=0, bad=0, v3=3)
    assert await rollout.revisions() == {"v1": "1", "bad": "2", "v3": "3", NAME: "3"}


@pytest.mark.parametrize(
    ("surge", "unavailable", "most", "fewest"),
    [
        (1, 0, 5, 4),
        (0, 1, 4, 3),
        (2, 1, 6, 3),
        ("25%", "25%", 5, 3),
        ("100%", "0%", 8, 4),
        ("0%", "50%", 4, 2),
        ("1%", 0, 5, 4),
    ],
)
async def test_a_roll_keeps_within_its_bounds(
    rollout: Rollout, surge: int | str, unavailable: int | str, most: int, fewest: int
) -> None:
    await rollout.deploy(4, strategy=rolling(surge, unavailable))
    async with rollout.watched() as seen:
        await rollout.set_image("v2")
        await rollout.is_complete()
        await rollout.has_sizes(v1=0, v2=4)
    assert (seen.most_wanted, seen.fewest_ready >= fewest) == (most, True)


async def test_a_roll_that_does_not_get_on_stops_at_its_bounds(rollout: Rollout) -> None:
    await rollout.deploy(10, strategy=rolling(3, 2))
    await rollout.set_image(GATED)
    await rollout.has_sizes(v1=8, bad=5)
    await rollout.has_status(
        replicas=13, updatedReplicas=5, readyReplicas=8, availableReplicas=8, unavailableReplicas=5
    )
    await rollout.has_condition("Progressing", "True", "ReplicaSetUpdated")
    assert await rollout.condition("Available") == ("True", "MinimumReplicasAvailable")


@pytest.mark.parametrize("paused", [True, False])
async def test_scaled_in_mid_roll(rollout: Rollout, *, paused: bool) -> None:
    await rollout.deploy(10, strategy=rolling(3, 2))
    await rollout.set_image(GATED)
    await rollout.has_sizes(v1=8, bad=5)
    await rollout.set_spec(replicas=15, paused=paused)
    await rollout.has_sizes(v1=11, bad=7)


@pytest.mark.parametrize("replicas", [5, 1])
async def test_scaled_down_in_mid_roll_while_paused(rollout: Rollout, replicas: int) -> None:
    await rollout.deploy(10, strategy=rolling(3, 2))
    await rollout.set_image(GATED)
    await rollout.has_sizes(v1=8, bad=5)
    await rollout.set_spec(paused=True)
    await rollout.is_observed()
    await rollout.set_spec(replicas=replicas)
    await rollout.has_sizes(**{5: {"v1": 5, "bad": 3}, 1: {"v1": 2, "bad": 2}}[replicas])


@pytest.mark.parametrize(("limit", "left"), [(0, ["v4"]), (1, ["v3", "v4"])])
async def test_the_history_has_its_limit(rollout: Rollout, limit: int, left: list[str]) -> None:
    await rollout.deploy(1, revisionHistoryLimit=limit)
    for version in ("v2", "v3", "v4"):
        await rollout.set_image(version)
        await rollout.is_complete()

    async def is_cleaned_up() -> bool:
        return sorted(await rollout.sizes()) == left

    await rollout.comes("only these are left", is_cleaned_up)


async def test_no_history_is_kept_of_what_is_put_back_in_mid_roll(rollout: Rollout) -> None:
    await rollout.deploy(strategy=ONE_BY_ONE, revisionHistoryLimit=0)
    await rollout.set_image(GATED)
    await rollout.has_sizes(v1=3, bad=1)
    await rollout.set_image("v1")
    await rollout.has_sizes(v1=3)
    await rollout.is_complete()


async def test_a_roll_that_takes_too_long_and_then_gets_on(rollout: Rollout) -> None:
    await rollout.deploy(strategy=ONE_BY_ONE, progressDeadlineSeconds=2)
    await rollout.set_image(GATED)
    await rollout.has_condition("Progressing", "False", "ProgressDeadlineExceeded")
    assert await rollout.sizes() == {"v1": 3, "bad": 1}

    async def gets_on() -> bool:
        await rollout.let_in()
        return await rollout.condition("Progressing") == ("True", "NewReplicaSetAvailable")

    await rollout.comes("the roll", gets_on)
    await rollout.has_sizes(v1=0, bad=3)


async def test_no_deadline_passes_while_paused(rollout: Rollout) -> None:
    await rollout.deploy(strategy=ONE_BY_ONE, progressDeadlineSeconds=2)
    await rollout.set_image(GATED)
    await rollout.has_sizes(v1=3, bad=1)
    await rollout.set_spec(paused=True)
    await rollout.has_condition("Progressing", "Unknown", "DeploymentPaused")
    await rollout.deploy(1, "other", image="myapp:bad", progressDeadlineSeconds=3)
    await rollout.has_condition("Progressing", "False", "ProgressDeadlineExceeded", "other")
    assert await rollout.condition("Progressing") == ("Unknown", "DeploymentPaused")


async def test_a_deadline_that_passed_stays_while_paused(rollout: Rollout) -> None:
    await rollout.deploy(strategy=ONE_BY_ONE, progressDeadlineSeconds=2)
    await rollout.set_image(GATED)
    await rollout.has_condition("Progressing", "False", "ProgressDeadlineExceeded")
    await rollout.set_spec(paused=True)
    await rollout.is_observed()
    assert await rollout.condition("Progressing") == ("False", "ProgressDeadlineExceeded")
    await rollout.set_spec(paused=False)
    await rollout.is_observed()
    assert await rollout.condition("Progressing") == ("False", "ProgressDeadlineExceeded")


async def test_a_resumed_roll_gets_its_whole_deadline_again(rollout: Rollout) -> None:
    await rollout.deploy(strategy=ONE_BY_ONE, progressDeadlineSeconds=2)
    await rollout.set_spec(paused=True)
    await rollout.set_image(GATED)
    await rollout.has_condition("Progressing", "Unknown", "DeploymentPaused")
    await rollout.set_spec(paused=False)
    await rollout.has_sizes(v1=3, bad=1)
    await rollout.has_condition("Progressing", "False", "ProgressDeadlineExceeded")


async def test_ready_is_not_available(rollout: Rollout) -> None:
    await rollout.deploy(2, strategy=ONE_BY_ONE)
    await rollout.set_spec(minReadySeconds=300)
    await rollout.has_status(replicas=2, updatedReplicas=2, readyReplicas=2, unavailableReplicas=2)
    assert await rollout.condition("Available") == ("False", "MinimumReplicasUnavailable")
    assert await rollout.revisions() == {"v1": "1", NAME: "1"}
    await rollout.set_spec(minReadySeconds=0)
    await rollout.is_complete()
    assert await rollout.condition("Available") == ("True", "MinimumReplicasAvailable")


async def test_available_some_seconds_after_ready(rollout: Rollout) -> None:
    await rollout.deploy(2, minReadySeconds=1)
    async with rollout.watched() as seen:
        await rollout.set_image("v2")
        await rollout.is_complete()
    assert seen.fewest_ready >= 2


async def test_a_deleted_replica_set_comes_back(rollout: Rollout) -> None:
    await rollout.deploy()
    before = {one["metadata"]["uid"] for one in await rollout.api.list("replicasets")}
    [one] = await rollout.api.list("replicasets")
    await rollout.api.delete("replicasets", one["metadata"]["name"])

    async def is_another() -> bool:
        found = {one["metadata"]["uid"] for one in await rollout.api.list("replicasets")}
        return len(found) == 1 and not found & before

    await rollout.comes("another", is_another)
    await rollout.is_complete()


async def test_recreate(rollout: Rollout) -> None:
    await rollout.deploy(2, strategy={"type": "Recreate"})
    async with rollout.watched() as seen:
        await rollout.set_image("v2")
        await rollout.is_complete()
    assert seen.fewest_ready == 0
    assert seen.most == 2
    await rollout.has_sizes(v1=0, v2=2)


async def test_what_is_written_on_the_deployment_reaches_its_replica_set(rollout: Rollout) -> None:
    await rollout.deploy()
    generation = (await rollout.get())["metadata"]["generation"]
    written = {"metadata": {"annotations": {"team": "shop"}, "labels": {"team": "shop"}}}
    await rollout.api.patch("deployments", NAME, written)

    async def has_arrived() -> bool:
        [one] = await rollout.api.list("replicasets")
        return bool(one["metadata"]["annotations"].get("team") == "shop")

    await rollout.comes("the annotation", has_arrived)
    [one] = await rollout.api.list("replicasets")
    assert "team" not in one["metadata"]["labels"]
    await rollout.is_observed()
    assert (await rollout.get())["metadata"]["generation"] == generation + 1


async def test_pods_that_are_not_ready_go_first(rollout: Rollout) -> None:
    await rollout.deploy()
    weak = (await rollout.pods())[1]["metadata"]["name"]
    container = rollout.plane.kubelet.container(rollout.namespace, weak)
    assert container is not None
    container.health.ready = False
    await rollout.has_status(
        **{**THREE, "readyReplicas": 2, "availableReplicas": 2}, unavailableReplicas=1
    )
    await rollout.set_spec(replicas=2)
    await rollout.is_complete()
    await rollout.has_sizes(v1=2)
    assert weak not in {pod["metadata"]["name"] for pod in await rollout.pods()}


async def test_a_deployment_takes_everything_along(rollout: Rollout) -> None:
    await rollout.deploy()
    await rollout.api.delete("deployments", NAME)

    async def is_gone() -> bool:
        return await rollout.api.list("replicasets") == await rollout.api.list("pods") == []

    await rollout.comes("nothing is left", is_gone)
