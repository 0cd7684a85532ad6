"""Our own processes, seen by the agent like any daemon: their configuration is the settings file they read."""

from __future__ import annotations

import http.client
import os
import socket
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mailu.daemons.room import CheckResult, ConfigFile, Folder, Reload, RenderRequest
from mailu.settings import Settings

SETTINGS_FILE = "settings.json"
READY_SECONDS = 1.0
READY_LIMIT_BYTES = 4096
ONE_HEAP = {"MALLOC_ARENA_MAX": "1"}
"""One heap for all threads (mallopt(3)). The C library gives each thread a heap of its own, whose gaps are never given
back; Python's threads take turns anyway."""


@dataclass(slots=True)
class PythonRoom:
    """A module of ours that runs as a service: ``python -m MODULE`` as *account*.

    It finds its settings by MAILU_SETTINGS and answers ``GET /ready`` where *door* says: a TCP port or a unix socket.
    """

    name: str
    module: str
    account: str
    door: Callable[[RenderRequest], int | Path]
    more_folders: Callable[[RenderRequest], Sequence[Folder]]
    documented: Callable[[Settings], bool] = lambda _: True
    """Whether its docstrings are kept in memory; see python_environment."""
    overrides_folder: str | None = None
    reload: Reload = "restart"

    def folders(self, request: RenderRequest) -> list[Folder]:
        """The service's own folder and what it needs beside."""
        own = Folder(request.places.service(self.name), "root", self.account, 0o750)
        compiled = compiled_folder(self.account)
        private = [Folder(compiled, self.account, self.account, 0o700)] if compiled else []
        return [own, *private, *self.more_folders(request)]

    def render(self, request: RenderRequest) -> dict[str, ConfigFile]:
        """The settings, readable by the service's account only: there are secrets in them."""
        text = request.settings.to_json()
        return {SETTINGS_FILE: ConfigFile(text, mode=0o640, owner="root", group=self.account)}

    def check(self, request: RenderRequest) -> CheckResult:
        """Nothing to check: the settings were checked when they were loaded."""
        return CheckResult()

    def command(self, request: RenderRequest, etc: Path) -> list[str]:
        """The interpreter that runs this, so the service has the same libraries."""
        return [sys.executable, "-m", self.module]

    def environment(self, request: RenderRequest) -> dict[str, str]:
        """Where the settings, the port and the source are."""
        return {
            **python_environment(self.account, documented=self.documented(request.settings)),
            "MAILU_SETTINGS": str(request.places.service(self.name) / "etc" / SETTINGS_FILE),
            "MAILU_DIRECTORY_PORT": str(request.host.directory_port),
        }

    def user(self) -> str | None:
        """It never has root's rights."""
        return self.account

    def ready(self, request: RenderRequest) -> str | None:
        """GET /ready answers 200."""
        try:
            return _get_ready(self.door(request))
        except (OSError, http.client.HTTPException) as error:
            return f"no answer: {error}"


@dataclass(slots=True)
class RousedRoom(PythonRoom):
    """A module that a small host runs only while it is used: the porter listens in its place (``servers.porter``)."""

    def command(self, request: RenderRequest, etc: Path) -> list[str]:
        """The module; on a small host the porter, with the module as what it starts."""
        usual = PythonRoom.command(self, request, etc)
        if not request.settings.small_host:
            return usual
        return [
            sys.executable,
            "-m",
            "mailu.servers.porter",
            str(self.door(request)),
            str(self._window(request)),
            *usual,
        ]

    def ready(self, request: RenderRequest) -> str | None:
        """As for any; on a small host the porter is asked, who wakes nobody for it."""
        if not request.settings.small_host:
            return PythonRoom.ready(self, request)
        try:
            return _get_ready(self._window(request))
        except (OSError, http.client.HTTPException) as error:
            return f"no answer: {error}"

    def _window(self, request: RenderRequest) -> Path:
        return request.places.service(self.name) / "porter"


def python_environment(account: str | None = None, *, documented: bool = True) -> dict[str, str]:
    """What a Python process of ours needs to find the same source as this one.

    One that runs as *account* keeps compiled modules in a folder of its own: root's it could not write to, and would
    compile hundreds of modules at every start; and root must never run what others compiled. One that is not
    *documented* runs without docstrings and assertions, which take 5 MiB where SQLAlchemy is loaded: no code of ours
    depends on assertions, they tell the type checker what it cannot see.
    """
    kept = {name: os.environ[name] for name in ("PYTHONPATH", "PYTHONPYCACHEPREFIX") if name in os.environ}
    compiled = compiled_folder(account)
    own = {"PYTHONPYCACHEPREFIX": str(compiled)} if compiled else {}
    if compiled and not documented:
        own["PYTHONOPTIMIZE"] = "2"
    return {**kept, **own, "PYTHONUNBUFFERED": "1", **ONE_HEAP}


def compiled_folder(account: str | None) -> Path | None:
    """Where *account* keeps compiled modules; None where they are beside the source."""
    prefix = os.environ.get("PYTHONPYCACHEPREFIX")
    return Path(f"{prefix}-{account}") if prefix and account else None


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, seconds: float) -> None:
        super().__init__("localhost", timeout=seconds)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def _get_ready(door: int | Path) -> str | None:
    connection = (
        http.client.HTTPConnection("127.0.0.1", door, timeout=READY_SECONDS)
        if isinstance(door, int)
        else _UnixConnection(door, READY_SECONDS)
    )
    try:
        connection.request("GET", "/ready")
        answer = connection.getresponse()
        body = answer.read(READY_LIMIT_BYTES).decode(errors="replace").strip()
        return None if answer.status == 200 else f"{answer.status} {body}"
    finally:
        connection.close()
