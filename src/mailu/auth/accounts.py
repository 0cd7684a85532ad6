"""What ought to be written down about an account that logged in."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Upgrade:
    """A hash that ought to be stored in place of an outdated one, for the same secret.

    Write it only where *stored* still stands in the database: the password may have been changed meanwhile.
    """

    token_id: int | None
    """The app token it belongs to; None for the account's password."""
    stored: str
    replacement: str


@dataclass(frozen=True, slots=True)
class LoginRecord:
    """What ought to be remembered of a log-in with the right password or token."""

    email: str
    at: float
    """Seconds since the epoch."""
    upgrade: Upgrade | None = None
