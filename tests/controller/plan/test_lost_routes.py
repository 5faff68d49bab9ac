"""A canary Ingress that vanished with its main: the drain begins when that is seen."""

from controller.api import names
from controller.api.objects import DEPLOYMENT, stamp
from controller.plan.record import record_of
from controller.plan.traffic.exposure import CLOSED
from tests.controller.plan.applied import CANARY, object_in
from tests.controller.plan.plans import passed
from tests.controller.plan.worlds import LONG_AGO, NOW, V2, record, running


def test_the_drain_begins_now_where_the_ingresses_are_gone_and_nothing_says_since_when() -> None:
    done = passed(running({names.WEIGHT: "20"}, kept=record(step=20), ingresses=()))
    canary = object_in(done.after, DEPLOYMENT, CANARY)
    assert canary is not None
    assert canary["spec"]["replicas"] == 2
    kept = record_of(canary)
    assert kept is not None
    assert kept.changed == stamp(NOW)


def test_the_time_of_an_exposure_that_ended_is_forgotten_once_the_canary_is_open_again() -> None:
    kept = record(step=20, step_since=stamp(LONG_AGO), changed=stamp(LONG_AGO))
    done = passed(running({names.WEIGHT: "20"}, kept=kept))
    canary = object_in(done.after, DEPLOYMENT, CANARY)
    assert canary is not None
    after = record_of(canary)
    assert after is not None
    assert after.changed == ""


def test_a_newer_template_keeps_the_end_of_an_exposure_that_was_over_before() -> None:
    kept = record(revision="earlier", generation=1, changed=stamp(LONG_AGO))
    done = passed(running(exposure=CLOSED, kept=kept))
    canary = object_in(done.after, DEPLOYMENT, CANARY)
    assert canary is not None
    after = record_of(canary)
    assert after is not None
    assert (after.revision, after.changed) == (V2, stamp(LONG_AGO))
