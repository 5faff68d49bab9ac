"""What becomes of a release: the checks behind the cells of docs/stages.md.

Each drives the world on by itself, looks at it, and ends with a look that nothing is written any
more (safety.md L3).
"""

from collections.abc import Callable
from collections.abc import Set as AbstractSet

from controller.api import names
from controller.api.objects import annotations_of, labels_of, revision_of, template_of
from tests.world.kubectl import NAME
from tests.world.world import World

Check = Callable[[World], object]

ACCOUNTS = frozenset({"alice", "bob"})
AT_ONCE_SECONDS = 2.0
"""safety.md L1."""


def idle(tag: str = "v1", *, replicas: int = 3, result: str = "") -> Check:
    """Nothing of ours is left, this version serves, and the next release can start.

    Args:
        tag: of the version.
        replicas: of stable.
        result: how the last release ended; "" if there was none.
    """

    def check(world: World) -> None:
        world.settle()
        _see(world, world.stage() == "Idle", "stage Idle")
        _see(world, world.is_ready(), "Ready")
        _see(world, world.reason("Degraded") == "AsExpected", "not Degraded")
        _see(world, world.tags("stable") == {tag: replicas}, f"{replicas} stable pods of {tag}")
        _see(world, world.ours() == [], "nothing of ours")
        _see(world, _is_held(world), "held")
        outcome = world.status().outcome
        _see(world, (outcome.result if outcome else "") == result, f"outcome {result!r}")
        if result:
            _see(world, names.WEIGHT not in service_notes(world), "the weight is taken away")
        quiet(world)

    return check


def canary(
    tag: str = "v2",
    *,
    weight: int = 0,
    accounts: AbstractSet[str] = ACCOUNTS,
    pods: int | None = None,
    stable: int = 3,
) -> Check:
    """The canary carries the pending template, as exposed as this; stable serves v1."""

    def check(world: World) -> None:
        world.settle()
        _see(world, world.stage() == "Canary", "stage Canary")
        _see(world, world.weight() == weight, f"weight {weight}")
        _see(world, world.accounts() == accounts, f"accounts {sorted(accounts)}")
        _see(world, world.tags("stable") == {"v1": stable}, f"{stable} stable pods of v1")
        wanted = pods or (2 if weight else 1)
        _see(world, world.tags("canary") == {tag: wanted}, f"{wanted} canary pods of {tag}")
        _see(world, world.is_paused(), "held")
        _see_canary_of_the_pending_template(world)
        quiet(world)

    return check


def promoted(tag: str = "v2", *, replicas: int = 3) -> Check:
    """The release ends by promotion, and no user met a side that was not ready for him."""

    def check(world: World) -> None:
        idle(tag, replicas=replicas, result="promoted")(world)
        _see(world, world.conditions()["Promoted"][0] == "True", "Promoted")

    return check


def aborted(tag: str = "v2", *, stable: str = "v1", replicas: int = 3) -> Check:
    """Nothing of ours is left, the rejected template is still pending and held."""

    def check(world: World) -> None:
        world.settle()
        _see(world, world.stage() == "Aborted", "stage Aborted")
        _see(world, world.tags("stable") == {stable: replicas}, f"stable pods of {stable}")
        _see(world, world.ours() == [], "nothing of ours")
        _see(world, world.is_paused(), "held")
        _see(world, pending(world) == tag, f"{tag} pending")
        rejected = world.status().rejected
        revision = revision_of(template_of(world.deployment()))
        _see(world, rejected is not None and rejected.revision == revision, "rejected")
        _see(world, world.conditions()["Promoted"][0] == "False", "not Promoted")
        quiet(world)

    return check


def left(tag: str = "v1", *, stable: str = "v1", paused: bool = False) -> Check:
    """Un-enrolled without a trace; a pause stays only where a template is pending behind it."""

    def check(world: World) -> None:
        world.settle()
        _see(world, world.ours() == [], "nothing of ours")
        _see(world, world.tags("stable") == {stable: 3}, f"3 stable pods of {stable}")
        _see(world, pending(world) == tag, f"template {tag}")
        _see(world, world.is_paused() is paused, f"paused {paused}")
        labels = labels_of(world.deployment())
        _see(world, not {names.HELD, names.RESUME} & labels.keys(), "no label of ours")
        _see(world, names.STATUS not in service_notes(world), "no status")
        _see(world, world.conditions() == {}, "no condition")
        told = "LeftPending" in world.reasons("Deployment")
        _see(world, told is paused, "an event names the ways on where a template is pending")
        quiet(world)

    return check


def gone(world: World) -> None:
    """The application is deleted: everything of ours goes with it."""
    world.settle()
    _see(world, world.ours() == [], "nothing of ours")
    _see(world, world.pods() == [], "no pod")
    _see(world, world.stage() is None, "no stage")
    _see(world, world.reason("Ready") == "NoDeployment", "NoDeployment")
    quiet(world)


def closed_at_once(world: World) -> None:
    """Nobody reaches the canary any more, within 2 s."""
    world.run_until(
        lambda: not any(route.is_open for route in world.routes().values()),
        within=AT_ONCE_SECONDS,
        what="nobody is routed to the canary",
    )


def closed(world: World) -> None:
    """Nobody reaches the canary."""
    is_open = any(route.is_open for route in world.routes().values())
    _see(world, not is_open, "nobody is routed to the canary")


def answered(text: str) -> Check:
    """The action is taken away, and its outcome on the status begins so."""

    def check(world: World) -> None:
        world.run_until(
            lambda: names.ACTION not in service_notes(world), within=10, what="the action is taken"
        )
        last = world.status().last
        _see(world, last is not None and last.outcome.startswith(text), f"answer {text!r}")

    return check


def told(reason: str, kind: str = "Service") -> Check:
    """An event says so."""

    def check(world: World) -> None:
        world.run(1)
        _see(world, reason in world.reasons(kind), f"event {reason}")

    return check


def waits(reason: str, *, degraded: bool = False, within: float = 60) -> Check:
    """The stage is held up by this."""

    def check(world: World) -> None:
        world.run_until(lambda: world.reason() == reason, within=within, what=reason)
        if degraded:
            state = world.conditions()["Degraded"][:2]
            _see(world, state == ("True", reason), f"Degraded / {reason}")

    return check


def not_ready(reason: str) -> Check:
    """A release cannot start, for this reason."""

    def check(world: World) -> None:
        world.run_until(lambda: world.reason("Ready") == reason, within=60, what=reason)
        _see(world, not world.is_ready(), "Ready is False")

    return check


def quiet(world: World) -> None:
    """Ten resyncs write nothing (L3)."""
    world.run(12)
    before = len(world.requests)
    for _ in range(10):
        world.resync()
        world.run(0.5)
    more = [str(request)[:300] for request in world.requests[before:]]
    _see(world, not more, f"quiet, but {more}")


def pending(world: World) -> str:
    """Return the image tag of stable's template."""
    image: str = template_of(world.deployment())["spec"]["containers"][0]["image"]
    return image.rpartition(":")[2]


def service_notes(world: World) -> dict[str, str]:
    """Return the annotations of the Service."""
    found = world.store.list("services", "canary", fields=f"metadata.name={NAME}")
    return dict(annotations_of(found[0])) if found else {}


def _is_held(world: World) -> bool:
    label = labels_of(world.deployment()).get(names.HELD)
    return label == NAME and world.is_paused() is (world.hold == "pause")


def _see_canary_of_the_pending_template(world: World) -> None:
    ours, theirs = template_of(world.canary()), template_of(world.deployment())
    _see(world, ours["spec"] == theirs["spec"], "the canary carries the pending template")
    record = world.record()
    _see(world, record is not None and record.revision == revision_of(theirs), "recorded")
    _see(world, record is not None and not record.approval, "not approved")


def _see(world: World, so: bool, what: str) -> None:  # an assertion with a picture
    assert so, f"expected: {what}\n{world.describe()}"
