"""The far end of the controller's HTTP client: an API server over a store that may misbehave.

It stands where the client's connection pool does, so that everything of the controller runs as it
does in a cluster. Every request passes here one by one, which is where faults are put.
"""

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import lru_cache
from typing import Any, Protocol, Self
from urllib.parse import parse_qsl, urlsplit

import aiohttp

from controller.api import names
from e2e.bed.apiserver.calls import PATCH_TYPES, Place, place_of
from e2e.bed.apiserver.encoding import Encoder, dumps
from e2e.bed.apiserver.errors import ApiError
from e2e.bed.apiserver.kinds import Kind
from e2e.bed.apiserver.store import Store
from tests.world.client import LATENCY_SECONDS, Request
from tests.world.faults.plan import Fault
from tests.world.faults.stream import Stream

REASONS = {
    400: "BadRequest",
    403: "Forbidden",
    409: "Conflict",
    410: "Expired",
    422: "Invalid",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServiceUnavailable",
    504: "Timeout",
}
VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request, as roles and plans name it.

    Attributes:
        verb: get, list, watch, create, update, patch or delete.
        form: of a patch: json or merge.
        at: when it was sent; it may be on its way for long.
        nth: how many of the same verb, kind and name came before, plus one.
    """

    verb: str
    place: Place
    query: Mapping[str, str]
    form: str
    body: Any
    nth: int
    at: float

    @property
    def kind(self) -> str:
        """The plural."""
        return self.place.kind.plural

    @property
    def name(self) -> str:
        """Of the object; of one to be created too."""
        if self.place.name or not isinstance(self.body, dict):
            return self.place.name
        return str((self.body.get("metadata") or {}).get("name", ""))

    @property
    def is_write(self) -> bool:
        """Tell whether it wants to change something."""
        return self.verb in VERBS.values() and self.query.get("dryRun") != "All"


class Adversary(Protocol):
    """Decides what goes wrong."""

    def asked(self, session: "Session", asked: Asked, when: str) -> Fault | None:
        """Return what befalls a request `before` it is carried out, or once it is `applied`."""

    def told(self, session: "Session", kind: str, nth: int) -> Fault | None:
        """Return what befalls the nth event of a kind."""

    def befall(self, session: "Session", fault: Fault) -> Awaitable[None] | None:
        """Do to the process what a fault says; what is returned is awaited before going on."""


@dataclass(slots=True)
class Response:
    """What the client takes for aiohttp's response."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""
    content: Stream | None = None

    async def read(self) -> bytes:
        """Return the whole body."""
        return self.body

    def close(self) -> None:
        """Hang up."""
        if self.content is not None:
            self.content.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    reason: str = ""


class FarEnd:
    """One API server, with a session for every process that talks to it.

    Attributes:
        log: every write that was asked for, of any process.
        reads: (time, verb, kind, name) of every read.
        asked: (verb, kind) of every request, with the subresource behind the kind.
        is_writing: a write of the controller is being applied right now.
        current: the last write that was carried out, or is being.
        date_offset: seconds by which the server's clock is wrong.
        stale: for a kind, how old its next list is.
        gone: kinds whose next watch is answered by 410.
        compacted: for a kind, the version before which no watch begins any more.
    """

    def __init__(
        self, store: Store, *, now: Callable[[], float], elapsed: Callable[[], float]
    ) -> None:
        self.store = store
        self.now = now
        self.elapsed = elapsed
        self.log: list[Request] = []
        self.reads: list[tuple[float, str, str, str]] = []
        self.is_writing = False
        self.date_offset = 0.0
        self.encoder = Encoder()
        self.adversary: Adversary | None = None
        self.current: Asked | None = None
        self.seen: Counter[tuple[str, str, str]] = Counter()
        self.asked: set[tuple[str, str]] = set()
        self.history: list[tuple[float, str, Any, Any]] = []
        self.stale: dict[str, float] = {}
        self.gone: set[str] = set()
        self.compacted: dict[str, int] = {}
        store.subscribe(self._remember)

    def session(self, identity: str) -> "Session":
        """Return the connections of a new process."""
        return Session(self, identity)

    def _remember(self, _event: str, kind: str, new: Any, old: Any) -> None:
        if kind not in {"pods", "events"}:
            self.history.append((self.elapsed(), kind, new, old))

    def as_of(self, kind: Kind, ago: float) -> tuple[list[Any], int]:
        """Return the objects of a kind as they were, and the version of that moment."""
        then = self.elapsed() - ago
        found = {_key(obj): obj for obj in self.store.list(kind)}
        oldest = self.store.version
        for at, plural, new, old in reversed(self.history):
            if at <= then:
                break
            oldest = min(oldest, int((new or old)["metadata"]["resourceVersion"]) - 1)
            if plural == kind.plural:
                found.pop(_key(new or old), None)
                if old is not None:
                    found[_key(old)] = old
        return [found[key] for key in sorted(found)], oldest


def _key(obj: Any) -> tuple[str, str]:
    meta = obj["metadata"]
    return str(meta.get("namespace", "")), str(meta["name"])


@dataclass(slots=True)
class Session:
    """The connections of one process: what its client takes for aiohttp's session.

    Attributes:
        is_dead: the process is gone; nothing it sends arrives any more.
        frozen_until: it is stopped, and takes in nothing, until then.
        streams: its open watches, in order: a replay has to come upon them as the run did.
    """

    far: FarEnd
    identity: str
    is_dead: bool = False
    frozen_until: float = 0.0
    streams: dict[Stream, None] = field(default_factory=dict)

    async def close(self) -> None:
        """End everything."""
        self.is_dead = True
        for stream in tuple(self.streams):
            stream.close()

    async def request(
        self,
        *,
        method: str,
        url: str,
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109  # aiohttp's own word
        headers: Mapping[str, str],
        data: Any = None,
        **_: object,
    ) -> Response:
        """Answer a request as the API server does, unless the adversary has it otherwise."""
        asked = self._asked(method, url, headers, data)
        self._note_read(asked)
        await self._alive()
        await asyncio.sleep(LATENCY_SECONDS)
        await self._alive()
        far = self.far
        fault = far.adversary.asked(self, asked, "before") if far.adversary else None
        if fault is not None:
            return await self._misled(asked, fault, timeout)
        return await self._served(asked, timeout)

    async def _served(self, asked: Asked, timeout: aiohttp.ClientTimeout) -> Response:  # noqa: ASYNC109
        response = self._carried_out(asked, timeout)
        far = self.far
        if asked.is_write and far.adversary is not None:
            fault = far.adversary.asked(self, asked, "applied")
            if fault is not None:
                response = await self._answered(fault, response, timeout)
        await asyncio.sleep(LATENCY_SECONDS)
        await self._alive()
        if asked.is_write and far.adversary is not None:
            fault = far.adversary.asked(self, asked, "after")
            if fault is not None:
                await self._befallen(fault)
        return response

    async def _misled(self, asked: Asked, fault: Fault, timeout: aiohttp.ClientTimeout) -> Response:  # noqa: ASYNC109
        """Carry out what a fault says in place of a request."""
        match fault.do:
            case "answer":
                return self._refusal(int(fault.value))
            case "reset":
                raise aiohttp.ClientConnectionResetError("connection reset by peer")
            case "hang":
                await asyncio.sleep(min(fault.seconds, timeout.total or fault.seconds))
                raise TimeoutError
            case "slow":
                return await self._slow(asked, fault.seconds, timeout)
            case _:
                await self._befallen(fault)
                return await self._served(asked, timeout)

    async def _slow(self, asked: Asked, seconds: float, timeout: aiohttp.ClientTimeout) -> Response:  # noqa: ASYNC109
        """Carry it out late, even if the client has given up long before."""
        limit = timeout.total or seconds + 1
        if seconds < limit:
            await asyncio.sleep(seconds)
            return await self._served(asked, timeout)
        loop = asyncio.get_running_loop()
        loop.call_later(seconds, self._carried_out, asked, timeout)
        await asyncio.sleep(limit)
        raise TimeoutError

    async def _answered(
        self,
        fault: Fault,
        response: Response,
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109
    ) -> Response:
        """Let the answer of an applied write be lost, or be another."""
        match fault.do:
            case "answer":
                return self._refusal(int(fault.value))
            case "reset":
                raise aiohttp.ClientConnectionResetError("connection reset by peer")
            case "hang":
                await asyncio.sleep(min(fault.seconds, timeout.total or fault.seconds))
                raise TimeoutError
            case _:
                await self._befallen(fault)
                return response

    async def _befallen(self, fault: Fault) -> None:
        adversary = self.far.adversary
        waiting = adversary.befall(self, fault) if adversary is not None else None
        if waiting is not None:
            await waiting
        await self._alive()

    async def _alive(self) -> None:
        """Wait while the process is frozen, for ever if it is dead."""
        if self.is_dead:
            raise aiohttp.ClientConnectionError("this process has ended")
        while (left := self.frozen_until - self.far.elapsed()) > 0:  # noqa: ASYNC110  # it may be frozen anew
            await asyncio.sleep(left)

    # What a request means.

    def _asked(self, method: str, url: str, headers: Mapping[str, str], data: Any) -> Asked:
        parts = urlsplit(url)
        query = dict(parse_qsl(parts.query))
        place = place_of(self.far.store.kinds, parts.path)
        body = json.loads(data) if data else None
        verb = VERBS.get(method) or _reading(place, query)
        form = PATCH_TYPES.get(headers.get("Content-Type", ""), "") if verb == "patch" else ""
        at = self.far.elapsed()
        asked = Asked(verb=verb, place=place, query=query, form=form, body=body, nth=0, at=at)
        key = (verb, asked.kind, asked.name)
        self.far.seen[key] += 1
        part = f"/{place.subresource}" if place.subresource else ""
        self.far.asked.add((verb, asked.kind + part))
        return replace(asked, nth=self.far.seen[key])

    def _note_read(self, asked: Asked) -> None:
        if not asked.is_write:
            entry = (self.far.elapsed(), asked.verb, asked.kind, asked.name)
            self.far.reads.append(entry)

    def _carried_out(self, asked: Asked, timeout: aiohttp.ClientTimeout) -> Response:
        try:
            if asked.verb == "watch":
                return self._watched(asked, timeout)
            body = self._listed(asked) if asked.verb == "list" else self._object(asked)
        except ApiError as error:
            return self._response(error.code, dumps(error.body()), error.headers)
        return self._response(201 if asked.verb == "create" else 200, body)

    def _object(self, asked: Asked) -> bytes:
        place, store = asked.place, self.far.store
        if asked.verb == "get":
            return self.far.encoder.whole(
                place.kind, store.get(place.kind, place.namespace, place.name)
            )
        if not asked.is_write:
            return self.far.encoder.whole(place.kind, self._written(asked))  # a dry run
        error: ApiError | None = None
        self.far.is_writing = True
        self.far.current = asked
        try:
            return self.far.encoder.whole(place.kind, self._written(asked))
        except ApiError as refused:
            error = refused
            raise
        finally:
            self.far.is_writing = False
            self._log(asked, error)

    def _written(self, asked: Asked) -> Any:
        place, store = asked.place, self.far.store
        how: Any = {
            "manager": asked.query.get("fieldManager", ""),
            "dry_run": asked.query.get("dryRun") == "All",
        }
        where = (place.kind, place.namespace or None)
        match asked.verb:
            case "create":
                return store.create(*where, asked.body, **how)
            case "update":
                return store.update(*where, place.name, asked.body, **how)
            case "patch":
                how["subresource"] = place.subresource
                return store.patch(*where, place.name, asked.form, asked.body, **how)
            case _:
                options = asked.body or {}
                conditions = options.get("preconditions") or {}
                uid, version = conditions.get("uid"), conditions.get("resourceVersion")
                return store.delete(*where, place.name, uid=uid, resource_version=version)

    def _log(self, asked: Asked, error: ApiError | None) -> None:
        verb = {"json": "json_patch", "merge": "merge"}.get(asked.form, asked.verb)
        self.far.log.append(
            Request(
                at=self.far.elapsed(),
                verb=verb,
                kind=asked.place.kind.kind,
                name=asked.name,
                what=asked.body,
                error=error,
            )
        )

    def _listed(self, asked: Asked) -> bytes:
        """List, what a watch goes on from maybe as it was: a quorum read of one release never is.

        Only EndpointSlices are read so by lists, those of one Service.
        """
        place, store = asked.place, self.far.store
        selector = asked.query.get("labelSelector", "")
        is_quorum_read = names.SERVICE_NAME in selector
        ago = 0.0 if is_quorum_read else self.far.stale.pop(place.kind.plural, 0.0)
        if ago:
            found, version = self.far.as_of(place.kind, ago)
        else:
            found = store.list(place.kind, place.namespace or None, selector)
            version = store.version
        return self.far.encoder.list(place.kind, found, {"resourceVersion": str(version)})

    def _watched(self, asked: Asked, timeout: aiohttp.ClientTimeout) -> Response:
        place, store = asked.place, self.far.store
        plural = place.kind.plural
        if plural in self.far.gone:
            self.far.gone.discard(plural)
            return self._refusal(410)
        since = int(asked.query["resourceVersion"])
        if since < self.far.compacted.get(plural, 0):
            return self._refusal(410)
        watch = store.watch(
            place.kind,
            place.namespace or None,
            asked.query.get("labelSelector", ""),
            since=since,
        )
        stream = Stream(
            watch=watch,
            session=self,
            seconds=float(asked.query["timeoutSeconds"]),
            silence=timeout.sock_read or 300.0,
        )
        self.streams[stream] = None
        return Response(status=200, headers=self._headers({}), content=stream)

    # Answers.

    def _refusal(self, code: int) -> Response:
        headers = {"Retry-After": "2"} if code == 429 else {}
        details: dict[str, Any] | None = None
        if code == 422:
            cause = {
                "field": "metadata.annotations",
                "message": "no",
                "reason": "FieldValueInvalid",
            }
            details = {"causes": [cause]}
        error = ApiError(code, REASONS.get(code, ""), "this answer was planned", details)
        return self._response(code, dumps(error.body()), headers)

    def _response(
        self, status: int, body: bytes, headers: Mapping[str, str] | None = None
    ) -> Response:
        return Response(status=status, headers=self._headers(headers or {}), body=body)

    def _headers(self, more: Mapping[str, str]) -> dict[str, str]:
        return {"Date": _date(int(self.far.now() + self.far.date_offset)), **more}


@lru_cache(maxsize=16)
def _date(seconds: int) -> str:
    return format_datetime(datetime.fromtimestamp(seconds, UTC), usegmt=True)


def _reading(place: Place, query: Mapping[str, str]) -> str:
    if place.name:
        return "get"
    return "watch" if query.get("watch") == "true" else "list"


def allowed(asked: Sequence[tuple[str, str]], rules: Mapping[str, frozenset[str]]) -> list[str]:
    """Return every (verb, kind) that is not among the rules."""
    return sorted({f"{verb} {kind}" for verb, kind in asked if verb not in rules.get(kind, ())})
