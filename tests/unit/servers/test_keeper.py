"""The snapshot follows the database, and stays when the database goes."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
import time
from collections.abc import Awaitable, Callable

import pytest
from tests.directory_harness import until

from mailu.directory.snapshot import Snapshot
from mailu.servers.keeper import NotReady, SnapshotKeeper


class Database:
    """A database that can change, be slow, and be gone."""

    def __init__(self) -> None:
        self.number = 1
        self.gone = False
        self.load_seconds = 0.0
        self.loads = 0
        self.threads: set[str] = set()

    def version(self) -> int:
        self.threads.add(threading.current_thread().name)
        if self.gone:
            raise ConnectionError("nobody\nis at home")
        return self.number

    def load(self) -> Snapshot:
        self.loads += 1
        number = self.version()
        time.sleep(self.load_seconds)
        return Snapshot(version=number)


def follow(database: Database, scenario: Callable[[SnapshotKeeper], Awaitable[None]]) -> None:
    async def run() -> None:
        keeper = SnapshotKeeper(version=database.version, load=database.load, poll_seconds=0.01, retry_seconds=0.01)
        task = asyncio.create_task(keeper.run())
        try:
            await scenario(keeper)
        finally:
            task.cancel()
            await asyncio.wait([task])

    asyncio.run(run())


def test_nothing_is_known_before_the_first_snapshot() -> None:
    async def scenario(keeper: SnapshotKeeper) -> None:
        assert not keeper.ready
        with pytest.raises(NotReady):
            _ = keeper.snapshot
        await until(lambda: keeper.ready)
        assert keeper.snapshot.version == 1

    follow(Database(), scenario)


def test_a_change_is_swapped_in_and_told_and_nothing_is_loaded_without_one() -> None:
    database, told = Database(), list[int]()

    async def scenario(keeper: SnapshotKeeper) -> None:
        keeper.changed.append(lambda snapshot: told.append(snapshot.version))
        await until(lambda: keeper.ready)
        await asyncio.sleep(0.05)
        assert database.loads == 1
        database.number = 2
        await until(lambda: keeper.snapshot.version == 2)

    follow(database, scenario)
    assert told == [1, 2]
    assert database.loads == 2


def test_the_last_snapshot_answers_on_when_the_database_is_gone_and_that_is_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    database = Database()
    caplog.set_level(logging.INFO)

    async def scenario(keeper: SnapshotKeeper) -> None:
        await until(lambda: keeper.ready)
        assert keeper.database_answers
        database.gone = True
        await until(lambda: not keeper.database_answers)
        await asyncio.sleep(0.1)
        assert keeper.snapshot.version == 1
        database.number, database.gone = 2, False
        await until(lambda: keeper.snapshot.version == 2)
        assert keeper.database_answers

    follow(database, scenario)
    errors = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    assert errors == ["the database does not answer (nobody is at home); answering from what was read last"]


def test_starting_without_a_database_waits_for_it(caplog: pytest.LogCaptureFixture) -> None:
    database = Database()
    database.gone = True

    async def scenario(keeper: SnapshotKeeper) -> None:
        await asyncio.sleep(0.1)
        assert not keeper.ready
        database.gone = False
        await until(lambda: keeper.ready)

    follow(database, scenario)
    errors = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    assert errors == ["the database does not answer (nobody is at home); every answer is 'try later'"]


def test_a_load_that_fails_is_tried_again() -> None:
    database = Database()
    failures = iter([True, True, False])

    async def scenario(keeper: SnapshotKeeper) -> None:
        await until(lambda: keeper.ready)

    def load() -> Snapshot:
        if next(failures):
            raise ValueError("half a row")
        return Snapshot(version=1)

    database.load = load  # type: ignore[method-assign]
    follow(database, scenario)
    assert gc.isenabled()


def test_a_slow_database_does_not_hold_up_the_loop() -> None:
    database = Database()
    database.load_seconds = 2

    async def scenario(keeper: SnapshotKeeper) -> None:
        longest, last = 0.0, time.perf_counter()
        while not keeper.ready:
            await asyncio.sleep(0.001)
            now = time.perf_counter()
            longest, last = max(longest, now - last), now
        assert longest < 1

    follow(database, scenario)
    assert threading.main_thread().name not in database.threads
    assert len(database.threads) == 1
