"""Postfix' policy delegation protocol: lines of ``name=value``, an empty line, an ``action=...`` and an empty line.

Source: SMTPD_POLICY_README.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from mailu.wire import BadRequest

MAX_REQUEST_BYTES = 32_768
"""A request is about 1 KiB; names and addresses in it are bounded by Postfix' line length limit of 2,048."""

MAX_ACTION_BYTES = 480
"""An SMTP reply line has 512 octets with its code and line end (RFC 5321 s4.5.3.1.5)."""


@dataclass(frozen=True, slots=True)
class PolicyRequest:
    """What smtpd knows at one point of a session. Absent attributes are empty strings or 0.

    Bytes that are not UTF-8 stand as ``\\xNN``, so that a value can always be logged and compared and never equals
    a real address.
    """

    protocol_state: str
    """CONNECT, EHLO, HELO, MAIL, RCPT, DATA, END-OF-MESSAGE, VRFY, ETRN or BDAT."""
    sender: str
    """Envelope sender; empty for the null sender."""
    recipient: str
    """Envelope recipient in the state RCPT, and in DATA and END-OF-MESSAGE when there is just one."""
    recipient_count: int
    """Number of accepted recipients; 0 before the state DATA."""
    size_bytes: int
    """What MAIL's SIZE said, or the size of the message in END-OF-MESSAGE; 0 when not known."""
    sasl_username: str
    """The log-in; empty for a session without."""
    client_address: str
    client_port: int
    server_port: int
    instance: str
    """The same for all requests about one message of one session."""
    queue_id: str


def from_attributes(attributes: Mapping[str, str]) -> PolicyRequest:
    """Make a request of decoded attributes. Raises BadRequest if it is not for ``smtpd_access_policy``."""
    if attributes.get("request") != "smtpd_access_policy":
        raise BadRequest("a policy request is not for smtpd_access_policy")
    return PolicyRequest(
        protocol_state=attributes.get("protocol_state", ""),
        sender=attributes.get("sender", ""),
        recipient=attributes.get("recipient", ""),
        recipient_count=_number(attributes.get("recipient_count", "")),
        size_bytes=_number(attributes.get("size", "")),
        sasl_username=attributes.get("sasl_username", ""),
        client_address=attributes.get("client_address", ""),
        client_port=_number(attributes.get("client_port", "")),
        server_port=_number(attributes.get("server_port", "")),
        instance=attributes.get("instance", ""),
        queue_id=attributes.get("queue_id", ""),
    )


class PolicyDecoder:
    """Takes a stream of policy requests apart. Holds at most MAX_REQUEST_BYTES of an incomplete one."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[PolicyRequest]:
        """Yield each request that *data* completes; exhaust the iterator before feeding again.

        Raises BadRequest, after the good requests before it, for a line without ``=``, an over-long request and one
        for something else.
        """
        buffer = self._rest + data
        while (end := buffer.find(b"\n\n")) >= 0:
            if end > MAX_REQUEST_BYTES:
                break
            block, buffer = buffer[:end], buffer[end + 2 :]
            yield from_attributes(_attributes(block))
        if len(buffer) > MAX_REQUEST_BYTES:
            raise BadRequest(f"a policy request is longer than {MAX_REQUEST_BYTES} bytes")
        self._rest = buffer


def encode_action(action: str) -> bytes:
    """The reply to one request: *action* on one line of printable ASCII, cut to what fits an SMTP reply."""
    printable = "".join(character if character.isprintable() else "?" for character in " ".join(action.split()))
    line = printable.encode("ascii", "backslashreplace")[:MAX_ACTION_BYTES]
    return b"action=" + line + b"\n\n"


def _attributes(block: bytes) -> dict[str, str]:
    attributes = {}
    for line in block.split(b"\n"):
        name, equals, value = line.partition(b"=")
        if not equals:
            raise BadRequest("a line of a policy request is not name=value")
        attributes[name.decode("ascii", "backslashreplace")] = value.decode("utf-8", "backslashreplace")
    return attributes


def _number(text: str) -> int:
    """Postfix leaves numbers it does not know empty or 0; ``client_port`` may be the word ``unknown``."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else 0
