import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from controller.api import names
from controller.api.objects import revision_of, template_of
from controller.api.status import Judged, Known, Outcome, Status
from controller.cli import show
from e2e.bed.apiserver.calls import Call
from e2e.bed.apiserver.errors import ApiError
from e2e.bed.apiserver.server import ApiServer
from tests.controller.cli import worlds
from tests.controller.cli.conftest import Hand
from tests.controller.cli.worlds import SINCE, V2, Json, idle, in_canary, replica_set, service

READY = {"type": names.READY, "status": "True", "reason": "Held", "message": "held"}
DEGRADED = {"type": names.DEGRADED, "status": "True", "reason": "CanaryShort", "message": "1 of 2"}


def tell(hand: Hand, status: Status | None, *conditions: Mapping[str, str]) -> None:
    """Have an enrolled Service, and on it what the controller told."""
    told = service(status)
    told["status"] = {"conditions": [dict(it) for it in conditions or (READY,)]}
    hand.has("services", told)


def run(hand: Hand, deployment: Json, *sets: Json) -> Json:
    """Have the stable Deployment and its ReplicaSets."""
    stored = hand.has("deployments", deployment)
    for entry in sets:
        meta = entry["metadata"]
        owner = {**meta["ownerReferences"][0], "uid": stored["metadata"]["uid"]}
        hand.has("replicasets", {**entry, "metadata": {**meta, "ownerReferences": [owner]}})
    return stored


class TestChecks:
    PASSED = Judged(check="error-rate", outcome="pass", message="error-rate: pass: good")
    FAILED = Judged(check="success>=99%", outcome="fail")

    def test_shows_what_they_say(self, hand: Hand) -> None:
        tell(hand, in_canary(checks=(self.PASSED,)))
        found = hand("checks", "myapp")
        assert found.exit_code == 0, found.output
        assert found.output.splitlines()[-2:] == ["error-rate: pass", "  In words    good"]

    def test_is_1_where_one_has_failed(self, hand: Hand) -> None:
        tell(hand, in_canary(checks=(self.PASSED, self.FAILED)))
        assert hand("checks", "myapp").exit_code == 1

    def test_without_a_name_shows_every_enrolled_service(self, hand: Hand) -> None:
        tell(hand, in_canary(checks=(self.PASSED,)))
        other = service(idle())
        other["metadata"] = {**other["metadata"], "name": "another"}
        hand.has("services", other)
        lines = hand("checks").output.splitlines()
        assert [line for line in lines if line.endswith("-n canary")] == [
            "another -n canary",
            "myapp -n canary",
        ]

    def test_data_is_what_the_annotation_says(self, hand: Hand) -> None:
        tell(hand, in_canary(checks=(self.PASSED,)))
        found = json.loads(hand("checks", "myapp", "-o", "json").output)
        assert [check["outcome"] for check in found["checks"]] == ["pass"]
        assert yaml.safe_load(hand("checks", "myapp", "-o", "yaml").output) == found
        assert json.loads(hand("checks", "-o", "json").output) == {"items": [found]}


class TestStatus:
    def test_shows_the_screen_of_the_named_service(self, hand: Hand) -> None:
        tell(hand, in_canary(asked=0, written=0))
        run(hand, worlds.deployment(), replica_set("v1", 1, 3))
        serving = revision_of(template_of(hand.api.read("replicasets", "myapp-1")))
        hand.has("ingresses", worlds.ingress())
        found = hand("status", "myapp")
        assert found.exit_code == 0, found.output
        lines = found.output.splitlines()
        assert lines[0] == "myapp -n canary"
        assert "  To canary   2 accounts by X-Account (not open yet)" in lines
        assert f"  Pods        stable  3/3 ready  {serving}  janakiramm/myapp:v1" in lines

    def test_is_1_where_something_is_wrong(self, hand: Hand) -> None:
        tell(hand, in_canary(), READY, DEGRADED)
        found = hand("status", "myapp")
        assert found.exit_code == 1
        assert "Wrong       Degraded is True, CanaryShort: 1 of 2" in found.output

    def test_without_a_name_shows_every_enrolled_service(self, hand: Hand) -> None:
        tell(hand, in_canary())
        other = service(idle())
        other["metadata"] = {**other["metadata"], "name": "another"}
        hand.has("services", other)
        lines = hand("status").output.splitlines()
        assert [line for line in lines if line.endswith("-n canary")] == [
            "another -n canary",
            "myapp -n canary",
        ]

    @pytest.mark.parametrize("where", [["-n", "canary", "status"], ["status", "-n", "canary"]])
    def test_takes_connection_flags_before_and_behind_its_name(
        self, hand: Hand, where: list[str]
    ) -> None:
        tell(hand, idle())
        assert hand("--context", "elsewhere", *where, "myapp").exit_code == 0

    def test_data_is_the_view(self, hand: Hand) -> None:
        tell(hand, in_canary())
        one = json.loads(hand("status", "myapp", "-o", "json").output)
        assert (one["service"], one["fine"], one["status"]["revision"]) == ("myapp", True, V2)
        assert yaml.safe_load(hand("status", "-o", "yaml").output) == {"items": [one]}
        assert hand("status", "-o", "name").output == "service/myapp\n"

    def test_wait_is_0_when_nothing_runs_and_1_for_what_was_rejected(self, hand: Hand) -> None:
        tell(hand, idle(stage="Aborted", message="revision x was rejected"))
        rejected = hand("status", "myapp", "--wait")
        assert (rejected.exit_code, rejected.stderr) == (1, "Error: revision x was rejected\n")
        hand.api.delete("services", "myapp")
        tell(hand, idle())
        assert hand("status", "myapp", "--wait").exit_code == 0

    def test_without_the_right_to_list_it_shows_what_it_may(
        self, hand: Hand, server: ApiServer
    ) -> None:
        def deny(call: Call) -> ApiError | None:
            is_list = call.kind.plural == "ingresses"
            return ApiError(403, "Forbidden", "no") if is_list else None

        tell(hand, in_canary())
        server.faults.append(deny)
        found = hand("status", "myapp")
        assert found.exit_code == 0, found.output
        assert "you may not list ingresses in namespace canary" in found.output


class TestMessages:
    """One line that names the object and what to do, and never a traceback."""

    def check(self, hand: Hand, code: int, message: str, *words: str) -> None:
        found = hand(*words)
        assert found.exit_code == code, found.output
        assert found.stderr.splitlines()[-1] == f"Error: {message}"

    def test_no_such_service(self, hand: Hand) -> None:
        message = "Service nope is not in namespace canary: kubectl get services -n canary"
        self.check(hand, 1, message, "status", "nope")

    def test_a_service_that_is_not_enrolled(self, hand: Hand) -> None:
        plain = service()
        plain["metadata"] = {"name": "myapp"}
        hand.has("services", plain)
        label = "kubectl label service myapp -n canary serinus.dev/canary=enabled"
        for command in ("status", "promote", "undo"):
            self.check(hand, 1, f"Service myapp is not enrolled: {label}", command, "myapp")
        none = "no Service in namespace canary is enrolled: " + label.replace("myapp", "NAME")
        self.check(hand, 1, none, "status")

    def test_the_canary_service_names_the_one_to_ask(self, hand: Hand) -> None:
        ours = service()
        labels = {names.CANARY: names.MANAGED, names.SERVICE: "myapp"}
        ours["metadata"] = {"name": "myapp-canary", "labels": labels}
        hand.has("services", ours)
        message = (
            "Service myapp-canary is the canary of Service myapp: "
            "kubectl canary status myapp -n canary"
        )
        self.check(hand, 1, message, "status", "myapp-canary")

    def test_a_service_that_leaves(self, hand: Hand) -> None:
        tell(hand, in_canary())
        hand.api.patch("services", "myapp", {"metadata": {"labels": {names.CANARY: None}}})
        found = hand("status", "myapp")
        assert "Service myapp is leaving" in found.stderr

    def test_a_server_that_is_not_there(self, hand: Hand) -> None:
        found = hand("list", "--cluster", "nowhere", "--request-timeout", "5s")
        assert found.exit_code == 1
        assert found.stderr.startswith("Error: list Service canary: ")
        assert found.stderr.endswith("; is the server there? see --context and --kubeconfig\n")

    @pytest.mark.parametrize("flag", ["--context", "--cluster", "--user"])
    def test_a_name_that_the_kubeconfig_does_not_know(self, hand: Hand, flag: str) -> None:
        found = hand("list", flag, "unheard-of")
        assert found.exit_code == 2
        assert "unheard-of" in found.stderr

    def test_a_wait_for_nobody(self, hand: Hand) -> None:
        self.check(hand, 2, "--wait needs the name of a SERVICE", "status", "--wait")


class TestActions:
    @pytest.mark.parametrize("verb", ["promote", "abort", "pause", "continue"])
    def test_is_named_by_the_revision_of_the_status(self, hand: Hand, verb: str) -> None:
        tell(hand, in_canary())
        found = hand(verb, "myapp")
        assert found.output == f"service/myapp: {verb}:{V2} is asked for\n"
        assert hand.annotations()[names.ACTION] == f"{verb}:{V2}"

    def test_is_written_as_the_hand_that_it_is(self, hand: Hand) -> None:
        tell(hand, in_canary())
        hand("promote", "myapp")
        managers = hand.api.read("services", "myapp")["metadata"]["managedFields"]
        assert "kubectl-canary" in {entry["manager"] for entry in managers}

    def test_retry_names_what_was_rejected(self, hand: Hand) -> None:
        tell(hand, idle(stage="Aborted", revision=V2, rejected=Known(revision=V2)))
        assert hand("retry", "myapp").exit_code == 0
        assert hand.annotations()[names.ACTION] == f"retry:{V2}"

    def test_abort_names_what_the_canary_carries_when_another_template_came(
        self, hand: Hand
    ) -> None:
        tell(hand, in_canary(stage="Promoting", revision="cccccccccc"))
        hand.has("deployments", worlds.canary())
        hand("abort", "myapp")
        assert hand.annotations()[names.ACTION] == f"abort:{V2}"

    @pytest.mark.parametrize(
        ("status", "words", "message"),
        [
            (idle(), ["promote"], "Service myapp has nothing to promote, its stage is Idle"),
            (Status(), ["abort"], "nothing to abort, it is not ready for a release"),
            (in_canary(), ["retry"], "nothing to retry, its stage is Canary"),
            (
                idle(stage="Aborted", revision=V2, rejected=Known(revision=V2)),
                ["promote"],
                f"revision {V2} was aborted; to try it again: kubectl canary retry myapp",
            ),
            (in_canary(), ["promote", "--revision", "x"], f"has revision {V2}, not x: look again"),
        ],
    )
    def test_says_why_it_makes_no_sense_and_writes_nothing(
        self, hand: Hand, status: Status, words: list[str], message: str
    ) -> None:
        tell(hand, status)
        found = hand(*words, "myapp")
        assert (found.exit_code, message in found.stderr) == (1, True), found.output
        assert names.ACTION not in hand.annotations()

    @pytest.mark.parametrize(
        ("way", "said"), [("client", "(dry run)"), ("server", "(server dry run)")]
    )
    def test_a_dry_run_writes_nothing(self, hand: Hand, way: str, said: str) -> None:
        tell(hand, in_canary())
        found = hand("abort", "myapp", "--dry-run", way)
        assert found.output == f"service/myapp: abort:{V2} is asked for {said}\n"
        assert names.ACTION not in hand.annotations()

    def test_wait_gives_up_after_its_time(self, hand: Hand) -> None:
        tell(hand, in_canary())
        found = hand("promote", "myapp", "--wait", "--timeout", "1ms")
        assert (found.exit_code, found.stderr) == (1, "Error: no end within 0s\n")
        assert found.stdout.splitlines() == [
            f"service/myapp: promote:{V2} is asked for",
            "Canary: weight 5, 2 accounts",
        ]


class TestSetWeight:
    def test_pins_the_weight(self, hand: Hand) -> None:
        tell(hand, in_canary())
        found = hand("set-weight", "myapp", "10")
        assert found.output == "service/myapp: weight 10 is asked for (was 5)\n"
        assert hand.annotations()[names.WEIGHT] == "10"

    @pytest.mark.parametrize("weight", ["101", "07", "5%", "1.5", ""])
    def test_a_weight_that_is_none_is_a_usage_error(self, hand: Hand, weight: str) -> None:
        found = hand("set-weight", "myapp", weight)
        assert found.exit_code == 2
        assert "allowed: a whole number from 0 to 100" in found.stderr

    def test_without_a_release_it_has_nothing_to_belong_to(self, hand: Hand) -> None:
        tell(hand, idle())
        found = hand("set-weight", "myapp", "10")
        assert found.exit_code == 1
        assert "belong into serinus.dev/steps" in found.stderr
        assert hand.annotations()[names.WEIGHT] == "5"

    def test_warns_of_what_is_wrong_beside_it(self, hand: Hand) -> None:
        tell(hand, in_canary())
        typo = {"metadata": {"annotations": {"serinus.dev/wieght": "1"}}}
        hand.api.patch("services", "myapp", typo)
        found = hand("set-weight", "myapp", "1")
        assert found.exit_code == 0
        assert "Warning: only a lower weight is obeyed until mended: " in found.stderr
        assert "did you mean serinus.dev/weight?" in found.stderr


class TestUndo:
    def promoted(self, hand: Hand) -> None:
        outcome = Outcome(revision=V2, since=SINCE, result="promoted", why="", at=SINCE)
        deployed = run(
            hand,
            worlds.deployment("v2", paused=False, generation=1),
            replica_set("v1", 1, 0),
            replica_set("v2", 2, 3),
        )
        serving = Known(revision=revision_of(template_of(deployed)))
        tell(hand, idle(stable=serving, outcome=outcome))

    def image(self, hand: Hand) -> str:
        deployed = hand.api.read("deployments", "myapp")
        containers: list[Json] = template_of(deployed)["spec"]["containers"]
        return str(containers[0]["image"])

    def test_puts_back_what_served_before_the_promotion_and_it_is_held(self, hand: Hand) -> None:
        self.promoted(hand)
        found = hand("undo", "myapp")
        assert found.exit_code == 0, found.output
        assert "(janakiramm/myapp:v1) is back and held: it starts as a canary" in found.output
        assert self.image(hand) == "janakiramm/myapp:v1"
        assert names.RESUME not in hand.api.read("deployments", "myapp")["metadata"]["labels"]

    def test_now_asks_for_its_promotion_in_the_name_of_rollout_resume(self, hand: Hand) -> None:
        self.promoted(hand)
        found = hand("undo", "myapp", "--now")
        assert found.output.splitlines()[1] == "deployment/myapp: its promotion is asked for"
        assert hand.api.read("deployments", "myapp")["metadata"]["labels"][names.RESUME]

    def test_now_resumes_where_nothing_holds(self, hand: Hand, server: ApiServer) -> None:
        server.store.hold_policy = False
        tell(hand, in_canary())
        run(hand, worlds.deployment(), replica_set("v1", 1, 3))
        found = hand("undo", "myapp", "--now")
        assert found.output.splitlines()[1] == "deployment/myapp: resumed"
        assert "paused" not in hand.api.read("deployments", "myapp")["spec"]

    @pytest.mark.parametrize("way", ["client", "server"])
    def test_a_dry_run_puts_nothing_back(self, hand: Hand, way: str) -> None:
        self.promoted(hand)
        assert hand("undo", "myapp", "--now", "--dry-run", way).exit_code == 0
        assert self.image(hand) == "janakiramm/myapp:v2"


class TestList:
    def test_is_one_line_for_each_service(self, hand: Hand) -> None:
        tell(hand, in_canary())
        found = hand("list", "-A").output.splitlines()
        assert [line.split() for line in found] == [
            ["NAMESPACE", "NAME", "READY", "STAGE", "REVISION", "WEIGHT", "PODS", "LAST", "END"],
            ["canary", "myapp", "True", "Canary", V2, "5%", "2/2", "-"],
        ]
        assert hand("list", "-o", "name").output == "service/myapp\n"

    def test_of_nothing_says_so_and_is_0(self, hand: Hand) -> None:
        found = hand("list")
        assert (found.exit_code, found.stdout, found.stderr) == (0, "", "no Service is enrolled\n")
        assert json.loads(hand("list", "-o", "json").output) == {"items": []}


def test_a_watch_on_a_terminal_draws_anew_and_elsewhere_prints_changes_only(
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines = iter([["a 3s"], ["a 3s"], ["a 2s"]])
    drawn = show.Redrawn(lambda _: next(lines))
    for _ in range(3):
        drawn.show([])
    assert capsys.readouterr().out == f"{show.HOME}a 3s\n{show.HOME}a 2s\n"


def test_the_plugin_is_what_kubectl_finds_on_its_path(hand: Hand) -> None:
    tell(hand, in_canary())
    here = Path(sys.executable).parent
    if not (here / "kubectl-canary").exists() or not (here / "kubectl").exists():
        pytest.skip("kubectl or the plugin is not installed beside this interpreter")
    environ = {**os.environ, "PATH": str(here), "KUBECONFIG": str(hand.kubeconfig)}
    found = subprocess.run(
        [here / "kubectl", "canary", "status", "myapp"],
        env=environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert (found.returncode, found.stderr) == (0, "")
    assert found.stdout.startswith("myapp -n canary\n  Stage       Canary")
    assert "\x1b" not in found.stdout
