"""Which causes a refusal names where more than one thing is wrong."""

import httpx
import pytest

from tests.e2e.bed.apiserver.client import (
    Api,
    Json,
    budget,
    deployment,
    endpoint_slice,
    ingress,
    ok,
    refusal,
    service,
    with_spec,
)

BAD_LABELS = {"labels": {"app": "not good!"}}


def causes(response: httpx.Response) -> list[str]:
    assert refusal(response) == (422, "Invalid")
    found: list[Json] = response.json()["details"]["causes"]
    return [f"{one['reason']} {one['field']}" for one in found]


def test_metadata_of_a_new_budget_is_looked_at_last(api: Api) -> None:
    wrong = with_spec(budget(), maxUnavailable=-1)
    wrong["metadata"] |= BAD_LABELS
    assert causes(api.create("poddisruptionbudgets", wrong)) == [
        "FieldValueInvalid spec.maxUnavailable"
    ]


def test_metadata_of_a_changed_budget_is_looked_at_with_the_rest(api: Api) -> None:
    api.made("poddisruptionbudgets", budget())
    patch = {"metadata": BAD_LABELS, "spec": {"maxUnavailable": -1}}
    assert causes(api.patch("poddisruptionbudgets", "web", patch)) == [
        "FieldValueInvalid metadata.labels",
        "FieldValueInvalid spec.maxUnavailable",
    ]


def test_a_cluster_address_that_is_none_is_all_that_is_told(api: Api) -> None:
    wrong = with_spec(service(), clusterIP="bad", sessionAffinity="Bad", ports=[])
    assert causes(api.create("services", wrong)) == ["FieldValueInvalid spec.clusterIPs[0]"]
    api.made("services", service())
    patch = {"spec": {"clusterIP": "bad", "sessionAffinity": "Bad"}}
    assert causes(api.patch("services", "web", patch)) == ["FieldValueInvalid spec.clusterIPs[0]"]


def test_a_service_that_is_made_by_its_status_has_no_list_of_addresses(api: Api) -> None:
    headless = with_spec(service(), clusterIP="None", ports=[])
    assert causes(api.put("services", headless, "status")) == [
        "FieldValueRequired spec.ports",
        "FieldValueRequired spec.clusterIPs",
    ]
    ok(api.put("services", service(), "status"))


def test_two_containers_without_a_name_have_the_same(api: Api) -> None:
    wrong = deployment()
    container = wrong["spec"]["template"]["spec"]["containers"][0] | {"name": ""}
    wrong["spec"]["template"]["spec"]["containers"] = [container, container]
    here = "spec.template.spec.containers"
    assert causes(api.create("deployments", wrong)) == [
        f"FieldValueRequired {here}[0].name",
        f"FieldValueRequired {here}[1].name",
        f"FieldValueDuplicate {here}[1].name",
    ]


@pytest.mark.parametrize(
    ("surge", "more"),
    [("5", []), ("a", ["maxUnavailable"]), ("0", ["maxUnavailable"]), ("-5%", ["maxUnavailable"])],
)
def test_a_text_that_is_no_share_counts_as_its_number(
    api: Api, surge: str, more: list[str]
) -> None:
    rolling = {"maxSurge": surge, "maxUnavailable": "0%"}
    wrong = with_spec(deployment(), strategy={"type": "RollingUpdate", "rollingUpdate": rolling})
    assert causes(api.create("deployments", wrong)) == [
        f"FieldValueInvalid spec.strategy.rollingUpdate.{field}" for field in ["maxSurge", *more]
    ]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"selector": {"app": "x"}}, ["ipFamilies[1]", "ipFamilyPolicy"]),
        (
            {"selector": {"app": "x"}, "ports": [{"port": 0}], "sessionAffinity": "Bad"},
            ["ipFamilies[1]", "ipFamilyPolicy"],
        ),
        ({"clusterIP": "10.96.3.3"}, ["ipFamilies[1]", "ipFamilyPolicy"]),
        ({"clusterIP": "bad", "selector": {"app": "x"}}, ["clusterIPs[0]"]),
        ({"type": "NodePort"}, ["clusterIPs[0]"]),
    ],
)
def test_a_service_of_both_families_cannot_take_pods_or_an_address(
    api: Api, change: Json, told: list[str]
) -> None:
    headless = {"metadata": {"name": "web"}, "spec": {"clusterIP": "None"}}
    assert api.made("services", headless)["spec"]["ipFamilies"] == ["IPv4", "IPv6"]
    refused = causes(api.patch("services", "web", {"spec": change}))
    assert sorted(refused) == [f"FieldValueInvalid spec.{field}" for field in told]


def test_a_put_without_families_keeps_the_policy_of_a_service(api: Api) -> None:
    headless = {"metadata": {"name": "web"}, "spec": {"clusterIP": "None"}}
    api.made("services", headless)
    assert causes(api.put("services", service())) == ["FieldValueInvalid spec.ipFamilyPolicy"]
    kept = ok(api.put("services", headless))["spec"]
    assert (kept["ipFamilies"], kept["ipFamilyPolicy"]) == (["IPv4", "IPv6"], "RequireDualStack")


@pytest.mark.parametrize(
    ("families", "policy", "told"),
    [
        (["IPv6"], None, ["ipFamilies[0]"]),
        (["IPv4", "IPv6"], None, ["ipFamilyPolicy"]),
        (["IPv4", "IPv6"], "PreferDualStack", ["ipFamilies[1]"]),
        (None, "RequireDualStack", ["ipFamilyPolicy"]),
    ],
)
def test_a_new_service_has_one_family(
    api: Api, families: list[str] | None, policy: str | None, told: list[str]
) -> None:
    wrong = with_spec(service(), ipFamilies=families, ipFamilyPolicy=policy)
    assert causes(api.create("services", wrong)) == [
        f"FieldValueInvalid spec.{field}" for field in told
    ]


def test_a_service_that_prefers_two_families_has_the_one_there_is(api: Api) -> None:
    made = api.made("services", with_spec(service(), ipFamilyPolicy="PreferDualStack"))
    assert made["spec"]["ipFamilies"] == ["IPv4"]


@pytest.mark.parametrize(
    ("part", "told"),
    [
        ({"readinessProbe": {}}, ["Required readinessProbe"]),
        (
            {"livenessProbe": {"periodSeconds": -1}},
            ["Invalid livenessProbe.periodSeconds", "Required livenessProbe"],
        ),
        ({"lifecycle": {"preStop": {}}}, ["Required lifecycle.preStop"]),
        ({"lifecycle": {"postStart": {}}}, ["Required lifecycle.postStart"]),
        (
            {"lifecycle": {"preStop": {"exec": {"command": ["x"]}, "sleep": {"seconds": 1}}}},
            ["Forbidden lifecycle.preStop.sleep"],
        ),
        (
            {"lifecycle": {"preStop": {"httpGet": {"port": 0}}}},
            ["Invalid lifecycle.preStop.httpGet.port"],
        ),
    ],
)
def test_a_probe_or_a_hook_does_one_thing(api: Api, part: Json, told: list[str]) -> None:
    wrong = deployment()
    wrong["spec"]["template"]["spec"]["containers"][0] |= part
    here = "spec.template.spec.containers[0]."
    found = causes(api.create("deployments", wrong))
    assert sorted(one.replace("FieldValue", "").replace(here, "") for one in found) == told


def test_replicas_of_a_scale_are_read_before_its_uid(api: Api) -> None:
    api.made("deployments", deployment())
    patch: Json = {"metadata": {"uid": "other"}, "spec": {"replicas": "x"}}
    scaled = api.patch("deployments", "web", patch, part="scale")
    assert causes(scaled) == ["FieldValueInvalid patch"]
    patch["spec"] = {"replicas": 2}
    other = api.patch("deployments", "web", patch, part="scale")
    assert refusal(other) == (409, "Conflict")


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("a.example", None),
        ("a.example.", None),
        ("no", "Invalid"),
        ("no.", "Invalid"),
        ("Bad.example", "Invalid"),
        ("a" * 64 + ".example", "Invalid"),
        ("", "Required"),
    ],
)
def test_the_name_of_an_endpoint_is_that_of_a_domain(
    api: Api, address: str, told: str | None
) -> None:
    named = {**endpoint_slice(address=address), "addressType": "FQDN"}
    made = api.create("endpointslices", named)
    if told is None:
        ok(made)
    else:
        assert causes(made) == [f"FieldValue{told} endpoints[0].addresses[0]"]


def test_a_backend_of_nothing_is_refused(api: Api) -> None:
    wrong = with_spec(ingress(), defaultBackend={})
    assert causes(api.create("ingresses", wrong)) == ["FieldValueInvalid spec.defaultBackend"]
    wrong = ingress()
    wrong["spec"]["rules"][0]["http"]["paths"][0]["backend"] = {}
    assert causes(api.create("ingresses", wrong)) == [
        "FieldValueInvalid spec.rules[0].http.paths[0].backend"
    ]
