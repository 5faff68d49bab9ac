"""The release that started the project, from the first command to the last."""

# ruff: noqa: D103 - a test's name is its docstring

import asyncio

from e2e.scenarios.application import ACCOUNT, App
from e2e.scenarios.side_by_side import scenario


@scenario
async def test_a_release_is_held_tried_promoted_and_forgotten_without_a_lost_request(
    app: App,
) -> None:
    await app.deploy(replicas=3)
    load = await app.cluster.load(app.host, rate=40)
    running = asyncio.create_task(load.run())
    await app.kubectl("label service myapp serinus.dev/canary=enabled")
    await app.kubectl(
        "annotate service myapp serinus.dev/header=X-Account serinus.dev/header-values=alice,bob"
    )
    await app.is_ready()
    await app.kubectl("set image deployment myapp myapp-container=janakiramm/myapp:v2")
    await app.reaches("Canary")
    assert await app.runs() == {"v1": 3}
    await app.answers("v2", (ACCOUNT, "alice"))
    assert await app.who_gets("v2", ["alice", "bob", "carol"]) == ["alice", "bob"]
    await app.kubectl(
        'patch service myapp -p \'{"metadata":{"annotations":{"serinus.dev/weight":"2"}}}\''
    )
    await app.weighs(2)
    await app.comes_true("about 2 % of everybody", lambda: has_its_share(app))
    await app.kubectl("rollout resume deployment myapp")
    await app.ends("promoted")
    assert await app.runs() == {"v2": 3}
    assert app.stages == ["Idle", "Starting", "Canary", "Promoting", "Idle"]
    load.stop()
    report = await running
    assert not report.failures, report.summary()
    await app.set_image("v3")
    await app.reaches("Canary")
    assert await app.runs() == {"v2": 3}


async def has_its_share(app: App) -> bool:
    """Say whether the canary gets its part; of a cycle that begins anew it gets none at first."""
    share = await app.count(200, (ACCOUNT, "carol"))  # the load takes its part of the 2 % too
    return 1 <= share["v2"] <= 8
