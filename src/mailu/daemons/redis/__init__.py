"""The room of Redis: limits, web sessions, the filter's statistics.

Redis listens on a unix socket that anybody on the machine may open, and asks for a password that is derived from the
secret key (``Settings.service_key("REDIS")``). Where REDIS_ADDRESS tells the other services to look for it on the
network it listens on TCP as well.
"""

from __future__ import annotations

import re
import socket
import subprocess
from pathlib import Path

from mailu.daemons.room import CheckResult, ConfigFile, Folder, Reload, RenderRequest
from mailu.daemons.template import fill
from mailu.settings import Settings

SERVER = "/usr/bin/redis-server"
USER = "redis"
TCP_PORT = 6379

_MEMORY_MIB = 256
_SMALL_MEMORY_MIB = 64
_READY_SECONDS = 1.0
_DUMP_HEADER = re.compile(rb"REDIS(\d{4})")
_DUMP_FORMATS = ((7, 4, 12), (7, 2, 11), (7, 0, 10))
"""Redis major and minor version, and the newest dump format (rdb.h, RDB_VERSION) that it reads."""
_OLDEST_DUMP_FORMAT = 9


def password(settings: Settings) -> str:
    """What every client of Redis sends: 64 hexadecimal digits."""
    return settings.service_key("REDIS")


class Redis:
    """One Redis for everything; each use has a database number of its own."""

    name = "redis"
    overrides_folder: str | None = "redis"
    reload: Reload = "restart"  # Redis reads its configuration once.

    def folders(self, request: RenderRequest) -> list[Folder]:
        """Its files, and the folder of its socket."""
        return [
            Folder(request.places.redis, USER, USER, 0o750),
            Folder(request.places.redis_socket.parent, USER, USER, 0o755),
        ]

    def render(self, request: RenderRequest) -> dict[str, ConfigFile]:
        """``redis.conf``; the operator's ``*.conf`` files come last and win."""
        settings = request.settings
        text = fill(
            __name__,
            "redis.conf",
            socket=request.places.redis_socket,
            folder=request.places.redis,
            password=password(settings),
            port=TCP_PORT if settings.redis_address else 0,
            ipv6=request.host.ipv6,
            memory_mib=_SMALL_MEMORY_MIB if settings.small_host else _MEMORY_MIB,
            level="debug" if settings.log_level == "DEBUG" else "notice",
        )
        for name, override in sorted(request.overrides.items()):
            if name.endswith(".conf"):
                text += f"\n# overrides/redis/{name}\n{override.rstrip()}\n"
        return {"redis.conf": ConfigFile(text, mode=0o640, group=USER)}

    def check(self, request: RenderRequest) -> CheckResult:
        """Redis has no checker. What would keep it from starting is a dump of a newer version: it is put aside.

        A root that ran in containers may hold one. Limits and sessions in it are short-lived; learned spam statistics
        are the loss, and the note says so.
        """
        note = put_aside_newer_dump(request.places.redis / "dump.rdb", newest_dump_format(_version()))
        return CheckResult(notes=(note,) if note else ())

    def command(self, request: RenderRequest, etc: Path) -> list[str]:
        """Redis in the foreground."""
        return [SERVER, str(etc / "redis.conf")]

    def environment(self, request: RenderRequest) -> dict[str, str]:
        """Nothing beside the usual."""
        return {}

    def user(self) -> str | None:
        """Redis does not drop rights by itself."""
        return USER

    def ready(self, request: RenderRequest) -> str | None:
        """Log in and ask for PONG; while it loads its data the answer is LOADING."""
        try:
            answer = _ask(request.places.redis_socket, f"AUTH {password(request.settings)}\r\nPING\r\n")
        except OSError as error:
            return f"Redis does not answer on {request.places.redis_socket}: {error.strerror or error}"
        return None if answer == "+OK\r\n+PONG\r\n" else f"Redis answers {answer.strip() or 'nothing'}"


def _ask(path: Path, command: str) -> str:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(_READY_SECONDS)
        connection.connect(str(path))
        connection.sendall(command.encode("ascii"))
        answer = b""
        while answer.count(b"\r\n") < command.count("\r\n"):
            received = connection.recv(4096)
            if not received:
                break
            answer += received
    return answer.decode("ascii", "replace")


def newest_dump_format(version: tuple[int, int]) -> int:
    """The newest dump format that a Redis of *version* reads."""
    return next((newest for *least, newest in _DUMP_FORMATS if version >= tuple(least)), _OLDEST_DUMP_FORMAT)


def put_aside_newer_dump(dump: Path, newest: int) -> str | None:
    """Rename *dump* when its format is newer than *newest*; returns a sentence about it, None when all is well."""
    try:
        with dump.open("rb") as stream:
            header = _DUMP_HEADER.match(stream.read(9))
    except OSError:
        return None
    if header is None or int(header[1]) <= newest:
        return None
    aside = dump.with_name(f"{dump.name}.format-{int(header[1])}")
    dump.rename(aside)
    return (
        f"{dump} was written by a newer Redis (format {int(header[1])}, this one reads {newest}) and was renamed to "
        f"{aside.name}; Redis starts empty, and the spam filter's statistics have to be learned again"
    )


def _version() -> tuple[int, int]:
    said = subprocess.run([SERVER, "--version"], capture_output=True, text=True, timeout=10, check=True).stdout
    found = re.search(r"v=(\d+)\.(\d+)", said)
    return (int(found[1]), int(found[2])) if found else (0, 0)


ROOM = Redis()
