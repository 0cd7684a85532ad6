"""Radicale's room, and the gate before Radicale."""

from __future__ import annotations

import importlib.util
import json
import threading
from collections.abc import Iterable
from configparser import RawConfigParser
from pathlib import Path
from typing import Any

import pytest
from tests.room_harness import compare_with_golden, make_request, make_settings

from mailu.daemons.nginx import ROOM as NGINX
from mailu.daemons.radicale import room
from mailu.daemons.radicale.room import ROOM, service_key

_spec = importlib.util.spec_from_file_location("radicale_server", room.SERVER)
assert _spec is not None
assert _spec.loader is not None
server: Any = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(server)

KEY = "the-key"


def test_configuration_is_as_agreed() -> None:
    compare_with_golden("radicale/default", ROOM.render(make_request(service="webdav")))


def test_the_first_collections_are_understood() -> None:
    parser = RawConfigParser()
    parser.read_string(ROOM.render(make_request(service="webdav"))["radicale.conf"].text)
    made = json.loads(parser["storage"]["predefined_collections"])
    assert {name: properties["tag"] for name, properties in made.items()} == {
        "calendar": "VCALENDAR",
        "contacts": "VADDRESSBOOK",
    }


def test_nginx_has_the_key_and_nobody_else_can_read_it() -> None:
    files = NGINX.render(make_request({"WEBDAV": "radicale"}, service="front"))
    key = service_key(make_settings())
    assert key in files["webdav.conf"].text
    assert files["webdav.conf"].mode == 0o600
    own = ROOM.render(make_request(service="webdav"))["key"]
    assert (own.text, own.mode, own.group) == (key, 0o640, "mailu-webdav")


class _Radicale:
    """Remembers what reached it."""

    def __init__(self) -> None:
        self.seen: dict[str, Any] = {}

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        self.seen = dict(environ)
        start_response("207 Multi-Status", [])
        return [b"it"]


def _ask(**environ: str) -> tuple[str, dict[str, Any]]:
    radicale, status = _Radicale(), []
    gate = server.Gate(radicale, KEY)
    b"".join(gate({"PATH_INFO": "/", **environ}, lambda line, _headers: status.append(line)))
    return status[0], radicale.seen


def test_nginx_is_let_in_with_the_user_it_names() -> None:
    status, seen = _ask(HTTP_X_MAILU_SECRET=KEY, HTTP_X_REMOTE_USER="User@example.org")
    assert status.startswith("207")
    assert (seen["HTTP_X_REMOTE_USER"], seen["SCRIPT_NAME"]) == ("user@example.org", "/webdav")
    assert "HTTP_X_MAILU_SECRET" not in seen


@pytest.mark.parametrize("given", ["", "wrong", "the-ke", "the-key ", "\xff"])
def test_whoever_has_not_the_key_is_not_let_in(given: str) -> None:
    status, seen = _ask(HTTP_X_MAILU_SECRET=given, HTTP_X_REMOTE_USER="user@example.org")
    assert (status[:3], seen) == ("403", {})


@pytest.mark.parametrize(
    "user", ["", "nobody", "../x@example.org", "a/b@example.org", ".hidden@example.org", "x\n@example.org", "\xff@x"]
)
def test_names_that_are_no_folder_of_their_own_are_not_let_in(user: str) -> None:
    status, seen = _ask(HTTP_X_MAILU_SECRET=KEY, HTTP_X_REMOTE_USER=user)
    assert (status[:3], seen) == ("403", {})


def test_names_in_any_language_arrive_as_they_are() -> None:
    header = "jürgen@example.org".encode().decode("latin-1")
    assert _ask(HTTP_X_MAILU_SECRET=KEY, HTTP_X_REMOTE_USER=header)[1]["HTTP_X_REMOTE_USER"] == "jürgen@example.org"


def test_headers_that_radicale_would_believe_are_taken_away() -> None:
    forged = dict.fromkeys(server._NOT_BELIEVED, "evil") | {"HTTP_X_MAILU_SECRET": KEY}
    seen = _ask(**forged, HTTP_X_REMOTE_USER="user@example.org")[1]
    assert "evil" not in seen.values()
    assert seen["wsgi.url_scheme"] == "https"


def test_it_serves_on_a_socket(tmp_path: Path) -> None:
    path = tmp_path / "http"
    served = server.make_server(server.Gate(_Radicale(), KEY), str(path))
    thread = threading.Thread(target=served.serve_forever, args=(0.05,))
    thread.start()
    try:
        assert room._get_ready(path) is None
    finally:
        served.shutdown()
        thread.join()
        served.server_close()


def test_a_configuration_that_radicale_does_not_know_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "radicale.conf"
    file.write_text("[storage]\nno_such_option = 1\n")
    with pytest.raises(RuntimeError, match="no_such_option"):
        server.main(["--check", str(file)])
