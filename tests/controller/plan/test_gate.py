"""What checks do to a release: a failure ends it, doubt holds the step, a pass lets it go on."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from controller.api import names
from controller.api.objects import SERVICE, stamp
from controller.api.template import Template
from controller.plan.coverage import Kind, Tried
from controller.plan.evidence import Count, Evidence
from controller.plan.gate import inquiry_of, tried_by, verdicts_of
from controller.plan.inquiry import Ask, Gathered, Inquiry, Own
from controller.plan.judge import Outcome, Verdict
from controller.plan.observed import Observed, Pool
from controller.plan.release import release_of
from controller.plan.restarts import Containers
from controller.plan.sources import Nginx, Traefik, Upstream
from controller.plan.writes import Event
from tests.controller.plan.answers import (
    AT_FIVE,
    BAD,
    CHECKED,
    FEW,
    GOOD,
    METERED,
    NONE,
    checked,
    standing,
)
from tests.controller.plan.applied import annotated, put
from tests.controller.plan.plans import passed
from tests.controller.plan.windows import SUCCESS
from tests.controller.plan.worlds import (
    LONG_AGO,
    NAME,
    NOW,
    V2,
    deployment,
    exposed,
    ingress,
    pending,
    record,
    replica_set,
    rolled,
    rolling,
    status,
)

SHOP = Upstream(namespace="canary", ingress=NAME, service=NAME, port="80")
ROLLING = record(step=50, approval=V2, approved_by="the plan", exposed=stamp(LONG_AGO))
ABORTED = {"revision": V2, "result": "aborted", "why": "by a person"}
TRIED = Tried(kinds=(Kind(text="GET 2xx", stable=100, canary=10),))


def said(world: Observed) -> list[tuple[str, Outcome]]:
    return [(it.check, it.outcome) for it in verdicts_of(release_of(world, NOW))]


def message(world: Observed) -> str:
    (verdict,) = verdicts_of(release_of(world, NOW))
    return verdict.message


# What is asked.


def test_a_release_with_checks_asks_from_its_first_exposure_on() -> None:
    assert passed(standing()).plan.inquiry == Inquiry(
        since=LONG_AGO.timestamp(),
        checks=release_of(standing(), NOW).intent.checks,  # type: ignore[union-attr]  # it is valid
        plane=Traefik(upstreams=(SHOP,)),
        scrape_seconds=15,
    )


@pytest.mark.parametrize(
    "world",
    [
        pending(CHECKED, parameters=METERED),
        standing({names.STEPS: "5/10m"}),
        standing(kept=record(step=5), exposure=exposed(0)),
    ],
    ids=["no canary", "no checks", "nobody exposed"],
)
def test_nothing_is_asked(world: Observed) -> None:
    assert passed(world).plan.inquiry is None


def test_the_first_exposure_is_noted_once_there_are_checks() -> None:
    fresh = standing(kept=record(step=5))
    assert passed(fresh).record == replace(record(step=5), exposed=stamp(NOW))
    assert passed(standing()).record == AT_FIVE
    without = standing({names.STEPS: "5/10m"}, kept=record(step=5))
    assert passed(without).record == record(step=5)


def test_nothing_is_noted_before_the_exposure() -> None:
    closed = standing(kept=record(step=0), exposure=exposed(0))
    done = passed(closed)
    assert done.record is not None
    assert done.record.exposed == ""


def test_nothing_is_noted_while_it_is_taken_back() -> None:
    fresh = standing(kept=record(step=5))
    ended = status(rejected={"revision": V2}, outcome={**ABORTED, "since": record().since})
    done = passed(put(fresh, SERVICE, annotated(fresh.service or {}, ended)))
    assert done.plan.stage == "RollingBack"
    assert done.record == record(step=5)


def test_every_port_behind_every_ingress_is_asked_for() -> None:
    other = ingress("web", "other.example")
    rule = other["spec"]["rules"][0]
    named = {"path": "/x", "pathType": "Prefix", "backend": {"service": {"name": NAME}}}
    named["backend"]["service"]["port"] = {"name": "http"}  # type: ignore[index]  # the sample has it
    stranger = {**rule["http"]["paths"][0], "backend": {"service": {"name": "other"}}}
    rule["http"]["paths"] += [named, stranger]
    world = standing()
    world = replace(world, ingresses=(*world.ingresses, other))
    asked = inquiry_of(release_of(world, NOW), AT_FIVE)
    assert asked is not None
    assert asked.plane == Traefik(
        upstreams=(
            SHOP,
            replace(SHOP, ingress="web"),
            replace(SHOP, ingress="web", port="http"),
        )
    )


@pytest.mark.parametrize(
    ("rules", "has_testers"),
    [
        ({}, False),
        ({names.HEADER: "X-Id", names.HEADER_VALUES: "alice"}, True),
        ({names.HEADER: "X-Id", names.HEADER_SUFFIXES: "7"}, True),
        ({names.COOKIE: "beta"}, True),
    ],
)
def test_rules_bring_testers(rules: dict[str, str], *, has_testers: bool) -> None:
    nginx = replace(METERED, dialect="ingress-nginx")
    world = standing({**CHECKED, **rules}, parameters=nginx)
    asked = inquiry_of(release_of(world, NOW), AT_FIVE)
    assert asked is not None
    assert (asked.plane, asked.has_testers) == (Nginx(upstreams=(SHOP,)), has_testers)


def test_restarts_ask_for_pods_alone() -> None:
    world = standing({names.CHECKS: "restarts"}, parameters=replace(METERED, scrape_seconds=None))
    asked = inquiry_of(release_of(world, NOW), AT_FIVE)
    assert asked == Inquiry(
        since=LONG_AGO.timestamp(),
        checks=asked.checks if asked is not None else (),
        pods=("serinus.dev/service=myapp,serinus.dev/track=canary", "app=myapp"),
    )


@pytest.mark.parametrize(
    "parameters",
    [replace(METERED, scrape_seconds=None), replace(METERED, dialect="common")],
    ids=["no metrics server", "no dialect"],
)
def test_what_cannot_be_asked_is_no_data(parameters: Any) -> None:
    world = standing(parameters=parameters)
    asked = inquiry_of(release_of(world, NOW), AT_FIVE)
    assert asked is not None
    assert asked.plane is None
    told = replace(world, gathered=Gathered(inquiry=asked, at=NOW.timestamp()))
    said = "error-rate: no data: nobody was asked"
    assert verdicts_of(release_of(told, NOW)) == (
        Verdict(check="error-rate", outcome=Outcome.NO_DATA, message=said),
    )


def test_an_administrators_check_is_asked_with_the_names_of_the_release() -> None:
    template = Template(name="x-orders", requests="r $pods $fresh", events="e $pods $service")
    other = replace(template, name="x-other")
    own = replace(METERED, dialect="common", templates=(other, template))
    world = standing({names.CHECKS: "x-orders"}, parameters=own)
    asked = inquiry_of(release_of(world, NOW), AT_FIVE)
    ours, theirs = (f"{name}-[a-z0-9]{{1,10}}-[a-z0-9]{{5}}" for name in ("myapp-canary", "myapp"))
    assert asked == Inquiry(
        since=LONG_AGO.timestamp(),
        checks=asked.checks if asked is not None else (),
        own=(
            Own(
                name="x-orders",
                asks=(
                    Ask(query=f"r {ours} 30s", part="canary requests"),
                    Ask(query=f"e {ours} myapp", part="canary events"),
                    Ask(query=f"r {theirs} 30s", part="stable requests"),
                    Ask(query=f"e {theirs} myapp", part="stable events"),
                ),
            ),
        ),
    )


def test_restarts_need_no_proxy_to_be_asked() -> None:
    asked = inquiry_of(release_of(standing({names.CHECKS: "restarts"}), NOW), AT_FIVE)
    assert asked is not None
    assert asked.plane is None


def test_an_administrators_check_is_asked_as_often_as_the_proxy_is_looked_at() -> None:
    template = Template(name="x-a", requests="$namespace $fresh", events="")
    slow = replace(METERED, scrape_seconds=60, templates=(template,))
    asked = inquiry_of(release_of(standing({names.CHECKS: "x-a"}, parameters=slow), NOW), AT_FIVE)
    assert asked is not None
    assert asked.scrape_seconds == 60
    assert asked.own[0].asks[0].query == "canary 120s"
    alone = replace(slow, scrape_seconds=None)
    unasked = inquiry_of(
        release_of(standing({names.CHECKS: "x-a"}, parameters=alone), NOW), AT_FIVE
    )
    assert unasked is not None
    assert unasked.own == ()


@pytest.mark.parametrize(
    "told",
    [
        {"outcome": {"revision": V2, "since": AT_FIVE.since, "result": "promoted", "why": "x"}},
        {"rejected": {"revision": V2}},
    ],
)
def test_of_a_release_that_has_ended_nothing_is_asked(told: dict[str, Any]) -> None:
    world = standing()
    annotations = {**CHECKED, **status(**told)}
    ended = put(world, SERVICE, annotated(world.service or {}, annotations))
    assert inquiry_of(release_of(world, NOW), AT_FIVE) is not None
    assert inquiry_of(release_of(ended, NOW), AT_FIVE) is None


def test_a_pass_is_one_of_this_step() -> None:
    assert said(checked(GOOD)) == [("error-rate", Outcome.PASS)]
    just_begun = standing(kept=replace(AT_FIVE, step_since=stamp(NOW)))
    assert said(checked(GOOD, world=just_begun)) == [("error-rate", Outcome.NOT_ENOUGH_DATA)]


def test_of_a_step_whose_time_nobody_wrote_all_windows_count() -> None:
    untimed = standing(kept=replace(AT_FIVE, step_since=""))
    assert said(checked(GOOD, world=untimed)) == [("error-rate", Outcome.PASS)]


# What the answers are worth.


def test_before_the_first_answer_there_is_no_data() -> None:
    assert message(standing()) == "error-rate: no data: nothing was answered yet"


def test_answers_about_another_release_are_none() -> None:
    other = checked(GOOD, world=standing(kept=replace(AT_FIVE, exposed=stamp(NOW))))
    assert message(replace(standing(), gathered=other.gathered)) == (
        "error-rate: no data: nothing was answered yet"
    )


def test_answers_grow_old() -> None:
    assert said(checked(GOOD, at=NOW.timestamp() - 45)) == [("error-rate", Outcome.PASS)]
    assert message(checked(GOOD, at=NOW.timestamp() - 46)) == (
        "error-rate: no data: the newest answers are 46 s old"
    )


def test_every_check_has_its_verdict_in_the_users_order() -> None:
    annotations = {**CHECKED, names.CHECKS: "restarts, success>=99%, coverage>=95%, error-rate"}
    found = replace(GOOD, criterion=replace(SUCCESS, tolerated=0.1, margin=0.1))
    containers = Containers(canary=Count(requests=2, events=1), stable=Count(requests=3))
    world = checked(found, GOOD, world=standing(annotations), tried=TRIED, containers=containers)
    assert said(world) == [
        ("restarts", Outcome.FAIL),
        ("success>=99%", Outcome.PASS),
        ("coverage>=95%", Outcome.PASS),
        ("error-rate", Outcome.PASS),
    ]


def test_what_was_not_gathered_is_no_data() -> None:
    world = standing({**CHECKED, names.CHECKS: "restarts, coverage>=95%"})
    assert [it.message for it in verdicts_of(release_of(checked(world=world), NOW))] == [
        "restarts: no data: nobody was asked",
        "coverage>=95%: no data: nobody was asked",
    ]


def test_what_the_canary_was_asked_is_known_whatever_is_checked() -> None:
    assert tried_by(release_of(checked(GOOD, tried=TRIED), NOW)) == TRIED


@pytest.mark.parametrize(
    "world",
    [
        standing(),
        checked(GOOD),
        checked(GOOD, tried=Tried(problem="no answer within 5 s")),
        checked(GOOD, tried=TRIED, at=NOW.timestamp() - 46),
        replace(checked(GOOD, tried=TRIED), parameters=replace(METERED, dialect="common")),
        standing({names.STEPS: "5/10m"}),
    ],
)
def test_what_the_canary_was_asked_is_not_known(world: Observed) -> None:
    assert tried_by(release_of(world, NOW)) is None


# What follows.


def ending(world: Observed) -> tuple[str, str, str]:
    """Return the stage, the outcome's reason and what the canary Ingress lets through."""
    done = passed(world)
    outcome = done.status.outcome
    weight = done.exposure.weight if done.exposure is not None else "-"
    return str(done.plan.stage), outcome.reason if outcome is not None else "", f"weight {weight}"


def test_a_failed_check_aborts_at_once() -> None:
    done = passed(checked(BAD))
    assert ending(checked(BAD)) == ("RollingBack", "ChecksFailed", "weight 0")
    assert done.status.rejected is not None
    assert done.status.rejected.revision == V2
    assert done.told.count("ChecksFailed") == 1
    assert "Aborted" not in done.told
    assert [(it.check, it.outcome) for it in done.status.checks] == [("error-rate", "fail")]


def test_an_abort_says_what_each_failed_check_says() -> None:
    annotations = {**CHECKED, names.CHECKS: "error-rate, success>=99%"}
    world = checked(BAD, replace(BAD, criterion=SUCCESS), world=standing(annotations))
    verdicts = verdicts_of(release_of(world, NOW))
    assert [it.outcome for it in verdicts] == [Outcome.FAIL, Outcome.FAIL]
    why = "; ".join(it.message for it in verdicts)
    done = passed(world)
    assert done.status.outcome is not None
    assert done.status.outcome.why == why
    event = Event(reason="ChecksFailed", message=f"revision {V2}: {why}", type="Warning")
    assert event in done.events


def test_the_answers_are_needed_until_the_end_is_seen() -> None:
    """The write that records it may be lost, and the next pass must know of the failure."""
    world = checked(BAD)
    first = passed(world)
    assert first.plan.inquiry is not None
    assert first.plan.inquiry == (world.gathered.inquiry if world.gathered else None)
    assert passed(first.after).plan.inquiry is None


@pytest.mark.parametrize(("found", "weight"), [(GOOD, 25), (FEW, 5), (NONE, 5)])
def test_whatever_else_is_said_aborts_nothing(found: Evidence, weight: int) -> None:
    assert ending(checked(found)) == ("Canary", "", f"weight {weight}")


def test_a_failed_check_aborts_a_pinned_canary() -> None:
    world = standing({**CHECKED, names.WEIGHT: "5"})
    assert ending(checked(BAD, world=world)) == ("RollingBack", "ChecksFailed", "weight 0")


def test_a_failed_check_aborts_a_paused_plan() -> None:
    world = standing(kept=replace(AT_FIVE, paused=True))
    assert ending(checked(BAD, world=world)) == ("RollingBack", "ChecksFailed", "weight 0")


def test_a_failed_check_aborts_a_promotion_before_its_roll() -> None:
    world = standing(kept=replace(AT_FIVE, approval=V2))
    assert ending(checked(BAD, world=world)) == ("RollingBack", "ChecksFailed", "weight 0")


def test_nobody_is_sent_to_a_stable_without_a_ready_pod() -> None:
    world = standing(
        stable=Pool(),
        replica_sets=(replica_set("v1", 4, ready=0), *standing().replica_sets[1:]),
    )
    done = passed(checked(BAD, world=world))
    assert done.status.outcome is None
    assert done.exposure == exposed(5)


def test_a_failed_check_stops_a_roll_once() -> None:
    world = checked(BAD, world=rolling(CHECKED, kept=ROLLING, parameters=METERED))
    done = passed(world)
    assert done.record == replace(ROLLING, abort="asked", failed=True)
    said = f"the roll is stopped: {message(world)}"
    assert Event(reason="ChecksFailed", message=said, type="Warning") in done.events
    went_on = rolling(CHECKED, kept=replace(ROLLING, failed=True), parameters=METERED)
    assert passed(checked(BAD, world=went_on)).record == replace(ROLLING, failed=True)


def test_an_abort_that_runs_is_not_asked_for_again() -> None:
    stopping = replace(ROLLING, abort="asked")
    world = rolling(CHECKED, kept=stopping, parameters=METERED)
    assert "ChecksFailed" not in passed(checked(BAD, world=world)).told


def test_a_roll_by_hand_is_the_persons_own() -> None:
    by_hand = replace(ROLLING, approval="", approved_by="")
    world = rolling(CHECKED, kept=by_hand, parameters=METERED)
    done = passed(checked(BAD, world=world))
    assert done.record is not None
    assert done.record.abort == ""


def test_after_the_roll_a_failure_changes_nothing() -> None:
    world = checked(BAD, world=rolled(CHECKED, kept=ROLLING, parameters=METERED))
    assert passed(world).record == ROLLING


def test_a_failed_check_is_nothing_to_a_template_put_back() -> None:
    back = deployment("v1", paused=True, generation=3)
    kept = standing().deployments[1]
    world = checked(BAD, world=standing(deployments=(back, kept)))
    done = passed(world)
    assert done.status.outcome is not None
    assert done.status.outcome.why == "the old template was put back"


# The step.


def waits(world: Observed) -> tuple[str, str]:
    done = passed(world)
    return done.reason, done.status.message


def test_a_step_that_had_its_time_waits_for_its_checks() -> None:
    reason, text = waits(checked(FEW))
    assert reason == "ChecksUndecided"
    assert text.startswith(
        "weight 5; weight 25 waits for the checks, or for a person (continue): "
        "error-rate: not enough data: canary 6 of 600 (1 %)"
    )
    assert passed(checked(FEW)).status.commands[0] == "kubectl canary continue myapp -n canary"


def test_a_step_without_data_says_what_is_missing() -> None:
    assert waits(checked(NONE)) == (
        "ChecksWithoutData",
        (
            "weight 5; weight 25 waits for the checks, or for a person (continue): "
            "error-rate: no data: no answer within 5 s"
        ),
    )


def test_a_step_whose_checks_have_passed_is_over() -> None:
    assert passed(checked(GOOD)).exposure == exposed(25)


def test_a_step_keeps_its_time_though_its_checks_have_passed() -> None:
    young = replace(AT_FIVE, step_since=stamp(NOW - timedelta(minutes=4)))
    reason, text = waits(checked(GOOD, world=standing(kept=young)))
    until = stamp(NOW + timedelta(minutes=6))
    assert (reason, text) == ("Canary", f"weight 5; weight 25 at {until} if every check passes")


def test_a_persons_word_for_this_weight_is_enough() -> None:
    waived = replace(AT_FIVE, waived=5)
    assert passed(checked(NONE, world=standing(kept=waived))).exposure == exposed(25)
    elsewhere = replace(AT_FIVE, waived=25)
    assert waits(checked(NONE, world=standing(kept=elsewhere)))[0] == "ChecksWithoutData"


def test_too_little_data_may_be_accepted_and_missing_data_may_not() -> None:
    accepting = standing({**CHECKED, names.ACCEPT: "not-enough-data"})
    assert passed(checked(FEW, world=accepting)).exposure == exposed(25)
    assert waits(checked(NONE, world=accepting))[0] == "ChecksWithoutData"


def test_the_worst_check_is_told() -> None:
    world = standing({**CHECKED, names.CHECKS: "error-rate, success>=99%"})
    few = replace(FEW, criterion=SUCCESS)
    assert waits(checked(few, NONE, world=world))[0] == "ChecksWithoutData"
    assert waits(checked(NONE, few, world=world))[0] == "ChecksWithoutData"


def test_a_plan_stands_while_the_exposure_is_not_noted() -> None:
    fresh = standing(kept=replace(AT_FIVE, exposed=""))
    assert waits(fresh) == (
        "ChecksWithoutData",
        (
            "weight 5; weight 25 waits for the checks, or for a person (continue): "
            "nobody was exposed yet"
        ),
    )


def test_the_last_step_is_followed_by_promotion_once_checks_have_passed() -> None:
    annotations = {**CHECKED, names.STEPS: "5/10m", names.PROMOTION: "auto"}
    done = passed(checked(GOOD, world=standing(annotations)))
    assert done.record == replace(AT_FIVE, approval=V2, approved_by="the plan")
    doubtful = passed(checked(FEW, world=standing(annotations)))
    assert doubtful.record == AT_FIVE
