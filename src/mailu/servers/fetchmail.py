"""One account in fetchmail's words: its control file, its command line, and what its exit code means.

Everything that a person typed is written as hexadecimal escapes inside a quoted string, so it can end neither the
string nor the line: nothing that anybody types is ever a directive.
"""

from __future__ import annotations

import base64
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

PROGRAM = "/usr/bin/fetchmail"
NOTHING_NEW = 1
_REASONS = {
    2: "no connection to the server",
    3: "the server refused the user name or the password",
    4: "the server did not keep to the protocol",
    5: "fetchmail did not understand its options (FETCHMAIL_OPTIONS)",
    7: "the server ended the connection or took too long",
    8: "another program is reading the mailbox",
    10: "our own mail server did not take a message; it stays where it is and is tried again",
    11: "the name of the server is not known to DNS",
    14: "the mailbox is locked on the server",
}


_EMPTY = ("Query status", "socket error while fetching", "Running as root", "reading message", "For help, see")
"""Lines that say nothing beside the exit code."""


@dataclass(frozen=True, slots=True)
class Account:
    """An account elsewhere, as the directory knows it."""

    id: int
    email: str
    """The mailbox here."""
    protocol: str
    host: str
    port: int
    """0 for the protocol's own."""
    tls: bool
    username: str
    password: str
    keep: bool
    scan: bool
    invisible: bool
    folders: tuple[str, ...]

    def __repr__(self) -> str:
        return f"Account(id={self.id}, email={self.email!r}, host={self.host!r})"


@dataclass(frozen=True, slots=True)
class Delivery:
    """Where fetched mail goes: an SMTP server as ``host/port``, or the path of an LMTP socket."""

    server: str
    lmtp: bool


def control_file(account: Account, delivery: Delivery) -> str:
    """Return the control file (fetchmail(1), THE RUN CONTROL FILE).

    Without the TLS flag the connection begins in the clear, and STARTTLS is insisted on before the password is sent;
    only a server on this very machine may do without.
    """
    words = [
        f"poll {_quoted(account.host)} proto {account.protocol}",
        *([f"port {account.port}"] if account.port else []),
        "timeout 120",
        "uidl" if account.protocol == "pop3" else "",
        f"user {_quoted(account.username)} password {_quoted(account.password)} is {_quoted(account.email)} here",
        *(["ssl"] if account.tls else []),
        "sslproto ''" if _is_this_machine(account.host) and not account.tls else "sslproto 'auto' sslcertck",
        f"smtphost {_quoted(delivery.server)}",
        *(["lmtp"] if delivery.lmtp else []),
        *(f"folder {_quoted(_utf7(name))}" for name in account.folders if account.protocol == "imap"),
        "keep" if account.keep else "nokeep fetchall",
    ]
    options = ["set no bouncemail", "set softbounce", *(["set invisible"] if account.invisible else [])]
    return "\n".join([*options, *(word for word in words if word), ""])


def command(account: Account, folder: Path, options: Sequence[str]) -> list[str]:
    """Return the command that fetches once; its files are in *folder*."""
    name = str(folder / str(account.id))
    return [
        PROGRAM, "--nodetach", "--nosyslog", "--fetchmailrc", f"{name}.rc", "--idfile", f"{name}.ids",
        "--pidfile", f"{name}.pid", "--sslcertpath", "/etc/ssl/certs", *options,
    ]  # fmt: skip


def outcome(code: int, said: str) -> str | None:
    """Return None when all went well, else one sentence and fetchmail's own last words."""
    if code in (0, NOTHING_NEW):
        return None
    reason = _REASONS.get(code, f"fetchmail ended with {code}")
    lines = [_plain(line) for line in said.splitlines()]
    words = [line.removeprefix("fetchmail: ") for line in lines if line and not any(part in line for part in _EMPTY)]
    return f"{reason}: {' / '.join(words[-2:])}" if words else reason


def _quoted(text: str) -> str:
    """A string in double quotes, each octet but letters and digits as ``\\xhh``."""
    octets = text.encode("utf-8", "surrogateescape")
    return '"' + "".join(chr(o) if chr(o).isascii() and chr(o).isalnum() else f"\\x{o:02x}" for o in octets) + '"'


def _utf7(name: str) -> str:
    """The name of a folder in modified UTF-7 (RFC 3501 s5.1.3)."""
    encoded, run = "", ""
    for character in [*name, ""]:
        if character and not " " <= character <= "~":
            run += character
            continue
        if run:
            raw = base64.b64encode(run.encode("utf-16-be")).rstrip(b"=").decode()
            encoded, run = f"{encoded}&{raw.replace('/', ',')}-", ""
        encoded += "&-" if character == "&" else character
    return encoded


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower().rstrip(".") == "localhost"


def _plain(line: str) -> str:
    return "".join(character for character in line.strip() if character.isprintable())[:300]
