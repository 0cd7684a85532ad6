"""The tests of the directory, on PostgreSQL and MariaDB: each server runs once a session, each test finds it empty."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from sqlalchemy import delete, insert, text
from tests.databases import servers
from tests.databases.servers import DatabaseServer

from mailu.directory.models import Base, Version
from mailu.directory.store import Store, open_store


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A database is made in seconds, on a busy machine in a minute."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.timeout(300))


@pytest.fixture(scope="session")
def running() -> Iterator[dict[str, DatabaseServer]]:
    """The servers that can run on this machine."""
    with ExitStack() as stack:
        yield {kind: stack.enter_context(start()) for kind, start in servers.KINDS.items() if servers.installed(kind)}


@pytest.fixture(params=servers.KINDS)
def server(request: pytest.FixtureRequest, running: dict[str, DatabaseServer]) -> DatabaseServer:
    if request.param not in running:
        pytest.skip(f"{request.param} is not installed")
    return running[request.param]


@pytest.fixture
def store(server: DatabaseServer) -> Iterator[Store]:
    store = _empty_store(server.database())
    yield store
    store.close()


@pytest.fixture
def database(server: DatabaseServer) -> dict[str, str]:
    """For tests that begin with settings: those that name an empty database."""
    _empty_store(server.database()).close()
    return {"SQLALCHEMY_DATABASE_URI": server.database()}


@pytest.fixture
def new_database(server: DatabaseServer) -> Callable[[Path], dict[str, str]]:
    """For tests that make several installations: the settings that name an empty database of each one's own."""
    numbers = itertools.count()

    def new(_root: Path) -> dict[str, str]:
        uri = server.database(f"mailu{next(numbers)}")
        _empty_store(uri).close()
        return {"SQLALCHEMY_DATABASE_URI": uri}

    return new


def _empty_store(uri: str) -> Store:
    store = open_store(uri)
    store.upgrade()
    with store.engine.begin() as connection:
        tables = [*reversed(Base.metadata.sorted_tables)]
        if connection.dialect.name == "postgresql":
            names = ", ".join(f'"{table.name}"' for table in tables)
            connection.execute(text(f"TRUNCATE {names} RESTART IDENTITY"))
        for table in tables:
            connection.execute(delete(table))
            if connection.dialect.name == "mysql" and table.autoincrement_column is not None:
                connection.execute(text(f'ALTER TABLE "{table.name}" AUTO_INCREMENT = 1'))
        connection.execute(insert(Version).values(id=1, changes=1, bookkeeping=1))
    return store
