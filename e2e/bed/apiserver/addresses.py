"""The cluster addresses and node ports that Services are given."""

from e2e.bed.apiserver.trees import JsonObject


class Addresses:
    """Hands out addresses of 10.96.0.0/16 and ports from 30000, never one twice."""

    def __init__(self) -> None:
        self._address = 10
        self._port = 30000

    def settle(self, obj: JsonObject, old: JsonObject | None) -> None:
        """Give a Service its addresses, or keep those it has; changes `obj`."""
        spec = obj["spec"]
        if spec.get("type") == "ExternalName":
            return
        before = (old or {}).get("spec") or {}
        self._cluster_address(spec, before, is_due=old is None or _was_external(before))
        if spec.get("type") in _EXTERNAL:
            self._node_ports(spec, before)
        checks = (spec.get("type"), spec.get("externalTrafficPolicy")) == ("LoadBalancer", "Local")
        if checks and not spec.get("healthCheckNodePort"):
            spec["healthCheckNodePort"] = before.get("healthCheckNodePort") or self._next_port()

    def pair(self, obj: JsonObject) -> None:
        """Write the one address as a list too, as all but a write to `status` does."""
        spec = obj["spec"]
        if spec.get("clusterIP") and spec.get("type") != "ExternalName":
            spec["clusterIPs"] = [spec["clusterIP"]]

    def keep(self, obj: JsonObject, old: JsonObject) -> None:
        """Put the addresses back that a write left out; changes `obj`."""
        spec, before = obj["spec"], old.get("spec") or {}
        _drop_dependent(spec, before)
        if spec.get("type") == "ExternalName" or not before.get("clusterIP"):
            return
        if not spec.get("clusterIP"):
            spec["clusterIP"] = before["clusterIP"]
        self._cluster_address(spec, before, is_due=False)
        if spec.get("type") in ("NodePort", "LoadBalancer"):
            self._known_ports(spec, before)

    def _cluster_address(self, spec: JsonObject, before: JsonObject, *, is_due: bool) -> None:
        if not spec.get("clusterIP"):
            address = before.get("clusterIP") or (self._next_address() if is_due else "")
            if address:
                spec["clusterIP"] = address
        if spec.get("clusterIP"):
            spec["clusterIPs"] = [spec["clusterIP"]]
        # Nobody's pods are asked of which family they are.
        is_of_nobody = spec.get("clusterIP") == "None" and not spec.get("selector")
        policy = before.get("ipFamilyPolicy", "SingleStack")
        if is_due:
            policy = "RequireDualStack" if is_of_nobody else "SingleStack"
        policy = spec.setdefault("ipFamilyPolicy", policy)
        if is_of_nobody and policy == "RequireDualStack":
            spec.setdefault("ipFamilies", ["IPv4", "IPv6"])
        elif policy != "RequireDualStack":
            spec.setdefault("ipFamilies", ["IPv4"])

    def _next_address(self) -> str:
        self._address += 1
        return f"10.96.{self._address >> 8 & 255}.{self._address & 255}"

    def _node_ports(self, spec: JsonObject, before: JsonObject) -> None:
        self._known_ports(spec, before)
        for port in spec.get("ports") or []:
            if not port.get("nodePort"):
                port["nodePort"] = self._next_port()

    def _known_ports(self, spec: JsonObject, before: JsonObject) -> None:
        had = {port.get("port"): port.get("nodePort") for port in before.get("ports") or []}
        for port in spec.get("ports") or []:
            if not port.get("nodePort") and had.get(port.get("port")):
                port["nodePort"] = had[port["port"]]

    def _next_port(self) -> int:
        self._port += 1
        return self._port


_EXTERNAL = ("NodePort", "LoadBalancer")
_OF_TYPES = {
    "externalTrafficPolicy": _EXTERNAL,
    "allocateLoadBalancerNodePorts": ("LoadBalancer",),
    "loadBalancerClass": ("LoadBalancer",),
    "healthCheckNodePort": ("LoadBalancer",),
}
"""The fields that only Services of some types have."""


def _was_external(before: JsonObject) -> bool:
    return before.get("type") == "ExternalName"


def _drop_dependent(spec: JsonObject, before: JsonObject) -> None:
    """Drop what belongs to a type that a Service has no more, where it was left as it was."""
    kind, was = spec.get("type"), before.get("type")
    for field, types in _OF_TYPES.items():
        is_left = field in spec and spec[field] == before.get(field)
        if is_left and was in types and kind not in types:
            del spec[field]
    if was not in _EXTERNAL or kind in _EXTERNAL:
        return
    had = {port.get("nodePort") for port in before.get("ports") or []}
    for port in spec.get("ports") or []:
        if port.get("nodePort") in had:
            port.pop("nodePort", None)
