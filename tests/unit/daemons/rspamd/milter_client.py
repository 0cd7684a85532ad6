"""The MTA's side of the milter protocol, as far as Postfix speaks it to a filter."""

from __future__ import annotations

import socket
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mailu.daemons.rspamd.milter import negotiation, packet


@dataclass
class Verdict:
    """What the filter wants done with a message."""

    action: str
    """accept, continue, reject, tempfail, discard, or an SMTP reply such as ``554 5.7.1 text``."""
    added: list[tuple[str, str]] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)

    def header(self, name: str) -> str | None:
        """The first header of this name that was added, unfolded."""
        return next((value for key, value in self.added if key.lower() == name.lower()), None)

    def headers(self, name: str) -> list[str]:
        """All headers of this name that were added."""
        return [value for key, value in self.added if key.lower() == name.lower()]


@dataclass(frozen=True)
class Envelope:
    """Who sends from where to whom."""

    client_ip: str = "203.0.113.9"
    client_name: str = "mail.example.net"
    mail_from: str = "bob@example.net"
    recipients: Sequence[str] = ("anna@example.org",)
    login: str | None = None


_FINAL = {b"a": "accept", b"c": "continue", b"r": "reject", b"t": "tempfail", b"d": "discard"}


def filter_message(path: Path, message: bytes, envelope: Envelope | None = None, *, seconds: float = 30) -> Verdict:
    """Hand one message to the milter on the socket *path*."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(seconds)
        connection.connect(str(path))
        verdict = _Session(connection).run(message, envelope or Envelope())
        connection.sendall(packet(b"Q"))
        return verdict


class _Session:
    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._buffer = b""
        self._steps_left_out = 0

    def run(self, message: bytes, envelope: Envelope) -> Verdict:
        self._connection.sendall(negotiation())
        _, answer = self._packet()
        self._steps_left_out = struct.unpack("!III", answer[:12])[2]
        early = self._envelope(envelope) or self._content(message)
        return early or self._verdict()

    def _envelope(self, envelope: Envelope) -> Verdict | None:
        self._macros(b"C", {"j": "mail.example.org", "{daemon_name}": "smtpd"})
        address = f"{envelope.client_name}\0".encode() + b"4" + struct.pack("!H", 4242) + envelope.client_ip.encode()
        return (
            self._step(b"C", address + b"\0", 0x01 | 0x1000)
            or self._step(b"H", f"{envelope.client_name}\0".encode(), 0x02 | 0x2000)
            or self._sender(envelope)
            or next(filter(None, (self._recipient(address) for address in envelope.recipients)), None)
        )

    def _sender(self, envelope: Envelope) -> Verdict | None:
        macros = {"i": "4ABCDEF", "{mail_addr}": envelope.mail_from}
        if envelope.login:
            macros |= {"{auth_authen}": envelope.login, "{auth_type}": "PLAIN"}
        self._macros(b"M", macros)
        return self._step(b"M", f"<{envelope.mail_from}>\0".encode(), 0x04 | 0x4000)

    def _recipient(self, address: str) -> Verdict | None:
        self._macros(b"R", {"{rcpt_addr}": address})
        return self._step(b"R", f"<{address}>\0".encode(), 0x08 | 0x8000)

    def _content(self, message: bytes) -> Verdict | None:
        head, _, body = message.partition(b"\r\n\r\n")
        if not self._steps_left_out & 0x200:
            self._step(b"T", b"", 0x10000)
        for line in head.replace(b"\r\n\t", b"\n\t").replace(b"\r\n ", b"\n ").split(b"\r\n"):
            name, _, value = line.partition(b":")
            self._step(b"L", name + b"\0" + value.removeprefix(b" ") + b"\0", 0x20 | 0x80)
        self._step(b"N", b"", 0x40 | 0x40000)
        for start in range(0, len(body), 65_535):
            self._step(b"B", body[start : start + 65_535], 0x10 | 0x80000)
        self._connection.sendall(packet(b"E"))
        return None

    def _verdict(self) -> Verdict:
        verdict = Verdict("")
        while True:
            command, data = self._packet()
            if command in (b"h", b"i"):
                fields = (data[4:] if command == b"i" else data).split(b"\0")
                verdict.added.append((fields[0].decode(), fields[1].decode().replace("\n", "\r\n").strip()))
            elif command == b"m":
                name, value = data[4:].split(b"\0")[:2]
                if not value:
                    verdict.removed.append(name.decode())
            elif command == b"y":
                verdict.action = data.rstrip(b"\0").decode()
                return verdict
            elif command in _FINAL:
                verdict.action = _FINAL[command]
                return verdict

    def _step(self, command: bytes, data: bytes, flags: int) -> Verdict | None:
        """One step; *flags* are the bits with which the filter said that it wants none of it, or answers nothing."""
        skip, silent = flags & 0x7F, flags & ~0x7F
        if self._steps_left_out & skip:
            return None
        self._connection.sendall(packet(command, data))
        if self._steps_left_out & silent:
            return None
        answer, text = self._packet()
        if answer == b"y":
            return Verdict(text.rstrip(b"\0").decode())
        return None if answer == b"c" else Verdict(_FINAL.get(answer, repr(answer)))

    def _macros(self, command: bytes, macros: Mapping[str, str]) -> None:
        fields = "".join(f"{name}\0{value}\0" for name, value in macros.items())
        self._connection.sendall(packet(b"D", command + fields.encode()))

    def _packet(self) -> tuple[bytes, bytes]:
        length = struct.unpack("!I", self._exactly(4))[0]
        data = self._exactly(length)
        return data[:1], data[1:]

    def _exactly(self, count: int) -> bytes:
        while len(self._buffer) < count:
            received = self._connection.recv(65_536)
            if not received:
                raise ConnectionError("the filter hung up")
            self._buffer += received
        found, self._buffer = self._buffer[:count], self._buffer[count:]
        return found
