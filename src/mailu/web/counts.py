"""How many mailboxes and aliases each domain has: counted once for each state of the directory, not for each page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from mailu.directory.models import Alias, User
from mailu.directory.snapshot import Snapshot

if TYPE_CHECKING:
    from mailu.web.visit import Visit


@dataclass(frozen=True, slots=True)
class Counts:
    """By domain."""

    users: Mapping[str, int]
    aliases: Mapping[str, int]
    admins: tuple[str, ...] = ()
    """The addresses of global administrators, sorted."""

    @property
    def all_users(self) -> int:
        return sum(self.users.values())


_last: tuple[Snapshot, Counts] | None = None


def counts_of(visit: Visit) -> Counts:
    """The counts now. Some milliseconds for 100,000 mailboxes after a change, and nothing until the next."""
    global _last
    snapshot = visit.snapshot
    if _last is None or _last[0] is not snapshot:
        admins = tuple(sorted(user.email for user in snapshot.users.values() if user.global_admin))
        with visit.store.read() as session:
            _last = (snapshot, Counts(_count(session, User.domain_name), _count(session, Alias.domain_name), admins))
    return _last[1]


_open: tuple[Snapshot, tuple[str, ...]] | None = None


def open_domains(snapshot: Snapshot) -> tuple[str, ...]:
    """The domains that let people sign up, sorted: looked for once in each state of the directory."""
    global _open
    if _open is None or _open[0] is not snapshot:
        _open = (snapshot, tuple(sorted(name for name, entry in snapshot.domains.items() if entry.signup_enabled)))
    return _open[1]


def _count(session: Session, column: object) -> dict[str, int]:
    rows = session.execute(select(column, func.count()).group_by(column))  # type: ignore[call-overload]
    return {str(domain): int(number) for domain, number in rows}
