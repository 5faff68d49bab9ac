"""A cluster, a person with kubectl and the controller, in virtual time: the story API of tests."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

from controller.api import names
from controller.api.objects import labels_of, name_of
from controller.api.status import Status, status_in
from controller.plan.observed import Parameters
from controller.plan.record import Record, record_of
from controller.plan.traffic.exposure import Exposure
from controller.plan.traffic.nginx import Nginx
from e2e.bed import manifests
from e2e.bed.apiserver.store import Store
from e2e.bed.kubelet import Pace
from e2e.bed.simulation import control_plane
from e2e.bed.workloads.cluster import is_leaving, is_ready
from e2e.bed.workloads.controllers import Delays
from tests.world.client import InProcessClient, Request
from tests.world.invariants import Judge
from tests.world.kubectl import NAME, NAMESPACE, Kubectl, image
from tests.world.metrics import SCRAPE_SECONDS, Metrics
from tests.world.process import HoldMode, Process
from tests.world.virtual import EPOCH, VirtualLoop

CANARY = f"{NAME}-canary"
POD_START_SECONDS = 2.0
PROBE_SECONDS = 5.0
"""Between two readiness probes: rarely, as most answers are the same; see `set_ready`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One Event: on what, and what it says."""

    at: str
    kind: str
    reason: str
    message: str


class World(Kubectl):
    """One cluster with one controller.

    Args:
        hold: what the cluster has: the admission policy, or nothing but `spec.paused`.
        mode: `--hold`; by default what the cluster has.
        parameters: the controller's settings.
        strict: judge every change by the invariants as it happens.
        metered: requests come, and a metrics server looks at the proxy that counts them.
        seed: of uids and generated names.

    Attributes:
        hold: how Deployments are held.
        requests: every write that the controller asked for.
        judge: what the invariants found; a finding ends the story at the next look.
        trace: every change of the store, with its time.
        metrics: what the proxy counts; the controller knows of it only in a metered world.
        probe_seconds: between two readiness probes of a pod.
    """

    probe_seconds = PROBE_SECONDS

    def __init__(
        self,
        *,
        hold: Literal["admission", "pause"] = "admission",
        mode: HoldMode | None = None,
        parameters: Parameters | None = None,
        strict: bool = True,
        metered: bool = False,
        seed: int = 1,
    ) -> None:
        self._loop = VirtualLoop()
        rng = random.Random(seed)
        super().__init__(Store(clock=self._clock, rng=rng, hold_policy=hold == "admission"))
        self.parameters = parameters or Parameters()
        self.metrics = Metrics(weight=lambda: self.weight() or 0, elapsed=self._loop.time)
        self.is_metered = metered
        if metered:
            self.parameters = replace(
                self.parameters, dialect="traefik", scrape_seconds=SCRAPE_SECONDS
            )
            self._requests = self._loop.create_task(self.metrics.run())
        self.client = self._client()
        self.requests: list[Request] = self.client.log
        self.trace: list[str] = []
        self.judge = Judge(self.store, self.parameters, self._loop.time)
        self.hold = hold
        self._is_strict = strict
        self._mode = mode or hold
        self._process: Any = None
        self._bell = asyncio.Event()
        self.last_change = 0.0
        self._plane = self._do(self._life(rng))
        self.store.subscribe(self._noticed)
        self.start_controller()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End everything that runs."""
        self.crash()
        if self.is_metered:
            self._requests.cancel()
        self._do(self._plane.close())
        self._loop.close()

    # Time.

    @property
    def now(self) -> float:
        """Seconds since the world began."""
        return self._loop.time()

    def run(self, seconds: float) -> None:
        """Let this much time pass."""
        self._do(asyncio.sleep(seconds))
        self._look()

    def run_until(
        self, holds: Callable[[], object], *, within: float = 600.0, what: str = ""
    ) -> None:
        """Let time pass until something is so; ends the story if it does not come to be."""
        if not self._do(self._until(holds, self.now + within)):
            self._look()
            raise AssertionError(f"not within {within:g} s: {what or holds}\n{self.describe()}")
        self._look()

    def settle(self, quiet: float | None = None, *, within: float = 1800.0) -> None:
        """Let time pass until nothing but pods and events was written for a while.

        Args:
            quiet: for so many seconds; by default longer than any wait of a release.
            within: it has to come to rest in this time.
        """
        calm = quiet or 2 * self.parameters.propagation_seconds + self.parameters.drain_seconds + 15
        end = self.now + within
        self.last_change = self.now
        while self.now - self.last_change < calm:
            assert self.now < end, f"no rest within {within:g} s\n{self.describe()}"
            self.run(max(0.01, self.last_change + calm - self.now))

    # The controller.

    def start_controller(self) -> None:
        """Start the controller."""
        self._process = self._do(self._started())

    def crash(self) -> None:
        """End the controller in the middle of whatever it does."""
        if self._process is not None:
            process, self._process = self._process, None
            self._do(process.stop())

    def restart_controller(self, *, after: float = 0.0) -> None:
        """Crash it, let time pass, and start it again."""
        self.crash()
        if after:
            self.run(after)
        self.start_controller()

    def resync(self) -> None:
        """Have the controller look at everything again."""
        if self._process is not None:
            self.send(self._process.add_all)

    # What is to be seen.

    def stage(self, name: str = NAME) -> str | None:
        """Return the stage that the Service shows; None without one."""
        return self.status(name).stage

    def status(self, name: str = NAME) -> Status:
        """Return what the status annotation says."""
        return status_in(self._get("services", name) or {})

    def conditions(self, name: str = NAME) -> dict[str, tuple[str, str, str]]:
        """Return (status, reason, message) of our conditions by their short type."""
        service = self._get("services", name) or {}
        entries = (service.get("status") or {}).get("conditions") or ()
        return {
            entry["type"].removeprefix(names.PREFIX): (
                entry["status"],
                entry["reason"],
                entry["message"],
            )
            for entry in entries
            if entry["type"].startswith(names.PREFIX)
        }

    def is_ready(self) -> bool:
        """Tell whether a release can start."""
        return self.conditions().get("Ready", ("",))[0] == "True"

    def reason(self, kind: str = "Progressing") -> str:
        """Return the reason of one of our conditions, "" without it."""
        return self.conditions().get(kind, ("", "", ""))[1]

    def routes(self) -> dict[str, Exposure]:
        """Return what each canary Ingress lets through, by its name."""
        nginx = self._nginx()
        return {
            name_of(ingress): nginx.exposure_of(ingress)
            for ingress in self.store.list("ingresses", NAMESPACE)
            if nginx.is_canary(ingress) and labels_of(ingress).get(names.SERVICE)
        }

    def route(self) -> Exposure | None:
        """Return the exposure of the one canary Ingress, None without one."""
        return self.routes().get(CANARY)

    def weight(self) -> int | None:
        """Return the weight of the one canary Ingress, None without one."""
        route = self.route()
        return route.weight if route is not None else None

    def accounts(self) -> set[str]:
        """Return the accounts that the one canary Ingress lists."""
        route = self.route()
        return set(route.accounts) if route is not None else set()

    def _nginx(self) -> Nginx:
        return self.judge.nginx(NAMESPACE, NAME)

    def deployment(self, name: str = NAME) -> dict[str, Any]:
        """Return a Deployment, {} where there is none."""
        return self._get("deployments", name) or {}

    def canary(self) -> dict[str, Any]:
        """Return the canary Deployment, {} where there is none."""
        return self.deployment(CANARY)

    def record(self) -> Record | None:
        """Return the record of the release."""
        canary = self.canary()
        return record_of(canary) if canary else None

    def is_paused(self) -> bool:
        """Tell whether stable's `spec.paused` is set."""
        return bool(self.deployment()["spec"].get("paused"))

    def ours(self) -> list[str]:
        """Return `Kind/name` of every object that we made, Events left out."""
        kinds = ("deployments", "services", "ingresses", "poddisruptionbudgets")
        return [
            f"{obj['kind']}/{name_of(obj)}"
            for kind in kinds
            for obj in self.store.list(kind, NAMESPACE)
            if labels_of(obj).get(names.MANAGED_BY) == names.FIELD_MANAGER
        ]

    def pods(self, track: Literal["stable", "canary", ""] = "", tag: str = "") -> list[Any]:
        """Return the ready pods of one side, and of one image tag, that are not leaving."""
        return [
            pod
            for pod in self.store.list("pods", NAMESPACE)
            if is_ready(pod)
            and not is_leaving(pod)
            and (not track or track == labels_of(pod).get(names.TRACK, "stable"))
            and pod["spec"]["containers"][0]["image"].endswith(tag)
        ]

    def tags(self, track: Literal["stable", "canary"]) -> dict[str, int]:
        """Count the ready pods of one side by their image tag."""
        found = [pod["spec"]["containers"][0]["image"] for pod in self.pods(track)]
        found = [image.rpartition(":")[2] for image in found]
        return {tag: found.count(tag) for tag in sorted(set(found))}

    @property
    def writes(self) -> list[Request]:
        """What the controller wrote and the server carried out, Events left out."""
        return [it for it in self.requests if it.error is None and it.kind != "Event"]

    def events(self, kind: str = "Service") -> list[Told]:
        """Return the Events on one kind, in the order in which they were told."""
        found = [
            Told(
                at=event["firstTimestamp"],
                kind=event["involvedObject"]["kind"],
                reason=event["reason"],
                message=event["message"],
            )
            for event in sorted(
                self.store.list("events", NAMESPACE),
                key=lambda event: int(event["metadata"]["resourceVersion"]),
            )
        ]
        return [event for event in found if event.kind == kind]

    def reasons(self, kind: str = "Service") -> list[str]:
        """Return the reasons of the Events on one kind."""
        return [event.reason for event in self.events(kind)]

    def dump(self) -> dict[str, Any]:
        """Return the user's objects as he wrote them: no versions, no status, nothing of pods."""
        kinds = ("deployments", "services", "ingresses", "horizontalpodautoscalers")
        return {
            f"{obj['kind']}/{name_of(obj)}": _as_written(obj)
            for kind in kinds
            for obj in self.store.list(kind, NAMESPACE)
        }

    def describe(self) -> str:
        """Return where the world stands, for a failing test."""
        lines = [f"at {self.now:.1f} s, stage {self.stage()}, {self.status().message}"]
        lines += [f"condition {name}: {entry}" for name, entry in self.conditions().items()]
        lines += [f"route {name}: {route}" for name, route in self.routes().items()]
        lines += [f"record {self.record()}", f"ours {self.ours()}"]
        lines += [f"stable {self.tags('stable')} canary {self.tags('canary')}"]
        lines += ["last writes:", *(str(it)[:400] for it in self.requests[-12:])]
        return "\n".join(lines)

    # Pods that fail.

    def delete(self, kind: str, name: str = NAME) -> None:
        """`kubectl delete`; what stable loses by it is the person's doing."""
        self.judge.disturbed()
        super().delete(kind, name)

    def crash_pod(self, pod: Any) -> None:
        """Let a pod's process die; it comes back after its back-off."""
        self.judge.disturbed()
        self._plane.kubelet.crash(NAMESPACE, name_of(pod))

    def set_ready(self, pod: Any, *, ready: bool) -> None:
        """Let a pod's readiness probe fail, or succeed again."""
        container = self._plane.kubelet.container(NAMESPACE, name_of(pod))
        assert container is not None
        container.health.ready = ready
        self._plane.kubelet.pace.probe = 1.0

    def hold_new_pods(self) -> None:
        """Let no new pod start from now on: no node has room for it."""
        self._plane.kubelet.pace.start = 1e6

    def let_new_pods_start(self) -> None:
        """There is room again: those that waited are made anew."""
        self._plane.kubelet.pace.start = POD_START_SECONDS
        for pod in self.store.list("pods", NAMESPACE):
            if not is_ready(pod) and not is_leaving(pod):
                self.delete("pods", name_of(pod))

    # How it runs.

    def _clock(self) -> float:
        return EPOCH + self._loop.time()

    def send(self, request: Callable[[], object]) -> None:
        """Make a request of a person's, inside the loop: the cluster's life sets timers in it."""
        if self._loop.is_running():
            request()
        else:
            self._do(_called(request))

    def _get(self, kind: str, name: str) -> dict[str, Any] | None:
        exists = self.store.exists(kind, NAMESPACE, name)
        return self.store.get(kind, NAMESPACE, name) if exists else None

    def _do(self, story: Any) -> Any:
        return self._loop.run_until_complete(story)

    async def _life(self, rng: random.Random) -> Any:
        return control_plane(
            self.store,
            clock=self._clock,
            rng=rng,
            delays=Delays(deployments=0.05, replicasets=0.05, endpointslices=0.1),
            pace=Pace(start=POD_START_SECONDS, termination=1.0, probe=self.probe_seconds),
        )

    def _client(self) -> Any:
        """Return what the controller's requests go to; it knows when a write of it is applied."""
        return InProcessClient(store=self.store, now=self._clock, elapsed=self._loop.time)

    async def _started(self) -> Any:
        server = self.metrics if self.is_metered else None
        return Process(self.client, mode=self._mode, parameters=self.parameters, server=server)

    async def _until(self, holds: Callable[[], object], end: float) -> bool:
        while not holds():
            if self._loop.time() >= end:
                return False
            self._bell.clear()
            try:
                async with asyncio.timeout(1.0):
                    await self._bell.wait()
            except TimeoutError:
                continue
        return True

    def _is_by_us(self) -> bool:
        """Tell whether what changes is a write of the controller, and no garbage it uncovers."""
        return self.client.is_writing and not self.store.is_collecting

    def _noticed(self, event: str, kind: str, new: Any, old: Any) -> None:
        """Take note of a change, in the middle of the write that made it."""
        self._bell.set()
        obj = new if new is not None else old
        by = "us" if self._is_by_us() else "world"
        self.trace.append(f"{self.now:.3f} {by} {event} {kind} {name_of(obj)}")
        if kind not in {"pods", "events"}:
            self.last_change = self.now
        if self._is_strict:
            self.judge.changed(kind, new, old, by_us=self._is_by_us())

    def _look(self) -> None:
        """End the story if an invariant was broken or a pass was ended by a bug."""
        if self._process is not None and self._process.bugs:
            raise self._process.bugs[0]
        if self.judge.findings:
            raise AssertionError("\n".join([*self.judge.findings, self.describe()]))


async def _called(request: Callable[[], object]) -> None:
    request()


def _as_written(obj: Any) -> Any:
    meta = {
        key: value
        for key, value in obj["metadata"].items()
        if key not in {"resourceVersion", "generation", "managedFields"}
    }
    return {**obj, "metadata": meta, "status": None}


def enrolled(
    *, replicas: int = 3, history: bool = False, strategy: dict[str, Any] | None = None, **how: Any
) -> World:
    """Return a world with the application `myapp` at v1, enrolled with two accounts and held.

    Args:
        replicas: of the Deployment.
        history: v0 served before.
        strategy: of the Deployment, by default Kubernetes' own.
        how: see `World`.
    """
    world = World(**how)
    try:
        first = image("v0" if history else "v1")
        spec: dict[str, Any] = {"strategy": strategy} if strategy else {}
        world.apply(manifests.application(replicas=replicas, image=first, **spec))
        world.run_until(lambda: len(world.pods("stable")) == replicas)
        if history:
            world.set_image("v1")
            world.run_until(lambda: world.tags("stable") == {"v1": replicas})
            world.run(1)
        world.annotate(header="X-Account", header_values="alice,bob")
        world.enrol()
        world.run_until(world.is_ready, within=60, what="held")
    except BaseException:
        world.close()
        raise
    return world
