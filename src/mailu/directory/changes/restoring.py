"""Undoing the deletion of a mailbox."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, TypeVar

from sqlalchemy import Date, inspect, select
from sqlalchemy.orm import Session

from mailu.directory.changes import values
from mailu.directory.changes.errors import NotFound
from mailu.directory.changes.journal import Actor, note
from mailu.directory.changes.names import domain_of, require_free_address, require_room
from mailu.directory.columns import CommaList, Moment
from mailu.directory.models import Alias, Base, Domain, DomainAccess, Fetch, ListedSender, Manager, Retired, Token, User


def restore_user(
    session: Session, email: str, *, actor: Actor, retired_id: int | None = None, enforce_limits: bool = True
) -> User:
    """Bring a deleted mailbox of *email* back: mail, settings, password, tokens and rights.

    It is the one deleted last, or the one with *retired_id* (see ``retired_mailboxes``). Rights in domains that are
    gone, and aliases whose address has been taken since, stay away. Raises NotFound where nothing is kept or the domain
    is gone, Conflict where the address is in use again, LimitReached.
    """
    parsed = values.address("email", email)
    kept = retired_mailboxes(session, str(parsed))
    retired = next((row for row in kept if retired_id in (None, row.id)), None)
    if retired is None:
        raise NotFound("deleted mailbox", str(parsed))
    domain = domain_of(session, parsed)
    require_free_address(session, str(parsed))
    if enforce_limits:
        require_room(session, domain, "max_users")
    record = retired.record
    user = _row(User, record["user"])
    session.add(user)
    session.delete(retired)
    session.flush()
    _restore_belongings(session, user, record)
    session.flush()
    note(session, actor, "user.restore", user.email, {"home": user.home})
    return user


def retired_mailboxes(session: Session, email: str) -> Sequence[Retired]:
    """The deleted mailboxes of *email* (canonical) that are still there, the one deleted last first."""
    query = select(Retired).where(Retired.email == email).order_by(Retired.deleted_at.desc(), Retired.id.desc())
    return session.scalars(query).all()


def _restore_belongings(session: Session, user: User, record: dict[str, Any]) -> None:
    for columns in record["tokens"]:
        session.add(_row(Token, columns))
    for columns in record["fetches"]:
        session.add(_row(Fetch, columns))
    for columns in record.get("senders", ()):  # mailboxes that were deleted before there were lists have none
        session.add(_row(ListedSender, columns))
    for name in record["managed"]:
        if session.get(Domain, name) is not None:
            session.add(Manager(domain_name=name, user_email=user.email))
    for name in record["granted"]:
        if session.get(Domain, name) is not None:
            session.add(DomainAccess(domain_name=name, user_email=user.email))
    for columns in record["aliases"]:
        taken = session.get(User, columns["email"]) or session.get(Alias, columns["email"])
        if taken is None and session.get(Domain, columns["domain_name"]) is not None:
            session.add(_row(Alias, columns))


_Table = TypeVar("_Table", bound=Base)


def _row(table: type[_Table], columns: dict[str, Any]) -> _Table:
    """A new row from what ``retiring.columns_of`` kept; columns that are no more are passed over."""
    found = {}
    for attribute in inspect(table).column_attrs:
        if attribute.key not in columns:
            continue
        value, kind = columns[attribute.key], attribute.columns[0].type
        if value is not None and isinstance(kind, Date):
            value = date.fromisoformat(value)
        elif value is not None and isinstance(kind, Moment):
            value = datetime.fromisoformat(value)
        elif isinstance(kind, CommaList):
            value = tuple(value)
        found[attribute.key] = value
    return table(**found)
