"""What each patch type makes of an object, and who owns what after it."""

from typing import Any

import pytest

from tests.e2e.bed.apiserver.client import (
    Api,
    Json,
    config_map,
    deployment,
    ok,
    refusal,
    service,
    template,
    version,
    with_spec,
)


@pytest.mark.parametrize(
    ("patch", "data"),
    [
        ({"data": {"b": "2"}}, {"a": "1", "b": "2"}),
        ({"data": {"a": None}}, None),
        ({"data": {"a": "9", "c": "3"}}, {"a": "9", "c": "3"}),
        ({"data": None}, None),
        ({}, {"a": "1"}),
    ],
)
def test_merge_patch(api: Api, patch: Json, data: Json | None) -> None:
    api.made("configmaps", config_map("a", {"a": "1"}))
    assert ok(api.patch("configmaps", "a", patch)).get("data") == data


@pytest.mark.parametrize(
    ("operations", "data"),
    [
        ([{"op": "add", "path": "/data/b", "value": "2"}], {"a": "1", "b": "2"}),
        ([{"op": "replace", "path": "/data/a", "value": "2"}], {"a": "2"}),
        ([{"op": "remove", "path": "/data/a"}], None),
        ([{"op": "copy", "from": "/data/a", "path": "/data/b"}], {"a": "1", "b": "1"}),
        ([{"op": "move", "from": "/data/a", "path": "/data/b"}], {"b": "1"}),
        (
            [
                {"op": "test", "path": "/data/a", "value": "1"},
                {"op": "add", "path": "/data/c~1d", "value": "3"},
            ],
            None,
        ),
        ([{"op": "replace", "path": "/data/b", "value": "2"}], {"a": "1", "b": "2"}),
        ([], {"a": "1"}),
    ],
)
def test_json_patch(api: Api, operations: list[Json], data: Json | None) -> None:
    api.made("configmaps", config_map("a", {"a": "1"}))
    response = api.patch("configmaps", "a", operations, "json")
    if any("~1" in operation["path"] for operation in operations):
        assert refusal(response) == (422, "Invalid")  # no key of a ConfigMap holds a slash
    else:
        assert ok(response).get("data") == data


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "test", "path": "/data/a", "value": "other"},
        {"op": "test", "path": "/data/zz", "value": "1"},
        {"op": "add", "path": "/metadata/annotations/x", "value": "y"},
        {"op": "remove", "path": "/data/zz"},
        {"op": "replace", "path": "/metadata/annotations/x", "value": "1"},
        {"op": "replace", "path": "/metadata/finalizers/0", "value": "1"},
    ],
)
def test_a_json_patch_that_does_not_fit_is_a_bare_422(api: Api, operation: Json) -> None:
    made = api.made("configmaps", config_map("a", {"a": "1"}))
    response = api.patch("configmaps", "a", [operation], "json")
    assert refusal(response) == (422, "Invalid")
    assert response.json().get("details", {}) == {}
    assert api.read("configmaps", "a") == made


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (r'"\u003c=1% \u0026 金\"\\"', 200),
        (r'"<=1% & 金\"\\"', 422),
        (r'"\u003c=1% \u0026 \u91d1\"\\"', 422),
    ],
    ids=["as the server writes", "not escaped", "escaped too much"],
)
def test_a_test_of_a_json_patch_compares_the_texts_of_strings(
    api: Api, text: str, code: int
) -> None:
    name = f"spelled-{code}-{len(text)}"
    api.made("configmaps", config_map(name, data={"a": '<=1% & 金"\\'}))
    patch = f'[{{"op": "test", "path": "/data", "value": {{"a": {text}}}}}]'
    answer = api.http.patch(
        api.path("configmaps", name),
        content=patch.encode(),
        headers={"Content-Type": "application/json-patch+json"},
    )
    assert answer.status_code == code


def test_a_json_patch_is_all_or_nothing(api: Api) -> None:
    made = api.made("configmaps", config_map("a", {"a": "1"}))
    operations = [
        {"op": "add", "path": "/data/b", "value": "2"},
        {"op": "test", "path": "/data/a", "value": "2"},
    ]
    assert api.patch("configmaps", "a", operations, "json").status_code == 422
    assert api.read("configmaps", "a") == made


@pytest.mark.parametrize("sort", ["json", "merge", "strategic"])
def test_a_patch_of_nobody_is_not_found(api: Api, sort: str) -> None:
    patch: Any = [] if sort == "json" else {}
    assert refusal(api.patch("configmaps", "a", patch, sort)) == (404, "NotFound")


@pytest.mark.parametrize(("sort", "patch"), [("json", {}), ("merge", []), ("strategic", [])])
def test_a_patch_of_the_wrong_shape_is_refused(api: Api, sort: str, patch: Any) -> None:
    api.made("configmaps", config_map())
    assert refusal(api.patch("configmaps", "a", patch, sort))[0] == 400


def containers(obj: Json) -> list[Json]:
    found: list[Json] = obj["spec"]["template"]["spec"]["containers"]
    return found


def pod_patch(*patched: Json, **more: Any) -> Json:
    return {"spec": {"template": {"spec": {"containers": list(patched), **more}}}}


def test_strategic_merge_changes_one_container(api: Api) -> None:
    api.made("deployments", deployment())
    patched = ok(
        api.patch("deployments", "web", pod_patch({"name": "web", "image": "web:2"}), "strategic")
    )
    assert [(one["name"], one["image"]) for one in containers(patched)] == [("web", "web:2")]
    assert containers(patched)[0]["ports"] == [{"containerPort": 8080, "protocol": "TCP"}]


def test_strategic_merge_adds_and_deletes_containers(api: Api) -> None:
    api.made("deployments", deployment())
    two = pod_patch({"name": "side", "image": "side:1"})
    added = ok(api.patch("deployments", "web", two, "strategic"))
    assert [one["name"] for one in containers(added)] == ["side", "web"]
    drop = pod_patch({"name": "web", "$patch": "delete"})
    left = ok(api.patch("deployments", "web", drop, "strategic"))
    assert [one["name"] for one in containers(left)] == ["side"]


def test_strategic_merge_follows_a_given_order(api: Api) -> None:
    api.made("deployments", deployment())
    order = [{"name": "web"}, {"name": "side"}]
    patch = pod_patch({"name": "side", "image": "side:1"}, **{"$setElementOrder/containers": order})
    patched = ok(api.patch("deployments", "web", patch, "strategic"))
    assert [one["name"] for one in containers(patched)] == ["web", "side"]


def test_merge_patch_replaces_lists(api: Api) -> None:
    api.made("deployments", deployment())
    patched = ok(
        api.patch("deployments", "web", pod_patch({"name": "new", "image": "new:1"}), "merge")
    )
    assert [one["name"] for one in containers(patched)] == ["new"]


def test_strategic_merge_of_service_ports_goes_by_port(api: Api) -> None:
    api.made("services", with_spec(service(), ports=[{"name": "a", "port": 80}]))
    patch = {"spec": {"ports": [{"name": "b", "port": 81}]}}
    patched = ok(api.patch("services", "web", patch, "strategic"))
    assert sorted(port["port"] for port in patched["spec"]["ports"]) == [80, 81]


def test_strategic_merge_replaces_where_told(api: Api) -> None:
    api.made("deployments", deployment())
    patch = {"spec": {"strategy": {"$patch": "replace", "type": "Recreate"}}}
    patched = ok(api.patch("deployments", "web", patch, "strategic"))
    assert patched["spec"]["strategy"] == {"type": "Recreate"}


def test_strategic_merge_retains_keys(api: Api) -> None:
    api.made("deployments", deployment())
    patch = {"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}}
    patched = ok(api.patch("deployments", "web", patch, "strategic"))
    assert patched["spec"]["strategy"] == {"type": "Recreate"}


def test_strategic_merge_of_finalizers_is_a_set(api: Api) -> None:
    api.made("configmaps", config_map(finalizers=["x.io/a"]))
    more = {"metadata": {"finalizers": ["x.io/b"]}}
    patched = ok(api.patch("configmaps", "a", more, "strategic"))
    assert sorted(patched["metadata"]["finalizers"]) == ["x.io/a", "x.io/b"]
    less = {"metadata": {"$deleteFromPrimitiveList/finalizers": ["x.io/a", "x.io/b"]}}
    assert "finalizers" not in ok(api.patch("configmaps", "a", less, "strategic"))["metadata"]


# Ownership.


def managers(obj: Json) -> list[tuple[str, str, str]]:
    entries = obj["metadata"].get("managedFields", [])
    return sorted(
        (entry["manager"], entry["operation"], entry.get("subresource", "")) for entry in entries
    )


def fields_of(obj: Json, manager: str, operation: str = "Update") -> Json:
    found: Json = next(
        entry["fieldsV1"]
        for entry in obj["metadata"]["managedFields"]
        if (entry["manager"], entry["operation"]) == (manager, operation)
    )
    return found


def test_a_manager_is_named_by_the_client(api: Api) -> None:
    api.create("configmaps", config_map(), fieldManager="me")
    made = api.read("configmaps", "a")
    assert managers(made) == [("me", "Update", "")]
    assert fields_of(made, "me") == {"f:data": {".": {}, "f:k": {}}}


def test_a_manager_without_a_name_is_its_user_agent(api: Api) -> None:
    headers = {"User-Agent": "tester/1.0 (linux)"}
    api.http.post(api.path("configmaps"), json=config_map(), headers=headers)
    assert managers(api.read("configmaps", "a")) == [("tester", "Update", "")]


def test_a_changed_field_changes_hands(api: Api) -> None:
    api.create("configmaps", config_map("a", {"a": "1", "b": "1"}), fieldManager="first")
    changed = ok(api.patch("configmaps", "a", {"data": {"b": "2"}}, fieldManager="second"))
    assert fields_of(changed, "first") == {"f:data": {".": {}, "f:a": {}}}
    assert fields_of(changed, "second") == {"f:data": {"f:b": {}}}


def test_a_removed_field_has_no_owner(api: Api) -> None:
    api.create("configmaps", config_map("a", {"a": "1", "b": "1"}), fieldManager="first")
    changed = ok(api.patch("configmaps", "a", {"data": {"b": None}}, fieldManager="second"))
    assert managers(changed) == [("first", "Update", "")]
    assert fields_of(changed, "first") == {"f:data": {".": {}, "f:a": {}}}


def test_fields_of_a_new_deployment(api: Api) -> None:
    api.create("deployments", deployment(labels={"a": "b"}), fieldManager="me")
    fields = fields_of(api.read("deployments", "web"), "me")
    assert fields["f:metadata"] == {"f:labels": {".": {}, "f:a": {}}}
    assert fields["f:spec"]["f:selector"] == {}
    assert fields["f:spec"]["f:strategy"] == {
        "f:rollingUpdate": {".": {}, "f:maxSurge": {}, "f:maxUnavailable": {}},
        "f:type": {},
    }
    assert fields["f:spec"]["f:template"]["f:spec"]["f:containers"] == {
        'k:{"name":"web"}': {
            ".": {},
            "f:image": {},
            "f:imagePullPolicy": {},
            "f:name": {},
            "f:ports": {
                ".": {},
                'k:{"containerPort":8080,"protocol":"TCP"}': {
                    ".": {},
                    "f:containerPort": {},
                    "f:protocol": {},
                },
            },
            "f:resources": {},
            "f:terminationMessagePath": {},
            "f:terminationMessagePolicy": {},
        }
    }


def test_a_status_writer_owns_by_subresource(api: Api) -> None:
    api.made("deployments", deployment())
    patch = {"status": {"replicas": 7}}
    written = ok(api.patch("deployments", "web", patch, part="status", fieldManager="c"))
    assert ("c", "Update", "status") in managers(written)


def test_a_write_that_changes_nothing_owns_nothing(api: Api) -> None:
    made = api.made("configmaps", config_map())
    same = ok(api.patch("configmaps", "a", {"data": {"k": "v"}}, fieldManager="other"))
    assert managers(same) == managers(made)


def test_an_apply_creates_and_owns(api: Api) -> None:
    response = api.apply("configmaps", config_map(), "me")
    assert response.status_code == 201
    made = response.json()
    assert managers(made) == [("me", "Apply", "")]
    assert fields_of(made, "me", "Apply") == {"f:data": {"f:k": {}}}
    again = api.apply("configmaps", config_map(), "me")
    assert (again.status_code, version(again.json())) == (200, version(made))


def test_an_apply_gives_up_what_it_no_longer_names(api: Api) -> None:
    ok(api.apply("configmaps", config_map("a", {"a": "1", "b": "1"}), "me"))
    applied = ok(api.apply("configmaps", config_map("a", {"a": "1"}), "me"))
    assert applied["data"] == {"a": "1"}


def test_an_apply_leaves_what_others_set(api: Api) -> None:
    ok(api.apply("configmaps", config_map("a", {"a": "1"}), "me"))
    ok(api.apply("configmaps", config_map("a", {"b": "1"}), "you"))
    applied = ok(api.apply("configmaps", config_map("a", {"a": "2"}), "me"))
    assert applied["data"] == {"a": "2", "b": "1"}


def test_an_apply_conflicts_with_an_owner_of_another_value(api: Api) -> None:
    ok(api.apply("configmaps", config_map("a", {"a": "1"}), "me"))
    response = api.apply("configmaps", config_map("a", {"a": "2"}), "you")
    assert refusal(response) == (409, "Conflict")
    causes = response.json()["details"]["causes"]
    assert [(one["reason"], one["field"]) for one in causes] == [
        ("FieldManagerConflict", ".data.a")
    ]


def test_an_apply_shares_an_equal_value(api: Api) -> None:
    ok(api.apply("configmaps", config_map("a", {"a": "1"}), "me"))
    shared = ok(api.apply("configmaps", config_map("a", {"a": "1"}), "you"))
    assert [name for name, _, _ in managers(shared)] == ["me", "you"]


def test_a_forced_apply_takes(api: Api) -> None:
    ok(api.apply("configmaps", config_map("a", {"a": "1"}), "me"))
    taken = ok(api.apply("configmaps", config_map("a", {"a": "2"}), "you", force="true"))
    assert taken["data"] == {"a": "2"}
    assert managers(taken) == [("you", "Apply", "")]


def test_an_apply_merges_containers_by_name(api: Api) -> None:
    api.made("deployments", deployment())
    side = {"name": "side", "image": "side:1"}
    wanted = deployment()
    wanted["spec"] = {"template": {"spec": {"containers": [side]}}}
    applied = ok(api.apply("deployments", wanted, "me"))
    assert sorted(one["name"] for one in containers(applied)) == ["side", "web"]
    wanted["spec"] = {"template": {"metadata": {"labels": {"x": "y"}}}}
    given_up = ok(api.apply("deployments", wanted, "me"))
    assert [one["name"] for one in containers(given_up)] == ["web"]


def test_an_apply_over_an_update_conflicts(api: Api) -> None:
    api.create("deployments", deployment(), fieldManager="first")
    wanted = with_spec(deployment(), template=template("web", "web:2"))
    response = api.apply("deployments", wanted, "me")
    assert refusal(response) == (409, "Conflict")
    assert 'conflict with "first"' in response.json()["message"]


def test_an_apply_needs_a_manager(api: Api) -> None:
    response = api.patch("configmaps", "a", config_map(), "apply")
    assert response.status_code in (400, 422)


def test_managed_fields_can_be_cleared(api: Api) -> None:
    api.made("configmaps", config_map())
    patch = [{"op": "replace", "path": "/metadata/managedFields", "value": [{}]}]
    assert "managedFields" not in ok(api.patch("configmaps", "a", patch, "json"))["metadata"]


def cleared(api: Api, plural: str, name: str) -> None:
    ok(api.patch(plural, name, {"metadata": {"managedFields": [{}]}}))


def test_an_apply_to_what_nobody_owned_leaves_the_rest_to_the_time_before(api: Api) -> None:
    api.made("services", service(labels={"a": "1"}))
    cleared(api, "services", "web")
    wanted = service()
    wanted["spec"] = {"sessionAffinity": "None"}
    owned = fields_of(ok(api.apply("services", wanted)), "before-first-apply")
    assert owned["f:metadata"] == {"f:labels": {".": {}, "f:a": {}}}
    assert "f:selector" in owned["f:spec"]


def test_an_apply_to_a_status_that_nobody_owned_leaves_the_spec_to_nobody(api: Api) -> None:
    api.made("services", service(labels={"a": "1"}))
    here = {"type": "Here", "status": "True", "reason": "Because", "message": "so it is"}
    here["lastTransitionTime"] = "2026-01-01T00:00:00Z"
    ok(api.patch("services", "web", {"status": {"conditions": [here]}}, part="status"))
    cleared(api, "services", "web")
    wanted = service()
    del wanted["spec"]
    wanted["status"] = {"conditions": [{**here, "type": "There"}]}
    applied = ok(api.patch("services", "web", wanted, "apply", "status", fieldManager="me"))
    assert managers(applied) == [
        ("before-first-apply", "Update", "status"),
        ("me", "Apply", "status"),
    ]
    owned = fields_of(applied, "before-first-apply")
    assert owned["f:metadata"] == {"f:labels": {".": {}, "f:a": {}}}
    assert {*owned["f:status"]["f:conditions"]} == {".", 'k:{"type":"Here"}'}
    assert "f:spec" not in owned


def test_a_container_is_gone_of_which_an_apply_gave_up_all(api: Api) -> None:
    made = deployment()
    made["spec"]["template"]["spec"]["containers"][0] |= {"securityContext": {}, "lifecycle": {}}
    ok(api.create("deployments", made, fieldManager="maker"))
    wanted = deployment()
    more: Json = {"securityContext": {"runAsUser": 5}}
    more["lifecycle"] = {"preStop": {"sleep": {"seconds": 1}}}
    wanted["spec"] = {"template": {"spec": {"containers": [{"name": "web", **more}]}}}
    applied = ok(api.apply("deployments", wanted))
    assert {field: containers(applied)[0][field] for field in more} == more
    wanted["spec"] = {"template": {"spec": {"containers": [{"name": "web"}]}}}
    given_up = ok(api.apply("deployments", wanted))
    assert not {*more} & {*containers(given_up)[0]}
    pod = fields_of(given_up, "maker")["f:spec"]["f:template"]["f:spec"]
    owned = pod["f:containers"]['k:{"name":"web"}']
    assert {field: owned[f"f:{field}"] for field in more} == {field: {} for field in more}
