"""What this server says it serves: discovery in both forms, and stubs of OpenAPI."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from e2e.bed.apiserver.kinds import Kind, KindTable
from e2e.bed.apiserver.trees import JsonObject

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
VERSION: JsonObject = {
    "major": "1",
    "minor": "37",
    "gitVersion": "v1.37.2",
    "gitCommit": "",
    "gitTreeState": "clean",
    "buildDate": "2026-01-01T00:00:00Z",
    "goVersion": "go1.26",
    "compiler": "gc",
    "platform": "linux/amd64",
}
SWAGGER: JsonObject = {
    "swagger": "2.0",
    "info": {"title": "Kubernetes", "version": "v1.37.2"},
    "paths": {},
    "definitions": {},
}
SWAGGER_PROTOBUF = b"\x0a\x032.0\x12\x15\x0a\x0aKubernetes\x12\x07v1.37.2\x42\x00"
"""The same document, empty, in the encoding older clients ask for."""

_VERBS: tuple[str, ...] = (
    "create",
    "delete",
    "deletecollection",
    "get",
    "list",
    "patch",
    "update",
    "watch",
)
_PART_VERBS: tuple[str, ...] = ("get", "patch", "update")
_REVIEWS = {
    "authentication.k8s.io": ("selfsubjectreviews", "SelfSubjectReview"),
    "authorization.k8s.io": ("selfsubjectaccessreviews", "SelfSubjectAccessReview"),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Resource:
    """One line of discovery; `name` is `plural` or `plural/subresource`."""

    name: str
    kind: str
    group: str
    version: str
    namespaced: bool
    verbs: tuple[str, ...] = _VERBS
    singular: str = ""
    short: tuple[str, ...] = field(default=())
    categories: tuple[str, ...] = field(default=())


def groups(kinds: KindTable) -> dict[str, list[str]]:
    """Return the versions of each named group."""
    found: dict[str, list[str]] = {}
    for kind in kinds.all():
        if kind.group and kind.version not in found.setdefault(kind.group, []):
            found[kind.group].append(kind.version)
    return {**found, **{group: ["v1"] for group in _REVIEWS}}


def resources(kinds: KindTable, group: str, version: str) -> list[Resource]:
    """Return what one version of a group serves."""
    found = [
        resource
        for kind in kinds.all()
        if (kind.group, kind.version) == (group, version)
        for resource in _resources_of(kind)
    ]
    if group in _REVIEWS and version == "v1":
        plural, name = _REVIEWS[group]
        found.append(
            Resource(
                name=plural,
                kind=name,
                group=group,
                version=version,
                namespaced=False,
                verbs=("create",),
                singular=name.lower(),
            )
        )
    return found


def _resources_of(kind: Kind) -> Iterator[Resource]:
    yield Resource(
        name=kind.plural,
        kind=kind.kind,
        group=kind.group,
        version=kind.version,
        namespaced=kind.namespaced,
        singular=kind.singular,
        short=kind.short,
        categories=kind.categories,
    )
    parts: list[tuple[str, str, str, str, tuple[str, ...]]] = []
    if kind.status:
        parts.append(("status", kind.kind, kind.group, kind.version, _PART_VERBS))
    if kind.scale:
        parts.append(("scale", "Scale", "autoscaling", "v1", _PART_VERBS))
    if kind.kind == "Pod":
        parts.append(("binding", "Binding", "", "v1", ("create",)))
        parts.append(("eviction", "Eviction", "policy", "v1", ("create",)))
    for part, name, group, version, verbs in parts:
        yield Resource(
            name=f"{kind.plural}/{part}",
            kind=name,
            group=group,
            version=version,
            namespaced=kind.namespaced,
            verbs=verbs,
        )


def resource_list(kinds: KindTable, group: str, version: str) -> JsonObject | None:
    """Return the APIResourceList of a version, or None when nobody serves it."""
    found = resources(kinds, group, version)
    if not found:
        return None
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": f"{group}/{version}" if group else version,
        "resources": [_legacy(resource, group, version) for resource in found],
    }


def _legacy(resource: Resource, group: str, version: str) -> JsonObject:
    told: JsonObject = {
        "name": resource.name,
        "singularName": resource.singular,
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": list(resource.verbs),
    }
    if (resource.group, resource.version) != (group, version):
        told |= {"group": resource.group, "version": resource.version}
    return told | _names(resource)


def _names(resource: Resource) -> JsonObject:
    names: JsonObject = {}
    if resource.short:
        names["shortNames"] = list(resource.short)
    if resource.categories:
        names["categories"] = list(resource.categories)
    return names


def group_list(kinds: KindTable) -> JsonObject:
    """Return the APIGroupList."""
    found = [api_group(name, versions) for name, versions in groups(kinds).items()]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": found}


def api_group(name: str, versions: list[str]) -> JsonObject:
    """Return one group as the list names it."""
    told = [{"groupVersion": f"{name}/{one}", "version": one} for one in versions]
    return {"name": name, "versions": told, "preferredVersion": told[0]}


def aggregated(kinds: KindTable, *, legacy: bool) -> JsonObject:
    """Return every group of `/api` (legacy) or of `/apis` in one document."""
    wanted = {"": ["v1"]} if legacy else groups(kinds)
    return {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": "apidiscovery.k8s.io/v2",
        "metadata": {},
        "items": [
            {
                "metadata": {"name": group, "creationTimestamp": None} if group else {},
                "versions": [_aggregated_version(kinds, group, one) for one in versions],
            }
            for group, versions in wanted.items()
        ],
    }


def _aggregated_version(kinds: KindTable, group: str, version: str) -> JsonObject:
    found: dict[str, JsonObject] = {}
    for resource in resources(kinds, group, version):
        plural, _, part = resource.name.partition("/")
        response = {
            "group": resource.group,
            "version": resource.version,
            "kind": resource.kind,
        }
        if part:
            parts = found[plural].setdefault("subresources", [])
            parts.append(
                {"subresource": part, "responseKind": response, "verbs": list(resource.verbs)}
            )
            continue
        found[plural] = {
            "resource": plural,
            "responseKind": response,
            "scope": "Namespaced" if resource.namespaced else "Cluster",
            "singularResource": resource.singular,
            "verbs": list(resource.verbs),
            **_names(resource),
        }
    return {"version": version, "resources": list(found.values()), "freshness": "Current"}


def openapi_index(kinds: KindTable) -> JsonObject:
    """Return the index of OpenAPI v3 documents."""
    paths = ["api/v1"]
    paths += [f"apis/{group}/{one}" for group, many in groups(kinds).items() for one in many]
    mark = len(kinds.all())
    return {
        "paths": {one: {"serverRelativeURL": f"/openapi/v3/{one}?hash={mark}"} for one in paths}
    }


def openapi_document(kinds: KindTable, path: str) -> JsonObject:
    """Return a stub for `api/v1` or `apis/GROUP/VERSION`.

    It says that PATCH takes `fieldValidation`, so that kubectl leaves validation to the server.
    """
    group, _, version = (
        path.removeprefix("apis/").rpartition("/") if path != "api/v1" else ("", "", "v1")
    )
    paths: JsonObject = {}
    schemas: JsonObject = {}
    for kind in kinds.all():
        if (kind.group, kind.version) != (group, version):
            continue
        scope = "/namespaces/{namespace}" if kind.namespaced else ""
        paths[f"/{path}{scope}/{kind.plural}/{{name}}"] = {"patch": _patch_operation(kind)}
        schemas[_schema_name(kind)] = {
            "type": "object",
            "x-kubernetes-group-version-kind": [_gvk(kind)],
            "x-kubernetes-preserve-unknown-fields": True,
        }
    return {
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": "v1.37.2"},
        "paths": paths,
        "components": {"schemas": schemas},
    }


def _patch_operation(kind: Kind) -> JsonObject:
    reference = {"$ref": f"#/components/schemas/{_schema_name(kind)}"}
    return {
        "x-kubernetes-action": "patch",
        "x-kubernetes-group-version-kind": _gvk(kind),
        "parameters": [
            {"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": True}}
            for name in ("dryRun", "fieldManager", "fieldValidation")
        ],
        "responses": {
            "200": {
                "description": "OK",
                "content": {"application/json": {"schema": reference}},
            }
        },
    }


def _gvk(kind: Kind) -> JsonObject:
    return {"group": kind.group, "version": kind.version, "kind": kind.kind}


def _schema_name(kind: Kind) -> str:
    group = ".".join(reversed(kind.group.split("."))) if "." in kind.group else kind.group or "core"
    return f"io.k8s.api.{group}.{kind.version}.{kind.kind}"
