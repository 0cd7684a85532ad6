"""Which mailboxes and aliases a transaction touched: written down with it, for those who keep the directory in memory.

A reader that has version 7 and finds 9 reads what the entries of 8 and 9 name. It loads everything anew when an entry
says so or one is missing: they are kept for some hundred versions only, and earlier programs wrote none.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Connection, String, bindparam, delete, insert, select
from sqlalchemy.orm import ORMExecuteState, Session
from sqlalchemy.orm.attributes import get_history

from mailu.directory.models import Alias, Domain, Trail, User, Version

KEPT_VERSIONS = 500
MOST_NAMES = 1_000
"""A transaction, or several together, that touched more is one after which everything is loaded."""

Entry = tuple[str, str]
"""Kind and name; see ``models.Trail``."""

EVERYTHING: Entry = ("all", "")
_REST: Entry = ("rest", "")


def touched_by_flush(session: Session) -> set[Entry]:
    """What is about to be, or has just been, flushed in *session*.

    Deleting a mailbox or a domain deletes rows of other tables inside the database, which nobody sees here.
    """
    found = {_entry(thing) for thing in (*session.new, *session.dirty)}
    return found | {EVERYTHING if isinstance(thing, User | Domain) else _entry(thing) for thing in session.deleted}


def touched_by_statement(state: ORMExecuteState) -> set[Entry]:
    """What a statement changes that names no objects: of mailboxes and aliases, nobody knows which."""
    mapper = state.bind_mapper
    return {EVERYTHING if mapper is None or mapper.class_ in (User, Alias, Domain) else _REST}


def _is_pattern(thing: User | Alias) -> bool:
    return isinstance(thing, Alias) and bool(thing.wildcard or get_history(thing, "wildcard").deleted)


def _entry(thing: object) -> Entry:
    if not isinstance(thing, User | Alias):
        return _REST
    if _is_pattern(thing) or get_history(thing, "email").deleted:
        return EVERYTHING  # a pattern concerns its whole domain; an earlier address is not known here any more
    return ("user" if isinstance(thing, User) else "alias", thing.email)


def write(connection: Connection, touched: Iterable[Entry]) -> None:
    """Write entries for the version that is in force in this transaction, and forget old ones."""
    entries = set(touched)
    if EVERYTHING in entries or len(entries) > MOST_NAMES:
        entries = {EVERYTHING}
    values = select(Version.changes, bindparam("kind", type_=String(8)), bindparam("name", type_=String(255)))
    rows = [{"kind": kind, "name": name} for kind, name in sorted(entries)]
    connection.execute(insert(Trail).from_select(["version", "kind", "name"], values), rows)
    oldest = select(Version.changes - KEPT_VERSIONS).scalar_subquery()
    connection.execute(delete(Trail).where(Trail.version < oldest))


@dataclass(frozen=True, slots=True)
class Touched:
    """The addresses of mailboxes and aliases that some versions touched."""

    users: frozenset[str]
    aliases: frozenset[str]


def read(connection: Connection, *, after: int, until: int) -> Touched | None:
    """What the versions after *after* up to *until* touched; None for everything, or where nobody knows."""
    if not 0 <= until - after <= KEPT_VERSIONS:
        return None
    wanted = select(Trail.version, Trail.kind, Trail.name).where(Trail.version > after)
    rows = connection.execute(wanted.limit(MOST_NAMES + 1)).all()
    if len(rows) > MOST_NAMES or {row.version for row in rows} != set(range(after + 1, until + 1)):
        return None
    if any(row.kind == "all" for row in rows):
        return None
    names = {kind: frozenset(row.name for row in rows if row.kind == kind) for kind in ("user", "alias")}
    return Touched(names["user"], names["alias"])
