"""The simulated Deployment and ReplicaSet controllers against what Kubernetes does."""

import pytest

from e2e.bed.workloads.cluster import controller_of, is_active, is_ready
from e2e.bed.workloads.rollout import HASH_LABEL, REVISION, Bounds, bounds_of, template_hash
from tests.e2e.bed.world import NAMESPACE, World

ROLLING_ONE_BY_ONE = {
    "type": "RollingUpdate",
    "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0},
}


@pytest.fixture
def world() -> World:
    world = World()
    world.deploy()
    world.settle()
    return world


def test_a_new_deployment_becomes_complete(world: World) -> None:
    assert world.status() == {
        "observedGeneration": 1,
        "replicas": 3,
        "updatedReplicas": 3,
        "readyReplicas": 3,
        "availableReplicas": 3,
        "terminatingReplicas": 0,
    }
    assert world.condition("Available") == ("True", "MinimumReplicasAvailable")
    assert world.condition("Progressing") == ("True", "NewReplicaSetAvailable")


def test_names_and_labels_come_from_the_template(world: World) -> None:
    [replica_set] = world.store.list("replicasets", NAMESPACE)
    digest = template_hash(world.deployment()["spec"]["template"])
    assert replica_set["metadata"]["name"] == f"myapp-{digest}"
    assert replica_set["spec"]["selector"]["matchLabels"] == {"app": "myapp", HASH_LABEL: digest}
    for pod in world.pods():
        assert pod["metadata"]["name"].startswith(f"myapp-{digest}-")
        assert pod["metadata"]["labels"] == {"app": "myapp", HASH_LABEL: digest}
        owner = controller_of(pod)
        assert owner is not None
        assert owner["uid"] == replica_set["metadata"]["uid"]


def test_rolls_to_a_new_template_within_surge_and_unavailable(world: World) -> None:
    world.set_spec(strategy=ROLLING_ONE_BY_ONE)
    world.settle()
    world.set_image("v2")
    world.run()
    assert world.sizes() == {"v1": 3, "v2": 1}
    seen = []
    while world.step_pods():
        world.run()
        active = [p for p in world.pods() if is_active(p)]
        seen.append((len(active) <= 4, sum(map(is_ready, active)) >= 3))
    assert set(seen) == {(True, True)}
    assert world.sizes() == {"v1": 0, "v2": 3}


def test_a_paused_deployment_keeps_the_old_template(world: World) -> None:
    world.set_spec(paused=True)
    world.set_image("v2")
    world.settle()
    assert world.sizes() == {"v1": 3}
    assert world.status() == {
        "observedGeneration": 3,
        "replicas": 3,
        "readyReplicas": 3,
        "availableReplicas": 3,
        "terminatingReplicas": 0,
    }
    assert world.condition("Progressing") == ("Unknown", "DeploymentPaused")


def test_a_paused_deployment_scales_with_the_old_template_and_back_from_zero(world: World) -> None:
    world.set_spec(paused=True)
    world.set_image("v2")
    for replicas in (5, 0, 2):
        world.set_spec(replicas=replicas)
        world.settle()
        assert world.sizes() == {"v1": replicas}
        assert len(world.pods("v1")) == len(world.pods()) == replicas


def test_a_paused_deployment_replaces_deleted_pods_with_the_old_template(world: World) -> None:
    world.set_spec(paused=True)
    world.set_image("v2")
    doomed = world.pods()[0]
    world.cluster.delete("pods", doomed)
    world.settle()
    assert len(world.pods("v1")) == 3
    assert doomed["metadata"]["name"] not in {p["metadata"]["name"] for p in world.pods()}


def test_of_two_quick_changes_only_the_last_is_rolled(world: World) -> None:
    world.set_spec(paused=True)
    world.set_image("v2")
    world.set_image("v3")
    world.settle()
    world.set_spec(paused=False)
    world.settle()
    assert world.sizes() == {"v1": 0, "v3": 3}


def test_a_pause_in_mid_roll_scales_both_sides_in_proportion() -> None:
    world = World()
    world.deploy(replicas=10, strategy={"rollingUpdate": {"maxSurge": 3, "maxUnavailable": 2}})
    world.settle()
    world.set_image("v2")
    world.run()
    assert world.sizes() == {"v1": 8, "v2": 5}
    world.set_spec(paused=True)
    world.set_spec(replicas=15)
    world.settle()
    assert world.sizes() == {"v1": 11, "v2": 7}


def test_going_back_to_an_old_template_reuses_its_replica_set(world: World) -> None:
    world.set_image("v2")
    world.settle()
    names = {one["metadata"]["name"] for one in world.store.list("replicasets", NAMESPACE)}
    world.edit(lambda s: s["template"]["spec"]["containers"][0].update(image="janakiramm/myapp:v1"))
    world.settle()
    found = world.store.list("replicasets", NAMESPACE)
    assert {one["metadata"]["name"] for one in found} == names
    assert world.sizes() == {"v1": 3, "v2": 0}
    assert world.deployment()["metadata"]["annotations"][REVISION] == "3"
    revisions = sorted(one["metadata"]["annotations"][REVISION] for one in found)
    assert revisions == ["2", "3"]


def test_the_revision_raises_no_generation_and_own_annotations_reach_the_replica_set() -> None:
    world = World()
    world.deploy()
    world.settle()
    assert world.deployment()["metadata"]["generation"] == 1
    change = {"metadata": {"annotations": {"team": "shop"}}}
    world.store.patch("deployments", NAMESPACE, "myapp", "merge", change)
    world.settle()
    [replica_set] = world.store.list("replicasets", NAMESPACE)
    assert replica_set["metadata"]["annotations"]["team"] == "shop"
    assert replica_set["metadata"]["annotations"][REVISION] == "1"


def test_a_deleted_replica_set_comes_back_unless_paused(world: World) -> None:
    [replica_set] = world.store.list("replicasets", NAMESPACE)
    world.cluster.delete("replicasets", replica_set)
    world.settle()
    assert world.sizes() == {"v1": 3}
    world.set_spec(paused=True)
    world.settle()
    world.cluster.delete("replicasets", world.store.list("replicasets", NAMESPACE)[0])
    world.settle()
    assert world.sizes() == {}
    assert world.pods() == []


def test_recreate_starts_nothing_before_the_last_old_pod_is_gone(world: World) -> None:
    world.set_spec(strategy={"type": "Recreate"})
    world.set_image("v2")
    world.run()
    assert world.sizes() == {"v1": 0}
    assert world.pods("v2") == []
    world.settle()
    assert len(world.pods("v2")) == 3


def test_a_roll_without_progress_exceeds_its_deadline(world: World) -> None:
    world.set_spec(progressDeadlineSeconds=60)
    world.settle()
    world.set_image("v2")
    world.run()
    world.time += 30
    world.run()
    assert world.condition("Progressing") == ("True", "ReplicaSetUpdated")
    world.time += 60
    world.run()
    assert world.condition("Progressing") == ("False", "ProgressDeadlineExceeded")
    world.settle()
    assert world.condition("Progressing") == ("True", "NewReplicaSetAvailable")


def test_the_deadline_never_fires_while_paused(world: World) -> None:
    world.set_spec(progressDeadlineSeconds=60, paused=True)
    world.set_image("v2")
    world.settle()
    world.time += 3600
    world.run()
    assert world.condition("Progressing") == ("Unknown", "DeploymentPaused")


def test_pods_count_as_available_after_min_ready_seconds() -> None:
    world = World()
    world.deploy(replicas=2, minReadySeconds=10)
    world.settle()
    assert (world.status()["readyReplicas"], "availableReplicas" in world.status()) == (2, False)
    world.time += 11
    world.run()
    assert world.status()["availableReplicas"] == 2


def test_the_history_is_cleaned_up_to_its_limit(world: World) -> None:
    world.set_spec(revisionHistoryLimit=2)
    for tag in ("v2", "v3", "v4", "v5"):
        world.set_image(tag)
        world.settle()
    assert world.sizes() == {"v3": 0, "v4": 0, "v5": 3}


def test_a_deleted_deployment_takes_everything_along(world: World) -> None:
    world.store.delete("deployments", NAMESPACE, "myapp")
    world.settle()
    assert world.sizes() == {}
    assert world.pods() == []


def test_scaling_down_removes_pods_that_are_not_ready_first(world: World) -> None:
    weak = world.pods()[1]
    world.make_ready(weak, ready=False)
    world.set_spec(replicas=2)
    world.run()
    leaving = [p for p in world.pods() if p["metadata"].get("deletionTimestamp")]
    assert [p["metadata"]["name"] for p in leaving] == [weak["metadata"]["name"]]


@pytest.mark.parametrize(
    ("replicas", "surge", "unavailable", "expected"),
    [
        (3, "25%", "25%", Bounds(surge=1, unavailable=0)),
        (4, "25%", "25%", Bounds(surge=1, unavailable=1)),
        (10, "25%", "25%", Bounds(surge=3, unavailable=2)),
        (1, "25%", "25%", Bounds(surge=1, unavailable=0)),
        (3, 0, "10%", Bounds(surge=0, unavailable=1)),
        (3, 0, 0, Bounds(surge=0, unavailable=1)),
        (3, "100%", "100%", Bounds(surge=3, unavailable=3)),
        (2, 1, 5, Bounds(surge=1, unavailable=2)),
        (0, "25%", "25%", Bounds(surge=0, unavailable=0)),
    ],
)
def test_surge_rounds_up_and_unavailable_rounds_down(
    replicas: int, surge: int | str, unavailable: int | str, expected: Bounds
) -> None:
    rolling = {"maxSurge": surge, "maxUnavailable": unavailable}
    spec = {"replicas": replicas, "strategy": {"rollingUpdate": rolling}}
    assert bounds_of({"spec": spec}) == expected
