"""Commands reach the agents through a socket of root's, and every failure comes back in words."""

from __future__ import annotations

import asyncio
import socket
import stat
from pathlib import Path
from typing import Any

import pytest
from tests.unit.deploy.fake_room import run

from mailu.deploy.control import ControlError, ControlServer, NotRunning, ask


async def double(request: dict[str, Any]) -> dict[str, Any]:
    return {"twice": request["number"] * 2}


async def fail(request: dict[str, Any]) -> dict[str, Any]:
    raise RuntimeError("the disk is on fire")


def with_server(path: Path, request: dict[str, Any]) -> dict[str, Any]:
    answers: list[dict[str, Any]] = []

    async def scenario() -> None:
        server = ControlServer(path, {"double": double, "fail": fail})
        await server.open()
        try:
            answers.append(await asyncio.to_thread(ask, path, request, seconds=5))
        finally:
            await server.close()

    run(scenario())
    return answers[0]


def test_a_request_is_answered(tmp_path: Path) -> None:
    assert with_server(tmp_path / "control", {"do": "double", "number": 21}) == {"twice": 42}


def test_a_failure_is_told_in_its_words(tmp_path: Path) -> None:
    with pytest.raises(ControlError, match="the disk is on fire"):
        with_server(tmp_path / "control", {"do": "fail"})


@pytest.mark.parametrize("request_", [{"do": "unknown"}, {"number": 1}, {"do": "double"}])
def test_what_is_not_understood_is_refused(tmp_path: Path, request_: dict[str, Any]) -> None:
    with pytest.raises(ControlError, match="not understood"):
        with_server(tmp_path / "control", request_)


def test_nobody_answers_where_nothing_runs(tmp_path: Path) -> None:
    with pytest.raises(NotRunning):
        ask(tmp_path / "control", {"do": "double"}, seconds=1)
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(tmp_path / "control"))
    left.close()
    with pytest.raises(NotRunning):
        ask(tmp_path / "control", {"do": "double"}, seconds=1)


def test_the_socket_is_for_root_only_and_goes_with_the_server(tmp_path: Path) -> None:
    path = tmp_path / "control"

    async def scenario() -> None:
        server = ControlServer(path, {})
        await server.open()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        await server.close()
        assert not path.exists()

    run(scenario())


def test_garbage_does_not_end_the_server(tmp_path: Path) -> None:
    path = tmp_path / "control"

    async def scenario() -> None:
        server = ControlServer(path, {"double": double})
        await server.open()
        for garbage in (b"", b"\n", b"[]\n", b"{", b"x" * 200_000):
            reader, writer = await asyncio.open_unix_connection(str(path))
            writer.write(garbage)
            writer.write_eof()
            await asyncio.wait_for(reader.read(), 5)
            writer.close()
        assert await asyncio.to_thread(ask, path, {"do": "double", "number": 1}, seconds=5) == {"twice": 2}
        await server.close()

    run(scenario())
