"""Which causes a refusal names where more than one thing is wrong."""

import httpx
import pytest

from tests.e2e.bed.apiserver.client import (
    Api,
    Json,
    budget,
    deployment,
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
