"""Bounding what clients send, before anything is read into memory or parsed."""

from __future__ import annotations

from fastapi import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mailu.api.answers import refused

MOST_BYTES = 1024 * 1024
"""Of a request's body; the largest that makes sense, a user with a thousand destinations, is a tenth of it."""


class _TooLarge(HTTPException):
    """Of the kind that the framework lets through while it reads a body; all else it takes for bad JSON."""

    def __init__(self) -> None:
        super().__init__(413, f"the body of a request has at most {MOST_BYTES} bytes", {"Connection": "close"})


class BoundedBodies:
    """Answers 413 to requests with a body of more than ``MOST_BYTES``, whether or not they say so beforehand."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if _announced(scope) > MOST_BYTES:
            error = _TooLarge()
            await refused(error.status_code, error.detail, error.headers)(scope, receive, send)
            return
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > MOST_BYTES:
                raise _TooLarge()
            return message

        await self._app(scope, counted, send)


def _announced(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value[:20])
    return 0
