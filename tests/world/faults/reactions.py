"""How soon the controller acts on what cannot wait: an abort, also in a roll; an empty canary."""

from collections.abc import Callable
from dataclasses import dataclass, field

from controller.api import names
from controller.api.objects import annotations_of, is_paused
from controller.plan.scene import Scene
from controller.plan.workload import canary_name

PROMPT_SECONDS = 2.0
"""safety.md L1, and section 4, "short canary"."""


@dataclass(slots=True, kw_only=True)
class Reactions:
    """Looks at one release after every change, and times what must not last.

    Attributes:
        slow: one line for each state that lasted for longer than it may.
    """

    scene: Scene
    elapsed: Callable[[], float]
    slow: list[str] = field(default_factory=list)
    _since: dict[str, float] = field(default_factory=dict)

    def look(self, namespace: str, service: str) -> None:
        """Take note of what stands now."""
        asked = annotations_of(self.scene.get("services", namespace, service))
        is_open = self.scene.widest(namespace, service).is_open
        ready = self.scene.ready(namespace, canary_name(service))
        self._time("an abort is not answered", asked.get(names.ACTION, "").startswith("abort"))
        record, stable = (
            self.scene.record(namespace, service),
            self.scene.stable(namespace, service),
        )
        is_aborted = record is not None and record.abort == "asked"
        self._time("a roll goes on that was aborted", is_aborted and not is_paused(stable))
        self._time("exposed without a ready canary pod", is_open and ready == 0)

    def _time(self, what: str, stands: bool) -> None:  # what is looked at is a fact
        now = self.elapsed()
        if stands:
            self._since.setdefault(what, now)
            return
        lasted = now - self._since.pop(what, now)
        if lasted > PROMPT_SECONDS:
            self.slow.append(f"{now:.2f} {what} for {lasted:.1f} s")
