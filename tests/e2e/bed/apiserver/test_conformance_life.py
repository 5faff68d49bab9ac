"""How objects end: finalizers, owners, grace, namespaces."""

import pytest

from tests.e2e.bed.apiserver.client import (
    Api,
    config_map,
    deployment,
    eventually,
    ok,
    owned_by,
    pod,
    refusal,
    version,
)


def test_a_deleted_object_is_gone(api: Api) -> None:
    made = api.made("configmaps", config_map())
    status = ok(api.delete("configmaps", "a"))
    assert (status["kind"], status["status"]) == ("Status", "Success")
    assert status["details"]["uid"] == made["metadata"]["uid"]
    assert api.get("configmaps", "a").status_code == 404


def test_the_same_name_again_is_another_object(api: Api) -> None:
    first = api.made("configmaps", config_map())
    api.delete("configmaps", "a")
    second = api.made("configmaps", config_map())
    assert first["metadata"]["uid"] != second["metadata"]["uid"]
    assert version(second) > version(first)


def test_delete_keeps_to_its_preconditions(api: Api) -> None:
    made = api.made("configmaps", config_map())
    stale = {"preconditions": {"resourceVersion": "1"}}
    assert refusal(api.delete("configmaps", "a", stale)) == (409, "Conflict")
    ok(api.delete("configmaps", "a", {"preconditions": {"uid": made["metadata"]["uid"]}}))


def test_a_dry_delete_deletes_nothing(api: Api) -> None:
    api.made("configmaps", config_map())
    ok(api.delete("configmaps", "a", {"dryRun": ["All"]}))
    assert api.get("configmaps", "a").status_code == 200


def test_a_finalizer_holds_an_object(api: Api) -> None:
    api.made("deployments", deployment(finalizers=["x.io/a"]))
    marked = ok(api.delete("deployments", "web"))
    assert marked["metadata"]["deletionTimestamp"]
    assert marked["metadata"]["generation"] == 2
    assert api.get("deployments", "web").status_code == 200
    ok(api.patch("deployments", "web", {"metadata": {"finalizers": None}}))
    assert api.get("deployments", "web").status_code == 404


def test_no_finalizer_is_added_to_what_ends(api: Api) -> None:
    api.made("configmaps", config_map(finalizers=["x.io/a"]))
    ok(api.delete("configmaps", "a"))
    patch = {"metadata": {"finalizers": ["x.io/a", "x.io/b"]}}
    assert refusal(api.patch("configmaps", "a", patch)) == (422, "Invalid")
    ok(api.patch("configmaps", "a", {"metadata": {"finalizers": None}}))


def test_a_second_delete_changes_nothing(api: Api) -> None:
    api.made("configmaps", config_map(finalizers=["x.io/a"]))
    first = ok(api.delete("configmaps", "a"))
    assert ok(api.delete("configmaps", "a"))["metadata"] == first["metadata"]
    ok(api.patch("configmaps", "a", {"metadata": {"finalizers": None}}))


@pytest.mark.parametrize("policy", ["Background", "Foreground"])
def test_dependents_go_with_their_owner(api: Api, policy: str) -> None:
    owner = api.made("configmaps", config_map("owner"))
    api.made("configmaps", config_map("child", **owned_by(owner, blockOwnerDeletion=True)))
    api.delete("configmaps", "owner", {"propagationPolicy": policy})
    assert api.gone("configmaps", "child")
    assert api.gone("configmaps", "owner")


def test_grandchildren_go_too(api: Api) -> None:
    owner = api.made("configmaps", config_map("a"))
    child = api.made("configmaps", config_map("b", **owned_by(owner)))
    api.made("configmaps", config_map("c", **owned_by(child)))
    api.delete("configmaps", "a")
    assert api.gone("configmaps", "c")


def test_orphans_stay(api: Api) -> None:
    owner = api.made("configmaps", config_map("owner"))
    api.made("configmaps", config_map("child", **owned_by(owner)))
    api.delete("configmaps", "owner", {"propagationPolicy": "Orphan"})
    assert api.gone("configmaps", "owner")
    assert "ownerReferences" not in api.read("configmaps", "child")["metadata"]


def test_foreground_waits_for_a_blocking_dependent(api: Api) -> None:
    owner = api.made("configmaps", config_map("owner"))
    held = config_map("child", finalizers=["x.io/a"], **owned_by(owner, blockOwnerDeletion=True))
    api.made("configmaps", held)
    api.delete("configmaps", "owner", {"propagationPolicy": "Foreground"})
    assert eventually(lambda: "deletionTimestamp" in api.read("configmaps", "child")["metadata"])
    finalizers = api.read("configmaps", "owner")["metadata"]["finalizers"]
    assert finalizers == ["foregroundDeletion"]
    ok(api.patch("configmaps", "child", {"metadata": {"finalizers": None}}))
    assert api.gone("configmaps", "owner")


def test_one_owner_left_is_enough(api: Api) -> None:
    first = api.made("configmaps", config_map("one"))
    second = api.made("configmaps", config_map("two"))
    both = owned_by(first)["ownerReferences"] + owned_by(second)["ownerReferences"]
    api.made("configmaps", config_map("child", ownerReferences=both))
    api.delete("configmaps", "one")
    api.made("configmaps", config_map("after", **owned_by(first)))
    assert api.gone("configmaps", "after")
    assert api.get("configmaps", "child").status_code == 200
    api.delete("configmaps", "two")
    assert api.gone("configmaps", "child")


def test_an_object_of_an_owner_that_never_was_goes(api: Api) -> None:
    nobody = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x", "uid": "u-1"}}
    api.made("configmaps", config_map("child", **owned_by(nobody)))
    assert api.gone("configmaps", "child")


@pytest.mark.parametrize("field", ["apiVersion", "kind", "name", "uid"])
def test_an_owner_reference_is_whole(api: Api, field: str) -> None:
    owner = api.made("configmaps", config_map("owner"))
    references = owned_by(owner)
    references["ownerReferences"][0][field] = ""
    response = api.create("configmaps", config_map("child", **references))
    assert refusal(response) == (422, "Invalid")


def test_a_pod_that_never_ran_is_gone_at_once(api: Api) -> None:
    api.made("pods", pod())
    assert ok(api.delete("pods", "p"))["kind"] == "Pod"
    assert api.gone("pods", "p")


def test_a_running_pod_gets_its_grace(api: Api) -> None:
    api.made("pods", pod())
    binding = {
        "apiVersion": "v1",
        "kind": "Binding",
        "metadata": {"name": "p"},
        "target": {"kind": "Node", "name": "n1"},
    }
    bound = api.http.post(api.path("pods", "p", "binding"), json=binding)
    assert bound.status_code == 201
    assert api.read("pods", "p")["spec"]["nodeName"] == "n1"
    ending = ok(api.delete("pods", "p"))["metadata"]
    assert ending["deletionGracePeriodSeconds"] == 30
    assert api.get("pods", "p").status_code == 200
    ok(api.delete("pods", "p", {"gracePeriodSeconds": 0}))
    assert api.gone("pods", "p")


def test_a_pod_is_bound_once(api: Api) -> None:
    api.made("pods", pod())
    binding = {"metadata": {"name": "p"}, "target": {"name": "n1"}}
    path = api.path("pods", "p", "binding")
    assert api.http.post(path, json=binding).status_code == 201
    assert refusal(api.http.post(path, json=binding)) == (409, "Conflict")
    ok(api.delete("pods", "p", {"gracePeriodSeconds": 0}))


def test_a_collection_goes_by_selector(api: Api) -> None:
    for name, label in (("a", "1"), ("b", "1"), ("c", "2")):
        api.made("configmaps", config_map(name, labels={"x": label}))
    ok(api.http.delete(api.path("configmaps"), params={"labelSelector": "x=1"}))
    listed = ok(api.get("configmaps", labelSelector="x"))["items"]
    assert [item["metadata"]["name"] for item in listed] == ["c"]


def test_a_namespace_takes_everything_along(api: Api) -> None:
    api.made("configmaps", config_map())
    api.made("deployments", deployment())
    ending = ok(api.delete("namespaces", api.namespace))
    assert ending["status"]["phase"] == "Terminating"
    assert api.gone("namespaces", api.namespace)
    assert ok(api.get("deployments"))["items"] == []


def test_nothing_new_in_a_namespace_that_ends(api: Api) -> None:
    api.made("configmaps", config_map(finalizers=["x.io/a"]))
    api.delete("namespaces", api.namespace)
    assert refusal(api.create("services", {"metadata": {"name": "s"}})) == (403, "Forbidden")
    ok(api.patch("configmaps", "a", {"metadata": {"finalizers": None}}))
    assert api.gone("namespaces", api.namespace)
