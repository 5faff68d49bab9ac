"""Moving exposure: up behind gates, down without any, and the routes kept as they have to be."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from controller.api import names
from controller.api.objects import (
    DEPLOYMENT,
    DISRUPTION_BUDGET,
    ENDPOINT_SLICE,
    INGRESS,
    SERVICE,
    Kind,
    stamp,
)
from controller.plan.checks import Hold
from controller.plan.draft import Draft, draft_of, new_record
from controller.plan.observed import Observed, Ref
from controller.plan.release import Release, release_of
from controller.plan.routes import clean, ensure_routes, move, restamp, words
from controller.plan.traffic.exposure import CLOSED, Exposure
from controller.plan.traffic.nginx import changed_text
from controller.plan.writes import Create, Delete, Merge, Write
from tests.controller.plan.applied import CANARY, annotated, changed, object_in, put, without
from tests.controller.plan.plans import passed
from tests.controller.plan.worlds import (
    LONG,
    LONG_AGO,
    NAME,
    NAMESPACE,
    NOW,
    PREFIX,
    canary,
    exposed,
    ingress,
    nginx,
    record,
    route,
    running,
    seen_for,
    uid,
)

ALICE, BOTH = frozenset({"alice"}), frozenset({"alice", "bob"})
DOORS = {names.HEADER: "X-Account", names.HEADER_VALUES: "alice, bob"}
BOB, MIA_BOB = frozenset({"bob"}), frozenset({"bob", "mia"})


def standing(annotations: dict[str, str], exposure: Exposure, **more: Any) -> Observed:
    return running(annotations, exposure=exposure, kept=record(step=exposure.weight), **more)


def only(writes: list[Write]) -> Merge:
    (write,) = writes
    assert isinstance(write, Merge)
    return write


def test_a_raise_is_conditional_on_the_version_and_read_afresh() -> None:
    write = only(passed(standing({names.WEIGHT: "20"}, exposed(5))).on(INGRESS, CANARY))
    assert write.patch["metadata"] == {
        "resourceVersion": "100",
        "annotations": {
            f"{PREFIX}/canary-weight": "20",
            names.CHANGED: changed_text(exposed(20), NOW),
        },
    }
    assert {(str(ref.kind), ref.name) for ref in write.confirm} == {
        ("Deployment", CANARY),
        ("Deployment", NAME),
        ("EndpointSlice", CANARY),
        ("Service", NAME),
    }


def test_a_lowering_that_leaves_a_door_open_is_conditional_on_the_version() -> None:
    """Somebody may have closed it since, and to him it would be a raise."""
    write = only(passed(standing({names.WEIGHT: "5"}, exposed(20))).on(INGRESS, CANARY))
    assert write.patch["metadata"] == {
        "resourceVersion": "100",
        "annotations": {
            f"{PREFIX}/canary-weight": "5",
            names.CHANGED: changed_text(exposed(5), NOW),
        },
    }


def test_a_lowering_to_0_that_keeps_the_rules_is_conditional_on_the_uid_only() -> None:
    world = standing({**DOORS, names.WEIGHT: "0"}, exposed(20, BOTH))
    write = only(passed(world).on(INGRESS, CANARY))
    assert write.patch["metadata"] == {
        "uid": uid("Ingress", CANARY),
        "annotations": {
            f"{PREFIX}/canary-weight": "0",
            names.CHANGED: changed_text(exposed(0, BOTH), NOW),
        },
    }


def test_what_a_pin_lowers_is_read_first_for_a_late_record_may_hide_that_stable_rolls() -> None:
    write = only(passed(standing({names.WEIGHT: "5"}, exposed(20))).on(INGRESS, CANARY))
    names_read = (NAME, CANARY)
    assert write.confirm == frozenset(
        Ref(kind=DEPLOYMENT, namespace=NAMESPACE, name=name) for name in names_read
    )


def test_what_an_empty_canary_lowers_waits_for_no_read() -> None:
    write = only(passed(standing({names.WEIGHT: "20"}, exposed(20), pods=0)).on(INGRESS, CANARY))
    assert write.patch["metadata"]["annotations"][f"{PREFIX}/canary-weight"] == "0"
    assert write.confirm == frozenset()


def test_closing_names_every_door_for_the_cache_may_lag_behind_one() -> None:
    write = only(passed(standing({names.WEIGHT: "0"}, exposed(20))).on(INGRESS, CANARY))
    assert write.patch["metadata"] == {
        "uid": uid("Ingress", CANARY),
        "annotations": {
            f"{PREFIX}/canary": "true",
            f"{PREFIX}/canary-weight": "0",
            f"{PREFIX}/canary-by-cookie": nginx().closing,
            f"{PREFIX}/canary-by-header": None,
            f"{PREFIX}/canary-by-header-value": None,
            f"{PREFIX}/canary-by-header-pattern": None,
            names.CHANGED: changed_text(CLOSED, NOW),
        },
    }


def held(world: Observed) -> Observed:
    """A refusal stands in the way of every raise."""
    return put(world, INGRESS, ingress(ssl_passthrough="true"))


@pytest.mark.parametrize(
    ("annotations", "before", "after"),
    [
        ({names.WEIGHT: "20"}, exposed(5), exposed(5)),
        ({names.WEIGHT: "5"}, exposed(20), exposed(5)),
        ({names.WEIGHT: "0"}, exposed(20), CLOSED),
        ({**DOORS, names.WEIGHT: "5"}, exposed(5), exposed(5)),
        # of a replaced list old and new at once, the rest when the gates open
        ({**DOORS, names.WEIGHT: "9"}, exposed(5, MIA_BOB), exposed(5, BOB)),
        ({**DOORS, names.WEIGHT: "1"}, exposed(5, ALICE), exposed(1, ALICE)),
        ({names.WEIGHT: "5"}, exposed(5, BOTH), exposed(5)),
    ],
)  # fmt: skip
def test_while_the_gates_hold_nothing_is_raised_and_everything_is_lowered(
    annotations: dict[str, str], before: Exposure, after: Exposure
) -> None:
    done = passed(held(standing(annotations, before)))
    assert done.exposure == after
    assert done.status.reason == "PassthroughOnMain"


def test_every_route_goes_to_the_same_exposure() -> None:
    several = (ingress(), ingress("web"), route(exposed(5)), route(exposed(9), main="web"))
    world = standing({names.WEIGHT: "9"}, exposed(5), ingresses=several)
    done = passed(world)
    assert done.does == [f"merge Ingress {CANARY}"]
    lower = passed(standing({names.WEIGHT: "7"}, exposed(5), ingresses=several))
    assert lower.does == [f"merge Ingress {CANARY}", f"merge Ingress {NAME}-web-canary"]


@pytest.mark.parametrize(
    ("exposure", "said"),
    [
        (CLOSED, "weight 0"),
        (exposed(5, BOTH), "weight 5, 2 accounts"),
        (exposed(0, endings="00-04"), "weight 0, suffixes for 5.00% of users"),
        (exposed(1, cookie="beta"), "weight 1, the visitors' cookie"),
    ],
)
def test_an_exposure_is_told_by_numbers_never_by_names(exposure: Exposure, said: str) -> None:
    assert words(exposure) == said


@pytest.mark.parametrize(
    ("annotations", "before", "reason"),
    [
        ({names.WEIGHT: "20"}, exposed(5), "WeightRaised"),
        ({names.WEIGHT: "5"}, exposed(20), "WeightLowered"),
        ({**DOORS, names.WEIGHT: "5"}, exposed(5, ALICE), "RulesChanged"),
    ],
)
def test_a_change_is_told_once_it_was_written(
    annotations: dict[str, str], before: Exposure, reason: str
) -> None:
    write = only(passed(standing(annotations, before)).on(INGRESS, CANARY))
    assert [event.reason for event in write.events] == [reason]


def test_drift_is_repaired_without_a_word() -> None:
    drifted = annotated(route(exposed(5)), {f"{PREFIX}/canary-weight-total": "50"})
    world = put(standing({names.WEIGHT: "5"}, exposed(5)), INGRESS, drifted)
    write = only(passed(world).on(INGRESS, CANARY))
    assert write.events == ()


# The routes themselves.


def test_a_new_main_gets_its_route_closed() -> None:
    world = put(standing({names.WEIGHT: "5"}, exposed(5)), INGRESS, ingress("web"))
    done = passed(world)
    (write,) = done.on(INGRESS, f"{NAME}-web-canary")
    assert isinstance(write, Create)
    assert write.obj["metadata"]["annotations"][f"{PREFIX}/canary-weight"] == "0"
    assert done.exposure == exposed(5)


def test_a_route_follows_its_main_and_its_time_begins_anew() -> None:
    moved = ingress(host="moved.example")
    done = passed(put(standing({names.WEIGHT: "5"}, exposed(5)), INGRESS, moved))
    write = only(done.on(INGRESS, CANARY))
    (rule,) = write.patch["spec"]["rules"]
    assert rule["host"] == "moved.example"
    assert write.patch["metadata"]["annotations"] == {names.CHANGED: changed_text(exposed(5), NOW)}
    assert write.patch["metadata"]["resourceVersion"] == "100"


def test_tls_and_a_default_backend_are_no_part_of_a_route() -> None:
    drifted = changed(route(exposed(5)), spec={"tls": [{"hosts": ["a"]}]})
    done = passed(put(standing({names.WEIGHT: "5"}, exposed(5)), INGRESS, drifted))
    found = object_in(done.after, INGRESS, CANARY)
    assert found is not None
    assert "tls" not in found["spec"]


def two_mains(exposure: Exposure, ago: float) -> Observed:
    """Of two mains one is gone; its route was changed a while ago."""
    orphan = route(exposure, main="web", at=NOW - timedelta(seconds=ago))
    world = put(standing({names.WEIGHT: "5"}, exposed(5)), INGRESS, orphan)
    return replace(world, seen={**world.seen, **seen_for(ago, orphan)})


ORPHAN = f"{NAME}-web-canary"


def test_a_route_without_its_main_is_closed_first() -> None:
    assert passed(two_mains(exposed(5), LONG)).does == [f"merge Ingress {ORPHAN}"]


def test_and_deleted_once_it_has_drained() -> None:
    early = passed(two_mains(CLOSED, 30))
    assert (early.does, early.plan.wake_seconds) == ([], 11.0)
    assert passed(two_mains(CLOSED, 41)).does == [f"delete Ingress {ORPHAN}"]


def test_the_only_main_that_is_gone_may_come_back_to_its_route() -> None:
    gone = without(standing({names.WEIGHT: "5"}, exposed(5)), INGRESS, NAME)
    closed = passed(gone)
    assert closed.exposure == CLOSED
    assert closed.reason == "IngressWithoutService"
    assert passed(closed.after).does == []


@pytest.mark.parametrize(("ahead", "written"), [(5, False), (6, True), (7200, True)])
def test_a_time_that_is_still_to_come_is_corrected(ahead: int, written: bool) -> None:
    path = route(exposed(5), at=NOW + timedelta(seconds=ahead))
    done = passed(put(standing({names.WEIGHT: "5"}, exposed(5)), INGRESS, path))
    assert (done.does == [f"merge Ingress {CANARY}"]) is written
    if written:
        found = object_in(done.after, INGRESS, CANARY)
        assert found is not None
        assert found["metadata"]["annotations"][names.CHANGED] == changed_text(exposed(5), NOW)


@pytest.mark.parametrize(("ahead", "written"), [(5, False), (6, True), (3600, True)])
def test_a_time_in_the_record_that_is_still_to_come_is_corrected(ahead: int, written: bool) -> None:
    kept = record(step=5, changed=stamp(NOW + timedelta(seconds=ahead)))
    draft = drafted(running(exposure=CLOSED, kept=kept), restamp)
    assert draft.record == (replace(kept, changed=stamp(NOW)) if written else kept)
    assert draft.writes == []


# Closing, where sessions stick.


def sticky(kept: Any) -> Observed:
    keys = {names.WEIGHT: "5", names.ACCEPT: "affinity", names.ACTION: "abort"}
    world = running(keys, exposure=exposed(5), kept=kept)
    return put(world, INGRESS, ingress(affinity="cookie"))


def test_where_sessions_stick_the_ingress_goes_and_is_timed_once_it_is_missing() -> None:
    first = passed(sticky(record(step=5)))
    assert f"delete Ingress {CANARY}" in first.does
    assert first.record is not None
    assert first.record.changed == ""
    second = passed(first.after)
    assert second.record is not None
    assert second.record.changed == stamp(NOW)
    assert second.does == [f"merge Deployment {CANARY}"]


def test_where_sessions_stick_a_time_of_another_change_is_taken_out_first() -> None:
    first = passed(sticky(record(step=5, changed=stamp(NOW))))
    assert first.record is not None
    assert first.record.changed == ""
    assert first.exposure == exposed(5)
    assert f"delete Ingress {CANARY}" in passed(first.after).does


def test_a_record_that_was_taken_away_with_its_time_is_written_anew() -> None:
    world = without(running(), INGRESS, CANARY)
    lost = put(world, DEPLOYMENT, annotated(canary()[0], {names.RELEASE: "{"}))
    draft = drafted(lost, clean)
    assert draft.record == replace(new_record(release_of(lost, NOW)), changed=stamp(NOW))
    assert draft.writes == []


def test_where_sessions_stick_a_lost_record_does_not_keep_the_ingress() -> None:
    world = put(sticky(record(step=5)), DEPLOYMENT, annotated(canary()[0], {names.RELEASE: "{"}))
    assert f"delete Ingress {CANARY}" in passed(world).does


# What is written, whole.


def drafted(world: Observed, act: Callable[[Release, Draft], object]) -> Draft:
    """Return what one of these functions puts into a plan."""
    release = release_of(world, NOW)
    draft = draft_of(release)
    act(release, draft)
    return draft


def test_a_refused_service_gets_no_route() -> None:
    missing = replace(running(), ingresses=(ingress(affinity="cookie"),))
    assert drafted(missing, ensure_routes).writes == []
    unserved = without(replace(running(), ingresses=(ingress(),)), SERVICE, CANARY)
    assert drafted(unserved, ensure_routes).writes == []


def test_without_any_main_no_route_is_deleted() -> None:
    world = without(without(running(exposure=CLOSED), INGRESS, NAME), SERVICE, NAME)
    assert drafted(world, ensure_routes).writes == []


@pytest.mark.parametrize(("seen", "wake", "count"), [(39.5, 0.5, 0), (40.0, None, 1)])
def test_a_route_without_its_main_drains_to_the_last_half_second(
    seen: float, wake: float | None, count: int
) -> None:
    orphan = route(CLOSED)
    other = ingress("other", host="other.example")
    beside = route(CLOSED, main="other")
    world = running(
        exposure=CLOSED,
        ingresses=(other, orphan, beside),
        seen={**seen_for(seen, orphan), **seen_for(LONG, beside)},
    )
    draft = drafted(world, ensure_routes)
    deletes = [write for write in draft.writes if isinstance(write, Delete)]
    assert (draft.wake_seconds, len(deletes)) == (wake, count)


def test_a_route_is_derived_again_by_one_whole_write() -> None:
    world = put(running(exposure=exposed(10)), INGRESS, ingress(host="new.example"))
    derived = route(exposed(10))["spec"]["rules"]
    (write,) = drafted(world, ensure_routes).writes
    assert write == Merge(
        kind=INGRESS,
        namespace=NAMESPACE,
        name=CANARY,
        patch={
            "metadata": {
                "resourceVersion": "100",
                "annotations": {names.CHANGED: changed_text(exposed(10), NOW)},
            },
            "spec": {
                "rules": [{**derived[0], "host": "new.example"}],
                "ingressClassName": "nginx",
                "tls": None,
                "defaultBackend": None,
            },
        },
        why="derived the canary Ingress from its main again",
        confirm=frozenset({ref_of(DEPLOYMENT, CANARY), ref_of(ENDPOINT_SLICE, CANARY)}),
    )


def ref_of(kind: Kind, name: str) -> Ref:
    return Ref(kind=kind, namespace=NAMESPACE, name=name)


def delete_of(kind: Kind, why: str, *also: Ref) -> Delete:
    return Delete(
        kind=kind,
        namespace=NAMESPACE,
        name=CANARY,
        uid=uid(kind.name, CANARY),
        version="100",
        why=why,
        confirm=frozenset({ref_of(kind, CANARY), *also}),
    )


OVER = without(
    running(kept=record(step=0, changed=stamp(LONG_AGO)), exposure=CLOSED), INGRESS, CANARY
)
OVER_FOR_LONG = replace(OVER, seen={(uid("Deployment", CANARY), stamp(LONG_AGO)): LONG})
ROUTE = ref_of(INGRESS, CANARY)
GONE_SERVICE = delete_of(SERVICE, "deleted the canary Service", ROUTE)
GONE_BUDGET = delete_of(DISRUPTION_BUDGET, "deleted the canary's disruption budget")
GONE_DEPLOYMENT = delete_of(DEPLOYMENT, "deleted the canary Deployment", ROUTE)


@pytest.mark.parametrize(
    ("gone", "deletes"),
    [
        ((), [GONE_SERVICE, GONE_BUDGET]),
        ((SERVICE,), [GONE_BUDGET]),
        ((DISRUPTION_BUDGET,), [GONE_SERVICE]),
        ((SERVICE, DISRUPTION_BUDGET), [GONE_DEPLOYMENT]),
        ((SERVICE, DISRUPTION_BUDGET, DEPLOYMENT), []),
    ],
)
def test_what_is_ours_goes_in_order(gone: tuple[Kind, ...], deletes: list[Delete]) -> None:
    world = OVER_FOR_LONG
    for kind in gone:
        world = without(world, kind, CANARY)
    assert drafted(world, clean).writes == deletes


@pytest.mark.parametrize(("seen", "left"), [(39.5, 0.5), (40.0, None)])
def test_pods_stay_until_the_kept_time_is_known_to_the_last_half_second(
    seen: float, left: float | None
) -> None:
    world = replace(OVER, seen={(uid("Deployment", CANARY), stamp(LONG_AGO)): seen})
    release = release_of(world, NOW)
    assert clean(release, draft_of(release)) == left


def test_what_is_lowered_rests_on_the_same_reads_whether_the_gates_hold_or_not() -> None:
    hold = Hold(reason="X", message="y")
    world = running(DOORS, exposure=exposed(0, BOTH))
    (held,) = drafted(world, lambda r, d: move(r, d, exposed(0, MIA_BOB), hold)).writes
    (free,) = drafted(world, lambda r, d: move(r, d, exposed(0, BOB), None)).writes
    assert held == free
    assert held.confirm
