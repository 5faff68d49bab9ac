import asyncio

import pytest

from controller.api import names, objects
from controller.api.errors import ForbiddenError, UnavailableError
from controller.api.objects import Object, uid_of
from controller.prober import RETRY_SECONDS, HoldProber, probe_operations
from controller.settings import HOLD_CHECK_SECONDS
from tests.controller.fakes import Watched, deployment

HELD = {names.HELD: "app"}
PAUSED = deployment(paused=True)
RUNNING = deployment(paused=False)
ROLLING = {**deployment(), "status": {"replicas": 3, "updatedReplicas": 1, "availableReplicas": 2}}
EMPTY = {**deployment(), "status": {}}


class Probed:
    """A prober with a world to ask."""

    def __init__(self, mode: str = "auto", every_seconds: float = HOLD_CHECK_SECONDS) -> None:
        self.world = Watched()
        self.changes = 0
        self.prober = HoldProber(
            self.world.server,
            mode=mode,  # type: ignore[arg-type]  # a test names it by a plain string
            held=self.world.observer.held_deployments,
            changed=self._changed,
            sleep=self.world.clock.sleep,
            every_seconds=every_seconds,
        )

    @property
    def asked(self) -> list[str]:
        return [name for verb, _, name in self.world.server.calls if verb == "dry-run"]

    def hold(self, obj: Object) -> None:
        self.world.put(objects.DEPLOYMENT, obj)

    def _changed(self) -> None:
        self.changes += 1


@pytest.fixture
def probed() -> Probed:
    probed = Probed()
    probed.hold(deployment(labels=HELD))
    return probed


@pytest.mark.parametrize("mode", ["admission", "pause"])
async def test_a_mode_that_was_said_is_never_asked_for(mode: str) -> None:
    probed = Probed(mode)
    probed.hold(deployment(labels=HELD))

    await probed.prober.run()

    assert (probed.prober.hold, probed.asked) == (mode, [])


def test_nothing_is_known_before_it_was_proven(probed: Probed) -> None:
    assert probed.prober.hold is None


@pytest.mark.parametrize(("answer", "hold"), [(PAUSED, "admission"), (RUNNING, "pause")])
async def test_the_answer_to_a_dry_run_is_the_hold(
    probed: Probed, answer: Object, hold: str
) -> None:
    probed.world.server.dry_run_answer = answer

    assert await probed.prober.prove() == HOLD_CHECK_SECONDS
    assert (probed.prober.hold, probed.changes) == (hold, 1)


@pytest.mark.parametrize("answer", [ROLLING, EMPTY])
async def test_an_unpaused_answer_about_one_that_no_policy_would_hold_proves_nothing(
    probed: Probed, answer: Object
) -> None:
    probed.world.server.dry_run_answer = answer

    assert await probed.prober.prove() == RETRY_SECONDS
    assert (probed.prober.hold, probed.changes) == (None, 0)


async def test_a_paused_one_tells_of_a_lost_policy_though_its_template_waits() -> None:
    probed = Probed()
    probed.hold({**deployment(labels=HELD, paused=True), "status": ROLLING["status"]})
    probed.world.server.dry_run_answer = ROLLING

    assert await probed.prober.prove() == HOLD_CHECK_SECONDS
    assert (probed.prober.hold, probed.changes) == ("pause", 1)


async def test_one_scaled_to_nothing_is_at_rest(probed: Probed) -> None:
    probed.world.server.dry_run_answer = deployment(replicas=0)

    await probed.prober.prove()

    assert probed.prober.hold == "pause"


async def test_asks_one_however_many_are_held_and_the_surest(probed: Probed) -> None:
    probed.hold({**ROLLING, "metadata": {"name": "a-rolling", "labels": HELD}})
    probed.hold({**PAUSED, "metadata": {"name": "b-paused", "labels": HELD}})
    probed.hold(deployment("c-running", HELD))
    probed.hold({**deployment("app", HELD), "status": {}})
    probed.world.server.dry_run_answer = PAUSED

    await probed.prober.prove()

    assert probed.asked == ["c-running"]


@pytest.mark.parametrize("error", [UnavailableError("500"), ForbiddenError("403")])
async def test_a_dry_run_that_fails_keeps_what_was_known(probed: Probed, error: Exception) -> None:
    probed.world.server.dry_run_answer = PAUSED
    await probed.prober.prove()
    probed.world.server.fail("dry-run", objects.DEPLOYMENT, "app", error)

    assert await probed.prober.prove() == HOLD_CHECK_SECONDS
    assert (probed.prober.hold, probed.changes) == ("admission", 1)


async def test_a_lost_policy_is_told_once(probed: Probed) -> None:
    for answer in (PAUSED, PAUSED, RUNNING, RUNNING):
        probed.world.server.dry_run_answer = answer
        await probed.prober.prove()

    assert (probed.prober.hold, probed.changes) == ("pause", 2)


async def test_asks_again_soon_and_ever_more_rarely_while_nothing_is_known(
    probed: Probed,
) -> None:
    probed.world.server.dry_run_answer = ROLLING

    assert [await probed.prober.prove() for _ in range(5)] == [10.0, 20.0, 40.0, 60.0, 60.0]


async def test_the_first_held_deployment_is_asked_at_once_and_then_every_ten_minutes() -> None:
    probed = Probed()
    probed.world.server.dry_run_answer = PAUSED
    held = deployment(labels=HELD)
    running = asyncio.create_task(probed.prober.run())
    try:
        await asyncio.sleep(0)
        probed.prober.notice(deployment())
        await asyncio.sleep(0)
        assert probed.asked == []

        probed.hold(held)
        probed.prober.notice(held)
        for _ in range(20):
            await asyncio.sleep(0)
        assert len(probed.asked) > 2
        assert probed.world.clock.slept[:2] == [600, 600]
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def test_a_probe_keeps_the_annotations_that_the_template_has() -> None:
    bare = deployment()
    annotated = deployment(
        template={"metadata": {"annotations": {"a": "b"}}, "spec": {"containers": []}}
    )

    assert [it["path"] for it in probe_operations(bare)] == [
        "/metadata/uid",
        "/spec/paused",
        "/spec/template/metadata/annotations",
    ]
    assert probe_operations(annotated)[2] == {
        "op": "add",
        "path": "/spec/template/metadata/annotations/serinus.dev~1probe",
        "value": "dry-run",
    }


def test_a_probe_of_a_paused_one_fails_where_it_is_not_paused_any_more() -> None:
    held = deployment(paused=True)

    assert probe_operations(held) == [
        {"op": "test", "path": "/metadata/uid", "value": uid_of(held)},
        {"op": "test", "path": "/spec/paused", "value": True},
        {"op": "add", "path": "/spec/paused", "value": False},
        {
            "op": "add",
            "path": "/spec/template/metadata/annotations",
            "value": {"serinus.dev/probe": "dry-run"},
        },
    ]


async def test_the_interval_is_the_one_that_was_said() -> None:
    probed = Probed(every_seconds=5.0)
    probed.hold(deployment(labels=HELD))
    probed.world.server.dry_run_answer = PAUSED

    assert await probed.prober.prove() == 5.0
