"""The two mutating policies that hold a template, and the two warnings, as coded hooks.

They do what `hold.yaml` and `warn.yaml` do on a real server, for updates of Deployments
themselves (not of their status or scale), whatever the kind of write.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from e2e.bed.apiserver.trees import JsonObject, at

HELD = "serinus.dev/held"
RESUME = "serinus.dev/resume"
RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"
CONTROLLER = "serinus"
BY_HAND = "kubectl-rollout"

_TELL = (
    "Validation failed for ValidatingAdmissionPolicy 'serinus-tell' with binding 'serinus-tell': "
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Update:
    """An update of a Deployment as an admission policy sees it.

    Attributes:
        new: The object as the writer wants it.
        old: The stored object.
        manager: The request's fieldManager option; empty when the client sent none.
    """

    new: JsonObject
    old: JsonObject
    manager: str

    @property
    def selected(self) -> bool:
        """Whether the policies' object selector takes it: the label on either state."""
        return any(HELD in _labels(obj) for obj in (self.new, self.old))

    @property
    def held(self) -> bool:
        """Whether the stored Deployment is marked as held."""
        return bool(_labels(self.old).get(HELD))


def mutated(update: Update) -> JsonObject:
    """Return the object as the policies leave it: held, resumed, or as it came."""
    if not update.selected or not update.held:
        return update.new
    if _is_new_template(update) and _was_at_rest(update.old):
        update = Update(new=_kept(update), old=update.old, manager=update.manager)
    if update.manager != CONTROLLER and _unpauses(update) and _was_pending(update.old):
        return _resumed(update)
    return update.new


def warnings(update: Update) -> Iterator[str]:
    """Yield what the person at the keyboard is told; `update.new` is the final object."""
    if not update.selected or update.manager == CONTROLLER:
        return
    labels, name = _labels(update.new), update.new["metadata"]["name"]
    if HELD not in labels:
        return
    if labels.get(RESUME, "") not in ("", _labels(update.old).get(RESUME, "")):
        yield (
            f"{_TELL}serinus: asked for a promotion; the controller shifts the traffic first, "
            f"then rolls. Watch: kubectl canary status {labels[HELD]}. To roll without it: "
            f"kubectl label deployment {name} {HELD}- and resume again"
        )
    if _is_paused(update.new) and not _is_paused(update.old) and _pod_specs_differ(update):
        yield (
            f"{_TELL}serinus: the new template is held; running pods stay as they are and a "
            f"canary starts. Watch: kubectl canary status {labels[HELD]}"
        )


def _is_new_template(update: Update) -> bool:
    new, old = (at(obj, "spec", "template", "metadata") or {} for obj in (update.new, update.old))
    return (
        _pod_specs_differ(update)
        or new.get("labels") != old.get("labels")
        or _annotations_differ(_without_restart(new), _without_restart(old))
    )


def _annotations_differ(new: JsonObject, old: JsonObject) -> bool:
    """Compare as the policy does: one that comes empty is none, one that goes is a change."""
    return (
        any(value != old.get(key, "") for key, value in new.items()) or not old.keys() <= new.keys()
    )


def _without_restart(meta: JsonObject) -> JsonObject:
    annotations = meta.get("annotations") or {}
    return {key: value for key, value in annotations.items() if key != RESTARTED_AT}


def _pod_specs_differ(update: Update) -> bool:
    return bool(
        at(update.new, "spec", "template", "spec") != at(update.old, "spec", "template", "spec")
    )


def _was_at_rest(old: JsonObject) -> bool:
    return (
        _is_paused(old)
        or _number(old, 1, "spec", "replicas") == 0
        or (
            (_is_complete(old) or _is_unobserved(old))
            and _number(old, 0, "status", "availableReplicas") > 0
        )
    )


def _is_complete(old: JsonObject) -> bool:
    return _number(old, 0, "status", "updatedReplicas") == _number(old, 0, "status", "replicas")


def _is_unobserved(old: JsonObject) -> bool:
    """Say whether the status is of another generation: its counts say nothing of a roll."""
    found = _number(old, 0, "status", "observedGeneration")
    return found < int(old["metadata"]["generation"])


def _unpauses(update: Update) -> bool:
    return _is_paused(update.old) and not _is_paused(update.new)


def _was_pending(old: JsonObject) -> bool:
    return _is_unobserved(old) or (
        _number(old, 0, "status", "updatedReplicas") == 0
        and _number(old, 0, "status", "replicas") > 0
    )


def _resumed(update: Update) -> JsonObject:
    if update.manager != BY_HAND:
        return _kept(update)
    return _kept(update, **{RESUME: str(update.old["metadata"]["generation"])})


def _kept(update: Update, **more: str) -> JsonObject:
    """Pause, and keep the label that a write of the whole object may have left out."""
    meta = update.new["metadata"]
    labels = {**_labels(update.new), HELD: _labels(update.old)[HELD], **more}
    return {
        **update.new,
        "metadata": {**meta, "labels": labels},
        "spec": {**update.new["spec"], "paused": True},
    }


def _is_paused(obj: JsonObject) -> bool:
    return bool(at(obj, "spec", "paused"))


def _labels(obj: JsonObject) -> dict[str, str]:
    labels = obj["metadata"].get("labels")
    return labels if isinstance(labels, dict) else {}


def _number(obj: JsonObject, default: int, *path: str) -> int:
    value: Any = at(obj, *path)
    return value if isinstance(value, int) else default
