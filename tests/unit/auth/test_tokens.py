"""App tokens: their form, their hashes, where they work."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from passlib.hash import sha256_crypt

from mailu.auth import tokens
from mailu.directory.snapshot import TokenEntry

STORED_BY_MAILU = [
    (
        "0123456789abcdef0123456789abcdef",
        "$pbkdf2-sha256$1$MSZEyLk3JqR0zvn/HwMAoA$aWsz/G1xs0V2nVdX5x96s5Vd6y61lLGHT8ZquaR5ngI",
    ),
    (
        "fedcba9876543210fedcba9876543210",
        "$pbkdf2-sha256$1$dI7RGmNsLQVAaE2p9Z6T0g$2pxypFgQuWwtKb5Z5HMqkAaQYiOVSxLuccYb4o3.kQE",
    ),
]


def entry(number: int, hashed: str) -> TokenEntry:
    return TokenEntry(number, hashed, (), "")


@pytest.mark.parametrize(("secret", "stored"), STORED_BY_MAILU)
def test_tokens_that_mailu_issued_are_found(secret: str, stored: str) -> None:
    among = [entry(1, tokens.hash_token(tokens.new_token())), entry(2, stored)]
    assert tokens.find_token(among, secret.encode()) == among[1]
    assert tokens.is_quick(among[1])


def test_a_new_token_has_the_form_and_hash_that_mailu_gave_it() -> None:
    secret = tokens.new_token()
    assert tokens.looks_like_token(secret.encode())
    assert tokens.hash_token(secret).startswith("$pbkdf2-sha256$1$")
    assert tokens.find_token([entry(1, tokens.hash_token(secret))], secret.encode()) is not None
    assert tokens.find_token([entry(1, tokens.hash_token(secret))], tokens.new_token().encode()) is None


def test_the_first_tokens_hashes_are_read_and_known_as_slow() -> None:
    secret = tokens.new_token()
    old = entry(1, sha256_crypt.using(rounds=1000).hash(secret))
    assert not tokens.is_quick(old)
    assert tokens.find_token([old], secret.encode()) == old


@pytest.mark.parametrize(
    "text", [b"", b"0" * 31, b"0" * 33, b"0" * 31 + b"g", b"A" * 32, b"0" * 32 + b"\n", "٣".encode() * 16]
)
def test_other_texts_do_not_look_like_tokens(text: bytes) -> None:
    assert not tokens.looks_like_token(text)


def test_many_tokens_do_not_make_a_log_in_long() -> None:
    among = [entry(number, tokens.hash_token(tokens.new_token())) for number in range(20)] * 500
    started = time.process_time()
    tokens.find_token(among, b"0" * 32)
    assert time.process_time() - started < 2, "hashed one after another they would take a minute"


@pytest.mark.parametrize(
    ("networks", "client_ip", "allowed"),
    [
        ((), "203.0.113.5", True),
        ((), "unknown", True),
        (("192.0.2.0/24", "2001:db8::/32"), "192.0.2.77", True),
        (("192.0.2.0/24", "2001:db8::/32"), "2001:db8:1::5", True),
        (("192.0.2.0/24", "2001:db8::/32"), "198.51.100.1", False),
        (("192.0.2.0/24",), "::ffff:192.0.2.77", True),
        (("192.0.2.7",), "192.0.2.7", True),
        (("192.0.2.9/24",), "192.0.2.1", True),
        (("192.0.2.0/24",), "unknown", False),
        (("nonsense",), "192.0.2.1", False),
        (("nonsense", "192.0.2.0/24"), "192.0.2.1", True),
    ],
)
def test_networks_bind_a_token(networks: tuple[str, ...], client_ip: str, allowed: bool) -> None:
    assert tokens.may_come_from(networks, client_ip) is allowed


@given(st.lists(st.text(max_size=20)), st.text(max_size=20))
def test_no_network_and_no_address_make_it_raise(networks: list[str], client_ip: str) -> None:
    tokens.may_come_from(networks, client_ip)
