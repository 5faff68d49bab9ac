"""Puts the previous template back into the stable Deployment, with the user's rights."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import click

from controller.api import names
from controller.api.objects import (
    DEPLOYMENT,
    Object,
    is_paused,
    name_of,
    namespace_of,
    revision_of,
    status_of,
    template_of,
    uid_of,
)
from controller.cli.access import Session
from controller.cli.ask import DryRun
from controller.cli.view import World, images_of, number_of, owner_of
from controller.plan.release import Release

RESUMER: Final = "kubectl-rollout"
"""The field manager of `kubectl rollout resume`: the hold takes nobody else's word but ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Undo:
    """A template to put back.

    Attributes:
        deployment: as it was seen.
        source: the ReplicaSet that has the template.
        revision: of that template.
        is_serving: it is what stable's pods have; otherwise this is a release of its own.
        is_rolling: pods of another revision exist beside them.
    """

    deployment: Object
    source: Object
    revision: str
    is_serving: bool
    is_rolling: bool

    @property
    def template(self) -> Mapping[str, Any]:
        """The template as the Deployment had it: without the ReplicaSet's own label."""
        template = template_of(self.source)
        meta = template.get("metadata") or {}
        labels = dict(meta.get("labels") or {})
        labels.pop(names.POD_TEMPLATE_HASH, None)
        return {**template, "metadata": {**meta, "labels": labels}}

    @property
    def operations(self) -> list[dict[str, Any]]:
        """The JSON Patch: nothing is put back into what nobody has seen."""
        return [
            {"op": "test", "path": "/metadata/uid", "value": uid_of(self.deployment)},
            {"op": "test", "path": "/spec/template", "value": template_of(self.deployment)},
            {"op": "replace", "path": "/spec/template", "value": self.template},
        ]


def undo_of(world: World) -> Undo:
    """Find what was there before: what serves, or before a finished promotion what served.

    Raises:
        click.ClickException: there is nothing to put back.
    """
    release = world.release
    if release.stable is None:
        raise click.ClickException(
            f"Service {release.observed.name} has no Deployment that could be put back"
        )
    own = [it for it in world.replica_sets if owner_of(it) == uid_of(release.stable)]
    own.sort(key=number_of, reverse=True)
    source = _source(release, own)
    if source is None:
        raise click.ClickException(
            f"Deployment {name_of(release.stable)} has no ReplicaSet with the template to put back "
            "any more: apply the old manifest"
        )
    revision = revision_of(template_of(source))
    return Undo(
        deployment=release.stable,
        source=source,
        revision=revision,
        is_serving=revision == release.serving,
        is_rolling=len({it.revision for it in release.stable_sets if it.pods}) > 1,
    )


def _source(release: Release, own: list[Object]) -> Object | None:
    """Return the ReplicaSet to go back to.

    Args:
        release: of the Service.
        own: the ReplicaSets of stable, the newest first.
    """
    current, recorded = release.template_revision, _recorded(release)
    # A newer API server may show the recorded template with more defaults, and so as another.
    present = {current, revision_of(template_of(release.stable or {}))}
    others = [it for it in own if revision_of(template_of(it)) not in present]
    if recorded != current:
        serving = (it for it in others if status_of(it).get("replicas"))
        return _with_revision(others, recorded) or next(serving, None)
    outcome = release.status.outcome
    was_promoted = outcome is not None and outcome.result == "promoted"
    if release.record is not None or not was_promoted:
        raise click.ClickException(
            f"Deployment {name_of(release.stable or {})} has nothing to undo: revision {current} "
            "is in its template and serves; further back: kubectl rollout undo"
        )
    return next(iter(others), None)


def _recorded(release: Release) -> str:
    """Return the revision that served when the release began, else the one that serves."""
    if release.record is not None:
        return release.record.stable
    return release.status.stable.revision if release.status.stable is not None else ""


def _with_revision(own: Iterable[Object], revision: str) -> Object | None:
    return next((it for it in own if revision_of(template_of(it)) == revision), None)


async def put_back(session: Session, undo: Undo, dry_run: DryRun) -> Object:
    """Write the template; return the Deployment as the server has it then.

    Raises:
        ConflictError: the template is another one by now.
    """
    if dry_run == "client":
        return undo.deployment
    return await session.client.json_patch(
        DEPLOYMENT,
        namespace_of(undo.deployment),
        name_of(undo.deployment),
        undo.operations,
        dry_run=dry_run == "server",
    )


async def resume(session: Session, deployment: Object, dry_run: DryRun) -> str:
    """Resume as `kubectl rollout resume` does; return what came of it, "" for nothing to resume.

    Under the admission hold it asks for the promotion of what is pending (safety.md section 2).

    Raises:
        ConflictError: the template is another one by now.
    """
    if not is_paused(deployment):
        return ""
    if dry_run != "none":
        return "resumed"
    after = await session.client.writing_as(RESUMER).json_patch(
        DEPLOYMENT,
        namespace_of(deployment),
        name_of(deployment),
        [
            {"op": "test", "path": "/metadata/uid", "value": uid_of(deployment)},
            {"op": "test", "path": "/spec/template", "value": template_of(deployment)},
            {"op": "remove", "path": "/spec/paused"},
        ],
    )
    return "its promotion is asked for" if is_paused(after) else "resumed"


def told(undo: Undo, after: Object) -> str:
    """Return what was done, in one line."""
    images = ", ".join(images_of(undo.source))
    back = f"deployment/{name_of(undo.deployment)}: revision {undo.revision} ({images}) is back"
    if undo.is_serving:
        return (
            f"{back}; {'the roll goes back' if undo.is_rolling else 'nothing is pending any more'}"
        )
    if is_paused(after):
        return f"{back} and held: it starts as a canary"
    return f"{back} and rolls out"
