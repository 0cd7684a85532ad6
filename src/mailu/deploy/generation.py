"""The generated configurations of one service: ``run/NAME/etc.<n>``, and the link ``etc`` to the one in force.

A new configuration is written into a folder of its own and read by the daemon's checker there; only then the link is
swapped, in one step. The folder before is kept: processes of the old generation may still read it, and it is what is
gone back to when the new one does not work after all.
"""

from __future__ import annotations

import grp
import os
import pwd
import re
import shutil
import stat
from collections.abc import Mapping
from pathlib import Path

from mailu.daemons.room import ConfigFile, Folder

_NUMBERED = re.compile(r"etc\.(\d+)\Z")


class Generations:
    """The folders ``etc.<n>`` below the *folder* of one service."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.link = folder / "etc"

    def current(self) -> Path | None:
        """The folder that the link points at; None before the first one or when it is gone."""
        try:
            target = self.folder / self.link.readlink()
        except OSError:
            return None
        return target if target.is_dir() else None

    def next(self) -> Path:
        """The path for a new generation; nothing is made."""
        return self.folder / f"etc.{max(self._numbers(), default=0) + 1}"

    def write(self, etc: Path, files: Mapping[str, ConfigFile]) -> None:
        """Make *etc* with *files* in it. A leftover of the same name is removed first."""
        shutil.rmtree(etc, ignore_errors=True)
        etc.mkdir(mode=0o755, parents=True)
        etc.chmod(0o755)
        for name, file in files.items():
            _write_file(etc, name, file)

    def holds(self, etc: Path, files: Mapping[str, ConfigFile]) -> bool:
        """Whether *etc* already has exactly these texts. What the daemon's tools made beside does not count."""
        return all(_text(etc / name) == file.text for name, file in files.items())

    def swap(self, etc: Path) -> None:
        """Put *etc* in force."""
        scratch = self.folder / ".etc.new"
        scratch.unlink(missing_ok=True)
        scratch.symlink_to(etc.name)
        scratch.replace(self.link)

    def drop(self, etc: Path) -> None:
        """Remove a generation that is not wanted."""
        shutil.rmtree(etc, ignore_errors=True)

    def collect(self, *, keep: set[Path]) -> None:
        """Remove every generation but the one in force and those in *keep*."""
        keep_names = {path.name for path in keep}
        if (current := self.current()) is not None:
            keep_names.add(current.name)
        for number in self._numbers():
            if f"etc.{number}" not in keep_names:
                self.drop(self.folder / f"etc.{number}")

    def _numbers(self) -> list[int]:
        if not self.folder.is_dir():
            return []
        return [int(match[1]) for entry in self.folder.iterdir() if (match := _NUMBERED.match(entry.name))]


def make_folder(folder: Folder) -> bool:
    """Make one folder with its owner and mode; True when it was not there before."""
    new = not folder.path.is_dir()
    folder.path.mkdir(mode=0o700, parents=True, exist_ok=True)
    give(folder.path, folder.owner, folder.group, folder.mode)
    if folder.adopts and os.geteuid() == 0:
        for path in folder.path.glob(folder.adopts):
            _adopt(path, folder)
    return new


def _adopt(path: Path, folder: Folder) -> None:
    """Make a file its folder's owner's. That owner may have made a link of that name, which must give it nothing."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return
    try:
        facts = os.fstat(descriptor)
        owner, group = pwd.getpwnam(folder.owner).pw_uid, grp.getgrnam(folder.group).gr_gid
        if stat.S_ISREG(facts.st_mode) and facts.st_nlink == 1 and facts.st_uid != owner:
            os.fchown(descriptor, owner, group)
    finally:
        os.close(descriptor)


def give(path: Path, owner: str, group: str, mode: int) -> None:
    """Set owner, group and mode. Without root rights only the mode is set (tests run so)."""
    if os.geteuid() == 0:
        os.chown(path, pwd.getpwnam(owner).pw_uid, grp.getgrnam(group).gr_gid)
    path.chmod(mode)


def _write_file(etc: Path, name: str, file: ConfigFile) -> None:
    path = etc / name
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(descriptor, "w", encoding="utf-8") as stream:  # noqa: PTH123
        stream.write(file.text)
    give(path, file.owner, file.group, file.mode)


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
