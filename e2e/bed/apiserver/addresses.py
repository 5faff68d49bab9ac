"""The cluster addresses and node ports that Services are given."""

from e2e.bed.apiserver.errors import immutable, invalid
from e2e.bed.apiserver.kinds import Kind
from e2e.bed.apiserver.trees import JsonObject


class Addresses:
    """Hands out addresses of 10.96.0.0/16 and ports from 30000, never one twice."""

    def __init__(self) -> None:
        self._address = 10
        self._port = 30000

    def settle(self, kind: Kind, obj: JsonObject, old: JsonObject | None) -> None:
        """Give a Service its addresses, or keep those it has; changes `obj`.

        Raises:
            ApiError: 422, the address of a ClusterIP Service may not change.
        """
        spec = obj["spec"]
        if spec.get("type") == "ExternalName":
            return
        before = (old or {}).get("spec") or {}
        self._cluster_address(spec, before)
        if before.get("clusterIP") and spec["clusterIP"] != before["clusterIP"]:
            cause = immutable("spec.clusterIPs[0]", spec["clusterIP"])
            raise invalid(kind, obj["metadata"]["name"], [cause])
        if spec.get("type") in ("NodePort", "LoadBalancer"):
            self._node_ports(spec, before)

    def _cluster_address(self, spec: JsonObject, before: JsonObject) -> None:
        if not spec.get("clusterIP"):
            spec["clusterIP"] = before.get("clusterIP") or self._next_address()
        spec["clusterIPs"] = [spec["clusterIP"]]
        spec.setdefault("ipFamilies", ["IPv4"])
        spec.setdefault("ipFamilyPolicy", "SingleStack")

    def _next_address(self) -> str:
        self._address += 1
        return f"10.96.{self._address >> 8 & 255}.{self._address & 255}"

    def _node_ports(self, spec: JsonObject, before: JsonObject) -> None:
        had = {port.get("port"): port.get("nodePort") for port in before.get("ports") or []}
        for port in spec.get("ports") or []:
            if not port.get("nodePort"):
                port["nodePort"] = had.get(port.get("port")) or self._next_port()

    def _next_port(self) -> int:
        self._port += 1
        return self._port
