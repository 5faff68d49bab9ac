from dataclasses import replace
from typing import Any

import pytest

from controller.api import names
from controller.api.objects import DEPLOYMENT, INGRESS, SERVICE, name_of
from controller.plan.discovery import Found, discover
from controller.plan.observed import Observed
from controller.plan.traffic.nginx import closing_name
from tests.controller.plan.applied import CANARY, annotated, changed, labelled, put, without
from tests.controller.plan.worlds import (
    NAME,
    canary,
    deployment,
    idle,
    ingress,
    meta,
    ours,
    pool,
    replica_set,
    route,
    running,
    service,
    uid,
)

TERMINATING = {"deletionTimestamp": "2026-11-22T11:59:59Z"}


def named(obj: Any) -> str | None:
    return name_of(obj) if obj is not None else None


def another(name: str, **more: Any) -> dict[str, Any]:
    made = deployment(held=False, **more)
    return {**made, "metadata": meta("Deployment", name, generation=1)}


def among(*deployments: dict[str, Any], named: str | None = None) -> Found:
    annotations = {names.DEPLOYMENT: named} if named else None
    return discover(idle(annotations, deployments=deployments))


def test_finds_what_makes_the_pods_that_the_service_selects() -> None:
    elsewhere = changed(another("other"), spec={"template": {"metadata": {"labels": {"app": "x"}}}})
    found = among(another("only"), elsewhere)
    assert named(found.stable) == "only"
    assert [name_of(entry) for entry in found.candidates] == ["only"]


def test_of_several_none_is_meant_unless_one_is_named() -> None:
    several = another("b"), another("a")
    assert among(*several).stable is None
    assert [name_of(entry) for entry in among(*several).candidates] == ["a", "b"]
    assert named(among(*several, named="b").stable) == "b"
    assert among(*several, named="c").stable is None


def test_the_named_one_must_be_alone_behind_the_service() -> None:
    sets = replica_set("v1", 1, owner="a"), replica_set("v1", 1, owner="b")
    world = idle(
        {names.DEPLOYMENT: "b"},
        deployments=(another("a"), another("b")),
        replica_sets=sets,
        stable=pool(sets[0].name, 1),
    )
    assert discover(world).stable is None
    assert named(discover(replace(world, stable=pool(sets[1].name, 1))).stable) == "b"


def test_the_held_one_is_kept_whatever_its_template_says_now() -> None:
    renamed = changed(deployment(), spec={"template": {"metadata": {"labels": {"app": "x"}}}})
    assert named(among(renamed, another("other")).stable) == NAME


def test_what_is_being_deleted_is_gone() -> None:
    assert among(changed(deployment(), metadata=TERMINATING)).stable is None
    assert among(changed(another("one"), metadata=TERMINATING)).candidates == ()
    gone = put(running(), INGRESS, changed(ingress(), metadata=TERMINATING))
    assert discover(gone).mains == {}
    closing = put(running(), DEPLOYMENT, changed(canary()[0], metadata=TERMINATING))
    assert discover(closing).canary is None


def test_our_own_deployment_is_never_the_stable_one() -> None:
    selected = changed(canary()[0], spec={"template": {"metadata": {"labels": {"app": NAME}}}})
    assert named(among(deployment(), selected).stable) == NAME
    assert among(labelled(selected, {names.HELD: NAME})).stable is None


def test_without_a_service_the_held_one_is_found_still() -> None:
    found = discover(without(idle(), SERVICE, NAME))
    assert named(found.stable) == NAME
    assert found.candidates == ()


def test_finds_the_mains_by_their_paths() -> None:
    world = idle(ingresses=(ingress("b"), ingress("a"), ingress("canary", canary="true")))
    assert list(discover(world).mains) == ["a", "b"]


def test_an_ingress_can_be_left_out() -> None:
    world = idle({names.INGRESSES: "b"}, ingresses=(ingress("a"), ingress("b")))
    assert list(discover(world).mains) == ["b"]


def test_a_bad_configuration_leaves_none_out() -> None:
    bad = {names.INGRESSES: "b", names.WEIGHT: "x"}
    found = discover(idle(bad, ingresses=(ingress("a"), ingress("b"))))
    assert found.intent is None
    assert list(found.mains) == ["a", "b"]


def test_finds_ours_by_their_labels_and_pairs_each_route_with_its_main() -> None:
    beside = running(ingresses=(ingress(), ingress("web"), route(), route(main="web")))
    found = discover(beside)
    assert {main: name_of(entry) for main, entry in found.routes.items()} == {
        NAME: CANARY,
        "web": f"{NAME}-web-canary",
    }
    assert (named(found.canary), named(found.canary_service)) == (CANARY, CANARY)
    assert named(found.budget) == CANARY
    assert found.orphans == ()
    assert not found.is_empty


def test_a_route_without_its_main_is_an_orphan() -> None:
    found = discover(without(running(), INGRESS, NAME))
    assert [name_of(entry) for entry in found.orphans] == [CANARY]
    assert found.routes == {}
    assert [name_of(entry) for entry in found.our_ingresses] == [CANARY]


def test_what_belongs_to_another_service_is_not_ours() -> None:
    theirs = labelled(canary()[0], {names.SERVICE: "another"})
    assert discover(idle(deployments=(deployment(), theirs))).is_empty


@pytest.mark.parametrize("left", ["deployments", "services", "ingresses", "budgets"])
def test_anything_of_ours_that_is_left_counts(left: str) -> None:
    world = running()
    rest = idle()
    fields: dict[str, Any] = {left: getattr(world, left)}
    assert not discover(replace(rest, **fields)).is_empty
    assert discover(rest).is_empty


def closing(world: Observed) -> str:
    return discover(world).nginx.closing


def test_the_closing_name_is_that_of_the_service_and_stays_while_it_is_gone() -> None:
    expected = closing_name(uid("Service", NAME))
    assert closing(idle()) == expected
    assert closing(without(running(), SERVICE, NAME)) == expected


def test_a_cookie_of_the_users_is_no_closing_name() -> None:
    shown = annotated(route(), {"nginx.ingress.kubernetes.io/canary-by-cookie": "beta"})
    gone = without(put(running(), INGRESS, shown), SERVICE, NAME)
    assert closing(gone) == closing_name(uid("Ingress", CANARY))
    assert closing(without(gone, INGRESS, CANARY)) == closing_name("")


def test_of_several_of_ours_the_first_by_name_is_taken() -> None:
    extra = ours({**service(), "metadata": {"name": "another"}}, "Service")
    labels = running().services[1]["metadata"]["labels"]
    world = put(running(), SERVICE, labelled(extra, labels))
    assert named(discover(world).canary_service) == "another"
