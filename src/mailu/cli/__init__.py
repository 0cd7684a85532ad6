"""The command line. Each file here is one group of commands; what they do is decided elsewhere.

A command imports what it needs when it runs, so that ``mailu --help`` and the quick commands stay quick.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mailu.cli import (
    aliases,
    api_tokens,
    audit,
    certificates,
    check,
    config_export,
    config_import,
    config_update,
    database,
    dkim,
    doctor,
    domains,
    explain,
    limits,
    migrate,
    queue,
    relays,
    retired,
    senders,
    service_commands,
    show_settings,
    statistics,
    tls_exceptions,
    users,
)
from mailu.cli.surroundings import Surroundings
from mailu.cli.words import HELP_OPTIONS, Words

_GROUPS = (
    service_commands,
    users,
    aliases,
    domains,
    relays,
    dkim,
    certificates,
    config_export,
    config_import,
    config_update,
    migrate,
    explain,
    senders,
    tls_exceptions,
    queue,
    limits,
    api_tokens,
    audit,
    retired,
    statistics,
    show_settings,
    check,
    doctor,
    database,
)


def build_app() -> typer.Typer:
    """All commands."""
    app = typer.Typer(
        name="mailu",
        cls=Words,
        help="A complete mail server: its services, its domains and people, its queue.",
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": HELP_OPTIONS},
    )
    app.callback()(_options)
    for group in _GROUPS:
        group.add_to(app)
    app.command("advertise", hidden=True)(_advertise)
    return app


def _options(
    context: typer.Context,
    env_file: Annotated[
        Path | None, typer.Option("--env", metavar="FILE", help="The settings; else mailu.env in the root.")
    ] = None,
    root: Annotated[
        Path | None,
        typer.Option("--root", metavar="DIR", help="The folder of all state; else what ROOT says, or /mailu."),
    ] = None,
) -> None:
    context.obj = Surroundings(env_file, root)
    context.call_on_close(context.obj.close)


def _advertise() -> None:
    """There are no statistics to take part in; kept for scripts."""
    print("No statistics are sent.")


def main() -> None:
    """Run one command, as the program ``mailu``."""
    build_app()(prog_name="mailu")
