"""A real nginx with the rendered configuration: what it serves, passes on, refuses, and says when others are away."""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import shutil
import socket
import socketserver
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from tests.room_harness import make_request, root_folder, running, this_host

from mailu.daemons.nginx import ROOM, acme_folder
from mailu.daemons.room import RenderRequest
from mailu.daemons.rspamd import controller_for_web
from mailu.daemons.rspamd.access import controller_password
from mailu.identity.certificates import ensure_self_signed

pytestmark = pytest.mark.daemons

ADDRESS = "127.0.17.42"
HOST = "mail.example.org"


@dataclass
class Backend:
    """An HTTP server on a unix socket that answers with what it was asked; ``answers`` says what for some paths."""

    path: Path
    answers: dict[str, tuple[int, dict[str, str]]] = field(default_factory=dict)
    seen: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    @contextlib.contextmanager
    def serving(self) -> Iterator[Backend]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.parent.chmod(0o755)
        backend = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def address_string(self) -> str:
                return "unix"

            def log_message(self, format: str, *args: object) -> None:
                pass

            def do_GET(self) -> None:
                headers = {name.lower(): value for name, value in self.headers.items()}
                self.rfile.read(int(headers.get("content-length", "0")))
                backend.seen.append((self.path, headers))
                status, extra = backend.answers.get(self.path.partition("?")[0], (200, {}))
                body = json.dumps({"method": self.command, "target": self.path, "headers": headers}).encode()
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), "Content-Type": "text/json", **extra}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_GET

        with socketserver.UnixStreamServer(str(self.path), Handler) as server:
            self.path.chmod(0o666)
            thread = threading.Thread(target=server.serve_forever, args=(0.02,))
            thread.start()
            try:
                yield self
            finally:
                server.shutdown()
                thread.join()
        self.path.unlink()


@contextlib.contextmanager
def front(
    variables: dict[str, str], *, pair: bool = True, overrides: dict[str, str] | None = None
) -> Iterator[RenderRequest]:
    """A running nginx on a root of its own, with a pair that counts as trusted unless *pair* is False."""
    with root_folder("rs") as root:
        request = make_request(
            {"BIND_ADDRESS4": ADDRESS, **variables}, root=root, service="front", host=this_host(), overrides=overrides
        )
        certs = request.places.certs
        own = ensure_self_signed(certs, request.settings.hostnames)
        chain, key = own.chain, own.key
        if pair:
            chain, key = certs / "cert.pem", certs / "key.pem"
            shutil.copy(own.chain, chain)
            shutil.copy(own.key, key)
        certificates = tuple((name, chain, key) for name in request.settings.hostnames)
        object.__setattr__(request, "certificates", certificates)
        with running(ROOM, request):
            yield request


def client(scheme: str = "https", address: str = ADDRESS) -> httpx.Client:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return httpx.Client(base_url=f"{scheme}://{address}", headers={"Host": HOST}, verify=context, trust_env=False)


def asked(response: httpx.Response) -> dict[str, str]:
    headers: dict[str, str] = response.json()["headers"]
    return headers


def test_the_plain_port_leads_to_tls_and_still_answers_what_must_be_plain() -> None:
    with front({}) as request, client("http") as plain:
        moved = plain.get("/admin/x?y=1")
        assert (moved.status_code, moved.headers["location"]) == (301, f"https://{HOST}/admin/x?y=1")
        assert plain.get("/health").status_code == 204
        assert plain.get("/.well-known/acme-challenge/testing").status_code == 204
        folder = acme_folder(request.places) / ".well-known" / "acme-challenge"
        folder.mkdir(parents=True)
        (folder / "token").write_text("token.thumbprint")
        assert plain.get("/.well-known/acme-challenge/token").text == "token.thumbprint"
        found = plain.get("/mail/config-v1.1.xml?emailaddress=a", headers={"Host": "autoconfig.example.com"})
        assert found.headers["location"] == f"https://{HOST}/mail/config-v1.1.xml?emailaddress=a"


def test_pages_come_from_the_administration_with_safe_headers() -> None:
    with front({"API": "true"}) as request, Backend(request.places.admin_socket).serving() as admin, client() as https:
        admin.answers["/admin/"] = (200, {"X-Frame-Options": "ALLOWALL", "X-Powered-By": "x", "Server": "x"})
        answer = https.get("/admin/")
        assert answer.status_code == 200
        assert answer.headers.get_list("x-frame-options") == ["SAMEORIGIN"]
        assert answer.headers["strict-transport-security"] == "max-age=31536000"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-permitted-cross-domain-policies"] == "none"
        assert answer.headers["referrer-policy"] == "same-origin"
        assert "x-powered-by" not in answer.headers
        for path in ("/sso/login", "/static/app.css", "/api/v1/user", "/mobileconfig", "/.well-known/mta-sts.txt"):
            assert https.get(path).json()["target"] == path


def test_what_a_client_says_about_itself_is_not_believed() -> None:
    forged = {
        "X-Forwarded-For": "192.0.2.1", "X-Forwarded-By": "10.0.0.1", "X-Forwarded-Host": "evil.example",
        "X-Forwarded-Proto": "http", "X-Remote-User": "admin@example.org", "X-Real-IP": "192.0.2.1",
        "Forwarded": "for=192.0.2.1", "X-Mailu-Secret": "x", "X-Script-Name": "/x",
    }  # fmt: skip
    with front({}) as request, Backend(request.places.admin_socket).serving(), client() as https:
        headers = asked(https.get("/admin/", headers=forged))
        assert headers["x-forwarded-for"] == headers["x-real-ip"] == headers["x-forwarded-by"] == "127.0.0.1"
        assert headers["x-forwarded-proto"] == "https"
        assert int(headers["x-real-port"]) > 1023
        assert not set(headers) & {"x-forwarded-host", "x-remote-user", "forwarded", "x-mailu-secret", "x-script-name"}


def test_a_listed_proxy_is_believed_about_the_client_but_not_about_itself() -> None:
    variables = {"REAL_IP_FROM": "127.0.0.0/8", "REAL_IP_HEADER": "X-Forwarded-For", "TLS_FLAVOR": "notls"}
    with front(variables) as request, Backend(request.places.admin_socket).serving(), client("http") as plain:
        sent = {
            "X-Forwarded-For": "203.0.113.9, 198.51.100.7",
            "X-Forwarded-Proto": "https",
            "X-Forwarded-By": "1.1.1.1",
        }
        headers = asked(plain.get("/admin/", headers=sent))
        assert headers["x-forwarded-for"] == "198.51.100.7"
        assert headers["x-forwarded-by"] == "127.0.0.1"
        assert headers["x-forwarded-proto"] == "https"


def test_the_proxy_protocol_carries_the_client() -> None:
    variables = {"REAL_IP_FROM": "127.0.0.1", "PROXY_PROTOCOL": "80", "TLS_FLAVOR": "notls"}
    with front(variables) as request, Backend(request.places.admin_socket).serving() as admin:
        with socket.create_connection((ADDRESS, 80), 2) as connection:
            connection.sendall(b"PROXY TCP4 203.0.113.9 127.0.17.42 4242 80\r\n")
            connection.sendall(b"GET /admin/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert connection.recv(100).startswith(b"HTTP/1.1 200")
        assert admin.seen[-1][1]["x-real-ip"] == "203.0.113.9"
        assert admin.seen[-1][1]["x-forwarded-by"] == "127.0.0.1"
        with socket.create_connection((ADDRESS, 80), 2) as connection:
            connection.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            assert not connection.recv(100).startswith(b"HTTP/1.1 2")


def test_our_own_questions_cannot_be_asked_from_outside() -> None:
    with front({}) as request, Backend(request.places.admin_socket).serving() as admin, client() as https:
        for path in ("/internal/auth/admin", "/.internal/auth/admin", "/.mailu/unavailable.html", "/x/api/v1/user"):
            assert https.get(path).status_code in (302, 404)
        assert admin.seen == []


def test_the_filters_pages_are_for_global_administrators() -> None:
    with front({}) as request, client() as https:
        admin, controller = Backend(request.places.admin_socket), Backend(controller_for_web(request.places))
        with admin.serving(), controller.serving():
            admin.answers["/internal/auth/admin"] = (403, {})
            refused = https.get("/admin/antispam/stat?x=1")
            assert (refused.status_code, refused.headers["location"]) == (
                302,
                "/sso/login?url=/admin/antispam/stat?x=1",
            )
            assert controller.seen == []
            admin.answers["/internal/auth/admin"] = (200, {})
            passed = https.get("/admin/antispam/stat", headers={"Cookie": "session=secret", "Password": "guess"})
            assert passed.json()["target"] == "/stat"
            assert asked(passed)["password"] == controller_password(request.settings)
            assert "cookie" not in asked(passed)
            assert "session=secret" in admin.seen[-1][1]["cookie"]
            moved = https.get("/admin/antispam")
            assert (moved.status_code, moved.headers["location"]) == (301, "/admin/antispam/")


def test_calendars_are_told_who_it_is_and_never_the_password() -> None:
    with front({"WEBDAV": "radicale"}) as request, client() as https:
        admin, radicale = Backend(request.places.admin_socket), Backend(request.places.webdav_socket)
        with admin.serving(), radicale.serving():
            admin.answers["/internal/auth/basic"] = (
                401,
                {"WWW-Authenticate": 'Basic realm="Mailu"', "Retry-After": "60"},
            )
            refused = https.get("/webdav/", headers={"X-Remote-User": "admin@example.org"})
            assert refused.status_code == 401
            assert refused.headers["retry-after"] == "60"
            assert refused.headers["www-authenticate"] == 'Basic realm="Mailu"'
            admin.answers["/internal/auth/basic"] = (200, {"X-User": "anna@example.org"})
            headers = asked(https.get("/webdav/anna/", auth=("anna@example.org", "secret")))
            assert headers["x-remote-user"] == "anna@example.org"
            assert headers["x-mailu-secret"]
            assert "authorization" not in headers
            assert https.get("/.well-known/caldav").headers["location"] == "/webdav/"


def test_the_webmail_is_behind_our_own_log_in() -> None:
    with front({}) as request, Backend(request.places.admin_socket).serving() as admin, client() as https:
        admin.answers["/internal/auth/user"] = (403, {})
        refused = https.get("/webmail/?_task=mail")
        assert (refused.status_code, refused.headers["location"]) == (302, "/sso/login?url=/webmail/?_task=mail")


def test_autodiscover_is_found_in_any_case() -> None:
    with front({}) as request, Backend(request.places.admin_socket).serving(), client() as https:
        answer = https.post("/Autodiscover/AutoDiscover.xml", content=b"<x/>")
        assert (answer.json()["method"], answer.json()["target"]) == ("POST", "/autodiscover/autodiscover.xml")
        answer = https.get("/AutoDiscover/autodiscover.json/v1.0/a@b?Protocol=Autodiscoverv1")
        assert answer.json()["target"] == "/autodiscover/autodiscover.json?Protocol=Autodiscoverv1"


def test_unknown_paths_lead_home_or_nowhere() -> None:
    with front({"WEBROOT_REDIRECT": "/webmail"}), client() as https:
        assert https.get("/").headers["location"] == "/webmail?homepage"
        assert https.get("/nothing/here").headers["location"] == "/webmail?homepage"
    with front({"WEBMAIL": "none", "ADMIN": "false"}), client() as https:
        assert https.get("/").status_code == 404
        assert https.get("/robots.txt").text == "User-agent: *\nDisallow: /\n"


def test_while_the_administration_is_away_a_calm_page_says_so() -> None:
    with front({}), client() as https:
        answer = https.get("/sso/login")
        assert answer.status_code == 503
        assert "One moment, please" in answer.text
        assert answer.headers["retry-after"] == "10"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert https.post("/sso/login", data={"pw": "x"}).status_code == 503
        assert https.get("/admin/antispam/").status_code == 503


def test_without_a_trusted_certificate_the_door_stays_open_and_says_why() -> None:
    with front({}, pair=False) as request, Backend(request.places.admin_socket).serving(), client() as https:
        page = https.get("/")
        assert page.status_code == 200
        assert "no trusted certificate yet" in page.text
        assert "strict-transport-security" not in page.headers
        assert https.get("/admin/").status_code == 200


def test_messages_of_the_largest_size_fit_and_larger_ones_do_not() -> None:
    limit = {"MESSAGE_SIZE_LIMIT": "1000000"}
    with front(limit) as request, Backend(request.places.admin_socket).serving(), client() as https:
        assert https.post("/admin/x", content=b"x" * 9_000_000).status_code == 200
        assert https.post("/admin/x", content=b"x" * 9_500_000).status_code == 413


@pytest.mark.parametrize(
    ("profile", "version", "works"),
    [
        ("modern", ssl.TLSVersion.TLSv1_2, False),
        ("modern", ssl.TLSVersion.TLSv1_3, True),
        ("intermediate", ssl.TLSVersion.TLSv1_1, False),
        ("intermediate", ssl.TLSVersion.TLSv1_2, True),
        ("old", ssl.TLSVersion.TLSv1_1, True),
    ],
)
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
def test_the_profile_decides_which_tls_is_spoken(profile: str, version: ssl.TLSVersion, works: bool) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = version
    context.set_alpn_protocols(["h2"])
    with front({"TLS_PROFILE_WEB": profile}), socket.create_connection((ADDRESS, 443), 2) as connection:
        if not works:
            with pytest.raises((ssl.SSLError, ConnectionError)):
                context.wrap_socket(connection, server_hostname=HOST)
            return
        with context.wrap_socket(connection, server_hostname=HOST) as encrypted:
            assert encrypted.selected_alpn_protocol() == "h2"


def test_overrides_stand_in_the_site() -> None:
    overrides = {"hello.conf": 'location /hello { return 200 "hi"; }'}
    with front({}, overrides=overrides), client() as https:
        assert https.get("/hello").text == "hi"


def test_a_health_check_leaves_no_line_in_the_log() -> None:
    with root_folder("rs") as root:
        variables = {"BIND_ADDRESS4": ADDRESS, "TLS_FLAVOR": "notls"}
        request = make_request(variables, root=root, service="front", host=this_host())
        with running(ROOM, request) as daemon, client("http") as plain:
            plain.get("/health")
            plain.get("/robots.txt")
            assert "GET /robots.txt" in daemon.said()
            assert "/health" not in daemon.said()


def test_a_dead_nginx_leaves_nothing_that_keeps_the_next_one_from_starting() -> None:
    with root_folder("rs") as root:
        variables = {"BIND_ADDRESS4": ADDRESS, "TLS_FLAVOR": "notls"}
        request = make_request(variables, root=root, service="front", host=this_host())
        with running(ROOM, request) as daemon:
            os.killpg(daemon.process.pid, 9)
        with running(ROOM, request), client("http") as plain:
            assert plain.get("/health").status_code == 204
