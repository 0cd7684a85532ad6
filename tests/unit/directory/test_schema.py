"""Bringing the schema up to date from every revision, and back; and refusing databases that are not ours."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect, text

from mailu.directory import changes, schema
from mailu.directory.changes import Actor
from mailu.directory.models import Base
from mailu.directory.schema import ForeignSchema, NewerSchema, SchemaError
from mailu.directory.store import NoSchema, Store, open_store

ADMIN = Actor("admin@example.org", "cli")
REVISIONS = schema.revisions()


def tables(store: Store) -> set[str]:
    with store.engine.connect() as connection:
        return set(inspect(connection).get_table_names()) - {schema.VERSION_TABLE}


def test_the_upgraded_schema_is_what_the_models_say(store: Store) -> None:
    with store.engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"version_table": schema.VERSION_TABLE, "compare_type": True}
        )
        assert compare_metadata(context, Base.metadata) == []


def test_the_newest_revision_is_the_one_the_program_works_with() -> None:
    assert REVISIONS[-1] == schema.NEWEST, "a new file in migrations/versions: raise schema.NEWEST too"


def test_an_up_to_date_database_is_left_as_it_is(store: Store) -> None:
    with store.session() as session:
        changes.create_domain(session, "example.org", actor=ADMIN)
    version = store.data_version()
    store.upgrade()
    assert store.data_version() == version
    assert store.revision() == REVISIONS[-1]


@pytest.mark.parametrize("revision", ["base", *REVISIONS])
def test_every_revision_can_be_gone_back_to_and_upgraded_from(store: Store, revision: str) -> None:
    store.downgrade(revision)
    assert store.revision() == (None if revision == "base" else revision)
    if revision == "base":
        assert tables(store) == set()
    store.upgrade()
    assert store.revision() == REVISIONS[-1]
    assert tables(store) == set(Base.metadata.tables)
    assert store.data_version() >= 1


@pytest.mark.parametrize("revision", REVISIONS)
def test_what_is_stored_survives_going_back_and_forth(store: Store, revision: str) -> None:
    with store.session() as session:
        changes.create_domain(session, "example.org", actor=ADMIN)
        changes.create_user(session, "ann@example.org", password_hash="$hash$", actor=ADMIN)
        changes.create_alias(session, "team@example.org", destination="ann@example.org", actor=ADMIN)
        changes.create_token(session, "ann@example.org", password_hash="$t$", actor=ADMIN, ip="192.0.2.1")
    store.downgrade(revision)
    store.upgrade()
    with store.engine.connect() as connection:
        user = connection.dialect.identifier_preparer.quote("user")
        assert connection.execute(text(f"SELECT email, password, home FROM {user}")).all() == [
            ("ann@example.org", "$hash$", "ann@example.org")
        ]
        assert connection.scalar(text("SELECT destination FROM alias")) == "ann@example.org"
        assert connection.scalar(text("SELECT ip FROM token")) == "192.0.2.1/32"


def test_a_revision_that_does_not_exist_cannot_be_gone_back_to(store: Store) -> None:
    with pytest.raises(SchemaError, match="nonsense"):
        store.downgrade("nonsense")
    assert store.revision() == REVISIONS[-1]


def test_a_database_that_a_newer_program_changed_is_left_alone(store: Store) -> None:
    with store.engine.begin() as connection:
        connection.execute(text(f"UPDATE {schema.VERSION_TABLE} SET version_num = '9999'"))
    with pytest.raises(NewerSchema, match="9999"):
        store.upgrade()
    with store.engine.begin() as connection:
        connection.execute(text(f"UPDATE {schema.VERSION_TABLE} SET version_num = '{REVISIONS[-1]}'"))


def test_the_database_of_an_earlier_mailu_is_left_alone(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path}/main.db")
    with store.engine.begin() as connection:
        connection.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32))"))
        connection.execute(text("CREATE TABLE domain (name VARCHAR(80))"))
    with pytest.raises(ForeignSchema):
        store.upgrade()
    assert tables(store) == {"alembic_version", "domain"}
    store.close()


def test_two_programs_may_upgrade_at_once(tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    uri = f"sqlite:///{tmp_path}/main.db"
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: open_store(uri).upgrade(), range(4)))
    store = open_store(uri)
    assert store.revision() == REVISIONS[-1]
    store.close()


def test_a_database_without_a_write_ahead_log_may_be_in_use_when_it_is_opened(tmp_path: Path) -> None:
    """As after putting back a backup: SQLite itself would fail at once, and every service opens it at the same time."""
    from concurrent.futures import ThreadPoolExecutor

    path = tmp_path / "main.db"
    store = open_store(f"sqlite:///{path}")
    with (
        closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other,
        ThreadPoolExecutor(1) as pool,
    ):
        other.execute("CREATE TABLE held (x)")
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(sqlite3.OperationalError, match="locked"), closing(sqlite3.connect(path)) as plain:
            plain.execute("PRAGMA journal_mode=WAL")
        upgrading = pool.submit(store.upgrade)
        with pytest.raises(TimeoutError):
            upgrading.result(0.2)
        other.execute("COMMIT")
        upgrading.result(60)
    assert store.revision() == REVISIONS[-1]
    store.close()


def test_a_database_that_is_up_to_date_is_opened_while_somebody_writes(store: Store) -> None:
    with store.session():
        store.upgrade()


def test_a_downgraded_database_says_that_it_has_no_tables(store: Store) -> None:
    store.downgrade("base")
    with pytest.raises(NoSchema):
        store.data_version()
    store.upgrade()
