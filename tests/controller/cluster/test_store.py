from collections.abc import Mapping
from typing import Any

import pytest

from controller.api.objects import Object
from controller.cluster.client import Listing, WatchEvent
from controller.cluster.reflector import Store, requirements_of
from tests.controller.cluster.scripted import thing

Change = tuple[Object | None, Object | None]


class Listener:
    """A store, and what it told."""

    def __init__(self, *things: Object, version: str = "100", **options: Any) -> None:
        self.changes: list[Change] = []
        options.setdefault("trim", lambda obj: obj)
        self.store = Store(on_change=self._note, **options)
        self.lists(*things, version=version)
        self.changes.clear()

    def _note(self, old: Object | None, new: Object | None) -> None:
        self.changes.append((old, new))

    def lists(self, *things: Object, version: str) -> None:
        self.store.begin_list()
        self.store.replace(Listing(items=things, version=version))

    def sees(self, kind: Any, obj: Object) -> None:
        self.store.observe(WatchEvent(kind=kind, object=obj))

    @property
    def versions(self) -> Mapping[str, str]:
        return {
            it["metadata"]["name"]: it["metadata"]["resourceVersion"] for it in self.store.all()
        }


class TestQuestions:
    def test_gives_objects_by_name_and_by_namespace_in_order(self) -> None:
        there = thing("c", namespace="inn")
        store = Listener(thing("b"), thing("a"), there).store
        assert store.get("shop", "a") == thing("a")
        assert store.get("shop", "c") is None
        assert store.all("shop") == [thing("a"), thing("b")]
        assert store.all() == [there, thing("a"), thing("b")]
        assert store.all("nowhere") == []
        assert len(store) == 3

    def test_finds_by_index_as_objects_change(self) -> None:
        at = Listener(
            thing("a", labels={"app": "x"}),
            thing("b", labels={"app": "x"}),
            indexes={"app": lambda it: [it["metadata"]["labels"]["app"]]},
        )
        named = [it["metadata"]["name"] for it in at.store.find("app", "x")]
        assert named == ["a", "b"]
        moved = thing("a", 101, labels={"app": "y"})
        at.sees("MODIFIED", moved)
        at.sees("DELETED", thing("b", 102))
        assert at.store.find("app", "x") == ()
        assert at.store.find("app", "y") == (moved,)

    def test_object_an_index_stumbles_over_is_stored_all_the_same(self) -> None:
        at = Listener(thing("odd"), indexes={"app": lambda it: [it["metadata"]["labels"]["app"]]})
        assert at.store.get("shop", "odd") == thing("odd")
        assert at.store.find("app", "x") == ()


class TestEvents:
    def test_tells_before_and_after(self) -> None:
        at = Listener()
        at.sees("ADDED", thing("a", 101))
        at.sees("MODIFIED", thing("a", 102))
        at.sees("DELETED", thing("a", 103))
        one, two = thing("a", 101), thing("a", 102)
        assert at.changes == [(None, one), (one, two), (two, None)]
        assert at.store.version == "103"

    def test_shows_the_new_state_when_it_tells(self) -> None:
        shown: list[Object | None] = []
        store = Store(on_change=lambda _old, _new: shown.append(store.get("shop", "a")))
        store.observe(WatchEvent(kind="ADDED", object=thing("a", 5)))
        store.observe(WatchEvent(kind="DELETED", object=thing("a", 6)))
        assert shown == [thing("a", 5), None]

    @pytest.mark.parametrize("version", [101, 99])
    def test_repeated_or_older_event_changes_nothing(self, version: int) -> None:
        at = Listener(thing("a", 101), version="101")
        at.sees("MODIFIED", thing("a", version, labels={"late": "yes"}))
        at.sees("DELETED", thing("a", 99))
        assert at.changes == []
        assert at.store.version == "101"

    def test_repeated_event_of_a_deleted_object_does_not_bring_it_back(self) -> None:
        at = Listener(thing("a", 90))
        at.sees("DELETED", thing("a", 105))
        at.sees("MODIFIED", thing("a", 103))
        assert at.versions == {}

    def test_compares_versions_as_numbers(self) -> None:
        at = Listener(thing("a", 99), version="99")
        at.sees("MODIFIED", thing("a", 100))
        assert at.versions == {"a": "100"}

    def test_version_that_is_no_number_is_taken_for_newer(self) -> None:
        at = Listener(thing("a", "x1"), version="x1")
        at.sees("MODIFIED", thing("a", "x0"))
        assert at.versions == {"a": "x0"}

    def test_another_object_of_the_same_name_replaces_the_first(self) -> None:
        at = Listener(thing("a", 100))
        other = thing("a", 105, uid="other")
        at.sees("ADDED", other)
        at.sees("DELETED", thing("a", 104))
        assert at.changes == [(thing("a", 100), other)]

    def test_bookmark_only_moves_the_version(self) -> None:
        at = Listener(thing("a", 100))
        at.sees("BOOKMARK", {"metadata": {"resourceVersion": "150"}})
        assert at.store.version == "150"
        assert at.changes == []

    @pytest.mark.parametrize("odd", [{}, {"metadata": None}, {"metadata": []}, {"metadata": {}}])
    def test_event_about_nothing_is_ignored(self, odd: Object) -> None:
        at = Listener(thing("a", 100))
        for kind in ("ADDED", "MODIFIED", "DELETED", "BOOKMARK"):
            at.sees(kind, odd)
        assert at.versions == {"a": "100"}

    def test_object_the_trim_stumbles_over_is_kept_as_it_is(self) -> None:
        at = Listener(trim=lambda it: {"metadata": it["metadata"]["missing"]})
        at.sees("ADDED", thing("a", 101))
        assert at.store.get("shop", "a") == thing("a", 101)

    def test_listener_that_fails_once_hears_the_rest(self) -> None:
        heard: list[str] = []

        def listen(_old: Object | None, new: Object | None) -> None:
            heard.append((new or {})["metadata"]["name"])
            if heard == ["a"]:
                raise LookupError

        store = Store(on_change=listen)
        store.replace(Listing(items=(thing("a"), thing("b")), version="5"))
        assert heard == ["a", "b"]


class TestLists:
    def test_tells_only_what_differs_and_the_vanished_too(self) -> None:
        at = Listener(thing("a", 1), thing("b", 2), thing("c", 3))
        at.lists(thing("a", 1), thing("b", 7), thing("d", 8), version="200")
        assert at.changes == [
            (thing("b", 2), thing("b", 7)),
            (thing("c", 3), None),
            (None, thing("d", 8)),
        ]
        assert at.versions == {"a": "1", "b": "7", "d": "8"}

    def test_whole_list_is_in_the_store_before_anything_is_told(self) -> None:
        sizes: list[int] = []
        store = Store(on_change=lambda _old, _new: sizes.append(len(store)))
        store.replace(Listing(items=(thing("a"), thing("b"), thing("c")), version="5"))
        assert sizes == [3, 3, 3]

    def test_older_list_is_believed(self) -> None:
        at = Listener(thing("a", 90), version="100")
        at.lists(thing("a", 80), version="85")
        assert at.versions == {"a": "80"}
        assert at.store.version == "85"

    def test_object_deleted_and_made_anew_unseen_is_told_as_a_change(self) -> None:
        at = Listener(thing("a", 90))
        at.lists(thing("a", 120, uid="other"), version="130")
        assert at.changes == [(thing("a", 90), thing("a", 120, uid="other"))]

    def test_odd_objects_are_left_out(self) -> None:
        at = Listener()
        at.lists({}, {"metadata": []}, thing("a"), version="5")
        assert at.versions == {"a": "1"}


class TestOwnWrites:
    def test_answer_is_known_at_once_and_its_event_is_no_news(self) -> None:
        at = Listener(thing("a", 90))
        at.store.learn(thing("a", 101))
        at.sees("MODIFIED", thing("a", 101))
        assert at.changes == [(thing("a", 90), thing("a", 101))]

    def test_answer_is_trimmed(self) -> None:
        at = Listener(trim=lambda it: {"metadata": it["metadata"]})
        at.store.learn({**thing("a", 101), "spec": {}})
        assert at.store.get("shop", "a") == thing("a", 101)

    def test_answer_older_than_what_is_held_is_no_news(self) -> None:
        at = Listener(thing("a", 90))
        at.sees("MODIFIED", thing("a", 103))
        at.store.learn(thing("a", 102))
        assert at.versions == {"a": "103"}

    def test_answer_that_comes_after_the_deletion_does_not_bring_it_back(self) -> None:
        at = Listener(thing("a", 90))
        at.sees("DELETED", thing("a", 105))
        at.store.learn(thing("a", 104))
        assert at.versions == {}

    def test_stale_event_after_an_answer_changes_nothing(self) -> None:
        at = Listener(thing("a", 90))
        at.store.learn(thing("a", 110))
        at.sees("MODIFIED", thing("a", 105))
        assert at.versions == {"a": "110"}

    def test_answer_during_a_list_outlives_it(self) -> None:
        at = Listener(thing("a", 90))
        at.store.begin_list()
        at.store.learn(thing("a", 130))
        at.store.learn(thing("b", 131))
        at.store.replace(Listing(items=(thing("a", 90),), version="120"))
        assert at.versions == {"a": "130", "b": "131"}

    def test_answer_before_a_list_gives_way_to_it(self) -> None:
        at = Listener(thing("a", 90))
        at.store.learn(thing("a", 130))
        at.lists(version="120")
        assert at.versions == {}

    def test_object_that_leaves_the_selector_by_our_own_write_leaves_the_store(self) -> None:
        labels = {"serinus.dev/canary": "enabled"}
        at = Listener(thing("a", 90, labels=labels), labels="serinus.dev/canary")
        at.store.learn(thing("a", 101))
        at.store.learn(thing("b", 102))
        assert at.changes == [(thing("a", 90, labels=labels), None)]

    def test_deleted_object_does_not_come_back_by_older_news(self) -> None:
        at = Listener(thing("a", 90))
        at.store.unlearn(thing("a", 90))
        at.sees("MODIFIED", thing("a", 101))
        at.store.learn(thing("a", 102))
        at.lists(thing("a", 101), version="103")
        assert at.changes == [(thing("a", 90), None)]

    def test_object_of_the_same_name_made_after_the_deletion_is_seen(self) -> None:
        at = Listener(thing("a", 90))
        at.store.unlearn(thing("a", 90))
        at.sees("DELETED", thing("a", 101))
        at.sees("ADDED", thing("a", 102, uid="other"))
        assert at.versions == {"a": "102"}

    def test_deleted_object_that_waits_for_a_finalizer_is_still_there(self) -> None:
        at = Listener(thing("a", 90))
        at.store.unlearn(thing("a", 90))
        leaving = thing("a", 101, deletionTimestamp="2026-11-22T12:00:00Z")
        at.sees("MODIFIED", leaving)
        assert at.store.get("shop", "a") == leaving
        at.sees("DELETED", thing("a", 102, deletionTimestamp="2026-11-22T12:00:00Z"))
        assert at.versions == {}

    def test_deleting_another_object_of_that_name_forgets_nothing(self) -> None:
        at = Listener(thing("a", 90))
        at.store.unlearn(thing("a", 80, uid="other"))
        at.store.unlearn({"metadata": {"namespace": "shop", "name": "b"}})
        at.store.unlearn({})
        assert at.versions == {"a": "90"}

    def test_deletions_are_not_remembered_for_ever(self) -> None:
        at = Listener(thing("a", 90))
        at.store.unlearn(thing("a", 90))
        at.lists(version="110")
        assert at.store._deleted == {}


class TestSelectors:
    @pytest.mark.parametrize(
        ("selector", "labels", "is_met"),
        [
            ("", {}, True),
            ("a", {"a": ""}, True),
            ("a", {"b": ""}, False),
            ("!a", {"b": ""}, True),
            ("!a", {"a": ""}, False),
            ("a=1", {"a": "1"}, True),
            ("a==1", {"a": "1"}, True),
            ("a=1", {"a": "2"}, False),
            ("a!=1", {"a": "2"}, True),
            ("a!=1", {}, True),
            ("a!=1", {"a": "1"}, False),
            ("a, b=2", {"a": "1", "b": "2"}, True),
            ("a, b=2", {"a": "1"}, False),
        ],
    )
    def test_means_what_the_server_means(
        self, selector: str, labels: Mapping[str, str], is_met: bool
    ) -> None:
        assert all(it(labels) for it in requirements_of(selector)) is is_met

    @pytest.mark.parametrize("selector", ["a in (b, c)", "a notin (b)"])
    def test_set_based_one_is_refused(self, selector: str) -> None:
        with pytest.raises(ValueError, match="label selector"):
            requirements_of(selector)
