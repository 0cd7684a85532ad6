"""How connections to the three databases are made, so that the rest need not know which one it is.

SQLite: write-ahead log, so that readers never wait; ``synchronous=FULL``, because in WAL mode NORMAL loses the last
commits with the power, and a change that was answered OK must last; transactions begin where SQLAlchemy begins them,
with IMMEDIATE for writers, since a reader that turns writer is refused at once, without waiting (SQLITE_BUSY_SNAPSHOT).
PostgreSQL and MariaDB: one writer at a time too, by a lock on the version row (see ``store``), and no wait without end.
"""

from __future__ import annotations

import sqlite3
import time
from typing import Any

from sqlalchemy import URL, Connection, Engine, NullPool, create_engine, event

WAIT_SECONDS = 10
"""How long a writer waits for another one before it gives up."""
UPGRADE_WAIT_SECONDS = 300
"""How long a change of the schema waits for one that another program makes, which may copy every table."""

_CONNECT_SECONDS = 5
_LOOK_AGAIN_SECONDS = 0.02


def make_engine(url: URL) -> Engine:
    """The engine for daily use. Nothing is connected yet."""
    kind = url.get_backend_name()
    if kind == "sqlite":
        engine = create_engine(url, connect_args={"timeout": WAIT_SECONDS, "check_same_thread": False})
        event.listen(engine, "connect", _sqlite_connected)
        event.listen(engine, "begin", _sqlite_begin)
        return engine
    return create_engine(url, connect_args=_arguments(kind, WAIT_SECONDS), pool_pre_ping=True, pool_recycle=3600)


def make_migration_engine(url: URL) -> Engine:
    """An engine for changes of the schema: one connection, foreign keys of SQLite off.

    SQLite changes a table by copying it, and with foreign keys on, dropping the old one would delete what refers to it.
    """
    kind = url.get_backend_name()
    if kind == "sqlite":
        engine = create_engine(url, connect_args={"timeout": UPGRADE_WAIT_SECONDS}, poolclass=NullPool)
        event.listen(engine, "connect", _sqlite_connected_for_migration)
        event.listen(engine, "begin", _sqlite_begin)
        return engine
    return create_engine(url, connect_args=_arguments(kind, UPGRADE_WAIT_SECONDS), poolclass=NullPool)


def _arguments(kind: str, wait_seconds: int) -> dict[str, Any]:
    if kind == "postgresql":
        return {
            "connect_timeout": _CONNECT_SECONDS,
            "application_name": "mailu",
            "options": f"-c lock_timeout={wait_seconds}s -c timezone=UTC",
        }
    setup = (
        "SET SESSION sql_mode='STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION,ANSI_QUOTES', "
        f"innodb_lock_wait_timeout={wait_seconds}, time_zone='+00:00'"
    )
    return {"connect_timeout": _CONNECT_SECONDS, "init_command": setup}


def _sqlite_connected(connection: Any, _record: object) -> None:
    _set_up_sqlite(connection, WAIT_SECONDS, migrates=False)


def _sqlite_connected_for_migration(connection: Any, _record: object) -> None:
    _set_up_sqlite(connection, UPGRADE_WAIT_SECONDS, migrates=True)


def _set_up_sqlite(connection: Any, wait_seconds: int, *, migrates: bool) -> None:
    connection.isolation_level = None  # the driver begins nothing by itself
    cursor = connection.cursor()
    # Where there is no database yet, or none any more, nothing is written in its place before it gets its tables.
    if migrates or cursor.execute("PRAGMA page_count").fetchone()[0]:
        _write_ahead(cursor, wait_seconds)
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute(f"PRAGMA foreign_keys={'OFF' if migrates else 'ON'}")
    cursor.close()


def _write_ahead(cursor: Any, wait_seconds: int) -> None:
    """Have the database keep a write-ahead log, as it does ever after.

    A new file, or one put back from a backup, has none. To begin with it SQLite locks the file, and where another
    program holds it just then it fails at once, whatever the connection's own time-out.
    """
    end = time.monotonic() + wait_seconds
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                raise
            time.sleep(_LOOK_AGAIN_SECONDS)
        else:
            return


def _sqlite_begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get("mailu_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
