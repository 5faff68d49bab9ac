"""What is derived from stable: the labels, the names, the objects of ours, the sizes."""

from itertools import combinations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.api import names
from controller.api.intent import Replicas
from controller.api.objects import is_selected, matches
from controller.plan.workload import (
    autoscalers_of,
    budgets_selecting,
    canary_deployment,
    canary_ingress_name,
    canary_name,
    canary_pod_labels,
    canary_service,
    canary_template,
    disruption_budget,
    most_unavailable,
    pods_allowed,
    smallest_replicas,
)
from tests.controller.plan.applied import changed
from tests.controller.plan.worlds import (
    NAME,
    NAMESPACE,
    deployment,
    meta,
    record,
    service,
    template,
    uid,
)

OURS = {names.SERVICE: NAME, names.TRACK: "canary", names.REVISION: "r1"}
OWNED: dict[str, Any] = {
    "namespace": NAMESPACE,
    "labels": {names.MANAGED_BY: "serinus", names.SERVICE: NAME},
    "ownerReferences": [
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "name": NAME,
            "uid": uid("Deployment", NAME),
        }
    ],
}


def stable_with(labels: dict[str, str], **match: str) -> dict[str, Any]:
    made = deployment()
    made["spec"]["template"]["metadata"]["labels"] = labels
    made["spec"]["selector"] = {"matchLabels": match or dict(list(labels.items())[:1])}
    return made


def selecting(name: str, **selector: str) -> dict[str, Any]:
    return {"metadata": meta("Service", name), "spec": {"selector": selector}}


def labels_for(stable: dict[str, Any], *services: dict[str, Any]) -> dict[str, str] | None:
    return canary_pod_labels(stable, NAME, "r1", services)


def test_changes_the_one_label_that_everybody_selects_by() -> None:
    labels = {"app": "myapp", "tier": "web"}
    found = labels_for(stable_with(labels, app="myapp"), selecting(NAME, app="myapp"))
    assert found == {"app": "myapp-canary", "tier": "web", **OURS}


@pytest.mark.parametrize(
    ("keys", "chosen"),
    [
        (("app", "app.kubernetes.io/instance", "tier"), "app.kubernetes.io/instance"),
        (("app.kubernetes.io/name", "app", "tier"), "app"),
        (("app.kubernetes.io/name", "zone", "tier"), "app.kubernetes.io/name"),
        (("zone", "tier"), "tier"),
    ],
)
def test_prefers_the_labels_of_contract_section_3(keys: tuple[str, ...], chosen: str) -> None:
    labels = dict.fromkeys(keys, "v")
    stable = stable_with(labels)
    stable["spec"]["selector"] = {"matchLabels": labels}
    expected = {**labels, chosen: "v-canary", **OURS}
    assert labels_for(stable, {**selecting(NAME), "spec": {"selector": labels}}) == expected


def test_changes_two_labels_where_two_services_need_it() -> None:
    stable = stable_with({"app": "a", "tier": "web"}, app="a")
    found = labels_for(stable, selecting("one", app="a"), selecting("two", tier="web"))
    assert found == {"app": "a-canary", "tier": "web-canary", **OURS}


def test_avoids_a_service_that_waits_for_the_changed_value() -> None:
    stable = stable_with({"app": "a", "tier": "web"}, app="a", tier="web")
    found = labels_for(
        stable, selecting("one", app="a", tier="web"), selecting("x", app="a-canary")
    )
    assert found == {"app": "a", "tier": "web-canary", **OURS}


def test_changes_all_where_more_than_three_have_to_be() -> None:
    labels = dict.fromkeys("abcde", "v")
    services = [selecting(key, **{key: "v"}) for key in labels]
    everything = {**dict.fromkeys(labels, "v-canary"), **OURS}
    assert labels_for(stable_with(labels, a="v"), *services) == everything
    assert labels_for(stable_with(labels, a="v"), *services[:4]) == everything
    three = labels_for(stable_with(labels, a="v"), *services[:3])
    assert three == {**everything, "d": "v", "e": "v"}


def test_finds_none_where_every_choice_is_selected() -> None:
    stable = stable_with({"app": "a"}, app="a")
    both = selecting("one", app="a"), selecting("two", app="a-canary")
    assert labels_for(stable, *both) is None
    assert labels_for(stable, selecting("all", **{names.SERVICE: NAME})) is None


def test_finds_none_where_more_than_three_are_selected_whatever_their_value() -> None:
    labels = dict.fromkeys("abcde", "v")
    services = [selecting(k + v, **{k: v}) for k in labels for v in ("v", "v-canary")]
    assert labels_for(stable_with(labels, a="v"), *services) is None


def test_our_own_service_selects_them_by_design() -> None:
    ours = {**selecting(f"{NAME}-canary"), "spec": {"selector": {names.TRACK: "canary"}}}
    found = labels_for(stable_with({"app": "a"}, app="a"), selecting(NAME, app="a"), ours)
    assert found == {"app": "a-canary", **OURS}


@pytest.mark.parametrize(
    ("value", "renamed"), [("", "canary"), ("a", "a-canary"), ("b" * 60, None)]
)
def test_a_changed_value_is_one_that_kubernetes_allows(value: str, renamed: str | None) -> None:
    found = labels_for(stable_with({"app": value}, app=value), selecting(NAME, app=value))
    assert found is not None
    assert len(found["app"]) <= 63
    assert found["app"] == (renamed or found["app"])


keys = st.sampled_from(["app", "app.kubernetes.io/name", "tier", "zone"])
values = st.sampled_from(["a", "b"])
selectors = st.dictionaries(keys, st.sampled_from(["a", "b", "a-canary"]), max_size=2)


@settings(max_examples=60, deadline=None)
@given(
    labels=st.dictionaries(keys, values, min_size=1, max_size=4),
    others=st.lists(selectors, max_size=4),
    data=st.data(),
)
def test_no_selector_ever_matches_and_no_smaller_change_would_do(
    labels: dict[str, str], others: list[dict[str, str]], data: st.DataObject
) -> None:
    own = data.draw(st.sets(st.sampled_from(sorted(labels)), min_size=1))
    stable = stable_with(labels)
    stable["spec"]["selector"] = {"matchLabels": {key: labels[key] for key in own}}
    services = [selecting(f"s{i}", **selector) for i, selector in enumerate(others)]

    def escapes(tried: dict[str, str]) -> bool:
        by_service = any(is_selected(selector, tried) for selector in others)
        return not by_service and not matches(stable["spec"]["selector"], tried)

    def renaming(some: tuple[str, ...]) -> dict[str, str]:
        return {**labels, **{key: f"{labels[key]}-canary" for key in some}, **OURS}

    possible = [
        some
        for count in range(len(labels) + 1)
        for some in combinations(sorted(labels), count)
        if escapes(renaming(some))
    ]
    found = labels_for(stable, *services)
    if found is None:
        assert possible == []
        return
    assert escapes(found)
    assert set(found) == set(labels) | set(OURS)
    changes = {key for key in labels if found[key] != labels[key]}
    assert len(changes) == min(map(len, possible))


def test_the_template_differs_in_labels_only() -> None:
    stable = deployment()
    stable["spec"]["template"]["metadata"]["annotations"] = {"note": "kept"}
    made = canary_template(stable, {"app": "other"})
    assert made == {
        **stable["spec"]["template"],
        "metadata": {"labels": {"app": "other"}, "annotations": {"note": "kept"}},
    }
    assert canary_template({"spec": {"template": {"metadata": None}}}, {"a": "b"}) == {
        "metadata": {"labels": {"a": "b"}}
    }


def test_the_deployment_is_that_of_contract_section_3() -> None:
    stable = deployment(minReadySeconds=7)
    stable["metadata"]["annotations"] = {"not": "copied"}
    assert canary_deployment(stable, NAME, {"app": "x"}, 2, record()) == {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": f"{NAME}-canary",
            "annotations": {names.RELEASE: record().written()},
            **OWNED,
        },
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {names.SERVICE: NAME, names.TRACK: "canary"}},
            "template": {**template(), "metadata": {"labels": {"app": "x"}}},
            "revisionHistoryLimit": 0,
            "minReadySeconds": 7,
            "progressDeadlineSeconds": 600,
        },
    }


def test_the_service_has_the_ports_of_the_users_and_nothing_else_of_it() -> None:
    port = {"name": "web", "port": 80, "targetPort": "http", "protocol": "TCP"}
    theirs = service(ports=[{**port, "nodePort": 30001, "appProtocol": "h2c"}], type="NodePort")
    assert canary_service(deployment(), theirs) == {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": f"{NAME}-canary",
            **OWNED,
            "labels": {**OWNED["labels"], names.CANARY: "managed"},
        },
        "spec": {
            "ports": [{**port, "appProtocol": "h2c"}],
            "selector": {names.SERVICE: NAME, names.TRACK: "canary"},
        },
    }


def test_the_budget_lets_one_canary_pod_go_at_a_time() -> None:
    made = disruption_budget(deployment(), NAME)
    assert made["metadata"]["name"] == f"{NAME}-canary"
    assert made["spec"] == {
        "maxUnavailable": 1,
        "selector": {"matchLabels": {names.SERVICE: NAME, names.TRACK: "canary"}},
    }


def test_a_budget_with_an_empty_selector_covers_every_pod() -> None:
    everybody: dict[str, Any] = {"spec": {"selector": {}}}
    others = {"spec": {"selector": {"matchLabels": {"app": "other"}}}}
    assert budgets_selecting([everybody, others], {"app": "a"}) == [everybody]


@pytest.mark.parametrize(("ingress", "name"), [(NAME, "myapp-canary"), ("web", "myapp-web-canary")])
def test_an_ingress_is_named_after_its_main(ingress: str, name: str) -> None:
    assert canary_ingress_name(NAME, ingress) == name
    assert len(canary_ingress_name("s" * 63, "i" * 253)) <= 63
    assert len(canary_name("s" * 63)) <= 63


@pytest.mark.parametrize(
    ("replicas", "full", "allowed"),
    [
        (Replicas(), 10, None),
        (Replicas(count=3), 10, 3),
        (Replicas(percent=50), 10, 5),
        (Replicas(percent=1), 10, 1),
        (Replicas(percent=34), 3, 2),
    ],
)
def test_the_users_replicas_are_a_count_or_a_share_rounded_up(
    replicas: Replicas, full: int, allowed: int | None
) -> None:
    assert pods_allowed(replicas, full) == allowed


@pytest.mark.parametrize(
    ("rolling_update", "replicas", "unavailable"),
    [
        (None, 4, 1),  # the API server's default: 25 %
        (None, 3, 0),  # rounded down, and one surge pod makes up for it
        ({"maxUnavailable": 2}, 4, 2),
        ({"maxUnavailable": 150}, 200, 150),
        ({"maxUnavailable": "50%"}, 3, 1),
        ({"maxUnavailable": 0, "maxSurge": 0}, 3, 1),  # the two may not both be 0
        ({"maxUnavailable": "10%", "maxSurge": "0%"}, 3, 1),
        ({"maxUnavailable": "10%", "maxSurge": "1%"}, 3, 0),
        ({"maxUnavailable": "some"}, 3, 0),
        ({"maxUnavailable": "10%", "maxSurge": "some"}, 3, 1),
    ],
)
def test_max_unavailable_is_resolved_as_the_deployment_controller_does(
    rolling_update: dict[str, Any] | None, replicas: int, unavailable: int
) -> None:
    stable = deployment(strategy={"rollingUpdate": rolling_update})
    assert most_unavailable(stable, replicas) == unavailable


def scaler(kind: str, name: str, **spec: int) -> dict[str, Any]:
    return {"spec": {"scaleTargetRef": {"kind": kind, "name": name}, **spec}}


def test_only_autoscalers_of_this_deployment_count() -> None:
    ours = scaler("Deployment", NAME, minReplicas=2)
    others: tuple[dict[str, Any], ...] = (
        scaler("Deployment", "other"),
        scaler("StatefulSet", NAME),
        {"spec": {}},
    )
    assert autoscalers_of([*others, ours], deployment()) == [ours]
    assert smallest_replicas(deployment(), [ours]) == (4, 2)
    assert smallest_replicas(deployment(), [scaler("Deployment", NAME)]) == (4, 1)
    assert smallest_replicas(changed(deployment(), spec={"replicas": None}), []) == (1,)


def test_a_budget_lets_one_canary_pod_go_at_a_time() -> None:
    assert disruption_budget(deployment(), "myapp") == {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {
            "name": "myapp-canary",
            "namespace": "canary",
            "labels": {names.MANAGED_BY: names.FIELD_MANAGER, names.SERVICE: "myapp"},
            "ownerReferences": [
                {
                    "apiVersion": "apps/v1",
                    "kind": "Deployment",
                    "name": "myapp",
                    "uid": uid("Deployment", "myapp"),
                }
            ],
        },
        "spec": {
            "maxUnavailable": 1,
            "selector": {"matchLabels": {names.SERVICE: "myapp", names.TRACK: "canary"}},
        },
    }


def test_a_percentage_of_a_large_stable_is_exact() -> None:
    assert pods_allowed(Replicas(percent=50), 202) == 101
