"""Ask Dovecot's listeners for their greeting: a port that connects is not yet a server that answers."""

from __future__ import annotations

import socket
from pathlib import Path

from mailu.daemons.asking import any_certificate, reachable
from mailu.daemons.dovecot.listeners import Listener, addresses, logins
from mailu.daemons.room import RenderRequest

TIMEOUT_SECONDS = 1.0
_GREETINGS = {"imap": b"* OK", "imaps": b"* OK", "pop3": b"+OK", "pop3s": b"+OK", "sieve": b'"'}
_GOODBYES = {"imap": b"a LOGOUT\r\n", "pop3": b"QUIT\r\n", "sieve": b"LOGOUT\r\n"}


def ask(request: RenderRequest) -> str | None:
    """None when LMTP and every listener greet, else which does not, and what it does instead.

    A port that a proxy speaks to refuses us; its service is the same as that of the other ports.
    """
    reason = _ask_lmtp(request.places.lmtp)
    if reason is not None:
        return reason
    bound = addresses(request.settings, ipv6=request.host.ipv6)
    for login in logins(request.settings, processors=request.host.cpus):
        for listener in login.open_listeners:
            for address in () if listener.proxied else bound:
                if (reason := _ask_port(listener, address)) is not None:
                    return reason
    return None


def _ask_lmtp(path: Path) -> str | None:
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(TIMEOUT_SECONDS)
            connection.connect(str(path))
            return _greets(connection, str(path), b"220 ", b"QUIT\r\n")
    except OSError as error:
        return f"{path} does not answer: {error}"


def _ask_port(listener: Listener, address: str) -> str | None:
    where = f"[{address}]:{listener.port}" if ":" in address else f"{address}:{listener.port}"
    greeting, goodbye = _GREETINGS[listener.name], _GOODBYES[listener.name.removesuffix("s")]
    try:
        with socket.create_connection((reachable(address), listener.port), TIMEOUT_SECONDS) as plain:
            if not listener.implicit_tls:
                return _greets(plain, where, greeting, goodbye)
            with any_certificate().wrap_socket(plain) as encrypted:
                return _greets(encrypted, where, greeting, goodbye)
    except OSError as error:
        return f"{where} does not answer: {error}"


def _greets(connection: socket.socket, where: str, greeting: bytes, goodbye: bytes) -> str | None:
    line = connection.recv(1024)
    if line.startswith(greeting):
        connection.sendall(goodbye)
        return None
    return f"{where} greets with {line!r}"
