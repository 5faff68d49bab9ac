"""Every stage meets every event: the table of docs/stages.md, each cell of which is a test."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import pytest

from controller.api import names
from controller.plan.observed import Hold
from controller.plan.traffic.exposure import Exposure
from tests.world.columns import WEIGHT, Column
from tests.world.copies import on_a_copy, prepared
from tests.world.deeds import (
    Deed,
    act,
    apply_newer,
    autoscale_down,
    by_hand,
    change_template,
    crash_canary,
    delete,
    delete_pods,
    delete_serving_set,
    put_main_back,
    refuses,
    restarted,
    set_right,
    ship_a_bad_one,
    to_v1_and_resume,
)
from tests.world.kubectl import NAME
from tests.world.outcomes import (
    ACCOUNTS,
    Check,
    aborted,
    answered,
    canary,
    closed,
    closed_at_once,
    gone,
    idle,
    left,
    not_ready,
    promoted,
    quiet,
    service_notes,
    told,
    waits,
)
from tests.world.world import CANARY, World


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """What an event does in one stage.

    Attributes:
        says: in a few words.
        check: looks for it in the world.
    """

    says: str
    check: Check


def cell(says: str, *checks: Check) -> Cell:
    """Return a cell whose checks are made one after the other."""

    def check(world: World) -> None:
        for one in checks:
            one(world)

    return Cell(says=says, check=check)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """An event, and what it does in each stage.

    Attributes:
        does: the event.
        cells: in the order of `Column`.
        history: `rollout undo` has something to go back to.
        hold: how the Deployment is held.
    """

    name: str
    does: Deed
    cells: tuple[Cell, Cell, Cell, Cell, Cell, Cell, Cell]
    history: bool = False
    hold: Hold = "admission"


def see(world: World, so: object) -> None:
    assert so, world.describe()


def see_no_weight(world: World) -> None:
    see(world, names.WEIGHT not in service_notes(world))


# What becomes of a stage that nothing happens to.

NOTHING = cell("nothing", idle())
TO_CANARY = cell("goes on to Canary", canary())
KEPT = cell("kept", canary(weight=WEIGHT))
PROMOTED = cell("goes on: promoted", promoted())
ENDS = cell("ends in Aborted", aborted())
STAYS = cell("stays", aborted())

REPLACED = cell(
    "closed at once, drained, the newer one starts",
    closed_at_once,
    canary("v3"),
    see_no_weight,
)
INTERRUPTED = cell(
    "paused again, `PromotionInterrupted`; everybody stays on the canary",
    waits("PromotionInterrupted", degraded=True),
    lambda world: see(world, world.is_paused() and world.weight() == 100),
)
PUT_BACK = cell("ends, nothing is left to do", closed_at_once, idle(result="aborted"))
NONE_THERE = cell("there is none", idle())
EVERYTHING_GOES = cell("everything of ours goes with it", gone)


# What some cells look at, and nobody else.


def crash_until_aborted(world: World) -> None:
    """The third fall aborts (safety.md section 4, short canary)."""
    weight = 100 if world.stage() == "Promoting" else WEIGHT
    for _ in range(2):
        closed_at_once(world)
        world.run_until(lambda: world.weight() == weight, within=120, what="it is back")
        crash_canary(world)
    aborted()(world)


def within_2_seconds(looks: Callable[[World], bool]) -> Check:
    return lambda world: world.run_until(lambda: looks(world), within=2)


def route_has(looks: Callable[[Exposure], bool]) -> Check:
    def check(world: World) -> None:
        route = world.route()
        see(world, route is not None and looks(route))

    return check


def at_100(world: World) -> None:
    see(world, world.weight() == 100)


def is_paused(world: World) -> None:
    see(world, world.is_paused())


def stays_stable(world: World) -> None:
    see(world, world.tags("stable") == {"v1": 3})


def no_stage(world: World) -> None:
    world.settle()
    see(world, world.stage() is None)


def steps_go_on(world: World) -> None:
    world.run_until(lambda: world.weight() == 60, within=700)


def walks_back_in_parts(world: World) -> None:
    """One pod may carry 41 %; then it is given more every 5 minutes though it does not grow."""
    for weight in (59, 34, 9, 0):
        world.run_until(lambda weight=weight: world.weight() == weight, within=400)  # type: ignore[misc]  # bound now


def says_the_cap(world: World) -> None:
    see(world, "serinus.dev/replicas" in world.status().message)


def short_of_pods(world: World) -> None:
    world.annotate(weight="80")
    waits("WaitingForPods")(world)
    world.settle()
    see(world, world.weight() == WEIGHT and "2 of 3 canary pods" in world.status().message)


def lost(stage: str) -> Check:
    def check(world: World) -> None:
        world.settle()
        see(world, world.stage() == stage)
        see(world, world.conditions()["Degraded"][:2] == ("True", "StableLost"))
        quiet(world)

    return check


def refused(*then: Check) -> tuple[Check, ...]:
    return answered("refused"), *then


Cells = tuple[Cell, Cell, Cell, Cell, Cell, Cell, Cell]


def ends(idle_: Cell, starting: Cell, canary_: Cell, **other: Cell) -> Cells:
    """Return a row in which what is past `Canary` goes on, unless said otherwise."""
    return (
        idle_,
        starting,
        canary_,
        other.get("shifting", PROMOTED),
        other.get("rolling", PROMOTED),
        other.get("rolling_back", ENDS),
        other.get("aborted", STAYS),
    )


GOES_ON: Cells = ends(NOTHING, TO_CANARY, KEPT)
INVALID = ends(
    cell(
        "`Ready` is False, no stage",
        not_ready("InvalidConfiguration"),
        no_stage,
        set_right,
        idle(),
    ),
    cell(
        "nobody is let in until it is mended",
        waits("InvalidConfiguration"),
        World.settle,
        closed,
        set_right,
        canary(),
    ),
    cell(
        "what runs stays, and stands still",
        waits("InvalidConfiguration"),
        canary(weight=WEIGHT),
        set_right,
        canary(weight=WEIGHT),
    ),
    shifting=cell(
        "stays at 100, not rolled until it is mended",
        waits("InvalidConfiguration"),
        World.settle,
        at_100,
        stays_stable,
        set_right,
        promoted(),
    ),
    rolling=cell(
        "goes on: promoted; then no stage",
        not_ready("InvalidConfiguration"),
        no_stage,
        set_right,
        promoted(),
    ),
    rolling_back=cell(
        "ends; then no stage",
        no_stage,
        not_ready("InvalidConfiguration"),
        set_right,
        aborted(),
    ),
    aborted=cell(
        "no stage until it is mended",
        not_ready("InvalidConfiguration"),
        no_stage,
        set_right,
        aborted(),
    ),
)
NEWER: Cells = (
    cell("held; a canary of the last one starts", canary("v3")),
    cell("the newer one replaces the canary", canary("v3")),
    REPLACED,
    REPLACED,
    INTERRUPTED,
    cell("drained; the newer one starts", closed, canary("v3")),
    cell("the newer one starts", canary("v3")),
)

EDITS: tuple[Row, ...] = (
    Row(
        name="template changed (`kubectl edit`)",
        does=change_template,
        cells=(
            cell("held; a canary starts", canary("v1")),
            cell("the newer one replaces the canary", canary()),
            cell(
                "closed at once, drained, the newer one starts",
                closed_at_once,
                canary(),
                see_no_weight,
            ),
            cell(
                "closed at once, drained, the newer one starts",
                closed_at_once,
                canary(),
                see_no_weight,
            ),
            INTERRUPTED,
            cell("drained; the newer one starts", closed, canary()),
            cell("the newer one starts", canary()),
        ),
    ),
    Row(name="a newer template (`kubectl apply`)", does=apply_newer, cells=NEWER),
    Row(
        name="the old template put back",
        does=World.put_back,
        cells=(
            NOTHING,
            cell("ends, nothing is left to do", idle(result="aborted")),
            PUT_BACK,
            PUT_BACK,
            cell("rolls back, then walks back: Idle, aborted", idle(result="aborted")),
            cell("ends in Idle", closed, idle(result="aborted")),
            cell("Idle", idle(result="aborted")),
        ),
    ),
    Row(
        name="weight up",
        does=lambda world: world.annotate(weight="80"),
        cells=ends(
            cell("nothing; removed when a release starts", idle()),
            cell("goes on to Canary at 80", canary(weight=80, pods=3)),
            cell("pods, `D_prop`, then 80", canary(weight=80, pods=3)),
        ),
    ),
    Row(
        name="weight down",
        does=lambda world: world.annotate(weight="5"),
        cells=ends(
            cell("nothing; removed when a release starts", idle()),
            cell("goes on to Canary at 5", canary(weight=5)),
            cell(
                "5 at once", within_2_seconds(lambda world: world.weight() == 5), canary(weight=5)
            ),
        ),
    ),
    Row(
        name="steps edited",
        does=lambda world: world.annotate(weight=None, steps="10/10m, 60"),
        cells=ends(
            NOTHING,
            cell("goes on to Canary at 10", canary(weight=10)),
            cell("goes on from the weight it has", canary(weight=WEIGHT), steps_go_on),
        ),
    ),
    Row(
        name="accounts added",
        does=lambda world: world.annotate(header_values="alice,bob,carol"),
        cells=ends(
            NOTHING,
            cell("goes on to Canary with them", canary(accounts=ACCOUNTS | {"carol"})),
            cell("let in", canary(weight=WEIGHT, accounts=ACCOUNTS | {"carol"})),
        ),
    ),
    Row(
        name="accounts removed",
        does=lambda world: world.annotate(header_values="alice"),
        cells=ends(
            NOTHING,
            cell("goes on to Canary without them", canary(accounts={"alice"})),
            cell(
                "out at once",
                within_2_seconds(lambda world: world.accounts() == {"alice"}),
                canary(weight=WEIGHT, accounts={"alice"}),
            ),
        ),
    ),
    Row(
        name="accounts replaced",
        does=lambda world: world.annotate(header_values="bob,carol"),
        cells=ends(
            NOTHING,
            cell("goes on to Canary with the new ones", canary(accounts={"bob", "carol"})),
            cell(
                "the old ones out at once, the new ones in as the gates are open",
                within_2_seconds(
                    lambda world: "alice" not in world.accounts() and "bob" in world.accounts()
                ),
                canary(weight=WEIGHT, accounts={"bob", "carol"}),
            ),
        ),
    ),
    Row(
        name="suffixes set",
        does=lambda world: world.annotate(header_suffixes="7"),
        cells=ends(
            NOTHING,
            cell(
                "goes on to Canary with them",
                canary(pods=2),
                route_has(lambda it: it.share == Fraction(1, 10)),
            ),
            cell(
                "let in", canary(weight=WEIGHT), route_has(lambda it: it.share == Fraction(1, 10))
            ),
        ),
    ),
    Row(
        name="cookie set",
        does=lambda world: world.annotate(cookie="beta"),
        cells=ends(
            NOTHING,
            cell("goes on to Canary with it", canary(), route_has(lambda it: it.cookie == "beta")),
            cell("let in", canary(weight=WEIGHT), route_has(lambda it: it.cookie == "beta")),
        ),
    ),
    Row(
        name="header renamed",
        does=lambda world: world.annotate(header="X-User"),
        cells=ends(
            NOTHING,
            cell(
                "goes on to Canary with it", canary(), route_has(lambda it: it.header == "X-User")
            ),
            cell(
                "the new rule takes the old one's place",
                within_2_seconds(lambda world: "X-User" in str(world.route())),
                canary(weight=WEIGHT),
            ),
        ),
    ),
    Row(
        name="`replicas` below the need",
        does=lambda world: world.annotate(replicas="1"),
        cells=ends(
            NOTHING,
            cell("goes on to Canary", canary()),
            cell("the weight is capped, and says so", canary(weight=0, pods=1), says_the_cap),
        ),
    ),
    Row(
        name="promotion in place",
        does=lambda world: world.annotate(promotion="in-place"),
        cells=ends(
            NOTHING,
            TO_CANARY,
            KEPT,
            shifting=cell("down to 50, rolls in place: promoted", promoted()),
        ),
    ),
    Row(name="a bad value", does=lambda world: world.annotate(replicas="many"), cells=INVALID),
    Row(name="an unknown key", does=lambda world: world.annotate(wieght="5"), cells=INVALID),
)

DELETIONS: tuple[Row, ...] = (
    Row(
        name="the canary Deployment deleted",
        does=delete("deployments", CANARY),
        cells=ends(
            NONE_THERE,
            cell("starts again", canary()),
            cell("starts again, from its first gate", closed_at_once, canary(), see_no_weight),
            shifting=cell(
                "starts again, the approval is gone", closed_at_once, canary(), see_no_weight
            ),
            rolling=cell("traffic to stable at once, which rolls on", closed_at_once, idle("v2")),
            aborted=cell("there is none", aborted()),
        ),
    ),
    Row(
        name="the canary Ingress deleted",
        does=delete("ingresses", CANARY),
        cells=ends(
            NONE_THERE,
            cell("made again, closed; goes on to Canary", canary()),
            cell("made again, closed; opened again", canary(weight=WEIGHT)),
            shifting=cell("made again, shifted again: promoted", promoted()),
            aborted=cell("there is none", aborted()),
        ),
    ),
    Row(
        name="the canary Service deleted",
        does=delete("services", CANARY),
        cells=ends(
            NONE_THERE,
            cell("made again; goes on to Canary", canary()),
            cell("closed, made again, opened again", canary(weight=WEIGHT)),
            shifting=cell("made again, shifted again: promoted", promoted()),
            aborted=cell("there is none", aborted()),
        ),
    ),
    Row(
        name="the main Ingress deleted",
        does=delete("ingresses", NAME),
        cells=ends(
            cell(
                "`Ready` is False until it is back",
                not_ready("IngressWithoutService"),
                put_main_back,
                idle(),
            ),
            cell(
                "nobody is let in until it is back",
                waits("IngressWithoutService"),
                closed,
                put_main_back,
                canary(),
            ),
            cell(
                "closed at once; goes on when it is back",
                closed_at_once,
                waits("IngressWithoutService"),
                put_main_back,
                canary(weight=WEIGHT),
            ),
            shifting=cell(
                "closed at once, not rolled; goes on when it is back",
                closed_at_once,
                waits("IngressWithoutService"),
                World.settle,
                stays_stable,
                put_main_back,
                promoted(),
            ),
            rolling=cell(
                "goes on: promoted; then not ready",
                not_ready("IngressWithoutService"),
                World.settle,
                put_main_back,
                promoted(),
            ),
            rolling_back=cell("ends; then no stage", no_stage, put_main_back, aborted()),
            aborted=cell("no stage until it is back", no_stage, put_main_back, aborted()),
        ),
    ),
    Row(
        name="the Service deleted",
        does=delete("services", NAME),
        cells=(
            cell("after 30 s un-enrolled", left()),
            cell("after 30 s un-enrolled, still paused", left("v2", paused=True)),
            cell("after 30 s closed, drained, un-enrolled, still paused", left("v2", paused=True)),
            cell("after 30 s closed, drained, un-enrolled, still paused", left("v2", paused=True)),
            cell("the roll is finished, then un-enrolled", left("v2", stable="v2")),
            cell("ends, un-enrolled, still paused", left("v2", paused=True)),
            cell("after 30 s un-enrolled, still paused", left("v2", paused=True)),
        ),
    ),
    Row(
        name="the stable Deployment deleted",
        does=delete("deployments", NAME),
        cells=(
            cell("nothing is left", gone),
            EVERYTHING_GOES,
            EVERYTHING_GOES,
            EVERYTHING_GOES,
            EVERYTHING_GOES,
            EVERYTHING_GOES,
            cell("nothing is left", gone),
        ),
    ),
    Row(
        name="stable's ReplicaSet deleted",
        does=delete_serving_set,
        cells=(
            cell("comes back by itself", idle()),
            cell(
                "`StableLost`: nobody is let in; promote rolls at once",
                lost("Starting"),
                closed,
                act("promote:REV"),
                promoted(),
            ),
            cell(
                "`StableLost`; promote rolls at once",
                lost("Canary"),
                act("promote:REV"),
                promoted(),
            ),
            cell("rolls at once: promoted", promoted()),
            PROMOTED,
            cell(
                "ends in Aborted, `StableLost`; the old template and resume",
                lost("Aborted"),
                to_v1_and_resume,
                idle(result="aborted"),
            ),
            cell(
                "`StableLost`; the old template and resume",
                lost("Aborted"),
                to_v1_and_resume,
                idle(result="aborted"),
            ),
        ),
    ),
    Row(
        name="a canary pod deleted",
        does=delete_pods("canary", most=1),
        cells=ends(NONE_THERE, TO_CANARY, KEPT, aborted=cell("there is none", aborted())),
    ),
    Row(
        name="all canary pods deleted",
        does=delete_pods("canary"),
        cells=ends(
            NONE_THERE,
            TO_CANARY,
            cell(
                "closed at once, opened when they are back", closed_at_once, canary(weight=WEIGHT)
            ),
            shifting=cell("closed at once, shifted again: promoted", closed_at_once, promoted()),
            rolling=cell("to stable at once; promoted", closed_at_once, promoted()),
            aborted=cell("there is none", aborted()),
        ),
    ),
)

VERBS: tuple[Row, ...] = (
    Row(name="`set image`", does=lambda world: world.set_image("v3"), cells=NEWER),
    Row(
        name="`rollout resume`",
        does=by_hand,
        cells=(
            cell("kubectl: not paused", refuses(World.rollout_resume), idle()),
            cell("recorded; promoted once it has started", World.rollout_resume, promoted()),
            cell("promotes without loss", World.rollout_resume, promoted()),
            cell("approved already: promoted", World.rollout_resume, promoted()),
            cell("kubectl: not paused", refuses(World.rollout_resume), promoted()),
            cell(
                "`PromotionRefused`; ends in Aborted",
                World.rollout_resume,
                told("PromotionRefused"),
                aborted(),
            ),
            cell(
                "`PromotionRefused`, names retry",
                World.rollout_resume,
                told("PromotionRefused"),
                aborted(),
            ),
        ),
    ),
    Row(
        name="`rollout pause`",
        does=by_hand,
        cells=(
            cell(
                "the user's pause, kept",
                World.rollout_pause,
                World.settle,
                is_paused,
                World.rollout_resume,
                idle(),
            ),
            cell("kubectl: already paused", refuses(World.rollout_pause), canary()),
            cell("kubectl: already paused", refuses(World.rollout_pause), canary(weight=WEIGHT)),
            cell("kubectl: already paused", refuses(World.rollout_pause), promoted()),
            cell(
                "stops the roll until resumed",
                World.rollout_pause,
                waits("RollPaused"),
                World.settle,
                is_paused,
                at_100,
                World.rollout_resume,
                promoted(),
            ),
            cell("kubectl: already paused", refuses(World.rollout_pause), aborted()),
            cell("kubectl: already paused", refuses(World.rollout_pause), aborted()),
        ),
    ),
    Row(
        name="`rollout undo`",
        does=by_hand,
        history=True,
        cells=(
            cell("held; a canary of the old version starts", World.rollout_undo, canary("v0")),
            cell("kubectl refuses", refuses(World.rollout_undo), canary()),
            cell("kubectl refuses", refuses(World.rollout_undo), canary(weight=WEIGHT)),
            cell("kubectl refuses", refuses(World.rollout_undo), promoted()),
            cell(
                "at once: rolls back, walks back: Idle, aborted",
                World.rollout_undo,
                idle(result="aborted"),
            ),
            cell("kubectl refuses", refuses(World.rollout_undo), aborted()),
            cell("kubectl refuses", refuses(World.rollout_undo), aborted()),
        ),
    ),
    Row(
        name="`rollout restart`",
        does=by_hand,
        cells=(
            cell("restarts, no release", restarted, idle()),
            cell("kubectl refuses", refuses(World.rollout_restart), canary()),
            cell("kubectl refuses", refuses(World.rollout_restart), canary(weight=WEIGHT)),
            cell("kubectl refuses", refuses(World.rollout_restart), promoted()),
            cell("as ever: promoted", World.rollout_restart, promoted()),
            cell("kubectl refuses", refuses(World.rollout_restart), aborted()),
            cell("kubectl refuses", refuses(World.rollout_restart), aborted()),
        ),
    ),
    Row(
        name="`scale` up",
        does=lambda world: world.scale(5),
        cells=(
            cell("as ever", idle(replicas=5)),
            cell("as ever; goes on to Canary", canary(stable=5)),
            cell("as ever; the canary follows its share", canary(weight=WEIGHT, stable=5, pods=3)),
            cell("as ever; the canary grows along: promoted", promoted(replicas=5)),
            cell("as ever: promoted", promoted(replicas=5)),
            cell("as ever; ends in Aborted", aborted(replicas=5)),
            cell("as ever", aborted(replicas=5)),
        ),
    ),
    Row(
        name="the label removed",
        does=World.unenrol,
        cells=(
            cell("un-enrolled", left()),
            cell("removed, un-enrolled, still paused", left("v2", paused=True)),
            cell(
                "closed at once, drained, un-enrolled, still paused",
                closed_at_once,
                left("v2", paused=True),
            ),
            cell(
                "closed at once, drained, un-enrolled, still paused",
                closed_at_once,
                left("v2", paused=True),
            ),
            cell("the roll is finished, then un-enrolled", left("v2", stable="v2")),
            cell("ends, un-enrolled, still paused", left("v2", paused=True)),
            cell("un-enrolled, still paused", left("v2", paused=True)),
        ),
    ),
)

ACTIONS: tuple[Row, ...] = (
    Row(
        name="`promote:` the pending revision",
        does=act("promote:REV"),
        cells=(
            cell("refused", *refused(idle())),
            cell("recorded; promoted once it has started", answered("approved"), promoted()),
            cell("promoted", answered("approved"), promoted()),
            cell("approved already: promoted", answered("approved"), promoted()),
            cell("approved already: promoted", answered("approved"), promoted()),
            cell("refused; ends in Aborted", *refused(told("PromotionRefused"), aborted())),
            cell("refused, names retry", *refused(told("PromotionRefused"), aborted())),
        ),
    ),
    Row(
        name="`promote:` another revision",
        does=act("promote:0123456789"),
        cells=(
            cell("refused", *refused(idle())),
            cell("refused", *refused(canary())),
            cell("refused", *refused(canary(weight=WEIGHT))),
            cell("refused", *refused(promoted())),
            cell("refused", *refused(promoted())),
            cell("refused", *refused(aborted())),
            cell("refused", *refused(aborted())),
        ),
    ),
    Row(
        name="`abort`",
        does=act("abort"),
        cells=(
            cell("refused", *refused(idle())),
            cell("Aborted", answered("aborted"), closed, aborted()),
            cell(
                "closed at once, drained: Aborted", closed_at_once, answered("aborted"), aborted()
            ),
            cell(
                "closed at once, drained: Aborted", closed_at_once, answered("aborted"), aborted()
            ),
            cell(
                "the roll stops at once, until the old template is back",
                within_2_seconds(World.is_paused),
                answered("stopping"),
                waits("AbortedInRoll", degraded=True),
                World.settle,
                at_100,
                World.put_back,
                idle(result="aborted"),
            ),
            cell("already ending", answered("already"), aborted()),
            cell("refused", *refused(aborted())),
        ),
    ),
    Row(
        name="`retry:` the pending revision",
        does=act("retry:REV"),
        cells=(
            cell("refused", *refused(idle())),
            cell("refused", *refused(canary())),
            cell("refused", *refused(canary(weight=WEIGHT))),
            cell("refused", *refused(promoted())),
            cell("refused", *refused(promoted())),
            cell("starts again, once it has ended", canary()),
            cell("starts again", answered("starting"), canary()),
        ),
    ),
    Row(
        name="`pause`",
        does=act("pause"),
        cells=(
            cell("refused", *refused(idle())),
            cell("the plan is frozen", answered("paused"), canary()),
            cell("the plan is frozen at its weight", answered("paused"), canary(weight=WEIGHT)),
            cell("refused", *refused(promoted())),
            cell("refused", *refused(promoted())),
            cell("refused", *refused(aborted())),
            cell("refused", *refused(aborted())),
        ),
    ),
    Row(
        name="`continue`",
        does=act("continue"),
        cells=(
            cell("refused", *refused(idle())),
            cell("the plan goes on", answered("continued"), canary()),
            cell("the plan goes on", answered("continued"), canary(weight=WEIGHT)),
            cell("refused", *refused(promoted())),
            cell("refused", *refused(promoted())),
            cell("refused", *refused(aborted())),
            cell("refused", *refused(aborted())),
        ),
    ),
)

BAD = cell("drained; the next one starts, and is aborted by its deadline", closed, aborted("bad"))

FAILURES: tuple[Row, ...] = (
    Row(
        name="a template that is not ready by the `ready-deadline`",
        does=ship_a_bad_one,
        cells=(
            cell(
                "starts, and is aborted by its deadline",
                waits("WaitingForPods"),
                closed,
                aborted("bad"),
            ),
            cell("replaces the canary, and is aborted by its deadline", closed, aborted("bad")),
            cell("closed at once; aborted by its deadline", closed_at_once, aborted("bad")),
            cell("closed at once; aborted by its deadline", closed_at_once, aborted("bad")),
            INTERRUPTED,
            BAD,
            cell("starts, and is aborted by its deadline", aborted("bad")),
        ),
    ),
    Row(
        name="the canary crash-loops",
        does=crash_canary,
        cells=ends(
            NONE_THERE,
            TO_CANARY,
            cell("closed at once, opened again; the third fall aborts", crash_until_aborted),
            shifting=cell(
                "closed at once, shifted again; the third fall aborts", crash_until_aborted
            ),
            rolling=cell("to stable at once, never aborted: promoted", closed_at_once, promoted()),
            aborted=cell("there is none", aborted()),
        ),
    ),
    Row(
        name="stable loses its pods",
        does=delete_pods("stable"),
        cells=ends(
            cell("they come back", idle()),
            TO_CANARY,
            cell("kept, and not raised", canary(weight=WEIGHT)),
        ),
    ),
    Row(
        name="no new pod comes (quota, nodes)",
        does=World.hold_new_pods,
        cells=ends(
            cell(
                "a release ends by its deadline",
                lambda world: world.set_image("v2"),
                waits("WaitingForPods"),
                closed,
                lambda world: world.run(600),
                aborted(),
            ),
            TO_CANARY,
            cell("the weight is not raised, and says so", short_of_pods),
            shifting=cell(
                "rolls, `PromotionStalled`: everybody stays on the canary",
                waits("PromotionStalled", degraded=True, within=1200),
                at_100,
                stays_stable,
            ),
            rolling=cell(
                "`PromotionStalled`: everybody stays on the canary",
                waits("PromotionStalled", degraded=True, within=1200),
                at_100,
            ),
        ),
    ),
    Row(
        name="an autoscaler shrinks stable",
        does=autoscale_down,
        cells=(
            cell("as ever", idle(replicas=1)),
            cell("goes on to Canary", canary(stable=1)),
            cell("kept: R does not fall", canary(weight=WEIGHT, stable=1)),
            cell(
                "goes on; walks back in parts, 25 every 5 minutes: promoted",
                walks_back_in_parts,
                promoted(replicas=1),
            ),
            cell(
                "goes on; walks back in parts, 25 every 5 minutes: promoted",
                walks_back_in_parts,
                promoted(replicas=1),
            ),
            cell("ends in Aborted", aborted(replicas=1)),
            cell("as ever", aborted(replicas=1)),
        ),
    ),
    Row(name="the controller restarts", does=World.restart_controller, cells=GOES_ON),
)

ROLLS = cell("rolls natively at once; then walks back: promoted", World.rollout_resume, promoted())
PAUSED_ALREADY = refuses(World.rollout_pause)
NO_UNDO, NO_RESTART = refuses(World.rollout_undo), refuses(World.rollout_restart)

VERBS_PAUSED: tuple[Row, ...] = (
    Row(name="`set image`", does=lambda world: world.set_image("v3"), hold="pause", cells=NEWER),
    Row(
        name="`rollout resume`",
        does=by_hand,
        hold="pause",
        cells=(
            cell("paused again at once", World.rollout_resume, idle()),
            ROLLS,
            ROLLS,
            ROLLS,
            cell("kubectl: not paused", refuses(World.rollout_resume), promoted()),
            cell(
                "rolls natively; the canary goes",
                World.rollout_resume,
                idle("v2", result="aborted"),
            ),
            cell("rolls natively: Idle", World.rollout_resume, idle("v2", result="aborted")),
        ),
    ),
    Row(
        name="`rollout pause`",
        does=by_hand,
        hold="pause",
        cells=(
            cell("kubectl: already paused", PAUSED_ALREADY, idle()),
            cell("kubectl: already paused", PAUSED_ALREADY, canary()),
            cell("kubectl: already paused", PAUSED_ALREADY, canary(weight=WEIGHT)),
            cell("kubectl: already paused", PAUSED_ALREADY, promoted()),
            cell(
                "stops the roll until resumed",
                World.rollout_pause,
                waits("RollPaused"),
                World.settle,
                at_100,
                World.rollout_resume,
                promoted(),
            ),
            cell("kubectl: already paused", PAUSED_ALREADY, aborted()),
            cell("kubectl: already paused", PAUSED_ALREADY, aborted()),
        ),
    ),
    Row(
        name="`rollout undo`",
        does=by_hand,
        hold="pause",
        history=True,
        cells=(
            cell("kubectl refuses", NO_UNDO, idle()),
            cell("kubectl refuses", NO_UNDO, canary()),
            cell("kubectl refuses", NO_UNDO, canary(weight=WEIGHT)),
            cell("kubectl refuses", NO_UNDO, promoted()),
            cell(
                "at once: rolls back, walks back: Idle, aborted",
                World.rollout_undo,
                idle(result="aborted"),
            ),
            cell("kubectl refuses", NO_UNDO, aborted()),
            cell("kubectl refuses", NO_UNDO, aborted()),
        ),
    ),
    Row(
        name="`rollout restart`",
        does=by_hand,
        hold="pause",
        cells=(
            cell("kubectl refuses", NO_RESTART, idle()),
            cell("kubectl refuses", NO_RESTART, canary()),
            cell("kubectl refuses", NO_RESTART, canary(weight=WEIGHT)),
            cell("kubectl refuses", NO_RESTART, promoted()),
            cell("as ever: promoted", World.rollout_restart, promoted()),
            cell("kubectl refuses", NO_RESTART, aborted()),
            cell("kubectl refuses", NO_RESTART, aborted()),
        ),
    ),
    Row(
        name="`scale` up",
        does=lambda world: world.scale(5),
        hold="pause",
        cells=(
            cell("as ever", idle(replicas=5)),
            cell("as ever; goes on to Canary", canary(stable=5)),
            cell("as ever; the canary follows its share", canary(weight=WEIGHT, stable=5, pods=3)),
            cell("as ever; the canary grows along: promoted", promoted(replicas=5)),
            cell("as ever: promoted", promoted(replicas=5)),
            cell("as ever; ends in Aborted", aborted(replicas=5)),
            cell("as ever", aborted(replicas=5)),
        ),
    ),
    Row(
        name="the label removed",
        does=World.unenrol,
        hold="pause",
        cells=(
            cell("un-enrolled, not paused any more", left()),
            cell("removed, un-enrolled, still paused", left("v2", paused=True)),
            cell(
                "closed at once, drained, un-enrolled, still paused",
                closed_at_once,
                left("v2", paused=True),
            ),
            cell(
                "closed at once, drained, un-enrolled, still paused",
                closed_at_once,
                left("v2", paused=True),
            ),
            cell("the roll is finished, then un-enrolled", left("v2", stable="v2")),
            cell("ends, un-enrolled, still paused", left("v2", paused=True)),
            cell("un-enrolled, still paused", left("v2", paused=True)),
        ),
    ),
    Row(
        name="stable's ReplicaSet deleted",
        does=delete_serving_set,
        hold="pause",
        cells=(
            cell("un-paused until it is back, then paused again", idle()),
            cell(
                "`StableLost`: nobody is let in; promote rolls at once",
                lost("Starting"),
                closed,
                act("promote:REV"),
                promoted(),
            ),
            cell(
                "`StableLost`; promote rolls at once",
                lost("Canary"),
                act("promote:REV"),
                promoted(),
            ),
            cell("rolls at once: promoted", promoted()),
            PROMOTED,
            cell(
                "ends in Aborted, `StableLost`; the old template and resume",
                lost("Aborted"),
                to_v1_and_resume,
                idle(result="aborted"),
            ),
            cell(
                "`StableLost`; the old template and resume",
                lost("Aborted"),
                to_v1_and_resume,
                idle(result="aborted"),
            ),
        ),
    ),
    Row(name="the controller restarts", does=World.restart_controller, hold="pause", cells=GOES_ON),
)

GROUPS: tuple[tuple[str, tuple[Row, ...]], ...] = (
    ("A user's edit", EDITS),
    ("A deletion", DELETIONS),
    ("A verb of kubectl", VERBS),
    ("With `pause` hold, where it differs", VERBS_PAUSED),
    ("An action", ACTIONS),
    ("A failure", FAILURES),
)


def _cells() -> Iterator[object]:
    for _, rows in GROUPS:
        for row in rows:
            for column, one in zip(Column, row.cells, strict=True):
                yield pytest.param(row, column, one, id=f"{row.name} | {column}{_suffix(row)}")


def _suffix(row: Row) -> str:
    return "" if row.hold == "admission" else f" | {row.hold}"


@pytest.mark.parametrize(("row", "column", "expected"), list(_cells()))
def test_event_in_stage(row: Row, column: Column, expected: Cell) -> None:
    def story(world: World) -> None:
        row.does(world)
        expected.check(world)

    on_a_copy(prepared(column, row.hold, history=row.history), story)


PAGE = Path(__file__).parents[2] / "docs" / "stages.md"
HEAD = """# What becomes of a release

Every event in every stage.
Each cell is a test in `tests/world/test_stages.py`, and this page is printed from it.
Unless it says so the hold is `admission`; v1 serves while v2 is released.
"""


def printed() -> str:
    """Return docs/stages.md."""
    parts = [HEAD]
    for title, rows in GROUPS:
        parts.append(f"\n## {title}\n\n")
        parts.append(_line("", *Column))
        parts.append(_line(*("---",) * (len(Column) + 1)))
        parts += [_line(row.name, *(one.says for one in row.cells)) for row in rows]
    return "".join(parts)


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |\n"


def test_the_page_is_printed_from_the_table() -> None:
    if os.environ.get("SERINUS_PRINT"):
        PAGE.write_text(printed(), encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == printed()
