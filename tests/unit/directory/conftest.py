"""An empty, up-to-date SQLite database for each test; ``tests/databases`` runs the same tests on the other two."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mailu.directory.store import Store, open_store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = open_store(f"sqlite:///{tmp_path}/main.db")
    store.upgrade()
    yield store
    store.close()
