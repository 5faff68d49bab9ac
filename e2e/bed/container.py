"""What a pod's main container is told by its manifest, and what a kubelet asks of a container."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from e2e.bed.workloads.cluster import Object, annotations_of, labels_of

START, STOP, LATENCY, ERRORS = "bed/start", "bed/stop", "bed/latency", "bed/errors"
"""Annotations of the pod template: see `Settings`."""

FLAKY, SLOW = 0.3, 0.4
"""Share of errors of a version whose tag says `flaky`; seconds that one with `slow` takes."""

STOP_MODES = ("now", "drain", "serve")


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """How the container of one pod behaves; read from the pod.

    An image whose name contains `bad` never becomes ready, one with `crash` never listens. A tag
    with `flaky` or `slow` overrides the annotations of errors or latency (`FLAKY`, `SLOW`).
    """

    namespace: str
    pod: str
    image: str
    version: str
    """The tag of the image."""
    track: str
    ports: tuple[int, ...]
    start_seconds: float = 0.0
    """From binding to the open listener: `bed/start`."""
    stop: str = "now"
    """What SIGTERM does: `bed/stop`.

    `now`: the listener and all connections close at once. `drain`: the listener closes, requests in
    flight are finished. `serve`: ignored until the grace period ends.
    """
    latency_seconds: float = 0.0
    """Service time of a request: `bed/latency`, in milliseconds."""
    error_share: float = 0.0
    """Share of requests answered by 500: `bed/errors`."""
    pre_stop_seconds: float = 0.0
    probe: "Probe | None" = None

    @property
    def never_ready(self) -> bool:
        """Say whether the readiness probe always fails."""
        return "bad" in self.image

    @property
    def never_listens(self) -> bool:
        """Say whether the process ends as soon as it starts."""
        return "crash" in self.image


@dataclass(frozen=True, kw_only=True, slots=True)
class Probe:
    """The readiness probe."""

    path: str = "/"
    port: int | str | None = None
    delay_seconds: float = 0.0
    period_seconds: float = 10.0
    failures: int = 3


@dataclass(slots=True)
class Health:
    """What the bed changes at a running container."""

    ready: bool = True
    errors: float | None = field(default=None)
    """Overrides the share of errors; `None` leaves it."""


class Container(Protocol):
    """A running process, as the kubelet sees it."""

    health: Health

    async def open(self) -> None:
        """Begin to listen; raises `OSError` when that is impossible."""

    async def is_ready(self) -> bool:
        """Ask the container itself."""

    async def terminate(self, seconds: float) -> None:
        """Deliver SIGTERM and return when the process has ended, killed after so many seconds."""

    def kill(self) -> None:
        """End at once, with all connections."""


def settings_of(pod: Object, default_start_seconds: float = 0.0) -> Settings:
    """Read a pod's manifest."""
    container = pod["spec"]["containers"][0]
    notes = annotations_of(pod)
    image = str(container.get("image") or "")
    stop = notes.get(STOP, "now")
    if stop not in STOP_MODES:
        raise ValueError(f"annotation {STOP} is {stop!r}; allowed: {', '.join(STOP_MODES)}")
    probe, version = _probe(container), _tag(image)
    return Settings(
        namespace=pod["metadata"]["namespace"],
        pod=pod["metadata"]["name"],
        image=image,
        version=version,
        track=labels_of(pod).get("serinus.dev/track", "stable"),
        ports=_ports(container, probe),
        start_seconds=float(notes.get(START, default_start_seconds)),
        stop=stop,
        latency_seconds=SLOW if "slow" in version else float(notes.get(LATENCY, 0)) / 1000,
        error_share=FLAKY if "flaky" in version else float(notes.get(ERRORS, 0)),
        pre_stop_seconds=_pre_stop(container),
        probe=probe,
    )


def _tag(image: str) -> str:
    last = image.rpartition("/")[2].partition("@")[0]
    return last.partition(":")[2] or "latest"


def _ports(container: Mapping[str, Any], probe: Probe | None) -> tuple[int, ...]:
    declared = container.get("ports") or ()
    found = tuple(int(p["containerPort"]) for p in declared if p.get("protocol", "TCP") == "TCP")
    if not found and probe and isinstance(probe.port, int):
        return (probe.port,)
    return found or (80,)


def _probe(container: Mapping[str, Any]) -> Probe | None:
    written = container.get("readinessProbe")
    if not written:
        return None
    http = written.get("httpGet") or written.get("tcpSocket") or {}
    return Probe(
        path=str(http.get("path") or "/"),
        port=http.get("port"),
        delay_seconds=float(written.get("initialDelaySeconds") or 0),
        period_seconds=float(written.get("periodSeconds") or 10),
        failures=int(written.get("failureThreshold") or 3),
    )


def _pre_stop(container: Mapping[str, Any]) -> float:
    hook = (container.get("lifecycle") or {}).get("preStop") or {}
    return float((hook.get("sleep") or {}).get("seconds") or 0)


class ImaginaryContainer:
    """A container without a socket, for virtual time: it is ready unless told otherwise."""

    def __init__(self, settings: Settings, address: str) -> None:
        self.settings = settings
        self.address = address
        self.health = Health(ready=not settings.never_ready)

    async def open(self) -> None:
        """Begin to serve nobody."""

    async def is_ready(self) -> bool:
        """Answer what the bed set."""
        return self.health.ready

    async def terminate(self, seconds: float) -> None:
        """End at once, whatever the stop mode: there is nobody to serve."""

    def kill(self) -> None:
        """End at once."""
