"""Where the settings come from: a file, the environment, or nothing yet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mailu.settings import Settings, load_settings

DEFAULT_ROOT = Path("/mailu")
ENV_FILE = "mailu.env"


@dataclass(frozen=True, slots=True)
class Source:
    """A settings file (None: there is none) and the variables of the environment, which beat it."""

    file: Path | None
    environ: Mapping[str, str]

    def load(self) -> Settings:
        """Read them now. Raises SettingsError."""
        return load_settings(self.file, self.environ)

    def signature(self) -> tuple[object, ...]:
        """Changes when the file, or a file that it names with NAME_FILE, may have changed."""
        if self.file is None:
            return ()
        return tuple(signature_of(path) for path in (self.file, *_named_files(self.file)))


def default_file(environ: Mapping[str, str]) -> Path:
    """The settings file that is used when none is named: ``mailu.env`` in ROOT."""
    return Path(environ.get("ROOT") or DEFAULT_ROOT) / ENV_FILE


def find_source(named: Path | None, environ: Mapping[str, str]) -> Source:
    """The source for a command: *named* when given, else the default file when it is there, else only *environ*."""
    if named is not None:
        return Source(named.absolute(), environ)
    file = default_file(environ)
    return Source(file if file.exists() else None, environ)


def signature_of(path: Path) -> tuple[object, ...]:
    """Time, size and identity of a file or folder, links followed; changes when it is replaced or written."""
    try:
        facts = path.stat()
    except OSError as error:
        return (str(path), error.errno)
    return (str(path), facts.st_mtime_ns, facts.st_size, facts.st_ino)


def tree_signature(folder: Path, *, depth: int = 6) -> tuple[object, ...]:
    """Signatures of everything below *folder*."""
    found: list[object] = [signature_of(folder)]
    if depth and folder.is_dir():
        for path in sorted(folder.iterdir()):
            found.append(tree_signature(path, depth=depth - 1) if path.is_dir() else signature_of(path))
    return tuple(found)


def _named_files(file: Path) -> list[Path]:
    try:
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    pairs = (line.strip().partition("=") for line in lines)
    return [Path(value.strip("\"' ")) for name, _, value in pairs if name.endswith("_FILE") and value.startswith("/")]
