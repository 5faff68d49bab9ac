"""What belongs to an enrolled Service: its Deployment, its Ingresses, and what is ours."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from controller.api import names
from controller.api.intent import Intent, Parsed, parsed_of
from controller.api.objects import (
    Object,
    annotations_of,
    backend_service,
    ingress_paths,
    is_ours,
    is_selected,
    is_terminating,
    labels_of,
    name_of,
    spec_of,
    template_labels,
    uid_of,
)
from controller.plan.observed import Endpoint, Observed
from controller.plan.traffic.nginx import Nginx, closing_name, is_closing_name
from controller.plan.workload import canary_ingress_name


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What one Service stands among.

    Attributes:
        parsed: the user's annotations, or what is wrong with them.
        stable: the stable Deployment; None if there is none, or no one in particular.
        candidates: every Deployment whose pods the Service selects.
        mains: the user's Ingresses with a path to the Service, by name.
        canary: our Deployment.
        canary_service: our Service.
        routes: our Ingress beside each main, by the main's name; only those that exist.
        orphans: Ingresses of ours whose main is gone or left out.
        budget: our disruption budget.
        nginx: the annotation keys of this Service's routes.
    """

    parsed: Parsed
    stable: Object | None
    candidates: tuple[Object, ...]
    mains: Mapping[str, Object]
    canary: Object | None
    canary_service: Object | None
    routes: Mapping[str, Object]
    orphans: tuple[Object, ...]
    budget: Object | None
    nginx: Nginx

    @property
    def intent(self) -> Intent | None:
        """What the user asks for; None while something in it is wrong."""
        return self.parsed.intent

    @property
    def our_ingresses(self) -> tuple[Object, ...]:
        """Every Ingress of ours."""
        return (*self.routes.values(), *self.orphans)

    @property
    def is_empty(self) -> bool:
        """Tell whether nothing of ours exists."""
        ours = (self.canary, self.canary_service, self.budget)
        return all(obj is None for obj in ours) and not self.our_ingresses


def discover(observed: Observed) -> Found:
    """Find what belongs to the Service."""
    service = observed.service or {}
    parsed = parsed_of(service, max_accounts=observed.parameters.max_accounts)
    nginx = Nginx(prefix=observed.parameters.annotation_prefix, closing=_closing(observed))
    candidates = _candidates(observed)
    mains = {name_of(entry): entry for entry in _mains(observed, nginx, parsed.intent)}
    ours = [entry for entry in observed.ingresses if _is_ours(entry, observed.name)]
    by_name = {name_of(entry): entry for entry in ours}
    routes = {
        main: by_name[route]
        for main in mains
        if (route := canary_ingress_name(observed.name, main)) in by_name
    }
    used = {name_of(entry) for entry in routes.values()}
    return Found(
        parsed=parsed,
        stable=_stable(observed, candidates, parsed.intent),
        candidates=candidates,
        mains=mains,
        canary=_first_of_ours(observed.deployments, observed.name),
        canary_service=_first_of_ours(observed.services, observed.name),
        routes=routes,
        orphans=tuple(entry for name, entry in by_name.items() if name not in used),
        budget=_first_of_ours(observed.budgets, observed.name),
        nginx=nginx,
    )


def _closing(observed: Observed) -> str:
    """Return the closing name; while the Service is gone, the one that our Ingresses have.

    Where somebody took that away too, it is made of an Ingress's uid: nobody outside can guess it
    either (routing.md 5.2, rule 4).
    """
    if observed.service is not None:
        return closing_name(uid_of(observed.service))
    key = f"{observed.parameters.annotation_prefix}/canary-by-cookie"
    ours = [entry for entry in observed.ingresses if _is_ours(entry, observed.name)]
    found = (annotations_of(entry).get(key, "") for entry in ours)
    made = closing_name(uid_of(ours[0]) if ours else "")
    return next((name for name in found if is_closing_name(name)), made)


def _is_ours(obj: Object, service: str) -> bool:
    return is_ours(obj) and labels_of(obj)[names.SERVICE] == service and not is_terminating(obj)


def _first_of_ours(objects: Iterable[Object], service: str) -> Object | None:
    found = sorted((obj for obj in objects if _is_ours(obj, service)), key=name_of)
    return found[0] if found else None


def selector_of(service: Object) -> Mapping[str, str]:
    """Return the Service's selector."""
    return spec_of(service).get("selector") or {}


def _candidates(observed: Observed) -> tuple[Object, ...]:
    if observed.service is None:
        return ()
    selector = selector_of(observed.service)
    found = (
        deployment
        for deployment in observed.deployments
        if not is_ours(deployment)
        and not is_terminating(deployment)
        and is_selected(selector, template_labels(deployment))
    )
    return tuple(sorted(found, key=name_of))


def _stable(
    observed: Observed, candidates: Sequence[Object], intent: Intent | None
) -> Object | None:
    """Return the held Deployment, else the one there is, else the named one (contract.md 3)."""
    held = [
        deployment
        for deployment in observed.deployments
        if labels_of(deployment).get(names.HELD) == observed.name
        and not is_terminating(deployment)
        and not is_ours(deployment)
    ]
    if held:
        return min(held, key=name_of)
    if intent is not None and intent.deployment is not None:
        named = [entry for entry in candidates if name_of(entry) == intent.deployment]
        return named[0] if named and _is_alone(observed, named[0], candidates) else None
    if len(candidates) == 1:
        return candidates[0]
    return None


def _is_alone(observed: Observed, stable: Object, candidates: Sequence[Object]) -> bool:
    """Tell whether no other candidate has ready pods behind the Service."""
    others = [entry for entry in candidates if uid_of(entry) != uid_of(stable)]
    return not any(
        endpoint.ready and makes_pod(observed, other, endpoint)
        for other in others
        for endpoint in observed.stable.endpoints
    )


def makes_pod(observed: Observed, deployment: Object, endpoint: Endpoint) -> bool:
    """Tell whether the pod behind an endpoint is the Deployment's: its ReplicaSet names it."""
    uid = uid_of(deployment)
    return any(
        endpoint.pod.startswith(f"{replica_set.name}-")
        for replica_set in observed.replica_sets
        if replica_set.owner == uid
    )


def _mains(observed: Observed, nginx: Nginx, intent: Intent | None) -> list[Object]:
    wanted = intent.ingresses if intent is not None else ()
    found = [
        ingress
        for ingress in observed.ingresses
        if not nginx.is_canary(ingress)
        and not is_ours(ingress)
        and not is_terminating(ingress)
        and any(backend_service(path) == observed.name for _, path in ingress_paths(ingress))
        and (not wanted or name_of(ingress) in wanted)
    ]
    return sorted(found, key=name_of)
