"""Stand-ins for those who live around Postfix: a server of mailboxes (LMTP), another mail server, a filter (milter)."""

from __future__ import annotations

import asyncio
import base64
import ssl
import struct
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message that arrived: MAIL and RCPT as they were said, with their parameters, and the text."""

    mail: str
    recipients: tuple[str, ...]
    text: bytes
    login: str = ""
    """Who had logged in on that connection."""

    @property
    def sender(self) -> str:
        """The envelope sender."""
        return self.mail.partition("<")[2].partition(">")[0]


@dataclass
class Inbox:
    """Messages that somebody took."""

    deliveries: list[Delivery] = field(default_factory=list)
    log_ins: list[str] = field(default_factory=list)
    """AUTH commands."""
    offered: list[str] = field(default_factory=list)
    """Every recipient that was named, with a message or without."""
    known: set[str] | None = None
    """Who is taken mail for; None: everybody."""
    away: bool = False
    """Hang up on whoever connects."""
    pause_seconds: float = 0.0
    """Between having a message and saying so."""

    def wait(self, word: str, seconds: float = 10.0) -> Delivery:
        """The message whose text or envelope has *word* in it. Raises AssertionError when none comes."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            for delivery in list(self.deliveries):
                if (
                    word.encode() in delivery.text
                    or word in delivery.mail
                    or any(word in to for to in delivery.recipients)
                ):
                    return delivery
            time.sleep(0.02)
        raise AssertionError(f"nothing with {word!r} arrived")

    def has(self, word: str) -> bool:
        """Whether such a message is there already."""
        return any(word.encode() in delivery.text for delivery in list(self.deliveries))


class Neighbours:
    """An event loop in a thread, and the servers in it."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._servers: list[asyncio.Server] = []
        self._writers: set[asyncio.StreamWriter] = set()

    def close(self) -> None:
        """End all of them."""

        async def end() -> None:
            for server in self._servers:
                server.close()
            for writer in self._writers:
                writer.close()
            tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.sleep(0.01)

        asyncio.run_coroutine_threadsafe(end(), self._loop).result(5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    def lmtp(self, path: Path) -> Inbox:
        """A mailbox server as Dovecot 2.3 is one: no SMTPUTF8."""
        inbox = Inbox()
        self._unix(
            path, receiver(inbox, each_recipient=True, extensions=("8BITMIME", "PIPELINING", "ENHANCEDSTATUSCODES"))
        )
        return inbox

    def smtp(
        self,
        address: str,
        port: int = 0,
        *,
        tls: ssl.SSLContext | None = None,
        start_tls: ssl.SSLContext | None = None,
        more: tuple[str, ...] = (),
    ) -> tuple[Inbox, int]:
        """Another mail server, and its port. *tls* comes first, *start_tls* is offered, as *more* is, after EHLO."""
        inbox = Inbox()
        extensions = (*more, "8BITMIME", "PIPELINING", "ENHANCEDSTATUSCODES", "SMTPUTF8", "DSN", "SIZE 0")
        if start_tls is not None:
            extensions = ("STARTTLS", *extensions)
        handler = receiver(inbox, each_recipient=False, extensions=extensions, start_tls=start_tls)
        server = self._start(lambda: asyncio.start_server(self._remembered(handler), address, port, ssl=tls))
        return inbox, int(server.sockets[0].getsockname()[1])

    def milter(self, path: Path) -> list[bytes]:
        """A filter that lets all pass; returns the list of what it was told (command letter and data)."""
        heard: list[bytes] = []
        self._unix(path, filter_that_passes(heard))
        return heard

    def _unix(self, path: Path, handler: Handler) -> None:
        path.unlink(missing_ok=True)
        self._start(lambda: asyncio.start_unix_server(self._remembered(handler), str(path)))
        path.chmod(0o666)

    def _remembered(self, handler: Handler) -> Handler:
        """*handler*, with its connection closed at its end or at ours."""

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self._writers.add(writer)
            try:
                await handler(reader, writer)
            finally:
                writer.close()
                self._writers.discard(writer)

        return serve

    def _start(self, make: Callable[[], Awaitable[asyncio.Server]]) -> asyncio.Server:
        async def start() -> asyncio.Server:
            return await make()

        self._servers.append(asyncio.run_coroutine_threadsafe(start(), self._loop).result(5))
        return self._servers[-1]


def receiver(
    inbox: Inbox, *, each_recipient: bool, extensions: tuple[str, ...], start_tls: ssl.SSLContext | None = None
) -> Handler:
    """A server that takes everything; with *each_recipient* it answers the end of data once each (LMTP)."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if inbox.away:
            return
        mail, recipients, login = "", list[str](), ""

        def answer(*lines: str) -> None:
            writer.write("".join(f"{line}\r\n" for line in lines).encode())

        answer("220 sink.example ESMTP")
        while line := (await reader.readline()).decode("utf-8", "replace").strip():
            verb = line.split(None, 1)[0].upper()
            if verb in ("EHLO", "LHLO"):
                answer("250-sink.example", *(f"250-{name}" for name in extensions[:-1]), f"250 {extensions[-1]}")
            elif verb == "MAIL":
                mail, recipients = line, []
                answer("250 2.1.0 Ok")
            elif verb == "RCPT":
                address = line.partition("<")[2].partition(">")[0]
                inbox.offered.append(address)
                if inbox.known is not None and address not in inbox.known:
                    answer("550 5.1.1 No such user")
                else:
                    recipients.append(line)
                    answer("250 2.1.5 Ok")
            elif verb == "DATA":
                answer("354 go on")
                await writer.drain()
                text = (await reader.readuntil(b"\r\n.\r\n"))[:-3]
                inbox.deliveries.append(Delivery(mail, tuple(recipients), text, login))
                await asyncio.sleep(inbox.pause_seconds)
                answer(*["250 2.0.0 Ok"] * (len(recipients) if each_recipient else 1))
            elif verb == "AUTH":
                inbox.log_ins.append(line)
                login = base64.b64decode(line.rpartition(" ")[2]).decode().strip("\0").replace("\0", ":")
                answer("235 2.7.0 Welcome")
            elif verb == "STARTTLS" and start_tls is not None:
                answer("220 2.0.0 Go on")
                await writer.drain()
                await writer.start_tls(start_tls)
            elif verb == "QUIT":
                answer("221 2.0.0 Bye")
                break
            else:
                answer("250 2.0.0 Ok")
            await writer.drain()

    return serve


def filter_that_passes(heard: list[bytes]) -> Handler:
    """The milter protocol, version 6, as far as it takes to say "go on". Source: libmilter's mfdef.h."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            try:
                (length,) = struct.unpack(">I", await reader.readexactly(4))
                packet = await reader.readexactly(length)
            except (asyncio.IncompleteReadError, ConnectionError):
                break
            command = packet[:1]
            heard.append(packet)
            if command == b"O":
                reply = b"O" + struct.pack(">III", 6, 0, 0)
            elif command in b"DAQK":
                if command == b"Q":
                    break
                continue
            else:
                reply = b"c"
            writer.write(struct.pack(">I", len(reply)) + reply)
            await writer.drain()

    return serve
