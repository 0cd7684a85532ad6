"""The DNS records a domain needs, as data, and as the lines people copy into their zones.

Pure: names and texts in, records out. The shapes of MX, SPF, DKIM, DMARC, SRV, CNAME and TLSA are those that stand in
thousands of zones already, with a lifetime of 600 seconds and a relaxed SPF ending, and must not drift.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from mailu.address import DomainName
from mailu.identity import mta_sts

TTL_SECONDS = 600
TLSA_TTL_SECONDS = 86_400
TXT_CHUNK = 250
"""Octets a string of a TXT record in a zone file; a string cannot hold more than 255 (RFC 1035 s3.3.14)."""

ISRG_ROOTS_TLSA = (
    "2 1 1 0b9fa5a59eed715c26c1020c711b4f6ec42d58b0015e14337a39dad301c5afc3",  # ISRG Root X1
    "2 1 1 762195c225586ee6c0237456e2107dc54f1efc21f61a792ebd515913cce68332",  # ISRG Root X2
)
"""Pins of the roots behind every certificate of Let's Encrypt. They hold while the chain sent includes a root."""

_PLAIN_SERVICES = (("imap", 143), ("pop3", 110), ("submission", 587))
_TLS_SERVICES = (("autodiscover", 443), ("submissions", 465), ("imaps", 993), ("pop3s", 995))
_PLAIN_PRIORITY = 20
_TLS_PRIORITY = 10
_ALWAYS_COUNTED_IN = frozenset({465, 993})


Verdict = Literal["ok", "missing", "wrong", "unknown", "extra"]
"""How a record that should be there compares with what is (``dns_check``)."""


class Purpose(StrEnum):
    """What a record is for; the pages group by it."""

    MX = "mx"
    SPF = "spf"
    DKIM = "dkim"
    DMARC = "dmarc"
    DMARC_REPORT = "dmarc_report"
    CLIENTS = "clients"
    TLSA = "tlsa"
    MTA_STS = "mta_sts"
    TLS_REPORT = "tls_report"
    CAA = "caa"


@dataclass(frozen=True, slots=True)
class Record:
    """One record. *name* has no trailing dot; *value* is the text of a TXT record without quotes, else zone syntax."""

    name: str
    ttl_seconds: int
    type: str
    value: str
    purpose: Purpose

    def line(self) -> str:
        """The record on one line, a TXT in one piece: what web forms of DNS providers take."""
        return self._line(f'"{_escape(self.value)}"' if self.type == "TXT" else self.value)

    def zone_line(self) -> str:
        """The record as a line of a zone file: a long TXT is split, since a string there holds 255 octets at most."""
        if self.type != "TXT":
            return self._line(self.value)
        pieces = [self.value[at : at + TXT_CHUNK] for at in range(0, len(self.value), TXT_CHUNK)]
        return self._line(" ".join(f'"{_escape(piece)}"' for piece in pieces))

    def _line(self, value: str) -> str:
        return f"{self.name}. {self.ttl_seconds} IN {self.type} {value}"


@dataclass(frozen=True, slots=True, kw_only=True)
class DomainFacts:
    """What the records of one domain are made from."""

    domain: DomainName
    main_host: DomainName
    report_domain: DomainName
    """``DOMAIN``: where reports about all domains go."""
    hosts: tuple[DomainName, ...] = ()
    """Every host name of this server; needed for the MTA-STS policy and CAA only."""
    dkim: tuple[tuple[str, str], ...] = ()
    """Selector and public record of each key, see ``dkim.SigningKey``."""
    dmarc_rua: str | None = None
    """Localpart at *report_domain* for aggregate reports."""
    dmarc_ruf: str | None = None
    """Localpart at *report_domain* for failure reports."""
    tls: bool = True
    """False when TLS is switched off altogether."""
    ports: frozenset[int] = frozenset()
    alternative: bool = False
    """An alternative name of another domain: it receives and signs, but no client is set up for it."""
    tlsa: tuple[str, ...] = ()
    """Data of the TLSA records of *main_host*, such as ISRG_ROOTS_TLSA."""
    mta_sts_mode: mta_sts.Mode | None = None
    """None when no policy is served."""
    tls_report: str | None = None
    """Localpart at *report_domain* for reports about TLS failures (RFC 8460)."""
    issuer: str | None = None
    """Domain of the certification authority, for CAA (RFC 8659)."""
    egress: tuple[str, ...] = ()
    """Addresses that mail leaves from and that the main host's own records do not name; SPF has to."""
    sent_by_others: bool = False
    """What the domain sends leaves from a smart host of its own, not from our addresses."""


def records(facts: DomainFacts) -> list[Record]:
    """Return every record that *facts* call for, in the order in which people set them up."""
    found = [*_mail(facts), *_dkim(facts), *_dmarc(facts)]
    if not facts.alternative:
        found += [*_clients(facts), *_tlsa(facts), *_caa(facts)]
    return [*found, *_mta_sts(facts), *_tls_report(facts)]


def zone_text(found: Sequence[Record]) -> str:
    """Return *found* as text to be included in a zone file."""
    return "".join(f"{record.zone_line()}\n" for record in found)


def _mail(facts: DomainFacts) -> list[Record]:
    return [
        _record(facts.domain, "MX", f"10 {facts.main_host}.", Purpose.MX),
        _record(facts.domain, "TXT", f"v=spf1 mx a:{facts.main_host}{_leaving(facts)} ~all", Purpose.SPF),
    ]


def _leaving(facts: DomainFacts) -> str:
    return "".join(f" ip{ipaddress.ip_address(address).version}:{address}" for address in facts.egress)


def _dkim(facts: DomainFacts) -> list[Record]:
    return [
        _record(f"{selector}._domainkey.{facts.domain}", "TXT", public, Purpose.DKIM) for selector, public in facts.dkim
    ]


def _dmarc(facts: DomainFacts) -> list[Record]:
    """DMARC says "reject what is not signed", so it must not be published before a key is there."""
    if not facts.dkim:
        return []
    rua = f" rua=mailto:{facts.dmarc_rua}@{facts.report_domain};" if facts.dmarc_rua else ""
    ruf = f" ruf=mailto:{facts.dmarc_ruf}@{facts.report_domain};" if facts.dmarc_ruf else ""
    policy = f"v=DMARC1; p=reject;{rua}{ruf} adkim=s; aspf=s"
    found = [_record(f"_dmarc.{facts.domain}", "TXT", policy, Purpose.DMARC)]
    if facts.domain != facts.report_domain:
        # Without it, nobody sends reports about one domain to another (RFC 7489 s7.1).
        name = f"{facts.domain}._report._dmarc.{facts.report_domain}"
        found.append(_record(name, "TXT", "v=DMARC1;", Purpose.DMARC_REPORT))
    return found


def _clients(facts: DomainFacts) -> list[Record]:
    """SRV records for mail clients (RFC 6186, RFC 8314); a service that is not there is said to be absent."""
    services = [(name, port, _PLAIN_PRIORITY) for name, port in _PLAIN_SERVICES]
    if facts.tls:
        services += [(name, port, _TLS_PRIORITY) for name, port in _TLS_SERVICES]
    open_ports = facts.ports | _ALWAYS_COUNTED_IN
    found = [
        _record(
            f"_{name}._tcp.{facts.domain}",
            "SRV",
            f"{priority} 1 {port} {facts.main_host}." if port in open_ports else "0 0 0 .",
            Purpose.CLIENTS,
        )
        for name, port, priority in services
    ]
    return found + [
        _record(f"{label}.{facts.domain}", "CNAME", f"{facts.main_host}.", Purpose.CLIENTS)
        for label in ("autoconfig", "autodiscover")
        if f"{label}.{facts.domain}" != facts.main_host
    ]


def _tlsa(facts: DomainFacts) -> list[Record]:
    name = f"_25._tcp.{facts.main_host}"
    return [Record(name, TLSA_TTL_SECONDS, "TLSA", data, Purpose.TLSA) for data in facts.tlsa]


def _caa(facts: DomainFacts) -> list[Record]:
    if facts.issuer is None:
        return []
    hosts = facts.hosts or (facts.main_host,)
    return [_record(host, "CAA", f'0 issue "{facts.issuer}"', Purpose.CAA) for host in hosts]


def _mta_sts(facts: DomainFacts) -> list[Record]:
    if facts.mta_sts_mode is None:
        return []
    policy_id = mta_sts.policy_id(mta_sts.policy(facts.hosts or (facts.main_host,), facts.mta_sts_mode))
    return [
        _record(f"_mta-sts.{facts.domain}", "TXT", f"v=STSv1; id={policy_id}", Purpose.MTA_STS),
        _record(f"mta-sts.{facts.domain}", "CNAME", f"{facts.main_host}.", Purpose.MTA_STS),
    ]


def _tls_report(facts: DomainFacts) -> list[Record]:
    if not facts.tls_report:
        return []
    text = f"v=TLSRPTv1; rua=mailto:{facts.tls_report}@{facts.report_domain}"
    return [_record(f"_smtp._tls.{facts.domain}", "TXT", text, Purpose.TLS_REPORT)]


def _record(name: str, kind: str, value: str, purpose: Purpose) -> Record:
    return Record(name, TTL_SECONDS, kind, value, purpose)


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
