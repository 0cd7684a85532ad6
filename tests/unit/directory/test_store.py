"""The database: transactions, durability, one writer at a time, seeing changes."""

from __future__ import annotations

import stat
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest
from sqlalchemy import delete, insert, select, text, update
from sqlalchemy.exc import IntegrityError, OperationalError

from mailu.directory import changes
from mailu.directory.changes import Actor, Conflict
from mailu.directory.models import Alias, Domain, User, Version
from mailu.directory.store import NoSchema, Store, open_store

ADMIN = Actor("admin@example.org", "cli")


def _fail(store: Store) -> None:
    with suppress(RuntimeError), store.session() as session:
        session.add(Domain(name="example.org"))
        session.flush()
        raise RuntimeError


def test_what_is_done_in_a_session_is_kept(store: Store) -> None:
    with store.session() as session:
        session.add(Domain(name="example.org"))
    with store.read() as session:
        assert session.get(Domain, "example.org") is not None


def test_an_exception_leaves_nothing_behind(store: Store) -> None:
    _fail(store)
    with store.read() as session:
        assert session.get(Domain, "example.org") is None


def test_a_reading_session_writes_nothing(store: Store) -> None:
    with store.read() as session:
        session.add(Domain(name="example.org"))
        session.flush()
    with store.read() as session:
        assert session.get(Domain, "example.org") is None


def test_rows_that_refer_to_nothing_are_refused(store: Store) -> None:
    with pytest.raises(IntegrityError), store.session() as session:
        session.execute(
            insert(Alias).values(
                email="a@b.c", localpart="a", domain_name="b.c", destination=("x@y.z",), wildcard=False
            )
        )


def test_addresses_are_told_apart_octet_by_octet(store: Store) -> None:
    """A database that takes ä for a, or A for a, would give one person's mail to another."""
    with store.session() as session:
        session.add(Domain(name="example.org"))
        session.flush()
        for localpart in ("mull", "müll", "MULL", "ss", "ß"):
            email = f"{localpart}@example.org"
            session.add(User(email=email, localpart=localpart, domain_name="example.org", password="h", home=email))
    with store.read() as session:
        assert len(session.scalars(select(User.email)).all()) == 5
        assert session.scalars(select(User.email).where(User.localpart == "mull")).all() == ["mull@example.org"]


def test_any_text_comes_back_as_it_was(store: Store) -> None:
    with store.session() as session:
        session.add(Domain(name="example.org", comment="ü 漢字 🦊 '\" \\ %"))
    with store.read() as session:
        assert session.get_one(Domain, "example.org").comment == "ü 漢字 🦊 '\" \\ %"


# Versions


def test_the_version_goes_up_once_a_transaction_that_changed_something(store: Store) -> None:
    before = store.data_version()
    with store.session() as session:
        session.add(Domain(name="a.example"))
        session.flush()
        session.add(Domain(name="b.example"))
    assert store.data_version() == before + 1


@pytest.mark.parametrize("statement", ["insert", "update", "delete"])
def test_statements_without_objects_count_too(store: Store, statement: str) -> None:
    with store.session() as session:
        session.add(Domain(name="a.example"))
    before = store.data_version()
    with store.session() as session:
        if statement == "insert":
            session.execute(insert(Domain), [{"name": "b.example"}])
        elif statement == "update":
            session.execute(update(Domain).values(comment="x"))
        else:
            session.execute(delete(Domain))
    assert store.data_version() == before + 1


def test_looking_and_rolling_back_do_not_raise_the_version(store: Store) -> None:
    before = store.data_version()
    with store.session() as session:
        session.scalars(select(Domain)).all()
    _fail(store)
    assert store.data_version() == before


def test_a_part_that_is_taken_back_does_not_spoil_the_rest(store: Store) -> None:
    before = store.data_version()
    with store.session() as session:
        session.add(Domain(name="a.example"))
        part = session.begin_nested()
        session.add(Domain(name="b.example"))
        session.flush()
        part.rollback()
    assert store.data_version() == before + 1
    with store.read() as session:
        assert session.scalars(select(Domain.name)).all() == ["a.example"]


def test_bookkeeping_does_not_make_readers_load_everything_again(store: Store) -> None:
    with store.session() as session:
        changes.create_domain(session, "example.org", actor=ADMIN)
        changes.create_user(session, "ann@example.org", password_hash="h", actor=ADMIN)
    before, usage = store.data_version(), store.bookkeeping_version()
    with store.bookkeeping() as session:
        changes.record_quota(session, "ann@example.org", quota_bytes_used=1)
    assert store.data_version() == before
    assert store.bookkeeping_version() == usage + 1


def test_a_change_by_another_program_is_seen_within_a_second(store: Store) -> None:
    before = store.data_version()
    other = Store(store.url)
    with other.session() as session:
        session.add(Domain(name="example.org"))
    deadline = time.monotonic() + 1
    while store.data_version() == before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert store.data_version() == before + 1
    other.close()


def test_asking_for_the_version_is_cheap(store: Store) -> None:
    store.data_version()
    started = time.process_time()
    for _ in range(100):
        store.data_version()
    assert time.process_time() - started < 5


def test_a_missing_version_row_is_not_taken_for_a_number(store: Store) -> None:
    with store.session() as session:
        session.execute(delete(Version))
    with pytest.raises(NoSchema):
        store.data_version()


# One writer at a time


def test_two_writers_cannot_both_take_the_last_place(store: Store) -> None:
    """Each sees what the other wrote, or waits: a rule that was checked still holds when the change is written."""
    with store.session() as session:
        changes.create_domain(session, "example.org", actor=ADMIN, max_users=1)
    outcomes: list[str] = []
    barrier = threading.Barrier(4)

    def take(number: int) -> None:
        barrier.wait()
        try:
            with store.session() as session:
                changes.create_user(session, f"u{number}@example.org", password_hash="h", actor=ADMIN)
                time.sleep(0.02)
            outcomes.append("made")
        except changes.LimitReached:
            outcomes.append("refused")

    threads = [threading.Thread(target=take, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["made", "refused", "refused", "refused"]


def test_a_user_and_an_alias_cannot_both_take_an_address(store: Store) -> None:
    with store.session() as session:
        changes.create_domain(session, "example.org", actor=ADMIN)
    barrier = threading.Barrier(2)
    refused: list[Conflict] = []

    def make(kind: str) -> None:
        barrier.wait()
        try:
            with store.session() as session:
                if kind == "user":
                    changes.create_user(session, "ann@example.org", password_hash="h", actor=ADMIN)
                else:
                    changes.create_alias(session, "ann@example.org", destination="x@example.net", actor=ADMIN)
                time.sleep(0.02)
        except Conflict as error:
            refused.append(error)

    threads = [threading.Thread(target=make, args=(kind,)) for kind in ("user", "alias")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 1


def test_a_reader_neither_waits_for_a_writer_nor_sees_half_of_a_change(store: Store) -> None:
    with store.session() as writer:
        writer.add(Domain(name="example.org"))
        writer.flush()
        started = time.monotonic()
        with store.read() as reader:
            assert reader.scalars(select(Domain)).all() == []
        assert time.monotonic() - started < 4, "waiting for a writer takes five seconds and fails"


def test_a_reader_sees_one_state_however_long_it_looks(store: Store) -> None:
    with store.read() as reader:
        assert reader.scalars(select(Domain.name)).all() == []
        with store.session() as writer:
            writer.add(Domain(name="example.org"))
        assert reader.scalars(select(Domain.name)).all() == []


# SQLite's own


@pytest.fixture
def sqlite(tmp_path: Path) -> Store:
    store = open_store(f"sqlite:///{tmp_path}/main.db")
    store.upgrade()
    return store


def test_a_commit_is_on_the_disk_when_it_is_answered(sqlite: Store) -> None:
    with sqlite.engine.connect() as connection:
        assert connection.scalar(text("PRAGMA journal_mode")) == "wal"
        assert connection.scalar(text("PRAGMA synchronous")) == 2  # FULL
        assert connection.scalar(text("PRAGMA foreign_keys")) == 1
        assert connection.scalar(text("PRAGMA busy_timeout")) == 10_000
    sqlite.close()


def test_nobody_else_may_read_the_file(sqlite: Store) -> None:
    assert sqlite.url.database is not None
    assert stat.S_IMODE(Path(sqlite.url.database).stat().st_mode) == 0o600
    sqlite.close()


def test_before_the_first_upgrade_the_answer_is_not_a_number(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path}/new.db")
    (tmp_path / "new.db").touch()
    with pytest.raises(NoSchema):
        store.data_version()
    store.close()


def test_nothing_is_written_in_the_place_of_a_database_that_is_gone(tmp_path: Path) -> None:
    """Readers and writers find no tables until it is back."""
    file = tmp_path / "main.db"
    store = open_store(f"sqlite:///{file}")
    with pytest.raises(OperationalError, match="no such table"), store.read() as session:
        session.scalar(select(Version.changes))
    store.close()
    assert file.stat().st_size == 0
    store.upgrade()
    with store.read() as session:
        assert session.scalar(text("PRAGMA journal_mode")) == "wal"
    store.close()


def test_a_database_put_in_the_place_of_another_is_seen(sqlite: Store, tmp_path: Path) -> None:
    with sqlite.session() as session:
        session.add(Domain(name="a.example"))
    sqlite.data_version()
    sqlite.close()
    other = open_store(f"sqlite:///{tmp_path}/other.db")
    other.upgrade()
    for number in range(5):
        with other.session() as session:
            session.add(Domain(name=f"b{number}.example"))
    expected = other.data_version()
    other.close()
    sqlite.data_version()
    (tmp_path / "other.db").rename(tmp_path / "main.db")
    assert sqlite.data_version() == expected
    sqlite.close()
