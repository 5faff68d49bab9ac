"""The parts of the demo that need no bed: what it types, shows, counts and finds left over."""

import asyncio
import io
import re
import shlex
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from controller.api.status import Status
from e2e.bed.client import Client, Request, Target
from e2e.bed.load import Load, Outcome
from e2e.demo_leftovers import leftovers
from e2e.demo_screen import (
    Pods,
    Screen,
    View,
    closing_line,
    pods_line,
    screen_for,
    shares,
    versions,
)
from e2e.demo_story import (
    CHAPTERS,
    NOBODY,
    OPTED_OUT,
    STORY,
    VISITORS,
    Step,
    arguments,
    things_to_try,
)
from e2e.demo_traffic import Traffic, failure_lines

ROOT = Path(__file__).parents[2]
PLAIN = {"PATH": ""}


def commands_of(readme: str) -> list[list[str]]:
    """Read the first block of shell commands of a README."""
    text = (ROOT / readme).read_text()
    block = re.search(r"```sh\n(.*?)```", text, re.DOTALL)
    assert block, f"{readme} has no block of commands"
    lines = [shlex.split(line, comments=True) for line in block[1].splitlines()]
    return [line for line in lines if line]


def typed() -> list[str]:
    return [part.command for chapter in CHAPTERS for part in chapter.parts]


@pytest.mark.parametrize("readme", ["README.md", "README.zh-CN.md"])
def test_the_readmes_show_the_commands_that_the_demo_types(readme: str) -> None:
    assert commands_of(readme) == [shlex.split(command) for command in STORY]


def test_the_demo_types_the_whole_story_in_its_order() -> None:
    assert [command for command in typed() if command in STORY] == list(STORY)


def test_every_command_is_one_of_kubectl() -> None:
    assert [arguments(command)[0] for command in typed()]
    with pytest.raises(ValueError, match="not with rm"):
        arguments("rm -r .")


def test_a_step_knows_who_must_get_what() -> None:
    step = Step(
        command="kubectl version",
        says="",
        stage=None,
        stable="v1",
        canary="v2",
        doors=("alice",),
        weight=2,
        cookie=True,
    )
    assert {visitor.name: step.expected(visitor) for visitor in VISITORS} == {
        "alice": "v2",
        "bob": "",
        "carol": "",
        "7704": "",
        "nobody": "",
        "beta=always": "",
        "beta=never": "v1",
    }


def test_without_a_weight_everybody_else_stays() -> None:
    step = Step(command="kubectl version", says="", stage=None, stable="v1", canary="v2")
    assert {step.expected(visitor) for visitor in VISITORS} == {"v1"}


def test_a_cookie_is_asked_for_only_where_the_service_names_one() -> None:
    step = Step(command="kubectl version", says="", stage=None, stable="v1")
    assert OPTED_OUT not in step.visitors()
    assert NOBODY in step.visitors()


def test_a_table_shows_who_gets_what() -> None:
    out = io.StringIO()
    Screen(out=out).table(
        View(
            gets={"alice": Counter(v2=20), "carol": Counter(v1=19, v2=1), "beta=always": None},
            plain=Counter(v1=980, v2=20),
            pods=[Pods(owner="myapp", version="v1", ready=2, total=3)],
            status="Canary: weight 2",
            canary="v2",
        )
    )
    assert out.getvalue().splitlines() == [
        "",
        "  who     alice   carol   beta=always  1,000 plain requests",
        "  gets    v2      v1, v2  -            v1 98.0 %, v2 2.0 %",
        "  pods    myapp v1 ●●○",
        "  status  Canary: weight 2",
    ]


def test_a_long_message_is_wrapped_beside_its_stage() -> None:
    out = io.StringIO()
    Screen(out=out).progress(1.25, Status(stage="Canary", message="word " * 30))
    first, second = out.getvalue().splitlines()
    assert first.startswith("    1.2 s  Canary       word word")
    assert second.startswith(" " * 24 + "word")
    assert max(len(first), len(second)) <= 100


def test_a_long_command_goes_on_in_the_next_line() -> None:
    out = io.StringIO()
    command = f"kubectl annotate service myapp {'serinus.dev/cookie=beta ' * 4}".strip()
    Screen(out=out).command(command, "What to look for.")
    text = out.getvalue()
    assert text.startswith("\n# What to look for.\n$ kubectl annotate")
    assert max(map(len, text.splitlines())) <= 100
    assert shlex.split(text.replace("\\\n", ""), comments=True) == ["$", *shlex.split(command)]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("out", "environ", "colored"),
    [
        (Terminal(), PLAIN, True),
        (Terminal(), {"NO_COLOR": "1"}, False),
        (io.StringIO(), PLAIN, False),
    ],
)
def test_colours_are_for_terminals_only(
    out: io.StringIO, environ: dict[str, str], colored: bool
) -> None:
    screen_for(out, environ).command("kubectl version")
    assert ("\x1b[" in out.getvalue()) is colored


def test_versions_and_shares_read_as_words() -> None:
    assert versions(None) == "-"
    assert versions(Counter({"v1": 1, "v2": 3})) == "v2, v1"
    assert shares(Counter({"v2": 25, "v1": 75})) == "v1 75.0 %, v2 25.0 %"
    assert pods_line([]) == "none"


def test_the_last_line_has_the_form_that_scripts_may_read() -> None:
    line = closing_line(requests=12345, failed=0, promoted=1, aborted=1, left=0)
    assert line == "demo: 12345 requests, 0 failed; 1 promoted, 1 aborted; 0 objects left"


def test_a_failure_is_told_with_time_phase_kind_and_status() -> None:
    failure = Outcome(
        second=7,
        phase="Promote v2",
        kind="fresh GET",
        control=False,
        version="503",
        error="503",
        seconds=0.25,
    )
    assert failure_lines([failure]) == ["second 7, Promote v2: fresh GET: 503 after 0.25 s"]


async def test_a_question_nobody_answers_counts_as_failed() -> None:
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    target = Target(port=server.sockets[0].getsockname()[1])
    traffic = Traffic(load=Load(target, [Request(host="a")], count=0), client=Client(target))
    async with server, traffic.flowing():
        assert await traffic.ask(Request(host="a"), 3) == {"-": 3}
    report = traffic.report()
    assert (report.sent, len(report.failures)) == (3, 3)


def test_things_to_try_name_the_addresses() -> None:
    text = things_to_try(Path("folder") / "kubeconfig", 8123)
    assert "export KUBECONFIG=folder/kubeconfig" in text
    assert "http://127.0.0.1:8123" in text
    assert [line[:2] for line in text.splitlines() if re.match(r"\d\.", line)] == [
        f"{number}." for number in range(1, 6)
    ]


# What is left over.

DEPLOYMENT = "deployments/canary/myapp"
SERVICE = "services/canary/myapp"


def world(image: str = "myapp:v1", **more: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Build a dump of an application that nobody has touched."""
    containers = [{"name": "myapp-container", "image": image}, {"name": "side", "image": "side:1"}]
    return {
        DEPLOYMENT: {
            "metadata": {"annotations": {"deployment.kubernetes.io/revision": image[-1]}},
            "spec": {"replicas": 3, "template": {"spec": {"containers": containers}}},
            "status": {"observedGeneration": int(image[-1])},
        },
        SERVICE: {"metadata": {"labels": {"app": "myapp"}}, "spec": {}, "status": {}},
        f"pods/canary/myapp-{image[-1]}": {"metadata": {"labels": {"app": "myapp"}}},
        **more,
    }


def left(after: dict[str, dict[str, Any]]) -> list[str]:
    return leftovers(world(), after, images={DEPLOYMENT: "myapp:v2"})


def test_nothing_is_left_where_only_the_users_own_change_stays() -> None:
    event = {"metadata": {"name": "myapp.1"}, "reason": "Promoted"}
    assert left(world("myapp:v2", **{"events/canary/myapp.1": event})) == []


def test_a_new_object_is_left() -> None:
    assert left(world("myapp:v2", **{"ingresses/canary/other": {"metadata": {}}})) == [
        "ingresses/canary/other: is new"
    ]


def test_an_object_that_went_is_told() -> None:
    after = world("myapp:v2")
    del after[SERVICE]
    assert left(after) == [f"{SERVICE}: is gone"]


def test_a_pod_of_the_canary_is_left() -> None:
    pod = {"metadata": {"labels": {"serinus.dev/track": "canary"}}}
    assert left(world("myapp:v2", **{"pods/canary/x": pod})) == [
        "pods/canary/x: carries serinus.dev/track"
    ]


def test_an_object_we_manage_is_left() -> None:
    budget = {"metadata": {"labels": {"app.kubernetes.io/managed-by": "serinus"}}}
    assert left(world("myapp:v2", **{"poddisruptionbudgets/canary/x": budget})) == [
        "poddisruptionbudgets/canary/x: carries app.kubernetes.io/managed-by"
    ]


def test_a_condition_and_an_annotation_of_ours_are_left() -> None:
    after = world("myapp:v2")
    after[SERVICE]["status"] = {"conditions": [{"type": "serinus.dev/Ready"}]}
    after[SERVICE]["metadata"]["annotations"] = {"serinus.dev/status": "{}"}
    assert left(after) == [f"{SERVICE}: carries serinus.dev/Ready, serinus.dev/status"]


def test_a_changed_field_of_the_user_is_told() -> None:
    after = world("myapp:v2")
    after[DEPLOYMENT]["spec"]["paused"] = True
    after[SERVICE]["spec"] = {"type": "LoadBalancer"}
    assert left(after) == [f"{DEPLOYMENT}: differs in spec", f"{SERVICE}: differs in spec"]


def test_another_image_than_the_promoted_one_is_told() -> None:
    assert left(world("myapp:v3")) == [f"{DEPLOYMENT}: differs in spec"]
