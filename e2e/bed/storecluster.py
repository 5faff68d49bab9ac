"""The store's verbs as the simulated controllers and the kubelet know them."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from e2e.bed.apiserver.errors import ApiError
from e2e.bed.apiserver.store import Store
from e2e.bed.workloads.cluster import Object, StaleError, merged, status_of

LOG = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class StoreCluster:
    """A cluster that is a store in this process.

    Attributes:
        agent: Who writes, as `managedFields` shows it.
    """

    store: Store
    agent: str = "kube-controller-manager"

    def get(self, kind: str, namespace: str, name: str) -> Object | None:
        """Answer the object, or `None`."""
        if not self.store.exists(kind, namespace, name):
            return None
        return self.store.get(kind, namespace, name)

    def list(self, kind: str, namespace: str) -> Sequence[Object]:
        """Answer all objects of a kind in one namespace."""
        return self.store.list(kind, namespace)

    def create(self, kind: str, obj: Object) -> Object:
        """Create the object; raises `StaleError` when the server refuses."""
        namespace = obj["metadata"]["namespace"]
        try:
            return self.store.create(kind, namespace, _mutable(obj), manager=self.agent)
        except ApiError as error:
            raise StaleError(error.message) from error

    def update(self, kind: str, obj: Object, subresource: str = "") -> Object:
        """Replace the object; raises `StaleError` when the server refuses."""
        metadata = obj["metadata"]
        try:
            return self.store.update(
                kind,
                metadata.get("namespace"),
                metadata["name"],
                _mutable(obj),
                manager=self.agent,
                subresource=subresource,
            )
        except ApiError as error:
            raise StaleError(error.message) from error

    def delete(self, kind: str, obj: Object, grace_seconds: int | None = None) -> None:
        """Delete exactly this object."""
        metadata = obj["metadata"]
        try:
            self.store.delete(
                kind,
                metadata.get("namespace"),
                metadata["name"],
                uid=metadata["uid"],
                grace_seconds=grace_seconds,
            )
        except ApiError as error:
            if error.code not in {404, 409}:
                raise


@dataclass(frozen=True, kw_only=True, slots=True)
class StorePods:
    """The pods of a store in this process, for its kubelet."""

    cluster: StoreCluster

    def get(self, namespace: str, name: str) -> Object | None:
        """Answer the pod, or `None`."""
        return self.cluster.get("pods", namespace, name)

    async def bind(self, pod: Object, node: str) -> None:
        """Give the pod its node."""
        spec = merged(pod["spec"], nodeName=node)
        self.cluster.update("pods", merged(pod, spec=spec))

    async def write_status(self, pod: Object, status: Mapping[str, Any]) -> None:
        """Write the pod's status."""
        whole = {**status_of(pod), **status}
        try:
            self.cluster.update("pods", merged(pod, status=whole), "status")
        except StaleError:  # It went away in the same instant.
            LOG.debug("status of pod %s was not written", pod["metadata"]["name"])

    async def remove(self, pod: Object) -> None:
        """Delete the pod without grace."""
        self.cluster.delete("pods", pod, grace_seconds=0)


def _mutable(obj: Object) -> dict[str, Any]:
    """Hand an object to the store, which copies what it takes."""
    return cast("dict[str, Any]", obj)
