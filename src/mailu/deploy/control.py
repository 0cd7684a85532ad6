"""How commands talk to running agents: a unix socket of root's, one JSON object a line each way.

A request is ``{"do": NAME, ...}``; the answer is one object, ``{"error": TEXT}`` when it could not be done.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import socket
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

REQUEST_LIMIT_BYTES = 64 * 1024

log = logging.getLogger("mailu.agent")

Handler = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]


class NotRunning(Exception):
    """No agent answers at this root."""


class ControlError(Exception):
    """The agent answered that it could not do what it was asked."""


class ControlServer:
    """Listens on *path*; *handlers* maps the request's ``do`` to what is done. *group*: who may ask beside root."""

    def __init__(self, path: Path, handlers: Mapping[str, Handler], *, group: int | None = None) -> None:
        self._path = path
        self._group = group
        self._handlers = handlers
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Start to listen. The socket belongs to root (and the group) alone from its first moment."""
        self._path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX)
        scratch = self._path.with_name(f".{self._path.name}.new")
        scratch.unlink(missing_ok=True)
        listener.bind(str(scratch))
        scratch.chmod(0o600)
        if self._group is not None:
            os.chown(scratch, -1, self._group)
            scratch.chmod(0o660)
        scratch.rename(self._path)
        self._server = await asyncio.start_unix_server(self._serve, sock=listener, limit=REQUEST_LIMIT_BYTES)

    async def close(self) -> None:
        """Stop to listen."""
        if self._server is not None:
            self._server.close()
            self._path.unlink(missing_ok=True)
            self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = json.loads(await reader.readline())
            answer = await self._handlers[request["do"]](request)
        except (ValueError, KeyError, TypeError) as error:
            answer = {"error": f"not understood: {error!r}"}
        except Exception as error:
            log.exception("a command could not be carried out")
            answer = {"error": str(error)}
        with contextlib.suppress(OSError):
            writer.write(json.dumps(answer).encode() + b"\n")
            await writer.drain()
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


def ask(path: Path, request: dict[str, Any], *, seconds: float) -> dict[str, Any]:
    """Send one request and wait for its answer. Raises NotRunning, ControlError, or TimeoutError."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(seconds)
        try:
            connection.connect(str(path))
            connection.sendall(json.dumps(request).encode() + b"\n")
            with connection.makefile("rb") as stream:
                line = stream.readline()
        except (FileNotFoundError, ConnectionError) as error:
            raise NotRunning(str(path)) from error
    if not line:
        raise NotRunning(f"{path} closed the connection")
    answer: dict[str, Any] = json.loads(line)
    if "error" in answer:
        raise ControlError(answer["error"])
    return answer
