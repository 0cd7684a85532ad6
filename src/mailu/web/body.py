"""Reading what is sent: forms in one encoding, and JSON, bounded in bytes, fields and time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from urllib.parse import parse_qsl

from starlette.datastructures import ImmutableMultiDict
from starlette.requests import ClientDisconnect, Request

MOST_BYTES = 256 * 1024
MOST_FIELDS = 2000
PATIENCE_SECONDS = 30.0

Fields = ImmutableMultiDict[str, str]


class BodyRefused(Exception):
    """A form that is not read; *status* is the HTTP status that says why."""

    def __init__(self, status: int) -> None:
        super().__init__(str(status))
        self.status = status


async def read_fields(request: Request) -> Fields:
    """Return the fields of a form. Raises BodyRefused: 413 too large, 415 another encoding, 408 too slow, 400."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in ("application/x-www-form-urlencoded", ""):
        raise BodyRefused(415)
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            body = await _read(request)
        pairs = parse_qsl(body.decode("utf-8"), keep_blank_values=True, max_num_fields=MOST_FIELDS)
    except TimeoutError:
        raise BodyRefused(408) from None
    except (ValueError, ClientDisconnect):
        raise BodyRefused(400) from None
    return ImmutableMultiDict(pairs)


async def read_object(request: Request) -> Mapping[str, object]:
    """Return the JSON object that a program sent. Raises BodyRefused as read_fields does.

    A page of another site cannot send this type without asking first (Fetch s4.9), and is not answered.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise BodyRefused(415)
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            found = json.loads(await _read(request))
    except TimeoutError:
        raise BodyRefused(408) from None
    except (ValueError, RecursionError, ClientDisconnect):
        raise BodyRefused(400) from None
    if not isinstance(found, dict):
        raise BodyRefused(400)
    return found


async def _read(request: Request) -> bytes:
    length = request.headers.get("content-length", "0")
    if length.isdigit() and int(length) > MOST_BYTES:
        raise BodyRefused(413)
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > MOST_BYTES:
            raise BodyRefused(413)
    return bytes(body)
