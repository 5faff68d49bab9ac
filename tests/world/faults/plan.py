"""A fault plan: what goes wrong, where, and how often; one small YAML file is one run."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that goes wrong, once.

    Attributes:
        verb: create, patch, update, delete, get or list for a request; event; or time.
        kind: plural; "" at a time.
        name: of the object; "" for a list and for events.
        nth: of the same verb, kind and name, from 1 on.
        when: of a request: before it is sent, applied (its answer is lost), after its answer.
        at: seconds since the story began, where `verb` is time.
        do: what happens; see `farend`, `stream` and `adversary`.
        value: of what happens: a status code, the name of a deed.
        seconds: how long it lasts, or until the process starts again.
    """

    verb: str
    do: str
    kind: str = ""
    name: str = ""
    nth: int = 1
    when: str = "before"
    at: float = 0.0
    value: Any = ""
    seconds: float = 0.0

    @property
    def place(self) -> tuple[str, str, str, int, str]:
        """Where it happens, to be looked up by."""
        return (self.verb, self.kind, self.name, self.nth, self.when)

    def __str__(self) -> str:
        where = f"{self.verb} {self.kind} {self.name} {self.nth} {self.when}"
        if self.verb == "time":
            where = f"at {self.at:g} s"
        return f"{where}: {self.do} {self.value} {self.seconds:g}".strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One run.

    Attributes:
        row: of safety.md section 6.
        workload: the story it happens in.
        faults: what goes wrong.
        seed: of a random schedule.
        why: what it once found, for a plan that is kept.
    """

    row: str
    workload: str
    faults: tuple[Fault, ...]
    seed: int = 0
    why: str = field(default="", compare=False)

    @property
    def is_harmless(self) -> bool:
        """Tell whether its run has to end as the one without faults.

        People may do anything; and with an hour too many at the API server deadlines have passed.
        """
        return all(fault.do not in {"deed", "date"} for fault in self.faults)

    def written(self) -> str:
        """Return the plan as YAML."""
        defaults = {one.name: one.default for one in fields(Fault)}
        faults = [
            {key: value for key, value in asdict(fault).items() if value != defaults[key]}
            for fault in self.faults
        ]
        told: dict[str, Any] = {"row": self.row, "workload": self.workload, "faults": faults}
        told |= {"seed": self.seed} if self.seed else {}
        told |= {"why": self.why} if self.why else {}
        return yaml.safe_dump(told, sort_keys=False, width=100)

    def __str__(self) -> str:
        return f"{self.row} {self.workload}: {'; '.join(map(str, self.faults))}"


def plan_of(written: Mapping[str, Any]) -> Plan:
    """Read a plan."""
    faults = tuple(Fault(**fault) for fault in written["faults"])
    return Plan(**{**written, "faults": faults})


def plan_in(text: str) -> Plan:
    """Read a plan from a YAML file, or from the line that a failing run prints.

    The line is `ROW;WORKLOAD;FAULT;FAULT...`, a fault its fields with commas, as `line_of` writes.
    """
    if text.endswith((".yaml", ".yml")):
        return plan_of(yaml.safe_load(Path(text).read_text(encoding="utf-8")))
    row, workload, *told = text.split(";")
    return Plan(row=row, workload=workload, faults=tuple(map(_fault_in, told)))


def line_of(plan: Plan) -> str:
    """Return a plan as one line, to be given to `make faults SEED=`."""
    told = (
        ",".join(str(getattr(fault, one.name)) for one in fields(Fault)) for fault in plan.faults
    )
    return ";".join((plan.row, plan.workload, *told))


def _fault_in(text: str) -> Fault:
    verb, do, kind, name, nth, when, at, value, seconds = text.split(",")
    return Fault(
        verb=verb,
        do=do,
        kind=kind,
        name=name,
        nth=int(nth),
        when=when,
        at=float(at),
        value=int(value) if value.isdecimal() else value,
        seconds=float(seconds),
    )
