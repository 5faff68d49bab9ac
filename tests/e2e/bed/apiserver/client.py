"""A plain HTTP client and good objects for the conformance cases."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

ROOTS = {
    "configmaps": "/api/v1",
    "deployments": "/apis/apps/v1",
    "endpointslices": "/apis/discovery.k8s.io/v1",
    "events": "/api/v1",
    "horizontalpodautoscalers": "/apis/autoscaling/v2",
    "ingressclasses": "/apis/networking.k8s.io/v1",
    "ingresses": "/apis/networking.k8s.io/v1",
    "leases": "/apis/coordination.k8s.io/v1",
    "namespaces": "/api/v1",
    "poddisruptionbudgets": "/apis/policy/v1",
    "pods": "/api/v1",
    "replicasets": "/apis/apps/v1",
    "secrets": "/api/v1",
    "serviceaccounts": "/api/v1",
    "services": "/api/v1",
}
CLUSTER_WIDE = ("ingressclasses", "namespaces")
PATCHES = {
    "apply": "application/apply-patch+yaml",
    "json": "application/json-patch+json",
    "merge": "application/merge-patch+json",
    "strategic": "application/strategic-merge-patch+json",
}

Json = dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Api:
    """The verbs on one namespace; every answer is the raw response."""

    http: httpx.Client
    namespace: str

    def path(self, plural: str, name: str = "", part: str = "") -> str:
        scope = "" if plural in CLUSTER_WIDE else f"/namespaces/{self.namespace}"
        return "/".join(filter(None, (f"{ROOTS[plural]}{scope}/{plural}", name, part)))

    def create(self, plural: str, obj: Json, **query: str) -> httpx.Response:
        return self.http.post(self.path(plural), json=obj, params=query)

    def made(self, plural: str, obj: Json) -> Json:
        return ok(self.create(plural, obj))

    def get(self, plural: str, name: str = "", part: str = "", **query: str) -> httpx.Response:
        return self.http.get(self.path(plural, name, part), params=query)

    def read(self, plural: str, name: str) -> Json:
        return ok(self.get(plural, name))

    def put(self, plural: str, obj: Json, part: str = "", **query: str) -> httpx.Response:
        path = self.path(plural, obj["metadata"]["name"], part)
        return self.http.put(path, json=obj, params=query)

    def patch(
        self, plural: str, name: str, patch: Any, sort: str = "merge", part: str = "", **query: str
    ) -> httpx.Response:
        return self.http.patch(
            self.path(plural, name, part),
            content=json.dumps(patch),
            headers={"Content-Type": PATCHES[sort]},
            params=query,
        )

    def apply(self, plural: str, obj: Json, manager: str = "m", **query: str) -> httpx.Response:
        name = obj["metadata"]["name"]
        return self.patch(plural, name, obj, "apply", fieldManager=manager, **query)

    def delete(self, plural: str, name: str, options: Json | None = None) -> httpx.Response:
        return self.http.request("DELETE", self.path(plural, name), json=options or {})

    def gone(self, plural: str, name: str) -> bool:
        """Poll until an object is gone; what a namespace holds goes before it does."""
        return bool(eventually(lambda: self.get(plural, name).status_code == 404))

    @contextmanager
    def watch(self, plural: str, **query: str) -> Iterator["Events"]:
        """Open a watch; `next()` on the result is the next event."""
        params = {"watch": "true", "timeoutSeconds": "5", **query}
        with self.http.stream("GET", self.path(plural), params=params) as response:
            yield Events(response)


class Events:
    """The events of one watch."""

    def __init__(self, response: httpx.Response) -> None:
        self.status = response.status_code
        self._lines = response.iter_lines()

    def next(self) -> tuple[str, Json]:
        return next(iter(self))

    def __iter__(self) -> Iterator[tuple[str, Json]]:
        for line in self._lines:
            event = json.loads(line)
            yield event["type"], event["object"]

    def named(self) -> tuple[str, str]:
        event_type, obj = self.next()
        return event_type, obj["metadata"]["name"]


def ok(response: httpx.Response) -> Json:
    assert response.is_success, f"{response.status_code} {response.text}"
    body: Json = response.json()
    return body


def refusal(response: httpx.Response) -> tuple[int, str]:
    body = response.json()
    assert body["kind"] == "Status"
    assert body["code"] == response.status_code
    return response.status_code, body.get("reason", "")


def version(obj: Json) -> int:
    return int(obj["metadata"]["resourceVersion"])


def eventually(question: Any, seconds: float = 90.0) -> Any:
    """Ask until the answer is true, at most this long; return the last answer."""
    deadline = time.monotonic() + seconds
    while not (answer := question()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return answer


def meta(name: str, **more: Any) -> Json:
    return {"name": name, **more}


def config_map(name: str = "a", data: Json | None = None, **more: Any) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": meta(name, **more),
        "data": {"k": "v"} if data is None else data,
    }


def deployment(name: str = "web", **more: Any) -> Json:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": meta(name, **more),
        "spec": {"selector": {"matchLabels": {"app": name}}, "template": template(name)},
    }


def template(app: str, image: str = "web:1") -> Json:
    ports = [{"containerPort": 8080}]
    container = {"name": "web", "image": image, "ports": ports}
    return {"metadata": {"labels": {"app": app}}, "spec": {"containers": [container]}}


def service(name: str = "web", **more: Any) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": meta(name, **more),
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]},
    }


def ingress(name: str = "web", **more: Any) -> Json:
    backend = {"service": {"name": "web", "port": {"number": 80}}}
    path = {"path": "/", "pathType": "Prefix", "backend": backend}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": meta(name, **more),
        "spec": {"rules": [{"host": "a.example", "http": {"paths": [path]}}]},
    }


def endpoint_slice(name: str = "web-1", address: str = "10.1.2.3", **more: Any) -> Json:
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": meta(name, **more),
        "addressType": "IPv4",
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
        "ports": [{"port": 8080}],
    }


def lease(name: str = "l") -> Json:
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": meta(name),
        "spec": {"holderIdentity": "me", "leaseDurationSeconds": 15},
    }


def budget(name: str = "web") -> Json:
    selector = {"matchLabels": {"app": "web"}}
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": meta(name),
        "spec": {"maxUnavailable": 1, "selector": selector},
    }


def pod(name: str = "p", **more: Any) -> Json:
    spec = {"containers": [{"name": "c", "image": "web:1"}]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta(name, **more), "spec": spec}


def autoscaler(name: str = "web") -> Json:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": meta(name),
        "spec": {"scaleTargetRef": target, "maxReplicas": 3},
    }


def event(name: str = "e", namespace: str = "") -> Json:
    about = {"apiVersion": "v1", "kind": "Service", "name": "web", "namespace": namespace}
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": meta(name),
        "involvedObject": about,
        "reason": "Tested",
        "message": "hello",
        "type": "Normal",
        "count": 1,
        "firstTimestamp": "2026-01-01T00:00:00Z",
        "lastTimestamp": "2026-01-01T00:00:00Z",
        "source": {"component": "tests"},
    }


def with_spec(obj: Json, **spec: Any) -> Json:
    return {**obj, "spec": {**obj["spec"], **spec}}


def owned_by(owner: Json, **more: Any) -> Json:
    reference = {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        **more,
    }
    return {"ownerReferences": [reference]}
