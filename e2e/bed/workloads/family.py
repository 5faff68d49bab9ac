"""A Deployment with its ReplicaSets, and every write that a pass makes to them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from e2e.bed.workloads.cluster import (
    Cluster,
    Object,
    annotations_of,
    condition_of,
    merged,
    owner_reference,
    status_of,
)
from e2e.bed.workloads.deploymentstatus import (
    CREATED,
    FOUND,
    deadline_of,
    progressing,
    with_condition,
)
from e2e.bed.workloads.rollout import (
    DESIRED,
    HASH_LABEL,
    MAXIMUM,
    REVISION,
    age_order,
    newest_size,
    revision_of,
    same_template,
    size_annotations,
    template_hash,
    wanted,
)

_NOT_COPIED = frozenset(
    {
        "kubectl.kubernetes.io/last-applied-configuration",
        "deployment.kubernetes.io/revision-history",
        REVISION,
        DESIRED,
        MAXIMUM,
    }
)
"""Annotations of a Deployment that its ReplicaSets do not get."""


class Family:
    """What one pass knows of a Deployment; each write brings it up to date.

    Attributes:
        newest: The ReplicaSet of the present template; `None` until it is made.
        older: All others, by age.
    """

    def __init__(
        self, cluster: Cluster, deployment: Object, owned: Sequence[Object], now: datetime
    ) -> None:
        self.cluster = cluster
        self.deployment = deployment
        self.now = now
        by_age = sorted(owned, key=age_order)
        template = deployment["spec"]["template"]
        matching = (one for one in by_age if same_template(one["spec"]["template"], template))
        self.newest: Object | None = next(matching, None)
        self.older: list[Object] = [one for one in by_age if one is not self.newest]

    @property
    def all(self) -> list[Object]:
        """Answer every ReplicaSet."""
        return [*self.older, *([self.newest] if self.newest else [])]

    @property
    def active(self) -> list[Object]:
        """Answer the ReplicaSets that want pods."""
        return [one for one in self.all if wanted(one) > 0]

    def write_status(self, status: Object) -> None:
        """Write the Deployment's status if it differs."""
        if status != status_of(self.deployment):
            changed = merged(self.deployment, status=status)
            self.deployment = self.cluster.update("deployments", changed, "status")

    def sync_newest(self) -> None:
        """Give the ReplicaSet of the present template its revision and the annotations."""
        newest = self.newest
        if newest is None:
            return
        revision = max(self._next_revision(), revision_of(newest))
        annotations = self._annotations(newest, revision)
        seconds = self.deployment["spec"].get("minReadySeconds") or 0
        same_seconds = (newest["spec"].get("minReadySeconds") or 0) == seconds
        if annotations != annotations_of(newest) or not same_seconds:
            spec = merged(newest["spec"], minReadySeconds=seconds)
            self._replace(newest, annotations, spec)
        self._note_revision(revision)
        self._note_progress(FOUND, f'Found new replica set "{newest["metadata"]["name"]}"')

    def ensure_newest(self) -> Object:
        """Answer the ReplicaSet of the present template, made first if there is none."""
        if self.newest is None:
            self.newest = self.cluster.create("replicasets", self._new())
            revision = revision_of(self.newest)
            self._note_revision(revision)
            name = self.newest["metadata"]["name"]
            self._note_progress(CREATED, f'Created new replica set "{name}"', always=True)
        return self.newest

    def resize(self, replica_set: Object, size: int) -> bool:
        """Scale a ReplicaSet; one that has the size already is not touched."""
        if wanted(replica_set) == size:
            return False
        self.mark(replica_set, size)
        return True

    def mark(self, replica_set: Object, size: int) -> None:
        """Scale a ReplicaSet and note for which size of the Deployment that was."""
        annotations = {**annotations_of(replica_set), **size_annotations(self.deployment)}
        if wanted(replica_set) != size or annotations != annotations_of(replica_set):
            spec = merged(replica_set["spec"], replicas=size)
            self._replace(replica_set, annotations, spec)

    def forget(self, replica_set: Object) -> None:
        """Delete a ReplicaSet of the history."""
        self.cluster.delete("replicasets", replica_set)
        self.older = [one for one in self.older if one is not replica_set]

    def _replace(self, replica_set: Object, annotations: Mapping[str, str], spec: Object) -> None:
        metadata = merged(replica_set["metadata"], annotations=annotations)
        changed = merged(replica_set, metadata=metadata, spec=spec)
        written = self.cluster.update("replicasets", changed)
        if replica_set is self.newest:
            self.newest = written
        else:
            self.older = [written if one is replica_set else one for one in self.older]

    def _next_revision(self) -> int:
        return max((revision_of(one) for one in self.older), default=0) + 1

    def _annotations(self, base: Object, revision: int) -> dict[str, str]:
        own = annotations_of(self.deployment).items()
        copied = {name: value for name, value in own if name not in _NOT_COPIED}
        return {**annotations_of(base), **copied, REVISION: str(revision)}

    def _note_revision(self, revision: int) -> None:
        annotations = annotations_of(self.deployment)
        if annotations.get(REVISION) != str(revision):
            marked = {**annotations, REVISION: str(revision)}
            metadata = merged(self.deployment["metadata"], annotations=marked)
            changed = merged(self.deployment, metadata=metadata)
            # A write to the status of a built-in kind takes annotations along, and raises no
            # generation: that is how the real controller writes the revision.
            self.deployment = self.cluster.update("deployments", changed, "status")

    def _note_progress(self, reason: str, message: str, *, always: bool = False) -> None:
        known = condition_of(self.deployment, "Progressing") is not None
        if deadline_of(self.deployment) is None or (known and not always):
            return
        condition = progressing("True", reason, message)
        self.write_status(with_condition(status_of(self.deployment), condition, self.now))

    def _new(self) -> dict[str, Any]:
        deployment = self.deployment
        collisions = int(status_of(deployment).get("collisionCount") or 0)
        template = deployment["spec"]["template"]
        digest = template_hash(template, collisions)
        labels = {**(template["metadata"].get("labels") or {}), HASH_LABEL: digest}
        matched = {**deployment["spec"]["selector"].get("matchLabels", {}), HASH_LABEL: digest}
        annotations = {
            **self._annotations({"metadata": {}}, self._next_revision()),
            **size_annotations(deployment),
        }
        return {
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "metadata": {
                "name": f"{deployment['metadata']['name']}-{digest}",
                "namespace": deployment["metadata"]["namespace"],
                "labels": labels,
                "annotations": annotations,
                "ownerReferences": [owner_reference(deployment, "apps/v1", "Deployment")],
            },
            "spec": {
                "replicas": newest_size(deployment, self.older, 0),
                "minReadySeconds": deployment["spec"].get("minReadySeconds") or 0,
                "selector": merged(deployment["spec"]["selector"], matchLabels=matched),
                "template": merged(template, metadata=merged(template["metadata"], labels=labels)),
            },
        }
