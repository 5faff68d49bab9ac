"""What the invariants look at, and what is remembered of the changes before."""

from dataclasses import replace
from typing import Any

import pytest

from controller.api import names
from controller.api.objects import revision_of
from controller.plan.observed import Parameters
from controller.plan.scene import Change, Memory, Scene, bare, paths_of
from controller.plan.traffic.exposure import CLOSED
from controller.plan.traffic.nginx import Nginx, closing_name
from tests.controller.plan.scenes import (
    CANARY,
    HALF,
    TEN,
    Objects,
    edited,
    note,
    objects_of,
    scene,
    set_of,
    slices,
)
from tests.controller.plan.worlds import (
    NAME,
    NAMESPACE,
    PREFIX,
    V1,
    V2,
    canary,
    deployment,
    exposed,
    ingress,
    meta,
    nginx,
    pending_deployment,
    record,
    route,
    running,
    service,
    template,
    uid,
)


def empty(**memory: Any) -> Scene:
    """Nothing is there."""
    return Scene(cluster=Objects(), parameters=Parameters(), memory=Memory(**memory))


def test_everything_about_a_release_is_remembered() -> None:
    notes = {names.HEADER: "X-Account", names.HEADER_VALUES: "alice", names.STEPS: "5/1m, 25"}
    here = scene(running(notes, exposure=TEN))
    assert here.memory == Memory(
        templates={bare(template("v2"))},
        reached={NAME: [(0.0, TEN)]},
        strange={NAME: [0.0]},
        stamped={CANARY: (route(TEN)["metadata"]["annotations"][names.CHANGED], 0.0)},
        enrolled={uid("Service", NAME)},
        ready={NAME: 4, CANARY: 2},
        uids={NAME: uid("Service", NAME), CANARY: uid("Service", CANARY)},
        closed={
            NAME: {closing_name(uid("Service", NAME))},
            CANARY: {closing_name(uid("Service", CANARY))},
        },
        served={uid("Deployment", NAME): V1},
        accounts={NAME: {"alice"}, CANARY: set()},
        asked={NAME: [(0.0, (0, 5, 25))], CANARY: [(0.0, (0,))]},
        paths={(NAME, "myapp.example", "/", "Prefix"): 0.0},
    )


def test_everything_about_a_release_is_found() -> None:
    here = scene()
    assert here.nginx(NAMESPACE, NAME) == nginx()
    assert here.get("services", NAMESPACE, CANARY)["metadata"]["name"] == CANARY
    assert here.release(here.canary(NAMESPACE, NAME)) == NAME
    assert here.canary(NAMESPACE, NAME)["metadata"]["name"] == CANARY
    assert here.stable(NAMESPACE, NAME) == pending_deployment()
    assert here.record(NAMESPACE, NAME) == record(step=10)
    assert here.ready(NAMESPACE, NAME) == 4
    assert here.ready(NAMESPACE, CANARY) == 2
    assert here.full(NAMESPACE, NAME) == 4
    assert here.widest(NAMESPACE, NAME) == TEN
    assert [it["metadata"]["name"] for it in here.routes(NAMESPACE, NAME)] == [CANARY]


def test_another_release_finds_nothing_of_this_one() -> None:
    here, other = scene(), "other"
    assert here.get("services", NAMESPACE, other) == {}
    assert here.canary(NAMESPACE, other) == {}
    assert here.stable(NAMESPACE, other) == {}
    assert here.record(NAMESPACE, other) is None
    assert here.ready(NAMESPACE, other) == 0
    assert here.full(NAMESPACE, other) == 1
    assert here.routes(NAMESPACE, other) == []
    assert here.widest(NAMESPACE, other) == CLOSED
    assert here.asked(other, 0.0) == []
    assert not here.rolls(NAMESPACE, other)


def test_the_closing_name_is_that_of_a_service_also_when_it_is_gone() -> None:
    def closed_with(value: str) -> Nginx:
        return Nginx(prefix=PREFIX, closing=closing_name(value))

    assert empty(uids={NAME: "u"}).nginx(NAMESPACE, NAME) == closed_with("u")
    assert empty().nginx(NAMESPACE, NAME) == closed_with("")
    assert scene().nginx(NAMESPACE, CANARY) == closed_with(uid("Service", CANARY))
    here = scene()
    here.memory.uids.clear()
    assert here.nginx(NAMESPACE, NAME) == closed_with(uid("Service", NAME))


def test_the_closing_name_of_a_route_counts_once_the_service_is_gone() -> None:
    own = closing_name(uid("Ingress", CANARY))
    here = scene()
    objects_of(here).put("ingresses", route_named(own))
    assert here.nginx(NAMESPACE, NAME).closing == closing_name(uid("Service", NAME))
    assert here.exposure(route_named(own)) == replace(TEN, cookie=own)
    objects_of(here).drop("services", NAME)
    assert here.nginx(NAMESPACE, NAME) == Nginx(prefix=PREFIX, closing=own)
    assert here.exposure(route_named(own)) == TEN
    objects_of(here).put("ingresses", route_named(closing_name("somebody's")))
    assert here.nginx(NAMESPACE, NAME).closing == closing_name(uid("Service", NAME))


def route_named(cookie: str) -> Any:
    notes = {f"{PREFIX}/canary-by-cookie": cookie}
    return edited(route(TEN), lambda it: it["metadata"]["annotations"].update(notes))


def test_every_closing_name_that_a_service_ever_had_closes_its_routes() -> None:
    here = scene()
    again = edited(service(), lambda it: it["metadata"].update(uid="again"))
    note(here, "services", None, again)
    objects_of(here).put("services", again)
    names_of = closing_name(uid("Service", NAME)), closing_name("again")
    assert here.memory.closed[NAME] == set(names_of)
    assert [here.exposure(route_named(one)) for one in names_of] == [TEN, TEN]
    for cookie in ("visitor", closing_name("stranger"), closing_name(uid("Service", CANARY))):
        assert here.exposure(route_named(cookie)) == replace(TEN, cookie=cookie)
    objects_of(here).put("ingresses", route_named("visitor"))
    assert here.widest(NAMESPACE, NAME) == replace(TEN, cookie="visitor")


def test_a_route_of_a_service_that_nobody_saw_is_open_to_its_cookie() -> None:
    assert empty().exposure(route_named("visitor")) == replace(TEN, cookie="visitor")


def test_what_carries_no_label_of_ours_is_of_no_release() -> None:
    assert empty().release({}) == ""


def test_a_list_that_is_too_long_is_nothing_to_go_by() -> None:
    here = scene(running({names.HEADER: "X-Account", names.HEADER_VALUES: "a, b"}, exposure=TEN))
    narrow = replace(here, parameters=Parameters(max_accounts=1))
    assert here.intent(NAMESPACE, NAME) is not None
    assert narrow.intent(NAMESPACE, NAME) is None


def test_the_widest_of_several_routes_is_the_one_that_needs_most() -> None:
    here = scene()
    other = edited(route(HALF), lambda it: it["metadata"].update(name="z"))
    objects_of(here).put("ingresses", other)
    assert here.widest(NAMESPACE, NAME) == HALF
    doors = exposed(0, frozenset({"alice"}))
    objects_of(here).put("ingresses", route(), edited(route(doors), lambda it: name(it, "z")))
    assert here.widest(NAMESPACE, NAME) == doors


def name(obj: Any, to: str) -> None:
    obj["metadata"]["name"] = to


def test_everything_needs_as_many_pods_as_the_bigger_of_now_and_the_record() -> None:
    here = scene()
    objects_of(here).put("deployments", pending_deployment(replicas=7))
    assert here.full(NAMESPACE, NAME) == 7
    objects_of(here).put("deployments", pending_deployment(replicas=3))
    assert here.full(NAMESPACE, NAME) == 4
    objects_of(here).drop("deployments", CANARY)
    assert here.full(NAMESPACE, NAME) == 3
    objects_of(here).put("deployments", pending_deployment(replicas=0))
    assert here.full(NAMESPACE, NAME) == 1
    objects_of(here).put("deployments", canary(kept=record(replicas=0))[0])
    assert here.full(NAMESPACE, NAME) == 1


def test_what_was_asked_for_last_stands_until_something_else_is() -> None:
    here = empty(asked={NAME: [(1.0, (1,)), (2.0, (2, 3)), (5.0, (4,)), (6.0, (5,))]})
    assert here.asked(NAME, 5.0) == [3, 4, 5]
    assert here.asked(NAME, 7.0) == [5]
    assert here.asked(NAME, 0.0) == [1, 3, 4, 5]


def test_a_roll_has_begun_once_it_is_let_go_or_another_revision_has_pods() -> None:
    here = scene()
    assert not here.rolls(NAMESPACE, NAME)
    objects_of(here).put("replicasets", set_of("other", "v2", 4), set_of(NAME, "v2", 0))
    assert not here.rolls(NAMESPACE, NAME)
    objects_of(here).put("replicasets", set_of(NAME, "v2", 1))
    assert here.rolls(NAMESPACE, NAME)
    here = scene()
    objects_of(here).put("deployments", pending_deployment(paused=False))
    assert here.rolls(NAMESPACE, NAME)
    objects_of(here).drop("deployments", NAME)
    assert not here.rolls(NAMESPACE, NAME)


@pytest.mark.parametrize(
    ("meta_of", "is_same"),
    [
        ({}, True),
        ({"labels": {"a": "b"}}, True),
        ({"annotations": {names.RESTARTED_AT: "now"}}, True),
        ({"annotations": {"a": "b"}}, False),
    ],
)
def test_of_a_bare_template_neither_labels_nor_restarts_count(
    meta_of: dict[str, Any], is_same: bool
) -> None:
    assert (bare({"spec": {}, "metadata": meta_of}) == bare({"spec": {}})) is is_same


def test_a_path_is_a_service_a_host_a_path_and_its_type() -> None:
    found = ingress()
    assert list(paths_of(found)) == [(NAME, "myapp.example", "/", "Prefix")]
    del found["spec"]["rules"][0]["http"]["paths"][0]["path"]
    assert list(paths_of(found)) == [(NAME, "myapp.example", "None", "Prefix")]


def test_a_change_is_of_what_is_there_or_was() -> None:
    old, new = {"metadata": {"name": "old"}}, {"metadata": {"name": "new"}}

    def change(**objects: Any) -> Change:
        return Change(**{"kind": "x", "new": None, "old": None, "by_us": True, "at": 0, **objects})

    assert change(new=new, old=old).current == new
    assert change(old=old).current == old
    assert change().current == {}
    assert [change(**it).is_edit for it in ({"new": new, "old": old}, {"new": new})] == [
        True,
        False,
    ]


def test_only_a_canary_ingress_that_stays_is_a_route() -> None:
    def change(kind: str, new: Any, old: Any = None) -> Change:
        return Change(kind=kind, new=new, old=old, by_us=True, at=0)

    assert change("ingresses", route()).is_route
    assert not change("ingresses", None, route()).is_route
    assert not change("ingresses", ingress()).is_route
    assert not change("deployments", canary()[0]).is_route


def test_endpoints_are_counted_for_their_own_service() -> None:
    here = scene()
    objects_of(here).put("endpointslices", slices(CANARY, 1))
    note(here, "endpointslices", slices(CANARY, 2), slices(CANARY, 1))
    assert here.memory.ready == {NAME: 4, CANARY: 1}
    objects_of(here).drop("endpointslices", CANARY)
    note(here, "endpointslices", slices(CANARY, 1), None)
    assert here.memory.ready == {NAME: 4, CANARY: 0}


def test_where_a_path_was_and_where_it_is_are_both_remembered() -> None:
    here = scene()
    note(here, "ingresses", ingress(host="old.example"), ingress(host="new.example"))
    found = {host: at for (_, host, *_), at in here.memory.paths.items()}
    assert found == {"myapp.example": 0.0, "old.example": 7.0, "new.example": 7.0}


def test_the_time_on_a_route_is_remembered_from_when_it_came() -> None:
    here = scene()
    stamped = route(TEN)
    bare_one = edited(stamped, lambda it: it["metadata"]["annotations"].pop(names.CHANGED))
    here.memory.stamped.clear()
    note(here, "ingresses", None, bare_one)
    assert here.memory.stamped == {}
    note(here, "ingresses", bare_one, stamped)
    text = stamped["metadata"]["annotations"][names.CHANGED]
    assert here.memory.stamped == {CANARY: (text, 7.0)}
    note(here, "ingresses", stamped, bare_one)
    assert here.memory.stamped == {CANARY: ("", 7.0)}


def test_a_roll_of_ours_is_ours_until_somebody_else_touches_it() -> None:
    here = scene()
    held, free = pending_deployment(), pending_deployment(paused=False)
    note(here, "deployments", held, free, by_us=True)
    assert here.memory.let_go == {NAME: 7.0}
    note(here, "deployments", free, free)
    assert here.memory.let_go == {NAME: 7.0}
    note(here, "deployments", free, deployment(replicas=9))
    assert here.memory.let_go == {}
    note(here, "deployments", held, held, by_us=True)
    note(here, "deployments", free, free, by_us=True)
    note(here, "deployments", free, held, by_us=True)
    note(here, "deployments", None, free, by_us=True)
    assert here.memory.let_go == {}
    note(here, "deployments", held, free)
    note(here, "deployments", None, held)
    note(here, "deployments", held, None)
    assert here.memory.let_go == {}


def test_a_record_that_somebody_takes_away_is_remembered() -> None:
    here = scene()
    whole = here.canary(NAMESPACE, NAME)
    bare_one = edited(whole, lambda it: it["metadata"].pop("annotations"))
    note(here, "deployments", None, whole)
    note(here, "deployments", whole, whole)
    note(here, "deployments", bare_one, None)
    note(here, "deployments", bare_one, whole)
    note(here, "deployments", whole, None, by_us=True)
    assert here.memory.lost == {}
    for after in (None, bare_one):
        here.memory.lost.clear()
        note(here, "deployments", whole, after)
        assert here.memory.lost == {NAME: (7.0, record(step=10))}


def test_a_canary_that_is_let_go_is_no_roll_of_stable() -> None:
    here, before = scene(), scene().memory
    paused = edited(canary()[0], lambda it: it["spec"].update(paused=True))
    note(here, "deployments", paused, canary()[0], by_us=True)
    assert here.memory == before


def test_what_served_is_the_one_set_whose_pods_are_all_ready() -> None:
    here = scene()
    assert here.memory.served == {uid("Deployment", NAME): revision_of(template("v1"))}
    objects_of(here).put("replicasets", set_of(NAME, "v2", 1))
    note(here, "replicasets", None, set_of(NAME, "v2", 1))
    assert here.memory.served == {uid("Deployment", NAME): V1}
    objects_of(here).drop("replicasets", f"{NAME}-v1")
    short = edited(set_of(NAME, "v2", 2), lambda it: it["status"].update(readyReplicas=1))
    objects_of(here).put("replicasets", short)
    note(here, "replicasets", None, short)
    assert here.memory.served == {uid("Deployment", NAME): V1}


def test_what_served_is_told_for_each_deployment() -> None:
    here = scene()
    other = set_of("other", "v2", 1)
    objects_of(here).put("replicasets", other)
    note(here, "replicasets", None, other)
    known = {uid("Deployment", NAME): V1, uid("Deployment", "other"): V2}
    assert here.memory.served == known


def test_a_broken_configuration_adds_no_account() -> None:
    here = scene()
    before = dict(here.memory.accounts)
    objects_of(here).put("services", service({"serinus.dev/typo": "x"}))
    note(here, "services", None, service({"serinus.dev/typo": "x"}))
    note(here, "pods", None, {"metadata": meta("Pod", "p")})
    note(here, "ingresses", None, ingress())
    assert here.memory.accounts == before
