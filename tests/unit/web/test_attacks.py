"""What an attacker tries, and what becomes of it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from starlette.requests import Request
from tests.unit.web.addresses import PEOPLE, address, looked_at
from tests.unit.web.conftest import HOST, PASSWORD, Browser

from mailu.directory import changes
from mailu.directory.api_tokens import create_api_token
from mailu.directory.changes import SYSTEM, Actor, aliases, domains, fetches, tokens, users
from mailu.directory.models import Passkey
from mailu.servers.admin import Admin
from mailu.web.body import MOST_BYTES, BodyRefused, read_fields
from mailu.web.pages import every_page
from mailu.web.safe import is_our_host, local_target

SignIn = Callable[[str], Browser]
USER = PEOPLE["user"]
SCRIPT = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{7*7}}"


# Forms of other sites


def test_no_form_does_anything_without_its_mark(signed_in: SignIn, admin: Admin) -> None:
    browser = signed_in("admin")
    before = admin.control.store.data_version()
    for page in every_page(admin.control.settings):
        if "POST" not in page.methods or page.name == "nowhere":
            continue
        path = address(page)
        for fields in ({}, {"form_mark": "0" * 64}, {"form_mark": ""}):
            answer = browser.client.post(path, data={"name": "example.test", "email": USER, **fields})
            refused = (415,) if page.takes_json else (403, 404)
            assert (page.name, answer.status_code in refused) == (page.name, True)
    assert admin.control.store.data_version() == before


def test_the_mark_of_one_session_is_not_that_of_another(signed_in: SignIn) -> None:
    one, other = signed_in("user"), signed_in("user")
    assert one.client.post("/sso/logout", data={"form_mark": other.mark()}).status_code == 403


def test_the_sign_on_form_is_protected_too(browser: Browser) -> None:
    fields = {"email": USER, "pw": PASSWORD}
    assert browser.client.post("/sso/login", data=fields).status_code == 403


@pytest.mark.parametrize("origin", ["https://evil.test", "null", "https://mail.example.test.evil.test"])
def test_a_form_of_another_origin_is_refused_even_with_a_mark(signed_in: SignIn, origin: str) -> None:
    user = signed_in("user")
    assert user.post("/sso/logout", headers={"Origin": origin}).status_code == 403
    assert user.post("/admin/user/settings", headers={"Origin": f"https://{HOST}"}).status_code in (303, 422)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ({"Content-Type": "application/json", "Origin": "https://evil.test"}, 403),
        ({"Content-Type": "application/json", "Origin": "null"}, 403),
        ({"Content-Type": "application/json", "Content-Length": str(MOST_BYTES + 1)}, 413),
    ],
)
def test_what_programs_send_cannot_come_from_another_sites_page(
    signed_in: SignIn, admin: Admin, headers: dict[str, str], status: int
) -> None:
    """A page elsewhere can send these types without asking; JSON it cannot send (Fetch s4.9)."""
    manager = signed_in("manager")
    before = admin.control.store.data_version()
    body = b'{"user": "manager@example.test"}'
    answer = manager.client.post("/admin/domain/access/create/example.test", content=body, headers=headers)
    assert answer.status_code == status
    assert admin.control.store.data_version() == before


# Scripts


def store_everywhere(admin: Admin) -> int:
    """Put SCRIPT into every column that takes it; returns into how many."""
    control, stored = admin.control, 0
    change: Any = changes
    changing = (
        (users.RULES, partial(change.update_user, email=USER)),
        (domains.RULES, partial(change.update_domain, name="example.test")),
        (domains.RELAY_RULES, partial(change.update_relay, name="relayed.test")),
        (aliases.RULES, partial(change.update_alias, email="shop.word@example.test")),
        (tokens.RULES, partial(change.update_token, token_id=1)),
        (fetches.RULES, partial(change.update_fetch, fetch_id=1)),
    )
    for rules, update in changing:
        for column in rules:
            with contextlib.suppress(changes.ChangeError), control.store.session() as session:
                update(session, actor=SYSTEM, **{column: SCRIPT})
                stored += 1
    subject = {"field": "subject", "value": SCRIPT}
    rule = {"name": SCRIPT, "conditions": [subject], "folder": "<script>alert(3)"}
    with control.store.session() as session:
        changes.update_user(session, USER, mail_rules=[rule], reply_enabled=True, actor=SYSTEM)
        create_api_token(session, comment=SCRIPT, actor=SYSTEM)
        session.add(Passkey(user_email=USER, comment=SCRIPT, digest="d", credential="Y3JlZA", public_key="k"))
        for owner in (USER, "example.test", ""):
            changes.list_sender(session, owner, "spam.example", "deny", comment=SCRIPT, actor=Actor(SCRIPT, SCRIPT))
        changes.note(session, Actor(SCRIPT, SCRIPT), SCRIPT, SCRIPT, {SCRIPT: SCRIPT})
    return stored


def test_a_script_stored_anywhere_is_shown_and_never_run(signed_in: SignIn, browser: Browser, admin: Admin) -> None:
    """Also in what people do not fill in: what their browser calls itself, and names they fail to sign on with."""
    for _ in range(60):
        browser.sign_on(SCRIPT, "wrong password")
    people = {who: signed_in(who) for who in ("admin", "user")}
    people["user"].client.headers["User-Agent"] = SCRIPT
    people["user"].sign_on(USER)
    assert store_everywhere(admin) >= 13
    shown = set()
    for visitor in people.values():
        visitor.settle()
        for page in looked_at(admin.control.settings):
            text = visitor.get(address(page), params={"q": "<script>"}).text
            assert "<script>alert" not in text, page.name
            assert "<img src=x" not in text, page.name
            assert "49" not in text or "{{7*7}}" in text or SCRIPT not in text, page.name
            if "&lt;script&gt;alert" in text:
                shown.add(page.name)
    expected = {"user_edit", "settings", "reply", "rules", "rule", "tokens", "token_delete", "fetches", "domains",
                "relays", "relay_edit", "audit", "api_tokens", "security", "anonymous",
                "search", "second_factor", "senders", "user_senders", "domain_senders", "server_senders"}  # fmt: skip
    assert expected - shown == set()


def test_no_page_has_inline_script_or_style_and_the_policy_forbids_them(signed_in: SignIn, admin: Admin) -> None:
    browser = signed_in("admin")
    for page in looked_at(admin.control.settings):
        answer = browser.get(address(page))
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["cache-control"] == "no-store"
        for bad in (" style=", " onclick=", "<style", "javascript:"):
            assert bad not in answer.text, (page.name, bad)
        assert answer.text.count("<script") == answer.text.count('<script src="/static/'), page.name


def test_no_page_shows_a_secret(signed_in: SignIn, admin: Admin) -> None:
    browser = signed_in("admin")
    secrets = ("$argon2", "secret-of-another-server", "0123456789ABCDEF", "$pbkdf2")
    for page in looked_at(admin.control.settings):
        text = browser.get(address(page)).text
        assert not [secret for secret in secrets if secret in text], page.name


# Where to


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.test/", "//evil.test/", "/\\evil.test", "\\\\evil.test", "http:evil.test", "/\t/evil.test",
        "javascript:alert(1)", "https://mail.example.test@evil.test/", "https://mail.example.test.evil.test/",
        "///evil.test", "https:///evil.test", "/x\r\nSet-Cookie: a=b", "data:text/html,x", "/" + "x" * 3000,
    ],
)  # fmt: skip
def test_nobody_is_sent_to_another_site(browser: Browser, url: str) -> None:
    fields = {"email": USER, "pw": PASSWORD, "submitAdmin": "1", "form_mark": browser.mark()}
    answer = browser.client.post("/sso/login", params={"url": url}, data=fields)
    assert (answer.status_code, answer.headers["location"]) == (303, "/admin/")
    assert local_target(url, HOST) is None


@pytest.mark.parametrize("url", ["/webmail/?_task=mail", f"https://{HOST}/webmail/?_task=mail"])
def test_people_are_sent_back_to_where_they_were(browser: Browser, url: str) -> None:
    fields = {"email": USER, "pw": PASSWORD, "form_mark": browser.mark()}
    answer = browser.client.post("/sso/login", params={"url": url}, data=fields)
    assert answer.headers["location"] == "/webmail/?_task=mail"


# Headers


@pytest.mark.parametrize("host", ["evil.test", "mail.example.test.evil.test", "", "mail.example.test, evil.test"])
def test_foreign_names_are_not_answered(browser: Browser, host: str) -> None:
    assert browser.get("/sso/login", headers={"Host": host}).status_code == 421


@pytest.mark.parametrize("host", [HOST, HOST.upper(), f"{HOST}:8443", f"{HOST}.", "192.0.2.1", "[2001:db8::1]:443"])
def test_own_names_and_addresses_are_answered(host: str) -> None:
    assert is_our_host(host, [HOST])


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Forwarded-Host": "evil.test"}, {"Forwarded": "host=evil.test;for=127.0.0.1"},
        {"X-Auth-Email": "admin@example.test"},
        {"X-Original-URL": "/admin/admin/list"}, {"X-Remote-User": "admin@example.test"},
        {"X-User": "admin@example.test"},
        {"X-Auth-Email": "admin@example.test", "X-Forwarded-By": "127.0.0.1"}, {"X-HTTP-Method-Override": "POST"},
    ],
)  # fmt: skip
def test_forged_headers_open_nothing_and_are_repeated_nowhere(browser: Browser, headers: dict[str, str]) -> None:
    answer = browser.get("/sso/login", headers=headers)
    assert answer.status_code == 200
    assert "evil.test" not in answer.text + str(answer.headers)
    assert browser.get("/admin/admin/list", headers=headers).status_code == 303


# Bodies


def test_an_oversized_form_is_not_read(browser: Browser) -> None:
    assert browser.post("/sso/login", {"email": "x" * MOST_BYTES}).status_code == 413


def test_a_body_without_a_length_is_bounded_too(browser: Browser) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(MOST_BYTES // 1000 + 2):
            yield b"x" * 1000

    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    assert browser.client.post("/sso/login", content=endless(), headers=headers).status_code == 413


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        ("multipart/form-data; boundary=x", b"--x--", 415),
        ("application/json", b"{}", 415),
        ("application/x-www-form-urlencoded", b"&".join(b"a=1" for _ in range(3000)), 400),
        ("application/x-www-form-urlencoded", b"\xff\xfe=1", 400),
    ],
)
def test_other_bodies_are_refused(browser: Browser, kind: str, body: bytes, status: int) -> None:
    assert browser.client.post("/sso/login", content=body, headers={"Content-Type": kind}).status_code == status


def test_a_body_that_does_not_come_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mailu.web.body.PATIENCE_SECONDS", 0.2)
    pieces = iter([b"email=x", b"&pw="])

    async def receive() -> dict[str, object]:
        for piece in pieces:
            return {"type": "http.request", "body": piece, "more_body": True}
        await asyncio.sleep(3600)
        raise AssertionError

    request = Request({"type": "http", "method": "POST", "headers": []}, receive)
    with pytest.raises(BodyRefused) as refused:
        asyncio.run(read_fields(request))
    assert refused.value.status == 408


# Odd requests


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_other_methods_are_told_which_there_are(browser: Browser, method: str) -> None:
    answer = browser.client.request(method, "/sso/login")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, POST")


def test_head_is_answered_as_get(browser: Browser) -> None:
    assert browser.client.head("/sso/login").status_code == 200


@pytest.mark.parametrize(
    "path",
    ["/nope", "/static/../app.py", "/static/%2e%2e/app.py", "/static/render.py", "/admin/user/edit/%00", "/internal/x",
     "/admin/token/delete/99999999999999999999999", "/admin/user/edit/a@b@c", "/sso/"],
)  # fmt: skip
def test_addresses_that_lead_nowhere_are_404_in_the_same_frame(signed_in: SignIn, path: str) -> None:
    answer = signed_in("admin").get(path)
    assert answer.status_code == 404
    assert '<nav class="menu"' in answer.text


@pytest.mark.parametrize("query", ["after=x", "sort=password", "before=e30", "sort=email&after=WyIiLDEsW11d"])
def test_lists_refuse_what_they_did_not_give(signed_in: SignIn, query: str) -> None:
    assert signed_in("admin").get(f"/admin/user/list/example.test?{query}").status_code == 400


def test_a_fault_of_ours_is_a_calm_page_without_details(
    signed_in: SignIn, admin: Admin, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    browser = signed_in("user")

    monkeypatch.setattr("mailu.web.pages.home.User", "no table")
    answer = browser.get("/admin/")
    assert (answer.status_code, "This is our fault" in answer.text) == (500, True)
    assert "sqlalchemy" not in answer.text
    assert "sqlalchemy" in caplog.text
