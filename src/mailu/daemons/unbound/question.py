"""One question to a resolver, and the little that has to be known of its answer.

The agent asks all the time and holds what it has loaded for ever, and the DNS library takes 4 MiB. Who looks into
records uses the library.
"""

from __future__ import annotations

import secrets
import socket
import struct
import time
from dataclasses import dataclass

A = 1
SOA = 6
_IN = 1
_OPT = 41
_RECURSION_DESIRED, _AUTHENTIC_DATA = 0x0100, 0x0020
_RESPONSE = 0x8000
_DNSSEC_OK = 0x8000
_OCTETS = 1232
"""What fits any network in one piece (RFC 9715 s3.1)."""
_HEADER = struct.Struct("!6H")


class NoAnswer(OSError):
    """The resolver cannot be reached, or does not answer in time; the text says which."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the head of an answer says (RFC 1035 s4.1.1, RFC 4035 s3.2.3)."""

    code: int
    records: int
    """In the answer section."""
    validated: bool
    """The resolver vouches for it by DNSSEC."""


def ask(name: str, kind: int, address: str, port: int, *, seconds: float) -> Answer:
    """Ask the resolver at *address* for the records of type *kind* at *name*, over UDP. Raises NoAnswer."""
    number = secrets.randbelow(0x10000)
    question = b"".join(bytes([len(label)]) + label.encode("ascii") for label in name.split(".") if label)
    question += struct.pack("!BHH", 0, kind, _IN)
    options = struct.pack("!BHHIH", 0, _OPT, _OCTETS, _DNSSEC_OK, 0)  # the root, type, size, flags, no more (RFC 6891)
    sent = _HEADER.pack(number, _RECURSION_DESIRED | _AUTHENTIC_DATA, 1, 0, 0, 1) + question + options
    try:
        found = socket.getaddrinfo(address, port, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST)
        family, _, _, _, where = found[0]
        with socket.socket(family, socket.SOCK_DGRAM) as connection:
            connection.connect(where)  # datagrams of others are not received
            connection.send(sent)
            return _receive(connection, number, question, time.monotonic() + seconds)
    except TimeoutError:
        raise NoAnswer("it does not answer") from None
    except OSError as error:
        raise NoAnswer(str(error)) from None


def _receive(connection: socket.socket, number: int, question: bytes, until: float) -> Answer:
    """The answer to *question*; what answers something else is passed over. Raises TimeoutError."""
    while (left := until - time.monotonic()) > 0:
        connection.settimeout(left)
        packet = connection.recv(65_535)
        if len(packet) < _HEADER.size:
            continue
        given, flags, questions, records, _, _ = _HEADER.unpack_from(packet)
        rest = packet[_HEADER.size :].lower()
        if given == number and flags & _RESPONSE and (not questions or rest.startswith(question.lower())):
            return Answer(flags & 0xF, records, bool(flags & _AUTHENTIC_DATA))
    raise TimeoutError
