from dataclasses import replace

import click
import jsonpatch
import pytest

from controller.api.objects import template_of
from controller.api.status import Known, Outcome, Status
from controller.cli.undo import told, undo_of
from controller.cli.view import World
from tests.controller.cli import worlds
from tests.controller.cli.worlds import SINCE, V1, V2, idle, replica_set, service, template, world

PROMOTED = Outcome(revision=V2, since=SINCE, result="promoted", why="", at=SINCE)


def promoted(status: Status, *sets: worlds.Json) -> World:
    return world(
        service=service(status),
        deployments=(worlds.deployment("v2", paused=False),),
        replica_sets=sets or (replica_set("v0", 0, 0), replica_set("v1", 1, 0), FULL),
        ingresses=(worlds.ingress(),),
    )


FULL = replica_set("v2", 2, 3)


def test_in_mid_canary_what_serves_comes_back() -> None:
    found = undo_of(world())
    assert (found.revision, found.is_serving, found.is_rolling) == (V1, True, False)
    assert told(found, found.deployment) == (
        f"deployment/myapp: revision {V1} (janakiramm/myapp:v1) is back; "
        "nothing is pending any more"
    )


def test_the_patch_puts_the_template_back_without_the_hash_and_tests_what_was_seen() -> None:
    found = undo_of(world())
    after = jsonpatch.JsonPatch(found.operations).apply(worlds.deployment())
    assert template_of(after) == template("v1")
    with pytest.raises(jsonpatch.JsonPatchTestFailed):
        jsonpatch.JsonPatch(found.operations).apply(worlds.deployment("v3"))


def test_in_mid_roll_the_recorded_revision_comes_back() -> None:
    sets = (replica_set("v1", 1, 2), replica_set("v2", 2, 2), worlds.canary_set())
    rolling = (worlds.deployment("v2", paused=False), worlds.canary())
    found = undo_of(world(deployments=rolling, replica_sets=sets))
    assert (found.revision, found.is_serving, found.is_rolling) == (V1, True, True)
    assert told(found, found.deployment).endswith("is back; the roll goes back")


def test_after_an_abort_the_status_knows_what_serves() -> None:
    aborted = world(
        service=service(idle(stage="Aborted")), deployments=(worlds.deployment(),), ingresses=()
    )
    assert undo_of(aborted).revision == V1


def test_after_a_promotion_the_revision_before_it_is_a_release_of_its_own() -> None:
    found = undo_of(promoted(idle(V2, outcome=PROMOTED)))
    assert (found.revision, found.is_serving) == (V1, False)
    assert told(found, worlds.deployment("v1")).endswith("and held: it starts as a canary")
    assert told(found, worlds.deployment("v1", paused=False)).endswith("and rolls out")


def test_without_a_promotion_there_is_nothing_to_undo() -> None:
    with pytest.raises(click.ClickException, match="myapp has nothing to undo: revision"):
        undo_of(promoted(idle(V2)))


def test_while_the_put_back_release_winds_up_there_is_nothing_to_undo() -> None:
    back = (worlds.deployment("v1", generation=3), worlds.canary())
    with pytest.raises(click.ClickException, match=f"nothing to undo: revision {V1}"):
        undo_of(world(deployments=back))


def test_without_any_record_the_newest_that_has_pods_comes_back() -> None:
    sets = (replica_set("v0", 0, 0), replica_set("v1", 1, 3), replica_set("v2", 2, 0))
    nothing = world(
        service=service(), deployments=(worlds.deployment(),), replica_sets=sets, ingresses=()
    )
    assert undo_of(nothing).revision == V1


def test_a_recorded_revision_that_a_newer_server_shows_otherwise_is_not_taken_for_another() -> None:
    known = Known(revision="recorded", uid=worlds.STABLE_UID, generation=2)
    outcome = replace(PROMOTED, revision="recorded")
    assert undo_of(promoted(idle(stable=known, outcome=outcome))).revision == V1


def test_a_template_that_is_gone_cannot_be_put_back() -> None:
    with pytest.raises(click.ClickException, match="no ReplicaSet with the template"):
        undo_of(promoted(idle(V2, outcome=PROMOTED), FULL))


def test_without_a_deployment_there_is_nothing() -> None:
    with pytest.raises(click.ClickException, match="Service myapp has no Deployment"):
        undo_of(world(deployments=()))
