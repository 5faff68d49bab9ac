"""What manifests grant and what requests need, in the same words, to be held against each other."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

ROLES = ("Role", "ClusterRole")
_METHODS = {"POST": "create", "PUT": "update", "PATCH": "patch"}
_PATH = re.compile(
    r"/(?:api|apis/(?P<group>[^/]+))/[^/]+"
    r"(?:/namespaces/(?P<namespace>[^/]+)(?=/[a-z]))?"
    r"/(?P<resource>[a-z]+)(?:/(?P<name>[^/]+))?(?:/(?P<subresource>[a-z]+))?"
)


class Right(NamedTuple):
    """A verb on a resource; a subresource is part of its name, `services/status`."""

    group: str
    resource: str
    verb: str


def granted(manifests: Iterable[Mapping[str, Any]]) -> set[Right]:
    """Return what the Roles and ClusterRoles among the manifests allow, whatever binds them."""
    return {
        Right(group, resource, verb)
        for manifest in manifests
        if manifest["kind"] in ROLES
        for rule in manifest["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def used(requests: Iterable[Mapping[str, Any]]) -> set[Right]:
    """Return what had to be allowed for these requests, whatever their answer was.

    Args:
        requests: lines of an API server's audit log, or what `Knobs.requests` answers; those that
            are about no resource (`/readyz`, `/apis`) need no right that a Role can give.
    """
    found = (_of_audit(it) if "auditID" in it else _of_path(it) for it in requests)
    return {right for right in found if right is not None}


def across_namespaces(requests: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the paths of the requests that a Role in one namespace could not allow."""
    paths = (str(it.get("requestURI") or it["path"]).partition("?")[0] for it in requests)
    matches = ((path, _PATH.fullmatch(path)) for path in paths)
    return sorted({path for path, match in matches if match and not match["namespace"]})


def _of_audit(line: Mapping[str, Any]) -> Right | None:
    about = line.get("objectRef")
    if not about:
        return None
    parts = (about["resource"], about.get("subresource"))
    return Right(about.get("apiGroup", ""), "/".join(filter(None, parts)), line["verb"])


def _of_path(request: Mapping[str, Any]) -> Right | None:
    match = _PATH.fullmatch(request["path"])
    if match is None:
        return None
    resource = "/".join(filter(None, (match["resource"], match["subresource"])))
    return Right(match["group"] or "", resource, _verb(request, is_named=bool(match["name"])))


def _verb(request: Mapping[str, Any], *, is_named: bool) -> str:
    match request["method"]:
        case "GET":
            is_watch = request["query"].get("watch") in ("1", "true")
            return "watch" if is_watch else "get" if is_named else "list"
        case "DELETE":
            return "delete" if is_named else "deletecollection"
        case method:
            return _METHODS[method]
