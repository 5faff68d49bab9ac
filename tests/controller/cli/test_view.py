from dataclasses import replace

from controller.api import names
from controller.api.status import Condition, Known
from controller.cli.view import Door, Pods, data_of, view_of
from tests.controller.cli import worlds
from tests.controller.cli.worlds import V1, V2, WISHES, idle, in_canary, service, world

ACCOUNTS = "2 accounts by X-Account"


def test_a_release_is_told_by_doors_pods_and_the_status() -> None:
    seen = view_of(world())
    assert (seen.namespace, seen.service, seen.running) == ("canary", "myapp", V2)
    assert seen.doors == (
        Door(asked=ACCOUNTS, written=ACCOUNTS),
        Door(asked="5 % of everybody else", written="5 % of everybody else"),
    )
    assert seen.pods == (
        Pods(side="stable", ready=3, wanted=3, revision=V1, images=("janakiramm/myapp:v1",)),
        Pods(side="canary", ready=2, wanted=2, revision=V2, images=("janakiramm/myapp:v2",)),
    )
    assert seen.is_told
    assert seen.is_current
    assert not seen.is_settled


def test_accounts_are_counted_and_never_named() -> None:
    assert "alice" not in str(data_of(view_of(world())))


def test_a_door_that_is_not_written_yet_is_only_asked() -> None:
    closed = worlds.canary_ingress(0, cookie=worlds.CLOSING)
    seen = view_of(world(ingresses=(worlds.ingress(), closed)))
    assert [door.written for door in seen.doors] == ["", ""]


def test_endings_and_cookie_are_told_as_the_user_wrote_them() -> None:
    wishes = {names.HEADER: "X-Id", names.HEADER_SUFFIXES: "00-24", names.COOKIE: "beta"}
    pattern = r"^[A-Za-z0-9._~\x40\x2b-]*(?:[01][0-9]|2[0-4])$"
    route = worlds.canary_ingress(0, header="X-Id", header_pattern=pattern, cookie="beta")
    told = service(in_canary(asked=0, written=0), wishes)
    seen = view_of(world(service=told, ingresses=(worlds.ingress(), route)))
    assert [door.written for door in seen.doors] == [
        "25 % of users: X-Id ends in 00-24",
        "visitors with cookie beta=always (never: stable)",
    ]
    assert [door.asked for door in seen.doors] == [door.written for door in seen.doors]


def test_a_pattern_of_another_hand_is_told_for_what_it_is() -> None:
    route = worlds.canary_ingress(5, header="X-Account", header_pattern=".*")
    seen = view_of(world(ingresses=(worlds.ingress(), route)))
    assert "that the controller did not write" in seen.doors[1].written


def test_what_a_promotion_has_closed_is_not_asked_any_more() -> None:
    told = service(in_canary(stage="Promoting", asked=100, written=100), WISHES)
    seen = view_of(world(service=told, ingresses=(worlds.ingress(), worlds.open_to_accounts(100))))
    assert seen.doors[-1] == Door(
        asked="100 % of everybody else", written="100 % of everybody else"
    )


def test_without_the_right_to_read_ingresses_the_status_says_the_weight() -> None:
    seen = view_of(world(ingresses=None, unread=("you may not",)))
    assert [door.written for door in seen.doors] == ["", "5 % of everybody"]
    assert seen.unread == ("you may not",)


def test_the_prefix_of_the_annotations_is_read_off_the_canary_ingress() -> None:
    route = worlds.open_to_accounts()
    keys = {
        key.replace("nginx.ingress.kubernetes.io", "proxy.example"): value
        for key, value in route["metadata"]["annotations"].items()
    }
    route = {**route, "metadata": {**route["metadata"], "annotations": keys}}
    seen = view_of(world(ingresses=(worlds.ingress(), route)))
    assert [door.written for door in seen.doors] == [ACCOUNTS, "5 % of everybody else"]


def test_idle_is_settled_and_tells_what_is_prepared() -> None:
    seen = view_of(
        world(
            service=service(idle()),
            deployments=(worlds.deployment("v1"),),
            ingresses=(worlds.ingress(),),
        )
    )
    assert seen.is_settled
    assert seen.doors == ()
    assert seen.prepared == (ACCOUNTS,)


def test_idle_with_a_template_that_the_controller_has_not_seen_is_not_settled() -> None:
    seen = view_of(world(service=service(idle()), deployments=(worlds.deployment("v2"),)))
    assert not seen.is_settled


def test_aborted_is_settled_for_the_revision_that_was_rejected() -> None:
    told = service(idle(stage="Aborted", rejected=Known(revision=V2)))
    assert view_of(world(service=told, deployments=(worlds.deployment(),))).is_settled
    newer = view_of(world(service=told, deployments=(worlds.deployment("v3"),)))
    assert not newer.is_settled


def test_a_changed_annotation_is_not_current_and_an_action_waits() -> None:
    told = service(in_canary())
    told["metadata"]["annotations"] |= {names.WEIGHT: "9", names.ACTION: f"promote:{V2}"}
    seen = view_of(world(service=told))
    assert not seen.is_current
    assert seen.action == f"promote:{V2}"


def test_only_conditions_of_ours_count_and_troubles_are_those_that_are_not_as_they_should_be() -> (
    None
):
    told = service(in_canary())
    told["status"] = {
        "conditions": [
            {"type": "other.example/Ready", "status": "False"},
            {"type": names.READY, "status": "True", "reason": "Held", "message": "m"},
            {"type": names.PROMOTED, "status": "False", "reason": "Aborted", "message": "m"},
            {"type": names.DEGRADED, "status": "True", "reason": "CanaryShort", "message": "m"},
        ]
    }
    seen = view_of(world(service=told))
    assert seen.troubles == [
        Condition(type=names.DEGRADED, status="True", reason="CanaryShort", message="m")
    ]
    assert not seen.is_fine
    assert replace(seen, conditions=()).is_fine


def test_a_roll_shows_both_revisions_of_stable() -> None:
    sets = (worlds.replica_set("v2", 2, 1, ready=0), worlds.replica_set("v1", 1, 3))
    seen = view_of(world(replica_sets=sets))
    assert [(pods.revision, pods.ready, pods.wanted) for pods in seen.pods] == [
        (V1, 3, 3),
        (V2, 0, 1),
    ]
