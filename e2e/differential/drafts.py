"""Random objects of the kinds that the project uses: mostly good, some with a mistake."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]
Fields = Callable[[random.Random], Json]

WRONG = 0.06
"""How often a value is drawn from those that are refused."""


def either(rng: random.Random, good: Sequence[Any], bad: Sequence[Any] = ()) -> Any:
    """Draw a good value, or now and then a bad one."""
    return rng.choice(bad if bad and rng.random() < WRONG else good)


def some(rng: random.Random, share: float, **fields: Callable[[], Any]) -> Json:
    """Draw each field with this probability."""
    return {name: make() for name, make in fields.items() if rng.random() < share}


@dataclass(frozen=True, kw_only=True, slots=True)
class Drawn:
    """A kind that operations are drawn for.

    Attributes:
        fields: Draws everything of an object but its metadata.
        status: Draws a status; `None` for a kind without that subresource.
        weight: How often the kind is drawn beside the others.
    """

    root: str
    plural: str
    kind: str
    fields: Fields
    status: Fields | None = None
    scales: bool = False
    weight: int = 2

    @property
    def api_version(self) -> str:
        """Answer the `apiVersion` of its objects."""
        return self.root.removeprefix("/apis/").removeprefix("/api/")


def metadata(rng: random.Random, name: str) -> Json:
    """Draw metadata."""
    more = some(
        rng,
        0.35,
        labels=lambda: labels(rng),
        annotations=lambda: {either(rng, ["k1", "k2", "x.io/a"], ["a b"]): rng.choice(["v", ""])},
    )
    if rng.random() < 0.08:
        more["finalizers"] = [either(rng, ["x.io/a", "x.io/b"], ["bare"])]
    return {"name": name, **more}


def labels(rng: random.Random) -> Json:
    """Draw one or two labels."""
    keys = rng.sample(["app", "tier", "x.io/side"], rng.randint(1, 2))
    return {key: either(rng, ["x", "y", ""], ["not good!", 7]) for key in keys}


def config_map(rng: random.Random) -> Json:
    """Draw a ConfigMap."""
    keys = rng.sample("abc", rng.randint(0, 2))
    data = {either(rng, [key], ["no/slash"]): either(rng, ["1", "2", ""], [3]) for key in keys}
    return {"data": data, **some(rng, 0.03, immutable=lambda: True)}


def ingress(rng: random.Random) -> Json:
    """Draw an Ingress."""
    spec: Json = {
        "rules": [_rule(rng) for _ in range(either(rng, [1, 1, 2], [0]))],
        **some(
            rng,
            0.4,
            ingressClassName=lambda: either(rng, ["nginx", "other"], ["Not Good"]),
            tls=lambda: [{"hosts": ["a.example"], "secretName": "s"}],
            defaultBackend=lambda: _backend(rng),
        ),
    }
    return {"spec": spec}


def _rule(rng: random.Random) -> Json:
    paths = [
        {
            "path": either(rng, ["/", "/a", "/a/b"], ["x", "", "/a//b", "/../a"]),
            "pathType": either(rng, ["Prefix", "Exact", "ImplementationSpecific"], ["Bad", None]),
            "backend": _backend(rng),
        }
        for _ in range(rng.randint(1, 2))
    ]
    host = either(rng, ["a.example", "b.example", "*.example", ""], ["Not.Good", "127.0.0.1"])
    return {"host": host, "http": {"paths": paths}}


def _backend(rng: random.Random) -> Json:
    port = either(
        rng,
        [{"number": 80}, {"name": "http"}],
        [{}, {"number": 80, "name": "http"}, {"number": 0}, {"number": 70000}, {"name": "NO"}],
    )
    return {"service": {"name": either(rng, ["s1", "s2"], ["", "S_1"]), "port": port}}


def ingress_status(rng: random.Random) -> Json:
    """Draw the status of an Ingress."""
    shown = [{"ip": either(rng, ["1.2.3.4", "1.2.3.5"], ["no"])}, {"hostname": "a.example"}]
    return {"loadBalancer": {"ingress": rng.sample(shown, rng.randint(0, 2))}}


def service(rng: random.Random) -> Json:
    """Draw a Service."""
    spec: Json = {
        "ports": _service_ports(rng),
        "selector": {"app": rng.choice("xy")},
        **some(
            rng,
            0.2,
            type=lambda: either(rng, ["ClusterIP", "NodePort", "LoadBalancer"], ["Bad"]),
            sessionAffinity=lambda: either(rng, ["None", "ClientIP"], ["Bad"]),
            publishNotReadyAddresses=lambda: rng.choice([True, False]),
            internalTrafficPolicy=lambda: either(rng, ["Cluster", "Local"], ["Bad"]),
        ),
        **some(
            rng,
            0.06,
            clusterIP=lambda: either(rng, ["None"], ["bad"]),
            externalName=lambda: "a.example",
            externalTrafficPolicy=lambda: rng.choice(["Cluster", "Local"]),
        ),
    }
    return {"spec": spec}


def _service_ports(rng: random.Random) -> list[Json]:
    chosen = rng.sample([("a", 80), ("b", 81), ("c", 82)], either(rng, [1, 2], [0]))
    return [
        {
            "name": either(rng, [name], ["Bad_Name"]),
            "port": either(rng, [port], [0, 70000, 80]),
            **some(
                rng,
                0.5,
                targetPort=lambda: either(rng, [8080, "http"], [0, "NOT_GOOD", "9"]),
                protocol=lambda: either(rng, ["TCP", "UDP"], ["Bad"]),
                appProtocol=lambda: "http",
            ),
        }
        for name, port in chosen
    ]


def service_status(rng: random.Random) -> Json:
    """Draw the status of a Service, with conditions as we write them."""
    return {
        **some(rng, 0.3, loadBalancer=lambda: {"ingress": [{"ip": rng.choice(["1.2.3.4"])}]}),
        "conditions": conditions(rng),
    }


def conditions(rng: random.Random) -> list[Json]:
    """Draw conditions of our types."""
    kinds = rng.sample(["x.io/Ready", "x.io/Progressing"], rng.randint(0, 2))
    return [
        {
            "type": kind,
            "status": either(rng, ["True", "False"], ["Perhaps", None]),
            "reason": either(rng, ["Because", "Other"], ["", "Not good"]),
            "message": rng.choice(["", "so it is"]),
            "lastTransitionTime": either(rng, ["2026-01-01T00:00:00Z"], [None, "yesterday"]),
            **some(rng, 0.2, observedGeneration=lambda: either(rng, [1], [-1])),
        }
        for kind in kinds
    ]


def deployment(rng: random.Random) -> Json:
    """Draw a Deployment."""
    app = rng.choice("xy") if rng.random() < 0.1 else "x"
    spec = {
        "selector": {"matchLabels": {"app": app}},
        "template": pod_template(rng),
        **some(
            rng,
            0.25,
            replicas=lambda: either(rng, [0, 1, 3], [-1, "two"]),
            paused=lambda: rng.choice([True, False]),
            minReadySeconds=lambda: either(rng, [0, 5], [-1, 900]),
            revisionHistoryLimit=lambda: either(rng, [0, 3], [-1]),
            progressDeadlineSeconds=lambda: either(rng, [60, 600], [0, -1]),
            strategy=lambda: _strategy(rng),
        ),
    }
    return {"spec": spec}


def _strategy(rng: random.Random) -> Json:
    share = ["25%", "0%", 0, 1, "100%"], [-1, "a", "5", "101%"]
    rolling = some(
        rng,
        0.7,
        maxSurge=lambda: either(rng, *share),
        maxUnavailable=lambda: either(rng, *share),
    )
    kind = either(rng, ["RollingUpdate", "RollingUpdate", "Recreate"], ["Bad"])
    takes = kind != "Recreate" or rng.random() < WRONG
    return {"type": kind, **({"rollingUpdate": rolling} if takes else {})}


def pod_template(rng: random.Random) -> Json:
    """Draw a pod template."""
    containers = [_container(rng, name) for name in ["web", "side"][: rng.choice([1, 1, 2])]]
    spec: Json = {
        "containers": containers,
        **some(
            rng,
            0.15,
            terminationGracePeriodSeconds=lambda: either(rng, [0, 10], [-1]),
            serviceAccountName=lambda: either(rng, ["robot"], ["Not Good"]),
            nodeSelector=lambda: {"disk": rng.choice(["ssd", "hdd"])},
            volumes=lambda: [{"name": "v", "configMap": {"name": "n1"}}, {"name": "e"}],
        ),
        **some(rng, 0.03, restartPolicy=lambda: rng.choice(["Never", "Bad"])),
    }
    return {"metadata": {"labels": {"app": "x", **some(rng, 0.2, tier=lambda: "y")}}, "spec": spec}


def _container(rng: random.Random, name: str) -> Json:
    return {
        "name": either(rng, [name], ["Not Good", "", "web"]),
        "image": either(rng, ["web:1", "web:2", "web", "reg/web:latest"], ["", " web"]),
        **some(
            rng,
            0.3,
            ports=lambda: [{"containerPort": either(rng, [80, 8080], [0, 70000])}],
            env=lambda: _environment(rng),
            readinessProbe=lambda: _probe(rng),
            resources=lambda: _resources(rng),
            lifecycle=lambda: {"preStop": {"sleep": {"seconds": either(rng, [1, 5], [-1])}}},
        ),
    }


def _environment(rng: random.Random) -> list[Json]:
    by_field = {"name": "B", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}
    return rng.sample([{"name": "A", "value": rng.choice(["1", "2", ""])}, by_field], 1)


def _probe(rng: random.Random) -> Json:
    port = either(rng, [8080, "http"], [0])
    action = rng.choice([{"httpGet": {"port": port}}, {"tcpSocket": {"port": port}}])
    return {**action, **some(rng, 0.4, periodSeconds=lambda: either(rng, [1, 0], [-1]))}


def _resources(rng: random.Random) -> Json:
    amounts = ["1", "500m", "0.5", 1, "1000m"]
    return some(
        rng,
        0.6,
        limits=lambda: {"cpu": either(rng, amounts, ["x", "-1"])},
        requests=lambda: {"cpu": rng.choice(["100m", "0.1"]), "memory": rng.choice(["1Gi", "64M"])},
    )


def workload_status(rng: random.Random) -> Json:
    """Draw the status of a Deployment or a ReplicaSet."""
    counts = some(
        rng,
        0.5,
        readyReplicas=lambda: either(rng, [0, 1, 2], [-1]),
        availableReplicas=lambda: either(rng, [0, 1], [5]),
        observedGeneration=lambda: either(rng, [1, 2], [-1]),
    )
    return {"replicas": either(rng, [0, 1, 3], [-1]), **counts}


def replica_set(rng: random.Random) -> Json:
    """Draw a ReplicaSet."""
    spec = {
        "selector": {"matchLabels": {"app": "x"}},
        "template": pod_template(rng),
        **some(rng, 0.3, replicas=lambda: either(rng, [0, 1, 3], [-1])),
    }
    return {"spec": spec}


def endpoint_slice(rng: random.Random) -> Json:
    """Draw an EndpointSlice."""
    return {
        "addressType": either(rng, ["IPv4"], ["IPv6", "Bad", "", "FQDN"]),
        "endpoints": [_endpoint(rng, number) for number in range(rng.randint(0, 2))],
        "ports": [
            {"port": either(rng, [8080, 8081], [0, 70000]), **some(rng, 0.3, name=lambda: "http")}
            for _ in range(rng.choice([0, 1, 1, 1]))
        ],
    }


def _endpoint(rng: random.Random, number: int) -> Json:
    states = some(
        rng,
        0.6,
        ready=lambda: rng.choice([True, False]),
        serving=lambda: rng.choice([True, False]),
        terminating=lambda: rng.choice([True, False]),
    )
    return {
        "addresses": either(rng, [[f"10.1.2.{number + 3}"]], [[], ["127.0.0.1"], ["no"], ["::1"]]),
        "conditions": states,
        **some(
            rng,
            0.3,
            nodeName=lambda: "n1",
            targetRef=lambda: {"kind": "Pod", "name": "p", "namespace": "x"},
        ),
    }


def budget(rng: random.Random) -> Json:
    """Draw a PodDisruptionBudget."""
    spec: Json = {"selector": {"matchLabels": {"app": rng.choice("xy")}}}
    field = rng.choice(["maxUnavailable", "minAvailable"])
    spec[field] = either(rng, [0, 1, "50%"], [-1, "x", "150%"])
    if rng.random() < WRONG:
        spec["minAvailable"], spec["maxUnavailable"] = 1, 1
    return {"spec": spec}


def budget_status(rng: random.Random) -> Json:
    """Draw the status of a PodDisruptionBudget."""
    counts = {"currentHealthy": 1, "desiredHealthy": 1, "expectedPods": 2, "disruptionsAllowed": 0}
    changed = {name: either(rng, [count, 3], [-1]) for name, count in counts.items()}
    return {**changed, **some(rng, 0.3, conditions=lambda: conditions(rng))}


def autoscaler(rng: random.Random) -> Json:
    """Draw a HorizontalPodAutoscaler."""
    target = {"apiVersion": "apps/v1", "kind": either(rng, ["Deployment"], [""]), "name": "n1"}
    spec = {
        "scaleTargetRef": target,
        "maxReplicas": either(rng, [3, 5], [0, -1]),
        **some(rng, 0.4, minReplicas=lambda: either(rng, [1, 2], [-1, 9])),
    }
    return {"spec": spec}


def lease(rng: random.Random) -> Json:
    """Draw a Lease."""
    spec = some(
        rng,
        0.6,
        holderIdentity=lambda: rng.choice(["a", "b"]),
        leaseDurationSeconds=lambda: either(rng, [15, 30], [0, -1]),
        leaseTransitions=lambda: either(rng, [0, 1], [-1]),
        renewTime=lambda: either(
            rng, ["2026-01-01T00:00:00.000000Z"], ["2026-01-01T00:00:00Z", "today"]
        ),
    )
    return {"spec": spec}


def secret(rng: random.Random) -> Json:
    """Draw a Secret."""
    return {
        **some(
            rng,
            0.6,
            data=lambda: {either(rng, ["a"], ["no/slash"]): either(rng, ["MQ==", ""], ["%%"])},
            stringData=lambda: {"b": rng.choice(["1", "2"])},
        ),
        **some(rng, 0.2, type=lambda: rng.choice(["Opaque", "x.io/own"])),
    }


def service_account(rng: random.Random) -> Json:
    """Draw a ServiceAccount."""
    return some(
        rng,
        0.5,
        automountServiceAccountToken=lambda: rng.choice([True, False]),
        imagePullSecrets=lambda: [{"name": rng.choice("ab")}],
    )


APPS, CORE = "/apis/apps/v1", "/api/v1"
KINDS: tuple[Drawn, ...] = (
    Drawn(root=CORE, plural="configmaps", kind="ConfigMap", fields=config_map, weight=3),
    Drawn(
        root=CORE,
        plural="services",
        kind="Service",
        fields=service,
        status=service_status,
        weight=5,
    ),
    Drawn(
        root="/apis/networking.k8s.io/v1",
        plural="ingresses",
        kind="Ingress",
        fields=ingress,
        status=ingress_status,
        weight=5,
    ),
    Drawn(
        root=APPS,
        plural="deployments",
        kind="Deployment",
        fields=deployment,
        status=workload_status,
        scales=True,
        weight=5,
    ),
    Drawn(
        root=APPS,
        plural="replicasets",
        kind="ReplicaSet",
        fields=replica_set,
        status=workload_status,
        scales=True,
        weight=1,
    ),
    Drawn(
        root="/apis/discovery.k8s.io/v1",
        plural="endpointslices",
        kind="EndpointSlice",
        fields=endpoint_slice,
    ),
    Drawn(
        root="/apis/policy/v1",
        plural="poddisruptionbudgets",
        kind="PodDisruptionBudget",
        fields=budget,
        status=budget_status,
    ),
    Drawn(
        root="/apis/autoscaling/v2",
        plural="horizontalpodautoscalers",
        kind="HorizontalPodAutoscaler",
        fields=autoscaler,
        weight=1,
    ),
    Drawn(
        root="/apis/coordination.k8s.io/v1", plural="leases", kind="Lease", fields=lease, weight=1
    ),
    Drawn(root=CORE, plural="secrets", kind="Secret", fields=secret, weight=1),
    Drawn(
        root=CORE,
        plural="serviceaccounts",
        kind="ServiceAccount",
        fields=service_account,
        weight=1,
    ),
)
ROOTS: Mapping[str, str] = {drawn.plural: drawn.root for drawn in KINDS}
