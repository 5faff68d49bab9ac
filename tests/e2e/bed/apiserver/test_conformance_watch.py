"""Lists and watches: selectors, pages, versions, bookmarks, and being too late."""

import pytest

from tests.e2e.bed.apiserver.client import Api, config_map, ok, refusal, version

LABELLED = {
    "a": {"app": "x", "tier": "front"},
    "b": {"app": "y", "tier": "back"},
    "c": {"app": "y"},
    "d": None,
}


@pytest.mark.parametrize(
    ("selector", "names"),
    [
        ("app=x", "a"),
        ("app==x", "a"),
        ("app!=x", "bcd"),
        ("app", "abc"),
        ("!app", "d"),
        ("app in (x,y)", "abc"),
        ("app in (y), tier", "b"),
        ("app notin (x)", "bcd"),
        ("app=y,tier=back", "b"),
        ("app=y,!tier", "c"),
        ("app=", ""),
        ("owner!=helm", "abcd"),
    ],
)
def test_label_selectors(api: Api, selector: str, names: str) -> None:
    for name, labels in LABELLED.items():
        api.made("configmaps", config_map(name, labels=labels))
    listed = ok(api.get("configmaps", labelSelector=selector))["items"]
    found = [item["metadata"]["name"] for item in listed]
    assert [name for name in found if name in LABELLED] == list(names)


@pytest.mark.parametrize(
    ("selector", "names"),
    [
        ("metadata.name=a", ["a"]),
        ("metadata.name==a", ["a"]),
        ("metadata.name!=a", ["b"]),
        ("metadata.name=a,metadata.name=b", []),
    ],
)
def test_field_selectors(api: Api, selector: str, names: list[str]) -> None:
    for name in "ab":
        api.made("configmaps", config_map(name))
    listed = ok(api.get("configmaps", fieldSelector=selector))["items"]
    found = [item["metadata"]["name"] for item in listed]
    assert [name for name in found if name in "ab"] == names


def test_a_bad_selector_is_refused(api: Api) -> None:
    assert refusal(api.get("configmaps", labelSelector="a b c"))[0] == 400
    assert refusal(api.get("configmaps", fieldSelector="a b c"))[0] == 400


def test_pages(api: Api) -> None:
    for name in "abcde":
        api.made("configmaps", config_map(name, labels={"paged": "1"}))
    names: list[str] = []
    query = {"limit": "2", "labelSelector": "paged"}
    pages = 0
    while True:
        page = ok(api.get("configmaps", **query))
        names += [item["metadata"]["name"] for item in page["items"]]
        pages += 1
        if not page["metadata"].get("continue"):
            break
        query["continue"] = page["metadata"]["continue"]
    assert ("".join(names), pages) == ("abcde", 3)


def test_a_page_says_how_many_are_left(api: Api) -> None:
    for name in "abc":
        api.made("services", {"metadata": {"name": name}, "spec": {"ports": [{"port": 1}]}})
    assert ok(api.get("services", limit="1"))["metadata"]["remainingItemCount"] == 2


def test_pages_show_one_moment(api: Api) -> None:
    for name in "abc":
        api.made("configmaps", config_map(name, labels={"paged": "1"}))
    first = ok(api.get("configmaps", limit="1", labelSelector="paged"))
    api.made("configmaps", config_map("bb", labels={"paged": "1"}))
    token = first["metadata"]["continue"]
    rest = ok(api.get("configmaps", labelSelector="paged", **{"continue": token}))
    assert [item["metadata"]["name"] for item in rest["items"]] == ["b", "c"]
    assert version(rest) == version(first)


def test_a_token_that_is_none_is_refused(api: Api) -> None:
    assert api.get("configmaps", limit="1", **{"continue": "nonsense"}).status_code == 400


@pytest.mark.parametrize("since", ["", "0"])
def test_a_list_from_anywhere(api: Api, since: str) -> None:
    made = api.made("configmaps", config_map())
    listed = ok(api.get("configmaps", resourceVersion=since))
    assert version(listed) >= version(made)


def test_a_version_from_the_future_times_out(api: Api) -> None:
    future = str(version(ok(api.get("configmaps"))) + 10**9)
    assert refusal(api.get("configmaps", resourceVersion=future)) == (504, "Timeout")


def now(api: Api) -> str:
    return str(version(ok(api.get("configmaps"))))


def test_a_watch_goes_on_from_a_version(api: Api) -> None:
    since = now(api)
    api.made("configmaps", config_map())
    ok(api.patch("configmaps", "a", {"data": {"k": "w"}}))
    api.delete("configmaps", "a")
    with api.watch("configmaps", resourceVersion=since) as events:
        seen = [events.next() for _ in range(3)]
    assert [event_type for event_type, _ in seen] == ["ADDED", "MODIFIED", "DELETED"]
    versions = [version(obj) for _, obj in seen]
    assert versions == sorted(set(versions))
    assert seen[2][1]["data"] == {"k": "w"}
    assert seen[0][1]["kind"] == "ConfigMap"


def test_a_watch_without_a_version_begins_with_what_is(api: Api) -> None:
    api.made("configmaps", config_map("a", labels={"w": "1"}))
    with api.watch("configmaps", labelSelector="w") as events:
        assert events.named() == ("ADDED", "a")
        api.made("configmaps", config_map("b", labels={"w": "1"}))
        assert events.named() == ("ADDED", "b")


def test_objects_move_in_and_out_of_a_selector(api: Api) -> None:
    with api.watch("configmaps", resourceVersion=now(api), labelSelector="w=1") as events:
        api.made("configmaps", config_map())
        moved_in = ok(api.patch("configmaps", "a", {"metadata": {"labels": {"w": "1"}}}))
        assert events.next() == ("ADDED", moved_in)
        ok(api.patch("configmaps", "a", {"data": {"k": "w"}}))
        assert events.named() == ("MODIFIED", "a")
        moved_out = ok(api.patch("configmaps", "a", {"metadata": {"labels": {"w": "2"}}}))
        event_type, left = events.next()
    assert event_type == "DELETED"
    assert version(left) == version(moved_out)
    assert left["metadata"]["labels"] == {"w": "1"}


def test_a_watch_of_one_name(api: Api) -> None:
    since = now(api)
    selector = "metadata.name=b"
    with api.watch("configmaps", resourceVersion=since, fieldSelector=selector) as events:
        for name in "ab":
            api.made("configmaps", config_map(name))
        assert events.named() == ("ADDED", "b")


def test_a_watch_sees_its_namespace_only(api: Api) -> None:
    with api.watch("configmaps", resourceVersion=now(api)) as events:
        other = Api(http=api.http, namespace="default")
        other.made("configmaps", config_map("elsewhere"))
        other.delete("configmaps", "elsewhere")
        api.made("configmaps", config_map("here"))
        assert events.named() == ("ADDED", "here")


def test_a_watch_ends_when_its_time_is_up(api: Api) -> None:
    query = {"resourceVersion": now(api), "timeoutSeconds": "1"}
    with api.watch("configmaps", **query) as events:
        assert {event_type for event_type, _ in events} <= {"BOOKMARK"}


def test_a_streaming_list_ends_with_a_bookmark(api: Api) -> None:
    api.made("configmaps", config_map("a", labels={"s": "1"}))
    query = {
        "sendInitialEvents": "true",
        "resourceVersionMatch": "NotOlderThan",
        "allowWatchBookmarks": "true",
        "labelSelector": "s",
    }
    with api.watch("configmaps", **query) as events:
        assert events.named() == ("ADDED", "a")
        event_type, mark = events.next()
    assert event_type == "BOOKMARK"
    assert mark["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
    assert version(mark) > 0


def test_a_streaming_list_needs_its_match(api: Api) -> None:
    with api.watch("configmaps", sendInitialEvents="true") as events:
        assert events.status == 422


def test_a_watch_from_before_everything_is_told_410(api: Api) -> None:
    with api.watch("configmaps", resourceVersion="1") as events:
        event_type, found = events.next()
    if event_type == "ADDED":  # a young server may remember everything
        oldest = min(ok(api.get("configmaps"))["items"], key=version)
        assert found["metadata"]["name"] == oldest["metadata"]["name"]
    else:
        assert (event_type, found["code"], found["reason"]) == ("ERROR", 410, "Expired")


def test_a_watch_from_no_number_is_refused(api: Api) -> None:
    with api.watch("configmaps", resourceVersion="x") as events:
        assert events.status == 500
    assert refusal(api.get("configmaps", resourceVersion="x")) == (400, "BadRequest")


def test_a_table_of_columns_and_rows(api: Api) -> None:
    api.made("configmaps", config_map())
    accept = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"}
    table = ok(api.http.get(api.path("configmaps"), headers=accept))
    assert table["kind"] == "Table"
    assert [column["name"] for column in table["columnDefinitions"]] == ["Name", "Data", "Age"]
    row = next(row for row in table["rows"] if row["cells"][0] == "a")
    assert row["cells"][1] == 1
    assert row["object"]["kind"] == "PartialObjectMetadata"


def test_metadata_alone(api: Api) -> None:
    api.made("configmaps", config_map())
    form = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"
    found = ok(api.http.get(api.path("configmaps", "a"), headers={"Accept": form}))
    assert found["kind"] == "PartialObjectMetadata"
    assert found.keys() == {"kind", "apiVersion", "metadata"}


def test_discovery_in_both_forms(api: Api) -> None:
    legacy = ok(api.http.get("/apis/apps/v1"))
    assert "deployments/status" in [one["name"] for one in legacy["resources"]]
    form = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
    groups = ok(api.http.get("/apis", headers={"Accept": form}))["items"]
    assert "apps" in [group["metadata"]["name"] for group in groups]


def test_events_have_two_spellings(api: Api) -> None:
    event = {
        "metadata": {"name": "e"},
        "involvedObject": {"kind": "Service", "name": "web", "namespace": api.namespace},
        "message": "hello",
        "reason": "Said",
        "type": "Normal",
    }
    api.made("events", event)
    newer = f"/apis/events.k8s.io/v1/namespaces/{api.namespace}/events/e"
    found = ok(api.http.get(newer))
    assert (found["apiVersion"], found["note"]) == ("events.k8s.io/v1", "hello")
    assert found["regarding"]["name"] == "web"


def test_a_user_may_ask_what_is_allowed(api: Api) -> None:
    attributes = {"namespace": api.namespace, "verb": "get", "resource": "pods"}
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    }
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    assert ok(api.http.post(path, json=review))["status"]["allowed"] is True
