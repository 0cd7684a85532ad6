"""Reading the database of an earlier Mailu: all rows at one state, without a trace left in it.

An SQLite file is read through its own backup function into memory. One in WAL mode, or with a journal that waits to be
rolled back, would be changed by merely being opened, so that one is copied first.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Engine, StaticPool, create_engine, inspect
from sqlalchemy.exc import SQLAlchemyError

from mailu.directory.engines import make_engine
from mailu.directory.schema import VERSION_TABLE
from mailu.directory.uris import parse_database_uri
from mailu.migrate import revisions

TABLES = (
    "domain", "alternative", "relay", "user", "alias", "token", "fetch", "manager", "domain_access", "config",
)  # fmt: skip
_NEEDED = {"domain": {"name"}, "user": {"email", "password", "domain_name"}, "alias": {"email", "destination"}}
_PASSED_OVER = frozenset({"alembic_version", "imap_index", "mail_address", "sqlite_sequence"})
"""Tables that hold nothing of their own."""
_WAL = 2
_MOST_SHOWN = 5

Row = dict[str, Any]


class CannotRead(Exception):
    """The database cannot be taken over; the text says why and what to do."""


@dataclass(slots=True)
class Tables:
    """All rows, by table. A table or column that the source does not have yet is absent."""

    revision: str
    rows: dict[str, list[Row]] = field(default_factory=dict)
    other_tables: list[str] = field(default_factory=list)
    """Tables with rows in them that nothing is known of."""

    def of(self, name: str) -> list[Row]:
        """The rows of one table."""
        return self.rows.get(name, [])


def read_database(uri: str) -> Tables:
    """Read everything. Raises CannotRead, and BadDatabaseUri for an address that is none."""
    url = parse_database_uri(uri)
    try:
        if url.get_backend_name() == "sqlite":
            with _sqlite_in_memory(Path(url.database or "")) as engine, engine.connect() as connection:
                return _read(connection)
        with _read_only(make_engine(url)) as connection:
            return _read(connection)
    except (SQLAlchemyError, sqlite3.Error) as error:
        words = str(getattr(error, "orig", None) or error).strip().splitlines()
        said = words[0] if words else type(error).__name__
        hint = "" if url.get_backend_name() == "sqlite" else "; say with --database how it is reached from here"
        raise CannotRead(f"the database cannot be read: {said}{hint}") from None


@contextmanager
def _read_only(engine: Engine) -> Iterator[Connection]:
    """One state of a PostgreSQL or MariaDB database, in a transaction that the server lets write nothing."""
    try:
        with engine.connect() as connection:
            if engine.dialect.name == "postgresql":
                connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            else:
                connection.exec_driver_sql("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
            yield connection
            connection.rollback()
    finally:
        engine.dispose()


@contextmanager
def _sqlite_in_memory(file: Path) -> Iterator[Engine]:
    """A copy of *file* in memory. Raises CannotRead where it is not there or damaged."""
    if not file.is_file():
        raise CannotRead(f"{file} is not there")
    memory = sqlite3.connect(":memory:", check_same_thread=False)
    try:
        with _quiet_copy(file) as readable:
            original = sqlite3.connect(f"{readable.as_uri()}?mode=ro", uri=True)
            try:
                original.backup(memory)
            except sqlite3.DatabaseError as error:
                raise CannotRead(_damaged(file, str(error))) from None
            finally:
                original.close()
        _require_sound(memory, file)
        memory.isolation_level = None
        engine = create_engine("sqlite://", creator=lambda: memory, poolclass=StaticPool)
        yield engine
        engine.dispose()
    finally:
        memory.close()


@contextmanager
def _quiet_copy(file: Path) -> Iterator[Path]:
    """*file*, or a copy of it and its journals where opening it would write."""
    beside = [Path(f"{file}{end}") for end in ("-wal", "-journal")]
    waiting = [path for path in beside if path.exists() and path.stat().st_size]
    if not waiting and not _is_wal(file):
        yield file
        return
    with tempfile.TemporaryDirectory(prefix="mailu-migrate-") as folder:
        copy = Path(folder, file.name)
        for path in (file, *waiting):
            shutil.copyfile(path, copy.with_name(path.name))
        settled = sqlite3.connect(copy)
        try:
            settled.execute("PRAGMA journal_mode=DELETE").fetchall()
        except sqlite3.DatabaseError as error:
            raise CannotRead(_damaged(file, str(error))) from None
        finally:
            settled.close()
        yield copy


def _is_wal(file: Path) -> bool:
    with file.open("rb") as stream:
        header = stream.read(20)
    return len(header) == 20 and _WAL in header[18:20]


def _require_sound(connection: sqlite3.Connection, file: Path) -> None:
    try:
        said = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(20)")]
    except sqlite3.DatabaseError as error:
        raise CannotRead(_damaged(file, str(error))) from None
    if said != ["ok"]:
        lines = [line.strip() for text in said for line in text.splitlines() if line.strip()]
        raise CannotRead(_damaged(file, "; ".join(lines[:_MOST_SHOWN])))


def _damaged(file: Path, reason: str) -> str:
    return (
        f"{file} is damaged: {reason}. Repair it at the source (sqlite3 {file.name} .recover) or go back to a backup; "
        "half a database is not taken over"
    )


def _read(connection: Connection) -> Tables:
    inspector = inspect(connection)
    names = set(inspector.get_table_names())
    if VERSION_TABLE in names:
        raise CannotRead("this is a database of this Mailu already, not of an earlier one; use config-export instead")
    if "alembic_version" not in names or "user" not in names:
        raise CannotRead("this is not the database of a Mailu: the tables alembic_version and user are not there")
    tables = Tables(_revision(connection))
    for name in TABLES:
        if name not in names:
            continue
        columns = [column["name"] for column in inspector.get_columns(name)]
        if missing := _NEEDED.get(name, set()) - set(columns):
            raise CannotRead(f"the table {name} has no column {', '.join(sorted(missing))}; start its Mailu once first")
        query: Any = sa.select(*(sa.column(column) for column in columns)).select_from(sa.table(name))
        tables.rows[name] = [dict(row._mapping) for row in connection.execute(query)]
    for name in sorted(names - set(TABLES) - _PASSED_OVER):
        if connection.execute(sa.select(sa.literal(1)).select_from(sa.table(name)).limit(1)).first():
            tables.other_tables.append(name)
    return tables


def _revision(connection: Connection) -> str:
    query: sa.Select[Any] = sa.select(sa.column("version_num")).select_from(sa.table("alembic_version"))
    found = [str(row[0]) for row in connection.execute(query)]
    if len(found) != 1:
        raise CannotRead("the database does not say which schema it has (alembic_version); start its Mailu once first")
    if found[0] not in revisions.KNOWN:
        raise CannotRead(
            f"the database has schema revision {found[0]}, which this program does not know: it is newer, or of a "
            "modified Mailu. Nothing is taken over, because what the new columns mean could get lost; update this "
            "program first"
        )
    return found[0]
