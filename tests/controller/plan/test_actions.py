"""One-shot actions and `kubectl rollout resume`: what each does, refuses, and leaves behind."""

from dataclasses import replace
from typing import Any

import pytest

from controller.api import names
from controller.api.objects import DEPLOYMENT, SERVICE, labels_of, stamp
from controller.api.status import Answer
from controller.plan.observed import Observed
from controller.plan.record import Record
from controller.plan.traffic.exposure import CLOSED
from controller.plan.writes import Event, Merge
from tests.controller.plan.applied import CANARY, annotated, labelled, object_in, put
from tests.controller.plan.plans import Pass, passed
from tests.controller.plan.worlds import (
    NAME,
    NOW,
    V2,
    V3,
    deployment,
    exposed,
    idle,
    pending,
    pending_deployment,
    record,
    rolled,
    rolling,
    running,
    status,
)

TEN = {names.WEIGHT: "10"}
STEPS = {names.STEPS: "5, 25"}
AT_FIVE = record(step=5, step_since=stamp(NOW))
STANDING = record(step=10)


def asked(action: str, world: Observed | None = None) -> Pass:
    before = running(TEN, kept=STANDING) if world is None else world
    return passed(put(before, SERVICE, annotated(before.service or {}, {names.ACTION: action})))


def answer(done: Pass) -> tuple[str, bool]:
    """The outcome on the status, and whether the action was taken away."""
    last = done.status.last
    return last.outcome if last is not None else "", names.ACTION not in done.annotations


def remembering(world: Observed, **values: Any) -> Observed:
    return put(world, SERVICE, annotated(world.service or {}, status(**values)))


def kept(done: Pass) -> Record:
    assert done.record is not None
    return done.record


# promote


def test_an_approval_is_recorded_first_and_the_action_stays() -> None:
    done = asked(f"promote:{V2}")
    assert (kept(done).approval, kept(done).approved_by) == (V2, "action")
    assert answer(done) == ("", False)
    assert done.told == ["PromotionApproved"]


def test_the_action_goes_once_the_approval_is_seen() -> None:
    done = asked(f"promote:{V2}", running(TEN, kept=replace(STANDING, approval=V2)))
    assert answer(done) == ("approved", True)
    assert done.status.last == Answer(action=f"promote:{V2}", outcome="approved", at=stamp(NOW))


def aborted() -> Observed:
    return remembering(pending(), rejected={"revision": V2})


REFUSED: dict[str, tuple[str, Observed, str]] = {
    "another revision": (
        f"promote:{V3}",
        running(TEN, kept=STANDING),
        f"refused: the pending revision is {V2}",
    ),
    "nothing pending": (f"promote:{V2}", idle(), "refused: nothing is pending"),
    "an aborted revision": (
        f"promote:{V2}",
        aborted(),
        f"refused: revision {V2} was aborted; to try it again: retry:{V2}",
    ),
    "a release that has ended": (
        f"promote:{V2}",
        remembering(
            running(TEN, kept=STANDING),
            outcome={"revision": V2, "since": STANDING.since, "result": "aborted"},
        ),
        "refused: the release has ended",
    ),
    "abort of another": (
        f"abort:{V3}",
        running(TEN, kept=STANDING),
        f"refused: the running revision is {V2}",
    ),
    "abort with nothing running": ("abort", idle(), "refused: no release is running"),
    "abort after an abort": ("abort", aborted(), "refused: no release is running"),
    "abort after the roll": (
        "abort",
        rolled(kept=replace(STANDING, approval=V2)),
        "refused: too late, the roll is complete: kubectl canary undo",
    ),
    "retry with nothing aborted": (
        f"retry:{V2}",
        running(TEN, kept=STANDING),
        "refused: no aborted revision is pending",
    ),
    "retry of another": (f"retry:{V3}", aborted(), f"refused: the aborted revision is {V2}"),
    "pause with no plan": ("pause", idle(), "refused: no plan is running"),
    "continue with no plan": ("continue", idle(), "refused: no plan is running"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refuses_what_cannot_be_done_and_says_why(case: str) -> None:
    action, world, outcome = REFUSED[case]
    done = asked(action, world)
    assert answer(done) == (outcome, True)
    told = "PromotionRefused" if action.startswith("promote") else "ActionRefused"
    assert told in done.told


@pytest.mark.parametrize("action", [f"promote:{V2}", f"retry:{V2}", "continue"])
def test_an_invalid_configuration_refuses_what_could_raise(action: str) -> None:
    world = running(TEN, kept=STANDING)
    bad = put(world, SERVICE, annotated(world.service or {}, {names.COOKIE: "A B"}))
    assert answer(asked(action, bad)) == (
        "refused: the configuration is invalid: mend it first",
        True,
    )


@pytest.mark.parametrize("action", ["abort", "pause"])
def test_an_invalid_configuration_does_not_stop_abort_and_pause(action: str) -> None:
    world = running(TEN, kept=STANDING)
    bad = put(world, SERVICE, annotated(world.service or {}, {names.COOKIE: "A B"}))
    done = asked(action, bad)
    assert done.exposure == (CLOSED if action == "abort" else exposed(10))
    assert kept(done).paused is (action == "pause")


def test_promote_in_starting_is_recorded_for_later() -> None:
    assert kept(asked(f"promote:{V2}", running(kept=record(), exposure=CLOSED))).approval == V2


def test_a_template_that_interrupted_a_roll_can_be_approved() -> None:
    interrupted = replace(STANDING, approval=V2, interrupted=True)
    stopped = deployment("v3", paused=True, generation=4)
    done = asked(f"promote:{V3}", rolling(kept=interrupted, stable=stopped))
    assert kept(done) == replace(interrupted, approval=V3, approved_by="action")


def test_promote_withdraws_an_abort_in_the_roll_and_lets_it_go_on() -> None:
    stopped = replace(STANDING, approval=V2, abort="stopped")
    paused = deployment("v2", paused=True, generation=3)
    done = asked(f"promote:{V2}", rolling(kept=stopped, stable=paused))
    assert kept(done) == replace(
        stopped, abort="", approved_by="action", interrupted=True
    )  # "interrupted": the pause is ours, so the next pass takes it off


def test_a_newer_template_waits_for_its_canary_before_it_can_be_approved() -> None:
    newer = running(TEN, kept=STANDING, deployments=())
    world = running(TEN, kept=STANDING)
    newer = put(world, DEPLOYMENT, pending_deployment("v3", generation=3))
    done = asked(f"promote:{V3}", newer)
    assert kept(done).approval == ""
    assert answer(done) == ("", False)


# abort


def test_an_abort_closes_at_once_records_the_revision_and_takes_the_weight_away() -> None:
    done = asked("abort")
    assert done.exposure == CLOSED
    assert answer(done) == ("aborted", True)
    assert names.WEIGHT not in done.annotations
    assert done.status.rejected is not None
    assert (done.status.rejected.revision, done.status.rejected.generation) == (V2, 2)
    assert done.status.outcome is not None
    assert (done.status.outcome.result, done.status.outcome.why) == (
        "aborted",
        "aborted by a person",
    )
    assert done.plan.stage == "RollingBack"
    assert "Aborted" in done.told


def test_an_abort_by_its_revision_is_carried_out() -> None:
    assert asked(f"abort:{V2}").exposure == CLOSED


def test_an_abort_is_carried_out_without_a_record() -> None:
    world = put(
        running(TEN), DEPLOYMENT, annotated(running(TEN).deployments[1], {names.RELEASE: "x"})
    )
    done = asked("abort", world)
    assert done.exposure == CLOSED
    assert answer(done) == ("already ending", True)


def test_an_abort_in_the_roll_is_kept_in_the_record_and_stops_it() -> None:
    world = rolling(kept=replace(STANDING, approval=V2))
    done = asked("abort", world)
    assert kept(done).abort == "asked"
    assert "AbortAsked" in done.told
    again = asked("abort", rolling(kept=replace(STANDING, approval=V2, abort="asked")))
    assert answer(again) == (
        "stopping the roll; put the old template back: kubectl canary undo",
        True,
    )


# retry


def test_a_retry_forgets_the_rejection() -> None:
    done = asked(f"retry:{V2}", aborted())
    assert answer(done) == ("starting again", True)
    assert done.status.rejected is None
    assert "Retried" in done.told


def test_a_retry_waits_until_the_aborted_canary_is_gone() -> None:
    ending = remembering(running(kept=STANDING, exposure=CLOSED), rejected={"revision": V2})
    done = asked(f"retry:{V2}", ending)
    assert answer(done) == ("", False)


# pause and continue


def test_a_pause_is_recorded_first_and_then_answered() -> None:
    first = asked("pause", running(STEPS, exposure=exposed(5), kept=AT_FIVE))
    assert kept(first).paused
    assert answer(first) == ("", False)
    second = asked("pause", running(STEPS, exposure=exposed(5), kept=replace(AT_FIVE, paused=True)))
    assert answer(second) == ("paused", True)


def on_the_service(done: Pass) -> bool:
    """Whether what is recorded on the canary rests on a read of the Service."""
    merges = (write for write in done.plan.writes if isinstance(write, Merge))
    [it] = [merge for merge in merges if (merge.kind, merge.name) == (DEPLOYMENT, CANARY)]
    return SERVICE in {read.kind for read in it.confirm}


@pytest.mark.parametrize("action", ["pause", f"promote:{V2}"])
def test_what_a_person_asks_for_is_recorded_as_the_service_is_now(action: str) -> None:
    """One that is seen late asks once more for what was answered long ago."""
    at_five = running(STEPS, exposure=exposed(5), kept=AT_FIVE)
    assert on_the_service(asked(action, at_five))


def test_an_abort_is_recorded_on_no_read() -> None:
    assert not on_the_service(asked("abort", rolling(kept=replace(STANDING, approval=V2))))


def test_continue_lets_a_paused_plan_go_on_from_its_weight() -> None:
    world = running(STEPS, exposure=exposed(5), kept=replace(AT_FIVE, paused=True))
    first = asked("continue", world)
    assert (kept(first).paused, kept(first).go) == (False, 5)
    done = asked("continue", running(STEPS, exposure=exposed(5), kept=replace(AT_FIVE, go=5)))
    assert answer(done) == ("continued", True)


CHECKED = {**STEPS, names.CHECKS: "restarts"}


def going_on(**noted: Any) -> Pass:
    """Say `continue` at weight 5 of a plan with checks."""
    return asked("continue", running(CHECKED, exposure=exposed(5), kept=replace(AT_FIVE, **noted)))


def test_a_continue_without_a_pause_speaks_for_the_checks_too() -> None:
    first = going_on(exposed=AT_FIVE.since)
    assert (kept(first).go, kept(first).waived, kept(first).resumed) == (5, 5, False)
    assert answer(first) == ("", False)
    assert answer(going_on(exposed=AT_FIVE.since, go=5, waived=5)) == ("continued", True)


def test_a_continue_that_ends_a_pause_speaks_for_nothing_else() -> None:
    first = going_on(exposed=AT_FIVE.since, paused=True)
    assert (kept(first).paused, kept(first).go) == (False, 5)
    assert (kept(first).waived, kept(first).resumed) == (None, True)
    second = going_on(exposed=AT_FIVE.since, go=5, resumed=True)
    assert answer(second) == ("continued", True)
    assert kept(second).resumed


@pytest.mark.parametrize("action", [None, "pause"])
def test_the_next_word_is_heard_once_the_first_is_gone(action: str | None) -> None:
    noted = replace(AT_FIVE, exposed=AT_FIVE.since, go=5, resumed=True)
    world = running(CHECKED, exposure=exposed(5), kept=noted)
    done = asked(action, world) if action is not None else passed(world)
    assert not kept(done).resumed


def test_continue_before_the_first_exposure_waits_for_the_record() -> None:
    assert answer(asked("continue", pending())) == ("", False)


# kubectl rollout resume


def resumed(world: Observed, generation: str = "2") -> Pass:
    stable = object_in(world, DEPLOYMENT, NAME)
    assert stable is not None
    return passed(put(world, DEPLOYMENT, labelled(stable, {names.RESUME: generation})))


def label_after(done: Pass) -> str | None:
    return labels_of(object_in(done.after, DEPLOYMENT, NAME) or {}).get(names.RESUME)


@pytest.mark.parametrize("generation", ["2", "3"])
def test_rollout_resume_approves_the_pending_revision(generation: str) -> None:
    done = resumed(running(TEN, kept=STANDING), generation)
    assert (kept(done).approval, kept(done).approved_by) == (V2, "rollout resume")
    assert label_after(done) == generation


def test_its_label_goes_once_the_approval_is_seen() -> None:
    done = resumed(running(TEN, kept=replace(STANDING, approval=V2)))
    assert label_after(done) is None


@pytest.mark.parametrize("generation", ["1", "", "soon", "-3"])
def test_rollout_resume_of_an_older_template_is_refused(generation: str) -> None:
    done = resumed(running(TEN, kept=STANDING), generation)
    assert label_after(done) is None
    assert done.told == ["PromotionRefused"]
    assert kept(done).approval == ""


def test_rollout_resume_of_an_aborted_revision_is_refused_with_the_way_out() -> None:
    done = resumed(aborted())
    assert label_after(done) is None
    (event,) = done.events
    assert event.reason == "PromotionRefused"
    said = f"rollout resume: revision {V2} was aborted; to try it: retry:{V2}"
    assert event.message == said


@pytest.mark.parametrize("result", ["promoted", "aborted"])
def test_rollout_resume_of_a_release_that_has_ended_is_refused(result: str) -> None:
    outcome = {"revision": V2, "since": STANDING.since, "result": result}
    done = resumed(remembering(running(TEN, kept=STANDING), outcome=outcome))
    assert label_after(done) is None
    refused = Event(
        reason="PromotionRefused",
        message="rollout resume: the release has ended",
        type="Warning",
    )
    assert [event for event in done.events if event.reason == refused.reason] == [refused]


def test_rollout_resume_while_the_canary_is_replaced_waits() -> None:
    world = put(running(TEN, kept=STANDING), DEPLOYMENT, pending_deployment("v3", generation=3))
    assert label_after(resumed(world, "3")) == "3"


def test_rollout_resume_of_a_roll_that_a_person_paused_lets_it_go_on() -> None:
    """The hold takes a paused roll without new pods for a pending template."""
    kept_back = replace(STANDING, approval=V2)
    paused = deployment("v2", paused=True, generation=3)
    done = resumed(rolling(kept=kept_back, stable=paused), "3")
    assert kept(done) == replace(kept_back, interrupted=True)


def test_rollout_resume_does_not_approve_what_interrupted_a_roll() -> None:
    interrupted = replace(STANDING, approval=V2, interrupted=True)
    stopped = deployment("v3", paused=True, generation=4)
    done = resumed(rolling(kept=interrupted, stable=stopped), "4")
    assert kept(done) == interrupted


def test_rollout_resume_with_nothing_pending_takes_a_pause_off() -> None:
    done = resumed(idle(deployments=(deployment(paused=True),)))
    stable = object_in(done.after, DEPLOYMENT, NAME)
    assert stable is not None
    assert "paused" not in stable["spec"]
    assert label_after(done) is None
    assert label_after(resumed(idle())) is None
