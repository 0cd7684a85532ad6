"""A small file system of its own at one folder of a root, to fill it up."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

CHUNK = b"\0" * 65536


class SmallDisk:
    """A tmpfs at *folder*. Mount it before the server starts; unmount it after the server ended, whatever happened."""

    def __init__(self, folder: Path, *, megabytes: int) -> None:
        self.folder = folder
        self._ballast = folder / ".ballast"
        folder.mkdir(exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=755", "tmpfs", str(folder)], check=True)

    def fill(self) -> None:
        """Leave not one byte."""
        with self._ballast.open("ab", buffering=0) as stream:
            for chunk in (CHUNK, CHUNK[:4096], CHUNK[:1]):
                with suppress(OSError):
                    while stream.write(chunk):
                        pass

    def clear(self) -> None:
        """Make room again."""
        self._ballast.unlink(missing_ok=True)

    @contextmanager
    def full(self) -> Iterator[None]:
        """Full as long as the context lasts."""
        self.fill()
        try:
            yield
        finally:
            self.clear()

    @contextmanager
    def without_inodes(self) -> Iterator[None]:
        """There is room, and no file can be made."""
        before = os.statvfs(self.folder).f_files
        places = self.folder / ".places"
        places.mkdir()
        try:
            self._keep_no_spare_inodes()
            self._take_inodes(places)
            yield
        finally:
            shutil.rmtree(places)
            self._remount(before)

    def _keep_no_spare_inodes(self) -> None:
        """Files come and go meanwhile, and there can be no fewer inodes than are in use."""
        for attempt in itertools.count(1):
            state = os.statvfs(self.folder)
            try:
                self._remount(state.f_files - state.f_ffree + 1)
            except subprocess.CalledProcessError:
                if attempt == 100:
                    raise
            else:
                return

    def _take_inodes(self, places: Path) -> None:
        """Also those that are given back by what was under way."""
        taken = itertools.count()
        idle_since = time.monotonic()
        while time.monotonic() - idle_since < 0.5:
            try:
                (places / str(next(taken))).touch()
            except OSError:
                time.sleep(0.005)
            else:
                idle_since = time.monotonic()

    def _remount(self, inodes: int) -> None:
        subprocess.run(["mount", "-o", f"remount,nr_inodes={inodes}", str(self.folder)], check=True)

    def unmount(self) -> None:
        """At the end; lazily, when something still holds it."""
        subprocess.run(["umount", "-l", str(self.folder)], check=False)
