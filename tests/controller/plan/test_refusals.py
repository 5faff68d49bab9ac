"""Each refusal of contract.md section 3 and routing.md section 6, beside a world without one."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from controller.api import names
from controller.api.objects import DEPLOYMENT, INGRESS, SERVICE
from controller.api.template import Template
from controller.plan.discovery import discover
from controller.plan.observed import Endpoint, Observed, Parameters, Pool
from controller.plan.refusals import Refusal, refusal_of
from tests.controller.plan.applied import annotated, changed, labelled, put
from tests.controller.plan.worlds import (
    NAME,
    NAMESPACE,
    canary,
    deployment,
    idle,
    ingress,
    meta,
    pool,
    record,
    replica_set,
    route,
    running,
    service,
    template,
)

ACCOUNTS = {names.HEADER: "X-Account", names.HEADER_VALUES: "alice"}


def refused(world: Observed) -> Refusal | None:
    return refusal_of(world, discover(world))


def served_by(main: dict[str, Any]) -> Observed:
    return idle(ingresses=(main,))


def with_service(obj: dict[str, Any], world: Observed | None = None) -> Observed:
    return put(world or idle(), SERVICE, obj)


def with_rule(**rule: Any) -> dict[str, Any]:
    return changed(ingress(), spec={"rules": [rule]})


def with_path(host: str = "myapp.example", **path: Any) -> dict[str, Any]:
    backend = {"service": {"name": NAME, "port": {"number": 80}}}
    entry = {"path": "/", "pathType": "Prefix", "backend": backend, **path}
    return with_rule(host=host, http={"paths": [entry]})


def leading_to(service_name: str, name: str = "other", path: str = "/api") -> dict[str, Any]:
    backend = {"service": {"name": service_name, "port": {"number": 80}}}
    entry = {"path": path, "pathType": "Prefix", "backend": backend}
    rule = {"host": "myapp.example", "http": {"paths": [entry]}}
    return changed(ingress(name), spec={"rules": [rule]})


def second_deployment(name: str = "other", **more: Any) -> dict[str, Any]:
    made = deployment(held=False, **more)
    return {**made, "metadata": meta("Deployment", name, generation=1)}


def free(**spec: Any) -> dict[str, Any]:
    return deployment(held=False, **spec)


def with_endpoints(*pods: str) -> Observed:
    endpoints = tuple(Endpoint(pod=pod, age_seconds=60) for pod in pods)
    return idle(stable=Pool(endpoints=endpoints))


def among(*deployments: dict[str, Any], annotations: dict[str, str] | None = None) -> Observed:
    return idle(annotations, deployments=deployments)


def foreign_canary(**annotations: str) -> dict[str, Any]:
    return ingress("rival", **{"canary": "true", **annotations})


def selecting_everything() -> Observed:
    """Services that between them select a pod whether its label is changed or not."""
    both = []
    for value in ("myapp", "myapp-canary"):
        one = service(selector={"app": value})
        both.append({**one, "metadata": meta("Service", f"selects-{value}")})
    return replace(idle(), services=(service(), *both))


def enrolled(name: str, **more: Any) -> dict[str, Any]:
    """Return another enrolled Service that selects the same pods."""
    labels = {names.CANARY: names.ENABLED}
    return {**service(), "metadata": meta("Service", name, labels=labels, **more)}


IN_PLACE = {names.ACCEPT: "recreate", names.PROMOTION: "in-place"}
RECREATE: dict[str, Any] = {"strategy": {"type": "Recreate"}}

REFUSED: dict[str, tuple[Observed, str, tuple[str, ...]]] = {
    "label": (
        with_service(labelled(service(), {names.CANARY: "yes"})),
        "LabelUnknown",
        ("serinus.dev/canary='yes'", "allowed: enabled"),
    ),
    "typo": (
        idle({"serinus.dev/wieght": "5"}),
        "InvalidConfiguration",
        ("serinus.dev/wieght", "did you mean serinus.dev/weight?"),
    ),
    "two faults": (
        idle({names.WEIGHT: "101", names.COOKIE: "A"}),
        "InvalidConfiguration",
        (names.WEIGHT, names.COOKIE, "allowed: a whole number from 0 to 100"),
    ),
    "query": (
        idle({names.QUERY: "beta=1"}),
        "DialectUnsupported",
        (names.QUERY, "dialect common", "remove it"),
    ),
    "checks": (
        idle({names.CHECKS: "error-rate"}),
        "ChecksWithoutPrometheus",
        (names.CHECKS, "error-rate", "--prometheus-url"),
    ),
    "a check of nobody's": (
        idle({names.CHECKS: "x-a, x-b"}, parameters=Parameters(scrape_seconds=15)),
        "CheckUnknown",
        (names.CHECKS, "x-a, x-b", "--checks-file", "defined: none"),
    ),
    "a check that is not among those of the administrator": (
        idle(
            {names.CHECKS: "x-a, x-b, restarts"},
            parameters=Parameters(
                scrape_seconds=15, templates=(Template(name="x-a", requests="", events=""),)
            ),
        ),
        "CheckUnknown",
        (names.CHECKS, "x-b is", "defined: x-a"),
    ),
    "checks without a dialect": (
        idle({names.CHECKS: "error-rate"}, parameters=Parameters(scrape_seconds=15)),
        "ChecksWithoutDialect",
        (names.CHECKS, "error-rate", "--dialect", "ingress-nginx or traefik"),
    ),
    "external name": (
        with_service(service(type="ExternalName")),
        "ServiceExternalName",
        ("Service myapp", "ExternalName"),
    ),
    "headless": (
        with_service(service(clusterIP="None")),
        "ServiceHeadless",
        ("Service myapp", "enrol one with a cluster address"),
    ),
    "no selector": (
        with_service(service(selector=None)),
        "ServiceWithoutSelector",
        ("Service myapp", "no selector"),
    ),
    "no deployment": (
        among(),
        "NoDeployment",
        (f"namespace {NAMESPACE}", "Service myapp"),
    ),
    "named one is another": (
        among(second_deployment("one"), annotations={names.DEPLOYMENT: "two"}),
        "NoDeployment",
        ("serinus.dev/deployment='two'", "those that do: one"),
    ),
    "several": (
        among(second_deployment("one"), second_deployment("two")),
        "SeveralDeployments",
        ("one, two", "name one with serinus.dev/deployment"),
    ),
    "several, and the other has ready pods": (
        replace(
            among(
                free(),
                second_deployment("one"),
                annotations={names.DEPLOYMENT: NAME},
            ),
            replica_sets=(replica_set("v1", 4), replica_set("v1", 1, owner="one")),
            stable=pool(replica_set("v1", 1, owner="one").name, 1),
        ),
        "SeveralDeployments",
        ("myapp, one", "let the others have no ready pods behind it"),
    ),
    "owned": (
        among(
            changed(
                deployment(),
                metadata={
                    "ownerReferences": [{"kind": "Rollout", "name": "boss", "controller": True}]
                },
            )
        ),
        "DeploymentOwned",
        ("Deployment myapp", "Rollout boss"),
    ),
    "held by another": (
        among(labelled(deployment(), {names.HELD: "elder"})),
        "DeploymentClaimed",
        ("Deployment myapp", "Service elder"),
    ),
    "claimed by an older service": (
        replace(
            among(free()),
            services=(
                service(),
                {
                    **service(),
                    "metadata": meta(
                        "Service",
                        "elder",
                        labels={names.CANARY: names.ENABLED},
                        creationTimestamp="2020-01-01T00:00:00Z",
                    ),
                },
            ),
        ),
        "DeploymentClaimed",
        ("Deployment myapp", "Service elder"),
    ),
    "template leaves": (
        among(
            changed(deployment(), spec={"template": {"metadata": {"labels": {"app": "renamed"}}}})
        ),
        "TemplateLeavesService",
        ("Deployment myapp", "Service myapp", "put them back"),
    ),
    "foreign pods": (
        with_endpoints("statefulset-1", "statefulset-0", ""),
        "ForeignEndpoints",
        ("Service myapp", "an address without a pod, statefulset-0, statefulset-1"),
    ),
    "recreate": (
        among(deployment(**RECREATE)),
        "RecreateStrategy",
        ("Deployment myapp", "use RollingUpdate, or serinus.dev/accept=recreate"),
    ),
    "recreate accepted, but not in place": (
        among(deployment(**RECREATE), annotations={names.ACCEPT: "recreate"}),
        "RecreateStrategy",
        ("Deployment myapp", "set serinus.dev/promotion to in-place"),
    ),
    "no ingress": (
        idle(ingresses=()),
        "IngressWithoutService",
        (f"namespace {NAMESPACE}", "Service myapp", "a default backend does not count"),
    ),
    "ingress with a default backend only": (
        served_by(
            changed(
                ingress(),
                spec={"rules": None, "defaultBackend": {"service": {"name": NAME}}},
            )
        ),
        "IngressWithoutService",
        ("Service myapp",),
    ),
    "ingress of another service": (
        served_by(leading_to("other")),
        "IngressWithoutService",
        ("Service myapp",),
    ),
    "named ingress": (
        idle({names.INGRESSES: "myapp, gone"}),
        "IngressWithoutService",
        ("serinus.dev/ingresses", "gone", "Service myapp"),
    ),
    "class unknown": (
        served_by(changed(ingress(), spec={"ingressClassName": "alb"})),
        "ClassMismatch",
        ("Ingress myapp", "'alb'", "allowed: one of nginx", "--ingress-class"),
    ),
    "class missing": (
        served_by(changed(ingress(), spec={"ingressClassName": None})),
        "ClassMismatch",
        ("Ingress myapp", "no class"),
    ),
    "class twice": (
        served_by(annotated(ingress(), {names.INGRESS_CLASS: "nginx"})),
        "ClassMismatch",
        ("Ingress myapp", "two classes"),
    ),
    "rule without http": (
        served_by(
            changed(ingress(), spec={"rules": [*ingress()["spec"]["rules"], {"host": "bare"}]})
        ),
        "RuleWithoutHTTP",
        ("Ingress myapp",),
    ),
    "rule without paths": (
        served_by(
            changed(
                ingress(),
                spec={"rules": [*ingress()["spec"]["rules"], {"host": "b", "http": {"paths": []}}]},
            )
        ),
        "RuleWithoutHTTP",
        ("Ingress myapp",),
    ),
    "host": (
        served_by(with_path(host="my_app.example")),
        "HostUnsafe",
        ("Ingress myapp", "my_app.example", "allowed:"),
    ),
    "path": (
        served_by(with_path(path="/a(b)*")),
        "PathUnsafe",
        ("Ingress myapp", "/a(b)*", "allowed:"),
    ),
    "empty path": (
        served_by(with_path(path="")),
        "PathUnsafe",
        ("Ingress myapp", "allowed:"),
    ),
    "path missing": (
        served_by(with_path(path=None)),
        "PathUnsafe",
        ("Ingress myapp", "allowed:"),
    ),
    "port": (
        served_by(with_path(backend={"service": {"name": NAME, "port": {"number": 81}}})),
        "PortNotFound",
        ("Ingress myapp", "81", "Service myapp"),
    ),
    "regex": (
        served_by(ingress(use_regex="true")),
        "PathTypeUnsupported",
        ("Ingress myapp", "use-regex", "plain paths"),
    ),
    "rewrite with captures": (
        served_by(ingress(rewrite_target="/$1")),
        "PathTypeUnsupported",
        ("Ingress myapp", "rewrite-target"),
    ),
    "passthrough": (
        served_by(ingress(ssl_passthrough="true")),
        "PassthroughOnMain",
        ("Ingress myapp", "ssl-passthrough"),
    ),
    "subset hashing": (
        served_by(ingress(upstream_hash_by_subset="true")),
        "SubsetHashing",
        ("Ingress myapp", "upstream-hash-by-subset"),
    ),
    "affinity": (
        served_by(ingress(affinity="cookie")),
        "AffinityOnMain",
        ("Ingress myapp", "accept it with serinus.dev/accept=affinity"),
    ),
    "longer path": (
        idle(ACCOUNTS, ingresses=(ingress(), leading_to("other"))),
        "LongerPathCaptured",
        ("Ingress myapp", "/api", "myapp.example", "--dialect ingress-nginx"),
    ),
    "longer path, for a cookie": (
        idle({names.COOKIE: "beta"}, ingresses=(ingress(), leading_to("other"))),
        "LongerPathCaptured",
        ("Ingress myapp", "/api"),
    ),
    "rival canary": (
        idle(ingresses=(ingress(), foreign_canary())),
        "CanaryConflict",
        ("Ingress rival", "delete it"),
    ),
    "rival canary that leads elsewhere": (
        idle(
            ingresses=(
                ingress(),
                annotated(
                    leading_to("other", path="/"), {"nginx.ingress.kubernetes.io/canary": "true"}
                ),
            )
        ),
        "CanaryConflict",
        ("Ingress other",),
    ),
    "canary service is a primary": (
        idle(ingresses=(ingress(), leading_to("myapp-canary"))),
        "CanaryServiceIsPrimary",
        ("Ingress other", "Service myapp-canary", "take it out"),
    ),
    "canary service is another canary's": (
        idle(
            ingresses=(
                ingress(),
                annotated(
                    leading_to("myapp-canary"), {"nginx.ingress.kubernetes.io/canary": "true"}
                ),
            )
        ),
        "CanaryServiceShared",
        ("Ingress other", "Service myapp-canary", "take it out"),
    ),
    "name of the deployment": (
        among(deployment(), changed(second_deployment(f"{NAME}-canary"), spec={"template": None})),
        "NameTaken",
        ("Deployment myapp-canary", "rename or delete it"),
    ),
    "name of the service": (
        with_service({**service(), "metadata": meta("Service", f"{NAME}-canary")}),
        "NameTaken",
        ("Service myapp-canary", "rename or delete it"),
    ),
    "name of the budget": (
        idle(budgets=({"metadata": meta("PodDisruptionBudget", f"{NAME}-canary")},)),
        "NameTaken",
        ("PodDisruptionBudget myapp-canary", "rename or delete it"),
    ),
    "name of the ingress": (
        idle(ingresses=(ingress(), leading_to("other", f"{NAME}-canary"))),
        "NameTaken",
        ("Ingress myapp-canary", "rename or delete it"),
    ),
    "name of another application's canary": (
        among(deployment(), labelled(canary()[0], {names.SERVICE: "another"})),
        "NameTaken",
        ("Deployment myapp-canary",),
    ),
    "two checks, and restarts, which need nothing": (
        idle({names.CHECKS: "restarts, error-rate, latency"}),
        "ChecksWithoutPrometheus",
        ("error-rate, latency needs",),
    ),
    "an administrator's own check and one without a dialect": (
        idle(
            {names.CHECKS: "x-a, restarts, error-rate, latency"},
            parameters=Parameters(
                scrape_seconds=15, templates=(Template(name="x-a", requests="", events=""),)
            ),
        ),
        "ChecksWithoutDialect",
        (f"{names.CHECKS}: error-rate, latency needs",),
    ),
    "neither of two classes": (
        replace(
            served_by(changed(ingress(), spec={"ingressClassName": "other"})),
            parameters=Parameters(ingress_classes=("nginx", "internal")),
        ),
        "ClassMismatch",
        ("nginx, internal",),
    ),
    "a path below another one": (
        idle(
            ACCOUNTS,
            ingresses=(
                with_path(path="/shop"),
                route(),
                leading_to("other", path="/shop/items"),
            ),
        ),
        "LongerPathCaptured",
        ("/shop", "/shop/items"),
    ),
    "an older service on the same deployment": (
        replace(
            among(free()),
            services=(service(), enrolled("zelder", creationTimestamp="2026-11-22T10:00:00Z")),
        ),
        "DeploymentClaimed",
        ("zelder",),
    ),
    "a service that selects what we add": (
        replace(
            idle(),
            services=(
                service(),
                {
                    **service(selector={names.SERVICE: NAME}),
                    "metadata": meta("Service", "greedy"),
                },
            ),
        ),
        "CanaryPodsSelected",
        ("Deployment myapp",),
    ),
    "services that select whatever we do": (
        selecting_everything(),
        "CanaryPodsSelected",
        ("Deployment myapp", "add a label of its own"),
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refuses_with_a_reason_that_names_the_object_and_what_to_do(case: str) -> None:
    world, reason, said = REFUSED[case]
    refusal = refused(world)
    assert refusal is not None
    assert refusal.reason == reason
    assert [text for text in said if text not in refusal.message] == []


BOOK = Path(__file__).with_name("refusals.txt")


def sentences() -> list[str]:
    found = {case: refused(world) for case, (world, *_) in REFUSED.items()}
    return [f"{case}: {it.reason}: {it.message}" for case, it in found.items() if it is not None]


def test_says_what_is_written_down() -> None:
    written = BOOK.read_text(encoding="utf-8").splitlines()
    assert sentences() == written, (
        "if meant: .venv/bin/python -m tests.controller.plan.test_refusals"
    )


SERVED: dict[str, Observed] = {
    "at rest": idle(),
    "in a release": running(ACCOUNTS),
    "while the service is gone": replace(idle(), service=None),
    "with the label taken off": with_service(labelled(service(), {names.CANARY: None})),
    "named one of several, the others with no ready pods": among(
        free(),
        second_deployment("one"),
        annotations={names.DEPLOYMENT: NAME},
    ),
    "a path of type ImplementationSpecific": served_by(
        with_path(pathType="ImplementationSpecific")
    ),
    "a port by its name": with_service(
        service(ports=[{"name": "web", "port": 8080}]),
        served_by(with_path(backend={"service": {"name": NAME, "port": {"name": "web"}}})),
    ),
    "no host": served_by(with_path(host="")),
    "a class by annotation": served_by(
        annotated(
            changed(ingress(), spec={"ingressClassName": None}), {names.INGRESS_CLASS: "nginx"}
        )
    ),
    "a plain rewrite": served_by(ingress(rewrite_target="/")),
    "affinity that was accepted": idle(
        {names.ACCEPT: "affinity"}, ingresses=(ingress(affinity="cookie"),)
    ),
    "recreate that was accepted for in place": among(deployment(**RECREATE), annotations=IN_PLACE),
    "a longer path, weight only": idle(ingresses=(ingress(), leading_to("other"))),
    "a longer path to the same service": idle(ACCOUNTS, ingresses=(ingress(), leading_to(NAME))),
    "a longer path on ingress-nginx": idle(
        ACCOUNTS,
        ingresses=(ingress(), leading_to("other")),
        parameters=Parameters(dialect="ingress-nginx"),
    ),
    "a longer path of another host": idle(
        ACCOUNTS, ingresses=(ingress(host="else.example"), leading_to("other"))
    ),
    "a longer path of a rival canary elsewhere": idle(
        ACCOUNTS,
        ingresses=(
            ingress(),
            annotated(leading_to("other"), {"nginx.ingress.kubernetes.io/canary": "true"}),
        ),
    ),
    "a path below one that ends in what looks alike": idle(
        ACCOUNTS, ingresses=(with_path(path="/XX"), leading_to("other", path="/ab/c"))
    ),
    "a path that is no longer": idle(
        ACCOUNTS, ingresses=(with_path(path="/shop/"), leading_to("other", path="/shop/"))
    ),
    "a path that is longer and elsewhere": idle(
        ACCOUNTS, ingresses=(with_path(path="/shop"), leading_to("other", path="/elsewhere"))
    ),
    "restarts alone": idle({names.CHECKS: "restarts"}),
    "restarts without a dialect": idle(
        {names.CHECKS: "x-a, restarts"},
        parameters=Parameters(
            scrape_seconds=15, templates=(Template(name="x-a", requests="", events=""),)
        ),
    ),
    "a canary of another class": idle(
        ingresses=(ingress(), changed(foreign_canary(), spec={"ingressClassName": "other"}))
    ),
    "a canary of another type of path": idle(
        ingresses=(
            ingress(),
            annotated(with_path(pathType="Exact"), {"nginx.ingress.kubernetes.io/canary": "true"})
            | {"metadata": foreign_canary()["metadata"]},
        )
    ),
    "an older service that is not enrolled": replace(
        among(free()),
        services=(
            service(),
            {
                **service(),
                "metadata": meta("Service", "old", creationTimestamp="2026-11-22T10:00:00Z"),
            },
        ),
    ),
    "an older service that selects other pods": replace(
        among(free()),
        services=(
            service(),
            changed(
                enrolled("old", creationTimestamp="2026-11-22T10:00:00Z"),
                spec={"selector": {"app": "other"}},
            ),
        ),
    ),
    "a younger service with an earlier name": replace(
        among(free()),
        services=(service(), enrolled("a", creationTimestamp="2026-11-22T11:59:59Z")),
    ),
    "a canary of another host": idle(
        ingresses=(ingress(), {**foreign_canary(), "spec": ingress(host="else.example")["spec"]})
    ),
    "a canary beside a path of another service of the same Ingress": idle(
        ingresses=(
            changed(
                ingress(),
                spec={
                    "rules": [
                        *ingress()["spec"]["rules"],
                        *leading_to("other", path="/other")["spec"]["rules"],
                    ]
                },
            ),
            annotated(
                leading_to("third", name="rival", path="/other"),
                {"nginx.ingress.kubernetes.io/canary": "true"},
            ),
        )
    ),
    "another deployment beside it": among(
        deployment(),
        changed(second_deployment(), spec={"template": template(app="other")}),
    ),
    "a younger service on the same deployment": replace(
        among(free()),
        services=(
            service(),
            {
                **service(),
                "metadata": meta(
                    "Service",
                    "younger",
                    labels={names.CANARY: names.ENABLED},
                    creationTimestamp="2026-11-22T11:59:59Z",
                ),
            },
        ),
    ),
    "an address of a foreign pod that is not ready": replace(
        idle(),
        stable=replace(
            idle().stable,
            endpoints=(*idle().stable.endpoints, Endpoint(pod="stranger-0", ready=False)),
        ),
    ),
    "an owner that does not control": among(
        changed(deployment(), metadata={"ownerReferences": [{"kind": "App", "name": "a"}]})
    ),
}


@pytest.mark.parametrize("case", SERVED)
def test_serves(case: str) -> None:
    assert refused(SERVED[case]) is None


def test_the_younger_of_two_services_gets_no_deployment() -> None:
    elder = {
        **service(),
        "metadata": meta("Service", "aelder", labels={names.CANARY: names.ENABLED}),
    }
    world = replace(among(free()), services=(service(), elder))
    refusal = refused(world)  # of one age: the name decides
    assert refusal is not None
    assert refusal.reason == "DeploymentClaimed"


def test_accepting_one_refusal_accepts_no_other() -> None:
    both = among(deployment(**RECREATE), annotations={names.ACCEPT: "affinity"})
    refusal = refused(replace(both, ingresses=(ingress(affinity="cookie"),)))
    assert refusal is not None
    assert refusal.reason == "RecreateStrategy"


ORDER = [
    "LabelUnknown",
    "InvalidConfiguration",
    "ServiceHeadless",
    "DeploymentOwned",
    "TemplateLeavesService",
    "ForeignEndpoints",
    "RecreateStrategy",
    "ClassMismatch",
    "PathUnsafe",
    "PathTypeUnsupported",
    "PassthroughOnMain",
    "AffinityOnMain",
    "CanaryConflict",
    "CanaryServiceIsPrimary",
    "NameTaken",
]


def everything_wrong() -> dict[str, Observed]:
    """Worlds with ever less wrong, by the reason that is then the first."""
    owner = {"ownerReferences": [{"kind": "Rollout", "name": "boss", "controller": True}]}
    leaves = {"template": {"metadata": {"labels": {"app": "renamed"}}}}
    rivals = (foreign_canary(), leading_to("myapp-canary"), leading_to("x", f"{NAME}-canary"))
    bad = with_path(path="/(a)")
    keys = dict(
        zip(
            [f"nginx.ingress.kubernetes.io/{key}" for key in ("use-regex", "ssl-passthrough")],
            ["true", "true"],
            strict=True,
        )
    )
    sticky = {"nginx.ingress.kubernetes.io/affinity": "cookie"}
    strangers = Pool(endpoints=(Endpoint(pod="stranger"),))
    mains: dict[str, dict[str, Any]] = {
        "NameTaken": ingress(),
        "AffinityOnMain": annotated(ingress(), sticky),
        "PassthroughOnMain": annotated(ingress(), {**sticky, **dict([list(keys.items())[1]])}),
        "PathTypeUnsupported": annotated(ingress(), {**sticky, **keys}),
        "PathUnsafe": annotated(bad, {**sticky, **keys}),
        "ClassMismatch": changed(
            annotated(bad, {**sticky, **keys}), spec={"ingressClassName": "alb"}
        ),
    }
    worst = mains["ClassMismatch"]
    worlds = {
        "NameTaken": idle(ingresses=(ingress(), rivals[2])),
        "CanaryServiceIsPrimary": idle(ingresses=(ingress(), *rivals[1:])),
        "CanaryConflict": idle(ingresses=(ingress(), *rivals)),
    }
    for reason in ORDER[7:12]:
        worlds[reason] = idle(ingresses=(mains[reason], *rivals))
    broken = idle(ingresses=(worst, *rivals))
    steps: dict[str, dict[str, Any]] = {
        "RecreateStrategy": {"deployments": (deployment(**RECREATE),)},
        "ForeignEndpoints": {"stable": strangers},
        "TemplateLeavesService": {"deployments": (changed(deployment(**RECREATE), spec=leaves),)},
        "DeploymentOwned": {
            "deployments": (changed(deployment(**RECREATE), spec=leaves, metadata=owner),)
        },
    }
    for reason, more in steps.items():
        broken = replace(broken, **more)
        worlds[reason] = broken
    worlds["ServiceHeadless"] = with_service(service(clusterIP="None"), broken)
    invalid = service({names.WEIGHT: "x"}, clusterIP="None")
    worlds["InvalidConfiguration"] = with_service(invalid, broken)
    worlds["LabelUnknown"] = with_service(labelled(invalid, {names.CANARY: "on"}), broken)
    return worlds


@pytest.mark.parametrize("reason", ORDER)
def test_of_several_causes_the_one_that_has_to_go_first_is_told(reason: str) -> None:
    refusal = refused(everything_wrong()[reason])
    assert refusal is not None
    assert refusal.reason == reason


def test_objects_of_ours_are_no_rivals_of_ours() -> None:
    world = running(ACCOUNTS)
    assert refused(put(world, INGRESS, route())) is None
    assert refused(put(world, DEPLOYMENT, canary(kept=record())[0])) is None


if __name__ == "__main__":
    BOOK.write_text("\n".join(sentences()) + "\n", encoding="utf-8")
