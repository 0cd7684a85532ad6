"""Calendars and contacts, by the programs that people use."""

from __future__ import annotations

import subprocess
import sys
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.daemons.conversation import api
from tests.daemons.server import DOMAIN, OTHER, PASSWORD, USER, Server, until

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import caldav
    from caldav.lib.error import AuthorizationError

pytestmark = pytest.mark.filterwarnings("ignore")
EVENT = """BEGIN:VCALENDAR
VERSION:2.0
PRODID:-//test//EN
BEGIN:VEVENT
UID:lunch@test
DTSTAMP:20260101T000000Z
DTSTART:20260102T120000Z
DTEND:20260102T130000Z
SUMMARY:Lunch
END:VEVENT
END:VCALENDAR
"""
CARD = "BEGIN:VCARD\r\nVERSION:3.0\r\nUID:ann\r\nFN:Ann Example\r\nEMAIL:ann@example.org\r\nEND:VCARD\r\n"


_clients: list[Any] = []


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    """Connections do not outlive their test."""
    yield
    while _clients:
        _clients.pop().close()


def _client(full: Server, email: str = USER, password: str = PASSWORD) -> Any:
    program: Any = caldav.DAVClient
    made = program(f"https://{full.address}/webdav/", username=email, password=password, ssl_verify_cert=False)
    _clients.append(made)
    return made


def _http(
    full: Server,
    method: str,
    path: str,
    *,
    who: str = USER,
    headers: Mapping[str, str] | None = None,
    content: str | None = None,
) -> httpx.Response:
    return httpx.request(
        method,
        f"https://{full.address}{path}",
        auth=(who, PASSWORD),
        verify=False,
        timeout=30,
        headers={"Host": f"mail.{DOMAIN}", **(headers or {})},
        content=content,
    )


def test_a_first_calendar_and_address_book_are_there_at_first_use(full: Server) -> None:
    calendars = _client(full).principal().calendars()
    assert [str(calendar.url).rsplit("/", 2)[1] for calendar in calendars] == ["calendar"]
    assert _http(full, "PROPFIND", f"/webdav/{USER}/contacts/").status_code == 207


def test_an_event_is_stored_found_and_deleted(full: Server) -> None:
    calendar = _client(full).principal().calendars()[0]
    event = calendar.save_event(EVENT)
    found = calendar.events()
    assert len(found) == 1
    assert "Lunch" in found[0].data
    event.delete()
    assert calendar.events() == []


@pytest.mark.parametrize("name", ["caldav", "carddav"])
def test_programs_find_the_way_from_the_host_name(full: Server, name: str) -> None:
    answer = _http(full, "PROPFIND", f"/.well-known/{name}")
    assert (answer.status_code, answer.headers["location"]) == (301, "/webdav/")
    principal = _http(full, "PROPFIND", "/webdav/", headers={"Depth": "0"}).text
    assert f"/webdav/{USER.replace('@', '%40')}/" in principal


def test_a_wrong_password_and_none_are_asked_again(full: Server) -> None:
    for answer in (
        httpx.request("PROPFIND", f"https://{full.address}/webdav/", verify=False),
        httpx.request("PROPFIND", f"https://{full.address}/webdav/", auth=(USER, "wrong"), verify=False),
    ):
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Basic")


def test_an_app_password_opens_them(full: Server) -> None:
    made = api(full, "POST", f"/tokenuser/{USER}", comment="calendar")
    until(lambda: _opens(full, made["token"]), what="the app password's effect")


def _opens(full: Server, password: str) -> bool:
    try:
        return bool(_client(full, password=password).principal().calendars())
    except AuthorizationError:
        return False


@pytest.mark.parametrize(
    "path",
    [
        f"/webdav/{USER}/calendar/",
        f"/webdav/{USER}/",
        f"/webdav/{OTHER}/../{USER}/calendar/",
        f"/webdav/{OTHER}/%2e%2e/{USER}/calendar/",
        f"/webdav/{OTHER}/..%2f{USER}/calendar/",
        f"/webdav//{USER}/calendar/",
        f"/webdav/webdav/{USER}/calendar/",
        f"/webdav/{USER.upper()}/calendar/",
    ],
)
@pytest.mark.parametrize("method", ["PROPFIND", "GET", "PUT", "DELETE", "REPORT", "MKCALENDAR", "PROPPATCH"])
def test_nobody_reaches_what_is_somebody_elses(full: Server, method: str, path: str) -> None:
    _client(full).principal()
    answer = _http(full, method, path, who=OTHER, content=EVENT)
    assert answer.status_code in (403, 404, 405, 409), answer.text[:300]
    assert USER not in answer.text
    assert _client(full).principal().calendars()


@pytest.mark.parametrize(
    "tricked", ["/etc/passwd", "../../../../etc/passwd", "%2e%2e/%2e%2e/mailu.env", ".web/../../x"]
)
def test_paths_do_not_lead_out(full: Server, tricked: str) -> None:
    answer = _http(full, "GET", f"/webdav/{USER}/{tricked}")
    # 302: the path is none of Radicale's, and leads home.
    assert answer.status_code in (302, 400, 403, 404)
    assert "root:" not in answer.text
    assert "SECRET_KEY" not in answer.text


def test_a_collection_is_not_moved_to_somebody_else(full: Server) -> None:
    _client(full).principal().calendars()[0].save_event(EVENT)
    _client(full, OTHER).principal()
    where = f"/webdav/{USER}/calendar/lunch%40test.ics"
    for destination in (f"/webdav/{OTHER}/calendar/x.ics", f"/webdav/{USER}/../{OTHER}/calendar/x.ics"):
        goal = f"https://mail.{DOMAIN}{destination}"
        answer = _http(full, "MOVE", where, headers={"Host": f"mail.{DOMAIN}", "Destination": goal})
        assert answer.status_code in (400, 403, 404, 409, 502)
    assert _client(full, OTHER).principal().calendars()[0].events() == []
    _client(full).principal().calendars()[0].events()[0].delete()


def test_headers_of_a_client_change_nobody(full: Server) -> None:
    forged = {"X-Remote-User": USER, "X-Script-Name": "/x", "X-Forwarded-Host": "evil.example", "X-Mailu-Secret": "x"}
    answer = _http(full, "PROPFIND", "/webdav/", who=OTHER, headers={"Depth": "0", **forged})
    assert USER not in answer.text
    assert "evil.example" not in answer.text


def test_vdirsyncer_keeps_two_places_the_same(full: Server, tmp_path: Path) -> None:
    local = tmp_path / "contacts"
    local.mkdir()
    (local / "ann.vcf").write_text(CARD)
    configuration = tmp_path / "config"
    configuration.write_text(
        f'[general]\nstatus_path = "{tmp_path}/status"\n'
        '[pair contacts]\na = "here"\nb = "there"\ncollections = null\n'
        f'[storage here]\ntype = "filesystem"\npath = "{local}"\nfileext = ".vcf"\n'
        f'[storage there]\ntype = "carddav"\nurl = "https://mail.{DOMAIN}/webdav/{USER}/contacts/"\n'
        f'username = "{USER}"\npassword = "{PASSWORD}"\nverify = "{full.root}/certs/self-signed/cert.pem"\n'
    )
    _client(full).principal()
    for word in ("discover", "sync"):
        done = subprocess.run(
            [sys.executable, "-c", _VDIRSYNCER % full.address, "-c", str(configuration), word],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    listed = _http(full, "PROPFIND", f"/webdav/{USER}/contacts/", headers={"Depth": "1"}).text
    assert ".vcf" in listed


_VDIRSYNCER = """
import socket, sys
real = socket.getaddrinfo
socket.getaddrinfo = lambda host, *more, **named: real("%s" if str(host).startswith("mail.") else host, *more, **named)
sys.argv[0] = "vdirsyncer"
from vdirsyncer.cli import app
app()
"""
