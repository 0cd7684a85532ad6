"""The lines that log-ins leave in the log: dashboards and jails read them, so their wording never changes.

Names that strangers type are made harmless: what is not printable, blanks and backslashes are escaped, so a login name
can neither break a line nor hold a piece of a sentence.
"""

from __future__ import annotations

import hmac
import logging
from dataclasses import dataclass

from mailu.auth.attempt import LoginAttempt

log = logging.getLogger("mailu.auth")

_MOST_SHOWN = 255


def printable(text: str) -> str:
    """Return *text* in a form that stays one word on one line: at most 255 characters, then ``...``."""
    escaped = "".join(_escape(character) for character in text[:_MOST_SHOWN])
    return escaped if len(text) <= _MOST_SHOWN else escaped + "..."


def _escape(character: str) -> str:
    if character == " ":
        return "\\x20"
    if character.isprintable() and character != "\\":
        return character
    return character.encode("unicode_escape").decode("ascii")


@dataclass(frozen=True, slots=True)
class Fingerprints:
    """Short stand-ins for wrong passwords: enough to see that two are the same, too short to find one out."""

    key: bytes

    def of(self, password: bytes) -> str:
        """Return 6 hexadecimal digits of a MAC over *password*, as Mailu has always logged them."""
        return hmac.digest(self.key, password, "sha256").hex()[:6]


def login_line(attempt: LoginAttempt, name: str, outcome: str) -> None:
    """Log how *attempt* by the account or unknown name *name* ended.

    *outcome* is ``success: password``, ``failed: badauth: 6c1f0a`` and so on.
    """
    log.info(
        "Login attempt for: %s/%s/%d from: %s/%d: %s",
        printable(name),
        attempt.protocol.removeprefix("webmail-"),
        attempt.local_port,
        printable(attempt.client_ip),
        attempt.client_port,
        outcome,
    )


def limited_line(client_ip: str, name: str | None) -> None:
    """Log that an attempt was refused because of its network, or (*name* given) because of the account's limit."""
    whom = f" for {printable(name)}" if name is not None else ""
    log.warning("Authentication attempt from %s%s has been rate-limited.", printable(client_ip), whom)


def unwanted_line(client_ip: str, what: str) -> None:
    """Log that a client did something that only attackers and wrong settings do."""
    log.info("Unwanted attempt (%s) from %s.", printable(what), printable(client_ip))
