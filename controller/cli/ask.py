"""What a person asks the controller for: the weight, and the one-shot actions."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import click

from controller.api import grammar, names
from controller.api.intent import parse
from controller.api.objects import SERVICE, Object, annotations_of, uid_of
from controller.cli.access import Session
from controller.cli.follow import Wish
from controller.cli.view import View
from controller.plan.stages import Stage
from controller.plan.tell import RUNNING

DryRun = Literal["none", "client", "server"]

PLANNED: Final = frozenset({Stage.STARTING, Stage.CANARY})
"""The stages in which weight and plan belong to a release."""

TOLD: Final[Mapping[DryRun, str]] = {
    "none": "",
    "client": " (dry run)",
    "server": " (server dry run)",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Verb:
    """One action.

    Attributes:
        name: as it is written.
        stages: where it means something.
        revision: which one it names.
    """

    name: str
    stages: frozenset[Stage]
    revision: Callable[[View], str]


def _pending(view: View) -> str:
    return view.status.revision


def _running(view: View) -> str:
    return view.running


def _rejected(view: View) -> str:
    return view.status.rejected.revision if view.status.rejected is not None else ""


VERBS: Final = {
    verb.name: verb
    for verb in (
        Verb(name="promote", stages=RUNNING, revision=_pending),
        Verb(name="abort", stages=RUNNING, revision=_running),
        Verb(name="retry", stages=frozenset({Stage.ABORTED}), revision=_rejected),
        Verb(name="pause", stages=PLANNED, revision=_pending),
        Verb(name="continue", stages=PLANNED, revision=_pending),
    )
}


def wish_of(verb: Verb, view: View, revision: str | None) -> Wish:
    """Return the action, named by the revision that the status shows.

    Args:
        verb: the action.
        view: the Service.
        revision: what the user expects it to be; None takes what is there.

    Raises:
        click.ClickException: it would be refused.
    """
    stage, found = view.status.stage, verb.revision(view)
    if stage not in verb.stages or not found:
        raise click.ClickException(_misplaced(verb, view))
    if revision not in {None, found}:
        raise click.ClickException(
            f"Service {view.service} has revision {found}, not {revision}: look again with "
            f"kubectl canary status {view.service} -n {view.namespace}"
        )
    return Wish(verb=verb.name, action=f"{verb.name}:{found}", revision=found)


def _misplaced(verb: Verb, view: View) -> str:
    name, stage = view.service, view.status.stage
    if verb.name == "promote" and stage == Stage.ABORTED:
        return (
            f"Service {name}: revision {_rejected(view)} was aborted; to try it again: "
            f"kubectl canary retry {name} -n {view.namespace}"
        )
    where = f"its stage is {stage}" if stage else "it is not ready for a release"
    return (
        f"Service {name} has nothing to {verb.name}, {where}: "
        f"kubectl canary status {name} -n {view.namespace}"
    )


async def annotate(
    session: Session, service: Object, key: str, value: str, dry_run: DryRun
) -> None:
    """Write one annotation of this very Service.

    Raises:
        ClusterError: it was not written.
    """
    if dry_run == "client":
        return
    patch: dict[str, Any] = {"metadata": {"uid": uid_of(service), "annotations": {key: value}}}
    name = str(service["metadata"]["name"])
    await session.client.merge(SERVICE, session.namespace, name, patch, dry_run=dry_run == "server")


def checked_weight(text: str) -> str:
    """Return the weight if it is one.

    Raises:
        click.UsageError: it is none.
    """
    if not grammar.WEIGHT.fits(text):
        raise click.UsageError(f"weight {grammar.shown(text)}: allowed: {grammar.WEIGHT.says}")
    return text


def require_release(view: View) -> None:
    """See that there is a release for a weight to belong to (contract.md section 4).

    Raises:
        click.ClickException: there is none; the controller would take the weight away again.
    """
    if view.status.stage not in PLANNED:
        stage = view.status.stage or "not ready"
        raise click.ClickException(
            f"Service {view.service} has no release whose weight could be set (stage {stage}): "
            f"weights of releases to come belong into {names.STEPS}"
        )


def faults_beside(service: Object, weight: str) -> tuple[str, ...]:
    """Return what is wrong with the other annotations: beside it only a lower weight is obeyed."""
    annotations = {**annotations_of(service), names.WEIGHT: weight}
    return tuple(fault.message for fault in parse(annotations).faults)
