"""What the simulated controllers may do to a cluster, and the questions they ask of its objects."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple, Protocol

Object = Mapping[str, Any]
"""A Kubernetes object: read it, build a new one, never change it."""

Listener = Callable[[str, Object], None]
"""Told of each change: the plural name of the kind, and the object as it is now or last was."""

Later = float | None
"""Seconds until the same key is worth another look; `None` when only a change can matter."""


class StaleError(Exception):
    """The object changed or went away since it was read: look again."""


class Cluster(Protocol):
    """The API server as five verbs; kinds are named by their plural."""

    def get(self, kind: str, namespace: str, name: str) -> Object | None:
        """Answer the object, or `None`."""

    def list(self, kind: str, namespace: str) -> Sequence[Object]:
        """Answer all objects of a kind in one namespace, in a stable order."""

    def create(self, kind: str, obj: Object) -> Object:
        """Create the object; raises `StaleError` when its name is taken."""

    def update(self, kind: str, obj: Object, subresource: str = "") -> Object:
        """Replace the object on condition of its resourceVersion; raises `StaleError`."""

    def delete(self, kind: str, obj: Object, grace_seconds: int | None = None) -> None:
        """Delete exactly this object (by uid); one that is gone already is no error."""


class Key(NamedTuple):
    """Names one object of a known kind."""

    namespace: str
    name: str


def key_of(obj: Object) -> Key:
    """Answer the key of a namespaced object."""
    return Key(obj["metadata"]["namespace"], obj["metadata"]["name"])


def merged(obj: Object, **changes: object) -> dict[str, Any]:
    """Build a copy of one level of an object with some of its fields replaced."""
    return {**obj, **changes}


def annotations_of(obj: Object) -> Mapping[str, str]:
    """Answer the annotations; an empty mapping when there are none."""
    found: Mapping[str, str] = obj["metadata"].get("annotations") or {}
    return found


def labels_of(obj: Object) -> Mapping[str, str]:
    """Answer the labels; an empty mapping when there are none."""
    found: Mapping[str, str] = obj["metadata"].get("labels") or {}
    return found


def status_of(obj: Object) -> Mapping[str, Any]:
    """Answer the status; an empty mapping when there is none yet."""
    found: Mapping[str, Any] = obj.get("status") or {}
    return found


def is_leaving(obj: Object) -> bool:
    """Say whether the object's deletion has begun."""
    return bool(obj["metadata"].get("deletionTimestamp"))


def controller_of(obj: Object) -> Mapping[str, Any] | None:
    """Answer the ownerReference of the controlling owner."""
    owners = obj["metadata"].get("ownerReferences") or ()
    return next((owner for owner in owners if owner.get("controller")), None)


def controlled_by(owner: Object, objects: Iterable[Object]) -> list[Object]:
    """Answer those of the objects whose controlling owner is this very object."""
    uid = owner["metadata"]["uid"]
    return [obj for obj in objects if (controller_of(obj) or {}).get("uid") == uid]


def owner_reference(owner: Object, api_version: str, kind: str) -> dict[str, Any]:
    """Build the reference that makes an object belong to its controlling owner."""
    return {
        "apiVersion": api_version,
        "kind": kind,
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Say whether equality requirements, all of them, hold for the labels."""
    return all(labels.get(key) == value for key, value in selector.items())


def condition_of(obj: Object, kind: str) -> Mapping[str, Any] | None:
    """Answer the condition of that type from the object's status."""
    conditions = status_of(obj).get("conditions") or ()
    return next((condition for condition in conditions if condition["type"] == kind), None)


def is_ready(pod: Object) -> bool:
    """Say whether the pod's Ready condition is True, be it leaving or not."""
    return (condition_of(pod, "Ready") or {}).get("status") == "True"


def is_active(pod: Object) -> bool:
    """Say whether the pod counts for its owner: neither finished nor leaving."""
    return not is_leaving(pod) and not is_finished(pod)


def is_finished(pod: Object) -> bool:
    """Say whether the pod's containers have ended for good."""
    return status_of(pod).get("phase") in {"Succeeded", "Failed"}


def ready_since(pod: Object) -> datetime | None:
    """Answer when a ready pod became ready; `None` for one that is not ready."""
    condition = condition_of(pod, "Ready")
    if condition is None or condition["status"] != "True":
        return None
    return parse_time(condition["lastTransitionTime"])


def format_time(moment: datetime) -> str:
    """Write a time as the API server does, in whole seconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_time(text: str) -> datetime:
    """Read a time the API server wrote."""
    return datetime.fromisoformat(text)
