"""Each predicate of safety.md section 5: a change that breaks it, and neighbours that do not."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from controller.api import names
from controller.api.objects import name_of
from controller.plan.invariants import INVARIANTS, broken_by, standing
from controller.plan.observed import Observed
from controller.plan.release import release_of
from controller.plan.scene import Change, Scene, remember
from controller.plan.traffic.exposure import CLOSED, Exposure
from tests.controller.plan.good import GOOD
from tests.controller.plan.scenes import (
    CANARY,
    HALF,
    TEN,
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
    NOW,
    PREFIX,
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
    status,
)


def judged(
    here: Scene, kind: str, old: Any, new: Any, *, by_us: bool = True, at: float = 1000.0
) -> set[str]:
    """Return the ids that a change breaks."""
    cluster = objects_of(here)
    if new is not None:
        cluster.put(kind, new)
    else:
        cluster.drop(kind, name_of(old))
    change = Change(kind=kind, new=new, old=old, by_us=by_us, at=at)
    return {one.id for one in broken_by(here, change)}


def routed(here: Scene, exposure: Exposure, old: Any = None, **notes: str | None) -> set[str]:
    """Write this exposure on the canary Ingress, with some keys as said."""
    before = old or here.get("ingresses", NAMESPACE, CANARY)
    return judged(here, "ingresses", before, route_with(exposure, **notes))


def route_with(exposure: Exposure, **notes: str | None) -> dict[str, Any]:
    made = route(exposure, at=NOW)
    for key, value in notes.items():
        named = f"{PREFIX}/{key.replace('_', '-')}"
        if value is None:
            made["metadata"]["annotations"].pop(named, None)
        else:
            made["metadata"]["annotations"][named] = value
    return made


def test_ids_are_unique_and_every_one_has_a_sentence() -> None:
    ids = [invariant.id for invariant in INVARIANTS]
    assert len(ids) == len(set(ids))
    assert all(invariant.says for invariant in INVARIANTS)


def test_a_raise_by_the_book_breaks_nothing() -> None:
    assert routed(scene(), HALF) == set()


def test_the_first_exposure_breaks_nothing() -> None:
    here = scene(running({names.WEIGHT: "10"}, exposure=exposed()))
    assert routed(here, TEN) == set()


def test_a_new_route_is_closed() -> None:
    here = scene()
    objects_of(here).drop("ingresses", CANARY)
    assert judged(here, "ingresses", None, route(at=NOW)) == set()
    assert judged(here, "ingresses", None, route(TEN, at=NOW)) == {"S6"}


def test_what_others_do_is_not_judged() -> None:
    here = scene(pods=0)
    assert judged(here, "ingresses", route(), route(exposed(100)), by_us=False) == set()


@pytest.mark.parametrize(
    ("broken", "change"),
    [
        ("S1", lambda here: objects_of(here).put("endpointslices", slices(CANARY, 1))),
        ("S1", lambda here: objects_of(here).put("deployments", canary("v3")[0])),
        ("S3", lambda here: objects_of(here).put("endpointslices", slices(NAME, 0))),
        ("S5", lambda here: objects_of(here).put("ingresses", ingress("rival", canary="true"))),
        ("S8", lambda here: objects_of(here).put("ingresses", straight_to_the_canary())),
        ("S12", lambda here: here.memory.asked.clear()),
        ("T4", lambda here: objects_of(here).put("services", rejecting())),
    ],
)
def test_a_raise_is_not_written_where(broken: str, change: Callable[[Scene], object]) -> None:
    here = scene()
    change(here)
    assert routed(here, HALF) == {broken}


def straight_to_the_canary() -> dict[str, Any]:
    made = ingress("straight", host="other.example")
    made["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]["name"] = CANARY
    return made


def rejecting(revision: str = V2) -> dict[str, Any]:
    made = service({names.WEIGHT: "50"})
    made["metadata"]["annotations"] |= status(rejected={"revision": revision})
    return made


def test_a_lowering_asks_for_no_pods_and_no_approval() -> None:
    here = scene(pods=0, stable=0)
    objects_of(here).put("services", rejecting())
    assert routed(here, exposed()) == set()


def test_another_revision_that_was_aborted_forbids_nothing() -> None:
    here = scene()
    objects_of(here).put("services", rejecting("another"))
    assert routed(here, HALF) == set()


def test_a_canary_without_a_record_is_not_raised() -> None:
    here = scene()
    bad = canary()[0]
    bad["metadata"]["annotations"][names.RELEASE] = "{}"
    objects_of(here).put("deployments", bad)
    assert "S1" in routed(here, HALF)


def test_an_approved_release_may_be_raised_beyond_its_plan() -> None:
    here = scene(pods=4)
    here.memory.asked.clear()
    objects_of(here).put("deployments", canary(pods=4, kept=record(approval=V2))[0])
    assert routed(here, exposed(100)) == set()


@pytest.mark.parametrize(
    ("weight", "ready", "broken"),
    [(50, 4, set()), (0, 4, set()), (0, 2, {"S3"}), (38, 2, set()), (30, 2, {"S3"})],
)
def test_a_walk_back_sends_what_stable_carries_and_a_quarter_more(
    weight: int, ready: int, broken: set[str]
) -> None:
    here = walking(ready)
    assert routed(here, exposed(weight)) == broken


def walking(ready: int) -> Scene:
    here = scene(running(exposure=exposed(100), pods=4, kept=record(step=50, approval=V2)), pods=4)
    objects_of(here).put("replicasets", set_of(NAME, "v2", 4))
    objects_of(here).put("endpointslices", slices(NAME, ready))
    return here


def test_a_walk_back_with_an_autoscaler_or_a_short_canary_has_rules_of_its_own() -> None:
    here = walking(1)
    objects_of(here).put("endpointslices", slices(CANARY, 3))
    assert routed(here, exposed(0)) == set()
    here = walking(1)
    target = {"scaleTargetRef": {"kind": "Deployment", "name": NAME}}
    objects_of(here).put("horizontalpodautoscalers", {"metadata": {"name": "a"}, "spec": target})
    assert routed(here, exposed(50)) == set()


def test_a_walk_back_to_a_service_that_is_gone_is_no_harm_to_anybody() -> None:
    here = walking(0)
    objects_of(here).drop("services", NAME)
    assert "S3" not in routed(here, exposed(0))


def test_a_weight_falls_only_for_a_reason() -> None:
    assert routed(falling({names.STEPS: "10/1m, 50"}), exposed(20)) == {"T5"}
    assert routed(falling({names.STEPS: "10/1m, 20"}), exposed(20)) == set()
    assert routed(falling({names.WEIGHT: "20"}), exposed(20)) == set()
    assert routed(falling({names.STEPS: "50", names.REPLICAS: "1"}), exposed(20)) == set()
    assert routed(falling({names.STEPS: "50"}, pods=1), exposed(20)) == set()
    assert routed(falling({names.STEPS: "50", "serinus.dev/typo": "x"}), exposed(20)) == set()


def falling(notes: Mapping[str, str], pods: int = 2) -> Scene:
    valid = {key: value for key, value in notes.items() if "typo" not in key}
    here = scene(running(valid, exposure=HALF, pods=pods), pods=pods)
    objects_of(here).put("services", service(notes))
    return here


def test_old_plans_are_remembered_for_a_moment() -> None:
    here = scene()
    later = service({names.WEIGHT: "5"})
    remember(here, Change(kind="services", new=later, old=None, by_us=False, at=995.0))
    assert routed(here, HALF) == set()
    remember(here, Change(kind="services", new=later, old=None, by_us=False, at=985.0))
    here.memory.asked[NAME] = [(985.0, (5,))]
    assert routed(here, HALF, old=route(TEN)) == {"S12"}


@pytest.mark.parametrize(
    ("broken", "notes"),
    [
        ("S6", {"canary": "false"}),
        ("S6", {"canary_by_cookie": None}),
        ("S10", {"canary_weight_total": "1000"}),
        ("A4", {"rewrite_target": "/x"}),
        ("S11", {"canary_by_header": "X-Account"}),
        ("S11", {"canary_by_header": "X-Account", "canary_by_header_pattern": ".*"}),
        ("S11", {"canary_by_header": "X-Account", "canary_by_header_value": "always"}),
        ("S11", {"canary_by_header": "X-Account", "canary_by_header_value": "mallory"}),
        ("S11", {"canary_by_header_value": "alice"}),
    ],
)
def test_a_route_carries_exactly_what_is_asked(broken: str, notes: dict[str, str | None]) -> None:
    assert broken in routed(scene(), TEN, **notes)


@pytest.mark.parametrize(
    "text", ["(?:alice|bob)", "^(?:alice|bob.*)$", "^(?:alice|bo.)$", "^(?:alice|bob)"]
)
def test_a_pattern_takes_the_list_and_nothing_around_it(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = frozenset({"alice", "bob"}), ""
    monkeypatch.setattr("controller.api.pattern.decode", lambda _text: listed)
    here = scene()
    here.memory.accounts[NAME] = set(listed[0])
    notes = {"canary_by_header": "X-Account", "canary_by_header_pattern": text}
    assert "S11" in routed(here, TEN, **notes)


@pytest.mark.parametrize("text", ["101", "-1", "1e1", "", "٣"])
def test_a_weight_is_an_integer(text: str) -> None:
    assert "S10" in routed(scene(), TEN, canary_weight=text)


def test_listed_accounts_reach_the_canary() -> None:
    notes = {names.HEADER: "X-Account", names.HEADER_VALUES: "alice,bob", names.WEIGHT: "50"}
    here = scene(running(notes, exposure=TEN))
    accounts = exposed(10, frozenset({"alice", "bob"}))
    assert routed(here, accounts) == set()


def test_a_closing_name_of_another_service_opens_nothing() -> None:
    here = scene()
    old = route_with(TEN, canary_by_cookie="serinus-" + "0" * 32)
    new = route_with(TEN)
    new["metadata"]["annotations"][names.CHANGED] = old["metadata"]["annotations"][names.CHANGED]
    assert judged(here, "ingresses", old, new) == set()


def test_pods_do_not_stay_for_what_somebody_opened_a_moment_ago() -> None:
    here = scene(running(exposure=exposed()))
    old, new = smaller(1)
    note(here, "ingresses", route(), route(TEN), by_us=True)
    assert here.memory.strange == {NAME: [0.0]}
    note(here, "ingresses", route(), route(TEN))
    here.memory.reached[NAME] = [(0.0, exposed()), (995.0, TEN), (996.0, exposed())]
    here.memory.strange[NAME] = [995.0]
    assert judged(here, "deployments", old, new) == set()


def test_a_rule_says_when_it_was_written() -> None:
    here = scene()
    stands = here.get("ingresses", NAMESPACE, CANARY)
    new = route_with(HALF)
    new["metadata"]["annotations"][names.CHANGED] = stands["metadata"]["annotations"][names.CHANGED]
    assert judged(here, "ingresses", stands, new) == {"S19"}


def test_a_change_within_the_second_of_the_last_one_says_the_same_time() -> None:
    here = scene()
    stands = here.get("ingresses", NAMESPACE, CANARY)
    text = stands["metadata"]["annotations"][names.CHANGED]
    assert here.memory.stamped == {CANARY: (text, 0.0)}
    new = route_with(CLOSED)
    new["metadata"]["annotations"][names.CHANGED] = text
    assert judged(here, "ingresses", stands, new, at=0.9) == set()
    note(here, "ingresses", stands, new)
    assert here.memory.stamped == {CANARY: (text, 0.0)}
    assert judged(here, "ingresses", stands, new, at=1.0) == {"S19"}


def test_paths_of_a_new_route_are_those_of_a_main_and_lead_to_our_service() -> None:
    here = scene()
    objects_of(here).drop("ingresses", NAME)
    objects_of(here).drop("ingresses", CANARY)
    assert judged(here, "ingresses", None, route(at=NOW)) == {"S7"}
    objects_of(here).drop("ingresses", CANARY)
    assert judged(here, "ingresses", None, route(at=NOW), at=5.0) == set()
    astray = edited(
        route(TEN),
        lambda it: it["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"].update(
            name=NAME
        ),
    )
    assert judged(scene(), "ingresses", route(TEN), astray) == {"S7"}


def test_routes_carry_the_previous_or_the_next_intent() -> None:
    here = scene()
    for number, weight in enumerate((10, 20, 30)):
        other = route(exposed(weight), main=f"m{number}")
        other["spec"]["rules"][0]["host"] = f"m{number}.example"
        objects_of(here).put("ingresses", other)
    assert routed(here, HALF) == {"S9"}


def test_an_affinity_on_the_main_wants_the_route_deleted() -> None:
    here = scene()
    objects_of(here).put("ingresses", ingress(affinity="cookie"))
    assert routed(here, exposed()) == set()
    objects_of(here).put("services", rejecting())
    assert routed(here, exposed(), old=route(TEN)) == {"S21"}
    objects_of(here).put("services", service({names.ACTION: "abort"}))
    assert routed(here, exposed(), old=route(TEN)) == {"S21"}
    objects_of(here).drop("ingresses", NAME)
    assert routed(here, exposed(), old=route(TEN)) == set()


def test_a_deleted_route_is_no_raise() -> None:
    here = scene()
    assert judged(here, "ingresses", here.get("ingresses", NAMESPACE, CANARY), None) == set()


# Stable.


def test_stable_is_not_emptied_by_a_roll_of_ours() -> None:
    here = scene()
    here.memory.let_go[NAME] = 5.0
    empty = slices(NAME, 0)
    assert judged(here, "endpointslices", slices(NAME, 4), empty, by_us=False) == {"S2"}
    here.memory.let_go.clear()
    assert judged(here, "endpointslices", slices(NAME, 4), empty, by_us=False) == set()


def test_the_recorded_stable_revision_stays_as_it_is() -> None:
    first, other = canary()[0], canary(kept=record(stable="another"))[0]
    assert judged(scene(), "deployments", first, other) == {"S4"}
    assert judged(scene(), "deployments", first, canary(kept=record(step=5))[0]) == set()
    lost = edited(first, lambda it: it["metadata"]["annotations"].pop(names.RELEASE))
    assert judged(scene(), "deployments", lost, other) == set()


def test_only_the_approved_or_the_recorded_revision_is_let_go() -> None:
    held, free = pending_deployment(), pending_deployment(paused=False)
    assert judged(scene(), "deployments", held, free) == {"T3"}
    here = scene(running(kept=record(approval=V2)))
    assert judged(here, "deployments", held, free) == set()
    here = scene()
    objects_of(here).drop("deployments", CANARY)
    assert judged(here, "deployments", held, free) == {"T3"}
    here.memory.served.clear()
    assert judged(here, "deployments", held, free) == set()
    assert judged(here, "deployments", free, held) == set()


def test_what_is_the_users_stays_as_he_wrote_it() -> None:
    old = deployment()
    other = edited(old, lambda it: it["spec"]["template"]["spec"].update(hostNetwork=True))
    assert judged(scene(), "deployments", old, other) == {"S14", "A1"}
    more = edited(old, lambda it: it["spec"].update(replicas=7))
    assert judged(scene(), "deployments", old, more) == {"A1"}
    labelled = edited(old, lambda it: it["metadata"]["labels"].update(mine="x"))
    assert judged(scene(), "deployments", old, labelled) == {"A1"}
    assert judged(scene(), "deployments", old, None) >= {"A1"}


def test_our_fields_on_what_is_the_users_are_ours_to_write() -> None:
    old = service()
    told = edited(old, lambda it: it["metadata"].update(annotations={names.STATUS: "{}"}))
    assert judged(scene(), "services", old, told) == set()
    said = [{"type": f"{names.PREFIX}Ready", "status": "True"}]
    shown = edited(old, lambda it: it["status"].update(conditions=said))
    assert judged(scene(), "services", old, shown) == set()
    theirs = edited(old, lambda it: it["status"].update(conditions=[{"type": "Theirs"}]))
    assert judged(scene(), "services", old, theirs) == {"A1"}


def test_events_are_told_anywhere() -> None:
    assert judged(scene(), "events", None, {"metadata": meta("Event", "e")}) == set()


def test_what_was_never_enrolled_gets_no_write() -> None:
    plain = edited(service(), lambda it: it["metadata"].update(labels={}, uid="a stranger's"))
    told = edited(plain, lambda it: it["metadata"].update(annotations={names.STATUS: "{}"}))
    assert judged(scene(), "services", plain, told) == {"A3"}
    assert judged(scene(), "services", told, plain) == set()
    said = {"conditions": [{"type": f"{names.PREFIX}Ready"}]}
    leaving = edited(plain, lambda it: it.update(status=said))
    assert judged(scene(), "services", leaving, plain) == set()
    free = deployment(held=False)
    paused = edited(free, lambda it: it["spec"].update(paused=True))
    assert judged(scene(), "deployments", free, paused) == set()
    alone = scene()
    objects_of(alone).drop("deployments", CANARY)
    assert judged(alone, "deployments", free, paused) == {"A3"}
    assert judged(scene(), "deployments", free, deployment()) == set()


def test_what_was_enrolled_once_may_still_get_what_was_under_way() -> None:
    here, enrolled = scene(), service()
    left = edited(enrolled, lambda it: it["metadata"].update(labels={}))
    remember(here, Change(kind="services", new=left, old=enrolled, by_us=False, at=999.0))
    told = edited(left, lambda it: it["metadata"].update(annotations={names.STATUS: "{}"}))
    assert judged(here, "services", left, told) == set()
    assert here.memory.enrolled == {enrolled["metadata"]["uid"]}


def test_a_deployment_is_in_one_release() -> None:
    mine = deployment()
    theirs = edited(mine, lambda it: it["metadata"]["labels"].update({names.HELD: "other"}))
    assert judged(scene(), "deployments", mine, theirs) == {"S16"}
    twin = edited(canary()[0], lambda it: it["metadata"].update(name="twin", uid="another"))
    twin["metadata"]["labels"][names.SERVICE] = "twin"
    assert "S16" in judged(scene(), "deployments", None, twin)


# The canary's pods.


def test_a_canary_carries_a_template_of_stable() -> None:
    here = scene()
    odd = edited(
        canary()[0], lambda it: it["spec"]["template"]["spec"]["containers"][0].update(image="odd")
    )
    objects_of(here).drop("deployments", CANARY)
    assert judged(here, "deployments", None, odd) == {"S15"}
    assert judged(here, "deployments", None, canary()[0]) == set()


def test_no_other_service_selects_a_canary_pod_and_ours_selects_no_other() -> None:
    here = scene()
    greedy = edited(service(), lambda it: it["metadata"].update(name="greedy"))
    greedy["spec"]["selector"] = {names.TRACK: "canary"}
    objects_of(here).put("services", greedy)
    assert judged(here, "deployments", None, canary()[0]) == {"S13"}
    assert judged(here, "deployments", canary()[0], canary()[0]) == set()
    here = scene()
    pod = {"metadata": meta("Pod", "p", labels={"app": "myapp"})}
    objects_of(here).put("pods", pod)
    ours = here.get("services", NAMESPACE, CANARY)
    wide = edited(ours, lambda it: it["spec"].update(selector={"app": "myapp"}))
    objects_of(here).drop("deployments", CANARY)
    assert judged(here, "services", ours, wide) == {"S13"}
    objects_of(here).put(
        "pods", edited(pod, lambda it: it["metadata"]["labels"].update({names.TRACK: "x"}))
    )
    assert judged(here, "services", ours, wide) == set()
    assert judged(here, "services", ours, None) == set()


def smaller(pods: int) -> tuple[Any, Any]:
    return canary(pods=2)[0], canary(pods=pods)[0]


def test_pods_go_only_long_after_the_exposure_they_carried() -> None:
    old, new = smaller(1)
    assert judged(scene(), "deployments", old, new) == {"S20", "T2"}
    here = scene(running(exposure=exposed()))
    assert judged(here, "deployments", old, new) == set()
    here.memory.reached[NAME] = [(0.0, TEN), (990.0, exposed())]
    assert judged(here, "deployments", old, new) == {"T2"}
    here.memory.reached[NAME] = [(0.0, TEN), (900.0, exposed())]
    assert judged(here, "deployments", old, new) == set()
    assert judged(scene(), "deployments", old, canary(pods=3)[0]) == set()
    assert judged(scene(), "deployments", old, None) == {"S20", "T2"}
    replaced = edited(old, lambda it: it["spec"]["template"]["metadata"]["labels"].update(x="y"))
    assert judged(scene(), "deployments", old, replaced) == {"S20", "T2"}


def test_the_canary_service_goes_only_long_after_the_exposure() -> None:
    here = scene()
    ours = here.get("services", NAMESPACE, CANARY)
    assert judged(here, "services", ours, None) == {"S20", "T2"}
    ports = edited(ours, lambda it: it["spec"].update(ports=[]))
    assert judged(scene(), "services", ours, ports) == set()
    assert judged(scene(), "services", None, ours) == set()
    astray = edited(ours, lambda it: it["spec"]["selector"].update(app="nobody"))
    assert judged(scene(), "services", ours, astray) == {"S20", "T2"}
    assert judged(scene(), "services", astray, ours) == set()


# What the running controller sees.


@pytest.mark.parametrize("name", [name for name in GOOD if name != "affinity"])
def test_a_good_world_breaks_nothing(name: str) -> None:
    assert standing(release_of(GOOD[name], NOW)) == ()


def found(world: Observed) -> list[str]:
    return [one.id for one in standing(release_of(world, NOW))]


def with_route(made: Any) -> Observed:
    world = running(exposure=TEN)
    return replace(world, ingresses=(world.ingresses[0], made))


@pytest.mark.parametrize(
    ("broken", "notes"),
    [
        ("S6", {"canary": "false"}),
        ("S10", {"canary_weight": "lots"}),
        ("S11", {"canary_by_header": "X", "canary_by_header_pattern": ".*"}),
    ],
)
def test_an_edited_route_is_seen(broken: str, notes: dict[str, str | None]) -> None:
    assert found(with_route(route_with(TEN, **notes))) == [broken]


def test_a_rival_an_open_door_and_a_greedy_service_are_seen() -> None:
    world = running(exposure=TEN)
    rival = ingress("rival", canary="true")
    assert found(replace(world, ingresses=(*world.ingresses, rival))) == ["S5"]
    assert found(replace(world, ingresses=(*world.ingresses, straight_to_the_canary()))) == ["S8"]
    elsewhere = ingress("rival", host="other.example", canary="true")
    assert found(replace(world, ingresses=(*world.ingresses, elsewhere))) == []
    greedy = edited(service(), lambda it: it["metadata"].update(name="greedy"))
    greedy["spec"]["selector"] = {names.TRACK: "canary"}
    assert found(replace(world, services=(*world.services, greedy))) == ["S13"]


def test_a_broken_invariant_reads_as_its_id_its_sentence_and_how() -> None:
    world = with_route(route_with(TEN, canary="false"))
    told = str(standing(release_of(world, NOW))[0])
    assert told.startswith("S6 (our canary Ingress has")
    assert told.endswith("myapp-canary is no canary Ingress: false")
    assert nginx().key("canary") == f"{PREFIX}/canary"
