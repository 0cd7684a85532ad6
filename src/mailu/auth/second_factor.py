"""One-time codes of an authenticator program (RFC 6238): six digits, thirty seconds, one step of tolerance.

The secret is encrypted where it is stored, with a key derived from SECRET_KEY, so that a copy of the database alone
signs nobody on.
"""

from __future__ import annotations

import base64
import time

import pyotp

STEP_SECONDS = 30
_TOLERANCE = 1


class Secrets:
    """Encrypts and reads the secrets of one-time codes. *key* is 32 octets or longer."""

    def __init__(self, key: bytes) -> None:
        from cryptography.fernet import Fernet  # here: a large library, for those who have a second factor

        self._fernet = Fernet(base64.urlsafe_b64encode(key.ljust(32, b"\0")[:32]))

    def encrypt(self, secret: str) -> str:
        """As it is stored."""
        return self._fernet.encrypt(secret.encode()).decode()

    def decrypt(self, stored: str) -> str | None:
        """The secret; None when SECRET_KEY is another one now."""
        from cryptography.fernet import InvalidToken

        try:
            return self._fernet.decrypt(stored.encode()).decode()
        except InvalidToken:
            return None


def new_secret() -> str:
    """A new secret, in base32."""
    return pyotp.random_base32()


def set_up_address(secret: str, email: str, site: str) -> str:
    """What the code to scan says."""
    return pyotp.TOTP(secret).provisioning_uri(name=email, issuer_name=site)


def step_of(secret: str, code: str, *, after: int = 0, now: float | None = None) -> int | None:
    """The step that *code* is right for, now or a step away, and later than *after*; None: it is wrong or was used.

    An *after* that is yet to come was noted while the clock was wrong, and says nothing.
    """
    given = "".join(code.split())
    if len(given) != 6 or not given.isascii() or not given.isdecimal():
        return None
    current = int(time.time() if now is None else now) // STEP_SECONDS
    totp = pyotp.TOTP(secret)
    if after > current + _TOLERANCE:
        after = 0
    for step in range(current - _TOLERANCE, current + _TOLERANCE + 1):
        if step > after and pyotp.utils.strings_equal(totp.generate_otp(step), given):
            return step
    return None
