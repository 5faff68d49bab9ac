"""What a typed server keeps of an object, and how it refuses a value of another type."""

import pytest

from e2e.bed.apiserver.errors import ApiError
from e2e.bed.apiserver.kinds import KindTable
from e2e.bed.apiserver.typed import typed
from tests.e2e.bed.apiserver.client import Json

KINDS = KindTable()


def spec_of(spec: Json) -> Json:
    kept: Json = typed(KINDS.named("services"), {"spec": spec})["spec"]
    return kept


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ({"type": "ClusterIP", "unknown": 1, "clusterIP": None}, {"type": "ClusterIP"}),
        ({"type": "", "internalTrafficPolicy": ""}, {"internalTrafficPolicy": ""}),
        ({"healthCheckNodePort": 0, "ports": []}, {}),
        ({"publishNotReadyAddresses": False, "publishNotReady": True}, {}),
        ({"allocateLoadBalancerNodePorts": False}, {"allocateLoadBalancerNodePorts": False}),
        ({"selector": {"app": None}}, {"selector": {"app": ""}}),
        (
            {"ports": [None, {"port": 80.0}]},
            {"ports": [{"port": 0, "protocol": "TCP"}, {"port": 80, "protocol": "TCP"}]},
        ),
        ({"clusterIPs": ["10.0.0.1", None]}, {"clusterIPs": ["10.0.0.1", ""]}),
    ],
)
def test_what_means_nothing_is_dropped_and_what_may_be_empty_is_kept(
    sent: Json, kept: Json
) -> None:
    assert spec_of(sent) == kept


@pytest.mark.parametrize(
    ("sent", "why"),
    [
        ({"type": 1}, "number into Go struct field Service.spec.type of type string"),
        (
            {"ports": {}},
            "object into Go struct field Service.spec.ports of type []core.v1.ServicePort",
        ),
        ({"ports": ["a"]}, "string into Go struct field Service.spec.ports of type struct"),
        ({"ports": [{"port": "a"}]}, "string into Go struct field Service.spec.ports.port of type"),
        ({"selector": []}, "array into Go struct field Service.spec.selector of type map[string]"),
        ({"selector": {"a": True}}, "bool into Go struct field Service.spec.selector of type str"),
    ],
)
def test_a_value_of_another_type_is_refused_with_its_place(sent: Json, why: str) -> None:
    with pytest.raises(ApiError) as refused:
        spec_of(sent)
    assert refused.value.code == 400
    assert f"json: cannot unmarshal {why}" in refused.value.message


def test_what_is_always_there_is_made_anew_for_each_object() -> None:
    kind = KINDS.named("deployments")
    one, other = typed(kind, {}), typed(kind, {})
    assert one == other
    assert one["spec"]["template"]["spec"] is not other["spec"]["template"]["spec"]
