"""Who gets which version, counted: accounts, endings, the cookie and the weight."""

# ruff: noqa: D103 - a test's name is its docstring

import asyncio
from collections import Counter

from e2e.scenarios.application import ACCOUNT, App
from e2e.scenarios.side_by_side import scenario

LISTED = [f"user-{number}" for number in range(20)] + ["A.b~c", "x@example.com", "a+b", "7"]
STRANGERS = [
    "",
    "always",
    "never",
    "USER-1",
    "User-1",
    "user-",
    "user-1 0",
    "user-100",
    "auser-1",
    "user-1,",
    "user-1, user-2",
    "user-1|user-2",
    "a-b",
    "aab",
    "AXb~c",
    "x@exampleXcom",
    "77",
    ".*",
    "^user-1$",
    "(?:user-1)",
    "%75ser-1",
    '"user-1"',
    "user-1\u00e9",
    "u" * 8192,
    "user-1" * 1300,
]


async def asked_in_turn(app: App, accounts: list[str], count: int) -> Counter[str]:
    """Send so many requests, the accounts in turn; answers who answered."""
    found: Counter[str] = Counter()
    numbers = iter(range(count))

    async def worker() -> None:
        for number in numbers:
            header = (ACCOUNT, accounts[number % len(accounts)])
            found[(await app.cluster.request(app.host, header)).version] += 1

    await asyncio.gather(*(worker() for _ in range(8)))
    return found


@scenario
async def test_of_1000_requests_of_listed_accounts_all_reach_the_canary_and_of_1000_others_none(
    app: App,
) -> None:
    await app.canary(header=ACCOUNT, header_values=", ".join(LISTED))
    await app.answers("v2", (ACCOUNT, LISTED[0]))
    assert await asked_in_turn(app, LISTED, 1000) == {"v2": 1000}
    assert await asked_in_turn(app, STRANGERS, 1000) == {"v1": 1000}
    assert await app.count(20) == {"v1": 20}


@scenario
async def test_ids_that_end_in_00_to_04_are_exactly_500_of_10000(app: App) -> None:
    await app.canary(header=ACCOUNT, header_suffixes="00-04")
    await app.answers("v2", (ACCOUNT, "0001"))
    ids = [f"{number:04}" for number in range(10_000)]
    assert await asked_in_turn(app, ids, len(ids)) == {"v1": 9500, "v2": 500}
    assert await app.who_gets("v2", ["4", "04", "104x", "88104", "88199, 88104"]) == [
        "04",
        "88104",
    ]


@scenario
async def test_a_doubled_header_opens_by_any_line_and_never_by_a_joined_one(app: App) -> None:
    await app.canary(header=ACCOUNT, header_values="mia, tom.k")
    await app.answers("v2", (ACCOUNT, "mia"))
    assert await app.count(20, (ACCOUNT, "mia"), (ACCOUNT, "mia")) == {"v2": 20}
    assert await app.count(20, (ACCOUNT, "zoe"), (ACCOUNT, "mia")) == {"v2": 20}
    assert await app.count(20, (ACCOUNT, "mia, mia")) == {"v1": 20}
    assert await app.count(20, ("X_Account", "mia")) == {"v1": 20}
    assert await app.count(20, ("x-account", "mia")) == {"v2": 20}


@scenario
async def test_weight_30_is_exactly_300_of_1000_and_the_cookie_overrules_it(app: App) -> None:
    await app.canary(cookie="beta")
    await app.annotate(weight="30")
    await app.weighs(30)
    await app.spreads(30, 1000)
    assert await app.count(100, ("Cookie", "a=1; beta=always")) == {"v2": 100}
    assert await app.count(100, ("Cookie", "beta=never")) == {"v1": 100}
    await app.spreads(30, 100, ("Cookie", "beta=maybe"))
    await app.spreads(30, 100, ("Cookie", "=always"))


@scenario
async def test_accounts_endings_cookie_and_weight_hold_together_and_are_edited_live(
    app: App,
) -> None:
    await app.canary(header=ACCOUNT, header_values="alice", header_suffixes="00-04", cookie="beta")
    await app.annotate(weight="20")
    await app.weighs(20)
    never, always = ("Cookie", "beta=never"), ("Cookie", "beta=always")
    assert await app.count(50, (ACCOUNT, "alice"), never) == {"v2": 50}
    assert await app.count(50, (ACCOUNT, "7703"), never) == {"v2": 50}
    assert await app.count(50, (ACCOUNT, "zoe"), always) == {"v2": 50}
    assert await app.count(50, (ACCOUNT, "zoe"), never) == {"v1": 50}
    await app.spreads(20, 100, (ACCOUNT, "zoe"))
    await app.annotate(header_values="bob", header_suffixes="7", cookie="gamma", weight="40")
    await app.weighs(40)
    await app.answers("v2", (ACCOUNT, "bob"), ("Cookie", "gamma=never"))
    away = ("Cookie", "gamma=never")
    assert await app.count(50, (ACCOUNT, "alice"), away) == {"v1": 50}
    assert await app.count(50, (ACCOUNT, "7703"), away) == {"v1": 50}
    assert await app.count(50, (ACCOUNT, "7"), away) == {"v2": 50}
    await app.spreads(40, 100, always)
    await app.annotate(header=None, header_values=None, header_suffixes=None, cookie=None)
    await app.until("only the weight", lambda told: "accounts" not in told.message)
    await app.spreads(40, 100, (ACCOUNT, "bob"))
    await app.spreads(40, 100, ("Cookie", "gamma=always"))


@scenario
async def test_a_list_that_is_replaced_opens_to_nobody_who_is_on_neither(app: App) -> None:
    await app.canary(header=ACCOUNT, header_values="alice, bob")
    await app.annotate(header_values="bob, carol")
    await app.answers("v2", (ACCOUNT, "carol"))
    assert await app.who_gets("v2", ["alice", "bob", "carol", "dave"]) == ["bob", "carol"]


@scenario
async def test_one_account_is_matched_by_value_and_awkward_ones_by_pattern(app: App) -> None:
    await app.canary(header=ACCOUNT, header_values="mia")
    await app.answers("v2", (ACCOUNT, "mia"))
    assert await app.who_gets("v2", ["mia", "Mia", "mia2", "always"]) == ["mia"]
    await app.annotate(header_values="m+i@a.b")
    await app.answers("v2", (ACCOUNT, "m+i@a.b"))
    assert await app.who_gets("v2", ["mia", "mmi@a.b", "m+i@aXb", "m+i@a.b"]) == ["m+i@a.b"]


@scenario
async def test_a_weight_is_exact_over_whole_cycles(app: App) -> None:
    await app.canary()
    for weight in (1, 50, 99, 100):
        await app.annotate(weight=str(weight))
        await app.weighs(weight)
        await app.spreads(weight, 100)
