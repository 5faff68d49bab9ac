"""The reasons for which an enrolled Service cannot be served, each with its way out.

One function a reason, asked in order (contract.md section 3, routing.md section 6). At enrolment
the first answer stops everything; during a release it only stops what would raise.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial

from controller.api import grammar, names
from controller.api.objects import (
    Object,
    annotations_of,
    backend_service,
    controller_of,
    ingress_class,
    ingress_paths,
    is_ours,
    is_selected,
    labels_of,
    metadata,
    name_of,
    spec_of,
    template_labels,
)
from controller.plan.discovery import Found, makes_pod, selector_of
from controller.plan.observed import Observed
from controller.plan.workload import canary_ingress_name, canary_name, canary_pod_labels


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why nothing may rise: a CamelCase reason and a sentence that says what to do."""

    reason: str
    message: str


Test = Callable[[Observed, Found], Refusal | None]


def refusal_of(observed: Observed, found: Found) -> Refusal | None:
    """Return the first reason against this Service, None if there is none."""
    if observed.service is None:
        return None
    return next(
        (refusal for test in REFUSALS if (refusal := test(observed, found)) is not None), None
    )


def _label(observed: Observed, _: Found) -> Refusal | None:
    value = labels_of(observed.service or {}).get(names.CANARY)
    if value in {names.ENABLED, None}:
        return None
    return Refusal(
        reason="LabelUnknown",
        message=f"label {names.CANARY}={value!r} is not known; allowed: {names.ENABLED}",
    )


def _configuration(_: Observed, found: Found) -> Refusal | None:
    if not found.parsed.faults:
        return None
    return Refusal(
        reason="InvalidConfiguration",
        message="; ".join(fault.message for fault in found.parsed.faults),
    )


def _not_yet(observed: Observed, found: Found) -> Refusal | None:
    intent = found.intent
    if intent is not None and intent.query:
        return Refusal(
            reason="DialectUnsupported",
            message=f"{names.QUERY} is not supported by this data plane: NGINX Ingress annotations "
            f"know no query parameters (dialect {observed.parameters.dialect}); "
            f"remove it, or send the parameter as a header",
        )
    return None


def _checks(observed: Observed, found: Found) -> Refusal | None:
    intent, parameters = found.intent, observed.parameters
    if intent is None or not intent.checks:
        return None
    asked = ", ".join(check.text for check in intent.checks if check.name != "restarts")
    if not asked:
        return None
    if parameters.scrape_seconds is None:
        return Refusal(
            reason="ChecksWithoutPrometheus",
            message=f"{names.CHECKS}: {asked} needs a metrics server, and the controller runs "
            f"without --prometheus-url; set it, or remove {names.CHECKS}",
        )
    own = {check.name for check in intent.checks if check.is_own}
    known = {template.name for template in parameters.templates}
    if own - known:
        return Refusal(
            reason="CheckUnknown",
            message=f"{names.CHECKS}: {', '.join(sorted(own - known))} is not defined by the "
            f"administrator (--checks-file); defined: {', '.join(sorted(known)) or 'none'}",
        )
    counted = ", ".join(it.text for it in intent.checks if not it.is_own and it.name != "restarts")
    if counted and parameters.dialect == "common":
        return Refusal(
            reason="ChecksWithoutDialect",
            message=f"{names.CHECKS}: {counted} needs to know what the proxy counts, and the "
            "controller runs with --dialect common; set ingress-nginx or traefik, or remove "
            f"{names.CHECKS}",
        )
    return None


def _service_kind(observed: Observed, _: Found) -> Refusal | None:
    service = observed.service or {}
    spec = spec_of(service)
    if spec.get("type") == "ExternalName":
        return Refusal(
            reason="ServiceExternalName",
            message=f"Service {observed.name} is of type ExternalName: it has no pods",
        )
    if spec.get("clusterIP") == "None":
        return Refusal(
            reason="ServiceHeadless",
            message=f"Service {observed.name} is headless: enrol one with a cluster address",
        )
    if not selector_of(service):
        return Refusal(
            reason="ServiceWithoutSelector",
            message=f"Service {observed.name} has no selector: its pods cannot be found",
        )
    return None


def _deployment(observed: Observed, found: Found) -> Refusal | None:
    named = found.intent.deployment if found.intent is not None else None
    candidates = ", ".join(name_of(entry) for entry in found.candidates)
    if found.stable is not None:
        return None
    if not found.candidates:
        return Refusal(
            reason="NoDeployment",
            message=f"no Deployment of namespace {observed.namespace} makes pods that Service "
            f"{observed.name} selects",
        )
    if named is not None and named not in candidates.split(", "):
        return Refusal(
            reason="NoDeployment",
            message=f"{names.DEPLOYMENT}={named!r} makes no pod that Service {observed.name} "
            f"selects; those that do: {candidates}",
        )
    return Refusal(
        reason="SeveralDeployments",
        message=f"several Deployments make pods of Service {observed.name}: {candidates}; "
        f"name one with {names.DEPLOYMENT}, and let the others have no ready pods behind it",
    )


def _template_leaves(observed: Observed, found: Found) -> Refusal | None:
    stable = found.stable or {}
    if is_selected(selector_of(observed.service or {}), template_labels(stable)):
        return None
    return Refusal(
        reason="TemplateLeavesService",
        message=f"the pod template of Deployment {name_of(stable)} no longer has the labels "
        f"that Service {observed.name} selects; put them back",
    )


def _owned(_: Observed, found: Found) -> Refusal | None:
    owner = controller_of(found.stable or {})
    if owner is None:
        return None
    return Refusal(
        reason="DeploymentOwned",
        message=f"Deployment {name_of(found.stable or {})} is controlled by "
        f"{owner.get('kind')} {owner.get('name')}, which would undo what we write",
    )


def _claimed(observed: Observed, found: Found) -> Refusal | None:
    stable = found.stable or {}
    holder = labels_of(stable).get(names.HELD)
    rival = holder if holder not in {None, observed.name} else None
    if holder is None:
        mine = _age(observed.service or {})
        rival = next((name_of(o) for o in _rivals(observed, stable) if _age(o) < mine), None)
    if rival is None:
        return None
    return Refusal(
        reason="DeploymentClaimed",
        message=f"Deployment {name_of(stable)} already belongs to the enrolled Service "
        f"{rival}; a Deployment can be in one release only",
    )


def _rivals(observed: Observed, stable: Object) -> Iterator[Object]:
    for service in observed.services:
        if (
            labels_of(service).get(names.CANARY) == names.ENABLED
            and name_of(service) != observed.name
            and is_selected(selector_of(service), template_labels(stable))
        ):
            yield service


def _age(service: Object) -> tuple[str, str]:
    return str(metadata(service).get("creationTimestamp")), name_of(service)


def _foreign(observed: Observed, found: Found) -> Refusal | None:
    stable = found.stable or {}
    ours = [entry for entry in (stable, found.canary) if entry is not None]
    strangers = [
        endpoint.pod or "an address without a pod"
        for endpoint in observed.stable.endpoints
        if endpoint.ready and not any(makes_pod(observed, entry, endpoint) for entry in ours)
    ]
    if not strangers:
        return None
    return Refusal(
        reason="ForeignEndpoints",
        message=f"behind Service {observed.name} are ready endpoints that Deployment "
        f"{name_of(stable)} did not make: {', '.join(sorted(strangers)[:3])}",
    )


def _recreate(_: Observed, found: Found) -> Refusal | None:
    strategy = (spec_of(found.stable or {}).get("strategy") or {}).get("type")
    intent = found.intent
    if strategy != "Recreate" or intent is None:
        return None
    name = name_of(found.stable or {})
    if "recreate" not in intent.accept:
        return Refusal(
            reason="RecreateStrategy",
            message=f"Deployment {name} has strategy Recreate: its roll empties stable and every "
            f"request gets 503 meanwhile; use RollingUpdate, or {names.ACCEPT}=recreate",
        )
    if not intent.in_place:
        return Refusal(
            reason="RecreateStrategy",
            message=f"Deployment {name} has strategy Recreate, accepted: it can be promoted in "
            f"place only; set {names.PROMOTION} to in-place",
        )
    return None


def _ingress(observed: Observed, found: Found) -> Refusal | None:
    wanted = found.intent.ingresses if found.intent is not None else ()
    missing = [name for name in wanted if name not in found.mains]
    if missing:
        return Refusal(
            reason="IngressWithoutService",
            message=f"{names.INGRESSES} names {', '.join(missing)}: no such Ingress has a path to "
            f"Service {observed.name}",
        )
    if found.mains:
        return None
    return Refusal(
        reason="IngressWithoutService",
        message=f"no Ingress of namespace {observed.namespace} has a path to Service "
        f"{observed.name} (a default backend does not count)",
    )


def _per_main(
    test: Callable[[Observed, Found, Object], Refusal | None], observed: Observed, found: Found
) -> Refusal | None:
    answers = (test(observed, found, main) for main in found.mains.values())
    return next((answer for answer in answers if answer is not None), None)


def _class(observed: Observed, _: Found, main: Object) -> Refusal | None:
    field = spec_of(main).get("ingressClassName")
    old = annotations_of(main).get(names.INGRESS_CLASS)
    known = ", ".join(observed.parameters.ingress_classes)
    if field and old:
        said = f"names two classes, {field!r} and {old!r} by annotation"
    elif (value := ingress_class(main)) is None:
        said = "names no class"
    elif value not in observed.parameters.ingress_classes:
        said = f"is of class {value!r}"
    else:
        return None
    return Refusal(
        reason="ClassMismatch",
        message=f"Ingress {name_of(main)} {said}; allowed: one of {known} (flag --ingress-class)",
    )


def _rule(observed: Observed, _: Found, main: Object) -> Refusal | None:
    rules = spec_of(main).get("rules") or ()
    if any(not (rule.get("http") or {}).get("paths") for rule in rules):
        return Refusal(
            reason="RuleWithoutHTTP",
            message=f"Ingress {name_of(main)} has a rule without http paths; a canary beside it "
            "can crash the proxy",
        )
    answers = (
        _path(observed, main, host, path)
        for host, path in ingress_paths(main)
        if backend_service(path) == observed.name
    )
    return next((answer for answer in answers if answer is not None), None)


def _path(observed: Observed, main: Object, host: str, path: object) -> Refusal | None:
    assert isinstance(path, dict)
    name = name_of(main)
    text = path.get("path")
    if not grammar.is_safe_host(host):
        return Refusal(
            reason="HostUnsafe",
            message=f"Ingress {name}: host {grammar.shown(host)} is not allowed; "
            f"allowed: {grammar.HOST.says}",
        )
    if not isinstance(text, str) or not grammar.is_safe_path(text):
        return Refusal(
            reason="PathUnsafe",
            message=f"Ingress {name}: path {grammar.shown(str(text or ''))} is not allowed; "
            f"allowed: {grammar.PATH.says}",
        )
    port = path["backend"]["service"].get("port") or {}
    ports = spec_of(observed.service or {}).get("ports") or ()
    known = {entry.get("port") for entry in ports} | {entry.get("name") for entry in ports}
    if (port.get("number") or port.get("name")) in known:
        return None
    return Refusal(
        reason="PortNotFound",
        message=f"Ingress {name} sends {text} to port {port.get('number') or port.get('name')!r}, "
        f"which Service {observed.name} does not have",
    )


REWRITE_CAPTURE = "$"


def _regex(_: Observed, found: Found, main: Object) -> Refusal | None:
    annotations = annotations_of(main)
    uses = annotations.get(found.nginx.key("use-regex")) == "true"
    target = annotations.get(found.nginx.key("rewrite-target"), "")
    if not uses and REWRITE_CAPTURE not in target:
        return None
    key = found.nginx.key("use-regex" if uses else "rewrite-target")
    return Refusal(
        reason="PathTypeUnsupported",
        message=f"Ingress {name_of(main)} has {key}: paths that are regular expressions are read "
        "differently by every proxy; serve this Service by an Ingress with plain paths",
    )


def _passthrough(_: Observed, found: Found, main: Object) -> Refusal | None:
    table = {"ssl-passthrough": "PassthroughOnMain", "upstream-hash-by-subset": "SubsetHashing"}
    annotations = annotations_of(main)
    for name, reason in table.items():
        if annotations.get(found.nginx.key(name)) == "true":
            return Refusal(
                reason=reason,
                message=f"Ingress {name_of(main)} has {found.nginx.key(name)}: the proxy ignores a "
                "canary beside it",
            )
    return None


def has_affinity(found: Found, main: Object) -> bool:
    """Tell whether sessions of a main Ingress stick to pods by a cookie (routing.md 1.4)."""
    return annotations_of(main).get(found.nginx.key("affinity")) == "cookie"


def _affinity(_: Observed, found: Found, main: Object) -> Refusal | None:
    accepted = found.intent is not None and "affinity" in found.intent.accept
    if accepted or not has_affinity(found, main):
        return None
    return Refusal(
        reason="AffinityOnMain",
        message=f"Ingress {name_of(main)} has {found.nginx.key('affinity')}: clients stick to a "
        f"side, whatever header or weight says; accept it with {names.ACCEPT}=affinity",
    )


def _captured(observed: Observed, found: Found, main: Object) -> Refusal | None:
    intent = found.intent
    if observed.parameters.dialect == "ingress-nginx" or intent is None:
        return None
    opens = intent.cookie is not None or bool(intent.accounts or intent.suffixes)
    if not opens:
        return None
    ours = [
        (host, str(path.get("path")))
        for host, path in ingress_paths(main)
        if backend_service(path) == observed.name
    ]
    for host, text in ours:
        longer = _longer_path(observed, found, host, text)
        if longer is not None:
            return Refusal(
                reason="LongerPathCaptured",
                message=f"Ingress {name_of(main)}: on Traefik a header or cookie rule for {text} "
                f"would also capture {longer} of host {host or '(any)'}; use weight only, or "
                "--dialect ingress-nginx if that is the proxy",
            )
    return None


def _longer_path(observed: Observed, found: Found, host: str, prefix: str) -> str | None:
    """Return a longer path below `prefix` of the same host that leads to another Service."""
    start = prefix.rstrip("/") + "/"
    for ingress in observed.ingresses:
        if is_ours(ingress) or found.nginx.is_canary(ingress):
            continue
        for other, path in ingress_paths(ingress):
            text = str(path.get("path") or "")
            longer = text.startswith(start) and len(text) > len(prefix)
            if other == host and longer and backend_service(path) != observed.name:
                return text
    return None


def _canary_conflict(observed: Observed, found: Found) -> Refusal | None:
    rules = {rule for main in found.mains.values() for rule in _rules(main, observed.name)}
    for ingress in observed.ingresses:
        ours = is_ours(ingress) and labels_of(ingress)[names.SERVICE] == observed.name
        if ours or not found.nginx.is_canary(ingress):
            continue
        if rules & set(_rules(ingress, None)):
            return Refusal(
                reason="CanaryConflict",
                message=f"Ingress {name_of(ingress)} is a canary for the same host and path; a "
                "proxy uses only one of two: delete it",
            )
    return None


def _rules(ingress: Object, service: str | None) -> Iterator[tuple[str | None, str, str, str]]:
    for host, path in ingress_paths(ingress):
        if service is None or backend_service(path) == service:
            yield (
                ingress_class(ingress),
                host,
                str(path.get("path")),
                str(path.get("pathType")),
            )


def _canary_service_shared(observed: Observed, found: Found) -> Refusal | None:
    name = canary_name(observed.name)
    for ingress in observed.ingresses:
        if is_ours(ingress) or name not in {backend_service(p) for _, p in ingress_paths(ingress)}:
            continue
        primary = not found.nginx.is_canary(ingress)
        return Refusal(
            reason="CanaryServiceIsPrimary" if primary else "CanaryServiceShared",
            message=f"Ingress {name_of(ingress)} names Service {name}, which is the canary's: "
            "take it out",
        )
    return None


def _names(observed: Observed, found: Found) -> Refusal | None:
    deployment = canary_name(name_of(found.stable or {}))
    wanted: list[tuple[str, str, Iterable[Object]]] = [
        ("Deployment", deployment, observed.deployments),
        ("PodDisruptionBudget", deployment, observed.budgets),
        ("Service", canary_name(observed.name), observed.services),
    ]
    for main in found.mains:
        ingress = canary_ingress_name(observed.name, main)
        wanted.append(("Ingress", ingress, observed.ingresses))
    for kind, name, objects in wanted:
        if any(name_of(obj) == name and not _belongs(obj, observed.name) for obj in objects):
            return Refusal(
                reason="NameTaken",
                message=f"{kind} {name} exists and is not ours; rename or delete it",
            )
    return None


def _belongs(obj: Object, service: str) -> bool:
    return is_ours(obj) and labels_of(obj)[names.SERVICE] == service


def _labels(observed: Observed, found: Found) -> Refusal | None:
    stable = found.stable or {}
    if canary_pod_labels(stable, observed.name, "0", observed.services) is not None:
        return None
    return Refusal(
        reason="CanaryPodsSelected",
        message="some Service of the namespace would select the canary pods whatever label of "
        f"Deployment {name_of(stable)} is changed; add a label of its own to that selector",
    )


REFUSALS: tuple[Test, ...] = (
    _label,
    _configuration,
    _not_yet,
    _checks,
    _service_kind,
    _deployment,
    _owned,
    _claimed,
    _template_leaves,
    _foreign,
    _recreate,
    _ingress,
    partial(_per_main, _class),
    partial(_per_main, _rule),
    partial(_per_main, _regex),
    partial(_per_main, _passthrough),
    partial(_per_main, _affinity),
    partial(_per_main, _captured),
    _canary_conflict,
    _canary_service_shared,
    _names,
    _labels,
)
"""Asked in this order; the first answer is the condition's reason."""
