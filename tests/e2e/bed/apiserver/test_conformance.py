"""Verbs, versions, generations, defaults and refusals; the same cases hold on a real server."""

from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import pytest

from tests.e2e.bed.apiserver.client import (
    Api,
    Json,
    autoscaler,
    budget,
    config_map,
    deployment,
    endpoint_slice,
    event,
    eventually,
    ingress,
    lease,
    ok,
    pod,
    refusal,
    service,
    template,
    version,
    with_spec,
)

GOOD: dict[str, Json] = {
    "configmaps": config_map("web"),
    "deployments": deployment(),
    "endpointslices": endpoint_slice("web"),
    "events": event("web"),  # `good` says of which namespace
    "horizontalpodautoscalers": autoscaler(),
    "ingresses": ingress(),
    "leases": lease("web"),
    "poddisruptionbudgets": budget(),
    "pods": pod("web"),
    "services": service(),
}
KINDS = pytest.mark.parametrize("plural", GOOD)
COUNTED = (
    "deployments",
    "endpointslices",
    "horizontalpodautoscalers",
    "ingresses",
    "poddisruptionbudgets",
    "pods",
)
"""The kinds that have a generation."""
LOOKED_AFTER = ("deployments", "horizontalpodautoscalers", "poddisruptionbudgets")
"""The kinds whose controllers write the status of what is new, where there are controllers."""
STATUS_METADATA = {"annotations", "managedFields", "resourceVersion"}


def good(api: Api, plural: str) -> Json:
    """Return a good object of a kind; an Event is about an object in its own namespace."""
    return event("web", api.namespace) if plural == "events" else GOOD[plural]


def without_status(obj: Json) -> Json:
    """Return what a controller that writes a status leaves as it is."""
    meta = {key: obj["metadata"][key] for key in obj["metadata"].keys() - STATUS_METADATA}
    return {**obj, "metadata": meta, "status": None}


@KINDS
def test_what_was_created_can_be_read(api: Api, plural: str) -> None:
    response = api.create(plural, good(api, plural))
    assert response.status_code == 201
    made, found = response.json(), api.read(plural, "web")
    if plural in LOOKED_AFTER and version(found) != version(made):
        made, found = without_status(made), without_status(found)
    assert found == made


@KINDS
def test_metadata_of_the_server_is_its_own(api: Api, plural: str) -> None:
    sent = {**good(api, plural), "metadata": {"name": "web", "uid": "mine", "generation": 7}}
    meta = api.made(plural, sent)["metadata"]
    assert meta["uid"] != "mine"
    assert meta["generation"] == (1 if plural in COUNTED else 7)
    assert meta["creationTimestamp"].endswith("Z")


@KINDS
def test_a_write_that_changes_nothing_keeps_the_version(api: Api, plural: str) -> None:
    api.made(plural, good(api, plural))

    def is_kept() -> bool:
        """Ask until no controller writes in between."""
        found = api.read(plural, "web")
        put, patched = api.put(plural, found), api.patch(plural, "web", {})
        if put.status_code == 409:
            return False
        return version(ok(put)) == version(ok(patched)) == version(found)

    assert eventually(is_kept)


@KINDS
def test_a_stale_version_is_refused(api: Api, plural: str) -> None:
    made = api.made(plural, good(api, plural))
    ok(api.patch(plural, "web", {"metadata": {"labels": {"x": "y"}}}))
    assert refusal(api.put(plural, made)) == (409, "Conflict")
    stale = {"metadata": {"resourceVersion": made["metadata"]["resourceVersion"]}}
    assert refusal(api.patch(plural, "web", stale)) == (409, "Conflict")


@KINDS
def test_a_name_is_taken_once(api: Api, plural: str) -> None:
    api.made(plural, good(api, plural))
    assert refusal(api.create(plural, good(api, plural))) == (409, "AlreadyExists")


@KINDS
def test_a_missing_object_is_not_found(api: Api, plural: str) -> None:
    response = api.get(plural, "nobody")
    assert refusal(response) == (404, "NotFound")
    assert response.json()["details"]["name"] == "nobody"
    assert refusal(api.delete(plural, "nobody")) == (404, "NotFound")


@KINDS
def test_items_of_a_list_carry_no_kind(api: Api, plural: str) -> None:
    made = api.made(plural, good(api, plural))
    listed = ok(api.get(plural))
    assert listed["kind"] == f"{made['kind']}List"
    assert [item for item in listed["items"] if "kind" in item or "apiVersion" in item] == []
    assert int(listed["metadata"]["resourceVersion"]) >= version(made)


@KINDS
def test_a_dry_run_stores_nothing(api: Api, plural: str) -> None:
    assert api.create(plural, good(api, plural), dryRun="All").status_code == 201
    assert api.get(plural, "web").status_code == 404
    api.made(plural, good(api, plural))
    changed = {"metadata": {"labels": {"x": "y"}}}

    def is_as_before() -> bool:
        """Ask until no controller writes in between."""
        before = api.read(plural, "web")
        answer = ok(api.patch(plural, "web", changed, dryRun="All"))
        assert answer["metadata"]["labels"]["x"] == "y"
        after = api.read(plural, "web")
        assert "labels" not in after["metadata"]
        return after == before

    assert eventually(is_as_before)


@KINDS
def test_a_wrong_uid_is_refused_each_in_its_way(api: Api, plural: str) -> None:
    api.made(plural, good(api, plural))
    patched = api.patch(plural, "web", {"metadata": {"uid": "another"}})
    assert refusal(patched) == (422, "Invalid")
    assert "field is immutable" in patched.json()["message"]
    deleted = api.delete(plural, "web", {"preconditions": {"uid": "another"}})
    assert refusal(deleted) == (409, "Conflict")
    assert api.get(plural, "web").status_code == 200


def test_versions_rise_over_all_kinds(api: Api) -> None:
    versions = [version(api.made(plural, good(api, plural))) for plural in GOOD]
    assert versions == sorted(set(versions))
    assert versions[0] > 1


def test_a_put_with_another_uid_conflicts(api: Api) -> None:
    made = api.made("configmaps", config_map())
    made["metadata"] |= {"uid": "another"}
    assert refusal(api.put("configmaps", made)) == (409, "Conflict")


@pytest.mark.parametrize("plural", ["configmaps", "deployments", "ingresses", "services"])
def test_a_put_without_a_version_replaces(api: Api, plural: str) -> None:
    api.made(plural, good(api, plural))
    changed = {**good(api, plural), "metadata": {"name": "web", "labels": {"new": "1"}}}
    assert ok(api.put(plural, changed))["metadata"]["labels"] == {"new": "1"}


@pytest.mark.parametrize("plural", ["leases", "poddisruptionbudgets"])
def test_a_put_without_a_version_is_refused(api: Api, plural: str) -> None:
    api.made(plural, good(api, plural))
    assert refusal(api.put(plural, good(api, plural))) == (422, "Invalid")


@pytest.mark.parametrize(
    ("plural", "code"),
    [("configmaps", 404), ("deployments", 404), ("ingresses", 404), ("leases", 201)],
)
def test_a_put_may_create_leases_only(api: Api, plural: str, code: int) -> None:
    assert api.put(plural, good(api, plural)).status_code == code


# Generations.


@pytest.mark.parametrize("plural", ["configmaps", "services", "leases", "namespaces"])
def test_some_kinds_have_no_generation(api: Api, plural: str) -> None:
    if plural != "namespaces":
        api.made(plural, good(api, plural))
    name = api.namespace if plural == "namespaces" else "web"
    assert "generation" not in api.read(plural, name)["metadata"]


@pytest.mark.parametrize(
    ("plural", "patch", "generation"),
    [
        ("deployments", {"spec": {"replicas": 2}}, 2),
        ("deployments", {"spec": {"replicas": 1}}, 1),
        ("deployments", {"spec": {"paused": True}}, 2),
        ("deployments", {"metadata": {"annotations": {"a": "b"}}}, 2),
        ("deployments", {"metadata": {"labels": {"a": "b"}}}, 1),
        ("ingresses", {"metadata": {"annotations": {"a": "b"}}}, 1),
        ("ingresses", {"spec": {"ingressClassName": "nginx"}}, 2),
        ("horizontalpodautoscalers", {"spec": {"maxReplicas": 5}}, 2),
        ("horizontalpodautoscalers", {"metadata": {"annotations": {"a": "b"}}}, 1),
        ("poddisruptionbudgets", {"spec": {"maxUnavailable": 2}}, 2),
        ("poddisruptionbudgets", {"metadata": {"annotations": {"a": "b"}}}, 1),
        ("endpointslices", {"ports": [{"port": 81}]}, 2),
        ("endpointslices", {"metadata": {"labels": {"a": "b"}}}, 2),
    ],
)
def test_generation_counts(api: Api, plural: str, patch: Json, generation: int) -> None:
    assert api.made(plural, good(api, plural))["metadata"]["generation"] == 1
    assert ok(api.patch(plural, "web", patch))["metadata"]["generation"] == generation


# Defaults.


def test_defaults_of_a_deployment(api: Api) -> None:
    spec = api.made("deployments", deployment())["spec"]
    container = spec["template"]["spec"].pop("containers")[0]
    assert spec == {
        "replicas": 1,
        "revisionHistoryLimit": 10,
        "progressDeadlineSeconds": 600,
        "selector": {"matchLabels": {"app": "web"}},
        "strategy": {
            "type": "RollingUpdate",
            "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"},
        },
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {
                "restartPolicy": "Always",
                "terminationGracePeriodSeconds": 30,
                "dnsPolicy": "ClusterFirst",
                "schedulerName": "default-scheduler",
                "securityContext": {},
            },
        },
    }
    assert container == {
        "name": "web",
        "image": "web:1",
        "imagePullPolicy": "IfNotPresent",
        "ports": [{"containerPort": 8080, "protocol": "TCP"}],
        "resources": {},
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
    }


@pytest.mark.parametrize(
    ("image", "policy"),
    [
        ("web", "Always"),
        ("web:latest", "Always"),
        ("web:1", "IfNotPresent"),
        ("reg:5000/web", "Always"),
        ("web@sha256:" + "0" * 64, "IfNotPresent"),
    ],
)
def test_the_pull_policy_follows_the_tag(api: Api, image: str, policy: str) -> None:
    made = api.made("deployments", with_spec(deployment(), template=template("web", image)))
    assert made["spec"]["template"]["spec"]["containers"][0]["imagePullPolicy"] == policy


def test_defaults_of_a_probe(api: Api) -> None:
    wanted = template("web")
    wanted["spec"]["containers"][0]["readinessProbe"] = {"httpGet": {"port": 8080}}
    made = api.made("deployments", with_spec(deployment(), template=wanted))
    assert made["spec"]["template"]["spec"]["containers"][0]["readinessProbe"] == {
        "httpGet": {"path": "/", "port": 8080, "scheme": "HTTP"},
        "failureThreshold": 3,
        "periodSeconds": 10,
        "successThreshold": 1,
        "timeoutSeconds": 1,
    }


def test_defaults_of_a_service(api: Api) -> None:
    made = api.made("services", service())
    address = made["spec"].pop("clusterIP")
    assert made["spec"].pop("clusterIPs") == [address]
    assert made["spec"] == {
        "internalTrafficPolicy": "Cluster",
        "ipFamilies": ["IPv4"],
        "ipFamilyPolicy": "SingleStack",
        "ports": [{"port": 80, "protocol": "TCP", "targetPort": 8080}],
        "selector": {"app": "web"},
        "sessionAffinity": "None",
        "type": "ClusterIP",
    }
    assert made["status"] == {"loadBalancer": {}}


def test_a_put_keeps_the_address_of_a_service(api: Api) -> None:
    made = api.made("services", service())
    assert ok(api.put("services", service()))["spec"]["clusterIP"] == made["spec"]["clusterIP"]


def test_an_unnamed_port_of_a_slice_is_called_nothing(api: Api) -> None:
    made = api.made("endpointslices", endpoint_slice())
    assert made["ports"] == [{"name": "", "port": 8080, "protocol": "TCP"}]


def test_nulls_and_empty_maps_are_absent(api: Api) -> None:
    sent = deployment(annotations={}, labels=None)
    sent["spec"]["template"]["metadata"]["creationTimestamp"] = None
    made = api.made("deployments", sent)
    assert {"annotations", "labels"} & made["metadata"].keys() == set()
    assert made["spec"]["template"]["metadata"] == {"labels": {"app": "web"}}


def test_paused_false_is_absent(api: Api) -> None:
    assert "paused" not in api.made("deployments", with_spec(deployment(), paused=False))["spec"]


def test_names_are_generated(api: Api) -> None:
    sent = config_map()
    sent["metadata"] = {"generateName": "a-"}
    names = {api.made("configmaps", sent)["metadata"]["name"] for _ in range(3)}
    assert len(names) == 3
    assert all(name.startswith("a-") and len(name) == 7 for name in names)


# Refusals.

LONG = "x" * 64
REFUSED: dict[str, tuple[str, Json, str]] = {
    "upper case name": ("configmaps", config_map("Web"), "metadata.name"),
    "no name": ("configmaps", {**config_map(), "metadata": {}}, "metadata.name"),
    "label value": ("configmaps", config_map(labels={"a": "b c"}), "metadata.labels"),
    "label too long": ("configmaps", config_map(labels={"a": LONG}), "metadata.labels"),
    "label key": ("configmaps", config_map(labels={"a/b/c": "d"}), "metadata.labels"),
    "annotation key": ("configmaps", config_map(annotations={"a b": ""}), "metadata.annotations"),
    "annotations too big": (
        "configmaps",
        config_map(annotations={"a": "x" * 200_000, "b": "x" * 100_000}),
        "metadata.annotations",
    ),
    "bare finalizer": (
        "configmaps",
        config_map(finalizers=["a.b/c", "mine"]),
        "metadata.finalizers[1]",
    ),
    "finalizer of two words": (
        "configmaps",
        config_map(finalizers=["a.b/my own"]),
        "metadata.finalizers",
    ),
    "service with a dot": ("services", service("a.b"), "metadata.name"),
    "service too long": ("services", service(LONG), "metadata.name"),
    "event of elsewhere": ("events", event(namespace="elsewhere"), "involvedObject.namespace"),
    "event of nowhere": ("events", event(), "involvedObject.namespace"),
    "no ports": ("services", with_spec(service(), ports=[]), "spec.ports"),
    "port too big": (
        "services",
        with_spec(service(), ports=[{"port": 70000}]),
        "spec.ports[0].port",
    ),
    "unnamed ports": (
        "services",
        with_spec(service(), ports=[{"port": 1}, {"name": "b", "port": 2}]),
        "spec.ports[0].name",
    ),
    "no selector": ("deployments", with_spec(deployment(), selector=None), "spec.selector"),
    "selector misses": (
        "deployments",
        with_spec(deployment(), template=template("other")),
        "spec.template.metadata.labels",
    ),
    "no containers": (
        "deployments",
        with_spec(deployment(), template={"metadata": {"labels": {"app": "web"}}}),
        "spec.template.spec.containers",
    ),
    "negative replicas": ("deployments", with_spec(deployment(), replicas=-1), "spec.replicas"),
    "recreate that rolls": (
        "deployments",
        with_spec(deployment(), strategy={"type": "Recreate", "rollingUpdate": {"maxSurge": 1}}),
        "spec.strategy.rollingUpdate",
    ),
    "rolling by nothing": (
        "deployments",
        with_spec(deployment(), strategy={"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 0}}),
        "spec.strategy.rollingUpdate.maxUnavailable",
    ),
    "deadline too short": (
        "deployments",
        with_spec(deployment(), minReadySeconds=9, progressDeadlineSeconds=9),
        "spec.progressDeadlineSeconds",
    ),
    "ingress of nothing": ("ingresses", with_spec(ingress(), rules=[]), "spec"),
    "two classes": (
        "ingresses",
        with_spec(ingress(annotations={"kubernetes.io/ingress.class": "a"}), ingressClassName="b"),
        "annotations.kubernetes.io/ingress.class",
    ),
    "loopback": (
        "endpointslices",
        endpoint_slice(address="127.0.0.1"),
        "endpoints[0].addresses[0]",
    ),
    "no address": ("endpointslices", endpoint_slice(address="a.b"), "endpoints[0].addresses[0]"),
    "two budgets": (
        "poddisruptionbudgets",
        with_spec(budget(), minAvailable=1),
        "spec",
    ),
    "no replicas": (
        "horizontalpodautoscalers",
        with_spec(autoscaler(), maxReplicas=0),
        "spec.maxReplicas",
    ),
    "lease of no time": (
        "leases",
        with_spec(lease(), leaseDurationSeconds=0),
        "spec.leaseDurationSeconds",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_an_invalid_object_is_refused(api: Api, case: str) -> None:
    plural, obj, field = REFUSED[case]
    response = api.create(plural, obj)
    assert refusal(response) == (422, "Invalid")
    assert field in [cause["field"] for cause in response.json()["details"]["causes"]]


@pytest.mark.parametrize("spec", [{"path": "x"}, {"pathType": "Bad"}, {"pathType": None}])
def test_a_bad_path_is_refused(api: Api, spec: Json) -> None:
    bad = ingress()
    bad["spec"]["rules"][0]["http"]["paths"][0] |= spec
    assert refusal(api.create("ingresses", bad)) == (422, "Invalid")


@pytest.mark.parametrize(
    ("plural", "patch", "field"),
    [
        ("deployments", {"spec": {"selector": {"matchLabels": {"b": "c"}}}}, "spec.selector"),
        ("endpointslices", {"addressType": "IPv6"}, "addressType"),
        ("services", {"spec": {"clusterIP": "10.96.200.200"}}, "spec.clusterIPs[0]"),
        ("configmaps", {"metadata": {"name": "b"}}, "metadata.name"),
    ],
)
def test_some_fields_never_change(api: Api, plural: str, patch: Json, field: str) -> None:
    api.made(plural, good(api, plural))
    response = api.patch(plural, "web", patch)
    assert response.status_code in (400, 422)
    if response.status_code == 422:
        assert field in [cause["field"] for cause in response.json()["details"]["causes"]]


def test_the_class_may_differ_later(api: Api) -> None:
    api.made("ingresses", with_spec(ingress(), ingressClassName="b"))
    patch = {"metadata": {"annotations": {"kubernetes.io/ingress.class": "a"}}}
    ok(api.patch("ingresses", "web", patch))


def test_invalid_comes_before_taken(api: Api) -> None:
    api.made("services", service())
    assert refusal(api.create("services", with_spec(service(), ports=[])))[0] == 422


def test_no_namespace_no_object(api: Api) -> None:
    nowhere = Api(http=api.http, namespace="nowhere-at-all")
    assert refusal(nowhere.create("configmaps", config_map())) == (404, "NotFound")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"kind": "Secret"}, 400),
        ({"apiVersion": "apps/v9"}, 400),
        ({"metadata": {"name": "a", "namespace": "other"}}, 400),
        ({"metadata": {"name": "a", "annotations": {"n": 1}}}, 400),
        ({"data": {"n": 1}}, 400),
    ],
)
def test_what_cannot_be_understood_is_refused(api: Api, change: Json, code: int) -> None:
    assert refusal(api.create("configmaps", {**config_map(), **change}))[0] == code


def test_a_service_may_start_with_a_digit(api: Api) -> None:
    assert api.create("services", service("1web")).status_code == 201


@pytest.mark.parametrize("body", [b"{}", b"null"])
def test_an_object_of_nothing_has_no_name(api: Api, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    response = api.http.post(api.path("configmaps"), content=body, headers=headers)
    assert refusal(response) == (422, "Invalid")
    assert [one["field"] for one in response.json()["details"]["causes"]] == ["metadata.name"]


@pytest.mark.parametrize("body", [b"{", b"[]", b"3"])
def test_a_body_that_is_no_object_is_refused(api: Api, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    response = api.http.post(api.path("configmaps"), content=body, headers=headers)
    assert refusal(response)[0] == 400


@pytest.mark.parametrize("method", ["PATCH", "POST", "PUT"])
def test_an_unknown_format_comes_before_not_found(api: Api, method: str) -> None:
    path = api.path("configmaps", "" if method == "POST" else "nobody")
    headers = {"Content-Type": "text/plain"}
    response = api.http.request(method, path, content=b"x", headers=headers)
    assert refusal(response) == (415, "UnsupportedMediaType")


@pytest.mark.parametrize("path", ["/apis/no.such/v1/things", "/api/v1/things", "/nothing"])
def test_nothing_is_served_elsewhere(api: Api, path: str) -> None:
    assert api.http.get(path).status_code == 404


def test_answers_carry_the_time(api: Api) -> None:
    assert parsedate_to_datetime(api.get("configmaps").headers["Date"]).year >= 2025


def test_yaml_is_understood(api: Api) -> None:
    data = "{'n': 'on', n: 'y', time: 2001-01-01, word: yES}"
    assert ok(posted_yaml(api, data))["data"] == {
        "n": "on",
        "false": "y",
        "time": "2001-01-01",
        "word": "yES",
    }


@pytest.mark.parametrize("word", ["y", "N", "yes", "No", "on", "OFF", "true", "1_000"])
def test_some_words_of_yaml_are_no_texts(api: Api, word: str) -> None:
    assert refusal(posted_yaml(api, f"{{word: {word}}}")) == (400, "BadRequest")


def posted_yaml(api: Api, data: str) -> httpx.Response:
    text = f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a}}\ndata: {data}\n"
    headers = {"Content-Type": "application/yaml"}
    return api.http.post(api.path("configmaps"), content=text, headers=headers)


# Status and scale.


@pytest.mark.parametrize(
    ("plural", "status"),
    [
        ("deployments", {"replicas": 3, "observedGeneration": 1}),
        ("ingresses", {"loadBalancer": {"ingress": [{"ip": "10.0.0.1"}]}}),
        ("services", {"loadBalancer": {"ingress": [{"ip": "10.0.0.1", "ipMode": "VIP"}]}}),
    ],
)
def test_status_is_written_apart(api: Api, plural: str, status: Json) -> None:
    sent = good(api, plural)
    made = api.made(plural, with_spec(sent, type="LoadBalancer") if plural == "services" else sent)
    ignored = ok(api.patch(plural, "web", {"status": status}))
    assert holds(ignored["status"], made["status"])
    assert not holds(ignored["status"], status)
    marks: Any = {"annotations": {"a": "b"}}
    written = ok(api.patch(plural, "web", {"status": status, "metadata": marks}, part="status"))
    assert holds(written["status"], status)
    assert holds(written["metadata"]["annotations"], {"a": "b"})
    assert written["spec"] == made["spec"]


def holds(found: Json, wanted: Json) -> bool:
    """Say whether all of it is there; controllers may have written more beside it."""
    return {**found, **wanted} == found


def test_addresses_of_a_balancer(api: Api) -> None:
    status = {"status": {"loadBalancer": {"ingress": [{"ip": "10.0.0.1"}]}}}
    api.made("services", service())
    response = api.patch("services", "web", status, part="status")
    assert refusal(response) == (422, "Invalid")
    assert response.json()["details"]["causes"][0]["field"] == "status.loadBalancer.ingress"
    ok(api.patch("services", "web", {"spec": {"type": "LoadBalancer"}}))
    written = ok(api.patch("services", "web", status, part="status"))["status"]
    assert written == {"loadBalancer": {"ingress": [{"ip": "10.0.0.1", "ipMode": "VIP"}]}}
    closed = ok(api.patch("services", "web", {"spec": {"type": "ClusterIP"}}))
    assert closed["status"] == {"loadBalancer": {}}


def test_a_status_write_leaves_spec_and_generation(api: Api) -> None:
    made = api.made("deployments", deployment())
    patch = {"spec": {"replicas": 9}, "status": {"replicas": 2}}
    written = ok(api.patch("deployments", "web", patch, part="status"))
    assert (written["spec"], written["metadata"]["generation"]) == (made["spec"], 1)


def test_a_stale_status_put_without_version_wipes_newer_annotations(api: Api) -> None:
    stale = api.made("services", service())
    del stale["metadata"]["resourceVersion"]
    ok(api.patch("services", "web", {"metadata": {"annotations": {"a": "b"}}}))
    assert "annotations" not in ok(api.put("services", stale, "status"))["metadata"]


def test_conditions_of_a_service_merge_by_type(api: Api) -> None:
    api.made("services", service())
    for kind in ("A", "B", "A"):
        condition = {
            "type": kind,
            "status": "True",
            "reason": "Said",
            "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }
        patch = {"status": {"conditions": [condition]}}
        ok(api.patch("services", "web", patch, "strategic", "status"))
    types = [one["type"] for one in api.read("services", "web")["status"]["conditions"]]
    assert sorted(types) == ["A", "B"]


def test_scale_is_read_and_written(api: Api) -> None:
    api.made("deployments", deployment())
    scale = ok(api.get("deployments", "web", "scale"))
    assert (scale["kind"], scale["spec"]) == ("Scale", {"replicas": 1})
    ok(api.patch("deployments", "web", {"spec": {"replicas": 4}}, part="scale"))
    scaled = api.read("deployments", "web")
    assert (scaled["spec"]["replicas"], scaled["metadata"]["generation"]) == (4, 2)


@pytest.mark.parametrize("part", ["status", "nothing"])
def test_config_maps_have_no_parts(api: Api, part: str) -> None:
    api.made("configmaps", config_map())
    assert api.get("configmaps", "a", part).status_code == 404
