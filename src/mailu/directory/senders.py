"""Who may send as whom.

Whoever gets the mail for an address may send as it: the mailbox itself, and the people that an alias, a chain of
aliases or a pattern leads to. Somebody who forwards a mailbox lets those at the other end send as that mailbox too, as
it has always been; but a forward does not hand on what its owner may use beyond that, so being in a team does not let
one's forwards speak for the team. On top come users with ``allow_spoofing``, for every address of their own domain and
of its alternatives, which are nothing but copies of it; and the logins of WILDCARD_SENDERS, for everything, the null
sender included.
"""

from __future__ import annotations

from collections.abc import Iterator

from mailu.address import AddressError, EmailAddress, parse_address
from mailu.directory.expansion import MAX_FOLLOWED
from mailu.directory.matching import match, with_detail
from mailu.directory.snapshot import AliasEntry, Snapshot, UserEntry


def sender_logins(snapshot: Snapshot, address: EmailAddress | None) -> list[str]:
    """The logins that may send as *address*, sorted; None is the null sender. Disabled accounts are left out.

    A detail does not matter: who may be ``joe`` may be ``joe+anything``, unless that is an address of its own.
    """
    logins = set(snapshot.wildcard_senders)
    found = None if address is None else match(snapshot, address)
    if found is not None and address is not None:
        logins.update(snapshot.spoofers.get(found.address.domain, ()))
        logins.update(_owners(snapshot, str(address)))
    return sorted(logins)


def may_send_as(snapshot: Snapshot, login: str, address: EmailAddress | None) -> bool:
    """Whether *login*, a canonical address of an account, may send as *address*; None is the null sender."""
    return login in sender_logins(snapshot, address)


def addresses_of(snapshot: Snapshot, login: str, *, limit: int = 20) -> list[str]:
    """Some addresses that *login* may send as, for people: its own first, at most *limit*.

    Patterns stand as they are stored (``sales%@example.org``); ``*@example.org`` means every address of a domain and
    ``*`` every address. Empty for a login that does not exist or is disabled.
    """
    user = snapshot.users.get(login)
    if user is None or not user.enabled:
        return []
    found: list[str] = []
    for address in _addresses(snapshot, user):
        if address not in found:
            found.append(address)
        if len(found) >= limit:
            break
    return found


def _owners(snapshot: Snapshot, address: str) -> Iterator[str]:
    """Enabled users that *address* belongs to, through any number of aliases and at most one forward."""
    waiting, seen = [address], set[str]()
    at_sender = True
    while waiting and len(seen) < MAX_FOLLOWED:
        text = waiting.pop()
        if text in seen:
            continue
        seen.add(text)
        owner, detail = _owner(snapshot, text)
        if isinstance(owner, AliasEntry):
            waiting += (with_detail(snapshot, destination, detail) for destination in owner.destination)
        elif owner is not None and owner.enabled:
            yield owner.email
            if at_sender and owner.forward_enabled:
                waiting += owner.forward_destination
        at_sender = False


def _owner(snapshot: Snapshot, text: str) -> tuple[UserEntry | AliasEntry | None, str]:
    try:
        found = match(snapshot, parse_address(text))
    except AddressError:
        return None, ""
    return (None, "") if found is None else (found.owner, found.detail)


def _addresses(snapshot: Snapshot, user: UserEntry) -> Iterator[str]:
    if user.email in snapshot.wildcard_senders:
        yield "*"
    yield user.email
    localpart = user.email.rpartition("@")[0]
    others = snapshot.alternatives_of.get(user.domain_name, ())
    for other in others:
        yield f"{localpart}@{other}"
    if user.allow_spoofing:
        for domain in (user.domain_name, *others):
            yield f"*@{domain}"
    yield from _led_to(snapshot, user.email)


def _led_to(snapshot: Snapshot, login: str) -> Iterator[str]:
    """Aliases and forwarding users that lead to *login*, followed backwards and then checked forwards."""
    waiting, seen = [login], {login}
    while waiting and len(seen) < MAX_FOLLOWED:
        for source in snapshot.led_to.get(waiting.pop(), ()):
            if source in seen:
                continue
            seen.add(source)
            if source not in snapshot.users:
                waiting.append(source)
            is_pattern = source not in snapshot.users and source not in snapshot.aliases
            if is_pattern or login in _owners(snapshot, source):
                yield source
