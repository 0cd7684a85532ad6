"""The audit trail: who changed what, when and from where."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from mailu.cli.failures import CommandError
from mailu.cli.output import JsonOption, print_json, print_table
from mailu.cli.surroundings import surroundings


def add_to(app: typer.Typer) -> None:
    """Register the commands of this file."""
    app.command("audit")(audit)


def audit(
    context: typer.Context,
    subject: Annotated[
        str | None, typer.Argument(metavar="SUBJECT", help="Only what was done to this address, domain or number.")
    ] = None,
    actor: Annotated[str | None, typer.Option("-a", "--actor", help="Only what this one did.")] = None,
    action: Annotated[
        str | None, typer.Option("-x", "--action", help="Only this: user.delete, or user for all done to users.")
    ] = None,
    search: Annotated[str, typer.Option("-s", "--search", help="Words that occur in who, what or to whom.")] = "",
    limit: Annotated[int, typer.Option("-n", "--limit", min=1, max=100_000, help="Lines at most.")] = 100,
    as_json: JsonOption = False,
) -> None:
    """Show who changed what, when and from where: the last changes, the newest at the end."""
    rows = _rows(context, subject, actor, action, search, limit)
    if as_json:
        print_json(rows)
        return
    print_table(
        ("When", "Who", "From", "What", "To", "Details"),
        (
            (row["at"], row["actor"], row["origin"], row["action"], row["subject"], _details(row["detail"]))
            for row in rows
        ),
        empty="Nothing of that kind was changed.",
    )


def _rows(
    context: typer.Context, subject: str | None, actor: str | None, action: str | None, search: str, limit: int
) -> list[dict[str, Any]]:
    from sqlalchemy import or_, select

    from mailu.directory.listing import matching
    from mailu.directory.models import Audit

    statement = select(Audit).order_by(Audit.id.desc()).limit(limit)
    if subject is not None:
        statement = statement.where(Audit.subject == _canonical(subject))
    if actor is not None:
        statement = statement.where(Audit.actor == actor)
    if action is not None:
        if not action:
            raise CommandError("--action is empty; expected something like user.delete, or user")
        statement = statement.where(or_(Audit.action == action, Audit.action.startswith(f"{action}.", autoescape=True)))
    if search.strip():
        statement = statement.where(matching((Audit.actor, Audit.action, Audit.subject), search))
    with surroundings(context).store.read() as session:
        found = [
            {
                "id": row.id,
                "at": row.at.isoformat(timespec="seconds"),
                "actor": row.actor,
                "origin": row.origin,
                "action": row.action,
                "subject": row.subject,
                "detail": row.detail,
            }
            for row in session.scalars(statement)
        ]
    return found[::-1]


def _canonical(subject: str) -> str:
    """An address or a domain as it is stored; anything else (a number, an old name) as it was given."""
    from mailu.address import AddressError, parse_address, parse_domain

    try:
        return str(parse_address(subject)) if "@" in subject else parse_domain(subject)
    except AddressError:
        return subject


def _details(detail: dict[str, Any]) -> str:
    """``quota_bytes: 5 -> 7``; what was given at the beginning stands alone."""
    return ", ".join(f"{name}: {_change(value)}" for name, value in detail.items())


def _change(value: Any) -> str:
    if isinstance(value, list) and len(value) == 2:
        return f"{_word(value[0])} -> {_word(value[1])}"
    return _word(value)


def _word(value: Any) -> str:
    return value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)
