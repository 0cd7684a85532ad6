"""Copying a folder with everything in it, so that a second time only brings what has changed.

Files keep their times and modes, and get the owner of their new place. A file is the same when size and time are.
Nothing is ever opened for writing under its own name: what is interrupted leaves no half file.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mailu.migrate.ownership import Owner

_CHUNK_BYTES = 1 << 26
_BLOCK_BYTES = 4096
SCRATCH = ".mailu-migrate-"

LINK = "link "
Mark = tuple[str, int, int]
"""What a file is known by: ``file``, size in bytes and time in nanoseconds; of a link ``link TARGET``, 0 and 0."""
Skip = Callable[[str], bool]
"""Whether a path below the folder is not copied."""


def nothing(_path: str) -> bool:
    """Skips nothing."""
    return False


@dataclass(slots=True)
class Entries:
    """What is in a folder, by path below it."""

    folders: dict[str, int] = field(default_factory=dict)
    """Path to mode; the folder itself is not among them."""
    files: dict[str, Mark] = field(default_factory=dict)
    other: list[str] = field(default_factory=list)
    """Sockets, pipes and devices, which are not copied."""


@dataclass(frozen=True, slots=True)
class Difference:
    """What has to be done to make one folder like another."""

    copy: tuple[str, ...]
    remove: tuple[str, ...]
    same: int
    bytes: int
    """Room that the copies take, in whole blocks."""

    @property
    def is_empty(self) -> bool:
        """Whether the folders are alike."""
        return not self.copy and not self.remove


def entries_of(folder: Path, skip: Skip = nothing) -> Entries:
    """Look through *folder*, links not followed. A folder that is not there is empty; what goes while it is looked
    at is not there."""
    found = Entries()
    for path, entry in _walk(str(folder), "", skip):
        try:
            facts = entry.stat(follow_symlinks=False)
            if stat.S_ISDIR(facts.st_mode):
                found.folders[path] = stat.S_IMODE(facts.st_mode)
            elif stat.S_ISREG(facts.st_mode):
                found.files[path] = ("file", facts.st_size, facts.st_mtime_ns)
            elif stat.S_ISLNK(facts.st_mode):
                found.files[path] = (f"{LINK}{Path(entry.path).readlink()}", 0, 0)
            else:
                found.other.append(path)
        except FileNotFoundError:
            continue
    return found


def _walk(folder: str, below: str, skip: Skip) -> Iterator[tuple[str, os.DirEntry[str]]]:
    try:
        with os.scandir(folder) as scan:
            children = sorted(scan, key=lambda entry: entry.name)
    except FileNotFoundError:
        return
    for entry in children:
        path = f"{below}{entry.name}"
        if skip(path) or entry.name.startswith(SCRATCH):
            continue
        yield path, entry
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(entry.path, f"{path}/", skip)


def difference(wanted: Entries, present: Entries) -> Difference:
    """What makes *present* like *wanted*."""
    copy = tuple(path for path, mark in wanted.files.items() if present.files.get(path) != mark)
    remove = tuple(path for path in present.files if path not in wanted.files)
    blocks = sum(-(-wanted.files[path][1] // _BLOCK_BYTES) for path in copy)
    return Difference(copy, remove, len(wanted.files) - len(copy), blocks * _BLOCK_BYTES)


def make_alike(source: Path, target: Path, wanted: Entries, todo: Difference, owner: Owner) -> list[str]:
    """Do it. Returns the paths that were gone from *source* by the time they were to be copied."""
    make_folder(target, stat.S_IMODE(source.stat().st_mode) & ~0o022, owner)
    for path, mode in wanted.folders.items():
        make_folder(target / path, mode & ~0o022, owner)
    for path in todo.remove:
        (target / path).unlink(missing_ok=True)
    gone = []
    for path in todo.copy:
        kind = wanted.files[path][0]
        if kind.startswith(LINK):
            _make_link(target / path, kind.removeprefix(LINK), owner)
        elif not copy_file(source / path, target / path, owner):
            gone.append(path)
    return gone


def make_folder(path: Path, mode: int, owner: Owner) -> None:
    """Make one folder, and those above it that are missing, with *mode* and *owner*; one that is there is left so."""
    if path.is_dir() and not path.is_symlink():
        return
    if not path.parent.is_dir():
        make_folder(path.parent, mode, owner)
    path.unlink(missing_ok=True)
    path.mkdir()
    path.chmod(mode)
    owner.give(path)


def copy_file(source: Path, target: Path, owner: Owner, *, mode: int | None = None) -> bool:
    """Copy one file, links followed, with its time and mode. False when it is not there any more."""
    scratch = _scratch(target)
    try:
        facts = source.stat()
        _copy_content(source, scratch, stat.S_IMODE(facts.st_mode) if mode is None else mode)
    except FileNotFoundError:
        scratch.unlink(missing_ok=True)
        return False
    owner.give(scratch)
    os.utime(scratch, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    scratch.replace(target)
    return True


def _make_link(path: Path, target: str, owner: Owner) -> None:
    scratch = _scratch(path)
    scratch.symlink_to(target)
    owner.give(scratch)
    scratch.replace(path)


def _scratch(path: Path) -> Path:
    """A name beside *path* that is free. What an interrupted run left there goes."""
    scratch = path.with_name(f"{SCRATCH}{os.getpid()}")
    scratch.unlink(missing_ok=True)
    return scratch


def _copy_content(source: Path, target: Path, mode: int) -> None:
    """The kernel copies; where the file system can, both share their blocks (copy_file_range(2))."""
    with source.open("rb") as reader:
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with open(descriptor, "wb") as writer:  # noqa: PTH123
            try:
                while os.copy_file_range(reader.fileno(), descriptor, _CHUNK_BYTES):
                    pass
            except OSError:
                reader.seek(0)
                writer.truncate(0)
                os.lseek(descriptor, 0, os.SEEK_SET)
                while chunk := reader.read(1 << 20):
                    writer.write(chunk)
    target.chmod(mode & 0o7777 & ~0o6022)


def write_text(path: Path, text: str | bytes, *, mode: int, owner: Owner) -> None:
    """Write a whole file in one step, on the disk before it has its name."""
    scratch = _scratch(path)
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb") as stream:  # noqa: PTH123
        stream.write(text.encode() if isinstance(text, str) else text)
        stream.flush()
        os.fsync(descriptor)
    scratch.chmod(mode)
    owner.give(scratch)
    scratch.replace(path)
