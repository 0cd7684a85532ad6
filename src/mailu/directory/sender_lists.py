"""Which senders a mailbox, a domain and the server let in or keep out: the lists, and one pure rule.

*deny* keeps mail out. *allow* spares mail of a sender who is **proven** (SPF, DKIM or DMARC vouches for the address)
the opinion of the filter: it is not delayed, not refused and not filed for its score. An allow entry never applies to a
sender who is not proven, because anybody can write any name; and it never lets in what is dangerous in itself, such as
a virus. A client's network needs no proof: nobody answers from an address that is not theirs.

The first entry that fits decides, in this order:

1. the list of the mailbox, then that of its domain, then that of the server;
2. in one list the most specific entry: an address, the longest domain, the smallest network;
3. where two of one list are equally specific (one for the envelope's sender, one for the header's): deny.

``SenderLists.listed`` is that rule; ``judging`` asks it for every mailbox that an address leads to.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import NamedTuple

from mailu.address import AddressError, parse_address, parse_domain

ALLOW, DENY = "allow", "deny"
SERVER = ""
"""The owner of the server's list; the others are a domain's name and a mailbox's address."""


class SenderEntry(NamedTuple):
    """One entry: *sender* is an address, a domain or a network; *verdict* is ``allow`` or ``deny``."""

    id: int
    sender: str
    verdict: str
    comment: str = ""


@dataclass(frozen=True, slots=True)
class SenderList:
    """The entries of one owner, ready to be looked up."""

    names: Mapping[str, SenderEntry] = field(default_factory=dict)
    """By address or domain."""
    networks: Mapping[tuple[int, int], Mapping[int, SenderEntry]] = field(default_factory=dict)
    """By IP version and length of the prefix, the longest first, then by the prefix's bits."""


@dataclass(frozen=True, slots=True)
class Identity:
    """One address that a message says it is from. *proven*: somebody who may speak for its domain sent it."""

    address: str
    domain: str
    proven: bool = False


@dataclass(frozen=True, slots=True)
class Sender:
    """What is known of who sends a message: envelope and header senders, and the client's address if there is one."""

    identities: tuple[Identity, ...] = ()
    client: IPv4Address | IPv6Address | None = None


class Listed(NamedTuple):
    """The entry that decides, whose list it is on (a mailbox, a domain, or SERVER), and what of the sender fits it."""

    owner: str
    entry: SenderEntry
    fits: str


def identity(text: str, *, proven: bool = False) -> Identity | None:
    """What *text* says; None for the null sender and for what has no domain. An odd localpart fits domains only."""
    try:
        parsed = parse_address(text)
    except AddressError:
        try:
            return Identity("", parse_domain(text.rpartition("@")[2]), proven) if "@" in text else None
        except AddressError:
            return None
    return Identity(str(parsed), parsed.domain, proven)


def sender_of(mail_from: str, header_from: Iterable[str] = (), *, client: str = "", proven: bool = False) -> Sender:
    """The sender of a message; *proven* is said of all addresses alike."""
    found = dict.fromkeys(identity(text, proven=proven) for text in (mail_from, *header_from))
    return Sender(tuple(each for each in found if each is not None), _client(client))


def _client(text: str) -> IPv4Address | IPv6Address | None:
    try:
        found = ip_address(text)
    except ValueError:
        return None
    return found.ipv4_mapped or found if isinstance(found, IPv6Address) else found


@dataclass(frozen=True, slots=True)
class SenderLists:
    """All lists."""

    by_owner: Mapping[str, SenderList] = field(default_factory=dict)
    every_name: frozenset[str] = frozenset()
    """Addresses and domains that stand on any list."""

    def mention(self, sender: Sender) -> bool:
        """Whether any list at all has an entry that fits: false for nearly every message, and quick to say."""
        names = self.every_name
        if names and any(name in names for each in sender.identities for name in _names(each)):
            return True
        server = self.by_owner.get(SERVER)
        return server is not None and _network(server, sender.client) is not None

    def listed(self, owners: Iterable[str], sender: Sender) -> Listed | None:
        """The entry that decides for a mailbox whose lists are *owners*, the mailbox first; None where none fits."""
        for owner in owners:
            entries = self.by_owner.get(owner)
            if entries is not None and (found := _most_specific(entries, sender)) is not None:
                return Listed(owner, *found)
        return None


def collect(rows: Iterable[tuple[str, SenderEntry]]) -> SenderLists:
    """The lists that *rows*, each an owner and an entry, make."""
    names: dict[str, dict[str, SenderEntry]] = {}
    networks: dict[str, dict[tuple[int, int], dict[int, SenderEntry]]] = {}
    for owner, entry in rows:
        if "/" in entry.sender and "@" not in entry.sender:
            network = ip_network(entry.sender)
            bits = int(network.network_address) >> (network.max_prefixlen - network.prefixlen)
            found = networks.setdefault(owner, {}).setdefault((network.version, network.prefixlen), {})
            found[bits] = entry
        else:
            names.setdefault(owner, {})[entry.sender] = entry
    return SenderLists(
        {
            owner: SenderList(names.get(owner, {}), dict(sorted(networks.get(owner, {}).items(), reverse=True)))
            for owner in {*names, *networks}
        },
        frozenset(name for found in names.values() for name in found),
    )


def _most_specific(entries: SenderList, sender: Sender) -> tuple[SenderEntry, str] | None:
    best: tuple[tuple[int, bool], SenderEntry, str] | None = None
    for each in sender.identities:
        for name in _names(each):
            entry = entries.names.get(name)
            if entry is None or (entry.verdict == ALLOW and not each.proven):
                continue
            rank = (_precision(name), entry.verdict == DENY)
            if best is None or rank > best[0]:
                best = (rank, entry, each.address or each.domain)
            break
    if best is not None:
        return best[1], best[2]
    network = _network(entries, sender.client)
    return None if network is None else (network, str(sender.client))


def _names(of: Identity) -> Iterator[str]:
    """What an entry can say to fit, the most specific first: the address, its domain, the domains above."""
    if of.address:
        yield of.address
    name = of.domain
    while name:
        yield name
        name = name.partition(".")[2]


def _precision(name: str) -> int:
    return 1000 if "@" in name else name.count(".")


def _network(entries: SenderList, client: IPv4Address | IPv6Address | None) -> SenderEntry | None:
    if client is None:
        return None
    for (version, length), found in entries.networks.items():
        if version == client.version and (entry := found.get(int(client) >> (client.max_prefixlen - length))):
            return entry
    return None
