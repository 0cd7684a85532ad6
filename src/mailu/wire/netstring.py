"""Netstrings, ``<length>:<bytes>,``: the frames of socketmap.

Source: https://cr.yp.to/proto/netstrings.txt; Postfix' netstring(3).
"""

from __future__ import annotations

from collections.abc import Iterator

from mailu.wire import BadRequest

DEFAULT_LIMIT_BYTES = 10_000
"""Longest payload that is taken; Postfix' socketmap client sends no longer key than its line length limit."""


def encode(payload: bytes) -> bytes:
    """Return *payload* as one netstring."""
    return b"%d:%b," % (len(payload), payload)


class NetstringDecoder:
    """Takes a stream apart. Holds at most one incomplete netstring of at most *limit* payload bytes."""

    __slots__ = ("_digits", "_limit", "_rest")

    def __init__(self, limit: int = DEFAULT_LIMIT_BYTES) -> None:
        self._limit = limit
        self._digits = len(str(limit))
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield each payload that *data* completes; exhaust the iterator before feeding again.

        Raises BadRequest, after the good payloads before it, for a length that is no number, has a leading zero or
        is above the limit, and for a missing comma.
        """
        buffer = self._rest + data if self._rest else data
        start = 0
        while start < len(buffer):
            colon = buffer.find(b":", start, start + self._digits + 1)
            if colon < 0:
                self._check_length(buffer[start : start + self._digits + 1])
                break
            length = self._check_length(buffer[start:colon])
            end = colon + 1 + length
            if end >= len(buffer):
                break
            if buffer[end] != 0x2C:
                raise BadRequest("a netstring does not end with a comma")
            payload = buffer[colon + 1 : end]
            start = end + 1
            yield payload
        self._rest = buffer[start:]

    def _check_length(self, digits: bytes) -> int:
        if not digits.isdigit():
            raise BadRequest("a netstring does not begin with a length")
        if digits[0] == 0x30 and len(digits) > 1:
            raise BadRequest("the length of a netstring begins with a zero")
        length = int(digits)
        if length > self._limit:
            raise BadRequest(f"a netstring is longer than {self._limit} bytes")
        return length
