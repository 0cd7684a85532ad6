"""ClamAV: clamd looks at what Rspamd hands it, freshclam fetches signatures.

clamd cannot start without signatures, so in a new installation it comes up when freshclam has fetched them; until then
Rspamd defers mail with attachments. They take about 1.2 GB of memory.
"""

from __future__ import annotations

import socket
from pathlib import Path

from mailu.daemons.room import CheckResult, ConfigFile, Folder, Reload, RenderRequest
from mailu.daemons.template import fill

PACKAGE = "mailu.daemons.clamav"
USER = "clamav"
TCP_PORT = 3310
_READY_SECONDS = 1.0
_SIGNATURES = (".cvd", ".cld", ".cud", ".ndb", ".hdb", ".hsb", ".ldb", ".yar", ".yara")


def clamd_socket(request: RenderRequest) -> Path:
    """Where Rspamd asks."""
    return request.places.run / "antivirus" / "clamd"


def _folders(request: RenderRequest, name: str) -> list[Folder]:
    return [
        Folder(request.places.clamav, USER, USER, 0o750),
        Folder(request.places.run / "antivirus", USER, "_rspamd", 0o2750),
        Folder(request.places.service(name), USER, "_rspamd", 0o2750),
        Folder(request.places.run / "antivirus" / "tmp", USER, USER, 0o700),
    ]


def _with_override(request: RenderRequest, name: str, text: str) -> ConfigFile:
    override = request.overrides.get(name, "").rstrip()
    return ConfigFile(f"{text}\n# overrides/clamav/{name}\n{override}\n" if override else text)


class _ClamavRoom:
    """What the two have in common."""

    name = ""
    overrides_folder: str | None = "clamav"
    reload: Reload = "restart"

    def folders(self, request: RenderRequest) -> list[Folder]:
        """Signatures, and the folder of the socket."""
        return _folders(request, self.name)

    def environment(self, request: RenderRequest) -> dict[str, str]:
        """Nothing beside the usual."""
        return {}

    def user(self) -> str | None:
        """None: both are told their user and change to it themselves."""
        return None


class ClamdRoom(_ClamavRoom):
    """The room of the service ``antivirus``."""

    name = "antivirus"

    def render(self, request: RenderRequest) -> dict[str, ConfigFile]:
        """``clamd.conf``."""
        settings = request.settings
        text = fill(
            PACKAGE,
            "clamd.conf",
            debug=settings.log_level == "DEBUG",
            signatures=request.places.clamav,
            temp=request.places.run / "antivirus" / "tmp",
            socket=clamd_socket(request),
            port=TCP_PORT if settings.antivirus_address else 0,
            threads=2 if settings.small_host else 10,
            message_bytes=settings.message_size_limit,
            small=settings.small_host,
        )
        return {"clamd.conf": _with_override(request, "clamd.conf", text)}

    def check(self, request: RenderRequest) -> CheckResult:
        """clamd has no checker. That it has to wait is worth a word."""
        if any(path.suffix in _SIGNATURES for path in _listed(request.places.clamav)):
            return CheckResult()
        return CheckResult(notes=("no signatures yet: it starts once they have been fetched",))

    def command(self, request: RenderRequest, etc: Path) -> list[str]:
        """clamd in the foreground."""
        return ["/usr/sbin/clamd", "--foreground", f"--config-file={etc / 'clamd.conf'}"]

    def ready(self, request: RenderRequest) -> str | None:
        """PING is answered by PONG (clamd(8))."""
        try:
            with _connect(request) as connection:
                connection.sendall(b"nPING\n")
                answer = connection.recv(64)
        except OSError as error:
            return f"no answer: {error}"
        return None if answer.startswith(b"PONG") else f"it answered {answer!r}"


class FreshclamRoom(_ClamavRoom):
    """The room of the service ``signatures``."""

    name = "signatures"

    def render(self, request: RenderRequest) -> dict[str, ConfigFile]:
        """``freshclam.conf``."""
        own = request.overrides.get("freshclam.conf", "")
        text = fill(
            PACKAGE,
            "freshclam.conf",
            signatures=request.places.clamav,
            clamd=request.places.service("antivirus") / "etc" / "clamd.conf",
            mirror_is_own="Mirror" in own,
        )
        return {"freshclam.conf": _with_override(request, "freshclam.conf", text)}

    def check(self, request: RenderRequest) -> CheckResult:
        """Nothing to check."""
        return CheckResult()

    def command(self, request: RenderRequest, etc: Path) -> list[str]:
        """freshclam in the foreground; with ``--daemon`` it goes on after the first time."""
        return [
            "/usr/bin/freshclam", "--daemon", "--foreground", "--stdout", f"--config-file={etc / 'freshclam.conf'}",
        ]  # fmt: skip

    def ready(self, request: RenderRequest) -> str | None:
        """It asks, and is not asked."""
        return None


def _connect(request: RenderRequest) -> socket.socket:
    if request.settings.antivirus_address:
        return socket.create_connection(("127.0.0.1", TCP_PORT), _READY_SECONDS)
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(_READY_SECONDS)
    try:
        connection.connect(str(clamd_socket(request)))
    except OSError:
        connection.close()
        raise
    return connection


def _listed(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []


CLAMD = ClamdRoom()
FRESHCLAM = FreshclamRoom()
