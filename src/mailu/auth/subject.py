"""Whom a login name means."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from mailu.address import AddressError, parse_address
from mailu.directory.snapshot import Snapshot, UserEntry

_LONGEST_LOGIN = 512


@dataclass(frozen=True, slots=True)
class Subject:
    """Who wants to be let in."""

    key: str
    """What is counted under: the canonical address, or a digest of what is no address."""
    shown: str
    """The account, or the name as it was typed."""
    account: UserEntry | None


def find_subject(snapshot: Snapshot, login: str) -> Subject:
    """Return whom *login* means: the full address of a mailbox, in any case and either form of its domain."""
    if len(login) > _LONGEST_LOGIN:
        return Subject("~overlong", login, None)
    try:
        name = str(parse_address(login))
    except (AddressError, UnicodeError):
        name = login.strip().lower()  # old accounts may have names that nobody can register today
        if name not in snapshot.users:
            return Subject(f"~{_digest(name)}", login, None)
    account = snapshot.users.get(name)
    return Subject(name, account.email if account else login, account)


def _digest(name: str) -> str:
    return hashlib.blake2b(name.encode(errors="surrogatepass"), digest_size=8).hexdigest()
