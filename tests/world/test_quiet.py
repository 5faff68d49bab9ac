"""Nothing is written without a reason, and the same seed tells the same story."""

from collections import Counter

import pytest

from controller.plan.observed import Hold
from tests.world.columns import Column, reached
from tests.world.outcomes import aborted, promoted
from tests.world.world import World, enrolled

HOLDS: tuple[Hold, ...] = ("admission", "pause")
AT_REST = (Column.IDLE, Column.CANARY, Column.ABORTED)
MOST_WRITES_OF_A_PROMOTION = 14
MOST_WRITES_OF_AN_ABORT = 8


@pytest.mark.parametrize("hold", HOLDS)
@pytest.mark.parametrize("column", AT_REST)
def test_a_restart_at_rest_writes_nothing(column: Column, hold: Hold) -> None:
    """T8 and L3."""
    with reached(column, hold=hold) as world:
        world.settle()
        before = len(world.requests)
        for _ in range(3):
            world.restart_controller(after=7)
            world.run(90)
        assert world.requests[before:] == []


@pytest.mark.parametrize("column", [column for column in Column if column not in AT_REST])
def test_a_restart_in_the_middle_of_a_wait_writes_nothing_by_itself(column: Column) -> None:
    """T8: what is written is only how long the wait takes now."""
    with reached(column) as world:
        world.run(0.5)
        before = len(world.writes)
        world.restart_controller()
        world.run(1)
        assert [it for it in world.writes[before:] if it.kind != "Service"] == []


def _work(world: World, since: int) -> Counter[str]:
    """Count writes, but for status and events."""
    return Counter(
        f"{it.verb} {it.kind}"
        for it in world.writes[since:]
        if (it.verb, it.kind) != ("json_patch", "Service")
    )


@pytest.mark.parametrize("hold", HOLDS)
def test_a_promotion_takes_few_writes(hold: Hold) -> None:
    with reached(Column.CANARY, hold=hold) as world:
        since = len(world.writes)
        world.annotate(action=f"promote:{world.status().revision}")
        promoted()(world)
        work = _work(world, since)
        assert sum(work.values()) <= MOST_WRITES_OF_A_PROMOTION, work


@pytest.mark.parametrize("hold", HOLDS)
def test_an_abort_takes_few_writes(hold: Hold) -> None:
    with reached(Column.CANARY, hold=hold) as world:
        since = len(world.writes)
        world.annotate(action="abort")
        aborted()(world)
        work = _work(world, since)
        assert sum(work.values()) <= MOST_WRITES_OF_AN_ABORT, work


def test_a_status_that_only_counts_is_written_at_most_every_10_s() -> None:
    with enrolled() as world:
        world.annotate(ready_deadline="10m")
        world.set_image("bad")
        world.run(30)
        before = len(world.writes)
        world.run(300)
        assert len(world.writes) == before


@pytest.mark.parametrize("hold", HOLDS)
def test_the_same_seed_tells_the_same_story(hold: Hold) -> None:
    first, again, other = (_told(seed, hold) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def _told(seed: int, hold: Hold) -> list[str]:
    with enrolled(hold=hold, seed=seed) as world:
        world.set_image("v2")
        world.run_until(lambda: world.stage() == "Canary", within=120)
        world.rollout_resume()
        promoted()(world)
        return world.trace
