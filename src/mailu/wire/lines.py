"""Lines of a bounded length: the frames of Dovecot's protocols. And their escaping of TAB, LF, CR, NUL and 0x01.

Source: Dovecot, lib/strescape.h: ``\\001`` and one of ``0 1 t r n`` stand for NUL, 0x01, TAB, CR and LF.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from mailu.wire import BadRequest

_ESCAPES = {b"\0": b"\x010", b"\x01": b"\x011", b"\t": b"\x01t", b"\r": b"\x01r", b"\n": b"\x01n"}
_MEANINGS = {escape[1:]: plain for plain, escape in _ESCAPES.items()}
_PLAIN = re.compile(rb"[\0\x01\t\r\n]")
_ESCAPED = re.compile(rb"\x01(.?)", re.DOTALL)


class LineDecoder:
    """Takes a stream of lines apart. Holds at most one incomplete line of at most *limit* bytes."""

    __slots__ = ("_limit", "_rest")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield each line that *data* completes, without its LF; exhaust the iterator before feeding again.

        Raises BadRequest for a line above the limit, after the good lines before it.
        """
        *lines, rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._check(line)
            yield line
        self._check(rest)
        self._rest = rest

    def _check(self, line: bytes) -> None:
        if len(line) > self._limit:
            raise BadRequest(f"a line is longer than {self._limit} bytes")


def escape(text: bytes) -> bytes:
    """Return *text* as one field of a line whose fields are set apart by TAB."""
    return _PLAIN.sub(lambda match: _ESCAPES[match[0]], text)


def split_fields(line: bytes) -> list[bytes]:
    """Return the fields of *line*, unescaped. A broken escape stands for the character after it, as in Dovecot."""
    if b"\x01" not in line:
        return line.split(b"\t")
    return [_ESCAPED.sub(lambda match: _MEANINGS.get(match[1], match[1]), field) for field in line.split(b"\t")]
