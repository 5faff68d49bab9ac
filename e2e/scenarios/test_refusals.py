"""What cannot be served is refused by name, touches nothing, and mends itself with its cause."""

# ruff: noqa: D103 - a test's name is its docstring

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from controller.api import names
from e2e.bed import manifests
from e2e.bed.manifests import Manifest
from e2e.scenarios.application import NAME, App
from e2e.scenarios.side_by_side import scenario

NGINX = "nginx.ingress.kubernetes.io"
REVISION = "deployment.kubernetes.io/revision"
Deed = Callable[[App], Awaitable[object]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """A situation that is refused.

    Attributes:
        reason: Of the condition.
        cause: Brings it about, before the enrolment.
        cure: Ends it.
        says: What the message has to name.
    """

    reason: str
    cause: Deed
    cure: Deed
    says: str = ""


def applying(*build: Callable[[App], Manifest]) -> Deed:
    """Apply manifests."""

    async def deed(app: App) -> None:
        await app.api.apply([one(app) for one in build])

    return deed


def typing(*lines: str) -> Deed:
    """Type kubectl commands."""

    async def deed(app: App) -> None:
        for line in lines:
            await app.kubectl(line)

    return deed


def main_ingress(app: App, **annotations: str) -> Manifest:
    return manifests.ingress(NAME, namespace=app.namespace, host=app.host, annotations=annotations)


def changed_ingress(app: App, path: Mapping[str, Any]) -> Manifest:
    """Build the main Ingress with another path entry."""
    ingress = main_ingress(app)
    ingress["spec"]["rules"][0]["http"]["paths"][0].update(path)
    return ingress


def with_class(app: App, name: str) -> Manifest:
    ingress = main_ingress(app)
    ingress["spec"]["ingressClassName"] = name
    return ingress


def with_bare_rule(app: App) -> Manifest:
    ingress = main_ingress(app)
    ingress["spec"]["rules"].append({"host": f"bare-{app.host}"})
    return ingress


def rival(app: App, host: str = "", backend: str = NAME, *, canary: bool = True) -> Manifest:
    """Build an Ingress of somebody else's."""
    annotations = manifests.canary_annotations(weight=1) if canary else {}
    return manifests.ingress(
        "rival",
        namespace=app.namespace,
        host=host or app.host,
        backend=backend,
        annotations=annotations,
    )


def longer(app: App) -> Manifest:
    ingress = rival(app, backend="other", canary=False)
    ingress["spec"]["rules"][0]["http"]["paths"][0]["path"] = "/api"
    return ingress


def second(app: App) -> Manifest:
    return manifests.deployment(
        "second", namespace=app.namespace, replicas=1, labels={"app": NAME, "tier": "b"}
    )


def lone_pod(app: App) -> Manifest:
    """Build a pod behind the Service that no Deployment made."""
    template = manifests.deployment(NAME)["spec"]["template"]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "lone", "namespace": app.namespace, "labels": {"app": NAME}},
        "spec": template["spec"],
    }


def serving(name: str, build: Callable[[App], Manifest]) -> Deed:
    """Apply what makes a pod of this name, and wait until it is behind the Service."""

    async def deed(app: App) -> None:
        await app.api.apply(build(app))

        async def is_behind() -> bool:
            endpoints = [
                endpoint
                for one in await app.api.list("endpointslices")
                for endpoint in one.get("endpoints") or ()
            ]
            return any(
                endpoint["targetRef"]["name"].startswith(name)
                and endpoint["conditions"].get("ready")
                for endpoint in endpoints
            )

        await app.comes_true(f"{name} is behind the Service", is_behind)

    return deed


def service(app: App, **spec: Any) -> Manifest:
    written = manifests.service(NAME, namespace=app.namespace)
    written["spec"] = {**written["spec"], **spec}
    return written


def recreated(**spec: Any) -> Deed:
    """Delete the Service and create it anew, enrolled if it was, with other fields."""

    async def deed(app: App) -> None:
        labels = (await app.get("services"))["metadata"].get("labels", {})
        await app.kubectl(f"delete service {NAME}")
        written = service(app, **spec)
        written["spec"] = {k: v for k, v in written["spec"].items() if v is not None}
        written["metadata"]["labels"] = labels
        await app.api.apply(written)

    return deed


async def is_owned(app: App) -> None:
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "owner"}}
    await app.api.apply(owner)
    uid = (await app.get("configmaps", "owner"))["metadata"]["uid"]
    entry = {**{k: v for k, v in owner.items() if k != "metadata"}, "name": "owner", "uid": uid}
    change = {"metadata": {"ownerReferences": [{**entry, "controller": True}]}}
    await app.api.patch("deployments", NAME, change)


async def is_free(app: App) -> None:
    await app.api.patch("deployments", NAME, {"metadata": {"ownerReferences": None}})


async def is_claimed(app: App) -> None:
    """Let another Service enrol the same Deployment first."""
    labels = {names.CANARY: names.ENABLED}
    other = manifests.service(
        "rival", namespace=app.namespace, selector={"app": NAME}, labels=labels
    )
    host = f"rival-{app.host}"
    await app.api.apply(other, manifests.ingress("rival", namespace=app.namespace, host=host))

    async def is_held() -> bool:
        labels = (await app.get("deployments"))["metadata"]["labels"]
        return bool(labels.get(names.HELD) == "rival")

    await app.comes_true("held by the other", is_held)


def taken(kind: str, api: str, **spec: Any) -> Deed:
    """Create an object under a name that would be ours."""

    async def deed(app: App) -> None:
        metadata = {"name": f"{NAME}-canary", "namespace": app.namespace}
        await app.api.apply({"apiVersion": api, "kind": kind, "metadata": metadata, "spec": spec})

    return deed


ROLLING = '{"spec":{"strategy":{"$retainKeys":["type"],"type":"RollingUpdate"}}}'
RECREATE = '{"spec":{"strategy":{"$retainKeys":["type"],"type":"Recreate"}}}'
MEND_INGRESS = applying(main_ingress)
NO_RIVAL = typing("delete ingress rival")


def marked(key: str, value: str) -> tuple[Deed, Deed]:
    """Set an annotation of the proxy on the main Ingress; answers that and its undoing."""
    return typing(f"annotate ingress {NAME} {NGINX}/{key}={value}"), typing(
        f"annotate ingress {NAME} {NGINX}/{key}-"
    )


def on_main(reason: str, key: str, value: str) -> Case:
    cause, cure = marked(key, value)
    return Case(reason=reason, cause=cause, cure=cure, says=f"{NGINX}/{key}")


SELECTOR = {"selector": {"matchLabels": {"app": "x"}}}
CASES: dict[str, Case] = {
    "no deployment": Case(
        reason="NoDeployment",
        cause=typing(f"delete deployment {NAME}"),
        cure=applying(lambda app: manifests.deployment(NAME, namespace=app.namespace, replicas=2)),
        says=NAME,
    ),
    "several deployments": Case(
        reason="SeveralDeployments",
        cause=serving("second", second),
        cure=typing("delete deployment second"),
        says="myapp, second",
    ),
    "foreign endpoints": Case(
        reason="ForeignEndpoints",
        cause=serving("lone", lone_pod),
        cure=typing("delete pod lone"),
        says="lone",
    ),
    "an owned deployment": Case(
        reason="DeploymentOwned", cause=is_owned, cure=is_free, says="ConfigMap owner"
    ),
    "a claimed deployment": Case(
        reason="DeploymentClaimed",
        cause=is_claimed,
        cure=typing(f"label service rival {names.CANARY}-"),
        says="rival",
    ),
    "a paused deployment": Case(
        reason="DeploymentPaused",
        cause=typing(f"rollout pause deployment {NAME}"),
        cure=typing(f"rollout resume deployment {NAME}"),
        says="kubectl rollout resume",
    ),
    "a rolling deployment": Case(
        reason="DeploymentRolling",
        cause=typing(f"set image deployment {NAME} {NAME}-container=janakiramm/myapp:bad"),
        cure=typing(f"set image deployment {NAME} {NAME}-container=janakiramm/myapp:v1"),
        says="not complete",
    ),
    "strategy Recreate": Case(
        reason="RecreateStrategy",
        cause=typing(f"patch deployment {NAME} -p '{RECREATE}'"),
        cure=typing(f"patch deployment {NAME} -p '{ROLLING}'"),
        says="serinus.dev/accept=recreate",
    ),
    "no ingress": Case(
        reason="IngressWithoutService",
        cause=typing(f"delete ingress {NAME}"),
        cure=MEND_INGRESS,
        says="default backend",
    ),
    "a wrong port": Case(
        reason="PortNotFound",
        cause=applying(
            lambda app: changed_ingress(
                app, {"backend": {"service": {"name": NAME, "port": {"number": 81}}}}
            )
        ),
        cure=MEND_INGRESS,
        says="81",
    ),
    "another class": Case(
        reason="ClassMismatch",
        cause=applying(lambda app: with_class(app, "other")),
        cure=MEND_INGRESS,
        says="'other'",
    ),
    "a headless service": Case(
        reason="ServiceHeadless", cause=recreated(clusterIP="None"), cure=recreated()
    ),
    "a service elsewhere": Case(
        reason="ServiceExternalName",
        cause=recreated(type="ExternalName", externalName="elsewhere.example"),
        cure=recreated(),
    ),
    "a service without selector": Case(
        reason="ServiceWithoutSelector", cause=recreated(selector=None), cure=recreated()
    ),
    "affinity": on_main("AffinityOnMain", "affinity", "cookie"),
    "regular expressions": on_main("PathTypeUnsupported", "use-regex", "true"),
    "a rewrite with captures": on_main("PathTypeUnsupported", "rewrite-target", "/\\$1"),
    "tls passthrough": on_main("PassthroughOnMain", "ssl-passthrough", "true"),
    "subset hashing": on_main("SubsetHashing", "upstream-hash-by-subset", "true"),
    "an unsafe path": Case(
        reason="PathUnsafe",
        cause=applying(lambda app: changed_ingress(app, {"path": "/a~b"})),
        cure=MEND_INGRESS,
        says="/a~b",
    ),
    "a rule without http": Case(
        reason="RuleWithoutHTTP", cause=applying(with_bare_rule), cure=MEND_INGRESS
    ),
    "a rival canary": Case(
        reason="CanaryConflict", cause=applying(rival), cure=NO_RIVAL, says="rival"
    ),
    "a shared canary service": Case(
        reason="CanaryServiceShared",
        cause=applying(lambda app: rival(app, "elsewhere.example", f"{NAME}-canary")),
        cure=NO_RIVAL,
        says="rival",
    ),
    "a canary service that is a primary": Case(
        reason="CanaryServiceIsPrimary",
        cause=applying(lambda app: rival(app, "elsewhere.example", f"{NAME}-canary", canary=False)),
        cure=NO_RIVAL,
        says="rival",
    ),
    "a taken Deployment": Case(
        reason="NameTaken",
        cause=applying(
            lambda app: manifests.deployment(
                f"{NAME}-canary", namespace=app.namespace, replicas=0, labels={"app": "x"}
            )
        ),
        cure=typing(f"delete deployment {NAME}-canary"),
        says="Deployment myapp-canary",
    ),
    "a taken Service": Case(
        reason="NameTaken",
        cause=taken("Service", "v1", ports=[{"port": 80}], selector={"app": "x"}),
        cure=typing(f"delete service {NAME}-canary"),
        says="Service myapp-canary",
    ),
    "a taken Ingress": Case(
        reason="NameTaken",
        cause=applying(
            lambda app: manifests.ingress(
                f"{NAME}-canary", namespace=app.namespace, host="x.example", backend="other"
            )
        ),
        cure=typing(f"delete ingress {NAME}-canary"),
        says="Ingress myapp-canary",
    ),
    "a taken budget": Case(
        reason="NameTaken",
        cause=taken("PodDisruptionBudget", "policy/v1", maxUnavailable=1, **SELECTOR),
        cure=typing(f"delete poddisruptionbudget {NAME}-canary"),
        says="PodDisruptionBudget myapp-canary",
    ),
}


@pytest.mark.parametrize("situation", list(CASES))
@scenario
async def test_a_situation_is_refused_touches_nothing_and_mends_itself(
    app: App, situation: str
) -> None:
    case = CASES[situation]
    await app.deploy()
    await case.cause(app)
    await app.comes_true("what is there is seen by its controllers", partial(is_seen, app))
    before = await owned(app)
    await app.label()
    told = await app.is_refused(case.reason)
    assert case.says in told.says("Ready")
    await app.tells(case.reason)
    assert await app.ours() == []
    assert await owned(app) == before
    await case.cure(app)
    await app.is_ready()


async def is_seen(app: App) -> bool:
    """Tell whether every Deployment has the ReplicaSet that its own controller makes for it."""
    deployments = await app.api.list("deployments")
    return all(
        obj.get("status", {}).get("observedGeneration", 0) >= obj["metadata"]["generation"]
        for obj in deployments
    )


async def owned(app: App) -> dict[str, Any]:
    """Answer what the controller must not touch: everything but the Service's own words."""
    found = await app.cluster.dump(app.namespace)
    kept = {
        key: {part: value for part, value in obj.items() if part != "status"}
        for key, obj in found.items()
        if key != f"services/{app.namespace}/{NAME}"
    }
    for obj in kept.values():  # counted by the Deployment's own controller, whenever it gets to it
        obj["metadata"].get("annotations", {}).pop(REVISION, None)
    return kept


@scenario
async def test_a_header_rule_that_would_capture_a_longer_path_is_refused(app: App) -> None:
    await app.deploy()
    await app.api.apply(longer(app))
    await app.annotate(header="X-Account", header_values="alice")
    await app.label()
    told = await app.is_refused("LongerPathCaptured")
    assert "/api" in told.says("Ready")
    await app.annotate(header_values=None)
    await app.is_ready()


@scenario
async def test_one_of_several_deployments_is_named_where_the_others_serve_nobody(app: App) -> None:
    await app.deploy()
    await serving("second", second)(app)
    await app.annotate(deployment=NAME)
    await app.label()
    await app.is_refused("SeveralDeployments")
    await app.kubectl("scale deployment second --replicas=0")
    await app.is_ready()
    await app.ship("v2")
    assert await app.runs() == {"v1": 2}


@pytest.mark.parametrize(
    "situation", ["a rival canary", "a wrong port", "affinity", "another class"]
)
@scenario
async def test_a_refusal_in_mid_canary_holds_what_rises_and_lets_the_rest_stand(
    app: App, situation: str
) -> None:
    case = CASES[situation]
    await app.canary(header="X-Account", header_values="alice")
    await app.annotate(weight="20")
    await app.weighs(20)
    await case.cause(app)
    await app.is_refused(case.reason)
    await app.annotate(weight="60")
    await app.until("held", lambda told: told.reason == case.reason)
    assert app.told.written <= 20
    await case.cure(app)
    await app.is_ready()
    await app.weighs(60)
    await app.answers("v2", ("X-Account", "alice"))


@scenario
async def test_a_template_that_leaves_the_service_is_refused_and_the_hold_stays(app: App) -> None:
    await app.enrol()
    selector = '{"spec":{"selector":{"app":"myapp","tier":"web"}}}'
    await app.kubectl(f"patch service {NAME} -p '{selector}'")
    await app.is_refused("TemplateLeavesService")
    await app.kubectl(
        f'patch service {NAME} --type json -p \'[{{"op":"remove","path":"/spec/selector/tier"}}]\''
    )
    await app.is_ready()
