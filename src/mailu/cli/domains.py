"""Domains: make, limit, manage, list."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from mailu.cli.failures import CommandError
from mailu.cli.output import JsonOption, print_json, print_table, readable_size
from mailu.cli.passwords import obtain_password
from mailu.cli.surroundings import Surroundings, surroundings

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from mailu.address import DomainName

DomainArgument = Annotated[str, typer.Argument(metavar="DOMAIN", help="A mail domain, such as example.com.")]


def add_to(app: typer.Typer) -> None:
    """Register the commands of this file."""
    app.command("domain")(domain)
    app.command("domain list")(domain_list)
    # -1 is a limit here, not an option.
    app.command("setlimits", context_settings={"ignore_unknown_options": True})(setlimits)
    app.command("setmanager")(setmanager)
    app.command("mta-sts")(mta_sts)
    app.command("smart-host")(smart_host)


def domain(
    context: typer.Context,
    name: DomainArgument,
    max_users: Annotated[int | None, typer.Option("-u", "--max-users", help="Most mailboxes; -1: no limit.")] = None,
    max_aliases: Annotated[int | None, typer.Option("-a", "--max-aliases", help="Most aliases; -1: no limit.")] = None,
    max_quota_bytes: Annotated[
        int | None, typer.Option("-q", "--max-quota-bytes", help="Largest quota of a mailbox, in bytes; 0: no limit.")
    ] = None,
) -> None:
    """Create a domain. One that exists is given the limits that are named here."""
    from mailu.directory.changes import update_domain

    here = surroundings(context)
    given = {"max_users": max_users, "max_aliases": max_aliases, "max_quota_bytes": max_quota_bytes}
    limits: Any = {name: value for name, value in given.items() if value is not None}
    with here.store.session() as session:
        canonical, is_new = ensure_domain(session, here, name, limits)
        if not is_new:
            update_domain(session, canonical, actor=here.actor, **limits)
    if is_new:
        print(f"{canonical} was created.")
    else:
        print(f"{canonical} exists already{'; its limits were set' if limits else ''}.")


def domain_list(context: typer.Context, as_json: JsonOption = False) -> None:
    """List the domains: how many mailboxes and aliases each has, its limits and other names."""
    rows = _overview(surroundings(context))
    if as_json:
        print_json(rows)
        return
    print_table(
        ("Domain", "Mailboxes", "Aliases", "Largest quota", "Other names"),
        (
            (
                row["name"],
                _used_of(row["users"], row["max_users"]),
                _used_of(row["aliases"], row["max_aliases"]),
                readable_size(row["max_quota_bytes"]) if row["max_quota_bytes"] else "no limit",
                row["alternatives"],
            )
            for row in rows
        ),
        empty="There is no domain yet.",
    )


def setlimits(
    context: typer.Context,
    name: DomainArgument,
    max_users: Annotated[int, typer.Argument(metavar="USERS", help="Most mailboxes; -1: no limit.")],
    max_aliases: Annotated[int, typer.Argument(metavar="ALIASES", help="Most aliases; -1: no limit.")],
    max_quota_bytes: Annotated[
        int, typer.Argument(metavar="QUOTA", help="Largest quota of a mailbox, in bytes; 0: no limit.")
    ],
) -> None:
    """Set the limits of a domain."""
    from mailu.directory.changes import update_domain

    here = surroundings(context)
    with here.store.session() as session:
        update_domain(
            session,
            name,
            actor=here.actor,
            max_users=max_users,
            max_aliases=max_aliases,
            max_quota_bytes=max_quota_bytes,
        )
    print(f"The limits of {name} were set.")


def mta_sts(
    context: typer.Context,
    name: DomainArgument,
    mode: Annotated[str, typer.Argument(metavar="off|testing|enforce|none", help="none takes a policy back.")],
) -> None:
    """Publish a policy that asks others to send to a domain encrypted only. `mailu dns` shows the records for it."""
    from mailu.directory.changes import update_domain

    here = surroundings(context)
    with here.store.session() as session:
        update_domain(session, name, actor=here.actor, mta_sts=mode)
    print(f"The MTA-STS policy of {name} is set to {mode}.")


def smart_host(
    context: typer.Context,
    name: DomainArgument,
    host: Annotated[
        str | None, typer.Argument(metavar="HOST", help="As host:port, such as smtp.example.com:587.")
    ] = None,
    user: Annotated[
        str, typer.Option("--user", metavar="NAME", help="Log in as; the password is asked for, or read from a pipe.")
    ] = "",
    none: Annotated[bool, typer.Option("--none", help="Send as for the whole server.")] = False,
) -> None:
    """Send what people of a domain send by way of a server that takes it, through TLS. Without HOST, say which."""
    from mailu.directory.changes import get_domain, update_domain

    here = surroundings(context)
    if host is None and not none:
        if user:
            raise CommandError("a user name needs a HOST; nothing was changed")
        with here.store.read() as session:
            domain = get_domain(session, name)
            print(domain.relayhost or "none", *(["as", domain.relayuser] if domain.relayuser else []))
        return
    if none and (host or user):
        raise CommandError("--none stands alone; nothing was changed")
    password = obtain_password(None) if user else None
    with here.store.session() as session:
        update_domain(session, name, actor=here.actor, relayhost=host, relayuser=user or None, relaypassword=password)
    print(f"What {name} sends takes the way of {host}." if host else f"{name} has no smart host of its own.")


def setmanager(
    context: typer.Context,
    name: DomainArgument,
    user: Annotated[
        str, typer.Argument(metavar="USER", help="Localpart of a user in that domain, or a whole address anywhere.")
    ],
) -> None:
    """Let a user look after a domain."""
    from mailu.directory.changes import Conflict, add_manager

    here = surroundings(context)
    email = user if "@" in user else f"{user}@{name}"
    try:
        with here.store.session() as session:
            add_manager(session, name, email, actor=here.actor)
    except Conflict:
        print(f"{email} looks after {name} already.")
    else:
        print(f"{email} looks after {name} now.")


def ensure_domain(
    session: Session, here: Surroundings, name: str, fields: Any | None = None
) -> tuple[DomainName, bool]:
    """Return the canonical name of an existing domain, or create it with *fields*; and whether it is new.

    Raises ChangeError, for example where *name* is another name of a domain, or a relayed one.
    """
    from mailu.address import DomainName
    from mailu.directory.changes import NotFound, create_domain, get_domain

    try:
        return DomainName(get_domain(session, name).name), False
    except NotFound:
        return DomainName(create_domain(session, name, actor=here.actor, **(fields or {})).name), True


def _overview(here: Surroundings) -> list[dict[str, Any]]:
    """All domains with counts. Counting is done by the database."""
    from sqlalchemy import func, select

    from mailu.directory.models import Alias, Alternative, Domain, User

    with here.store.read() as session:
        users = _counted(session.execute(select(User.domain_name, func.count()).group_by(User.domain_name)))
        aliases = _counted(session.execute(select(Alias.domain_name, func.count()).group_by(Alias.domain_name)))
        others: dict[str, list[str]] = {}
        for alternative in session.scalars(select(Alternative).order_by(Alternative.name)):
            others.setdefault(alternative.domain_name, []).append(alternative.name)
        return [
            {
                "name": row.name,
                "users": users.get(row.name, 0),
                "aliases": aliases.get(row.name, 0),
                "max_users": row.max_users,
                "max_aliases": row.max_aliases,
                "max_quota_bytes": row.max_quota_bytes,
                "signup_enabled": row.signup_enabled,
                "anonmail_enabled": row.anonmail_enabled,
                "alternatives": others.get(row.name, []),
                "comment": row.comment,
            }
            for row in session.scalars(select(Domain).order_by(Domain.name))
        ]


def _counted(rows: Any) -> dict[str, int]:
    return dict(tuple(row) for row in rows)


def _used_of(used: int, maximum: int) -> str:
    return str(used) if maximum < 0 else f"{used} of {maximum}"
