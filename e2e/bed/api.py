"""The bed's API server as a test speaks to it: a few verbs on dicts."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx
import yaml

from e2e.bed.workloads.cluster import Object

MANAGER = "bed"
"""The field manager of what a scenario applies."""

MERGE = "application/merge-patch+json"
APPLY = "application/apply-patch+yaml"
_CLUSTER_SCOPED = frozenset({"namespaces", "nodes", "ingressclasses", "customresourcedefinitions"})
_GROUPS: Mapping[str, tuple[str, ...]] = {
    "api/v1": (
        "namespaces",
        "nodes",
        "services",
        "pods",
        "events",
        "configmaps",
        "secrets",
        "serviceaccounts",
    ),
    "apis/apps/v1": ("deployments", "replicasets", "statefulsets"),
    "apis/networking.k8s.io/v1": ("ingresses", "ingressclasses"),
    "apis/discovery.k8s.io/v1": ("endpointslices",),
    "apis/coordination.k8s.io/v1": ("leases",),
    "apis/policy/v1": ("poddisruptionbudgets",),
    "apis/autoscaling/v2": ("horizontalpodautoscalers",),
    "apis/rbac.authorization.k8s.io/v1": ("roles", "rolebindings"),
}
_GROUP_OF = {plural: group for group, plurals in _GROUPS.items() for plural in plurals}


class ApiError(Exception):
    """The server refused; the message is the server's."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(f"{status} {reason}: {message}")
        self.status = status
        self.reason = reason


@dataclass(frozen=True, kw_only=True, slots=True)
class Api:
    """A client of one namespace; kinds are named by their plural, or by `Kind` in manifests."""

    client: httpx.AsyncClient
    namespace: str = "canary"

    async def apply(self, *manifests: Object | str | Sequence[Object]) -> list[Object]:
        """Apply objects, lists of them, or YAML texts, on the server's side; answers the results.

        A namespaced object without a namespace goes into the client's own.
        """
        applied: list[Object] = []
        for manifest in _flattened(manifests):
            plural = _plural(manifest["kind"])
            namespace = manifest["metadata"].get("namespace", self.namespace)
            path = self._path(plural, manifest["metadata"]["name"], namespace)
            params = {"fieldManager": MANAGER, "force": "true"}
            body = json.dumps(manifest)
            applied.append(await self._send("PATCH", path, body, APPLY, params=params))
        return applied

    async def get(self, plural: str, name: str, namespace: str = "") -> Object | None:
        """Answer an object, or `None`."""
        try:
            return await self._send("GET", self._path(plural, name, namespace))
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    async def list(self, plural: str, namespace: str = "", *, labels: str = "") -> list[Object]:
        """Answer the objects of a kind; `labels` is a selector."""
        params = {"labelSelector": labels} if labels else {}
        found = await self._send("GET", self._path(plural, "", namespace), params=params)
        items: list[Object] = found["items"]
        return items

    async def list_everywhere(self, plural: str, *, labels: str = "") -> Sequence[Object]:
        """Answer the objects of a kind in all namespaces; `labels` is a selector."""
        params = {"labelSelector": labels} if labels else {}
        found = await self._send("GET", f"/{_GROUP_OF[plural]}/{plural}", params=params)
        items: Sequence[Object] = found["items"]
        return items

    async def patch(self, plural: str, name: str, change: Object, namespace: str = "") -> Object:
        """Change an object by a merge patch."""
        path = self._path(plural, name, namespace)
        return await self._send("PATCH", path, json.dumps(change), MERGE)

    async def scale(self, name: str, replicas: int, namespace: str = "") -> None:
        """Scale a Deployment through its subresource, as an autoscaler does."""
        path = self._path("deployments", name, namespace) + "/scale"
        await self._send("PATCH", path, json.dumps({"spec": {"replicas": replicas}}), MERGE)

    async def delete(self, plural: str, name: str, namespace: str = "") -> None:
        """Delete an object; one that is not there is no error."""
        try:
            await self._send("DELETE", self._path(plural, name, namespace))
        except ApiError as error:
            if error.status != 404:
                raise

    def _path(self, plural: str, name: str = "", namespace: str = "") -> str:
        scope = "" if plural in _CLUSTER_SCOPED else f"/namespaces/{namespace or self.namespace}"
        return f"/{_GROUP_OF[plural]}{scope}/{plural}" + (f"/{name}" if name else "")

    async def _send(
        self,
        method: str,
        path: str,
        body: str = "",
        content_type: str = "application/json",
        *,
        params: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        answer = await self.client.request(
            method, path, content=body, headers={"Content-Type": content_type}, params=params
        )
        content: dict[str, Any] = answer.json()
        if answer.is_success:
            return content
        raise ApiError(answer.status_code, content.get("reason", ""), content.get("message", ""))


def _flattened(manifests: Sequence[Object | str | Sequence[Object]]) -> list[Object]:
    flat: list[Object] = []
    for manifest in manifests:
        if isinstance(manifest, str):
            flat += [document for document in yaml.safe_load_all(manifest) if document]
        elif isinstance(manifest, Mapping):
            flat.append(manifest)
        else:
            flat += manifest
    return flat


def _plural(kind: str) -> str:
    word = kind.lower()
    return word + "es" if word.endswith("s") else word + "s"


_NOT_COMPARED = ("uid", "resourceVersion", "creationTimestamp", "generation", "managedFields")


def normalised(obj: Object) -> dict[str, Any]:
    """Build what stays the same of an object when it is written again: no ids, times, versions."""
    metadata = {name: v for name, v in obj["metadata"].items() if name not in _NOT_COMPARED}
    owners = [
        {name: v for name, v in owner.items() if name != "uid"}
        for owner in metadata.get("ownerReferences") or ()
    ]
    if owners:
        metadata["ownerReferences"] = owners
    return {**obj, "metadata": metadata}
