"""A whole cluster in this process without a socket: a store, its controllers, imaginary pods."""

import itertools
import random
from collections.abc import Callable

from e2e.bed.apiserver.store import Store
from e2e.bed.container import ImaginaryContainer
from e2e.bed.controlplane import ControlPlane
from e2e.bed.kubelet import Kubelet, Pace, Runs
from e2e.bed.storecluster import StoreCluster, StorePods
from e2e.bed.workloads.controllers import Controllers, Delays

_LETTERS = "bcdfghjklmnpqrstvwxz2456789"


def suffixes(rng: random.Random) -> Callable[[], str]:
    """Build a source of the five letters at the end of generated names."""
    return lambda: "".join(rng.choices(_LETTERS, k=5))


def pod_addresses() -> Callable[[], str]:
    """Build a source of addresses nobody listens on."""
    numbers = itertools.count(257)
    return lambda: "10.64.{}.{}".format(*divmod(next(numbers), 256))


def control_plane(
    store: Store,
    *,
    clock: Callable[[], float],
    rng: random.Random,
    runs: Runs = ImaginaryContainer,
    issue: Callable[[], str] | None = None,
    delays: Delays | None = None,
    pace: Pace | None = None,
) -> ControlPlane:
    """Let a store have the life of a cluster.

    Call it, and let the event loop run, under the loop whose time `clock` follows.

    Args:
        store: The objects; it is subscribed to.
        clock: Seconds since 1970.
        rng: Source of names; seeded where runs must repeat.
        runs: What containers are made of; by default they have no socket.
        issue: Source of pod addresses; by default of addresses nobody listens on.
        delays: How sluggish the controllers are.
        pace: How sluggish the kubelet is.
    """
    controllers = Controllers(
        StoreCluster(store=store), clock=clock, suffix=suffixes(rng), delays=delays
    )
    kubelet = Kubelet(
        StorePods(cluster=StoreCluster(store=store, agent="kubelet")),
        runs=runs,
        issue=issue or pod_addresses(),
        clock=clock,
        pace=pace,
    )
    plane = ControlPlane(store, controllers, kubelet, clock=clock)
    store.subscribe(plane.changed)
    return plane
