"""One attempt to log in and what is decided about it: the values that every protocol's shell exchanges with the judge.

The shells (Postfix's SASL, Dovecot's passdb, web, DAV, API) translate: they build a ``LoginAttempt`` and turn the
``Decision`` into their protocol's words. They own no rule.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, TypeAlias

Protocol: TypeAlias = Literal[
    "imap", "pop3", "smtp", "sieve", "web", "dav", "api", "webmail-imap", "webmail-smtp", "webmail-sieve"
]
"""Who asks. ``api`` is the Bitwarden-compatible endpoint (app tokens only); the ``webmail-*`` kinds are the listeners
that only the webmail reaches: they take session tokens only, and are never limited."""


class Reason(StrEnum):
    """Why an attempt was refused. Only somebody who gave the right password learns more than the first two."""

    BAD_CREDENTIALS = "bad-credentials"
    """Unknown account or wrong password; the two are never told apart."""
    RATE_LIMITED = "rate-limited"
    """Too many wrong guesses; ``retry_after_seconds`` says when it is worth another try."""
    BAD_ADDRESS = "bad-address"
    """The app token is right, the client's address is not among the token's networks."""
    ACCOUNT_DISABLED = "account-disabled"
    PROTOCOL_DISABLED = "protocol-disabled"
    """The account may not use this protocol (``enable_imap``, ``enable_pop``)."""
    TOKEN_REQUIRED = "token-required"  # noqa: S105 - a reason, not a secret
    """The password is right, but ``AUTH_REQUIRE_TOKENS`` asks for an app token here."""
    TLS_REQUIRED = "tls-required"
    """The password would have crossed the network in clear text."""


@dataclass(frozen=True, slots=True)
class LoginAttempt:
    """What a client sent. Nothing in here is trusted or even well formed."""

    login: str
    """The login name as given; decoded from UTF-8 with ``surrogateescape`` where it is not UTF-8."""
    password: bytes
    protocol: Protocol
    client_ip: str
    client_port: int
    local_port: int
    """The port of ours that the client reached, for the log; it decides nothing."""
    tls: bool
    """The client's connection is encrypted, or never left this machine."""
    device: str | None = None
    """The device cookie that a browser sent (``mailu.auth.devices``)."""

    def __repr__(self) -> str:
        return f"LoginAttempt(login={self.login!r}, protocol={self.protocol!r}, client_ip={self.client_ip!r})"


@dataclass(frozen=True, slots=True)
class Accepted:
    """The client is who it says it is."""

    email: str
    """The account, in canonical form: what the rest of the system is told, whatever was typed."""
    method: str
    """``password``, ``token-<id>`` (an app token) or ``webmail-token``."""
    comment: str = ""
    """The app token's comment."""
    must_change_password: bool = False
    """A new password has to be chosen before anything else; only ever true for the web."""


@dataclass(frozen=True, slots=True)
class Refused:
    """No. ``message`` is one sentence for people, without a full stop where a protocol may add its own code."""

    reason: Reason
    message: str
    retry_after_seconds: int = 0


@dataclass(frozen=True, slots=True)
class TryLater:
    """Nobody knows: too busy, or something the answer depends on is away. Never shown as a wrong password."""

    message: str


Decision: TypeAlias = Accepted | Refused | TryLater
