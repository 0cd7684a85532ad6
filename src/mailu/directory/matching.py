"""Who an address belongs to, one step deep: the precedence of mailboxes, aliases and patterns.

In this order, and the first that fits wins: the mailbox with the whole localpart; the mailbox with the localpart
without its detail; the alias with the whole localpart; the alias without the detail, which passes the detail on; the
longest pattern that fits without the detail; the longest pattern that fits the whole. Mailboxes beat every alias, so a
catch-all never takes what is somebody's. A disabled mailbox is still somebody's; a disabled alias is as good as absent.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mailu.address import DomainName, EmailAddress, split_detail
from mailu.directory.snapshot import AliasEntry, Snapshot, UserEntry


@dataclass(frozen=True, slots=True)
class Match:
    """What an address of a local domain belongs to."""

    address: EmailAddress
    """The address, with an alternative replaced by its domain."""
    owner: UserEntry | AliasEntry | None
    detail: str = ""
    """What is to be put into the destinations of an alias before their ``@``."""
    disabled_alias: AliasEntry | None = None
    """An alias that would have matched, were it or its owner not disabled."""


def canonical_domain(snapshot: Snapshot, domain: str) -> DomainName | None:
    """The domain that *domain* is, or is another name of; None where its mail is not kept here."""
    if domain in snapshot.domains:
        return DomainName(domain)
    main = snapshot.alternatives.get(domain)
    return main if main is not None and main in snapshot.domains else None


def match(snapshot: Snapshot, address: EmailAddress) -> Match | None:
    """Return what *address* belongs to, or None if its domain's mail is not kept here."""
    domain = canonical_domain(snapshot, address.domain)
    if domain is None:
        return None
    if domain != address.domain:
        address = EmailAddress(address.localpart, domain)
    stripped, detail = split_detail(address.localpart, snapshot.delimiters)
    user = snapshot.users.get(str(address))
    if user is None and detail:
        user = snapshot.users.get(f"{stripped}@{domain}")
    if user is not None:
        return Match(address, user)
    return _match_alias(snapshot, address, stripped, detail)


def _match_alias(snapshot: Snapshot, address: EmailAddress, stripped: str, detail: str) -> Match:
    disabled = None
    for alias, passed_on in _exact_aliases(snapshot, address, stripped, detail):
        if alias.enabled:
            return Match(address, alias, detail=passed_on)
        disabled = disabled or alias
    patterns = snapshot.wildcards.get(address.domain)
    if patterns is not None:
        found = (patterns.find(stripped) if detail else None) or patterns.find(address.localpart)
        if found is not None:
            return Match(address, found, disabled_alias=disabled)
    return Match(address, None, disabled_alias=disabled)


def _exact_aliases(
    snapshot: Snapshot, address: EmailAddress, stripped: str, detail: str
) -> Iterator[tuple[AliasEntry, str]]:
    whole = snapshot.aliases.get(str(address))
    if whole is not None:
        yield whole, ""
    if detail:
        without = snapshot.aliases.get(f"{stripped}@{address.domain}")
        if without is not None:
            yield without, detail


def with_detail(snapshot: Snapshot, destination: str, detail: str) -> str:
    """*destination* with *detail* put before its ``@``; what has no ``@`` stays as it is.

    So does one of ours that has a detail of its own: that is where it is to be filed, and details that grow on the way
    would make each turn of a loop another address.
    """
    localpart, at, domain = destination.rpartition("@")
    if not at or not detail:
        return destination
    if split_detail(localpart, snapshot.delimiters)[1] and canonical_domain(snapshot, domain.lower()) is not None:
        return destination
    return f"{localpart}{detail}@{domain}"
