"""Aliases: make, delete, list."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from mailu.cli.domains import DomainArgument, ensure_domain
from mailu.cli.output import JsonOption, print_json, print_table
from mailu.cli.surroundings import Surroundings, surroundings
from mailu.cli.users import EmailArgument, IgnoreLimits, LocalpartArgument


def add_to(app: typer.Typer) -> None:
    """Register the commands of this file."""
    app.command("alias")(alias)
    app.command("alias list")(alias_list)
    app.command("alias-delete")(alias_delete)


def alias(
    context: typer.Context,
    localpart: LocalpartArgument,
    domain: DomainArgument,
    destination: Annotated[
        str, typer.Argument(metavar="DEST,...", help="Where its mail goes: addresses separated by commas.")
    ],
    wildcard: Annotated[
        bool, typer.Option("-w", "--wildcard", help="The localpart is a pattern: % is any text, _ one character.")
    ] = False,
    ignore_limits: IgnoreLimits = False,
) -> None:
    """Create an alias; the domain too when it is missing. To see all aliases: mailu alias list."""
    from mailu.directory.changes import create_alias

    here = surroundings(context)
    with here.store.session() as session:
        name, _ = ensure_domain(session, here, domain)
        created = create_alias(
            session,
            f"{localpart}@{name}",
            destination=destination,
            wildcard=wildcard,
            actor=here.actor,
            enforce_limits=not ignore_limits,
        )
        email, destinations = created.email, ", ".join(created.destination)
    print(f"Mail for {email} goes to {destinations} now.")


def alias_list(
    context: typer.Context,
    domain: Annotated[str | None, typer.Option("--domain", help="Only this domain.")] = None,
    search: Annotated[
        str | None, typer.Option("--search", help="Only those with this in address or destination.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List the aliases and where their mail goes."""
    rows = _overview(surroundings(context), domain, search)
    if as_json:
        print_json(rows)
        return
    print_table(
        ("Address", "Destinations", "Kind", "Owner", "State"),
        (
            (
                row["email"],
                row["destination"],
                "pattern" if row["wildcard"] else "address",
                row["owner_email"],
                "disabled" if row["disabled"] else "enabled",
            )
            for row in rows
        ),
        empty="There is no such alias." if domain or search else "There is no alias yet.",
    )


def alias_delete(context: typer.Context, email: EmailArgument) -> None:
    """Delete an alias."""
    from mailu.directory.changes import delete_alias

    here = surroundings(context)
    with here.store.session() as session:
        delete_alias(session, email, actor=here.actor)
    print(f"The alias {email} was deleted.")


_LISTED = ("email", "destination", "wildcard", "disabled", "owner_email", "hostname", "created_at", "comment")


def _overview(here: Surroundings, domain: str | None, search: str | None) -> list[dict[str, Any]]:
    from sqlalchemy import select

    from mailu.directory.changes import get_domain
    from mailu.directory.models import Alias

    with here.store.read() as session:
        query = select(*(getattr(Alias, name) for name in _LISTED)).order_by(Alias.domain_name, Alias.localpart)
        if domain:
            query = query.where(Alias.domain_name == get_domain(session, domain).name)
        found = [dict(zip(_LISTED, row, strict=True)) for row in session.execute(query)]
    wanted = (search or "").lower()
    return [row for row in found if any(wanted in text.lower() for text in (row["email"], *row["destination"]))]
