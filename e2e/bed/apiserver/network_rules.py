"""What makes a Service, an Ingress or an EndpointSlice invalid."""

from collections.abc import Iterator
from typing import Any

from e2e.bed.apiserver.errors import (
    Cause,
    duplicate,
    forbidden_field,
    invalid_value,
    required,
    unsupported,
)
from e2e.bed.apiserver.name_rules import (
    QUALIFIED,
    SUBDOMAIN,
    full_domain,
    ip_of,
    label_name,
    port_name,
    port_number,
    port_reference,
    subdomain,
)
from e2e.bed.apiserver.trees import JsonObject, at

CLASS_ANNOTATION = "kubernetes.io/ingress.class"
LOOPBACK = "may not be in the loopback range (127.0.0.0/8, ::1/128)"
_SERVICE_TYPES = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"]
_BAD_SEQUENCES = ("//", "/./", "/../", "%2f", "%2F")
_BAD_ENDS = ("/..", "/.")


def service(obj: JsonObject) -> Iterator[Cause]:
    """Yield what is wrong with a Service."""
    spec = obj["spec"]
    if spec.get("type") not in _SERVICE_TYPES:
        yield unsupported("spec.type", spec.get("type"), _SERVICE_TYPES)
    ports = spec.get("ports") or []
    if not ports and spec.get("clusterIPs") != ["None"] and spec.get("type") != "ExternalName":
        yield required("spec.ports")
    if spec.get("type") == "ExternalName":
        yield from _external_name(spec)
    yield from _service_ports(ports)
    yield from _policies(spec)
    yield from _cluster_address(spec)


def _external_name(spec: JsonObject) -> Iterator[Cause]:
    name = spec.get("externalName")
    if name:
        yield from subdomain("spec.externalName", name)
    else:
        yield required("spec.externalName")


def _service_ports(ports: list[JsonObject]) -> Iterator[Cause]:
    names: set[str] = set()
    places: set[tuple[Any, Any]] = set()
    for index, port in enumerate(ports):
        here = f"spec.ports[{index}]"
        name = port.get("name")
        if name:
            yield from label_name(f"{here}.name", name)
            if name in names:
                yield duplicate(f"{here}.name", name)
            names.add(name)
        elif len(ports) > 1:
            yield required(f"{here}.name")
        yield from _service_port(port, here)
        place = port.get("port"), port.get("protocol")
        if place in places:
            yield duplicate(here, {"protocol": place[1], "port": place[0]})
        places.add(place)


def _service_port(port: JsonObject, here: str) -> Iterator[Cause]:
    yield from port_number(f"{here}.port", port.get("port", 0))
    if port.get("protocol") not in ("TCP", "UDP", "SCTP"):
        yield unsupported(f"{here}.protocol", port.get("protocol"), ["SCTP", "TCP", "UDP"])
    yield from port_reference(f"{here}.targetPort", port.get("targetPort"))
    protocol = port.get("appProtocol")
    if protocol is not None and not QUALIFIED.fullmatch(protocol):
        yield invalid_value(f"{here}.appProtocol", protocol, "must be a qualified name")


def _policies(spec: JsonObject) -> Iterator[Cause]:
    affinity = spec.get("sessionAffinity")
    if affinity not in ("None", "ClientIP"):
        yield unsupported("spec.sessionAffinity", affinity, ["ClientIP", "None"])
    internal = spec.get("internalTrafficPolicy")
    if internal not in (None, "Cluster", "Local"):
        yield unsupported("spec.internalTrafficPolicy", internal, ["Cluster", "Local"])
    external = spec.get("externalTrafficPolicy")
    if external and spec.get("type") not in ("NodePort", "LoadBalancer"):
        yield invalid_value(
            "spec.externalTrafficPolicy",
            external,
            "may only be set for externally-accessible services",
        )


def _cluster_address(spec: JsonObject) -> Iterator[Cause]:
    address = spec.get("clusterIP")
    if address and not spec.get("clusterIPs"):
        yield required("spec.clusterIPs")
    elif address == "None" and spec.get("type") in ("NodePort", "LoadBalancer"):
        yield invalid_value(
            "spec.clusterIPs[0]", address, f"may not be set to 'None' for {spec['type']} services"
        )


def no_address(obj: JsonObject) -> Iterator[Cause]:
    """Yield the cluster address of a Service that is none: it is looked at before all else."""
    spec = obj["spec"]
    for address in (spec.get("clusterIPs") or [])[:1]:
        if spec.get("type") != "ExternalName" and address != "None" and ip_of(address) is None:
            yield invalid_value("spec.clusterIPs[0]", address, "must be a valid IP address")


def two_families(obj: JsonObject) -> Iterator[Cause]:
    """Yield what a Service wants of a second family, which nobody has addresses of.

    One without an address or pods of its own is not asked.
    """
    spec = obj["spec"]
    is_of_nobody = spec.get("clusterIP") == "None" and not spec.get("selector")
    if spec.get("type") == "ExternalName" or is_of_nobody:
        return
    policy, families = spec.get("ipFamilyPolicy"), spec.get("ipFamilies") or []
    if len(families) > 1 and policy not in ("PreferDualStack", "RequireDualStack"):
        rule = "must be 'RequireDualStack' or 'PreferDualStack' when multiple IP families are given"
        yield invalid_value("spec.ipFamilyPolicy", policy, rule)
        return
    if policy == "RequireDualStack":
        rule = "this cluster is not configured for dual-stack services"
        yield invalid_value("spec.ipFamilyPolicy", policy, rule)
    for index, family in enumerate(families):
        if family != "IPv4":
            yield invalid_value(
                f"spec.ipFamilies[{index}]", family, "not configured on this cluster"
            )


BEFORE_ALL = (no_address, two_families)
"""What a server looks at, one after the other, before the rest of a Service."""


def service_changed(new: JsonObject, old: JsonObject) -> Iterator[Cause]:
    """Yield what may not change of a Service."""
    address, before = new["spec"].get("clusterIP"), old["spec"].get("clusterIP")
    types = new["spec"].get("type"), old["spec"].get("type")
    if before and address != before and "ExternalName" not in types:
        yield invalid_value("spec.clusterIPs[0]", [address], "may not change once set")
    balancer = at(new, "status", "loadBalancer") or {}
    is_written = balancer != at(old, "status", "loadBalancer")
    if is_written and balancer.get("ingress") and new["spec"].get("type") != "LoadBalancer":
        yield forbidden_field(
            "status.loadBalancer.ingress", "may only be used when `spec.type` is 'LoadBalancer'"
        )


def ingress(obj: JsonObject) -> Iterator[Cause]:
    """Yield what is wrong with an Ingress."""
    spec = obj.get("spec") or {}
    default = spec.get("defaultBackend")
    if not spec.get("rules") and default is None:
        yield invalid_value("spec", spec, "either `defaultBackend` or `rules` must be specified")
    if default is not None:
        yield from _backend(default, "spec.defaultBackend")
    for index, rule in enumerate(spec.get("rules") or []):
        yield from _host(rule.get("host"), f"spec.rules[{index}].host")
        for place, path in enumerate(at(rule, "http", "paths") or []):
            yield from _ingress_path(path, f"spec.rules[{index}].http.paths[{place}]")
    for index, secured in enumerate(spec.get("tls") or []):
        for place, host in enumerate(secured.get("hosts") or []):
            yield from _host(host, f"spec.tls[{index}].hosts[{place}]")
    name = spec.get("ingressClassName")
    if name is not None:
        yield from subdomain("spec.ingressClassName", name)


def _host(host: str | None, path: str) -> Iterator[Cause]:
    if not host:
        return
    if ip_of(host) is not None:
        yield invalid_value(path, host, "must be a DNS name, not an IP address")
    elif not SUBDOMAIN.fullmatch(host.removeprefix("*.")):
        yield invalid_value(path, host, "must be a DNS name")


def _ingress_path(path: JsonObject, here: str) -> Iterator[Cause]:
    kind, text = path.get("pathType"), path.get("path", "")
    kinds = ["Exact", "ImplementationSpecific", "Prefix"]
    if kind is None:
        yield required(f"{here}.pathType", "pathType must be specified")
        return
    if kind not in kinds:
        yield unsupported(f"{here}.pathType", kind, kinds)
    elif not text.startswith("/") and (text or kind != "ImplementationSpecific"):
        yield invalid_value(f"{here}.path", text, "must be an absolute path")
    elif kind != "ImplementationSpecific":
        yield from _exact_text(text, f"{here}.path")
    yield from _backend(path.get("backend") or {}, f"{here}.backend")


def _exact_text(text: str, path: str) -> Iterator[Cause]:
    for sequence in _BAD_SEQUENCES:
        if sequence in text:
            yield invalid_value(path, text, f"must not contain '{sequence}'")
    for end in _BAD_ENDS:
        if text.endswith(end):
            yield invalid_value(path, text, f"cannot end with '{end}'")


def _backend(backend: JsonObject, here: str) -> Iterator[Cause]:
    service = backend.get("service")
    if service is None:
        if backend.get("resource") is None:
            yield invalid_value(here, "", "resource or service backend is required")
        return
    if service.get("name"):
        yield from label_name(f"{here}.service.name", service["name"])
    else:
        yield required(f"{here}.service.name")
    port = service.get("port") or {}
    if port.get("number") and port.get("name"):
        yield invalid_value(here, "", "cannot set both port name & port number")
    elif port.get("name"):
        yield from port_name(f"{here}.service.port.name", port["name"])
    elif port.get("number"):
        yield from port_number(f"{here}.service.port.number", port["number"])
    else:
        yield required(here, "port name or number is required")


def ingress_created(obj: JsonObject) -> Iterator[Cause]:
    """Yield what is wrong with an Ingress that is new."""
    annotation = at(obj, "metadata", "annotations", CLASS_ANNOTATION)
    field = at(obj, "spec", "ingressClassName")
    if annotation is not None and field is not None and annotation != field:
        yield invalid_value(
            f"annotations.{CLASS_ANNOTATION}",
            annotation,
            "must match `ingressClassName` when both are specified",
        )


def ingress_status(obj: JsonObject) -> Iterator[Cause]:
    """Yield what is wrong with the status of an Ingress."""
    for index, shown in enumerate(at(obj, "status", "loadBalancer", "ingress") or []):
        here = f"status.loadBalancer.ingress[{index}]"
        if shown.get("ip") and ip_of(shown["ip"]) is None:
            yield invalid_value(f"{here}.ip", shown["ip"], "must be a valid IP address")
        if shown.get("hostname"):
            yield from _host(shown["hostname"], f"{here}.hostname")


def service_status(obj: JsonObject) -> Iterator[Cause]:
    """Yield what is wrong with the status of a Service."""
    yield from ingress_status(obj)
    if obj["spec"].get("type") != "LoadBalancer":
        return
    for index, shown in enumerate(at(obj, "status", "loadBalancer", "ingress") or []):
        if shown.get("ip") and not shown.get("ipMode"):
            path = f"status.loadBalancer.ingress[{index}].ipMode"
            yield required(path, "must be specified when `ip` is set")


def endpoint_slice(obj: JsonObject) -> Iterator[Cause]:
    """Yield what is wrong with an EndpointSlice."""
    kinds = ["FQDN", "IPv4", "IPv6"]
    kind = obj.get("addressType")
    if not kind:
        yield required("addressType")
    elif kind not in kinds:
        yield unsupported("addressType", kind, kinds)
    for index, endpoint in enumerate(obj.get("endpoints") or []):
        addresses = endpoint.get("addresses") or []
        if not addresses:
            yield required(f"endpoints[{index}].addresses", "must contain at least 1 address")
        for place, address in enumerate(addresses):
            yield from _endpoint_address(kind, address, f"endpoints[{index}].addresses[{place}]")
    yield from _slice_ports(obj.get("ports") or [])


def _endpoint_address(kind: Any, address: str, path: str) -> Iterator[Cause]:
    ip = ip_of(address)
    if kind == "FQDN":
        yield from full_domain(path, address)
    elif kind in ("IPv4", "IPv6") and (ip is None or f"IPv{ip.version}" != kind):
        field = path if ip is None else path.rpartition("[")[0]
        yield invalid_value(field, address, f"must be an {kind} address")


def _slice_ports(ports: list[JsonObject]) -> Iterator[Cause]:
    names: set[str] = set()
    for index, port in enumerate(ports):
        name = port.get("name") or ""
        if name in names:
            yield duplicate(f"ports[{index}].name", name)
        names.add(name)


def loopback_causes(obj: JsonObject) -> Iterator[Cause]:
    """Yield the loopback addresses of an EndpointSlice; a real server refuses them."""
    if obj.get("addressType") not in ("IPv4", "IPv6"):
        return
    for index, endpoint in enumerate(obj.get("endpoints") or []):
        for place, address in enumerate(endpoint.get("addresses") or []):
            ip = ip_of(address)
            if ip is not None and ip.is_loopback:
                yield invalid_value(f"endpoints[{index}].addresses[{place}]", address, LOOPBACK)


def address_type_stays(new: JsonObject, old: JsonObject) -> Iterator[Cause]:
    """Yield another kind of addresses than before."""
    if new.get("addressType") != old.get("addressType"):
        yield invalid_value("addressType", new.get("addressType"), "field is immutable")
