"""Deleting a mailbox, and what becomes of its mail.

Deleting takes the account away at once and leaves the mail where it is, under a folder that nobody else is given until
the janitor has removed it. So an address that is made again starts with an empty mailbox, and a mistake can be undone.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import delete, inspect, select
from sqlalchemy.orm import Session

from mailu.directory.changes.errors import NotFound
from mailu.directory.changes.journal import SYSTEM, Actor, note
from mailu.directory.models import Alias, Base, DomainAccess, Fetch, ListedSender, Manager, Retired, Token, User, today

DEFAULT_RETENTION_DAYS = 30

_NEVER_RESTORED = frozenset({"quota_bytes_used", "updated_at"})


def fresh_home(session: Session, email: str) -> str:
    """A folder below ``mail/`` for a new mailbox: the address, or the address with ``~2``, ``~3``, while it is taken.

    A localpart with slashes makes folders in folders, as it always did, unless that would leave ``mail/`` or meet
    another mailbox (``/a``, ``a//b``, ``a/./b``): then its slashes are written ``%2F``.
    """
    return free_home(email, _TakenHomes(session))


class _TakenHomes:
    """Every home in use, looked up one at a time: each is one step in an index, however many mailboxes there are."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def __contains__(self, home: object) -> bool:
        return any(
            self._session.scalar(select(column).where(column == home)) is not None
            for column in (User.home, Retired.home)
        )


def free_home(email: str, taken: Container[str]) -> str:
    """As ``fresh_home``, where *taken* holds every home in use, of mailboxes that are there and of deleted ones."""
    base = _usual_home(email)
    home, number = base, 1
    while home in taken:
        number += 1
        home = f"{base}~{number}"
    return home


def _usual_home(email: str) -> str:
    if any(part in ("", ".", "..") for part in email.split("/")):
        return email.replace("/", "%2F")
    return email


def retire(session: Session, user: User, *, actor: Actor, retention_days: int = DEFAULT_RETENTION_DAYS) -> Retired:
    """Delete *user* with all that is theirs, owned aliases included, and remember the mailbox."""
    now = datetime.now(UTC)
    retired = Retired(
        email=user.email,
        home=user.home,
        deleted_at=now,
        purge_after=now.date() + timedelta(days=max(retention_days, 0)),
        record=_record(session, user),
    )
    for table, column in (
        (Token, Token.user_email),
        (Fetch, Fetch.user_email),
        (ListedSender, ListedSender.user_email),
        (Manager, Manager.user_email),
        (DomainAccess, DomainAccess.user_email),
        (Alias, Alias.owner_email),
    ):
        session.execute(delete(table).where(column == user.email))
    session.delete(user)
    session.flush()
    session.add(retired)
    session.flush()
    note(session, actor, "user.delete", retired.email, {"home": retired.home, "purge_after": retired.purge_after})
    return retired


def due_for_purge(session: Session, day: date) -> Sequence[Retired]:
    """Deleted mailboxes whose folder the janitor may remove on *day*, the oldest first."""
    query = select(Retired).where(Retired.purge_after <= day).order_by(Retired.purge_after, Retired.id)
    return session.scalars(query).all()


def forget_retired(session: Session, retired_id: int, *, actor: Actor = SYSTEM) -> None:
    """Drop the memory of a deleted mailbox *after* its folder is gone; its folder's name is free then.

    Raises NotFound.
    """
    retired = session.get(Retired, retired_id)
    if retired is None:
        raise NotFound("deleted mailbox", retired_id)
    session.delete(retired)
    session.flush()
    note(session, actor, "user.purge", retired.email, {"home": retired.home})


def purge_now(session: Session, email: str, *, actor: Actor) -> int:
    """Make every deleted mailbox of *email* due for the janitor today. Returns how many there are."""
    rows = session.scalars(select(Retired).where(Retired.email == email)).all()
    for row in rows:
        row.purge_after = min(row.purge_after, today())
    if rows:
        note(session, actor, "user.purge_now", email, {"mailboxes": len(rows)})
    return len(rows)


def _record(session: Session, user: User) -> dict[str, Any]:
    """What is needed to restore *user*: kept in the ``retired`` table only, never in the audit."""

    def rows(table: type[Base], column: Any) -> list[dict[str, Any]]:
        return [columns_of(row) for row in session.scalars(select(table).where(column == user.email))]

    return {
        "user": {name: value for name, value in columns_of(user).items() if name not in _NEVER_RESTORED},
        "tokens": rows(Token, Token.user_email),
        "fetches": rows(Fetch, Fetch.user_email),
        "senders": rows(ListedSender, ListedSender.user_email),
        "managed": [row["domain_name"] for row in rows(Manager, Manager.user_email)],
        "granted": [row["domain_name"] for row in rows(DomainAccess, DomainAccess.user_email)],
        "aliases": rows(Alias, Alias.owner_email),
    }


def columns_of(row: Base) -> dict[str, Any]:
    """The columns of *row* as JSON can hold them."""
    found = {}
    for attribute in inspect(type(row)).column_attrs:
        value = getattr(row, attribute.key)
        if isinstance(value, date):
            value = value.isoformat()
        elif isinstance(value, tuple):
            value = list(value)
        found[attribute.key] = value
    return found
