"""Watches over HTTP: one line for each event, bookmarks in between, until the time is up."""

import asyncio
import random
import time
from collections.abc import Iterable
from typing import Any

from aiohttp import web

from e2e.bed.apiserver.calls import Call
from e2e.bed.apiserver.encoding import Encoder, dumps
from e2e.bed.apiserver.errors import ApiError, expired, no_version
from e2e.bed.apiserver.history import Watch
from e2e.bed.apiserver.lists import forbidden_option
from e2e.bed.apiserver.store import Store
from e2e.bed.apiserver.tables import partial_metadata, table_of
from e2e.bed.apiserver.trees import JsonObject

INITIAL_EVENTS_END = "k8s.io/initial-events-end"
_SHORTEST_SECONDS = 1800.0


class Streams:
    """Answers watch requests.

    Args:
        store: The objects.
        encoder: Turns them into bytes.
        bookmark_seconds: How long a watch is silent before a bookmark.
    """

    def __init__(self, store: Store, encoder: Encoder, bookmark_seconds: float) -> None:
        self._store = store
        self._encoder = encoder
        self._bookmark_seconds = bookmark_seconds
        self._open: dict[asyncio.Task[Any], asyncio.Event] = {}

    @property
    def open(self) -> int:
        """How many watches are open."""
        return len(self._open)

    async def serve(self, request: web.BaseRequest, call: Call) -> web.StreamResponse:
        """Stream the events a client asked for.

        Raises:
            ApiError: 422 or 500, before the stream begins.
        """
        initial = call.flag("sendInitialEvents")
        since = self._since(call, initial=initial)
        fields = call.query.get("fieldSelector", "")
        if call.name:
            fields = ",".join(filter(None, (fields, f"metadata.name={call.name}")))
        asked = (call.kind, call.namespace, call.query.get("labelSelector", ""), fields)
        lines = _Lines(self._store, self._encoder, call)
        response = web.StreamResponse(
            headers={"Content-Type": "application/json", "Cache-Control": "no-cache, private"}
        )
        response.enable_chunked_encoding()
        try:
            watch = self._store.watch(*asked, since=since)
        except ApiError as error:
            if error.code != 410:
                raise
            await response.prepare(request)
            await response.write(dumps({"type": "ERROR", "object": error.body()}) + b"\n")
            return response
        try:
            first = (
                [] if since is not None else [("ADDED", obj) for obj in self._store.list(*asked)]
            )
            head = [lines.event(*event) for event in first]
            if initial:
                head.append(lines.bookmark(self._store.version, {INITIAL_EVENTS_END: "true"}))
            await response.prepare(request)
            await self._pump(response, call, watch, lines, head)
        finally:
            self._store.close(watch)
        return response

    def end_all(self) -> None:
        """Cut every open watch, as a restarting server does."""
        for task in tuple(self._open):
            task.cancel()

    def _since(self, call: Call, *, initial: bool) -> int | None:
        version = call.query.get("resourceVersion", "")
        match = call.query.get("resourceVersionMatch", "")
        if initial and match != "NotOlderThan":
            raise forbidden_option(
                "resourceVersionMatch",
                "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
            )
        if match and not initial:
            raise forbidden_option(
                "resourceVersionMatch",
                "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
            )
        if version and not version.isdigit():
            raise no_version(version)
        return None if initial or not int(version or 0) else int(version)

    async def _pump(
        self,
        response: web.StreamResponse,
        call: Call,
        watch: Watch,
        lines: "_Lines",
        head: Iterable[bytes],
    ) -> None:
        seconds = float(
            call.query.get("timeoutSeconds") or _SHORTEST_SECONDS * random.uniform(1, 2)
        )
        end = time.monotonic() + seconds
        woken = asyncio.Event()
        watch.wake = woken.set
        task = asyncio.current_task()
        assert task is not None
        self._open[task] = woken
        try:
            await response.write(b"".join(head) or b"")
            while not watch.overrun and (left := end - time.monotonic()) > 0:
                if events := watch.take():
                    await response.write(b"".join(lines.event(*event) for event in events))
                    continue
                woken.clear()
                try:
                    async with asyncio.timeout(min(left, self._bookmark_seconds)):
                        await woken.wait()
                except TimeoutError:
                    if call.flag("allowWatchBookmarks"):
                        await response.write(lines.bookmark(self._store.version, {}))
            if watch.overrun:
                gone = expired("the watch fell too far behind").body()
                await response.write(dumps({"type": "ERROR", "object": gone}) + b"\n")
            await response.write_eof()
        except ConnectionResetError:
            return
        finally:
            self._open.pop(task, None)


class _Lines:
    """The lines of one watch, in the form its client asked for."""

    def __init__(self, store: Store, encoder: Encoder, call: Call) -> None:
        self._store = store
        self._encoder = encoder
        self._call = call
        self._told_columns = False

    def event(self, event_type: str, obj: JsonObject) -> bytes:
        """Return the line of an event."""
        form = self._call.wanted_form
        if not form:
            return self._encoder.event(self._call.kind, event_type, obj)
        shown = self._table(obj) if form == "Table" else partial_metadata(obj)
        return dumps({"type": event_type, "object": shown}) + b"\n"

    def bookmark(self, version: int, annotations: JsonObject) -> bytes:
        """Return a line that says only how far the watch has come."""
        meta: JsonObject = {"resourceVersion": str(version), "creationTimestamp": None}
        if annotations:
            meta["annotations"] = annotations
        kind = self._call.kind
        mark: JsonObject = {"kind": kind.kind, "apiVersion": kind.api_version, "metadata": meta}
        form = self._call.wanted_form
        if form == "Table":
            mark = {**table_of(kind, [], 0.0), "metadata": meta, "columnDefinitions": []}
        elif form:
            mark = partial_metadata(mark)
        return dumps({"type": "BOOKMARK", "object": mark}) + b"\n"

    def _table(self, obj: JsonObject) -> JsonObject:
        whole = self._call.query.get("includeObject") == "Object"
        table = table_of(self._call.kind, [obj], self._store.now(), whole=whole)
        table["metadata"] = {"resourceVersion": obj["metadata"]["resourceVersion"]}
        if self._told_columns:
            table["columnDefinitions"] = None
        self._told_columns = True
        return table
