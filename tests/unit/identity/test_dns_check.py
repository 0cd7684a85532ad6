"""What DNS says beside what it should say: every verdict, and that "unknown" is none of "missing"."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mailu.address import DomainName
from mailu.identity.dns_answers import DnsUnknown, Found
from mailu.identity.dns_check import Comparison, check_domain, check_host, drift, spf_allows
from mailu.identity.dns_records import DomainFacts, records

HOST = DomainName("mail.example.org")
KEY = "v=DKIM1; k=rsa; p=MIIBIjANBg"
PIN = "3 1 1 " + "ab" * 32
FACTS = DomainFacts(
    domain=DomainName("example.org"),
    main_host=HOST,
    report_domain=DomainName("example.org"),
    hosts=(HOST,),
    dkim=(("dkim", KEY),),
    dmarc_rua="postmaster",
    ports=frozenset({25, 80, 443, 465, 587, 993, 995, 143, 110}),
    tlsa=(PIN,),
    mta_sts_mode="enforce",
    tls_report="postmaster",
    issuer="letsencrypt.org",
)


class Zone:
    """DNS: name and type to values; everything else is empty. Names in *silent* do not answer."""

    def __init__(self) -> None:
        self.values: dict[tuple[str, str], list[str]] = {}
        self.silent: set[str] = set()
        self.secure = True
        self.differing: dict[str, tuple[str, ...]] = {}
        for record in records(FACTS):
            self.values.setdefault((record.name, record.type), []).append(record.value)
        self.values[HOST, "A"] = ["192.0.2.25"]
        self.values["25.2.0.192.in-addr.arpa", "PTR"] = [f"{HOST}."]

    def look(self, name: str, kind: str) -> Found:
        name = name.rstrip(".")
        if name in self.silent:
            raise DnsUnknown(f"{name}: timeout")
        values = tuple(self.values.get((name, kind), ()))
        return Found(values, ("198.51.100.1",), self.differing.get(name, ()), self.secure, values)

    def check(self, facts: DomainFacts = FACTS, egress: tuple[str, ...] = ("192.0.2.25",)) -> dict[str, Comparison]:
        return {f"{one.name} {one.type}": one for one in check_domain(facts, self.look, egress=egress)}


@pytest.fixture
def zone() -> Zone:
    """As it should be."""
    return Zone()


def problems(found: dict[str, Comparison]) -> list[str]:
    return [name for name, one in found.items() if one.is_problem]


def test_a_zone_as_it_should_be_has_no_problem(zone: Zone) -> None:
    found = zone.check()
    assert problems(found) == []
    assert all(one.verdict == "ok" for one in found.values())
    assert found["example.org MX"].servers == ("198.51.100.1",)


@pytest.mark.parametrize(
    "name",
    ["example.org MX", "example.org TXT", "dkim._domainkey.example.org TXT", "_dmarc.example.org TXT",
     "_25._tcp.mail.example.org TLSA", "_mta-sts.example.org TXT", "_smtp._tls.example.org TXT",
     "mail.example.org CAA", "_imaps._tcp.example.org SRV", "autoconfig.example.org CNAME"],
)  # fmt: skip
def test_a_record_that_is_not_there_is_missing(zone: Zone, name: str) -> None:
    where, _, kind = name.rpartition(" ")
    del zone.values[where, kind]
    found = zone.check()
    assert problems(found) == [name]
    assert found[name].verdict == "missing"
    assert found[name].expected, "people see what to publish"


@pytest.mark.parametrize(
    ("name", "values", "why"),
    [
        ("example.org MX", ["10 mx.elsewhere.test."], "not to this server"),
        ("example.org TXT", ["v=spf1 -all"], "does not allow 192.0.2.25"),
        ("example.org TXT", ["v=spf1 mx -all", "v=spf1 a -all"], "two SPF records"),
        ("dkim._domainkey.example.org TXT", ["v=DKIM1; k=rsa; p=AAAA"], "another key"),
        ("_dmarc.example.org TXT", ["v=DMARC1; adkim=s"], "names no policy"),
        ("_25._tcp.mail.example.org TLSA", ["3 1 1 " + "cd" * 32], "none fits"),
        ("_mta-sts.example.org TXT", ["v=STSv1; id=1"], "keep the policy"),
        ("mail.example.org CAA", ['0 issue "other.example"'], "is not allowed"),
        ("_imaps._tcp.example.org SRV", ["10 1 993 imap.elsewhere.test."], "something else"),
    ],
)
def test_a_record_that_says_something_else_is_wrong_and_says_what_that_does(
    zone: Zone, name: str, values: list[str], why: str
) -> None:
    where, _, kind = name.rpartition(" ")
    zone.values[where, kind] = values
    found = zone.check()
    assert found[name].verdict == "wrong"
    assert why in found[name].why


def test_a_server_that_does_not_answer_says_nothing_about_the_record(zone: Zone) -> None:
    zone.silent.add("_dmarc.example.org")
    found = zone.check()
    assert found["_dmarc.example.org TXT"].verdict == "unknown"
    assert problems(found) == []


def test_name_servers_that_differ_are_told_apart(zone: Zone) -> None:
    zone.differing["_dmarc.example.org"] = ("198.51.100.2",)
    assert "198.51.100.2" in zone.check()["_dmarc.example.org TXT"].why


def test_pins_in_a_zone_without_dnssec_are_worth_nothing(zone: Zone) -> None:
    zone.secure = False
    assert "not signed" in zone.check()["_25._tcp.mail.example.org TLSA"].why


def test_one_pin_that_fits_is_enough_however_it_is_written(zone: Zone) -> None:
    zone.values["_25._tcp.mail.example.org", "TLSA"] = ["2 1 1 " + "00" * 32, "3 1 1 " + "AB" * 16 + " " + "AB" * 16]
    assert zone.check()["_25._tcp.mail.example.org TLSA"].verdict == "ok"


def test_a_domain_with_a_smart_host_of_its_own_need_not_allow_our_addresses(zone: Zone) -> None:
    zone.values["example.org", "TXT"] = ["v=spf1 include:spf.provider.test -all"]
    zone.values["spf.provider.test", "TXT"] = ["v=spf1 ip4:198.51.100.0/24 -all"]
    assert zone.check()["example.org TXT"].is_problem
    assert not zone.check(replace(FACTS, sent_by_others=True))["example.org TXT"].is_problem


def test_a_stricter_policy_than_ours_is_fine(zone: Zone) -> None:
    zone.values["_dmarc.example.org", "TXT"] = ["v=DMARC1; p=quarantine; rua=mailto:x@reports.test"]
    zone.values["example.org", "TXT"] = ["google-verification=1", "v=spf1 ip4:192.0.2.0/24 -all"]
    assert problems(zone.check()) == []


def test_autoconfig_with_an_address_of_its_own_leads_here_too(zone: Zone) -> None:
    del zone.values["autoconfig.example.org", "CNAME"]
    zone.values["autoconfig.example.org", "A"] = ["192.0.2.25"]
    assert zone.check()["autoconfig.example.org CNAME"].verdict == "ok"
    zone.values["autoconfig.example.org", "A"] = ["203.0.113.9"]
    assert zone.check()["autoconfig.example.org CNAME"].verdict == "wrong"


def test_a_backup_server_may_stand_second(zone: Zone) -> None:
    zone.values["example.org", "MX"] = ["5 mx.elsewhere.test.", f"10 {HOST}."]
    one = zone.check()["example.org MX"]
    assert (one.verdict, "stand-in" in one.why) == ("ok", True)


class TestHosts:
    def check(self, zone: Zone, *public: str) -> list[Comparison]:
        return check_host(HOST, zone.look, public=public)

    def test_address_and_name_of_the_address_agree(self, zone: Zone) -> None:
        assert [one.verdict for one in self.check(zone, "192.0.2.25")] == ["ok", "ok", "ok"]

    def test_an_address_that_is_not_ours_is_wrong(self, zone: Zone) -> None:
        zone.values[HOST, "A"] = ["203.0.113.9"]
        assert "not this server" in self.check(zone, "192.0.2.25")[0].why

    def test_a_host_without_address_is_not_found(self, zone: Zone) -> None:
        del zone.values[HOST, "A"]
        assert self.check(zone)[0].verdict == "missing"

    def test_an_ipv6_address_that_we_have_should_be_published(self, zone: Zone) -> None:
        one = next(one for one in self.check(zone, "192.0.2.25", "2001:db8::25") if one.type == "AAAA")
        assert (one.verdict, one.needed) == ("missing", False)

    def test_a_public_address_without_a_name_is_missing_one(self, zone: Zone) -> None:
        one = check_host(HOST, zone.look, public=["198.41.0.4"])[-1]
        assert (one.type, one.verdict) == ("PTR", "missing")

    def test_a_name_that_does_not_lead_back_is_wrong_and_one_that_does_is_not(self, zone: Zone) -> None:
        zone.values["25.2.0.192.in-addr.arpa", "PTR"] = ["host25.provider.test."]
        assert self.check(zone, "192.0.2.25")[-1].verdict == "wrong"
        zone.values["host25.provider.test", "A"] = ["192.0.2.25"]
        assert self.check(zone, "192.0.2.25")[-1].verdict == "ok"


@pytest.mark.parametrize(
    ("policy", "allowed"),
    [
        ("v=spf1 mx -all", True),
        ("v=spf1 a:mail.example.org ~all", True),
        ("v=spf1 ip4:192.0.2.0/24 -all", True),
        ("v=spf1 ip4:198.51.100.0/24 -all", False),
        ("v=spf1 include:spf.provider.test -all", True),
        ("v=spf1 redirect=spf.provider.test", True),
        ("v=spf1 -mx +all", False),
        ("v=spf1 ?all", False),
        ("v=spf1 exists:%{i}.x.test -all", None),
        ("v=spf1 include:loop.test -all", None),
    ],
)
def test_spf_is_read_as_receivers_read_it(zone: Zone, policy: str, allowed: bool | None) -> None:
    zone.values["example.org", "TXT"] = [policy]
    zone.values["spf.provider.test", "TXT"] = ["v=spf1 ip4:192.0.2.25 -all"]
    zone.values["loop.test", "TXT"] = ["v=spf1 include:loop.test -all"]
    assert spf_allows("example.org", "192.0.2.25", zone.look) is allowed


def test_drift_is_told_once_and_a_silent_server_is_no_drift(zone: Zone) -> None:
    fresh, marks = drift([], list(zone.check().values()))
    assert (fresh, marks) == ([], [])
    del zone.values["_dmarc.example.org", "TXT"]
    fresh, marks = drift(marks, list(zone.check().values()))
    assert [one.name for one in fresh] == ["_dmarc.example.org"]
    assert drift(marks, list(zone.check().values())) == ([], marks)
    zone.silent.add("_dmarc.example.org")
    assert drift(marks, list(zone.check().values())) == ([], marks)
    assert drift(marks, list(Zone().check().values())) == ([], [])


def test_a_key_that_waits_is_shown_as_missing_but_mail_does_not_suffer(zone: Zone) -> None:
    facts = replace(FACTS, dkim=(("dkim", KEY), ("next", "v=DKIM1; k=rsa; p=BBBB")))
    one = zone.check(facts)["next._domainkey.example.org TXT"]
    assert (one.verdict, one.needed) == ("missing", False)
