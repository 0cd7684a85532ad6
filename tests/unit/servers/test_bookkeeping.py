"""What happens all the time is written in batches, later if need be, and never lost while the process lives."""

from __future__ import annotations

import asyncio
import logging
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import select
from tests.directory_harness import fill, until

from mailu.auth.accounts import LoginRecord, Upgrade
from mailu.directory.models import Audit, Token, User
from mailu.directory.store import Store, open_store
from mailu.servers.bookkeeping import Batch, Bookkeeping
from mailu.servers.writing import write_batch

OLD_HASH = "$5$rounds=1000$abcdefghijklmnop$ulYSfGUy5xHO87IcFg38rdtwzhR3oBXvTEAKnVNRYa3"
NEW_HASH = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$eNLNBlJqGVqOXOMzrDKvsQiPIuYJnBaOVy1WZ4wGjQk"


class Writer:
    """Keeps what is written; fails while it is told to."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.failing = False
        self.seconds = 0.0

    def __call__(self, batch: Batch) -> None:
        time.sleep(self.seconds)
        if self.failing:
            raise ConnectionError("gone")
        self.batches.append(batch)


def test_only_the_newest_fact_of_each_mailbox_is_written() -> None:
    writer = Writer()

    async def scenario() -> None:
        bookkeeping = Bookkeeping(writer)
        bookkeeping.usage_changed("ann@example.com", 1)
        bookkeeping.usage_changed("ann@example.com", 2)
        bookkeeping.usage_changed("bob@example.com", 3)
        bookkeeping.logged_in(LoginRecord("ann@example.com", 100.0))
        assert bookkeeping.waiting == 3
        assert await bookkeeping.flush()
        assert await bookkeeping.flush()
        await bookkeeping.close(1)

    asyncio.run(scenario())
    assert [batch.used_bytes for batch in writer.batches] == [{"ann@example.com": 2, "bob@example.com": 3}]
    assert writer.batches[0].last_logins == {"ann@example.com": 100.0}


def test_facts_that_could_not_be_written_are_written_later_under_newer_ones(caplog: pytest.LogCaptureFixture) -> None:
    writer = Writer()
    writer.failing = True

    async def scenario() -> None:
        bookkeeping = Bookkeeping(writer)
        bookkeeping.usage_changed("ann@example.com", 1)
        bookkeeping.usage_changed("bob@example.com", 1)
        assert not await bookkeeping.flush()
        bookkeeping.usage_changed("ann@example.com", 2)
        assert not await bookkeeping.flush()
        writer.failing = False
        assert await bookkeeping.flush()
        await bookkeeping.close(1)

    asyncio.run(scenario())
    assert [batch.used_bytes for batch in writer.batches] == [{"ann@example.com": 2, "bob@example.com": 1}]
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


def test_the_interval_writes_by_itself_and_closing_writes_the_rest() -> None:
    writer = Writer()

    async def scenario() -> None:
        bookkeeping = Bookkeeping(writer, interval_seconds=0.01)
        task = asyncio.create_task(bookkeeping.run())
        bookkeeping.usage_changed("ann@example.com", 1)
        await until(lambda: bool(writer.batches))
        task.cancel()
        await asyncio.wait([task])
        bookkeeping.usage_changed("ann@example.com", 2)
        await bookkeeping.close(1)

    asyncio.run(scenario())
    assert [batch.used_bytes["ann@example.com"] for batch in writer.batches] == [1, 2]


def test_closing_does_not_wait_for_a_dead_database(caplog: pytest.LogCaptureFixture) -> None:
    writer = Writer()
    writer.seconds = 0.5

    async def scenario() -> float:
        bookkeeping = Bookkeeping(writer)
        bookkeeping.usage_changed("ann@example.com", 1)
        started = time.perf_counter()
        await bookkeeping.close(0.05)
        return time.perf_counter() - started

    assert asyncio.run(scenario()) < 3
    assert "were not stored in time" in caplog.text


@pytest.fixture
def store(tmp_path: Path) -> Store:
    opened = open_store(f"sqlite:///{tmp_path}/main.db")
    opened.upgrade()
    fill(opened)
    with opened.session() as session:
        session.add(Token(user_email="ann@example.com", password=OLD_HASH))
    return opened


def test_a_batch_is_stored_and_makes_nobody_load_the_directory_again(store: Store) -> None:
    before = store.data_version()
    write_batch(
        store, Batch({"ann@example.com": 77, "nobody@example.com": 1}, {"ann@example.com": 1_800_000_000.0}, {})
    )
    with store.read() as session:
        ann = session.scalars(select(User).where(User.email == "ann@example.com")).one()
        assert ann.quota_bytes_used == 77
        assert ann.last_login == datetime.fromtimestamp(1_800_000_000, UTC)
        assert ann.updated_at is None
    assert store.data_version() == before
    store.close()


def test_a_better_hash_replaces_only_the_one_it_was_made_from(store: Store) -> None:
    with store.read() as session:
        token_id = session.scalars(select(Token.id)).one()
    right = LoginRecord("ann@example.com", 1.0, Upgrade(None, stored="-", replacement=NEW_HASH))
    late = LoginRecord("bob@example.com", 1.0, Upgrade(None, stored="another", replacement=NEW_HASH))
    of_token = LoginRecord("ann@example.com", 1.0, Upgrade(token_id, stored=OLD_HASH, replacement=NEW_HASH))
    before = store.data_version()
    write_batch(
        store,
        Batch({}, {}, {(each.email, each.upgrade.token_id): each for each in (right, late, of_token) if each.upgrade}),
    )
    with store.read() as session:
        hashes = {user.email: user.password for user in session.scalars(select(User))}
        assert hashes["ann@example.com"] == NEW_HASH
        assert hashes["bob@example.com"] == "-"
        assert session.scalars(select(Token.password)).one() == NEW_HASH
        assert {row.action for row in session.scalars(select(Audit))} == {"user.rehash", "token.rehash"}
    assert store.data_version() > before
    store.close()
