"""The EndpointSlice controller: for each Service with a selector, who answers for it and where."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from e2e.bed.workloads.cluster import (
    Cluster,
    Key,
    Object,
    annotations_of,
    controlled_by,
    is_finished,
    is_leaving,
    is_ready,
    labels_of,
    merged,
    owner_reference,
    selects,
    status_of,
)

SERVICE_NAME = "kubernetes.io/service-name"
MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
MANAGER = "endpointslice-controller.k8s.io"
LARGEST = 100
"""The endpoints one slice holds at most."""

_Ports = tuple[tuple[str, str, int, str | None], ...]
_Content = tuple[list[dict[str, Any]] | None, list[dict[str, Any]] | None]


def reconcile(cluster: Cluster, key: Key, suffix: Callable[[], str]) -> None:
    """Bring the slices of one Service in line with its selector and the pods."""
    service = cluster.get("services", *key)
    if service is None or not has_endpoints(service):
        return
    existing = controlled_by(service, cluster.list("endpointslices", key.namespace))
    pods = [pod for pod in cluster.list("pods", key.namespace) if is_endpoint(service, pod)]
    contents = list(_contents(service, pods))
    for slice_, content in zip(existing, contents, strict=False):
        _bring_up_to_date(cluster, service, slice_, content)
    for content in contents[len(existing) :]:
        cluster.create("endpointslices", _slice(service, content, suffix()))
    for slice_ in existing[len(contents) :]:
        cluster.delete("endpointslices", slice_)


def has_endpoints(service: Object) -> bool:
    """Say whether this controller looks after the Service."""
    spec = service["spec"]
    return bool(spec.get("selector")) and spec.get("type") != "ExternalName"


def is_endpoint(service: Object, pod: Object) -> bool:
    """Say whether the pod belongs into the slices: selected, with an address, not finished."""
    return (
        selects(service["spec"]["selector"], labels_of(pod))
        and bool(status_of(pod).get("podIP"))
        and not is_finished(pod)
    )


def _contents(service: Object, pods: Sequence[Object]) -> Iterator[_Content]:
    """Pack the endpoints: apart by their resolved ports, at most a hundred together."""
    groups: dict[_Ports, list[Object]] = {}
    for pod in pods:
        groups.setdefault(_resolved_ports(service, pod), []).append(pod)
    if not groups:  # The real controller keeps an empty slice, with null for both lists.
        yield None, None
    for ports, members in groups.items():
        written = [_port(*port) for port in ports]
        for start in range(0, len(members), LARGEST):
            chunk = members[start : start + LARGEST]
            yield [_endpoint(service, pod) for pod in chunk], written


def _resolved_ports(service: Object, pod: Object) -> _Ports:
    found = []
    for port in service["spec"].get("ports") or ():
        number = _target(port, pod)
        if number is not None:
            protocol = port.get("protocol", "TCP")
            found.append((port.get("name") or "", protocol, number, port.get("appProtocol")))
    return tuple(found)


def _target(port: Mapping[str, Any], pod: Object) -> int | None:
    target = port.get("targetPort") or port["port"]
    if isinstance(target, int):
        return target
    declared = (
        candidate
        for container in pod["spec"]["containers"]
        for candidate in container.get("ports") or ()
        if candidate.get("name") == target
        and candidate.get("protocol", "TCP") == port.get("protocol", "TCP")
    )
    return next((int(candidate["containerPort"]) for candidate in declared), None)


def _port(name: str, protocol: str, number: int, app_protocol: str | None) -> dict[str, Any]:
    port = {"name": name, "port": number, "protocol": protocol}
    return {**port, "appProtocol": app_protocol} if app_protocol else port


def _endpoint(service: Object, pod: Object) -> dict[str, Any]:
    serving, leaving = is_ready(pod), is_leaving(pod)
    always = bool(service["spec"].get("publishNotReadyAddresses"))
    return {
        "addresses": [status_of(pod)["podIP"]],
        "conditions": {
            "ready": always or (serving and not leaving),
            "serving": serving,
            "terminating": leaving,
        },
        "nodeName": pod["spec"].get("nodeName"),
        "targetRef": {
            "kind": "Pod",
            "namespace": pod["metadata"]["namespace"],
            "name": pod["metadata"]["name"],
            "uid": pod["metadata"]["uid"],
        },
    }


def _labels(service: Object) -> dict[str, str]:
    own = {
        name: value
        for name, value in labels_of(service).items()
        if name not in {SERVICE_NAME, MANAGED_BY, "service.kubernetes.io/headless"}
    }
    headless = service["spec"].get("clusterIP") == "None"
    return {
        **own,
        **({"service.kubernetes.io/headless": ""} if headless else {}),
        SERVICE_NAME: service["metadata"]["name"],
        MANAGED_BY: MANAGER,
    }


def _slice(service: Object, content: _Content, suffix: str) -> dict[str, Any]:
    endpoints, ports = content
    name = service["metadata"]["name"]
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"{name}-{suffix}",
            "generateName": f"{name}-",
            "namespace": service["metadata"]["namespace"],
            "labels": _labels(service),
            "ownerReferences": [owner_reference(service, "v1", "Service")],
        },
        "addressType": "IPv4",
        "endpoints": endpoints,
        "ports": ports,
    }


def _bring_up_to_date(cluster: Cluster, service: Object, slice_: Object, content: _Content) -> None:
    endpoints, ports = content
    labels = _labels(service)
    before = (slice_.get("endpoints") or None, slice_.get("ports") or None, labels_of(slice_))
    if before == (endpoints, ports, labels):
        return
    metadata = merged(slice_["metadata"], labels=labels, annotations=annotations_of(slice_))
    changed = merged(slice_, metadata=metadata, endpoints=endpoints, ports=ports)
    cluster.update("endpointslices", changed)
