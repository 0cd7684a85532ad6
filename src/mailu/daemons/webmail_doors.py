"""The doors through which the webmail reaches the mail server: they take tokens of web sessions, never passwords.

Roundcube speaks TCP only. On one machine the doors are loopback ports of the root's own; whoever else connects there
can do nothing without a token of a living session, which cannot be guessed. Where the webmail runs elsewhere they are
the ports Mailu has always had inside, and TLS is asked for.
"""

from __future__ import annotations

from dataclasses import dataclass

from mailu.daemons.room import Host
from mailu.settings import Settings

IMAP_PORT, SIEVE_PORT, SMTP_PORT = 10143, 14190, 10025
LOOPBACK = "127.0.0.1"
ANY = "*"
ANY_IPV4 = "0.0.0.0"  # noqa: S104 - only where the webmail runs on another machine


@dataclass(frozen=True, slots=True)
class Door:
    """Where to listen: an address, or ``*`` for all of them, and a TCP port."""

    address: str
    port: int


@dataclass(frozen=True, slots=True)
class Doors:
    """One door a protocol."""

    imap: Door
    sieve: Door
    smtp: Door


def doors(settings: Settings, host: Host) -> Doors | None:
    """The doors that the mail server opens; None where there is no webmail, or no port for it."""
    if not settings.webmail:
        return None
    if settings.webmail_address is not None:
        return Doors(Door(ANY, IMAP_PORT), Door(ANY, SIEVE_PORT), Door(ANY, SMTP_PORT))
    if not host.webmail_imap_port:
        return None
    return Doors(
        Door(LOOPBACK, host.webmail_imap_port),
        Door(LOOPBACK, host.webmail_sieve_port),
        Door(LOOPBACK, host.webmail_smtp_port),
    )
