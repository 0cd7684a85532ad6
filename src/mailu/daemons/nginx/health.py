"""Ask a running nginx whether it answers: GET /health on the first port that it has open."""

from __future__ import annotations

import socket

from mailu.daemons.asking import any_certificate, reachable
from mailu.settings import Settings

_SECONDS = 1.0


def ask_health(settings: Settings) -> str | None:
    """Return None when nginx answers 204, else why not. True to its word where no web port is open at all."""
    port = next((port for port in (80, 443) if port in settings.listening_ports), None)
    if port is None or not settings.bind_addresses:
        return None
    address = reachable(settings.bind_addresses[0])
    try:
        status = _status_line(address, port, settings)
    except OSError as error:
        return f"nginx does not answer on {address} port {port}: {error.strerror or error}"
    return None if status.split(" ")[1:2] == ["204"] else f"nginx answers {status!r} for /health"


def _status_line(address: str, port: int, settings: Settings) -> str:
    with socket.create_connection((address, port), _SECONDS) as connection:
        if port in settings.proxy_protocol:
            # From nobody: what a load balancer's own health check says.
            connection.sendall(b"PROXY UNKNOWN\r\n")
        if port in settings.tls_listening_ports:
            with any_certificate().wrap_socket(connection, server_hostname=settings.hostname) as encrypted:
                return _ask(encrypted, settings)
        return _ask(connection, settings)


def _ask(connection: socket.socket, settings: Settings) -> str:
    connection.sendall(f"GET /health HTTP/1.1\r\nHost: {settings.hostname}\r\nConnection: close\r\n\r\n".encode())
    answer = b""
    while b"\r\n" not in answer:
        received = connection.recv(1024)
        if not received:
            break
        answer += received
    return answer.partition(b"\r\n")[0].decode("ascii", "replace")
