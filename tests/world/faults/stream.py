"""One open watch as the client reads it: lines that come late, twice, merged, or never."""

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import aiohttp

from e2e.bed.apiserver.encoding import dumps
from e2e.bed.apiserver.history import Watch, WatchEvent

if TYPE_CHECKING:
    from tests.world.faults.farend import Session
    from tests.world.faults.plan import Fault

WATCH_SECONDS = 0.02
"""From a change to its event."""
BOOKMARK_SECONDS = 60.0
GONE = {
    "kind": "Status",
    "apiVersion": "v1",
    "status": "Failure",
    "reason": "Expired",
    "code": 410,
    "message": "too old resource version",
}


class Stream:
    """The body of a watch's answer.

    Args:
        watch: where events gather.
        session: whose connection it is.
        seconds: after how long the server ends it.
        silence: after how long without a byte the client gives it up.
    """

    def __init__(self, *, watch: Watch, session: "Session", seconds: float, silence: float) -> None:
        self._watch = watch
        self._session = session
        self._loop = asyncio.get_running_loop()
        self._silence = silence
        self._lines: list[bytes] = []
        self._held: list[WatchEvent] = []
        self._held_until = 0.0
        self._merges = False
        self._is_mute = False
        self._is_over = False
        self._error: Exception | None = None
        self._woken = asyncio.Event()
        self._version = 0
        self._ending = self._loop.call_later(seconds, self.end)
        self._marking = self._loop.call_later(BOOKMARK_SECONDS, self._remind)
        self._coming: asyncio.TimerHandle | None = None
        watch.wake = self._expect
        if watch.events:
            self._expect()

    @property
    def kind(self) -> str:
        """The plural of what is watched."""
        return self._watch.kind.plural

    def close(self) -> None:
        """Leave the store alone from now on."""
        self._session.far.store.close(self._watch)
        self._session.streams.pop(self, None)
        for timer in (self._ending, self._marking, self._coming):
            if timer is not None:
                timer.cancel()
        self._is_over = True
        self._woken.set()

    def end(self) -> None:
        """End it as a server does, after what was sent."""
        if not self._is_mute:
            self._is_over = True
            self._woken.set()

    async def iter_any(self) -> AsyncIterator[bytes]:
        """Yield what has come, as it comes."""
        heard = self._loop.time()
        while True:
            if (left := self._session.frozen_until - self._loop.time()) > 0:
                await asyncio.sleep(left)
            if self._lines:
                chunk, self._lines = b"".join(self._lines), []
                heard = self._loop.time()
                yield chunk
                continue
            if self._error is not None:
                raise self._error
            if self._is_over:
                return
            self._woken.clear()
            try:
                async with asyncio.timeout(max(0.0, heard + self._silence - self._loop.time())):
                    await self._woken.wait()
            except TimeoutError as error:
                raise aiohttp.SocketTimeoutError("silent for too long") from error

    # From the store to the line.

    def _expect(self) -> None:
        if self._coming is None:
            wait = max(WATCH_SECONDS, self._held_until - self._loop.time())
            self._coming = self._loop.call_later(wait, self._arrive)

    def _arrive(self) -> None:
        self._coming = None
        if self._is_mute or self._is_over:
            return
        events = self._watch.take()
        if self._merges:
            events, self._merges = _merged(events), False
        for number, event in enumerate(events):
            fault = self._fault()
            if fault is None or fault.do == "duplicate":
                for _ in range(1 if fault is None else 2):
                    self._send(event)
                continue
            # What comes after it stays behind it: versions of one object are never reordered.
            self._watch.events.extendleft(reversed(events[number + 1 :]))
            self._befall(fault, event)
            if self._held_until > self._loop.time():
                self._expect()
            return

    def _fault(self) -> "Fault | None":
        far = self._session.far
        if far.adversary is None:
            return None
        key = ("event", self.kind, "")
        far.seen[key] += 1
        return far.adversary.told(self._session, self.kind, far.seen[key])

    def _befall(self, fault: "Fault", event: WatchEvent) -> None:
        """Let something happen to an event, after which the next do not come now."""
        effect = {
            "delay": self._hold_back,
            "coalesce": self._hold_back,
            "end": self._end_after,
            "half-open": self._fall_silent,
            "gone-event": self._say_gone,
            "gone-status": self._answer_gone,
            "truncate": self._cut_off,
            "stale-list": self._forget,
        }[fault.do]
        effect(fault, event)

    def _hold_back(self, fault: "Fault", event: WatchEvent) -> None:
        self._watch.events.appendleft(event)
        self._held_until = self._loop.time() + fault.seconds
        self._merges = fault.do == "coalesce"

    def _end_after(self, _: "Fault", event: WatchEvent) -> None:
        self._send(event)
        self.end()

    def _fall_silent(self, _: "Fault", __: WatchEvent) -> None:
        self._is_mute = True

    def _compact(self) -> None:
        """Forget what was: from here on only a list tells, however often a watch is tried."""
        far = self._session.far
        far.compacted[self.kind] = far.store.version

    def _say_gone(self, _: "Fault", __: WatchEvent) -> None:
        self._compact()
        self._lines.append(dumps({"type": "ERROR", "object": GONE}) + b"\n")
        self.end()

    def _answer_gone(self, _: "Fault", __: WatchEvent) -> None:
        self._compact()
        self.end()

    def _cut_off(self, _: "Fault", event: WatchEvent) -> None:
        line = self._session.far.encoder.event(self._watch.kind, *event)
        self._lines.append(line[: len(line) // 2])
        self._error = aiohttp.ClientPayloadError("the answer was cut off")
        self._woken.set()

    def _forget(self, fault: "Fault", _: WatchEvent) -> None:
        self._session.far.stale[self.kind] = fault.seconds
        self._session.far.gone.add(self.kind)
        self.end()

    def _send(self, event: WatchEvent) -> None:
        self._lines.append(self._session.far.encoder.event(self._watch.kind, *event))
        self._version = max(self._version, int(event[1]["metadata"]["resourceVersion"]))
        self._woken.set()

    def _remind(self) -> None:
        """Send a bookmark now and then; it never runs ahead of an event that waits."""
        if not (self._watch.events or self._is_mute or self._is_over):
            kind = self._watch.kind
            meta = {"resourceVersion": str(self._session.far.store.version)}
            mark: Any = {"kind": kind.kind, "apiVersion": kind.api_version, "metadata": meta}
            if self._version:
                self._lines.append(dumps({"type": "BOOKMARK", "object": mark}) + b"\n")
                self._woken.set()
        self._marking = self._loop.call_later(BOOKMARK_SECONDS, self._remind)


def _merged(events: list[WatchEvent]) -> list[WatchEvent]:
    """Keep the last event of every object; one that came and went was never there."""
    kept: dict[str, WatchEvent] = {}
    for kind, obj in events:
        uid = obj["metadata"]["uid"]
        first = kept.pop(uid, None)
        is_new = first is not None and first[0] == "ADDED"
        if kind == "DELETED" and is_new:
            continue
        kept[uid] = ("ADDED", obj) if is_new else (kind, obj)
    return list(kept.values())
