import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from controller.api import names, objects
from controller.api.objects import Kind

TEMPLATE: dict[str, Any] = {
    "metadata": {"labels": {"app": "a"}, "annotations": {"note": "n"}},
    "spec": {"containers": [{"name": "c", "image": "i:1"}]},
}


@pytest.mark.parametrize(
    ("kind", "api_version", "path"),
    [
        (objects.SERVICE, "v1", "/api/v1/namespaces/n/services/s/status"),
        (objects.DEPLOYMENT, "apps/v1", "/apis/apps/v1/namespaces/n/deployments/s/status"),
    ],
)
def test_a_kind_knows_where_it_is_found(kind: Kind, api_version: str, path: str) -> None:
    assert kind.api_version == api_version
    assert kind.path("n", "s", "status") == path
    assert str(kind) == kind.name


def test_a_kind_is_found_in_all_namespaces_without_one() -> None:
    assert objects.INGRESS.path(None) == "/apis/networking.k8s.io/v1/ingresses"
    assert objects.INGRESS.path("n") == "/apis/networking.k8s.io/v1/namespaces/n/ingresses"


BARE: tuple[dict[str, Any], ...] = (
    {},
    {"metadata": None, "spec": None, "status": None},
    {"metadata": {"labels": None, "annotations": None}, "spec": {"template": None}},
    {"metadata": {"ownerReferences": None}, "status": {"conditions": None}},
    {"spec": {"template": {"metadata": None}, "rules": None}},
)


@pytest.mark.parametrize("obj", BARE)
def test_an_object_with_nothing_in_it_answers_every_question(obj: dict[str, Any]) -> None:
    assert objects.name_of(obj) == objects.namespace_of(obj) == objects.uid_of(obj) == ""
    assert objects.version_of(obj) == ""
    assert objects.generation_of(obj) == 0
    assert objects.labels_of(obj) == objects.annotations_of(obj) == {}
    assert objects.template_labels(obj) == {}
    assert objects.controller_of(obj) is None
    assert objects.condition_of(obj, "Ready") is None
    assert objects.replicas_of(obj) == 1  # the API server's default
    assert not objects.is_paused(obj)
    assert not objects.is_ours(obj)
    assert not objects.is_terminating(obj)
    assert list(objects.ingress_paths(obj)) == []
    assert objects.backend_service(obj) == ""
    assert objects.ingress_class(obj) is None


def test_reads_what_is_there() -> None:
    obj = {
        "metadata": {
            "name": "a",
            "namespace": "n",
            "uid": "u",
            "resourceVersion": "7",
            "generation": 3,
            "deletionTimestamp": "2026-11-22T12:00:00Z",
            "ownerReferences": [{"name": "x"}, {"name": "boss", "controller": True}],
        },
        "spec": {"replicas": 0, "paused": True, "template": TEMPLATE},
        "status": {"conditions": [{"type": "Ready", "status": "True"}]},
    }
    assert (objects.name_of(obj), objects.namespace_of(obj)) == ("a", "n")
    assert (objects.uid_of(obj), objects.version_of(obj)) == ("u", "7")
    assert (objects.generation_of(obj), objects.replicas_of(obj)) == (3, 0)
    assert objects.is_paused(obj)
    assert objects.is_terminating(obj)
    assert objects.controller_of(obj) == {"name": "boss", "controller": True}
    assert objects.condition_of(obj, "Ready") == {"type": "Ready", "status": "True"}
    assert objects.template_labels(obj) == {"app": "a"}


@pytest.mark.parametrize(
    ("labels", "ours"),
    [
        ({names.MANAGED_BY: "serinus", names.SERVICE: "a"}, True),
        ({names.MANAGED_BY: "serinus"}, False),
        ({names.MANAGED_BY: "serinus", names.SERVICE: ""}, False),
        ({names.MANAGED_BY: "helm", names.SERVICE: "a"}, False),
        ({names.SERVICE: "a"}, False),
    ],
)
def test_ours_is_what_carries_both_labels(labels: dict[str, str], ours: bool) -> None:
    assert objects.is_ours({"metadata": {"labels": labels}}) is ours


LABELS = {"app": "a", "tier": "web"}


@pytest.mark.parametrize(
    ("selector", "selects"),
    [
        ({"app": "a"}, True),
        ({"app": "a", "tier": "web"}, True),
        ({"app": "a", "tier": "db"}, False),
        ({"zone": "z"}, False),
        ({}, False),  # a Service without a selector has no pods
    ],
)
def test_a_plain_selector_selects_by_equality(selector: dict[str, str], selects: bool) -> None:
    assert objects.is_selected(selector, LABELS) is selects


@pytest.mark.parametrize(
    ("selector", "selects"),
    [
        ({}, True),  # an empty label selector matches everything
        ({"matchLabels": {"app": "a"}}, True),
        ({"matchLabels": {"app": "b"}}, False),
        ({"matchExpressions": [{"key": "app", "operator": "In", "values": ["a", "b"]}]}, True),
        ({"matchExpressions": [{"key": "app", "operator": "In", "values": ["b"]}]}, False),
        ({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["a"]}]}, False),
        ({"matchExpressions": [{"key": "zone", "operator": "NotIn", "values": ["a"]}]}, True),
        ({"matchExpressions": [{"key": "app", "operator": "Exists"}]}, True),
        ({"matchExpressions": [{"key": "zone", "operator": "Exists"}]}, False),
        ({"matchExpressions": [{"key": "zone", "operator": "DoesNotExist"}]}, True),
        ({"matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]}, False),
        ({"matchExpressions": [{"key": "app", "operator": "Gt", "values": ["1"]}]}, False),
        (
            {"matchLabels": {"app": "a"}, "matchExpressions": [{"key": "x", "operator": "Exists"}]},
            False,
        ),
    ],
)
def test_a_label_selector_matches_as_kubernetes_says(
    selector: dict[str, Any], selects: bool
) -> None:
    assert objects.matches(selector, LABELS) is selects


def test_yields_every_path_with_its_host() -> None:
    one, two = {"path": "/a"}, {"path": "/b"}
    rules = [
        {"host": "h", "http": {"paths": [one, two]}},
        {"http": {"paths": [one]}},
        {"host": "bare"},
        {"host": "empty", "http": {"paths": None}},
    ]
    found = list(objects.ingress_paths({"spec": {"rules": rules}}))
    assert found == [("h", one), ("h", two), ("", one)]


def test_a_backend_may_be_no_service() -> None:
    assert objects.backend_service({"backend": {"service": {"name": "s"}}}) == "s"
    assert objects.backend_service({"backend": {"resource": {"name": "r"}}}) == ""


def test_a_class_is_read_from_the_field_first() -> None:
    old = {"annotations": {names.INGRESS_CLASS: "old"}}
    assert objects.ingress_class({"metadata": old, "spec": {"ingressClassName": "new"}}) == "new"
    assert objects.ingress_class({"metadata": old}) == "old"


def template(**meta: Any) -> dict[str, Any]:
    return {**TEMPLATE, "metadata": {**TEMPLATE["metadata"], **meta}}


@pytest.mark.parametrize(
    "same",
    [
        template(labels={"app": "a", "pod-template-hash": "1234"}),
        template(annotations={"note": "n", names.RESTARTED_AT: "2026-11-22"}),
        dict(reversed(list(TEMPLATE.items()))),
    ],
)
def test_a_restart_and_a_replica_sets_hash_make_no_revision(same: dict[str, Any]) -> None:
    assert objects.revision_of(same) == objects.revision_of(TEMPLATE)


@pytest.mark.parametrize(
    "other",
    [
        template(labels={"app": "b"}),
        template(annotations={"note": "m"}),
        {**TEMPLATE, "spec": {"containers": [{"name": "c", "image": "i:2"}]}},
    ],
)
def test_any_other_change_of_a_template_is_a_revision(other: dict[str, Any]) -> None:
    assert objects.revision_of(other) != objects.revision_of(TEMPLATE)


def test_a_revision_is_short_enough_for_a_label_and_an_action() -> None:
    found = objects.revision_of(TEMPLATE)
    assert len(found) == 10
    assert set(found) <= set("0123456789abcdef")
    assert objects.revision_of({}) == objects.revision_of({"metadata": None, "spec": None})


def test_a_digest_does_not_depend_on_the_order_of_keys() -> None:
    assert objects.digest({"a": 1, "b": 2}) == objects.digest(json.loads('{"b":2,"a":1}'))
    assert len(objects.digest("x", 4)) == 4


def test_half_a_surrogate_pair_has_a_digest_too() -> None:
    half, other = (objects.digest(json.loads(text)) for text in (r'"\ud800"', r'"\ud801"'))
    assert half != other


@pytest.mark.parametrize("length", [1, 62, 63])
def test_a_name_that_fits_stays(length: int) -> None:
    assert objects.shortened("a" * length) == "a" * length


@pytest.mark.parametrize("rest", ["a" * 11, "-" * 5 + "b" * 20, "." + "b" * 99])
def test_a_long_name_is_cut_and_closed_with_a_hash_of_the_whole(rest: str) -> None:
    name = "a" * 53 + rest
    short = objects.shortened(name)
    assert len(short) <= 63
    assert short.startswith("a" * 53)
    assert short != objects.shortened(name + "x")
    head, _, tail = short.rpartition("-")
    assert len(tail) == 8
    assert head[-1].isalnum()  # still a DNS label


MOMENT = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)


def test_a_time_is_written_in_utc_to_the_second_and_read_back() -> None:
    elsewhere = MOMENT.replace(microsecond=999_999).astimezone(timezone(timedelta(hours=8)))
    assert objects.stamp(elsewhere) == "2026-11-22T12:00:00Z"
    assert objects.moment_of("2026-11-22T12:00:00Z") == MOMENT


@pytest.fixture
def _in_tokyo() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("_in_tokyo")
def test_the_time_of_the_machine_plays_no_part() -> None:
    assert objects.stamp(MOMENT) == "2026-11-22T12:00:00Z"
    assert objects.moment_of("2026-11-22T12:00:00Z") == MOMENT


@pytest.mark.parametrize(
    "text",
    [None, 7, "", "yesterday", "2026-11-22", "2026-13-22T12:00:00Z", "2026-11-22T12:00:00+08"],
)
def test_what_is_no_such_time_is_none(text: object) -> None:
    assert objects.moment_of(text) is None
