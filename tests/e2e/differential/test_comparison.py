"""What two answers have in common once each server's own choices are put aside."""

from typing import Any

import pytest

from e2e.differential.comparison import Difference, differences
from e2e.differential.side import Answer, Key


def service(**meta: Any) -> dict[str, Any]:
    given = {"name": "a", "uid": "u-1", "resourceVersion": "7", "creationTimestamp": "t"}
    spec = {"clusterIP": "10.96.0.1", "clusterIPs": ["10.96.0.1"], "ports": [{"nodePort": 30001}]}
    return {"kind": "Service", "metadata": {**given, **meta}, "spec": spec}


def answer(body: Any, code: int = 200, before: dict[Key, str] | None = None) -> Answer:
    return Answer(code, body, before or {})


def refused(code: int, reason: str, **details: Any) -> Answer:
    body = {"kind": "Status", "status": "Failure", "reason": reason, "details": details}
    return answer(body, code)


def compared(ours: Answer, theirs: Answer) -> list[Difference]:
    return differences("services", ours, theirs)


def test_what_a_server_chose_by_itself_is_no_difference() -> None:
    other = service(uid="u-2", resourceVersion="9", creationTimestamp="later")
    other["spec"] = {
        "clusterIP": "10.96.7.7",
        "clusterIPs": ["10.96.7.7"],
        "ports": [{"nodePort": 31999}],
    }
    assert compared(answer(service()), answer(other)) == []


def test_an_address_that_one_server_did_not_give_is_one() -> None:
    other = service()
    del other["spec"]["clusterIPs"]
    assert compared(answer(service()), answer(other)) == [
        Difference("spec.clusterIPs", '["<address>"]', "absent")
    ]


def test_only_one_server_counted_the_write_as_a_change() -> None:
    ours = answer(service(), before={("services", "a"): "7"})
    theirs = answer(service(resourceVersion="8"), before={("services", "a"): "7"})
    assert compared(ours, theirs) == [
        Difference("metadata.resourceVersion", '"as before"', '"new"')
    ]


def test_another_outcome_is_one_difference_whatever_the_bodies_say() -> None:
    assert compared(answer(service()), refused(422, "Invalid")) == [
        Difference("code", "200", "422 Invalid")
    ]


@pytest.mark.parametrize(
    ("ours", "theirs", "found"),
    [
        ([{"reason": "A", "field": "x"}], [{"reason": "A", "field": "x", "message": "other"}], []),
        (
            [{"reason": "A", "field": "x"}],
            [{"reason": "A", "field": "y"}],
            [Difference("details.causes[]", '"A x"', '"A y"')],
        ),
    ],
)
def test_refusals_are_compared_by_their_causes(
    ours: list[Any], theirs: list[Any], found: list[Difference]
) -> None:
    assert (
        compared(refused(422, "Invalid", causes=ours), refused(422, "Invalid", causes=theirs))
        == found
    )


def test_lists_are_compared_item_by_item() -> None:
    def listed(*names: str) -> Answer:
        items = [service(name=name) for name in names]
        return answer({"kind": "ServiceList", "metadata": {"continue": names[0]}, "items": items})

    assert compared(listed("a", "b"), listed("a", "c")) == [
        Difference("items[].metadata.name", '"b"', '"c"')
    ]


def test_numbers_are_no_booleans() -> None:
    ours, theirs = service(), service()
    ours["spec"]["x"], theirs["spec"]["x"] = 1, True
    assert compared(answer(ours), answer(theirs)) == [Difference("spec.x", "1", "true")]


def test_managers_are_compared_without_their_times_and_order() -> None:
    first = {"manager": "m", "operation": "Apply", "time": "t1"}
    second = {"manager": "n", "operation": "Update", "time": "t2"}
    ours = answer(service(managedFields=[first, second]))
    theirs = answer(service(managedFields=[{**second, "time": "t3"}, first]))
    assert compared(ours, theirs) == []
