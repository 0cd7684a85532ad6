"""What was taken over by earlier runs: ``ROOT/migration``, for root only.

By it a second run tells what has changed at the source from what has been changed here, and leaves the latter alone.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mailu.migrate.ownership import NOBODY_ELSE
from mailu.migrate.trees import Mark, make_folder, write_text

FOLDER = "migration"
_FORMAT = 1


class UnreadableRecord(Exception):
    """The memory of earlier runs cannot be read; the text says what to do."""


@dataclass
class Record:
    """The memory of one root. Nothing is written before ``save``."""

    folder: Path
    source: str = ""
    """What was taken over, as it was named; empty before the first run."""
    identity: str = ""
    """What tells that server from others."""
    database_version: int | None = None
    """``Store.data_version`` right after the directory was written."""
    variables: dict[str, str] = field(default_factory=dict)
    """Settings as they were written."""
    files: dict[str, str] = field(default_factory=dict)
    """Path below the root to the digest of what was written there."""

    @property
    def is_new(self) -> bool:
        """Whether nothing was ever taken over into this root."""
        return not self.source

    def manifest(self, name: str) -> dict[str, Mark] | None:
        """The files of the folder *name* as they were copied; None when it was not, or not to the end."""
        try:
            with gzip.open(self._manifest_file(name), "rt", encoding="ascii") as stream:
                content = json.load(stream)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise UnreadableRecord(f"{self._manifest_file(name)} cannot be read ({error}); {_REMEDY}") from None
        return {path: (kind, size, when) for path, (kind, size, when) in content["files"].items()}

    def keep_manifest(self, name: str, files: Mapping[str, Mark]) -> None:
        """Remember the files of a folder that was copied to the end."""
        file = self._manifest_file(name)
        make_folder(file.parent, 0o700, NOBODY_ELSE)
        content = json.dumps({"folder": name, "files": files}).encode("ascii")
        write_text(file, gzip.compress(content, 5), mode=0o600, owner=NOBODY_ELSE)

    def save(self) -> None:
        """Write everything but the manifests."""
        make_folder(self.folder, 0o700, NOBODY_ELSE)
        content = {
            "format": _FORMAT,
            "source": self.source,
            "identity": self.identity,
            "database_version": self.database_version,
            "variables": self.variables,
            "files": self.files,
        }
        write_text(self.folder / "record.json", json.dumps(content, indent=1) + "\n", mode=0o600, owner=NOBODY_ELSE)

    def _manifest_file(self, name: str) -> Path:
        return self.folder / "trees" / f"{hashlib.sha256(name.encode(errors='surrogateescape')).hexdigest()[:40]}.gz"


def load_record(root: Path) -> Record:
    """The memory of *root*; a new one where there is none. Raises UnreadableRecord."""
    folder = root / FOLDER
    file = folder / "record.json"
    try:
        content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        names = ("source", "identity", "database_version", "variables", "files")
        return Record(folder, *(content[name] for name in names))
    except FileNotFoundError:
        return Record(folder)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UnreadableRecord(f"{file} cannot be read ({error}); {_REMEDY}") from None


def digest(content: bytes | str) -> str:
    """What a file's content is remembered by."""
    return hashlib.sha256(content.encode() if isinstance(content, str) else content).hexdigest()


_REMEDY = "take the new root away and begin again"
