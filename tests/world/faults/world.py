"""A world whose controller is the whole process, and in which things go wrong by plan."""

import asyncio
import logging
import random
from collections.abc import Callable, Mapping
from typing import Any

import structlog

from controller.api.objects import LEASE, name_of
from controller.plan.decide import decide
from controller.plan.observed import Parameters
from controller.reconciler import Decide
from controller.stores import INDEXES
from tests.world.faults.deeds import touch
from tests.world.faults.farend import FarEnd, Session
from tests.world.faults.instance import Instance
from tests.world.faults.plan import Fault
from tests.world.faults.proxy import Proxy
from tests.world.faults.reactions import Reactions
from tests.world.faults.requests import flaws
from tests.world.kubectl import NAME, NAMESPACE
from tests.world.world import CANARY, World

SEEN_BY_PROXIES = frozenset({"ingresses", "endpointslices", "pods"})
WATCHED_FOR_REACTIONS = frozenset({"ingresses", "endpointslices", "services", "deployments"})
LOOKS = (1.3, 6.5)
"""How long after a change a proxy that has not heard of it would harm somebody."""
ERRORS = structlog.make_filtering_bound_logger(logging.ERROR)
LEASE_PLACE = ("kube-system", "serinus")


class Complaints:
    """Keeps what the controller logs as an error, and nothing else of its log."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def __call__(self, _logger: Any, method: str, event: Any) -> Any:
        """Take one line in; nothing is printed."""
        if method in {"error", "exception", "critical"}:
            error = event.get("exc_info")
            self.found.append(f"{event.get('event')}: {error!r}")
        raise structlog.DropEvent


class FaultyWorld(World):
    """One cluster, and one or more whole controllers over the far end of their clients.

    Attributes:
        far: the API server as the controllers see it.
        instances: every process there ever was.
        complaints: errors that were logged.
        reactions: how soon it acted on what cannot wait.
        is_lenient: people do what they like, so stories need not go as they are told.
    """

    probe_seconds = 600.0
    """Here pods crash and go; none fails a probe that it has passed once."""

    def __init__(
        self,
        *,
        leader_elect: bool = False,
        decides: Decide = decide,
        **how: Any,
    ) -> None:
        random.seed(1)
        self.instances: list[Instance] = []
        self.complaints = Complaints()
        self.is_lenient = False
        self.leader_elect = leader_elect
        self._decides = decides
        structlog.configure(processors=[self.complaints], wrapper_class=ERRORS)
        how.setdefault("mode", "auto")
        super().__init__(**how)
        self.proxy = Proxy(
            nginx=self.judge.nginx,
            elapsed=self._loop.time,
            is_ours_to_answer=self._rolls_by_us,
            is_by_us=self._is_by_us,
            pods_kept=self._canary_pods_kept,
            full=lambda service: self.judge.scene.full(NAMESPACE, service),
        )
        self.reactions = Reactions(scene=self.judge.scene, elapsed=self._loop.time)
        self.store.subscribe(self._proxied)

    def _noticed(self, event: str, kind: str, new: Any, old: Any) -> None:
        super()._noticed(event, kind, new, old)
        if self._is_by_us() and self.far.current is not None:
            change = (kind, new, old)
            found = flaws(self.judge.scene, self.far.current, self.far.reads, change)
            self.judge.findings += [f"{self.now:.2f} {flaw}" for flaw in found]

    def _rolls_by_us(self) -> bool:
        """Tell whether stable's pods go because we let it roll; in place they go under traffic."""
        intent = self.judge.scene.intent(NAMESPACE, NAME)
        in_place = intent is None or intent.in_place
        return bool(self.judge.scene.memory.let_go) and not in_place

    def _canary_pods_kept(self) -> int:
        """Return the canary's replicas, 0 while its pods are replaced or it is gone."""
        canary = self.canary()
        if not canary or canary["metadata"].get("deletionTimestamp"):
            return 0
        counts = canary.get("status") or {}
        is_rolling = counts.get("updatedReplicas", 0) < counts.get("replicas", 0)
        return 0 if is_rolling else int(canary["spec"].get("replicas", 1))

    def _proxied(self, _event: str, kind: str, new: Any, old: Any) -> None:
        if kind in WATCHED_FOR_REACTIONS:
            self.reactions.look(NAMESPACE, NAME)
        if kind in SEEN_BY_PROXIES:
            self.proxy.noticed(kind, new, old)
            for seconds in LOOKS:
                self._loop.call_later(seconds, self.proxy.look)

    def comes_true(self, holds: Callable[[], object], within: float) -> bool:
        """Let time pass until something is so, at most so much; tell whether it is."""
        came: bool = self._do(self._until(holds, self.now + within))
        self._look()
        return came

    def _excuse_pods(self) -> None:
        """Take note that somebody takes pods away: those that are there now, ready or not."""
        self.proxy.excused |= {name_of(pod) for pod in self.store.list("pods", NAMESPACE)}

    def disturbed(self) -> None:
        """Take note that somebody takes pods away."""
        self.judge.disturbed()
        self._excuse_pods()

    def delete(self, kind: str, name: str = NAME) -> None:
        """`kubectl delete`; what goes with it is the person's doing."""
        self._excuse_pods()
        super().delete(kind, name)

    def edit(self, kind: str, change: Callable[[Any], object], *, name: str = NAME) -> None:
        """`kubectl edit`; what then becomes of pods is the person's doing.

        A Deployment does something with them; the canary Service may select none of them any more.
        """
        if kind == "deployments" or (kind, name) == ("services", CANARY):
            self._excuse_pods()
        super().edit(kind, change, name=name)

    def crash_pod(self, pod: Any) -> None:
        """Let a pod's process die."""
        self._excuse_pods()
        super().crash_pod(pod)

    def scale(self, replicas: int, *, name: str = NAME, manager: str = "kubectl") -> None:
        """`kubectl scale`; the pods that go are whoever's did it."""
        self._excuse_pods()
        super().scale(replicas, name=name, manager=manager)

    async def _until(self, holds: Callable[[], object], end: float) -> bool:
        """Look whenever something changed, and in between not at all: only changes are awaited."""
        timer = self._loop.call_at(end, self._bell.set)
        try:
            while not holds():
                if self._loop.time() >= end:
                    return False
                self._bell.clear()
                await self._bell.wait()
            return True
        finally:
            timer.cancel()

    @property
    def far(self) -> FarEnd:
        """The API server as the controllers see it."""
        far: FarEnd = self.client
        return far

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop whose time is the world's."""
        return self._loop

    @property
    def parameters_in_force(self) -> Parameters:
        """The settings of the controllers."""
        return self.parameters

    def _client(self) -> Any:
        return FarEnd(self.store, now=self._clock, elapsed=self._loop.time)

    async def _started(self) -> Instance:
        return self.launch()

    def launch(self, *, leader_elect: bool | None = None) -> Instance:
        """Start another process; to be called inside the loop."""
        session = self.far.session(f"process {len(self.instances)}")
        instance = Instance(
            session,
            mode=self._mode,
            parameters=self.parameters,
            leader_elect=self.leader_elect if leader_elect is None else leader_elect,
            decides=self._decides,
            server=self.metrics if self.is_metered else None,
        )
        self.instances.append(instance)
        return instance

    def close(self) -> None:
        """End every process and everything else."""
        for instance in self.instances:
            if instance is not self._process:
                self._do(instance.stop())
        super().close()

    # What befalls a process.

    def kill(self, session: Session, restart_seconds: float) -> Any:
        """End the process of a session at once; another one starts after this time.

        What is returned never ends: nothing goes on in a process that is dead.
        """
        instance = self._of(session)
        instance.kill()
        self._loop.call_later(restart_seconds, self._restart, instance)
        return asyncio.Event().wait()

    def _restart(self, before: Instance) -> None:
        after = self.launch()
        if self._process is before:
            self._process = after

    def freeze(self, session: Session, seconds: float) -> None:
        """Stop a process, as SIGSTOP does, for so long."""
        session.frozen_until = self._loop.time() + seconds

    def turn_clock(self, session: Session, seconds: float) -> None:
        """Put the clock of the process' machine wrong."""
        self._of(session).clock.offset = seconds

    def turn_date(self, seconds: float) -> None:
        """Put the clock of the API server wrong."""
        self.far.date_offset = seconds

    def second(self, *, leader_elect: bool) -> None:
        """Start one more process."""
        self.launch(leader_elect=leader_elect)

    def steal_lease(self) -> None:
        """Let another one hold the Lease, as after an edit by hand."""
        namespace, name = LEASE_PLACE
        if not self.store.exists(LEASE.plural, namespace, name):
            return
        spec = {"holderIdentity": "somebody", "renewTime": None}
        self.store.patch(LEASE.plural, namespace, name, "merge", {"spec": spec}, manager="kubectl")

    def _travel(self, session: Session, kind: str, seconds: float) -> Any:
        """Let what is watched, one kind or all, be read again as it was so long ago.

        "restart" kills the process, and the next one's first lists are that old.
        """
        kinds = [it.plural for it in INDEXES] if kind in {"", "restart"} else [kind]
        for plural in kinds:
            self.far.stale[plural] = seconds
        if kind == "restart":
            return self.kill(session, 0.0)
        for stream in tuple(session.streams):
            if stream.kind in kinds:
                self.far.gone.add(stream.kind)
                stream.end()
        return None

    def _of(self, session: Session) -> Instance:
        return next(it for it in self.instances if it.session is session)

    def befall(self, session: Session, fault: Fault, deed: Callable[[World], object]) -> Any:
        """Do what a fault says, outside of any request; what is returned is to be awaited."""
        effect = self._effects().get(fault.do)
        if effect is None:
            deed(self)
            return None
        return effect(session, fault)

    def _effects(self) -> Mapping[str, Callable[[Session, Fault], Any]]:
        """Return what faults do that are no deeds of people."""
        return {
            "crash": lambda session, fault: self.kill(session, fault.seconds),
            "freeze": lambda session, fault: self.freeze(session, fault.seconds),
            "clock": lambda session, fault: self.turn_clock(session, fault.seconds),
            "date": lambda _, fault: self.turn_date(fault.seconds),
            "lease": lambda _, __: self.steal_lease(),
            "travel": lambda session, fault: self._travel(session, str(fault.value), fault.seconds),
            "touch": lambda _, fault: touch(self, str(fault.value)),
            "second": lambda _, fault: self.second(leader_elect=bool(fault.value)),
        }

    @property
    def bugs(self) -> list[str]:
        """What no pass and no process may end with."""
        ended = [repr(bug) for instance in self.instances for bug in instance.bugs]
        return [*ended, *self.complaints.found]
