"""The audit trail: every change writes down who made it, from where, and what changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import delete
from sqlalchemy.orm import Session

from mailu.directory.models import Audit

SECRET = frozenset({"password", "digest", "relaypassword"})
"""Columns whose values are shown to nobody."""
_PERSONAL = frozenset({"reply_subject", "reply_body", "mail_rules"})
"""Letters to others, and what somebody does with theirs; that they changed is enough to know."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who changes something: a login or a program, and from where: ``web 192.0.2.1``, ``api``, ``cli``."""

    name: str
    origin: str


SYSTEM = Actor("system", "")
"""What happens by itself: a hash made stronger, a mailbox removed when its time has come."""


def note(session: Session, actor: Actor, action: str, subject: str, detail: Mapping[str, Any] | None = None) -> None:
    """Write one row. *action* is ``thing.verb``; values of secret columns in *detail* are left out."""
    session.add(Audit(**audit_row(actor, action, subject, detail)))


def audit_row(actor: Actor, action: str, subject: str, detail: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The columns of one row, for imports, which write many at a time."""
    return {
        "at": datetime.now(UTC),
        "actor": actor.name[:255],
        "origin": actor.origin[:255],
        "action": action,
        "subject": subject[:255],
        "detail": {name: _shown(name, value) for name, value in (detail or {}).items()},
    }


def trim_audit(session: Session, *, before: datetime) -> int:
    """Delete the rows of the audit trail that are older than *before*; returns how many. For the janitor."""
    return session.execute(delete(Audit).where(Audit.at < before)).rowcount  # type: ignore[attr-defined,no-any-return]


def _shown(name: str, value: Any) -> Any:
    if name in SECRET or name in _PERSONAL:
        return "changed"
    return _plain(value)


def _plain(value: Any) -> Any:
    match value:
        case date() | datetime():
            return value.isoformat()
        case tuple() | list():
            return [_plain(item) for item in value]
        case _:
            return value
