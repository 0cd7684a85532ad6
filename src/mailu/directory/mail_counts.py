"""How much mail there was, day by day: of the whole server, or of one domain.

The numbers come from what Postfix and Dovecot log (``daemons/postfix/tally.py``, ``daemons/dovecot/tally.py``). Days
are those of UTC. They are for looking at, not for accounts: a message may be missing, or count twice, where a process
was killed.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from mailu.directory.day_counts import KEPT_DAYS, KINDS, SERVER, DayCounts
from mailu.directory.models import MailCount

Key = tuple[date, str, str]
"""Day, domain or SERVER, kind."""


def counts_of_days(session: Session, *, first: date, last: date, domain: str = SERVER) -> list[DayCounts]:
    """Every day from *first* to *last*, both included, the oldest first; zeros where nothing was counted."""
    rows = session.scalars(
        select(MailCount).where(MailCount.domain_name == domain, MailCount.day >= first, MailCount.day <= last)
    )
    found = {row.day: DayCounts(row.day, row.received, row.sent, row.refused, row.junk) for row in rows}
    days = (first + timedelta(number) for number in range((last - first).days + 1))
    return [found.get(day, DayCounts(day)) for day in days]


def add_mail_counts(session: Session, counts: Mapping[Key, int]) -> None:
    """Add to what was counted, and forget days that are older than KEPT_DAYS when a new one begins.

    Belongs into ``Store.bookkeeping``. Adding the same twice counts it twice.
    """
    rows: dict[tuple[date, str], dict[str, int]] = {}
    for (day, domain, kind), number in counts.items():
        rows.setdefault((day, domain), dict.fromkeys(KINDS, 0))[kind] += number
    for (day, domain), numbers in rows.items():
        if not _add(session, day, domain, numbers):
            session.add(MailCount(day=day, domain_name=domain, **numbers))
            if domain == SERVER:
                session.execute(delete(MailCount).where(MailCount.day < day - timedelta(KEPT_DAYS)))


def forget_mail_counts(session: Session, domain: str) -> None:
    """Forget a domain's numbers: the next one of this name may be somebody else's."""
    session.execute(delete(MailCount).where(MailCount.domain_name == domain))


def _add(session: Session, day: date, domain: str, numbers: Mapping[str, int]) -> bool:
    columns = {kind: getattr(MailCount, kind) for kind in KINDS}
    values = {columns[kind]: columns[kind] + number for kind, number in numbers.items()}
    found = session.execute(
        update(MailCount)
        .where(MailCount.domain_name == domain, MailCount.day == day)
        .values(values)
        .execution_options(synchronize_session=False)
    )
    return bool(found.rowcount)  # type: ignore[attr-defined]
