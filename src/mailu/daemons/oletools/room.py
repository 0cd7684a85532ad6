"""The macro scanner that Rspamd asks about documents; ``server.py`` speaks for oletools.

Documents come from strangers and are taken apart by a program that was written for curiosity more than for hostility:
it runs as a user that owns nothing, in a process of its own for each document, with little memory and little time.
"""

from __future__ import annotations

import socket
import sys
from pathlib import Path

from mailu.daemons.room import CheckResult, ConfigFile, Folder, Reload, RenderRequest

USER = "mailu-scan"
SERVER = Path(__file__).with_name("server.py")
TCP_PORT = 11343
_READY_SECONDS = 1.0


def port(request: RenderRequest) -> int:
    """The port to listen on: one of the root's own, or the usual one where others ask over a network."""
    return (
        TCP_PORT if request.settings.oletools_address or not request.host.oletools_port else request.host.oletools_port
    )


class OletoolsRoom:
    """The room of the service ``oletools``."""

    name = "oletools"
    overrides_folder: str | None = None
    reload: Reload = "restart"

    def folders(self, request: RenderRequest) -> list[Folder]:
        """Where documents are while they are looked at."""
        run = request.places.service(self.name)
        return [Folder(run, "root", USER, 0o750), Folder(run / "tmp", USER, USER, 0o700)]

    def render(self, request: RenderRequest) -> dict[str, ConfigFile]:
        """Nothing to configure; the address stands in the command."""
        return {}

    def check(self, request: RenderRequest) -> CheckResult:
        """Nothing to check."""
        return CheckResult()

    def command(self, request: RenderRequest, etc: Path) -> list[str]:
        """Our server, as a file: it needs nothing else of ours."""
        address = "0.0.0.0" if request.settings.oletools_address else "127.0.0.1"  # noqa: S104 - asked from elsewhere
        folder = request.places.service(self.name) / "tmp"
        return [sys.executable, str(SERVER), address, str(port(request)), str(folder)]

    def environment(self, request: RenderRequest) -> dict[str, str]:
        """Log lines come as they are written."""
        return {"PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"}

    def user(self) -> str | None:
        """It never has root's rights."""
        return USER

    def ready(self, request: RenderRequest) -> str | None:
        """It answers an empty document."""
        try:
            with socket.create_connection(("127.0.0.1", port(request)), _READY_SECONDS) as connection:
                connection.sendall(b"OLEFY/1.0\nMethod: oletools\n\n")
                connection.shutdown(socket.SHUT_WR)
                return None if b"too small" in connection.recv(4096) else "it does not know its protocol"
        except OSError as error:
            return f"no answer: {error}"


ROOM = OletoolsRoom()
