"""Where the words of the services go: one bounded file a service, and the terminal of whoever watches.

Daemons write to pipes (Postfix loses every line on a socket); the agent reads the pipes, puts a time stamp in front
and writes here. A full disk or a stopped terminal must never stop a daemon, so nothing here waits or raises.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import re
import threading
from collections import deque
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

FILE_LIMIT_BYTES = 16 * 1024 * 1024
FILES_KEPT = 3
SHORTEST_HIDDEN = 8
LINE_LIMIT_BYTES = 16 * 1024
TAIL_LINES = 20
CONSOLE_BACKLOG_LINES = 10_000


def time_stamp() -> str:
    """Now, in UTC, to the millisecond: ``2026-01-31T09:18:12.123Z``. It sorts as text."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Console:
    """A terminal or pipe that several services write to, the service's name in front of each line.

    Lines are written by a thread of its own: a terminal stopped with Ctrl-S fills a queue and then loses lines,
    it does not stop the mail.
    """

    def __init__(self, stream: BinaryIO | None, name_width: int = 10) -> None:
        self._stream = stream
        self._width = name_width
        self._lines: queue.Queue[bytes | None] = queue.Queue(CONSOLE_BACKLOG_LINES)
        self._thread: threading.Thread | None = None
        if stream is not None:
            self._thread = threading.Thread(target=self._pump, name="console", daemon=True)
            self._thread.start()

    def write(self, service: str, text: str) -> None:
        """Show one line; drop it when nobody has read for ten thousand lines."""
        if self._stream is None:
            return
        with contextlib.suppress(queue.Full):
            self._lines.put_nowait(f"{service:<{self._width}} | {text}\n".encode())

    def plain(self, text: str) -> None:
        """Show a line without a service's name."""
        if self._stream is None:
            return
        with contextlib.suppress(queue.Full):
            self._lines.put_nowait(f"{text}\n".encode())

    def close(self) -> None:
        """Write what is left; wait at most a second for a reader that does not read."""
        if self._thread is not None:
            with contextlib.suppress(queue.Full):
                self._lines.put_nowait(None)
            self._thread.join(timeout=1)
            self._thread = None
        self._stream = None

    def _pump(self) -> None:
        stream = self._stream
        assert stream is not None
        while (line := self._lines.get()) is not None:
            try:
                stream.write(line)
                if self._lines.empty():
                    stream.flush()
            except (OSError, ValueError):
                return
        with contextlib.suppress(OSError, ValueError):
            stream.flush()


class Hidden:
    """Secrets of a root, which no log may show, whichever daemon says them: Rspamd names a URL with its password."""

    def __init__(self) -> None:
        self._pattern: re.Pattern[str] | None = None

    def keep(self, secrets: Iterable[str]) -> None:
        """Hide these from now on. What is shorter than eight characters is left alone: it would hide common words."""
        found = sorted({secret for secret in secrets if len(secret) >= SHORTEST_HIDDEN}, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, found))) if found else None

    def cover(self, text: str) -> str:
        """Return *text* with every secret replaced by ``***``."""
        return self._pattern.sub("***", text) if self._pattern else text


class Journal:
    """The log file of one service, ``<name>.log``, with at most FILES_KEPT older files beside it.

    *tail* keeps the last lines in memory: they are what an agent quotes when the daemon dies.
    """

    def __init__(
        self,
        path: Path,
        *,
        console: Console,
        group: int = 0,
        limit_bytes: int = FILE_LIMIT_BYTES,
        hidden: Hidden | None = None,
    ) -> None:
        self.path = path
        self.name = path.stem
        self.tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._console = console
        self._hidden = hidden or Hidden()
        self._group = group
        self._limit_bytes = limit_bytes
        self._file: BinaryIO | None = None
        self._size = 0

    def write(self, lines: Iterable[str]) -> None:
        """Append *lines*, all with the time of this call."""
        stamp = time_stamp()
        texts = [self._hidden.cover(line) for line in lines]
        for text in texts:
            self.tail.append(text)
            self._console.write(self.name, text)
        self._append("".join(f"{stamp} {text}\n" for text in texts).encode(errors="replace"))

    def close(self) -> None:
        """Close the file; the next write opens it again."""
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.close()
            self._file = None

    def _append(self, data: bytes) -> None:
        with contextlib.suppress(OSError):
            if self._file is None:
                self._open()
            elif self._size + len(data) > self._limit_bytes:
                self._rotate()
            assert self._file is not None
            self._file.write(data)
            self._size += len(data)

    def _open(self) -> None:
        self.path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        if os.geteuid() == 0:
            os.fchown(descriptor, 0, self._group)
        self._file = open(descriptor, "ab", buffering=0)  # noqa: SIM115, PTH123
        self._size = os.fstat(descriptor).st_size

    def _rotate(self) -> None:
        self.close()
        for number in range(FILES_KEPT - 1, 0, -1):
            older = self.path.with_suffix(f".log.{number}")
            if older.exists():
                older.replace(self.path.with_suffix(f".log.{number + 1}"))
        self.path.replace(self.path.with_suffix(".log.1"))
        self._open()


class LineSplitter:
    """Bytes of a pipe in, whole lines out; a line longer than LINE_LIMIT_BYTES comes in pieces."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[str]:
        """The lines that *data* completes, without their ends; undecodable bytes become U+FFFD."""
        pieces = (self._rest + data).split(b"\n")
        self._rest = pieces.pop()
        if len(self._rest) > LINE_LIMIT_BYTES:
            pieces.append(self._rest)
            self._rest = b""
        return [piece.rstrip(b"\r").decode(errors="replace") for piece in pieces if piece.strip()]

    def finish(self) -> list[str]:
        """What was left without a line end."""
        rest, self._rest = self._rest, b""
        return [rest.decode(errors="replace")] if rest.strip() else []


class JournalHandler(logging.Handler):
    """Writes the agents' own log records into a journal; warnings and errors say so in front."""

    def __init__(self, journal: Journal) -> None:
        super().__init__()
        self._journal = journal

    def emit(self, record: logging.LogRecord) -> None:
        """One record, tracebacks included."""
        level = "" if record.levelno < logging.WARNING else f"{record.levelname.lower()}: "
        try:
            self._journal.write(f"{level}{self.format(record)}".splitlines())
        except Exception:
            self.handleError(record)
