"""Metrics decide: releases with steps and checks, over a metrics server in virtual time."""

from collections.abc import Iterator

import pytest

from controller.api.status import Outcome
from controller.api.template import Template
from controller.plan.observed import Parameters
from tests.world.metrics import CANARY, STABLE, Trouble
from tests.world.world import World, enrolled

HISTORY_SECONDS = 900.0


@pytest.fixture
def world() -> Iterator[World]:
    with enrolled(metered=True) as made:
        made.annotate(steps="20/3m, 50/3m", checks="error-rate", promotion="auto")
        made.run(HISTORY_SECONDS)
        yield made


def exposed(world: World, weight: int = 20) -> float:
    """Ship v2, and return when it got this weight."""
    world.set_image("v2")
    world.run_until(lambda: world.weight() == weight, within=120, what="exposed")
    return world.now


def ended(world: World, within: float = 3600.0) -> Outcome:
    """Return how the release ended."""
    world.run_until(lambda: world.status().outcome, within=within, what="the release is over")
    outcome = world.status().outcome
    assert outcome is not None
    return outcome


def waiting(world: World) -> tuple[int | None, str, str]:
    """Return the weight, what it waits for, and what the first check says."""
    checks = world.status().checks
    return world.weight(), world.reason(), checks[0].outcome if checks else ""


def test_a_good_version_is_promoted_by_its_checks(world: World) -> None:
    began = exposed(world)
    outcome = ended(world)
    assert (outcome.result, outcome.why) == ("promoted", "promoted by the plan")
    assert world.now - began > 360


def test_a_step_has_its_time_and_its_checks(world: World) -> None:
    world.annotate(steps="20/20m")
    exposed(world)
    world.run(1150)
    assert waiting(world) == (20, "Canary", "pass")
    world.run_until(lambda: world.stage() == "Promoting", within=60)


def test_a_bad_version_is_rolled_back_before_its_first_step_is_over(world: World) -> None:
    world.metrics.errors[CANARY] = 0.2
    began = exposed(world)
    outcome = ended(world)
    assert (outcome.result, outcome.reason) == ("aborted", "ChecksFailed")
    assert outcome.why.startswith("error-rate: fail: canary ")
    assert world.conditions()["Promoted"][:2] == ("False", "ChecksFailed")
    assert world.now - began < 150
    world.run_until(lambda: world.stage() == "Aborted", within=120)
    assert "ChecksFailed" in world.reasons()
    assert "Aborted" not in world.reasons()
    assert [(it.check, it.outcome) for it in world.status().checks] == [("error-rate", "fail")]


@pytest.mark.parametrize("weight", [20, 50])
def test_a_version_that_turns_bad_is_rolled_back_at_any_step(world: World, weight: int) -> None:
    exposed(world)
    world.run_until(lambda: world.weight() == weight, within=900)
    world.metrics.errors[CANARY] = 0.5
    assert ended(world, within=240).reason == "ChecksFailed"


def test_a_version_that_turns_bad_while_it_is_promoted_is_rolled_back(world: World) -> None:
    """Before the roll: an abort like any other."""
    exposed(world)
    world.run_until(lambda: world.weight() == 50, within=1800)
    world.hold_new_pods()
    world.run_until(lambda: world.stage() == "Promoting", within=3600)
    world.metrics.errors[CANARY] = 0.5
    assert ended(world, within=240).reason == "ChecksFailed"
    assert world.tags("stable") == {"v1": 3}


def test_a_failure_in_the_roll_stops_it_once(world: World) -> None:
    world.annotate(checks="success>=95%")
    exposed(world)
    world.run_until(lambda: "RollStarted" in world.reasons(), within=3600)
    world.hold_new_pods()
    world.metrics.errors[CANARY] = 0.9
    world.run_until(lambda: world.reason() == "AbortedInRoll", within=180)
    assert world.is_paused()
    world.let_new_pods_start()
    world.rollout_resume()
    assert ended(world).result == "promoted"
    assert world.tags("stable") == {"v2": 3}
    assert world.reasons().count("ChecksFailed") == 1


def test_a_failure_after_the_roll_changes_nothing(world: World) -> None:
    world.annotate(checks="success>=95%")
    exposed(world)
    world.run_until(lambda: world.tags("stable") == {"v2": 3}, within=3600)
    world.metrics.errors.update({CANARY: 0.9, STABLE: 0.9})
    assert ended(world).result == "promoted"


def test_too_little_traffic_says_so_and_waits_for_a_person(world: World) -> None:
    world.metrics.rate = 1.0
    world.annotate(steps="20/5m, 50")
    exposed(world)
    world.run(1200)
    assert waiting(world) == (20, "ChecksUndecided", "not enough data")
    (check,) = world.status().checks
    assert check.needed is not None
    assert check.needed > 0
    assert "more requests to the canary" in world.conditions()["Progressing"][2]
    assert world.status().commands[0] == "kubectl canary continue myapp -n canary"
    world.annotate(action="continue")
    world.run_until(lambda: world.weight() == 50, within=60)


def test_a_user_may_choose_that_time_without_harm_is_enough(world: World) -> None:
    world.metrics.rate = 1.0
    world.annotate(accept="not-enough-data")
    exposed(world)
    assert ended(world).result == "promoted"


def test_accepting_too_little_data_accepts_no_missing_data(world: World) -> None:
    world.annotate(accept="not-enough-data")
    world.metrics.trouble = "dead"
    exposed(world)
    world.run(900)
    assert waiting(world) == (20, "ChecksWithoutData", "no data")


def test_a_continue_that_ends_a_pause_does_not_speak_for_the_checks(world: World) -> None:
    world.metrics.rate = 1.0
    exposed(world)
    world.annotate(action="pause")
    world.run(1200)
    assert world.status().message.endswith("paused at weight 20 by a person")
    world.annotate(action="continue")
    world.run(60)
    assert waiting(world) == (20, "ChecksUndecided", "not enough data")
    world.annotate(action="continue")
    world.run_until(lambda: world.weight() == 50, within=60)


def test_a_pin_is_no_step_but_harm_ends_it(world: World) -> None:
    exposed(world)
    world.annotate(weight="30")
    world.run_until(lambda: world.weight() == 30, within=60)
    world.run(1800)
    assert waiting(world) == (30, "Canary", "pass")
    world.metrics.errors[CANARY] = 0.5
    assert ended(world, within=240).reason == "ChecksFailed"


def test_a_person_promotes_without_the_checks(world: World) -> None:
    world.metrics.trouble = "dead"
    exposed(world)
    world.annotate(action=f"promote:{world.status().revision}")
    assert ended(world).result == "promoted"


@pytest.mark.parametrize("trouble", ["dead", "slow", "nan", "blind"])
def test_evidence_that_cannot_be_had_holds_and_comes_back(world: World, trouble: Trouble) -> None:
    exposed(world)
    world.run(30)
    world.metrics.trouble = trouble
    world.metrics.errors[CANARY] = 0.5
    world.run(1800)
    assert waiting(world) == (20, "ChecksWithoutData", "no data")
    world.metrics.errors[CANARY] = 0.01
    world.metrics.trouble = ""
    world.run(30)
    assert world.stage() in {"Canary", "RollingBack"}


def test_a_dead_metrics_server_delays_no_abort(world: World) -> None:
    world.metrics.trouble = "slow"
    exposed(world)
    world.annotate(action="abort")
    asked = world.now
    world.run_until(lambda: world.weight() in {0, None}, within=2)
    assert world.now - asked < 2


def test_a_proxy_seen_twice_says_what_it_says(world: World) -> None:
    world.metrics.trouble = "twice"
    exposed(world)
    assert ended(world).result == "promoted"


def test_a_proxy_that_restarts_spoils_a_window_and_nothing_else(world: World) -> None:
    exposed(world)
    world.run(60)
    world.metrics.restart_proxy()
    assert ended(world).result == "promoted"


@pytest.mark.parametrize("share", [0.01, 0.05])
def test_a_restart_in_mid_release_changes_no_verdict(share: float) -> None:
    """What is known is asked for again: the same windows, the same words."""
    told = []
    for restarts in ((), (40.0, 100.0)):
        with enrolled(metered=True) as world:
            world.annotate(steps="20/20m", checks="error-rate, success>=90%")
            world.run(HISTORY_SECONDS)
            world.metrics.errors[CANARY] = share
            began = exposed(world)
            for after in restarts:
                world.run(began + after - world.now)
                world.restart_controller(after=5)
            world.run(began + 200 - world.now)
            told.append((world.stage(), world.status().checks))
    assert told[0] == told[1]
    assert [it.outcome for it in told[0][1]] != []


def test_questions_are_asked_once_a_window(world: World) -> None:
    exposed(world)
    asked = len(world.metrics.asked)
    world.run(150)
    per_window = 2  # how the answers were, and what was asked
    assert len(world.metrics.asked) - asked == 10 * per_window


def test_without_a_release_nothing_is_asked(world: World) -> None:
    assert world.metrics.asked == []
    exposed(world)
    world.annotate(action="abort")
    world.run_until(lambda: world.stage() == "Aborted", within=120)
    asked = len(world.metrics.asked)
    world.run(300)
    assert len(world.metrics.asked) == asked


def test_a_status_with_new_counts_is_written_at_most_every_ten_seconds(world: World) -> None:
    exposed(world)
    world.run(20)
    before = len([it for it in world.writes if it.kind == "Service"])
    world.run(100)
    assert len([it for it in world.writes if it.kind == "Service"]) - before <= 10


def test_restarts_need_no_metrics_server() -> None:
    with enrolled() as world:
        world.annotate(steps="20/3m", checks="restarts", promotion="auto")
        exposed(world)
        world.run(60)
        assert waiting(world) == (20, "Canary", "pass")
        assert ended(world).result == "promoted"


def test_a_canary_that_restarts_while_stable_does_not_is_rolled_back() -> None:
    with enrolled() as world:
        world.annotate(steps="20/3m", checks="restarts")
        exposed(world)
        world.run(30)
        world.crash_pod(world.pods("canary")[0])
        outcome = ended(world, within=60)
        assert outcome.reason == "ChecksFailed"
        assert "containers of the canary and 0 of 3 of stable restarted" in outcome.why


def test_restarts_on_both_sides_hold() -> None:
    with enrolled() as world:
        world.annotate(steps="20/3m", checks="restarts")
        exposed(world)
        world.run(30)
        world.crash_pod(world.pods("stable")[0])
        world.run(20)
        world.crash_pod(world.pods("canary")[0])
        world.run(600)
        assert waiting(world) == (20, "ChecksUndecided", "not enough data")


def test_an_administrators_check_decides_like_any_other() -> None:
    template = Template(name="x-orders", requests="tried $pods", events="lost $pods")
    parameters = Parameters(templates=(template,))
    with enrolled(metered=True, parameters=parameters) as world:
        world.annotate(steps="20/20m", checks="x-orders")
        world.run(HISTORY_SECONDS)
        world.metrics.errors[CANARY] = 0.2
        exposed(world)
        outcome = ended(world, within=300)
        assert outcome.why.startswith("x-orders: fail: canary ")
