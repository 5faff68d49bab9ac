"""Builds the manifests that scenarios apply: an application as its owner would write it."""

from collections.abc import Mapping
from typing import Any

Manifest = dict[str, Any]
CANARY = "nginx.ingress.kubernetes.io/canary"
PORT = 8080


def application(
    name: str = "myapp",
    *,
    namespace: str = "canary",
    image: str = "janakiramm/myapp:v1",
    host: str = "",
    replicas: int = 3,
    pod_annotations: Mapping[str, str] | None = None,
    **spec: Any,
) -> list[Manifest]:
    """Build Namespace, Deployment, Service and Ingress of one application.

    Args:
        name: Of the Deployment, the Service, the Ingress and the label `app`.
        namespace: Where they live.
        image: Its tag is the version that answers show.
        host: Of the Ingress; `NAME.example` by default.
        replicas: Of the Deployment.
        pod_annotations: Knobs of the pods, see `e2e.bed.container`.
        spec: Further fields of the Deployment's spec, such as `strategy`.
    """
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}},
        deployment(
            name,
            namespace=namespace,
            image=image,
            replicas=replicas,
            pod_annotations=pod_annotations,
            **spec,
        ),
        service(name, namespace=namespace),
        ingress(name, namespace=namespace, host=host or f"{name}.example"),
    ]


def deployment(
    name: str = "myapp",
    *,
    namespace: str = "canary",
    image: str = "janakiramm/myapp:v1",
    replicas: int = 3,
    labels: Mapping[str, str] | None = None,
    pod_annotations: Mapping[str, str] | None = None,
    **spec: Any,
) -> Manifest:
    """Build a Deployment of one container `NAME-container` with a readiness probe."""
    labels = dict(labels or {"app": name})
    container = {
        "name": f"{name}-container",
        "image": image,
        "ports": [{"containerPort": PORT}],
        "readinessProbe": {"httpGet": {"path": "/healthz", "port": PORT}, "periodSeconds": 1},
    }
    metadata: Manifest = {"labels": labels}
    if pod_annotations:
        metadata["annotations"] = dict(pod_annotations)
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            **spec,
            "template": {"metadata": metadata, "spec": {"containers": [container]}},
        },
    }


def service(
    name: str = "myapp",
    *,
    namespace: str = "canary",
    selector: Mapping[str, str] | None = None,
    labels: Mapping[str, str] | None = None,
) -> Manifest:
    """Build a Service with one unnamed port 80."""
    selector = dict(selector or {"app": name})
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace, "labels": dict(labels or selector)},
        "spec": {"selector": selector, "ports": [{"port": 80, "targetPort": PORT}]},
    }


def ingress(
    name: str = "myapp",
    *,
    namespace: str = "canary",
    host: str = "myapp.example",
    backend: str = "",
    annotations: Mapping[str, str] | None = None,
) -> Manifest:
    """Build an Ingress of class nginx that sends `/` of a host to a Service."""
    metadata: Manifest = {"name": name, "namespace": namespace}
    if annotations:
        metadata["annotations"] = dict(annotations)
    target = {"service": {"name": backend or name, "port": {"number": 80}}}
    path = {"path": "/", "pathType": "Prefix", "backend": target}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": metadata,
        "spec": {
            "ingressClassName": "nginx",
            "rules": [{"host": host, "http": {"paths": [path]}}],
        },
    }


def canary_annotations(*, weight: int = 0, **doors: str) -> dict[str, str]:
    """Build a canary Ingress's annotations; doors: header, header_value, header_pattern, cookie."""
    written = {f"{CANARY}-by-{name.replace('_', '-')}": value for name, value in doors.items()}
    return {CANARY: "true", f"{CANARY}-weight": str(weight), **written}


def ingress_class() -> Manifest:
    """Build the class `nginx`, served by whoever speaks ingress-nginx."""
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "IngressClass",
        "metadata": {"name": "nginx"},
        "spec": {"controller": "k8s.io/ingress-nginx"},
    }
