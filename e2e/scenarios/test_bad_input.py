"""A bad value is named, with what is allowed, and the last good configuration stays in force."""

# ruff: noqa: D103 - a test's name is its docstring

import pytest

from e2e.scenarios.application import ACCOUNT, App
from e2e.scenarios.side_by_side import scenario

TOO_MANY = ", ".join(f"user-{number}" for number in range(51))
LONG = "a" * 65

WRONG: dict[str, list[tuple[str, str]]] = {
    "weight": [("101", "101"), ("-1", "-1"), ("07", "07"), ("5%", "5%"), ("1.5", "1.5"), ("", "")],
    "steps": [("50, 25", "25"), ("0", "0"), ("5/", "5/"), ("5/8d", "5/8d"), ("5/0s", "5/0s")],
    "header": [("X_Account", "X_Account"), ("Host", "Host"), ("Cookie", "Cookie"), ("1x", "1x")],
    "header_values": [
        ("alice, always", "account 2 of 2"),
        ("al ice*", "account 2 of 2"),
        (LONG, "65 characters"),
        (TOO_MANY, "51 accounts"),
    ],
    "header_suffixes": [("04-00", "04-00"), ("0-04", "0-04"), ("zz", "zz"), ("12345", "12345")],
    "cookie": [("Beta", "Beta"), ("a b", "a b"), ("", "")],
    "query": [("beta", "beta"), ("a=1, a=1", "a=1"), ("a=%31", "%31")],
    "replicas": [("0", "0"), ("101%", "101%"), ("10000", "10000"), ("all", "all")],
    "promotion": [("maybe", "maybe"), ("auto, manual", "contradict")],
    "checks": [("speed", "speed"), ("latency<=NaN%", "NaN")],
    "ready_deadline": [("0s", "0s"), ("10", "10"), ("8d", "8d"), ("200h", "200h")],
    "deployment": [("other/myapp", "other/myapp"), ("My", "My")],
    "ingresses": [("myapp, myapp", "twice"), ("a/b", "a/b")],
    "accept": [("everything", "everything"), ("affinity, affinity", "twice")],
    "action": [("promote", "promote"), ("resume", "resume"), ("retry:A", "retry:A")],
}
"""By key: a wrong value, and what the message has to show of it; an account is never repeated."""


@pytest.mark.parametrize("key", list(WRONG))
@scenario
async def test_a_wrong_value_is_named_and_the_last_good_configuration_serves_on(
    app: App, key: str
) -> None:
    good = {"header": ACCOUNT, "header_values": "alice", "header_suffixes": "77"}
    await app.canary(**good)
    await app.answers("v2", (ACCOUNT, "alice"))
    for value, shown in WRONG[key]:
        await app.annotate(**{key: value})
        told = await app.until(
            f"{key}={value!r} named",
            lambda told, shown=shown: (  # type: ignore[misc] # a default binds the loop's value
                told.why("Ready") == "InvalidConfiguration" and shown in told.says("Ready")
            ),
        )
        message = told.says("Ready")
        assert f"serinus.dev/{key.replace('_', '-')}" in message
        assert "allowed" in message
        assert told.stage == "Canary"
        assert await app.who_gets("v2", ["alice", "1277", "bob"]) == ["alice", "1277"]
        await app.annotate(**{key: good.get(key)})
        await app.is_ready()
    await app.tells("InvalidConfiguration")


@pytest.mark.parametrize(
    ("key", "nearest"),
    [("wieght", "weight"), ("header-value", "header-values"), ("Weight", "weight")],
)
@scenario
async def test_an_unknown_key_is_refused_and_the_nearest_is_named(
    app: App, key: str, nearest: str
) -> None:
    await app.enrol()
    await app.annotate(**{key: "5"})
    told = await app.is_refused("InvalidConfiguration")
    assert f"serinus.dev/{key} is not a key" in told.says("Ready")
    assert f"did you mean serinus.dev/{nearest}?" in told.says("Ready")
    await app.set_image("v2")
    await app.comes_true("held", app.is_paused)
    assert await app.ours() == []
    await app.annotate(**{key: None})
    await app.reaches("Canary")


@scenario
async def test_all_faults_are_told_at_once(app: App) -> None:
    await app.enrol()
    await app.annotate(weight="101", cookie="Beta", header_values="alice")
    told = await app.until("refused", lambda told: "cookie" in told.says("Ready"))
    for key in ("weight", "cookie", "header-values"):
        assert f"serinus.dev/{key}" in told.says("Ready")


@scenario
async def test_beside_a_bad_value_a_lower_weight_and_an_abort_are_obeyed_and_a_higher_is_not(
    app: App,
) -> None:
    await app.canary()
    await app.annotate(weight="50")
    await app.weighs(50)
    await app.annotate(cookie="Bad", weight="80")
    await app.is_refused("InvalidConfiguration")
    await app.until("asked", lambda told: told.status["weight"]["asked"] == 50)
    await app.annotate(weight="20")
    await app.weighs(20)
    await app.act("continue")
    await app.until("answered", lambda told: "refused" in told.last_action)
    await app.act("abort")
    await app.until("aborted", lambda told: told.outcome == "aborted")
    await app.comes_true("all of ours gone", lambda: has_nothing_of_ours(app))
    assert await app.count(20) == {"v1": 20}


async def has_nothing_of_ours(app: App) -> bool:
    return await app.ours() == []


@pytest.mark.parametrize(
    ("annotations", "reason", "says"),
    [
        ({"query": "beta=1"}, "DialectUnsupported", "not supported"),
        ({"checks": "error-rate"}, "ChecksWithoutPrometheus", "--prometheus-url"),
    ],
    ids=["query", "checks"],
)
@scenario
async def test_what_is_not_supported_yet_says_so(
    app: App, annotations: dict[str, str], reason: str, says: str
) -> None:
    await app.deploy()
    await app.annotate(**annotations)
    await app.label()
    told = await app.is_refused(reason)
    assert says in told.says("Ready")
    await app.annotate(**dict.fromkeys(annotations))
    await app.is_ready()


@scenario
async def test_a_label_that_is_not_enabled_is_a_condition(app: App) -> None:
    await app.deploy()
    await app.label("yes")
    told = await app.is_refused("LabelUnknown")
    assert "allowed: enabled" in told.says("Ready")
    await app.label()
    await app.is_ready()
