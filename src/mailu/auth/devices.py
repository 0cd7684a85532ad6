"""Device cookies: how a browser that logged in to an account before is known again.

Such a browser has a limit of its own, so nobody can lock its owner out by guessing (OWASP, "Slow Down Online Guessing
Attacks with Device Cookies"). The form is Mailu's, ``account$nonce$signature``, so old cookies stay good.
The cookie opens nothing: without the password it only says whose bucket a wrong one is counted in.
"""

from __future__ import annotations

import hmac
import re
import secrets

COOKIE_NAME = "rate_limit"
MAX_AGE_SECONDS = 365 * 86400
_NONCE = re.compile(r"[0-9a-f]{32}\Z")


def new_cookie(account: str, key: bytes) -> str:
    """Return a cookie for a browser that has just logged in to *account*. *key* is DEVICE_COOKIE_KEY."""
    return _cookie(account, secrets.token_hex(16), key)


def read_cookie(cookie: str | None, account: str, key: bytes) -> str | None:
    """Return the nonce of a cookie that was issued for *account*; None for any other text."""
    if not cookie or len(cookie) > 512:
        return None
    owner, _, rest = cookie.rpartition("$")[0].rpartition("$")
    if owner != account or not _NONCE.match(rest):
        return None
    given, right = cookie.encode(errors="replace"), _cookie(account, rest, key).encode()
    return rest if hmac.compare_digest(given, right) else None


def _cookie(account: str, nonce: str, key: bytes) -> str:
    signature = hmac.digest(key, f"device_cookie|{account}|{nonce}".encode(), "sha256").hex()
    return f"{account}${nonce}${signature}"
