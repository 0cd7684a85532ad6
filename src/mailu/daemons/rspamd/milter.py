"""Whether a running Rspamd answers: the first exchange of the milter protocol, and a ping of what stands behind it."""

from __future__ import annotations

import socket
import struct
from pathlib import Path

_SECONDS = 1.0
_OPTION_NEGOTIATION = b"O"
_QUIT = b"Q"
_VERSION = 6
_ALL_ACTIONS = 0x1FF
_NO_STEPS_LEFT_OUT = 0


def packet(command: bytes, data: bytes = b"") -> bytes:
    """Return one packet: its length without the length itself, a letter, data. Source: libmilter, mfdef.h."""
    return struct.pack("!I", 1 + len(data)) + command + data


def negotiation() -> bytes:
    """Return the packet that an MTA begins with."""
    return packet(_OPTION_NEGOTIATION, struct.pack("!III", _VERSION, _ALL_ACTIONS, _NO_STEPS_LEFT_OUT))


def ask_milter(path: Path) -> str | None:
    """Return None when a milter on the socket *path* answers the negotiation, else why not."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(_SECONDS)
            connection.connect(str(path))
            connection.sendall(negotiation())
            answer = connection.recv(64)
            connection.sendall(packet(_QUIT))
    except OSError as error:
        return f"Rspamd does not answer on {path}: {error.strerror or error}"
    return None if answer[4:5] == _OPTION_NEGOTIATION else f"Rspamd answers {answer[:16]!r} to a milter's greeting"


def ask_worker(path: Path) -> str | None:
    """Return None when a worker that speaks HTTP answers a ping on the socket *path*, else why not."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(_SECONDS)
            connection.connect(str(path))
            connection.sendall(b"GET /ping HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            answer = connection.recv(64)
    except OSError as error:
        return f"Rspamd does not answer on {path}: {error.strerror or error}"
    return None if answer.startswith(b"HTTP/1.1 200") else f"Rspamd answers {answer[:16]!r} to a ping on {path}"
