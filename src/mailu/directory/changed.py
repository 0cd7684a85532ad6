"""Seeing in microseconds that nothing was committed to an SQLite database."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from urllib.parse import quote


class SqliteWatch:
    """A kept connection whose ``PRAGMA data_version`` moves when any other connection commits.

    Source: https://www.sqlite.org/pragma.html#pragma_data_version
    """

    def __init__(self, path: str, replaced: Callable[[], None]) -> None:
        """*replaced* is called when another file is in the place of the database, as after restoring a backup."""
        self._path = path
        self._replaced = replaced
        self._lock = Lock()
        self._connection: sqlite3.Connection | None = None
        self._seen = -1
        self._file: tuple[int, int] | None = None
        self._known: int | None = None

    def unchanged(self) -> int | None:
        """Return what was last remembered if nothing was committed since, else None."""
        with self._lock:
            seen = self._data_version()
            if seen == self._seen:
                return self._known
            self._seen, self._known = seen, None
            return None

    def remember(self, value: int) -> None:
        """Keep *value*, which was read after ``unchanged`` answered None.

        A commit between the two moves the pragma, so the next question answers None again.
        """
        with self._lock:
            self._known = value

    def close(self) -> None:
        with self._lock:
            self._drop()

    def _data_version(self) -> int:
        self._follow_file()
        if self._connection is None:
            uri = f"file:{quote(str(Path(self._path).absolute()))}?mode=rw"
            self._connection = sqlite3.connect(uri, uri=True, check_same_thread=False, isolation_level=None)
        (version,) = self._connection.execute("PRAGMA data_version").fetchone()
        return int(version)

    def _follow_file(self) -> None:
        """Open again when another file was put in the place of the database."""
        try:
            status = Path(self._path).stat()
            now = (status.st_dev, status.st_ino)
        except FileNotFoundError:
            now = None
        if now != self._file:
            if self._file is not None:
                self._replaced()
            self._drop()
            self._file = now

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection, self._seen, self._known = None, -1, None
