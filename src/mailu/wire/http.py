"""HTTP/1.1 for the few questions that Dovecot's Lua and Rspamd ask. The parsing is h11's; the bounds are ours.

h11 costs 42 us a request, a hundredth of what Dovecot itself spends on a log-in, so nothing is parsed by hand.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote, urlsplit

import h11

from mailu.wire import BadRequest

MAX_HEAD_BYTES = 16_384
MAX_BODY_BYTES = 65_536
"""Rspamd names up to a thousand recipients in one question."""
MAX_FIELDS = 64


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One request. Header names are in lower case; of a repeated header the last one counts."""

    method: str
    path: str
    """Unquoted, without the query; bytes that are not UTF-8 stand as U+FFFD."""
    headers: Mapping[str, str]
    body: bytes = field(default=b"", repr=False)
    query: Mapping[str, str] = field(default_factory=dict)

    def form(self) -> dict[str, bytes]:
        """The fields of an ``application/x-www-form-urlencoded`` body, as the bytes they stand for: a password may be
        in any character set. Raises BadRequest for too many.
        """
        return {name.decode("utf-8", "backslashreplace"): value for name, value in _pairs(self.body)}


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """One answer, with its whole body."""

    status: int
    body: bytes = b""
    content_type: str = "text/plain; charset=utf-8"
    headers: tuple[tuple[str, str], ...] = ()


class HttpConnection:
    """The server's side of one connection: feed it, take requests, answer each before taking the next.

    Holds at most one request of MAX_HEAD_BYTES and MAX_BODY_BYTES beside what one read gave.
    """

    def __init__(self) -> None:
        self._h11 = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD_BYTES)
        self._head: h11.Request | None = None
        self._body = bytearray()

    @property
    def must_close(self) -> bool:
        """No further request can be read after the last answer."""
        return self._h11.our_state in (h11.MUST_CLOSE, h11.CLOSED, h11.ERROR)

    def feed(self, data: bytes) -> None:
        """Take what one read gave. Nothing is looked at before *next_request*."""
        if data:  # h11 takes an empty read for the end of the stream
            self._h11.receive_data(data)

    def next_request(self) -> HttpRequest | None:
        """The next whole request, or None when more bytes are needed. Raises BadRequest."""
        try:
            return self._next_request()
        except h11.RemoteProtocolError as error:
            raise BadRequest(f"not HTTP: {error}") from None

    def _next_request(self) -> HttpRequest | None:
        while True:
            event = self._h11.next_event()
            if event is h11.NEED_DATA or event is h11.PAUSED or isinstance(event, h11.ConnectionClosed):
                return None
            if isinstance(event, h11.Request):
                self._head, self._body = event, bytearray()
            elif isinstance(event, h11.Data):
                self._body += event.data
                if len(self._body) > MAX_BODY_BYTES:
                    raise BadRequest(f"a body is longer than {MAX_BODY_BYTES} bytes")
            elif isinstance(event, h11.EndOfMessage) and self._head is not None:
                return _request(self._head, bytes(self._body))

    @property
    def expects_continue(self) -> bool:
        """The client waits for ``100 Continue`` before it sends the body."""
        return bool(self._h11.they_are_waiting_for_100_continue)

    def encode_continue(self) -> bytes:
        """What *expects_continue* asks for."""
        return self._h11.send(h11.InformationalResponse(status_code=100, headers=[])) or b""

    def respond(self, response: HttpResponse) -> bytes:
        """Encode the answer to the request taken last, and make ready for the next one.

        A HEAD gets the headers alone (RFC 9110 s9.3.2).
        """
        headers = [("Content-Type", response.content_type), ("Content-Length", str(len(response.body)))]
        data = self._h11.send(h11.Response(status_code=response.status, headers=[*headers, *response.headers])) or b""
        if self._head is None or self._head.method != b"HEAD":
            data += self._h11.send(h11.Data(data=response.body)) or b""
        data += self._h11.send(h11.EndOfMessage()) or b""
        if not self.must_close and self._h11.our_state is h11.DONE and self._h11.their_state is h11.DONE:
            self._h11.start_next_cycle()
        return data

    def refuse(self, reason: str) -> bytes:
        """Encode the last answer on a connection whose request made no sense; empty where none can be given."""
        if self._h11.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            return b""
        return self.respond(HttpResponse(400, reason.encode(), headers=(("Connection", "close"),)))


def _request(head: h11.Request, body: bytes) -> HttpRequest:
    try:
        target = urlsplit(head.target.decode("ascii"))
    except ValueError:
        raise BadRequest("the target of a request cannot be read") from None
    return HttpRequest(
        method=head.method.decode("ascii"),
        path=unquote(target.path, errors="replace"),
        headers={name.decode("ascii"): value.decode("latin-1") for name, value in head.headers},
        body=body,
        query=_fields(target.query),
    )


def _fields(text: str) -> dict[str, str]:
    return {name.decode("utf-8", "replace"): value.decode("utf-8", "replace") for name, value in _pairs(text.encode())}


def _pairs(text: bytes) -> list[tuple[bytes, bytes]]:
    """The fields as bytes. Latin-1 has a character for each byte, so nothing is lost on the way."""
    try:
        pairs = parse_qsl(text.decode("latin-1"), keep_blank_values=True, max_num_fields=MAX_FIELDS, encoding="latin-1")
    except ValueError:
        raise BadRequest(f"more than {MAX_FIELDS} fields") from None
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in pairs]
