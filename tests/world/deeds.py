"""What people and clusters do to a release in the middle of it."""

from collections.abc import Callable
from typing import Literal

import pytest

from controller.api.objects import revision_of, template_of
from e2e.bed import manifests
from tests.world.kubectl import NAME, NAMESPACE, KubectlError, image
from tests.world.world import World

Deed = Callable[[World], object]


def by_hand(_: World) -> None:
    """Each stage has its own: kubectl answers differently."""


def change_template(world: World) -> None:
    """Edit the template, and not the image."""

    def add(obj: manifests.Manifest) -> None:
        container = obj["spec"]["template"]["spec"]["containers"][0]
        container["env"] = [{"name": "COLOUR", "value": "blue"}]

    world.edit("deployments", add)


def apply_newer(world: World) -> None:
    if world.stage() == "Idle":
        world.set_image("v2")
    world.apply(manifests.deployment(image=image("v3")))


def delete(kind: str, name: str) -> Deed:
    def deed(world: World) -> None:
        if world.store.exists(kind, NAMESPACE, name):
            world.delete(kind, name)

    return deed


def delete_pods(track: Literal["stable", "canary"], *, most: int = 100) -> Deed:
    def deed(world: World) -> None:
        for pod in world.pods(track)[:most]:
            world.delete("pods", pod["metadata"]["name"])

    return deed


def delete_serving_set(world: World) -> None:
    for entry in world.store.list("replicasets", NAMESPACE):
        if entry["spec"]["template"]["spec"]["containers"][0]["image"] == image("v1"):
            world.delete("replicasets", entry["metadata"]["name"])


def refuses(verb: Callable[[World], None]) -> Deed:
    """The command itself fails, and the world stays as it is."""

    def deed(world: World) -> None:
        with pytest.raises(KubectlError):
            verb(world)

    return deed


def act(verb: str) -> Deed:
    """Write the one-shot action; `REV` stands for the revision of stable's template."""

    def deed(world: World) -> None:
        revision = revision_of(template_of(world.deployment()))
        world.annotate(action=verb.replace("REV", revision))

    return deed


def autoscale_down(world: World) -> None:
    """An autoscaler finds stable idle and takes it down to one pod."""
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": NAME}
    world.apply(
        {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": NAME, "namespace": NAMESPACE},
            "spec": {"minReplicas": 1, "maxReplicas": 5, "scaleTargetRef": target},
        }
    )
    world.scale(1, manager="horizontal-pod-autoscaler")


def crash_canary(world: World) -> None:
    for pod in world.pods("canary"):
        world.crash_pod(pod)


def ship_a_bad_one(world: World) -> None:
    world.annotate(ready_deadline="60s")
    world.set_image("bad")


def restarted(world: World) -> None:
    """Restart the pods, and see that others serve."""
    before = {pod["metadata"]["name"] for pod in world.pods("stable")}
    world.rollout_restart()
    world.run(60)
    assert not (before & {pod["metadata"]["name"] for pod in world.pods("stable")})


def to_v1_and_resume(world: World) -> None:
    world.put_back()
    world.rollout_resume()


def set_right(world: World) -> None:
    world.annotate(replicas=None, wieght=None)


def put_main_back(world: World) -> None:
    world.apply(manifests.ingress())
