"""Lists: versions, pages, and the forms a client may ask for."""

import base64
import json

from e2e.bed.apiserver.calls import Call
from e2e.bed.apiserver.encoding import Encoder, dumps
from e2e.bed.apiserver.errors import ApiError, Cause, bad_request, expired, invalid, no_version
from e2e.bed.apiserver.kinds import Kind
from e2e.bed.apiserver.selectors import check_fields, selector_of
from e2e.bed.apiserver.store import Store
from e2e.bed.apiserver.tables import partial_metadata, table_of
from e2e.bed.apiserver.trees import JsonObject

_TOO_OLD = (
    "The provided continue parameter is too old to display a consistent list result. You can "
    "start a new list without the continue parameter."
)
_OPTIONS = Kind(group="meta.k8s.io", kind="ListOptions", plural="listoptions")


def forbidden_option(field: str, message: str) -> ApiError:
    """Refuse options of a list or watch that do not go together."""
    cause = Cause(field=field, message=f"Forbidden: {message}", reason="FieldValueForbidden")
    return invalid(_OPTIONS, "", [cause])


class Lister:
    """Answers list requests; a page goes on from the state its first page saw.

    Args:
        store: The objects.
        encoder: Turns them into bytes.
    """

    def __init__(self, store: Store, encoder: Encoder) -> None:
        self._store = store
        self._encoder = encoder
        self._pages: dict[str, tuple[int, list[JsonObject]]] = {}
        self._paged = 0

    def answer(self, call: Call) -> bytes:
        """Return the body of a list.

        Raises:
            ApiError: 400, 410 or 504.
        """
        version, found = self._found(call)
        meta: JsonObject = {"resourceVersion": str(version)}
        selector = selector_of(call.query.get("labelSelector", ""), _fields_of(call))
        check_fields(call.kind.kind, selector)
        limit = int(call.query.get("limit") or 0)
        objects: list[JsonObject] = []
        for place, obj in enumerate(found):
            if limit and len(objects) == limit:
                # Whether any that is left is asked for nobody has looked at yet.
                meta["continue"] = self._remember(version, found[place:])
                if selector.takes_everything:
                    meta["remainingItemCount"] = len(found) - place
                break
            if selector.matches(obj):
                objects.append(obj)
        return self._encoded(call, objects, meta)

    def forget(self) -> None:
        """Forget every page: tokens given out answer 410."""
        self._pages.clear()

    def _found(self, call: Call) -> tuple[int, list[JsonObject]]:
        token = call.query.get("continue")
        if token:
            return self._page(token)
        self._check_version(call)
        return self._store.version, self._store.list(call.kind, call.namespace)

    def _page(self, token: str) -> tuple[int, list[JsonObject]]:
        try:
            number = json.loads(base64.urlsafe_b64decode(token))["page"]
        except (ValueError, KeyError, TypeError) as error:
            raise bad_request("continue key is not valid: " + str(error)) from error
        page = self._pages.get(str(number))
        if page is None:
            raise expired(_TOO_OLD)
        self._store.check_since("namespaces", min(page[0], self._store.version))
        return page

    def _remember(self, version: int, objects: list[JsonObject]) -> str:
        self._paged += 1
        number = f"{version}-{self._paged}"
        self._pages[number] = (version, objects)
        if len(self._pages) > 1000:
            del self._pages[next(iter(self._pages))]
        return base64.urlsafe_b64encode(dumps({"v": "meta.k8s.io/v1", "page": number})).decode()

    def _check_version(self, call: Call) -> None:
        version, match = (
            call.query.get("resourceVersion", ""),
            call.query.get("resourceVersionMatch"),
        )
        if match and not version:
            raise forbidden_option(
                "resourceVersionMatch",
                "resourceVersionMatch is forbidden unless resourceVersion is provided",
            )
        if version in ("", "0"):
            return
        if not version.isdigit():
            raise bad_request(f"invalid resource version: {no_version(version)}")
        if int(version) > self._store.version:
            raise _too_large(version, self._store.version)
        if match == "Exact":
            self._store.check_since(call.kind, int(version))

    def _encoded(self, call: Call, objects: list[JsonObject], meta: JsonObject) -> bytes:
        form = call.wanted_form
        if form == "Table":
            whole = call.query.get("includeObject") == "Object"
            table = table_of(call.kind, objects, self._store.now(), whole=whole)
            return dumps({**table, "metadata": meta})
        if form == "PartialObjectMetadata":
            return dumps(
                {
                    "kind": "PartialObjectMetadataList",
                    "apiVersion": "meta.k8s.io/v1",
                    "metadata": meta,
                    "items": [partial_metadata(obj) for obj in objects],
                }
            )
        return self._encoder.list(call.kind, objects, meta)


def _fields_of(call: Call) -> str:
    return call.query.get("fieldSelector", "")


def _too_large(version: str, current: int) -> ApiError:
    return ApiError(
        504,
        "Timeout",
        f"Too large resource version: {version}, current: {current}",
        {
            "causes": [
                {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
            ],
            "retryAfterSeconds": 1,
        },
    )
