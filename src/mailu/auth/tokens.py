"""App tokens: passwords of one program or device, 32 hexadecimal digits made here and shown once.

They are 128 random bits, so one round of PBKDF2 is as safe as a thousand, and checking one costs microseconds: that is
why they are checked before any limit, and why somebody who guesses at an account never keeps its programs out. The
first tokens were hashed with SHA-256-crypt (``$5$``), which takes milliseconds; those are checked behind the limits, in
a thread, and replaced when used.
"""

from __future__ import annotations

import ipaddress
import re
import secrets
from collections.abc import Iterable, Sequence

from passlib.hash import pbkdf2_sha256

from mailu.auth import passwords
from mailu.auth.clients import Address, parse_ip
from mailu.directory.snapshot import TokenEntry

_LOOKS = re.compile(rb"[0-9a-f]{32}\Z")
_QUICK = "$pbkdf2-sha256$1$"
_MOST_LOOKED_AT = 500
"""Tokens of one account that a log-in is compared with, newest first: 500 take 5 ms."""


def new_token() -> str:
    """Return the secret of a new token: 32 lower-case hexadecimal digits."""
    return secrets.token_hex(16)


def hash_token(token: str) -> str:
    """Return what is stored of *token*."""
    return str(pbkdf2_sha256.using(rounds=1).hash(token))


def looks_like_token(password: bytes) -> bool:
    """Say whether *password* has the form of an app token."""
    return _LOOKS.match(password) is not None


def is_quick(token: TokenEntry) -> bool:
    """Say whether checking *token* takes microseconds."""
    return token.password.startswith(_QUICK)


def find_token(candidates: Iterable[TokenEntry], secret: bytes) -> TokenEntry | None:
    """Return the token whose secret is *secret*; None where there is none. Takes as long as its hashes take."""
    newest_first = sorted(candidates, key=lambda token: token.id, reverse=True)
    for token in newest_first[:_MOST_LOOKED_AT]:
        if passwords.verify(secret, token.password):
            return token
    return None


def may_come_from(networks: Sequence[str], client_ip: str) -> bool:
    """Say whether *client_ip* is in one of *networks* (CIDR); no networks mean anywhere. What cannot be read admits
    nobody."""
    address = parse_ip(client_ip)
    return not networks or (address is not None and any(_contains(network, address) for network in networks))


def _contains(network: str, address: Address) -> bool:
    try:
        return address in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False
