"""What people, tools and accidents do to a release, by name, so that plans can say it."""

from collections.abc import Callable, Mapping
from typing import Any

from controller.api import names
from controller.api.objects import is_ours, name_of, revision_of, template_of
from e2e.bed import manifests
from e2e.bed.apiserver.errors import ApiError
from tests.world.deeds import autoscale_down, change_template, crash_canary
from tests.world.kubectl import NAME, NAMESPACE, KubectlError, image
from tests.world.world import CANARY, World

Deed = Callable[[World], object]
TOUCH = "touch"


def _act(verb: str) -> Deed:
    def deed(world: World) -> None:
        revision = revision_of(template_of(world.deployment()))
        world.annotate(action=verb.replace("REV", revision))

    return deed


def _notes(**values: str | None) -> Deed:
    return lambda world: world.annotate(name=NAME, **values)


def _delete(kind: str, name: str) -> Deed:
    return lambda world: world.delete(kind, name)


def _delete_pods(track: Any, most: int) -> Deed:
    def deed(world: World) -> None:
        for pod in world.pods(track)[:most]:
            world.delete("pods", name_of(pod))

    return deed


def _set(kind: str, name: str, change: Callable[[Any], object]) -> Deed:
    return lambda world: world.edit(kind, change, name=name)


def _note_on(kind: str, name: str, key: str, value: str | None) -> Deed:
    return lambda world: world.patch(kind, {"metadata": {"annotations": {key: value}}}, name=name)


def _recreate_service(world: World) -> None:
    world.delete("services")
    world.apply(manifests.service())
    world.annotate(header="X-Account", header_values="alice,bob")
    world.enrol()


def _second_canary(world: World) -> None:
    """Somebody else's canary Ingress for the same host and path."""
    rival = manifests.ingress()
    rival["metadata"] = {
        **rival["metadata"],
        "name": "rival",
        "annotations": {"nginx.ingress.kubernetes.io/canary": "true"},
    }
    world.apply(rival)


def _selects_all(world: World) -> None:
    other = manifests.service()
    other["metadata"] = {**other["metadata"], "name": "other"}
    other["spec"] = {**other["spec"], "selector": {names.TRACK: "canary"}}
    world.apply(other)


def _drop_paths(ingress: Any) -> None:
    ingress["spec"]["rules"][0]["http"]["paths"][0]["path"] = "/elsewhere"


def _replicas(number: int) -> Callable[[Any], None]:
    def change(obj: Any) -> None:
        obj["spec"]["replicas"] = number

    return change


def _other_template(obj: Any) -> None:
    obj["spec"]["template"]["spec"]["containers"][0]["image"] = "example/odd:1"


def _no_ownership(obj: Any) -> None:
    obj["metadata"].pop("ownerReferences", None)


def _other_selector(obj: Any) -> None:
    obj["spec"]["selector"] = {"app": "nobody"}


KEY = "nginx.ingress.kubernetes.io/"

_OPERATIONS: Mapping[str, Deed] = {
    "weight-0": _notes(weight="0"),
    "weight-20": _notes(weight="20"),
    "weight-50": _notes(weight="50"),
    "weight-100": _notes(weight="100"),
    "no-weight": _notes(weight=None),
    "steps": _notes(steps="10/1m, 50/1m, 100/1m"),
    "no-steps": _notes(steps=None),
    "auto": _notes(promotion="auto"),
    "one-account": _notes(header_values="carol"),
    "no-accounts": _notes(header=None, header_values=None),
    "suffixes": _notes(header_suffixes="0,1"),
    "cookie": _notes(cookie="beta"),
    "typo": _notes(wieght="5"),
    "no-typo": _notes(wieght=None),
    "bad-weight": _notes(weight="many"),
    "no-checks": _notes(checks=None),
    "few": _notes(replicas="1"),
    "no-few": _notes(replicas=None),
    "in-place": _notes(promotion="in-place"),
    "abort": _act("abort"),
    "promote": _act("promote:REV"),
    "retry": _act("retry:REV"),
    "pause": _act("pause"),
    "continue": _act("continue"),
    "v1": lambda world: world.set_image("v1"),
    "v2": lambda world: world.set_image("v2"),
    "v3": lambda world: world.set_image("v3"),
    "env": change_template,
    "resume": lambda world: world.rollout_resume(),
    "rollout-pause": lambda world: world.rollout_pause(),
    "undo": lambda world: world.rollout_undo(),
    "restart": lambda world: world.rollout_restart(),
    "scale-1": lambda world: world.scale(1),
    "scale-3": lambda world: world.scale(3),
    "scale-5": lambda world: world.scale(5, manager="horizontal-pod-autoscaler"),
    "scale-0": lambda world: world.scale(0),
    "autoscale-down": autoscale_down,
    "unenrol": lambda world: world.unenrol(),
    "enrol": lambda world: world.enrol(),
    "delete-main": _delete("ingresses", NAME),
    "apply-main": lambda world: world.apply(manifests.ingress()),
    "path": _set("ingresses", NAME, _drop_paths),
    "recreate-service": _recreate_service,
    "delete-service": _delete("services", NAME),
    "apply-service": lambda world: world.apply(manifests.service()),
    "crash-canary": crash_canary,
    "evict-canary": _delete_pods("canary", 1),
    "evict-canaries": _delete_pods("canary", 9),
    "evict-stable": _delete_pods("stable", 1),
    "rival": _second_canary,
    "no-rival": _delete("ingresses", "rival"),
    "selects": _selects_all,
    "no-selects": _delete("services", "other"),
    "no-nodes": lambda world: world.hold_new_pods(),
    "nodes": lambda world: world.let_new_pods_start(),
}
_MUTATIONS: Mapping[str, Deed] = {
    "canary-weight": _note_on("ingresses", CANARY, KEY + "canary-weight", "77"),
    "canary-weight-text": _note_on("ingresses", CANARY, KEY + "canary-weight", "lots"),
    "canary-no-weight": _note_on("ingresses", CANARY, KEY + "canary-weight", None),
    "canary-total": _note_on("ingresses", CANARY, KEY + "canary-weight-total", "1000"),
    "canary-false": _note_on("ingresses", CANARY, KEY + "canary", "false"),
    "canary-cookie": _note_on("ingresses", CANARY, KEY + "canary-by-cookie", "open"),
    "canary-no-cookie": _note_on("ingresses", CANARY, KEY + "canary-by-cookie", None),
    "canary-header": _note_on("ingresses", CANARY, KEY + "canary-by-header", "X-Other"),
    "canary-pattern": _note_on("ingresses", CANARY, KEY + "canary-by-header-pattern", ".*"),
    "canary-rewrite": _note_on("ingresses", CANARY, KEY + "rewrite-target", "/x"),
    "no-changed": _note_on("ingresses", CANARY, names.CHANGED, None),
    "odd-changed": _note_on("ingresses", CANARY, names.CHANGED, "yesterday"),
    "canary-path": _set("ingresses", CANARY, _drop_paths),
    "no-record": _note_on("deployments", CANARY, names.RELEASE, None),
    "odd-record": _note_on("deployments", CANARY, names.RELEASE, "{}"),
    "canary-0": _set("deployments", CANARY, _replicas(0)),
    "canary-1": _set("deployments", CANARY, _replicas(1)),
    "canary-9": _set("deployments", CANARY, _replicas(9)),
    "canary-template": _set("deployments", CANARY, _other_template),
    "canary-orphan": _set("deployments", CANARY, _no_ownership),
    "canary-selector": _set("services", CANARY, _other_selector),
    "no-status": _note_on("services", NAME, names.STATUS, None),
    "odd-status": _note_on("services", NAME, names.STATUS, '{"stage":"Idle"}'),
    "no-held": lambda world: world.label("deployments", {names.HELD: None}),
    "held-by-other": lambda world: world.label("deployments", {names.HELD: "other"}),
    "resume-label": lambda world: world.label("deployments", {names.RESUME: "1"}),
    "no-managed": lambda world: world.label("deployments", {names.MANAGED_BY: None}, name=CANARY),
    "delete-canary": _delete("deployments", CANARY),
    "delete-canary-service": _delete("services", CANARY),
    "delete-canary-ingress": _delete("ingresses", CANARY),
    "delete-budget": _delete("poddisruptionbudgets", CANARY),
}


def _guarded(deed: Deed) -> Deed:
    """Do it where it can be done: a command that fails changes nothing."""

    def guarded(world: World) -> None:
        try:
            deed(world)
        except (ApiError, KubectlError, StopIteration, LookupError):
            return

    return guarded


DEEDS: Mapping[str, Deed] = {
    name: _guarded(deed) for name, deed in {**_OPERATIONS, **_MUTATIONS}.items()
}
OPERATIONS: tuple[str, ...] = tuple(_OPERATIONS)
MUTATIONS: tuple[str, ...] = tuple(_MUTATIONS)

REPLACERS: Mapping[str, tuple[str, ...]] = {
    "ingresses": ("delete-canary-ingress", "canary-weight", "delete-main", "path"),
    "deployments": ("v3", "v1", "scale-5", "no-held", "delete-canary"),
    "services": ("unenrol", "abort", "weight-20", "recreate-service"),
    "poddisruptionbudgets": ("delete-budget",),
}
"""What people may do just before a write to an object of this kind."""


def touch(world: World, target: str) -> None:
    """Change something on an object that means nothing to us: its version is another."""
    kind, _, name = target.partition("/")
    if world.store.exists(kind, NAMESPACE, name):
        note = {"metadata": {"annotations": {"example.com/touched": str(world.now)}}}
        if is_ours(world.store.get(kind, NAMESPACE, name)) or kind == "deployments":
            note = {"metadata": {"labels": {"example.com/touched": "x"}}}
        world.patch(kind, note, name=name, manager="git-tool")


def tag(name: str) -> str:
    """Return the image of a version."""
    return image(name)
