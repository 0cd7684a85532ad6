"""Every hash that was ever stored verifies, and nothing else does."""

from __future__ import annotations

import hashlib
import unicodedata

import bcrypt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from passlib import hash as libpass

from mailu.auth import passwords

STORED_BY_MAILU = [
    ("Fixture-anna", "$bcrypt-sha256$v=2,t=2b,r=12$ZvjFqzAScepdodBNK/C33e$Uq55.wXG4XsRf2sbYJx7Jcd0PMcpkIi"),
    ("Fixture-emil", "{PBKDF2}$pbkdf2-sha256$1000$rvVeaw3B2BvD.L835rzX2g$UMKeSZtCLY9bL4o.7R5325RVNPMbLYi0ELbfJjimE4k"),
    ("Fixture-fritz", "{BLF-CRYPT}$2b$05$MfU0FeerFZMNDLMNvNAzoO9CXXtJkDWe8XFVqHgORmpvX2Hxsw4xS"),
    ("password", "$1$F2OStvi1$Q8hBIHkdJpJkJn/TrMIZ9/"),
    (
        "Fixture-carl",
        "$6$Ulza9OqD19ZES$TSXYMHjA9Q9WkdytY/vdqIAQFPMCAc8w8IUwu0BH2xsGrOUT20YeSpPf/Mz5grLSIk1Il33710gfpvYNOqWlO0",
    ),
]

CHEAP = {
    "apr_md5_crypt": {},
    "atlassian_pbkdf2_sha1": {},
    "bigcrypt": {},
    "bsdi_crypt": {"rounds": 5},
    "cta_pbkdf2_sha1": {"rounds": 2},
    "des_crypt": {},
    "django_pbkdf2_sha1": {"rounds": 2},
    "django_pbkdf2_sha256": {"rounds": 2},
    "django_salted_sha1": {},
    "fshp": {"rounds": 2},
    "grub_pbkdf2_sha512": {"rounds": 2},
    "hex_md5": {},
    "hex_sha1": {},
    "hex_sha256": {},
    "hex_sha512": {},
    "ldap_md5": {},
    "ldap_pbkdf2_sha256": {"rounds": 2},
    "ldap_salted_md5": {},
    "ldap_salted_sha1": {},
    "ldap_salted_sha256": {},
    "ldap_salted_sha512": {},
    "ldap_sha1": {},
    "md5_crypt": {},
    "nthash": {},
    "pbkdf2_sha1": {"rounds": 2},
    "pbkdf2_sha256": {"rounds": 2},
    "pbkdf2_sha512": {"rounds": 2},
    "phpass": {"rounds": 7},
    "scram": {"rounds": 2},
    "sha1_crypt": {"rounds": 2},
    "sha256_crypt": {"rounds": 1000},
    "sha512_crypt": {"rounds": 1000},
    "sun_md5_crypt": {"rounds": 1},
}


@pytest.mark.parametrize(("password", "stored"), STORED_BY_MAILU, ids=lambda value: value[:16])
def test_hashes_that_mailu_stored_verify(password: str, stored: str) -> None:
    assert passwords.verify(password.encode(), stored)
    assert not passwords.verify(password.encode() + b"x", stored)
    assert passwords.needs_rehash(stored)
    assert passwords.is_supported(stored)


@pytest.mark.parametrize(("kind", "options"), CHEAP.items(), ids=CHEAP)
def test_every_kind_that_passlib_reads_verifies(kind: str, options: dict[str, int]) -> None:
    handler = getattr(libpass, kind)
    stored = (handler.using(**options) if options else handler).hash("Grün8")
    assert passwords.verify("Grün8".encode(), stored)
    assert not passwords.verify(b"Blau", stored)
    assert passwords.is_supported(stored)
    assert passwords.needs_rehash(stored)


@pytest.mark.parametrize("prefix", ["{SHA512-CRYPT}", "{CRYPT}"])
def test_prefixes_are_stripped(prefix: str) -> None:
    stored = prefix + libpass.sha512_crypt.using(rounds=1000).hash("secret")
    assert passwords.verify(b"secret", stored)


@pytest.mark.parametrize("version", [1, 2])
def test_bcrypt_over_sha256_agrees_with_passlib(version: int) -> None:
    stored = libpass.bcrypt_sha256.using(rounds=4, version=version).hash("hello" * 30)
    assert passwords.verify(b"hello" * 30, stored)
    assert not passwords.verify(b"hello" * 29, stored)


@pytest.mark.parametrize("kind", ["$2a$", "$2b$", "$2y$"])
def test_bcrypt_under_each_of_its_names(kind: str) -> None:
    stored = bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode().replace("$2b$", kind)
    assert passwords.verify(b"secret", stored)
    assert not passwords.verify(b"Secret", stored)


def test_bcrypt_ignores_what_follows_72_bytes_as_it_did_when_the_hash_was_made() -> None:
    stored = bcrypt.hashpw(b"s" * 72, bcrypt.gensalt(4)).decode()
    assert passwords.verify(b"s" * 90, stored)
    assert not passwords.verify(b"s" * 71, stored)


@settings(max_examples=20, deadline=None)
@given(st.binary(min_size=1, max_size=100))
def test_a_new_hash_verifies_its_password_whatever_its_bytes(password: bytes) -> None:
    stored = passwords.hash_password(password)
    assert passwords.verify(password, stored)
    assert not passwords.verify(password + b"\0", stored)
    assert not passwords.needs_rehash(stored)
    assert stored.startswith("$argon2id$v=19$m=19456,t=2,p=1$")


def test_argon2_with_other_parameters_verifies_and_is_replaced() -> None:
    stored = libpass.argon2.using(memory_cost=1024, rounds=1, parallelism=1).hash("secret")
    assert passwords.verify(b"secret", stored)
    assert passwords.needs_rehash(stored)


def test_a_password_is_found_in_either_unicode_form() -> None:
    composed, decomposed = "Grün".encode(), unicodedata.normalize("NFD", "Grün").encode()
    new = passwords.hash_password(decomposed)
    old = libpass.md5_crypt.hash(composed)
    for stored in (new, old):
        assert passwords.verify(composed, stored)
        assert passwords.verify(decomposed, stored)


def test_a_decomposed_password_that_mailu_hashed_as_given_still_works() -> None:
    decomposed = unicodedata.normalize("NFD", "Grün").encode()
    assert passwords.verify(decomposed, libpass.md5_crypt.hash(decomposed))


def test_passwords_that_are_not_utf8_are_bytes_like_all_others() -> None:
    stored = passwords.hash_password(b"gr\xfcn")
    assert passwords.verify(b"gr\xfcn", stored)
    assert not passwords.verify("grün".encode(), stored)


def test_lengths_are_bounded_before_any_hashing() -> None:
    assert passwords.verify(b"x" * 4096, hashlib.sha256(b"x" * 4096).hexdigest())
    assert not passwords.verify(b"x" * 4097, hashlib.sha256(b"x" * 4097).hexdigest())
    for refused in (b"", b"x" * 4097):
        with pytest.raises(ValueError, match="1 to 4096"):
            passwords.hash_password(refused)


def test_an_empty_password_is_never_right() -> None:
    assert not passwords.verify(b"", libpass.md5_crypt.hash(""))


@pytest.mark.parametrize(
    "stored",
    [
        "",
        "secret",
        "!",
        "*",
        "{PLAIN}secret",
        "{CLEARTEXT}secret",
        "$2b$99$x",
        "$argon2id$nonsense",
        "$6$",
        "{CRYPT}",
        "\0",
    ],
)
def test_what_is_no_hash_verifies_nothing(stored: str) -> None:
    assert not passwords.verify(b"secret", stored)
    assert not passwords.is_supported(stored)
    assert passwords.needs_rehash(stored)


def test_kinds_that_mailu_never_took_stay_out() -> None:
    assert not passwords.is_supported("$scrypt$ln=4,r=8,p=1$c2FsdA$" + "A" * 43)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=80), st.binary(max_size=20))
def test_no_stored_text_makes_the_check_raise(stored: str, password: bytes) -> None:
    for prefix in ("", "$2b$04$", "$argon2id$v=19$", "{SSHA}", "$bcrypt-sha256$v=2,t=2b,r=4$", "$pbkdf2-sha256$1$"):
        passwords.is_slow(prefix + stored)
        passwords.is_supported(prefix + stored)
        assert passwords.verify(password, prefix + stored) in (True, False)


def test_slow_hashes_are_known_by_their_looks() -> None:
    assert passwords.is_slow(STORED_BY_MAILU[0][1])
    assert passwords.is_slow("$2b$10$" + "a" * 53)
    assert passwords.is_slow("$6$rounds=656000$wb1i0ICNDel$x")
    assert not passwords.is_slow(STORED_BY_MAILU[2][1])
    assert not passwords.is_slow(STORED_BY_MAILU[1][1])
    assert not passwords.is_slow(passwords.hash_password("secret"))
