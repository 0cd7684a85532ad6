"""DNS records: the exact lines that stand in existing zones, and when each of them is due."""

from __future__ import annotations

from dataclasses import replace

import dns.rdatatype
import dns.zone
import pytest

from mailu.address import DomainName
from mailu.identity import mta_sts
from mailu.identity.dns_records import ISRG_ROOTS_TLSA, DomainFacts, Purpose, Record, records, zone_text

KEY = "v=DKIM1; k=rsa; p=" + "A" * 392
FACTS = DomainFacts(
    domain=DomainName("example.com"),
    main_host=DomainName("mail.example.org"),
    report_domain=DomainName("example.org"),
    dkim=(("dkim", KEY),),
    dmarc_rua="admin",
    dmarc_ruf="admin",
    ports=frozenset({25, 80, 443, 465, 993, 995, 4190}),
)


def lines(facts: DomainFacts, purpose: Purpose | None = None) -> list[str]:
    return [record.line() for record in records(facts) if purpose in (None, record.purpose)]


def test_the_records_of_a_domain_have_the_shapes_of_existing_zones() -> None:
    assert lines(FACTS) == [
        "example.com. 600 IN MX 10 mail.example.org.",
        'example.com. 600 IN TXT "v=spf1 mx a:mail.example.org ~all"',
        f'dkim._domainkey.example.com. 600 IN TXT "{KEY}"',
        '_dmarc.example.com. 600 IN TXT "v=DMARC1; p=reject; rua=mailto:admin@example.org; '
        'ruf=mailto:admin@example.org; adkim=s; aspf=s"',
        'example.com._report._dmarc.example.org. 600 IN TXT "v=DMARC1;"',
        "_imap._tcp.example.com. 600 IN SRV 0 0 0 .",
        "_pop3._tcp.example.com. 600 IN SRV 0 0 0 .",
        "_submission._tcp.example.com. 600 IN SRV 0 0 0 .",
        "_autodiscover._tcp.example.com. 600 IN SRV 10 1 443 mail.example.org.",
        "_submissions._tcp.example.com. 600 IN SRV 10 1 465 mail.example.org.",
        "_imaps._tcp.example.com. 600 IN SRV 10 1 993 mail.example.org.",
        "_pop3s._tcp.example.com. 600 IN SRV 10 1 995 mail.example.org.",
        "autoconfig.example.com. 600 IN CNAME mail.example.org.",
        "autodiscover.example.com. 600 IN CNAME mail.example.org.",
    ]


def test_services_with_starttls_have_priority_20_when_their_ports_are_open() -> None:
    found = lines(replace(FACTS, ports=frozenset({143, 110, 587})), Purpose.CLIENTS)
    assert found[:3] == [
        "_imap._tcp.example.com. 600 IN SRV 20 1 143 mail.example.org.",
        "_pop3._tcp.example.com. 600 IN SRV 20 1 110 mail.example.org.",
        "_submission._tcp.example.com. 600 IN SRV 20 1 587 mail.example.org.",
    ]


def test_465_and_993_are_always_counted_in() -> None:
    found = lines(replace(FACTS, ports=frozenset()), Purpose.CLIENTS)
    assert "_imaps._tcp.example.com. 600 IN SRV 10 1 993 mail.example.org." in found
    assert "_submissions._tcp.example.com. 600 IN SRV 10 1 465 mail.example.org." in found
    assert "_pop3s._tcp.example.com. 600 IN SRV 0 0 0 ." in found


def test_without_tls_there_are_no_services_over_tls() -> None:
    found = lines(replace(FACTS, tls=False), Purpose.CLIENTS)
    assert [line for line in found if "_imaps" in line or "_autodiscover._tcp" in line] == []


def test_dmarc_waits_for_a_key() -> None:
    purposes = {record.purpose for record in records(replace(FACTS, dkim=()))}
    assert not purposes & {Purpose.DKIM, Purpose.DMARC, Purpose.DMARC_REPORT}


def test_dmarc_without_report_addresses_keeps_its_shape() -> None:
    found = lines(replace(FACTS, dmarc_rua=None, dmarc_ruf=None), Purpose.DMARC)
    assert found == ['_dmarc.example.com. 600 IN TXT "v=DMARC1; p=reject; adkim=s; aspf=s"']


def test_the_main_domain_needs_no_leave_to_report_to_itself() -> None:
    assert lines(replace(FACTS, domain=DomainName("example.org")), Purpose.DMARC_REPORT) == []


def test_every_key_is_shown() -> None:
    found = lines(replace(FACTS, dkim=(("dkim", KEY), ("dkim-ed25519", "v=DKIM1; k=ed25519; p=AA"))), Purpose.DKIM)
    assert found[1] == 'dkim-ed25519._domainkey.example.com. 600 IN TXT "v=DKIM1; k=ed25519; p=AA"'


def test_an_alternative_receives_and_signs_but_sets_up_no_clients() -> None:
    facts = replace(FACTS, alternative=True, tlsa=ISRG_ROOTS_TLSA, issuer="letsencrypt.org", mta_sts_mode="enforce")
    assert {record.purpose for record in records(facts)} == {
        Purpose.MX,
        Purpose.SPF,
        Purpose.DKIM,
        Purpose.DMARC,
        Purpose.DMARC_REPORT,
        Purpose.MTA_STS,
    }


def test_tlsa_pins_stand_at_the_main_host() -> None:
    assert lines(replace(FACTS, tlsa=ISRG_ROOTS_TLSA), Purpose.TLSA) == [
        "_25._tcp.mail.example.org. 86400 IN TLSA 2 1 1 "
        "0b9fa5a59eed715c26c1020c711b4f6ec42d58b0015e14337a39dad301c5afc3",
        "_25._tcp.mail.example.org. 86400 IN TLSA 2 1 1 "
        "762195c225586ee6c0237456e2107dc54f1efc21f61a792ebd515913cce68332",
    ]


def test_mta_sts_tls_reports_and_caa() -> None:
    hosts = (FACTS.main_host, DomainName("mx.example.org"))
    facts = replace(FACTS, hosts=hosts, mta_sts_mode="testing", tls_report="tls", issuer="letsencrypt.org")
    policy_id = mta_sts.policy_id(mta_sts.policy(hosts, "testing"))
    assert lines(facts, Purpose.MTA_STS) == [
        f'_mta-sts.example.com. 600 IN TXT "v=STSv1; id={policy_id}"',
        "mta-sts.example.com. 600 IN CNAME mail.example.org.",
    ]
    assert lines(facts, Purpose.TLS_REPORT) == [
        '_smtp._tls.example.com. 600 IN TXT "v=TLSRPTv1; rua=mailto:tls@example.org"'
    ]
    assert lines(facts, Purpose.CAA) == [
        'mail.example.org. 600 IN CAA 0 issue "letsencrypt.org"',
        'mx.example.org. 600 IN CAA 0 issue "letsencrypt.org"',
    ]


def test_spf_names_addresses_apart_that_the_main_host_does_not() -> None:
    facts = replace(FACTS, egress=("192.31.196.25", "2620:4f:8000::25"))
    assert lines(facts, Purpose.SPF) == [
        'example.com. 600 IN TXT "v=spf1 mx a:mail.example.org ip4:192.31.196.25 ip6:2620:4f:8000::25 ~all"'
    ]


def test_a_host_is_not_an_alias_of_itself() -> None:
    facts = replace(FACTS, domain=DomainName("example.org"), main_host=DomainName("autoconfig.example.org"))
    assert "autoconfig.example.org. 600 IN CNAME autoconfig.example.org." not in lines(facts)


def test_a_zone_file_holds_long_texts_in_pieces_of_250() -> None:
    record = next(record for record in records(FACTS) if record.purpose is Purpose.DKIM)
    first, second = KEY[:250], KEY[250:]
    assert record.zone_line() == f'dkim._domainkey.example.com. 600 IN TXT "{first}" "{second}"'


def test_a_name_server_reads_the_zone_text() -> None:
    facts = replace(
        FACTS, domain=DomainName("example.org"), tlsa=ISRG_ROOTS_TLSA, issuer="letsencrypt.org", mta_sts_mode="enforce"
    )
    head = "$ORIGIN example.org.\n@ 600 IN SOA ns. root. 1 1 1 1 1\n@ 600 IN NS ns.\n"
    zone = dns.zone.from_text(head + zone_text(records(facts)), "example.org.")
    text = zone.get_rdataset("dkim._domainkey", dns.rdatatype.TXT)
    assert text is not None
    assert b"".join(text[0].strings).decode() == KEY


@pytest.mark.parametrize("value", ['a"b', "a\\b"])
def test_quotes_in_a_text_are_escaped(value: str) -> None:
    record = Record("x.example.org", 600, "TXT", value, Purpose.SPF)
    head = "$ORIGIN example.org.\n@ 600 IN SOA ns. root. 1 1 1 1 1\n@ 600 IN NS ns.\n"
    text = dns.zone.from_text(head + zone_text([record]), "example.org.").get_rdataset("x", dns.rdatatype.TXT)
    assert text is not None
    assert text[0].strings[0].decode() == value
