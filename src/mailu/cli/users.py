"""Mailboxes: make, change, delete, list."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mailu.cli.domains import DomainArgument, ensure_domain
from mailu.cli.failures import CommandError
from mailu.cli.output import JsonOption, print_json, print_table, readable_size
from mailu.cli.passwords import PasswordArgument, obtain_password
from mailu.cli.surroundings import Surroundings, surroundings

if TYPE_CHECKING:
    from mailu.address import EmailAddress

LocalpartArgument = Annotated[str, typer.Argument(metavar="LOCALPART", help="What stands before the @.")]
EmailArgument = Annotated[str, typer.Argument(metavar="EMAIL", help="A whole address.")]
IgnoreLimits = Annotated[bool, typer.Option("--ignore-limits", help="Do not refuse for the domain's limits.")]


class Mode(StrEnum):
    """What ``admin`` does when the user exists already."""

    CREATE = "create"
    IFMISSING = "ifmissing"
    UPDATE = "update"


def add_to(app: typer.Typer) -> None:
    """Register the commands of this file."""
    app.command("admin")(admin)
    app.command("user")(user)
    app.command("user list")(user_list)
    app.command("password")(password)
    app.command("user-import")(user_import)
    app.command("user-delete")(user_delete)


def admin(
    context: typer.Context,
    localpart: LocalpartArgument,
    domain: DomainArgument,
    secret: PasswordArgument = None,
    mode: Annotated[
        Mode, typer.Option("-m", "--mode", help="When the user exists: fail, leave it alone, or set the password.")
    ] = Mode.CREATE,
) -> None:
    """Create an administrator of everything; the domain too when it is missing."""
    from mailu.address import EmailAddress, parse_domain, parse_localpart

    here = surroundings(context)
    address = EmailAddress(parse_localpart(localpart), parse_domain(domain))
    if mode is not Mode.CREATE and (is_admin := _is_admin(here, address)) is not None:
        if mode is Mode.IFMISSING:
            print(f"{address} exists already; nothing was changed.")
            return
        _set_password(here, str(address), obtain_password(secret), change_at_login=False)
        print(f"The password of {address} was set{'' if is_admin else '; it is no administrator'}.")
        return
    _create(here, address, secret, {"global_admin": True}, enforce_limits=False)
    print(f"The administrator {address} was created.")


def user(
    context: typer.Context,
    localpart: LocalpartArgument,
    domain: DomainArgument,
    secret: PasswordArgument = None,
    ignore_limits: IgnoreLimits = False,
) -> None:
    """Create a mailbox; the domain too when it is missing. A new password is asked for at the first log-in.

    To see all mailboxes: mailu user list.
    """
    from mailu.address import EmailAddress, parse_domain, parse_localpart

    address = EmailAddress(parse_localpart(localpart), parse_domain(domain))
    fields = {"change_pw_next_login": True}
    _create(surroundings(context), address, secret, fields, enforce_limits=not ignore_limits)
    print(f"The mailbox {address} was created.")


def user_list(
    context: typer.Context,
    domain: Annotated[str | None, typer.Option("--domain", help="Only this domain.")] = None,
    search: Annotated[str | None, typer.Option("--search", help="Only addresses and names with this in them.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List the mailboxes: how full they are, what they may do, when somebody was last there."""
    rows = _overview(surroundings(context), domain, search)
    if as_json:
        print_json(rows)
        return
    print_table(
        ("Address", "Name", "Used", "Quota", "State", "Last log-in"),
        (
            (
                row["email"],
                row["displayed_name"],
                readable_size(row["quota_bytes_used"]),
                readable_size(row["quota_bytes"]) if row["quota_bytes"] else "no limit",
                "administrator" if row["global_admin"] else "enabled" if row["enabled"] else "disabled",
                row["last_login"] or "",
            )
            for row in rows
        ),
        empty="There is no such mailbox." if domain or search else "There is no mailbox yet.",
    )


def password(
    context: typer.Context, localpart: LocalpartArgument, domain: DomainArgument, secret: PasswordArgument = None
) -> None:
    """Set a user's password. A new one is asked for at the next log-in."""
    here = surroundings(context)
    email = f"{localpart}@{domain}"
    _require(here, email)
    _set_password(here, email, obtain_password(secret), change_at_login=True)
    print(f"The password of {email} was set.")


def user_import(
    context: typer.Context,
    localpart: LocalpartArgument,
    domain: DomainArgument,
    password_hash: Annotated[
        str, typer.Argument(metavar="HASH", help="The hash of the password; - reads it from standard input.")
    ],
    scheme: Annotated[str | None, typer.Argument(metavar="SCHEME", hidden=True)] = None,
) -> None:
    """Create a mailbox with a password of which only the hash is known; the domain too when it is missing."""
    from mailu.address import EmailAddress, parse_domain, parse_localpart
    from mailu.auth.passwords import is_supported, without_prefix

    here = surroundings(context)
    address = EmailAddress(parse_localpart(localpart), parse_domain(domain))
    given = without_prefix(obtain_password(password_hash))
    if not is_supported(given):
        known = "argon2, bcrypt, SHA-512-crypt and what else crypt(3) and passlib know"
        raise CommandError(f"the hash for {address} is of a kind that cannot be verified; expected {known}")
    _store_new(here, address, given, {}, enforce_limits=False)
    print(f"The mailbox {address} was created{'; the scheme was told by the hash itself' if scheme else ''}.")


def user_delete(
    context: typer.Context,
    email: EmailArgument,
    really: Annotated[
        bool, typer.Option("-r", "--really", help="Delete the mailbox, instead of only closing it.")
    ] = False,
) -> None:
    """Close a mailbox: nobody logs in, mail is refused. With --really it is deleted, and its mail kept for a while."""
    from mailu.directory.changes import delete_user, update_user

    here = surroundings(context)
    with here.store.session() as session:
        if really:
            days = here.settings.retention_days
            until = delete_user(session, email, actor=here.actor, retention_days=days).purge_after
        else:
            update_user(session, email, actor=here.actor, enabled=False)
    if really:
        print(f"{email} was deleted. Its mail is kept until {until}.")
    else:
        print(f"{email} is disabled. Its mail and settings are kept; --really deletes it.")


# What several commands do


def _create(
    here: Surroundings, address: EmailAddress, secret: str | None, fields: Any, *, enforce_limits: bool
) -> None:
    from mailu.auth.passwords import hash_password
    from mailu.directory.changes import check_password

    _require_free(here, address)
    new = obtain_password(secret)
    check_password(new)
    _store_new(here, address, hash_password(new), fields, enforce_limits=enforce_limits)


def _store_new(
    here: Surroundings, address: EmailAddress, password_hash: str, fields: Any, *, enforce_limits: bool
) -> None:
    """Create the mailbox, and its domain when that is missing, in one transaction."""
    from mailu.directory.changes import create_user, get_domain
    from mailu.directory.new_users import usual_fields

    with here.store.session() as session:
        name, _ = ensure_domain(session, here, address.domain)
        usual = usual_fields(here.settings, get_domain(session, name).max_quota_bytes)
        create_user(
            session,
            str(address),
            password_hash=password_hash,
            actor=here.actor,
            enforce_limits=enforce_limits,
            **{**usual, **fields},
        )


def _set_password(here: Surroundings, email: str, new: str, *, change_at_login: bool) -> None:
    from mailu.auth.passwords import hash_password
    from mailu.directory.changes import check_password, set_password

    check_password(new)
    password_hash = hash_password(new)
    with here.store.session() as session:
        set_password(
            session, email, password_hash=password_hash, actor=here.actor, change_pw_next_login=change_at_login
        )


def _require(here: Surroundings, email: str) -> None:
    """Raise NotFound before anybody is asked for a password."""
    from mailu.directory.changes import get_user

    with here.store.read() as session:
        get_user(session, email)


def _require_free(here: Surroundings, address: EmailAddress) -> None:
    """Raise Conflict before anybody is asked for a password; the change itself looks again."""
    from mailu.directory.changes import Conflict
    from mailu.directory.models import Alias, User

    with here.store.read() as session:
        for table, kind in ((User, "user"), (Alias, "alias")):
            if session.get(table, str(address)) is not None:
                raise Conflict(str(address), kind)


def _is_admin(here: Surroundings, address: EmailAddress) -> bool | None:
    """Whether the user is an administrator; None where there is no such user."""
    from mailu.directory.models import User

    with here.store.read() as session:
        found = session.get(User, str(address))
        return None if found is None else found.global_admin


_LISTED = (
    "email", "displayed_name", "enabled", "global_admin", "enable_imap", "enable_pop", "quota_bytes",
    "quota_bytes_used", "forward_enabled", "forward_destination", "forward_keep", "reply_enabled",
    "change_pw_next_login", "message_ratelimit", "last_login", "created_at", "comment",
)  # fmt: skip


def _overview(here: Surroundings, domain: str | None, search: str | None) -> list[dict[str, Any]]:
    from sqlalchemy import or_, select

    from mailu.directory.changes import get_domain
    from mailu.directory.models import User

    with here.store.read() as session:
        query = select(*(getattr(User, name) for name in _LISTED)).order_by(User.domain_name, User.localpart)
        if domain:
            query = query.where(User.domain_name == get_domain(session, domain).name)
        if search:
            query = query.where(
                or_(*(column.icontains(search, autoescape=True) for column in (User.email, User.displayed_name)))
            )
        return [dict(zip(_LISTED, row, strict=True)) for row in session.execute(query)]
