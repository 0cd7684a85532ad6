"""PostgreSQL and MariaDB as sources, filled with what the SQLite files of the roots hold."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import select
from tests.databases import servers
from tests.unit.migrate import sources
from tests.unit.migrate.conftest import Place, named, outcomes, refusals

from mailu.auth import passwords
from mailu.directory.engines import make_engine
from mailu.directory.models import Alias, Token, User
from mailu.directory.uris import parse_database_uri
from mailu.migrate.database import read_database

pytestmark = pytest.mark.databases


@pytest.fixture(scope="module")
def running() -> Iterator[dict[str, str]]:
    """Addresses of the servers that this machine can run."""
    with ExitStack() as stack:
        yield {
            kind: stack.enter_context(start()).database()
            for kind, start in servers.KINDS.items()
            if servers.installed(kind)
        }


@pytest.fixture(params=servers.KINDS)
def uri(request: pytest.FixtureRequest, running: dict[str, str]) -> str:
    if request.param not in running:
        pytest.skip(f"{request.param} is not installed")
    return running[request.param]


def fill(uri: str, file: Path) -> None:
    """Make the tables of the SQLite database *file* at *uri*, and put its rows into them."""
    original = sa.create_engine(f"sqlite:///{file}")
    engine = make_engine(parse_database_uri(uri))
    try:
        metadata, old = sa.MetaData(), sa.MetaData()
        old.reflect(engine)
        old.drop_all(engine)
        metadata.reflect(original)
        for table in metadata.tables.values():
            table.kwargs["mysql_charset"] = "utf8mb4"
            for column in table.columns:
                column.server_default = None
                column.type = column.type.as_generic()
        metadata.create_all(engine)
        with original.connect() as reading, engine.begin() as writing:
            for table in metadata.sorted_tables:
                if rows := [dict(row._mapping) for row in reading.execute(select(table))]:
                    writing.execute(sa.insert(table), rows)
    finally:
        original.dispose()
        engine.dispose()


def everything(uri: str) -> dict[str, list[dict[str, Any]]]:
    return read_database(uri).rows


@pytest.mark.parametrize("kind", sources.KINDS)
def test_a_database_server_is_taken_over_and_not_changed(uri: str, kind: str, tmp_path: Path, place: Place) -> None:
    root = sources.unpack(kind, tmp_path)
    fill(uri, root / "data" / "main.db")
    (root / "data" / "main.db").unlink()
    before = everything(uri)
    report = place.run(root, database=uri)
    assert not refusals(report)
    assert everything(uri) == before
    store = place.store()
    with store.read() as session:
        anna = session.get_one(User, "anna@example.org")
        assert anna.displayed_name == "Anna Müller"
        assert passwords.verify(b"Fixture-anna", anna.password)
        assert session.get_one(User, "carl@zweite-example.org").enabled is False
        assert len(session.scalars(select(Token)).all()) == 2
        assert session.get_one(Alias, "team@example.org").destination[0] == "anna@example.org"
    store.close()
    assert (place.root / "mail/anna@example.org/dovecot-uidlist").exists()
    assert not place.run(root, database=uri).pending


def test_all_three_give_the_same(uri: str, tmp_path: Path) -> None:
    root = sources.unpack("master", tmp_path)
    fill(uri, root / "data" / "main.db")
    new, other = Place(tmp_path / "a"), Place(tmp_path / "b")
    new.run(root)
    other.run(root, database=uri)
    with sqlite3.connect(new.root / "data/main.db") as one, sqlite3.connect(other.root / "data/main.db") as two:
        for table in ("domain", "alternative", "relay", "user", "alias", "token", "fetch", "manager"):
            query = f"SELECT * FROM {table} ORDER BY 1"
            assert one.execute(query).fetchall() == two.execute(query).fetchall(), table
    one.close()
    two.close()


def test_the_address_of_a_database_alone_brings_people_and_no_mail(uri: str, tmp_path: Path, place: Place) -> None:
    root = sources.unpack("master", tmp_path)
    fill(uri, root / "data" / "main.db")
    report = place.run(uri, settings=root / "mailu.env")
    assert outcomes(report, "user") == ["copied"]
    assert not (place.root / "mail").exists()


def test_clashes_and_newer_schemas_are_refused_here_too(uri: str, tmp_path: Path, place: Place) -> None:
    root = sources.unpack("2024.06", tmp_path)
    sources.add_user(root, "Team@example.org")
    fill(uri, root / "data" / "main.db")
    report = place.run(root, database=uri, dry=True)
    assert any("Team@example.org" in item.name + item.text for item in report.refused)
    sources.change(root, "UPDATE alembic_version SET version_num = 'eeeeeeeeeeee'")
    fill(uri, root / "data" / "main.db")
    assert "eeeeeeeeeeee" in named(place.run(root, database=uri), "database")[0].text
    assert not place.root.exists()


def test_a_server_that_does_not_answer_is_told_with_the_way_out(tmp_path: Path, place: Place) -> None:
    root = sources.unpack("2024.06", tmp_path)
    report = place.run(root, database=f"postgresql://mailu:secret@/mailu?host={tmp_path}")
    said = "\n".join(refusals(report))
    assert "--database" in said
    assert "secret" not in said
