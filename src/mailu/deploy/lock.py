"""One owner at a time: locks on files below run/, with the owner's process number in them."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from pathlib import Path
from types import TracebackType


class Held(Exception):
    """Somebody else has the lock; `pid` is 0 when the file does not say who."""

    def __init__(self, path: Path, pid: int) -> None:
        super().__init__(f"{path} is held by pid {pid}" if pid else f"{path} is held")
        self.path = path
        self.pid = pid


class Lock:
    """An exclusive lock on *path* (flock(2)), gone with the process that holds it, however that one ends."""

    def __init__(self, path: Path, *, wait: bool = False) -> None:
        self.path = path
        self._wait = wait
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Take the lock; wait for it when it was made so. Else raises Held when another process has it."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if self._wait else fcntl.LOCK_NB))
        except BlockingIOError:
            os.close(descriptor)
            raise Held(self.path, holder(self.path) or 0) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        self._descriptor = descriptor

    def release(self) -> None:
        """Give the lock back. The file stays: removing it would let two owners hold two files of one name."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> Lock:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def holder(path: Path) -> int | None:
    """The process number in a lock that is held now; None when nobody holds it, 0 when it does not say who."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        with contextlib.suppress(ValueError):
            return int(os.pread(descriptor, 32, 0) or b"0")
        return 0
    finally:
        os.close(descriptor)
    return None


def wait_until_free(path: Path, seconds: float) -> bool:
    """Wait until nobody holds the lock; False when somebody still does after *seconds*."""
    until = time.monotonic() + seconds
    while holder(path) is not None:
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True
