"""What can be named with --from, and that reading it leaves no trace."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import select
from tests.unit.migrate import sources
from tests.unit.migrate.conftest import Place, outcomes, refusals

from mailu.auth import passwords
from mailu.directory.models import Alias, Fetch, Token, User
from mailu.migrate.database import CannotRead, read_database
from mailu.migrate.source import NotASource, find_source


def test_a_root_names_its_own_database(tmp_path: Path) -> None:
    root = sources.unpack("master", tmp_path)
    assert find_source(str(root)).database_uri == f"sqlite:///{root}/data/main.db"


@pytest.mark.parametrize(
    ("line", "uri"),
    [
        ("SQLALCHEMY_DATABASE_URI=sqlite:////data/other.db", "sqlite:///{root}/data/other.db"),
        ("SQLALCHEMY_DATABASE_URI=sqlite:////srv/x.db", "sqlite:////srv/x.db"),
        ("SQLALCHEMY_DATABASE_URI=postgresql://a:b@db/mailu", "postgresql://a:b@db/mailu"),
        ("DB_FLAVOR=sqlite", "sqlite:///{root}/data/main.db"),
        ("DB_FLAVOR=mysql\nDB_PW=p w\nDB_HOST=db", "mysql://mailu:p%20w@db/mailu"),
        ("DB_FLAVOR=postgresql\nDB_PW=x\nDB_APPENDIX=?sslmode=require", "postgresql://mailu:x@database/mailu?sslmode=require"),
    ],
)  # fmt: skip
def test_settings_say_where_the_database_is(tmp_path: Path, line: str, uri: str) -> None:
    (tmp_path / "mailu.env").write_text(f"DOMAIN=example.org\n{line}\n")
    assert find_source(str(tmp_path)).database_uri == uri.format(root=tmp_path)


def test_what_was_told_beats_what_is_found(tmp_path: Path) -> None:
    root = sources.unpack("master", tmp_path)
    (tmp_path / "other.env").write_text("DOMAIN=example.net\n")
    source = find_source(str(root), env_file=tmp_path / "other.env", database_uri="postgresql://h/d")
    assert source.database_uri == "postgresql://h/d"
    assert source.env is not None
    assert source.env.values == {"DOMAIN": "example.net"}


def test_a_password_is_never_part_of_a_name() -> None:
    assert find_source("mysql://u:secret@h/d?password=secret").name == "mysql://u@h/d"


@pytest.mark.parametrize("make", ["nothing", "empty folder", "settings"])
def test_what_is_no_source_is_told_with_what_was_expected(tmp_path: Path, make: str) -> None:
    given = tmp_path / "x.env"
    if make == "empty folder":
        given.mkdir()
    elif make == "settings":
        given.write_text("DOMAIN=example.org\n")
    with pytest.raises(NotASource, match=r"expected|neither|settings only"):
        find_source(str(given))


def test_an_sqlite_file_alone_brings_people(tmp_path: Path, place: Place) -> None:
    root = sources.unpack("master", tmp_path)
    report = place.run(root / "data" / "main.db", settings=root / "mailu.env")
    assert outcomes(report, "user") == ["copied"]


def test_without_any_settings_nothing_is_begun(tmp_path: Path, place: Place) -> None:
    root = sources.unpack("master", tmp_path)
    assert "has no settings" in "\n".join(refusals(place.run(root / "data" / "main.db")))
    assert not place.root.exists()


@pytest.mark.parametrize("kind", sources.KINDS)
def test_an_export_with_secrets_brings_everybody(tmp_path: Path, place: Place, kind: str) -> None:
    root = sources.unpack(kind, tmp_path)
    report = place.run(root / "export-secrets.yml", settings=root / "mailu.env")
    assert not refusals(report)
    store = place.store()
    with store.read() as session:
        assert passwords.verify(b"Fixture-anna", session.get_one(User, "anna@example.org").password)
        assert len(session.scalars(select(Token)).all()) == 2
        assert session.scalars(select(Fetch.password)).one() == "p w:#'\"\\ü"
        if kind == "master":
            assert session.get_one(Alias, "shop.banana@example.org").owner_email == "anna@example.org"
    store.close()
    assert (place.root / "dkim/example.org.dkim.key").exists()
    assert not place.run(root / "export-secrets.yml", settings=root / "mailu.env").pending


def test_an_export_without_secrets_is_refused_where_they_are_missing(tmp_path: Path, place: Place) -> None:
    root = sources.unpack("master", tmp_path)
    said = "\n".join(refusals(place.run(root / "export.yml", settings=root / "mailu.env")))
    assert "anna@example.org" in said
    assert "hidden" in said
    assert not place.root.exists()


def test_an_export_that_is_none_is_refused_with_its_line(tmp_path: Path, place: Place) -> None:
    root = sources.unpack("master", tmp_path)
    (tmp_path / "broken.yml").write_text("domain:\n  - name: [\n")
    assert "line 3" in "\n".join(refusals(place.run(tmp_path / "broken.yml", settings=root / "mailu.env")))


# Without a trace


def open_in_wal_mode(file: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(file)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA wal_autocheckpoint=0")
    return connection


def test_a_write_ahead_log_is_read_and_left(tmp_path: Path) -> None:
    root = sources.unpack("master", tmp_path)
    running = open_in_wal_mode(root / "data/main.db")
    running.execute("UPDATE user SET displayed_name = 'In the log' WHERE email = 'anna@example.org'")
    running.commit()
    before = sources.fingerprint(root)
    rows = read_database(f"sqlite:///{root}/data/main.db").of("user")
    assert {row["displayed_name"] for row in rows if row["email"] == "anna@example.org"} == {"In the log"}
    assert sources.fingerprint(root) == before
    running.close()


def test_a_database_that_is_being_written_is_read_as_it_was_committed(tmp_path: Path) -> None:
    root = sources.unpack("master", tmp_path)
    running = sqlite3.connect(root / "data/main.db")
    running.execute("UPDATE user SET displayed_name = 'not committed' WHERE email = 'anna@example.org'")
    rows = read_database(f"sqlite:///{root}/data/main.db").of("user")
    assert {row["displayed_name"] for row in rows if row["email"] == "anna@example.org"} == {"Anna Müller"}
    running.rollback()
    running.close()


def test_one_of_our_own_databases_is_not_an_earlier_one(place: Place) -> None:
    (place.root / "data").mkdir(parents=True)
    store = place.store()
    store.upgrade()
    store.close()
    with pytest.raises(CannotRead, match="of this Mailu already"):
        read_database(f"sqlite:///{place.root}/data/main.db")


def test_columns_of_long_ago_may_be_missing(tmp_path: Path, place: Place) -> None:
    root = sources.unpack("2024.06", tmp_path)
    with sources.database(root) as connection:
        for column in ("spam_mark_as_read", "allow_spoofing", "change_pw_next_login", "reply_startdate"):
            connection.execute(f"ALTER TABLE user DROP COLUMN {column}")
        connection.execute("ALTER TABLE fetch DROP COLUMN folders")
        connection.execute("DROP TABLE config")
        connection.execute("UPDATE alembic_version SET version_num = 'fc099bd15cbe'")
    assert not refusals(place.run(root))
    store = place.store()
    with store.read() as session:
        anna = session.get_one(User, "anna@example.org")
        assert (anna.spam_mark_as_read, anna.allow_spoofing) == (True, False)
        assert session.scalars(select(Fetch.folders)).one() == ()
    store.close()


def test_a_database_without_its_columns_is_refused(tmp_path: Path) -> None:
    root = sources.unpack("2024.06", tmp_path)
    sources.change(root, "ALTER TABLE alias RENAME COLUMN destination TO destinations")
    with pytest.raises(CannotRead, match="has no column destination"):
        read_database(f"sqlite:///{root}/data/main.db")
