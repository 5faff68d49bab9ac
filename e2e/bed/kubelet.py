"""A kubelet: binds pods, runs a container for each, and tells the API what became of them."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

from e2e.bed.addresses import why_not_bound
from e2e.bed.container import Container, Settings, settings_of
from e2e.bed.workloads.cluster import (
    Object,
    condition_of,
    format_time,
    is_finished,
    is_leaving,
    status_of,
)

NODE = "bed-node"
LONGEST_BACKOFF = 300.0
"""Seconds between the restarts of a container that keeps ending, at most."""

LOG = logging.getLogger(__name__)

Runs = Callable[[Settings, str], Container]
"""Makes the container of a pod at an address."""


class Pods(Protocol):
    """The API server as a kubelet needs it; a pod that went away meanwhile is no error."""

    def get(self, namespace: str, name: str) -> Object | None:
        """Answer a pod as it was last seen, or `None`."""

    async def bind(self, pod: Object, node: str) -> None:
        """Give a pod that has none its node."""

    async def write_status(self, pod: Object, status: Mapping[str, Any]) -> None:
        """Tell what became of this very pod."""

    async def remove(self, pod: Object) -> None:
        """Delete this very pod, whose containers have ended."""


@dataclass(slots=True)
class _Pod:
    """A pod this kubelet runs."""

    namespace: str
    name: str
    uid: str
    settings: Settings
    address: str
    container: Container
    started: str
    ready: bool = False
    restarts: int = 0
    died: str = ""
    """When the container crashed last; empty while it never did."""
    waiting: str = "ContainerCreating"
    """Why the container does not run; empty while it does."""
    message: str = ""
    stopping: bool = False
    crashed: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None


@dataclass(slots=True)
class Pace:
    """The kubelet's delays, in seconds; changeable while it runs."""

    start: float = 0.0
    """From binding to the open listener, where the pod does not say."""
    termination: float = 0.0
    """From the deletion of a pod to its preStop hook or SIGTERM."""
    backoff: float = 1.0
    """Before the first restart of a container that ended; doubled each time."""
    probe: float = 0.0
    """Between two readiness probes; 0 leaves it to the pod."""


class Kubelet:
    """Runs every pod of the cluster on one node; tell `notice` of each change of a pod."""

    def __init__(
        self,
        pods: Pods,
        *,
        runs: Runs,
        issue: Callable[[], str],
        clock: Callable[[], float],
        pace: Pace | None = None,
        host: str = "127.0.0.1",
    ) -> None:
        """Arrange a kubelet.

        Args:
            pods: Where pods are read, and their status is written.
            runs: Makes containers: real ones, or imaginary ones for virtual time.
            issue: Answers a fresh pod address.
            clock: Answers the present as seconds since 1970.
            pace: Delays; none by default.
            host: The address of the node.
        """
        self._api = pods
        self._host = host
        self._runs = runs
        self._issue = issue
        self._clock = clock
        self.pace = pace or Pace()
        self._pods: dict[str, _Pod] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def notice(self, pod: Object, *, gone: bool = False) -> None:
        """Start, stop or forget a pod; never writes by itself, so it may be called from a write."""
        known = self._pods.get(pod["metadata"]["uid"])
        try:
            if gone:
                self._forget(known)
            elif is_leaving(pod):
                self._begin_stop(pod, known)
            elif known is None and not is_finished(pod):
                self._begin(pod)
        except ValueError as error:
            LOG.warning("pod %s is not run: %s", pod["metadata"]["name"], error)

    def container(self, namespace: str, name: str) -> Container | None:
        """Answer the container of a pod, to change its health."""
        found = self._find(namespace, name)
        return found.container if found else None

    def crash(self, namespace: str, name: str) -> bool:
        """End a pod's container as if its process died; it is started again after a back-off."""
        found = self._find(namespace, name)
        if found:
            found.crashed.set()
        return found is not None

    async def close(self) -> None:
        """End every container and every task."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for pod in self._pods.values():
            pod.container.kill()
        self._pods.clear()

    def _find(self, namespace: str, name: str) -> _Pod | None:
        pods = self._pods.values()
        return next((p for p in pods if (p.namespace, p.name) == (namespace, name)), None)

    def _spawn(self, story: Any, name: str) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(story, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception():
            LOG.error("pod task %s ended by an error", task.get_name(), exc_info=task.exception())

    def _begin(self, pod: Object) -> None:
        known = self._adopt(pod)
        known.task = self._spawn(self._run(known), f"run {known.name}")

    def _adopt(self, pod: Object) -> _Pod:
        metadata, settings = pod["metadata"], settings_of(pod, self.pace.start)
        address = status_of(pod).get("podIP") or self._issue()
        known = _Pod(
            namespace=metadata["namespace"],
            name=metadata["name"],
            uid=metadata["uid"],
            settings=settings,
            address=address,
            container=self._runs(settings, address),
            started=self._stamp(),
        )
        self._pods[known.uid] = known
        return known

    def _begin_stop(self, pod: Object, known: _Pod | None) -> None:
        known = known or self._adopt(pod)
        if not known.stopping:
            known.stopping = True
            grace = float(pod["metadata"].get("deletionGracePeriodSeconds", 30))
            known.task = self._spawn(self._stop(known, known.task, grace), f"stop {known.name}")

    def _forget(self, known: _Pod | None) -> None:
        """End a pod whose object is gone, by force or at the end of its own stop."""
        if known is None:
            return
        known.container.kill()
        self._pods.pop(known.uid, None)
        if known.task and known.task is not asyncio.current_task():
            known.task.cancel()

    async def _run(self, pod: _Pod) -> None:
        await self._bind(pod)
        await asyncio.sleep(pod.settings.start_seconds)
        while True:
            await self._start(pod)
            if pod.waiting:
                await asyncio.sleep(self._backoff(pod))
            else:
                await self._watch(pod)
            pod.restarts += 1

    async def _start(self, pod: _Pod) -> None:
        """Start the container once; afterwards `waiting` says why it does not run, if so."""
        pod.crashed.clear()
        pod.waiting, pod.message = "", ""
        if pod.settings.never_listens:
            pod.waiting = "CrashLoopBackOff"
        else:
            await self._listen(pod)
        no_probe = pod.settings.probe is None and not pod.settings.never_ready
        pod.ready = no_probe and not pod.waiting
        await self._write(pod)

    async def _listen(self, pod: _Pod) -> None:
        try:
            await pod.container.open()
        except OSError as error:
            pod.waiting = "CrashLoopBackOff"
            pod.message = why_not_bound(pod.address, pod.settings.ports[0], error)
            LOG.warning("%s", pod.message)

    def _backoff(self, pod: _Pod) -> float:
        return min(self.pace.backoff * 2.0 ** min(pod.restarts, 16), LONGEST_BACKOFF)

    async def _watch(self, pod: _Pod) -> None:
        """Probe until the container crashes, then wait for its back-off."""
        probing = self._spawn(self._probe(pod), f"probe {pod.name}")
        try:
            await pod.crashed.wait()
        finally:
            probing.cancel()
        pod.container.kill()
        pod.ready, pod.waiting, pod.died = False, "CrashLoopBackOff", self._stamp()
        await self._write(pod)
        await asyncio.sleep(self._backoff(pod))

    async def _probe(self, pod: _Pod) -> None:
        probe = pod.settings.probe
        if probe is None:
            return
        await asyncio.sleep(probe.delay_seconds)
        failures = 0
        while True:
            answered = await pod.container.is_ready()
            failures = 0 if answered else failures + 1
            ready = answered or (pod.ready and failures < probe.failures)
            if ready != pod.ready and not pod.stopping:
                pod.ready = ready
                await self._write(pod)
            await asyncio.sleep(self.pace.probe or probe.period_seconds)

    async def _stop(self, pod: _Pod, running: asyncio.Task[None] | None, grace: float) -> None:
        end = self._clock() + grace
        await asyncio.sleep(min(self.pace.termination, grace))
        await asyncio.sleep(min(pod.settings.pre_stop_seconds, max(0.0, end - self._clock())))
        if running:
            running.cancel()
        await pod.container.terminate(max(0.0, end - self._clock()))
        pod.ready = False
        await self._write(pod, ended=True)
        current = self._current(pod)
        if current is not None:
            await self._api.remove(current)
        self._forget(pod)

    def _stamp(self) -> str:
        return format_time(datetime.fromtimestamp(self._clock(), UTC))

    async def _bind(self, pod: _Pod) -> None:
        current = self._current(pod)
        if current is not None and not current["spec"].get("nodeName"):
            await self._api.bind(current, NODE)

    def _current(self, pod: _Pod) -> Object | None:
        found = self._api.get(pod.namespace, pod.name)
        return found if found is not None and found["metadata"]["uid"] == pod.uid else None

    async def _write(self, pod: _Pod, *, ended: bool = False) -> None:
        current = self._current(pod)
        if current is not None:
            status = _status(pod, current, self._stamp(), ended=ended)
            await self._api.write_status(current, {"hostIP": self._host, **status})


def _status(pod: _Pod, current: Object, stamp: str, *, ended: bool) -> dict[str, Any]:
    wants = {
        "PodScheduled": True,
        "Initialized": True,
        "ContainersReady": pod.ready,
        "Ready": pod.ready,
    }
    return {
        "phase": "Running",
        "podIP": pod.address,
        "podIPs": [{"ip": pod.address}],
        "startTime": pod.started,
        "conditions": [_condition(current, kind, value, stamp) for kind, value in wants.items()],
        "containerStatuses": [
            {
                "name": container["name"],
                "image": container.get("image", ""),
                "imageID": container.get("image", ""),
                "containerID": f"bed://{pod.uid}",
                "ready": pod.ready,
                "started": not pod.waiting and not ended,
                "restartCount": pod.restarts,
                "state": _state(pod, stamp, ended=ended),
                "lastState": _last_state(pod),
            }
            for container in current["spec"]["containers"]
        ],
    }


def _condition(current: Object, kind: str, value: bool, stamp: str) -> dict[str, str]:  # noqa: FBT001
    before = condition_of(current, kind)
    status = "True" if value else "False"
    kept = before is not None and before["status"] == status
    since = before["lastTransitionTime"] if before is not None and kept else stamp
    return {"type": kind, "status": status, "lastTransitionTime": since}


def _last_state(pod: _Pod) -> Mapping[str, Any]:
    if not pod.died:
        return {}
    times = {"startedAt": pod.started, "finishedAt": pod.died}
    return {"terminated": {"exitCode": 1, "reason": "Error", **times}}


def _state(pod: _Pod, stamp: str, *, ended: bool) -> Mapping[str, Any]:
    if ended:
        finished = {"startedAt": pod.started, "finishedAt": stamp}
        return {"terminated": {"exitCode": 0, "reason": "Completed", **finished}}
    if pod.waiting:
        return {"waiting": {"reason": pod.waiting, "message": pod.message}}
    return {"running": {"startedAt": pod.started}}
