"""Numbers of mail: added up by day and domain, kept for a year and a bit."""

from __future__ import annotations

from datetime import date, timedelta

from sqlalchemy import select

from mailu.directory import changes
from mailu.directory.changes import SYSTEM
from mailu.directory.day_counts import KEPT_DAYS, SERVER, DayCounts
from mailu.directory.mail_counts import Key, add_mail_counts, counts_of_days
from mailu.directory.models import MailCount
from mailu.directory.store import Store

DAY = date(2026, 11, 29)
OURS = "example.org"


def add(store: Store, counts: dict[Key, int]) -> None:
    with store.bookkeeping() as session:
        add_mail_counts(session, counts)


def shown(store: Store, *, domain: str = SERVER, days: int = 1) -> list[DayCounts]:
    with store.read() as session:
        return counts_of_days(session, first=DAY - timedelta(days - 1), last=DAY, domain=domain)


def test_numbers_are_added_to_those_of_the_same_day_and_domain(store: Store) -> None:
    add(store, {(DAY, SERVER, "received"): 2, (DAY, OURS, "received"): 1, (DAY, SERVER, "junk"): 1})
    add(store, {(DAY, SERVER, "received"): 3, (DAY, SERVER, "sent"): 4, (DAY, SERVER, "refused"): 5})
    assert shown(store) == [DayCounts(DAY, received=5, sent=4, refused=5, junk=1)]
    assert shown(store, domain=OURS) == [DayCounts(DAY, received=1)]
    assert shown(store, domain="other.example") == [DayCounts(DAY)]


def test_days_without_mail_are_zeros_in_their_place(store: Store) -> None:
    add(store, {(DAY - timedelta(2), SERVER, "sent"): 7, (DAY + timedelta(1), SERVER, "sent"): 9})
    assert [(day.day, day.sent) for day in shown(store, days=4)] == [
        (DAY - timedelta(3), 0), (DAY - timedelta(2), 7), (DAY - timedelta(1), 0), (DAY, 0),
    ]  # fmt: skip


def test_old_days_are_forgotten_when_a_new_one_begins(store: Store) -> None:
    oldest = DAY - timedelta(KEPT_DAYS)
    for day in (oldest - timedelta(1), oldest, DAY):
        add(store, {(day, OURS, "sent"): 1, (day, SERVER, "sent"): 1})
    with store.read() as session:
        assert set(session.scalars(select(MailCount.day))) == {oldest, DAY}


def test_a_domain_takes_its_numbers_with_it(store: Store) -> None:
    with store.session() as session:
        changes.create_domain(session, OURS, actor=SYSTEM)
    add(store, {(DAY, SERVER, "sent"): 1, (DAY, OURS, "sent"): 1})
    with store.session() as session:
        changes.delete_domain(session, OURS, actor=SYSTEM)
    assert shown(store, domain=OURS) == [DayCounts(DAY)]
    assert shown(store) == [DayCounts(DAY, sent=1)]
