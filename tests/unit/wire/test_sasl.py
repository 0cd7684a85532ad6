"""PLAIN and LOGIN, from messages to credentials."""

from __future__ import annotations

import pytest

from mailu.wire import BadRequest, sasl
from mailu.wire.sasl import Challenge, Credentials, LoginExchange, PlainExchange, exchange


def test_plain_takes_its_message_at_once_or_after_an_empty_challenge() -> None:
    assert PlainExchange().begin(b"\0ann@example.com\0secret") == Credentials("ann@example.com", b"secret")
    plain = PlainExchange()
    assert plain.begin(None) == Challenge(b"")
    assert plain.proceed(b"\0ann@example.com\0secret") == Credentials("ann@example.com", b"secret")


def test_plain_may_name_the_same_account_twice_but_no_other() -> None:
    assert PlainExchange().begin(b"ann\0ann\0secret") == Credentials("ann", b"secret")
    with pytest.raises(BadRequest):
        PlainExchange().begin(b"bob\0ann\0secret")


def test_a_password_is_bytes() -> None:
    assert PlainExchange().begin(b"\0ann\0p\xe4ss") == Credentials("ann", b"p\xe4ss")


@pytest.mark.parametrize(
    "message", [b"", b"ann", b"\0ann", b"\0ann\0a\0b", b"\0\0secret", b"\0\xff\0secret", b"\0" + b"x" * 2000 + b"\0y"]
)
def test_plain_refuses_what_is_none_of_it(message: bytes) -> None:
    with pytest.raises(BadRequest):
        PlainExchange().begin(message)


def test_login_asks_for_name_and_password() -> None:
    login = LoginExchange()
    assert login.begin(None) == Challenge(b"Username:")
    assert login.proceed(b"ann") == Challenge(b"Password:")
    assert login.proceed(b"secret") == Credentials("ann", b"secret")


def test_login_takes_the_name_as_initial_response() -> None:
    login = LoginExchange()
    assert login.begin(b"ann") == Challenge(b"Password:")
    assert login.proceed(b"secret") == Credentials("ann", b"secret")


def test_login_bounds_name_and_password() -> None:
    with pytest.raises(BadRequest):
        LoginExchange().begin(b"x" * 2000)
    login = LoginExchange()
    login.begin(b"ann")
    with pytest.raises(BadRequest):
        login.proceed(b"x" * 5000)


def test_only_what_is_offered_can_be_begun() -> None:
    assert all(exchange(mechanism) is not None for mechanism in sasl.MECHANISMS)
    assert exchange("CRAM-MD5") is None
    assert exchange("plain") is None


def test_credentials_never_show_their_password() -> None:
    assert "secret" not in repr(Credentials("ann", b"secret"))
