"""The daily look at DNS: a new server is not scolded, a change is told once, what is not told is told later."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.room_harness import make_settings

from mailu.address import DomainName
from mailu.daemons.postfix.post import NotSent
from mailu.directory.models import Alternative, Domain
from mailu.directory.snapshot import Snapshot
from mailu.directory.store import open_store
from mailu.identity.authoritative import Dns
from mailu.identity.dns_answers import Found
from mailu.places import Places
from mailu.servers.dns_watch import DnsWatch, main
from mailu.settings import Settings

DOMAIN = DomainName("example.org")


class FakeDns(Dns):
    """Everything is there until it is taken away."""

    def __init__(self) -> None:
        self.gone: set[tuple[str, str]] = set()

    def look(self, name: str, kind: str) -> Found:
        answers = {"MX": ("10 mail.example.org.",), "A": ("192.0.2.1",), "TXT": ("v=spf1 mx -all",)}
        values = () if (name, kind) in self.gone else answers.get(kind, ())
        return Found(values, common=values, secure=True)


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def dns() -> FakeDns:
    return FakeDns()


@pytest.fixture
def watch(tmp_path: Path, told: list[str], dns: FakeDns) -> DnsWatch:
    (tmp_path / "data").mkdir()
    (tmp_path / "dkim").mkdir()

    def tell(_settings: Settings, subject: str, text: str) -> None:
        if dns.gone == {("down", "")}:
            raise NotSent("Postfix is away")
        told.append(f"{subject}\n{text}")

    return DnsWatch(make_settings(tmp_path), Places(tmp_path), dns=lambda: dns, tell=tell)


def test_what_was_never_right_is_no_change(watch: DnsWatch, told: list[str]) -> None:
    assert watch.round({DOMAIN: [DOMAIN]}) == []
    assert told == []


def test_what_changed_is_told_once_with_expected_and_found(watch: DnsWatch, told: list[str], dns: FakeDns) -> None:
    watch.round({DOMAIN: [DOMAIN]})
    dns.gone.add(("example.org", "MX"))
    watch.round({DOMAIN: [DOMAIN]})
    watch.round({DOMAIN: [DOMAIN]})
    assert len(told) == 1
    assert told[0].startswith("DNS changed: example.org\n")
    assert "expected: 10 mail.example.org." in told[0]
    assert "found: nothing" in told[0]
    dns.gone.clear()
    watch.round({DOMAIN: [DOMAIN]})
    dns.gone.add(("example.org", "MX"))
    watch.round({DOMAIN: [DOMAIN]})
    assert len(told) == 2, "a second change is news again"


def test_what_could_not_be_told_is_told_the_next_time(watch: DnsWatch, told: list[str], dns: FakeDns) -> None:
    watch.round({DOMAIN: [DOMAIN]})
    dns.gone.add(("example.org", "MX"))
    tell, watch._tell = watch._tell, lambda *_: (_ for _ in ()).throw(NotSent("Postfix is away"))
    assert watch.round({DOMAIN: [DOMAIN]}) == []
    watch._tell = tell
    assert len(watch.round({DOMAIN: [DOMAIN]})) == 1
    assert len(told) == 1


def test_the_program_looks_at_every_name_of_the_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = make_settings(tmp_path)
    (tmp_path / "data").mkdir()
    store = open_store(settings.database_uri)
    store.upgrade()
    with store.session() as session:
        session.add(Domain(name="example.com"))
        session.flush()
        session.add(Alternative(name="example.net", domain_name="example.com"))
    store.close()
    file = tmp_path / "settings.json"
    file.write_text(settings.to_json())
    monkeypatch.setenv("MAILU_SETTINGS", str(file))
    looked_at = []

    def round_of(_watch: DnsWatch, names: object, known: Snapshot) -> None:
        looked_at.append((names, sorted(known.domains)))

    monkeypatch.setattr(DnsWatch, "round", round_of)
    assert main() == 0
    assert looked_at == [({"example.com": ["example.com", "example.net"]}, ["example.com"])]


def test_the_program_says_that_it_has_to_be_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data").mkdir()
    file = tmp_path / "settings.json"
    file.write_text(make_settings(tmp_path).to_json())
    monkeypatch.setenv("MAILU_SETTINGS", str(file))
    assert main() == os.EX_TEMPFAIL, "the database has no tables yet"
