"""Seeing to it that the administrator whom the settings ask for exists, before the directory starts.

It is done by a process of its own, as the control plane's user: SQLite makes its files as whoever opens it, and root
would leave some behind that the services cannot write. Where it was done before, nothing is started.
"""

from __future__ import annotations

import hashlib
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from mailu.daemons.room import RenderRequest
from mailu.deploy.python_room import SETTINGS_FILE, python_environment
from mailu.settings import Settings

MODULE = "mailu.cli.prepare"
ACCOUNT = "mailu"
LIMIT_SECONDS = 120

log = logging.getLogger("mailu.agent")


class Outcome(NamedTuple):
    """Whether the administrator is there, and the words of the program that should have made it."""

    done: bool
    words: str = ""


class FirstAdmin:
    """Remembers what was done, below run/. *done* is False as long as an attempt has failed."""

    def __init__(self) -> None:
        self.done = True
        self._request: RenderRequest | None = None

    def ensure(self, request: RenderRequest) -> None:
        """Make or change the administrator when that is due. A failure is logged, and left to try_again()."""
        self._request = request
        stamp = request.places.service("directory") / ".first-admin"
        digest = _digest(request.settings)
        if digest is None or _read(stamp) == digest:
            self.done = True
            return
        outcome = _run(request)
        if outcome.done and request.settings.initial_admin_mode != "update":
            stamp.write_text(_digest(request.settings) or "", encoding="ascii")
        if not outcome.done and self.done:
            log.error("the first administrator cannot be made: %s", outcome.words)
        self.done = outcome.done

    def try_again(self) -> None:
        """Another attempt, for a database that was not there."""
        if self._request is not None and not self.done:
            self.ensure(self._request)


def _digest(settings: Settings) -> str | None:
    """Names the administrator asked for and, for SQLite, the file it is in; None when none is asked for."""
    asked = (settings.initial_admin_account, settings.initial_admin_domain, settings.initial_admin_pw)
    if not all(asked):
        return None
    uri = settings.database_uri
    file = Path(uri.removeprefix("sqlite:///")) if uri.startswith("sqlite:///") else None
    inode = file.stat().st_ino if file is not None and file.exists() else 0
    return hashlib.sha256(repr((asked, settings.initial_admin_mode, uri, inode)).encode()).hexdigest()


def _read(stamp: Path) -> str | None:
    try:
        return stamp.read_text(encoding="ascii")
    except OSError:
        return None


def _run(request: RenderRequest) -> Outcome:
    as_root = os.geteuid() == 0
    try:
        done = subprocess.run(
            [sys.executable, "-m", MODULE],
            env={
                **python_environment(ACCOUNT, documented=False),  # as the directory, whose modules it compiles
                "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
                "LANG": "C.UTF-8",
                "MAILU_SETTINGS": str(request.places.service("directory") / "etc" / SETTINGS_FILE),
            },
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LIMIT_SECONDS,
            check=False,
            user=ACCOUNT if as_root else None,
            group=ACCOUNT if as_root else None,
            extra_groups=[] if as_root else None,
        )
    except subprocess.TimeoutExpired:
        return Outcome(done=False, words=f"the database did not answer for {LIMIT_SECONDS} s")
    words = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    return Outcome(done.returncode == 0, words[-1] if words else f"exit code {done.returncode}")
