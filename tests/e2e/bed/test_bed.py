"""The whole bed: kubectl in, the real proxy in front, answers of the right version out."""

import asyncio
import json
import signal
from collections import Counter
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from e2e.bed import manifests
from e2e.bed.api import ApiError
from e2e.bed.bed import Bed
from e2e.bed.children import ChildEndedError, MissingProgramError, program
from e2e.bed.client import Client, Request, census
from e2e.bed.manifests import canary_annotations
from e2e.bed.polling import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="module")
HOST = "myapp.example"
CANARY = "app=myapp-canary"


def missing() -> str:
    """Say which program is missing; empty if none is."""
    try:
        program("kubectl"), program("traefik")
    except MissingProgramError as error:
        return str(error)
    return ""


if missing():
    pytest.skip(missing(), allow_module_level=True)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bed() -> AsyncIterator[Bed]:
    async with Bed() as bed:
        await bed.api.apply(manifests.application())
        canary = manifests.deployment(
            "myapp-canary", image="janakiramm/myapp:v2", replicas=2, labels={"app": "myapp-canary"}
        )
        await bed.api.apply(canary, manifests.service("myapp-canary"))
        await bed.settled("myapp")
        await bed.settled("myapp-canary")
        await bed.serves(HOST, "v1")
        await bed.knobs.set_delays(probe=0.05, backoff=0.05)
        yield bed


async def route(bed: Bed, weight: int = 0, **doors: str) -> None:
    """Write the canary Ingress and wait until the proxy has it."""

    async def is_plain() -> bool:
        return not await bed.proxy.has_canary("myapp")

    async def is_routed() -> bool:
        return await bed.proxy.weights("myapp") == {"canary-myapp-myapp-80": weight}

    annotations = canary_annotations(weight=weight, **doors)
    await bed.api.delete("ingresses", "myapp-canary")
    await wait_until(is_plain)
    await bed.api.apply(manifests.ingress("myapp-canary", annotations=annotations))
    await wait_until(is_routed)


async def who_answers(bed: Bed, *headers: tuple[str, str], count: int = 20) -> Counter[str]:
    client = Client(bed.target)
    try:
        return await census(client, Request(host=HOST, headers=headers), count)
    finally:
        client.close()


async def test_weight_30_gives_exactly_300_of_1000(bed: Bed) -> None:
    await route(bed, weight=30, cookie="closing")
    assert await who_answers(bed, count=1000) == {"v1": 700, "v2": 300}


ACCOUNT, COOKIE = "X-Account", "Cookie"
ONE = {"header": ACCOUNT, "header_value": "mia", "cookie": "closing"}
TWO = {"header": ACCOUNT, "header_pattern": r"^(?:mia|tom\x2ek)$", "cookie": "closing"}
SUFFIX = {
    "header": ACCOUNT,
    "header_pattern": r"^[A-Za-z0-9._~\x40\x2b-]*0[0-4]$",
    "cookie": "closing",
}
BETA = {"cookie": "beta-shop"}
C, S = {"v2": 20}, {"v1": 20}


@pytest.mark.parametrize(
    ("doors", "weight", "headers", "expected"),
    [
        pytest.param(ONE, 0, [(ACCOUNT, "mia")], C, id="value"),
        pytest.param(ONE, 0, [(ACCOUNT, "Mia")], S, id="value-other-case"),
        pytest.param(ONE, 0, [(ACCOUNT, "always")], S, id="value-always"),
        pytest.param(TWO, 0, [(ACCOUNT, "tom.k")], C, id="row1"),
        pytest.param(TWO, 0, [(ACCOUNT, "tomxk")], S, id="row2-dot"),
        pytest.param(TWO, 0, [(ACCOUNT, "Mia")], S, id="row2-case"),
        pytest.param(TWO, 0, [(ACCOUNT, "always")], S, id="row3"),
        pytest.param(TWO, 0, [(COOKIE, "=always")], S, id="row4"),
        pytest.param(TWO, 0, [(ACCOUNT, "mia"), (ACCOUNT, "mia")], C, id="row5"),
        pytest.param(TWO, 20, [(ACCOUNT, "zoe")], {"v1": 16, "v2": 4}, id="row6"),
        pytest.param(SUFFIX, 0, [(ACCOUNT, "88104")], C, id="row7"),
        pytest.param(SUFFIX, 0, [(ACCOUNT, "88114")], S, id="row8-other"),
        pytest.param(SUFFIX, 0, [(ACCOUNT, "4")], S, id="row8-short"),
        pytest.param(SUFFIX, 0, [(ACCOUNT, "88199, 88104")], S, id="row9"),
        pytest.param(BETA, 30, [(COOKIE, "a=1; beta-shop=always")], C, id="cookie-always"),
        pytest.param(BETA, 30, [(COOKIE, "a=1; beta-shop=never")], S, id="row10"),
        pytest.param(BETA, 30, [(COOKIE, "Beta-Shop=always")], {"v1": 14, "v2": 6}, id="row11"),
        pytest.param(ONE | BETA, 0, [(ACCOUNT, "mia"), (COOKIE, "beta-shop=never")], C, id="row12"),
    ],
)
async def test_traefik_routes_as_the_truth_table_says(
    bed: Bed,
    doors: dict[str, str],
    weight: int,
    headers: list[tuple[str, str]],
    expected: dict[str, int],
) -> None:
    await route(bed, weight, **doors)
    assert await who_answers(bed, *headers) == expected


@pytest.mark.parametrize(
    ("empty", "expected"), [("myapp-canary", S), ("myapp", C)], ids=["row13", "row14"]
)
async def test_at_weight_100_an_empty_side_is_passed_over(
    bed: Bed, empty: str, expected: dict[str, int]
) -> None:
    await route(bed, 100, cookie="closing")
    before = await bed.api.get("deployments", empty)
    assert before is not None
    await bed.api.scale(empty, 0)
    await bed.settled(empty)

    async def as_expected() -> bool:
        return await who_answers(bed) == expected

    await wait_until(as_expected, what=f"{expected} while {empty} is empty")
    await bed.api.scale(empty, before["spec"]["replicas"])
    await bed.settled(empty)


async def test_kubectl_rolls_out_scales_and_undoes(bed: Bed) -> None:
    manifest = manifests.application("other", namespace="side", image="other:v1", replicas=2)
    text = "\n---\n".join(map(json.dumps, manifest))
    await bed.kubectl("apply", "-f", "-", stdin=text)
    await bed.kubectl("rollout", "status", "deployment/other", "-n", "side", "--timeout=20s")
    await bed.serves("other.example", "v1")
    await bed.kubectl("set", "image", "deployment/other", "*=other:v2", "-n", "side")
    await bed.kubectl("rollout", "status", "deployment/other", "-n", "side", "--timeout=20s")
    await bed.serves("other.example", "v2")
    await bed.kubectl("rollout", "undo", "deployment/other", "-n", "side")
    await bed.serves("other.example", "v1")
    await bed.kubectl("scale", "deployment/other", "--replicas=4", "-n", "side")
    await bed.settled("other", "side")
    assert "4/4" in await bed.kubectl("get", "deployment", "other", "-n", "side")
    await bed.kubectl("delete", "namespace", "side")
    await wait_until(lambda: is_empty(bed, "side"), what="namespace side is empty")


async def is_empty(bed: Bed, namespace: str) -> bool:
    return not any(f"/{namespace}/" in key for key in await bed.dump())


async def test_load_over_a_weight_change_loses_nothing(bed: Bed) -> None:
    await route(bed, weight=10, cookie="closing")
    load = await bed.load(HOST, rate=200, count=300, seconds=5)
    running = asyncio.create_task(load.run())
    await wait_until(lambda: load.sent > 100)
    load.mark("raised")
    await bed.api.patch(
        "ingresses", "myapp-canary", {"metadata": {"annotations": canary_annotations(weight=50)}}
    )
    report = await running
    assert report.failures == []
    assert report.by_version("raised")["v2"] > report.by_version("start")["v2"]


async def test_a_pod_can_be_made_unready_failing_or_crash(bed: Bed) -> None:
    await route(bed, weight=100, cookie="closing")
    [one, other] = [pod["metadata"]["name"] for pod in await bed.api.list("pods", labels=CANARY)]
    await bed.knobs.set_pod(one, errors=1.0)
    answers = [await bed.request(HOST) for _ in range(4)]
    assert {(answer.pod, answer.status) for answer in answers} == {(one, 500), (other, 200)}
    await bed.knobs.set_pod(one, errors=0.0, ready=False)
    await wait_until(lambda: only_answers(bed, other), what="the unready pod is left out")
    await bed.knobs.set_pod(one, ready=True)
    await bed.settled("myapp-canary")
    await bed.knobs.set_delays(backoff=5.0)  # on a busy machine it would be back too soon
    await bed.knobs.crash_pod(other)
    await wait_until(lambda: only_answers(bed, one), what="the crashed pod is left out")
    await bed.knobs.set_delays(backoff=0.05)
    await bed.settled("myapp-canary")


async def only_answers(bed: Bed, pod: str) -> bool:
    return {(await bed.request(HOST)).pod for _ in range(4)} == {pod}


async def test_planned_faults_hit_the_calls_they_name_so_often(bed: Bed) -> None:
    await bed.knobs.set_faults(
        [{"verb": "patch", "kind": "services", "status": 503, "skip": 1, "times": 2}]
    )
    change = {"metadata": {"annotations": {"tried": "yes"}}}
    codes = []
    for _ in range(4):
        try:
            await bed.api.patch("services", "myapp", change)
            codes.append(200)
        except ApiError as error:
            codes.append(error.status)
    assert codes == [200, 503, 503, 200]
    await bed.knobs.set_faults([])
    with pytest.raises(ValueError, match="kin"):
        await bed.knobs.set_faults([{"kin": "services"}])


async def test_the_request_log_can_be_cleared_and_read(bed: Bed) -> None:
    await bed.knobs.clear_requests()
    await bed.api.get("services", "myapp")
    paths = [request["path"] for request in await bed.knobs.requests()]
    assert "/api/v1/namespaces/canary/services/myapp" in paths


async def test_delays_slow_a_controller_down(bed: Bed) -> None:
    await bed.knobs.set_delays(endpointslices=0.4, start=0.1)
    try:
        loop = asyncio.get_running_loop()
        began = loop.time()
        await bed.api.apply(manifests.service("late"))
        await wait_until(lambda: has_slice(bed, "late"), what="service late has its slice")
        assert loop.time() - began > 0.35
        with pytest.raises(ValueError, match="no such delay: naps"):
            await bed.knobs.set_delays(naps=1.0)
    finally:
        await bed.knobs.set_delays(endpointslices=0.0, start=0.0)


async def has_slice(bed: Bed, service: str) -> bool:
    labels = f"kubernetes.io/service-name={service}"
    return bool(await bed.api.list("endpointslices", labels=labels))


async def test_the_proxy_follows_again_after_the_history_was_forgotten(bed: Bed) -> None:
    await route(bed, weight=10, cookie="closing")
    await bed.knobs.forget_history()
    change = {"metadata": {"annotations": canary_annotations(weight=20)}}
    await bed.api.patch("ingresses", "myapp-canary", change)

    async def followed() -> bool:
        return await bed.proxy.weight("myapp") == 20

    await wait_until(followed, within=20)


async def test_a_deployment_is_scaled_as_an_autoscaler_does(bed: Bed) -> None:
    await bed.api.scale("myapp-canary", 3)
    await bed.settled("myapp-canary")
    assert len(await bed.api.list("pods", labels=CANARY)) == 3


async def test_the_controller_runs_beside_the_bed_and_can_be_killed(bed: Bed) -> None:
    async with bed.controller("--propagation-wait=1s") as process:
        assert "serinus_" in await process.metrics()
        await process.kill()
        assert process.child.exit_code == -signal.SIGKILL
        with pytest.raises(ChildEndedError):
            await process.is_ready()


async def test_the_hold_pauses_a_new_template_and_can_be_switched_off(bed: Bed) -> None:
    held = {"metadata": {"labels": {"serinus.dev/held": "myapp"}}}
    await bed.api.patch("deployments", "myapp", held)
    image = {"name": "myapp-container", "image": "janakiramm/myapp:v3"}
    await bed.kubectl(
        "set", "image", "deployment/myapp", f"{image['name']}={image['image']}", "-n", "canary"
    )
    found = await bed.api.get("deployments", "myapp")
    assert found is not None
    assert found["spec"]["paused"] is True
    await bed.serves(HOST, "v1")
    await bed.knobs.set_hold(on=False)
    await bed.api.patch("deployments", "myapp", {"spec": {"paused": False}})
    await bed.serves(HOST, "v3")
