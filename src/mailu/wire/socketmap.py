"""Postfix' socketmap protocol: one netstring asks ``<map> <key>``, one answers ``<status> <text>``.

Source: socketmap_table(5).
"""

from __future__ import annotations

from typing import NamedTuple

from mailu.wire import BadRequest, netstring

MAX_REPLY_BYTES = 100_000
"""Postfix refuses a longer reply (SOCKMAP_MAX_REPLY in dict_sockmap.c)."""

NOT_FOUND = netstring.encode(b"NOTFOUND ")
"""The map has no such key. The blank after the word belongs to the protocol."""


class Lookup(NamedTuple):
    """One question: the name of a map and a key. The key is bytes, as it came."""

    map_name: bytes
    key: bytes


def parse_request(payload: bytes) -> Lookup:
    """Parse one request, ``<map> <space> <key>``; the key may be empty and may contain blanks.

    Raises BadRequest where there is no blank or no map. The key stays bytes: one that is not UTF-8 names nothing,
    so the look-up says NOTFOUND. Source: socketmap_table(5), REQUEST FORMAT.
    """
    map_name, blank, key = payload.partition(b" ")
    if not blank or not map_name:
        raise BadRequest("a socketmap request is not '<map> <key>'")
    return Lookup(map_name, key)


def found(value: str) -> bytes:
    """The reply for a key that is there. A value too long for Postfix, or with a line end in it, is a PERM reply."""
    payload = b"OK " + value.encode()
    if len(payload) > MAX_REPLY_BYTES or b"\n" in payload or b"\0" in payload:
        return permanent_failure("the value cannot be sent")
    return netstring.encode(payload)


def temporary_failure(reason: str) -> bytes:
    """The reply for "I cannot say now"; Postfix defers (451) and asks again later."""
    return netstring.encode(b"TEMP " + _one_line(reason))


def permanent_failure(reason: str) -> bytes:
    """The reply for "this question makes no sense"; Postfix treats it as a configuration error and defers too."""
    return netstring.encode(b"PERM " + _one_line(reason))


def _one_line(reason: str) -> bytes:
    return " ".join(reason.split()).encode("ascii", "backslashreplace")[:400]
