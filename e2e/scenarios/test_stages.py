"""Each stage of a release is entered and left in every way the contract names."""

# ruff: noqa: D103 - a test's name is its docstring

import asyncio

import pytest

from e2e.scenarios.application import GATED, App
from e2e.scenarios.side_by_side import scenario

# Starting.


@scenario
async def test_a_canary_that_is_not_ready_in_time_is_aborted_and_nobody_met_it(app: App) -> None:
    await app.enrol(ready_deadline="10s", header="X-Account", header_values="alice")
    await asyncio.gather(app.reaches("Starting", "WaitingForPods"), app.set_image("bad"))
    assert await app.who_gets("v1", ["alice", "bob"]) == ["alice", "bob"]
    told = await app.ends("aborted")
    assert told.stage == "Aborted"
    assert "ready-deadline" in told.says("Promoted")
    assert app.stages == ["Idle", "Starting", "RollingBack", "Aborted"]
    assert await app.runs() == {"v1": 2}


@scenario
async def test_a_start_is_aborted_by_a_person(app: App) -> None:
    await app.enrol()
    await app.set_image("bad")
    await app.reaches("Starting", "WaitingForPods")
    await app.act("abort")
    assert (await app.ends("aborted")).stage == "Aborted"
    assert app.told.last_action == "aborted"
    assert "serinus.dev/action" not in app.told.annotations


@scenario
async def test_a_newer_template_takes_the_place_of_one_that_does_not_start(app: App) -> None:
    await app.enrol()
    await app.set_image("bad")
    broken = await app.reaches("Starting", "WaitingForPods")
    await app.set_image("v2")
    await app.reaches("Canary", after=broken.revision)
    assert await app.runs() == {"v1": 2}


@scenario
async def test_resume_while_a_canary_starts_promotes_it_once_it_has_started(app: App) -> None:
    await app.enrol()
    await app.set_image(GATED)
    await app.reaches("Starting", "WaitingForPods")
    await app.resume()
    await app.comes_true("the approval is kept", lambda: has_kept_the_approval(app))
    assert app.told.stage == "Starting"
    await app.let_in("", app.ends("promoted"))
    assert "Canary" not in app.stages
    assert await app.runs() == {GATED: 2}
    assert not await app.is_paused()


@scenario
async def test_the_old_template_put_back_while_a_canary_starts_ends_the_release(app: App) -> None:
    await app.enrol()
    await app.set_image("bad")
    await app.reaches("Starting", "WaitingForPods")
    await app.set_image("v1")
    assert (await app.ends("aborted")).stage == "Idle"


async def has_kept_the_approval(app: App) -> bool:
    return "serinus.dev/resume" not in (await app.get("deployments"))["metadata"]["labels"]


# Canary.


@scenario
async def test_promote_names_its_revision_and_promotes_it(app: App) -> None:
    told = await app.canary(header="X-Account", header_values="alice")
    await app.act(f"promote:{told.revision}")
    await app.ends("promoted")
    assert app.stages == ["Idle", "Starting", "Canary", "Promoting", "Idle"]
    assert app.told.last_action == "approved"
    assert "serinus.dev/action" not in app.told.annotations
    assert await app.runs() == {"v2": 2}
    assert not await app.is_paused()


@scenario
async def test_promote_of_another_revision_is_refused_and_changes_nothing(app: App) -> None:
    told = await app.canary()
    await app.act("promote:0123456789")
    await app.tells("PromotionRefused")
    assert told.revision in app.told.last_action
    assert app.told.stage == "Canary"
    assert await app.runs() == {"v1": 2}


@scenario
async def test_an_abort_takes_everybody_back_and_forgets_the_weight(app: App) -> None:
    await app.canary(header="X-Account", header_values="alice", cookie="beta")
    await app.annotate(weight="50")
    await app.weighs(50)
    await app.act("abort")
    told = await app.ends("aborted")
    assert told.stage == "Aborted"
    assert "serinus.dev/weight" not in told.annotations
    assert await app.count(20, ("X-Account", "alice")) == {"v1": 20}
    assert await app.count(20, ("Cookie", "beta=always")) == {"v1": 20}
    assert await app.runs() == {"v1": 2}
    assert await app.is_paused()


@scenario
async def test_a_newer_template_starts_again_without_the_weight_of_the_older(app: App) -> None:
    older = await app.canary()
    await app.annotate(weight="50")
    await app.weighs(50)
    newer = await app.ship("v3")
    assert newer.revision != older.revision
    assert "RollingBack" in app.stages
    await app.until("no weight", lambda told: "serinus.dev/weight" not in told.annotations)
    await app.weighs(0)
    assert await app.count(20) == {"v1": 20}


@scenario
async def test_the_old_template_put_back_ends_the_release_with_nothing_to_do(app: App) -> None:
    await app.canary()
    await app.annotate(weight="50")
    await app.weighs(50)
    await app.set_image("v1")
    told = await app.ends("aborted")
    assert told.stage == "Idle"
    assert told.is_ready
    await app.comes_true("not paused any more", app.is_not_paused)
    await app.ship("v2")


# Promoting.


@scenario
async def test_an_abort_before_the_roll_takes_everybody_back(app: App) -> None:
    await app.gated_canary()
    await app.resume()
    await app.reaches("Promoting", "WaitingForPods")
    await app.act("abort")
    assert (await app.ends("aborted")).stage == "Aborted"
    assert await app.runs() == {"v1": 2}
    assert await app.count(20) == {"v1": 20}


@scenario
async def test_an_abort_in_the_roll_waits_for_the_old_template_and_rolls_back(app: App) -> None:
    await app.in_roll()
    await app.act("abort")
    told = await app.reaches("Promoting", "AbortedInRoll")
    assert told.why("Degraded") == "AbortedInRoll"
    assert await app.is_paused()
    assert await app.count(10) == {GATED: 10}
    await app.set_image("v1")
    await app.ends("aborted")
    assert await app.runs() == {"v1": 2}
    assert await app.count(20) == {"v1": 20}


@scenario
async def test_an_abort_in_the_roll_is_withdrawn_by_resume(app: App) -> None:
    await app.in_roll()
    await app.act("abort")
    await app.reaches("Promoting", "AbortedInRoll")
    await app.comes_true("paused", app.is_paused)
    await app.resume()
    await app.let_in("", app.ends("promoted"))
    assert await app.runs() == {GATED: 2}


@scenario
async def test_an_abort_in_the_roll_is_withdrawn_by_promote(app: App) -> None:
    told = await app.in_roll()
    await app.act("abort")
    await app.reaches("Promoting", "AbortedInRoll")
    await app.act(f"promote:{told.revision}")
    await app.let_in("", app.ends("promoted"))
    assert await app.runs() == {GATED: 2}


@scenario
async def test_a_newer_template_in_the_roll_is_stopped_until_it_is_approved(app: App) -> None:
    older = await app.in_roll()
    await app.set_image("v3")
    told = await app.reaches("Promoting", "PromotionInterrupted")
    assert told.revision != older.revision
    await app.comes_true("paused", app.is_paused)
    await app.tells("PromotionInterrupted")
    await app.act(f"promote:{told.revision}")
    await app.ends("promoted")
    assert await app.runs() == {"v3": 2}


@scenario
async def test_an_interrupted_promotion_goes_on_with_the_approved_template(app: App) -> None:
    await app.in_roll()
    await app.set_image("v3")
    await app.reaches("Promoting", "PromotionInterrupted")
    await app.set_image(GATED)
    await app.let_in("", app.ends("promoted"))
    assert await app.runs() == {GATED: 2}


@scenario
async def test_a_pause_in_the_roll_is_waited_for(app: App) -> None:
    await app.in_roll()
    await app.kubectl("rollout pause deployment myapp")
    told = await app.reaches("Promoting", "RollPaused")
    assert "kubectl rollout resume deployment myapp" in told.message
    await app.resume()
    await app.let_in("", app.ends("promoted"))
    assert await app.runs() == {GATED: 2}


@scenario
async def test_an_undo_in_the_roll_rolls_back_at_once(app: App) -> None:
    await app.in_roll()
    load = await app.cluster.load(app.host, rate=20)
    sending = asyncio.create_task(load.run())
    await app.kubectl("rollout undo deployment myapp")
    await app.comes_true("nothing of the roll is left", lambda: runs_only_v1(app))
    await app.ends("aborted")
    load.stop()
    report = await sending
    assert not report.failures, report.summary()
    assert await app.runs() == {"v1": 2}
    assert await app.count(20) == {"v1": 20}


async def runs_only_v1(app: App) -> bool:
    return await app.runs() == {"v1": 2} and not await app.is_paused()


# Aborted.


async def aborted(app: App) -> str:
    """Release v2 and abort it; answers its revision."""
    told = await app.canary()
    await app.act("abort")
    await app.ends("aborted")
    return told.revision


@scenario
async def test_after_an_abort_a_newer_template_starts_a_release(app: App) -> None:
    revision = await aborted(app)
    told = await app.ship("v3")
    assert told.revision != revision


@scenario
async def test_after_an_abort_the_old_template_leaves_nothing_to_do(app: App) -> None:
    await aborted(app)
    await app.set_image("v1")
    await app.reaches("Idle")
    await app.comes_true("not paused any more", app.is_not_paused)


@scenario
async def test_after_an_abort_retry_starts_the_same_revision_again(app: App) -> None:
    revision = await aborted(app)
    await app.act(f"retry:{revision}")
    told = await app.reaches("Canary")
    assert told.revision == revision
    await app.resume()
    await app.ends("promoted")


@scenario
async def test_an_aborted_revision_is_not_promoted_by_resume_or_promote(app: App) -> None:
    revision = await aborted(app)
    await app.resume()
    await app.tells("PromotionRefused")
    await app.act(f"promote:{revision}")
    await app.until("an answer", lambda told: f"retry:{revision}" in told.last_action)
    assert app.told.stage == "Aborted"
    assert await app.runs() == {"v1": 2}
    assert await app.is_paused()


@scenario
async def test_the_same_template_again_is_rejected_at_once(app: App) -> None:
    await aborted(app)
    await app.set_image("v1")
    await app.reaches("Idle")
    told = len(app.stages)
    await app.set_image("v2")
    await app.reaches("Aborted")
    assert app.stages[told:] == ["Aborted"]


# RollingBack.


@scenario
async def test_a_newer_template_during_a_roll_back_is_the_next_release(app: App) -> None:
    told = await app.canary()
    await asyncio.gather(app.reaches("RollingBack"), app.act("abort"))
    await app.set_image("v3")
    await app.reaches("Canary", after=told.revision)
    await app.resume()
    await app.ends("promoted")
    assert await app.runs() == {"v3": 2}


# Leaving.


async def idle(app: App) -> None:
    await app.enrol(header="X-Account", header_values="alice")


async def starting(app: App) -> None:
    await app.enrol()
    await app.set_image("bad")
    await app.reaches("Starting", "WaitingForPods")


async def exposed(app: App) -> None:
    await app.canary()
    await app.annotate(weight="50")
    await app.weighs(50)


async def shifting(app: App) -> None:
    await app.gated_canary()
    await app.resume()
    await app.reaches("Promoting", "WaitingForPods")


async def in_roll(app: App) -> None:
    await app.in_roll()


async def rejected(app: App) -> None:
    await aborted(app)


@pytest.mark.parametrize("stage_reached", [idle, starting, exposed, shifting, in_roll, rejected])
@scenario
async def test_un_enrolling_leaves_only_what_the_owner_wrote(app: App, stage_reached) -> None:  # type: ignore[no-untyped-def] # one of the functions above
    await stage_reached(app)
    await app.label(None)
    await app.let_in("", app.is_left_alone())
    version = GATED if stage_reached is in_roll else "v1"
    assert set(await app.runs()) == {version}
    await app.answers(version)
