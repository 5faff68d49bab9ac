"""Whose pause it is when nothing is pending any more, with the admission hold."""

from dataclasses import replace
from typing import Any

from controller.api import names
from controller.api.objects import DEPLOYMENT
from controller.plan.decide import decide
from controller.plan.observed import Observed
from controller.plan.writes import Edit
from tests.controller.plan.worlds import NAME, NOW, deployment, idle, service


def paused_by(manager: str) -> dict[str, Any]:
    stable = deployment("v1", paused=True, generation=3)
    owner = {"manager": manager, "fieldsV1": {"f:spec": {"f:paused": {}}}}
    stable["metadata"]["managedFields"] = [owner]
    return stable


def un_pauses(world: Observed) -> bool:
    return any(
        {"op": "remove", "path": "/spec/paused"} in write.operations
        for write in decide(world, NOW).writes
        if isinstance(write, Edit) and write.kind == DEPLOYMENT and write.name == NAME
    )


def left(world: Observed) -> Observed:
    gone = service()
    del gone["metadata"]["labels"][names.CANARY]
    return replace(world, service=gone, services=(gone,))


def test_takes_the_policys_pause_off_once_the_old_template_is_back() -> None:
    assert un_pauses(idle(deployments=(paused_by("kubectl-set"),)))


def test_keeps_the_pause_of_a_person() -> None:
    assert not un_pauses(idle(deployments=(paused_by("kubectl-rollout"),)))


def test_takes_the_policys_pause_off_when_the_service_leaves() -> None:
    assert un_pauses(left(idle(deployments=(paused_by("kubectl-set"),))))


def test_leaves_the_pause_of_a_person_when_the_service_leaves() -> None:
    assert not un_pauses(left(idle(deployments=(paused_by("kubectl-rollout"),))))
