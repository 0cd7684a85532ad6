"""Dovecot's authentication protocol, server side, as Postfix' smtpd speaks it.

Postfix (xsasl_dovecot_server.c) connects once a process, sends ``VERSION`` and ``CPID``, and reads up to ``DONE``.
It then sends ``AUTH`` and perhaps ``CONT`` and reads lines until one answers its request number. What it makes of
the answers decides how we use them:

- ``OK`` needs ``user=``, which becomes ``sasl_username``.
- ``FAIL`` is always a permanent failure (535), whatever else the line says; ``reason=`` is shown to the client.
- Only a connection that closes is a temporary one (454): "I cannot say now" has no other form. Postfix connects
  again at the next attempt, and since a process serves one client at a time nobody else is cut off.

Source: Dovecot's auth-protocol.txt, 1.2.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mailu.wire import BadRequest
from mailu.wire.lines import LineDecoder, escape, split_fields

MAX_LINE_BYTES = 16_384
"""Postfix takes SASL responses up to 12,288 bytes (smtpd_sasl_response_limit)."""

MAJOR_VERSION, MINOR_VERSION = 1, 2


@dataclass(frozen=True, slots=True)
class Version:
    """The first line of a client."""

    major: int
    minor: int


@dataclass(frozen=True, slots=True)
class ClientPid:
    """The client's process number; it ends the client's half of the handshake."""

    pid: int


@dataclass(frozen=True, slots=True)
class AuthRequest:
    """A log-in begins."""

    id: int
    mechanism: str
    """In upper case, as the client of the mail server asked for it."""
    service: str
    secured: bool
    """The session is encrypted, or what counts as that."""
    client_ip: str
    client_port: int
    """0 when not said; Postfix 3.7 does not."""
    local_ip: str
    local_port: int
    initial_response: bytes | None
    """Base64, as the client sent it; None when it sent none, which is not the same as an empty one."""


@dataclass(frozen=True, slots=True)
class Continuation:
    """The client's answer to a challenge."""

    id: int
    response: bytes
    """Base64, as the client sent it."""


@dataclass(frozen=True, slots=True)
class Cancellation:
    """The client gives up a log-in it began."""

    id: int


Command = Version | ClientPid | AuthRequest | Continuation | Cancellation


class AuthDecoder:
    """Takes a client's stream apart. Holds at most one incomplete line of MAX_LINE_BYTES."""

    __slots__ = ("_lines",)

    def __init__(self) -> None:
        self._lines = LineDecoder(MAX_LINE_BYTES)

    def feed(self, data: bytes) -> Iterator[Command]:
        """Yield each command that *data* completes; unknown ones are passed over, as the protocol wants.

        Raises BadRequest, after the good commands before it.
        """
        for line in self._lines.feed(data):
            command = parse_command(line)
            if command is not None:
                yield command


def parse_command(line: bytes) -> Command | None:
    """Parse one line; None for a command that is not known. Raises BadRequest for a broken one."""
    name, *arguments = split_fields(line)
    match name:
        case b"VERSION":
            return Version(_number(arguments, 0), _number(arguments, 1))
        case b"CPID":
            return ClientPid(_number(arguments, 0))
        case b"AUTH":
            return _auth_request(arguments)
        case b"CONT":
            if len(arguments) != 2:
                raise BadRequest("CONT is not 'CONT <id> <base64>'")
            return Continuation(_number(arguments, 0), arguments[1])
        case b"CANCEL":
            return Cancellation(_number(arguments, 0))
    return None


def handshake(*, mechanisms: Sequence[str], pid: int, connection: int, cookie: bytes) -> bytes:
    """The server's half of the handshake.

    *mechanisms* are all sent as plaintext ones, which Postfix' ``noplaintext`` then hides before STARTTLS. *cookie*
    is 16 bytes that no other connection was given.
    """
    lines = [f"VERSION\t{MAJOR_VERSION}\t{MINOR_VERSION}"]
    lines += [f"MECH\t{mechanism}\tplaintext" for mechanism in mechanisms]
    lines += [f"SPID\t{pid}", f"CUID\t{connection}", f"COOKIE\t{cookie.hex()}", "DONE"]
    return "".join(f"{line}\n" for line in lines).encode()


def decode_response(field: bytes) -> bytes:
    """Decode a SASL response. Raises BadRequest if it is not base64: the fault of the mail client, so it is
    answered with a failure of this log-in, while the connection goes on.
    """
    try:
        return base64.b64decode(field, validate=True)
    except binascii.Error:
        raise BadRequest("a SASL response is not base64") from None


def encode_ok(request_id: int, user: str) -> bytes:
    """*user* is logged in."""
    return b"OK\t%d\tuser=%b\n" % (request_id, escape(user.encode()))


def encode_fail(request_id: int, reason: str, *, user: str | None = None) -> bytes:
    """The log-in is refused for good; *reason* is shown to the person, so it is one line of ASCII."""
    line = b"FAIL\t%d" % request_id
    if user is not None:
        line += b"\tuser=" + escape(user.encode())
    return line + b"\treason=" + escape(" ".join(reason.split()).encode("ascii", "backslashreplace")[:400]) + b"\n"


def encode_challenge(request_id: int, challenge: bytes) -> bytes:
    """The client is asked for more. An empty challenge is an empty field, which must be there."""
    return b"CONT\t%d\t%b\n" % (request_id, base64.b64encode(challenge))


def _auth_request(arguments: list[bytes]) -> AuthRequest:
    if len(arguments) < 2:
        raise BadRequest("AUTH is not 'AUTH <id> <mechanism> ...'")
    fields: dict[bytes, bytes] = {}
    initial_response = None
    for index, argument in enumerate(arguments[2:], start=2):
        key, _equals, value = argument.partition(b"=")
        if key == b"resp":
            # It is the last parameter and its base64 may end in "=".
            initial_response = b"\t".join([value, *arguments[index + 1 :]])
            break
        fields[key] = value
    return AuthRequest(
        id=_number(arguments, 0),
        mechanism=_text(arguments[1]).upper(),
        service=_text(fields.get(b"service", b"")),
        secured=b"secured" in fields,
        client_ip=_text(fields.get(b"rip", b"")),
        client_port=_port(fields.get(b"rport", b"")),
        local_ip=_text(fields.get(b"lip", b"")),
        local_port=_port(fields.get(b"lport", b"")),
        initial_response=initial_response,
    )


def _number(arguments: list[bytes], index: int) -> int:
    digits = arguments[index] if index < len(arguments) else b""
    if not digits.isdigit() or len(digits) > 10:
        raise BadRequest("a number is missing where the auth protocol has one")
    return int(digits)


def _port(digits: bytes) -> int:
    return int(digits) if digits.isdigit() and len(digits) <= 5 else 0


def _text(field: bytes) -> str:
    return field.decode("ascii", "backslashreplace")
