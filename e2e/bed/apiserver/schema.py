"""Which lists merge by a key, which are sets, and which maps are written whole."""

from typing import TypeAlias

Path: TypeAlias = tuple[str, ...]

SET: tuple[str, ...] = ()
"""The keys of a list that is a set of plain values."""

_POD_LISTS: dict[str, tuple[str, ...]] = {
    "containers": ("name",),
    "initContainers": ("name",),
    "ephemeralContainers": ("name",),
    "volumes": ("name",),
    "env": ("name",),
    "volumeMounts": ("mountPath",),
    "volumeDevices": ("devicePath",),
    "containers.ports": ("containerPort", "protocol"),
    "initContainers.ports": ("containerPort", "protocol"),
    "imagePullSecrets": ("name",),
    "hostAliases": ("ip",),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
    "conditions": ("type",),
    "podIPs": ("ip",),
}
_CONDITIONS: dict[str, tuple[str, ...]] = {"conditions": ("type",)}

_LISTS: dict[str, dict[str, tuple[str, ...]]] = {
    "Service": {"spec.ports": ("port", "protocol"), **_CONDITIONS},
    "Deployment": _POD_LISTS,
    "ReplicaSet": _POD_LISTS,
    "StatefulSet": _POD_LISTS,
    "DaemonSet": _POD_LISTS,
    "Pod": _POD_LISTS,
    "Node": {**_CONDITIONS, "addresses": ("type",)},
    "Namespace": _CONDITIONS,
    "PodDisruptionBudget": _CONDITIONS,
    "HorizontalPodAutoscaler": _CONDITIONS,
    "ServiceAccount": {"secrets": ("name",), "imagePullSecrets": ("name",)},
}

_METADATA_LISTS: dict[str, tuple[str, ...]] = {"ownerReferences": ("uid",), "finalizers": SET}

_WRITTEN_WHOLE = frozenset(
    {
        "configMapKeyRef",
        "fieldRef",
        "involvedObject",
        "nodeSelector",
        "resourceFieldRef",
        "scaleTargetRef",
        "secretKeyRef",
        "selector",
        "labelSelector",
    }
)

SKELETON: frozenset[Path] = frozenset(
    {
        (),
        ("metadata",),
        ("spec",),
        ("spec", "containers"),
        ("spec", "strategy"),
        ("spec", "template"),
        ("spec", "template", "metadata"),
        ("spec", "template", "spec"),
        ("spec", "template", "spec", "containers"),
        ("status",),
        ("status", "loadBalancer"),
    }
)
"""Containers that exist in every empty object, so that nobody ever adds them."""


def list_keys(kind: str, path: Path) -> tuple[str, ...] | None:
    """Return the keys by which the items of a list are told apart.

    Args:
        kind: Such as `Deployment`.
        path: Field names from the root to the list; items of lists add nothing.

    Returns:
        The key fields, `SET` for a set of values, None for a list that is written whole.
    """
    if not path:
        return None
    if path[0] == "metadata":
        return _METADATA_LISTS.get(path[-1]) if len(path) == 2 else None
    lists = _LISTS.get(kind, {})
    return lists.get(".".join(path[-2:]), lists.get(path[-1]))


def is_whole(path: Path) -> bool:
    """Say whether the map at this path has one owner for all of it."""
    return bool(path) and (
        path[-1] in _WRITTEN_WHOLE or path[:2] == ("metadata", "ownerReferences")
    )
