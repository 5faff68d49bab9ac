from dataclasses import replace
from typing import Any

import jsonpatch
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.api.objects import DEPLOYMENT, INGRESS
from controller.plan.observed import Ref
from controller.plan.writes import (
    Create,
    Delete,
    Event,
    Merge,
    Plan,
    deleted,
    dropped,
    edit_map,
    lowered,
    merge_into,
    raised,
    ref,
)
from tests.controller.plan.applied import merged
from tests.controller.plan.worlds import NAME, NAMESPACE, deployment, ingress, uid

PROFILE = settings(max_examples=30, deadline=None)

keys = st.sampled_from(["a", "b/c", "d~e", "~1", "serinus.dev/weight", ""])
texts = st.sampled_from(["", "0", "x"])
maps = st.dictionaries(keys, texts, max_size=4)
changes = st.dictionaries(keys, st.none() | texts, max_size=4)

leaves = st.booleans() | st.integers(-2, 2) | texts
values = st.recursive(
    leaves | st.lists(leaves, max_size=2),
    lambda inner: st.dictionaries(keys, inner, max_size=3) | st.lists(inner, max_size=2),
    max_leaves=8,
)
mappings = st.dictionaries(keys, values, max_size=4)


def wanted(current: dict[str, str], asked: dict[str, str | None]) -> dict[str, str]:
    after = {**current, **asked}
    return {key: value for key, value in after.items() if value is not None}


@PROFILE
@given(current=maps, asked=changes)
def test_an_edit_makes_of_a_map_what_was_asked(
    current: dict[str, str], asked: dict[str, str | None]
) -> None:
    obj = {"metadata": {"labels": current} if current else {}}
    operations = edit_map("/metadata/labels", current or None, asked)
    after = jsonpatch.apply_patch(obj, operations)
    assert (after["metadata"].get("labels") or {}) == wanted(current, asked)


@PROFILE
@given(current=maps.filter(bool), asked=changes, key=keys)
def test_an_edit_fails_where_a_key_it_changes_is_no_longer_as_it_was_seen(
    current: dict[str, str], asked: dict[str, str | None], key: str
) -> None:
    if key not in asked or key not in current:
        return
    obj = {"labels": {**current, key: "another hand's"}}
    with pytest.raises(jsonpatch.JsonPatchTestFailed):
        jsonpatch.apply_patch(obj, edit_map("/labels", current, asked))


@PROFILE
@given(current=maps)
def test_an_edit_that_asks_for_what_stands_changes_nothing(current: dict[str, str]) -> None:
    operations = edit_map("/labels", current, dict(current))
    assert {operation["op"] for operation in operations} <= {"test"}


def test_an_edit_of_a_map_that_is_not_there_creates_it_or_does_nothing() -> None:
    assert edit_map("/labels", None, {"a": "1", "b": None}) == [
        {"op": "add", "path": "/labels", "value": {"a": "1"}}
    ]
    assert edit_map("/labels", {}, {"b": None}) == []


def test_an_edit_of_a_map_whose_keys_are_not_kept_here_leaves_them() -> None:
    assert edit_map("/labels", {}, {"a": "1"}) == [{"op": "add", "path": "/labels/a", "value": "1"}]


@PROFILE
@given(before=mappings, after=mappings)
def test_a_merge_turns_one_mapping_into_the_other(
    before: dict[str, Any], after: dict[str, Any]
) -> None:
    assert merged(before, merge_into(before, after)) == after


@PROFILE
@given(same=mappings)
def test_a_merge_of_the_same_is_empty(same: dict[str, Any]) -> None:
    assert merge_into(same, same) == {}


def test_a_merge_says_only_what_differs() -> None:
    before = {"gone": 1, "kept": {"a": 1, "b": 2}, "same": [1]}
    after = {"kept": {"a": 1, "b": 3}, "same": [1], "new": None}
    assert merge_into(before, after) == {"gone": None, "kept": {"b": 3}, "new": None}


def test_raising_is_conditional_on_the_version_that_was_seen() -> None:
    assert raised(INGRESS, ingress(), {"metadata": {"annotations": {"a": "1"}}}, "why") == Merge(
        kind=INGRESS,
        namespace=NAMESPACE,
        name=NAME,
        patch={"metadata": {"resourceVersion": "100", "annotations": {"a": "1"}}},
        why="why",
    )


def test_lowering_is_conditional_on_the_uid_only() -> None:
    assert lowered(INGRESS, ingress(), {"spec": {}}, "why") == Merge(
        kind=INGRESS,
        namespace=NAMESPACE,
        name=NAME,
        patch={"metadata": {"uid": uid("Ingress", NAME)}, "spec": {}},
        why="why",
    )


def test_a_deletion_names_the_state_it_means_and_is_read_afresh() -> None:
    assert deleted(DEPLOYMENT, deployment(), "why") == Delete(
        kind=DEPLOYMENT,
        namespace=NAMESPACE,
        name=NAME,
        uid=uid("Deployment", NAME),
        version="100",
        why="why",
        confirm=frozenset({Ref(kind=DEPLOYMENT, namespace=NAMESPACE, name=NAME)}),
    )


def test_what_is_dropped_goes_whatever_its_version_is_by_then() -> None:
    assert dropped(INGRESS, ingress(), "why") == Delete(
        kind=INGRESS,
        namespace=NAMESPACE,
        name=NAME,
        uid=uid("Ingress", NAME),
        version="",
        why="why",
        confirm=frozenset({Ref(kind=INGRESS, namespace=NAMESPACE, name=NAME)}),
    )


def test_a_deletion_may_rest_on_more_than_what_it_deletes() -> None:
    more = frozenset({ref(INGRESS, ingress())})
    assert deleted(DEPLOYMENT, deployment(), "why", more).confirm == more | {
        ref(DEPLOYMENT, deployment())
    }


def test_a_plan_wants_confirmed_what_any_of_its_writes_wants() -> None:
    one, two = ref(DEPLOYMENT, deployment()), ref(INGRESS, ingress())
    write = Create(kind=INGRESS, obj=ingress(), why="why", confirm=frozenset({two}))
    other = replace(write, confirm=frozenset({one}))
    assert Plan(writes=(write, other)).confirm == {one, two}
    assert Plan().confirm == frozenset()


def test_nothing_is_added_to_a_map_that_is_not_there_for_a_key_that_is_to_go() -> None:
    assert edit_map("/metadata/labels", None, {"a": None}) == []


def test_a_deletion_carries_what_is_told_of_it() -> None:
    event = Event(reason="Gone", message="gone")
    assert deleted(DEPLOYMENT, deployment(), "why", events=(event,)).events == (event,)
