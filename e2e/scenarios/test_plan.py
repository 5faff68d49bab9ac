"""The plan of a release: steps, sizes, Ingresses, and what happens to pods meanwhile."""

# ruff: noqa: D103 - a test's name is its docstring

import asyncio

import pytest

from e2e.bed import manifests
from e2e.scenarios.application import ACCOUNT, GATED, NAME, App
from e2e.scenarios.side_by_side import scenario

CANARY = f"{NAME}-canary"

# Steps.


@scenario
async def test_timed_steps_climb_and_promote_by_themselves(app: App) -> None:
    await app.enrol(steps="20/1s, 50/1s", promotion="auto")
    await app.set_image("v2")
    await app.ends("promoted")
    assert app.weights[:3] == [20, 50, 100]
    assert "the plan" in app.told.says("Promoted")
    assert await app.runs() == {"v2": 2}


@scenario
async def test_a_step_without_a_time_waits_for_a_person(app: App) -> None:
    await app.canary(steps="10, 30/1s, 60")
    await app.weighs(10)
    await app.until("a person", lambda told: "waits for a person" in told.message)
    await app.act("continue")
    await app.weighs(60)
    assert app.weights == [10, 30, 60]
    assert app.told.last_action == "continued"
    await app.spreads(60, 100)
    await app.resume()
    await app.ends("promoted")


@scenario
async def test_a_plan_without_automatic_promotion_ends_waiting(app: App) -> None:
    await app.canary(steps="30/1s")
    await app.until("the end of the plan", lambda told: "promote" in told.message)
    assert app.told.stage == "Canary"
    assert app.told.written == 30


@scenario
async def test_pause_freezes_the_plan_and_continue_lets_it_go_on(app: App) -> None:
    await app.canary(steps="10, 30, 60")
    await app.weighs(10)
    await app.act("pause")
    await app.until("paused", lambda told: told.last_action == "paused")
    assert "paused at weight 10" in app.told.message
    await app.act("continue")
    await app.weighs(30)
    assert app.weights == [10, 30]


@scenario
async def test_a_weight_by_hand_overrules_the_steps_while_it_stands(app: App) -> None:
    await app.canary(steps="10, 40, 60")
    await app.weighs(10)
    await app.annotate(weight="50")
    await app.weighs(50)
    await app.annotate(weight="5")
    await app.weighs(5)
    await app.annotate(weight=None)
    await app.weighs(10)


@scenario
async def test_steps_edited_in_mid_release_go_on_from_where_it_stands(app: App) -> None:
    await app.canary(steps="10, 40")
    await app.weighs(10)
    await app.act("continue")
    await app.weighs(40)
    await app.annotate(steps="5, 20, 50/1h")
    await app.act("continue")
    await app.weighs(50)
    assert app.weights == [10, 40, 50]


@scenario
async def test_a_weight_that_stood_before_the_release_is_removed_once_and_said_so(
    app: App,
) -> None:
    await app.enrol(weight="50")
    await app.set_image("v2")
    await app.reaches("Canary")
    await app.until("removed", lambda told: "serinus.dev/weight" not in told.annotations)
    await app.tells("WeightRemoved")
    assert app.told.written == 0
    assert await app.count(20) == {"v1": 20}
    await app.annotate(weight="50")
    await app.weighs(50)


@scenario
async def test_lowering_the_weight_removes_pods_only_later(app: App) -> None:
    await app.deploy(replicas=4)
    await app.canary()
    await app.annotate(weight="100")
    await app.weighs(100)
    assert await app.size(CANARY) == 4
    await app.annotate(weight="10")
    await app.weighs(10)
    await app.has_size(CANARY, 2)
    await app.spreads(10, 100)


# Sizes.


@scenario
async def test_one_pod_is_enough_for_accounts_and_two_for_a_share_of_everybody(app: App) -> None:
    await app.deploy(replicas=4)
    await app.canary(header=ACCOUNT, header_values="alice")
    assert await app.size(CANARY) == 1
    assert "poddisruptionbudgets myapp-canary" not in await app.ours()
    await app.annotate(weight="10")
    await app.weighs(10)
    assert await app.size(CANARY) == 2
    await app.comes_true("a budget", lambda: has_budget(app))


async def has_budget(app: App) -> bool:
    return "poddisruptionbudgets myapp-canary" in await app.ours()


async def has_no_budget(app: App) -> bool:
    return not await has_budget(app)


@scenario
async def test_our_budget_gives_way_to_one_of_the_users(app: App) -> None:
    await app.canary()
    await app.annotate(weight="50")
    await app.weighs(50)
    await app.comes_true("a budget", lambda: has_budget(app))
    users = {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "all", "namespace": app.namespace},
        "spec": {"maxUnavailable": 1, "selector": {}},
    }
    await app.api.apply(users)
    await app.comes_true("no budget of ours", lambda: has_no_budget(app))


@scenario
async def test_a_fixed_size_caps_the_weight_and_says_so(app: App) -> None:
    await app.deploy(replicas=4)
    await app.canary(replicas="2")
    await app.annotate(weight="80")
    await app.weighs(50)
    told = await app.until("the cap", lambda told: "weight 80 is asked" in told.message)
    assert told.status["weight"] == {"asked": 80, "written": 50}
    assert await app.size(CANARY) == 2
    await app.resume()
    await app.ends("promoted")
    assert 100 in app.weights
    assert await app.runs() == {"v2": 4}


@scenario
async def test_a_size_in_percent_is_taken_from_the_start(app: App) -> None:
    await app.deploy(replicas=4)
    await app.canary(replicas="50%")
    assert await app.size(CANARY) == 2
    await app.annotate(weight="50")
    await app.weighs(50)
    assert await app.size(CANARY) == 2


# Ingresses.


@scenario
async def test_every_ingress_of_the_service_gets_a_canary_at_the_same_weight(app: App) -> None:
    await app.deploy()
    other = f"other-{app.host}"
    await app.api.apply(
        manifests.ingress("second", host=other, backend=NAME, namespace=app.namespace)
    )
    await app.canary(header=ACCOUNT, header_values="alice")
    assert {
        "ingresses myapp-canary",
        "ingresses myapp-second-canary",
    } <= set(await app.ours())
    await app.annotate(weight="50")
    await app.weighs(50)
    for host in (app.host, other):
        await app.at(host).answers("v2", (ACCOUNT, "alice"))
        await app.at(host).spreads(50, 100)
    late = f"late-{app.host}"
    await app.api.apply(
        manifests.ingress("third", host=late, backend=NAME, namespace=app.namespace)
    )
    await app.at(late).answers("v2", (ACCOUNT, "alice"))
    await app.at(late).spreads(50, 100)
    await app.resume()
    await app.ends("promoted")
    assert await app.at(late).count(10) == {"v2": 10}


@scenario
async def test_an_ingress_that_is_left_out_gets_no_canary(app: App) -> None:
    await app.deploy()
    other = f"other-{app.host}"
    await app.api.apply(
        manifests.ingress("second", host=other, backend=NAME, namespace=app.namespace)
    )
    await app.canary(header=ACCOUNT, header_values="alice", ingresses="second")
    assert "ingresses myapp-canary" not in await app.ours()
    await app.at(other).answers("v2", (ACCOUNT, "alice"))


# Promotion.


@scenario
async def test_a_promotion_in_place_rolls_below_half_of_the_traffic(app: App) -> None:
    await app.canary(promotion="in-place")
    await app.annotate(weight="80")
    await app.weighs(80)
    await app.resume()
    await app.ends("promoted")
    assert 50 in app.weights
    assert 100 not in app.weights
    assert await app.runs() == {"v2": 2}


@scenario
async def test_recreate_that_is_accepted_is_promoted_in_place(app: App) -> None:
    await app.deploy(strategy={"type": "Recreate"})
    await app.canary(accept="recreate", promotion="in-place")
    await app.resume()
    await app.ends("promoted")
    assert await app.runs() == {"v2": 2}


@scenario
async def test_affinity_that_is_accepted_is_ended_by_deleting_the_canary_ingress(app: App) -> None:
    await app.deploy()
    await app.kubectl(f"annotate ingress {NAME} nginx.ingress.kubernetes.io/affinity=cookie")
    await app.canary(accept="affinity", promotion="in-place")
    await app.annotate(weight="50")
    await app.weighs(50)
    await app.act("abort")
    told = await app.ends("aborted")
    assert told.stage == "Aborted"
    assert await app.runs() == {"v1": 2}


@scenario
async def test_a_deployment_whose_roll_would_empty_it_is_not_promoted(app: App) -> None:
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "100%", "maxSurge": 0}}
    await app.deploy(strategy=rolling)
    await app.canary()
    await app.resume()
    told = await app.reaches("Promoting", "StableWouldBeEmpty")
    assert "maxUnavailable" in told.message
    change = '{"spec":{"strategy":{"rollingUpdate":{"maxUnavailable":0,"maxSurge":1}}}}'
    await app.kubectl(f"patch deployment {NAME} -p '{change}'")
    await app.ends("promoted")
    assert await app.runs() == {"v2": 2}


@scenario
async def test_stable_that_an_autoscaler_shrank_gets_the_traffic_as_it_grows(app: App) -> None:
    """Beside it: from the end of the roll an abort comes too late."""
    await app.deploy(replicas=4)
    scaler = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": NAME, "namespace": app.namespace},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": NAME},
            "minReplicas": 2,
            "maxReplicas": 6,
        },
    }
    await app.api.apply(scaler)
    await app.gated_canary()
    await app.resume()
    await app.reaches("Promoting", "WaitingForPods")
    await app.api.scale(NAME, 2)
    carried = app.until("what 2 of 4 may carry", lambda told: told.written == 38)
    await app.let_in("", carried)
    assert await app.size(CANARY) == 4
    await app.act("abort")
    await app.until("an answer", lambda told: "too late" in told.last_action)
    await app.api.scale(NAME, 4)
    await app.let_in("", app.ends("promoted"))
    assert await app.runs() == {GATED: 4}


# Pods that are lost.


async def exposed(app: App) -> list[str]:
    """Give half of the traffic to a canary of two pods; answers their names."""
    await app.canary()
    await app.annotate(weight="50")
    await app.weighs(50)
    return await app.pods("canary")


@scenario
async def test_a_canary_without_a_ready_pod_is_closed_and_opened_again(app: App) -> None:
    pods = await exposed(app)
    await app.are_ready(pods, ready=False)
    told = await app.reaches("Canary", "CanaryShort")
    assert told.why("Degraded") == "CanaryShort"
    await app.weighs(0)
    assert await app.count(20) == {"v1": 20}
    await app.tells("CanaryShort")
    await app.are_ready(pods, ready=True)
    await app.weighs(50)
    await app.until("as expected", lambda told: told.why("Degraded") == "AsExpected")


@scenario
async def test_a_canary_short_of_a_pod_carries_what_it_can(app: App) -> None:
    await app.deploy(replicas=4)
    await app.canary()
    await app.annotate(weight="100")
    await app.weighs(100)
    lost = (await app.pods("canary"))[0]
    await app.are_ready([lost], ready=False)
    await app.until("lowered", lambda told: told.written == 75)
    await app.are_ready([lost], ready=True)
    await app.weighs(100)


@scenario
async def test_the_third_fall_of_a_canary_aborts_it(app: App) -> None:
    pods = await exposed(app)
    for _ in range(2):
        await app.are_ready(pods, ready=False)
        await app.reaches("Canary", "CanaryShort")
        await app.until("weight 0", lambda told: told.written == 0)
        await app.are_ready(pods, ready=True)
        await app.until("up again", lambda told: told.reason == "Canary" and told.written == 50)
    await app.are_ready(pods, ready=False)
    told = await app.ends("aborted")
    assert told.stage == "Aborted"
    assert "short of pods" in told.says("Promoted")
    assert await app.runs() == {"v1": 2}


@scenario
async def test_a_canary_whose_processes_end_is_closed_until_they_run_again(app: App) -> None:
    await app.canary(header=ACCOUNT, header_values="alice")
    await app.answers("v2", (ACCOUNT, "alice"))
    (pod,) = await app.pods("canary")
    # Who looks only afterwards may find it running again.
    await asyncio.gather(
        app.reaches("Canary", "CanaryShort"),
        app.answers("v1", (ACCOUNT, "alice")),
        app.cluster.crash_pod(app.namespace, pod),
    )
    await app.answers("v2", (ACCOUNT, "alice"))
    assert app.told.stage == "Canary"


@scenario
async def test_a_stable_that_lost_a_pod_holds_the_raise_but_not_the_abort(app: App) -> None:
    await app.deploy(replicas=4)
    await app.canary()
    await app.annotate(weight="10")
    await app.weighs(10)
    lost = (await app.pods("stable"))[0]
    await app.are_ready([lost], ready=False)
    await app.comes_true("3 of 4 are ready", lambda: has_ready(app, 3))
    await app.annotate(weight="20")
    told = await app.reaches("Canary", "StableShort")
    assert told.written == 10
    await app.are_ready([lost], ready=True)
    await app.weighs(20)
    await app.are_ready([lost], ready=False)
    await app.comes_true("3 of 4 are ready", lambda: has_ready(app, 3))
    await app.act("abort")
    await app.ends("aborted")


async def has_ready(app: App, count: int) -> bool:
    return bool((await app.get("deployments"))["status"].get("readyReplicas") == count)


@pytest.mark.parametrize("count", [1, 2])
@scenario
async def test_a_release_works_at_any_size(app: App, count: int) -> None:
    await app.deploy(replicas=count)
    await app.canary()
    await app.annotate(weight="50")
    await app.weighs(50)
    assert await app.size(CANARY) == count
    await app.resume()
    await app.ends("promoted")
    assert await app.runs() == {"v2": count}
