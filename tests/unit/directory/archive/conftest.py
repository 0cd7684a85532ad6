"""A root of its own for each test, with the configuration of one installation."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mailu.auth.passwords import hash_password
from mailu.configuration import Configuration
from mailu.directory import changes
from mailu.directory.archive import ArchiveError, ExportOptions, Plan, document_of, read_document
from mailu.directory.changes import SYSTEM, Actor
from mailu.directory.store import open_store
from mailu.settings import load_settings

ME = Actor("operator", "test")
HASH = hash_password("the password")
OTHER_HASH = hash_password("another password")
EVERYTHING = ExportOptions(full=True, secrets=True)

Import = Callable[..., Plan]


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with tables and nothing in them, made once."""
    file = tmp_path_factory.mktemp("archive") / "main.db"
    store = open_store(f"sqlite:///{file}")
    store.upgrade()
    store.close()
    return file


NewDatabase = Callable[[Path], dict[str, str]]


@pytest.fixture
def new_database(empty_database: Path) -> NewDatabase:
    """Puts an empty database below a root; gives the settings that name it, if any are needed."""

    def new(root: Path) -> dict[str, str]:
        shutil.copy(empty_database, root / "data" / "main.db")
        return {}

    return new


@pytest.fixture
def make(tmp_path: Path, new_database: NewDatabase) -> Iterator[Callable[[], Configuration]]:
    """Makes installations with nothing in them."""
    made: list[Configuration] = []

    def new() -> Configuration:
        root = tmp_path / f"r{len(made)}"
        for folder in ("data", "dkim"):
            (root / folder).mkdir(parents=True)
        environ = {
            **new_database(root),
            "ROOT": str(root),
            "SECRET_KEY": "0123456789ABCDEF",
            "DOMAIN": "a.test",
            "HOSTNAMES": "mail.a.test",
        }
        settings = load_settings(None, environ)
        made.append(Configuration(settings, open_store(settings.database_uri)))
        return made[-1]

    yield new
    for configuration in made:
        configuration.store.close()


@pytest.fixture
def empty(make: Callable[[], Configuration]) -> Configuration:
    """An installation with nothing in it."""
    return make()


@pytest.fixture
def filled(make: Callable[[], Configuration]) -> Configuration:
    """An installation with people in it."""
    configuration = make()
    with configuration.store.session() as session:
        for name in ("a.test", "b.test"):
            changes.create_domain(session, name, actor=SYSTEM)
        changes.update_domain(
            session, "b.test", relayhost="smtp.a.test:587", relayuser="us", relaypassword="s h", actor=SYSTEM
        )
        changes.create_alternative(session, "alt.test", "a.test", actor=SYSTEM)
        for email in ("ann@a.test", "bob@a.test", "carl@b.test"):
            changes.create_user(session, email, password_hash=HASH, actor=SYSTEM)
        changes.add_manager(session, "b.test", "ann@a.test", actor=SYSTEM)
        changes.grant_access(session, "b.test", "bob@a.test", actor=SYSTEM, comment="for shops")
        changes.create_token(session, "ann@a.test", password_hash="$pbkdf2-sha256$1$x", comment="phone", actor=SYSTEM)
        changes.create_fetch(
            session,
            "ann@a.test",
            protocol="imap",
            host="old.test",
            port=993,
            username="ann",
            password="p w",
            actor=SYSTEM,
        )
        changes.create_alias(session, "team@a.test", destination=["ann@a.test", "bob@a.test"], actor=SYSTEM)
        changes.create_alias(session, "shop@b.test", destination="ann@a.test", owner="ann@a.test", actor=SYSTEM)
        changes.create_relay(session, "relayed.test", smtp="mx.relayed.test", actor=SYSTEM)
    return configuration


@pytest.fixture
def replace(filled: Configuration) -> Import:
    """Import text or a mapping into ``filled``, replacing everything."""
    return lambda given: _import(filled, given, update=False)


@pytest.fixture
def update(filled: Configuration) -> Import:
    """Update ``filled`` with a text or a mapping."""
    return lambda given: _import(filled, given, update=True)


def _import(configuration: Configuration, given: object, *, update: bool) -> Plan:
    document = read_document(given) if isinstance(given, str | bytes) else document_of(given)  # type: ignore[arg-type]
    return configuration.apply(document, actor=ME, update=update)


def exported(configuration: Configuration, **options: object) -> str:
    """The export as text."""
    return "".join(configuration.export(ExportOptions(**options) if options else EVERYTHING))  # type: ignore[arg-type]


def refused(run: Import, given: object) -> list[str]:
    """What is said to be wrong with a document."""
    with pytest.raises(ArchiveError) as caught:
        run(given)
    return [str(problem) for problem in caught.value.problems]
