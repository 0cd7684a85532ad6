"""What is taken over: the state root of an earlier Mailu, its database alone, or an export."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mailu.settings import legacy
from mailu.settings.envfile import EnvFile, read_env_file

_SQLITE_MAGIC = b"SQLite format 3\0"
_CONTAINER_FILE = re.compile(r"sqlite3?(?:\+[a-z0-9_]+)?:////data/(.+)\Z")


class NotASource(Exception):
    """There is nothing to take over; the text says what was looked at and what was expected."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where everything is. What the source does not have is None."""

    name: str
    """As it was given, without a password."""
    root: Path | None = None
    env_file: Path | None = None
    env: EnvFile | None = None
    database_uri: str | None = None
    export: Path | None = None

    @property
    def identity(self) -> str:
        """What tells it from other servers wherever it lies: its secret key and domain; without settings its name."""
        values = self.env.values if self.env is not None else {}
        if not (key := values.get("SECRET_KEY") or values.get("SECRET_KEY_FILE")):
            return self.name
        return hashlib.sha256(f"{key} {values.get('DOMAIN', '')}".encode()).hexdigest()[:16]

    def folder(self, name: str) -> Path | None:
        """A folder of the root that is there and has something in it."""
        if self.root is None:
            return None
        folder = self.root / name
        return folder if folder.is_dir() and any(folder.iterdir()) else None


def find_source(given: str, *, env_file: Path | None = None, database_uri: str | None = None) -> Source:
    """What *given* means: a folder, a database address, an SQLite file, or an export in YAML or JSON.

    *env_file* and *database_uri* say where the settings and the database are when they are not where they belong.
    Raises NotASource.
    """
    if "://" in given:
        return Source(_without_password(given), env_file=env_file, env=_read(env_file), database_uri=given)
    path = Path(given).absolute()
    if path.is_dir():
        return _root(path, env_file, database_uri)
    if not path.is_file():
        raise NotASource(
            f"{path} is not there; expected the root of a Mailu, the address of its database, or an export"
        )
    if path.name.endswith(".env"):
        raise NotASource(f"{path} holds settings only; name the folder that it is in, or give it with --settings")
    env = _read(env_file)
    with path.open("rb") as stream:
        is_database = stream.read(len(_SQLITE_MAGIC)) == _SQLITE_MAGIC
    if is_database or path.suffix in (".db", ".sqlite"):
        return Source(str(path), env_file=env_file, env=env, database_uri=f"sqlite:///{path}")
    return Source(str(path), env_file=env_file, env=env, export=path)


def _root(root: Path, env_file: Path | None, database_uri: str | None) -> Source:
    file = env_file or root / "mailu.env"
    env = _read(file) if env_file is not None or file.is_file() else None
    uri = database_uri or _database_of(root, env.values if env else {})
    if uri is None and env is None:
        raise NotASource(f"{root} is not the root of a Mailu: neither mailu.env nor data/main.db is there")
    if uri is None:
        raise NotASource(f"{root / 'data/main.db'} is not there; name the database with --database")
    return Source(str(root), root, file if env is not None else None, env, uri)


def _read(path: Path | None) -> EnvFile | None:
    if path is None:
        return None
    try:
        return read_env_file(path)
    except OSError as error:
        raise NotASource(f"{path} cannot be read: {error.strerror}") from None


def _database_of(root: Path, values: Mapping[str, str]) -> str | None:
    """The database of a root. SQLite files are named as a container sees them, in which ``data`` is ``/data``."""
    translated, _notes = legacy.translate({"ROOT": str(root), **values})
    uri = translated.get("SQLALCHEMY_DATABASE_URI", "").strip()
    if uri.startswith("sqlite"):
        match = _CONTAINER_FILE.match(uri)
        named = root / "data" / match[1] if match else Path("/" + uri.partition("://")[2].lstrip("/"))
        return f"sqlite:///{named}"
    if uri:
        return uri
    file = root / "data" / "main.db"
    return f"sqlite:///{file}" if file.exists() else None


def _without_password(uri: str) -> str:
    return re.sub(r"://([^:/@]*):[^@]*@", r"://\1@", uri).partition("?")[0]
