"""The second factor: set up, asked for, guessed at, lost; and links to a new password."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import httpx
import pyotp
import pytest
from tests.unit.web.addresses import PEOPLE
from tests.unit.web.conftest import HOST, PASSWORD, Browser

from mailu.auth.second_factor import Secrets, step_of
from mailu.directory import second_factors
from mailu.directory.changes import SYSTEM
from mailu.directory.models import Totp
from mailu.servers.admin import Admin

SignIn = Callable[[str], Browser]
USER = PEOPLE["user"]


@pytest.fixture
def environ(request: pytest.FixtureRequest) -> dict[str, str]:
    return {"SECOND_FACTOR": "admins"} if "enforced" in request.node.name else {}


def set_up(browser: Browser) -> tuple[pyotp.TOTP, list[str]]:
    """Set one-time codes up as people do; returns the generator and the recovery codes."""
    path = "/admin/user/second/codes"
    text = browser.get(path).text
    secret = re.search(r"<code>([A-Z2-7]{32})</code>", text)
    sealed = re.search(r'name="secret" value="([^"]+)"', text)
    assert secret
    assert sealed
    totp = pyotp.TOTP(secret[1])
    answer = browser.post(path, {"secret": sealed[1], "code": totp.now()})
    assert answer.status_code == 200
    codes = re.search(r"<pre>(.*?)</pre>", answer.text, re.DOTALL)
    assert codes
    browser.settle()
    return totp, codes[1].split()


def later(totp: pyotp.TOTP) -> str:
    """The code of the next half minute, which is good already, and has not been used."""
    return totp.at(time.time() + 30)


def test_the_password_alone_does_not_sign_on_any_more(signed_in: SignIn, open_browser: Callable[[], Browser]) -> None:
    totp, _ = set_up(signed_in("user"))
    browser = open_browser()
    assert browser.sign_on(USER).headers["location"] == "/sso/second"
    assert browser.get("/admin/").status_code == 303
    assert browser.get("/internal/auth/user").status_code == 403
    assert browser.post("/sso/second", {"code": "123456"}).status_code == 422
    assert browser.post("/sso/second", {"code": later(totp)}).headers["location"] == "/admin/"
    assert browser.get("/admin/").status_code == 200


def test_a_code_is_good_once(signed_in: SignIn, open_browser: Callable[[], Browser]) -> None:
    totp, _ = set_up(signed_in("user"))
    code = later(totp)
    statuses = []
    for _ in range(2):
        browser = open_browser()
        browser.sign_on(USER)
        statuses.append(browser.post("/sso/second", {"code": code}).status_code)
    assert statuses == [303, 422]


def test_a_recovery_code_is_good_once(signed_in: SignIn, open_browser: Callable[[], Browser]) -> None:
    _, codes = set_up(signed_in("user"))
    statuses = []
    for code in (codes[0], codes[0], codes[1].upper()):
        browser = open_browser()
        browser.sign_on(USER)
        statuses.append(browser.post("/sso/second", {"code": code}).status_code)
    assert statuses == [303, 422, 303]


def test_guessing_codes_is_limited(signed_in: SignIn, open_browser: Callable[[], Browser]) -> None:
    set_up(signed_in("user"))
    browser = open_browser()
    browser.sign_on(USER)
    answers = [browser.post("/sso/second", {"code": f"{number:06}"}).text for number in range(14)]
    assert "Too many" in answers[-1]


def test_nobody_comes_to_the_second_step_without_the_first(browser: Browser, signed_in: SignIn) -> None:
    _, codes = set_up(signed_in("user"))
    assert browser.post("/sso/second", {"code": codes[0]}).headers["location"] == "/sso/login"
    browser.client.cookies.set("__Host-mailu-pending", "00.00", domain="mail.example.test", path="/")
    assert browser.post("/sso/second", {"code": codes[0]}).headers["location"] == "/sso/login"


def test_the_first_step_is_void_after_a_change_of_password(
    signed_in: SignIn, open_browser: Callable[[], Browser]
) -> None:
    here = signed_in("user")
    _, codes = set_up(here)
    waiting = open_browser()
    waiting.sign_on(USER)
    here.post("/admin/user/password", {"oldpw": PASSWORD, "pw": "another-horse", "pw2": "another-horse"})
    assert waiting.post("/sso/second", {"code": codes[0]}).headers["location"] == "/sso/login"


def test_mail_programs_need_app_passwords_then(signed_in: SignIn, browser: Browser) -> None:
    set_up(signed_in("user"))
    statuses = [browser.get("/internal/auth/basic", auth=(USER, word)).status_code for word in (PASSWORD, "0" * 32)]
    assert statuses == [401, 200]


def test_the_stored_secret_is_encrypted(signed_in: SignIn, admin: Admin) -> None:
    totp, _ = set_up(signed_in("user"))
    with admin.control.store.read() as session:
        stored = session.get(Totp, USER)
        assert stored
        assert totp.secret not in stored.secret


def test_an_enforced_factor_comes_before_everything_else(signed_in: SignIn) -> None:
    administrator = signed_in("admin")
    assert administrator.get("/admin/domain").headers["location"].startswith("/admin/user/second")
    assert administrator.get("/internal/auth/admin").status_code == 403
    assert signed_in("user").get("/admin/").status_code == 200
    set_up(administrator)
    assert administrator.get("/admin/domain").status_code == 200


def test_an_administrator_takes_a_lost_factor_away(signed_in: SignIn, open_browser: Callable[[], Browser]) -> None:
    set_up(signed_in("user"))
    signed_in("admin").post(f"/admin/user/reset/{USER}", {"do": "second"})
    assert open_browser().sign_on(USER).headers["location"] == "/admin/"


# Links to a new password


def secret_for(browser: Browser) -> str:
    """What stands behind the # of a new link."""
    found = re.search(r"https://mail\.example\.test/sso/reset#([\w-]+)", browser.post(f"/admin/user/reset/{USER}").text)
    assert found
    return found[1]


def choose(browser: Browser, secret: str, password: str = "another-horse") -> httpx.Response:
    return browser.post("/sso/reset", {"secret": secret, "pw": password, "pw2": password})


def test_a_link_leads_to_a_new_password_once(signed_in: SignIn, browser: Browser) -> None:
    there = signed_in("user")
    secret = secret_for(signed_in("manager"))
    assert choose(browser, secret, "short").status_code == 422
    assert choose(browser, f" https://{HOST}/sso/reset#{secret} ").headers["location"] == "/sso/login"
    assert there.get("/admin/").status_code == 303
    assert "was used or is too old" in choose(browser, secret).text
    assert browser.sign_on(USER, "another-horse").status_code == 303


def test_a_new_link_makes_the_old_one_void(signed_in: SignIn, browser: Browser) -> None:
    manager = signed_in("manager")
    first, second = secret_for(manager), secret_for(manager)
    assert [choose(browser, secret).status_code for secret in (first, second)] == [422, 303]


def test_an_old_link_is_void(admin: Admin, browser: Browser) -> None:
    with admin.control.store.session() as session:
        past = datetime.now(UTC) - timedelta(seconds=1)
        secret = second_factors.create_reset_link(session, USER, expires_at=past, actor=SYSTEM)
    assert choose(browser, secret).status_code == 422


# The codes themselves


def test_a_code_is_good_for_its_half_minute_and_its_neighbours() -> None:
    totp, now = pyotp.TOTP("JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"), 1_800_000_000
    steps = [step_of(totp.secret, totp.at(now + 30 * shift), now=now) for shift in (-2, -1, 0, 1, 2)]
    assert steps == [None, now // 30 - 1, now // 30, now // 30 + 1, None]
    assert step_of(totp.secret, totp.at(now), now=now, after=now // 30) is None


def test_a_clock_that_was_ahead_keeps_nobody_outside(admin: Admin) -> None:
    totp, now = pyotp.TOTP("JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"), 1_800_000_000
    ahead = now // 30 + 3 * 2880
    with admin.control.store.session() as session:
        second_factors.set_totp(session, USER, encrypted="x", step=ahead, actor=SYSTEM)
        step = step_of(totp.secret, totp.at(now), now=now, after=ahead)
        assert step == now // 30
        assert second_factors.spend_step(session, USER, step)
        assert not second_factors.spend_step(session, USER, step)
    assert step_of(totp.secret, totp.at(now), now=now, after=step) is None


@pytest.mark.parametrize("code", ["", "12345", "1234567", "abcdef", "１２３４５６", "-12345"])
def test_what_is_no_code_is_wrong(code: str) -> None:
    assert step_of("JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP", code, now=1_800_000_000) is None


def test_a_secret_of_another_key_is_none() -> None:
    assert Secrets(b"a" * 32).decrypt(Secrets(b"b" * 32).encrypt("secret")) is None
