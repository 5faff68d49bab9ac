"""What a controller left behind: two dumps of a cluster compared, object by object."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from controller.api import names
from e2e.bed.bed import Bed
from e2e.bed.polling import wait_until

Object = Mapping[str, Any]
Dump = Mapping[str, Object]
"""Objects by `PLURAL/NAMESPACE/NAME`, as `Bed.dump` answers them."""

MADE_BY_THE_CLUSTER = frozenset({"pods", "replicasets", "endpointslices"})
"""They follow from the others; they are looked at only for marks of ours."""

LEFT_SECONDS = 15.0
"""How long the cluster may take to remove what was deleted."""

EVENTS = "events"
"""They tell what happened, and go by themselves after an hour."""


async def left_of(bed: Bed, before: Dump, *, images: Mapping[str, str]) -> Sequence[str]:
    """Say what is left of the controller, when the cluster has had time to clear up.

    Args:
        bed: The cluster.
        before: See `leftovers`, as are `images`.
        images: What was released.
    """
    found: Sequence[str] = ()

    async def nothing() -> bool:
        nonlocal found
        found = leftovers(before, await bed.dump(), images=images)
        return not found

    try:
        await wait_until(nothing, within=LEFT_SECONDS, every=0.1)
    except TimeoutError:
        return found
    return ()


def leftovers(before: Dump, after: Dump, *, images: Mapping[str, str]) -> list[str]:
    """Say of each object that is left, changed or gone what is wrong with it.

    Status is compared of Services only, where the controller may write; that of a Deployment or an
    Ingress is the cluster's.

    Args:
        before: Before the application was enrolled.
        after: After it has left.
        images: What the user released in between, by Deployment as in the dump.
    """
    found = []
    for key in sorted({*before, *after}):
        earlier, later = before.get(key), after.get(key)
        if earlier is not None and key in images:
            earlier = _with_image(earlier, images[key])
        wrong = _wrong(key.partition("/")[0], earlier, later)
        if wrong:
            found.append(f"{key}: {wrong}")
    return found


def _wrong(plural: str, before: Object | None, after: Object | None) -> str:
    if plural == EVENTS:
        return ""
    marks = sorted(_marks(after)) if after is not None else []
    if marks:
        return f"carries {', '.join(marks)}"
    if plural in MADE_BY_THE_CLUSTER:
        return ""
    if before is None or after is None:
        return "is new" if before is None else "is gone"
    fields = [name for name in sorted({*before, *after}) if _differs(plural, name, before, after)]
    return f"differs in {', '.join(fields)}" if fields else ""


def _marks(obj: Object) -> Iterator[str]:
    metadata = obj["metadata"]
    labels, annotations = metadata.get("labels") or {}, metadata.get("annotations") or {}
    conditions = (obj.get("status") or {}).get("conditions") or ()
    types = [str(condition.get("type")) for condition in conditions]
    yield from (key for key in (*labels, *annotations, *types) if key.startswith(names.PREFIX))
    if labels.get(names.MANAGED_BY) == "serinus":
        yield names.MANAGED_BY


def _differs(plural: str, name: str, before: Object, after: Object) -> bool:
    if name == "status" and plural != "services":
        return False
    if name == "metadata":
        return _own_metadata(before) != _own_metadata(after)
    return bool(before.get(name) != after.get(name))


def _own_metadata(obj: Object) -> Object:
    """Leave out the count of its ReplicaSets that the cluster keeps on a Deployment."""
    kept = {
        key: value
        for key, value in (obj["metadata"].get("annotations") or {}).items()
        if key != names.DEPLOYMENT_REVISION
    }
    return {**obj["metadata"], "annotations": kept}


def _with_image(deployment: Object, image: str) -> Object:
    spec, template = deployment["spec"], deployment["spec"]["template"]
    first, *others = template["spec"]["containers"]
    containers = [{**first, "image": image}, *others]
    changed = {**template, "spec": {**template["spec"], "containers": containers}}
    return {**deployment, "spec": {**spec, "template": changed}}
