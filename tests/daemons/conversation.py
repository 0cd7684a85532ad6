"""Speaking to a server below the level of client libraries: the API, and SMTP word by word."""

from __future__ import annotations

import asyncio
import base64
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any
from urllib.parse import quote

import httpx

from tests.daemons.server import MANAGER, PASSWORD, Server, trusting, until

API_TOKEN = "the-token-of-the-operator"
WILDCARD_SENDER = MANAGER
WITH_API = {"API": "true", "API_TOKEN": API_TOKEN, "WILDCARD_SENDERS": WILDCARD_SENDER}


def api(server: Server, method: str, path: str, **body: Any) -> Any:
    """Call the REST API through nginx. Fails on everything but success."""
    answer = httpx.request(
        method,
        f"https://{server.address}/api/v1{quote(path, safe='/?=')}",
        json=body or None,
        headers={"Authorization": f"Bearer {API_TOKEN}", "Host": f"mail.{server.domain}"},
        verify=False,
        timeout=30,
    )
    assert answer.status_code == 200, f"{method} {path}: {answer.status_code} {answer.text}"
    return answer.json()


class SmtpWords:
    """One SMTP connection, a line at a time."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self._file = connection.makefile("rb")

    def hear(self) -> tuple[int, str]:
        """The next reply, all its lines; code 0 when the server has closed the connection."""
        lines = []
        while line := self._file.readline():
            lines.append(line.decode(errors="replace").rstrip("\r\n"))
            if line[3:4] != b"-":
                return int(line[:3]), "\n".join(text[4:] for text in lines)
        return 0, "\n".join(lines)

    def say(self, line: str | bytes) -> tuple[int, str]:
        """Send one line, or whatever octets, and return the reply."""
        self.send(line)
        return self.hear()

    def send(self, line: str | bytes) -> None:
        """Send without waiting."""
        self.socket.sendall(line if isinstance(line, bytes) else line.encode() + b"\r\n")

    def start_tls(self, context: ssl.SSLContext | None = None) -> None:
        """STARTTLS, and go on encrypted."""
        assert self.say("STARTTLS")[0] == 220
        self.socket = (context or trusting()).wrap_socket(self.socket)
        self._file = self.socket.makefile("rb")

    def close(self) -> None:
        """Hang up, whatever the connection has become."""
        self._file.close()
        self.socket.close()

    def log_in(self, login: str, password: str = PASSWORD) -> tuple[int, str]:
        """AUTH PLAIN."""
        return self.say("AUTH PLAIN " + base64.b64encode(f"\0{login}\0{password}".encode()).decode())


@contextmanager
def smtp_words(address: str, port: int = 25, *, source: str | None = None, prefix: bytes = b"") -> Iterator[SmtpWords]:
    """A connection that has read the greeting and said EHLO; *prefix* is sent before everything else."""
    opened = socket.create_connection((address, port), 20, source_address=(source, 0) if source else None)
    if port == 465:
        opened = trusting().wrap_socket(opened)
    with opened:
        words = SmtpWords(opened)
        if prefix:
            words.send(prefix)
        code, text = words.hear()
        if code == 220:
            code, text = words.say("EHLO client.example.org")
        assert code == 250, f"{code} {text}"
        with closing(words):
            yield words


def wait_for_recipient(server: Server, address: str, code: int = 250) -> None:
    """Wait until port 25 answers RCPT TO for *address* with *code*: a change is in effect within a second."""

    def answered() -> bool:
        with smtp_words(server.address) as words:
            words.say("MAIL FROM:<stranger@example.org>")
            return words.say(f"RCPT TO:<{address}>")[0] == code

    until(answered, what=f"{code} for {address}")


@contextmanager
def elsewhere(address: str) -> Iterator[tuple[int, list[tuple[str, str]]]]:
    """Another mail server, which takes everything: its port, and envelope senders and recipients as they come."""
    envelopes: list[tuple[str, str]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sender = ""
        writer.write(b"220 sink.example.net ESMTP\r\n")
        while line := (await reader.readline()).decode().strip("\r\n"):
            verb, path = line[:4].upper(), line.partition("<")[2].partition(">")[0]
            if verb == "DATA":
                writer.write(b"354 go on\r\n")
                await writer.drain()
                await reader.readuntil(b"\r\n.\r\n")
            elif verb == "MAIL":
                sender = path
            elif verb == "RCPT":
                envelopes.append((sender, path))
            writer.write(b"250 2.0.0 Ok\r\n" if verb != "QUIT" else b"221 2.0.0 Bye\r\n")
            await writer.drain()
            if verb == "QUIT":
                break
        writer.close()

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    server = asyncio.run_coroutine_threadsafe(asyncio.start_server(serve, address, 0), loop).result(5)
    try:
        yield server.sockets[0].getsockname()[1], envelopes
    finally:
        loop.call_soon_threadsafe(server.close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)
        loop.close()
