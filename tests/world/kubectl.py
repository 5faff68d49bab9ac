"""What a person's kubectl writes: each verb as the real one sends it, with its field manager."""

import copy
import json
from collections.abc import Callable, Mapping
from typing import Any

from controller.api import names
from e2e.bed.apiserver.store import Store
from e2e.bed.apiserver.subresources import patch_scale
from e2e.bed.manifests import Manifest

NAMESPACE = "canary"
NAME = "myapp"
"""Of the Deployment, the Service and the Ingress that stories are about."""
REVISION = "deployment.kubernetes.io/revision"


class KubectlError(Exception):
    """The command ends with exit code 1 and this line."""


class Kubectl:
    """The verbs of kubectl over a store. What is not said is about the application `myapp`.

    Attributes:
        store: the objects.
        warnings: what the server told the person at the keyboard.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.warnings: list[str] = []

    def send(self, request: Callable[[], object]) -> None:
        """Make a request; a world does so inside its event loop."""
        request()

    # Whole objects.

    def apply(self, *manifests: Manifest | list[Manifest], server_side: bool = False) -> None:
        """`kubectl apply -f`, by the client or on the server's side."""
        for manifest in manifests:
            for obj in manifest if isinstance(manifest, list) else [manifest]:
                (self._apply_on_server if server_side else self._apply)(obj)

    def _apply(self, obj: Manifest) -> None:
        kind, place, name = self._place(obj)
        text = json.dumps(obj, separators=(",", ":")) + "\n"
        meta = obj["metadata"]
        annotations = {**(meta.get("annotations") or {}), names.LAST_APPLIED: text}
        whole = {**obj, "metadata": {**meta, "annotations": annotations}}
        manager = "kubectl-client-side-apply"
        if self.store.exists(kind, place, name):
            self.patch(kind, whole, name=name, form="strategic", manager=manager)
        else:
            self.send(lambda: self.store.create(kind, place, whole, manager=manager))

    def _apply_on_server(self, obj: Manifest) -> None:
        kind, place, name = self._place(obj)
        warn = self.warnings.append
        self.send(
            lambda: self.store.patch(
                kind, place, name, "apply", obj, manager="kubectl", force=True, warn=warn
            )
        )

    def _place(self, obj: Manifest) -> tuple[str, str | None, str]:
        word = obj["kind"].lower()
        plural = word + ("es" if word.endswith("s") else "s")
        kind = self.store.kinds.named(plural)
        place = obj["metadata"].get("namespace", NAMESPACE) if kind.namespaced else None
        return plural, place, obj["metadata"]["name"]

    def patch(
        self,
        kind: str,
        patch: Any,
        *,
        name: str = NAME,
        form: str = "merge",
        manager: str = "kubectl-patch",
        agent: str = "kubectl",
    ) -> None:
        """`kubectl patch`."""
        warn = self.warnings.append
        self.send(
            lambda: self.store.patch(
                kind, NAMESPACE, name, form, patch, manager=manager, agent=agent, warn=warn
            )
        )

    def delete(self, kind: str, name: str = NAME) -> None:
        """`kubectl delete`."""
        self.send(lambda: self.store.delete(kind, NAMESPACE, name))

    def edit(self, kind: str, change: Callable[[Any], object], *, name: str = NAME) -> None:
        """`kubectl edit`: `change` gets the object and may do with it what it likes."""
        obj = copy.deepcopy(self.store.get(kind, NAMESPACE, name))
        change(obj)
        warn = self.warnings.append
        self.send(
            lambda: self.store.update(kind, NAMESPACE, name, obj, manager="kubectl-edit", warn=warn)
        )

    # Labels and annotations.

    def label(self, kind: str, labels: Mapping[str, str | None], *, name: str = NAME) -> None:
        """`kubectl label`; None takes one off."""
        patch = {"metadata": {"labels": dict(labels)}}
        self.patch(kind, patch, name=name, manager="kubectl-label")

    def annotate(self, *, name: str = NAME, **values: str | None) -> None:
        """`kubectl annotate service`; `header_values="alice"` is `serinus.dev/header-values`."""
        keys = {names.PREFIX + key.replace("_", "-"): value for key, value in values.items()}
        patch = {"metadata": {"annotations": keys}}
        self.patch("services", patch, name=name, manager="kubectl-annotate")

    def enrol(self, *, name: str = NAME) -> None:
        """Put the label on the Service."""
        self.label("services", {names.CANARY: names.ENABLED}, name=name)

    def unenrol(self, *, name: str = NAME) -> None:
        """Take the label off the Service."""
        self.label("services", {names.CANARY: None}, name=name)

    # The Deployment.

    def set_image(self, tag: str, *, name: str = NAME) -> None:
        """`kubectl set image`."""
        container = {"name": f"{name}-container", "image": image(tag, name=name)}
        spec = {"template": {"spec": {"containers": [container]}}}
        self.patch(
            "deployments", {"spec": spec}, name=name, form="strategic", manager="kubectl-set"
        )

    def scale(self, replicas: int, *, name: str = NAME, manager: str = "kubectl") -> None:
        """`kubectl scale`, or with another manager an autoscaler."""
        kind = self.store.kinds.named("deployments")
        patch = {"spec": {"replicas": replicas}}
        place = (kind, NAMESPACE, name)
        self.send(lambda: patch_scale(self.store, place, "merge", patch, manager=manager))

    def rollout_resume(self, *, name: str = NAME) -> None:
        """`kubectl rollout resume`.

        Raises:
            KubectlError: it is not paused.
        """
        if not self._is_paused(name):
            raise KubectlError(f'deployments.apps "{name}" is not paused')
        self._rollout({"spec": {"paused": None}}, name)

    def rollout_pause(self, *, name: str = NAME) -> None:
        """`kubectl rollout pause`.

        Raises:
            KubectlError: it is paused already.
        """
        if self._is_paused(name):
            raise KubectlError(f'deployments.apps "{name}" is already paused')
        self._rollout({"spec": {"paused": True}}, name)

    def rollout_restart(self, at: str = "2027-01-15T08:00:00Z", *, name: str = NAME) -> None:
        """`kubectl rollout restart`.

        Raises:
            KubectlError: it is paused.
        """
        if self._is_paused(name):
            raise KubectlError("can't restart paused deployment (run rollout resume first)")
        meta = {"annotations": {names.RESTARTED_AT: at}}
        self._rollout({"spec": {"template": {"metadata": meta}}}, name)

    def rollout_undo(self, *, name: str = NAME) -> None:
        """`kubectl rollout undo`: the template of the ReplicaSet before the last.

        Raises:
            KubectlError: it is paused, or there is no other revision.
        """
        if self._is_paused(name):
            raise KubectlError(
                "you cannot rollback a paused deployment; resume it first with 'kubectl rollout "
                "resume' and try again"
            )
        previous = self._revisions(name)[1:2]
        if not previous:
            raise KubectlError(f'no rollout history found for deployment "{name}"')
        template = copy.deepcopy(previous[0]["spec"]["template"])
        template["metadata"]["labels"].pop(names.POD_TEMPLATE_HASH, None)
        change = [{"op": "replace", "path": "/spec/template", "value": template}]
        self.patch("deployments", change, name=name, form="json", manager="")

    def rollout_is_done(self, *, name: str = NAME) -> bool:
        """Tell whether `kubectl rollout status` would end now."""
        deployment = self.store.get("deployments", NAMESPACE, name)
        spec, counts = deployment["spec"], deployment.get("status") or {}
        if counts.get("observedGeneration", 0) < deployment["metadata"]["generation"]:
            return False
        updated = counts.get("updatedReplicas", 0)
        return bool(
            updated >= spec["replicas"]
            and counts.get("replicas", 0) <= updated
            and counts.get("availableReplicas", 0) >= updated
        )

    def put_back(self, tag: str = "v1", *, name: str = NAME) -> None:
        """`kubectl canary undo`, or whoever writes the old template again."""
        self.set_image(tag, name=name)

    def _rollout(self, patch: Any, name: str) -> None:
        self.patch("deployments", patch, name=name, form="strategic", manager="kubectl-rollout")

    def _is_paused(self, name: str) -> bool:
        return bool(self.store.get("deployments", NAMESPACE, name)["spec"].get("paused"))

    def _revisions(self, name: str) -> list[Any]:
        """Return the Deployment's ReplicaSets, the newest revision first."""
        uid = self.store.get("deployments", NAMESPACE, name)["metadata"]["uid"]
        owned = [
            entry
            for entry in self.store.list("replicasets", NAMESPACE)
            if any(o["uid"] == uid for o in entry["metadata"].get("ownerReferences") or ())
        ]
        return sorted(owned, key=_number, reverse=True)


def image(tag: str, *, name: str = NAME) -> str:
    """Return the image of an application."""
    return f"janakiramm/{name}:{tag}"


def _number(replica_set: Any) -> int:
    return int((replica_set["metadata"].get("annotations") or {}).get(REVISION, 0))
