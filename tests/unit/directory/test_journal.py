"""The audit trail: every change leaves a row, and no row holds a secret."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from mailu.directory import changes
from mailu.directory.changes import Actor, Invalid
from mailu.directory.models import Audit
from mailu.directory.store import Store

ADMIN = Actor("admin@example.org", "web 192.0.2.1")
ANN = "ann@example.org"
SECRETS = ("$hash-one$", "$hash-two$", "$token$", "fetch-secret")
FETCH: dict[str, Any] = {"protocol": "imap", "host": "h", "port": 1, "username": "u", "password": "fetch-secret"}

Step = tuple[str, Callable[[Session], object]]

STEPS: list[Step] = [
    ("domain.create", lambda s: changes.create_domain(s, "example.org", actor=ADMIN)),
    ("domain.update", lambda s: changes.update_domain(s, "example.org", actor=ADMIN, max_users=9)),
    ("alternative.create", lambda s: changes.create_alternative(s, "alt.example", "example.org", actor=ADMIN)),
    ("alternative.delete", lambda s: changes.delete_alternative(s, "alt.example", actor=ADMIN)),
    ("relay.create", lambda s: changes.create_relay(s, "relayed.example", actor=ADMIN)),
    ("relay.update", lambda s: changes.update_relay(s, "relayed.example", actor=ADMIN, smtp=":26")),
    (
        "tls_exception.allow",
        lambda s: changes.allow_tls_exception(s, "there.example", actor=ADMIN, comment="broken"),
    ),
    ("tls_exception.update", lambda s: changes.allow_tls_exception(s, "there.example", actor=ADMIN, level="none")),
    ("tls_exception.end", lambda s: changes.end_tls_exception(s, "there.example", actor=ADMIN)),
    ("relay.delete", lambda s: changes.delete_relay(s, "relayed.example", actor=ADMIN)),
    ("user.create", lambda s: changes.create_user(s, ANN, password_hash="$hash-one$", actor=ADMIN)),
    ("user.update", lambda s: changes.update_user(s, ANN, actor=ADMIN, reply_body="I am ill", quota_bytes=5)),
    ("user.password", lambda s: changes.set_password(s, ANN, password_hash="$hash-two$", actor=ADMIN)),
    ("user.rehash", lambda s: changes.upgrade_password_hash(s, ANN, old_hash="$hash-two$", new_hash="$hash-one$")),
    ("alias.create", lambda s: changes.create_alias(s, "t@example.org", destination=ANN, actor=ADMIN)),
    ("alias.update", lambda s: changes.update_alias(s, "t@example.org", actor=ADMIN, disabled=True)),
    ("alias.delete", lambda s: changes.delete_alias(s, "t@example.org", actor=ADMIN)),
    ("token.create", lambda s: changes.create_token(s, ANN, password_hash="$token$", actor=ADMIN)),
    ("fetch.create", lambda s: changes.create_fetch(s, ANN, actor=ADMIN, **FETCH)),
    ("manager.add", lambda s: changes.add_manager(s, "example.org", ANN, actor=ADMIN)),
    ("manager.remove", lambda s: changes.remove_manager(s, "example.org", ANN, actor=ADMIN)),
    ("access.grant", lambda s: changes.grant_access(s, "example.org", ANN, actor=ADMIN)),
    ("access.revoke", lambda s: changes.revoke_access(s, "example.org", ANN, actor=ADMIN)),
    ("user.delete", lambda s: changes.delete_user(s, ANN, actor=ADMIN)),
    ("user.restore", lambda s: changes.restore_user(s, ANN, actor=ADMIN)),
    ("domain.delete", lambda s: changes.delete_domain(s, "example.org", actor=ADMIN)),
]


def rows(store: Store) -> list[Audit]:
    with store.read() as session:
        found = list(session.scalars(select(Audit).order_by(Audit.id)))
        session.expunge_all()
        return found


def test_every_change_says_who_what_when_and_from_where_and_no_secret(store: Store) -> None:
    seen = 0
    for action, step in STEPS:
        with store.session() as session:
            step(session)
        new = rows(store)[seen:]
        seen += len(new)
        assert action in [row.action for row in new]
        for row in new:
            by_itself = row.action == "user.rehash"
            assert (row.actor, row.origin) == (("system", "") if by_itself else ("admin@example.org", "web 192.0.2.1"))
            assert row.at.tzinfo is not None
            assert row.subject
            text = json.dumps(row.detail)
            assert not any(secret in text for secret in SECRETS)
            assert "I am ill" not in text


def test_an_update_shows_what_was_and_what_is(store: Store) -> None:
    with store.session() as session:
        changes.create_domain(session, "example.org", actor=ADMIN, max_users=3)
        changes.update_domain(session, "example.org", actor=ADMIN, max_users=5, comment="x")
    assert rows(store)[-1].detail == {"max_users": [3, 5], "comment": ["", "x"]}


def test_an_update_that_changes_nothing_leaves_no_row(store: Store) -> None:
    with store.session() as session:
        changes.create_domain(session, "example.org", actor=ADMIN)
    version = store.data_version()
    with store.session() as session:
        changes.update_domain(session, "example.org", actor=ADMIN, max_users=-1, comment="")
    assert len(rows(store)) == 1
    assert store.data_version() == version


def test_a_refused_change_leaves_no_row(store: Store) -> None:
    with store.session() as session, pytest.raises(Invalid):
        changes.create_domain(session, "not a domain", actor=ADMIN)
    assert rows(store) == []


def test_names_of_actors_and_origins_are_cut_and_not_refused(store: Store) -> None:
    with store.session() as session:
        changes.create_domain(session, "example.org", actor=Actor("x" * 300, "y" * 300))
    assert (len(rows(store)[0].actor), len(rows(store)[0].origin)) == (255, 255)


def test_old_rows_can_be_deleted(store: Store) -> None:
    with store.session() as session:
        changes.create_domain(session, "example.org", actor=ADMIN)
    written_at = rows(store)[0].at
    with store.session() as session:
        assert changes.trim_audit(session, before=written_at) == 0
        assert changes.trim_audit(session, before=written_at + timedelta(seconds=1)) == 1
    assert rows(store) == []
