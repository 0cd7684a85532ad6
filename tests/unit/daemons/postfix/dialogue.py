"""An SMTP client that says exactly what a test wants, line ends included."""

from __future__ import annotations

import base64
import socket
import ssl
from types import TracebackType
from typing import Self

SECONDS = 15.0


class Dialogue:
    """One connection. Replies are whole: code and text, lines joined with a line end."""

    def __init__(
        self, address: str, port: int, *, source: str | None = None, tls: bool = False, first: bytes = b""
    ) -> None:
        where = (source, 0) if source else None
        self._socket = socket.create_connection((address, port), SECONDS, source_address=where)
        try:
            if first:
                self._socket.sendall(first)
            if tls:
                self._socket = unverified().wrap_socket(self._socket)
            self._stream = self._socket.makefile("rb")
            self.greeting = self.reply()
        except BaseException:
            self._socket.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        self._stream.close()
        self._socket.close()

    def reply(self) -> str:
        """The next reply; empty when the server has closed."""
        lines = []
        while True:
            try:
                line = self._stream.readline().decode("utf-8", "replace").rstrip("\r\n")
            except ConnectionResetError:
                line = ""
            lines.append(line)
            if line[3:4] != "-":
                return "\n".join(lines)

    def send(self, data: bytes) -> None:
        """Bytes as they are."""
        self._socket.sendall(data)

    def say(self, command: str) -> str:
        """One command, and the reply to it."""
        self.send(command.encode() + b"\r\n")
        return self.reply()

    def start_tls(self) -> None:
        """STARTTLS and a new EHLO."""
        assert self.say("STARTTLS").startswith("220")
        self._stream.close()
        self._socket = unverified().wrap_socket(self._socket)
        self._stream = self._socket.makefile("rb")
        self.say("EHLO client.example")

    def log_in(self, user: str, password: str) -> str:
        """AUTH PLAIN."""
        return self.say("AUTH PLAIN " + base64.b64encode(f"\0{user}\0{password}".encode()).decode())

    def mail(
        self, sender: str, *recipients: str, body: bytes = b"Subject: test\r\n\r\ntext\r\n", options: str = ""
    ) -> str:
        """A whole transaction; the first refusal, or the reply to the end of data."""
        replies = [self.say(f"MAIL FROM:<{sender}>{options}")]
        replies += [self.say(f"RCPT TO:<{recipient}>") for recipient in recipients]
        for reply in replies:
            if not reply.startswith("250"):
                return reply
        assert self.say("DATA").startswith("354")
        self.send(body + b".\r\n")
        return self.reply()


def unverified() -> ssl.SSLContext:
    """A client context that takes any certificate and any version of TLS that OpenSSL still has."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
