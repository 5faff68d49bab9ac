"""A proxy that lags: what happens to requests when its watches are up to 7 s behind.

Its watches of Ingresses and of EndpointSlices are independent streams, so at any moment it may
combine any two states of the last seconds (safety.md section 5, "lag"). A request is lost where one
of these combinations sends it to a pod that is not there any more, or to nobody.

Only what the controller did is judged: pods that somebody else took away, or that rolled by
somebody's own hand, are left out.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from controller.api import names
from controller.api.objects import is_ours, labels_of, name_of, namespace_of
from controller.plan.traffic.exposure import CLOSED, Exposure
from controller.plan.traffic.nginx import Nginx

LAG_SECONDS = 7.0
SERVING_SECONDS = 1.0
"""For so long a deleted pod answers still; then it is gone for whoever has not heard of it."""


@dataclass(slots=True)
class Timeline:
    """What something was, and since when; the last entry stands."""

    entries: list[tuple[float, Any]] = field(default_factory=list)

    def set(self, at: float, value: Any) -> None:
        """Take a new state in."""
        if not self.entries or self.entries[-1][1] != value:
            self.entries.append((at, value))

    def within(self, since: float) -> list[Any]:
        """Return every state that stood at or after a moment."""
        newer = [value for at, value in self.entries if at > since]
        before = [value for at, value in self.entries if at <= since][-1:]
        return before + newer


@dataclass(slots=True, kw_only=True)
class Proxy:
    """Watches the store of a world, and notes every request that it would have lost.

    Args:
        nginx: returns the annotation keys of a Service's release.
        elapsed: seconds since the world began.
        is_ours_to_answer: tells whether what happens to stable's pods is the controller's doing.
        is_by_us: tells whether a write of the controller is being applied.
        full: returns R of a Service's release.
        pods_kept: returns how many pods of its template the canary is to have.

    Attributes:
        lost: one line for each moment at which requests were lost.
        checks: how many combinations were looked at.
        excused: pods that somebody else takes away, which is not judged.
    """

    nginx: Callable[[str, str], Nginx]
    elapsed: Callable[[], float]
    is_ours_to_answer: Callable[[], bool]
    is_by_us: Callable[[], bool]
    full: Callable[[str], int]
    pods_kept: Callable[[], int]
    lost: list[str] = field(default_factory=list)
    checks: int = 0
    excused: set[str] = field(default_factory=set)
    _routes: dict[str, Timeline] = field(default_factory=dict)
    _ready: dict[str, Timeline] = field(default_factory=dict)
    _gone: dict[str, float] = field(default_factory=dict)

    def noticed(self, kind: str, new: Any, old: Any) -> None:
        """Take in a change of the store."""
        note = {
            "ingresses": self._note_route,
            "endpointslices": self._note_slice,
            "pods": self._note_pod,
        }.get(kind)
        if note is not None:
            note(new, old)

    def _note_route(self, new: Any, old: Any) -> None:
        obj = new or old
        if not is_ours(obj):
            return
        service = labels_of(obj)[names.SERVICE]
        exposure = CLOSED
        if new is not None:
            exposure = self.nginx(namespace_of(obj), service).exposure_of(new)
        line = self._routes.setdefault(service, Timeline())
        before = line.entries[-1][1] if line.entries else CLOSED
        line.set(self.elapsed(), exposure)
        if not self.is_by_us():
            self._excuse_what_goes(service)
        elif exposure.is_within(before):
            self._excuse_a_canary_taken_away(service)
        else:
            self._judge_raise(service, exposure)
        self._judge(service)

    def _excuse_what_goes(self, service: str) -> None:
        """Whoever moves traffic by hand sends it also to pods that have only just gone.

        And to those of a canary that is being replaced: nobody was to reach them any more.
        """
        self.excused |= self._gone.keys()
        if not self.pods_kept():
            line = self._ready.get(f"{service}-canary", Timeline())
            self.excused |= frozenset[str]().union(*line.within(self.elapsed() - LAG_SECONDS))

    def _excuse_a_canary_taken_away(self, service: str) -> None:
        """Whoever takes the canary's last pod away in a roll sends its traffic to stable by that.

        A proxy does so whatever we write, also to pods that have only just gone: while the canary
        had everybody they harmed nobody. Where we took them away, none of them is excused.
        """
        since = self.elapsed() - LAG_SECONDS
        canary = self._ready.get(f"{service}-canary", Timeline()).within(since)
        taken = frozenset[str]().union(*canary)
        if taken and taken <= self.excused and canary[-1] <= self._gone.keys():
            stable = self._ready.get(service, Timeline()).within(since)
            self.excused |= self._gone.keys() & frozenset[str]().union(*stable)

    def _judge_raise(self, service: str, exposure: Exposure) -> None:
        """A raise is carried by every state of the canary's endpoints that may still be known."""
        now = self.elapsed()
        line = self._ready.get(f"{service}-canary", Timeline())
        fewest = min((len(pods) for pods in line.within(now - LAG_SECONDS)), default=0)
        needed = exposure.pods_needed(self.full(service))
        if fewest < needed:
            self.lost.append(
                f"{now:.2f} {service}: {exposure} needs {needed} pods, and a proxy that lags knows "
                f"{fewest}"
            )

    def _note_slice(self, new: Any, old: Any) -> None:
        obj = new or old
        name = str(labels_of(obj).get(names.SERVICE_NAME, ""))
        pods = frozenset(_ready_pods(new)) if new is not None else frozenset()
        self._ready.setdefault(name, Timeline()).set(self.elapsed(), pods)
        self._judge(name.removesuffix("-canary"))

    def _note_pod(self, new: Any, old: Any) -> None:
        """A pod answers until its grace is over; from then on it is gone."""
        name = name_of(new or old)
        is_leaving = new is None or new["metadata"].get("deletionTimestamp")
        if is_leaving and name not in self._gone:
            self._gone[name] = self.elapsed()
            track = labels_of(new or old).get(names.TRACK, "stable")
            stays = self.pods_kept() > 0  # some go under traffic, as in any scaling down
            if stays if track == "canary" else not self.is_ours_to_answer():
                self.excused.add(name)

    def look(self) -> None:
        """Judge the present moment, which may be long after the last change."""
        for service in self._routes:
            self._judge(service)

    def _judge(self, service: str) -> None:
        now = self.elapsed()
        exposures = (
            self._routes[service].within(now - LAG_SECONDS) if service in self._routes else []
        )
        for exposure in exposures:
            if exposure.is_open:
                self._ask(service, f"{service}-canary", exposure, now)
            if exposure.weight < 100:
                self._ask(service, service, exposure, now)

    def _ask(self, service: str, backend: str, exposure: Exposure, now: float) -> None:
        """Send a request to one side, through every state of its endpoints that may be known."""
        line = self._ready.get(backend)
        for pods in line.within(now - LAG_SECONDS) if line is not None else ():
            self.checks += 1
            dead = sorted(pod for pod in pods - self.excused if self._is_dead(pod, now))
            if dead:
                self.lost.append(
                    f"{now:.2f} {service}: {exposure} by a proxy that lags meets {dead}, gone for "
                    f"{now - self._gone[dead[0]]:.1f} s"
                )
                return

    def _is_dead(self, pod: str, now: float) -> bool:
        return pod in self._gone and now - self._gone[pod] > SERVING_SECONDS


def _ready_pods(entry: Any) -> list[str]:
    return [
        str((endpoint.get("targetRef") or {}).get("name", ""))
        for endpoint in entry.get("endpoints") or ()
        if (endpoint.get("conditions") or {}).get("ready") is not False
    ]
