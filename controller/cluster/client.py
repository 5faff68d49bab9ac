"""The API server as a few verbs on dicts; the only module that imports `kubernetes`."""

import asyncio
import contextlib
import copy
import json
import os
import re
import urllib.request
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import urlsplit

import aiohttp
import jsonpatch
import structlog
from kubernetes.aio import config as kubernetes_config
from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.config.kube_config import KubeConfigLoader, KubeConfigMerger

import controller
from controller.api import names, objects
from controller.api.errors import ClusterError, RejectedError, UnavailableError
from controller.api.objects import Kind, Object
from controller.cluster import failures, pages
from controller.cluster.clock import Clock, LoopClock, finished
from controller.cluster.wire import encoded
from controller.settings import Settings, UsageError

PAGE_SIZE = 500
MERGE_PATCH = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
JSON = "application/json"
METHODS = {
    "get": "GET",
    "list": "GET",
    "watch": "GET",
    "create": "POST",
    "update": "PUT",
    "patch": "PATCH",
    "delete": "DELETE",
}
SEGMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]*")
"""What may stand between two slashes of a path: a name from an annotation must not add any."""
CREDENTIALS_SECONDS = 60.0
"""How often credentials that can expire are looked at; the library asks anew only near expiry."""
SERVICE_ACCOUNT_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")

Trim = Callable[[Object], Object]
Counted = Callable[[str, str, str], None]
"""Told of every answer: verb, kind, and the HTTP status, or `none` where no answer came."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """How long to wait for the server, in seconds.

    Attributes:
        connect: for a connection.
        answer: for the whole answer about one object.
        page: for one page of a list.
        watch_grace: a watch that is silent for so long after the server should have ended it is
            dead (a half-open connection would otherwise be for ever).
    """

    connect: float = 5
    answer: float = 10
    page: float = 60
    watch_grace: float = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who asks, where more is said than which context of the kubeconfig.

    Attributes:
        manager: the field manager of every write.
        cluster, user: names in the kubeconfig that stand in for those of the context.
        acts_as: the user to impersonate.
    """

    manager: str = names.FIELD_MANAGER
    cluster: str | None = None
    user: str | None = None
    acts_as: str | None = None


CONTROLLER: Final = Identity()


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """All objects of a list, and the version of the whole."""

    items: tuple[Object, ...]
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchEvent:
    """One line of a watch; the object of an ERROR is a Status, that of a BOOKMARK has a version."""

    kind: Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR"]
    object: Object


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is asked of the server; printed, it is the start of every message about it."""

    verb: str
    kind: Kind
    namespace: str | None
    timeout: aiohttp.ClientTimeout
    name: str = ""
    subresource: str = ""
    query: Mapping[str, str] = field(default_factory=dict)
    body: object = None
    content_type: str = JSON

    @property
    def path(self) -> str:
        """Return the URL path.

        Raises:
            RejectedError: the namespace or the name could not be one; nothing was sent.
        """
        needs_name = self.verb not in ("list", "watch", "create")
        segments = [self.name] if needs_name else []
        segments += [] if self.namespace is None else [self.namespace]
        for segment in segments:
            if SEGMENT.fullmatch(segment) is None:
                raise RejectedError(f"{self}: {segment!r} is no name of an object")
        return self.kind.path(self.namespace, self.name if needs_name else "", self.subresource)

    def __str__(self) -> str:
        where = "/".join(part for part in (self.namespace, self.name, self.subresource) if part)
        return f"{self.verb} {self.kind} {where or '(all namespaces)'}"


class Bucket:
    """A token bucket that keeps its last quarter for those who ask with floor 0.

    Reads stop where the reserve begins, so the writes of an abort never queue behind lists.
    """

    def __init__(self, rate: float, clock: Clock) -> None:
        self.rate = rate
        self.size = max(2 * rate, 1.0)
        self.reserve = self.size / 4
        self._clock = clock
        self._tokens = self.size
        self._filled = clock.monotonic()

    async def take(self, floor: float = 0.0) -> None:
        """Take a token, waiting until more than `floor` of them would be left."""
        while (missing := 1 + floor - self._level()) > 0:
            # The thousandth keeps rounding from asking for a wait of nothing.
            await self._clock.sleep(missing / self.rate + 0.001)
        self._tokens -= 1

    def _level(self) -> float:
        now = self._clock.monotonic()
        self._tokens = min(self.size, self._tokens + (now - self._filled) * self.rate)
        self._filled = now
        return self._tokens


class ServerTime:
    """What time it is at the API server, from the `Date` of its answers.

    A header is cut to the second, so each is a lower bound that grows with our monotonic clock;
    the best bound so far is the time. It never goes back and is at most a second late
    (safety.md section 3, "Persisted deadline").
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._seen: tuple[datetime, float] | None = None

    def learn(self, header: str | None) -> None:
        """Take in a `Date` header; one that is no date is ignored."""
        try:
            told = parsedate_to_datetime(header or "").astimezone(UTC)
        except ValueError:
            return
        if self._seen is None or told > self.now():
            self._seen = (told, self._clock.monotonic())

    def now(self) -> datetime:
        """Return the time; the local clock's before the first answer."""
        if self._seen is None:
            return self._clock.now()
        told, at = self._seen
        return told + timedelta(seconds=self._clock.monotonic() - at)


def _ignore(_verb: str, _kind: str, _code: str) -> None:
    return


class Client:
    """A few verbs on dicts. Every one of them raises only the classes of `api.errors`.

    Attributes:
        namespace: the namespace of the kubeconfig's context, or of our own pod.
    """

    def __init__(
        self,
        configuration: Configuration,
        *,
        namespace: str = "default",
        qps: float = 50,
        timeouts: Timeouts | None = None,
        clock: Clock | None = None,
        counted: Counted = _ignore,
        identity: Identity = CONTROLLER,
    ) -> None:
        """Wrap a loaded configuration; `connect` loads one. Sends nothing."""
        clock = clock or LoopClock()
        self.namespace = namespace
        self._timeouts = timeouts or Timeouts()
        self._counted = counted
        self._identity = identity
        self._bucket = Bucket(qps, clock)
        self._time = ServerTime(clock)
        self._background: list[asyncio.Task[None]] = []
        # Left to itself the session looks for a proxy and for a netrc entry in a thread of its
        # own before each request, and a netrc entry for the server would refuse our token.
        configuration.client_session_kwargs = {
            "trust_env": False,
            "middlewares": (_as_the_server_writes,),
        }
        configuration.proxy = configuration.proxy or _proxy_for(configuration.host)
        self._api = ApiClient(configuration)
        # The server takes the field manager from the agent where a request names none.
        self._api.user_agent = f"serinus/{controller.__version__}"
        if identity.acts_as is not None:
            self._api.default_headers["Impersonate-User"] = identity.acts_as

    @classmethod
    async def connect(
        cls,
        settings: Settings,
        *,
        timeouts: Timeouts | None = None,
        clock: Clock | None = None,
        counted: Counted = _ignore,
        identity: Identity = CONTROLLER,
    ) -> "Client":
        """Load the credentials and be ready to ask. The server need not be up yet.

        Raises:
            UsageError: the kubeconfig is missing, broken, or has no such context, cluster or user.
        """
        configuration = Configuration()
        loader, namespace = await _load(settings, configuration, identity)
        client = cls(
            configuration,
            namespace=namespace,
            qps=settings.qps,
            timeouts=timeouts,
            clock=clock,
            counted=counted,
            identity=identity,
        )
        if loader is not None:
            renewing = _renew(loader, configuration, clock or LoopClock())
            client._background.append(asyncio.create_task(renewing, name="credentials"))
        return client

    def writing_as(self, manager: str) -> "Client":
        """Return the same client with another field manager; closing one closes both."""
        other = copy.copy(self)
        other._identity = replace(self._identity, manager=manager)  # noqa: SLF001  # our own
        return other

    async def close(self) -> None:
        """Stop renewing credentials and close every connection."""
        await finished(*self._background)
        await self._api.close()  # type: ignore[no-untyped-call]  # the library's

    def server_time(self) -> datetime:
        """Return the time at the API server (see `ServerTime`)."""
        return self._time.now()

    async def get(self, kind: Kind, namespace: str | None, name: str) -> Object:
        """Read one object with a quorum read.

        Raises:
            NotFoundError: there is none.
        """
        return await self._ask(
            Request(
                verb="get", kind=kind, namespace=namespace, name=name, timeout=self._one_answer()
            )
        )

    async def list(
        self,
        kind: Kind,
        namespace: str | None,
        *,
        labels: str = "",
        fields: str = "",
        trim: Trim | None = None,
    ) -> Listing:
        """Read all objects, in pages; `trim` is applied to each page before the next is read.

        Args:
            kind: what to list.
            namespace: None means all.
            labels: a label selector.
            fields: a field selector.
            trim: makes an object smaller.

        Raises:
            GoneError: the list outlived the server's memory; begin anew.
        """
        query = {"limit": str(PAGE_SIZE)}
        query |= {"labelSelector": labels} if labels else {}
        query |= {"fieldSelector": fields} if fields else {}
        items: list[Object] = []
        while True:
            request = Request(
                verb="list",
                kind=kind,
                namespace=namespace,
                query=query,
                timeout=aiohttp.ClientTimeout(
                    total=self._timeouts.page, sock_connect=self._timeouts.connect
                ),
            )
            envelope, found = _page(request, await self._read(request), trim)
            items.extend(found)
            meta = objects.metadata(envelope)
            if not meta.get("continue"):
                return Listing(items=tuple(items), version=str(meta.get("resourceVersion", "")))
            query = {**query, "continue": str(meta["continue"])}

    async def watch(
        self,
        kind: Kind,
        namespace: str | None,
        *,
        version: str,
        labels: str = "",
        seconds: int = 270,
    ) -> AsyncGenerator[WatchEvent, None]:
        """Yield what happens after `version`, until the server ends the stream.

        Close it (`contextlib.aclosing`) if you leave early.

        Args:
            kind: what to watch.
            namespace: None means all.
            version: a resourceVersion from a list or an event.
            labels: a label selector.
            seconds: after how long the server is to end it.

        Raises:
            GoneError: the server answered 410. It may also say so in an ERROR event.
            UnavailableError: the stream broke, went silent, or held a line that is no event.
        """
        request = Request(
            verb="watch",
            kind=kind,
            namespace=namespace,
            query={
                "watch": "true",
                "allowWatchBookmarks": "true",
                "resourceVersion": version,
                "timeoutSeconds": str(seconds),
            }
            | ({"labelSelector": labels} if labels else {}),
            timeout=aiohttp.ClientTimeout(
                total=None,
                sock_connect=self._timeouts.connect,
                sock_read=seconds + self._timeouts.watch_grace,
            ),
        )
        with _as_unavailable(request):
            response = await self._send(request)
            try:
                async for line in _lines(response.content):
                    yield _event(request, line)
            finally:
                response.close()

    async def create(self, kind: Kind, obj: Object, *, dry_run: bool = False) -> Object:
        """Create the object.

        Raises:
            ConflictError: the name is taken.
        """
        return await self._ask(
            Request(
                verb="create",
                kind=kind,
                namespace=objects.namespace_of(obj) or None,
                name=objects.name_of(obj),
                query=self._write_query(dry_run=dry_run),
                body=dict(obj),
                timeout=self._one_answer(),
            )
        )

    async def merge(
        self,
        kind: Kind,
        namespace: str,
        name: str,
        patch: Mapping[str, Any],
        *,
        subresource: str = "",
        dry_run: bool = False,
    ) -> Object:
        """Send a merge patch.

        Put `metadata.resourceVersion` into it to raise, `metadata.uid` to lower (safety.md T6).

        Raises:
            ConflictError: the resourceVersion is an old one.
            GoneError: the uid is that of an object that is no more.
        """
        return await self._ask(
            Request(
                verb="patch",
                kind=kind,
                namespace=namespace,
                name=name,
                subresource=subresource,
                query=self._write_query(dry_run=dry_run),
                body=dict(patch),
                content_type=MERGE_PATCH,
                timeout=self._one_answer(),
            )
        )

    async def json_patch(
        self,
        kind: Kind,
        namespace: str,
        name: str,
        operations: Sequence[Mapping[str, Any]],
        *,
        subresource: str = "",
        dry_run: bool = False,
    ) -> Object:
        """Send a JSON Patch, for fields on objects that are not ours.

        Raises:
            ConflictError: a `test` did not hold, or a parent is missing: read again.
            jsonpatch.InvalidJsonPatch: the operations are none (a bug; nothing was sent).
        """
        return await self._ask(
            Request(
                verb="patch",
                kind=kind,
                namespace=namespace,
                name=name,
                subresource=subresource,
                query=self._write_query(dry_run=dry_run),
                # A list: the library sends any other body as a strategic merge, without a word.
                body=[dict(it) for it in jsonpatch.JsonPatch(operations).patch],
                content_type=JSON_PATCH,
                timeout=self._one_answer(),
            )
        )

    async def replace(self, kind: Kind, obj: Object) -> Object:
        """Replace a whole object, conditional on its resourceVersion; for the Lease only.

        Raises:
            ConflictError: the resourceVersion is an old one.
        """
        return await self._ask(
            Request(
                verb="update",
                kind=kind,
                namespace=objects.namespace_of(obj),
                name=objects.name_of(obj),
                query=self._write_query(dry_run=False),
                body=dict(obj),
                timeout=self._one_answer(),
            )
        )

    async def delete(
        self, kind: Kind, namespace: str, name: str, *, uid: str, version: str
    ) -> None:
        """Delete the object with this uid; the garbage collector takes what it owns.

        Args:
            kind: what it is.
            namespace: where it is.
            name: what it is called.
            uid: what it has to have.
            version: the resourceVersion it has to have; "" for any.

        Raises:
            GoneError: another object has the name now, or it has another version.
            NotFoundError: there is none.
        """
        conditions = {"uid": uid} | ({"resourceVersion": version} if version else {})
        await self._ask(
            Request(
                verb="delete",
                kind=kind,
                namespace=namespace,
                name=name,
                body={
                    "apiVersion": "v1",
                    "kind": "DeleteOptions",
                    "preconditions": conditions,
                    "propagationPolicy": "Background",
                },
                timeout=self._one_answer(),
            )
        )

    def _write_query(self, *, dry_run: bool) -> dict[str, str]:
        query = {"fieldManager": self._identity.manager}
        return {**query, "dryRun": "All"} if dry_run else query

    def _one_answer(self) -> aiohttp.ClientTimeout:
        return aiohttp.ClientTimeout(
            total=self._timeouts.answer, sock_connect=self._timeouts.connect
        )

    async def _ask(self, request: Request) -> Object:
        """Send a request and return the object that is the answer."""
        return _object(request, await self._read(request))

    async def _read(self, request: Request) -> bytes:
        with _as_unavailable(request):
            response = await self._send(request)
            async with response:
                return await response.read()

    async def _send(self, request: Request) -> aiohttp.ClientResponse:
        """Send a request; return the response if it is a success, else raise what it means."""
        path = request.path
        await self._bucket.take(self._floor(request))
        code = "none"
        try:
            method, url, headers, *_ = await self._api.param_serialize(
                METHODS[request.verb],
                path,
                query_params=list(request.query.items()),
                header_params={"Accept": JSON, "Content-Type": request.content_type},
                auth_settings=["BearerToken"],
            )
            answer = await self._api.call_api(
                method, url, headers, request.body, _request_timeout=request.timeout
            )
            response: aiohttp.ClientResponse = answer.response
            code = str(response.status)
        finally:
            self._counted(request.verb, str(request.kind), code)
        self._time.learn(response.headers.get("Date"))
        if not 200 <= response.status < 300:
            raise await _refused(request, response)
        return response

    def _floor(self, request: Request) -> float:
        """Keep the bucket's reserve for writes; Events are writes that nothing waits for."""
        is_urgent = request.verb not in ("get", "list", "watch") and request.kind != objects.EVENT
        return 0.0 if is_urgent else self._bucket.reserve


async def _as_the_server_writes(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Encode a JSON Patch anew before it is sent; the library has its own way."""
    body = request.body
    if request.headers.get("Content-Type") == JSON_PATCH and isinstance(body, aiohttp.Payload):
        await request.update_body(encoded(json.loads(body.decode())))
    return await handler(request)


@contextlib.contextmanager
def _as_unavailable(request: Request) -> Iterator[None]:
    """Say of every failure below HTTP that nobody knows whether the request was carried out."""
    try:
        yield
    except ClusterError:
        raise
    except TimeoutError as error:
        raise UnavailableError(f"{request}: no answer in time") from error
    except (aiohttp.ClientError, OSError, kubernetes_config.ConfigException) as error:
        raise UnavailableError(f"{request}: {type(error).__name__}: {error}") from error


async def _refused(request: Request, response: aiohttp.ClientResponse) -> ClusterError:
    async with response:
        body = await response.read()
    return failures.error_of(
        failures.Refusal(
            action=str(request),
            verb=request.verb,
            code=response.status,
            status=failures.status_of_body(body),
            retry_after=failures.seconds_of(response.headers.get("Retry-After")),
        )
    )


def _object(request: Request, body: bytes) -> Object:
    try:
        value = json.loads(body)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        start = body[:80].decode(errors="replace")
        raise UnavailableError(f"{request}: the answer is no object: {start!r}")
    return value


def _page(request: Request, body: bytes, trim: Trim | None) -> tuple[Object, Sequence[Object]]:
    """Decode a page; its items carry no kind of their own, so it is put back."""
    kind = request.kind

    def shrink(item: Any) -> Object | None:
        if not isinstance(item, dict):
            return None
        named = {"apiVersion": kind.api_version, "kind": kind.name, **item}
        return trim(named) if trim else named

    try:
        envelope, items = pages.decoded(body, shrink)
    except ValueError as error:
        raise UnavailableError(f"{request}: the answer is no list: {error}") from error
    return envelope, [item for item in items if item is not None]


async def _lines(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """Yield whole lines of any length; a last one without an end was cut off and is dropped."""
    pending = b""
    async for chunk in content.iter_any():
        *whole, pending = (pending + chunk).split(b"\n")
        for line in whole:
            if line.strip():
                yield line


def _event(request: Request, line: bytes) -> WatchEvent:
    value = _object(request, line)
    kind, obj = value.get("type"), value.get("object")
    if kind not in ("ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR"):
        raise UnavailableError(f"{request}: {kind!r} is no type of a watch event")
    return WatchEvent(kind=kind, object=obj if isinstance(obj, dict) else {})


async def _load(
    settings: Settings, configuration: Configuration, identity: Identity
) -> tuple[Any, str]:
    """Fill the configuration; return what can renew it (None in a pod) and the namespace."""
    if settings.kubeconfig is None and settings.context is None:
        with contextlib.suppress(kubernetes_config.ConfigException):
            kubernetes_config.load_incluster_config(configuration)  # type: ignore[no-untyped-call]  # the library's
            return None, _own_namespace()
    paths = settings.kubeconfig or kubernetes_config.KUBE_CONFIG_DEFAULT_LOCATION
    _require_file(paths)
    try:
        loader = _loader(paths, settings.context, identity)
        await loader.load_and_set(configuration)
    except Exception as error:  # the library raises whatever a broken file makes of its code
        raise UsageError(f"--kubeconfig {paths}: {type(error).__name__}: {error}") from error
    context = loader.current_context.get("context") or {}
    return loader, str(context.get("namespace") or "default")


def _proxy_for(address: str) -> str | None:
    """Return the proxy that the environment names for an address, as kubectl takes it."""
    parts = urlsplit(address)
    if not parts.hostname or urllib.request.proxy_bypass(parts.hostname):
        return None
    return urllib.request.getproxies().get(parts.scheme)


def _loader(paths: str, context: str | None, identity: Identity) -> Any:
    """Return what loads the credentials of a context, with other parts where the identity says."""
    merged = KubeConfigMerger(paths).config  # type: ignore[no-untyped-call]  # the library's
    name = context or merged["current-context"]
    parts = merged["contexts"].get_with_name(name)["context"]
    for section, part in (("clusters", identity.cluster), ("users", identity.user)):
        if part is not None:
            merged[section].get_with_name(part)  # raises where there is none; the library may not
            parts.value[section.removesuffix("s")] = part
    return KubeConfigLoader(  # type: ignore[no-untyped-call]  # the library's
        config_dict=merged, active_context=name, config_base_path=None
    )


def _require_file(paths: str) -> None:
    if not any(Path(path).expanduser().is_file() for path in paths.split(os.pathsep) if path):
        raise UsageError(f"--kubeconfig {paths}: there is no such file, and this is no pod")


def _own_namespace() -> str:
    try:
        return SERVICE_ACCOUNT_NAMESPACE.read_text(encoding="utf-8").strip() or "default"
    except OSError:
        return "default"


async def _renew(loader: Any, configuration: Configuration, clock: Clock) -> None:
    """Load exec, OIDC and file credentials again before they expire."""
    while True:
        await clock.sleep(CREDENTIALS_SECONDS)
        try:
            await loader.load_and_set(configuration)
        except Exception as error:  # noqa: BLE001  # a plugin may fail in any way; try again later
            log.warning("credentials were not renewed", error=str(error))
