"""Loading the whole directory: everything look-ups need, at one moment, quickly."""

from __future__ import annotations

import gc
import math
import time
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from sqlalchemy import delete, insert

from mailu.address import parse_address
from mailu.directory import changes
from mailu.directory.changes import Actor
from mailu.directory.lookup import resolve
from mailu.directory.models import Alias, Domain, User, Version
from mailu.directory.snapshot import (
    DomainEntry,
    RelayEntry,
    Snapshot,
    TokenEntry,
    UserEntry,
    load_snapshot,
    load_usage,
)
from mailu.directory.store import NoSchema, Store, open_store

ADMIN = Actor("admin@example.org", "cli")
ANN = "ann@example.org"


def fill(store: Store) -> None:
    with store.session() as session:
        changes.create_domain(session, "example.org", actor=ADMIN, max_users=5, anonmail_enabled=True)
        changes.create_alternative(session, "alt.example", "example.org", actor=ADMIN)
        listed = ["bob", "ann@relayed.example"]
        changes.create_relay(
            session, "relayed.example", actor=ADMIN, smtp=":26", recipients="listed", listed_recipients=listed
        )
        changes.create_user(
            session,
            ANN,
            password_hash="$ann$",
            actor=ADMIN,
            displayed_name="Ann Müller",
            forward_enabled=True,
            forward_destination=["x@example.net", "a@example.net"],
            reply_enabled=True,
            reply_subject="Away",
            reply_body="Bin weg.",
            reply_startdate=date(2030, 1, 1),
            message_ratelimit="10/day",
        )
        changes.create_user(session, "boss@example.org", password_hash="$b$", actor=ADMIN, allow_spoofing=True)
        changes.create_user(session, "off@example.org", password_hash="$o$", actor=ADMIN, enabled=False)
        changes.create_alias(session, "team@example.org", destination=ANN, actor=ADMIN)
        changes.create_alias(session, "s%@example.org", destination=ANN, wildcard=True, actor=ADMIN)
        changes.create_alias(session, "own@example.org", destination=ANN, owner="off@example.org", actor=ADMIN)
        changes.create_token(session, ANN, password_hash="$t$", actor=ADMIN, ip="192.0.2.0/24", comment="phone")
        changes.add_manager(session, "example.org", ANN, actor=ADMIN)
        changes.grant_access(session, "example.org", "boss@example.org", actor=ADMIN)
    with store.bookkeeping() as session:
        changes.record_quota(session, ANN, quota_bytes_used=4711)
        changes.record_login(session, ANN, at=datetime(2030, 1, 1, tzinfo=UTC))


def test_everything_is_there_with_the_right_types(store: Store) -> None:
    fill(store)
    snapshot = load_snapshot(store, delimiters="+-", wildcard_senders=["bot@example.org"])
    assert snapshot.version == store.data_version()
    assert (snapshot.delimiters, snapshot.wildcard_senders) == ("+-", frozenset({"bot@example.org"}))
    assert snapshot.domains == {"example.org": DomainEntry("example.org", 5, -1, 0, False, True)}
    assert snapshot.alternatives == {"alt.example": "example.org"}
    assert snapshot.alternatives_of == {"example.org": ("alt.example",)}
    assert snapshot.relays == {"relayed.example": RelayEntry(":26", "listed", frozenset({"ann", "bob"}))}
    assert snapshot.users[ANN] == UserEntry(
        email=ANN,
        domain_name="example.org",
        password="$ann$",
        enabled=True,
        global_admin=False,
        enable_imap=True,
        enable_pop=True,
        allow_spoofing=False,
        change_pw_next_login=False,
        quota_bytes=1_000_000_000,
        quota_bytes_used=4711,
        home=ANN,
        forward_enabled=True,
        forward_destination=("a@example.net", "x@example.net"),
        forward_keep=True,
        reply_enabled=True,
        reply_subject="Away",
        reply_body="Bin weg.",
        reply_startdate=date(2030, 1, 1),
        reply_enddate=date(2999, 12, 31),
        displayed_name="Ann Müller",
        spam_enabled=True,
        spam_mark_as_read=True,
        spam_threshold=80,
        message_ratelimit="10/day",
    )
    assert snapshot.users["off@example.org"].enabled is False
    assert isinstance(snapshot.users[ANN].quota_bytes_used, int)


def test_the_rest_is_there_too(store: Store) -> None:
    fill(store)
    snapshot = load_snapshot(store)
    assert snapshot.aliases["team@example.org"].destination == (ANN,)
    assert snapshot.aliases["own@example.org"].enabled is False
    assert snapshot.wildcards["example.org"].find("sales") is not None
    (token,) = snapshot.tokens[ANN]
    assert token == TokenEntry(token.id, "$t$", ("192.0.2.0/24",), "phone")
    assert snapshot.managed_domains == {ANN: frozenset({"example.org"})}
    assert snapshot.granted_domains == {"boss@example.org": frozenset({"example.org"})}
    assert snapshot.spoofers == {"example.org": ("boss@example.org",)}
    assert snapshot.led_to[ANN] == ("s%@example.org", "team@example.org")


def test_a_snapshot_does_not_change_afterwards(store: Store) -> None:
    fill(store)
    snapshot = load_snapshot(store)
    with store.session() as session:
        changes.update_user(session, ANN, actor=ADMIN, enabled=False)
    assert resolve(snapshot, parse_address(ANN)).kind == "forward"
    newer = load_snapshot(store)
    assert resolve(newer, parse_address(ANN)).kind == "disabled"
    assert newer.version == snapshot.version + 1


def test_rows_with_null_where_nothing_was_set_are_understood(store: Store) -> None:
    """Other programs write to this database too."""
    fill(store)
    with store.session() as session:
        session.add(Alias(email="e@example.org", localpart="e", domain_name="example.org", destination=()))
    snapshot = load_snapshot(store)
    assert resolve(snapshot, parse_address("e@example.org")).kind == "unknown"


def test_used_bytes_can_be_loaded_without_the_rest(store: Store) -> None:
    fill(store)
    assert load_usage(store) == {ANN: 4711, "boss@example.org": 0, "off@example.org": 0}


def test_an_empty_directory_is_empty(store: Store) -> None:
    snapshot = load_snapshot(store)
    assert snapshot == Snapshot(version=store.data_version())


def test_a_database_without_a_version_is_not_an_empty_directory(store: Store) -> None:
    with store.session() as session:
        session.execute(delete(Version))
    with pytest.raises(NoSchema):
        load_snapshot(store)


def test_loading_leaves_the_collector_as_it_was(store: Store) -> None:
    assert gc.isenabled()
    load_snapshot(store)
    assert gc.isenabled()


def test_a_mailbox_among_many_loads_as_quickly_as_among_few(tmp_path: Path) -> None:
    def microseconds_each(people: int) -> float:
        store = open_store(f"sqlite:///{tmp_path}/{people}.db")
        store.upgrade()
        domain = {"domain_name": "example.org", "password": "$h$"}
        names = [f"u{number}" for number in range(people)]
        users = [{"localpart": name, "email": f"{name}@example.org", "home": name} | domain for name in names]
        with store.session() as session:
            session.add(Domain(name="example.org"))
            session.flush()
            session.execute(insert(User), users)
        best = math.inf
        for _ in range(3):
            started = time.process_time()
            assert len(load_snapshot(store).users) == people
            best = min(best, time.process_time() - started)
        store.close()
        return best / people * 1e6

    assert microseconds_each(30_000) < 3 * microseconds_each(2_000)
