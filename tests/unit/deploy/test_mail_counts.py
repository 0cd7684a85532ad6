"""What the daemons log is counted, and the directory is told until it has taken it."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from tests.unit.deploy.fake_room import HOST

from mailu.daemons.room import Host
from mailu.deploy import mail_counts
from mailu.deploy.mail_counts import LONGEST_DOMAIN, MOST_WAITING, MailCounts
from mailu.directory_door import NoAnswer, NotServed

DIRECTORY = replace(HOST, directory_port=4711, directory_secret="the secret of the root")


class Directory:
    """Takes what it is told, or fails as it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.counts: Counter[tuple[str, str]] = Counter()
        self.requests = 0
        self.failure: Exception | None = None
        monkeypatch.setattr(mail_counts, "ask_directory", self.ask)

    def ask(self, port: int, secret: str, method: str, target: str, *, body: bytes, seconds: float) -> bytes:
        assert (port, secret, method, target) == (4711, "the secret of the root", "POST", "/mail-counts")
        assert len(body) < 65_536
        self.requests += 1
        if self.failure is not None:
            raise self.failure
        for day, kind, domain, number in json.loads(body):
            assert day == datetime.now(UTC).date().isoformat()
            self.counts[kind, domain] += number
        return b"{}"


@pytest.fixture
def directory(monkeypatch: pytest.MonkeyPatch) -> Directory:
    return Directory(monkeypatch)


@pytest.fixture
def counts() -> MailCounts:
    return MailCounts(lambda: DIRECTORY)


def arrives(counts: MailCounts, *domains: str) -> None:
    listener = counts.listener("smtp")
    assert listener is not None
    listener(f"Nov 29 13:58:01 mail postfix/lmtp[4]: Q: to=<x@{domain}>, status=sent (250 Ok)" for domain in domains)


def tell(counts: MailCounts) -> None:
    asyncio.run(counts.tell())


def test_lines_of_postfix_and_dovecot_are_counted_and_told_once(counts: MailCounts, directory: Directory) -> None:
    arrives(counts, "example.com", "example.com", "example.org")
    junk = counts.listener("imap")
    assert junk is not None
    junk(["Nov 29 13:58:01 lmtp(a@example.com)<1><b>: Info: sieve: msgid=<c>: stored mail into mailbox 'Junk'"])
    assert counts.waiting == 4
    tell(counts)
    tell(counts)
    assert directory.counts == {
        ("received", "example.com"): 2, ("received", "example.org"): 1, ("junk", "example.com"): 1,
    }  # fmt: skip
    assert directory.requests == 1
    assert counts.waiting == 0


@pytest.mark.parametrize("failure", [NoAnswer("it is not there"), NotServed(503, "not read yet")])
def test_what_the_directory_does_not_take_is_told_later(
    counts: MailCounts, directory: Directory, failure: Exception
) -> None:
    directory.failure = failure
    arrives(counts, "example.com")
    tell(counts)
    assert counts.waiting == 1
    directory.failure = None
    arrives(counts, "example.com")
    tell(counts)
    assert directory.counts == {("received", "example.com"): 2}


def test_what_the_directory_cannot_read_is_told_to_the_operator_and_not_again(
    counts: MailCounts, directory: Directory, caplog: pytest.LogCaptureFixture
) -> None:
    directory.failure = NotServed(400, "expected something else")
    arrives(counts, "example.com")
    tell(counts)
    assert counts.waiting == 0
    assert "expected something else" in caplog.text


def test_strangers_domains_neither_fill_the_memory_nor_a_request(counts: MailCounts, directory: Directory) -> None:
    arrives(counts, "é" * (LONGEST_DOMAIN + 1))
    arrives(counts, *(f"{'é' * 240}{number}" for number in range(MOST_WAITING + 500)))
    tell(counts)
    assert directory.counts.total() == MOST_WAITING + 501
    assert directory.counts["received", ""] == 502
    assert len(directory.counts) == MOST_WAITING


def test_other_services_are_not_listened_to(counts: MailCounts) -> None:
    assert counts.listener("front") is None


def test_before_the_place_of_the_directory_is_known_numbers_wait(directory: Directory) -> None:
    known: list[Host] = []
    counts = MailCounts(lambda: known[0] if known else None)
    arrives(counts, "example.com")
    tell(counts)
    assert counts.waiting == 1
    known.append(DIRECTORY)
    tell(counts)
    assert counts.waiting == 0
