from collections.abc import Iterable

import pytest

from controller.api import names, objects
from controller.api.objects import Kind, Object, name_of
from controller.observe import Reading
from controller.plan.observed import Endpoint, Observed, Pool, Ref, ReplicaSet
from tests.controller.fakes import (
    NAMESPACE,
    OURS,
    Watched,
    canary,
    deployment,
    endpoint,
    ingress,
    replica_set,
    service,
    slice_of,
    uid,
)

KEY = (NAMESPACE, "app")


def named(found: Iterable[Object]) -> list[str]:
    return [name_of(obj) for obj in found]


def ref(kind: Kind, name: str = "app") -> Ref:
    return Ref(kind=kind, namespace=NAMESPACE, name=name)


@pytest.fixture
def world() -> Watched:
    """One Service at rest: its Deployment, its Ingress, two ready pods."""
    world = Watched()
    world.put(objects.SERVICE, service())
    world.put(objects.DEPLOYMENT, deployment())
    world.put(objects.REPLICA_SET, replica_set("app-1", "app"))
    world.put(objects.INGRESS, ingress())
    world.put(objects.ENDPOINT_SLICE, slice_of("app", endpoint("app-1-x"), endpoint("app-1-y")))
    world.woken_since()
    return world


def test_sees_one_release_whole(world: Watched) -> None:
    found = world.observer.observe(KEY)

    assert named(found.deployments) == ["app"]
    assert named(found.ingresses) == ["app"]
    assert named(found.services) == ["app"]
    assert found.service is not None
    assert (found.namespace, found.name) == KEY
    assert found.stable.ready == 2
    assert found.canary == Pool()
    assert [(it.name, it.owner, it.number) for it in found.replica_sets] == [
        ("app-1", uid("app"), 7)
    ]


def test_says_the_same_of_a_replica_set_read_afresh_as_of_the_trimmed_one(world: Watched) -> None:
    cached = world.observer.observe(KEY).replica_sets
    fresh = world.server.objects[ref(objects.REPLICA_SET, "app-1")]

    confirmed = {ref(objects.REPLICA_SET, "app-1"): fresh}
    assert world.observer.observe(KEY, confirmed).replica_sets == cached
    assert cached == (
        ReplicaSet(
            name="app-1",
            owner=uid("app"),
            revision=objects.revision_of(objects.template_of(fresh)),
            number=7,
            wanted=2,
            pods=2,
            ready=1,
        ),
    )


def test_does_not_look_at_neighbours(world: Watched) -> None:
    for number in range(50):
        other = f"other-{number}"
        world.put(objects.SERVICE, service(other))
        world.put(objects.DEPLOYMENT, deployment(other))
        world.put(objects.INGRESS, ingress(other, other, host=f"{other}.example"))

    found = world.observer.observe(KEY)

    assert named(found.services) == ["app"]
    assert named(found.deployments) == ["app"]
    assert named(found.ingresses) == ["app"]


def test_finds_deployments_by_selector_marks_annotation_and_taken_name(world: Watched) -> None:
    world.put(objects.SERVICE, service(annotations={names.DEPLOYMENT: "named"}))
    world.put(objects.DEPLOYMENT, deployment("rival", pods={"app": "app", "track": "blue"}))
    world.put(objects.DEPLOYMENT, deployment("named"))
    world.put(objects.DEPLOYMENT, deployment("left", {names.HELD: "app"}, pods={"app": "gone"}))
    world.put(objects.DEPLOYMENT, deployment("app-canary", pods={"app": "squatter"}))
    world.put(objects.DEPLOYMENT, deployment("unrelated"))

    found = world.observer.observe(KEY)

    assert named(found.deployments) == ["app", "app-canary", "left", "named", "rival"]


def test_finds_services_that_could_select_stable_or_canary_pods(world: Watched) -> None:
    world.put(objects.DEPLOYMENT, deployment(pods={"app": "app", "tier": "web"}))
    world.put(objects.SERVICE, service("all-web", selector={"tier": "web"}, labels={}))
    world.put(objects.SERVICE, service("renamed", selector={"app": "app-canary"}, labels={}))
    world.put(objects.SERVICE, service("track", selector={names.TRACK: "canary"}, labels={}))
    world.put(objects.SERVICE, service("app-canary", selector={"app": "x"}, labels={}))
    world.put(objects.SERVICE, service("other", selector={"app": "app", "tier": "db"}, labels={}))

    found = world.observer.observe(KEY)

    assert named(found.services) == ["all-web", "app", "app-canary", "renamed", "track"]


def test_finds_ingresses_by_backend_mark_host_and_taken_name(world: Watched) -> None:
    world.put(objects.INGRESS, ingress("second", "app", host="second.example"))
    world.put(objects.INGRESS, ingress("rival", "elsewhere", host="second.example"))
    world.put(objects.INGRESS, ingress("leak", "app-canary", host="leak.example"))
    world.put(objects.INGRESS, ingress("orphan", "app-canary", host="o.example", labels=OURS))
    world.put(objects.INGRESS, ingress("app-second-canary", "x", host="x.example"))
    world.put(objects.INGRESS, ingress("unrelated", "x", host="y.example"))

    found = world.observer.observe(KEY)

    assert named(found.ingresses) == [
        "app",
        "app-second-canary",
        "leak",
        "orphan",
        "rival",
        "second",
    ]


def test_an_ingress_that_sends_everything_to_the_service_is_found() -> None:
    world = Watched()
    world.put(
        objects.INGRESS,
        {"metadata": {"name": "all"}, "spec": {"defaultBackend": {"service": {"name": "app"}}}},
    )

    assert named(world.observer.observe(KEY).ingresses) == ["all"]


def test_finds_budgets_and_autoscalers_of_its_pods_only(world: Watched) -> None:
    kind = objects.DISRUPTION_BUDGET
    world.put(
        kind, {"metadata": {"name": "app"}, "spec": {"selector": {"matchLabels": {"app": "app"}}}}
    )
    world.put(kind, {"metadata": {"name": "any"}, "spec": {"selector": {}}})
    world.put(
        kind, {"metadata": {"name": "db"}, "spec": {"selector": {"matchLabels": {"app": "db"}}}}
    )
    world.put(objects.AUTOSCALER, autoscaler("app"), autoscaler("db"))

    found = world.observer.observe(KEY)

    assert named(found.budgets) == ["any", "app"]
    assert named(found.autoscalers) == ["app"]


def autoscaler(target: str) -> Object:
    return {
        "metadata": {"name": target},
        "spec": {"scaleTargetRef": {"kind": "Deployment", "name": target}},
    }


# What is read afresh stands in for the caches.


def test_a_fresh_read_replaces_what_the_cache_holds(world: Watched) -> None:
    fresh = world.server.put(objects.DEPLOYMENT, deployment(replicas=9))

    found = world.observer.observe(KEY, {ref(objects.DEPLOYMENT): fresh})

    assert [objects.replicas_of(it) for it in found.deployments] == [9]
    assert found.confirmed == frozenset({ref(objects.DEPLOYMENT)})


def test_a_watch_that_is_ahead_of_a_read_is_believed(world: Watched) -> None:
    read = world.server.objects[ref(objects.DEPLOYMENT)]
    read_slice = world.server.objects[ref(objects.ENDPOINT_SLICE, "app-a")]
    world.put(objects.DEPLOYMENT, deployment(replicas=9))
    world.put(objects.ENDPOINT_SLICE, slice_of("app"))

    confirmed = dict[Ref, Reading](
        {ref(objects.DEPLOYMENT): read, ref(objects.ENDPOINT_SLICE): (read_slice,)}
    )
    found = world.observer.observe(KEY, confirmed)

    assert [objects.replicas_of(it) for it in found.deployments] == [9]
    assert found.stable.ready == 0


def test_what_a_fresh_read_did_not_find_is_gone(world: Watched) -> None:
    confirmed = {
        ref(objects.DEPLOYMENT): None,
        ref(objects.INGRESS): None,
        ref(objects.SERVICE): None,
        ref(objects.ENDPOINT_SLICE): None,
    }

    found = world.observer.observe(KEY, confirmed)

    assert found == Observed(
        namespace=NAMESPACE, name="app", confirmed=frozenset(confirmed), stable=found.stable
    )
    assert found.stable.endpoints == ()


def test_endpoints_of_a_fresh_read_that_the_watch_has_not_brought_have_no_age(
    world: Watched,
) -> None:
    world.clock.advance(30)
    fresh = world.server.put(objects.ENDPOINT_SLICE, slice_of("app", endpoint("app-1-x")))

    found = world.observer.observe(KEY, {ref(objects.ENDPOINT_SLICE): (fresh,)})

    assert found.stable.endpoints == (Endpoint(pod="app-1-x", age_seconds=0.0),)
    assert found.stable.history == ((0.0, 1), (30.0, 2))


def test_endpoints_of_a_fresh_read_keep_their_age_when_nothing_changed(world: Watched) -> None:
    world.clock.advance(30)
    fresh = world.server.objects[ref(objects.ENDPOINT_SLICE, "app-a")]

    found = world.observer.observe(KEY, {ref(objects.ENDPOINT_SLICE): (fresh,)})

    assert [it.age_seconds for it in found.stable.endpoints] == [30.0, 30.0]


# Ages.


def test_an_endpoint_is_as_old_as_its_readiness(world: Watched) -> None:
    world.clock.advance(20)
    broken = slice_of("app", endpoint("app-1-x"), endpoint("app-1-y", ready=False))
    world.put(objects.ENDPOINT_SLICE, broken)
    world.clock.advance(5)

    assert world.observer.observe(KEY).stable.endpoints == (
        Endpoint(pod="app-1-x", age_seconds=25.0),
        Endpoint(pod="app-1-y", ready=False, age_seconds=0.0),
    )

    world.put(objects.ENDPOINT_SLICE, slice_of("app", endpoint("app-1-x"), endpoint("app-1-y")))
    world.clock.advance(3)

    assert [it.age_seconds for it in world.observer.observe(KEY).stable.endpoints] == [28.0, 3.0]


def test_a_break_between_two_passes_is_not_missed(world: Watched) -> None:
    world.clock.advance(60)
    world.put(objects.ENDPOINT_SLICE, slice_of("app", endpoint("app-1-x", ready=False)))
    world.put(objects.ENDPOINT_SLICE, slice_of("app", endpoint("app-1-x")))

    pool = world.observer.observe(KEY).stable

    assert pool.endpoints == (Endpoint(pod="app-1-x", age_seconds=0.0),)
    assert pool.history == ((0.0, 1), (0.0, 0), (60.0, 2))
    assert pool.most_ready_within(30) == 2


def test_a_pod_that_takes_the_place_of_another_in_one_change_is_a_fall(world: Watched) -> None:
    world.clock.advance(60)
    world.put(objects.ENDPOINT_SLICE, slice_of("app", endpoint("app-1-x"), endpoint("app-2-z")))
    world.clock.advance(5)

    pool = world.observer.observe(KEY).stable

    assert pool.history == ((5.0, 2), (5.0, 1), (65.0, 2))
    assert pool.seconds_since_fall == 5.0
    assert pool.most_ready_within(3) == 2


def test_a_slice_that_a_list_brought_may_hide_a_break_and_counts_as_new(world: Watched) -> None:
    world.clock.advance(60)
    world.server.put(objects.ENDPOINT_SLICE, slice_of("app", endpoint("app-1-x")))
    world.relist(objects.ENDPOINT_SLICE)

    assert world.observer.observe(KEY).stable.endpoints == (
        Endpoint(pod="app-1-x", age_seconds=0.0),
    )


def test_a_list_that_brings_nothing_new_changes_no_age(world: Watched) -> None:
    world.clock.advance(60)
    world.relist(objects.ENDPOINT_SLICE)

    assert [it.age_seconds for it in world.observer.observe(KEY).stable.endpoints] == [60.0, 60.0]


@pytest.mark.parametrize(
    ("condition", "ready"),
    [
        (endpoint("p"), True),
        ({**endpoint("p"), "conditions": {}}, True),
        (endpoint("p", ready=False), False),
        (endpoint("p", terminating=True), False),
        (endpoint("p", ready=False, serving=True, terminating=True), False),
    ],
)
def test_ready_is_what_a_slice_does_not_deny(condition: Object, *, ready: bool) -> None:
    world = Watched()
    world.put(objects.ENDPOINT_SLICE, slice_of("app", condition))

    assert world.observer.observe(KEY).stable.ready == ready


def test_a_pod_in_two_slices_is_one_endpoint_and_ready_only_if_both_say_so(
    world: Watched,
) -> None:
    twice = slice_of("app", endpoint("app-1-x", ready=False), endpoint("app-1-y"), part="b")
    world.put(objects.ENDPOINT_SLICE, twice)

    found = world.observer.observe(KEY).stable.endpoints

    assert [(it.pod, it.ready) for it in found] == [("app-1-x", False), ("app-1-y", True)]


def test_an_address_without_a_pod_is_an_endpoint_without_a_name(world: Watched) -> None:
    world.put(objects.ENDPOINT_SLICE, slice_of("app", {"addresses": ["10.1.1.1"]}))

    assert [it.pod for it in world.observer.observe(KEY).stable.endpoints] == [""]


def test_history_goes_back_two_minutes_and_one_entry_further(world: Watched) -> None:
    for count in (1, 0, 1, 2):
        world.clock.advance(100)
        pods = [endpoint(f"app-1-{number}") for number in range(count)]
        world.put(objects.ENDPOINT_SLICE, slice_of("app", *pods))

    assert world.observer.observe(KEY).stable.history == (
        (0.0, 2),
        (100.0, 1),
        (200.0, 0),
    )


def test_nothing_is_known_of_a_service_whose_slices_nobody_saw() -> None:
    world = Watched()

    assert world.observer.observe(KEY).canary.most_ready_within(1) is None


def test_a_deleted_slice_leaves_its_history(world: Watched) -> None:
    world.clock.advance(10)
    world.remove(objects.ENDPOINT_SLICE, "app-a")

    pool = world.observer.observe(KEY).stable

    assert pool == Pool(endpoints=(), history=((0.0, 0), (10.0, 2)))


def test_the_history_of_a_service_is_forgotten_long_after_its_last_slice(world: Watched) -> None:
    world.remove(objects.ENDPOINT_SLICE, "app-a")
    world.put(objects.ENDPOINT_SLICE, slice_of("other", endpoint("o")))
    world.clock.advance(601)
    world.remove(objects.ENDPOINT_SLICE, "other-a")

    assert world.observer.observe(KEY).stable == Pool()


# Times that are written on objects.


def test_a_time_on_our_ingress_is_as_old_as_we_know_it(world: Watched) -> None:
    ours = ingress("app-canary", "app-canary", labels=OURS, annotations={names.CHANGED: "t1"})
    world.put(objects.INGRESS, ours)
    world.clock.advance(7)
    key = ("uid-ingresses-app-canary", "t1")

    assert world.observer.observe(KEY).seen == {key: 7.0}

    world.put(objects.INGRESS, {**ours, "spec": {**ours["spec"], "ingressClassName": "nginx"}})
    world.clock.advance(1)

    assert world.observer.observe(KEY).seen == {key: 8.0}


def test_another_time_on_it_is_a_new_one_even_if_it_was_there_before(world: Watched) -> None:
    for text in ("t1", "t2", "t1"):
        ours = ingress("app-canary", "app-canary", labels=OURS, annotations={names.CHANGED: text})
        world.put(objects.INGRESS, ours)
        world.clock.advance(7)

    assert world.observer.observe(KEY).seen == {("uid-ingresses-app-canary", "t1"): 7.0}


def test_a_time_in_the_record_of_a_canary_is_seen(world: Watched) -> None:
    at = "2026-01-01T00:00:01Z"
    times = f'"since":"2026-01-01T00:00:00Z","changed":"{at}"'
    record = f'{{"revision":"r","generation":1,"stable":"s","replicas":2,{times}}}'
    world.put(objects.DEPLOYMENT, canary(annotations={names.RELEASE: record}))
    world.clock.advance(3)

    assert world.observer.observe(KEY).seen == {(uid("app-canary"), at): 3.0}


def test_a_time_goes_with_its_object(world: Watched) -> None:
    ours = ingress("app-canary", "app-canary", labels=OURS, annotations={names.CHANGED: "t1"})
    world.put(objects.INGRESS, ours)
    world.remove(objects.INGRESS, "app-canary")
    world.clock.advance(7)
    world.put(objects.INGRESS, ours)

    assert world.observer.observe(KEY).seen == {("uid-ingresses-app-canary", "t1"): 0.0}


def test_a_time_that_only_a_fresh_read_shows_is_not_known_yet(world: Watched) -> None:
    ours = ingress("app-canary", "app-canary", labels=OURS, annotations={names.CHANGED: "t1"})
    world.put(objects.INGRESS, ours)
    newer = world.server.put(
        objects.INGRESS,
        {**ours, "metadata": {**ours["metadata"], "annotations": {names.CHANGED: "t2"}}},
    )

    assert world.observer.observe(KEY, {ref(objects.INGRESS, "app-canary"): newer}).seen == {}


def test_a_missing_service_is_missing_since_it_was_looked_for(world: Watched) -> None:
    world.put(objects.DEPLOYMENT, deployment(labels={names.HELD: "app"}))
    world.remove(objects.SERVICE, "app")
    missing = [world.observer.observe(KEY).service_missing_seconds]
    world.clock.advance(12)
    missing.append(world.observer.observe(KEY).service_missing_seconds)
    world.put(objects.SERVICE, service())
    world.remove(objects.SERVICE, "app")
    missing.append(world.observer.observe(KEY).service_missing_seconds)

    assert missing == [0.0, 12.0, 0.0]


# What no watch shows.


def test_needs_no_read_while_the_watch_shows_the_slices(world: Watched) -> None:
    assert world.observer.unwatched(KEY) == frozenset()


@pytest.mark.parametrize("labels", [{}, {names.CANARY: "enabled"}])
def test_reads_slices_that_do_not_carry_the_label_of_the_service(labels: dict[str, str]) -> None:
    world = Watched()
    world.put(objects.SERVICE, service(labels=labels))
    world.put(objects.DEPLOYMENT, deployment(), canary())

    assert world.observer.unwatched(KEY) == frozenset({ref(objects.ENDPOINT_SLICE)})


def test_a_service_without_label_and_release_is_not_read() -> None:
    world = Watched()
    world.put(objects.SERVICE, service(labels={}))
    world.put(objects.DEPLOYMENT, deployment())

    assert world.observer.unwatched(KEY) == frozenset()
    assert world.observer.unwatched((NAMESPACE, "nobody")) == frozenset()


def test_ages_grow_over_reads_that_show_the_same_version() -> None:
    world = Watched()
    read = world.server.put(objects.ENDPOINT_SLICE, slice_of("app", endpoint("p"), labels={}))
    ages = []
    for _ in range(3):
        found = world.observer.observe(KEY, {ref(objects.ENDPOINT_SLICE): (read,)})
        ages.append([it.age_seconds for it in found.stable.endpoints])
        world.clock.advance(4)
    newer = world.server.put(objects.ENDPOINT_SLICE, slice_of("app", endpoint("p"), labels={}))
    found = world.observer.observe(KEY, {ref(objects.ENDPOINT_SLICE): (newer,)})
    ages.append([it.age_seconds for it in found.stable.endpoints])

    assert ages == [[0.0], [4.0], [8.0], [0.0]]


def test_a_slice_that_is_gone_from_a_read_is_gone() -> None:
    world = Watched()
    read = world.server.put(objects.ENDPOINT_SLICE, slice_of("app", endpoint("p"), labels={}))
    world.observer.observe(KEY, {ref(objects.ENDPOINT_SLICE): (read,)})

    assert world.observer.observe(KEY, {ref(objects.ENDPOINT_SLICE): ()}).stable == Pool(
        history=((0.0, 0), (0.0, 1))
    )


# Keys.


def test_every_release_is_known_by_what_is_left_of_it(world: Watched) -> None:
    world.put(objects.SERVICE, service("was", labels={}, annotations={names.STATUS: "{}"}))
    world.put(objects.SERVICE, service("app-canary", labels={**OURS, names.CANARY: "managed"}))
    world.put(objects.SERVICE, service("stranger", labels={}))
    world.put(objects.DEPLOYMENT, deployment("d", {names.HELD: "held-for"}))
    world.put(objects.INGRESS, ingress("i", labels={names.SERVICE: "routed-for"}))

    assert world.observer.keys() == {
        KEY,
        (NAMESPACE, "was"),
        (NAMESPACE, "held-for"),
        (NAMESPACE, "routed-for"),
    }


def test_held_deployments_are_listed(world: Watched) -> None:
    world.put(objects.DEPLOYMENT, deployment("held", {names.HELD: "app"}), canary())

    assert named(world.observer.held_deployments()) == ["held"]


@pytest.mark.parametrize(
    ("kind", "obj"),
    [
        (objects.SERVICE, service(annotations={names.WEIGHT: "5"})),
        (objects.SERVICE, service("app-canary", labels={**OURS, names.CANARY: "managed"})),
        (objects.SERVICE, service("app-canary", labels={}, selector={"app": "squatter"})),
        (objects.SERVICE, service("second", labels={}, selector={"app": "app"})),
        (objects.DEPLOYMENT, deployment(replicas=5)),
        (objects.DEPLOYMENT, deployment("second", pods={"app": "app"})),
        (objects.DEPLOYMENT, deployment("left", {names.HELD: "app"}, pods={"a": "b"})),
        (objects.DEPLOYMENT, canary()),
        (objects.DEPLOYMENT, deployment("app-canary", pods={"app": "squatter"})),
        (objects.REPLICA_SET, replica_set("app-2", "app", "v2")),
        (objects.INGRESS, ingress("second", "app", host="second.example")),
        (objects.INGRESS, ingress("rival", "x")),
        (objects.INGRESS, ingress("sharing", "app-canary", host="elsewhere.example")),
        (objects.DISRUPTION_BUDGET, {"metadata": {"name": "app-canary"}, "spec": {}}),
        (objects.INGRESS, ingress("ours", "x", host="gone.example", labels=OURS)),
        (objects.ENDPOINT_SLICE, slice_of("app", endpoint("p"))),
        (objects.ENDPOINT_SLICE, slice_of("app-canary", labels={**OURS, names.CANARY: "managed"})),
        (objects.AUTOSCALER, autoscaler("app")),
    ],
)
def test_a_change_wakes_the_release_it_concerns(world: Watched, kind: Kind, obj: Object) -> None:
    world.put(kind, obj)

    assert world.woken_since() == {KEY}


@pytest.mark.parametrize(
    ("kind", "obj"),
    [
        (objects.SERVICE, service("stranger", labels={})),
        (objects.DEPLOYMENT, deployment("stranger")),
        (objects.REPLICA_SET, replica_set("stranger-1", "stranger")),
        (objects.INGRESS, ingress("stranger", "stranger", host="stranger.example")),
        (objects.AUTOSCALER, autoscaler("stranger")),
        (objects.AUTOSCALER, {"metadata": {"name": "odd"}, "spec": {}}),
        (objects.DISRUPTION_BUDGET, {"metadata": {"name": "stranger"}, "spec": {}}),
        (objects.ENDPOINT_SLICE, {"metadata": {"name": "nobodys", "labels": {}}}),
    ],
)
def test_a_change_of_a_stranger_wakes_nobody(world: Watched, kind: Kind, obj: Object) -> None:
    world.put(kind, obj)

    assert world.woken_since() == set()


def test_a_budget_wakes_the_canary_it_selects(world: Watched) -> None:
    world.put(objects.DEPLOYMENT, canary())
    world.woken_since()

    for name, selector in (
        ("selecting", {"matchLabels": {"app": "app-canary"}}),
        ("app-canary", {"matchLabels": {"app": "other"}}),
    ):
        world.put(
            objects.DISRUPTION_BUDGET, {"metadata": {"name": name}, "spec": {"selector": selector}}
        )
        assert world.woken_since() == {KEY}


def test_a_service_that_selects_by_our_labels_wakes_every_release_of_its_namespace(
    world: Watched,
) -> None:
    world.put(objects.SERVICE, service("second", selector={"app": "elsewhere"}))
    world.woken_since()

    world.put(objects.SERVICE, service("tracked", labels={}, selector={names.TRACK: "canary"}))
    assert world.woken_since() == {KEY, (NAMESPACE, "second")}


def test_a_service_that_lost_its_last_mark_wakes_its_release(world: Watched) -> None:
    world.put(objects.SERVICE, service(labels={}))
    assert world.woken_since() == {KEY}

    world.put(objects.SERVICE, service())
    world.remove(objects.SERVICE, "app")
    assert world.woken_since() == {KEY}


def test_a_status_of_an_ingress_does_not_wake_its_neighbours(world: Watched) -> None:
    other = ingress("other", "other", host="app.example")
    world.put(objects.SERVICE, service("other"))
    world.put(objects.INGRESS, other)
    world.woken_since()

    world.put(objects.INGRESS, {**other, "status": {"loadBalancer": {}}})
    assert world.woken_since() == {(NAMESPACE, "other")}

    elsewhere = ingress("other", "other", host="elsewhere.example")
    world.put(objects.INGRESS, elsewhere)
    assert world.woken_since() == {KEY, (NAMESPACE, "other")}


def test_a_claimed_deployment_that_is_free_again_wakes_whoever_waits_for_it(
    world: Watched,
) -> None:
    world.put(objects.SERVICE, service("second", selector={"app": "app"}))
    world.woken_since()

    world.put(objects.SERVICE, service("second", selector={"app": "elsewhere"}))

    assert world.woken_since() == {KEY, (NAMESPACE, "second")}


def test_keys_of_one_object_can_be_asked_for(world: Watched) -> None:
    assert world.observer.keys_for(objects.DEPLOYMENT, deployment_in_namespace()) == {KEY}


def deployment_in_namespace() -> Object:
    obj = deployment()
    return {**obj, "metadata": {**obj["metadata"], "namespace": NAMESPACE}}


# Learning.


def test_an_answer_is_known_before_the_watch_brings_it(world: Watched) -> None:
    world.observer.learn(objects.DEPLOYMENT, world.server.put(objects.DEPLOYMENT, canary()))

    assert named(world.observer.observe(KEY).deployments) == ["app", "app-canary"]
    assert world.woken_since() == {KEY}


def test_slices_are_left_to_their_watch(world: Watched) -> None:
    read = world.server.put(objects.ENDPOINT_SLICE, slice_of("app"))
    world.observer.learn(objects.ENDPOINT_SLICE, read)

    assert world.observer.observe(KEY).stable.ready == 2


def test_what_is_not_watched_is_not_learned(world: Watched) -> None:
    lease = {"metadata": {"name": "l", "namespace": NAMESPACE}}

    world.observer.learn(objects.LEASE, lease)
    world.observer.unlearn(objects.LEASE, lease)

    assert world.stores.get(objects.LEASE, NAMESPACE, "l") is None
    assert list(world.stores.find(objects.LEASE, "release", NAMESPACE, "app")) == []


def test_a_deleted_object_is_gone_before_the_watch_says_so(world: Watched) -> None:
    world.observer.unlearn(
        objects.DEPLOYMENT,
        {"metadata": {"namespace": NAMESPACE, "name": "app", "uid": uid("app")}},
    )

    assert world.observer.observe(KEY).deployments == ()
