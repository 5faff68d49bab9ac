"""The stories in which things go wrong: what people and clusters do to one application.

Each waits for what it needs, however long that takes, and leaves the world at rest.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from controller.api.objects import is_paused, revision_of, template_of
from controller.plan.observed import Parameters
from e2e.bed import manifests
from tests.world.deeds import autoscale_down
from tests.world.faults.deeds import DEEDS
from tests.world.faults.world import FaultyWorld
from tests.world.kubectl import NAME, image
from tests.world.metrics import CANARY

LENIENT_SECONDS = 150.0
PATIENCE_SECONDS = 1500.0
"""A story waits so long for what has to come; faults may take ten minutes."""
FALL_SECONDS = 30.0
"""A fall that was not noticed within this time will not be: the pods are back."""
FALLS_AT_MOST = 15
Story = Callable[[FaultyWorld], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """One story.

    Attributes:
        row: of safety.md, for the summary: what is done here.
        how: the world it begins in, see `prepared`.
        story: what happens.
    """

    name: str
    story: Story
    how: Mapping[str, Any] = field(default_factory=dict)


def prepared(workload: Workload, **more: Any) -> FaultyWorld:
    """Return the world in which a story begins: the application serves, enrolled or not."""
    how = {**workload.how, **more}
    is_enrolled = how.pop("enrolled", True)
    replicas, strategy = how.pop("replicas", 3), how.pop("strategy", None)
    on_ingress = how.pop("on_ingress", {})
    notes = how.pop("notes", {"header": "X-Account", "header_values": "alice,bob"})
    world = FaultyWorld(**how)
    spec = {"strategy": strategy} if strategy else {}
    world.apply(manifests.application(replicas=replicas, image=image("v1"), **spec))
    world.apply(manifests.ingress(annotations=on_ingress))
    world.run_until(lambda: len(world.pods("stable")) == replicas)
    world.run(1)
    world.annotate(**notes)
    if is_enrolled:
        world.enrol()
        world.run_until(world.is_ready, within=60, what="held")
        world.run(1)
    return world


def wait(world: FaultyWorld, holds: Callable[[], object], what: str) -> None:
    """Wait for what has to come; where people do something else, it need not."""
    began = world.now
    while not world.comes_true(holds, 5.0):
        waited = world.now - began
        if world.is_lenient and waited > LENIENT_SECONDS:
            return
        assert waited < PATIENCE_SECONDS, f"not within {waited:g} s: {what}\n{world.describe()}"


def rest(world: FaultyWorld) -> None:
    """Let the world come to rest.

    What people did, or an hour too many at the API server, may leave a release that is judged for
    ever: its status has news with every look. There nobody looks any more from here on.
    """
    if world.is_lenient and world.is_metered:
        DEEDS["no-checks"](world)
    world.settle(within=2 * PATIENCE_SECONDS)


def act(world: FaultyWorld, verb: str) -> None:
    """Write the one-shot action for the pending template."""
    revision = revision_of(template_of(world.deployment()))
    world.annotate(action=verb.replace("REV", revision))


def ship(world: FaultyWorld, tag: str = "v2", weight: int | None = 50) -> None:
    """Ship a version and expose it to this weight."""
    world.set_image(tag)
    wait(world, lambda: world.canary() and world.stage() in {"Starting", "Canary"}, "a canary")
    if weight is not None:
        world.run(0.5)
        world.annotate(weight=str(weight))
        wait(world, lambda: world.weight() == weight, f"weight {weight}")


def serves(world: FaultyWorld, tag: str, replicas: int = 3) -> Callable[[], object]:
    """Tell whether this version alone serves and the release is over."""
    return lambda: world.tags("stable") == {tag: replicas} and not world.ours()


# The stories.


def _enrol(world: FaultyWorld) -> None:
    world.enrol()
    wait(world, world.is_ready, "held")
    rest(world)


def _enrol_and_leave(world: FaultyWorld) -> None:
    """With nothing pending the pause was the hold's, and goes with it."""
    _enrol(world)
    world.unenrol()
    wait(world, lambda: not is_paused(world.deployment()) and not world.conditions(), "left")
    rest(world)


def _accounts(world: FaultyWorld) -> None:
    world.annotate(header_values="alice")
    ship(world, weight=None)
    wait(world, lambda: world.accounts() == {"alice"}, "one account")
    fifty = ",".join(f"user-{number}" for number in range(50))
    world.annotate(header_values=fifty)
    wait(world, lambda: len(world.accounts()) == 50, "fifty accounts")
    world.annotate(header_values="alice,bob.smith")
    wait(world, lambda: world.accounts() == {"alice", "bob.smith"}, "two accounts")
    rest(world)


def _many_accounts(world: FaultyWorld) -> None:
    ship(world, weight=None)
    wait(world, lambda: len(world.accounts()) == 500, "500 accounts")
    rest(world)


def _ramp(world: FaultyWorld) -> None:
    """A plan that a person stops for a while (safety.md section 3, "pause of the plan")."""
    world.annotate(steps="10/1m, 50/1m, 100")
    world.set_image("v2")
    wait(world, lambda: world.weight() == 10, "the first step")
    world.annotate(action="pause")
    world.run(90)
    assert world.is_lenient or (world.weight() or 0) <= 10, world.describe()
    world.annotate(action="continue")
    wait(world, lambda: world.weight() == 100, "weight 100")
    rest(world)


def _promote(world: FaultyWorld) -> None:
    ship(world)
    act(world, "promote:REV")
    wait(world, serves(world, "v2"), "promoted")
    rest(world)


def _resume(world: FaultyWorld) -> None:
    ship(world, weight=20)
    world.rollout_resume()
    wait(world, serves(world, "v2"), "promoted")
    rest(world)


def _in_place(world: FaultyWorld) -> None:
    world.annotate(promotion="in-place")
    ship(world, weight=70)
    act(world, "promote:REV")
    wait(world, serves(world, "v2"), "promoted")
    rest(world)


def _abort_early(world: FaultyWorld) -> None:
    world.set_image("v2")
    wait(world, world.canary, "a canary")
    act(world, "abort")
    wait(world, lambda: world.stage() == "Aborted", "Aborted")
    rest(world)


def _abort(world: FaultyWorld) -> None:
    ship(world)
    act(world, "abort")
    wait(world, lambda: world.stage() == "Aborted", "Aborted")
    rest(world)
    world.set_image("v1")
    rest(world)


def _abort_shift(world: FaultyWorld) -> None:
    ship(world)
    act(world, "promote:REV")
    wait(world, lambda: world.weight() == 100, "weight 100")
    act(world, "abort")
    wait(world, lambda: world.stage() == "Aborted", "Aborted")
    rest(world)


def _abort_roll(world: FaultyWorld) -> None:
    ship(world)
    act(world, "promote:REV")
    wait(world, lambda: world.tags("stable").get("v2"), "a new stable pod")
    act(world, "abort")
    world.run(3)
    world.set_image("v1")
    wait(world, lambda: not world.ours(), "the end")
    rest(world)


def _newer(world: FaultyWorld) -> None:
    ship(world)
    world.set_image("v3")
    wait(world, lambda: world.tags("canary").get("v3") and world.accounts(), "the newer canary")
    rest(world)


def _leave_starting(world: FaultyWorld) -> None:
    world.set_image("v2")
    wait(world, world.canary, "a canary")
    world.unenrol()
    wait(world, lambda: not world.ours() and not world.conditions(), "left")
    rest(world)


def _leave_canary(world: FaultyWorld) -> None:
    ship(world)
    world.unenrol()
    wait(world, lambda: not world.ours() and not world.conditions(), "left")
    rest(world)


def _leave_rolling(world: FaultyWorld) -> None:
    ship(world)
    act(world, "promote:REV")
    wait(world, lambda: world.tags("stable").get("v2"), "a new stable pod")
    world.unenrol()
    wait(world, lambda: not world.ours() and not world.conditions(), "left")
    rest(world)


def _main(world: FaultyWorld) -> None:
    ship(world)
    world.edit("ingresses", _other_path)
    world.run(30)
    world.delete("ingresses")
    wait(world, lambda: world.weight() == 0, "weight 0 without a main")
    world.run(60)
    world.apply(manifests.ingress())
    wait(world, lambda: world.weight() == 50, "weight 50 again")
    rest(world)


def _other_path(ingress: Any) -> None:
    ingress["spec"]["rules"][0]["http"]["paths"][0]["path"] = "/shop"


def _port(world: FaultyWorld) -> None:
    ship(world)
    world.edit("services", lambda service: _set_port(service, 81))
    world.run(60)
    world.edit("services", lambda service: _set_port(service, 80))
    wait(world, lambda: world.weight() == 50, "weight 50 again")
    world.delete("services")
    world.run(10)  # as Git tools do: it is gone for good after thirty seconds only
    world.apply(manifests.service())
    world.annotate(header="X-Account", header_values="alice,bob", weight="50")
    world.enrol()
    wait(world, lambda: world.weight() == 50 and world.accounts(), "weight 50 once more")
    rest(world)


def _set_port(service: Any, port: int) -> None:
    service["spec"]["ports"][0]["port"] = port


def _deleted(world: FaultyWorld) -> None:
    ship(world)
    world.delete("deployments")
    wait(world, lambda: not world.ours(), "nothing of ours")
    rest(world)


def _autoscaled(world: FaultyWorld) -> None:
    ship(world)
    act(world, "promote:REV")
    wait(world, lambda: world.weight() == 100, "weight 100")
    autoscale_down(world)
    wait(world, lambda: world.tags("stable").get("v2"), "a new stable pod")
    world.run(30)
    world.scale(3, manager="horizontal-pod-autoscaler")
    wait(world, serves(world, "v2"), "promoted")
    rest(world)


def _scaled(world: FaultyWorld) -> None:
    ship(world)
    world.scale(6, manager="horizontal-pod-autoscaler")
    wait(world, lambda: len(world.pods("canary")) == 3 and _size_kept(world) == 6, "R is 6")
    world.scale(2, manager="horizontal-pod-autoscaler")
    rest(world)


def _size_kept(world: FaultyWorld) -> int:
    """Return R as it is recorded: what it grew to counts once the canary has grown too."""
    record = world.record()
    return record.replicas if record is not None else 0


def _lowered(world: FaultyWorld) -> None:
    ship(world, weight=100)
    world.annotate(weight="20")
    wait(world, lambda: len(world.pods("canary")) == 2, "two canary pods")
    world.annotate(weight="0")
    rest(world)


def _flapping(world: FaultyWorld) -> None:
    ship(world)
    for _ in range(2):
        for pod in world.pods("canary"):
            world.crash_pod(pod)
        world.run(1)
        wait(world, lambda: world.weight() == 50, "weight 50 again")
    rest(world)


def _falling(world: FaultyWorld) -> None:
    """The third fall of a release ends it (safety.md section 4, short canary).

    Only falls that were noticed count: pods that fell and came back while the controller was away,
    or knew nothing of it, fall once more.
    """
    ship(world)
    for _ in range(FALLS_AT_MOST):
        for pod in world.pods("canary"):
            world.crash_pod(pod)
        world.comes_true(lambda: world.weight() != 50, FALL_SECONDS)
        wait(world, lambda: world.stage() == "Aborted" or world.weight() == 50, "open, or aborted")
        if world.stage() == "Aborted":
            break
    wait(world, lambda: world.stage() == "Aborted", "Aborted")
    rest(world)


def _newer_approved(world: FaultyWorld) -> None:
    """An approval is of one revision: the next template is not promoted by it."""
    ship(world)
    act(world, "promote:REV")
    wait(world, lambda: world.weight() == 100, "weight 100")
    world.set_image("v3")
    wait(world, lambda: world.tags("canary").get("v3") and world.accounts(), "the newer canary")
    rest(world)


def _in_the_walk_back(world: FaultyWorld) -> None:
    """A template that comes once stable is complete, and before all is over, is held (P4).

    It comes after the pause: while the controller is away nobody could take the hold again.
    """
    ship(world)
    act(world, "promote:REV")
    wait(world, lambda: world.tags("stable") == {"v2": 3}, "stable rolled")
    wait(world, lambda: world.is_paused() and world.ours(), "paused again before all is over")
    world.set_image("v3")
    wait(world, lambda: world.tags("canary").get("v3") and world.accounts(), "the next canary")
    rest(world)


def _crash_looping(world: FaultyWorld) -> None:
    world.annotate(ready_deadline="60s")
    world.hold_new_pods()
    world.set_image("v2")
    wait(world, lambda: world.stage() == "Aborted", "Aborted")
    rest(world)


def _affinity(world: FaultyWorld) -> None:
    """Sessions stick to pods by a cookie: promotion goes in place, an abort deletes the Ingress."""
    ship(world)
    act(world, "abort")
    wait(world, lambda: world.stage() == "Aborted", "Aborted")
    rest(world)


def _checks_pass(world: FaultyWorld) -> None:
    """Metrics and pods let every step go on, and the plan promotes; until they speak it waits."""
    world.annotate(steps="20/1m, 50/1m", checks="success>=90%, restarts", promotion="auto")
    world.metrics.trouble = "nan"
    world.set_image("v2")
    wait(world, lambda: world.weight() == 20, "the first step")
    world.run(90)
    assert world.is_lenient or (world.weight() or 0) <= 20, world.describe()
    world.metrics.trouble = ""
    wait(world, serves(world, "v2"), "promoted")
    rest(world)


def _checks_fail(world: FaultyWorld) -> None:
    """Metrics end a release, and nobody else."""
    world.annotate(steps="20/10m", checks="success>=90%, restarts", promotion="auto")
    world.metrics.errors[CANARY] = 0.9
    world.set_image("v2")
    wait(world, lambda: world.stage() == "Aborted", "Aborted")
    rest(world)


HOLD_BY_PAUSE: Mapping[str, Any] = {"hold": "pause"}
METERED: Mapping[str, Any] = {"metered": True}
VISITORS: Mapping[str, Any] = {
    "header": "X-Account",
    "header_values": "alice,bob",
    "cookie": "beta",
}
STICKY: Mapping[str, Any] = {
    "on_ingress": {"nginx.ingress.kubernetes.io/affinity": "cookie"},
    "notes": {
        "header": "X-Account",
        "header_values": "alice,bob",
        "accept": "affinity",
        "promotion": "in-place",
    },
}
"""There from the start: of an affinity that a watch shows minutes late nobody can know in time."""
MANY: Mapping[str, Any] = {
    "notes": {
        "header": "X-Account",
        "header_values": ",".join(f"u{number}" for number in range(500)),
    },
    "parameters": Parameters(max_accounts=500),
}

WORKLOADS: tuple[Workload, ...] = (
    Workload(name="enrol", story=_enrol, how={"enrolled": False}),
    Workload(name="enrol-pause", story=_enrol_and_leave, how={"enrolled": False, **HOLD_BY_PAUSE}),
    Workload(name="accounts", story=_accounts),
    Workload(name="accounts-500", story=_many_accounts, how=MANY),
    Workload(name="ramp", story=_ramp),
    Workload(name="promote", story=_promote),
    Workload(name="promote-pause", story=_promote, how=HOLD_BY_PAUSE),
    Workload(name="promote-resume", story=_resume, how={"notes": VISITORS}),
    Workload(name="in-place", story=_in_place),
    Workload(name="affinity", story=_affinity, how=STICKY),
    Workload(name="abort-starting", story=_abort_early),
    Workload(name="abort-canary", story=_abort),
    Workload(name="abort-shift", story=_abort_shift),
    Workload(name="abort-roll", story=_abort_roll),
    Workload(name="newer", story=_newer),
    Workload(name="leave-starting", story=_leave_starting),
    Workload(name="leave-canary", story=_leave_canary),
    Workload(name="leave-rolling", story=_leave_rolling),
    Workload(name="main-ingress", story=_main),
    Workload(name="port", story=_port),
    Workload(name="deleted", story=_deleted),
    Workload(name="autoscaled-roll", story=_autoscaled),
    Workload(name="scaled", story=_scaled),
    Workload(name="lowered", story=_lowered),
    Workload(name="flapping", story=_flapping),
    Workload(name="falling", story=_falling),
    Workload(name="newer-approved", story=_newer_approved),
    Workload(name="walk-back-pause", story=_in_the_walk_back, how=HOLD_BY_PAUSE),
    Workload(name="crash-looping", story=_crash_looping),
    Workload(name="checks-pass", story=_checks_pass, how=METERED),
    Workload(name="checks-fail", story=_checks_fail, how=METERED),
)
"""The twelve workloads of the plan of tests, some in more than one form."""

BY_NAME: Mapping[str, Workload] = {workload.name: workload for workload in WORKLOADS}
MAIN_NAME = NAME
