"""The SASL mechanisms PLAIN and LOGIN, server side: from messages to a name and a password.

A mechanism begins with the client's initial response, or None, and gives a Challenge to send or the Credentials it
ends with. Source: RFC 4616 (PLAIN); draft-murchison-sasl-login (LOGIN, which only old clients use).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from mailu.wire import BadRequest

MECHANISMS = ("PLAIN", "LOGIN")
"""In the order in which they are offered."""

MAX_NAME_BYTES = 1_024
MAX_PASSWORD_BYTES = 4_096


@dataclass(frozen=True, slots=True)
class Challenge:
    """What the client is asked."""

    text: bytes


@dataclass(frozen=True, slots=True)
class Credentials:
    """What the client claims. The password is bytes; it may be in any character set."""

    login: str
    password: bytes = field(repr=False)


class PlainExchange:
    """One log-in by PLAIN: a single message, ``[authzid] NUL authcid NUL passwd``."""

    def begin(self, initial_response: bytes | None) -> Challenge | Credentials:
        """Raises BadRequest for a message that is not one of PLAIN, or asks to act as somebody else."""
        return Challenge(b"") if initial_response is None else self.proceed(initial_response)

    def proceed(self, response: bytes) -> Challenge | Credentials:
        """As *begin*."""
        parts = response.split(b"\0")
        if len(parts) != 3:
            raise BadRequest("a PLAIN message has not three parts")
        acting_as, login, password = parts
        if acting_as not in (b"", login):
            raise BadRequest("acting as another account is not possible")
        return _credentials(login, password)


class LoginExchange:
    """One log-in by LOGIN: the name, then the password. Clients want these very prompts."""

    def __init__(self) -> None:
        self._login: bytes | None = None

    def begin(self, initial_response: bytes | None) -> Challenge | Credentials:
        """An initial response is the name. Raises BadRequest for one too long."""
        return Challenge(b"Username:") if initial_response is None else self.proceed(initial_response)

    def proceed(self, response: bytes) -> Challenge | Credentials:
        """As *begin*."""
        if self._login is None:
            if len(response) > MAX_NAME_BYTES:
                raise BadRequest("the name is too long")
            self._login = response
            return Challenge(b"Password:")
        return _credentials(self._login, response)


Exchange = PlainExchange | LoginExchange


def exchange(mechanism: str) -> Exchange | None:
    """A fresh exchange for *mechanism* in upper case; None for one that is not offered."""
    match mechanism:
        case "PLAIN":
            return PlainExchange()
        case "LOGIN":
            return LoginExchange()
    return None


def _credentials(login: bytes, password: bytes) -> Credentials:
    if not login or len(login) > MAX_NAME_BYTES:
        raise BadRequest("the name is missing or too long")
    if len(password) > MAX_PASSWORD_BYTES:
        raise BadRequest("the password is too long")
    try:
        return Credentials(login.decode(), password)
    except UnicodeDecodeError:
        raise BadRequest("the name is not UTF-8") from None
