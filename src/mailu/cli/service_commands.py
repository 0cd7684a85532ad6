"""Starting, stopping and looking at the services: up, down, status, logs, apply, run, install."""

from __future__ import annotations

from typing import Annotated

import typer

from mailu.cli.surroundings import surroundings


def add_to(app: typer.Typer) -> None:
    """Add the commands to the application."""
    for command in (up, down, status, logs, apply, run, install):
        app.command()(command)


def up(
    context: typer.Context,
    detach: Annotated[
        bool, typer.Option("--detach", "-d", help="Run in the background; return when all answer.")
    ] = False,
) -> None:
    """Install what is missing and start everything. Without any settings: a trial server on 127.0.0.1."""
    from mailu.cli import service_actions

    service_actions.up(surroundings(context), detach=detach)


def run(context: typer.Context, service: str) -> None:
    """Run one service in the foreground. Ends with an error when it cannot be started."""
    from mailu.cli import service_actions

    service_actions.run(surroundings(context), service)


def down(context: typer.Context) -> None:
    """Stop everything that runs at this root."""
    from mailu.cli import service_actions

    service_actions.down(surroundings(context))


def status(
    context: typer.Context, as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False
) -> None:
    """Show how every service is. The exit code is 0 only when all of them answer."""
    from mailu.cli import service_actions

    service_actions.status(surroundings(context), as_json=as_json)


def logs(
    context: typer.Context,
    service: Annotated[str | None, typer.Argument(help="One service only.")] = None,
    followed: Annotated[bool, typer.Option("--follow", "-f", help="Go on with new lines.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", help="How many lines to begin with.")] = 100,
) -> None:
    """Show what the services said."""
    from mailu.cli import service_actions

    service_actions.logs(surroundings(context), service, followed=followed, lines=lines)


def apply(context: typer.Context) -> None:
    """Bring changed settings, overrides and certificates into the running services now."""
    from mailu.cli import service_actions

    service_actions.apply(surroundings(context))


def install(
    context: typer.Context,
    tests: Annotated[bool, typer.Option("--tests", help="Also what the project's own tests need.")] = False,
) -> None:
    """Install the packages and users that the settings need, and start nothing."""
    from mailu.cli import service_actions

    service_actions.install(surroundings(context), tests=tests)
