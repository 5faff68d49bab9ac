"""Reads what the screens tell, with the rights of whoever asks."""

import asyncio
from collections.abc import Sequence
from typing import Final

import click

from controller.api import names
from controller.api.errors import ForbiddenError, NotFoundError
from controller.api.objects import (
    DEPLOYMENT,
    INGRESS,
    REPLICA_SET,
    SERVICE,
    Kind,
    Object,
    annotations_of,
    labels_of,
    name_of,
    namespace_of,
)
from controller.cli.access import Session
from controller.cli.view import View, World, view_of

ENROLLED: Final = f"{names.CANARY},{names.CANARY}!={names.MANAGED}"
"""Selects the Services that users labelled, whatever the label says."""


async def world_of(session: Session, name: str) -> World:
    """Read one enrolled Service, and what a release of it consists of.

    Raises:
        click.ClickException: there is no such Service, or it is not enrolled.
    """
    try:
        service = await session.client.get(SERVICE, session.namespace, name)
    except NotFoundError:
        raise click.ClickException(
            f"Service {name} is not in namespace {session.namespace}: "
            f"kubectl get services -n {session.namespace}"
        ) from None
    _require_enrolled(service)
    return (await _worlds(session, [service]))[0]


async def look_at(session: Session, name: str) -> View:
    """Return what there is to tell about one Service; raises as `world_of` does."""
    return view_of(await world_of(session, name))


async def look_around(session: Session) -> list[View]:
    """Return what there is to tell about every enrolled Service of the namespace.

    Raises:
        click.ClickException: there is none.
    """
    found = await session.client.list(SERVICE, session.namespace, labels=ENROLLED)
    if not found.items:
        raise click.ClickException(
            f"no Service in namespace {session.namespace} is enrolled: kubectl label service NAME "
            f"-n {session.namespace} {names.CANARY}={names.ENABLED}"
        )
    services = sorted(found.items, key=name_of)
    return [view_of(world) for world in await _worlds(session, services)]


async def overview(session: Session, namespace: str | None) -> list[View]:
    """Return what the Services themselves say, without their surroundings.

    Args:
        session: the connection.
        namespace: None means all.
    """
    found = await session.client.list(SERVICE, namespace, labels=ENROLLED)
    now = session.client.server_time()
    views = [view_of(World(service=service, now=now)) for service in found.items]
    return sorted(views, key=lambda view: (view.namespace, view.service))


def _require_enrolled(service: Object) -> None:
    name, namespace = name_of(service), namespace_of(service)
    value = labels_of(service).get(names.CANARY)
    if value == names.MANAGED:
        whose = labels_of(service).get(names.SERVICE, "")
        raise click.ClickException(
            f"Service {name} is the canary of Service {whose}: kubectl canary status {whose} "
            f"-n {namespace}"
        )
    if value is not None:
        return
    if names.STATUS in annotations_of(service):
        raise click.ClickException(
            f"Service {name} is leaving: its release is wound up; to enrol it again: kubectl label "
            f"service {name} -n {namespace} {names.CANARY}={names.ENABLED}"
        )
    raise click.ClickException(
        f"Service {name} is not enrolled: kubectl label service {name} -n {namespace} "
        f"{names.CANARY}={names.ENABLED}"
    )


async def _worlds(session: Session, services: Sequence[Object]) -> list[World]:
    kinds = (DEPLOYMENT, REPLICA_SET, INGRESS)
    found = await asyncio.gather(*(_listed(session, kind) for kind in kinds))
    deployments, replica_sets, ingresses = found
    unread = tuple(
        f"you may not list {kind.plural} in namespace {session.namespace}: they are left out"
        for kind, objects in zip(kinds, found, strict=True)
        if objects is None
    )
    return [
        World(
            service=service,
            now=session.client.server_time(),
            deployments=deployments or (),
            replica_sets=replica_sets or (),
            ingresses=ingresses,
            unread=unread,
        )
        for service in services
    ]


async def _listed(session: Session, kind: Kind) -> Sequence[Object] | None:
    """Return the objects of a kind, None where the user may not read them."""
    try:
        return (await session.client.list(kind, session.namespace)).items
    except ForbiddenError:
        return None
