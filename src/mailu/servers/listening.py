"""Unix sockets: made where the agent made a folder, replaced only when nobody answers on them."""

from __future__ import annotations

import socket
import stat
from pathlib import Path

BACKLOG = 1_024
"""Postfix connects once a process; a burst of new processes must find room. The kernel caps it at somaxconn."""

MAX_PATH_BYTES = 107
"""sun_path has 108 bytes with its end (unix(7))."""


class AddressInUse(OSError):
    """Somebody answers on the socket already; the text names it."""


def listen_unix(path: Path) -> socket.socket:
    """Return a listening socket at *path*, mode 0666; the folder decides who may reach it.

    Makes the folder (0755) if it is missing. A file left behind by a process that died is replaced; raises
    AddressInUse when one answers there, and OSError when the path is too long or something else stands there.
    """
    if len(bytes(path)) > MAX_PATH_BYTES:
        raise OSError(f"the socket path {path} is longer than {MAX_PATH_BYTES} bytes; use a shorter ROOT")
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_stale(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(str(path))
        path.chmod(0o666)
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    return listener


def listen_loopback(port: int, host: str = "127.0.0.1") -> socket.socket:
    """Return a listening TCP socket on a loopback address. Raises OSError if the port is taken."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    return listener


def _remove_stale(path: Path) -> None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise OSError(f"{path} is there and is not a socket")
    if _answers(path):
        raise AddressInUse(f"another process answers on {path}")
    path.unlink(missing_ok=True)


def _answers(path: Path) -> bool:
    """Whether somebody listens; a full backlog counts, since only a living process has one."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except TimeoutError:
            return True
    return True
