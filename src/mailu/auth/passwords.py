"""Hashes of passwords: making new ones, and verifying every kind that was ever stored.

New hashes are argon2id (two passes over 19 MiB, one lane: 19 ms; OWASP's first choice). What Mailu stored keeps
working: ``$bcrypt-sha256$``, the crypt(3) family, PBKDF2, salted LDAP hashes and all else that passlib reads, except
plain text, scrypt, and kinds that mix in a user's name. ``needs_rehash`` tells which are to be replaced at a log-in.

bcrypt is called directly: it refuses more than 72 bytes today, where it used to ignore them, and those who have longer
passwords must get in with what was stored then. Everything here is CPU time and belongs into a thread.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import unicodedata
from functools import lru_cache
from typing import Any

import argon2
import bcrypt
from passlib import hash as libpass
from passlib.registry import list_crypt_handlers

MAX_PASSWORD_BYTES = 4096
"""Longer ones are wrong without a look: nobody has them, and hashing them is work that a stranger asks for."""

_argon2 = argon2.PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)

_PREFIXES = ("{PBKDF2}", "{BLF-CRYPT}", "{SHA512-CRYPT}", "{SHA256-CRYPT}", "{MD5-CRYPT}", "{CRYPT}")
"""Marks that Mailu once put before hashes, and that say nothing the hash does not say itself."""

_WITH_USER_NAME = {"cisco_asa", "cisco_pix", "htdigest", "msdcc", "msdcc2", "oracle10", "postgres_md5"}
_NOT_HASHES = {"scrypt", "unix_disabled", "django_disabled"}
_OWN = {"argon2", "bcrypt", "bcrypt_sha256"}
_BCRYPT = re.compile(r"\$2[abxy]?\$(\d\d)\$[./A-Za-z0-9]{53}\Z")
_BCRYPT_SHA256 = re.compile(
    r"\$bcrypt-sha256\$"
    r"(?:v=(?P<version>2),t=(?P<kind2>2[aby]),r=(?P<rounds2>\d{1,2})|(?P<kind1>2[aby]),(?P<rounds1>\d{1,2}))"
    r"\$(?P<salt>[./A-Za-z0-9]{22})\$(?P<digest>[./A-Za-z0-9]{31})\Z"
)
_BCRYPT_BYTES = 72
_SLOW_BCRYPT_ROUNDS = 9
_SLOW_ROUNDS = 200_000


def hash_password(password: str | bytes) -> str:
    """Return an argon2id hash of *password*, in Unicode's composed form (NFC).

    Keyboards differ: macOS may send ``u`` and a combining diaeresis where Windows sends ``ü``. RFC 8265 s4.2 asks for
    NFC. Raises ValueError for an empty password and for one of more than ``MAX_PASSWORD_BYTES``.
    """
    octets = password.encode() if isinstance(password, str) else password
    if not 0 < len(octets) <= MAX_PASSWORD_BYTES:
        raise ValueError(f"a password has 1 to {MAX_PASSWORD_BYTES} bytes")
    return _argon2.hash(_composed(octets))


def verify(password: bytes, stored: str) -> bool:
    """Say whether *password* is the one that *stored* was made from. Never raises.

    It is tried as given first, because Mailu hashed what the browser sent, and then composed (NFC), because that is
    what ``hash_password`` hashes. A stored value that is no known hash verifies nothing.
    """
    if not 0 < len(password) <= MAX_PASSWORD_BYTES:
        return False
    reference = without_prefix(stored)
    return any(_verify(form, reference) for form in dict.fromkeys((password, _composed(password))))


def needs_rehash(stored: str) -> bool:
    """Say whether *stored* is anything but an argon2id hash with today's parameters."""
    if not stored.startswith("$argon2id$"):
        return True
    try:
        return _argon2.check_needs_rehash(stored)
    except argon2.exceptions.InvalidHashError:
        return True


def is_supported(stored: str) -> bool:
    """Say whether *stored* is a hash that ``verify`` can read; an import asks this before it stores one."""
    reference = without_prefix(stored)
    if reference.startswith("$argon2"):
        return _readable_argon2(reference)
    if _BCRYPT.match(reference) or _BCRYPT_SHA256.match(reference):
        return True
    return any(_is_whole(handler, reference) for handler in _handlers(reference))


def is_slow(stored: str) -> bool:
    """Guess whether verifying takes more than about 0.1 s, so that such work can be kept from blocking quick work."""
    reference = without_prefix(stored)
    if match := _BCRYPT.match(reference):
        return int(match[1]) >= _SLOW_BCRYPT_ROUNDS
    if match := _BCRYPT_SHA256.match(reference):
        return int(match["rounds2"] or match["rounds1"]) >= _SLOW_BCRYPT_ROUNDS
    rounds = re.search(r"(?:rounds=|\$|\|)(\d{5,})[$}|]", reference)
    return rounds is not None and int(rounds[1]) >= _SLOW_ROUNDS


def without_prefix(stored: str) -> str:
    """Return the hash without a mark such as ``{BLF-CRYPT}`` before it."""
    return stored.split("}", 1)[1] if stored.startswith(_PREFIXES) else stored


def _composed(password: bytes) -> bytes:
    try:
        return unicodedata.normalize("NFC", password.decode()).encode()
    except UnicodeDecodeError:
        return password


def _verify(password: bytes, reference: str) -> bool:
    try:
        if reference.startswith("$argon2"):
            return _verify_argon2(password, reference)
        if _BCRYPT.match(reference):
            return _verify_bcrypt(password, reference)
        if match := _BCRYPT_SHA256.match(reference):
            return _verify_bcrypt_sha256(password, match)
        return any(handler.verify(password, reference) for handler in _handlers(reference))
    except (ValueError, TypeError, UnicodeError):  # a NUL in the password, a hash that only looked like one
        return False


def _readable_argon2(reference: str) -> bool:
    try:
        argon2.extract_parameters(reference)
    except argon2.exceptions.InvalidHashError:
        return False
    return True


def _is_whole(handler: Any, reference: str) -> bool:
    """Whether salt and digest are there; ``identify`` looks at the beginning only. Prefix wrappers cannot tell."""
    parse = getattr(handler, "from_string", None)
    try:
        return parse is None or getattr(parse(reference), "checksum", None) is not None
    except (ValueError, TypeError):
        return False


def _verify_argon2(password: bytes, reference: str) -> bool:
    try:
        return _argon2.verify(reference, password)
    except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
        return False


def _verify_bcrypt(password: bytes, reference: str) -> bool:
    config = re.sub(r"\A\$2y?\$", "$2b$", reference)  # $2y$ is PHP's name for what is $2b$ here
    expected = config.encode()
    return hmac.compare_digest(bcrypt.hashpw(password[:_BCRYPT_BYTES], expected), expected)


def _verify_bcrypt_sha256(password: bytes, parts: re.Match[str]) -> bool:
    """Verify passlib's bcrypt over SHA-256: version 2 keys an HMAC with the salt, version 1 has no key."""
    salt = parts["salt"].encode()
    digest = hmac.digest(salt, password, "sha256") if parts["version"] else hashlib.sha256(password).digest()
    rounds = int(parts["rounds2"] or parts["rounds1"])
    made = bcrypt.hashpw(base64.b64encode(digest), b"$2b$%02d$%s" % (rounds, salt))
    return hmac.compare_digest(made[-31:], parts["digest"].encode())


@lru_cache(maxsize=1)
def _all_handlers() -> tuple[Any, ...]:
    names = [name for name in list_crypt_handlers() if not name.endswith("plaintext")]
    return tuple(getattr(libpass, name) for name in names if name not in _WITH_USER_NAME | _NOT_HASHES | _OWN)


@lru_cache(maxsize=1024)
def _handlers(reference: str) -> tuple[Any, ...]:
    """The handlers that take *reference* for theirs; bare digests of one length are claimed by several."""
    return tuple(handler for handler in _all_handlers() if reference and handler.identify(reference))
