"""Asking a real name server itself: what it answers, what it does not, and a rotation that waits for it."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mailu.address import DomainName
from mailu.identity import dkim, rotation
from mailu.identity.authoritative import Dns
from mailu.identity.dns_answers import DnsUnknown
from mailu.places import Places
from mailu.servers.rotation import Rotations
from tests.daemons.conftest import NETWORK
from tests.room_harness import make_settings

KNOT = shutil.which("knotd") or "/usr/sbin/knotd"
pytestmark = pytest.mark.skipif(not Path(KNOT).exists(), reason="knot is not installed: ./mailu install --tests")

ADDRESS, PORT = f"{NETWORK}.8", 5353
DOMAIN = DomainName("example.test")
ZONE = f"""$ORIGIN {DOMAIN}.
@ 60 IN SOA ns hostmaster 1 60 60 600 60
@ 60 IN NS ns
ns 60 IN A {ADDRESS}
@ 60 IN MX 10 mail
mail 60 IN A 192.0.2.25
autoconfig 60 IN CNAME mail
@ 60 IN TXT "v=spf1 mx " "-all"
"""

SetZone = Callable[[str], None]


@pytest.fixture
def zone(tmp_path: Path) -> Iterator[SetZone]:
    """A name server; what is given is added to the zone, in place of what was added before."""
    (tmp_path / "knot.conf").write_text(
        f"server:\n  rundir: {tmp_path}\n  listen: {ADDRESS}@{PORT}\n"
        f"database:\n  storage: {tmp_path}\n"
        f"template:\n  - id: default\n    storage: {tmp_path}\n    zonefile-load: whole\n    journal-content: none\n"
        f"zone:\n  - domain: {DOMAIN}\n    file: zone\n"
    )
    running: list[subprocess.Popen[bytes]] = []

    def serve(more: str) -> None:
        _end(running)
        (tmp_path / "zone").write_text(ZONE + more)
        running.append(
            subprocess.Popen(
                [KNOT, "-c", str(tmp_path / "knot.conf")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
        )
        _wait(Dns((ADDRESS, PORT), port=PORT))

    serve("")
    yield serve
    _end(running)


def _end(running: list[subprocess.Popen[bytes]]) -> None:
    while running:
        process = running.pop()
        process.terminate()
        process.wait(10)


def _wait(dns: Dns) -> None:
    end = time.monotonic() + 10
    while True:
        try:
            if dns.resolve(DOMAIN, "MX").values:
                return
        except DnsUnknown:
            pass
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.fixture
def dns(zone: SetZone) -> Dns:
    return Dns((ADDRESS, PORT), port=PORT)


def test_records_are_those_of_the_zones_own_servers(dns: Dns) -> None:
    found = dns.look(DOMAIN, "MX")
    assert (found.values, found.servers, found.differing) == (("10 mail.example.test.",), (ADDRESS,), ())
    assert dns.look(DOMAIN, "TXT").values == ("v=spf1 mx -all",), "the strings of a text are one text"


def test_what_is_not_there_is_empty_and_not_unknown(dns: Dns) -> None:
    assert dns.look(f"absent.{DOMAIN}", "A").values == ()
    assert dns.look(DOMAIN, "AAAA").values == ()


def test_an_alias_is_followed_unless_it_is_what_was_asked_for(dns: Dns) -> None:
    assert dns.look(f"autoconfig.{DOMAIN}", "A").values == ("192.0.2.25",)
    assert dns.look(f"autoconfig.{DOMAIN}", "CNAME").values == ("mail.example.test.",)


def test_nobody_to_ask_is_unknown() -> None:
    silent = Dns(("127.0.23.9", PORT), port=PORT)
    silent.resolver.lifetime = 0.5
    with pytest.raises(DnsUnknown):
        silent.look(DOMAIN, "MX")


def test_a_resolver_that_does_not_answer_is_waited_for_twice_and_not_for_every_record() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind((ADDRESS, PORT))
        dns = Dns((ADDRESS, PORT))
        dns.resolver.lifetime = 0.5
        began = time.monotonic()
        for kind in ("MX", "TXT", "A", "AAAA", "NS", "CAA", "SRV", "PTR", "TLSA", "CNAME"):
            with pytest.raises(DnsUnknown):
                dns.look(DOMAIN, kind)
        assert time.monotonic() - began < 3, "ten times half a second, twice each, would be ten"


def test_a_domain_whose_questions_are_not_answered_does_not_silence_the_others(dns: Dns) -> None:
    dns.resolver.lifetime = 0.5
    dns.resolver.nameservers, working = ["127.0.23.9"], dns.resolver.nameservers
    dns._has_answered = True
    for kind in ("MX", "TXT", "A"):
        with pytest.raises(DnsUnknown):
            dns.resolve("www.dead.test", kind)
    dns.resolver.nameservers = working
    with pytest.raises(DnsUnknown, match="does not answer"):
        dns.resolve("mail.dead.test", "A")
    assert dns.resolve(f"mail.{DOMAIN}", "A").values == ("192.0.2.25",)


def test_new_keys_sign_once_the_name_server_has_both_records(zone: SetZone, tmp_path: Path) -> None:
    places = Places(tmp_path)
    places.dkim.mkdir()
    dkim.ensure_keys(places.dkim, DOMAIN)
    rotations = Rotations(make_settings(tmp_path), places, dns=lambda: Dns((ADDRESS, PORT), port=PORT))
    rotation.begin(places.dkim, DOMAIN)
    waiting = dkim.load_keys(places.dkim, DOMAIN, ("pending",))
    lines = [_line(key) for key in waiting]
    assert rotations.round({DOMAIN: [DOMAIN]}) == []
    zone(lines[0])
    assert rotations.round({DOMAIN: [DOMAIN]}) == [], "one record of two"
    zone("".join(lines))
    steps = rotations.round({DOMAIN: [DOMAIN]})
    assert [step.what for step in steps] == ["activated", "activated", "retired", "retired"]
    assert [key.selector for key in dkim.load_keys(places.dkim, DOMAIN)] == [key.selector for key in waiting]


def _line(key: dkim.SigningKey) -> str:
    pieces = " ".join(f'"{key.record[at : at + 250]}"' for at in range(0, len(key.record), 250))
    return f"{key.selector}._domainkey 60 IN TXT {pieces}\n"
