"""What the checks of a release say, and what follows: a failure ends it, doubt holds the step."""

from collections.abc import Collection, Iterable, Mapping
from functools import lru_cache

from controller.api.check import Check
from controller.api.intent import Intent
from controller.api.objects import backend_service, ingress_paths, moment_of, name_of, stamp
from controller.plan.actions import end
from controller.plan.checks import Hold
from controller.plan.coverage import Tried, covered, flaw_of
from controller.plan.discovery import selector_of
from controller.plan.draft import Draft
from controller.plan.evidence import STALE_SCRAPES
from controller.plan.inquiry import Gathered, Inquiry, Own, own_of, unanswered
from controller.plan.judge import Outcome, Verdict, judge
from controller.plan.observed import Parameters
from controller.plan.record import Record
from controller.plan.release import Release, Roll
from controller.plan.restarts import Containers, restarted
from controller.plan.sources import Nginx, Plane, Traefik, Upstream, fresh_range, pods_of
from controller.plan.stages import Stage
from controller.plan.wording import number_text
from controller.plan.workload import canary_name, canary_selector

ANSWER_SECONDS = 15.0
"""From the end of a window to the answers about it, at most: later ones are no evidence."""
JUDGED = frozenset({Stage.STARTING, Stage.CANARY, Stage.PROMOTING})
"""Stages in which checks have a say."""
RESTARTS = "restarts"
"""The check that needs no metrics server."""
UNKNOWN_SCRAPE_SECONDS = 15.0
"""Without a metrics server pods are looked at as often as one would look at the proxy."""
UNASKED = "nobody was asked"
REASONS = {
    Outcome.FAIL: "ChecksFailed",
    Outcome.NO_DATA: "ChecksWithoutData",
    Outcome.NOT_ENOUGH_DATA: "ChecksUndecided",
}
"""What a condition says while a check has this outcome, the worst one first."""


def heed(release: Release, draft: Draft, stage: Stage) -> Stage:
    """Let the checks speak: note the first exposure, and abort if one has failed.

    Returns the stage to go on with. From P3 on a failed check is an abort like any (safety.md
    section 4): it stops the roll, once; whoever lets it go on then knows. A roll by a person's own
    hand is his, and a stable that is whole at the approved revision has nothing to go back to.
    Where stable has nothing ready, nobody is sent there unasked (T13).
    """
    record = draft.record
    if stage not in JUDGED or record is None or not asks(release.intent):
        return stage
    if release.is_open and not record.exposed:
        draft.note(exposed=stamp(release.now))
    failed = [it for it in verdicts_of(release) if it.outcome is Outcome.FAIL]
    if not failed or record.abort or record.failed or release.has_nothing_ready:
        return stage
    why = "; ".join(verdict.message for verdict in failed)
    if release.roll is Roll.HELD:
        end(release, draft, why, reason="ChecksFailed")
        return Stage.ROLLING_BACK
    if release.roll is Roll.ROLLING and record.approval:
        draft.note(abort="asked", failed=True)
        draft.tell("ChecksFailed", f"the roll is stopped: {why}", warning=True)
    return stage


def asks(intent: Intent | None) -> bool:
    """Tell whether any check is asked for."""
    return intent is not None and bool(intent.checks)


def inquiry_of(release: Release, record: Record | None) -> Inquiry | None:
    """Return what has to be found out; None while nobody is exposed or nothing is asked.

    The end of a release is recorded by a write that may be lost: until it is seen, the answers are
    needed, or the next pass would know nothing of the failure.
    """
    intent = release.intent
    exposed = moment_of(record.exposed) if record is not None else None
    if intent is None or not intent.checks or exposed is None:
        return None
    if release.is_concluded or release.is_rejected:
        return None
    names = {check.name for check in intent.checks}
    is_counted = any(check.name != RESTARTS and not check.is_own for check in intent.checks)
    plane = _plane(release.parameters, upstreams_of(release)) if is_counted else None
    has_rules = bool(intent.accounts or intent.suffixes or intent.cookie)
    return Inquiry(
        since=exposed.timestamp(),
        checks=intent.checks,
        plane=plane,
        scrape_seconds=release.parameters.scrape_seconds or UNKNOWN_SCRAPE_SECONDS,
        own=_own(release, names) if release.parameters.scrape_seconds is not None else (),
        pods=_pods(release) if RESTARTS in names else None,
        has_testers=has_rules,
    )


def _pods(release: Release) -> tuple[str, str]:
    """Return the label selectors of the canary's pods and of stable's."""
    ours = canary_selector(release.observed.name)
    return _selector(ours), _selector(selector_of(release.observed.service or {}))


def _own(release: Release, names: Collection[str]) -> tuple[Own, ...]:
    """Return the administrator's checks that are asked for, with this release's names."""
    stable = name_of(release.stable or {})
    values = {
        "namespace": release.observed.namespace,
        "service": release.observed.name,
        "fresh": fresh_range(release.parameters.scrape_seconds or UNKNOWN_SCRAPE_SECONDS),
    }
    return tuple(
        own_of(template, values, pods_of(canary_name(stable)), pods_of(stable))
        for template in release.parameters.templates
        if template.name in names
    )


def _selector(labels: Mapping[str, str]) -> str:
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items()))


def _plane(parameters: Parameters, upstreams: tuple[Upstream, ...]) -> Plane | None:
    """Return how the data plane counts; None where that is not known: refused elsewhere."""
    if parameters.scrape_seconds is None:
        return None
    match parameters.dialect:
        case "traefik":
            return Traefik(upstreams=upstreams)
        case "ingress-nginx":
            return Nginx(upstreams=upstreams)
        case _:
            return None


def upstreams_of(release: Release) -> tuple[Upstream, ...]:
    """Return every port of the Service behind every Ingress that takes part."""
    observed = release.observed
    found = {
        (name_of(main), str(port.get("number") or port.get("name")))
        for main in release.found.mains.values()
        for _, path in ingress_paths(main)
        if backend_service(path) == observed.name
        for port in [(path["backend"]["service"].get("port") or {})]
    }
    return tuple(
        Upstream(namespace=observed.namespace, ingress=ingress, service=observed.name, port=port)
        for ingress, port in sorted(found)
    )


def verdicts_of(release: Release) -> tuple[Verdict, ...]:
    """Return what each check says, in the user's order; nothing before the first exposure."""
    inquiry = inquiry_of(release, release.record)
    if inquiry is None or release.record is None:
        return ()
    step = moment_of(release.record.step_since)
    since = step.timestamp() if step is not None else inquiry.since
    gathered = release.observed.gathered
    problem = _problem(inquiry, gathered, release.now.timestamp())
    if problem or gathered is None:
        return _verdicts(unanswered(inquiry, release.now.timestamp(), problem), since)
    return _judged(gathered, since)


def tried_by(release: Release) -> Tried | None:
    """Return what the canary was asked; None where that is not known now."""
    inquiry, gathered = inquiry_of(release, release.record), release.observed.gathered
    if inquiry is None or gathered is None or gathered.tried is None:
        return None
    is_unknown = _problem(inquiry, gathered, release.now.timestamp()) or flaw_of(gathered.tried)
    return None if is_unknown else gathered.tried


def _problem(inquiry: Inquiry, gathered: Gathered | None, now: float) -> str:
    """Return why the newest answers are none for this release now; "" where they are."""
    if gathered is None or gathered.inquiry != inquiry:
        return "nothing was answered yet"
    past = now - gathered.at
    if past > STALE_SCRAPES * inquiry.step_at(now) + ANSWER_SECONDS:
        return f"the newest answers are {number_text(past)} s old"
    return ""


def _verdicts(gathered: Gathered, since: float) -> tuple[Verdict, ...]:
    counted = iter(judge(gathered.evidence, since))
    return tuple(
        _of_its_own(check, gathered) or next(counted, _unasked(check))
        for check in gathered.inquiry.checks
    )


def _of_its_own(check: Check, gathered: Gathered) -> Verdict | None:
    """Return the verdict of a check that is not judged by counts of events; None: it is."""
    if check.name == "coverage":
        return covered(check, gathered.tried or Tried(problem=UNASKED))
    if check.name == RESTARTS:
        return restarted(check, gathered.containers or Containers(problem=UNASKED))
    return None


def _unasked(check: Check) -> Verdict:
    outcome = Outcome.NO_DATA
    return Verdict(check=check.text, outcome=outcome, message=f"{check.text}: {outcome}: {UNASKED}")


_judged = lru_cache(maxsize=1024)(_verdicts)
"""Judges once for each answer: a long release has thousands of windows."""


def hold_on_step(release: Release, record: Record, position: int) -> Hold | None:
    """Return why the step at which the plan stands is not over for its checks.

    Args:
        release: the release.
        record: its record.
        position: weight of the step.
    """
    if not asks(release.intent) or record.waived == position:
        return None
    verdicts = verdicts_of(release)
    if not verdicts:
        return Hold(reason=REASONS[Outcome.NO_DATA], message="nobody was exposed yet")
    doubtful = _worst(verdicts)
    if doubtful is None or _is_accepted(release, doubtful):
        return None
    return Hold(reason=REASONS[doubtful.outcome], message=doubtful.message)


def _worst(verdicts: Iterable[Verdict]) -> Verdict | None:
    """Return the check that holds up most: a failed one, else one without data."""
    order = list(REASONS)
    open_ones = [verdict for verdict in verdicts if verdict.outcome in REASONS]
    return min(open_ones, key=lambda it: order.index(it.outcome), default=None)


def _is_accepted(release: Release, verdict: Verdict) -> bool:
    """Tell whether the user said that a step may end without proof, as long as there is data."""
    intent = release.intent
    accepts = intent is not None and "not-enough-data" in intent.accept
    return accepts and verdict.outcome is Outcome.NOT_ENOUGH_DATA
