"""Lists of senders: who is let in and who is kept out, for a mailbox, a domain or the whole server."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from mailu.cli.failures import CommandError
from mailu.cli.output import JsonOption, print_json, print_table
from mailu.cli.surroundings import surroundings
from mailu.cli.words import HELP_OPTIONS

Owner = Annotated[
    str,
    typer.Option(
        "--for", metavar="ADDRESS|DOMAIN", help="Whose list: a mailbox or a domain. Without it, the server's."
    ),
]
Senders = Annotated[
    list[str],
    typer.Argument(metavar="SENDER", help="An address, a domain with all below it, or (server's list) a network."),
]
Comment = Annotated[str | None, typer.Option("--comment", "-c", help="Why.")]


def add_to(app: typer.Typer) -> None:
    """Register the commands of this file."""
    group = typer.Typer(
        help="Senders who are let in or kept out, for a mailbox, a domain or the whole server.",
        context_settings={"help_option_names": HELP_OPTIONS},
        no_args_is_help=True,
    )
    group.command("list")(sender_list)
    group.command("allow")(allow)
    group.command("deny")(deny)
    group.command("remove")(remove)
    app.add_typer(group, name="senders")


def sender_list(
    context: typer.Context,
    owner: Owner = "",
    every: Annotated[bool, typer.Option("--all", help="The lists of everybody.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show a list, or all of them."""
    from sqlalchemy import select

    from mailu.directory import changes
    from mailu.directory.models import ListedSender

    query = select(ListedSender).order_by(ListedSender.user_email, ListedSender.domain_name, ListedSender.sender)
    with surroundings(context).store.read() as session:
        if not every:
            query = query.where(changes.on_list(_canonical(session, owner)))
        rows = [_shown(row) for row in session.scalars(query)]
    if as_json:
        print_json(rows)
        return
    print_table(
        ("List", "Sender", "Verdict", "Comment", "By", "Since"),
        (
            (
                row["owner"] or "server",
                row["sender"],
                row["verdict"],
                row["comment"],
                row["created_by"],
                row["created_at"],
            )
            for row in rows
        ),
        empty="Nobody is on it.",
    )


def allow(context: typer.Context, senders: Senders, owner: Owner = "", comment: Comment = None) -> None:
    """Let senders in whatever the filter thinks of their mail, where SPF, DKIM or DMARC prove who they are."""
    _set(context, senders, owner, "allow", comment)
    print(f"{len(senders)} allowed.")


def deny(context: typer.Context, senders: Senders, owner: Owner = "", comment: Comment = None) -> None:
    """Keep senders out: their mail is refused."""
    _set(context, senders, owner, "deny", comment)
    print(f"{len(senders)} denied.")


def remove(context: typer.Context, senders: Senders, owner: Owner = "") -> None:
    """Take senders off a list."""
    from mailu.directory import changes
    from mailu.directory.changes.senders import checked_sender

    here = surroundings(context)
    with here.store.session() as session:
        canonical = _canonical(session, owner)
        for given in senders:
            sender = checked_sender("sender", given, owner=canonical, verdict="deny")
            entry = changes.find_sender(session, canonical, sender)
            if entry is None:
                raise CommandError(f"{sender} is not on the list of {canonical or 'the server'}")
            changes.unlist_sender(session, entry.id, actor=here.actor)
    print(f"{len(senders)} removed.")


def _set(context: typer.Context, senders: list[str], owner: str, verdict: str, comment: str | None) -> None:
    from mailu.directory import changes

    here = surroundings(context)
    with here.store.session() as session:
        canonical = _canonical(session, owner)
        for sender in senders:
            changes.set_sender(session, canonical, sender, verdict, actor=here.actor, comment=comment)


def _canonical(session: Any, owner: str) -> str:
    """Whose list is meant, in canonical form; who is there. Raises NotFound and Invalid."""
    from mailu.directory import changes

    if "@" in owner:
        return changes.get_user(session, owner).email
    return changes.get_domain(session, owner).name if owner else ""


def _shown(row: Any) -> dict[str, Any]:
    names = ("id", "owner", "sender", "verdict", "comment", "created_by", "created_at", "updated_at")
    return {name: getattr(row, name) for name in names}
