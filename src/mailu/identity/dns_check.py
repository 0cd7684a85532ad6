"""What is in DNS beside what should be there: for one domain, and for the hosts that serve all of them.

Pure: what DNS says comes through *look*, so every verdict can be tried without a network. "I do not know" is a verdict
of its own: a name server that does not answer says nothing about the records.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from mailu.address import DomainName
from mailu.identity.dns_answers import DnsUnknown, Found
from mailu.identity.dns_records import DomainFacts, Purpose, Record, Verdict, records
from mailu.identity.rotation import same_key

Look = Callable[[str, str], Found]

SPF_LOOKUPS = 10
"""RFC 7208 s4.6.4."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """One name and type: what should be there, what is, and what to do."""

    name: str
    type: str
    purpose: str
    verdict: Verdict
    expected: tuple[str, ...]
    found: tuple[str, ...]
    why: str = ""
    """What is wrong, and what that does."""
    servers: tuple[str, ...] = ()
    """The name servers that were asked; empty when only the resolver was."""
    needed: bool = True
    """Whether mail suffers; else it is a convenience, or something that one may leave out."""

    @property
    def is_problem(self) -> bool:
        return self.verdict in ("missing", "wrong")

    def to_json(self) -> dict[str, Any]:
        """All fields."""
        return asdict(self)


_OPTIONAL = frozenset({Purpose.CLIENTS, Purpose.TLS_REPORT, Purpose.CAA, Purpose.DMARC_REPORT, Purpose.TLSA})


def check_domain(facts: DomainFacts, look: Look, *, egress: Sequence[str] = ()) -> list[Comparison]:
    """Compare every record that *facts* call for with what *look* finds. *egress*: addresses that our mail leaves from,
    unless a domain's own smart host sends it."""
    if facts.sent_by_others:
        egress = ()
    wanted: dict[tuple[str, str], list[Record]] = {}
    for record in records(facts):
        wanted.setdefault((record.name, record.type), []).append(record)
    return [_compare(name, kind, group, facts, look, egress) for (name, kind), group in wanted.items()]


def _compare(
    name: str, kind: str, group: list[Record], facts: DomainFacts, look: Look, egress: Sequence[str]
) -> Comparison:
    purpose = group[0].purpose
    expected = tuple(record.value for record in group)
    needed = purpose not in _OPTIONAL and not _is_pending_only(group, facts)

    def verdict(
        state: Verdict, found: Found | None = None, why: str = "", shown: tuple[str, ...] | None = None
    ) -> Comparison:
        values = shown if shown is not None else (found.values if found else ())
        servers = found.servers if found else ()
        return Comparison(name, kind, purpose.value, state, expected, values, why, servers, needed)

    try:
        found = look(name, kind)
        state, why, shown = _judge(name, purpose, expected, found, facts, look, egress)
    except DnsUnknown as error:
        return verdict("unknown", None, f"DNS does not answer: {error}")
    if state == "ok" and found.differing:
        return verdict("wrong", found, f"the name servers differ: {', '.join(found.differing)} answer otherwise", shown)
    return verdict(state, found, why, shown)


def _is_pending_only(group: list[Record], facts: DomainFacts) -> bool:
    return group[0].purpose is Purpose.DKIM and group[0].value != (facts.dkim[0][1] if facts.dkim else "")


Judged = tuple[Verdict, str, tuple[str, ...]]


def _judge(
    name: str,
    purpose: Purpose,
    expected: tuple[str, ...],
    found: Found,
    facts: DomainFacts,
    look: Look,
    egress: Sequence[str],
) -> Judged:
    match purpose:
        case Purpose.MX:
            return _mx(found, facts)
        case Purpose.SPF:
            return _spf(found, facts, look, egress)
        case Purpose.DKIM:
            return _dkim(expected[0], found)
        case Purpose.DMARC:
            return _dmarc(found)
        case Purpose.TLSA:
            return _tlsa(expected, found)
        case Purpose.MTA_STS if expected[0].startswith("v=STSv1"):
            return _one_text("v=STSv1", expected[0], found, "senders keep the policy they fetched before")
        case Purpose.TLS_REPORT:
            return _reports(found)
        case Purpose.CAA:
            return _caa(expected[0], found)
        case Purpose.CLIENTS | Purpose.MTA_STS:
            return _lead_to(name, expected, found, facts, look)
        case _:
            return _plain(expected, found)


def _plain(expected: tuple[str, ...], found: Found) -> Judged:
    values = tuple(_canonical(value) for value in found.values)
    if not values:
        return "missing", "nothing is there", found.values
    if set(map(_canonical, expected)) <= set(values):
        return "ok", "", found.values
    return "wrong", "something else is there", found.values


def _canonical(value: str) -> str:
    return "".join(value.lower().split()).rstrip(";")


def _mx(found: Found, facts: DomainFacts) -> Judged:
    hosts = {f"{host}." for host in (facts.hosts or (facts.main_host,))}
    targets = [value.split()[-1] for value in found.values]
    if not targets:
        return "missing", "other servers do not find this one: no mail comes in", found.values
    if not hosts & set(targets):
        return "wrong", f"mail goes to {', '.join(targets)}, not to this server", found.values
    best = min(found.values, key=lambda value: int(value.split()[0]))
    if best.split()[-1] not in hosts:
        return "ok", f"another server comes first ({best.split()[-1]}); this one is its stand-in", found.values
    return "ok", "", found.values


def _spf(found: Found, facts: DomainFacts, look: Look, egress: Sequence[str]) -> Judged:
    texts = tuple(value for value in found.values if value.lower().split(" ")[0] == "v=spf1")
    if not texts:
        return "missing", "receivers cannot tell this server from a forger", texts
    if len(texts) > 1:
        return "wrong", "there are two SPF records, which is an error: receivers then heed none (RFC 7208 s3.2)", texts
    for address in egress:
        answer = spf_allows(facts.domain, address, look)
        if answer is False:
            return "wrong", f"it does not allow {address}, which mail leaves from", texts
    return "ok", "", texts


def spf_allows(domain: str, address: str, look: Look) -> bool | None:
    """Whether the SPF record of *domain* passes *address*; None when it cannot be told (macros, ``ptr``, too many)."""
    budget = [SPF_LOOKUPS]
    result = _spf_result(domain, ipaddress.ip_address(address), look, budget)
    return None if result == "unknown" else result == "pass"


Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def _spf_result(domain: str, address: Address, look: Look, budget: list[int]) -> str:
    texts = [value for value in look(domain, "TXT").values if value.lower().split(" ")[0] == "v=spf1"]
    if len(texts) != 1:
        return "none"
    terms = texts[0].split()[1:]
    for term in terms:
        qualifier = term[0] if term[0] in "+-~?" else "+"
        mechanism, _, argument = term.lstrip("+-~?").partition(":")
        matched = _spf_matches(mechanism.lower(), argument, domain, address, look, budget)
        if matched is None:
            return "unknown"
        if matched:
            return "pass" if qualifier == "+" else "fail"
    redirect = next((term[9:] for term in terms if term.lower().startswith("redirect=")), None)
    if redirect and _spend(budget):
        return _spf_result(redirect, address, look, budget)
    return "neutral"


def _spf_matches(
    mechanism: str, argument: str, domain: str, address: Address, look: Look, budget: list[int]
) -> bool | None:
    name, _, prefix = mechanism.partition("/")
    target, _, target_prefix = argument.partition("/")
    target = target or domain
    if "%" in argument:
        return None
    if name == "all":
        return True
    if name in ("ip4", "ip6"):
        return _in_network(address, argument)
    if name in ("a", "mx", "include", "exists", "ptr") and not _spend(budget):
        return None
    if name == "a":
        return _is_address_of(address, target, look, target_prefix or prefix)
    if name == "mx":
        hosts = [value.split()[-1] for value in look(target, "MX").values]
        return any(_is_address_of(address, host, look, target_prefix or prefix) for host in hosts)
    if name == "include":
        inner = _spf_result(argument, address, look, budget)
        return None if inner == "unknown" else inner == "pass"
    return None if name in ("exists", "ptr") else False


def _spend(budget: list[int]) -> bool:
    budget[0] -= 1
    return budget[0] >= 0


def _in_network(address: Address, text: str) -> bool | None:
    try:
        return address in ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def _is_address_of(address: Address, host: str, look: Look, prefix: str) -> bool:
    kind = "A" if address.version == 4 else "AAAA"
    length = prefix if prefix and "/" not in prefix else str(address.max_prefixlen)
    return any(_in_network(address, f"{value}/{length}") for value in look(host, kind).values)


def _dkim(expected: str, found: Found) -> Judged:
    texts = tuple(value for value in found.values if "p=" in value)
    if not texts:
        return "missing", "signatures with this key cannot be verified", found.values
    if any(same_key(text, expected) for text in texts):
        return "ok", "", texts
    return "wrong", "another key is there: signatures with ours fail", texts


def _dmarc(found: Found) -> Judged:
    texts = tuple(value for value in found.values if value.lower().startswith("v=dmarc1"))
    if not texts:
        return "missing", "receivers are not told what to do with forgeries; large ones ask for a record", texts
    if len(texts) > 1:
        return "wrong", "there are two DMARC records: receivers heed none (RFC 7489 s6.6.3)", texts
    if not re.search(r";\s*p\s*=\s*(none|quarantine|reject)", texts[0], re.IGNORECASE):
        return "wrong", "it names no policy (p=)", texts
    return "ok", "", texts


def _tlsa(expected: tuple[str, ...], found: Found) -> Judged:
    """Some record that fits the chain is enough (RFC 7671 s5); none that fits makes careful senders keep their mail."""
    values = tuple(_canonical_tlsa(value) for value in found.values)
    if not values:
        return "missing", "senders with DANE cannot check who they talk to", found.values
    if not found.secure:
        return "wrong", "the zone is not signed with DNSSEC: nobody heeds these records", found.values
    if not set(values) & {_canonical_tlsa(value) for value in expected}:
        return "wrong", "none fits the certificate that is served: senders with DANE do not deliver", found.values
    return "ok", "", found.values


def _canonical_tlsa(value: str) -> str:
    parts = value.split()
    return " ".join([*parts[:3], "".join(parts[3:]).lower()])


def _one_text(mark: str, expected: str, found: Found, consequence: str) -> Judged:
    texts = tuple(value for value in found.values if value.startswith(mark))
    if not texts:
        return "missing", "no record", texts
    if len(texts) > 1 or _canonical(texts[0]) != _canonical(expected):
        return "wrong", consequence, texts
    return "ok", "", texts


def _reports(found: Found) -> Judged:
    """Reports may go to whomever the operator likes."""
    texts = tuple(value for value in found.values if value.startswith("v=TLSRPTv1"))
    if not texts:
        return "missing", "nobody reports failed encryption", texts
    return ("ok", "", texts) if "rua=" in texts[0] else ("wrong", "it names no address", texts)


def _caa(expected: str, found: Found) -> Judged:
    if not found.values:
        return "missing", "any authority may issue certificates for this name", found.values
    issuer = expected.split('"')[1]
    allowed = [value.split('"')[1].split(";")[0].strip() for value in found.values if " issue " in f" {value} "]
    if issuer in allowed:
        return "ok", "", found.values
    return "wrong", f"{issuer} is not allowed to issue: renewals fail", found.values


def _lead_to(name: str, expected: tuple[str, ...], found: Found, facts: DomainFacts, look: Look) -> Judged:
    """An alias, a service record, or addresses that are those of our host: what counts is that it leads here."""
    if found.values:
        return _plain(expected, found)
    if expected == ("0 0 0 .",):
        return "ok", "", ()  # a service that is not there need not be said not to be
    if not expected[0].startswith(tuple("0123456789")):
        here = look(name, "A").values
        if here and set(here) <= set(look(facts.main_host, "A").values):
            return "ok", "", here
        if here:
            return "wrong", f"it leads to {', '.join(here)}", here
    return "missing", "mail programs and servers that ask for it are not led here", ()


def check_host(host: DomainName, look: Look, *, public: Iterable[str]) -> list[Comparison]:
    """A, AAAA and PTR of *host*. *public*: addresses this server is known to have; empty when that is not known."""
    known = tuple(public)
    found: list[Comparison] = []
    addresses: list[str] = []
    for kind, version in (("A", 4), ("AAAA", 6)):
        ours = tuple(address for address in known if ipaddress.ip_address(address).version == version)
        one = _addresses(host, kind, ours, look, needed=version == 4)
        found.append(one)
        addresses += one.found
    return found + [_pointer(address, host, look) for address in (known or tuple(addresses))]


def _addresses(host: DomainName, kind: str, ours: tuple[str, ...], look: Look, *, needed: bool) -> Comparison:
    def say(verdict: Verdict, found: Found | None, why: str = "") -> Comparison:
        values, servers = (found.values, found.servers) if found else ((), ())
        return Comparison(host, kind, "host", verdict, ours, values, why, servers, needed)

    try:
        found = look(host, kind)
    except DnsUnknown as error:
        return say("unknown", None, f"DNS does not answer: {error}")
    if not found.values:
        if not needed and not ours:
            return say("ok", found)
        return say("missing", found, "nobody finds this host" if needed else "nobody finds this host by IPv6")
    strangers = [value for value in found.values if ours and value not in ours]
    if strangers:
        return say("wrong", found, f"{', '.join(strangers)} is not this server: mail and people go astray")
    return say("ok", found)


def _pointer(address: str, host: DomainName, look: Look) -> Comparison:
    name = ipaddress.ip_address(address).reverse_pointer

    def say(verdict: Verdict, values: tuple[str, ...], why: str = "") -> Comparison:
        return Comparison(name, "PTR", "host", verdict, (f"{host}.",), values, why)

    try:
        values = look(name, "PTR").values
    except DnsUnknown as error:
        return say("unknown", (), f"DNS does not answer: {error}")
    if not values and not ipaddress.ip_address(address).is_global:
        return say("ok", (), f"{address} is no public address; what the world sees must have the name {host}")
    if not values:
        return say("missing", (), f"{address} has no name: many servers refuse its mail; the provider sets it")
    if f"{host}." not in values:
        back = [value for value in values if _leads_back(value, address, look)]
        if not back:
            return say("wrong", values, f"{address} is called {values[0]}, which does not lead back to it")
        return say("ok", values, f"{address} is called {back[0]}, not {host}; that is no error")
    return say("ok", values)


def _leads_back(name: str, address: str, look: Look) -> bool:
    kind = "A" if ipaddress.ip_address(address).version == 4 else "AAAA"
    try:
        return address in look(name.rstrip("."), kind).values
    except DnsUnknown:
        return False


def drift(before: Sequence[str], now: Sequence[Comparison]) -> tuple[list[Comparison], list[str]]:
    """What is newly wrong since *before* (marks of earlier problems), and the marks of what is wrong now.

    What is not known now counts as unchanged: a name server that is down for a night is no drift.
    """
    marks = {mark(one): one for one in now if one.is_problem}
    unknown = {mark(one) for one in now if one.verdict == "unknown"}
    fresh = [one for key, one in marks.items() if key not in before]
    return fresh, sorted({*marks, *(key for key in before if key in unknown)})


def mark(one: Comparison) -> str:
    """Names a comparison over time."""
    return f"{one.name} {one.type} {one.purpose}"
