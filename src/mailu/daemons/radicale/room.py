"""Radicale behind nginx, which has found out who the client is: with the account's password or an app password.

It runs as a user of its own, by ``server.py``: Radicale's own server speaks TCP only, which anybody on the machine
could reach. nginx proves itself with a key that is derived from the secret key.
"""

from __future__ import annotations

import grp
import http.client
import os
import pwd
import socket
import subprocess
import sys
from pathlib import Path

from mailu.daemons.room import CheckResult, ConfigFile, Folder, Reload, RenderRequest
from mailu.daemons.template import fill
from mailu.settings import Settings

PACKAGE = "mailu.daemons.radicale"
USER = "mailu-webdav"
SERVER = Path(__file__).with_name("server.py")
TCP_PORT = 5232

_RESOURCE_BYTES = 10_000_000
_BODY_BYTES = 50_000_000
_LEVELS = {"DEBUG": "debug", "INFO": "warning", "WARNING": "warning", "ERROR": "error", "CRITICAL": "critical"}
_CHECK_SECONDS = 30
_READY_SECONDS = 1.0


def service_key(settings: Settings) -> str:
    """What nginx sends along (``X-Mailu-Secret``): without it nobody is believed."""
    return settings.service_key("WEBDAV")


class RadicaleRoom:
    """The room of the service ``webdav``."""

    name = "webdav"
    overrides_folder: str | None = None
    reload: Reload = "restart"

    def folders(self, request: RenderRequest) -> list[Folder]:
        """Collections, and the folder of the socket, which only nginx may enter."""
        return [
            Folder(request.places.dav, USER, USER, 0o700),
            Folder(request.places.service(self.name), USER, "www-data", 0o2750),
        ]

    def render(self, request: RenderRequest) -> dict[str, ConfigFile]:
        """``radicale.conf``, and the key."""
        text = fill(
            PACKAGE,
            "radicale.conf",
            folder=request.places.dav,
            body_bytes=_BODY_BYTES,
            resource_bytes=_RESOURCE_BYTES,
            level=_LEVELS[request.settings.log_level],
        )
        return {
            "radicale.conf": ConfigFile(text),
            "key": ConfigFile(service_key(request.settings), 0o640, "root", USER),
        }

    def check(self, request: RenderRequest) -> CheckResult:
        """Let Radicale read its configuration, and give it what another installation left in its folder."""
        give_collections(request.places.dav / "collection-root")
        done = subprocess.run(
            [sys.executable, str(SERVER), "--check", str(request.etc / "radicale.conf")],
            capture_output=True,
            text=True,
            timeout=_CHECK_SECONDS,
            check=False,
            env={**os.environ, **self.environment(request)},
        )
        lines = done.stderr.strip().splitlines()
        return CheckResult(problems=tuple(lines[-1:] or ["it cannot be started"]) if done.returncode else ())

    def command(self, request: RenderRequest, etc: Path) -> list[str]:
        """Our server around Radicale. As a file, not as a module: it needs nothing else of ours."""
        where = str(TCP_PORT) if request.settings.webdav_address else str(request.places.webdav_socket)
        return [sys.executable, str(SERVER), str(etc / "radicale.conf"), str(etc / "key"), where]

    def environment(self, request: RenderRequest) -> dict[str, str]:
        """Log lines come as they are written."""
        return {"PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"}

    def user(self) -> str | None:
        """It never has root's rights."""
        return USER

    def ready(self, request: RenderRequest) -> str | None:
        """GET /ready answers 200."""
        try:
            return _get_ready(TCP_PORT if request.settings.webdav_address else request.places.webdav_socket)
        except (OSError, http.client.HTTPException) as error:
            return f"no answer: {error}"


def give_collections(folder: Path) -> None:
    """Collections that somebody else owns become Radicale's; links are left alone. Without root rights nothing is."""
    if os.geteuid() != 0 or not folder.is_dir():
        return
    uid, gid = pwd.getpwnam(USER).pw_uid, grp.getgrnam(USER).gr_gid
    if folder.stat().st_uid == uid:
        return
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            os.chown(Path(parent, name), uid, gid, follow_symlinks=False)
    os.chown(folder, uid, gid)


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=_READY_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(_READY_SECONDS)
        self.sock.connect(str(self._path))


def _get_ready(door: int | Path) -> str | None:
    if isinstance(door, int):
        connection = http.client.HTTPConnection("127.0.0.1", door, timeout=_READY_SECONDS)
    else:
        connection = _UnixConnection(door)
    try:
        connection.request("GET", "/ready")
        answer = connection.getresponse()
        return None if answer.status == 200 else f"it answered {answer.status}"
    finally:
        connection.close()


ROOM = RadicaleRoom()
