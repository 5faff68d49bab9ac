"""What the Service says afterwards: one status, our conditions, and nothing written in vain."""

import json
import math
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from controller.api import names
from controller.api.intent import configuration_digest
from controller.api.objects import DEPLOYMENT, SERVICE, annotations_of, stamp
from controller.api.status import Answer, Bound, Covered, Judged, Status, Tally, status_in
from controller.plan.coverage import Kind, Tried
from controller.plan.draft import Story, draft_of
from controller.plan.evidence import Count
from controller.plan.gate import verdicts_of
from controller.plan.judge import Outcome, Verdict
from controller.plan.observed import Observed, Pool
from controller.plan.release import release_of
from controller.plan.stages import Stage
from controller.plan.tell import checks_now, commands, edit_stable, judged_of, status_now
from controller.plan.writes import Edit, Event
from tests.controller.plan.answers import BAD, FEW, checked, standing
from tests.controller.plan.answers import GOOD as PASSING
from tests.controller.plan.applied import annotated, changed, put
from tests.controller.plan.good import GOOD
from tests.controller.plan.plans import Pass, passed
from tests.controller.plan.worlds import (
    LONG_AGO,
    NAME,
    NAMESPACE,
    NOW,
    V1,
    V2,
    canary,
    deployment,
    exposed,
    idle,
    ingress,
    pending,
    pool,
    record,
    rolling,
    running,
    service,
    status,
    uid,
)

ACCOUNTS = {names.HEADER: "X-Account", names.HEADER_VALUES: "alice, bob", names.WEIGHT: "10"}
KEPT = record(step=10, step_since=stamp(LONG_AGO))


def conditions(done: Pass) -> dict[str, dict[str, Any]]:
    entries = (done.after.service or {})["status"]["conditions"]
    return {entry["type"]: entry for entry in entries}


def settled_on(world: Observed) -> Observed:
    """The world with everything told that is to tell."""
    return passed(world).after


def with_service(world: Observed, done: Pass) -> Observed:
    """The world with the Service as another pass left it."""
    assert done.after.service is not None
    return put(world, SERVICE, done.after.service)


def test_tells_the_whole_status() -> None:
    done = passed(running(ACCOUNTS, kept=KEPT))
    assert done.status == Status(
        configuration=configuration_digest(ACCOUNTS),
        stage="Canary",
        reason="Canary",
        message="weight 10, 2 accounts; serinus.dev/weight is set by hand",
        revision=V2,
        asked=10,
        written=10,
        step=10,
        since=KEPT.since,
        ready=2,
        needed=2,
        accounts=2,
        commands=(
            "kubectl canary set-weight myapp 10 -n canary",
            f"kubectl annotate service myapp -n canary --overwrite serinus.dev/action=promote:{V2}",
            "kubectl rollout resume deployment myapp -n canary",
            "kubectl canary abort myapp -n canary",
        ),
        at=stamp(NOW),
    )


@pytest.mark.parametrize("stage", [None, Stage.ABORTED])
def test_of_a_release_that_does_not_run_no_number_is_told(stage: Stage | None) -> None:
    release = release_of(running(ACCOUNTS, kept=KEPT), NOW)
    story = Story(reason="X", message="y", asked=5, needed=3)
    assert status_now(release, draft_of(release), stage, story) == Status(
        configuration=configuration_digest(ACCOUNTS),
        stage=str(stage) if stage else None,
        reason="X",
        message="y",
        revision=V2 if stage else "",
        accounts=2,
        commands=commands(release, stage),
    )


def test_says_when_the_next_decision_is_due_and_which_share_the_endings_are() -> None:
    keys = {names.STEPS: "5/10m, 25", names.HEADER: "X-Account", names.HEADER_SUFFIXES: "00-04"}
    kept = record(step=5, step_since=stamp(NOW - timedelta(minutes=4)))
    done = passed(running(keys, kept=kept, exposure=exposed(5, endings="00-04")))
    assert done.status.until == stamp(NOW + timedelta(minutes=6))
    assert done.status.share == "5.0000%"
    assert done.plan.wake_seconds == 360.0
    assert f"weight 25 at {done.status.until}" in done.status.message


@pytest.mark.parametrize("case", GOOD)
def test_no_account_is_ever_told(case: str) -> None:
    done = passed(GOOD[case])
    told = [annotations_of(done.after.service or {}).get(names.STATUS, "")]
    told += [json.dumps(entry) for entry in conditions(done).values()]
    told += [event.message for event in done.events]
    told += [write.why for write in done.plan.writes]
    assert [text for text in told if "alice" in text or "bob" in text] == []


def test_no_account_is_told_of_a_bad_list_either() -> None:
    bad = running({names.WEIGHT: "10"}, kept=KEPT)
    listed = {names.HEADER: "X-Account", names.HEADER_VALUES: "alice, bo;b"}
    done = passed(put(bad, SERVICE, annotated(bad.service or {}, listed)))
    text = annotations_of(done.after.service or {})[names.STATUS]
    assert "bo;b" not in text
    assert "alice" not in text
    assert done.status.accounts == 0


def test_conditions_of_others_are_kept_as_they_are() -> None:
    theirs = {"type": "example.com/Healthy", "status": "True", "reason": "Ok", "message": "m"}
    world = idle()
    service = changed(world.service or {}, status={"conditions": [theirs]})
    done = passed(put(world, SERVICE, service))
    assert conditions(done)["example.com/Healthy"] == theirs
    assert set(conditions(done)) == {
        "example.com/Healthy",
        names.READY,
        names.PROGRESSING,
        names.DEGRADED,
    }


def test_the_status_write_begins_with_what_was_seen() -> None:
    done = passed(settled_on(running(ACCOUNTS, kept=KEPT)))
    assert done.plan.writes == ()
    first = passed(running(ACCOUNTS, kept=KEPT))
    (write,) = first.on(SERVICE, NAME)
    assert write == Edit(
        kind=SERVICE,
        namespace=NAMESPACE,
        name=NAME,
        operations=(
            {"op": "test", "path": "/metadata/uid", "value": uid("Service", NAME)},
            *told_operations(first, "/metadata/annotations/serinus.dev~1status"),
        ),
        subresource="status",
        why="told how the release stands",
    )


def told_operations(done: Pass, path: str, wrap: str = "") -> tuple[dict[str, Any], ...]:
    """Return how the status and the conditions of a pass are written for the first time."""
    after = done.after.service or {}
    text = annotations_of(after)[names.STATUS]
    value = {wrap: text} if wrap else text
    conditions = after["status"]["conditions"]
    return (
        {"op": "add", "path": path, "value": value},
        {"op": "add", "path": "/status/conditions", "value": conditions},
    )


def test_annotations_are_made_whole_only_of_a_service_as_it_was_seen() -> None:
    first = passed(running())
    (write,) = first.on(SERVICE, NAME)
    assert write == Edit(
        kind=SERVICE,
        namespace=NAMESPACE,
        name=NAME,
        operations=(
            {"op": "test", "path": "/metadata/resourceVersion", "value": "100"},
            *told_operations(first, "/metadata/annotations", names.STATUS),
        ),
        subresource="status",
        why="told how the release stands",
    )


def test_labels_are_made_whole_only_of_a_deployment_as_it_was_seen() -> None:
    bare = deployment(held=False)
    del bare["metadata"]["labels"]
    done = passed(idle(deployments=(bare,)))
    (write,) = done.on(DEPLOYMENT, NAME)
    assert write == Edit(
        kind=DEPLOYMENT,
        namespace=NAMESPACE,
        name=NAME,
        operations=(
            {"op": "test", "path": "/metadata/resourceVersion", "value": "100"},
            {"op": "add", "path": "/metadata/labels", "value": {names.HELD: NAME}},
        ),
        why="took the hold",
        events=(Event(reason="Enrolled", message="Deployment myapp is held from now on"),),
    )


@pytest.mark.parametrize("held", [True, False])
def test_only_a_hold_that_is_marked_is_kept(held: bool) -> None:
    release = release_of(idle(deployments=(deployment(held=held),)), NOW)
    draft = draft_of(release)
    draft.tested = "generation"
    draft.pause_stable("paused")
    edit_stable(release, draft)
    (write,) = draft.writes
    assert isinstance(write, Edit)
    kept = {"op": "test", "path": "/metadata/labels/serinus.dev~1held", "value": NAME}
    assert write.operations == (
        {"op": "test", "path": "/metadata/generation", "value": 1},
        *([kept] if held else []),
        {"op": "add", "path": "/spec/paused", "value": True},
    )


@pytest.mark.parametrize("case", sorted(set(GOOD) - {"aborted"}))
def test_a_second_pass_that_sees_the_same_tells_nothing(case: str) -> None:
    again = passed(with_service(GOOD[case], passed(GOOD[case])))
    writes = again.on(SERVICE, NAME)
    lasting = [write for write in writes if not write.events]
    assert lasting == []


def short(ready: int) -> Observed:
    """A release that waits for its pods, of which so many are ready."""
    world = running({names.WEIGHT: "40"}, exposure=exposed(0), kept=record(step=0), pods=2)
    return replace(world, canary=pool(canary()[1].name, ready))


@pytest.mark.parametrize(("ago", "wake"), [(0, 10.0), (4, 6.0), (10, None), (60, None)])
def test_counts_are_told_at_most_every_ten_seconds(ago: float, wake: float | None) -> None:
    before = passed(short(0), NOW - timedelta(seconds=ago))
    done = passed(with_service(short(1), before))
    assert bool(done.on(SERVICE, NAME)) is (wake is None)
    if wake is not None:
        assert done.plan.wake_seconds == wake


def test_a_change_of_stage_is_told_at_once() -> None:
    done = passed(with_service(running(ACCOUNTS, kept=KEPT), passed(pending(ACCOUNTS))))
    assert done.status.stage == "Canary"


def test_a_condition_that_another_hand_changed_is_put_right() -> None:
    world = settled_on(idle())
    entries = [
        {**entry, "status": "False"} if entry["type"] == names.READY else entry
        for entry in (world.service or {})["status"]["conditions"]
    ]
    service = changed(world.service or {}, status={"conditions": entries})
    done = passed(put(world, SERVICE, service))
    assert conditions(done)[names.READY]["status"] == "True"


def test_a_status_that_another_hand_took_away_is_written_again() -> None:
    world = settled_on(idle())
    done = passed(put(world, SERVICE, annotated(world.service or {}, {names.STATUS: None})))
    assert done.status.stage == "Idle"


def test_an_event_is_told_also_where_nothing_else_changes() -> None:
    standing = settled_on(running(ACCOUNTS, kept=KEPT))
    action = annotated(standing.service or {}, {names.ACTION: f"promote:{V2}"})
    done = passed(put(standing, SERVICE, action))
    assert done.told == ["PromotionApproved"]


@pytest.mark.parametrize(
    ("result", "told"), [("promoted", ("True", "Promoted")), ("aborted", ("False", "Aborted"))]
)
def test_how_the_last_release_ended_is_a_condition(result: str, told: tuple[str, str]) -> None:
    values = status(outcome={"revision": V1, "since": "s", "result": result, "why": "so"})
    done = passed(idle(values))
    entry = conditions(done)[names.PROMOTED]
    assert (entry["status"], entry["reason"]) == told
    assert entry["message"] == f"revision {V1}: so"


def test_the_last_answer_stays_until_the_next() -> None:
    values = status(lastAction={"action": "abort", "outcome": "aborted", "at": "then"})
    assert passed(idle(values)).status.last == Answer(action="abort", outcome="aborted", at="then")


def test_progressing_is_true_while_a_release_runs_and_says_what_it_waits_for() -> None:
    entry = conditions(passed(short(1)))[names.PROGRESSING]
    assert (entry["status"], entry["reason"]) == ("True", "WaitingForPods")
    assert entry["message"] == "1 of 2 canary pods are ready"
    assert conditions(passed(idle()))[names.PROGRESSING]["status"] == "False"


def test_a_refusal_is_told_once_as_an_event_and_stays_as_a_condition() -> None:
    world = idle(ingresses=(ingress(affinity="cookie"),))
    first = passed(world)
    assert first.told == ["AffinityOnMain"]
    assert conditions(first)[names.READY]["reason"] == "AffinityOnMain"
    edited = annotated(first.after.service or {}, {names.WEIGHT: "5"})
    assert passed(put(world, SERVICE, edited)).told == []


def test_what_the_server_refused_is_told_in_its_own_words() -> None:
    done = passed(idle(refusal='admission webhook "validate.nginx" denied the request'))
    entry = conditions(done)[names.DEGRADED]
    assert (entry["status"], entry["reason"]) == ("True", "AdmissionRefused")
    assert "denied the request" in entry["message"]


def test_nothing_wrong_is_told_too() -> None:
    entry = conditions(passed(idle()))[names.DEGRADED]
    assert (entry["status"], entry["reason"]) == ("False", "AsExpected")


COMMANDS = {
    "starting": ("kubectl canary abort myapp -n canary",),
    "rolling": ("kubectl canary abort myapp -n canary", "kubectl canary undo myapp -n canary"),
    "aborted and gone": (
        f"kubectl annotate service myapp -n canary --overwrite serinus.dev/action=retry:{V2}",
        "kubectl canary undo myapp -n canary",
    ),
    "idle": (),
    "a newer template": (),
}


@pytest.mark.parametrize("case", COMMANDS)
def test_the_lines_to_paste_go_on_from_where_the_release_stands(case: str) -> None:
    assert passed(GOOD[case]).status.commands == COMMANDS[case]


@pytest.mark.parametrize("case", GOOD)
def test_every_wait_has_a_message_and_an_end(case: str) -> None:
    """L4: a time at which to look again, or somebody or something that the message names."""
    done = passed(GOOD[case])
    assert done.status.message
    assert done.status.reason
    before = status_in(GOOD[case].service or {})
    moves = bool(done.does) or done.status.outcome != before.outcome
    assert moves or done.plan.wake_seconds is not None or names_a_way_out(done)


def names_a_way_out(done: Pass) -> bool:
    said = done.status.message
    words = ("kubectl", "promote:", "retry:", "set ", "has nothing pending", "by hand", "pods")
    return any(word in said for word in words)


def test_a_degraded_release_says_so() -> None:
    world = rolling(canary=Pool(), kept=replace(KEPT, approval=V2, abort="stopped"))
    stopped = changed(world.deployments[0], spec={"paused": True})
    done = passed(replace(world, deployments=(stopped, *world.deployments[1:])))
    assert conditions(done)[names.DEGRADED]["reason"] == "AbortedInRoll"


# What the checks say.


def told(world: Observed) -> Judged:
    (check,) = passed(world).status.checks
    return check


def test_tells_what_a_check_says_with_its_numbers() -> None:
    said = told(checked(FEW))
    assert said == Judged(
        check="error-rate",
        outcome="not enough data",
        message=said.message,
        canary=Tally(requests=600, events=6),
        stable=Tally(requests=5400, events=54),
        harm=Bound(evidence=-0.16, limit=2.0),
        safety=Bound(evidence=0.06, limit=1.3),
        needed=2057,
        needed_seconds=2057,
        curve=said.curve,
    )
    assert said.message.startswith("error-rate: not enough data: canary 6 of 600 (1 %)")
    assert len(said.curve) == 40
    assert (said.curve[0], said.curve[-1]) == (-0.16, -1.32)


def test_a_long_curve_is_thinned_and_ends_with_the_newest() -> None:
    whole = checked(PASSING)
    (verdict,) = verdicts_of(release_of(whole, NOW))
    said = told(whole)
    assert len(said.curve) == 36
    assert said.curve[-1] == round(verdict.curve[-1] / math.log(10), 2)
    assert said.curve[0] == round(verdict.curve[4] / math.log(10), 2)


@pytest.mark.parametrize("number", [1e300, math.inf, math.nan, -5.0])
def test_what_is_no_count_is_told_as_none(number: float) -> None:
    odd = Verdict(
        check="x",
        outcome=Outcome.NO_DATA,
        message="m" * 500,
        canary=Count(requests=number, events=number),
        harm=number if number != 1e300 else math.inf,
        needed_requests=number,
        needed_seconds=number,
    )
    assert judged_of(odd) == Judged(
        check="x",
        outcome="no data",
        message="m" * 400,
        harm=Bound(evidence=0.0 if number != -5.0 else -2.17),
    )


@pytest.mark.parametrize(
    ("number", "whole"), [(0.0, 0), (0.5, 0), (1.5, 2), (999_999_998.0, 999_999_998), (1e9, None)]
)
def test_what_is_needed_is_told_in_whole_requests(number: float, whole: int | None) -> None:
    odd = Verdict(check="x", outcome=Outcome.NO_DATA, message="m", needed_requests=number)
    assert judged_of(odd).needed == whole


def test_a_release_that_is_closed_or_ending_is_not_judged() -> None:
    said = (Judged(check="x", outcome="pass", message="m"),)

    def judged(world: Observed, stage: Stage) -> tuple[Judged, ...]:
        release = release_of(world, NOW)
        told = replace(release.status, checks=said)
        return checks_now(replace(release, status=told), draft_of(release), stage)

    open_world, closed = checked(BAD), checked(BAD, world=standing(exposure=exposed(0)))
    assert [it.outcome for it in judged(open_world, Stage.CANARY)] == ["fail"]
    assert judged(open_world, Stage.ROLLING_BACK) == said
    assert judged(closed, Stage.CANARY) == ()


def test_while_an_abort_is_written_the_checks_are_what_was_said_last() -> None:
    ending = put(checked(BAD), SERVICE, annotated(service(), {names.ACTION: "abort"}))
    assert passed(ending).status.checks == ()


def test_what_checks_said_last_stays_until_the_next_release() -> None:
    ended = passed(checked(BAD))
    assert [it.outcome for it in ended.status.checks] == ["fail"]
    draining = passed(ended.after)
    assert draining.plan.stage == "RollingBack"
    assert draining.status.checks == ended.status.checks
    at_rest = put(idle(), SERVICE, service_after(ended))
    assert passed(at_rest).status.checks == ()


def service_after(done: Pass) -> Any:
    assert done.after.service is not None
    return done.after.service


GET, PUT = Kind(text="GET 2xx", stable=9346, canary=50), Kind(text="PUT 2xx", stable=654, canary=4)
TRIED = Tried(kinds=(GET, PUT, Kind(text="HEAD 2xx", canary=1)), untold="hosts")


def test_what_the_canary_was_asked_is_told_and_never_rounded_up() -> None:
    assert passed(checked(PASSING, tried=TRIED)).status.coverage == Covered(
        share=0.934,
        kinds=2,
        tried=1,
        missing=("PUT 2xx (6.5 % of stable's, 4 so far)",),
        untold="hosts",
    )
    assert passed(checked(PASSING)).status.coverage is None
    half = Tried(kinds=(Kind(text="GET 2xx", stable=1, canary=50), Kind(text="PUT 2xx", stable=1)))
    covered = passed(checked(PASSING, tried=half)).status.coverage
    assert covered is not None
    assert covered.share == 0.5


def test_what_the_canary_was_asked_stays_until_the_next_release() -> None:
    ended = passed(checked(BAD, tried=TRIED))
    assert ended.status.coverage is not None
    assert passed(ended.after).status.coverage == ended.status.coverage
    at_rest = put(idle(), SERVICE, service_after(ended))
    assert passed(at_rest).status.coverage is None


def test_a_canary_that_nobody_reaches_is_told_without_checks() -> None:
    assert passed(standing(exposure=exposed(0), kept=record(step=0))).status.checks == ()
