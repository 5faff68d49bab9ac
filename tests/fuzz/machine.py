"""A person who writes annotations and types commands as chance has it, in the simulated world.

After every write of the controller the invariants of safety.md are judged, and what stands on
Ingresses is looked at character by character. After every step no pass may have ended by a bug.
"""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, ClassVar

import structlog
from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from controller.api import names
from controller.api.objects import annotations_of, is_ours
from controller.plan.observed import Hold
from e2e.bed.apiserver.errors import ApiError
from tests.fuzz import written
from tests.fuzz.values import MARK, TYPOS, entries
from tests.world.faults.deeds import DEEDS, OPERATIONS
from tests.world.kubectl import NAME, NAMESPACE
from tests.world.world import World, enrolled

TOLD = frozenset({names.STATUS})
SECONDS = st.sampled_from([0.2, 1.0, 3.0, 12.0, 45.0, 130.0])
"""Less than any wait, and more than all of them."""
ENDS = ("promote", "resume", "abort", "retry", "v1", "pause", "continue")
MENDING = (
    "apply-service", "enrol", "apply-main", "scale-3", "nodes", "no-rival", "no-selects", "resume"
)  # fmt: skip
KEPT = frozenset({names.HEADER, names.HEADER_VALUES, names.STATUS})


@contextmanager
def silent() -> Iterator[None]:
    """Keep log lines out of the way: they cost more than passes."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        yield
    finally:
        structlog.reset_defaults()


class Contract(RuleBasedStateMachine):
    """Hypothesis calls the rules in any order."""

    holds: ClassVar[tuple[Hold, ...]] = ("admission", "pause")

    def __init__(self) -> None:
        super().__init__()
        self.world: World | None = None
        self.flaws: list[str] = []

    @initialize(hold=st.sampled_from(holds))
    def begin(self, hold: Hold) -> None:
        """Start with an enrolled application at rest."""
        self.world = enrolled(hold=hold)
        self.world.store.subscribe(self._noticed)

    @rule(tag=st.sampled_from(["v1", "v2", "v3"]), seconds=SECONDS)
    def ship(self, tag: str, seconds: float) -> None:
        """Put right whatever stands in the way of a release, and ship a version."""
        self._act(_mended, 15.0)
        self._act(DEEDS[tag], seconds)

    @rule(weight=st.integers(0, 100), seconds=SECONDS)
    def weigh(self, weight: int, seconds: float) -> None:
        """Move the weight."""
        self._act(lambda world: _annotate(world, names.WEIGHT, str(weight)), seconds)

    @rule(name=st.sampled_from(ENDS), seconds=SECONDS)
    def end(self, name: str, seconds: float) -> None:
        """Promote, abort, or change one's mind."""
        self._act(DEEDS[name], seconds)

    @rule(entry=entries(), seconds=SECONDS)
    def annotate(self, entry: tuple[str, str], seconds: float) -> None:
        """Write an annotation."""
        key, value = entry
        self._act(lambda world: _annotate(world, key, value), seconds)

    @rule(key=st.sampled_from(names.USER_KEYS), seconds=SECONDS)
    def remove(self, key: str, seconds: float) -> None:
        """Remove an annotation."""
        self._act(lambda world: _annotate(world, key, None), seconds)

    @rule(key=TYPOS, value=st.sampled_from(["5", None, MARK]))
    def mistype(self, key: str, value: str | None) -> None:
        """Write a key that is none, or take it away."""
        self._act(lambda world: _annotate(world, key, value), 1.0)

    @rule(name=st.sampled_from(OPERATIONS), seconds=SECONDS)
    def operate(self, name: str, seconds: float) -> None:
        """Type one of the commands that people type, or let one of the usual accidents happen."""
        note(name)
        self._act(DEEDS[name], seconds)

    @rule(after=st.sampled_from([0.0, 40.0]))
    def restart(self, after: float) -> None:
        """End the controller and start it again."""
        self._act(lambda world: world.restart_controller(after=after), 1.0)

    @rule(seconds=SECONDS)
    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self._act(lambda _: None, seconds)

    @precondition(lambda self: self.world is not None)
    @invariant()
    def nothing_is_written_that_may_not_be(self) -> None:
        """No flaw was found in the middle of any write."""
        assert self.flaws == []

    def teardown(self) -> None:
        """End the world; what it found is raised."""
        if self.world is not None:
            self.world.close()

    def _act(self, deed: Any, seconds: float) -> None:
        assert self.world is not None
        deed(self.world)
        self.world.run(seconds)

    def _noticed(self, _event: str, kind: str, new: Any, _old: Any) -> None:
        assert self.world is not None
        if new is None or not self.world.client.is_writing:
            return
        if kind == "ingresses" and is_ours(new):
            self.flaws += written.faults_of(annotations_of(new))
        if kind == "services" and new["metadata"]["name"] == NAME:
            self.flaws += _told(new)
        if kind == "events" and MARK in json.dumps(new):
            self.flaws.append(f"an account in an event: {new['message']}")


def _annotate(world: World, key: str, value: str | None) -> None:
    """Write it, if there is a Service and the API server takes it."""
    patch = {"metadata": {"annotations": {key: value}}}
    with suppress(ApiError):
        world.patch("services", patch, manager="kubectl-annotate")


def _mended(world: World) -> None:
    """Put everything right that people had done wrong, as a tool does with manifests from Git."""
    for name in MENDING:
        DEEDS[name](world)
    for key in annotations_of(world.store.get("services", NAMESPACE, NAME)):
        if key.lower().startswith(names.PREFIX) and key not in KEPT:
            _annotate(world, key, None)
    _annotate(world, names.HEADER, "X-Account")
    _annotate(world, names.HEADER_VALUES, f"{MARK}1, {MARK}2")


def _told(service: Any) -> list[str]:
    """What we tell on the Service: never an account, and ASCII that any terminal can show."""
    conditions = (service.get("status") or {}).get("conditions") or ()
    ours = [it for it in conditions if it["type"].startswith(names.PREFIX)]
    said = annotations_of(service).get(names.STATUS, "") + json.dumps(ours, ensure_ascii=False)
    found = [f"an account in the status: {said}"] if MARK in said else []
    return found if said.isprintable() else [*found, f"control characters in {said!r}"]
