"""The HTTP face of the store."""

import asyncio
import time
from typing import TYPE_CHECKING

from aiohttp import web

from e2e.bed.apiserver import discovery
from e2e.bed.apiserver.calls import (
    Call,
    Fault,
    LoggedRequest,
    RequestLog,
    object_body,
    patch_body,
    patch_type_of,
    place_of,
)
from e2e.bed.apiserver.encoding import Encoder, dumps
from e2e.bed.apiserver.errors import ApiError, invalid, no_such_path, unsupported
from e2e.bed.apiserver.events import served_form
from e2e.bed.apiserver.kinds import Kind
from e2e.bed.apiserver.lists import Lister
from e2e.bed.apiserver.options import Delete, Write
from e2e.bed.apiserver.store import Store
from e2e.bed.apiserver.streams import Streams
from e2e.bed.apiserver.subresources import bind, evict, patch_scale, put_scale, scale_of
from e2e.bed.apiserver.tables import partial_metadata, table_of
from e2e.bed.apiserver.trees import JsonObject, at
from e2e.bed.apiserver.writes import check_put_name

if TYPE_CHECKING:
    from collections.abc import Callable

_JSON = "application/json"
_SHOWN_AT_THEIR_END = frozenset({"Pod", "Service", "ServiceAccount"})
"""The kinds of which a delete answers the object, not that it succeeded."""
_HEALTH = frozenset({"/healthz", "/livez", "/readyz"})


class ApiServer:
    """An API server on a loopback port.

    Args:
        store: The objects; a fresh store by default.
        hold_policy: Whether the hooks of the hold are in force; later `store.hold_policy`.
        allow_loopback_endpoints: Whether EndpointSlices may hold loopback addresses.
        bookmark_seconds: How long a watch is silent before a bookmark.
        gc_delay: Seconds until the garbage of an owner is collected.

    Attributes:
        store: The objects, also for use in process.
        faults: Asked in order about each call for an object or a collection; the first that
            answers decides. Tests add and remove as they like.
        log: The requests that came.
    """

    def __init__(
        self,
        store: Store | None = None,
        *,
        hold_policy: bool = False,
        allow_loopback_endpoints: bool = False,
        bookmark_seconds: float = 60.0,
        gc_delay: float = 0.05,
    ) -> None:
        self.store = store or Store(
            hold_policy=hold_policy,
            allow_loopback_endpoints=allow_loopback_endpoints,
            gc_delay=gc_delay,
        )
        self.faults: list[Fault] = []
        self.log = RequestLog()
        self.url = ""
        self._encoder = Encoder()
        self._lister = Lister(self.store, self._encoder)
        self._streams = Streams(self.store, self._encoder, bookmark_seconds)
        self._runner: web.ServerRunner | None = None
        self._unsubscribe: Callable[[], None] | None = None
        self._collection: asyncio.TimerHandle | None = None

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> str:
        """Listen, and return the URL; port 0 takes a free one."""
        self._runner = web.ServerRunner(web.Server(self._handle), shutdown_timeout=0.5)
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port, reuse_address=True)
        await site.start()
        bound = self._runner.addresses[0][1]
        self.url = f"http://{host}:{bound}"
        self._unsubscribe = self.store.subscribe(lambda *_: self._plan_collection())
        self._plan_collection()
        return self.url

    async def stop(self) -> None:
        """End every stream and stop listening."""
        if self._unsubscribe is not None:
            self._unsubscribe()
        if self._collection is not None:
            self._collection.cancel()
        self._streams.end_all()
        if self._runner is not None:
            await self._runner.cleanup()

    def end_watches(self) -> None:
        """Cut every open watch; clients come back with the version they know."""
        self._streams.end_all()

    @property
    def open_watches(self) -> int:
        """How many watches are open."""
        return self._streams.open

    def _plan_collection(self) -> None:
        asyncio.get_running_loop().call_soon(self._collect)

    def _collect(self) -> None:
        self.store.run_due()
        due = self.store.next_due()
        if self._collection is not None:
            self._collection.cancel()
            self._collection = None
        if due is not None:
            wait = max(0.0, due - self.store.now())
            self._collection = asyncio.get_running_loop().call_later(wait, self._collect)

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        started, clock = time.monotonic(), self.store.now()
        response: web.StreamResponse
        try:
            response = await self._answer(request)
        except ApiError as error:
            response = _reply(dumps(error.body()), error.code)
            response.headers.update(error.headers)
        self.log.add(
            LoggedRequest(
                at=clock,
                seconds=time.monotonic() - started,
                method=request.method,
                path=request.path,
                query=dict(request.query),
                agent=request.headers.get("User-Agent", ""),
                content_type=request.content_type,
                status=response.status,
            )
        )
        return response

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.path
        if path in _HEALTH:
            return web.Response(text="ok")
        about = self._about_itself(path, request.headers.get("Accept", ""))
        if about is not None:
            return about
        if request.method == "POST" and path.endswith(("reviews",)):
            return await self._review(request)
        call = self._call_of(request)
        await self._fault(call)
        if call.method == "GET":
            return await self._read(request, call)
        return await self._write(call, await request.read())

    def _call_of(self, request: web.BaseRequest) -> Call:
        place = place_of(self.store.kinds, request.path)
        headers = request.headers
        return Call(
            method=request.method,
            path=request.path,
            query=request.query,
            agent=headers.get("User-Agent", ""),
            token=headers.get("Authorization", "").removeprefix("Bearer ").strip(),
            accept=headers.get("Accept", ""),
            content_type=request.content_type if "Content-Type" in headers else "",
            kind=place.kind,
            namespace=place.namespace,
            name=place.name,
            subresource=place.subresource,
        )

    async def _fault(self, call: Call) -> None:
        for fault in tuple(self.faults):
            answer = fault(call)
            if isinstance(answer, ApiError):
                raise answer
            if answer is not None:
                await asyncio.sleep(answer)

    # What the server says of itself.

    def _about_itself(self, path: str, accept: str) -> web.Response | None:
        kinds = self.store.kinds
        if path == "/version":
            return _reply(dumps(discovery.VERSION))
        if path.rstrip("/") in ("/api", "/apis"):
            return self._roots(legacy=path.rstrip("/") == "/api", accept=accept)
        if path == "/openapi/v2":
            return _swagger(accept)
        if path == "/openapi/v3":
            return _reply(dumps(discovery.openapi_index(kinds)))
        if path.startswith("/openapi/v3/"):
            document = path.removeprefix("/openapi/v3/")
            return _reply(dumps(discovery.openapi_document(kinds, document)))
        return self._group(path.strip("/").split("/"))

    def _roots(self, *, legacy: bool, accept: str) -> web.Response:
        kinds = self.store.kinds
        if "as=APIGroupDiscoveryList" in accept and ";v=v2;" in f"{accept};":
            body = dumps(discovery.aggregated(kinds, legacy=legacy))
            return _reply(body, content_type=discovery.AGGREGATED)
        if legacy:
            versions = {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}
            return _reply(dumps(versions))
        return _reply(dumps(discovery.group_list(kinds)))

    def _group(self, parts: list[str]) -> web.Response | None:
        kinds = self.store.kinds
        if parts[0] == "apis" and len(parts) == 2:
            versions = discovery.groups(kinds).get(parts[1])
            if versions is None:
                raise no_such_path()
            group = discovery.api_group(parts[1], versions)
            return _reply(dumps({"kind": "APIGroup", "apiVersion": "v1", **group}))
        group_version = {("api", 2): ("", parts[-1]), ("apis", 3): tuple(parts[1:])}.get(
            (parts[0], len(parts))
        )
        if group_version is None:
            return None
        found = discovery.resource_list(kinds, group_version[0], group_version[1])
        if found is None:
            raise no_such_path()
        return _reply(dumps(found))

    async def _review(self, request: web.BaseRequest) -> web.Response:
        body = object_body(await request.read(), request.content_type)
        if "access" in request.path:
            body["status"] = {"allowed": True}
        else:
            body["status"] = {"userInfo": {"username": "admin", "groups": ["system:masters"]}}
        return _reply(dumps(body), 201)

    # Reading.

    async def _read(self, request: web.BaseRequest, call: Call) -> web.StreamResponse:
        if call.watches:
            return await self._streams.serve(request, call)
        if not call.name:
            return _reply(self._lister.answer(call))
        obj = self.store.get(call.kind, call.namespace, call.name)
        if call.subresource == "scale":
            return _reply(dumps(scale_of(obj)))
        form = call.wanted_form
        if form == "Table":
            whole = call.query.get("includeObject") == "Object"
            table = table_of(call.kind, [obj], self.store.now(), whole=whole)
            table["metadata"] = {"resourceVersion": obj["metadata"]["resourceVersion"]}
            return _reply(dumps(table))
        if form:
            return _reply(dumps(partial_metadata(obj)))
        return self._object(call, obj)

    def _object(self, call: Call, obj: JsonObject, code: int = 200) -> web.Response:
        return _reply(self._encoder.whole(call.kind, obj), code)

    # Writing.

    async def _write(self, call: Call, raw: bytes) -> web.Response:
        if call.method != "DELETE":
            call.check_options()
        warnings: list[str] = []
        how: Write = {
            "manager": call.query.get("fieldManager", ""),
            "agent": call.agent,
            "dry_run": call.dry_run,
            "subresource": call.subresource if call.subresource == "status" else "",
            "force": call.flag("force"),
            "warn": warnings.append,
        }
        match call.method, bool(call.name):
            case "POST", _:
                response = self._post(call, raw, how)
            case "PUT", True:
                response = self._put(call, raw, how)
            case "PATCH", True:
                response = self._patch(call, raw, how)
            case "DELETE", _:
                response = self._delete(call, raw)
            case _:
                raise _not_allowed()
        for text in warnings:
            response.headers.add("Warning", _warning(text))
        return response

    def _post(self, call: Call, raw: bytes, how: Write) -> web.Response:
        if call.name and call.subresource not in ("binding", "eviction"):
            raise _not_allowed()
        body = object_body(raw, call.content_type)
        if call.subresource == "binding":
            return _reply(dumps(bind(self.store, call.namespace, call.name, body, **how)), 201)
        if call.subresource == "eviction":
            return _reply(dumps(evict(self.store, call.namespace, call.name, body)), 201)
        return self._object(call, self.store.create(call.kind, call.namespace, body, **how), 201)

    def _put(self, call: Call, raw: bytes, how: Write) -> web.Response:
        body = object_body(raw, call.content_type)
        place = call.kind, call.namespace, call.name
        if call.subresource == "scale":
            check_put_name(body, call.name, call.namespace)
            return _reply(dumps(put_scale(self.store, *place, body, **how)))
        existed = self.store.exists(*place)
        return self._object(call, self.store.update(*place, body, **how), 200 if existed else 201)

    def _patch(self, call: Call, raw: bytes, how: Write) -> web.Response:
        patch_type = patch_type_of(call)
        body = patch_body(raw, patch_type)
        place = call.kind, call.namespace, call.name
        if call.subresource == "scale":
            return _reply(dumps(patch_scale(self.store, place, patch_type, body, **how)))
        existed = self.store.exists(*place)
        obj = self.store.patch(*place, patch_type, body, **how)
        return self._object(call, obj, 200 if existed else 201)

    def _delete(self, call: Call, raw: bytes) -> web.Response:
        options = object_body(raw, call.content_type) if raw.strip() else None
        how = _deletion(call, options)
        if call.name:
            return self._delete_one(call, call.namespace, call.name, how)
        found = self.store.list(
            call.kind,
            call.namespace,
            call.query.get("labelSelector", ""),
            call.query.get("fieldSelector", ""),
        )
        for obj in found:
            meta = obj["metadata"]
            self.store.delete(call.kind, meta.get("namespace"), meta["name"], **how)
        meta = {"resourceVersion": str(self.store.version)}
        return _reply(self._encoder.list(call.kind, found, meta))

    def _delete_one(self, call: Call, namespace: str, name: str, how: Delete) -> web.Response:
        left = self.store.delete(call.kind, namespace, name, **how)
        gone = not self.store.exists(call.kind, namespace, name)
        waits = not gone and "deletionTimestamp" in left["metadata"]
        if call.kind.kind in _SHOWN_AT_THEIR_END or waits:
            return self._object(call, served_form(call.kind, left) if gone else left)
        details = {"name": name, "kind": call.kind.plural, "uid": left["metadata"]["uid"]}
        if call.kind.group:
            details["group"] = call.kind.group
        status = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Success",
            "details": details,
        }
        return _reply(dumps(status))


_POLICIES = ("Foreground", "Background", "Orphan")


def _check_deletion(options: JsonObject) -> None:
    """Refuse options of a delete that there are not.

    Raises:
        ApiError: 422.
    """
    causes = []
    policy = options.get("propagationPolicy")
    if policy not in (None, *_POLICIES):
        causes.append(unsupported("propagationPolicy", policy, [*_POLICIES, "nil"]))
    asked = options.get("dryRun") or []
    if any(one != "All" for one in asked):
        causes.append(unsupported("dryRun", asked, ["All"]))
    if causes:
        kind = Kind(group="meta.k8s.io", kind="DeleteOptions", plural="deleteoptions")
        raise invalid(kind, "", causes)


def _deletion(call: Call, sent: JsonObject | None) -> Delete:
    """Read how something is to be deleted: of a request with a body the query says nothing."""
    options: JsonObject = dict(call.query) if sent is None else sent
    if sent is None and "dryRun" in options:
        options["dryRun"] = [options["dryRun"]]
    _check_deletion(options)
    grace = options.get("gracePeriodSeconds")
    policy = options.get("propagationPolicy") or ""
    if not policy and options.get("orphanDependents"):
        policy = "Orphan"
    return {
        "uid": at(options, "preconditions", "uid"),
        "resource_version": at(options, "preconditions", "resourceVersion"),
        "policy": policy,
        "grace_seconds": None if grace is None else int(grace),
        "dry_run": "All" in (options.get("dryRun") or []),
    }


def _reply(body: bytes, code: int = 200, content_type: str = _JSON) -> web.Response:
    return web.Response(body=body, status=code, headers={"Content-Type": content_type})


def _swagger(accept: str) -> web.Response:
    if "protobuf" in accept:
        return _reply(
            discovery.SWAGGER_PROTOBUF,
            content_type="application/com.github.proto-openapi.spec.v2.v1.0+protobuf",
        )
    return _reply(dumps(discovery.SWAGGER))


def _warning(text: str) -> str:
    quoted = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'299 - "{quoted}"'


def _not_allowed() -> ApiError:
    return ApiError(
        405,
        "MethodNotAllowed",
        "the server does not allow this method on the requested resource",
        {},
    )
