import asyncio
import json
from pathlib import Path
from typing import Any

import jsonpatch
import pytest
from kubernetes.aio.client import Configuration

from controller.api.errors import (
    ConflictError,
    GoneError,
    NotFoundError,
    RejectedError,
    ThrottledError,
    UnavailableError,
)
from controller.api.objects import DEPLOYMENT, EVENT, INGRESS, LEASE, SERVICE, Object
from controller.cluster.client import Bucket, Client, ServerTime, Timeouts, WatchEvent
from controller.settings import Settings, UsageError
from tests.controller.cluster.clocks import START, FakeClock, HastyClock, settle
from tests.controller.cluster.scripted import (
    Server,
    bookmark,
    event,
    hang,
    line,
    page,
    refuses,
    resets,
    says,
    serving,
    streams,
    talking,
    thing,
)

IMPATIENT = Timeouts(answer=0.05, page=0.05, watch_grace=0.05)


async def events_of(client: Client, version: str = "7") -> list[WatchEvent]:
    return [it async for it in client.watch(SERVICE, "shop", version=version, seconds=0)]


class TestWhatIsSent:
    async def test_get_names_the_object_and_who_asks(self) -> None:
        async with talking(says(thing("web"))) as (server, client):
            assert await client.get(SERVICE, "shop", "web") == thing("web")
        seen = server.seen[0]
        assert (seen.method, seen.path) == ("GET", "/api/v1/namespaces/shop/services/web")
        assert seen.headers["User-Agent"].startswith("serinus/")
        assert seen.query == {}

    async def test_create_posts_to_the_collection_as_our_field_manager(self) -> None:
        made = thing("web-canary")
        async with talking(says(made, 201)) as (server, client):
            await client.create(INGRESS, made, dry_run=True)
        seen = server.seen[0]
        assert seen.path == "/apis/networking.k8s.io/v1/namespaces/shop/ingresses"
        assert (seen.method, seen.body) == ("POST", made)
        assert seen.query == {"fieldManager": "serinus", "dryRun": "All"}

    async def test_merge_sends_null_and_its_own_content_type(self) -> None:
        patch = {"metadata": {"uid": "u", "annotations": {"serinus.dev/action": None}}}
        async with talking(says({})) as (server, client):
            await client.merge(SERVICE, "shop", "web", patch, subresource="status")
        seen = server.seen[0]
        assert seen.path.endswith("/services/web/status")
        assert seen.headers["Content-Type"] == "application/merge-patch+json"
        assert (seen.method, seen.body) == ("PATCH", patch)
        assert seen.query == {"fieldManager": "serinus"}

    @pytest.mark.parametrize("count", [0, 1, 2])
    async def test_json_patch_is_a_list_and_is_called_one(self, count: int) -> None:
        operations = [{"op": "test", "path": "/spec/paused", "value": True}] * count
        async with talking(says({})) as (server, client):
            await client.json_patch(DEPLOYMENT, "shop", "web", operations, dry_run=True)
        seen = server.seen[0]
        assert seen.headers["Content-Type"] == "application/json-patch+json"
        assert seen.body == operations
        assert seen.query == {"fieldManager": "serinus", "dryRun": "All"}

    async def test_json_patch_is_written_as_the_server_writes_json(self) -> None:
        value = '"<=1%" & 金丝雀\u2028\\u003c'
        operations = [{"op": "test", "path": "/metadata/annotations/a", "value": value}]
        async with talking(says({}), says({})) as (server, client):
            await client.json_patch(DEPLOYMENT, "shop", "web", operations)
            await client.merge(SERVICE, "shop", "web", {"metadata": {"a": "é"}})
        sent, other = server.seen
        assert r'"value": "\"\u003c=1%\" \u0026 金丝雀\u2028\\u003c"' in sent.text
        assert (sent.body, other.body) == (operations, {"metadata": {"a": "é"}})

    async def test_json_patch_that_is_none_is_not_sent(self) -> None:
        async with talking() as (server, client):
            with pytest.raises(jsonpatch.InvalidJsonPatch):
                await client.json_patch(DEPLOYMENT, "shop", "web", [{"op": "put", "path": "/a"}])
        assert server.seen == []

    async def test_replace_puts_the_whole_object(self) -> None:
        async with talking(says(thing("serinus", 2))) as (server, client):
            assert await client.replace(LEASE, thing("serinus")) == thing("serinus", 2)
        seen = server.seen[0]
        assert (seen.method, seen.body) == ("PUT", thing("serinus"))
        assert seen.path == "/apis/coordination.k8s.io/v1/namespaces/shop/leases/serinus"

    async def test_delete_names_the_state_it_means_and_leaves_the_rest_to_the_collector(
        self,
    ) -> None:
        async with talking(says({"kind": "Status", "status": "Success"})) as (server, client):
            await client.delete(INGRESS, "shop", "web-canary", uid="u-1", version="7")
        assert server.seen[0].method == "DELETE"
        assert server.seen[0].body["preconditions"] == {"uid": "u-1", "resourceVersion": "7"}
        assert server.seen[0].body["propagationPolicy"] == "Background"

    async def test_delete_of_any_version_names_the_uid_alone(self) -> None:
        async with talking(says({"kind": "Status", "status": "Success"})) as (server, client):
            await client.delete(INGRESS, "shop", "web-canary", uid="u-1", version="")
        assert server.seen[0].body["preconditions"] == {"uid": "u-1"}

    @pytest.mark.parametrize("name", ["", "..", "../secrets", "a/b", "a%2fb", "a?b", "a#b"])
    async def test_name_that_would_change_the_path_is_not_sent(self, name: str) -> None:
        async with talking() as (server, client):
            with pytest.raises(RejectedError, match="is no name of an object"):
                await client.get(SERVICE, "shop", name)
        assert server.seen == []


class TestLists:
    async def test_reads_every_page_and_keeps_the_version(self) -> None:
        script = page([thing("a")], "90", "next"), page([thing("b")], "90")
        async with talking(*script) as (server, client):
            found = await client.list(SERVICE, None, labels="a=b", fields="metadata.name=x")
        named = {"apiVersion": "v1", "kind": "Service"}
        assert found.items == ({**named, **thing("a")}, {**named, **thing("b")})
        assert found.version == "90"
        assert [seen.path for seen in server.seen] == ["/api/v1/services"] * 2
        first = {"limit": "500", "labelSelector": "a=b", "fieldSelector": "metadata.name=x"}
        assert [seen.query for seen in server.seen] == [first, {**first, "continue": "next"}]

    async def test_trims_a_page_before_the_next_is_asked_for(self) -> None:
        story: list[str] = []

        def trim(obj: Object) -> Object:
            story.append(f"{obj['metadata']['name']} after {len(server.seen)}")
            return {"metadata": {"name": "small"}}

        script = page([thing("a")], "1", "next"), page([thing("b")], "1")
        async with talking(*script) as (server, client):
            found = await client.list(SERVICE, "shop", trim=trim)
        assert story == ["a after 1", "b after 2"]
        assert found.items == ({"metadata": {"name": "small"}},) * 2

    @pytest.mark.parametrize("items", ["null", "[]", "[null, 3]"])
    async def test_list_of_nothing_is_empty(self, items: str) -> None:
        body = f'{{"items": {items}, "metadata": {{"resourceVersion": "5"}}}}'
        async with talking(says(body)) as (_, client):
            found = await client.list(SERVICE, "shop")
        assert (found.items, found.version) == ((), "5")

    @pytest.mark.parametrize("body", ["", "<html>", "[]", '{"items": [', '{"items": 3}'])
    async def test_answer_that_is_no_list_is_an_outage(self, body: str) -> None:
        async with talking(says(body)) as (_, client):
            with pytest.raises(UnavailableError, match=r"list Service shop: .* is no list"):
                await client.list(SERVICE, "shop")

    async def test_expired_list_says_so(self) -> None:
        async with talking(page([], "1", "next"), refuses(410)) as (_, client):
            with pytest.raises(GoneError):
                await client.list(SERVICE, "shop")


class TestWatches:
    async def test_asks_for_bookmarks_and_an_end(self) -> None:
        async with talking(streams()) as (server, client):
            async for _ in client.watch(
                SERVICE, None, version="7", labels="serinus.dev/canary", seconds=250
            ):
                raise AssertionError
        assert server.seen[0].query == {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": "7",
            "timeoutSeconds": "250",
            "labelSelector": "serinus.dev/canary",
        }

    async def test_yields_events_however_they_are_cut(self) -> None:
        text = line(event("ADDED", thing("a"))) + line(bookmark("9"))
        cut = [text[at : at + 7] for at in range(0, len(text), 7)]
        async with talking(streams(*cut)) as (_, client):
            assert await events_of(client) == [
                WatchEvent(kind="ADDED", object=thing("a")),
                WatchEvent(kind="BOOKMARK", object={"metadata": {"resourceVersion": "9"}}),
            ]

    async def test_passes_an_object_of_five_mebibytes(self) -> None:
        large = thing("a", annotations={"x": "y" * (5 << 20)})
        async with talking(streams(event("MODIFIED", large))) as (_, client):
            assert [it.object for it in await events_of(client)] == [large]

    async def test_drops_a_line_that_was_cut_off(self) -> None:
        whole, part = event("ADDED", thing("a")), line(event("ADDED", thing("b")))[:-9]
        async with talking(streams(whole, part)) as (_, client):
            assert [it.object for it in await events_of(client)] == [thing("a")]

    @pytest.mark.parametrize("bad", [b"<html>\n", b"[]\n", b'{"type": "SEEN"}\n', b"\xff\n"])
    async def test_line_that_is_no_event_is_an_outage(self, bad: bytes) -> None:
        async with talking(streams(bad)) as (_, client):
            with pytest.raises(UnavailableError, match="watch Service shop"):
                await events_of(client)

    async def test_hands_on_an_error_event_and_an_event_without_object(self) -> None:
        status = {"kind": "Status", "code": 410}
        parts = event("ERROR", status), {"type": "ADDED", "object": None}
        async with talking(streams(*parts)) as (_, client):
            assert await events_of(client) == [
                WatchEvent(kind="ERROR", object=status),
                WatchEvent(kind="ADDED", object={}),
            ]

    async def test_silence_is_an_outage(self) -> None:
        async with talking(
            streams(event("ADDED", thing("a")), then="hang"), timeouts=IMPATIENT
        ) as (_, client):
            with pytest.raises(UnavailableError, match="no answer in time"):
                await events_of(client)

    async def test_reset_is_an_outage(self) -> None:
        async with talking(streams(event("ADDED", thing("a")), then="reset")) as (_, client):
            with pytest.raises(UnavailableError, match="watch Service shop"):
                await events_of(client)

    async def test_refusal_is_raised(self) -> None:
        async with talking(refuses(410, message="too old resource version")) as (_, client):
            with pytest.raises(GoneError, match="too old"):
                await events_of(client)


class TestFailures:
    async def test_message_names_verb_object_and_what_was_said(self) -> None:
        answer = refuses(409, reason="Conflict", message="the object has been modified")
        async with talking(answer) as (_, client):
            with pytest.raises(ConflictError) as caught:
                await client.merge(SERVICE, "shop", "web", {})
        assert str(caught.value) == (
            "patch Service shop/web: 409 Conflict: the object has been modified"
        )

    async def test_throttled_says_for_how_long(self) -> None:
        async with talking(refuses(429, {"Retry-After": "7"})) as (_, client):
            with pytest.raises(ThrottledError) as caught:
                await client.get(SERVICE, "shop", "web")
        assert caught.value.retry_after == 7

    async def test_failed_test_of_a_json_patch_is_a_conflict(self) -> None:
        async with talking(refuses(422, reason="Invalid", details={})) as (_, client):
            with pytest.raises(ConflictError):
                await client.json_patch(SERVICE, "shop", "web", [])

    async def test_delete_of_another_object_says_it_is_gone(self) -> None:
        async with talking(refuses(409, message="Precondition failed: UID")) as (_, client):
            with pytest.raises(GoneError):
                await client.delete(SERVICE, "shop", "web", uid="u", version="1")

    async def test_hang_is_an_outage(self) -> None:
        async with talking(hang, timeouts=IMPATIENT) as (_, client):
            with pytest.raises(UnavailableError, match="get Service shop/web: no answer in time"):
                await client.get(SERVICE, "shop", "web")

    async def test_reset_is_an_outage(self) -> None:
        async with talking(resets) as (_, client):
            with pytest.raises(UnavailableError, match="patch Service shop/web"):
                await client.merge(SERVICE, "shop", "web", {})

    async def test_nobody_listening_is_an_outage(self) -> None:
        async with serving() as server:
            client = server.client()
        with pytest.raises(UnavailableError, match="get Service shop/web"):
            await client.get(SERVICE, "shop", "web")
        await client.close()

    @pytest.mark.parametrize("body", ["", "<html>signed out</html>", "[]", "null"])
    async def test_answer_that_is_no_object_is_an_outage(self, body: str) -> None:
        async with talking(says(body)) as (_, client):
            with pytest.raises(UnavailableError, match="the answer is no object"):
                await client.get(SERVICE, "shop", "web")

    async def test_goes_on_after_a_failure(self) -> None:
        async with talking(refuses(500), resets, says(thing("web"))) as (_, client):
            for _ in range(2):
                with pytest.raises(UnavailableError):
                    await client.merge(SERVICE, "shop", "web", {})
            assert await client.get(SERVICE, "shop", "web") == thing("web")

    async def test_every_answer_is_counted(self) -> None:
        told: list[tuple[str, str, str]] = []
        async with talking(says({}), refuses(404), resets, counted=lambda *it: told.append(it)) as (
            _,
            client,
        ):
            await client.get(SERVICE, "shop", "web")
            with pytest.raises(NotFoundError):
                await client.delete(INGRESS, "shop", "web", uid="u", version="1")
            with pytest.raises(UnavailableError):
                await client.merge(SERVICE, "shop", "web", {})
        assert told == [
            ("get", "Service", "200"),
            ("delete", "Ingress", "404"),
            ("patch", "Service", "none"),
        ]


class TestConnect:
    async def test_reads_host_and_namespace_of_the_context(self, tmp_path: Path) -> None:
        async with serving(says(thing("web"))) as server:
            path = kubeconfig(tmp_path, server, user={})
            client = await Client.connect(Settings(kubeconfig=path))
            assert client.namespace == "shop"
            await client.get(SERVICE, "shop", "web")
            await client.close()
        assert "Authorization" not in server.seen[0].headers

    async def test_renews_a_token_that_changes(self, tmp_path: Path) -> None:
        token = tmp_path / "token"
        token.write_text("first")
        clock = FakeClock()
        async with serving(says({}), says({})) as server:
            path = kubeconfig(tmp_path, server, user={"tokenFile": str(token)})
            client = await Client.connect(Settings(kubeconfig=path), clock=clock)
            await client.get(SERVICE, "shop", "web")
            token.write_text("second")
            await clock.advance(61)
            await client.get(SERVICE, "shop", "web")
            await client.close()
        told = [seen.headers["Authorization"] for seen in server.seen]
        assert told == ["Bearer first", "Bearer second"]

    async def test_credentials_that_fail_once_are_tried_again(self, tmp_path: Path) -> None:
        token = tmp_path / "token"
        token.write_text("first")
        clock = FakeClock()
        async with serving(says({})) as server:
            path = kubeconfig(tmp_path, server, user={"tokenFile": str(token)})
            client = await Client.connect(Settings(kubeconfig=path), clock=clock)
            token.unlink()
            await clock.advance(61)
            token.write_text("second")
            await clock.advance(61)
            await client.get(SERVICE, "shop", "web")
            await client.close()
        assert server.seen[0].headers["Authorization"] == "Bearer second"

    async def test_missing_file_is_a_usage_error(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match=r"--kubeconfig .*nowhere: there is no such file"):
            await Client.connect(Settings(kubeconfig=str(tmp_path / "nowhere")))

    async def test_unknown_context_is_a_usage_error(self, tmp_path: Path) -> None:
        path = kubeconfig(tmp_path, Server(), user={})
        with pytest.raises(UsageError, match="elsewhere"):
            await Client.connect(Settings(kubeconfig=path, context="elsewhere"))


class TestEnvironment:
    async def test_the_proxy_that_the_environment_names_is_asked(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with serving(says(thing("web"))) as server:
            monkeypatch.setenv("http_proxy", server.url)
            monkeypatch.setenv("no_proxy", "")
            client = Client(Configuration(host="http://api.example"))
            assert await client.get(SERVICE, "shop", "web") == thing("web")
            await client.close()
        assert server.seen[0].headers["Host"] == "api.example"

    async def test_no_proxy_is_asked_for_an_address_that_the_environment_excepts(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        async with talking(says(thing("web"))) as (_, client):
            assert await client.get(SERVICE, "shop", "web") == thing("web")

    async def test_a_netrc_entry_for_the_server_does_not_take_the_place_of_the_token(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        netrc = tmp_path / "netrc"
        netrc.write_text("machine 127.0.0.1 login somebody password secret")
        monkeypatch.setenv("NETRC", str(netrc))
        async with serving(says(thing("web"))) as server:
            path = kubeconfig(tmp_path, server, user={"token": "ours"})
            client = await Client.connect(Settings(kubeconfig=path))
            await client.get(SERVICE, "shop", "web")
            await client.close()
        assert server.seen[0].headers["Authorization"] == "Bearer ours"


def kubeconfig(directory: Path, server: Server, user: dict[str, Any]) -> str:
    path = directory / "config"
    context = {"cluster": "here", "user": "me", "namespace": "shop"}
    content = {
        "current-context": "here",
        "contexts": [{"name": "here", "context": context}],
        "clusters": [{"name": "here", "cluster": {"server": server.url}}],
        "users": [{"name": "me", "user": user}],
    }
    path.write_text(json.dumps(content))
    return str(path)


class TestServerTime:
    async def test_is_the_local_time_before_the_first_answer(self) -> None:
        async with talking(clock=FakeClock()) as (_, client):
            assert client.server_time() == START

    async def test_is_the_servers_date_and_the_time_since(self) -> None:
        clock = FakeClock()
        answer = says({}, headers={"Date": "Thu, 01 Jan 2026 00:00:00 GMT"})
        async with talking(answer, clock=clock) as (_, client):
            await client.get(SERVICE, "shop", "web")
            clock.time += 90
            assert client.server_time().isoformat() == "2026-01-01T00:01:30+00:00"

    def test_never_goes_back(self) -> None:
        clock = FakeClock()
        times = ServerTime(clock)
        times.learn("Thu, 01 Jan 2026 00:00:10 GMT")
        clock.time += 0.7
        times.learn("Thu, 01 Jan 2026 00:00:10 GMT")
        assert times.now().isoformat() == "2026-01-01T00:00:10.700000+00:00"
        times.learn("Thu, 01 Jan 2026 00:00:11 GMT")
        assert times.now().isoformat() == "2026-01-01T00:00:11+00:00"
        times.learn("Wed, 31 Dec 2025 23:00:00 GMT")
        assert times.now().isoformat() == "2026-01-01T00:00:11+00:00"

    @pytest.mark.parametrize("header", [None, "", "yesterday", "Thu, 99 Jan 2026 00:00:00 GMT"])
    def test_ignores_what_is_no_date(self, header: str | None) -> None:
        times = ServerTime(FakeClock())
        times.learn(header)
        assert times.now() == START


class TestBucket:
    async def test_lets_a_burst_pass_and_then_keeps_the_rate(self) -> None:
        clock = HastyClock()
        bucket = Bucket(10, clock)
        for _ in range(20):
            await bucket.take()
        assert clock.slept == []
        for _ in range(30):
            await bucket.take()
        assert clock.time - 1000 == pytest.approx(3, rel=0.02)

    async def test_write_passes_where_reads_wait(self) -> None:
        clock = FakeClock()
        async with talking(*[says({})] * 16, qps=10, clock=clock, timeouts=Timeouts()) as (
            server,
            client,
        ):
            for _ in range(15):
                await client.get(SERVICE, "shop", "web")
            reading = client.get(SERVICE, "shop", "late")
            told = client.create(EVENT, thing("told"))
            waiting = [asyncio.create_task(reading), asyncio.create_task(told)]
            await settle()
            await client.merge(SERVICE, "shop", "urgent", {})
            assert server.seen[-1].path.endswith("/urgent")
            assert len(server.seen) == 16
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
