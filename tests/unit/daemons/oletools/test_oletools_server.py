"""The macro scanner's server, with the real olevba."""

from __future__ import annotations

import asyncio
import importlib.util
import json
from dataclasses import replace
from typing import Any

import pytest
from tests.room_harness import HOST, make_request

from mailu.daemons.oletools import room
from mailu.daemons.rspamd import ROOM as RSPAMD

_spec = importlib.util.spec_from_file_location("oletools_server", room.SERVER)
assert _spec is not None
assert _spec.loader is not None
server: Any = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(server)

HEAD = b"OLEFY/1.0\nMethod: oletools\nRspamd-ID: abc\n\n"
MACRO = b'Attribute VB_Name = "x"\nSub AutoOpen()\nShell "calc"\nEnd Sub\n' * 20


@pytest.fixture(autouse=True)
def turns_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test has an event loop of its own."""
    monkeypatch.setattr(server, "_turns", asyncio.Semaphore(2))


def _ask(request: bytes) -> Any:
    async def converse() -> bytes:
        async with await asyncio.start_server(server.answer, "127.0.0.1", 0) as listening:
            reader, writer = await asyncio.open_connection(*listening.sockets[0].getsockname()[:2])
            writer.write(request)
            writer.write_eof()
            answer = await reader.read()
            writer.close()
            await writer.wait_closed()
            return answer

    answer = asyncio.run(converse())
    assert answer.endswith(b"\t\n\n\t")
    assert b"\n" not in answer[:-4]
    return json.loads(answer[:-4])


def test_a_macro_is_found() -> None:
    found = [entry for part in _ask(HEAD + MACRO) for entry in part.get("analysis") or []]
    assert {("AutoExec", "AutoOpen"), ("Suspicious", "Shell")} <= {(one["type"], one["keyword"]) for one in found}


def test_an_empty_document_is_too_small() -> None:
    assert _ask(HEAD) == [{"error": "File too small"}]


@pytest.mark.parametrize(
    "request_bytes", [b"", b"GET / HTTP/1.0\r\n\r\n", MACRO, b"OLEFY/1.0\nMethod: other\n\n" + MACRO]
)
def test_another_protocol_is_refused(request_bytes: bytes) -> None:
    assert _ask(request_bytes) == [{"error": "Protocol error"}]


def test_what_takes_too_long_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "OLEVBA", ("/bin/sh", "-c", "sleep 60"))
    monkeypatch.setattr(server, "SCAN_SECONDS", 0.2)
    assert _ask_without_limits(monkeypatch) == [{"error": "it took too long"}]


def test_what_says_nothing_sensible_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "OLEVBA", ("/bin/echo", "oops"))
    assert _ask_without_limits(monkeypatch) == [{"error": "it cannot be taken apart"}]


def _ask_without_limits(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(server, "_limit", lambda: None)
    return _ask(HEAD + MACRO)


def test_rspamd_asks_where_it_listens() -> None:
    request = make_request({"SCAN_MACROS": "true"}, service="antispam", host=replace(HOST, oletools_port=21_009))
    text = RSPAMD.render(request)["local.d/external_services.conf"].text
    assert 'servers = "127.0.0.1:21009";' in text
    assert room.port(request) == 21_009
