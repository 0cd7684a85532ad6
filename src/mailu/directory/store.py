"""The database: opening it, transactions, bringing its schema up to date, and seeing that it changed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

from sqlalchemy import URL, Engine, Row, event, select, text, update
from sqlalchemy.engine import Connection
from sqlalchemy.exc import OperationalError, ProgrammingError
from sqlalchemy.orm import ORMExecuteState, Session, UOWTransaction, sessionmaker

from mailu.directory import schema, trail
from mailu.directory.changed import SqliteWatch
from mailu.directory.engines import make_engine
from mailu.directory.models import Version
from mailu.directory.uris import BadDatabaseUri, parse_database_uri

__all__ = ["BadDatabaseUri", "NoSchema", "Store", "open_store"]


class NoSchema(Exception):
    """The database has no tables of ours yet: ``Store.upgrade`` was never run on it."""


def open_store(uri: str) -> Store:
    """Return the store at *uri*. Nothing is connected yet. Raises BadDatabaseUri."""
    return Store(parse_database_uri(uri))


class Store:
    """One database. Safe to use from several threads; sessions are not."""

    def __init__(self, url: URL) -> None:
        self.url = url
        self.engine: Engine = make_engine(url)
        self._watch = SqliteWatch(url.database or "", self.engine.dispose) if self.is_sqlite else None

    @property
    def is_sqlite(self) -> bool:
        return self.url.get_backend_name() == "sqlite"

    @contextmanager
    def session(self) -> Iterator[Session]:
        """One transaction that may change the directory: committed at the end, rolled back by an exception.

        There is one writer at a time, so that a rule checked here still holds when the change is written. Hash
        passwords before, not inside. When anything changed, the version goes up in the same transaction.
        Raises sqlalchemy's OperationalError when another writer holds on for longer than ``engines.WAIT_SECONDS``.
        """
        with self._writers.begin() as session:
            self._wait_for_turn(session)
            yield session

    @contextmanager
    def bookkeeping(self) -> Iterator[Session]:
        """One transaction for what happens all the time: used quota, last log-ins, fetched accounts.

        It does not make readers load the whole directory again; ``bookkeeping_version`` goes up instead. It waits its
        turn among the writers: rows locked in another order than theirs would be a deadlock.
        """
        with self._bookkeepers.begin() as session:
            self._wait_for_turn(session)
            yield session

    def _wait_for_turn(self, session: Session) -> None:
        """Be the only writer. SQLite's BEGIN IMMEDIATE does that already."""
        if not self.is_sqlite:
            session.execute(select(Version.changes).with_for_update())

    @contextmanager
    def read(self) -> Iterator[Session]:
        """One transaction that only looks, at one state of the database. It never waits for a writer."""
        with Session(self._reading, autoflush=False) as session:
            yield session
            session.rollback()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """As ``read``, without objects: a connection for plain SELECTs of many rows."""
        with self._reading.connect() as connection:
            yield connection

    def data_version(self) -> int:
        """How often the directory was changed. Cheap: ask every second or more often.

        For SQLite it costs some microseconds while nothing was committed. Raises NoSchema before the first upgrade
        and sqlalchemy's (for SQLite: sqlite3's) OperationalError when the database does not answer.
        """
        if self._watch is not None and (known := self._watch.unchanged()) is not None:
            return known
        version = self._versions()[0]
        if self._watch is not None:
            self._watch.remember(version)
        return version

    def place(self) -> tuple[int, int] | None:
        """Which file the database is, for SQLite; another one after a backup was put in its place."""
        if not self.is_sqlite or not self.url.database:
            return None
        try:
            status = Path(self.url.database).stat()
        except FileNotFoundError:
            return None
        return (status.st_dev, status.st_ino)

    def damage(self) -> str | None:
        """What is wrong with the file of an SQLite database, in its own words; None when all is well, or elsewhere.

        Raises sqlalchemy's DatabaseError when it is so bad that it cannot be looked at. Reads the whole file.
        """
        if not self.is_sqlite:
            return None
        with self.read() as session:
            said = [str(line) for line in session.scalars(text("PRAGMA quick_check(3)"))]
        return None if said == ["ok"] else "; ".join(" ".join(line.split()) for line in said)

    def bookkeeping_version(self) -> int:
        """How often used quota, last log-ins or fetched accounts changed."""
        return self._versions()[1]

    def upgrade(self) -> None:
        """Bring an empty or older database up to date; does nothing to one that is. Safe to call from many at once.

        Raises schema.ForeignSchema for the database of an earlier Mailu and schema.NewerSchema for one that a newer
        program has changed.
        """
        schema.upgrade(self.url)

    def downgrade(self, revision: str) -> None:
        """Take the schema back to *revision* ("base": no tables at all). What newer columns hold is lost."""
        schema.downgrade(self.url, revision)

    def revision(self) -> str | None:
        """The schema's revision, or None where there is none yet."""
        with self._reading.connect() as connection:
            return schema.revision(connection)

    def close(self) -> None:
        """Close every connection. The store may be used again afterwards."""
        self.engine.dispose()
        if self._watch is not None:
            self._watch.close()

    def _versions(self) -> Row[int, int]:
        try:
            with self._reading.connect() as connection:
                row = connection.execute(select(Version.changes, Version.bookkeeping)).one_or_none()
        except (OperationalError, ProgrammingError) as error:
            if schema.says_no_table(error):
                raise NoSchema("the database has no tables yet") from error
            raise
        if row is None:
            raise NoSchema("the database has no version row")
        return row

    @cached_property
    def _reading(self) -> Engine:
        if self.is_sqlite:
            return self.engine
        return self.engine.execution_options(isolation_level="REPEATABLE READ")

    @cached_property
    def _writing(self) -> Engine:
        if self.is_sqlite:
            return self.engine.execution_options(mailu_writes=True)
        return self.engine.execution_options(isolation_level="READ COMMITTED")

    @cached_property
    def _writers(self) -> sessionmaker[Session]:
        return _counting_sessions(self._writing, "changes")

    @cached_property
    def _bookkeepers(self) -> sessionmaker[Session]:
        return _counting_sessions(self._writing, "bookkeeping")


def _take_note(session: Session, touched: set[trail.Entry]) -> None:
    session.info.setdefault("touched", set()).update(touched)


def _counting_sessions(engine: Engine, counter: str) -> sessionmaker[Session]:
    """Sessions that raise *counter* of the version row once a transaction, when anything was written in it, and for
    changes of the directory write into the trail what it was.
    """
    maker = sessionmaker(engine)
    row = Version.__table__

    def after_flush(session: Session, _context: UOWTransaction) -> None:
        _take_note(session, trail.touched_by_flush(session))

    def on_execute(state: ORMExecuteState) -> None:
        if state.is_insert or state.is_update or state.is_delete:
            _take_note(state.session, trail.touched_by_statement(state))

    def before_commit(session: Session) -> None:
        if session.in_nested_transaction():
            return
        session.flush()
        touched = session.info.pop("touched", None)
        if touched is not None:
            column = row.c[counter]
            session.connection().execute(update(Version).values({column: column + 1}))
            if counter == "changes":
                trail.write(session.connection(), touched)

    event.listen(maker, "after_flush", after_flush)
    event.listen(maker, "do_orm_execute", on_execute)
    event.listen(maker, "before_commit", before_commit)
    return maker
