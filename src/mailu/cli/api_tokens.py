"""Keys to the REST API with fewer rights than API_TOKEN: make, list, withdraw."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated

import typer

from mailu.cli.failures import CommandError
from mailu.cli.output import JsonOption, print_json, print_table
from mailu.cli.surroundings import surroundings
from mailu.cli.words import HELP_OPTIONS

_DAYS = re.compile(r"([0-9]{1,5})d\Z")


def add_to(app: typer.Typer) -> None:
    """Register the commands of this file."""
    group = typer.Typer(
        help="Keys to the REST API with fewer rights than API_TOKEN.",
        context_settings={"help_option_names": HELP_OPTIONS},
        no_args_is_help=True,
    )
    group.command("create")(create)
    group.command("list")(token_list)
    group.command("delete")(delete)
    app.add_typer(group, name="api-token")


def create(
    context: typer.Context,
    comment: Annotated[str, typer.Argument(metavar="COMMENT", help="What the key is for.")],
    domains: Annotated[
        list[str] | None, typer.Option("-d", "--domain", help="Only this domain; can be given again. None: everything.")
    ] = None,
    read_only: Annotated[bool, typer.Option("-r", "--read-only", help="It may only read.")] = False,
    until: Annotated[
        str | None, typer.Option("-u", "--until", metavar="DATE|DAYS", help="Last day (2030-12-31) or days (90d).")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Make a key and print it. It is shown only now."""
    from mailu.directory.api_tokens import create_api_token

    here = surroundings(context)
    expires_at = _end_of(until, datetime.now(UTC)) if until else None
    with here.store.session() as session:
        token, secret = create_api_token(
            session,
            comment=comment,
            domains=domains or (),
            read_only=read_only,
            expires_at=expires_at,
            actor=here.actor,
        )
        number = token.id
    if as_json:
        print_json({"id": number, "token": secret})
    else:
        print(secret)


def token_list(context: typer.Context, as_json: JsonOption = False) -> None:
    """List the keys: what each may do, until when, and when it was used last."""
    from sqlalchemy import select

    from mailu.directory.models import ApiToken

    with surroundings(context).store.read() as session:
        found = [
            {
                "id": row.id,
                "comment": row.comment,
                "domains": list(row.domains),
                "read_only": row.read_only,
                "expires_at": row.expires_at,
                "last_used": row.last_used,
                "created_at": row.created_at,
            }
            for row in session.scalars(select(ApiToken).order_by(ApiToken.id))
        ]
    if as_json:
        print_json(found)
        return
    print_table(
        ("Id", "Comment", "Domains", "May", "Until", "Last used"),
        (
            (
                row["id"],
                row["comment"],
                row["domains"] or "all",
                "read" if row["read_only"] else "read and write",
                _moment(row["expires_at"]) or "withdrawn",
                _moment(row["last_used"]) or "never",
            )
            for row in found
        ),
        empty="There is no key yet; API_TOKEN of the settings is none of them.",
    )


def delete(
    context: typer.Context,
    ids: Annotated[list[int], typer.Argument(metavar="ID", help="As `mailu api-token list` shows it.")],
) -> None:
    """Withdraw keys at once."""
    from mailu.directory.api_tokens import delete_api_token

    here = surroundings(context)
    with here.store.session() as session:
        for number in ids:
            delete_api_token(session, number, actor=here.actor)
    print(f"{len(ids)} withdrawn.")


def _end_of(text: str, now: datetime) -> datetime:
    """The end of a day, or so many days from now. Raises CommandError."""
    if match := _DAYS.match(text):
        return now + timedelta(days=int(match[1]))
    try:
        end = datetime.combine(date.fromisoformat(text), time.max, UTC)
    except ValueError:
        raise CommandError(f"{text!r} is neither a day like 2030-12-31 nor a number of days like 90d") from None
    if end <= now:
        raise CommandError(f"{text} is over already")
    return end


def _moment(value: object) -> str:
    return value.isoformat(timespec="minutes") if isinstance(value, datetime) else ""
