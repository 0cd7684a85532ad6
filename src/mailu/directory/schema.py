"""Bringing the tables up to date, and back, with Alembic; the revisions are in ``migrations/versions``.

Alembic is loaded when there is something to change: a process that finds its tables up to date, which is nearly every
one, would keep its 12 MiB for nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import URL, Connection, inspect, text
from sqlalchemy.exc import DBAPIError

from mailu.directory.engines import UPGRADE_WAIT_SECONDS, make_migration_engine

if TYPE_CHECKING:
    from alembic.config import Config

NEWEST = "0012"
"""The revision that this program works with: the last one in ``migrations/versions``."""
VERSION_TABLE = "schema_revision"
"""Not Alembic's usual name, which an earlier Mailu's database uses for revisions of its own."""

_EARLIER_VERSION_TABLE = "alembic_version"
_LOCK_NAME = "mailu_schema"
_LOCK_NUMBER = 0x6D61696C75  # "mailu"


class SchemaError(Exception):
    """The schema cannot be changed; the text says why."""


class ForeignSchema(SchemaError):
    """The database belongs to an earlier Mailu and has to be taken over, not upgraded in place."""


class NewerSchema(SchemaError):
    """A newer program has changed the database."""


def upgrade(url: URL) -> None:
    """Bring the database at *url* to the newest revision. See ``Store.upgrade``."""
    _create_private_file(url)
    if _is_newest(url):
        return
    from alembic import command

    with _exclusively(url) as connection:
        _refuse_others(connection)
        config = _config(connection)
        _refuse_newer(config, revision(connection))
        command.upgrade(config, "head")
        _check_references(connection)


def downgrade(url: URL, target: str) -> None:
    """Take the database at *url* back to revision *target*; "base" drops every table."""
    from alembic import command
    from alembic.util import CommandError

    with _exclusively(url) as connection:
        try:
            command.downgrade(_config(connection), target)
        except CommandError as error:
            raise SchemaError(f"cannot go back to {target!r}: {error}") from None
        _check_references(connection)


def revision(connection: Connection) -> str | None:
    """The revision of the connected database, or None where there is none yet."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    found: str | None = connection.scalar(text(f"SELECT version_num FROM {VERSION_TABLE}"))  # noqa: S608 - a constant
    return found


def revisions() -> list[str]:
    """Every revision there is, the oldest first."""
    from alembic.script import ScriptDirectory

    return [script.revision for script in reversed(list(ScriptDirectory.from_config(_config(None)).walk_revisions()))]


def says_no_table(error: DBAPIError) -> bool:
    """Whether *error* says that a table does not exist, in the words of any of the three databases."""
    words = str(error.orig)
    return "no such table" in words or "UndefinedTable" in repr(error.orig) or "(1146," in repr(error.orig)


def _is_newest(url: URL) -> bool:
    engine = make_migration_engine(url)
    try:
        with engine.connect() as connection:
            return revision(connection) == NEWEST
    finally:
        engine.dispose()


def _config(connection: Connection | None) -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.attributes["connection"] = connection
    config.attributes["version_table"] = VERSION_TABLE
    return config


def _create_private_file(url: URL) -> None:
    """Make the file of a new SQLite database, readable by nobody else: it holds hashes and fetched accounts."""
    if url.get_backend_name() == "sqlite" and url.database:
        os.close(os.open(url.database, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))


@contextmanager
def _exclusively(url: URL) -> Iterator[Connection]:
    """One transaction in which nobody else changes the schema. MariaDB commits after each statement regardless."""
    engine = make_migration_engine(url).execution_options(mailu_writes=True)
    try:
        with engine.connect() as connection:
            connection.begin()
            kind = url.get_backend_name()
            if kind == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": _LOCK_NUMBER})
            elif kind == "mysql":
                _lock_mariadb(connection)
            yield connection
            connection.commit()
    finally:
        engine.dispose()


def _lock_mariadb(connection: Connection) -> None:
    arguments = {"name": _LOCK_NAME, "seconds": UPGRADE_WAIT_SECONDS}
    if connection.scalar(text("SELECT GET_LOCK(:name, :seconds)"), arguments) != 1:
        raise SchemaError("another program is changing the schema; try again later")


def _refuse_others(connection: Connection) -> None:
    tables = set(inspect(connection).get_table_names())
    if VERSION_TABLE not in tables and _EARLIER_VERSION_TABLE in tables:
        raise ForeignSchema(
            "this is the database of an earlier Mailu; it is left as it is. Take it over into a new database instead"
        )


def _refuse_newer(config: Config, current: str | None) -> None:
    from alembic.script import ScriptDirectory

    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if current is not None and current not in known:
        raise NewerSchema(f"the database has schema revision {current!r}, which this program does not know")


def _check_references(connection: Connection) -> None:
    if connection.dialect.name != "sqlite":
        return
    broken = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchall()
    if broken:
        raise SchemaError(f"after the change {len(broken)} rows refer to nothing, first in table {broken[0][0]!r}")
