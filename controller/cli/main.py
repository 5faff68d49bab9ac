"""`kubectl canary`: the contract for the hand.

Exit codes: 0 it is as it should be, or was done; 1 it is not; 2 the command cannot be understood;
130 interrupted while something was waited for.
"""

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final

import click

import controller
from controller.api import names
from controller.api.objects import name_of
from controller.cli import show
from controller.cli.access import Group, Seconds, Session, run
from controller.cli.ask import (
    TOLD,
    VERBS,
    DryRun,
    annotate,
    checked_weight,
    faults_beside,
    require_release,
    wish_of,
)
from controller.cli.checks import checks_data, has_failed
from controller.cli.follow import Judge, Verdict, follow, never, until_answered, until_settled
from controller.cli.look import look_around, look_at, overview, world_of
from controller.cli.undo import put_back, resume, told, undo_of
from controller.cli.view import View, view_of
from controller.cluster.clock import LoopClock

INTERRUPTED: Final = 130

VERB_HELP: Final = {
    "promote": "Roll the pending revision out to everybody, without losing a request.",
    "abort": "Take all traffic off the canary and end the release.",
    "retry": "Begin an aborted release again.",
    "pause": "Freeze the steps at their weight.",
    "continue": "Let paused steps, or a step without a time, go on.",
}

output_option = click.option(
    "-o", "--output", type=click.Choice(["wide", "json", "yaml", "name"]), help="Another form."
)
wait_option = click.option("--wait", is_flag=True, help="Follow it to its end; 1 if it fails.")
timeout_option = click.option(
    "--timeout",
    type=Seconds(),
    default="0",
    metavar="TIME",
    help="With --wait: give up after so long, such as 30m; 0: never.",
)
dry_run_option = click.option(
    "--dry-run",
    type=click.Choice(["none", "server", "client"]),
    default="none",
    help="Only say what would be written (client), or have the server check it (server).",
)
service_argument = click.argument("service")


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(controller.__version__, message="kubectl-canary %(version)s")
def cli() -> None:
    """See and steer the canary releases of Services labelled serinus.dev/canary=enabled."""


def main() -> None:
    """Run the plugin as kubectl starts it."""
    cli(prog_name="kubectl canary")


@cli.command("status")
@click.argument("service", required=False)
@output_option
@click.option("-w", "--watch", is_flag=True, help="Show it again whenever it changes.")
@wait_option
@timeout_option
def status(
    *, service: str | None, output: show.Output | None, watch: bool, wait: bool, timeout: float
) -> None:
    """Show where a release stands, who gets what, and what it waits for.

    Without SERVICE: every enrolled Service of the namespace.

    The exit code is 0 where the Service is ready for releases and not degraded, else 1. With
    --wait it is 0 when the release was promoted or none runs, 1 when it was aborted.
    """
    if wait and service is None:
        raise click.UsageError("--wait needs the name of a SERVICE")
    render = show.screens(output)
    render = render if service is None else show.single(render, output)

    async def work(session: Session) -> Verdict:
        look = _look(session, service)
        first = await look()
        if not (watch or wait):
            show.put(render(first))
            return Verdict(is_good=all(view.is_fine for view in first), message="")
        return await follow(
            first,
            look,
            _of_one(until_settled) if wait else never,
            _shown(render, output, watch=watch),
            clock=LoopClock(),
            timeout_seconds=timeout if wait else 0,
        )

    _finish(_interruptible(work, 0 if watch and not wait else INTERRUPTED))


@cli.command("checks")
@click.argument("service", required=False)
@click.option("-o", "--output", type=click.Choice(["json", "yaml"]), help="Another form.")
@click.option("-w", "--watch", is_flag=True, help="Show it again whenever it changes.")
def checks(*, service: str | None, output: show.Output | None, watch: bool) -> None:
    """Show what the checks of a release have counted, what that proves, and what is missing.

    Without SERVICE: every enrolled Service of the namespace.

    The exit code is 1 where a check has failed, else 0.
    """
    render = show.checks(output)
    render = render if service is None else show.single(render, output, checks_data)

    async def work(session: Session) -> Verdict:
        look = _look(session, service)
        first = await look()
        if not watch:
            show.put(render(first))
            return Verdict(is_good=not any(has_failed(view) for view in first), message="")
        shown = _shown(render, output, watch=True)
        return await follow(first, look, never, shown, clock=LoopClock(), timeout_seconds=0)

    _finish(_interruptible(work, 0))


def _look(
    session: Session, service: str | None
) -> Callable[[], Coroutine[Any, Any, Sequence[View]]]:
    async def look() -> Sequence[View]:
        return [await look_at(session, service)] if service else await look_around(session)

    return look


def _shown(
    render: show.Render, output: show.Output | None, *, watch: bool
) -> Callable[[Sequence[View]], None]:
    if not watch:
        return show.Told().show
    if show.is_terminal() and output in {None, "wide"}:
        return show.Redrawn(render).show
    return show.Appended(render).show


def _of_one(judge: Judge) -> Callable[[Sequence[View], Sequence[View]], Verdict | None]:
    return lambda first, now: judge(first[0], now[0])


def _interruptible(work: Callable[[Session], Coroutine[Any, Any, Verdict]], code: int) -> Verdict:
    try:
        return run(work)
    except KeyboardInterrupt:
        click.echo(err=True)  # the terminal has written ^C
        raise click.exceptions.Exit(code) from None


def _finish(verdict: Verdict) -> None:
    """Say how it ended, and turn it into the exit code."""
    if verdict.is_good:
        if verdict.message:
            click.echo(verdict.message)
        return
    if verdict.message:
        raise click.ClickException(verdict.message)
    raise click.exceptions.Exit(1)


@cli.command("list")
@click.option("-A", "--all-namespaces", is_flag=True, help="Of every namespace.")
@output_option
def list_(*, all_namespaces: bool, output: show.Output | None) -> None:
    """List the enrolled Services."""

    async def work(session: Session) -> list[View]:
        return await overview(session, None if all_namespaces else session.namespace)

    views = run(work)
    if views or output in {"json", "yaml"}:
        show.put(show.tables(output, with_namespace=all_namespaces)(views))
    else:
        click.echo("no Service is enrolled", err=True)


@cli.command("set-weight")
@service_argument
@click.argument("weight")
@dry_run_option
def set_weight(*, service: str, weight: str, dry_run: DryRun) -> None:
    """Send WEIGHT percent of the requests that no rule decides to the canary."""
    text = checked_weight(weight)

    async def work(session: Session) -> None:
        world = await world_of(session, service)
        view = view_of(world)
        require_release(view)
        await annotate(session, world.service, names.WEIGHT, text, dry_run)
        before = f"(was {view.status.asked})"
        click.echo(f"service/{service}: weight {text} is asked for {before}{TOLD[dry_run]}")
        for fault in faults_beside(world.service, text):
            click.echo(f"Warning: only a lower weight is obeyed until mended: {fault}", err=True)

    run(work)


@cli.command("undo")
@service_argument
@click.option("--now", is_flag=True, help="Also resume, so that it is not held as a canary first.")
@dry_run_option
def undo(*, service: str, now: bool, dry_run: DryRun) -> None:
    """Put the previous template back into the Deployment, with your own rights.

    In a release that is the template that serves: nothing is pending then, and a roll goes back.
    After a promotion it is the one before: held as a release of its own, or with --now resumed.
    """

    async def work(session: Session) -> None:
        found = undo_of(await world_of(session, service))
        after = await put_back(session, found, dry_run)
        click.echo(f"{told(found, after)}{TOLD[dry_run]}")
        if now and (outcome := await resume(session, after, dry_run)):
            click.echo(f"deployment/{name_of(after)}: {outcome}{TOLD[dry_run]}")

    run(work)


def _act(
    name: str, *, service: str, revision: str | None, wait: bool, timeout: float, dry_run: DryRun
) -> None:
    async def work(session: Session) -> Verdict:
        world = await world_of(session, service)
        first: Sequence[View] = [view_of(world)]
        wish = wish_of(VERBS[name], first[0], revision)
        await annotate(session, world.service, names.ACTION, wish.action, dry_run)
        click.echo(f"service/{service}: {wish.action} is asked for{TOLD[dry_run]}")
        if not wait or dry_run != "none":
            return Verdict(is_good=True, message="")

        async def look() -> Sequence[View]:
            return [await look_at(session, service)]

        return await follow(
            first,
            look,
            _of_one(until_answered(wish)),
            show.Told().show,
            clock=LoopClock(),
            timeout_seconds=timeout,
        )

    _finish(_interruptible(work, INTERRUPTED))


def _add_action(name: str, text: str) -> None:
    @cli.command(name, help=text)
    @service_argument
    @click.option("--revision", help="Only if this is still the revision that is meant.")
    @wait_option
    @timeout_option
    @dry_run_option
    def action(**given: Any) -> None:
        _act(name, **given)


for _name, _text in VERB_HELP.items():
    _add_action(_name, _text)
