"""What a plan does, in the words of a test."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from controller.api import names
from controller.api.objects import DEPLOYMENT, INGRESS, SERVICE, annotations_of, name_of
from controller.api.status import Status, status_in
from controller.plan.decide import decide
from controller.plan.observed import Observed
from controller.plan.record import Record, record_of
from controller.plan.traffic.exposure import Exposure
from controller.plan.writes import Create, Delete, Edit, Event, Merge, Plan, Write
from tests.controller.plan.applied import CANARY, apply_all, object_in
from tests.controller.plan.worlds import NAME, NOW, nginx


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """One pass over a world: its plan, and the world after all of it."""

    before: Observed
    plan: Plan
    after: Observed

    @property
    def reason(self) -> str:
        """What the status says it does or waits for."""
        return self.status.reason

    @property
    def status(self) -> Status:
        """The status annotation afterwards."""
        return status_in(self.after.service or {})

    @property
    def record(self) -> Record | None:
        """The record of the release afterwards."""
        return record_of(object_in(self.after, DEPLOYMENT, CANARY) or {})

    @property
    def exposure(self) -> Exposure | None:
        """What the canary Ingress says afterwards; None without one."""
        route = object_in(self.after, INGRESS, CANARY)
        return nginx().exposure_of(route) if route is not None else None

    @property
    def annotations(self) -> dict[str, str]:
        """What the user's annotations are afterwards."""
        found = annotations_of(self.after.service or {})
        return {key: value for key, value in found.items() if key != names.STATUS}

    @property
    def does(self) -> list[str]:
        """What it does to which object, but for the Service's status."""
        return sorted(map(_said, filter(_is_not_status, self.plan.writes)))

    @property
    def events(self) -> list[Event]:
        """Everything it tells."""
        return [event for write in self.plan.writes for event in write.events]

    @property
    def told(self) -> list[str]:
        """The reasons of what it tells."""
        return [event.reason for event in self.events]

    def on(self, kind: Any, name: str) -> list[Write]:
        """Return the writes on one object."""
        return [write for write in self.plan.writes if write.kind == kind and _name(write) == name]


def passed(world: Observed, now: Any = NOW) -> Pass:
    """Return one pass over a world."""
    plan = decide(world, now)
    return Pass(before=world, plan=plan, after=apply_all(world, plan))


def _name(write: Write) -> str:
    return name_of(write.obj) if isinstance(write, Create) else write.name


def _is_not_status(write: Write) -> bool:
    return not (isinstance(write, Edit) and write.kind == SERVICE and _name(write) == NAME)


def _said(write: Write) -> str:
    verb = {Create: "create", Merge: "merge", Edit: "edit", Delete: "delete"}[type(write)]
    return f"{verb} {write.kind} {_name(write)}"


def in_order(value: object) -> str:
    """Return a text of a plan in which sets, which have no order, are sorted."""
    if isinstance(value, frozenset | set):
        return f"{{{', '.join(sorted(map(in_order, value)))}}}"
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(in_order, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{k}: {in_order(v)}' for k, v in value.items())}}}"
    slots = getattr(value, "__dataclass_fields__", None)
    if slots is not None:
        return f"{type(value).__name__}({', '.join(in_order(getattr(value, f)) for f in slots)})"
    return repr(value)


def digest_of_plans(worlds: Iterable[Observed]) -> str:
    """Return one text for the plans of these worlds."""
    texts = [in_order(decide(world, NOW)) for world in worlds]
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()
