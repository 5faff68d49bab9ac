"""The way to the API server that a person's flags name, as kubectl names it."""

import asyncio
import contextlib
import os
import sys
from collections.abc import Callable, Coroutine, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from controller.api.errors import (
    ClusterError,
    ConflictError,
    ForbiddenError,
    GoneError,
    ThrottledError,
    UnavailableError,
)
from controller.settings import Settings, UsageError, duration

if TYPE_CHECKING:
    from controller.cluster.client import Client

T = TypeVar("T")

MANAGER: Final = "kubectl-canary"
"""The field manager of what a person writes through the plugin."""

HINTS: Final[Mapping[type[ClusterError], str]] = {
    ForbiddenError: "your account lacks the right, or a policy forbids it: kubectl auth can-i",
    ConflictError: "somebody else changed it meanwhile: run the command again",
    GoneError: "it was replaced meanwhile: run the command again",
    ThrottledError: "the server is busy: try again in a moment",
    UnavailableError: "is the server there? see --context and --kubeconfig",
}
"""What a person can do about an error that names its object already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """What the connection flags say; None where one was not given.

    Attributes:
        timeout_seconds: of one request; 0: no limit.
    """

    namespace: str | None = None
    kubeconfig: str | None = None
    context: str | None = None
    cluster: str | None = None
    user: str | None = None
    acts_as: str | None = None
    timeout_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A connection, and the namespace that is meant where none is named."""

    client: "Client"
    namespace: str


def current_access() -> Access:
    """Return what the flags of the running command say, those before its name included."""
    return Access(**(click.get_current_context().obj or {}))


def _remember(context: click.Context, parameter: click.Parameter, value: object) -> None:
    """Keep a flag where the command and its group both put theirs; the nearer one wins."""
    if value is not None:
        context.obj = {**(context.obj or {}), str(parameter.name): value}


class Seconds(click.ParamType[float]):
    """A duration such as 10s or 1m30s; a bare number counts seconds, as kubectl has it."""

    name = "duration"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the seconds."""
        text = str(value)
        try:
            return float(text) if text.isascii() and text.isdecimal() else duration(text)
        except ValueError as error:
            self.fail(f"{text!r} {error}", param, ctx)


def _flag(*names: str, **more: Any) -> click.Option:
    return click.Option(list(names), expose_value=False, callback=_remember, **more)


def flags() -> list[click.Parameter]:
    """Return the connection flags; each command and the group have their own."""
    return [
        _flag("-n", "--namespace", metavar="NAME", help="Namespace (default: the context's)."),
        _flag("--context", metavar="NAME", help="Context of the kubeconfig."),
        _flag("--kubeconfig", metavar="PATH", help="Kubeconfig (default: KUBECONFIG)."),
        _flag("--cluster", metavar="NAME", help="Cluster of the kubeconfig."),
        _flag("--user", metavar="NAME", help="User of the kubeconfig."),
        _flag("--as", "acts_as", metavar="USER", help="User to impersonate."),
        _flag(
            "--request-timeout",
            "timeout_seconds",
            type=Seconds(),
            metavar="TIME",
            help="Limit of one request, such as 10s; 0: none.",
        ),
    ]


class Command(click.Command):
    """A command that takes the connection flags behind its own."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.params += flags()


class Group(click.Group):
    """Commands that take the connection flags before or behind their name."""

    command_class = Command

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.params += flags()


def run(work: Callable[[Session], Coroutine[Any, Any, T]]) -> T:
    """Connect as the flags say, do the work, and tell what goes wrong in one line.

    Raises:
        click.ClickException: the server did not do what was asked (exit code 1).
        click.UsageError: the kubeconfig has no such thing (exit code 2).
    """
    access = current_access()
    try:
        return asyncio.run(_connected(access, work))
    except ClusterError as error:
        hint = HINTS.get(type(error))
        raise click.ClickException(f"{error}; {hint}" if hint else str(error)) from error
    except UsageError as error:
        raise click.UsageError(str(error)) from error


async def _connected(access: Access, work: Callable[[Session], Coroutine[Any, Any, T]]) -> T:
    # Half a second and more goes into these; --help and completion do without.
    from controller.cluster.client import Client, Identity, Timeouts  # noqa: PLC0415  # see above

    identity = Identity(
        manager=MANAGER, cluster=access.cluster, user=access.user, acts_as=access.acts_as
    )
    seconds = access.timeout_seconds
    client = await Client.connect(
        Settings(kubeconfig=access.kubeconfig or _kubeconfig(), context=access.context),
        timeouts=None if seconds is None else Timeouts(answer=seconds, page=seconds),
        identity=identity,
    )
    with _logs_aside():
        try:
            namespace = access.namespace or client.namespace
            return await work(Session(client=client, namespace=namespace))
        finally:
            await client.close()


@contextlib.contextmanager
def _logs_aside() -> Iterator[None]:
    """Keep what the client logs from standing between lines that a script reads."""
    import structlog  # noqa: PLC0415  # as above: the client has brought it by now

    before = structlog.get_config()
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    try:
        yield
    finally:
        structlog.configure(**before)


def _kubeconfig() -> str | None:
    """Return the kubeconfig as kubectl finds it; None leaves it to the account of a pod."""
    usual = Path("~/.kube/config").expanduser()
    return os.environ.get("KUBECONFIG") or (str(usual) if usual.is_file() else None)
