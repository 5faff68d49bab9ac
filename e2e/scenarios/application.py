"""One application in a namespace of its own, and what its owner does with it."""

import asyncio
import shlex
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import yaml

from controller.api import names
from controller.api.objects import condition_of
from e2e.bed import manifests
from e2e.bed.api import Api
from e2e.bed.kubectl import Result
from e2e.bed.manifests import Manifest
from e2e.bed.polling import wait_until
from e2e.scenarios.cluster import PATIENCE, Cluster
from e2e.scenarios.leaving import KINDS, OURS, traces_on
from e2e.scenarios.watching import Told

T = TypeVar("T")

ACCOUNT = "X-Account"
NAME = "myapp"
"""Of the Deployment, the Service and the Ingress."""
GATED = "bad-v2"
"""A version whose pods become ready only where a scenario lets them in."""
QUIET_POLL = 0.2
"""Seconds between two questions that cost a request."""


@dataclass(slots=True, kw_only=True)
class App:
    """An application; most scenarios begin with `deploy`, `enrol`, `canary` or `promoting`."""

    cluster: Cluster
    namespace: str
    other_host: str = ""

    @property
    def host(self) -> str:
        """Answer the host that requests name: the Ingress's, or the one given to `at`."""
        return self.other_host or f"{self.namespace}.example"

    def at(self, host: str) -> "App":
        """Answer the same application behind another host."""
        return replace(self, other_host=host)

    @property
    def api(self) -> Api:
        """Answer the API server for this namespace."""
        return self.cluster.api_in(self.namespace)

    # What the owner types, or has a tool write.

    async def kubectl(self, line: str, *, stdin: str = "") -> str:
        """Run a kubectl command, as typed but for the namespace; answers what it printed."""
        return await self.cluster.kubectl(
            *shlex.split(line), "-n", self.namespace, stdin=stdin, within=PATIENCE
        )

    async def try_kubectl(self, line: str) -> Result:
        """Run a kubectl command that may be refused."""
        return await self.cluster.kubectl.run(
            *shlex.split(line), "-n", self.namespace, within=PATIENCE
        )

    async def write(self, how: str, *manifests: Manifest) -> None:
        """Have a tool write manifests by kubectl; it tries again where another write came first."""

        async def is_written() -> bool:
            result = await self.cluster.kubectl.run(
                *shlex.split(how),
                *("-n", self.namespace),
                stdin=yaml.safe_dump_all(manifests),
                within=PATIENCE,
            )
            if result.code and "please apply your changes to the latest version" in result.err:
                return False
            assert result.code == 0, f"kubectl {how}: {result.err}"
            return True

        await self.comes_true(f"kubectl {how}", is_written)

    async def annotate(self, **values: str | None) -> None:
        """Write annotations of the Service by their short names; None removes one."""
        written = {_key(name): value for name, value in values.items()}
        await self.api.patch("services", NAME, {"metadata": {"annotations": written}})

    async def label(self, value: str | None = names.ENABLED) -> None:
        """Enrol the Service, or take it out by None."""
        await self.api.patch("services", NAME, {"metadata": {"labels": {names.CANARY: value}}})

    async def act(self, action: str) -> None:
        """Ask for a one-shot action."""
        await self.annotate(action=action)

    async def set_image(self, version: str) -> None:
        """Ship a version: what `kubectl set image` writes."""
        pods = (await self.get("deployments"))["spec"]["template"]["spec"]
        pods["containers"][0]["image"] = f"janakiramm/myapp:{version}"
        await self.api.patch("deployments", NAME, {"spec": {"template": {"spec": pods}}})

    async def resume(self) -> None:
        """Run `kubectl rollout resume`."""
        await self.kubectl(f"rollout resume deployment {NAME}")

    # How far the owner goes before a scenario begins.

    async def deploy(
        self,
        *,
        replicas: int = 2,
        pod_annotations: Mapping[str, str] | None = None,
        **spec: Any,
    ) -> None:
        """Apply the application, and wait until requests are answered."""
        written = manifests.application(
            namespace=self.namespace,
            host=self.host,
            replicas=replicas,
            pod_annotations=pod_annotations,
            **spec,
        )
        await self.api.apply(written)
        await self.answers("v1")
        await self.is_complete()

    async def enrol(self, **annotations: str) -> None:
        """Annotate and enrol, and wait until a release can start; deploys what is not there."""
        if await self.api.get("deployments", NAME) is None:
            await self.deploy()
        if annotations:
            await self.annotate(**annotations)
        await self.label()
        await self.is_ready()

    async def canary(self, version: str = "v2", **annotations: str) -> Told:
        """Enrol, ship a version, and wait until its canary stands."""
        await self.enrol(**annotations)
        return await self.ship(version)

    async def ship(self, version: str) -> Told:
        """Ship a version, and wait until its canary stands."""
        before = self.told.revision
        await self.set_image(version)
        return await self.reaches("Canary", after=before or "none")

    async def gated_canary(self) -> Told:
        """Enrol, ship the gated version, and let its canary pods become ready."""
        await self.enrol()
        await self.set_image(GATED)
        return await self.let_in(f"{names.TRACK}={names.TRACK_CANARY}", self.reaches("Canary"))

    async def in_roll(self) -> Told:
        """Promote the gated version up to the roll, and leave the roll where its pods begin."""
        told = await self.gated_canary()
        await self.act(f"promote:{told.revision}")
        await self.reaches("Promoting")
        rolls = self.comes_true("the roll", self.is_rolling)
        await self.let_in(f"{names.TRACK}={names.TRACK_CANARY}", rolls)
        await self.is_in_force(100)
        return told

    async def let_in(self, labels: str, end: Awaitable[T]) -> T:
        """Let pods of the gated version become ready until something has come true.

        Args:
            labels: Selects the pods; empty for all.
            end: What is waited for; its result is returned.
        """
        waiting = asyncio.ensure_future(end)
        while not waiting.done():
            found = await self.api.list("pods", labels=labels)
            for pod in (pod for pod in found if not _is_ready(pod)):
                with suppress(ValueError):  # it does not run yet, or not any more
                    await self.are_ready([pod["metadata"]["name"]], ready=True)
            await asyncio.wait({waiting}, timeout=QUIET_POLL)
        return await waiting

    # What is seen.

    @property
    def told(self) -> Told:
        """Answer what the Service says now."""
        return self.cluster.watcher.history(self.namespace, NAME)[-1]

    @property
    def stages(self) -> list[str]:
        """Answer the stages the Service told of, in order, none twice in a row."""
        found: list[str] = []
        for told in self.cluster.watcher.history(self.namespace, NAME):
            if told.stage and found[-1:] != [told.stage]:
                found.append(told.stage)
        return found

    @property
    def weights(self) -> list[int]:
        """Answer the weights a release had, in order, none twice in a row."""
        found: list[int] = []
        for told in self.cluster.watcher.history(self.namespace, NAME):
            if told.stage in {"Canary", "Promoting"} and found[-1:] != [told.written]:
                found.append(told.written)
        return found

    async def until(
        self, what: str, holds: Callable[[Told], bool], within: float = PATIENCE
    ) -> Told:
        """Wait until what the Service says fits."""
        return await self.cluster.watcher.until(
            self.namespace, NAME, holds, within=within, what=f"{self.namespace}: {what}"
        )

    async def reaches(self, stage: str, reason: str = "", *, after: str = "") -> Told:
        """Wait for a stage, a reason in it, and another revision than `after`."""

        def is_there(told: Told) -> bool:
            fits = told.stage == stage and reason in {"", told.reason}
            return fits and (not after or told.revision != after)

        return await self.until(f"{stage} {reason}", is_there)

    async def is_ready(self) -> Told:
        """Wait until a release can start."""
        return await self.until("Ready", lambda told: told.is_ready)

    async def is_refused(self, reason: str) -> Told:
        """Wait until no release can start, for this reason."""
        return await self.until(
            f"not Ready: {reason}", lambda told: not told.is_ready and told.why("Ready") == reason
        )

    async def ends(self, outcome: str, within: float = PATIENCE) -> Told:
        """Wait until the release has ended, so or so, and nothing of it is left."""
        told = await self.until(
            f"{outcome}, and at rest",
            lambda told: told.outcome == outcome and told.stage in {"Idle", "Aborted"},
            within,
        )
        assert await self.ours() == []
        return told

    async def ours(self) -> list[str]:
        """Answer what the controller made and has not removed, as `KIND NAME`."""
        found = [
            f"{plural} {obj['metadata']['name']}"
            for plural in KINDS
            for obj in await self.api.list(plural, labels=OURS)
        ]
        return sorted(found)

    async def is_left_alone(self) -> None:
        """Wait until nothing of the controller is on the owner's objects, and none of its own."""

        async def is_clean() -> bool:
            objects = [await self.get(plural) for plural in ("services", "deployments")]
            return not any(traces_on(obj) for obj in objects) and await self.ours() == []

        await self.comes_true(f"{self.namespace}: left alone", is_clean)

    async def get(self, plural: str, name: str = NAME) -> Manifest:
        """Answer an object that exists."""
        found = await self.api.get(plural, name)
        assert found is not None, f"{plural} {name} does not exist"
        return dict(found)

    async def events(self) -> set[str]:
        """Answer the reasons of all events so far."""
        return {event["reason"] for event in await self.api.list("events")}

    async def tells(self, reason: str) -> None:
        """Wait for an event."""

        async def was_told() -> bool:
            return reason in await self.events()

        await wait_until(was_told, within=PATIENCE, every=QUIET_POLL, what=f"event {reason}")

    async def comes_true(self, what: str, is_true: Callable[[], Any]) -> None:
        """Wait for something that no status tells; `is_true` may be async."""
        await wait_until(is_true, within=PATIENCE, every=QUIET_POLL, what=what)

    # What visitors get.

    async def answers(self, version: str, *headers: tuple[str, str]) -> None:
        """Wait until a request like this is answered by a version."""

        async def is_answered() -> bool:
            return (await self.cluster.request(self.host, *headers)).version == version

        await wait_until(
            is_answered, within=PATIENCE, every=0.1, what=f"{self.host} {headers}: {version}"
        )

    async def spreads(self, weight: int, count: int, *headers: tuple[str, str]) -> None:
        """Wait until so many requests are spread by the weight, exactly.

        The proxy begins its cycle anew when anything in the cluster changes, so that a count may be
        off by one while other scenarios go on; of a wrong weight no count is right.
        """
        expected = Counter({"v1": count * (100 - weight) // 100, "v2": count * weight // 100})

        async def is_spread() -> bool:
            return +await self.count(count, *headers) == +expected

        await self.comes_true(f"{headers} are spread {expected}", is_spread)

    async def count(self, count: int, *headers: tuple[str, str]) -> Counter[str]:
        """Send a request so many times, and count the answers by version."""
        return await self.cluster.count(self.host, headers, count)

    async def who_gets(self, version: str, accounts: Sequence[str]) -> list[str]:
        """Ask once as each account; answers those who got this version."""
        found = []
        for account in accounts:
            answer = await self.cluster.request(self.host, (ACCOUNT, account))
            found += [account] if answer.version == version else []
        return found

    async def weighs(self, weight: int) -> None:
        """Wait until the weight is told, and the proxy works with it."""
        await self.until(f"weight {weight}", lambda told: told.written == weight)
        await self.is_in_force(weight)

    async def is_in_force(self, weight: int) -> None:
        """Wait until the proxy works with a weight; on a busy machine it may be late."""

        async def works() -> bool:
            return await self.cluster.weight_in_force(self.namespace, NAME) == weight

        await self.comes_true(f"weight {weight} in force", works)

    async def is_complete(self) -> None:
        """Wait until the Deployment has rolled out, or back."""

        async def rolled() -> bool:
            found = await self.get("deployments")
            status, wanted = found.get("status", {}), found["spec"]["replicas"]
            counts = ("replicas", "updatedReplicas", "availableReplicas")
            seen = status.get("observedGeneration", 0) >= found["metadata"]["generation"]
            return seen and all(status.get(count, 0) == wanted for count in counts)

        await self.comes_true(f"{self.namespace}: the Deployment is complete", rolled)

    async def size(self, deployment: str) -> int:
        """Answer how many pods a Deployment should have."""
        return int((await self.get("deployments", deployment))["spec"]["replicas"])

    async def has_size(self, deployment: str, replicas: int) -> None:
        """Wait until a Deployment should have so many pods."""

        async def is_so() -> bool:
            return await self.size(deployment) == replicas

        await self.comes_true(f"{deployment} has {replicas} replicas", is_so)

    async def pods(self, side: str) -> list[str]:
        """Answer the names of the pods of one side: `stable` or `canary`."""
        label = f"app={NAME}" if side == "stable" else f"{names.TRACK}={names.TRACK_CANARY}"
        return sorted(pod["metadata"]["name"] for pod in await self.api.list("pods", labels=label))

    async def are_ready(self, pods: Sequence[str], *, ready: bool) -> None:
        """Let the readiness probes of pods succeed or fail."""
        for pod in pods:
            await self.cluster.set_pod(self.namespace, pod, ready=ready)

    async def is_paused(self) -> bool:
        """Say whether the Deployment is paused."""
        return bool((await self.get("deployments"))["spec"].get("paused"))

    async def is_not_paused(self) -> bool:
        """Say whether the Deployment is not paused."""
        return not await self.is_paused()

    async def is_rolling(self) -> bool:
        """Say whether a pod of another version than the first is stable's."""
        return bool((await self.runs()).keys() - {"v1"})

    async def runs(self) -> Counter[str]:
        """Count stable's pods by version."""
        pods = await self.api.list("pods", labels=f"app={NAME}")
        return Counter(pod["spec"]["containers"][0]["image"].rpartition(":")[2] for pod in pods)

    def report(self) -> str:
        """Write what happened, for somebody who reads a failure."""
        lines = [
            f"{told.stage or '-'} | {told.reason} | {told.message}"
            for told in self.cluster.watcher.history(self.namespace, NAME)
        ]
        log = self.cluster.controller.log().splitlines()
        about = [line for line in log if self.namespace in line]
        return "\n".join(["the Service said:", *lines, "the controller wrote:", *about[-40:]])


def _is_ready(pod: Mapping[str, Any]) -> bool:
    return (condition_of(pod, "Ready") or {}).get("status") == "True"


def _key(name: str) -> str:
    return names.PREFIX + name.replace("_", "-")
