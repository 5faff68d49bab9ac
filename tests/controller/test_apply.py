from typing import Any

import pytest

from controller.api import names, objects
from controller.api.errors import ConflictError, GoneError, NotFoundError, UnavailableError
from controller.apply import Applier, Failure
from controller.events import BURST, REFILL_SECONDS, Recorder
from controller.plan.observed import Ref
from controller.plan.writes import Create, Delete, Edit, Event, Merge, Plan, lowered, raised
from tests.controller.fakes import (
    NAMESPACE,
    OURS,
    Watched,
    canary,
    deployment,
    ingress,
    service,
    uid,
)

KEY = (NAMESPACE, "app")
SERVICE = Ref(kind=objects.SERVICE, namespace=NAMESPACE, name="app")
STARTED = Event(reason="CanaryStarted", message="it starts")


class Told:
    def __init__(self) -> None:
        self.events: list[tuple[Ref, Event]] = []

    def __call__(self, about: Ref, event: Event) -> None:
        self.events.append((about, event))


@pytest.fixture
def world() -> Watched:
    world = Watched()
    world.put(objects.SERVICE, service())
    world.put(objects.DEPLOYMENT, deployment())
    world.put(objects.INGRESS, ingress("app-canary", "app-canary", labels=OURS))
    return world


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def applier(world: Watched, told: Told) -> Applier:
    return Applier(world.server, world.observer, tell=told)


def create_canary(**more: Any) -> Create:
    obj = canary()
    meta = {**obj["metadata"], "namespace": NAMESPACE}
    return Create(kind=objects.DEPLOYMENT, obj={**obj, "metadata": meta}, why="w", **more)


def close_ingress(world: Watched) -> Merge:
    held = world.stores.get(objects.INGRESS, NAMESPACE, "app-canary")
    assert held is not None
    return lowered(objects.INGRESS, held, {"metadata": {"annotations": {"weight": "0"}}}, "w")


def deletion(*, uid: str, version: str = "") -> Delete:
    return Delete(
        kind=objects.INGRESS,
        namespace=NAMESPACE,
        name="app-canary",
        uid=uid,
        version=version,
        why="w",
    )


def hold_stable(value: str = "app") -> Edit:
    return Edit(
        kind=objects.DEPLOYMENT,
        namespace=NAMESPACE,
        name="app",
        operations=(
            {"op": "test", "path": "/metadata/uid", "value": uid("app")},
            {"op": "add", "path": "/metadata/labels", "value": {names.HELD: value}},
        ),
        why="w",
    )


async def test_carries_out_every_kind_of_write(world: Watched, applier: Applier) -> None:
    world.put(objects.SERVICE, service("app-canary", labels=OURS))
    delete = Delete(
        kind=objects.SERVICE,
        namespace=NAMESPACE,
        name="app-canary",
        uid="uid-services-app-canary",
        version="",
        why="w",
    )
    plan = Plan(writes=(create_canary(), close_ingress(world), hold_stable(), delete))

    assert await applier.apply(KEY, plan) == ()
    assert world.server.calls == [
        ("create", "Deployment", "app-canary"),
        ("merge", "Ingress", "app-canary"),
        ("json_patch", "Deployment", "app"),
        ("delete", "Service", "app-canary"),
    ]


async def test_answers_are_known_at_once(world: Watched, applier: Applier) -> None:
    await applier.apply(KEY, Plan(writes=(create_canary(), hold_stable())))

    found = world.observer.observe(KEY)
    assert [objects.name_of(it) for it in found.deployments] == ["app", "app-canary"]
    assert [objects.name_of(it) for it in world.observer.held_deployments()] == ["app"]


async def test_what_was_deleted_is_forgotten_at_once(world: Watched, applier: Applier) -> None:
    write = deletion(uid="uid-ingresses-app-canary")

    await applier.apply(KEY, Plan(writes=(write,)))

    assert world.observer.observe(KEY).ingresses == ()


async def test_one_failure_stops_no_other_write(
    world: Watched, applier: Applier, told: Told
) -> None:
    error = UnavailableError("503")
    world.server.fail("merge", objects.INGRESS, "app-canary", error)
    failing = close_ingress(world)

    failures = await applier.apply(
        KEY, Plan(writes=(failing, create_canary(events=(STARTED,)), hold_stable()))
    )

    assert failures == (Failure(write=failing, error=error),)
    assert failures[0].target == Ref(kind=objects.INGRESS, namespace=NAMESPACE, name="app-canary")
    assert told.events == [(SERVICE, STARTED)]


async def test_a_taken_name_is_a_conflict(world: Watched, applier: Applier) -> None:
    world.put(objects.DEPLOYMENT, deployment("app-canary"))

    (failure,) = await applier.apply(KEY, Plan(writes=(create_canary(events=(STARTED,)),)))

    assert isinstance(failure.error, ConflictError)
    assert failure.target.name == "app-canary"


async def test_a_raise_on_an_old_version_is_a_conflict(world: Watched, applier: Applier) -> None:
    held = world.stores.get(objects.INGRESS, NAMESPACE, "app-canary")
    assert held is not None
    world.server.put(objects.INGRESS, {**held, "spec": {}})

    (failure,) = await applier.apply(
        KEY, Plan(writes=(raised(objects.INGRESS, held, {"metadata": {}}, "w"),))
    )

    assert isinstance(failure.error, ConflictError)


async def test_deleting_what_is_gone_is_a_success(world: Watched, applier: Applier) -> None:
    write = deletion(uid="u")
    world.server.fail("delete", objects.INGRESS, "app-canary", NotFoundError("404"))

    assert await applier.apply(KEY, Plan(writes=(write,))) == ()


async def test_another_object_of_that_name_is_not_deleted(world: Watched, applier: Applier) -> None:
    (failure,) = await applier.apply(KEY, Plan(writes=(deletion(uid="other"),)))

    assert isinstance(failure.error, GoneError)
    assert len(world.observer.observe(KEY).ingresses) == 1


async def test_what_changed_since_it_was_read_is_not_deleted(
    world: Watched, applier: Applier
) -> None:
    held = world.stores.get(objects.INGRESS, NAMESPACE, "app-canary")
    assert held is not None
    world.server.put(objects.INGRESS, {**held, "spec": {}})
    write = deletion(uid="uid-ingresses-app-canary", version=objects.version_of(held))

    (failure,) = await applier.apply(KEY, Plan(writes=(write,)))

    assert isinstance(failure.error, GoneError)
    assert failure.target == Ref(kind=objects.INGRESS, namespace=NAMESPACE, name="app-canary")
    assert len(world.observer.observe(KEY).ingresses) == 1


async def test_a_bug_in_one_write_is_a_failure_of_that_write(
    world: Watched, applier: Applier
) -> None:
    world.server.fail("json_patch", objects.DEPLOYMENT, "app", KeyError("op"))

    (failure,) = await applier.apply(KEY, Plan(writes=(hold_stable(), create_canary())))

    assert isinstance(failure.error, KeyError)


async def test_nothing_is_sent_without_the_lease(world: Watched, told: Told) -> None:
    applier = Applier(world.server, world.observer, tell=told, may_write=lambda: False)

    (failure,) = await applier.apply(KEY, Plan(writes=(hold_stable(),)))

    assert isinstance(failure.error, UnavailableError)
    assert world.server.calls == []


# Events.


@pytest.fixture
def recorder(world: Watched) -> Recorder:
    return Recorder(
        world.server,
        find=lambda ref: world.stores.get(ref.kind, ref.namespace, ref.name),
        monotonic=world.clock.monotonic,
    )


def written(world: Watched) -> list[Any]:
    return [obj for ref, obj in world.server.objects.items() if ref.kind == objects.EVENT]


async def test_an_event_is_told_on_the_service(world: Watched, recorder: Recorder) -> None:
    recorder.tell(SERVICE, STARTED)
    await recorder.flush()

    (event,) = written(world)
    held = world.server.objects[SERVICE]
    assert event["involvedObject"] == {
        "apiVersion": "v1",
        "kind": "Service",
        "namespace": NAMESPACE,
        "name": "app",
        "uid": "uid-services-app",
        "resourceVersion": objects.version_of(held),
    }
    assert (event["reason"], event["message"], event["type"], event["count"]) == (
        "CanaryStarted",
        "it starts",
        "Normal",
        1,
    )
    assert event["firstTimestamp"] == event["lastTimestamp"] == "2026-11-01T12:00:00Z"


async def test_an_event_is_told_on_another_object_too(world: Watched, recorder: Recorder) -> None:
    other = Ref(kind=objects.DEPLOYMENT, namespace=NAMESPACE, name="gone")
    recorder.tell(SERVICE, Event(reason="Left", message="m", on=other))
    await recorder.flush()

    assert [it["involvedObject"]["name"] for it in written(world)] == ["app", "gone"]
    assert "uid" not in written(world)[1]["involvedObject"]


async def test_a_repeat_is_counted(world: Watched, recorder: Recorder) -> None:
    for _ in range(3):
        recorder.tell(SERVICE, STARTED)
        await recorder.flush()
        world.clock.advance(60)

    (event,) = written(world)
    assert (event["count"], event["firstTimestamp"], event["lastTimestamp"]) == (
        3,
        "2026-11-01T12:00:00Z",
        "2026-11-01T12:02:00Z",
    )


async def test_a_repeat_of_an_expired_event_is_a_new_one(
    world: Watched, recorder: Recorder
) -> None:
    recorder.tell(SERVICE, STARTED)
    await recorder.flush()
    world.server.remove(objects.EVENT, objects.name_of(written(world)[0]))
    world.clock.advance(7200)
    recorder.tell(SERVICE, STARTED)
    await recorder.flush()

    assert [it["count"] for it in written(world)] == [1]


async def test_a_flood_is_cut_and_flows_again_later(world: Watched, recorder: Recorder) -> None:
    for number in range(BURST + 10):
        recorder.tell(SERVICE, Event(reason="R", message=str(number)))
    await recorder.flush()
    assert len(written(world)) == BURST

    world.clock.advance(REFILL_SECONDS)
    for number in range(5):
        recorder.tell(SERVICE, Event(reason="Later", message=str(number)))
    await recorder.flush()
    assert len(written(world)) == BURST + 1


@pytest.mark.parametrize("error", [UnavailableError("503"), KeyError("bug")])
async def test_an_event_that_fails_is_not_tried_again(
    world: Watched, recorder: Recorder, error: Exception
) -> None:
    recorder.tell(SERVICE, STARTED)
    name = "app."
    world.server.fail_any("create", objects.EVENT, error)
    await recorder.flush()
    await recorder.flush()

    assert written(world) == []
    assert [verb for verb, _, called in world.server.calls if called.startswith(name)] == ["create"]
