"""Destinations that are sent to with less encryption than they promise, for a reason and for some weeks."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from mailu.directory.changes import values
from mailu.directory.changes.errors import Invalid, NotFound
from mailu.directory.changes.journal import SYSTEM, Actor, note
from mailu.directory.models import TlsException, today

MOST_DAYS = 90
USUAL_DAYS = 14
LEVELS = ("none", "may", "encrypt")
"""TLS levels of Postfix: without encryption; with it where it is offered; with it, whoever's the certificate is."""


def _last_day(field: str, value: Any) -> date:
    """A day that is not too far away. One in the past is for documents, which may be older than its end."""
    checked = values.day(field, value)
    if checked > (latest := today() + timedelta(days=MOST_DAYS)):
        raise Invalid(field, f"at most {MOST_DAYS} days are possible: up to {latest}")
    return checked


RULES = {
    "level": values.one_of(*LEVELS),
    "last_day": _last_day,
    "comment": values.required(values.text(255)),
}


def allow_tls_exception(session: Session, name: str, *, actor: Actor, **fields: Any) -> TlsException:
    """Make an exception for mail to the domain or host *name*, or change the one there is.

    *fields*: ``level`` (one of LEVELS), ``last_day`` (UTC; the exception holds on it), ``comment`` (why). A new one
    needs a comment, and has the level ``may`` and USUAL_DAYS if nothing is said. Raises Invalid.
    """
    canonical = values.domain_name("name", name)
    found = session.get(TlsException, canonical)
    entry = found or TlsException(name=canonical, comment="", created_by=actor.name[:255])
    if found is None:
        fields = {"level": "may", "last_day": today() + timedelta(days=USUAL_DAYS), "comment": "", **fields}
    changed = values.apply(entry, fields, RULES)
    if "last_day" in fields and entry.last_day < today():
        raise Invalid("last_day", "this day is over")
    session.add(entry)
    session.flush()
    if changed:
        note(session, actor, "tls_exception.update" if found else "tls_exception.allow", canonical, changed)
    return entry


def end_tls_exception(session: Session, name: str, *, actor: Actor) -> None:
    """Take an exception back. Raises NotFound."""
    entry = get_tls_exception(session, name)
    session.delete(entry)
    session.flush()
    note(session, actor, "tls_exception.end", entry.name)


def get_tls_exception(session: Session, name: str) -> TlsException:
    """The exception for *name*, however it is written. Raises NotFound and Invalid."""
    canonical = values.domain_name("name", name)
    entry = session.get(TlsException, canonical)
    if entry is None:
        raise NotFound("TLS exception", canonical)
    return entry


def expire_tls_exceptions(session: Session, now: date) -> list[str]:
    """Remove the exceptions whose last day was before *now*, which hold no more anyway; returns their names."""
    over = session.scalars(select(TlsException).where(TlsException.last_day < now).order_by(TlsException.name)).all()
    for entry in over:
        end_tls_exception(session, entry.name, actor=SYSTEM)
    return [entry.name for entry in over]
