"""Signing up, and registering a domain."""

from __future__ import annotations

import asyncio
import http.server
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import parse_qs

import httpx
import pytest
from tests.unit.web.addresses import PEOPLE
from tests.unit.web.conftest import PASSWORD, Browser

from mailu.directory import changes
from mailu.directory.changes import SYSTEM
from mailu.directory.models import Audit, Domain, Manager, User
from mailu.servers.admin import Admin
from mailu.web import captcha

SignIn = Callable[[str], Browser]
PAGE = "/admin/user/signup/example.test"


@pytest.fixture
def environ(request: pytest.FixtureRequest) -> dict[str, str]:
    marker = request.node.get_closest_marker("settings")
    return dict(marker.kwargs) if marker else {}


@pytest.fixture
def opened(browser: Browser) -> Browser:
    """A browser of a server where people may sign up in one domain."""
    return browser


def ask(browser: Browser, localpart: str, password: str = PASSWORD, path: str = PAGE) -> httpx.Response:
    return browser.post(path, {"localpart": localpart, "pw": password, "pw2": password})


@pytest.mark.settings(DOMAIN_REGISTRATION="false")
def test_nobody_signs_up_where_no_domain_lets_them(browser: Browser, admin: Admin) -> None:
    with admin.control.store.session() as session:
        changes.update_domain(session, "example.test", signup_enabled=False, actor=SYSTEM)
    browser.settle()
    assert "Sign up" not in browser.get("/sso/login").text
    for path in ("/admin/user/signup", PAGE, "/admin/domain/signup"):
        assert browser.get(path).status_code == 404
    assert ask(browser, "new").status_code == 404


def test_somebody_signs_up_and_signs_in(opened: Browser, admin: Admin) -> None:
    assert "/admin/user/signup" in opened.get("/sso/login").text
    assert opened.get("/admin/user/signup").headers["location"] == PAGE
    assert ask(opened, "Newcomer").headers["location"] == "/sso/login"
    assert "newcomer@example.test is yours" in opened.get("/sso/login").text
    answer = opened.sign_on("newcomer@example.test")
    assert answer.headers["location"].startswith("/sso/pw_change")
    with admin.control.store.read() as session:
        user = changes.get_user(session, "newcomer@example.test")
        assert (user.quota_bytes, user.global_admin, user.enabled) == (10**9, False, True)
        noted = session.query(Audit).filter(Audit.subject == user.email).one()
        assert (noted.actor, noted.origin) == ("somebody new", "web 192.0.2.7")


def test_the_other_domain_stays_closed(opened: Browser) -> None:
    assert opened.get("/admin/user/signup/other.test").status_code == 404
    assert ask(opened, "new", path="/admin/user/signup/other.test").status_code == 404


def test_a_choice_is_offered_among_those_with_room(opened: Browser, admin: Admin) -> None:
    with admin.control.store.session() as session:
        changes.create_domain(session, "second.test", signup_enabled=True, actor=SYSTEM)
        changes.create_domain(session, "full.test", signup_enabled=True, max_users=0, actor=SYSTEM)
    opened.settle()
    text = opened.get("/admin/user/signup").text
    assert "@second.test" in text
    assert "@example.test" in text
    assert "@full.test" not in text
    answer = ask(opened, "new", path="/admin/user/signup/full.test")
    assert (answer.status_code, "full.test is full" in answer.text) == (422, True)


@pytest.mark.parametrize(
    ("localpart", "words"),
    [("postmaster", "reserved"), ("user", "exists already"), ("team", "exists already"), ("user+x", "Letters, digits"),
     ("a b", "Letters, digits"), ("", "fill this in")],
)  # fmt: skip
def test_what_is_refused_is_said_and_what_was_typed_stays(opened: Browser, localpart: str, words: str) -> None:
    answer = ask(opened, localpart)
    assert (answer.status_code, words in answer.text) == (422, True)
    assert f'value="{localpart}"' in answer.text
    assert PASSWORD not in answer.text


def test_a_short_password_is_refused(opened: Browser) -> None:
    assert "at least 8 characters" in ask(opened, "new", "short").text


@pytest.mark.settings(SIGNUP_RATELIMIT="2/day")
def test_a_network_gets_no_more_than_its_share(opened: Browser, admin: Admin) -> None:
    assert [ask(opened, f"new{n}").status_code for n in range(4)] == [303, 303, 422, 422]
    assert "From your network enough" in ask(opened, "new9").text
    with admin.control.store.read() as session:
        assert session.query(User).filter(User.email.startswith("new")).count() == 2


@pytest.mark.settings(SIGNUP_RATELIMIT="1/day")
def test_names_cannot_be_tried_for_ever(opened: Browser) -> None:
    for _ in range(10):
        assert "exists already" in ask(opened, "user").text
    assert "From your network enough" in ask(opened, "user").text


@pytest.mark.settings(SIGNUP_RATELIMIT="1/day", AUTH_RATELIMIT_EXEMPTION="192.0.2.0/24")
def test_a_network_that_is_exempt_has_no_share(opened: Browser) -> None:
    assert [ask(opened, f"new{n}").status_code for n in range(3)] == [303] * 3


def test_fields_that_are_not_on_the_form_change_nothing(opened: Browser, admin: Admin) -> None:
    fields = {"localpart": "sly", "pw": PASSWORD, "pw2": PASSWORD, "global_admin": "y", "quota_bytes": "0"}
    assert opened.post(PAGE, fields).status_code == 303
    with admin.control.store.read() as session:
        user = changes.get_user(session, "sly@example.test")
        assert (user.global_admin, user.quota_bytes) == (False, 10**9)


# A domain of one's own


@pytest.fixture
def comes_here(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Domains whose MX record leads here: there is no DNS in unit tests; tests/daemons has one."""
    found = {"mine.test", "sub.example.test"}
    monkeypatch.setattr("mailu.identity.mail_exchanger.leads_here", lambda domain, _hosts, _server: domain in found)
    return found


def register(browser: Browser, name: str) -> httpx.Response:
    fields = {"name": name, "localpart": "boss", "pw": PASSWORD, "pw2": PASSWORD}
    return browser.post("/admin/domain/signup", fields)


def test_somebody_registers_a_domain_and_manages_it(browser: Browser, admin: Admin, comes_here: set[str]) -> None:
    assert "Register a domain" in browser.get("/sso/login").text
    assert register(browser, "Mine.test").headers["location"] == "/sso/login"
    browser.settle()
    assert browser.sign_on("boss@mine.test").headers["location"] == "/admin/"
    assert browser.get("/admin/user/list/mine.test").status_code == 200
    assert browser.get("/admin/user/list/example.test").status_code == 403
    with admin.control.store.read() as session:
        domain = session.get_one(Domain, "mine.test")
        assert (domain.max_users, domain.max_aliases, domain.max_quota_bytes) == (10, 10, 10**9)


def test_who_is_signed_in_manages_what_they_register(signed_in: SignIn, admin: Admin, comes_here: set[str]) -> None:
    user = signed_in("user")
    assert "Register a domain" in user.get("/admin/").text
    assert user.get("/admin/domain/signup").text.count('type="password"') == 0
    assert register(user, "mine.test").headers["location"] == "/admin/domain/details/mine.test"
    with admin.control.store.read() as session:
        assert session.get(Manager, ("mine.test", PEOPLE["user"])) is not None
        assert session.get(User, "boss@mine.test") is None


@pytest.mark.parametrize(
    ("name", "words"),
    [("elsewhere.test", "does not name mail.example.test"), ("example.test", "exists already"),
     ("sub.example.test", "below example.test"), ("not a domain", "not a domain name")],
)  # fmt: skip
def test_a_domain_of_others_is_not_registered(
    browser: Browser, admin: Admin, comes_here: set[str], name: str, words: str
) -> None:
    comes_here.add("example.test")
    answer = register(browser, name)
    assert (answer.status_code, words in answer.text) == (422, True)
    with admin.control.store.read() as session:
        assert session.query(Domain).count() == 2
        assert session.get(User, f"boss@{name}") is None


def test_a_user_that_cannot_be_made_leaves_no_domain_behind(
    browser: Browser, admin: Admin, comes_here: set[str]
) -> None:
    fields = {"name": "mine.test", "localpart": "a b", "pw": PASSWORD, "pw2": PASSWORD}
    assert browser.post("/admin/domain/signup", fields).status_code == 422
    with admin.control.store.read() as session:
        assert session.get(Domain, "mine.test") is None


# The captcha


KEYS = {"RECAPTCHA_PUBLIC_KEY": "site-key", "RECAPTCHA_PRIVATE_KEY": "private-key"}


@contextmanager
def judging(answer: bytes, status: int = 200) -> Iterator[tuple[str, list[dict[str, list[str]]]]]:
    """A server on loopback that answers as Google's documentation says; yields its address, and what it was asked."""
    asked: list[dict[str, list[str]]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(parse_qs(self.rfile.read(int(self.headers["content-length"])).decode()))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *arguments: object) -> None:
            """Say nothing."""

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/", asked
        server.shutdown()


@pytest.mark.settings(**KEYS)
def test_with_keys_a_captcha_must_be_solved(opened: Browser, admin: Admin, monkeypatch: pytest.MonkeyPatch) -> None:
    page = opened.get(PAGE)
    assert 'data-sitekey="site-key"' in page.text
    assert "private-key" not in page.text
    policy = page.headers["content-security-policy"]
    assert "script-src 'self' https://www.google.com/recaptcha/" in policy
    assert "google" not in opened.get("/sso/login").headers["content-security-policy"]
    assert "solve the riddle" in ask(opened, "new").text
    with judging(json.dumps({"success": True}).encode()) as (url, asked):
        monkeypatch.setattr(captcha.is_human, "__kwdefaults__", {"url": url})
        fields = {"localpart": "new", "pw": PASSWORD, "pw2": PASSWORD, captcha.FIELD: "solved"}
        assert opened.post(PAGE, fields).status_code == 303
    assert asked == [{"secret": ["private-key"], "response": ["solved"], "remoteip": ["192.0.2.7"]}]


@pytest.mark.settings(**KEYS)
@pytest.mark.parametrize(
    ("answer", "status", "expected"),
    [(b'{"success": false}', 200, False), (b'{"success": "true"}', 200, False), (b"[]", 200, False),
     (b"no json", 200, None), (b"{}", 500, None)],
)  # fmt: skip
def test_what_is_no_clear_yes_lets_nobody_in(admin: Admin, answer: bytes, status: int, expected: bool | None) -> None:
    with judging(answer, status) as (url, _asked):
        try:
            found = asyncio.run(captcha.is_human(admin.control.settings, "x", "192.0.2.7", url=url))
        except captcha.CaptchaAway:
            assert expected is None
        else:
            assert found is expected
