"""What people do on the pages, in a real browser."""

from __future__ import annotations

from collections.abc import Callable

import pyotp
from playwright.sync_api import Page

from tests.browser.served import BASE, serious, sign_on
from tests.unit.web.addresses import PEOPLE
from tests.unit.web.conftest import PASSWORD

Open = Callable[..., Page]


def test_the_sign_on_needs_no_mouse(open_page: Open) -> None:
    page = open_page()
    page.goto(f"{BASE}/sso/login")
    assert serious(page) == []
    page.keyboard.type(PEOPLE["user"])
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_url(f"{BASE}/admin/")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"


def test_the_menu_opens_on_a_phone(open_page: Open) -> None:
    page = open_page("user", width=360, height=740)
    assert not page.locator("nav.menu").is_visible()
    page.click(".menu-toggle")
    page.click("nav.menu >> text=App passwords")
    assert page.url == f"{BASE}/admin/token/list"


def test_everything_works_without_javascript(open_page: Open, browser: object) -> None:
    context = browser.new_context(ignore_https_errors=True, java_script_enabled=False, locale="en")  # type: ignore[attr-defined]
    page = context.new_page()
    sign_on(page, PEOPLE["user"])
    page.goto(f"{BASE}/admin/user/settings")
    page.fill("#displayed_name", "Without scripts")
    page.click("main button.primary")
    assert page.locator(".message.good").is_visible()
    page.select_option("#language", "de")
    page.click("footer button")
    assert page.locator("html").get_attribute("lang") == "de"
    context.close()


def test_what_was_typed_stays_beside_its_error(open_page: Open) -> None:
    page = open_page("admin")
    page.goto(f"{BASE}/admin/domain/create")
    page.fill("#name", "not a domain")
    page.fill("#comment", "kept")
    page.click("main button.primary")
    assert page.input_value("#comment") == "kept"
    assert "is not a domain name" in page.inner_text("#name-error")


def test_a_mailbox_is_made_deleted_and_brought_back(open_page: Open) -> None:
    page = open_page("admin")
    page.goto(f"{BASE}/admin/user/create/other.test")
    page.fill("#localpart", "browser")
    page.fill("#pw", "a-long-password")
    page.fill("#pw2", "a-long-password")
    page.click("main button.primary")
    assert "browser@other.test is here" in page.inner_text(".message.good")
    page.goto(f"{BASE}/admin/user/delete/browser@other.test")
    page.click("main button.danger")
    page.click(".message >> text=Undo")
    assert "browser@other.test is back" in page.inner_text(".message.good")


def test_one_time_codes_are_set_up_and_asked_for(open_page: Open) -> None:
    page = open_page("disabled")
    page.goto(f"{BASE}/admin/user/second/codes")
    totp = pyotp.TOTP(page.inner_text(".copy code"))
    page.fill("#code", totp.now())
    page.click("main button.primary")
    recovery = page.inner_text("main pre").split()
    assert len(recovery) == 10
    page.context.clear_cookies()
    sign_on(page, PEOPLE["disabled"])
    page.wait_for_url(f"{BASE}/sso/second")
    assert serious(page) == []
    page.fill("#code", "000000")
    page.click("main button")
    assert "wrong" in page.inner_text("#code-error")
    page.goto(f"{BASE}/admin/")
    assert "/sso/login" in page.url
    page.goto(f"{BASE}/sso/second")
    page.fill("#code", recovery[0])
    page.click("main button")
    page.wait_for_url(f"{BASE}/admin/")


def test_a_passkey_is_added_and_signs_on(open_page: Open) -> None:
    page = open_page("other_manager")
    session = page.context.new_cdp_session(page)
    session.send("WebAuthn.enable")
    options = {"protocol": "ctap2", "transport": "usb", "hasResidentKey": False, "hasUserVerification": True,
               "isUserVerified": True, "automaticPresenceSimulation": True}  # fmt: skip
    session.send("WebAuthn.addVirtualAuthenticator", {"options": options})
    page.goto(f"{BASE}/admin/user/second")
    page.fill("#passkey-name", "Key")
    page.click("text=Add a passkey")
    page.wait_for_selector("main pre")
    page.context.clear_cookies()
    sign_on(page, PEOPLE["other_manager"])
    page.wait_for_url(f"{BASE}/sso/second")
    page.click("text=Use a passkey")
    page.wait_for_url(f"{BASE}/admin/")
