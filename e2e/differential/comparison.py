"""Two answers to the same operation, and the fields in which they differ."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from e2e.differential.side import Answer, Key

_TIMES = ("creationTimestamp", "deletionTimestamp")
_ADDRESSES = ("clusterIP", "clusterIPs")
_GIVEN_PORTS = ("nodePort", "healthCheckNodePort")
_IP = re.compile(r"\d+\.\d+\.\d+\.\d+")
_ABSENT = "absent"


class Difference(NamedTuple):
    """One field that the two servers answer differently.

    Attributes:
        path: Such as `spec.ports[].name`; `code` where the outcome itself differs.
        ours: The emulator's value as JSON, or `absent`.
        theirs: The real server's.
    """

    path: str
    ours: str
    theirs: str


def differences(plural: str, ours: Answer, theirs: Answer) -> list[Difference]:
    """Answer every field that differs once uids, versions, times and addresses are put aside."""
    outcomes = _outcome(ours), _outcome(theirs)
    if outcomes[0] != outcomes[1]:
        return [Difference("code", *outcomes)]
    return sorted(set(_compared(normal(plural, ours), normal(plural, theirs), "")))


def normal(plural: str, answer: Answer) -> Any:
    """Build what an answer says whichever server it came from."""
    body = answer.body
    if body.get("kind") == "Status":
        return _status(body)
    if "items" not in body:
        return _object(plural, body, answer.before)
    meta = body["metadata"]
    items = [_object(plural, item, answer.before) for item in body["items"] or ()]
    listed = {key: value for key, value in meta.items() if key != "resourceVersion"}
    if "continue" in listed:
        listed["continue"] = "<token>"
    return {**body, "metadata": listed, "items": items}


def _outcome(answer: Answer) -> str:
    reason = answer.body.get("reason", "") if answer.body.get("kind") == "Status" else ""
    return f"{answer.code} {reason}".strip()


def _status(body: Mapping[str, Any]) -> dict[str, Any]:
    details = {**(body.get("details") or {})}
    details.pop("uid", None)
    causes = details.get("causes")
    if causes:
        details["causes"] = sorted(
            f"{cause.get('reason')} {cause.get('field')}" for cause in causes
        )
    return {"status": body.get("status"), "details": details}


def _object(plural: str, obj: Mapping[str, Any], before: Mapping[Key, str]) -> Any:
    meta = dict(obj.get("metadata") or {})
    version = meta.pop("resourceVersion", None)
    if version is not None:
        known = before.get((plural, meta.get("name", "")))
        meta["resourceVersion"] = "as before" if version == known else "new"
    for field in _TIMES:
        if field in meta:
            meta[field] = "<time>"
    if "uid" in meta:
        meta["uid"] = "<uid>"
    if "managedFields" in meta:
        meta["managedFields"] = _managed(meta["managedFields"])
    return _without_given({**obj, "metadata": meta})


def _managed(entries: Any) -> dict[str, Any]:
    """Build what each manager owns; their order is that of their times."""
    words = ("manager", "operation", "subresource", "apiVersion")
    return {
        " ".join(entry[word] for word in words if word in entry): entry.get("fieldsV1")
        for entry in entries
    }


def _without_given(value: Any, name: str = "") -> Any:
    """Put a word for each address and port that a server chose."""
    if isinstance(value, dict):
        return {key: _without_given(child, key) for key, child in value.items()}
    if isinstance(value, list):
        return [_without_given(child, name) for child in value]
    if name in _ADDRESSES and isinstance(value, str) and _IP.fullmatch(value):
        return "<address>"
    if name in _GIVEN_PORTS and value:
        return "<port>"
    return value


def _compared(ours: Any, theirs: Any, path: str) -> Iterator[Difference]:
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key in sorted({*ours, *theirs}):
            below = f"{path}.{key}" if path else key
            yield from _compared(ours.get(key, _ABSENT), theirs.get(key, _ABSENT), below)
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for mine, other in zip(ours, theirs, strict=True):
            yield from _compared(mine, other, f"{path}[]")
    elif ours != theirs or type(ours) is not type(theirs):
        yield Difference(path, _shown(ours), _shown(theirs))


def _shown(value: Any) -> str:
    return _ABSENT if value == _ABSENT else json.dumps(value, sort_keys=True)
