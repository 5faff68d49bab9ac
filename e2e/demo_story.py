"""The story the demo tells, as data: what is typed, and what has to be true afterwards."""

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from controller.plan.stages import Stage
from e2e.bed.client import Request

NAMESPACE = "canary"
APPLICATION = "myapp"
"""The name of the Deployment, the Service and the Ingress."""
HOST = "myapp.example"
PLAIN_REQUESTS = 1000
"""How many requests without header and cookie are counted for one table."""
PROMOTED_IMAGE = "janakiramm/myapp:v2"
"""What the application runs in the end."""

_TESTERS_ENTER = "serinus.dev/header=X-Account serinus.dev/header-values=alice,bob"
_WEIGHT_2 = '{"metadata":{"annotations":{"serinus.dev/weight":"2"}}}'
STORY = (
    "kubectl label service myapp -n canary serinus.dev/canary=enabled",
    f"kubectl annotate service myapp -n canary {_TESTERS_ENTER}",
    "kubectl set image deployment myapp myapp-container=janakiramm/myapp:v2 -n canary",
    f"kubectl patch service myapp -n canary -p '{_WEIGHT_2}'",
    "kubectl rollout resume deployment myapp -n canary",
)
"""The whole of a release; the READMEs show these five commands, and a test compares them."""


TITLE = "Serinus: a canary release that is promoted, and one that is taken back"
INTRODUCTION = (
    "On this machine alone: an emulated API server, small HTTP servers as pods, the real Traefik,",
    "the real kubectl, and 50 requests a second all the way. The pods stop at SIGTERM.",
    "carol and 7704 are ordinary accounts, nobody sends no header, beta is a cookie.",
)

STATUS_COMMAND = "kubectl canary status myapp -n canary"


@dataclass(frozen=True, kw_only=True, slots=True)
class Visitor:
    """Somebody whose requests are answered by one version or the other.

    Attributes:
        name: The head of a column.
        headers: What the requests carry.
        needs_cookie: Whether asking makes sense only once the Service names a cookie.
    """

    name: str
    headers: tuple[tuple[str, str], ...] = ()
    needs_cookie: bool = False

    def request(self) -> Request:
        """Build a request of this visitor."""
        return Request(host=HOST, headers=self.headers)


def _account(name: str) -> Visitor:
    return Visitor(name=name, headers=(("X-Account", name),))


def _cookie(value: str) -> Visitor:
    return Visitor(name=f"beta={value}", headers=(("Cookie", f"beta={value}"),), needs_cookie=True)


NOBODY = Visitor(name="nobody")
OPTED_OUT = _cookie("never")
VISITORS = (
    _account("alice"),
    _account("bob"),
    _account("carol"),
    _account("7704"),
    NOBODY,
    _cookie("always"),
    OPTED_OUT,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """A command that only shows something."""

    command: str
    says: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """A command that changes something, and the state it leads to.

    Attributes:
        command: What is typed.
        says: One line that tells what to look for.
        stage: The stage to wait for; None: the Service has left.
        stable: The version that stable serves then.
        canary: The version that the canary serves then; empty without a canary.
        doors: The names of the visitors who always reach the canary.
        weight: Percent of the other requests that reach it.
        cookie: Whether the Service names a cookie.
    """

    command: str
    says: str
    stage: Stage | None
    stable: str
    canary: str = ""
    doors: tuple[str, ...] = ()
    weight: int = 0
    cookie: bool = False

    def visitors(self) -> list[Visitor]:
        """Answer whom to ask."""
        return [visitor for visitor in VISITORS if self.cookie or not visitor.needs_cookie]

    def expected(self, visitor: Visitor) -> str:
        """Answer the version this visitor has to get; empty where either will do."""
        if visitor.name in self.doors:
            return self.canary
        return self.stable if not self.weight or visitor == OPTED_OUT else ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Chapter:
    """A part of the story."""

    title: str
    parts: tuple[Step | Look, ...]


def arguments(command: str) -> Sequence[str]:
    """Split a typed kubectl command into kubectl's arguments."""
    program, *found = shlex.split(command)
    if program != "kubectl":
        raise ValueError(f"the story is told with kubectl, not with {program}")
    return found


_TESTERS = ("alice", "bob")
_DOORS = (*_TESTERS, "7704", "beta=always")
_IN_CANARY = "-n canary"

CHAPTERS = (
    Chapter(
        title="An application, as its owner wrote it",
        parts=(Look(command=f"kubectl get deployments,services,ingresses {_IN_CANARY}"),),
    ),
    Chapter(
        title="Enrol it: one label, and who may see new versions first",
        parts=(
            Step(
                command=STORY[0],
                says="No pod changes. From now on a new version waits instead of rolling out.",
                stage=Stage.IDLE,
                stable="v1",
            ),
            Step(
                command=STORY[1],
                says="The header X-Account names the account; alice and bob are the testers.",
                stage=Stage.IDLE,
                stable="v1",
            ),
        ),
    ),
    Chapter(
        title="Release v2: first to the testers, then to 2 % of everybody",
        parts=(
            Step(
                command=STORY[2],
                says="No running pod changes: v2 starts beside v1, and only the testers get it.",
                stage=Stage.CANARY,
                stable="v1",
                canary="v2",
                doors=_TESTERS,
            ),
            Look(
                command=f"kubectl get rs {_IN_CANARY}",
                says="Two ReplicaSets: the pods of the new version are counted and chosen.",
            ),
            Step(
                command=STORY[3],
                says="2 % of the requests that no rule decides.",
                stage=Stage.CANARY,
                stable="v1",
                canary="v2",
                doors=_TESTERS,
                weight=2,
            ),
            Look(command=STATUS_COMMAND, says="All of it on one screen, for as long as you watch."),
        ),
    ),
    Chapter(
        title="Promote v2 with the command everybody knows",
        parts=(
            Step(
                command=STORY[4],
                says="Traffic moves to the canary, stable rolls, traffic moves back: no loss.",
                stage=Stage.IDLE,
                stable="v2",
            ),
        ),
    ),
    Chapter(
        title="Release v3: a share of the ids and a cookie as well, then change your mind",
        parts=(
            Step(
                command=f"kubectl annotate service myapp {_IN_CANARY}"
                " serinus.dev/header-suffixes=00-04 serinus.dev/cookie=beta",
                says="Ids that end in 00 to 04 (5 % of them), and visitors who choose by cookie.",
                stage=Stage.IDLE,
                stable="v2",
                cookie=True,
            ),
            Step(
                command="kubectl set image deployment myapp"
                f" myapp-container=janakiramm/myapp:v3 {_IN_CANARY}",
                says="The second release is held like the first. 7704 ends in 04.",
                stage=Stage.CANARY,
                stable="v2",
                canary="v3",
                doors=_DOORS,
                cookie=True,
            ),
            Step(
                command=f"kubectl canary set-weight myapp 25 {_IN_CANARY}",
                says="A quarter of everybody; who opted out by cookie stays on v2.",
                stage=Stage.CANARY,
                stable="v2",
                canary="v3",
                doors=_DOORS,
                weight=25,
                cookie=True,
            ),
            Step(
                command=f"kubectl canary abort myapp {_IN_CANARY}",
                says="v3 is not good: everybody is back on v2 before a pod is removed.",
                stage=Stage.ABORTED,
                stable="v2",
                cookie=True,
            ),
            Step(
                command=f"kubectl canary undo myapp {_IN_CANARY}",
                says="The Deployment's template is v2 again; nothing rolls, it never left v2.",
                stage=Stage.IDLE,
                stable="v2",
                cookie=True,
            ),
        ),
    ),
    Chapter(
        title="Leave: nothing stays behind",
        parts=(
            Step(
                command=f"kubectl label service myapp {_IN_CANARY} serinus.dev/canary-",
                says="The application is its owner's alone again, and runs v2.",
                stage=None,
                stable="v2",
            ),
            Look(
                command=f"kubectl annotate service myapp {_IN_CANARY} serinus.dev/header-"
                " serinus.dev/header-values- serinus.dev/header-suffixes- serinus.dev/cookie-",
                says="What the owner wrote himself, he removes himself.",
            ),
            Look(command=f"kubectl get deployments,services,ingresses {_IN_CANARY}"),
        ),
    ),
)


def things_to_try(kubeconfig: Path, port: int) -> str:
    """Write what a person may do with a bed that stays up."""
    programs = Path(sys.executable).parent
    return f"""
Everything stays up until Ctrl-C. In another terminal:

export KUBECONFIG={kubeconfig}
export PATH={programs}:$PATH

The proxy listens on http://127.0.0.1:{port}. Five things to try:

1. Be an account
   curl -i -H 'Host: {HOST}' -H 'X-Account: alice' http://127.0.0.1:{port}/
2. Enrol again
   {STORY[0]}
3. Plan the climb of every release
   kubectl annotate service myapp -n canary serinus.dev/steps=5/20s,25/20s,50
4. Release v4
   kubectl set image deployment myapp myapp-container=janakiramm/myapp:v4 -n canary
5. Watch it, and promote it
   {STATUS_COMMAND} -w
   {STORY[4]}
"""
