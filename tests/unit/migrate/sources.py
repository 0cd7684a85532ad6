"""Roots of an earlier Mailu for tests: unpacked from the archives beside, and changed as a test needs it."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import stat
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOTS = Path(__file__).parent / "roots"
KINDS = ("master", "2024.06")
ISSUED = "srs-issued.txt"


def unpack(kind: str, folder: Path) -> Path:
    """The root of *kind* below *folder*, with the owners of a container where this runs as root."""
    with tarfile.open(ROOTS / f"mailu-{kind}-root.tar.gz") as archive:
        archive.extraction_filter = getattr(tarfile, "fully_trusted_filter", None)
        archive.extractall(folder, numeric_owner=True)
    return folder / f"mailu-{kind}"


def fingerprint(root: Path, *, but: str = "") -> str:
    """Everything about a tree that a reader must not change: names, types, modes, owners, times, contents.

    *but* is a path below it that does not count.
    """
    seen = hashlib.sha256()
    for path in sorted(root.rglob("*")):
        if path == root / but:
            continue
        facts = path.lstat()
        content = b""
        if stat.S_ISREG(facts.st_mode):
            content = path.read_bytes()
        elif stat.S_ISLNK(facts.st_mode):
            content = os.fsencode(path.readlink())
        said = (path.relative_to(root).as_posix(), facts.st_mode, facts.st_uid, facts.st_gid, facts.st_mtime_ns)
        seen.update(repr((said, hashlib.sha256(content).hexdigest())).encode())
    return seen.hexdigest()


@contextmanager
def database(root: Path) -> Iterator[sqlite3.Connection]:
    """The database of a root, to change it."""
    connection = sqlite3.connect(root / "data" / "main.db")
    try:
        yield connection
        connection.commit()
    finally:
        connection.close()


def change(root: Path, statement: str, *values: Any) -> None:
    """Run one statement in the database of a root."""
    with database(root) as connection:
        connection.execute(statement, values)


def add_user(root: Path, email: str, **columns: Any) -> None:
    """Another user, with anna's columns but for *columns*."""
    localpart, _, domain = email.rpartition("@")
    with database(root) as connection:
        connection.row_factory = sqlite3.Row
        row = dict(connection.execute("SELECT * FROM user WHERE email = 'anna@example.org'").fetchone())
        row |= {"email": email, "localpart": localpart, "domain_name": domain, **columns}
        places = ", ".join("?" * len(row))
        connection.execute(f"INSERT INTO user ({', '.join(row)}) VALUES ({places})", tuple(row.values()))
