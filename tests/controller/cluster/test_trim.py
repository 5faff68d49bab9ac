import json
from typing import Any

import pytest

from controller.api import names, objects
from controller.api.objects import Object
from controller.cluster.trim import compacted, trim, trim_deployment, trim_replica_set
from tests.controller.cluster.scripted import thing

TEMPLATE = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "web"}]}}


def managed(manager: str, *fields: str) -> dict[str, Any]:
    return {
        "manager": manager,
        "operation": "Update",
        "time": "2026-11-22T12:00:00Z",
        "fieldsV1": {"f:spec": {f"f:{field}": {} for field in fields}},
    }


def deployment(*, last_applied: str | None = None, fields: Any = None, **spec: Any) -> Object:
    annotations = {} if last_applied is None else {names.LAST_APPLIED: last_applied}
    meta = thing("web", annotations=annotations, managedFields=fields)["metadata"]
    return {"metadata": meta, "spec": {"template": TEMPLATE, **spec}, "status": {"replicas": 1}}


class TestTrim:
    def test_leaves_out_what_is_large_and_never_asked_for(self) -> None:
        obj = {
            **thing("a", annotations={names.LAST_APPLIED: "{}", "x": "y"}, managedFields=[{}]),
            "spec": {"ports": [{"port": 80}]},
        }
        assert trim(obj) == {**thing("a", annotations={"x": "y"}), "spec": obj["spec"]}

    def test_annotations_stay_where_there_were_some_and_stay_away_where_not(self) -> None:
        emptied = trim(thing("a", annotations={names.LAST_APPLIED: "{}"}))
        assert emptied["metadata"]["annotations"] == {}
        assert "annotations" not in trim(thing("a"))["metadata"]

    def test_changes_nothing_of_what_it_was_given(self) -> None:
        obj = deployment(last_applied="{}", fields=[managed("kubectl", "paused")])
        before = json.dumps(obj)
        trim(obj)
        trim_deployment(obj)
        trim_replica_set(obj)
        assert json.dumps(obj) == before


class TestDeployment:
    def test_keeps_who_owns_paused_and_nothing_else(self) -> None:
        fields = [
            managed("kubectl", "paused", "replicas"),
            managed("autoscaler", "replicas"),
            {"manager": "status", "fieldsV1": {"f:status": {}}},
            {"manager": "bare"},
        ]
        assert trim_deployment(deployment(fields=fields))["metadata"]["managedFields"] == [
            {
                "manager": "kubectl",
                "operation": "Update",
                "fieldsV1": {"f:spec": {"f:paused": {}}},
            }
        ]

    def test_has_no_managed_fields_where_nobody_owns_it(self) -> None:
        kept = trim_deployment(deployment(fields=[managed("kubectl", "replicas")]))
        assert "managedFields" not in kept["metadata"]

    @pytest.mark.parametrize("paused", [True, False, None])
    def test_keeps_what_last_applied_declares(self, paused: bool | None) -> None:
        declared = json.dumps({"spec": {"paused": paused, "replicas": 3}, "kind": "Deployment"})
        kept = trim_deployment(deployment(last_applied=declared))
        told = json.loads(objects.annotations_of(kept)[names.LAST_APPLIED])
        assert told == {"spec": {"paused": paused}}

    @pytest.mark.parametrize(
        "text", ['{"spec": {"replicas": 3}}', "{}", "[]", '{"spec": []}', "not json", ""]
    )
    def test_drops_last_applied_that_declares_nothing(self, text: str) -> None:
        assert objects.annotations_of(trim_deployment(deployment(last_applied=text))) == {}

    def test_keeps_template_and_status(self) -> None:
        kept = trim_deployment(deployment(replicas=2))
        assert objects.template_of(kept) == TEMPLATE
        assert objects.replicas_of(kept) == 2
        assert objects.status_of(kept) == {"replicas": 1}


class TestReplicaSet:
    def test_keeps_the_revision_of_the_template_in_its_place(self) -> None:
        kept = trim_replica_set(deployment(replicas=2))
        assert kept["revision"] == objects.revision_of(TEMPLATE)
        assert kept["spec"] == {"replicas": 2}


class TestCompacted:
    @pytest.mark.parametrize(
        "value", [None, True, 1, 1.5, "a", [], {}, [1, [True, {"a": []}]], {"a": {"a": [1, "1"]}}]
    )
    def test_is_equal_and_of_the_same_types(self, value: object) -> None:
        assert json.dumps(compacted(value)) == json.dumps(value)

    def test_equal_parts_are_the_same_part(self) -> None:
        text = '{"probe": {"path": "/ready", "ports": ["http"]}}'
        one, two = compacted(json.loads(text)), compacted(json.loads(text))
        assert one["probe"] is two["probe"]

    def test_parts_that_only_look_equal_are_not_shared(self) -> None:
        one, two = compacted([{"a": 1}, {"a": True}])
        assert (one["a"] is True, two["a"] is True) == (False, True)

    def test_stays_right_when_more_is_seen_than_remembered(self) -> None:
        values = [{"a": {"n": str(n)}, "b": [n]} for n in range(5000)]
        assert [compacted(json.loads(json.dumps(value))) for value in values] == values
