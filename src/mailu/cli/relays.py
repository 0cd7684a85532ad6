"""Relayed domains: mail that is accepted here and passed on."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from mailu.cli.output import JsonOption, print_json, print_table
from mailu.cli.surroundings import surroundings
from mailu.cli.words import HELP_OPTIONS

DomainArgument = Annotated[str, typer.Argument(metavar="DOMAIN", help="A domain whose mailboxes are elsewhere.")]


def add_to(app: typer.Typer) -> None:
    """Register the commands of this file."""
    group = typer.Typer(
        help="Relayed domains: mail that is accepted here and passed on.",
        context_settings={"help_option_names": HELP_OPTIONS},
        no_args_is_help=True,
    )
    group.command("list")(relay_list)
    group.command("set")(relay_set)
    group.command("remove")(remove)
    app.add_typer(group, name="relays")


def relay_list(context: typer.Context, as_json: JsonOption = False) -> None:
    """List the relayed domains: where their mail goes and for whom it is taken."""
    from sqlalchemy import select

    from mailu.directory.models import Relay

    with surroundings(context).store.read() as session:
        rows = [row.shown() for row in session.scalars(select(Relay).order_by(Relay.name))]
    if as_json:
        print_json(rows)
        return
    print_table(
        ("Domain", "Goes to", "Recipients", "Listed", "Comment"),
        (
            (
                row["name"],
                row["smtp"] or "as DNS says",
                row["recipients"],
                len(row["listed_recipients"]) if row["recipients"] == "listed" else "",
                row["comment"],
            )
            for row in rows
        ),
        empty="There is no relayed domain.",
    )


def relay_set(
    context: typer.Context,
    name: DomainArgument,
    listed: Annotated[
        list[str] | None,
        typer.Argument(metavar="RECIPIENT", help="With --recipients listed: all addresses or localparts that exist."),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option("--to", metavar="TARGET", help="host, host:port, mx:host, lmtp:host; empty: where DNS says."),
    ] = None,
    recipients: Annotated[
        str | None,
        typer.Option(
            "--recipients", metavar="ask|listed|any", help="Whom the target server knows, who is listed, or everybody."
        ),
    ] = None,
    comment: Annotated[str | None, typer.Option("--comment", "-c", help="What it is for.")] = None,
) -> None:
    """Relay a domain, or change how: what is not named stays as it is."""
    from mailu.directory.changes import NotFound, create_relay, update_relay

    here = surroundings(context)
    given = {"smtp": target, "recipients": recipients, "listed_recipients": listed or None, "comment": comment}
    fields: Any = {field: value for field, value in given.items() if value is not None}
    with here.store.session() as session:
        try:
            relay = update_relay(session, name, actor=here.actor, **fields)
        except NotFound:
            relay = create_relay(session, name, actor=here.actor, **fields)
        print(f"Mail for {relay.name} is passed on. {TAKEN_FOR[relay.recipients]}")


def remove(context: typer.Context, name: DomainArgument) -> None:
    """Relay a domain no more: its mail is refused."""
    from mailu.directory.changes import delete_relay

    here = surroundings(context)
    with here.store.session() as session:
        delete_relay(session, name, actor=here.actor)
    print(f"{name} is relayed no more.")


TAKEN_FOR = {
    "ask": "It is taken for those whom the target server knows.",
    "listed": "It is taken for those who are listed.",
    "any": "It is taken for everybody: what the target server refuses comes back to senders that may be forged.",
}
