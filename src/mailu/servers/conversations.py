"""Conversations over stream sockets: bounded in number, in time and in what they hold.

Two kinds. A ``PromptServer`` answers at once, from memory, inside the read callback: the path of each look-up, where
a task and a stream reader would cost more than the answer. A ``PatientServer`` may wait for a thread or for Redis; it
has one task a connection, which reads on only when the answers so far were taken.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable, Coroutine
from typing import Protocol, cast

from mailu.servers.faults import Faults
from mailu.wire import BadRequest

log = logging.getLogger("mailu.servers")

READ_BYTES = 65_536
WRITE_TIMEOUT_SECONDS = 10.0
MAX_UNREAD_REPLY_BYTES = 1_048_576
"""A client that leaves more than that of its earlier answers unread is cut off."""


class HangUp(Exception):
    """The connection ends here: *last_reply* still goes out. With a reason, the client broke the protocol."""

    def __init__(self, last_reply: bytes = b"", reason: BadRequest | None = None) -> None:
        super().__init__(str(reason or ""))
        self.last_reply = last_reply
        self.reason = reason


Reply = bytes | Coroutine[None, None, bytes]
"""An answer, or what makes one where that takes time."""


def in_turn(replies: list[Reply], error: BadRequest | None = None) -> Reply:
    """*replies* as one, in their order: at once where all of them are there. Where an *error* came after them it is
    what HangUp is raised with, here or by the coroutine.
    """
    if not all(isinstance(reply, bytes) for reply in replies):
        return _all_of(replies, error)
    joined = b"".join(cast(list[bytes], replies))
    if error is not None:
        raise HangUp(joined, error)
    return joined


async def _all_of(replies: list[Reply], error: BadRequest | None) -> bytes:
    try:
        joined = b"".join([reply if isinstance(reply, bytes) else await reply for reply in replies])
    finally:
        for reply in replies:
            if not isinstance(reply, bytes):
                reply.close()  # those that were not waited for, as the connection was lost
    if error is not None:
        raise HangUp(joined, error)
    return joined


class PromptConversation(Protocol):
    """One connection that is answered at once."""

    def received(self, data: bytes) -> Reply:
        """Answer what *data* completes; what takes time by a coroutine, until whose end nothing is read. Raises
        HangUp, as does the coroutine.
        """


class PatientConversation(Protocol):
    """One connection whose answers may take time."""

    def greeting(self) -> bytes:
        """What the server says first; may be empty."""

    async def received(self, data: bytes) -> bytes:
        """Answer what *data* completes. Raises HangUp."""


class PromptServer:
    """Listens, and answers each connection through a PromptConversation of its own."""

    def __init__(
        self, name: str, conversation: Callable[[], PromptConversation], *, max_connections: int, idle_seconds: float
    ) -> None:
        self.name = name
        self.conversation = conversation
        self.max_connections = max_connections
        self.idle_seconds = idle_seconds
        self.connections: set[_PromptConnection] = set()
        self.refused = 0
        self.faults = Faults(log)
        self._server: asyncio.Server | None = None
        self._sweeper: asyncio.TimerHandle | None = None

    async def start(self, listener: socket.socket) -> None:
        """Begin to take connections from *listener*."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _PromptConnection(self), sock=listener)
        self._sweep()

    def _sweep(self) -> None:
        """Close connections that were silent for too long. One timer for all of them costs a look-up nothing."""
        loop = asyncio.get_running_loop()
        oldest = loop.time() - self.idle_seconds
        for connection in [each for each in self.connections if each.active_at < oldest]:
            connection.close()
        self._sweeper = loop.call_later(max(self.idle_seconds / 4, 0.05), self._sweep)

    async def stop(self) -> None:
        """Take no more connections and close those there are; what was asked has been answered already."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        if self._server is not None:
            self._server.close()
        for connection in list(self.connections):
            connection.close()
        await asyncio.sleep(0)


class _PromptConnection(asyncio.Protocol):
    __slots__ = ("_answer", "_early", "_loop", "_server", "_task", "_transport", "active_at")

    def __init__(self, server: PromptServer) -> None:
        self._server = server
        self._loop = asyncio.get_running_loop()
        self._answer = server.conversation().received
        self._transport: asyncio.Transport | None = None
        self._task: asyncio.Task[None] | None = None
        self._early = b""
        self.active_at = self._loop.time()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if len(self._server.connections) >= self._server.max_connections:
            self._server.refused += 1
            _log_full(self._server.name, self._server.max_connections, self._server.refused)
            self.close()
            return
        self._server.connections.add(self)

    def data_received(self, data: bytes) -> None:
        if self._transport is None:
            return
        if self._task is not None:
            self._early += data
            return
        self.active_at = self._loop.time()
        try:
            reply = self._answer(data)
        except Exception as error:
            self._end(error)
            return
        if isinstance(reply, bytes):
            self._send(reply)
        else:
            self._transport.pause_reading()
            self._task = self._loop.create_task(self._send_later(reply))

    def _send(self, reply: bytes) -> None:
        transport = self._transport
        if transport is None or not reply:
            return
        transport.write(reply)
        if transport.get_write_buffer_size() > MAX_UNREAD_REPLY_BYTES + len(reply):
            log.warning("%s: closing a connection that does not read its answers", self._server.name)
            transport.abort()

    async def _send_later(self, reply: Coroutine[None, None, bytes]) -> None:
        try:
            self._send(await reply)
        except Exception as error:
            self._end(error)
            return
        self._task = None
        early, self._early = self._early, b""
        if early:
            self.data_received(early)
        if self._task is None and self._transport is not None:
            self._transport.resume_reading()

    def _end(self, error: Exception) -> None:
        if isinstance(error, HangUp):
            _log_hang_up(self._server.name, error)
            self._send(error.last_reply)
        else:
            self._server.faults.report(f"{self._server.name}: closing a connection", error)
        self.close()

    def connection_lost(self, _error: Exception | None) -> None:
        self._transport = None
        self._server.connections.discard(self)
        if self._task is not None:
            self._task.cancel()

    def close(self) -> None:
        """Close after what was written has gone out."""
        if self._transport is not None:
            self._transport.close()


class PatientServer:
    """Listens, and answers each connection through a PatientConversation of its own, in a task of its own."""

    def __init__(
        self, name: str, conversation: Callable[[], PatientConversation], *, max_connections: int, idle_seconds: float
    ) -> None:
        self.name = name
        self.conversation = conversation
        self.max_connections = max_connections
        self.idle_seconds = idle_seconds
        self.connections: set[asyncio.Task[None]] = set()
        self.refused = 0
        self.faults = Faults(log)
        self._busy: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def start(self, listener: socket.socket) -> None:
        """Begin to take connections from *listener*."""
        self._server = await asyncio.start_server(self._connected, sock=listener, limit=READ_BYTES)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self.connections) >= self.max_connections:
            self.refused += 1
            _log_full(self.name, self.max_connections, self.refused)
            writer.close()
            return
        task = asyncio.get_running_loop().create_task(self._converse(reader, writer))
        self.connections.add(task)
        task.add_done_callback(self.connections.discard)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._exchange(self.conversation(), reader, writer)
        except (TimeoutError, ConnectionError):
            pass
        except Exception as error:
            self.faults.report(f"{self.name}: closing a connection", error)
        finally:
            writer.close()
            with contextlib.suppress(Exception):
                async with asyncio.timeout(1):
                    await writer.wait_closed()

    async def _exchange(
        self, conversation: PatientConversation, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await _send(writer, conversation.greeting())
        me = asyncio.current_task()
        assert me is not None
        while True:
            async with asyncio.timeout(self.idle_seconds):
                data = await reader.read(READ_BYTES)
            if not data:
                return
            self._busy.add(me)
            try:
                await _send(writer, await conversation.received(data))
            except HangUp as hang_up:
                _log_hang_up(self.name, hang_up)
                await _send(writer, hang_up.last_reply)
                return
            finally:
                self._busy.discard(me)

    async def stop(self, patience_seconds: float = 0.5) -> None:
        """Take no more connections, let answers that are being made go out, then close what is left."""
        if self._server is not None:
            self._server.close()
        for task in self.connections - self._busy:
            task.cancel()
        if self._busy:
            await asyncio.wait(set(self._busy), timeout=patience_seconds)
        for task in self.connections:
            task.cancel()
        if self.connections:
            await asyncio.wait(set(self.connections), timeout=0.2)


async def _send(writer: asyncio.StreamWriter, data: bytes) -> None:
    if data:
        writer.write(data)
        async with asyncio.timeout(WRITE_TIMEOUT_SECONDS):
            await writer.drain()


def _log_hang_up(name: str, hang_up: HangUp) -> None:
    if hang_up.reason is not None:
        log.warning("%s: closing a connection: %s", name, hang_up.reason)


def _log_full(name: str, max_connections: int, refused: int) -> None:
    if refused & (refused - 1) == 0:  # the 1st, 2nd, 4th, 8th, ... time, so that a flood does not fill the log
        log.error("%s: %d connections are open; refusing more (%d so far)", name, max_connections, refused)
