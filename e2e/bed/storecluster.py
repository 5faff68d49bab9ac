"""The store's verbs as the simulated controllers know them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from e2e.bed.apiserver.errors import ApiError
from e2e.bed.apiserver.store import Store
from e2e.bed.workloads.cluster import Object, StaleError


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


def _mutable(obj: Object) -> dict[str, Any]:
    """Hand an object to the store, which copies what it takes."""
    return cast("dict[str, Any]", obj)
