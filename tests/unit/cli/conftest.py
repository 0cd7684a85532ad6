"""Commands run in this process, on a root of their own with an empty database."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from mailu.cli import build_app
from mailu.directory.models import Audit, Domain, User
from mailu.directory.store import Store, open_store

ENV = """\
SECRET_KEY=0123456789abcdef
DOMAIN=example.com
HOSTNAMES=mail.example.com
"""

Run = Callable[..., Result]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root with settings, and a folder for the database."""
    (tmp_path / "data").mkdir()
    (tmp_path / "mailu.env").write_text(ENV)
    return tmp_path


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with tables and nothing in them, made once."""
    file = tmp_path_factory.mktemp("empty") / "main.db"
    store = open_store(f"sqlite:///{file}")
    store.upgrade()
    store.close()
    return file


@pytest.fixture
def store(root: Path, empty_database: Path) -> Iterator[Store]:
    """The database of that root, with tables."""
    shutil.copy(empty_database, root / "data" / "main.db")
    store = open_store(f"sqlite:///{root}/data/main.db")
    yield store
    store.close()


@pytest.fixture
def run(root: Path, store: Store) -> Run:
    """Run one command: ``run("user", "ann", "example.com", "secret")``; *stdin* is what it can read."""
    runner = CliRunner()

    def run_command(*arguments: str, stdin: str = "") -> Result:
        result = runner.invoke(build_app(), ["--root", str(root), *arguments], input=stdin, catch_exceptions=False)
        assert "Traceback" not in result.output
        return result

    return run_command


@pytest.fixture
def user_of(store: Store) -> Callable[[str], User | None]:
    """Look up a user in the database."""

    def find(email: str) -> User | None:
        with store.read() as session:
            found = session.get(User, email)
            session.expunge_all()
            return found

    return find


@pytest.fixture
def domain_of(store: Store) -> Callable[[str], Domain | None]:
    """Look up a domain in the database."""

    def find(name: str) -> Domain | None:
        with store.read() as session:
            found = session.get(Domain, name)
            session.expunge_all()
            return found

    return find


@pytest.fixture
def audit(store: Store) -> Callable[[], list[Audit]]:
    """All audit rows, the oldest first."""

    def rows() -> list[Audit]:
        with store.read() as session:
            found = list(session.query(Audit).order_by(Audit.id))
            session.expunge_all()
            return found

    return rows
