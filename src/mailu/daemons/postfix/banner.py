"""Ask Postfix's listeners for their greeting: a port that connects is not yet a server that answers."""

from __future__ import annotations

import socket
from pathlib import Path

from mailu.daemons.asking import any_certificate, reachable
from mailu.daemons.postfix.listeners import Listener, endpoint, listeners
from mailu.daemons.room import RenderRequest

TIMEOUT_SECONDS = 1.0
INJECT = "inject"
GREETING = b"220 "


def ask(request: RenderRequest) -> str | None:
    """None when every listener greets with 220, else which does not, and what it does instead.

    A port that only a proxy may speak to (it refuses us) is known to be ready by the service that needs no port.
    """
    found = listeners(request.settings, ipv6=request.host.ipv6)
    reasons = [_ask_port(listener) for listener in found if not listener.gated]
    if any(listener.gated for listener in found) or not found:
        reasons.append(_ask_inject(request.places.mail_queue))
    return next((reason for reason in reasons if reason is not None), None)


def _ask_port(listener: Listener) -> str | None:
    where = endpoint(listener.address, listener.port)
    try:
        with socket.create_connection((reachable(listener.address), listener.port), TIMEOUT_SECONDS) as plain:
            if not listener.implicit_tls:
                return _greets(plain, where)
            with any_certificate().wrap_socket(plain) as encrypted:
                return _greets(encrypted, where)
    except OSError as error:
        return f"{where} does not answer: {error}"


def _ask_inject(queue: Path) -> str | None:
    path = queue / "public" / INJECT
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(TIMEOUT_SECONDS)
            connection.connect(str(path))
            return _greets(connection, str(path))
    except OSError as error:
        return f"{path} does not answer: {error}"


def _greets(connection: socket.socket, where: str) -> str | None:
    line = connection.recv(1024)
    if line.startswith(GREETING):
        connection.sendall(b"QUIT\r\n")
        return None
    return f"{where} greets with {line!r}"
