"""Exceptions from encryption: destinations that are sent to with less of it, until a day."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from mailu.cli.output import JsonOption, print_json, print_table
from mailu.cli.surroundings import surroundings
from mailu.cli.words import HELP_OPTIONS

DestinationArgument = Annotated[
    str, typer.Argument(metavar="DOMAIN", help="A domain that mail is sent to, or the host that it is passed to.")
]


def add_to(app: typer.Typer) -> None:
    """Register the commands of this file."""
    group = typer.Typer(
        help="Destinations that are sent to with less encryption than they promise, until a day.",
        context_settings={"help_option_names": HELP_OPTIONS},
        no_args_is_help=True,
    )
    group.command("list")(exception_list)
    group.command("allow")(allow)
    group.command("end")(end)
    group.command("expire")(expire)
    app.add_typer(group, name="tls-exceptions")


def exception_list(context: typer.Context, as_json: JsonOption = False) -> None:
    """List the exceptions: for whom, what is allowed, until when, why and who said so."""
    from sqlalchemy import select

    from mailu.directory.models import TlsException

    names = ("name", "level", "last_day", "comment", "created_by")
    with surroundings(context).store.read() as session:
        rows = [
            {name: getattr(row, name) for name in names}
            for row in session.scalars(select(TlsException).order_by(TlsException.name))
        ]
    if as_json:
        print_json(rows)
        return
    print_table(
        ("Destination", "Level", "Last day", "Why", "By"),
        (tuple(row.values()) for row in rows),
        empty="There is no exception.",
    )


def allow(
    context: typer.Context,
    name: DestinationArgument,
    why: Annotated[str | None, typer.Option("--because", "-c", metavar="TEXT", help="Needed for a new one.")] = None,
    level: Annotated[
        str | None,
        typer.Option(
            "--level",
            metavar="none|may|encrypt",
            help="In plain text; encrypted where it is offered (if nothing is said); encrypted, whoever answers.",
        ),
    ] = None,
    last_day: Annotated[
        str | None, typer.Option("--until", metavar="DAY", help="Last day, as 2030-12-31; else in two weeks.")
    ] = None,
) -> None:
    """Let mail go to a destination with less encryption, for at most 90 days. One that is there is changed."""
    from mailu.directory.changes import allow_tls_exception

    here = surroundings(context)
    given = {"level": level, "last_day": last_day, "comment": why}
    fields: dict[str, Any] = {field: value for field, value in given.items() if value is not None}
    with here.store.session() as session:
        entry = allow_tls_exception(session, name, actor=here.actor, **fields)
        print(f"Mail to {entry.name} needs no more than the TLS level {entry.level}, until {entry.last_day}.")


def end(context: typer.Context, name: DestinationArgument) -> None:
    """Take an exception back."""
    from mailu.directory.changes import end_tls_exception

    here = surroundings(context)
    with here.store.session() as session:
        end_tls_exception(session, name, actor=here.actor)
    print(f"There is no exception for {name} any more.")


def expire(context: typer.Context) -> None:
    """Remove the exceptions that are over. Runs by itself once a day."""
    from mailu.directory.changes import expire_tls_exceptions
    from mailu.directory.models import today

    with surroundings(context).store.session() as session:
        over = expire_tls_exceptions(session, today())
    if over:
        print(f"Over: {', '.join(over)}.")
