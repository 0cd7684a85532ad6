"""Asking the name servers of a zone themselves: what they answer is what the world will see once caches forget.

A resolver only says where they are. Where they cannot be reached (many networks let only their own resolver through),
the resolver's answer stands in and is marked as such.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Sequence
from functools import cache

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdata
import dns.rdatatype
import dns.resolver
import dns.rrset

from mailu.identity.dns_answers import DnsUnknown, Found
from mailu.places import Places

QUERY_SECONDS = 2.0
RESOLVER_SECONDS = 8.0
MAX_SERVERS = 8
MAX_CHAIN = 5
GIVE_UP_AFTER = 2
"""Questions that the resolver left unanswered, or could not answer for seconds: who asks for thirty records of a domain
must not wait for each of them. Where it has answered others, only those of that domain are given up."""
SLOW_SECONDS = 1.0


def own_resolver(places: Places) -> tuple[str, int] | None:
    """Our own Unbound while the agent found that it answers; None: whom /etc/resolv.conf names."""
    try:
        port = int(json.loads((places.run / "resolver.json").read_text(encoding="ascii"))["port"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return ("127.0.0.1", port) if port else None


class Dns:
    """Asks. *name_server*: address and port of the resolver, None for the system's. *port*: where zones are served."""

    def __init__(self, name_server: tuple[str, int] | None = None, *, port: int = 53) -> None:
        self.resolver = dns.resolver.Resolver(configure=name_server is None)
        if name_server is not None:
            self.resolver.nameservers, self.resolver.port = [name_server[0]], name_server[1]
        self.resolver.lifetime = RESOLVER_SECONDS
        self.resolver.use_edns(0, dns.flags.DO, 1232)
        self.resolver.flags = dns.flags.RD | dns.flags.AD
        self._port = port
        self._servers = cache(self._find_servers)
        self._silent: set[str] = set()
        """Servers that did not answer: asked once, so that a network that closes port 53 costs seconds, not minutes."""
        self._unanswered: Counter[dns.name.Name] = Counter()
        self._has_answered = False
        self._given_up = False

    def give_up(self) -> None:
        """Ask nobody any more, because it is known that names are not resolved: everything is unknown at once."""
        self._given_up = True

    def look(self, name: str, kind: str) -> Found:
        """What the servers of *name* say; CNAMEs are followed unless asked for. Raises DnsUnknown."""
        wanted, chain = dns.name.from_text(name), 0
        rdatatype = dns.rdatatype.from_text(kind)
        while True:
            servers = self._servers(wanted)
            answers = [(server, answer) for server in servers if (answer := self._ask(server, wanted, rdatatype))]
            if not answers:
                return self._by_resolver(wanted, rdatatype)
            target = _alias(answers[0][1], wanted, rdatatype)
            if target is None:
                return self._join(answers, wanted, rdatatype)
            wanted, chain = target, chain + 1
            if chain > MAX_CHAIN:
                raise DnsUnknown(f"{name} leads through too many aliases")

    def resolve(self, name: str, kind: str) -> Found:
        """What the resolver says. Raises DnsUnknown."""
        return self._by_resolver(dns.name.from_text(name), dns.rdatatype.from_text(kind))

    def _is_hopeless(self, name: dns.name.Name) -> bool:
        if self._given_up or (not self._has_answered and self._unanswered.total() >= GIVE_UP_AFTER):
            return True
        return self._unanswered[_domain_of(name)] >= GIVE_UP_AFTER

    def _count(self, name: dns.name.Name, began: float, error: Exception) -> None:
        """A question that failed: it counts unless a refusal came at once."""
        if isinstance(error, dns.exception.Timeout) or time.monotonic() - began > SLOW_SECONDS:
            self._unanswered[_domain_of(name)] += 1

    def _join(
        self, answers: Sequence[tuple[str, dns.message.Message]], name: dns.name.Name, kind: dns.rdatatype.RdataType
    ) -> Found:
        found = [(server, _values(answer.answer, kind)) for server, answer in answers]
        first = found[0][1]
        everywhere = [value for value in first if all(value in values for _, values in found)]
        return Found(
            tuple(dict.fromkeys(value for _, values in found for value in values)),
            tuple(server for server, _ in found),
            tuple(server for server, values in found if sorted(values) != sorted(first)),
            secure=self._is_secure(name, kind),
            common=tuple(everywhere),
        )

    def _is_secure(self, name: dns.name.Name, kind: dns.rdatatype.RdataType) -> bool:
        try:
            return self._by_resolver(name, kind).secure
        except DnsUnknown:
            return False

    def _by_resolver(self, name: dns.name.Name, kind: dns.rdatatype.RdataType) -> Found:
        if self._is_hopeless(name):
            raise DnsUnknown(f"{name} {dns.rdatatype.to_text(kind)}: the resolver does not answer")
        began = time.monotonic()
        try:
            answer = self.resolver.resolve(name, kind, search=False, raise_on_no_answer=False)
        except dns.resolver.NXDOMAIN:
            self._has_answered = True
            return Found(())
        except (dns.exception.DNSException, OSError) as error:
            self._count(name, began, error)
            raise DnsUnknown(f"{name} {dns.rdatatype.to_text(kind)}: {error or type(error).__name__}") from None
        self._has_answered = True
        values = _values([answer.rrset], kind) if answer.rrset is not None else []
        return Found(tuple(values), secure=bool(answer.response.flags & dns.flags.AD), common=tuple(values))

    def _ask(self, server: str, name: dns.name.Name, kind: dns.rdatatype.RdataType) -> dns.message.Message | None:
        if server in self._silent:
            return None
        question = dns.message.make_query(name, kind, use_edns=0, payload=1232)
        question.flags &= ~dns.flags.RD
        try:
            answer, _ = dns.query.udp_with_fallback(question, server, timeout=QUERY_SECONDS, port=self._port)
        except (dns.exception.DNSException, OSError):
            self._silent.add(server)
            return None
        if answer.rcode() not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN) or not answer.flags & dns.flags.AA:
            return None
        return answer

    def _find_servers(self, name: dns.name.Name) -> tuple[str, ...]:
        if self._is_hopeless(name):
            return ()
        began = time.monotonic()
        try:
            zone = dns.resolver.zone_for_name(name, resolver=self.resolver)
            if zone == dns.name.root:
                return ()  # the root's servers know nothing of mail; a resolver that says so invents the whole DNS
            hosts = [record.target for record in self.resolver.resolve(zone, "NS", search=False)]
        except (dns.exception.DNSException, OSError) as error:
            self._count(name, began, error)
            return ()
        found: list[str] = []
        for host in sorted(hosts):
            for kind in ("A", "AAAA"):
                try:
                    found += [record.address for record in self.resolver.resolve(host, kind, search=False)][:1]
                except (dns.exception.DNSException, OSError):
                    continue
        return tuple(found[:MAX_SERVERS])


def _domain_of(name: dns.name.Name) -> dns.name.Name:
    """The last two labels: near enough to what one operator is responsible for."""
    return dns.name.Name(name.labels[-3:])


def _alias(answer: dns.message.Message, name: dns.name.Name, kind: dns.rdatatype.RdataType) -> dns.name.Name | None:
    """Where a CNAME at *name* leads when its target is not in the answer itself."""
    if kind == dns.rdatatype.CNAME:
        return None
    current, seen = name, 0
    while seen <= MAX_CHAIN:
        here = [rrset for rrset in answer.answer if rrset.name == current]
        if any(rrset.rdtype == kind for rrset in here):
            return None
        aliases = [rrset for rrset in here if rrset.rdtype == dns.rdatatype.CNAME]
        if not aliases:
            return current if current != name else None
        current, seen = aliases[0][0].target, seen + 1
    return None


def _values(answer: Sequence[dns.rrset.RRset], kind: dns.rdatatype.RdataType) -> list[str]:
    return [text_of(record) for rrset in answer if rrset.rdtype == kind for record in rrset]


def text_of(record: dns.rdata.Rdata) -> str:
    """A record's value: zone syntax, lower case where it is a name; a TXT as its joined text."""
    if record.rdtype == dns.rdatatype.TXT:
        return b"".join(record.strings).decode("utf-8", "replace")  # type: ignore[attr-defined]
    return record.to_text().lower() if record.rdtype != dns.rdatatype.CAA else record.to_text()
