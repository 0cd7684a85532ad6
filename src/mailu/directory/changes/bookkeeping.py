"""What the servers write down all the time: used quota, last log-ins, how fetching went.

These are facts and no decisions of anybody, so they leave no audit row, do not count as changes of a row, and belong
into ``Store.bookkeeping`` transactions, which make no reader load the directory again.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, cast

from sqlalchemy import Table, Update, bindparam, update
from sqlalchemy.orm import Session

from mailu.directory.models import Fetch, User

_MAX_ERROR = 1023
_OF = User.email == bindparam("of")
_AT = bindparam("at", type_=User.last_login.type)
# Of the table, not the class: no object in the session is looked for, and a thousand facts are one statement.
_USERS = cast(Table, User.__table__)
_USED = update(_USERS).where(_OF).values(quota_bytes_used=bindparam("used"), updated_at=User.updated_at)
_LATER = User.last_login.is_(None) | (User.last_login < _AT)
_LOGGED_IN = update(_USERS).where(_OF, _LATER).values(last_login=_AT, updated_at=User.updated_at)


def record_quota(session: Session, email: str, *, quota_bytes_used: int) -> bool:
    """Note how much a mailbox holds. Returns False if there is no such user."""
    return bool(record_quotas(session, {email: quota_bytes_used}))


def record_quotas(session: Session, used_bytes: Mapping[str, int]) -> int:
    """Note how much many mailboxes hold, by address: one statement. Returns how many of them there are."""
    return _for_each(session, _USED, [{"of": email, "used": max(used, 0)} for email, used in used_bytes.items()])


def record_login(session: Session, email: str, *, at: datetime) -> bool:
    """Note when somebody logged in last; an earlier moment than the one known changes nothing."""
    return bool(record_logins(session, {email: at}))


def record_logins(session: Session, moments: Mapping[str, datetime]) -> int:
    """As ``record_login``, for many people. Returns for how many the moment is news."""
    return _for_each(session, _LOGGED_IN, [{"of": email, "at": at} for email, at in moments.items()])


def record_fetch(session: Session, fetch_id: int, *, at: datetime, error: str | None) -> bool:
    """Note that an account was fetched from, and what went wrong (None: nothing). False if it is gone."""
    values = {Fetch.last_check: at, Fetch.error: error and error[:_MAX_ERROR], Fetch.updated_at: Fetch.updated_at}
    return _done(session, update(Fetch).where(Fetch.id == fetch_id).values(values))


def _for_each(session: Session, statement: Update, values: list[dict[str, Any]]) -> int:
    return int(session.execute(statement, values).rowcount) if values else 0  # type: ignore[attr-defined]


def _done(session: Session, statement: object) -> bool:
    return bool(session.execute(statement).rowcount)  # type: ignore[call-overload]
