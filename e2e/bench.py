"""How fast a weight change is written, and what idling costs; measured, never asserted.

The cluster is of paper: the emulator serves complete Deployments, ReplicaSets and slices that
this program wrote, so that nothing but the controller and the API server uses the machine.
Every figure stands beside the emulator's own round trip in the same run.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import quantiles
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from controller import settings
from controller.api import names
from controller.api.errors import NotFoundError
from controller.api.objects import (
    DEPLOYMENT,
    ENDPOINT_SLICE,
    INGRESS,
    REPLICA_SET,
    SERVICE,
    Kind,
    Object,
    annotations_of,
    digest,
    labels_of,
    name_of,
    template_of,
    uid_of,
)
from controller.api.status import status_in
from controller.cluster.client import Client
from e2e.bed import manifests
from e2e.bed.children import Child, environment
from e2e.bed.controllerprocess import ROOT, ControllerProcess
from e2e.bed.kubectl import cluster_config
from e2e.bed.polling import wait_until

NAMESPACE = "bench"
CONFIG_MAP = Kind(group="", version="v1", plural="configmaps", name="ConfigMap")
WEIGHT_KEY = "nginx.ingress.kubernetes.io/canary-weight"
SETUP_AT_ONCE = 16
"""Applications written at the same time while the paper cluster is built."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Paper:
    """Writes a cluster that stands still."""

    client: Client

    async def application(self, name: str, annotations: Mapping[str, str]) -> None:
        """Write an enrolled application, complete, with two ready pods."""
        _, deployment, service, ingress = manifests.application(
            name, namespace=NAMESPACE, replicas=2
        )
        service["metadata"]["labels"] = {names.CANARY: names.ENABLED}
        service["metadata"]["annotations"] = dict(annotations)
        made = await self.client.create(DEPLOYMENT, deployment)
        await self.client.create(SERVICE, service)
        await self.client.create(INGRESS, ingress)
        await self.complete(made)
        await self.slice(name, {names.CANARY: names.ENABLED}, made)

    async def complete(self, deployment: Object) -> None:
        """Do what the Deployment controller would have done: one ReplicaSet, every pod ready."""
        template, replicas = template_of(deployment), deployment["spec"]["replicas"]
        hashed = digest(template)
        labels = {**template["metadata"]["labels"], names.POD_TEMPLATE_HASH: hashed}
        owner = {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "name": name_of(deployment),
            "uid": uid_of(deployment),
            "controller": True,
        }
        made: dict[str, Any] = {
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "metadata": {
                "name": f"{name_of(deployment)}-{hashed}",
                "namespace": NAMESPACE,
                "labels": labels,
                "annotations": {names.DEPLOYMENT_REVISION: "1"},
                "ownerReferences": [owner],
            },
            "spec": {
                "replicas": replicas,
                "selector": {"matchLabels": labels},
                "template": {**template, "metadata": {**template["metadata"], "labels": labels}},
            },
        }
        await self.client.create(REPLICA_SET, made)
        counts = {"replicas": replicas, "readyReplicas": replicas, "availableReplicas": replicas}
        await self._status(REPLICA_SET, name_of(made), {**counts, "observedGeneration": 1})
        generation = deployment["metadata"]["generation"] + 10**6  # annotations raise it later
        more = {"updatedReplicas": replicas, "observedGeneration": generation}
        await self._status(DEPLOYMENT, name_of(deployment), {**counts, **more})

    async def _status(self, kind: Kind, name: str, status: Mapping[str, Any]) -> None:
        await self.client.merge(
            kind, NAMESPACE, name, {"status": dict(status)}, subresource="status"
        )

    async def slice(self, service: str, labels: Mapping[str, str], deployment: Object) -> None:
        """Write the endpoints of a Service: the pods of the Deployment, all ready."""
        start = f"{name_of(deployment)}-{digest(template_of(deployment))}"
        endpoints = [
            {
                "addresses": [f"10.99.0.{number}"],
                "conditions": {"ready": True, "serving": True, "terminating": False},
                "targetRef": {"kind": "Pod", "name": f"{start}-{number}", "namespace": NAMESPACE},
            }
            for number in range(1, deployment["spec"]["replicas"] + 1)
        ]
        made = {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": f"{service}-paper",
                "namespace": NAMESPACE,
                "labels": {**labels, names.SERVICE_NAME: service},
            },
            "addressType": "IPv4",
            "endpoints": endpoints,
            "ports": [{"name": "", "port": 8080, "protocol": "TCP"}],
        }
        await self.client.create(ENDPOINT_SLICE, made)


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """Seconds that things took.

    Attributes:
        reads: a GET of one object, the emulator's round trip.
        writes: a PATCH of an object that nobody watches.
        changes: from the PATCH of a weight to its sight on the canary Ingress.
    """

    reads: list[float] = field(default_factory=list)
    writes: list[float] = field(default_factory=list)
    changes: list[float] = field(default_factory=list)


@contextmanager
def timed(seconds: list[float]) -> Iterator[None]:
    """Add to a list how long the block took."""
    begun = time.perf_counter()
    yield
    seconds.append(time.perf_counter() - begun)


@dataclass(slots=True, kw_only=True)
class Bench:
    """A paper cluster with a number of enrolled Services, and the controller on it."""

    client: Client
    paper: Paper
    controller: ControllerProcess

    async def find(self, kind: Kind, name: str) -> Object | None:
        """Return an object, None if there is none."""
        try:
            return await self.client.get(kind, NAMESPACE, name)
        except NotFoundError:
            return None

    async def has_stage(self, name: str, stage: str) -> bool:
        """Tell whether the status of a Service names this stage."""
        service = await self.find(SERVICE, name)
        return f'"stage":"{stage}"' in annotations_of(service or {}).get(names.STATUS, "")

    async def bring_to_canary(self, name: str) -> None:
        """Start a release by hand of the paper Deployment controller, and open its doors."""
        image = {"name": f"{name}-container", "image": "janakiramm/myapp:v2"}
        stable = await self.client.get(DEPLOYMENT, NAMESPACE, name)
        container = {**template_of(stable)["spec"]["containers"][0], **image}
        patch = {"spec": {"template": {"spec": {"containers": [container]}}}}
        await self.client.merge(DEPLOYMENT, NAMESPACE, name, patch)

        async def canary() -> Object | None:
            return await self.find(DEPLOYMENT, f"{name}-canary")

        made = await wait_until(canary, within=60.0, what="the canary Deployment is there")
        assert made is not None
        await self.paper.complete(made)
        labels = {names.CANARY: names.MANAGED, names.SERVICE: name}
        await self.paper.slice(f"{name}-canary", labels, made)
        await wait_until(lambda: self.has_stage(name, "Canary"), within=60.0, what="doors open")

    async def weight_changes(self, name: str, count: int) -> "Changes":
        """Change a weight so many times.

        Round trips and changes are taken in turn, so that all see the same machine; each change
        begins when the one before is told and over.
        """
        measured = Changes()
        await self.client.create(CONFIG_MAP, {"metadata": {"name": name, "namespace": NAMESPACE}})
        for number in range(count):
            weight = 1 + number % 100
            with timed(measured.reads):
                await self.client.get(SERVICE, NAMESPACE, name)
            patch = {"data": {"weight": str(weight)}}
            with timed(measured.writes):
                await self.client.merge(CONFIG_MAP, NAMESPACE, name, patch)
            measured.changes.append(await self._weight_change(name, str(weight)))
            await wait_until(partial(self._is_told, name, weight), within=30.0, what="it is told")
        return measured

    async def _weight_change(self, name: str, weight: str) -> float:
        selected = f"{names.SERVICE}={name}"
        listing = await self.client.list(INGRESS, NAMESPACE, labels=selected)
        async with aclosing(
            self.client.watch(INGRESS, NAMESPACE, version=listing.version, labels=selected)
        ) as events:
            begun = time.perf_counter()
            patch = {"metadata": {"annotations": {names.WEIGHT: weight}}}
            await self.client.merge(SERVICE, NAMESPACE, name, patch)
            async for event in events:
                if annotations_of(event.object).get(WEIGHT_KEY) == weight:
                    break
        return time.perf_counter() - begun

    async def _is_told(self, name: str, weight: int) -> bool:
        status = status_in(await self.client.get(SERVICE, NAMESPACE, name))
        return (status.written, status.step) == (weight, weight)

    def memory_mib(self) -> float:
        """Return the controller's resident memory in MiB."""
        status = Path(f"/proc/{self.controller.child.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
        return int(line.split()[1]) / 1024

    async def requests(self) -> Counter[tuple[str, str]]:
        """Return how many requests the controller has made, by verb and kind."""
        counted: Counter[tuple[str, str]] = Counter()
        for family in text_string_to_metric_families(await self.controller.metrics()):
            for sample in family.samples:
                if sample.name == "serinus_api_requests_total":
                    key = (sample.labels["verb"], sample.labels["kind"])
                    counted[key] += int(sample.value)
        return counted


@asynccontextmanager
async def bench(services: int) -> AsyncIterator[Bench]:
    """Build the paper cluster and start the controller on it."""
    with tempfile.TemporaryDirectory(prefix="serinus-bench-") as folder:
        path = Path(folder)
        log = path / "api.log"
        command = [sys.executable, "-m", "e2e.bed.apiserver", "--hold-policy"]
        server = Child.start("api", command, log=log, env=environment(), cwd=ROOT)
        try:
            await wait_until(lambda: "http" in log.read_text(), within=20, what="the API is up")
            kubeconfig = path / "kubeconfig"
            kubeconfig.write_text(cluster_config(log.read_text().split()[0]))
            async with _connected(kubeconfig) as client:
                yield_this = await _started(client, services, kubeconfig, path)
                try:
                    yield yield_this
                finally:
                    await yield_this.controller.stop()
        finally:
            await server.stop()


@asynccontextmanager
async def _connected(kubeconfig: Path) -> AsyncIterator[Client]:
    arguments = [f"--kubeconfig={kubeconfig}", "--qps=10000"]
    client = await Client.connect(settings.from_arguments(arguments, {}))
    try:
        yield client
    finally:
        await client.close()


async def _started(client: Client, services: int, kubeconfig: Path, folder: Path) -> Bench:
    await client.create(
        Kind(group="", version="v1", plural="namespaces", name="Namespace"),
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
    )
    paper = Paper(client=client)
    gate = asyncio.Semaphore(SETUP_AT_ONCE)

    async def write(number: int) -> None:
        # Capacity for every weight is there from the start: two pods carry what stable's two do.
        annotations = {names.REPLICAS: "2"} if number == 0 else {}
        async with gate:
            await paper.application(f"app-{number}", annotations)

    await asyncio.gather(*(write(number) for number in range(services)))
    flags = ("--propagation-wait=200ms", "--drain-wait=200ms", "--ready-wait=100ms", "--qps=1000")
    controller = ControllerProcess(kubeconfig=kubeconfig, folder=folder, flags=flags)
    built = Bench(client=client, paper=paper, controller=controller)
    begun = time.perf_counter()
    await controller.start(within=60.0)

    async def all_held() -> bool:
        listing = await client.list(DEPLOYMENT, NAMESPACE)
        return all(names.HELD in labels_of(item) for item in listing.items)

    await wait_until(all_held, within=120.0, every=0.2, what="every Deployment is held")
    print(f"{services} Services enrolled and held {time.perf_counter() - begun:.1f} s after start")
    await wait_until(lambda: built.has_stage("app-0", "Idle"), within=60.0, what="app-0 is idle")
    return built


def spread(seconds: Sequence[float]) -> tuple[float, float, float]:
    """Return p50, p90 and p99 in milliseconds."""
    cuts = quantiles(seconds, n=100)
    return cuts[49] * 1000, cuts[89] * 1000, cuts[98] * 1000


def line(what: str, seconds: Sequence[float], trip: float | None = None) -> str:
    """Return one line of the table; the ratio is p50 in the emulator's round trips."""
    p50, p90, p99 = spread(seconds)
    ratio = "" if trip is None else f"{p50 / trip:8.1f} round trips at p50"
    return f"{what:44} {p50:8.2f} {p90:8.2f} {p99:8.2f} {ratio}"


async def measure_latency(services: int, changes: int) -> None:
    """Print how long a weight change takes with so many enrolled Services."""
    async with bench(services) as built:
        await built.bring_to_canary("app-0")
        await quiet(built)
        measured = await built.weight_changes("app-0", changes)
        trip = spread(measured.reads)[0]
        print(f"{'milliseconds':44} {'p50':>8} {'p90':>8} {'p99':>8}")
        print(line("round trip of the emulator, a read", measured.reads))
        print(line("round trip of the emulator, a write", measured.writes, trip))
        print(line(f"weight patched to written, {services} enrolled", measured.changes, trip))


async def quiet(built: Bench) -> None:
    """Wait until the controller writes nothing any more."""
    before: Counter[tuple[str, str]] = Counter()

    async def still() -> bool:
        nonlocal before
        now = await built.requests()
        same = now == before
        before = now
        return same

    await wait_until(still, within=120.0, every=1.0, what="the controller is quiet")


async def measure_idle(services: int, seconds: float) -> None:
    """Print what the controller asks of the API server while nothing happens, and its memory."""
    async with bench(services) as built:
        await quiet(built)
        before = await built.requests()
        await asyncio.sleep(seconds)  # the one thing measured here is time passing
        made = await built.requests() - before
        print(f"idle for {seconds:.0f} s with {services} enrolled Services")
        for (verb, kind), count in sorted(made.items()):
            print(f"  {verb:8} {kind:26} {count:6}")
        if not made:
            print("  no request")
        print(f"  memory of the controller: {built.memory_mib():.0f} MiB")


async def measure(chosen: argparse.Namespace) -> None:
    """Run what was chosen."""
    for services in (1, chosen.services):
        await measure_latency(services, chosen.changes)
    if chosen.idle_seconds:
        await measure_idle(chosen.services, chosen.idle_seconds)


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(prog="python -m e2e.bench", description=__doc__)
    parser.add_argument("--services", type=int, default=1000)
    parser.add_argument("--changes", type=int, default=300)
    parser.add_argument("--idle-seconds", type=float, default=600.0, help="0 leaves it out")
    asyncio.run(measure(parser.parse_args(arguments)))


if __name__ == "__main__":
    main()
