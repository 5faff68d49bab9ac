"""Taking, keeping and letting go of the hold (safety.md section 2)."""

from dataclasses import replace
from typing import Any

import pytest

from controller.api import names
from controller.api.objects import (
    DEPLOYMENT,
    SERVICE,
    is_paused,
    labels_of,
    revision_of,
    template_of,
)
from controller.api.status import Known
from controller.plan.observed import Hold, Observed, Pool, ReplicaSet
from controller.plan.writes import Edit, Event
from tests.controller.plan.applied import annotated, changed, object_in, put
from tests.controller.plan.plans import Pass, passed
from tests.controller.plan.worlds import (
    LONG,
    NAME,
    V1,
    V2,
    deployment,
    idle,
    pending,
    pending_deployment,
    pool,
    replica_set,
    running,
    status,
    uid,
)


def ready(done: Pass) -> tuple[str, str]:
    """Status and reason of the Ready condition."""
    entries = (done.after.service or {})["status"]["conditions"]
    (entry,) = [entry for entry in entries if entry["type"] == names.READY]
    return entry["status"], entry["reason"]


def message(done: Pass) -> str:
    entries = (done.after.service or {})["status"]["conditions"]
    return str(next(entry["message"] for entry in entries if entry["type"] == names.READY))


def stable_after(done: Pass) -> dict[str, Any]:
    return dict(object_in(done.after, DEPLOYMENT, NAME) or {})


def free(**more: Any) -> dict[str, Any]:
    return deployment(held=False, **more)


def with_stable(obj: dict[str, Any], **more: Any) -> Observed:
    return idle(deployments=(obj,), **more)


def operations(done: Pass) -> list[dict[str, Any]]:
    (write,) = done.on(DEPLOYMENT, NAME)
    assert isinstance(write, Edit)
    return [dict(operation) for operation in write.operations]


# Telling how.


def test_another_way_to_hold_is_told_of_in_mid_release() -> None:
    first = passed(running())
    assert message(first) == (
        "Deployment myapp is held (by an admission policy); a new template starts a canary"
    )
    lost = passed(replace(first.after, hold="pause"))
    assert message(lost) == "Deployment myapp is held (paused); a new template starts a canary"
    assert lost.events == [Event(reason="HoldChanged", message=message(lost))]
    assert passed(lost.after).told == []


# Taking it.


def test_takes_the_hold_of_a_complete_deployment_as_it_was_seen() -> None:
    done = passed(with_stable(free()))
    assert operations(done) == [
        {"op": "test", "path": "/metadata/generation", "value": 1},
        {"op": "add", "path": "/metadata/labels/serinus.dev~1held", "value": NAME},
    ]
    assert ready(done) == ("False", "TakingHold")
    assert "Enrolled" in done.told


def test_pauses_in_the_same_write_where_that_is_how_it_is_held() -> None:
    done = passed(with_stable(free(), hold="pause"))
    assert operations(done)[-1] == {"op": "add", "path": "/spec/paused", "value": True}


@pytest.mark.parametrize(
    "counts",
    [
        {"observedGeneration": 0},
        {"updatedReplicas": 3},
        {"availableReplicas": 3},
        {"replicas": 5},
        {"availableReplicas": None},
    ],
)
def test_takes_no_hold_before_the_deployment_is_complete(counts: dict[str, Any]) -> None:
    done = passed(with_stable(changed(free(), status=counts)))
    assert done.does == []
    assert ready(done) == ("False", "DeploymentRolling")
    assert "of 4 pods updated" in message(done)


def test_takes_no_hold_of_a_deployment_scaled_to_nothing() -> None:
    empty = replica_set("v1", 0)
    done = passed(with_stable(free(replicas=0), replica_sets=(empty,), stable=Pool()))
    assert ready(done) == ("False", "DeploymentRolling")


def test_takes_no_hold_of_a_paused_deployment() -> None:
    done = passed(with_stable(free(paused=True)))
    assert done.does == []
    assert ready(done) == ("False", "DeploymentPaused")
    assert "kubectl rollout resume deployment myapp" in message(done)


def test_takes_no_hold_with_a_template_pending() -> None:
    done = passed(with_stable(pending_deployment(held=False)))
    assert done.does == []
    assert ready(done) == ("False", "DeploymentPaused")
    assert "put the old template back" in message(done)


def told_held(world: Observed, reason: str = "Held") -> Observed:
    """The same world, in which the Service has told that it is held."""
    entry = {"type": names.READY, "status": "True", "reason": reason, "message": ""}
    conditions = [{**entry, "lastTransitionTime": ""}]
    return put(world, SERVICE, changed(world.service or {}, status={"conditions": conditions}))


OVERWRITTEN = (
    "somebody wrote the whole Deployment myapp, without the pause and the label serinus.dev/held "
    "that hold it: apply the manifest instead of replacing with it, or run the controller with the "
    "admission policy (--hold admission)"
)


@pytest.mark.parametrize("reason", ["Held", "HoldContested"])
def test_a_hold_that_was_overwritten_is_told_of_and_taken_again(reason: str) -> None:
    done = passed(told_held(with_stable(free(), hold="pause"), reason))
    assert operations(done)[-1] == {"op": "add", "path": "/spec/paused", "value": True}
    assert (ready(done), message(done)) == (("False", "HoldContested"), OVERWRITTEN)
    assert ("HoldContested" in done.told) == (reason == "Held")


def test_a_hold_that_was_overwritten_is_told_of_before_it_can_be_taken_again() -> None:
    unseen = changed(free(), status={"observedGeneration": 0})
    done = passed(told_held(with_stable(unseen, hold="pause")))
    assert done.does == []
    assert (ready(done), message(done)) == (("False", "HoldContested"), OVERWRITTEN)


def test_a_hold_that_was_overwritten_in_mid_release_is_told_of_and_left() -> None:
    rolling = changed(pending_deployment(held=False), spec={"paused": False})
    world = told_held(replace(put(running(), DEPLOYMENT, rolling), hold="pause"))
    done = passed(world)
    assert names.HELD not in labels_of(stable_after(done))
    assert (ready(done), message(done)) == (("False", "HoldContested"), OVERWRITTEN)


@pytest.mark.parametrize(
    ("hold", "paused", "reason", "found"),
    [
        ("admission", False, "Held", "HeldLabelRemoved"),
        ("pause", True, "Held", "HeldLabelRemoved"),
        ("pause", False, "HeldLabelRemoved", "HeldLabelRemoved"),
    ],
)
def test_a_label_that_a_person_took_off_contests_nothing(
    hold: Hold, paused: bool, reason: str, found: str
) -> None:
    stable = changed(pending_deployment(held=False), spec={"paused": paused})
    world = replace(put(running(), DEPLOYMENT, stable), hold=hold)
    assert ready(passed(told_held(world, reason))) == ("False", found)


def test_does_not_take_the_hold_back_in_mid_release() -> None:
    world = put(running(), DEPLOYMENT, pending_deployment(held=False))
    done = passed(world)
    assert names.HELD not in labels_of(stable_after(done))
    assert ready(done) == ("False", "HeldLabelRemoved")


def declared(obj: dict[str, Any], how: str) -> dict[str, Any]:
    if how == "last-applied":
        return annotated(obj, {names.LAST_APPLIED: '{"spec":{"paused":false}}'})
    owner = {"manager": how, "fieldsV1": {"f:spec": {"f:paused": {}}}}
    return changed(obj, metadata={"managedFields": [owner]})


@pytest.mark.parametrize("how", ["last-applied", "argocd-controller", "kubectl-client-side-apply"])
def test_a_manifest_that_sets_paused_is_refused_with_the_pause_hold(how: str) -> None:
    done = passed(with_stable(declared(free(), how), hold="pause"))
    assert done.does == []
    assert ready(done) == ("False", "PausedDeclared")
    assert "--hold admission" in message(done)
    taken = passed(with_stable(declared(free(), how)))
    assert ready(taken) == ("False", "TakingHold")


@pytest.mark.parametrize("how", ["serinus", "kubectl-rollout", "kubectl-patch", "kubectl-edit"])
def test_a_hand_that_set_paused_once_is_no_manifest(how: str) -> None:
    done = passed(with_stable(declared(free(), how), hold="pause"))
    assert ready(done) == ("False", "TakingHold")


@pytest.mark.parametrize("text", ["{", "[]", '{"spec":[]}', "null", '{"spec":{"replicas":1}}'])
def test_what_was_applied_last_may_be_anything(text: str) -> None:
    odd = annotated(free(), {names.LAST_APPLIED: text})
    assert ready(passed(with_stable(odd, hold="pause"))) == ("False", "TakingHold")


def test_a_manifest_that_begins_to_set_paused_contests_the_hold() -> None:
    world = with_stable(declared(deployment(paused=True), "argocd-controller"), hold="pause")
    done = passed(world)
    assert ready(done) == ("False", "HoldContested")
    assert "HoldContested" in done.told


# What is warned about.

RISKY: dict[str, tuple[dict[str, Any], str]] = {
    "no preStop": ({"containers": [{"name": "c"}]}, "no preStop sleep"),
    "anti-affinity": (
        {
            "affinity": {
                "podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{"a": 1}]}
            }
        },
        "required anti-affinity",
    ),
    "host port": (
        {"containers": [{"name": "c", "ports": [{"containerPort": 1, "hostPort": 80}]}]},
        "no preStop sleep, hostPort",
    ),
    "volume": (
        {"volumes": [{"persistentVolumeClaim": {"claimName": "c"}}]},
        "a volume claim: read-write-once cannot be shared with the canary",
    ),
}


def warned(done: Pass) -> str:
    return "".join(event.message for event in done.events if event.reason == "Risky")


@pytest.mark.parametrize("case", RISKY)
def test_warns_of_a_risk_when_the_hold_is_taken(case: str) -> None:
    pod, said = RISKY[case]
    risky = changed(free(), spec={"template": {"spec": pod}})
    own = replace(replica_set("v1", 4), revision=revision_in(risky))
    done = passed(with_stable(risky, replica_sets=(own,)))
    assert warned(done) == f"Deployment myapp has: {said}"


def revision_in(obj: dict[str, Any]) -> str:
    return revision_of(template_of(obj))


def test_warns_of_one_replica_and_of_an_autoscaler() -> None:
    one = replica_set("v1", 1)
    scaler = {"spec": {"scaleTargetRef": {"kind": "Deployment", "name": NAME}}}
    alone = with_stable(
        free(replicas=1), replica_sets=(one,), stable=pool(one.name, 1), autoscalers=(scaler,)
    )
    assert warned(passed(alone)) == "Deployment myapp has: one replica, an autoscaler"
    assert warned(passed(with_stable(free()))) == ""


# Keeping it.


def test_says_that_it_is_held_and_how() -> None:
    assert ready(passed(idle())) == ("True", "Held")
    assert "by an admission policy" in message(passed(idle()))
    by_pause = passed(with_stable(deployment(paused=True), hold="pause"))
    assert ready(by_pause) == ("True", "Held")
    assert "(paused)" in message(by_pause)


def test_remembers_which_revision_serves_and_at_which_generation() -> None:
    done = passed(idle())
    assert done.status.stable == Known(
        revision=V1, uid=uid("Deployment", NAME), generation=1, why=""
    )
    assert passed(pending()).status.stable is None


REMEMBERED = {"revision": V1, "uid": uid("Deployment", NAME), "generation": 1}


def rolled_unseen(*sets: ReplicaSet, generation: int = 2) -> Observed:
    """What serves was never written down, and v3 is pending already."""
    held = pending_deployment("v3", generation=generation)
    return pending(status(stable=REMEMBERED), deployments=(held,), replica_sets=sets)


def test_what_has_rolled_is_remembered_though_the_next_template_is_pending() -> None:
    done = passed(rolled_unseen(replica_set("v2", 4)))
    assert done.status.stable == Known(revision=V2)
    assert passed(done.after).status.stable == Known(revision=V2)


def test_what_is_remembered_stays_until_another_revision_serves_alone_and_whole() -> None:
    known = Known(revision=V1, uid=uid("Deployment", NAME), generation=1)
    both = rolled_unseen(replica_set("v1", 1), replica_set("v2", 3))
    unready = rolled_unseen(replica_set("v2", 4, ready=3))
    same = rolled_unseen(replica_set("v1", 4))
    free = replace(same, deployments=(pending_deployment("v3", paused=False),))
    rolls = replace(rolled_unseen(replica_set("v2", 4)), deployments=free.deployments)
    worlds = (both, unready, same, free, rolls)
    assert [passed(world).status.stable for world in worlds] == [known] * 5


def test_a_newer_server_that_adds_defaults_starts_no_release() -> None:
    """The same generation means the same revision (safety.md section 2)."""
    world = idle()
    service = annotated(
        world.service or {},
        status(stable={"revision": V1, "uid": uid("Deployment", NAME), "generation": 1}),
    )
    with_defaults = changed(deployment(), spec={"template": {"spec": {"new": "default"}}})
    done = passed(replace(with_stable(with_defaults), service=service, services=(service,)))
    assert done.plan.stage == "Idle"
    assert ready(done) == ("True", "Held")


def test_an_unproven_hold_is_not_ready_yet() -> None:
    assert ready(passed(idle(hold=None))) == ("False", "TakingHold")


def test_a_hold_is_kept_through_a_hiccup() -> None:
    """Pods that fail for a moment are no reason to let go."""
    done = passed(idle(stable=Pool(history=((30.0, 0), (LONG, 4)))))
    assert done.does == []
    assert labels_of(stable_after(done))[names.HELD] == NAME


def test_a_template_that_rolls_by_itself_is_waited_for() -> None:
    rolls = with_stable(changed(deployment("v2", generation=2), status={"updatedReplicas": 1}))
    assert ready(passed(rolls)) == ("False", "DeploymentRolling")


def test_pauses_again_once_the_deployment_is_complete() -> None:
    done = passed(idle(hold="pause"))
    assert operations(done) == [
        {"op": "test", "path": "/metadata/generation", "value": 1},
        {"op": "test", "path": "/metadata/labels/serinus.dev~1held", "value": "myapp"},
        {"op": "add", "path": "/spec/paused", "value": True},
    ]
    early = changed(deployment(), status={"availableReplicas": 3})
    assert passed(with_stable(early, hold="pause")).does == []


def paused(**more: Any) -> Observed:
    return with_stable(deployment(paused=True), hold="pause", **more)


def test_a_replica_set_that_somebody_deleted_may_come_back() -> None:
    """Its revision is remembered, and nothing of it is left."""
    other = replace(replica_set("v1", 0), revision="another")
    known = {"revision": V1, "uid": uid("Deployment", NAME), "generation": 1}
    world = paused(replica_sets=(other,), stable=Pool(history=((LONG, 0),)))
    service = annotated(world.service or {}, status(stable=known))
    done = passed(replace(world, service=service, services=(service,)))
    assert not is_paused(stable_after(done))


@pytest.mark.parametrize("hold", ["admission", "pause"])
def test_a_paused_template_that_nothing_says_was_served_stays_paused(hold: Any) -> None:
    done = passed(with_stable(deployment(paused=True), hold=hold, replica_sets=(), stable=Pool()))
    assert done.does == []
    assert ready(done) == ("False", "StableLost")
    assert "kubectl rollout resume deployment myapp" in message(done)


@pytest.mark.parametrize(
    ("history", "let_go"),
    [
        (((60.0, 0), (LONG, 4)), True),
        (((59.0, 0), (LONG, 4)), False),
        (((20.0, 0),), False),  # this process looks only since then
    ],
)
def test_a_stable_without_available_pods_is_let_go_after_a_minute(
    history: tuple[tuple[float, int], ...], let_go: bool
) -> None:
    done = passed(paused(stable=Pool(history=history)))
    assert is_paused(stable_after(done)) is not let_go
    assert ready(done) == ("True", "NothingAvailable")
    assert ("HoldLetGo" in done.told) is let_go


def test_a_stable_that_is_scaled_to_nothing_stays_held() -> None:
    none = deployment(paused=True, replicas=0)
    world = with_stable(none, hold="pause", stable=Pool(history=((LONG, 0),)))
    assert ready(passed(world)) == ("True", "Held")


def test_a_pending_template_is_never_let_go() -> None:
    world = pending(hold="pause", stable=Pool(history=((LONG, 0),)))
    done = passed(world)
    assert is_paused(stable_after(done))


def test_a_lost_stable_is_told_with_both_ways_out() -> None:
    known = {"revision": V1, "uid": uid("Deployment", NAME), "generation": 1}
    of_another = replace(replica_set("v2", 0), revision="another")
    world = pending(replica_sets=(of_another,), stable=Pool())
    service = annotated(world.service or {}, status(stable=known))
    done = passed(replace(world, service=service, services=(service,)))
    entries = (done.after.service or {})["status"]["conditions"]
    degraded = next(entry for entry in entries if entry["type"] == names.DEGRADED)
    assert (degraded["status"], degraded["reason"]) == ("True", "StableLost")
    assert "promote, or put the old template back" in degraded["message"]
