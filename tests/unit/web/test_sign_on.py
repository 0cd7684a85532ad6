"""Signing on and off."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import pytest
from tests.unit.web.addresses import PEOPLE
from tests.unit.web.conftest import PASSWORD, Browser

from mailu.directory import changes
from mailu.directory.changes import SYSTEM
from mailu.servers.admin import Admin

SignIn = Callable[[str], Browser]
USER = PEOPLE["user"]


def test_the_right_password_leads_where_the_button_says(browser: Browser) -> None:
    answer = browser.post("/sso/login", {"email": USER, "pw": PASSWORD, "submitWebmail": "1"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/webmail/")
    assert browser.get("/admin/").status_code == 200


def test_a_wrong_password_is_told_and_the_address_is_kept(browser: Browser) -> None:
    answer = browser.sign_on(USER, "wrong-password")
    assert answer.status_code == 422
    assert "The address or the password is wrong." in answer.text
    assert f'value="{USER}"' in answer.text
    assert "wrong-password" not in answer.text


def test_unknown_accounts_are_answered_as_known_ones(browser: Browser) -> None:
    known, unknown = browser.sign_on(USER, "wrong"), browser.sign_on("nobody@example.test", "wrong")
    blank = [re.sub(r'value="[^"]*"', "", answer.text) for answer in (known, unknown)]
    assert blank[0] == blank[1]


def test_who_guesses_is_told_to_try_later(browser: Browser) -> None:
    for number in range(12):
        answer = browser.sign_on(USER, f"guess-{number}")
    assert "Too many wrong passwords" in answer.text
    assert answer.status_code == 422


def test_the_session_gets_a_name_that_nobody_knew_before(browser: Browser) -> None:
    name = "__Host-mailu"
    browser.client.cookies.set(name, "planted-by-somebody", domain="mail.example.test", path="/")
    browser.sign_on(USER)
    names = [cookie.value for cookie in browser.client.cookies.jar if cookie.name == name]
    assert "planted-by-somebody" not in names[-1:]
    first = names[-1]
    browser.sign_on(USER)
    assert [cookie.value for cookie in browser.client.cookies.jar if cookie.name == name][-1] != first


def test_cookies_are_out_of_reach_for_scripts_other_sites_and_plain_http(browser: Browser) -> None:
    answer = browser.sign_on(USER)
    cookies = answer.headers.get_list("set-cookie")
    assert {cookie.partition("=")[0] for cookie in cookies} >= {"__Host-mailu", "rate_limit"}
    for cookie in cookies:
        assert "HttpOnly" in cookie
        assert "Secure" in cookie
        assert "samesite=lax" in cookie.lower()


def test_a_short_password_works_with_a_warning(browser: Browser, admin: Admin) -> None:
    from mailu.auth.passwords import hash_password

    with admin.control.store.session() as session:
        changes.set_password(session, USER, password_hash=hash_password("short"), actor=SYSTEM)
    browser.settle()
    assert browser.sign_on(USER, "short").status_code == 303
    assert "Your password is short" in browser.get("/admin/").text


def test_a_forced_change_comes_first_and_leads_on(browser: Browser, admin: Admin) -> None:
    with admin.control.store.session() as session:
        changes.update_user(session, USER, change_pw_next_login=True, actor=SYSTEM)
    browser.settle()
    answer = browser.sign_on(USER, path="/sso/login?url=/admin/token/list")
    assert answer.headers["location"] == "/sso/pw_change?url=%2Fadmin%2Ftoken%2Flist"
    assert browser.get("/admin/").headers["location"].startswith("/sso/pw_change")
    assert browser.get("/internal/auth/user").status_code == 403
    path = answer.headers["location"]
    same = browser.post(path, {"oldpw": PASSWORD, "pw": PASSWORD, "pw2": PASSWORD})
    assert "This is the password that you have now." in same.text
    done = browser.post(path, {"oldpw": PASSWORD, "pw": "another-horse", "pw2": "another-horse"})
    assert done.headers["location"] == "/admin/token/list"
    assert browser.get("/admin/token/list").status_code == 200


def test_a_new_password_ends_the_other_sessions_and_keeps_this_one(signed_in: SignIn) -> None:
    here, there = signed_in("user"), signed_in("user")
    fields = {"oldpw": PASSWORD, "pw": "another-horse", "pw2": "another-horse"}
    assert here.post("/admin/user/password", fields).headers["location"] == "/admin/user/security"
    assert here.get("/admin/").status_code == 200
    assert there.get("/admin/").status_code == 303


def test_a_new_password_needs_the_old_one(signed_in: SignIn) -> None:
    fields = {"oldpw": "wrong-horse", "pw": "another-horse", "pw2": "another-horse"}
    answer = signed_in("user").post("/admin/user/password", fields)
    assert (answer.status_code, "This is not your current password." in answer.text) == (422, True)


@pytest.mark.parametrize("method", ["get", "post"])
def test_signing_out_ends_the_session_on_the_server(signed_in: SignIn, method: str) -> None:
    user = signed_in("user")
    kept = dict(user.client.cookies)
    answer = user.get("/sso/logout") if method == "get" else user.post("/sso/logout")
    assert answer.headers["location"] == "/sso/login"
    assert any(cookie.startswith("roundcube_sessid=") for cookie in answer.headers.get_list("set-cookie"))
    for name, value in kept.items():
        user.client.cookies.set(name, value)
    assert user.get("/admin/").status_code == 303


def test_another_site_does_not_sign_anybody_out(signed_in: SignIn) -> None:
    user = signed_in("user")
    assert user.get("/sso/logout", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 200
    assert user.get("/admin/").status_code == 200


def test_sessions_are_seen_and_ended(signed_in: SignIn) -> None:
    here, there = signed_in("user"), signed_in("user")
    handles = set(re.findall(r'name="session" value="([0-9a-f]{64})"', here.get("/admin/user/security").text))
    assert len(handles) == 1
    here.post(f"/admin/user/session/end/{USER}", {"session": handles.pop()})
    assert there.get("/admin/").status_code == 303
    assert here.get("/admin/").status_code == 200


def test_a_disabled_account_is_out_at_once(signed_in: SignIn, admin: Admin) -> None:
    user = signed_in("user")
    with admin.control.store.session() as session:
        changes.update_user(session, USER, enabled=False, actor=SYSTEM)
    user.settle()
    assert user.get("/admin/").status_code == 303
    assert user.get("/internal/auth/user").status_code == 403
    assert "switched off" in user.sign_on(USER).text


# The proxy before us


@pytest.fixture
def environ(request: pytest.FixtureRequest) -> dict[str, str]:
    wanted = {"PROXY_AUTH_WHITELIST": "203.0.113.0/24", "PROXY_AUTH_CREATE": "true", "DOMAIN_REGISTRATION": "false"}
    return wanted if "proxy" in request.node.name else {}


def by_proxy(browser: Browser, email: str, proxy: str = "203.0.113.5", path: str = "/sso/login") -> int:
    headers = {"X-Auth-Email": email, "X-Forwarded-By": proxy}
    return browser.get(path, headers=headers).status_code


def test_a_listed_proxy_signs_people_in(browser: Browser) -> None:
    assert by_proxy(browser, USER) == 303
    assert browser.get("/admin/").status_code == 200


def test_a_proxy_that_is_not_listed_signs_nobody_in(browser: Browser) -> None:
    assert by_proxy(browser, USER, proxy="198.51.100.1") == 200
    assert browser.get("/admin/").status_code == 303


def test_a_listed_proxy_does_not_sign_in_who_is_disabled(browser: Browser, admin: Admin) -> None:
    with admin.control.store.session() as session:
        changes.update_user(session, USER, enabled=False, actor=SYSTEM)
    browser.settle()
    assert by_proxy(browser, USER) == 403


def test_a_listed_proxy_creates_people_of_our_domains_only(browser: Browser) -> None:
    assert by_proxy(browser, "new@example.test") == 303
    assert browser.get("/admin/").status_code == 200
    browser.get("/sso/logout")
    assert by_proxy(browser, "new@elsewhere.test") == 403


def test_a_listed_proxy_is_not_asked_with_noproxyauth(browser: Browser) -> None:
    assert by_proxy(browser, USER, path="/sso/login?noproxyauth") == 200


# What nginx asks


def test_nginx_learns_who_is_there_and_the_token_of_the_session(signed_in: SignIn, browser: Browser) -> None:
    user = signed_in("user")
    answer = user.get("/internal/auth/user")
    assert (answer.status_code, answer.headers["x-user"]) == (200, USER)
    assert answer.headers["x-user-token"].startswith("token-")
    assert browser.get("/internal/auth/user").status_code == 403


@pytest.mark.parametrize(("who", "status"), [("admin", 200), ("manager", 403), ("user", 403)])
def test_only_administrators_reach_the_filters_pages(signed_in: SignIn, who: str, status: int) -> None:
    assert signed_in(who).get("/internal/auth/admin").status_code == status


def test_calendars_take_passwords_and_app_passwords(browser: Browser) -> None:
    statuses = [
        browser.get("/internal/auth/basic", auth=(USER, word)).status_code for word in (PASSWORD, "0" * 32, "no")
    ]
    assert statuses == [200, 200, 401]
    assert browser.get("/internal/auth/basic").headers["www-authenticate"].startswith("Basic")


@pytest.mark.parametrize("header", ["Basic !!!", "Basic " + "A" * 9000, "Bearer x", "Basic OnB3", "Basic", ""])
def test_calendars_refuse_what_is_no_credential(browser: Browser, header: str) -> None:
    assert browser.get("/internal/auth/basic", headers={"Authorization": header}).status_code == 401


def test_an_app_password_does_not_open_the_pages(browser: Browser) -> None:
    assert browser.sign_on(USER, "0" * 32).status_code == 422


def test_the_language_follows_the_browser_and_can_be_chosen(browser: Browser) -> None:
    assert '<html lang="de">' in browser.get("/sso/login", headers={"Accept-Language": "de-AT,de;q=0.9"}).text
    assert '<html lang="en">' in browser.get("/sso/login", headers={"Accept-Language": "xx, *;q=0.1"}).text
    assert browser.post("/sso/language", {"language": "fr", "back": "/sso/login"}).headers["location"] == "/sso/login"
    assert '<html lang="fr">' in browser.get("/sso/login", headers={"Accept-Language": "de"}).text
    assert time.time() > 0
