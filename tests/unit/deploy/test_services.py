"""The table of services, and our own processes seen as daemons."""

from __future__ import annotations

import http.server
import socketserver
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.deploy.fake_room import HOST, situation

from mailu.daemons.room import RenderRequest
from mailu.deploy.python_room import PythonRoom
from mailu.deploy.services import SERVICES, UnknownService, find_service, stop_order, wanted_services
from mailu.settings import Settings

SETTINGS = situation(Path("/mailu")).settings


def test_every_service_has_a_room_of_its_name() -> None:
    assert {service.name: service.room().name for service in SERVICES} == {s.name: s.name for s in SERVICES}


def test_what_a_service_needs_is_started_before_it() -> None:
    names = [service.name for service in SERVICES]
    for service in SERVICES:
        assert all(names.index(need) < names.index(service.name) for need in service.needs)


def test_strangers_are_turned_away_before_the_directory_goes() -> None:
    order = stop_order(service.name for service in SERVICES)
    assert order.index("smtp") < order.index("imap") < order.index("directory") < order.index("redis")
    assert order.index("front") < order.index("admin") < order.index("directory")


def test_a_service_with_an_address_runs_elsewhere() -> None:
    here = {service.name for service in wanted_services(SETTINGS)}
    away = {service.name for service in wanted_services(replace(SETTINGS, redis_address="192.0.2.7"))}
    assert here - away == {"redis"}
    assert find_service("redis", replace(SETTINGS, redis_address="192.0.2.7")).name == "redis"


def test_a_service_that_is_not_there_is_told_with_those_that_are() -> None:
    with pytest.raises(UnknownService, match=r"no service 'stmp'; there are redis, .*smtp"):
        find_service("stmp", SETTINGS)


def request_at(root: Path, port: int = 0) -> RenderRequest:
    made = situation(root)
    return RenderRequest(
        settings=made.settings,
        places=made.places,
        host=replace(HOST, directory_port=port),
        etc=made.places.service("fake") / "etc.1",
    )


ROOM = PythonRoom(
    name="fake",
    module="mailu.servers.fake",
    account="mailu",
    door=lambda request: request.host.directory_port or request.places.run / "door",
    more_folders=lambda request: [],
)


def test_settings_are_handed_over_in_a_file_for_the_service_only() -> None:
    file = ROOM.render(request_at(Path("/mailu")))["settings.json"]
    assert (file.mode, file.owner, file.group) == (0o640, "root", "mailu")
    assert Settings.from_json(file.text) == SETTINGS


def test_the_process_finds_its_settings_and_source(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/source")
    monkeypatch.setenv("SECRET_KEY", "do not hand on")
    request = request_at(Path("/mailu"), 21001)
    assert ROOM.command(request, Path("/any")) == [sys.executable, "-m", "mailu.servers.fake"]
    environment = ROOM.environment(request)
    assert environment["MAILU_SETTINGS"] == "/mailu/run/fake/etc/settings.json"
    assert environment["MAILU_DIRECTORY_PORT"] == "21001"
    assert environment["PYTHONPATH"] == "/source"
    assert "SECRET_KEY" not in environment
    assert ROOM.user() == "mailu"


class Answer(http.server.BaseHTTPRequestHandler):
    code = 200

    def do_GET(self) -> None:
        self.send_response(self.code if self.path == "/ready" else 404)
        self.end_headers()
        self.wfile.write(b"the database does not answer")

    def log_message(self, format: str, *args: object) -> None:
        return


class UnixServer(socketserver.UnixStreamServer):
    def get_request(self) -> tuple[object, tuple[str, int]]:  # type: ignore[override]
        return super().get_request()[0], ("local", 0)


@contextmanager
def serving(server: socketserver.BaseServer, code: int) -> Iterator[None]:
    server.RequestHandlerClass.code = code  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize(("code", "reason"), [(200, None), (503, "503 the database does not answer")])
def test_ready_is_what_the_process_says_on_its_port(code: int, reason: str | None) -> None:
    with http.server.HTTPServer(("127.0.0.1", 0), Answer) as server, serving(server, code):
        assert ROOM.ready(request_at(Path("/mailu"), server.server_address[1])) == reason


def test_ready_is_what_the_process_says_on_its_socket() -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        (Path(name) / "run").mkdir()
        with UnixServer(f"{name}/run/door", Answer) as server, serving(server, 200):
            assert ROOM.ready(request_at(Path(name))) is None
        Path(name, "run", "door").unlink()
        assert "no answer" in (ROOM.ready(request_at(Path(name))) or "")
