"""Radicale on a unix socket, for nginx only: ``server.py CONFIG KEY SOCKET-OR-PORT``, or ``--check CONFIG``.

nginx proves itself by a key and says who the user is. Nothing else that a client can write decides about names, paths
or rights: headers that Radicale would believe from a proxy are taken away here.
"""

from __future__ import annotations

import contextlib
import hmac
import os
import signal
import socket
import socketserver
import sys
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from wsgiref.simple_server import ServerHandler, WSGIRequestHandler, WSGIServer

from radicale import config
from radicale import log as radicale_log
from radicale.app import Application

PREFIX = "/webdav"
MOST_AT_ONCE = 16
IDLE_SECONDS = 30.0
_NOT_BELIEVED = (
    "HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_HOST", "HTTP_X_FORWARDED_PORT", "HTTP_X_FORWARDED_PROTO",
    "HTTP_X_FORWARDED_SERVER", "HTTP_X_REMOTE_ADDR", "HTTP_X_SCRIPT_NAME", "HTTP_AUTHORIZATION", "HTTP_REMOTE_USER",
    "HTTP_X_MAILU_SECRET",
)  # fmt: skip


class Gate:
    """The WSGI application: lets nginx in, and hands Radicale nothing but what nginx has made sure of."""

    def __init__(self, application: Any, key: str) -> None:
        self._application, self._key = application, key.encode()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if environ.get("PATH_INFO") == "/ready" and "HTTP_X_MAILU_SECRET" not in environ:
            return _say(start_response, "200 OK", b"ready\n")
        given = environ.get("HTTP_X_MAILU_SECRET", "").encode("latin-1", "replace")
        user = _user(environ.get("HTTP_X_REMOTE_USER", ""))
        if not hmac.compare_digest(given, self._key) or not user:
            return _say(start_response, "403 Forbidden", b"Only the web server may ask here.\n")
        environ["wsgi.url_scheme"] = "http" if environ.get("HTTP_X_FORWARDED_PROTO") == "http" else "https"
        for name in _NOT_BELIEVED:
            environ.pop(name, None)
        environ["HTTP_X_REMOTE_USER"] = user
        environ["SCRIPT_NAME"] = PREFIX
        answer: Iterable[bytes] = self._application(environ, start_response)
        return answer


def _user(header: str) -> str:
    """The address of nginx' header: its octets are UTF-8. Empty for one that cannot be a folder's name."""
    try:
        user = header.encode("latin-1").decode("utf-8").lower()
    except UnicodeError:
        return ""
    return "" if user.startswith(".") or not user.isprintable() or "/" in user or "@" not in user else user


def _say(start_response: Any, status: str, text: bytes) -> list[bytes]:
    start_response(status, [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(text)))])
    return [text]


class _Handler(WSGIRequestHandler):
    """One request. Its line is in nginx' log already."""

    timeout = IDLE_SECONDS

    def address_string(self) -> str:
        return "nginx"

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def get_environ(self) -> dict[str, Any]:
        self.client_address = ("127.0.0.1", 0)
        return super().get_environ()

    def handle(self) -> None:
        with contextlib.suppress(OSError):
            super().handle()


class Server(socketserver.ThreadingMixIn, WSGIServer):
    """A thread for each request, a bounded number of them; the others wait in the kernel's queue."""

    daemon_threads = True
    request_queue_size = 64
    _places = threading.BoundedSemaphore(MOST_AT_ONCE)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._places.acquire()
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._places.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no event."""
        print(f"a request failed: {sys.exc_info()[1]!r}", file=sys.stderr)


class UnixServer(Server):
    """The same on a unix socket."""

    address_family = socket.AF_UNIX

    def server_bind(self) -> None:
        Path(str(self.server_address)).unlink(missing_ok=True)
        self.socket.bind(self.server_address)
        Path(str(self.server_address)).chmod(0o666)
        self.server_name, self.server_port = "localhost", 0
        self.setup_environ()


def make_server(application: Any, where: str) -> Server:
    """A server on a path, or on a TCP port of all addresses."""
    at_port = where.isdigit()
    server = Server(("", int(where)), _Handler) if at_port else UnixServer(where, _Handler)  # type: ignore[arg-type]
    server.set_app(application)
    return server


def load_application(path: str) -> Any:
    """Radicale with this configuration. Raises RuntimeError."""
    configuration = config.load([(path, False)])
    radicale_log.setup()
    radicale_log.set_level(configuration.get("logging", "level"), False)
    return Application(configuration)


def main(arguments: list[str]) -> int:
    """Serve until told to end."""
    if arguments[:1] == ["--check"]:
        config.load([(arguments[1], False)])
        return 0
    path, key, where = arguments
    os.umask(0o077)
    server = make_server(Gate(load_application(path), Path(key).read_text(encoding="ascii")), where)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: threading.Thread(target=server.shutdown).start())
    server.serve_forever(poll_interval=1.0)
    return 0


ServerHandler.server_software = "Mailu"

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
