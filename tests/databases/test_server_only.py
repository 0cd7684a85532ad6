"""What only a database server does: lost connections, waiting, upgrades by several programs."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from mailu.directory import changes, schema
from mailu.directory.changes import Actor
from mailu.directory.models import Domain
from mailu.directory.schema import ForeignSchema
from mailu.directory.store import Store

pytestmark = [pytest.mark.databases]

CLI = Actor("root", "cli")


def test_several_programs_may_upgrade_an_empty_database_at_once(store: Store) -> None:
    store.downgrade("base")
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: schema.upgrade(store.url), range(4)))
    assert store.revision() == schema.revisions()[-1]


def test_the_database_of_an_earlier_mailu_on_a_server_is_left_alone(store: Store) -> None:
    store.downgrade("base")
    with store.engine.begin() as connection:
        connection.execute(text(f"DROP TABLE {schema.VERSION_TABLE}"))
        connection.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32))"))
    try:
        with pytest.raises(ForeignSchema):
            store.upgrade()
    finally:
        with store.engine.begin() as connection:
            connection.execute(text("DROP TABLE alembic_version"))
        store.upgrade()


def test_a_connection_that_the_server_closed_is_made_again(store: Store) -> None:
    store.data_version()
    with store.engine.connect() as connection:
        own = connection.connection.dbapi_connection
        number = connection.scalar(
            text("SELECT pg_backend_pid()" if connection.dialect.name == "postgresql" else "SELECT CONNECTION_ID()")
        )
        assert own is not None
    killer = Store(store.url)
    with killer.engine.connect() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text(f"SELECT pg_terminate_backend({number})"))
        else:
            connection.execute(text(f"KILL {number}"))
    killer.close()
    assert store.data_version() >= 1


def test_a_writer_does_not_wait_for_ever(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mailu.directory.engines.WAIT_SECONDS", 1)
    impatient = Store(store.url)
    with store.session() as session:
        session.add(Domain(name="example.org"))
        session.flush()
        with pytest.raises(OperationalError), impatient.session():
            pass
    impatient.close()


def test_bookkeeping_and_changes_of_the_same_people_never_lock_each_other_out(store: Store) -> None:
    people = [f"u{number}@example.org" for number in range(6)]
    with store.session() as session:
        changes.create_domain(session, "example.org", actor=CLI)
        for email in people:
            changes.create_user(session, email, password_hash="h", actor=CLI)

    def keep_books(turn: int) -> None:
        with store.bookkeeping() as session:
            for email in people:
                changes.record_quota(session, email, quota_bytes_used=turn)

    def change(turn: int) -> None:
        with store.session() as session:
            for email in reversed(people):
                changes.update_user(session, email, actor=CLI, comment=str(turn))
                session.flush()

    with ThreadPoolExecutor(4) as pool:
        jobs = [pool.submit(job, turn) for turn in range(10) for job in (keep_books, change)]
    for job in jobs:
        job.result()
