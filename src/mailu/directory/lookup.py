"""Questions about addresses, answered from a snapshot. Pure functions that never wait and never raise.

What Postfix is told about an address is where its mail ends: aliases of aliases and forwards are followed here, each
address is named once, and what leads nowhere is left out. Postfix asks again for each address of an answer, until one
stands for itself (virtual(5), cleanup(8)); an answer made of final addresses ends that at the second step, so its
limits for nesting (``virtual_alias_recursion_limit``) and loops, which would defer the message for ever, are never met.
``virtual_alias_expansion_limit`` must not be below ``MAX_EXPANSION``.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Literal

from mailu.address import AddressError, DomainName, EmailAddress, parse_address, split_detail
from mailu.directory.expansion import MAX_EXPANSION, MAX_TARGETS, expand, forwards
from mailu.directory.matching import canonical_domain, match
from mailu.directory.relay_recipients import ANY, ASK, LISTED
from mailu.directory.relay_target import BadRelayTarget, parse_relay_target
from mailu.directory.senders import addresses_of, may_send_as, sender_logins
from mailu.directory.snapshot import AliasEntry, SmartHost, Snapshot, TlsExceptionEntry, UserEntry

__all__ = [
    "MAX_EXPANSION",
    "MAX_TARGETS",
    "BadRelayTarget",
    "Resolution",
    "account",
    "addresses_of",
    "alias_targets",
    "is_local_domain",
    "is_relay_domain",
    "mailbox",
    "may_be_relay_recipient",
    "may_send_as",
    "must_be_asked",
    "resolve",
    "sender_logins",
    "smart_host",
    "takes_all",
    "tls_exceptions",
    "transport",
]

Kind = Literal["mailbox", "forward", "alias", "wildcard", "disabled", "unknown"]


@dataclass(frozen=True, slots=True)
class Resolution:
    """Where mail for an address ends. ``deliver`` is empty exactly for the kinds ``disabled`` and ``unknown``."""

    address: EmailAddress
    kind: Kind
    deliver: tuple[str, ...]
    """Final addresses, each once: local mailboxes (perhaps with a detail) and addresses elsewhere."""
    steps: tuple[str, ...]
    """Why, in sentences for people."""
    local: bool = True
    """Whether mail for the domain of the address is kept here."""


def resolve(snapshot: Snapshot, address: EmailAddress) -> Resolution:
    """Say where mail for *address* ends, and why.

    ``disabled``: it belongs to a mailbox or an alias that is switched off, or leads only to such; it is to be
    refused, saying so. ``unknown``: nobody has it, or it leads nowhere; an address of a domain that is not kept here is
    unknown too, with ``local`` false.
    """
    found = match(snapshot, address)
    if found is None:
        return Resolution(address, "unknown", (), (f"{address.domain} is not a domain of this server.",), local=False)
    expansion = expand(snapshot, address)
    if not expansion.targets:
        kind: Kind = "disabled" if expansion.met_disabled else "unknown"
    elif isinstance(found.owner, AliasEntry):
        kind = "wildcard" if found.owner.wildcard else "alias"
    elif found.owner is not None and forwards(found.owner):
        kind = "forward"
    else:
        kind = "mailbox"
    return Resolution(address, kind, expansion.targets, expansion.steps)


def is_local_domain(snapshot: Snapshot, domain: str) -> bool:
    """Whether mail for *domain* (canonical) is kept here; alternatives count."""
    return canonical_domain(snapshot, domain) is not None


def is_relay_domain(snapshot: Snapshot, domain: str) -> bool:
    """Whether mail for *domain* (canonical) is accepted to be passed on."""
    return domain in snapshot.relays


def may_be_relay_recipient(snapshot: Snapshot, address: EmailAddress) -> bool:
    """Whether mail for *address* in a relayed domain may be taken, as far as is known here; see ``must_be_asked``.

    A detail is the target server's business: what is listed is listed with any.
    """
    relay = snapshot.relays.get(address.domain)
    if relay is None or relay.recipients != LISTED:
        return relay is not None
    return not relay.listed.isdisjoint({address.localpart, split_detail(address.localpart, snapshot.delimiters)[0]})


def must_be_asked(snapshot: Snapshot, address: EmailAddress) -> bool:
    """Whether the target server of a relayed domain has to say that it takes mail for *address*."""
    relay = snapshot.relays.get(address.domain)
    return relay is not None and relay.recipients == ASK


def takes_all(snapshot: Snapshot) -> list[str]:
    """Relayed domains where mail is taken for everybody."""
    return [name for name, relay in snapshot.relays.items() if relay.recipients == ANY]


def mailbox(snapshot: Snapshot, address: EmailAddress) -> UserEntry | None:
    """The mailbox that keeps what is delivered to *address*, with or without detail; None if there is none.

    It says where mail lies, not whether more may come: look at ``enabled``, or ask ``resolve``. Aliases have none.
    """
    found = match(snapshot, address)
    return found.owner if found is not None and isinstance(found.owner, UserEntry) else None


def account(snapshot: Snapshot, login: str) -> UserEntry | None:
    """The account of the person who logs in as *login*: the whole address, also at an alternative of its domain.

    Disabled ones are found too, so that the refusal can say why. None for anything that is not somebody's address.
    """
    try:
        address = parse_address(login)
    except AddressError:
        return None
    domain = canonical_domain(snapshot, address.domain)
    return None if domain is None else snapshot.users.get(f"{address.localpart}@{domain}")


def alias_targets(snapshot: Snapshot, address: EmailAddress) -> list[str] | None:
    """What Postfix's virtual alias map says for *address*; None: not found. A mailbox without forward is itself."""
    return list(resolve(snapshot, address).deliver) or None


def smart_host(snapshot: Snapshot, domain: DomainName) -> SmartHost | None:
    """The smart host for what senders in *domain* send, also for another name of a domain; None: none of its own."""
    owner = canonical_domain(snapshot, domain)
    return None if owner is None else snapshot.smart_hosts.get(owner)


def tls_exceptions(snapshot: Snapshot, today: date) -> dict[str, TlsExceptionEntry]:
    """The exceptions from encryption that hold *today* (UTC), by the destination."""
    return {name: entry for name, entry in snapshot.tls_exceptions.items() if today <= entry.last_day}


def transport(snapshot: Snapshot, domain: DomainName) -> str | None:
    """The right side of Postfix's transport map for a relayed *domain*; None where it is not relayed.

    Raises BadRelayTarget if the stored target cannot be understood: mail is to wait until it is corrected.
    """
    if domain not in snapshot.relays:
        return None
    return parse_relay_target(snapshot.relays[domain].smtp).transport(domain)
