"""The cookies of the pages, and the marks that prove that a form came from one of our pages.

``__Host-`` names (RFC 6265bis s4.1.3.2) cannot be set by another host name or over plain HTTP, so nobody plants a
session on a visitor. Where TLS ends elsewhere and cookies are not Secure, the names lack the prefix.
"""

from __future__ import annotations

import hmac
import json
import re
import secrets
import time
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response

from mailu.settings import Settings

_VISITOR = re.compile(r"[A-Za-z0-9_-]{22,64}\Z")


@dataclass(frozen=True, slots=True)
class CookieNames:
    """How the cookies are called and whether they are Secure."""

    secure: bool

    @property
    def session(self) -> str:
        """Names the session of somebody who is signed in."""
        return f"{self._prefix}mailu"

    @property
    def visitor(self) -> str:
        """A random name of somebody who is not; it protects the sign-on form."""
        return f"{self._prefix}mailu-visitor"

    @property
    def language(self) -> str:
        """The language chosen."""
        return "mailu-language"

    @property
    def pending(self) -> str:
        """Signed: the password was right, the second factor is still to come."""
        return f"{self._prefix}mailu-pending"

    @property
    def notice(self) -> str:
        """Signed: messages for the next page of somebody without a session."""
        return f"{self._prefix}mailu-notice"

    @property
    def _prefix(self) -> str:
        return "__Host-" if self.secure else ""

    def put(self, response: Response, name: str, value: str, *, seconds: int | None = None) -> None:
        """Set a cookie that no script can read and no other site sends along with a form."""
        response.set_cookie(name, value, max_age=seconds, path="/", secure=self.secure, httponly=True, samesite="lax")

    def drop(self, response: Response, name: str) -> None:
        """Take a cookie back."""
        response.delete_cookie(name, path="/", secure=self.secure, httponly=True, samesite="lax")


def cookie_names(settings: Settings) -> CookieNames:
    """The names for an installation."""
    return CookieNames(settings.secure_cookies)


def new_visitor() -> str:
    """A random name for somebody who is not signed in."""
    return secrets.token_urlsafe(24)


def is_visitor(text: str) -> bool:
    """Whether *text* has the form of such a name."""
    return _VISITOR.match(text) is not None


@dataclass(frozen=True, slots=True)
class Seals:
    """Signs what is handed to browsers. Each *purpose* has its own signatures."""

    key: bytes

    def mark(self, purpose: str, text: str) -> str:
        """What proves that *text* passed through here."""
        return hmac.digest(self.key, f"{purpose}\0{text}".encode(), "sha256").hex()

    def is_mark(self, purpose: str, text: str, given: str) -> bool:
        """Whether *given* is the mark of *text*."""
        return hmac.compare_digest(self.mark(purpose, text).encode(), given.encode(errors="replace"))

    def seal(self, purpose: str, value: Any, *, seconds: int) -> str:
        """*value* (JSON) as a text that says until when it is good and cannot be changed. It can be read."""
        text = json.dumps([int(time.time()) + seconds, value], separators=(",", ":"))
        return f"{text.encode().hex()}.{self.mark(purpose, text)}"

    def open(self, purpose: str, sealed: str) -> Any:
        """The value of a sealed text; None for anything else, and after its time."""
        body, _dot, given = sealed.partition(".")
        try:
            text = bytes.fromhex(body).decode()
            if not self.is_mark(purpose, text, given):
                return None
            until, value = json.loads(text)
        except (ValueError, TypeError):
            return None
        return value if time.time() < until else None
