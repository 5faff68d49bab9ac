"""Takes every Service of a cluster out again, and looks for what the controller left behind."""

import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from controller.api import names
from controller.api.objects import condition_of
from e2e.bed.api import ApiError
from e2e.bed.polling import wait_until
from e2e.bed.served import Served

OURS = f"{names.MANAGED_BY}={names.FIELD_MANAGER}"
"""Selects what the controller made."""
KINDS = ("deployments", "services", "ingresses", "poddisruptionbudgets")
"""What it makes."""
POLL_SECONDS = 0.5


async def leave(bed: Served, *, within: float) -> list[str]:
    """Un-enrol everything, and answer what is still there after so many seconds.

    What somebody paused is resumed, and what is not ready becomes so: a roll has to end first.
    """
    enrolled = await bed.api.list_everywhere("services", labels=f"{names.CANARY}={names.ENABLED}")
    for service in enrolled:
        namespace, name = service["metadata"]["namespace"], service["metadata"]["name"]
        change = {"metadata": {"labels": {names.CANARY: None}}}
        try:
            await bed.api.patch("services", name, change, namespace)
        except ApiError as error:
            if error.status != 404:  # its namespace was going, and is gone
                raise
        await _resume(bed, namespace)
    end = time.monotonic() + within

    async def is_left_alone_or_late() -> bool:
        await _let_in(bed)
        return not await remains(bed) or time.monotonic() > end

    await wait_until(is_left_alone_or_late, within=2 * within, every=POLL_SECONDS, what="leaving")
    return await remains(bed)


async def remains(bed: Served) -> list[str]:
    """Answer what the controller made, and where it wrote on objects of others."""
    made = [
        f"{plural} {_name(obj)}"
        for plural in KINDS
        for obj in await bed.api.list_everywhere(plural, labels=OURS)
    ]
    touched = [
        f"{trace} on {plural} {_name(obj)}"
        for plural in ("services", "deployments")
        for obj in await bed.api.list_everywhere(plural)
        for trace in traces_on(obj)
    ]
    return sorted(made) + sorted(touched)


def traces_on(obj: Mapping[str, Any]) -> list[str]:
    """Find what the controller writes on objects of the owner."""
    metadata = obj["metadata"]
    keys = [*(metadata.get("labels") or {}), *(metadata.get("annotations") or {})]
    types = [entry["type"] for entry in (obj.get("status") or {}).get("conditions") or ()]
    written = {names.STATUS, names.HELD, names.RESUME, names.CANARY}
    return [key for key in keys if key in written] + [
        entry for entry in types if entry.startswith(names.PREFIX)
    ]


async def _resume(bed: Served, namespace: str) -> None:
    for deployment in await bed.api.list("deployments", namespace):
        if deployment["spec"].get("paused"):
            name = f"deployment/{deployment['metadata']['name']}"
            await bed.kubectl.run("rollout", "resume", name, "-n", namespace)


async def _let_in(bed: Served) -> None:
    for pod in await bed.api.list_everywhere("pods"):
        if (condition_of(pod, "Ready") or {}).get("status") != "True":
            with suppress(ValueError):  # it does not run yet, or not any more
                metadata = pod["metadata"]
                await bed.pods.set_pod(metadata["name"], metadata["namespace"], ready=True)


def _name(obj: Mapping[str, Any]) -> str:
    return f"{obj['metadata']['namespace']}/{obj['metadata']['name']}"
