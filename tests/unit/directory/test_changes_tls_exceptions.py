"""Exceptions from encryption end by themselves, and say why they are there."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from mailu.directory import changes
from mailu.directory.changes import Actor, Invalid, NotFound
from mailu.directory.changes.tls_exceptions import MOST_DAYS, USUAL_DAYS
from mailu.directory.lookup import tls_exceptions
from mailu.directory.models import Audit, TlsException, today
from mailu.directory.snapshot import load_snapshot
from mailu.directory.store import Store

ADMIN = Actor("admin@example.org", "cli")
THERE = "there.example"


def allow(store: Store, **fields: Any) -> None:
    with store.session() as session:
        changes.allow_tls_exception(session, "There.example", actor=ADMIN, **fields)


def in_force(store: Store, day: date) -> dict[str, str]:
    return {name: entry.level for name, entry in tls_exceptions(load_snapshot(store), day).items()}


def test_an_exception_holds_until_its_last_day_is_over(store: Store) -> None:
    allow(store, comment="their certificate is old")
    last = today() + timedelta(days=USUAL_DAYS)
    assert in_force(store, today()) == in_force(store, last) == {THERE: "may"}
    assert in_force(store, last + timedelta(days=1)) == {}
    allow(store, level="none", last_day=(last + timedelta(days=2)).isoformat())
    assert in_force(store, last + timedelta(days=1)) == {THERE: "none"}
    with store.read() as session:
        entry = session.get_one(TlsException, THERE)
        assert (entry.comment, entry.created_by) == ("their certificate is old", "admin@example.org")


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({}, "comment"),
        ({"comment": ""}, "comment"),
        ({"comment": "x", "level": "dane"}, "level"),
        ({"comment": "x", "last_day": today() + timedelta(days=MOST_DAYS + 1)}, "last_day"),
        ({"comment": "x", "last_day": today() - timedelta(days=1)}, "last_day"),
        ({"comment": "x", "last_day": "soon"}, "last_day"),
        ({"comment": "x", "colour": "red"}, "colour"),
    ],
)
def test_no_exception_is_without_a_reason_and_an_end_in_sight(store: Store, fields: Any, field: str) -> None:
    with pytest.raises(Invalid) as caught:
        allow(store, **fields)
    assert caught.value.field == field
    with store.read() as session:
        assert session.scalars(select(TlsException)).all() == []


def test_the_longest_exception_is_possible(store: Store) -> None:
    allow(store, comment="x", last_day=today() + timedelta(days=MOST_DAYS))
    assert in_force(store, today() + timedelta(days=MOST_DAYS)) == {THERE: "may"}


def test_what_is_over_is_removed_and_the_trail_says_so(store: Store) -> None:
    allow(store, comment="x")
    with store.session() as session:
        changes.allow_tls_exception(session, "other.example", actor=ADMIN, comment="y", last_day=today())
    with store.session() as session:
        assert changes.expire_tls_exceptions(session, today()) == []
        assert changes.expire_tls_exceptions(session, today() + timedelta(days=1)) == ["other.example"]
    with store.read() as session:
        assert session.scalars(select(TlsException.name)).all() == [THERE]
        last = session.scalars(select(Audit).order_by(Audit.id)).all()[-1]
        assert (last.actor, last.action, last.subject) == ("system", "tls_exception.end", "other.example")


def test_an_exception_that_is_not_there_cannot_be_ended(store: Store) -> None:
    with store.session() as session, pytest.raises(NotFound):
        changes.end_tls_exception(session, THERE, actor=ADMIN)
