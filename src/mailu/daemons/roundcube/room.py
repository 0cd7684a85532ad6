"""Roundcube under php-fpm, behind the sign-on.

PHP runs as a user of its own, which nginx' group can reach and which can reach the mail server's doors for session
tokens, its own database and nothing else. There is no log-in form: nginx says who has signed on.
"""

from __future__ import annotations

import re
import socket
import struct
import subprocess
from collections.abc import Sequence
from pathlib import Path

from mailu.daemons.room import CheckResult, ConfigFile, Folder, OverrideError, Reload, RenderRequest
from mailu.daemons.roundcube import values
from mailu.daemons.template import fill
from mailu.settings import Settings

PACKAGE = "mailu.daemons.roundcube"
USER = "mailu-webmail"
ROUNDCUBE = Path("/usr/share/roundcube")
DISTRIBUTION = Path("/etc/roundcube")

_OVERRIDE = re.compile(r"[A-Za-z0-9_.-]+\.inc(?:\.php)?")
_LEVELS = {"DEBUG": "debug", "INFO": "notice", "WARNING": "warning", "ERROR": "error", "CRITICAL": "alert"}
_CHECK_SECONDS = 30
_READY_SECONDS = 1.0
_PING = {"REQUEST_METHOD": "GET", "SCRIPT_NAME": "/ping", "SCRIPT_FILENAME": "/ping"}
_BASE_DIRS = (
    "/usr/share/roundcube", "/var/lib/roundcube", "/etc/roundcube", "/usr/share/php", "/usr/share/javascript",
    "/usr/share/tinymce", "/usr/share/nodejs", "/usr/share/misc",
)  # fmt: skip


class RoundcubeRoom:
    """The room of the service ``webmail``."""

    name = "webmail"
    overrides_folder: str | None = "roundcube"
    reload: Reload = "restart"

    def folders(self, request: RenderRequest) -> list[Folder]:
        """Database and keys, temporary files, and the folder of the socket."""
        run = request.places.service(self.name)
        return [
            Folder(request.places.webmail, USER, USER, 0o750),
            Folder(_keys(request), USER, USER, 0o700),
            Folder(run, USER, "www-data", 0o750),
            Folder(_temp(request), USER, USER, 0o700),
        ]

    def render(self, request: RenderRequest) -> dict[str, ConfigFile]:
        """php-fpm, PHP, Roundcube, our plug-in, the operator's files."""
        overrides = _overrides(request)
        plugins, _missing = values.plugins(request.settings)
        files = {
            "fpm.conf": ConfigFile(_fpm(request)),
            "php.ini": ConfigFile(_php_ini(request, plugins)),
            "prepend.php": ConfigFile(fill(PACKAGE, "templates/prepend.php", etc=request.etc)),
            "config.inc.php": ConfigFile(_config(request, plugins, sorted(overrides)), 0o640, "root", USER),
            "defaults.inc.php": ConfigFile(f"<?php\ninclude '{DISTRIBUTION}/defaults.inc.php';\n"),
            "mimetypes.php": ConfigFile(f"<?php\nreturn include '{DISTRIBUTION}/mimetypes.php';\n"),
        }
        files |= {f"plugins/{values.OWN_PLUGIN}/{name}": ConfigFile(text) for name, text in _own_plugin().items()}
        return files | {f"overrides/{name}": ConfigFile(text, 0o640, "root", USER) for name, text in overrides.items()}

    def check(self, request: RenderRequest) -> CheckResult:
        """Let PHP read everything, and put the distribution's plug-ins beside ours: Roundcube knows one folder."""
        plugins, missing = values.plugins(request.settings)
        _link_plugins(request.etc / "plugins", plugins)
        server, program = values.php_server(request.host), values.php_program(request.host)
        checks: list[Sequence[str]] = [
            [server, "-t", "-y", str(request.etc / "fpm.conf"), "-c", str(request.etc / "php.ini")],
            *([program, "-n", "-l", str(path)] for path in _scripts(request.etc)),
        ]
        problems = [text for command in checks if (text := _complaint(command))]
        if not problems and not values.dsn(request.settings).startswith("sqlite:"):
            problems += _make_tables(request, program)
        notes = [f"ROUNDCUBE_PLUGINS: {name} is not installed" for name in missing if _tell_of(name, request.settings)]
        return CheckResult(tuple(problems), tuple(notes))

    def command(self, request: RenderRequest, etc: Path) -> list[str]:
        """php-fpm's master in the foreground."""
        server = values.php_server(request.host)
        return [server, "--nodaemonize", "-y", str(etc / "fpm.conf"), "-c", str(etc / "php.ini")]

    def environment(self, request: RenderRequest) -> dict[str, str]:
        """Nothing; the workers' variables stand in fpm.conf."""
        return {}

    def user(self) -> str | None:
        """None: the master makes the socket and gives the workers their user."""
        return None

    def ready(self, request: RenderRequest) -> str | None:
        """A worker answers."""
        try:
            return _ping(_socket(request))
        except OSError as error:
            return f"no answer: {error}"


def _socket(request: RenderRequest) -> Path:
    return request.places.webmail_php


def _temp(request: RenderRequest) -> Path:
    return request.places.service(RoundcubeRoom.name) / "tmp"


def _keys(request: RenderRequest) -> Path:
    """People's OpenPGP keys; where Mailu kept them."""
    return request.places.webmail / "gpg"


def _fpm(request: RenderRequest) -> str:
    settings = request.settings
    return fill(
        PACKAGE,
        "templates/fpm.conf",
        run=request.places.service(RoundcubeRoom.name),
        etc=request.etc,
        user=USER,
        socket=_socket(request),
        temp=_temp(request),
        level=_LEVELS[settings.log_level],
        children=3 if settings.small_host else max(6, 4 * request.host.cpus),
    )


def _php_ini(request: RenderRequest, plugins: list[str]) -> str:
    settings, places = request.settings, request.places
    return fill(
        PACKAGE,
        "templates/php.ini",
        etc=request.etc,
        temp=_temp(request),
        open_basedir=[places.service(RoundcubeRoom.name), places.webmail, *_BASE_DIRS],
        disabled=values.disabled_functions(plugins),
        upload_mib=values.upload_mib(settings),
        memory_mib=values.memory_mib(settings),
        secure=settings.secure_cookies,
        timezone=settings.tz,
        small=settings.small_host,
    )


def _config(request: RenderRequest, plugins: list[str], overrides: list[str]) -> str:
    settings = request.settings
    scheme, servers = values.servers(request)
    admin = settings.web_admin if settings.admin else ""
    return fill(
        PACKAGE,
        "templates/config.inc.php",
        q=values.quoted,
        etc=request.etc,
        temp=_temp(request),
        keys=_keys(request),
        dsn=values.dsn(settings),
        key=settings.service_key("ROUNDCUBE"),
        hostname=settings.hostname,
        host_patterns=[f"^{re.escape(name)}$" for name in settings.hostnames],
        scheme=scheme,
        **servers,
        session_minutes=max(10, settings.permanent_session_lifetime // 60),
        prefix=f"{settings.web_webmail.rstrip('/')}/",
        secure=settings.secure_cookies,
        message_bytes=settings.message_size_limit,
        product=f"{settings.sitename} Webmail",
        support_url=settings.contact_url or "",
        logo=settings.logo_url or "",
        spelling=values.spelling(request.host),
        plugins=plugins,
        admin_url=f"{admin}/" if admin else "",
        password_url=f"{admin}/user/password" if admin else "",
        overrides=overrides,
    )


def _overrides(request: RenderRequest) -> dict[str, str]:
    """The operator's files, with the mark that PHP begins at. Raises OverrideError for another kind of file."""
    found = {}
    for name, text in request.overrides.items():
        if not _OVERRIDE.fullmatch(name):
            raise OverrideError(f"overrides/roundcube/{name}: expected NAME.inc.php or NAME.inc in the folder itself")
        found[name] = text if text.lstrip().startswith("<?php") else f"<?php\n{text}"
    return found


def _own_plugin() -> dict[str, str]:
    folder = Path(__file__).with_name("plugin")
    return {
        path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8")
        for path in sorted(folder.rglob("*"))
        if path.suffix in (".php", ".inc")
    }


def _link_plugins(folder: Path, names: list[str]) -> None:
    """Plug-ins that a plug-in needs are beside it too: Roundcube loads those by name."""
    for source in sorted(values.PLUGINS.iterdir()) if names else []:
        link = folder / source.name
        if source.is_dir() and not link.is_symlink() and not link.exists():
            link.symlink_to(source)


def _scripts(etc: Path) -> list[Path]:
    return [etc / "config.inc.php", *sorted((etc / "overrides").glob("*.inc*"))]


def _complaint(command: Sequence[str]) -> str:
    """What a checker found wrong; empty when nothing."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=_CHECK_SECONDS, check=False)
    if done.returncode == 0:
        return ""
    lines = [line.strip() for line in (done.stderr + done.stdout).splitlines() if line.strip()]
    return " / ".join(lines[:3]) or f"{command[0]} ended with {done.returncode}"


def _make_tables(request: RenderRequest, program: str) -> list[str]:
    """Roundcube makes its tables in SQLite itself, elsewhere it does not."""
    script = Path(__file__).with_name("tables.php")
    command = [
        "/usr/sbin/runuser", "-u", USER, "--", "/usr/bin/env", f"ROUNDCUBE_CONFIG_DIR={request.etc}",
        program, "-d", f"auto_prepend_file={request.etc}/prepend.php", "-r", script.read_text(encoding="utf-8"),
    ]  # fmt: skip
    text = _complaint(command)
    return [f"the database of the webmail: {text}"] if text else []


def _tell_of(name: str, settings: Settings) -> bool:
    """Contacts are in Radicale; the plug-in for them is in no Debian release, which is no news in each log."""
    return name != "carddav" or settings.webdav is not None


def _ping(path: Path) -> str | None:
    """Ask php-fpm's ping page. Source: FastCGI Specification 1.0, s3.3 and s8."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(_READY_SECONDS)
        connection.connect(str(path))
        connection.sendall(
            _fastcgi_request({"REQUEST_METHOD": "GET", "SCRIPT_NAME": "/ping", "SCRIPT_FILENAME": "/ping"})
        )
        answer = b""
        while b"pong" not in answer and (more := connection.recv(4096)):
            answer += more
    return None if b"pong" in answer else f"php-fpm answered {answer[:80]!r}"


def _fastcgi_request(parameters: dict[str, str]) -> bytes:
    pairs = b"".join(
        bytes((len(name), len(value))) + name.encode() + value.encode() for name, value in parameters.items()
    )
    begin = _record(1, struct.pack(">HB5x", 1, 0))
    return begin + _record(4, pairs) + _record(4, b"") + _record(5, b"")


def _record(kind: int, content: bytes) -> bytes:
    return struct.pack(">BBHHBx", 1, kind, 1, len(content), 0) + content


ROOM = RoundcubeRoom()
