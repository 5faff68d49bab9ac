"""The hooks of the hold: one row for each line of the policies."""

from typing import Any

import pytest

from e2e.bed.apiserver.store import Store
from tests.e2e.bed.apiserver.client import Json, deployment

REST = {
    "replicas": 2,
    "updatedReplicas": 2,
    "readyReplicas": 2,
    "availableReplicas": 2,
    "observedGeneration": 1,
}
NEW_IMAGE = {"spec": {"template": {"spec": {"containers": [{"name": "web", "image": "web:2"}]}}}}


def on_template(**meta: Any) -> Json:
    return {"spec": {"template": {"metadata": meta}}}


def store_with(status: Json | None = None, held: str | None = "web", **spec: Any) -> Store:
    store = Store(hold_policy=True)
    sent = deployment(labels={} if held is None else {"serinus.dev/held": held})
    sent["spec"] |= spec
    store.create("deployments", "default", sent)
    patch = {"status": REST if status is None else status}
    store.patch("deployments", "default", "web", "merge", patch, subresource="status")
    return store


def patched(store: Store, patch: Json, sort: str = "strategic", **how: Any) -> Json:
    return store.patch("deployments", "default", "web", sort, patch, **how)


def is_paused(obj: Json) -> bool:
    return bool(obj["spec"].get("paused", False))


@pytest.mark.parametrize(
    ("patch", "held"),
    [
        (NEW_IMAGE, True),
        (on_template(labels={"app": "web", "new": "1"}), True),
        (on_template(annotations={"note": "1"}), True),
        (on_template(annotations={"note": ""}), False),
        (on_template(annotations={"kubectl.kubernetes.io/restartedAt": "now"}), False),
        ({"spec": {"replicas": 3}}, False),
        ({"spec": {"minReadySeconds": 3}}, False),
        ({"metadata": {"annotations": {"a": "b"}}}, False),
        ({"metadata": {"labels": {"a": "b"}}}, False),
    ],
)
def test_holds_a_new_template_only(patch: Json, held: bool) -> None:
    assert is_paused(patched(store_with(), patch)) == held


def test_holds_when_an_annotation_goes() -> None:
    noted = {
        **deployment()["spec"]["template"],
        "metadata": {"labels": {"app": "web"}, "annotations": {"n": ""}},
    }
    store = store_with(template=noted)
    assert is_paused(patched(store, on_template(annotations={"n": None})))


@pytest.mark.parametrize(
    ("status", "spec", "held"),
    [
        (REST, {}, True),
        ({**REST, "updatedReplicas": 1}, {}, False),
        ({**REST, "availableReplicas": 0}, {}, False),
        ({**REST, "availableReplicas": 1}, {}, True),
        ({**REST, "updatedReplicas": 1}, {"paused": True}, True),
        # The status is of before the last change: what it counts is no roll.
        ({**REST, "updatedReplicas": 0, "observedGeneration": 0}, {}, True),
        ({**REST, "availableReplicas": 0, "observedGeneration": 0}, {}, False),
        ({}, {"replicas": 0}, True),
        ({}, {}, False),
    ],
)
def test_holds_at_rest_only(status: Json, spec: Json, held: bool) -> None:
    assert is_paused(patched(store_with(status, **spec), NEW_IMAGE)) == held


@pytest.mark.parametrize("held", [None, ""])
def test_holds_labelled_ones_only(held: str | None) -> None:
    assert not is_paused(patched(store_with(held=held), NEW_IMAGE))


def test_a_label_that_comes_with_the_template_does_not_hold_yet() -> None:
    labels = {"metadata": {"labels": {"serinus.dev/held": "web"}}}
    assert not is_paused(patched(store_with(held=None), {**NEW_IMAGE, **labels}))


def test_a_label_that_goes_with_the_template_is_kept_and_still_holds() -> None:
    labels = {"metadata": {"labels": {"serinus.dev/held": None}}}
    written = patched(store_with(), {**NEW_IMAGE, **labels})
    assert is_paused(written)
    assert written["metadata"]["labels"]["serinus.dev/held"] == "web"


def test_a_label_that_goes_alone_is_gone() -> None:
    store = store_with(PENDING, paused=True)
    written = patched(store, {"metadata": {"labels": {"serinus.dev/held": None}}})
    assert "serinus.dev/held" not in (written["metadata"].get("labels") or {})
    assert not is_paused(patched(store, UNPAUSE, manager="kubectl-rollout"))


@pytest.mark.parametrize("manager", ["kubectl-replace", "kubectl-rollout"])
def test_a_label_that_goes_with_the_pause_of_a_waiting_template_is_kept(manager: str) -> None:
    store = store_with(PENDING, paused=True)
    current = store.get("deployments", "default", "web")
    spec = {key: value for key, value in current["spec"].items() if key != "paused"}
    bare = {"name": "web", "namespace": "default"}
    for _ in range(2):
        whole = {**current, "metadata": bare, "spec": spec}
        written = store.update("deployments", "default", "web", whole, manager=manager)
        assert is_paused(written)
        assert written["metadata"]["labels"]["serinus.dev/held"] == "web"


def test_the_switch_is_off() -> None:
    store = store_with()
    store.hold_policy = False
    assert not is_paused(patched(store, NEW_IMAGE))


def writes(store: Store, **how: Any) -> dict[str, Any]:
    """Every way to write the template."""
    current = store.get("deployments", "default", "web")
    template = current["spec"]["template"]
    pod = template["spec"]
    changed = {
        **template,
        "spec": {**pod, "containers": [{**pod["containers"][0], "image": "web:2"}]},
    }
    whole = {**current, "spec": {**current["spec"], "template": changed}}
    operation = {"op": "replace", "path": "/spec/template", "value": changed}
    place = ("deployments", "default", "web")
    config = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web"},
        **NEW_IMAGE,
    }
    return {
        "put": lambda: store.update(*place, whole, **how),
        "json": lambda: store.patch(*place, "json", [operation], **how),
        "merge": lambda: store.patch(*place, "merge", {"spec": {"template": changed}}, **how),
        "strategic": lambda: store.patch(*place, "strategic", NEW_IMAGE, **how),
        "apply": lambda: store.patch(*place, "apply", config, manager="m", force=True, **how),
    }


WAYS = pytest.mark.parametrize("way", ["put", "json", "merge", "strategic", "apply"])


@WAYS
def test_holds_whatever_the_write(way: str) -> None:
    assert is_paused(writes(store_with())[way]())


@WAYS
def test_holds_a_dry_run_too(way: str) -> None:
    store = store_with()
    assert is_paused(writes(store, dry_run=True)[way]())
    assert not is_paused(store.get("deployments", "default", "web"))


@WAYS
def test_warns_once(way: str) -> None:
    told: list[str] = []
    writes(store_with(), warn=told.append)[way]()
    assert len(told) == 1
    assert "a canary starts. Watch: kubectl canary status web" in told[0]


PENDING = {**REST, "updatedReplicas": 0}
ROLLED = {**REST, "observedGeneration": 9}
UNPAUSE = {"spec": {"paused": None}}


@pytest.mark.parametrize(
    ("manager", "status", "paused", "resume"),
    [
        ("kubectl-rollout", PENDING, True, "1"),
        ("kubectl-edit", PENDING, True, None),
        ("", PENDING, True, None),
        ("serinus", PENDING, False, None),
        ("kubectl-rollout", REST, False, None),
        ("kubectl-rollout", {**REST, "observedGeneration": 0}, True, "1"),
        ("kubectl-rollout", {"observedGeneration": 1}, False, None),
        ("argocd", {**PENDING, "updatedReplicas": 1}, False, None),
    ],
)
def test_unpausing(manager: str, status: Json, paused: bool, resume: str | None) -> None:
    store = store_with(status, paused=True)
    written = patched(store, UNPAUSE, manager=manager)
    assert is_paused(written) == paused
    assert written["metadata"]["labels"].get("serinus.dev/resume") == resume


def test_a_resume_names_the_generation_that_was_pending() -> None:
    store = store_with(REST)
    patched(store, NEW_IMAGE, manager="kubectl-set")
    told: list[str] = []
    resumed = patched(store, UNPAUSE, manager="kubectl-rollout", warn=told.append)
    assert resumed["metadata"]["labels"]["serinus.dev/resume"] == "2"
    assert resumed["metadata"]["generation"] == 2
    assert "asked for a promotion" in told[0]
    assert "kubectl label deployment web serinus.dev/held-" in told[0]


def test_the_user_agent_is_no_field_manager() -> None:
    store = store_with(PENDING, paused=True)
    assert is_paused(patched(store, UNPAUSE, agent="serinus/1.0"))


def test_scale_and_status_are_not_looked_at() -> None:
    store = store_with()
    patch = {"status": {"replicas": 3}, **NEW_IMAGE}
    assert not is_paused(patched(store, patch, subresource="status"))


def test_the_controller_is_told_nothing() -> None:
    told: list[str] = []
    patched(store_with(), NEW_IMAGE, manager="serinus", warn=told.append)
    assert told == []
