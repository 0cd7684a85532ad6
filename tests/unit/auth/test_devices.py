"""Device cookies speak for the account they were issued for, and cannot be made up."""

from __future__ import annotations

import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailu.auth import devices

KEY = b"k" * 32
ANN = "ann@example.org"


@pytest.mark.parametrize("account", [ANN, "odd$name$@example.org", "grün@example.org"])
def test_a_cookie_is_read_back_for_its_account(account: str) -> None:
    cookie = devices.new_cookie(account, KEY)
    nonce = devices.read_cookie(cookie, account, KEY)
    assert nonce
    assert cookie.startswith(f"{account}${nonce}$")
    assert devices.new_cookie(account, KEY) != cookie


def test_cookies_that_mailu_issued_stay_good() -> None:
    nonce = "0f" * 16
    signature = hmac.new(KEY, f"device_cookie|{ANN}|{nonce}".encode(), "sha256").hexdigest()
    assert devices.read_cookie(f"{ANN}${nonce}${signature}", ANN, KEY) == nonce


def test_a_cookie_says_nothing_about_another_account_or_under_another_key() -> None:
    cookie = devices.new_cookie(ANN, KEY)
    assert devices.read_cookie(cookie, "bob@example.org", KEY) is None
    assert devices.read_cookie(cookie, ANN, b"x" * 32) is None
    assert devices.read_cookie(cookie.replace("ann@", "bob@"), "bob@example.org", KEY) is None


@given(st.integers(0, 200), st.characters())
def test_no_changed_cookie_is_good(place: int, character: str) -> None:
    cookie = devices.new_cookie(ANN, KEY)
    place %= len(cookie)
    changed = cookie[:place] + character + cookie[place + 1 :]
    assert (devices.read_cookie(changed, ANN, KEY) is None) == (changed != cookie)


@given(st.none() | st.text())
def test_other_texts_are_no_cookies(text: str | None) -> None:
    assert devices.read_cookie(text, ANN, KEY) is None
    assert devices.read_cookie(f"{ANN}${text}", ANN, KEY) is None
    assert devices.read_cookie("x" * 1000 + f"${text}", ANN, KEY) is None
