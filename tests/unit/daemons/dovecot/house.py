"""Dovecot with what surrounds it, and what people and Postfix do with it."""

from __future__ import annotations

import imaplib
import itertools
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import cast

from tests.room_harness import RunningDaemon
from tests.unit.daemons.dovecot.surroundings import Surroundings

from mailu.daemons.dovecot.room import DovecotRoom
from mailu.daemons.room import RenderRequest

ADDRESS = "127.0.16.1"
PLAIN = {
    "TLS_FLAVOR": "notls",
    "BIND_ADDRESS4": ADDRESS,
    "BIND_ADDRESS6": "none",
    "PORTS": "143,110,4190",
}
_numbers = itertools.count(1)


def message(**headers: str) -> bytes:
    """A message of a stranger; header names with ``_`` for ``-``."""
    number = next(_numbers)
    fields = {
        "From": "Stranger <stranger@remote.example>",
        "To": "somebody@example.org",
        "Subject": f"hello {number}",
        "Message-ID": f"<{number}.{time.time_ns()}@remote.example>",
    }
    fields |= {name.replace("_", "-"): value for name, value in headers.items()}
    return "".join(f"{name}: {value}\r\n" for name, value in fields.items() if value).encode() + b"\r\nbody\r\n"


@dataclass
class House:
    """One running Dovecot."""

    room: DovecotRoom
    request: RenderRequest
    daemon: RunningDaemon
    around: Surroundings
    system: Path
    _people: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    @property
    def address(self) -> str:
        """Where it listens."""
        return self.request.settings.bind_address4

    def person(self, localpart: str = "p", **fields: object) -> str:
        """A new mailbox with the password "secret"; its address."""
        address = f"{localpart}{next(self._people)}@example.org"
        self.around.directory.add(address, **fields)  # type: ignore[arg-type]
        return address

    def deliver(self, to: str, content: bytes | None = None, *, sender: str = "stranger@remote.example") -> str:
        """What LMTP says about one recipient, at RCPT when it refuses there."""
        return lmtp(self.request.places.lmtp, sender, to, message() if content is None else content)

    def imap(self, login: str, password: str = "secret") -> imaplib.IMAP4:
        """A session. Raises imaplib.IMAP4.error with the server's words."""
        session = imaplib.IMAP4(self.address, timeout=30)
        try:
            session.authenticate("PLAIN", lambda _: f"\0{login}\0{password}".encode())
        except imaplib.IMAP4.error:
            session.shutdown()
            raise
        return session

    def messages(self, address: str, folder: str = "INBOX") -> list[EmailMessage]:
        """What a folder holds, with the flags in the header ``X-Flags``."""
        session = self.imap(address)
        try:
            status, _ = session.select(folder, readonly=True)
            if status != "OK":
                return []
            found = []
            for number in cast(list[bytes], session.search(None, "ALL")[1])[0].split():
                data = session.fetch(number.decode(), "(FLAGS BODY.PEEK[])")[1]
                head, content = cast(tuple[bytes, bytes], data[0])
                parsed = message_from_bytes(content, policy=policy.default)
                parsed["X-Flags"] = head.decode()
                found.append(parsed)
            return found
        finally:
            session.logout()

    def home_of(self, address: str) -> Path:
        """The folder of a mailbox."""
        return self.request.places.mail / str(self.around.directory.accounts[address]["home"])


def lmtp(path: Path, sender: str, recipient: str, content: bytes) -> str:
    """Hand over one message; the last answer, without its line end."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(30)
        connection.connect(str(path))
        stream = connection.makefile("rwb")

        def answer() -> str:
            while (line := stream.readline())[3:4] == b"-":
                pass
            return line.decode().strip()

        def say(line: bytes) -> str:
            stream.write(line + b"\r\n")
            stream.flush()
            return answer()

        answer()
        said = ""
        for command in ("LHLO test", f"MAIL FROM:<{sender}>", f"RCPT TO:<{recipient}>", "DATA"):
            said = say(command.encode())
            if not said.startswith(("2", "3")):
                return said
        return say(content + b".")


def eventually(check: Callable[[], bool], seconds: float = 10) -> bool:
    """Whether *check* becomes true within *seconds*."""
    until = time.monotonic() + seconds
    while not check():
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


def make_certificate(folder: Path, name: str) -> tuple[str, Path, Path]:
    """A self-signed certificate."""
    chain, key = folder / f"{name}.pem", folder / f"{name}.key"
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    make = ["openssl", "req", "-x509", *curve, "-nodes", "-days", "2"]
    named = ["-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}"]
    subprocess.run([*make, *named, "-keyout", key, "-out", chain], check=True, capture_output=True)
    return name, chain, key
