"""The simulated EndpointSlice controller."""

from typing import Any

import pytest

from e2e.bed import manifests
from e2e.bed.workloads.endpointslice import LARGEST
from tests.e2e.bed.world import NAMESPACE, World

LEAVING = {"ready": False, "serving": True, "terminating": True}
READY = {"ready": True, "serving": True, "terminating": False}


@pytest.fixture
def world() -> World:
    world = World()
    labels = {"app": "myapp", "serinus.dev/canary": "enabled"}
    world.create("services", manifests.service(labels=labels))
    world.deploy()
    world.settle()
    return world


def slices(world: World) -> list[Any]:
    return world.store.list("endpointslices", NAMESPACE)


def test_a_service_has_one_slice_with_its_labels_ports_and_ready_pods(world: World) -> None:
    [found] = slices(world)
    assert found["metadata"]["labels"] == {
        "app": "myapp",
        "serinus.dev/canary": "enabled",
        "kubernetes.io/service-name": "myapp",
        "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
    }
    assert found["metadata"]["ownerReferences"][0]["kind"] == "Service"
    assert found["ports"] == [{"name": "", "port": 8080, "protocol": "TCP"}]
    pods = {p["metadata"]["name"]: p for p in world.pods()}
    assert {e["targetRef"]["name"] for e in found["endpoints"]} == set(pods)
    for endpoint in found["endpoints"]:
        pod = pods[endpoint["targetRef"]["name"]]
        assert endpoint["conditions"] == READY
        assert endpoint["addresses"] == [pod["status"]["podIP"]]
        assert endpoint["targetRef"]["uid"] == pod["metadata"]["uid"]


def test_a_terminating_pod_serves_but_is_not_ready_until_it_is_gone(world: World) -> None:
    doomed = world.pods()[0]["metadata"]["name"]
    world.cluster.delete("pods", world.store.get("pods", NAMESPACE, doomed))
    world.run()
    conditions = {e["targetRef"]["name"]: e["conditions"] for e in slices(world)[0]["endpoints"]}
    assert conditions[doomed] == LEAVING
    world.settle()
    [found] = slices(world)
    assert [e["conditions"] for e in found["endpoints"]] == [READY] * 3
    assert doomed not in {e["targetRef"]["name"] for e in found["endpoints"]}


def test_a_pod_that_is_not_ready_is_listed_as_such(world: World) -> None:
    world.make_ready(world.pods()[0], ready=False)
    world.run()
    ready = [e["conditions"]["ready"] for e in slices(world)[0]["endpoints"]]
    assert sorted(ready) == [False, True, True]


def test_labels_follow_the_service(world: World) -> None:
    change = {"metadata": {"labels": {"serinus.dev/canary": None, "tier": "web"}}}
    world.store.patch("services", NAMESPACE, "myapp", "merge", change)
    world.run()
    labels = slices(world)[0]["metadata"]["labels"]
    assert ("serinus.dev/canary" in labels, labels["tier"]) == (False, "web")


def test_a_named_target_port_is_resolved_in_the_pod(world: World) -> None:
    world.edit(lambda s: s["template"]["spec"]["containers"][0]["ports"][0].update(name="web"))
    world.edit(lambda s: s["ports"][0].update(name="http", targetPort="web"), "services")
    world.settle()
    assert slices(world)[0]["ports"] == [{"name": "http", "port": 8080, "protocol": "TCP"}]


def test_slices_split_above_a_hundred_endpoints(world: World) -> None:
    world.set_spec(replicas=LARGEST + 20)
    world.settle()
    assert sorted(len(one["endpoints"]) for one in slices(world)) == [20, LARGEST]
    world.set_spec(replicas=1)
    world.settle()
    assert [len(one["endpoints"]) for one in slices(world)] == [1]


def test_an_empty_slice_stays_when_no_pod_is_left(world: World) -> None:
    world.set_spec(replicas=0)
    world.settle()
    [found] = slices(world)
    assert (found["endpoints"], found["ports"]) == (None, None)


def test_slices_go_with_their_service_and_come_back_when_deleted(world: World) -> None:
    world.cluster.delete("endpointslices", slices(world)[0])
    world.run()
    assert len(slices(world)) == 1
    world.store.delete("services", NAMESPACE, "myapp")
    world.run()
    assert slices(world) == []


def test_a_service_without_a_selector_gets_no_slice(world: World) -> None:
    service = manifests.service("other")
    del service["spec"]["selector"]
    world.create("services", service)
    world.run()
    owners = {one["metadata"]["labels"]["kubernetes.io/service-name"] for one in slices(world)}
    assert owners == {"myapp"}
