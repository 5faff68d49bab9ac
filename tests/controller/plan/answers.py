"""Builders of what a metrics server has answered about the release of `worlds.running`."""

from dataclasses import replace
from typing import Any

from controller.api import names
from controller.api.objects import stamp
from controller.plan.evidence import Evidence
from controller.plan.gate import inquiry_of
from controller.plan.inquiry import Gathered
from controller.plan.observed import Observed, Parameters
from controller.plan.release import release_of
from tests.controller.plan.windows import ERROR_RATE, count, evidence
from tests.controller.plan.worlds import LONG_AGO, NOW, exposed, record, running

METERED = Parameters(
    propagation_seconds=10,
    drain_seconds=30,
    ready_seconds=5,
    dialect="traefik",
    scrape_seconds=15,
)
CHECKED = {names.CHECKS: "error-rate", names.STEPS: "5/10m, 25"}
AT_FIVE = record(step=5, exposed=stamp(LONG_AGO))
LATE = NOW.timestamp()
"""Windows of builders end in 1970: a step that began now has none."""

GOOD = evidence(count(1500, 15), count(13500, 135), 250)
BAD = evidence(count(15, 7), count(135, 1.35))
FEW = evidence(count(15, 0.15), count(135, 1.35))
NONE = Evidence(criterion=ERROR_RATE, problem="no answer within 5 s")


def recent(found: Evidence) -> Evidence:
    """Return the same evidence with windows up to now."""
    shift = LATE - (found.windows[-1].ends if found.windows else 0.0)
    windows = tuple(replace(one, ends=one.ends + shift) for one in found.windows)
    return replace(found, windows=windows)


def checked(*found: Evidence, world: Observed | None = None, **answers: Any) -> Observed:
    """Return a release with checks about which there are answers.

    Args:
        found: what was gathered for each check, its windows moved up to now; nothing: nobody asked.
        world: by default the release stands at weight 5 with the check `error-rate`.
        answers: fields of `Gathered`.
    """
    base = world or standing()
    release = release_of(base, NOW)
    inquiry = inquiry_of(release, release.record)
    assert inquiry is not None
    gathered = Gathered(
        inquiry=inquiry,
        evidence=tuple(map(recent, found)),
        **{"at": NOW.timestamp(), **answers},
    )
    return replace(base, gathered=gathered)


def standing(annotations: dict[str, str] | None = None, **changes: Any) -> Observed:
    """Return a release at weight 5 in a cluster with a metrics server, nothing asked yet."""
    given = {"exposure": exposed(5), "kept": AT_FIVE, "parameters": METERED, **changes}
    return running(annotations or CHECKED, **given)
