"""Reading the services' log files: the last lines of several in one order, and what is added."""

from __future__ import annotations

import heapq
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

TAIL_BYTES = 256 * 1024
POLL_SECONDS = 0.2


@dataclass(frozen=True, slots=True, order=True)
class LogLine:
    """One line; lines sort by time. *moment* is the time stamp as written, in UTC."""

    moment: str
    service: str
    text: str


def log_files(folder: Path, service: str | None) -> list[Path]:
    """The current log files, of all services or of one. Empty when there is none."""
    pattern = "*.log" if service is None else f"{service}.log"
    return sorted(folder.glob(pattern))


def last_lines(files: list[Path], count: int) -> list[LogLine]:
    """The last *count* lines of all *files* together, in the order of time."""
    every = heapq.merge(*(_tail(path, count) for path in files))
    return list(every)[-count:] if count else []


def follow(folder: Path, service: str | None) -> Iterator[LogLine]:
    """Lines as they are written, from now on, for ever; files that are rotated or new are followed too."""
    places = {path: _Following(path, at_end=True) for path in log_files(folder, service)}
    while True:
        for path in log_files(folder, service):
            if path not in places:
                places[path] = _Following(path, at_end=False)
        lines = sorted(line for following in places.values() for line in following.read())
        yield from lines
        if not lines:
            time.sleep(POLL_SECONDS)


class _Following:
    """Where we are in one file."""

    def __init__(self, path: Path, *, at_end: bool) -> None:
        self._path = path
        self._inode = 0
        self._offset = 0
        self._rest = b""
        if at_end and path.exists():
            facts = path.stat()
            self._inode, self._offset = facts.st_ino, facts.st_size

    def read(self) -> list[LogLine]:
        """Whole lines that were added since the last time."""
        try:
            with self._path.open("rb") as stream:
                facts = os.fstat(stream.fileno())
                if facts.st_ino != self._inode or facts.st_size < self._offset:
                    self._inode, self._offset, self._rest = facts.st_ino, 0, b""
                stream.seek(self._offset)
                data = stream.read()
        except OSError:
            return []
        self._offset += len(data)
        pieces = (self._rest + data).split(b"\n")
        self._rest = pieces.pop()
        return [_parse(self._path.stem, piece) for piece in pieces]


def _tail(path: Path, count: int) -> list[LogLine]:
    try:
        with path.open("rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            stream.seek(max(0, size - TAIL_BYTES))
            pieces = stream.read().split(b"\n")
    except OSError:
        return []
    if size > TAIL_BYTES:
        pieces = pieces[1:]
    return [_parse(path.stem, piece) for piece in pieces if piece][-count:]


def _parse(service: str, line: bytes) -> LogLine:
    moment, _, text = line.decode(errors="replace").partition(" ")
    return LogLine(moment, service, text)
