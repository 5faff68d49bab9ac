"""Each predicate of safety.md section 5: a change that breaks it, and neighbours that do not."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from controller.api import names
from controller.api.objects import Object, name_of
from controller.plan.invariants import (
    INVARIANTS,
    Broken,
    broken_by,
    flaw_of_rule,
    needed_for,
    standing,
)
from controller.plan.observed import Observed
from controller.plan.record import Record
from controller.plan.release import release_of
from controller.plan.scene import Change, Scene, remember
from controller.plan.traffic.exposure import CLOSED, Exposure
from controller.plan.traffic.nginx import Nginx, closing_name
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
    V1,
    V2,
    V3,
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
    return {one.id for one in _broken(here, kind, old, new, by_us=by_us, at=at)}


def _broken(here: Scene, kind: str, old: Any, new: Any, *, by_us: bool, at: float) -> list[Broken]:
    cluster = objects_of(here)
    if new is not None:
        cluster.put(kind, new)
    else:
        cluster.drop(kind, name_of(old))
    return broken_by(here, Change(kind=kind, new=new, old=old, by_us=by_us, at=at))


def told(here: Scene, kind: str, old: Any, new: Any, *, by_us: bool = True) -> list[str]:
    """Return what a change breaks, in words."""
    return [f"{it.id}: {it.how}" for it in _broken(here, kind, old, new, by_us=by_us, at=1000.0)]


def routed_told(here: Scene, exposure: Exposure, old: Any = None, **notes: str | None) -> list[str]:
    """Write this exposure on the canary Ingress, and return what that breaks, in words."""
    before = old or here.get("ingresses", NAMESPACE, CANARY)
    return told(here, "ingresses", before, route_with(exposure, **notes))


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


ALICE = exposed(0, frozenset({"alice"}))


@pytest.mark.parametrize(
    ("exposure", "full", "pods"),
    [
        (exposed(), 4, 1),
        (exposed(1), 1, 1),
        (exposed(1), 2, 2),
        (exposed(1), 3, 2),
        (exposed(75), 4, 3),
        (exposed(100), 101, 101),
        (exposed(20, endings="00-04"), 100, 24),
        (exposed(50, endings="0-4"), 8, 6),
        (exposed(0, endings="0-4"), 8, 4),
    ],
)
def test_needs_pods_for_everybody_that_is_exposed(exposure: Exposure, full: int, pods: int) -> None:
    assert needed_for(exposure, full) == pods


def first_path(made: Any) -> dict[str, Any]:
    found: dict[str, Any] = made["spec"]["rules"][0]["http"]["paths"][0]
    return found


@pytest.mark.parametrize(
    "rival",
    [
        ingress("rival", host="other.example", canary="true"),
        edited(ingress("rival", canary="true"), lambda it: it["spec"].update(ingressClassName="b")),
        edited(ingress("rival", canary="true"), lambda it: first_path(it).update(path="/x")),
        edited(ingress("rival", canary="true"), lambda it: first_path(it).update(pathType="Exact")),
        ingress("rival"),
    ],
)
def test_an_ingress_for_other_paths_is_no_rival(rival: dict[str, Any]) -> None:
    here = scene()
    objects_of(here).put("ingresses", rival)
    assert routed(here, HALF) == set()


def test_beside_a_rival_a_route_may_be_lowered() -> None:
    here = scene()
    objects_of(here).put("ingresses", ingress("rival", canary="true"))
    assert routed(here, exposed(5)) == set()


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


@pytest.mark.parametrize(
    ("replicas", "ready", "weight", "broken"),
    [
        (5, 2, 50, set()),  # 2.5 pods of traffic for two pods: a quarter more, to the point
        (5, 2, 49, {"S3"}),
        (1, 1, 0, set()),
        (0, 0, 0, {"S3"}),
        (126, 100, 0, {"S3"}),
        (125, 100, 0, set()),
    ],
)
def test_a_walk_back_goes_by_the_size_of_stable(
    replicas: int, ready: int, weight: int, broken: set[str]
) -> None:
    here = walking(ready)
    objects_of(here).put("deployments", pending_deployment(replicas=replicas, paused=False))
    objects_of(here).put("endpointslices", slices(CANARY, 200))
    assert routed(here, exposed(weight)) == broken


def test_who_reaches_it_may_change_in_a_walk_back_that_stands_still() -> None:
    here = walking(0)
    here.memory.accounts[NAME] = {"alice"}
    listed = replace(ALICE, weight=50)
    assert routed(here, listed, old=route(HALF)) == set()


def test_a_lowering_before_the_roll_is_no_walk_back() -> None:
    here = scene(pods=4, stable=0)
    assert routed(here, exposed(0)) == set()


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
    assert routed(falling({names.STEPS: "50", names.REPLICAS: "50%"}), exposed(20)) == set()
    assert routed(falling({names.STEPS: "50", "serinus.dev/typo": "x"}), exposed(20)) == set()
    assert routed(falling({names.STEPS: "50"}), exposed(1)) == {"T5"}
    assert routed(falling({names.STEPS: "50"}), exposed(0)) == set()
    listed = falling({names.STEPS: "60"})
    listed.memory.accounts[NAME] = {"alice"}
    assert routed(listed, replace(ALICE, weight=50)) == set()


@pytest.mark.parametrize("kept", [record(step=50, approval=V2), record(step=50, short=True)])
def test_a_weight_falls_in_a_promotion_and_for_a_short_canary(kept: Record) -> None:
    here = scene(running({names.STEPS: "50"}, exposure=HALF, kept=kept))
    assert routed(here, exposed(20)) == set()


def test_a_weight_falls_where_the_record_is_lost() -> None:
    here = scene(running({names.STEPS: "50"}, exposure=HALF))
    bad = canary()[0]
    bad["metadata"]["annotations"][names.RELEASE] = "{}"
    objects_of(here).put("deployments", bad)
    assert routed(here, exposed(20)) == set()


def falling(notes: Mapping[str, str], pods: int = 2) -> Scene:
    valid = {key: value for key, value in notes.items() if "typo" not in key}
    here = scene(running(valid, exposure=HALF, pods=pods), pods=pods)
    objects_of(here).put("services", service(notes))
    return here


def test_a_plan_that_stood_a_moment_ago_may_still_be_followed() -> None:
    here = scene()
    here.memory.asked[NAME] = [(0.0, (50,)), (990.1, (5,))]
    assert routed(here, HALF) == set()
    here = scene()
    here.memory.asked[NAME] = [(0.0, (50,)), (989.9, (5,))]
    assert routed(here, HALF) == {"S12"}
    here = falling({names.STEPS: "10/1m, 20"})
    here.memory.asked[NAME] = [(0.0, (10, 50)), (999.0, (10, 20))]
    assert routed(here, exposed(20)) == set()
    here = falling({names.STEPS: "10/1m, 50"})
    here.memory.asked[NAME] = [(0.0, (10, 20)), (991.0, (10, 50))]
    assert routed(here, exposed(20)) == set()
    here = falling({names.STEPS: "10/1m, 50"})
    here.memory.asked[NAME] = [(0.0, (10, 20)), (980.0, (10, 50))]
    assert routed(here, exposed(20)) == {"T5"}


def test_nothing_is_raised_for_nobody() -> None:
    here = scene(running(exposure=exposed()))
    here.memory.asked.clear()
    assert routed(here, exposed(1)) == {"S12"}
    here = scene(running(exposure=exposed()))
    here.memory.asked.clear()
    here.memory.accounts[NAME] = {"alice"}
    assert routed(here, ALICE) == set()
    here = scene()
    here.memory.asked.clear()
    here.memory.accounts[NAME] = {"alice"}
    assert routed(here, replace(ALICE, weight=10)) == set()


def test_a_plan_that_nobody_remembers_lets_a_weight_fall() -> None:
    here = falling({names.STEPS: "10/1m, 50"})
    here.memory.asked.clear()
    assert routed(here, exposed(20)) == set()


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
    ("broken", "notes", "more"),
    [
        ("S6", {"canary": "false"}, {"canary": None}),
        ("S6", {"canary": "false"}, {"canary_by_cookie": None}),
        ("S6", {"canary_by_cookie": None}, {"canary": "false"}),
        ("S10", {"canary_weight": "lots"}, {"canary_weight": "more"}),
        ("S10", {"canary_weight": "lots"}, {"canary_weight_total": "1000"}),
        ("S11", {"canary_by_header": "X"}, {"canary_by_header": "Y"}),
        ("S11", {"canary_by_header": "X"}, {"canary_by_header_value": "mallory"}),
        ("S11", {"canary_by_header": "X"}, {"canary_by_header_pattern": ".*"}),
    ],
)
def test_what_somebody_else_broke_is_his_until_we_write_of_it(
    broken: str, notes: dict[str, str | None], more: dict[str, str | None]
) -> None:
    old = route_with(TEN, **notes)
    announced = edited(old, lambda it: it["metadata"]["annotations"].update({names.SHRINK: "0"}))
    assert judged(scene(), "ingresses", old, announced) == set()
    assert broken in routed(scene(), TEN, old, **{**notes, **more})
    assert broken in routed(scene(), TEN, None, **notes)


def test_a_broken_route_is_not_created() -> None:
    here = scene()
    objects_of(here).drop("ingresses", CANARY)
    made = route_with(exposed(), canary=None, canary_weight=None, canary_by_header="X")
    assert {"S6", "S10", "S11"} <= judged(here, "ingresses", None, made)


@pytest.mark.parametrize(
    ("text", "is_exact"),
    [
        ("^(?:alice|bob)$", True),
        ("^(?:bob|alice)$", True),
        ("(?:alice|bob)", False),
        ("^(?:alice|bob)", False),
        (r"^(?:alice|bob)\Z", False),
        ("(?:alice|bob)$", False),
        ("^(?:alice|bob.*)$", False),
        ("^(?:alice|bob|bo.)$", False),
        ("^(?:alice|bob|alic.)$", False),
        ("^(?:alice)$", False),
        ("^(?:carol)$", False),
    ],
)
def test_a_pattern_takes_the_list_and_nothing_around_it(text: str, is_exact: bool) -> None:
    made = route_with(TEN, canary_by_header="X-Account", canary_by_header_pattern=text)
    plane = nginx()

    class Fooled(Nginx):
        """Takes whatever is written for the list, and would write it again."""

        def exposure_of(self, ingress: Object) -> Exposure:  # noqa: ARG002 # whatever it says
            return exposed(10, frozenset({"alice", "bob"}))

        def keys_for(self, exposure: Exposure) -> dict[str, str]:  # noqa: ARG002 # the same
            return dict(made["metadata"]["annotations"])

    flaw = flaw_of_rule(Fooled(prefix=plane.prefix, closing=plane.closing), made)
    told = f"myapp-canary has the rule {text}, which reaches others too"
    assert flaw == (None if is_exact else told)


def test_a_rule_that_is_written_twice_is_seen() -> None:
    here = scene()
    here.memory.accounts[NAME] = {"alice"}
    notes: dict[str, str | None] = {
        "canary_by_header": "X-Account",
        "canary_by_header_value": "alice",
        "canary_by_header_pattern": "^(?:alice)$",
    }
    value = {key(it): notes[it] for it in ("canary_by_header", "canary_by_header_value")}
    written = {key(it): text for it, text in notes.items()}
    assert routed_told(here, TEN, **notes) == [
        f"S11: myapp-canary has the rule {written}, not {value}"
    ]


def key(name: str) -> str:
    return f"{PREFIX}/{name.replace('_', '-')}"


@pytest.mark.parametrize("word", ["always", "never"])
def test_a_word_of_the_proxys_is_no_account(word: str) -> None:
    here = scene()
    here.memory.accounts[NAME] = {word}
    notes: dict[str, str | None] = {
        "canary_by_header": "X-Account",
        "canary_by_header_value": word,
    }
    written = {key(it): text for it, text in notes.items()}
    assert routed_told(here, TEN, **notes) == [f"S11: myapp-canary has the rule {written}"]


def test_accounts_of_a_service_that_nobody_saw_were_listed_by_nobody() -> None:
    here = scene(pods=4)
    here.memory.accounts.clear()
    told = "S11: 1 accounts reach it that nobody listed"
    assert routed_told(here, replace(ALICE, weight=10)) == [told]


@pytest.mark.parametrize("text", ["101", "-1", "1e1", "", "٣"])
def test_a_weight_is_an_integer(text: str) -> None:
    assert f"S10: myapp-canary has weight {text!r}" in routed_told(scene(), TEN, canary_weight=text)


def test_a_weight_is_written() -> None:
    told = ["S10: myapp-canary has weight ''"]
    assert routed_told(scene(), exposed(), canary_weight=None) == told
    total = ["S10: myapp-canary has canary-weight-total", f"A4: myapp-canary was given {[TOTAL]}"]
    assert routed_told(scene(), TEN, canary_weight_total="1000") == total


TOTAL = f"{PREFIX}/canary-weight-total"


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


def test_the_closing_name_of_a_service_that_was_made_again_opens_nothing() -> None:
    here = scene()
    former = closing_name("former")
    note(here, "services", None, edited(service(), lambda it: it["metadata"].update(uid="former")))
    objects_of(here).put("endpointslices", slices(CANARY, 0))
    assert routed(here, TEN, canary_by_cookie=former) == set()
    assert "S1" in routed(here, TEN, canary_by_cookie=closing_name("stranger"))


def test_pods_do_not_stay_for_what_somebody_opened_a_moment_ago() -> None:
    here = scene(running(exposure=exposed()))
    old, new = smaller(1)
    note(here, "ingresses", route(), route(TEN), by_us=True)
    assert here.memory.strange == {NAME: [0.0]}
    note(here, "ingresses", route(), route(TEN))
    here.memory.reached[NAME] = [(0.0, exposed()), (995.0, TEN), (996.0, exposed())]
    here.memory.strange[NAME] = [995.0]
    assert judged(here, "deployments", old, new) == set()


def test_a_cookie_says_when_it_was_written() -> None:
    here = scene(running({names.COOKIE: "beta", names.WEIGHT: "10"}, exposure=TEN))
    old, new = route_with(TEN), route_with(TEN, canary_by_cookie="beta")
    new["metadata"]["annotations"][names.CHANGED] = old["metadata"]["annotations"][names.CHANGED]
    assert judged(here, "ingresses", old, new) == {"S19"}


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
    here.memory.stamped[CANARY] = (text, 7.0)
    assert judged(here, "ingresses", stands, new, at=7.9) == set()
    assert judged(here, "ingresses", stands, new, at=8.0) == {"S19"}


def test_a_time_that_nobody_saw_come_is_an_old_one() -> None:
    here = scene()
    stands = here.get("ingresses", NAMESPACE, CANARY)
    new = route_with(CLOSED)
    new["metadata"]["annotations"][names.CHANGED] = stands["metadata"]["annotations"][names.CHANGED]
    here.memory.stamped.clear()
    assert judged(here, "ingresses", stands, new, at=0.0) == {"S19"}


def test_paths_of_a_new_route_are_those_of_a_main_and_lead_to_our_service() -> None:
    here = scene()
    objects_of(here).drop("ingresses", NAME)
    objects_of(here).drop("ingresses", CANARY)
    assert judged(here, "ingresses", None, route(at=NOW)) == {"S7"}
    objects_of(here).drop("ingresses", CANARY)
    assert judged(here, "ingresses", None, route(at=NOW), at=10.0) == set()
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


def test_one_more_intent_is_the_next_one() -> None:
    here = scene()
    other = edited(route(exposed(20), main="m"), lambda it: it["spec"]["rules"][0].update(host="m"))
    objects_of(here).put("ingresses", other)
    assert routed(here, HALF) == set()


def test_an_affinity_that_nobody_is_led_by_wants_nothing() -> None:
    def aborting(main: dict[str, Any]) -> Scene:
        here = scene()
        objects_of(here).put("ingresses", main)
        objects_of(here).put("services", rejecting())
        return here

    sticky = ingress(affinity="cookie")
    assert routed(aborting(sticky), exposed()) == {"S21"}
    assert routed(aborting(sticky), exposed(5)) == set()
    assert routed(aborting(sticky), exposed(), old=route()) == set()
    assert routed(aborting(ingress(affinity="cookie", host="other.example")), exposed()) == set()
    assert routed(aborting(ingress(affinity="none")), exposed()) == set()


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


@pytest.mark.parametrize(
    ("before", "after", "broken"),
    [(1, 0, {"S2"}), (0, 0, set()), (4, 2, set()), (None, 0, set())],
)
def test_only_the_last_ready_pod_counts(before: int | None, after: int, broken: set[str]) -> None:
    here = scene()
    here.memory.let_go[NAME] = 5.0
    here.memory.ready.clear()
    if before is not None:
        here.memory.ready[NAME] = before
    assert judged(here, "endpointslices", None, slices(NAME, after), by_us=False) == broken


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


def test_what_was_approved_counts_for_a_while_after_somebody_deletes_the_canary() -> None:
    """No version ties the write on stable to the canary Deployment that carries the approval."""
    held, free = pending_deployment(), pending_deployment(paused=False)
    found = []
    cases = ((V2, False, 990.1), (V2, False, 990.0), (V2, True, 999.0), (V3, False, 999.0))
    for approval, by_us, at in cases:
        here = scene(running(kept=record(approval=approval)))
        gone = here.canary(NAMESPACE, NAME)
        objects_of(here).drop("deployments", CANARY)
        remember(here, Change(kind="deployments", old=gone, new=None, by_us=by_us, at=at))
        found.append(judged(here, "deployments", held, free))
    assert found == [set(), {"T3"}, {"T3"}, {"T3"}]


def test_what_is_made_or_removed_is_not_let_go() -> None:
    held = pending_deployment()
    assert "T3" not in judged(scene(), "deployments", held, None)
    assert "T3" not in judged(scene(), "deployments", None, pending_deployment(paused=False))
    paused = edited(canary()[0], lambda it: it["spec"].update(paused=True))
    assert judged(scene(), "deployments", paused, canary()[0]) == set()


def test_what_is_the_users_stays_as_he_wrote_it() -> None:
    old = deployment()
    other = edited(old, lambda it: it["spec"]["template"]["spec"].update(hostNetwork=True))
    assert judged(scene(), "deployments", old, other) == {"S14", "A1"}
    more = edited(old, lambda it: it["spec"].update(replicas=7))
    assert judged(scene(), "deployments", old, more) == {"A1"}
    labelled = edited(old, lambda it: it["metadata"]["labels"].update(mine="x"))
    assert judged(scene(), "deployments", old, labelled) == {"A1"}
    assert judged(scene(), "deployments", old, None) >= {"A1"}
    main = edited(ingress(), lambda it: it["metadata"].update(labels={"a": "b"}))
    assert told(scene(), "ingresses", ingress(), main) == [
        "A1: we changed /metadata/labels/a of ingresses myapp"
    ]


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
    assert judged(alone, "deployments", free, deployment()) == set()
    assert judged(alone, "deployments", deployment(), free) == set()


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
    other = edited(twin, lambda it: it["metadata"]["ownerReferences"][0].update(uid="other"))
    assert "S16" not in judged(scene(), "deployments", None, other)


# The canary's pods.


def test_a_canary_carries_a_template_of_stable() -> None:
    here = scene()
    odd = edited(
        canary()[0], lambda it: it["spec"]["template"]["spec"]["containers"][0].update(image="odd")
    )
    objects_of(here).drop("deployments", CANARY)
    assert judged(here, "deployments", None, odd) == {"S15"}
    assert judged(here, "deployments", None, canary()[0]) == set()
    assert judged(here, "deployments", canary()[0], odd) == {"S15", "S20", "T2"}


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


def at_rest() -> Scene:
    """The canary is exposed to nobody, and never was."""
    return scene(running(exposure=exposed()))


def test_pods_that_nobody_was_led_to_go_at_once() -> None:
    old = canary()[0]
    assert judged(at_rest(), "deployments", old, canary(pods=0)[0]) == set()
    assert judged(at_rest(), "deployments", old, None) == set()
    here = at_rest()
    here.memory.reached.clear()
    here.memory.strange.clear()
    assert judged(here, "deployments", old, None) == set()


def test_pods_that_are_not_needed_go_at_once() -> None:
    four = canary(pods=4)[0]
    assert judged(scene(pods=4), "deployments", four, canary(pods=2)[0]) == set()
    here = at_rest()
    here.memory.reached[NAME] = [(0.0, HALF), (990.0, exposed())]
    assert judged(here, "deployments", four, canary(pods=2)[0]) == set()
    assert judged(here, "deployments", four, canary(pods=1)[0]) == {"T2"}


def test_pods_that_stay_are_not_judged() -> None:
    two = canary(pods=2)[0]
    here = scene(running(exposure=exposed(100), pods=2))
    assert judged(here, "deployments", two, canary(pods=3)[0]) == set()
    assert judged(here, "deployments", two, canary(pods=2, kept=record(step=5))[0]) == set()


@pytest.mark.parametrize(("ended", "broken"), [(960.0, set()), (960.1, {"T2"})])
def test_requests_have_propagation_and_drain_to_end(ended: float, broken: set[str]) -> None:
    here = at_rest()
    here.memory.reached[NAME] = [(0.0, TEN), (ended, exposed())]
    assert judged(here, "deployments", *smaller(1)) == broken


@pytest.mark.parametrize(
    ("reached", "strange", "broken"),
    [
        ([(0.0, exposed()), (990.0, TEN), (991.0, exposed())], [990.0], {"T2"}),
        ([(0.0, exposed()), (990.1, TEN), (991.0, exposed())], [990.1], set()),
        ([(0.0, exposed()), (990.1, TEN), (992.0, HALF), (994.0, exposed())], [990.1], {"T2"}),
    ],
)
def test_only_what_somebody_opened_a_moment_ago_is_forgiven(
    reached: list[tuple[float, Exposure]], strange: list[float], broken: set[str]
) -> None:
    here = at_rest()
    here.memory.reached[NAME], here.memory.strange[NAME] = reached, strange
    assert judged(here, "deployments", *smaller(1)) == broken


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


# What is said of it.


def test_a_broken_invariant_has_its_sentence() -> None:
    here = scene()
    twin = canary(kept=record(stable="another"))[0]
    assert _broken(here, "deployments", canary()[0], twin, by_us=True, at=0.0) == [
        Broken(
            id="S4",
            says="outside Promoting, stable's serving revision is the recorded one",
            how=f"the recorded stable revision went from {V1} to another",
        )
    ]


def test_says_how_a_raise_breaks_it() -> None:
    def raised(kind: str, obj: Any) -> list[str]:
        here = scene()
        objects_of(here).put(kind, obj)
        return routed_told(here, HALF)

    assert raised("endpointslices", slices(CANARY, 1)) == [
        f"S1: raised to {HALF}: 1 of 2 pods are ready"
    ]
    assert raised("endpointslices", slices(NAME, 0)) == [
        f"S3: raised to {HALF}: no stable pod is ready for what stays there"
    ]
    assert raised("ingresses", ingress("rival", canary="true")) == [
        "S5: myapp-canary and rival both have [('nginx', 'myapp.example', '/', 'Prefix')]"
    ]
    assert raised("ingresses", straight_to_the_canary()) == [
        f"S8: raised to {HALF} while straight sends to myapp-canary by itself"
    ]
    assert raised("services", rejecting()) == [
        f"T4: raised to {HALF} though revision {V2} was aborted"
    ]
    assert routed_told(falling({names.STEPS: "10/1m, 50"}), exposed(20)) == [
        "T5: the weight fell from 50 to 20; the plan goes up to [50]"
    ]
    assert routed_told(walking(2), exposed(30)) == [
        "S3: walked back to weight 30: 2 of 4 stable pods are ready"
    ]


def test_says_how_pods_out_of_reach_break_it() -> None:
    here = scene()
    objects_of(here).put("pods", {"metadata": meta("Pod", "p", labels={"app": "myapp"})})
    ours = here.get("services", NAMESPACE, CANARY)
    wide = edited(ours, lambda it: it["spec"].update(selector={"app": "myapp"}))
    left = f"0 canary pods are left of 2 for {TEN}"
    ended = f"0 canary pods are left 0.0 s after {TEN} ended"
    assert told(here, "services", ours, wide) == [
        "S13: our Service selects pod p",
        f"S20: {left}",
        f"T2: {ended}",
    ]
    assert told(scene(), "deployments", canary()[0], None) == [f"S20: {left}", f"T2: {ended}"]


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
