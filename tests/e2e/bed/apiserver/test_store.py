"""The store in process: virtual time, listeners, watches without sockets."""

import random

import pytest

from e2e.bed.apiserver.errors import ApiError
from e2e.bed.apiserver.kinds import Kind, UnknownKindError
from e2e.bed.apiserver.store import Store
from tests.e2e.bed.apiserver.client import Json, config_map, deployment, owned_by


class Clock:
    def __init__(self) -> None:
        self.seconds = 1_800_000_000.0

    def __call__(self) -> float:
        return self.seconds


def run(seed: int) -> list[Json]:
    store = Store(clock=Clock(), rng=random.Random(seed))
    for _ in range(3):
        store.create("configmaps", "default", {"metadata": {"generateName": "a-"}})
    return store.list("configmaps")


def test_equal_seeds_make_equal_worlds() -> None:
    assert run(1) == run(1)
    assert run(1) != run(2)


def test_versions_begin_at_the_clock() -> None:
    assert Store(clock=Clock()).version >= 1_800_000_000_000


def test_listeners_hear_each_change_in_order() -> None:
    store, heard = Store(), []
    end = store.subscribe(lambda *change: heard.append(change))
    made = store.create("configmaps", "default", config_map())
    changed = store.patch("configmaps", "default", "a", "merge", {"data": {"k": "w"}})
    last = store.delete("configmaps", "default", "a")
    end()
    store.create("configmaps", "default", config_map())
    assert heard == [
        ("ADDED", "configmaps", made, None),
        ("MODIFIED", "configmaps", changed, made),
        ("DELETED", "configmaps", None, last),
    ]


def test_a_listener_may_write() -> None:
    store = Store()

    def label(event: str, plural: str, new: Json | None, _: Json | None) -> None:
        if event == "ADDED" and plural == "configmaps" and new is not None:
            place = "configmaps", "default", new["metadata"]["name"]
            store.patch(*place, "merge", {"metadata": {"labels": {"seen": "1"}}})

    store.subscribe(label)
    store.create("configmaps", "default", config_map())
    assert store.list("configmaps", labels="seen=1") != []


def test_what_comes_out_does_not_change() -> None:
    store, sent = Store(), config_map()
    made = store.create("configmaps", "default", sent)
    sent["data"]["k"] = "other"
    store.patch("configmaps", "default", "a", "merge", {"data": {"k": "w"}})
    assert made["data"] == {"k": "v"}


def test_a_json_patch_leaves_the_version_before_as_it_was() -> None:
    store = Store()
    before = store.create("configmaps", "default", config_map(labels={"a": "1", "b": "2"}))
    told = repr(before)
    operations = [
        {"op": "move", "from": "/metadata/labels", "path": "/metadata/annotations"},
        {"op": "remove", "path": "/metadata/annotations/a"},
        {"op": "add", "path": "/data/more", "value": "w"},
    ]
    after = store.patch("configmaps", "default", "a", "json", operations)
    assert after["metadata"]["annotations"] == {"b": "2"}
    assert repr(before) == told


def test_an_owner_of_what_nobody_touches_stays_the_same_entry() -> None:
    store = Store()
    made = store.create("configmaps", "default", config_map(), manager="maker")
    patch = {"metadata": {"labels": {"a": "1"}}}
    changed = store.patch("configmaps", "default", "a", "merge", patch, manager="other")
    assert changed["metadata"]["managedFields"][0] is made["metadata"]["managedFields"][0]


def test_a_watch_wakes_and_gathers() -> None:
    store = Store()
    watch, wakes = store.watch("configmaps", labels="x"), []
    watch.wake = lambda: wakes.append(1)
    store.create("configmaps", "default", config_map("a"))
    made = store.create("configmaps", "default", config_map("b", labels={"x": "1"}))
    assert (watch.take(), watch.take(), len(wakes)) == ([("ADDED", made)], [], 1)
    store.close(watch)
    store.delete("configmaps", "default", "b")
    assert watch.take() == []


def test_a_watch_may_come_back_within_the_history() -> None:
    store = Store(history=3)
    since = store.version
    for name in "abcd":
        store.create("configmaps", "default", config_map(name))
    with pytest.raises(ApiError) as refused:
        store.watch("configmaps", since=since)
    assert refused.value.code == 410
    names = [
        obj["metadata"]["name"] for _, obj in store.watch("configmaps", since=since + 1).take()
    ]
    assert names == ["b", "c", "d"]


def test_a_forgotten_history_is_gone() -> None:
    store = Store()
    since = store.version - 1
    store.compact()
    with pytest.raises(ApiError) as refused:
        store.watch("configmaps", since=since)
    assert refused.value.code == 410


def test_garbage_waits_for_its_delay() -> None:
    clock = Clock()
    store = Store(clock=clock, gc_delay=2.0)
    owner = store.create("configmaps", "default", config_map("owner"))
    store.create("configmaps", "default", config_map("child", **owned_by(owner)))
    store.delete("configmaps", "default", "owner")
    store.run_due()
    assert store.exists("configmaps", "default", "child")
    clock.seconds += 2.0
    assert store.next_due() == clock.seconds
    store.run_due()
    assert not store.exists("configmaps", "default", "child")
    assert store.next_due() is None


def test_garbage_without_a_delay_goes_at_once() -> None:
    store = Store()
    owner = store.create("deployments", "default", deployment())
    store.create("configmaps", "default", config_map("child", **owned_by(owner)))
    store.delete("deployments", "default", "web")
    assert store.list("configmaps") == []


def test_an_unknown_kind_is_a_mistake() -> None:
    with pytest.raises(UnknownKindError):
        Store().list("things")


def test_loopback_endpoints_are_a_switch() -> None:
    sent = {
        "metadata": {"name": "s"},
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["127.0.0.1"]}],
    }
    store = Store(allow_loopback_endpoints=True)
    store.create("endpointslices", "default", sent)
    store.allow_loopback_endpoints = False
    with pytest.raises(ApiError, match="may not be in the loopback range"):
        store.create("endpointslices", "default", {**sent, "metadata": {"name": "t"}})


def test_a_status_write_leaves_the_version_before_as_it_was() -> None:
    store = Store()
    kind = Kind(group="example.io", kind="Route", plural="routes", status=True, custom=True)
    store.kinds.add(kind)
    since = store.version
    before = store.create("routes", "default", {"metadata": {"name": "a"}}, manager="maker")
    told = repr(before)
    patch = {"status": {"is": "good"}}
    where = "routes", "default", "a"
    after = store.patch(*where, "merge", patch, manager="other", subresource="status")
    assert repr(before) == told
    changes = store.watch("routes", since=since).take()
    assert changes == [("ADDED", before), ("MODIFIED", after)]
    versions = [obj["metadata"]["resourceVersion"] for _, obj in changes]
    assert len({*versions}) == 2


def test_what_an_apply_gave_up_of_an_unknown_kind_leaves_no_null() -> None:
    store = Store()
    store.kinds.add(Kind(group="example.io", kind="Route", plural="routes", custom=True))
    made = {"metadata": {"name": "a"}, "spec": {"limits": {}}}
    store.create("routes", "default", made, manager="maker")
    wanted = {"apiVersion": "example.io/v1", "kind": "Route"}
    for spec in ({"weight": 1, "limits": {"most": 1}}, {"weight": 1}):
        config = {**wanted, "spec": spec}
        store.patch("routes", "default", "a", "apply", config, manager="me")
    assert store.get("routes", "default", "a")["spec"] == {"weight": 1, "limits": {}}
