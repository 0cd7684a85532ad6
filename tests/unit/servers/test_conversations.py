"""Connections are bounded in number, time and size, and a fault in one answer ends one connection only."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path

import pytest

from mailu.servers.conversations import HangUp, PatientServer, PromptServer
from mailu.servers.listening import listen_unix
from mailu.wire import BadRequest


class Echo:
    """Says what it hears; some words have an effect."""

    def greeting(self) -> bytes:
        return b"hello "

    def now(self, data: bytes) -> bytes:
        if data == b"bad":
            raise HangUp(b"last ", BadRequest("bad word"))
        if data == b"bye":
            raise HangUp(b"bye")
        if data == b"fault":
            raise ZeroDivisionError("a fault")
        return data


class PromptEcho(Echo):
    def received(self, data: bytes) -> bytes:
        return self.now(data)


class PatientEcho(Echo):
    async def received(self, data: bytes) -> bytes:
        if data == b"slow":
            await asyncio.sleep(0.1)
        if data == b"never":
            await asyncio.sleep(60)
        return self.now(data)


Server = PromptServer | PatientServer
Kind = Callable[..., Server]


def prompt(*, max_connections: int = 8, idle_seconds: float = 30) -> PromptServer:
    return PromptServer("test", PromptEcho, max_connections=max_connections, idle_seconds=idle_seconds)


def patient(*, max_connections: int = 8, idle_seconds: float = 30) -> PatientServer:
    return PatientServer("test", PatientEcho, max_connections=max_connections, idle_seconds=idle_seconds)


both = pytest.mark.parametrize("kind", [prompt, patient])


class Client:
    def __init__(self, path: Path, *, greeted: bool) -> None:
        self.path, self.greeted = path, greeted

    async def __aenter__(self) -> Client:
        self.reader, self.writer = await asyncio.open_unix_connection(str(self.path))
        if self.greeted:
            assert await self.reader.read(100) in (b"hello ", b"")
        return self

    async def __aexit__(self, *_error: object) -> None:
        self.writer.close()

    async def say(self, data: bytes) -> bytes:
        self.writer.write(data)
        return await self.reader.read(100)

    async def rest(self) -> bytes:
        async with asyncio.timeout(5):
            return await self.reader.read()


def serve(tmp_path: Path, server: Server, scenario: Callable[[Callable[[], Client]], Awaitable[None]]) -> None:
    async def run() -> None:
        path = tmp_path / "s"
        await server.start(listen_unix(path))
        try:
            await scenario(lambda: Client(path, greeted=isinstance(server, PatientServer)))
        finally:
            await server.stop()

    asyncio.run(run())


@both
def test_answers_go_to_whom_they_belong(kind: Kind, tmp_path: Path) -> None:
    async def scenario(connect: Callable[[], Client]) -> None:
        async with connect() as one, connect() as two:
            assert await one.say(b"one") == b"one"
            assert await two.say(b"two") == b"two"
            assert await one.say(b"again") == b"again"

    serve(tmp_path, kind(), scenario)


@both
def test_a_broken_request_ends_its_connection_after_the_last_reply(
    kind: Kind, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(connect: Callable[[], Client]) -> None:
        async with connect() as one, connect() as two:
            assert await one.say(b"bad") == b"last "
            assert await one.rest() == b""
            assert await two.say(b"two") == b"two"

    serve(tmp_path, kind(), scenario)
    assert [record.getMessage() for record in caplog.records] == ["test: closing a connection: bad word"]


@both
def test_hanging_up_without_a_reason_is_not_logged(
    kind: Kind, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(connect: Callable[[], Client]) -> None:
        async with connect() as one:
            assert await one.say(b"bye") == b"bye"
            assert await one.rest() == b""

    serve(tmp_path, kind(), scenario)
    assert caplog.records == []


@both
def test_a_fault_ends_one_connection_and_is_logged_ever_more_rarely(
    kind: Kind, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server = kind()

    async def scenario(connect: Callable[[], Client]) -> None:
        for _ in range(5):
            async with connect() as one:
                assert await one.say(b"fault") == b""
        async with connect() as one:
            assert await one.say(b"fine") == b"fine"

    serve(tmp_path, server, scenario)
    assert server.faults.total == 5
    assert [record.levelno for record in caplog.records] == [logging.ERROR] * 3  # the 1st, 2nd and 4th


@both
def test_a_connection_too_many_is_closed_and_room_is_made_again(
    kind: Kind, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server = kind(max_connections=2)

    async def scenario(connect: Callable[[], Client]) -> None:
        async with connect() as one, connect() as two:
            assert await one.say(b"1") == b"1"
            assert await two.say(b"2") == b"2"
            async with connect() as three:
                assert await three.rest() == b""
        await asyncio.sleep(0.05)
        async with connect() as four:
            assert await four.say(b"4") == b"4"

    serve(tmp_path, server, scenario)
    assert server.refused == 1
    assert "2 connections are open" in caplog.text


@both
def test_a_silent_connection_is_closed_and_a_busy_one_is_not(kind: Kind, tmp_path: Path) -> None:
    async def scenario(connect: Callable[[], Client]) -> None:
        async with connect() as silent, connect() as busy:
            for _ in range(8):
                assert await busy.say(b"here") == b"here"
                await asyncio.sleep(0.05)
            assert await silent.rest() == b""

    serve(tmp_path, kind(idle_seconds=0.2), scenario)


async def shout(client: Client) -> None:
    async with asyncio.timeout(5):
        while True:
            client.writer.write(b"x" * 65536)
            await client.writer.drain()


def test_a_client_that_does_not_read_is_cut_off(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(connect: Callable[[], Client]) -> None:
        async with connect() as deaf:
            with pytest.raises(ConnectionError):
                await shout(deaf)

    serve(tmp_path, prompt(), scenario)
    assert "does not read its answers" in caplog.text


def test_stopping_finishes_the_answer_being_made_and_leaves_nobody_hanging(tmp_path: Path) -> None:
    async def run() -> tuple[bytes, bytes, float]:
        path, server = tmp_path / "s", patient()
        await server.start(listen_unix(path))
        async with (
            Client(path, greeted=True) as slow,
            Client(path, greeted=True) as idle,
            Client(path, greeted=True) as stuck,
        ):
            answer = asyncio.create_task(slow.say(b"slow"))
            stuck.writer.write(b"never")
            await asyncio.sleep(0.03)
            started = asyncio.get_running_loop().time()
            await server.stop(patience_seconds=0.3)
            seconds = asyncio.get_running_loop().time() - started
            return await answer, await idle.rest(), seconds

    answer, idle, seconds = asyncio.run(run())
    assert (answer, idle) == (b"slow", b"")
    assert seconds < 0.8


class SometimesSlow(Echo):
    """Answers the word ``slow`` later, and what breaks then."""

    def received(self, data: bytes) -> bytes | Coroutine[None, None, bytes]:
        return self.later(data) if data.startswith(b"slow") else self.now(data)

    async def later(self, data: bytes) -> bytes:
        await asyncio.sleep(0.1)
        return self.now(data.removeprefix(b"slow "))


def sometimes() -> PromptServer:
    return PromptServer("test", SometimesSlow, max_connections=8, idle_seconds=30)


def test_a_slow_answer_holds_up_its_own_connection_only(tmp_path: Path) -> None:
    async def scenario(connect: Callable[[], Client]) -> None:
        async with connect() as one, connect() as two:
            one.writer.write(b"slow one")
            await asyncio.sleep(0.02)
            one.writer.write(b" then")
            started = asyncio.get_running_loop().time()
            assert await two.say(b"two") == b"two"
            assert asyncio.get_running_loop().time() - started < 0.08
            assert await one.reader.readexactly(8) == b"one then"

    serve(tmp_path, sometimes(), scenario)


@pytest.mark.parametrize(("word", "last"), [(b"slow bad", b"last "), (b"slow fault", b"")])
def test_a_slow_answer_that_breaks_ends_its_connection(tmp_path: Path, word: bytes, last: bytes) -> None:
    async def scenario(connect: Callable[[], Client]) -> None:
        async with connect() as one:
            one.writer.write(word)
            assert await one.rest() == last

    serve(tmp_path, sometimes(), scenario)


def test_a_client_that_leaves_before_its_slow_answer_disturbs_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(connect: Callable[[], Client]) -> None:
        async with connect() as one:
            one.writer.write(b"slow one")
            await asyncio.sleep(0.02)
        await asyncio.sleep(0.15)

    serve(tmp_path, sometimes(), scenario)
    assert caplog.records == []
