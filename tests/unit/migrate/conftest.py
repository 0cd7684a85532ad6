"""Runs of the take-over, without the command line and without daemons."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.migrate import sources

from mailu.directory.store import Store, open_store
from mailu.migrate.record import load_record
from mailu.migrate.report import Item, Report
from mailu.migrate.source import find_source
from mailu.migrate.takeover import Takeover, Target


class Place:
    """A new root, into which a test takes over."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.env_file = root / "mailu.env"
        self._stores: list[Store] = []

    def run(
        self,
        given: Path | str,
        *,
        dry: bool = False,
        settings: Path | None = None,
        database: str | None = None,
        with_queue: bool = False,
    ) -> Report:
        """One run. Nothing is changed when it is *dry* or something is refused."""
        source = find_source(str(given), env_file=settings, database_uri=database)
        target, record = Target(self.root, self.env_file, {}), load_record(self.root)
        takeover = Takeover(source, target, record, with_queue=with_queue)
        report = takeover.look()
        if not dry and not report.refused:
            takeover.take(lambda _text: None)
        return report

    def store(self) -> Store:
        """The database of the new root."""
        self._stores.append(open_store(f"sqlite:///{self.root}/data/main.db"))
        return self._stores[-1]

    def close(self) -> None:
        """Close what store() opened."""
        for store in self._stores:
            store.close()


def named(report: Report, name: str) -> list[Item]:
    """The items about *name*."""
    return [item for item in report.items if item.name == name]


def outcomes(report: Report, name: str) -> list[str]:
    """What became of *name*."""
    return [item.outcome for item in named(report, name)]


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A folder that everybody may pass, as files get owners of their own; pytest's is for one user only."""
    with tempfile.TemporaryDirectory(prefix="mi-", dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """A new root that is not there yet."""
    made = Place(tmp_path / "new")
    yield made
    made.close()


@pytest.fixture(params=sources.KINDS)
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Either root."""
    return sources.unpack(request.param, tmp_path)


@pytest.fixture
def master(tmp_path: Path) -> Path:
    """The root of the master line."""
    return sources.unpack("master", tmp_path)


def refusals(report: Report) -> list[str]:
    """Name and sentence of everything that is refused."""
    return [f"{item.name}: {item.text}" for item in report.refused]
