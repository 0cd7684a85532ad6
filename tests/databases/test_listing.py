"""The tests of the same name, on PostgreSQL and MariaDB."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy.orm import Session
from tests.unit.directory.test_listing import *  # noqa: F403
from tests.unit.directory.test_listing import fill

from mailu.directory.store import Store

pytestmark = [pytest.mark.databases]

# The one is SQLite's, the other reads its plan.
del session, test_the_database_walks_an_index_and_sorts_nothing  # noqa: F821


@pytest.fixture(name="session")
def on_a_server(store: Store) -> Iterator[Session]:
    with store.session() as writer:
        fill(writer)
    with store.read() as reader:
        yield reader
