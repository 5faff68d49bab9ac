"""The pods of a real API server, as its one kubelet sees and changes them."""

import asyncio
import json
import logging
from collections.abc import Callable, Mapping
from typing import Any

import aiohttp

from e2e.bed.kubelet import NODE
from e2e.bed.workloads.cluster import Object

MERGE = "application/merge-patch+json"
LONGEST_LINE = 1 << 22
TRIES = 8
AGAIN_SECONDS = 0.25

LOG = logging.getLogger(__name__)

Notice = Callable[[Object, bool], None]
"""Told of each change of a pod, and whether it is gone."""


class ServerPods:
    """Follows all pods, and writes their status in the order in which it was told."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        """Take a session whose base is the server, with credentials."""
        self._session = session
        self._seen: dict[tuple[str, str], Object] = {}
        self._last: dict[str, asyncio.Task[None]] = {}

    def get(self, namespace: str, name: str) -> Object | None:
        """Answer a pod as it was last seen, or `None`."""
        return self._seen.get((namespace, name))

    async def bind(self, pod: Object, node: str) -> None:
        """Give the pod its node."""
        target = {"kind": "Node", "name": node}
        body = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": pod["metadata"]["name"], "uid": pod["metadata"]["uid"]},
            "target": target,
        }
        await self._send("POST", f"{_path(pod)}/binding", body)

    async def write_status(self, pod: Object, status: Mapping[str, Any]) -> None:
        """Write the pod's status, after what was to be written before; a cancelled write is done.

        Otherwise a write that was overtaken could bring an older state back.
        """
        uid = pod["metadata"]["uid"]
        task = asyncio.create_task(self._write(pod, status, self._last.get(uid)))
        self._last[uid] = task
        await asyncio.shield(task)

    async def remove(self, pod: Object) -> None:
        """Delete the pod without grace."""
        uid = pod["metadata"]["uid"]
        self._last.pop(uid, None)
        body = {"gracePeriodSeconds": 0, "preconditions": {"uid": uid}}
        await self._send("DELETE", _path(pod), body)

    async def follow(self, notice: Notice) -> None:
        """Tell of every pod there is and of every change, until cancelled."""
        while True:
            try:
                version = await self._list(notice)
                await self._watch(version, notice)
            except (aiohttp.ClientError, TimeoutError) as error:
                LOG.warning("pods are listed again: %r", error)
                await asyncio.sleep(AGAIN_SECONDS)

    async def announce(self) -> None:
        """Make the node, so that pods bound to it are not collected."""
        await self._send("POST", "/api/v1/nodes", {"metadata": {"name": NODE}})
        ready = {"type": "Ready", "status": "True", "reason": "Bed", "message": "the kubelet runs"}
        room = {"cpu": "64", "memory": "256Gi", "pods": "5000"}
        status = {"conditions": [ready], "capacity": room, "allocatable": room}
        await self._send("PATCH", f"/api/v1/nodes/{NODE}/status", {"status": status})

    async def _list(self, notice: Notice) -> str:
        async with self._session.get("/api/v1/pods") as answer:
            answer.raise_for_status()
            found = await answer.json()
        present = {pod["metadata"]["uid"] for pod in found["items"]}
        for pod in list(self._seen.values()):
            if pod["metadata"]["uid"] not in present:
                self._lose(pod, notice)
        for pod in found["items"]:
            self._see(pod)
            notice(pod, False)  # noqa: FBT003 - whether it is gone
        return str(found["metadata"]["resourceVersion"])

    async def _watch(self, version: str, notice: Notice) -> None:
        params = {"watch": "1", "resourceVersion": version, "allowWatchBookmarks": "true"}
        async with self._session.get(
            "/api/v1/pods", params=params, read_bufsize=LONGEST_LINE
        ) as answer:
            answer.raise_for_status()
            async for line in answer.content:
                event = json.loads(line)
                if event["type"] == "ERROR":
                    return
                if event["type"] == "DELETED":
                    self._lose(event["object"], notice)
                elif event["type"] != "BOOKMARK":
                    self._see(event["object"])
                    notice(event["object"], False)  # noqa: FBT003 - whether it is gone

    def _see(self, pod: Object) -> None:
        """Keep a pod unless a newer version of it is known; versions of one server rise."""
        key = _key(pod)
        known = self._seen.get(key)
        if known is None or _version(known) <= _version(pod):
            self._seen[key] = pod

    def _lose(self, pod: Object, notice: Notice) -> None:
        known = self._seen.get(_key(pod))
        if known is not None and known["metadata"]["uid"] == pod["metadata"]["uid"]:
            del self._seen[_key(pod)]
        self._last.pop(pod["metadata"]["uid"], None)
        notice(pod, True)  # noqa: FBT003 - whether it is gone

    async def _write(
        self, pod: Object, status: Mapping[str, Any], before: asyncio.Task[None] | None
    ) -> None:
        if before is not None:
            await asyncio.wait({before})
        body = {"metadata": {"uid": pod["metadata"]["uid"]}, "status": status}
        written = await self._send("PATCH", f"{_path(pod)}/status", body)
        if written is not None and _key(pod) in self._seen:
            self._see(written)

    async def _send(self, method: str, path: str, body: Object) -> Object | None:
        """Send a write, again where the server was not there; answers what it answered.

        `None` where it refused: of a pod that is another now, or gone, that is as it should be.
        """
        headers = {"Content-Type": MERGE if method == "PATCH" else "application/json"}
        data = json.dumps(body)
        for _ in range(TRIES):
            try:
                async with self._session.request(
                    method, path, data=data, headers=headers
                ) as answer:
                    if answer.ok:
                        found: Object = await answer.json()
                        return found
                    if answer.status not in {429, 500, 503, 504}:
                        gone = answer.status in {404, 409}
                        level = logging.DEBUG if gone else logging.WARNING
                        LOG.log(level, "%s %s: %s", method, path, await answer.text())
                        return None
            except aiohttp.ClientError as error:
                LOG.warning("%s %s: %r", method, path, error)
            await asyncio.sleep(AGAIN_SECONDS)
        LOG.error("%s %s was given up", method, path)
        return None


def _key(pod: Object) -> tuple[str, str]:
    return pod["metadata"]["namespace"], pod["metadata"]["name"]


def _path(pod: Object) -> str:
    namespace, name = _key(pod)
    return f"/api/v1/namespaces/{namespace}/pods/{name}"


def _version(pod: Object) -> int:
    return int(pod["metadata"]["resourceVersion"])
