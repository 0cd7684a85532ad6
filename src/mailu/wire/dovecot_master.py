"""Dovecot's master protocol, server side: where a mailbox is, as LMTP, the indexer and doveadm ask.

A client connects, says ``VERSION`` and asks; the server says ``VERSION`` and ``SPID`` and answers each question by its
number. A question names the protocol that it is for as ``service=`` (Dovecot 2.3) or ``protocol=`` (2.4): which of the
two also tells what the client calls its settings. A reply is one line of at most MAX_REPLY_BYTES.

Source: Dovecot, lib-auth-client/auth-master.c and auth/auth-master-connection.c; observed with 2.3.19.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from mailu.wire import BadRequest
from mailu.wire.lines import LineDecoder, escape, split_fields

MAX_LINE_BYTES = 8_192
MAX_REPLY_BYTES = 8_192
"""MAX_INBUF_SIZE of the client, which ends the connection at a longer line."""

MAJOR_VERSION, MINOR_VERSION = 1, 1
_MAX_DIGITS = 10

Dialect = Literal["2.3", "2.4"]


@dataclass(frozen=True, slots=True)
class Version:
    """The first line of a client."""

    major: int


@dataclass(frozen=True, slots=True)
class UserLookup:
    """Where is the mailbox of *user*?"""

    id: int
    user: str
    protocol: str
    """lmtp, doveadm, indexer-worker, ...; empty when not said."""
    dialect: Dialect


@dataclass(frozen=True, slots=True)
class UserList:
    """Which mailboxes are there?"""

    id: int


@dataclass(frozen=True, slots=True)
class OtherQuestion:
    """A question that has a number and is not asked here: a password, a token."""

    id: int


Command = Version | UserLookup | UserList | OtherQuestion


class MasterDecoder:
    """Takes a client's stream apart. Holds at most one incomplete line of MAX_LINE_BYTES."""

    __slots__ = ("_lines",)

    def __init__(self) -> None:
        self._lines = LineDecoder(MAX_LINE_BYTES)

    def feed(self, data: bytes) -> Iterator[Command]:
        """Yield each command that *data* completes. Raises BadRequest, after the good commands before it."""
        for line in self._lines.feed(data):
            yield parse_command(line)


def parse_command(line: bytes) -> Command:
    """Parse one line. Raises BadRequest for a broken one."""
    name, *arguments = split_fields(line)
    number = _number(arguments[0] if arguments else b"")
    match name:
        case b"VERSION":
            if number != MAJOR_VERSION:
                raise BadRequest(f"version {number} of the master protocol is not spoken")
            return Version(number)
        case b"USER":
            if len(arguments) < 2:
                raise BadRequest("USER is not 'USER <id> <user> ...'")
            return _lookup(number, arguments)
        case b"LIST":
            return UserList(number)
    return OtherQuestion(number)


def _lookup(number: int, arguments: list[bytes]) -> UserLookup:
    fields = dict(argument.partition(b"=")[::2] for argument in arguments[2:])
    protocol = fields.get(b"protocol", fields.get(b"service", b""))
    dialect: Dialect = "2.4" if b"protocol" in fields else "2.3"
    return UserLookup(number, _text(arguments[1]), _text(protocol), dialect)


def handshake(pid: int) -> bytes:
    """The server's half of the handshake."""
    return b"VERSION\t%d\t%d\nSPID\t%d\n" % (MAJOR_VERSION, MINOR_VERSION, pid)


def encode_user(request_id: int, user: str, fields: Mapping[str, str]) -> bytes:
    """The mailbox is that of *user*; *fields* are userdb fields."""
    parts = [b"USER\t%d\t%b" % (request_id, escape(user.encode()))]
    parts += [escape(f"{name}={value}".encode()) for name, value in fields.items()]
    return b"\t".join(parts) + b"\n"


def encode_not_found(request_id: int) -> bytes:
    """There is no such mailbox, which Dovecot makes a permanent refusal of."""
    return b"NOTFOUND\t%d\n" % request_id


def encode_failure(request_id: int, reason: str) -> bytes:
    """It cannot be said now: Dovecot lets mail wait, and logs *reason*."""
    return b"FAIL\t%d\treason=%b\n" % (request_id, escape(reason.encode()))


def encode_list(request_id: int, users: list[str]) -> bytes:
    """All mailboxes."""
    rows = [b"LIST\t%d\t%b\n" % (request_id, escape(user.encode())) for user in users]
    return b"".join([*rows, b"DONE\t%d\n" % request_id])


def _number(digits: bytes) -> int:
    if not digits.isdigit() or len(digits) > _MAX_DIGITS:
        raise BadRequest("a number is missing where the master protocol has one")
    return int(digits)


def _text(field: bytes) -> str:
    return field.decode("utf-8", "backslashreplace")
